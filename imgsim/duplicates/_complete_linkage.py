"""Complete linkage, given only the distances of near pairs."""

from itertools import count
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

_N_ROUNDS = 16  # more rounds indicate a chain with decreasing distances
_MAX_DENSE = 4096  # groups, whose distance matrix takes 128 MiB


def complete_linkage(
    n: int,
    i: NDArray[np.int64],
    j: NDArray[np.int64],
    distances: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Group rows such that each pair of rows in a group is one of the given pairs.

    Initially, each row is a group. The two nearest groups are merged repeatedly, as
    long as all pairs of rows between them are given. The distance between two groups is
    the largest distance between their rows.

    Parameters
    ----------
    n : int
        Number of rows.

    i, j : ndarray of shape (n_pairs,), dtype int64
        Rows of each pair that may be in the same group. Pairs are unique.

    distances : ndarray of shape (n_pairs,)
        Distance of each pair. All other pairs are assumed to be farther apart.

    Returns
    -------
    labels : ndarray of shape (n,), dtype int64
        The smallest row of the group of each row.

    Notes
    -----
    All pairs of groups that are nearest to each other are merged in one round. This is
    correct because distances never decrease, so that neither group can have a nearer
    one later [1]_. A round sorts the pairs a few times, and the number of rounds is
    about the logarithm of the size of the largest group. More rounds are needed for a
    chain of decreasing distances. After a fixed number of rounds, SciPy therefore
    merges the remaining groups of each connected component.

    If all distances are distinct, the groups are the same as those of
    `scipy.cluster.hierarchy.linkage(method="complete")`. Ties are broken by the
    smaller exclusive or of the two rows.

    References
    ----------
    .. [1] D. Müllner, "Modern hierarchical, agglomerative clustering algorithms", 2011.
    """
    labels = np.arange(n)
    links = _Links(np.minimum(i, j), np.maximum(i, j), distances)
    for n_rounds in count(1):
        if not len(links.a):
            break
        is_chain = n_rounds % _N_ROUNDS == 0
        target = _merge_components(n, links) if is_chain else _merge_nearest(n, links)
        links = _links_between(target, links)
        labels = target[labels]
    return labels


class _Links(NamedTuple):
    """Pairs of groups that may be merged; a group is denoted by its smallest row."""

    a: NDArray[np.int64]
    b: NDArray[np.int64]
    distances: NDArray[np.float64]


def _merge_nearest(n: int, links: _Links) -> NDArray[np.int64]:
    """Merge groups that are nearest to each other; return the new group of each."""
    a, b, distances = links
    # Breaking ties by exclusive or forms many disjoint pairs of equally near groups,
    # whereas breaking them by the smaller row would merge one pair in a round.
    order = np.lexsort((a ^ b, distances))
    a, b, rank = a[order], b[order], np.arange(len(order))
    nearest = np.full(n, len(order))
    np.minimum.at(nearest, a, rank)
    np.minimum.at(nearest, b, rank)
    is_mutual = (nearest[a] == rank) & (nearest[b] == rank)
    target = np.arange(n)
    target[b[is_mutual]] = a[is_mutual]
    return target


def _merge_components(n: int, links: _Links) -> NDArray[np.int64]:
    """Merge each connected component by SciPy, unless it is too large."""
    groups = np.unique([links.a, links.b])
    a, b = np.searchsorted(groups, links.a), np.searchsorted(groups, links.b)
    graph = coo_array((np.ones(len(a)), (a, b)), shape=(len(groups), len(groups)))
    _, component_of = connected_components(graph, directed=False)
    target = np.arange(n)
    too_far = 2 * links.distances.max() + 1
    for chosen in positions_by_label(component_of[a]):
        members = np.unique([a[chosen], b[chosen]])
        if len(members) > _MAX_DENSE:
            continue
        dense = np.full((len(members), len(members)), too_far)
        row = np.searchsorted(members, a[chosen])
        column = np.searchsorted(members, b[chosen])
        dense[row, column] = dense[column, row] = links.distances[chosen]
        tree = linkage(dense[np.triu_indices(len(members), 1)], "complete")
        label = fcluster(tree, links.distances.max(), "distance")
        _, first, inverse = np.unique(label, return_index=True, return_inverse=True)
        target[groups[members]] = groups[members[first[inverse]]]
    return target


def positions_by_label(labels: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return the positions of each label, in the order of the labels."""
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)


def _links_between(target: NDArray[np.int64], links: _Links) -> _Links:
    """Return the links between the new groups, all of whose parts must be linked."""
    n = len(target)
    n_parts = np.bincount(target, minlength=n)
    a, b = target[links.a], target[links.b]
    is_between = a != b
    key = np.minimum(a, b)[is_between] * n + np.maximum(a, b)[is_between]
    order = np.argsort(key, kind="stable")
    key, distances = key[order], links.distances[is_between][order]
    first = np.flatnonzero(np.diff(key, prepend=-1))
    if not len(first):
        return _Links(key, key, distances)
    a, b = np.divmod(key[first], n)
    n_links = np.diff(first, append=len(key))
    is_complete = n_links == n_parts[a] * n_parts[b]
    largest = np.maximum.reduceat(distances, first)
    return _Links(a[is_complete], b[is_complete], largest[is_complete])
