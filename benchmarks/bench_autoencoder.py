"""What an autoencoder learns in minutes, beside what needs no network.

Two collections: scikit-learn's 1,797 digits at 32 pixels, grey, of which all are
learned and judged; and the photographs of animals that IMGSIM_TEST_DATA names, at 64
pixels, of which four fifths are learned, all are searched and the last fifth comes
back. Each is searched by cosine, every image for all others; the baselines are the
pixels as they are, their principal components of the same width, and colour
histograms. Errors are mean squared differences of pixels in [0, 1], clipped for
components as well.

`bench_variants` takes half an hour on two cores, and tells what each part is worth.
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
    """Images with classes, and how an autoencoder is to see them."""

    images: list
    target: np.ndarray
    learned: np.ndarray
    judged: np.ndarray
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
        pytest.skip("IMGSIM_TEST_DATA is unset: no photographs of animals")
    data = load_image_folder(Path(folder) / "data/animals")
    order = np.random.default_rng(0).permutation(len(data.paths))
    learned, judged = np.split(order, [len(order) - len(order) // 5])
    parameters = {"latent_dim": 128, "image_size": 64, "color": "rgb"}
    return Collection(data.paths, data.target, learned, judged, parameters)


COLLECTIONS = {"digits": _digits, "animals": _animals}


@pytest.fixture(scope="module", params=COLLECTIONS)
def collection(request):
    """Return a collection of images."""
    return COLLECTIONS[request.param]()


class Pixels(TransformerMixin, BaseEstimator):
    """The pixels themselves, or their principal components, that come back, too."""

    def __init__(self, parameters, *, n_components=None):
        self.parameters = parameters
        self.n_components = n_components

    def fit(self, X, y=None):
        """Find the components."""
        if self.n_components is not None:
            self.pca_ = PCA(self.n_components, random_state=0).fit(self._pixels(X))
        return self

    def transform(self, X):
        """Project on them."""
        pixels = self._pixels(X)
        return pixels if self.n_components is None else self.pca_.transform(pixels)

    def score(self, X):
        """Return minus the mean squared error."""
        if self.n_components is None:
            return 0.0
        pixels = self._pixels(X)
        back = self.pca_.inverse_transform(self.pca_.transform(pixels)).clip(0, 1)
        return -float(np.square(back - pixels).mean())

    def _pixels(self, X):
        n_colors = 1 if self.parameters["color"] == "gray" else 3
        prepare = make_resizer(self.parameters["image_size"], n_colors)
        batches = ImageStream(X, transform=prepare)
        images = np.stack([image for batch in batches for image in batch.images])
        return (images.reshape(len(images), -1) / 255).astype(np.float32)


def _colors(parameters):
    if parameters["color"] == "rgb":
        return ColorHistogramEmbedder()
    return ColorHistogramEmbedder(bins=(1, 1, 4), grid=(8, 8), image_size=32)


METHODS = {
    "raw pixels": Pixels,
    "PCA of the same width": lambda parameters: Pixels(
        parameters, n_components=parameters["latent_dim"]
    ),
    "ColorHistogramEmbedder": _colors,
    "AutoencoderEmbedder": lambda parameters: AutoencoderEmbedder(
        **parameters, random_state=0
    ),
}

VARIANTS = {
    "the defaults": {},
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


def _judge(embedder, collection):
    """Return how good rows and reconstructions are, and the seconds to learn."""
    start = perf_counter()
    embedder.fit(collection.take(collection.learned))
    seconds = perf_counter() - start
    rows = embedder.transform(collection.images)
    n_others = len(rows) - 1
    _, nearest = SimilarityIndex(n_neighbors=n_others).fit(rows).kneighbors()
    relevance = collection.target[nearest] == collection.target[:, np.newaxis]
    result = {
        "precision at 5": precision_at_k(relevance, k=5),
        "mAP": average_precision_at_k(relevance, relevance.sum(axis=1)),
        "seconds to learn": seconds,
    }
    if hasattr(embedder, "score"):
        result["error"] = -embedder.score(collection.take(collection.judged))
    return result


def _bench(benchmark, embedder, collection):
    found = benchmark.pedantic(_judge, (embedder, collection), rounds=1)
    benchmark.extra_info.update(found)
    told = ", ".join(f"{name} {value:.4g}" for name, value in found.items())
    print(f"\n{benchmark.name}: {told}")


@pytest.mark.benchmark(group="autoencoder beside other embeddings, seconds in all")
@pytest.mark.parametrize("method", METHODS)
def bench_methods(benchmark, collection, method):
    """Learn and judge with the defaults."""
    _bench(benchmark, METHODS[method](collection.parameters), collection)


@pytest.mark.benchmark(group="variants of the autoencoder, seconds in all")
@pytest.mark.parametrize("variant", VARIANTS)
def bench_variants(benchmark, collection, variant):
    """Change one parameter."""
    parameters = {**collection.parameters, "random_state": 0, **VARIANTS[variant]}
    _bench(benchmark, AutoencoderEmbedder(**parameters), collection)
