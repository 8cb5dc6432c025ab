"""Quality and training time of the autoencoder, compared with simple embeddings.

There are two collections. "digits" are the 1,797 digits of scikit-learn at 32 pixels in
gray; all of them are used for training and evaluation. "animals" are the photographs of
animals in the folder IMGSIM_TEST_DATA at 64 pixels; four fifths are used for training
and one fifth for the reconstruction error. Each image of a collection is used as a
query, and the other images are ranked by cosine distance. The baselines are the raw
pixels, their principal components with the same number of features, and color
histograms. The error is the mean squared difference of pixels in [0, 1];
reconstructions from principal components are clipped to this range.

`bench_variants` changes one parameter at a time and takes half an hour on two cores.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA

from imgsim import (
    AutoencoderEmbedder,
    ColorHistogramEmbedder,
    SimilarityIndex,
    load_image_folder,
)
from imgsim.datasets import load_digit_images
from imgsim.embedding.autoencoder._training_images import make_resizer
from imgsim.images import ImageStream
from imgsim.metrics import average_precision_at_k, precision_at_k


@dataclass
class Collection:
    """Images with classes, a split, and the parameters of an autoencoder for them."""

    images: list
    target: np.ndarray
    training: np.ndarray
    test: np.ndarray
    parameters: dict

    def take(self, rows):
        """Return the images at `rows`."""
        return [self.images[row] for row in rows]


def _digits():
    data = load_digit_images()
    rows = np.arange(len(data.images))
    parameters = {"latent_dim": 32, "image_size": 32, "color": "gray"}
    return Collection(list(data.images), data.target, rows, rows, parameters)


def _animals():
    folder = os.environ.get("IMGSIM_TEST_DATA")
    if not folder:
        pytest.skip("IMGSIM_TEST_DATA is not set: no photographs of animals")
    data = load_image_folder(Path(folder) / "data/animals")
    order = np.random.default_rng(0).permutation(len(data.paths))
    training, test = np.split(order, [len(order) - len(order) // 5])
    parameters = {"latent_dim": 128, "image_size": 64, "color": "rgb"}
    return Collection(data.paths, data.target, training, test, parameters)


COLLECTIONS = {"digits": _digits, "animals": _animals}


@pytest.fixture(scope="module", params=COLLECTIONS)
def collection(request):
    """Return a collection of images."""
    return COLLECTIONS[request.param]()


class Pixels(TransformerMixin, BaseEstimator):
    """Embed images as their pixels, or as principal components of their pixels."""

    def __init__(self, parameters, *, n_components=None):
        self.parameters = parameters
        self.n_components = n_components

    def fit(self, X, y=None):
        """Compute the principal components, if requested."""
        if self.n_components is not None:
            self.pca_ = PCA(self.n_components, random_state=0).fit(self._pixels(X))
        return self

    def transform(self, X):
        """Return the pixels, or their projection onto the principal components."""
        pixels = self._pixels(X)
        return pixels if self.n_components is None else self.pca_.transform(pixels)

    def score(self, X):
        """Return the negative mean squared reconstruction error."""
        if self.n_components is None:
            return 0.0
        pixels = self._pixels(X)
        reconstructions = self.pca_.inverse_transform(self.pca_.transform(pixels))
        return -float(np.square(reconstructions.clip(0, 1) - pixels).mean())

    def _pixels(self, X):
        n_colors = 1 if self.parameters["color"] == "gray" else 3
        resize = make_resizer(self.parameters["image_size"], n_colors)
        batches = ImageStream(X, transform=resize)
        images = np.stack([image for batch in batches for image in batch.images])
        return (images.reshape(len(images), -1) / 255).astype(np.float32)


def _colors(parameters):
    if parameters["color"] == "rgb":
        return ColorHistogramEmbedder()
    return ColorHistogramEmbedder(bins=(1, 1, 4), grid=(8, 8), image_size=32)


METHODS = {
    "raw pixels": Pixels,
    "PCA, same number of features": lambda parameters: Pixels(
        parameters, n_components=parameters["latent_dim"]
    ),
    "ColorHistogramEmbedder": _colors,
    "AutoencoderEmbedder": lambda parameters: AutoencoderEmbedder(
        **parameters, random_state=0
    ),
}

VARIANTS = {
    "defaults": {},
    "random_state=1": {"random_state": 1},
    "rescale=False": {"rescale": False},
    "augment=None": {"augment": None},
    "augment='warp'": {"augment": "warp"},
    "augment='mirror'": {"augment": "mirror"},
    "init='pca'": {"init": "pca"},
    "init='random'": {"init": "random"},
    "noise_std=0.3": {"noise_std": 0.3},
    "mask_ratio=0.2": {"mask_ratio": 0.2},
    "penalty='variational'": {"penalty": "variational"},
    "penalty='contractive'": {"penalty": "contractive"},
    "loss='l1'": {"loss": "l1"},
    "loss='ssim+l1'": {"loss": "ssim+l1"},
    "n_blocks=2": {"n_blocks": 2},
    "channels=(16, 32, 64, 128)": {"channels": (16, 32, 64, 128)},
    "max_epochs=24": {"max_epochs": 24},
}


def _evaluate(embedder, collection):
    """Return the quality of embeddings and reconstructions, and the training time."""
    start = perf_counter()
    embedder.fit(collection.take(collection.training))
    seconds = perf_counter() - start
    X = embedder.transform(collection.images)
    _, ids = SimilarityIndex(n_neighbors=len(X) - 1).fit(X).kneighbors()
    relevance = collection.target[ids] == collection.target[:, np.newaxis]
    result = {
        "precision at 5": precision_at_k(relevance, k=5),
        "mAP": average_precision_at_k(relevance, relevance.sum(axis=1)),
        "seconds to train": seconds,
    }
    if hasattr(embedder, "score"):
        result["error"] = -embedder.score(collection.take(collection.test))
    return result


def _bench(benchmark, embedder, collection):
    result = benchmark.pedantic(_evaluate, (embedder, collection), rounds=1)
    benchmark.extra_info.update(result)
    figures = ", ".join(f"{name} {value:.4g}" for name, value in result.items())
    print(f"\n{benchmark.name}: {figures}")


@pytest.mark.benchmark(group="autoencoder and other embeddings, seconds in all")
@pytest.mark.parametrize("method", METHODS)
def bench_methods(benchmark, collection, method):
    """Train and evaluate each method with its defaults."""
    _bench(benchmark, METHODS[method](collection.parameters), collection)


@pytest.mark.benchmark(group="variants of the autoencoder, seconds in all")
@pytest.mark.parametrize("variant", VARIANTS)
def bench_variants(benchmark, collection, variant):
    """Train and evaluate the autoencoder with one parameter changed."""
    parameters = {**collection.parameters, "random_state": 0, **VARIANTS[variant]}
    _bench(benchmark, AutoencoderEmbedder(**parameters), collection)
