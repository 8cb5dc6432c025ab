"""Tests of complete linkage, given the distances of near pairs."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist, squareform

from imgsim.duplicates import _complete_linkage
from imgsim.duplicates._complete_linkage import complete_linkage


def _link(distances, limit):
    """Group rows, given a condensed distance matrix of SciPy."""
    n = len(squareform(distances))
    i, j = np.triu_indices(n, 1)
    near = distances <= limit
    return complete_linkage(n, i[near], j[near], distances[near])


def _lowest_rows(labels):
    _, first, label = np.unique(labels, return_index=True, return_inverse=True)
    return first[label]


@pytest.mark.parametrize("width", [1, 2, 5])
@pytest.mark.parametrize("share", [0.02, 0.1, 0.4, 0.8, 1.0])
def test_groups_are_the_same_as_in_scipy(width, share):
    """Merging many pairs at once and ignoring far pairs has no effect."""
    rng = np.random.default_rng(width)
    for n in rng.integers(2, 90, size=20):
        distances = pdist(rng.normal(size=(n, width)))
        limit = np.quantile(distances, share)
        dendrogram = linkage(distances, "complete")

        labels = _link(distances, limit)

        expected = _lowest_rows(fcluster(dendrogram, limit, "distance"))
        assert_array_equal(labels, expected)


@pytest.mark.parametrize("n_levels", [1, 2, 5])
def test_groups_are_complete_and_cannot_be_merged_if_there_are_ties(n_levels):
    """Distances of hashes, for example, take few distinct values."""
    rng = np.random.default_rng(n_levels)
    for _ in range(30):
        distances = rng.integers(1, n_levels + 2, size=40 * 39 // 2).astype(float)
        near = squareform(distances <= n_levels) | np.eye(40, dtype=bool)

        labels = _link(distances, n_levels)

        members = [labels == label for label in np.unique(labels)]
        complete = np.array(
            [[near[np.ix_(a, b)].all() for b in members] for a in members]
        )
        assert_array_equal(complete, np.eye(len(members), dtype=bool))


def test_equal_distances_take_few_rounds(monkeypatch):
    """Merging one pair at a time would take 511 rounds."""
    rounds = []
    merge = _complete_linkage._merge_nearest

    def count_rounds(n, links):
        rounds.append(len(links.a))
        return merge(n, links)

    monkeypatch.setattr(_complete_linkage, "_merge_nearest", count_rounds)
    labels = _link(np.ones(512 * 511 // 2), 1.0)

    assert_array_equal(labels, 0)
    assert len(rounds) == 9


def test_a_chain_is_divided_into_pairs():
    """Each point is near its neighbors in the chain only."""
    points = np.cumsum(np.linspace(2, 1, 21))[:, np.newaxis]

    labels = _link(pdist(points), 2.0)

    assert_array_equal(np.bincount(labels)[np.unique(labels)], [1] + [2] * 10)


def test_the_order_of_pairs_and_within_pairs_does_not_matter():
    """Pairs are found in blocks, in an order that depends on memory."""
    rng = np.random.default_rng(0)
    i, j = np.triu_indices(30, 1)
    near = rng.random(len(i)) < 0.5
    i, j, distances = i[near], j[near], rng.random(near.sum())
    order = rng.permutation(len(i))

    shuffled = complete_linkage(30, j[order], i[order], distances[order])

    assert_array_equal(shuffled, complete_linkage(30, i, j, distances))


def test_without_pairs_each_row_is_a_group():
    """A collection may contain no near pairs at all."""
    nothing = np.empty(0, dtype=np.int64)

    labels = complete_linkage(3, nothing, nothing, np.empty(0))

    assert_array_equal(labels, [0, 1, 2])


def test_a_long_chain_is_grouped_as_in_scipy():
    """Only one pair can be merged at a time if distances decrease along a chain."""
    x = np.cumsum(1 / np.sqrt(np.arange(1, 401)) / 1000)[:, None]
    distances = pdist(x)
    i, j = np.triu_indices(len(x), 1)
    near = distances <= 0.02

    labels = complete_linkage(len(x), i[near], j[near], distances[near])

    expected = fcluster(linkage(distances, "complete"), 0.02, "distance")
    pairs = set(zip(labels.tolist(), expected.tolist(), strict=True))
    assert len(pairs) == len(set(labels)) == len(set(expected))
