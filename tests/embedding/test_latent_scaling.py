"""Tests of axes that tell images apart, on data made to have some."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from imgsim.embedding._latent_scaling import scale_by_signal


@pytest.fixture
def codes():
    """Return codes and changed copies, with signal and noise known along four axes."""
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(4000, 4)) * [9.0, 2.0, 5.0, 0.1]
    noise = rng.normal(size=(4000, 4)) * [1.0, 1.0, 5.0, 1.0]
    turn = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    return (signal + 3) @ turn, (signal + noise + 3) @ turn


def test_axes_are_found_and_ordered_by_signal_to_noise(codes):
    """Of variance along an axis, and noise plus 3 % of its mean, which is 7."""
    scaling = scale_by_signal(*codes)

    rows = (codes[0] - scaling.center) @ scaling.axes

    assert_allclose(rows.mean(axis=0), 0, atol=1e-9)
    deviation = rows.std(axis=0)
    assert (np.diff(deviation) < 0).all()
    expected = np.cbrt([81 / 1.21 - 1, 4 / 1.21 - 1])
    assert deviation[:2] == pytest.approx(expected, rel=0.05)
    assert deviation[2:].max() < 0.2


def test_rows_go_back_to_codes(codes):
    """Exactly, however little an axis tells."""
    scaling = scale_by_signal(*codes)

    rows = (codes[0] - scaling.center) @ scaling.axes

    assert_allclose(rows @ scaling.back + scaling.center, codes[0], atol=1e-8)


@pytest.mark.parametrize("n_images", [1, 2, 3])
def test_fewer_images_than_axes(codes, n_images):
    """Nothing is divided by zero, and rows still go back."""
    first, changed = codes[0][:n_images], codes[1][:n_images]

    scaling = scale_by_signal(first, changed)

    rows = (first - scaling.center) @ scaling.axes
    assert_allclose(rows @ scaling.back + scaling.center, first, atol=1e-6)


def test_without_noise_codes_are_only_centred(codes):
    """Changes that change nothing say nothing."""
    scaling = scale_by_signal(codes[0], codes[0])

    assert_allclose(scaling.axes, np.eye(4))
    assert_allclose(scaling.center, codes[0].mean(axis=0))
