"""Tests of the compiled loops of the graph. Other tests cover what a search finds."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from imgsim.index.graph._graph_kernels import (
    add_reverse_links,
    choose_links,
    largest_per_row,
    search_graph,
)

POINTS = np.float32([[0, 0], [1, 0], [2, 0], [0, 3], [9, 9]])
SCALE = np.ones(5, dtype=np.float32)
BIAS = -(POINTS**2).sum(axis=1) / 2


def _links(neighbors, is_excluded=(), n_links=4):
    excluded = np.isin(np.arange(5), is_excluded)
    links = np.full((5, n_links), -1, dtype=np.int32)
    choose_links(np.int32(neighbors), POINTS, SCALE, BIAS, excluded, 0, links)
    return links


def _search(links, query, entries, n_kept, beam_width=5):
    """Return the rows that a search for one query finds."""
    nearest = np.full((1, n_kept), -1, dtype=np.int64)
    entries = np.array([entries])
    queries = np.float32([query])
    search_graph(queries, POINTS, SCALE, BIAS, links, entries, beam_width, nearest)
    return nearest[0].tolist()


def test_a_neighbor_behind_a_linked_neighbor_is_not_linked():
    """Rows 1 and 2 are in the same direction, and row 3 in another one."""
    links = _links([[1, 2, 3], [0, 2, 3], [1, 0, 3], [0, 1, 2], [2, 3, 1]])

    assert_array_equal(links[0], [1, 3, -1, -1])


def test_excluded_rows_have_no_links():
    """The sample that measures the recall must not be in the graph."""
    links = _links([[1, 2], [0, 2], [1, 0], [0, 1], [2, 3]], is_excluded=[1, 4])

    assert_array_equal(links[[1, 4]], -np.ones((2, 4)))
    assert not np.isin(links, [1, 4]).any()


def test_reverse_links_fill_the_free_places():
    """No link is added twice."""
    links = np.full((5, 4), -1, dtype=np.int32)
    links[[1, 2, 3, 4], 0] = 0
    links[0, 0] = 4

    add_reverse_links(links)

    assert_array_equal(links[0], [4, 1, 2, 3])
    assert_array_equal(links[:, 0], [4, 0, 0, 0, 0])
    assert (links[1:, 1:] == -1).all()


@pytest.mark.parametrize("n_columns", [1, 3, 128, 300])
def test_the_largest_columns_are_found(n_columns):
    """Their order does not matter."""
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(6, n_columns)).astype(np.float32)
    bias = rng.normal(size=n_columns).astype(np.float32)
    best = np.empty((6, min(3, n_columns)), dtype=np.int64)

    largest_per_row(scores, bias, best)

    expected = np.argsort(-(scores + bias), axis=1)[:, :3]
    assert_array_equal(np.sort(best, axis=1), np.sort(expected, axis=1))


CHAIN = np.int32([[1, -1], [0, 2], [1, 3], [2, -1], [-1, -1]])


@pytest.mark.parametrize("width", [1, 3, 5])
@pytest.mark.parametrize("start", [0, 3])
def test_a_search_returns_the_nearest_rows_first(start, width):
    """It reaches all linked rows and returns no row twice."""
    found = _search(CHAIN, (2, 0.5), [start], width)

    nearest = [2, 1, 0, 3, -1]
    if (start, width) != (3, 1):
        assert found == nearest[:width]
    assert len({row for row in found if row >= 0}) == sum(row >= 0 for row in found)


def test_a_search_follows_the_links_of_the_nearest_rows_only():
    """All rows that it meets are returned if there is room."""
    assert _search(CHAIN, (2, 0.5), [3], 4, beam_width=1) == [2, 1, 3, -1]
    assert _search(CHAIN, (0, 3), [0], 4, beam_width=1) == [0, 1, -1, -1]


@pytest.mark.parametrize("width", [1, 2])
@pytest.mark.parametrize("entries", [[2, 4], [4, 2], [0, 2, 4], [2, 4, 3, 0]])
def test_a_far_entry_does_not_replace_a_near_one(entries, width):
    """There may be more entries than rows to return."""
    links = np.full((5, 2), -1, dtype=np.int32)

    found = _search(links, (2, 0), entries, width)

    distances = np.linalg.norm(POINTS[entries] - np.float32([2, 0]), axis=1)
    assert found == [entries[i] for i in np.argsort(distances)[:width]]
