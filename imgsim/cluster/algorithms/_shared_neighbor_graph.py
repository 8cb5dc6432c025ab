"""Graph of shared nearest neighbors, for spectral clustering and Leiden."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_matrix
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree
from sklearn.metrics.pairwise import euclidean_distances

from imgsim.index import SimilarityIndex

N_NEIGHBORS = 20
_RANK_OF_SCALE = 7
# Leiden sums weights in single precision, where smaller ones would be lost.
_MIN_NEARNESS = 0.05
_EDGES_PER_BLOCK = 20_000


def shared_neighbors_graph(
    rows: NDArray[Any], n_neighbors: int, seed: int
) -> csr_matrix:
    """Connect each row to its nearest rows, weighted by their shared neighbors.

    The weight of an edge is the product of two factors. The first factor is the
    Jaccard index of the two sets of nearest rows, where each row belongs to its own
    set [1]_, [2]_. The second factor is exp(-d² / (s t)), but at least 0.05, where d
    is the distance between the two rows, and s and t are their distances to their
    seventh nearest rows [3]_. It separates clusters that are smaller than the sets.

    Components without an edge between them are connected by edges of a small weight,
    along a minimum spanning tree of their means.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_features)
        At least 2 rows, compared by Euclidean distance.

    n_neighbors : int
        Number of nearest rows, limited to `n_rows - 1`.

    seed : int
        Seed of the approximate search, which is used for large collections.

    Returns
    -------
    graph : csr_matrix of shape (n_rows, n_rows)
        Symmetric and connected graph, with weights in (0, 1] and an empty diagonal.

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
    neighbor_sets = np.column_stack([np.arange(n_rows), nearest])
    first, second = np.repeat(np.arange(n_rows), k), nearest.ravel()
    # Two rows that are neighbors of each other have one edge.
    pairs = np.unique(np.minimum(first, second) * n_rows + np.maximum(first, second))
    first, second = pairs // n_rows, pairs % n_rows
    scales = distances[:, min(_RANK_OF_SCALE, k) - 1].astype(np.float64)
    nearness = np.maximum(_nearness(rows, scales, first, second), _MIN_NEARNESS)
    weights = _jaccard(neighbor_sets, first, second) * nearness
    graph = _symmetric_matrix(first, second, weights, n_rows)
    return _connect_components(graph, rows, weight=_MIN_NEARNESS / (2 * k + 1))


def _jaccard(
    neighbor_sets: NDArray[np.int64],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
) -> NDArray[np.float64]:
    size = neighbor_sets.shape[1]
    n_shared = np.empty(len(first))
    for start in range(0, len(first), _EDGES_PER_BLOCK):
        block = slice(start, start + _EDGES_PER_BLOCK)
        sets, others = neighbor_sets[first[block]], neighbor_sets[second[block]]
        equal = sets[:, :, np.newaxis] == others[:, np.newaxis]
        n_shared[block] = equal.sum(axis=(1, 2))
    indices: NDArray[np.float64] = n_shared / (2 * size - n_shared)
    return indices


def _nearness(
    rows: NDArray[Any],
    scales: NDArray[np.float64],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Compute exp(-d² / (s t)) for each pair of rows; it is 1 for equal rows."""
    squares = np.empty(len(first))
    for start in range(0, len(first), _EDGES_PER_BLOCK):
        block = slice(start, start + _EDGES_PER_BLOCK)
        difference = rows[first[block]].astype(np.float64) - rows[second[block]]
        squares[block] = np.einsum("ij,ij->i", difference, difference)
    scale = np.maximum(scales[first] * scales[second], np.finfo(np.float64).tiny)
    with np.errstate(over="ignore"):  # the scale of a row with many copies is 0
        nearness: NDArray[np.float64] = np.exp(-squares / scale)
    return nearness


def _symmetric_matrix(
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    weights: NDArray[np.float64],
    n_rows: int,
) -> csr_matrix:
    ends = np.concatenate([first, second]), np.concatenate([second, first])
    both_directions = np.concatenate([weights, weights])
    return csr_matrix(coo_array((both_directions, ends), shape=(n_rows, n_rows)))


def _connect_components(
    graph: csr_matrix, rows: NDArray[Any], weight: float
) -> csr_matrix:
    """Connect pairs of components by the rows nearest to each other's means."""
    n_components, component_of = connected_components(graph, directed=False)
    if n_components == 1:
        return graph
    members = [np.flatnonzero(component_of == i) for i in range(n_components)]
    means = np.stack([rows[indices].mean(axis=0) for indices in members])
    # In a sparse graph, a distance of 0 would mean a missing edge.
    tree = minimum_spanning_tree(euclidean_distances(means) + 1e-12).tocoo()
    ends = [
        (
            _nearest_to(means[b], rows, members[a]),
            _nearest_to(means[a], rows, members[b]),
        )
        for a, b in zip(tree.row, tree.col, strict=True)
    ]
    first, second = np.array(ends, dtype=np.int64).T
    bridges = _symmetric_matrix(first, second, np.full(len(ends), weight), len(rows))
    return csr_matrix(graph + bridges)


def _nearest_to(
    point: NDArray[Any], rows: NDArray[Any], members: NDArray[np.int64]
) -> int:
    distances = euclidean_distances(rows[members], point[np.newaxis])[:, 0]
    return int(members[distances.argmin()])
