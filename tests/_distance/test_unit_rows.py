"""Tests of scaling rows to unit length."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from imgsim._distance.unit_rows import unit_rows


@pytest.mark.parametrize(
    ("dtype", "exponents"),
    [(np.float32, [-120, -70, 0, 70, 120]), (np.float64, [-1000, -600, 0, 600, 1000])],
)
def test_rows_of_any_length_get_unit_length(dtype, exponents):
    """Squares of large or small values leave the range of the dtype."""
    rows = np.random.default_rng(0).normal(size=(5, 4)).astype(dtype)
    expected = rows / np.linalg.norm(rows, axis=1, keepdims=True)

    scaled = unit_rows(np.ldexp(rows, np.array(exponents)[:, np.newaxis]))

    assert scaled.dtype == dtype
    assert_allclose(scaled, expected, rtol=1e-6)


def test_rows_of_zeros_stay_zero():
    """They have no direction."""
    assert_array_equal(unit_rows(np.zeros((2, 3))), np.zeros((2, 3)))
    assert unit_rows(np.empty((0, 3))).shape == (0, 3)
