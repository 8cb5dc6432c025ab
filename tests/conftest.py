"""Fixtures and helpers that several test modules share."""

import os
from copy import deepcopy
from functools import cache
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.utils import Bunch

from imgsim import (
    AutoencoderEmbedder,
    ColorHistogramEmbedder,
    ImageEmbedder,
    load_image_folder,
)

mpl.use("agg")

# What the embedders promise for other batches, threads or processes, relative to the
# largest number. Their sums are then computed in another order, with other rounding.
EMBEDDING_TOLERANCE = 1e-5


def assert_embeddings_close(actual, expected):
    """Assert that the outputs of a network are equal up to the order of its sums.

    Only the same images in the same batches on the same threads give equal bits.
    """
    expected = np.asarray(expected)
    largest = np.nanmax(np.abs(expected))
    assert_allclose(actual, expected, rtol=0, atol=EMBEDDING_TOLERANCE * largest)


def make_untrained(model="test_resnet", **kwargs):
    """Make an embedder with untrained weights, by default of a tiny network of timm."""
    return ImageEmbedder(model, pretrained=False, device="cpu", **kwargs)


@cache
def untrained_timm_model(model, **kwargs):
    """Return the network that `make_untrained` uses, as timm creates it."""
    import timm
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = timm.create_model(model, num_classes=0, **kwargs)
    return module.requires_grad_(False).eval()


def make_autoencoder(**kwargs):
    """Make a tiny autoencoder that is not fitted yet."""
    small = {"image_size": 16, "channels": (8, 16), "max_epochs": 2, "random_state": 0}
    return AutoencoderEmbedder(6, device="cpu", **{**small, **kwargs})


@cache
def _fitted_autoencoder():
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, size=(40, 4, 4, 3), dtype=np.uint8)
    return make_autoencoder().fit(coarse.repeat(6, axis=1).repeat(6, axis=2))


def make_trained_autoencoder(**kwargs):
    """Make a tiny autoencoder that was fitted to a few images."""
    return deepcopy(_fitted_autoencoder()).set_params(**kwargs)


# Every embedder, small, offline and ready to embed. The contract in test_estimators.py
# is tested for each of them.
EMBEDDERS = {
    "AutoencoderEmbedder": make_trained_autoencoder,
    "ImageEmbedder": lambda **kwargs: make_untrained(**{"image_size": 64, **kwargs}),
    "ColorHistogramEmbedder": ColorHistogramEmbedder,
}


@pytest.fixture(params=EMBEDDERS.values(), ids=EMBEDDERS)
def make_embedder(request):
    """Return a function that makes an embedder from parameters that all have.

    An embedder that has to be fitted is already fitted, to images of its own.
    """
    return request.param


@pytest.fixture
def picture():
    """Return an image of shape (40, 60, 3) whose corners have different colors."""
    rows, columns = np.mgrid[0:40, 0:60]
    return np.stack([rows * 6, columns * 4, 255 - rows * 3], axis=2).astype(np.uint8)


@pytest.fixture
def pictures():
    """Return twelve images of different sizes."""
    rng = np.random.default_rng(0)
    sizes = rng.integers(20, 90, size=(12, 2))
    coarse = [rng.integers(0, 256, size=(4, 4, 3), dtype=np.uint8) for _ in sizes]
    return [
        np.kron(blocks, np.ones((h // 4, w // 4, 1), dtype=np.uint8))
        for blocks, (h, w) in zip(coarse, sizes, strict=True)
    ]


@pytest.fixture
def blobs():
    """Return 60 rows with 8 columns in three well separated clusters, and labels."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], [30, 20, 10])
    centers = np.eye(8)[:3] * 20
    return (centers[y] + rng.normal(size=(60, 8))).astype(np.float32), y


@pytest.fixture(scope="session")
def test_data():
    """Return the folder of photographs, weights and broken files, or skip the test."""
    folder = os.environ.get("IMGSIM_TEST_DATA")
    if not folder:
        pytest.skip("IMGSIM_TEST_DATA is unset: no real photographs to test on")
    return Path(folder)


@pytest.fixture(scope="session")
def make_mobilenet(test_data):
    """Return a function that makes an embedder with pretrained weights."""

    def make(**kwargs):
        return ImageEmbedder(
            "mobilenetv2_100",
            checkpoint_path=test_data / "weights/mobilenetv2_100_tf_in1k.safetensors",
            model_kwargs={"pad_type": "same"},
            mean=0.5,
            std=0.5,
            device="cpu",
            **kwargs,
        )

    return make


@pytest.fixture(scope="session")
def animals(test_data, make_mobilenet):
    """Return every third photograph of 25 kinds of animals, and the embeddings."""
    data = load_image_folder(test_data / "data/animals")
    paths = data.paths[::3]
    X = make_mobilenet().fit_transform(paths)
    return Bunch(paths=paths, target=data.target[::3], X=X)
