"""Tests of the axes of the embeddings, on data with known signal and noise."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from imgsim.embedding.autoencoder._latent_axes import signal_to_noise_axes


@pytest.fixture(scope="module")
def latent():
    """Return latent vectors of images and of copies, with known signal and noise."""
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(4000, 4)) * [9.0, 2.0, 5.0, 0.1]
    noise = rng.normal(size=(4000, 4)) * [1.0, 1.0, 5.0, 1.0]
    rotation = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    return (signal + 3) @ rotation, (signal + noise + 3) @ rotation


def test_axes_are_sorted_and_scaled_by_signal_to_noise(latent):
    """Noise is half the squared change, plus 3 % of its mean over all directions."""
    axes, _ = signal_to_noise_axes(*latent)

    std = (latent[0] @ axes).std(axis=0)

    assert (np.diff(std) < 0).all()
    expected = np.cbrt([81 / 0.605 - 1, 4 / 0.605 - 1])
    assert std[:2] == pytest.approx(expected, rel=0.05)
    assert std[2] == pytest.approx(np.cbrt(25 / 12.605 - 1), rel=0.05)
    assert std[3] < 0.2


def test_embeddings_can_be_transformed_back(latent):
    """The inverse is exact even for axes without signal."""
    axes, inverse = signal_to_noise_axes(*latent)

    assert_allclose(latent[0] @ axes @ inverse, latent[0], atol=1e-8)


@pytest.mark.parametrize("n_images", [1, 2, 3])
def test_there_may_be_fewer_images_than_axes(latent, n_images):
    """A variance of 0 must not be a divisor."""
    images, copies = (rows[:n_images] for rows in latent)

    axes, inverse = signal_to_noise_axes(images, copies)

    assert_allclose(images @ axes @ inverse, images, atol=1e-6)


def test_without_noise_the_axes_are_the_identity(latent):
    """The signal-to-noise ratio is undefined."""
    axes, inverse = signal_to_noise_axes(latent[0], latent[0])

    assert_allclose(axes, np.eye(4))
    assert_allclose(inverse, np.eye(4))
