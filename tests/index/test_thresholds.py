"""Tests of thresholds by hand."""

import numpy as np
import pytest

from imgsim.index._thresholds import threshold_by_coverage, threshold_by_precision


@pytest.mark.parametrize(
    ("coverage", "expected"),
    [(0.1, 1.0), (0.2, 2.0), (0.5, 5.0), (0.55, 6.0), (0.8, 8.0), (0.9, 9.0), (1, 9.0)],
)
def test_coverage_is_a_conformal_quantile(coverage, expected):
    """Of nine distances and one to come."""
    distances = np.random.default_rng(0).permutation(np.arange(1.0, 10.0))

    assert threshold_by_coverage(distances, coverage) == expected


def test_one_distance_is_the_limit():
    """Whatever the coverage."""
    for coverage in (1e-12, 0.5, 1.0):
        assert threshold_by_coverage(np.array([0.3]), coverage) == 0.3


def test_the_least_coverage_keeps_the_least_distance():
    """And not the largest."""
    assert threshold_by_coverage(np.array([0.3, 0.1, 0.2]), 1e-12) == 0.1


def test_coverage_holds_for_new_distances():
    """On average over collections, which is what conformal means."""
    rng = np.random.default_rng(0)

    kept = [
        distances[19] <= threshold_by_coverage(distances[:19], 0.8)
        for distances in rng.random((4000, 20))
    ]

    assert 0.78 < np.mean(kept) < 0.82


def test_coverage_of_nothing_is_refused():
    """No neighbour bears the label of its query."""
    with pytest.raises(ValueError, match="no distance to choose"):
        threshold_by_coverage(np.empty(0), 0.9)


RIGHT = np.array([[True, False], [True, True]])


@pytest.mark.parametrize(
    ("precision", "expected"), [(1.0, 0.2), (0.75, 0.4), (0.7, 0.4), (0.01, 0.4)]
)
def test_precision_is_that_of_all_answers_so_far(precision, expected):
    """The largest distance is taken, though it fell short on the way."""
    distances = np.array([[0.1, 0.3], [0.2, 0.4]])

    assert threshold_by_precision(distances, RIGHT, precision) == expected


def test_equal_distances_are_answered_together():
    """A limit cannot part them: of three at 0.2 one is wrong."""
    distances = np.array([[0.1, 0.2], [0.2, 0.2]])

    assert threshold_by_precision(distances, RIGHT, 0.75) == 0.2
    assert threshold_by_precision(distances, RIGHT, 0.8) == 0.1


def test_a_precision_out_of_reach_is_refused():
    """With the best there is."""
    distances = np.array([[0.1, 0.2], [0.3, 0.4]])
    right = np.array([[False, True], [True, False]])

    with pytest.raises(
        ValueError, match=r"precision=0\.9 .* the highest precision is 0\.667"
    ):
        threshold_by_precision(distances, right, 0.9)
