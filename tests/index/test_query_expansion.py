"""Tests of expanded vectors by hand."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from searching import make_search

from imgsim.index._query_expansion import add_neighbors

# Of unit length but the second, at 0, 60 and 120 degrees.
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
def test_neighbours_weigh_a_power_of_their_similarity(expansion_power):
    """As unit vectors; the query weighs 1, and the sum has unit length again."""
    expanded = _expanded(QUERY, [[0.0, 0.5]], [[0, 1]], expansion_power)

    expected = _unit(
        [1 + 1 + 0.5**expansion_power * 0.5, 0.5**expansion_power * 0.75**0.5]
    )
    assert_allclose(expanded, expected, atol=1e-12)


def test_alpha_0_is_the_mean():
    """As queries were expanded before they were weighted."""
    expanded = _expanded(QUERY, [[0.0, 0.5]], [[0, 1]], 0.0)

    assert_allclose(expanded, _unit([2.5, 0.75**0.5]), atol=1e-12)


@pytest.mark.parametrize("expansion_power", [0.5, 3.0])
def test_what_points_away_adds_nothing(expansion_power):
    """A negative similarity counts as 0."""
    expanded = _expanded(QUERY, [[1.5]], [[2]], expansion_power)

    assert_allclose(expanded, [[1, 0]], atol=1e-12)


@pytest.mark.parametrize("expansion_power", [0.0, 1.0])
@pytest.mark.parametrize("missing", [np.inf, np.nan])
def test_neighbours_that_are_missing_add_nothing(expansion_power, missing):
    """Where there were fewer than asked for."""
    expanded = _expanded(QUERY, [[0.5, missing]], [[1, -1]], expansion_power)

    assert_allclose(
        expanded, _expanded(QUERY, [[0.5]], [[1]], expansion_power), atol=1e-12
    )


def test_each_vector_has_its_own_neighbours():
    """Also where two share one."""
    vectors = np.array([[0.0, 2.0], [3.0, 0.0]])
    distances = [[1 - 0.75**0.5], [0.5]]

    together = _expanded(vectors, distances, [[1], [1]], 2.0)

    for i in range(2):
        alone = _expanded(vectors[[i]], distances[i : i + 1], [[1]], 2.0)
        assert_allclose(together[[i]], alone, atol=1e-12)


def test_the_type_and_the_input_stay_as_they_are():
    """Embeddings are float32, and the caller's."""
    query = QUERY.astype(np.float32)
    query.flags.writeable = False

    expanded = _expanded(query, [[0.5]], [[1]], 1.0)

    assert expanded.dtype == np.float32
    assert_array_equal(query, [[5, 0]])


def test_a_vector_of_zeros_takes_the_direction_of_its_neighbours():
    """If they have a weight at all; their cosine distance is 1, which weighs 0."""
    zeros = np.zeros((1, 2))

    assert_array_equal(_expanded(zeros, [[1.0]], [[1]], 1.0), zeros)
