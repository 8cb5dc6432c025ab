"""Tests of query expansion and database augmentation."""

import numpy as np
import pytest
from brute_force import make_search
from numpy.testing import assert_allclose, assert_array_equal

from imgsim import SimilarityIndex
from imgsim.index._query_expansion import add_neighbors
from imgsim.metrics import average_precision_at_k

# Directions at 0, 60 and 120 degrees; all but the second have unit length.
X = np.array([[1, 0], [1, 3**0.5], [-0.5, 0.75**0.5]])
QUERY = np.array([[5.0, 0.0]])


def _expanded(vectors, distances, positions, expansion_power):
    collection = make_search(X, vectors, "cosine")[1]
    return add_neighbors(
        vectors,
        np.array(distances, float),
        np.array(positions),
        collection,
        expansion_power,
    )


def _unit(vector):
    return np.array([vector]) / np.linalg.norm(vector)


@pytest.mark.parametrize("expansion_power", [1.0, 3.0])
def test_neighbors_are_weighted_by_a_power_of_their_similarity(expansion_power):
    """Unit vectors are summed, the query has weight 1, and the sum has unit length."""
    expanded = _expanded(QUERY, [[0.0, 0.5]], [[0, 1]], expansion_power)

    expected = _unit(
        [1 + 1 + 0.5**expansion_power * 0.5, 0.5**expansion_power * 0.75**0.5]
    )
    assert_allclose(expanded, expected, atol=1e-12)


def test_power_0_gives_the_mean():
    """Query expansion without weights is a special case."""
    expanded = _expanded(QUERY, [[0.0, 0.5]], [[0, 1]], 0.0)

    assert_allclose(expanded, _unit([2.5, 0.75**0.5]), atol=1e-12)


@pytest.mark.parametrize("expansion_power", [0.5, 3.0])
def test_negative_similarities_count_as_zero(expansion_power):
    """A vector in the opposite direction must not be added."""
    expanded = _expanded(QUERY, [[1.5]], [[2]], expansion_power)

    assert_allclose(expanded, [[1, 0]], atol=1e-12)


@pytest.mark.parametrize("expansion_power", [0.0, 1.0])
@pytest.mark.parametrize("missing", [np.inf, np.nan])
def test_missing_neighbors_are_ignored(expansion_power, missing):
    """There may be fewer neighbors than requested."""
    expanded = _expanded(QUERY, [[0.5, missing]], [[1, -1]], expansion_power)

    assert_allclose(
        expanded, _expanded(QUERY, [[0.5]], [[1]], expansion_power), atol=1e-12
    )


def test_each_vector_has_its_own_neighbors():
    """Two vectors may share a neighbor."""
    vectors = np.array([[0.0, 2.0], [3.0, 0.0]])
    distances = [[1 - 0.75**0.5], [0.5]]

    together = _expanded(vectors, distances, [[1], [1]], 2.0)

    for i in range(2):
        alone = _expanded(vectors[[i]], distances[i : i + 1], [[1]], 2.0)
        assert_allclose(together[[i]], alone, atol=1e-12)


def test_the_dtype_and_the_input_are_unchanged():
    """Embeddings are float32 and belong to the caller."""
    query = QUERY.astype(np.float32)
    query.flags.writeable = False

    expanded = _expanded(query, [[0.5]], [[1]], 1.0)

    assert expanded.dtype == np.float32
    assert_array_equal(query, [[5, 0]])


def test_a_vector_of_zeros_stays_zero():
    """Its cosine distance to every vector is 1, so the neighbors have weight 0."""
    zeros = np.zeros((1, 2))

    assert_array_equal(_expanded(zeros, [[1.0]], [[1]], 1.0), zeros)


def test_an_index_of_one_image_may_expand_queries():
    """It has no other row to add to its own."""
    index = SimilarityIndex(query_expansion=3, database_augmentation=3).fit(
        [[1.0, 2.0]]
    )

    assert index.search().ids[0].tolist() == []
    assert index.search([[1.0, 2.0]]).ids[0].tolist() == [0]


def _mean_average_precision(X, y, **parameters):
    index = SimilarityIndex(**parameters).fit(X)
    indices = index.kneighbors(n_neighbors=len(X) - 1, return_distance=False)
    _, kind, count = np.unique(y, return_inverse=True, return_counts=True)
    return average_precision_at_k(y[indices] == y[:, None], count[kind] - 1)


def test_expansion_and_augmentation_improve_rankings(animals):
    """On all 1,467 photographs, mean average precision rises from 0.756 to 0.866."""
    plain = _mean_average_precision(animals.X, animals.target)

    expanded = _mean_average_precision(animals.X, animals.target, query_expansion=10)
    both = _mean_average_precision(
        animals.X, animals.target, query_expansion=10, database_augmentation=10
    )

    assert plain + 0.02 < expanded
    assert plain + 0.06 < both
