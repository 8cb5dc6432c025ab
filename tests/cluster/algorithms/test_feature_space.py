"""Tests of the space in which rows are clustered."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.distance import pdist
from sklearn.decomposition import PCA

from imgsim.cluster.algorithms._feature_space import (
    AUTO_COMPONENTS,
    FeatureSpace,
    count_distinct,
    to_euclidean,
)


@pytest.fixture
def rows():
    """Return 30 rows of 6 features and of different lengths."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(30, 6)) * rng.uniform(0.5, 50, size=(30, 1)) + 1


def _fit_transform(rows, metric, n_components):
    return FeatureSpace(metric, n_components, seed=0).fit(rows).transform(rows)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_euclidean_distances_rank_pairs_as_cosine_does(dtype, rows):
    """Half the squared distance of unit rows is their cosine distance."""
    scaled = to_euclidean(rows.astype(dtype), "cosine")

    assert scaled.dtype == dtype
    assert_allclose(pdist(scaled) ** 2 / 2, pdist(rows, "cosine"), atol=1e-6)


def test_a_row_of_zeros_is_kept(rows):
    """It has no direction, and scaling it must not divide by zero."""
    rows[3] = 0

    assert_array_equal(to_euclidean(rows, "cosine")[3], np.zeros(6))


@pytest.mark.parametrize("scale", [2.0**-140, 2.0**-70, 2.0**70])
def test_rows_of_any_length_are_scaled_to_unit_length(scale, rows):
    """Their squares would overflow or underflow in single precision."""
    rows = np.rint(rows).astype(np.float32)

    scaled = to_euclidean(rows * np.float32(scale), "cosine")

    assert_allclose(scaled, to_euclidean(rows, "cosine"), rtol=1e-6)


def test_no_rows_can_be_scaled():
    """An empty array has no largest value, by which rows are scaled."""
    assert to_euclidean(np.empty((0, 3)), "cosine").shape == (0, 3)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_given_rows_are_not_changed(metric, rows):
    """They belong to the caller."""
    rows.flags.writeable = False
    before = rows.copy()

    _fit_transform(rows, metric, 3)

    assert_array_equal(rows, before)


def test_euclidean_rows_without_reduction_are_returned(rows):
    """There is nothing to scale and nothing to project."""
    assert_array_equal(_fit_transform(rows, "euclidean", None), rows)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_all_components_keep_all_distances(metric, rows):
    """They are a rotation about the mean, which is subtracted also for cosine."""
    features = _fit_transform(rows, metric, 6)

    expected = to_euclidean(rows, metric)
    if metric == "cosine":
        expected = to_euclidean(expected - expected.mean(axis=0), metric)
    assert_allclose(pdist(features), pdist(expected), atol=1e-9)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_components_are_those_of_the_fitted_rows(metric, rows):
    """Other rows are only projected, one at a time as well as together."""
    space = FeatureSpace(metric, 2, seed=0).fit(rows[:20])

    others = space.transform(rows[20:])

    scaled = to_euclidean(rows, metric)
    _, _, axes = np.linalg.svd(scaled[:20] - scaled[:20].mean(axis=0))
    by_hand = (scaled[20:] - scaled[:20].mean(axis=0)) @ axes[:2].T
    assert_allclose(pdist(others), pdist(to_euclidean(by_hand, metric)), atol=1e-9)
    one_by_one = [space.transform(row[np.newaxis])[0] for row in rows[20:]]
    assert_allclose(one_by_one, others, atol=1e-12)


@pytest.mark.parametrize(
    ("shape", "n_components"),
    [((300, 200), 128), ((40, 200), 39), ((300, 5), 5), ((2, 4), 1)],
)
def test_auto_takes_at_most_128_components(shape, n_components):
    """There are at most `n_features`, and one less than rows because of the mean."""
    rows = np.random.default_rng(0).normal(size=shape)

    features = _fit_transform(rows, "euclidean", "auto")

    assert AUTO_COMPONENTS == 128
    assert features.shape == (len(rows), n_components)


@pytest.mark.parametrize(
    ("n_rows", "n_components"), [(1, "auto"), (1, 1), (5, "auto"), (5, 3)]
)
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_equal_rows_are_not_projected(metric, n_rows, n_components):
    """They have no principal components, and stay equal."""
    rows = np.full((n_rows, 4), 2.0)

    features = _fit_transform(rows, metric, n_components)

    assert_array_equal(features, to_euclidean(rows, metric))


def test_rows_of_one_direction_are_not_projected():
    """For cosine they are equal, and there is no variance to divide by."""
    rows = np.outer(2.0 ** np.arange(6), [3.0, 4.0])

    features = _fit_transform(rows, "cosine", "auto")

    assert_allclose(features, np.tile([0.6, 0.8], (6, 1)))


@pytest.mark.parametrize(
    ("shape", "n_components", "most"), [((5, 8), 6, 5), ((9, 4), 5, 4), ((1, 4), 2, 1)]
)
def test_too_many_components_are_rejected(shape, n_components, most):
    """The message has the value, the bound and the number of readable rows."""
    with pytest.raises(
        ValueError,
        match=rf"n_components={n_components} must be .*={most} \(n_samples={shape[0]}",
    ):
        FeatureSpace("euclidean", n_components, seed=0).fit(np.ones(shape))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_projected_rows_keep_their_dtype(metric, dtype, rows):
    """Single precision takes half the memory."""
    assert _fit_transform(rows.astype(dtype), metric, 2).dtype == dtype


def test_equal_seeds_give_equal_components():
    """For large matrices, scikit-learn finds the components from random vectors."""
    rows = np.random.default_rng(0).normal(size=(600, 600)).astype(np.float32)

    features = [_fit_transform(rows, "euclidean", 4) for _ in range(2)]

    assert_array_equal(features[0], features[1])


def test_components_are_those_of_scikit_learn(rows):
    """Their signs are also the same."""
    features = _fit_transform(rows, "euclidean", 3)

    assert_allclose(features, PCA(3, random_state=0).fit_transform(rows))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("order", ["C", "F"])
def test_distinct_rows_are_counted(dtype, order):
    """The count is that of NumPy, for any memory layout."""
    rng = np.random.default_rng(0)
    rows = np.array(rng.integers(0, 3, size=(60, 3)), dtype=dtype, order=order)
    rows.flags.writeable = False

    n_distinct = len(np.unique(rows, axis=0))
    assert 3 < n_distinct < 60
    assert count_distinct(rows, 60) == n_distinct


def test_counting_stops_at_the_limit():
    """Callers only need to know whether there are enough distinct rows."""
    assert count_distinct(np.arange(50.0)[:, np.newaxis], 7) == 7


def test_zeros_of_both_signs_are_equal():
    """-0.0 and 0.0 differ in their bytes but not in their value."""
    assert count_distinct(np.array([[0.0, 1.0], [-0.0, 1.0]]), 2) == 1
