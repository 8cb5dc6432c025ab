"""Tests of the loops of a walk; what it finds is tested by the approximate search."""

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


def _links(neighbors, is_left_out=(), n_links=4):
    left_out = np.isin(np.arange(5), is_left_out)
    links = np.full((5, n_links), -1, dtype=np.int32)
    choose_links(np.int32(neighbors), POINTS, SCALE, BIAS, left_out, 0, links)
    return links


def _walked(links, query, starts, width, n_left=5):
    found = np.full((1, width), -1, dtype=np.int64)
    starts = np.array([starts])
    search_graph(np.float32([query]), POINTS, SCALE, BIAS, links, starts, n_left, found)
    return found[0].tolist()


def test_a_neighbour_that_another_leads_to_is_passed_over():
    """Of 1 and 2, which lie the same way, only the first; 3 lies another way."""
    links = _links([[1, 2, 3], [0, 2, 3], [1, 0, 3], [0, 1, 2], [2, 3, 1]])

    assert_array_equal(links[0], [1, 3, -1, -1])


def test_rows_left_out_have_no_links_and_none_lead_to_them():
    """They are as new as queries are."""
    links = _links([[1, 2], [0, 2], [1, 0], [0, 1], [2, 3]], is_left_out=[1, 4])

    assert_array_equal(links[[1, 4]], -np.ones((2, 4)))
    assert not np.isin(links, [1, 4]).any()


def test_links_lead_both_ways_as_far_as_there_is_room():
    """And each only once."""
    links = np.full((5, 4), -1, dtype=np.int32)
    links[[1, 2, 3, 4], 0] = 0
    links[0, 0] = 4

    add_reverse_links(links)

    assert_array_equal(links[0], [4, 1, 2, 3])
    assert_array_equal(links[:, 0], [4, 0, 0, 0, 0])
    assert (links[1:, 1:] == -1).all()


@pytest.mark.parametrize("n_columns", [1, 3, 128, 300])
def test_the_best_columns_are_found(n_columns):
    """In any order."""
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
def test_a_walk_finds_the_nearest_first(start, width):
    """As far as links lead, and no row twice."""
    found = _walked(CHAIN, (2, 0.5), [start], width)

    nearest = [2, 1, 0, 3, -1]
    if (start, width) != (3, 1):
        assert found == nearest[:width]
    assert len({row for row in found if row >= 0}) == sum(row >= 0 for row in found)


def test_a_walk_goes_on_from_the_nearest_only():
    """And returns all it met, as far as there is room."""
    assert _walked(CHAIN, (2, 0.5), [3], 4, n_left=1) == [2, 1, 3, -1]
    assert _walked(CHAIN, (0, 3), [0], 4, n_left=1) == [0, 1, -1, -1]


@pytest.mark.parametrize("width", [1, 2])
@pytest.mark.parametrize("starts", [[2, 4], [4, 2], [0, 2, 4], [2, 4, 3, 0]])
def test_a_far_start_does_not_drive_out_a_near_one(starts, width):
    """Where there are more starts than the walk keeps rows."""
    links = np.full((5, 2), -1, dtype=np.int32)

    found = _walked(links, (2, 0), starts, width)

    distances = np.linalg.norm(POINTS[starts] - np.float32([2, 0]), axis=1)
    assert found == [starts[i] for i in np.argsort(distances)[:width]]
