"""Tests of keeping the nearest columns."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from imgsim.index._exact import _smallest


@pytest.mark.parametrize("k", [1, 3, 10, 39, 40])
@pytest.mark.parametrize("n_levels", [2, 5, 1000])
def test_the_smallest_come_in_stable_order(k, n_levels):
    """With few levels most entries tie, also at the k-th place."""
    distances = np.random.default_rng(k).integers(n_levels, size=(30, 40)).astype(float)

    columns = _smallest(distances, k)

    assert_array_equal(columns, np.argsort(distances, axis=1, kind="stable")[:, :k])
