"""Small embedders for tests, which work offline, and a comparison of embeddings."""

from copy import deepcopy
from functools import cache

import numpy as np
from numpy.testing import assert_allclose

from imgsim import AutoencoderEmbedder, ColorHistogramEmbedder, ImageEmbedder

# Tolerance of embeddings that were computed in other batches, threads or processes,
# relative to the largest number. The order of sums, and so their rounding, differs.
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
