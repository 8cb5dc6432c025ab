"""Tests of axes that tell images apart, on data made to have some."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from imgsim.embedding.autoencoder._latent_axes import scale_by_signal


@pytest.fixture
def codes():
    """Return codes and changed copies, with signal and change known along four axes."""
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(4000, 4)) * [9.0, 2.0, 5.0, 0.1]
    noise = rng.normal(size=(4000, 4)) * [1.0, 1.0, 5.0, 1.0]
    turn = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    return (signal + 3) @ turn, (signal + noise + 3) @ turn


def test_axes_are_found_and_ordered_by_signal_to_noise(codes):
    """Of variance along an axis, and half the change plus 3 % of the mean of halves."""
    scaling = scale_by_signal(*codes)

    rows = codes[0] @ scaling.axes

    deviation = rows.std(axis=0)
    assert (np.diff(deviation) < 0).all()
    expected = np.cbrt([81 / 0.605 - 1, 4 / 0.605 - 1])
    assert deviation[:2] == pytest.approx(expected, rel=0.05)
    assert deviation[2] == pytest.approx(np.cbrt(25 / 12.605 - 1), rel=0.05)
    assert deviation[3] < 0.2


def test_rows_go_back_to_codes(codes):
    """Exactly, however little an axis tells."""
    scaling = scale_by_signal(*codes)

    rows = codes[0] @ scaling.axes

    assert_allclose(rows @ scaling.back, codes[0], atol=1e-8)


@pytest.mark.parametrize("n_images", [1, 2, 3])
def test_fewer_images_than_axes(codes, n_images):
    """Nothing is divided by zero, and rows still go back."""
    first, changed = codes[0][:n_images], codes[1][:n_images]

    scaling = scale_by_signal(first, changed)

    rows = first @ scaling.axes
    assert_allclose(rows @ scaling.back, first, atol=1e-6)


def test_without_noise_rows_are_codes(codes):
    """Changes that change nothing say nothing."""
    scaling = scale_by_signal(codes[0], codes[0])

    assert_allclose(scaling.axes, np.eye(4))
    assert_allclose(scaling.back, np.eye(4))
