"""Tests of thresholds, computed by hand or by simulation."""

import numpy as np
import pytest

from imgsim import SimilarityIndex
from imgsim.index._thresholds import threshold_by_coverage, threshold_by_precision


@pytest.mark.parametrize(
    ("coverage", "expected"),
    [(0.1, 1.0), (0.2, 2.0), (0.5, 5.0), (0.55, 6.0), (0.8, 8.0), (0.9, 9.0), (1, 9.0)],
)
def test_coverage_is_a_conformal_quantile(coverage, expected):
    """One future distance is counted in addition to the nine given ones."""
    distances = np.random.default_rng(0).permutation(np.arange(1.0, 10.0))

    assert threshold_by_coverage(distances, coverage) == expected


def test_a_single_distance_is_the_threshold():
    """The coverage does not matter then."""
    for coverage in (1e-12, 0.5, 1.0):
        assert threshold_by_coverage(np.array([0.3]), coverage) == 0.3


def test_the_smallest_coverage_keeps_the_smallest_distance():
    """An index of -1 would give the largest one."""
    assert threshold_by_coverage(np.array([0.3, 0.1, 0.2]), 1e-12) == 0.1


def test_coverage_holds_for_new_distances():
    """Conformal means that it holds on average over collections."""
    rng = np.random.default_rng(0)

    kept = [
        distances[19] <= threshold_by_coverage(distances[:19], 0.8)
        for distances in rng.random((4000, 20))
    ]

    assert 0.78 < np.mean(kept) < 0.82


def test_coverage_without_distances_is_refused():
    """It happens if no neighbor has the label of its query."""
    with pytest.raises(ValueError, match="no distance to choose"):
        threshold_by_coverage(np.empty(0), 0.9)


RIGHT = np.array([[True, False], [True, True]])


@pytest.mark.parametrize(
    ("precision", "expected"), [(1.0, 0.2), (0.75, 0.4), (0.7, 0.4), (0.01, 0.4)]
)
def test_precision_counts_all_nearer_neighbors(precision, expected):
    """The largest distance is returned, even if the precision is lower before it."""
    distances = np.array([[0.1, 0.3], [0.2, 0.4]])

    assert threshold_by_precision(distances, RIGHT, precision) == expected


def test_equal_distances_are_not_separated():
    """A threshold cannot keep only some of the neighbors at one distance."""
    distances = np.array([[0.1, 0.2], [0.2, 0.2]])

    assert threshold_by_precision(distances, RIGHT, 0.75) == 0.2
    assert threshold_by_precision(distances, RIGHT, 0.8) == 0.1


def test_a_precision_out_of_reach_is_refused():
    """The message has the highest precision."""
    distances = np.array([[0.1, 0.2], [0.3, 0.4]])
    right = np.array([[False, True], [True, False]])

    with pytest.raises(
        ValueError, match=r"precision=0\.9 .* the highest precision is 0\.667"
    ):
        threshold_by_precision(distances, right, 0.9)


@pytest.fixture
def on_a_line():
    """Return an index of numbers: label a at 0, 1, 3 and 7, label b at 8 and 20."""
    X = np.array([[0.0], [1], [3], [7], [8], [20]])
    return SimilarityIndex(2, metric="euclidean").fit(X, list("aaaabb"))


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        # The distances of the two nearest rows, relevant (+) or not (-), are
        # 1+ 3+, 1+ 2+, 2+ 3+, 1- 4+, 1- 5-, 12+ 13-.
        ({"precision": 0.6}, 13.0),
        ({"precision": 0.72}, 12.0),
        ({"precision": 0.75}, 4.0),
        # The relevant ones are 1 1 2 2 3 3 4 12, and one future distance is counted.
        ({"coverage": 0.5}, 3.0),
        ({"coverage": 0.2}, 1.0),
        ({"coverage": 0.95}, 12.0),
    ],
)
def test_a_threshold_is_the_one_computed_by_hand(parameters, expected, on_a_line):
    """Two neighbors of six rows can be counted by hand."""
    assert on_a_line.suggest_threshold(**parameters) == expected


def test_a_precision_that_no_threshold_has_is_refused(on_a_line):
    """The nearest pair of rows already includes one with two labels."""
    with pytest.raises(ValueError, match="precision=1 is not reached at any distance"):
        on_a_line.suggest_threshold(precision=1)


def test_a_threshold_without_labels_is_a_quantile_of_nearest_distances():
    """The distances to the nearest other rows are 1, 1, 2, 1, 1 and 12."""
    index = SimilarityIndex(metric="euclidean").fit([[0.0], [1], [3], [7], [8], [20]])

    assert index.suggest_threshold(coverage=0.5) == 1
    assert index.suggest_threshold(coverage=0.7) == 2
    assert index.suggest_threshold(coverage=0.95) == 12


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"precision": 0}, "precision=0 must be a number in"),
        ({"precision": 1.1}, "precision=1.1 must be"),
        ({"coverage": "most"}, "coverage='most' must be"),
        ({"coverage": np.nan}, "coverage=nan must be"),
        ({"precision": 0.5}, r"call fit\(X, y\)"),
    ],
)
def test_invalid_shares_are_refused(parameters, message):
    """The message names the parameter."""
    with pytest.raises(ValueError, match=message):
        SimilarityIndex().fit(np.eye(3)).suggest_threshold(**parameters)


def test_a_threshold_needs_two_rows():
    """Without a neighbor, or without a relevant one, there is no distance to choose."""
    with pytest.raises(ValueError, match="at least 2"):
        SimilarityIndex().fit([[1.0, 2], [np.nan, 1]]).suggest_threshold()
    with pytest.raises(ValueError, match="no neighbor has the label"):
        SimilarityIndex().fit(np.eye(3), list("abc")).suggest_threshold()


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.95])
def test_coverage_holds_for_new_images(coverage):
    """Simulated collections show the guarantee, which holds on average."""
    rng = np.random.default_rng(0)
    coverages = []
    for _ in range(60):
        X = rng.normal(size=(60, 3))
        index = SimilarityIndex(1, metric="euclidean").fit(X)
        limit = index.suggest_threshold(coverage=coverage)
        _, ids = index.search(rng.normal(size=(200, 3)), max_distance=limit)
        coverages.append(np.mean([len(neighbors) > 0 for neighbors in ids]))

    error = np.std(coverages) / np.sqrt(60)
    assert coverage - 3 * error <= np.mean(coverages) < coverage + 0.05


def test_few_images_give_the_largest_distance():
    """Five images can guarantee a coverage of 5/6, but not of 19/20."""
    X = np.random.default_rng(0).normal(size=(5, 3))
    index = SimilarityIndex().fit(X)

    largest = index.kneighbors(n_neighbors=1)[0].max()
    assert index.suggest_threshold(coverage=0.95) == largest


def _precision(ids, y):
    relevant = [y[neighbors] == y[i] for i, neighbors in enumerate(ids)]
    return np.concatenate(relevant).mean()


def test_a_threshold_by_precision_has_this_precision(blobs):
    """A search with this threshold is as precise as requested."""
    X, y = blobs
    X = X + np.random.default_rng(0).normal(scale=9, size=X.shape)
    index = SimilarityIndex(5).fit(X, y)

    limit = index.suggest_threshold(precision=0.9)

    _, ids = index.search(max_distance=limit)
    assert _precision(ids, y) >= 0.9
    assert _precision(index.search().ids, y) < 0.9


def test_many_unknown_animals_have_no_similar_image(animals):
    """Kinds of animals in turn are left out of the index and used as queries."""
    X, y = animals.X, np.asarray(animals.target)
    shares = []
    for kind in np.unique(y)[::3]:
        index = SimilarityIndex().fit(X[y != kind], y[y != kind])
        by_precision = index.suggest_threshold(precision=0.9)
        by_coverage = index.suggest_threshold(coverage=0.95)
        distances = index.kneighbors(X[y == kind], 1)[0]
        shares.append([np.mean(distances > t) for t in (by_precision, by_coverage)])

    by_precision, by_coverage = np.mean(shares, axis=0)
    assert by_precision > 0.4
    assert by_coverage > 0.2
