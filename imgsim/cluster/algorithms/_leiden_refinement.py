"""Leiden of scikit-network with a refinement that always ends.

The module imports scikit-network and numba, so it is only imported inside functions.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sknetwork.clustering import Leiden

from imgsim._distance.kernels import compiled


class BoundedLeiden(Leiden):
    """Leiden whose refinement visits each node once, as in the original publication.

    The refinement of scikit-network 0.33 moves nodes until no move improves the
    result, which may never happen because of rounding errors. It also draws from a
    random number generator that all threads share. This refinement is deterministic.
    The graph must be symmetric.

    Parameters
    ----------
    **params : dict
        Parameters of `sknetwork.clustering.Leiden`.
    """

    def _optimize_refine(
        self,
        labels: NDArray[Any],
        labels_refined: NDArray[Any],
        adjacency: csr_matrix,
        out_weights: NDArray[Any],
        in_weights: NDArray[Any],
    ) -> NDArray[np.int64]:
        refined: NDArray[np.int64] = refine(
            labels.astype(np.int64),
            adjacency.indptr.astype(np.int64),
            adjacency.indices.astype(np.int64),
            adjacency.data.astype(np.float64),
            out_weights.astype(np.float64),
            float(self.resolution),
        )
        return refined


@compiled
def refine(
    labels: NDArray[np.int64],
    indptr: NDArray[np.int64],
    indices: NDArray[np.int64],
    weights: NDArray[np.float64],
    volumes: NDArray[np.float64],
    resolution: float,
) -> NDArray[np.int64]:
    """Divide communities into well-connected subcommunities.

    At first, each node is a subcommunity. The nodes are visited in order. A node that
    is still alone and is well connected to the rest of its community joins the
    well-connected subcommunity with the largest positive gain.

    Parameters
    ----------
    labels : ndarray of shape (n_nodes,), dtype int64
        Community of each node.

    indptr, indices, weights : ndarray
        The symmetric graph in compressed sparse row format.

    volumes : ndarray of shape (n_nodes,), dtype float64
        Volume of each node. The expected weight between two nodes is the product of
        their volumes.

    resolution : float
        Factor of the expected weight.

    Returns
    -------
    refined : ndarray of shape (n_nodes,), dtype int64
        Subcommunity of each node, identified by the index of one of its nodes.
    """
    n_nodes = len(labels)
    refined = np.arange(n_nodes)
    is_alone = np.ones(n_nodes, dtype=np.bool_)
    volume = volumes.copy()  # of each subcommunity
    total = np.bincount(labels, volumes)  # of each community
    # From each subcommunity to the rest of its community.
    to_rest = _weights_inside(labels, indptr, indices, weights)
    to_refined = np.zeros(n_nodes)  # from the current node to each subcommunity
    for i in range(n_nodes):
        rest = total[labels[i]] - volume[i]
        if not is_alone[i] or to_rest[i] < resolution * volume[i] * rest:
            continue
        for e in range(indptr[i], indptr[i + 1]):
            to_refined[refined[indices[e]]] += weights[e]
        best, max_gain = i, 0.0
        for e in range(indptr[i], indptr[i + 1]):
            other = refined[indices[e]]
            gain = to_refined[other] - resolution * volume[i] * volume[other]
            if labels[indices[e]] == labels[i] and other != i and gain > max_gain:
                rest = total[labels[i]] - volume[other]
                if to_rest[other] >= resolution * volume[other] * rest:
                    best, max_gain = other, gain
        if best != i:
            refined[i] = best
            is_alone[i] = is_alone[best] = False
            volume[best] += volume[i]
            to_rest[best] += to_rest[i] - 2 * to_refined[best]
        for e in range(indptr[i], indptr[i + 1]):
            to_refined[refined[indices[e]]] = 0.0
        to_refined[i] = 0.0
    return refined


@compiled
def _weights_inside(
    labels: NDArray[np.int64],
    indptr: NDArray[np.int64],
    indices: NDArray[np.int64],
    weights: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Sum the weights from each node to the other nodes of its community."""
    inside = np.zeros(len(labels))
    for i in range(len(labels)):
        for e in range(indptr[i], indptr[i + 1]):
            if indices[e] != i and labels[indices[e]] == labels[i]:
                inside[i] += weights[e]
    return inside
