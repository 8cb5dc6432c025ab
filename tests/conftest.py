"""Fixtures and helpers that several test modules share."""

import os
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from embedders import EMBEDDERS
from sklearn.utils import Bunch

from imgsim import ImageEmbedder, load_image_folder

mpl.use("agg")


@pytest.fixture(params=EMBEDDERS.values(), ids=EMBEDDERS)
def make_embedder(request):
    """Return a function that makes an embedder; it takes parameters of all embedders.

    An embedder that has to be fitted is already fitted to other images.
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
