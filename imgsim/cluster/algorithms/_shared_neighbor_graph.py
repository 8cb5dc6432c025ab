"""The graph of shared neighbours, on which spectral clustering and Leiden work."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_matrix
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree
from sklearn.metrics.pairwise import euclidean_distances

from imgsim.index import SimilarityIndex

N_NEIGHBORS = 20
_RANK_OF_SCALE = 7
# Fainter edges are lost in the single precision in which Leiden sums them.
_LEAST_NEARNESS = 0.05
_N_EDGES = 20_000  # compared at a time


def shared_neighbors_graph(
    rows: NDArray[Any], n_neighbors: int, seed: int
) -> csr_matrix:
    """Connect each row with its nearest ones, by the share of neighbours in common.

    The weight of an edge is the Jaccard index of the two sets of nearest rows, each
    row belonging to its own set [1]_, [2]_, times exp(-d² / (s t)) or at least 0.05,
    where d is the distance of the rows, and s and t those to the seventh nearest row
    of each [3]_: so that groups smaller than the sets stay apart. Parts without an edge
    between them are joined by faint edges along a minimum spanning tree of their means.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_features)
        At least 2, compared by Euclidean distance.

    n_neighbors : int
        Number of nearest rows; cut to `n_rows - 1`.

    seed : int
        Seeds the approximate search that large collections need.

    Returns
    -------
    graph : csr_matrix of shape (n_rows, n_rows)
        Symmetric and connected, weights in (0, 1], nothing on the diagonal.

    References
    ----------
    .. [1] R. A. Jarvis and E. A. Patrick, "Clustering using a similarity measure based
       on shared near neighbors", IEEE Transactions on Computers, 1973.

    .. [2] J. H. Levine et al., "Data-driven phenotypic dissection of AML reveals
       progenitor-like cells that correlate with prognosis", Cell, 2015.

    .. [3] L. Zelnik-Manor and P. Perona, "Self-tuning spectral clustering", NIPS 2004.
    """
    n_rows = len(rows)
    k = min(n_neighbors, n_rows - 1)
    index = SimilarityIndex(k, metric="euclidean", random_state=seed).fit(rows)
    distances, nearest = index.kneighbors()
    own_set = np.column_stack([np.arange(n_rows), nearest])
    one, other = np.repeat(np.arange(n_rows), k), nearest.ravel()
    pairs = np.unique(
        np.minimum(one, other) * n_rows + np.maximum(one, other)
    )  # an edge that both ends have is one
    one, other = pairs // n_rows, pairs % n_rows
    scales = distances[:, min(_RANK_OF_SCALE, k) - 1].astype(np.float64)
    nearness = _nearness(rows, scales, one, other)
    weights = _jaccard(own_set, one, other) * np.maximum(nearness, _LEAST_NEARNESS)
    graph = _symmetric(one, other, weights, n_rows)
    return _joined(graph, rows, weight=_LEAST_NEARNESS / (2 * k + 1))


def _jaccard(
    own_set: NDArray[np.int64], one: NDArray[np.int64], other: NDArray[np.int64]
) -> NDArray[np.float64]:
    size = own_set.shape[1]
    shared = np.empty(len(one))
    for start in range(0, len(one), _N_EDGES):
        part = slice(start, start + _N_EDGES)
        equal = own_set[one[part], :, np.newaxis] == own_set[other[part], np.newaxis]
        shared[part] = equal.sum(axis=(1, 2))
    weights: NDArray[np.float64] = shared / (2 * size - shared)
    return weights


def _nearness(
    rows: NDArray[Any],
    scales: NDArray[np.float64],
    one: NDArray[np.int64],
    other: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Compare squared distances with those usual about both rows; 1 for equal ones."""
    squares = np.empty(len(one))
    for start in range(0, len(one), _N_EDGES):
        part = slice(start, start + _N_EDGES)
        away = rows[one[part]].astype(np.float64) - rows[other[part]]
        squares[part] = np.einsum("ij,ij->i", away, away)
    usual = np.maximum(scales[one] * scales[other], np.finfo(np.float64).tiny)
    with np.errstate(over="ignore"):  # beside copies, everything is far
        nearness: NDArray[np.float64] = np.exp(-squares / usual)
    return nearness


def _symmetric(
    one: NDArray[np.int64],
    other: NDArray[np.int64],
    weights: NDArray[np.float64],
    n_rows: int,
) -> csr_matrix:
    both = np.concatenate([one, other]), np.concatenate([other, one])
    doubled = np.concatenate([weights, weights])
    return csr_matrix(coo_array((doubled, both), shape=(n_rows, n_rows)))


def _joined(graph: csr_matrix, rows: NDArray[Any], weight: float) -> csr_matrix:
    """Add edges between parts, each from the row nearest to the other part's mean."""
    n_parts, part_of = connected_components(graph, directed=False)
    if n_parts == 1:
        return graph
    members = [np.flatnonzero(part_of == part) for part in range(n_parts)]
    means = np.stack([rows[some].mean(axis=0) for some in members])
    # A distance of 0 would be no edge of a sparse graph.
    tree = minimum_spanning_tree(euclidean_distances(means) + 1e-12).tocoo()
    ends = [
        (_nearest(rows, members[a], means[b]), _nearest(rows, members[b], means[a]))
        for a, b in zip(tree.row, tree.col, strict=True)
    ]
    one, other = np.array(ends, dtype=np.int64).T
    bridges = _symmetric(one, other, np.full(len(ends), weight), len(rows))
    return csr_matrix(graph + bridges)


def _nearest(
    rows: NDArray[Any], members: NDArray[np.int64], place: NDArray[Any]
) -> int:
    distances = euclidean_distances(rows[members], place[np.newaxis])[:, 0]
    return int(members[distances.argmin()])
