"""Tests of the compiled loops. The tests of the scan cover what they are used for."""

import numba
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from imgsim._distance.kernels import (
    collect_at_least,
    compiled,
    count_at_least_per_query,
    keep_candidates,
)


def _candidates(scores, bias, error, n_neighbors, capacity, block_length):
    """Return the candidates of one query, whose scores are passed in blocks."""
    best = np.full((1, n_neighbors), -3e38, dtype=np.float32)
    upper = np.empty((1, capacity), dtype=np.float32)
    rows = np.empty((1, capacity), dtype=np.int64)
    n = np.zeros(1, dtype=np.int64)
    for first in range(0, len(scores), block_length):
        part = slice(first, first + block_length)
        block = np.ascontiguousarray(scores[np.newaxis, part])
        scale, errors = np.ones_like(bias[part]), np.float32([error])
        keep_candidates(block, scale, bias[part], errors, first, best, upper, rows, n)
    return rows[0, : max(n[0], 0)], int(n[0])


@pytest.mark.parametrize("order", ["far to near", "near to far", "any"])
@pytest.mark.parametrize("error", [0.0, 0.5])
@pytest.mark.parametrize("block_length", [1, 100, 127, 128, 129, 1000])
def test_all_rows_that_may_be_nearest_are_kept(block_length, error, order):
    """A row that may be among the nearest must be kept, in any order of the rows."""
    scores = np.random.default_rng(0).permutation(1000).astype(np.float32)
    scores = {"any": scores, "near to far": -np.sort(-scores)}.get(
        order, np.sort(scores)
    )
    bias = np.where(np.arange(1000) % 5, 0, -np.inf).astype(np.float32)

    kept, n = _candidates(scores, bias, error, 7, 40, block_length)

    reachable = np.sort(scores + bias)[-7] - 2 * error
    assert set(np.flatnonzero(scores + bias >= reachable)) <= set(kept)
    assert np.isfinite(bias[kept]).all()
    assert n == len(kept)


def test_too_many_candidates_are_reported():
    """A truncated list would silently lose neighbors."""
    scores, bias = np.ones(50, dtype=np.float32), np.zeros(50, dtype=np.float32)

    assert _candidates(scores, bias, 0.0, 3, 49, 50)[1] == -1
    assert _candidates(scores, bias, 0.0, 3, 50, 50)[1] == 50


@pytest.mark.parametrize("n_rows", [1, 127, 128, 129, 300])
def test_counted_rows_are_collected(n_rows):
    """The second loop fills an array of the length that the first loop counted."""
    rng = np.random.default_rng(n_rows)
    scores = rng.normal(size=(4, n_rows)).astype(np.float32)
    scale, bias = rng.random((2, n_rows)).astype(np.float32)
    minimum = np.float32([0, 0.5, np.inf, -np.inf])

    counts = count_at_least_per_query(scores, scale, bias, minimum)
    rows = np.empty(counts.sum(), dtype=np.int64)
    collect_at_least(scores, scale, bias, minimum, 10, rows)

    reaching = scores * scale + bias >= minimum[:, np.newaxis]
    assert_array_equal(counts, reaching.sum(axis=1))
    assert_array_equal(rows, np.nonzero(reaching)[1] + 10)


def test_loops_are_compiled_without_a_writable_cache_folder(monkeypatch):
    """The file system of a container may be read-only."""
    njit = numba.njit

    def without_folder(**options):
        if options.pop("cache", False):
            raise RuntimeError("cannot cache function: no locator available")
        return njit(**options)

    monkeypatch.setattr(numba, "njit", without_folder)

    assert compiled(_twice)(21) == 42


def _twice(x):
    return 2 * x
