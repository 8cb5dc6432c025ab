"""Tests of the rows as an algorithm sees them."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.distance import pdist
from sklearn.decomposition import PCA

from imgsim.cluster.algorithms._feature_space import (
    AUTO_COMPONENTS,
    Space,
    count_distinct,
    to_euclidean,
)


@pytest.fixture
def rows():
    """Return 30 rows of width 6, of unequal lengths."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(30, 6)) * rng.uniform(0.5, 50, size=(30, 1)) + 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_euclidean_distances_rank_pairs_as_cosine_does(dtype, rows):
    """Half their squares are the cosine distances."""
    seen = to_euclidean(rows.astype(dtype), "cosine")

    assert seen.dtype == dtype
    assert_allclose(pdist(seen) ** 2 / 2, pdist(rows, "cosine"), atol=1e-6)


def test_a_row_of_zeros_stays(rows):
    """It has no direction, and is no division by zero."""
    rows[3] = 0

    assert_array_equal(to_euclidean(rows, "cosine")[3], np.zeros(6))


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_the_given_rows_are_not_changed(metric, rows):
    """They are the caller's."""
    rows.flags.writeable = False
    before = rows.copy()

    space = Space(metric, 3, seed=0).fit(rows)
    space.apply(rows)

    assert_array_equal(rows, before)


def test_euclidean_rows_are_seen_as_they_are(rows):
    """Nothing is to be scaled, and nothing asked to be left out."""
    seen = Space("euclidean", None, seed=0).fit(rows).apply(rows)

    assert_array_equal(seen, rows)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_all_components_keep_all_distances(metric, rows):
    """A rotation about the mean changes none; for cosine, the mean is lost."""
    seen = Space(metric, 6, seed=0).fit(rows).apply(rows)

    expected = to_euclidean(rows, metric)
    if metric == "cosine":
        expected = to_euclidean(expected - expected.mean(axis=0), metric)
    assert_allclose(pdist(seen), pdist(expected), atol=1e-9)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_components_are_those_of_the_fitted_rows(metric, rows):
    """Other rows are only projected, by the same lines one or many at a time."""
    space = Space(metric, 2, seed=0).fit(rows[:20])

    others = space.apply(rows[20:])

    seen = to_euclidean(rows, metric)
    _, _, axes = np.linalg.svd(seen[:20] - seen[:20].mean(axis=0))
    by_hand = to_euclidean((seen[20:] - seen[:20].mean(axis=0)) @ axes[:2].T, metric)
    assert_allclose(pdist(others), pdist(by_hand), atol=1e-9)
    one_by_one = [space.apply(row[np.newaxis])[0] for row in rows[20:]]
    assert_allclose(one_by_one, others, atol=1e-12)


@pytest.mark.parametrize(
    ("shape", "n_components"),
    [((300, 200), 128), ((40, 200), 39), ((300, 5), 5), ((2, 4), 1)],
)
def test_auto_takes_what_there_is_up_to_its_most(shape, n_components):
    """A mean takes one of the directions that few rows have."""
    rows = np.random.default_rng(0).normal(size=shape)

    seen = Space("euclidean", "auto", seed=0).fit(rows).apply(rows)

    assert AUTO_COMPONENTS == 128
    assert seen.shape == (len(rows), n_components)


@pytest.mark.parametrize("n_components", ["auto", 1, 3])
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("n_rows", [1, 5])
def test_equal_rows_have_no_components(n_rows, metric, n_components):
    """They are seen as they are, and as equal."""
    rows = np.full((n_rows, 4), 2.0)
    if n_components == 3 and n_rows == 1:
        n_components = None

    seen = Space(metric, n_components, seed=0).fit(rows).apply(rows)

    assert_array_equal(seen, to_euclidean(rows, metric))


def test_rows_of_one_direction_have_no_components():
    """By cosine they are equal, and have no variance to divide by."""
    rows = np.outer(2.0 ** np.arange(6), [3.0, 4.0])

    seen = Space("cosine", "auto", seed=0).fit(rows).apply(rows)

    assert_allclose(seen, np.tile([0.6, 0.8], (6, 1)))


@pytest.mark.parametrize(
    ("shape", "n_components", "most"), [((5, 8), 6, 5), ((9, 4), 5, 4), ((1, 4), 2, 1)]
)
def test_more_components_than_there_are_are_refused(shape, n_components, most):
    """With the number asked for, the largest, and where it comes from."""
    with pytest.raises(
        ValueError,
        match=rf"n_components={n_components} must be .*={most} \(n_samples={shape[0]}",
    ):
        Space("euclidean", n_components, seed=0).fit(np.ones(shape))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_reduced_rows_keep_their_type(dtype, rows):
    """Single precision takes half the memory."""
    for metric in ("euclidean", "cosine"):
        space = Space(metric, 2, seed=0).fit(rows.astype(dtype))

        assert space.apply(rows.astype(dtype)).dtype == dtype


def test_equal_seeds_give_equal_components():
    """Where scikit-learn draws random vectors to find them."""
    rows = np.random.default_rng(0).normal(size=(600, 600)).astype(np.float32)

    seen = [Space("euclidean", 4, seed=7).fit(rows).apply(rows) for _ in range(2)]

    assert_array_equal(seen[0], seen[1])


def test_components_are_scikit_learns(rows):
    """With its signs."""
    seen = Space("euclidean", 3, seed=0).fit(rows).apply(rows)

    assert_allclose(seen, PCA(3, random_state=0).fit_transform(rows))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("order", ["C", "F"])
def test_distinct_rows_are_counted(dtype, order):
    """As NumPy counts them, however they lie in memory."""
    rng = np.random.default_rng(0)
    rows = np.array(rng.integers(0, 3, size=(60, 3)), dtype=dtype, order=order)
    rows.flags.writeable = False

    n_distinct = len(np.unique(rows, axis=0))
    assert 3 < n_distinct < 60
    assert count_distinct(rows, 60) == n_distinct


def test_no_more_distinct_rows_are_counted_than_matter():
    """Whether there are enough is known long before all are compared."""
    assert count_distinct(np.arange(50.0)[:, np.newaxis], 7) == 7


def test_zero_has_no_sign():
    """-0.0 and 0.0 are one value, and rows of them equal."""
    assert count_distinct(np.array([[0.0, 1.0], [-0.0, 1.0]]), 2) == 1
