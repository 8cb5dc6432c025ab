"""scikit-network's Leiden with a refinement that ends; loaded late."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sknetwork.clustering import Leiden

from imgsim._distance.kernels import compiled


class BoundedLeiden(Leiden):
    """Leiden that visits each node once while it refines communities, as published.

    The refinement of scikit-network moves nodes until none gains, which rounding can
    put off for ever, and draws from the one sequence of random numbers of a process.
    Here nothing is drawn. Graphs must be symmetric.

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
        parts: NDArray[np.int64] = refine(
            labels.astype(np.int64),
            adjacency.indptr.astype(np.int64),
            adjacency.indices.astype(np.int64),
            adjacency.data.astype(np.float64),
            out_weights.astype(np.float64),
            float(self.resolution),
        )
        return parts


@compiled
def refine(
    labels: NDArray[np.int64],
    indptr: NDArray[np.int64],
    indices: NDArray[np.int64],
    weights: NDArray[np.float64],
    volumes: NDArray[np.float64],
    resolution: float,
) -> NDArray[np.int64]:
    """Take communities apart, and build parts of them anew from single nodes.

    A node that is still alone, and well connected to its community, joins the part of
    it that gains most, among the parts that are well connected, too.

    Parameters
    ----------
    labels : ndarray of shape (n_nodes,), dtype int64
        Communities.

    indptr, indices, weights : ndarray
        The graph, symmetric, as compressed sparse rows.

    volumes : ndarray of shape (n_nodes,), dtype float64
        By which the weight that chance puts between two nodes grows.

    resolution : float
        Factor of that weight.

    Returns
    -------
    part_of : ndarray of shape (n_nodes,), dtype int64
        Each part is named after one of its nodes.
    """
    n_nodes = len(labels)
    part_of = np.arange(n_nodes)
    is_alone = np.ones(n_nodes, dtype=np.bool_)
    volume = volumes.copy()  # of a part
    total = np.bincount(labels, volumes)  # of a community
    to_rest = _weights_inside(labels, indptr, indices, weights)  # from a part
    to_part = np.zeros(n_nodes)  # from the node visited
    for i in range(n_nodes):
        rest = total[labels[i]] - volume[i]
        if not is_alone[i] or to_rest[i] < resolution * volume[i] * rest:
            continue
        for e in range(indptr[i], indptr[i + 1]):
            to_part[part_of[indices[e]]] += weights[e]
        best, most = i, 0.0
        for e in range(indptr[i], indptr[i + 1]):
            part = part_of[indices[e]]
            gain = to_part[part] - resolution * volume[i] * volume[part]
            if labels[indices[e]] == labels[i] and part != i and gain > most:
                rest = total[labels[i]] - volume[part]
                if to_rest[part] >= resolution * volume[part] * rest:
                    best, most = part, gain
        if best != i:
            part_of[i] = best
            is_alone[i] = is_alone[best] = False
            volume[best] += volume[i]
            to_rest[best] += to_rest[i] - 2 * to_part[best]
        for e in range(indptr[i], indptr[i + 1]):
            to_part[part_of[indices[e]]] = 0.0
        to_part[i] = 0.0
    return part_of


@compiled
def _weights_inside(
    labels: NDArray[np.int64],
    indptr: NDArray[np.int64],
    indices: NDArray[np.int64],
    weights: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Sum the weights from each node to the others of its community."""
    inside = np.zeros(len(labels))
    for i in range(len(labels)):
        for e in range(indptr[i], indptr[i + 1]):
            if indices[e] != i and labels[indices[e]] == labels[i]:
                inside[i] += weights[e]
    return inside
