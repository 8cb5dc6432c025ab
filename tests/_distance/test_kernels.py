"""Tests of compiled loops; what they are for is tested by the scan."""

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


def _kept(scores, allowed_bias, slack, n_neighbors, capacity, n_rows_at_once):
    """Return the candidates of one query, whose scores come in blocks."""
    best = np.full((1, n_neighbors), -3e38, dtype=np.float32)
    upper = np.empty((1, capacity), dtype=np.float32)
    rows = np.empty((1, capacity), dtype=np.int64)
    n = np.zeros(1, dtype=np.int64)
    for first in range(0, len(scores), n_rows_at_once):
        block = np.ascontiguousarray(scores[np.newaxis, first : first + n_rows_at_once])
        bias = allowed_bias[first : first + n_rows_at_once]
        scale = np.ones_like(bias)
        wrong = np.float32([slack])
        keep_candidates(block, scale, bias, wrong, first, best, upper, rows, n)
    return rows[0, : max(n[0], 0)], int(n[0])


@pytest.mark.parametrize("order", ["far to near", "near to far", "any"])
@pytest.mark.parametrize("slack", [0.0, 0.5])
@pytest.mark.parametrize("n_rows_at_once", [1, 100, 127, 128, 129, 1000])
def test_all_that_may_be_nearest_are_kept(n_rows_at_once, slack, order):
    """None that could reach the k-th best is lost, in whatever order they come."""
    scores = np.random.default_rng(0).permutation(1000).astype(np.float32)
    scores = {"any": scores, "near to far": -np.sort(-scores)}.get(
        order, np.sort(scores)
    )
    bias = np.where(np.arange(1000) % 5, 0, -np.inf).astype(np.float32)

    kept, n = _kept(scores, bias, slack, 7, 40, n_rows_at_once)

    reachable = np.sort(scores + bias)[-7] - 2 * slack
    assert set(np.flatnonzero(scores + bias >= reachable)) <= set(kept)
    assert np.isfinite(bias[kept]).all()
    assert n == len(kept)


def test_there_may_be_too_many_candidates():
    """Which is said, and not cut off."""
    scores, bias = np.ones(50, dtype=np.float32), np.zeros(50, dtype=np.float32)

    assert _kept(scores, bias, 0.0, 3, 49, 50)[1] == -1
    assert _kept(scores, bias, 0.0, 3, 50, 50)[1] == 50


@pytest.mark.parametrize("n_rows", [1, 127, 128, 129, 300])
def test_what_is_counted_is_collected(n_rows):
    """Query after query."""
    rng = np.random.default_rng(n_rows)
    scores = rng.normal(size=(4, n_rows)).astype(np.float32)
    scale, bias = rng.random((2, n_rows)).astype(np.float32)
    needed = np.float32([0, 0.5, np.inf, -np.inf])

    counts = count_at_least_per_query(scores, scale, bias, needed)
    found = np.empty(counts.sum(), dtype=np.int64)
    collect_at_least(scores, scale, bias, needed, 10, found)

    reaching = scores * scale + bias >= needed[:, np.newaxis]
    assert_array_equal(counts, reaching.sum(axis=1))
    assert_array_equal(found, np.nonzero(reaching)[1] + 10)


def test_loops_are_compiled_where_nothing_can_be_kept(monkeypatch):
    """As in a container whose file system is read-only."""
    njit = numba.njit

    def without_folder(**options):
        if options.pop("cache", False):
            raise RuntimeError("cannot cache function: no locator available")
        return njit(**options)

    monkeypatch.setattr(numba, "njit", without_folder)

    assert compiled(_twice)(21) == 42


def _twice(x):
    return 2 * x
