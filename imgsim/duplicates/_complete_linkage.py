"""Complete linkage of rows of which only the near pairs are known."""

from itertools import count
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

_N_ROUNDS = 16  # after which distances shrink along a chain, it seems
_MAX_DENSE = 4096  # groups, whose distances take 128 MiB


def complete_linkage(
    n: int,
    i: NDArray[np.int64],
    j: NDArray[np.int64],
    distances: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Group rows such that every pair within a group is among the given pairs.

    Groups begin as single rows, and the two nearest are joined again and again, as
    long as all pairs between them are given. The distance of two groups is that of
    their furthest pair.

    Parameters
    ----------
    n : int
        Number of rows.

    i, j : ndarray of shape (n_pairs,), dtype int64
        The rows of each pair that may stand in one group; no pair comes twice.

    distances : ndarray of shape (n_pairs,)
        Their distances. All other pairs count as further apart.

    Returns
    -------
    labels : ndarray of shape (n,), dtype int64
        For each row the lowest row of its group.

    Notes
    -----
    Groups that are nearest to each other are joined all at once: neither can find a
    nearer one later, because distances only grow [1]_. That takes a few sorts of the
    pairs for each round, and about as many rounds as the logarithm of the largest
    group. Where distances shrink steadily along a chain it takes more: what is left
    after a few is joined by SciPy, one connected part after the other.

    Where distances differ, the groups are those of
    `scipy.cluster.hierarchy.linkage(method="complete")`. Of equally near pairs that
    with the smallest exclusive or of its rows comes first.

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
        target = _join_chains(n, links) if is_chain else _join_nearest(n, links)
        links = _links_between(target, links)
        labels = target[labels]
    return labels


class _Links(NamedTuple):
    """Pairs of groups, each named by its lowest row, that may be joined."""

    a: NDArray[np.int64]
    b: NDArray[np.int64]
    distances: NDArray[np.float64]


def _join_nearest(n: int, links: _Links) -> NDArray[np.int64]:
    """Return the group of each group after those nearest to each other were joined."""
    a, b, distances = links
    # Exclusive ors pair up all of any number of equally near groups at once, where
    # the lowest rows first would join one pair in a round.
    order = np.lexsort((a ^ b, distances))
    a, b, rank = a[order], b[order], np.arange(len(order))
    nearest = np.full(n, len(order))
    np.minimum.at(nearest, a, rank)
    np.minimum.at(nearest, b, rank)
    joined = (nearest[a] == rank) & (nearest[b] == rank)
    target = np.arange(n)
    target[b[joined]] = a[joined]
    return target


def _join_chains(n: int, links: _Links) -> NDArray[np.int64]:
    """Return the group of each group after SciPy joined those of small parts."""
    groups = np.unique([links.a, links.b])
    a, b = np.searchsorted(groups, links.a), np.searchsorted(groups, links.b)
    graph = coo_array((np.ones(len(a)), (a, b)), shape=(len(groups), len(groups)))
    _, part_of = connected_components(graph, directed=False)
    target = np.arange(n)
    beyond = 2 * links.distances.max() + 1
    for link_numbers in equal_ones(part_of[a]):
        members = np.unique([a[link_numbers], b[link_numbers]])
        if len(members) > _MAX_DENSE:
            continue
        dense = np.full((len(members), len(members)), beyond)
        one = np.searchsorted(members, a[link_numbers])
        other = np.searchsorted(members, b[link_numbers])
        dense[one, other] = dense[other, one] = links.distances[link_numbers]
        tree = linkage(dense[np.triu_indices(len(members), 1)], "complete")
        label = fcluster(tree, links.distances.max(), "distance")
        _, first, inverse = np.unique(label, return_index=True, return_inverse=True)
        target[groups[members]] = groups[members[first[inverse]]]
    return target


def equal_ones(labels: NDArray[Any]) -> list[NDArray[np.int64]]:
    """Return the positions of each label."""
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)


def _links_between(target: NDArray[np.int64], links: _Links) -> _Links:
    """Return the links of the joined groups: those whose parts are all linked."""
    n = len(target)
    n_parts = np.bincount(target, minlength=n)
    a, b = target[links.a], target[links.b]
    between = a != b
    name = np.minimum(a, b)[between] * n + np.maximum(a, b)[between]
    order = np.argsort(name, kind="stable")
    name, distances = name[order], links.distances[between][order]
    first = np.flatnonzero(np.diff(name, prepend=-1))
    if not len(first):
        return _Links(name, name, distances)
    a, b = np.divmod(name[first], n)
    n_links = np.diff(first, append=len(name))
    linked = n_links == n_parts[a] * n_parts[b]
    largest = np.maximum.reduceat(distances, first)
    return _Links(a[linked], b[linked], largest[linked])
