"""Leiden clustering of a graph, at a resolution or with a number of clusters.

The algorithm is from scikit-network, with the refinement of `_leiden_refinement`. The
package graspologic-native 1.3.1 was tried in place of both. Unless the number of passes
is limited, its function `leiden_csr` never returns for some graphs and seeds, even with
only six nodes. Its function `leiden` takes a list of edges, and needs several times the
time and memory. Both are randomized, and with some seeds the clusters of handwritten
digits are clearly worse.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree

from imgsim._optional import import_optional
from imgsim._validation import is_number

_MAX_STEPS = 30
_TOLERANCES = ("tol_aggregation", "tol_optimization")
# scikit-network computes the modularity in single precision.
_MIN_TOLERANCE = 1e-6


def fit_leiden(
    graph: csr_matrix, n_clusters: int | None, params: dict[str, Any], seed: int
) -> tuple[Any, NDArray[np.int64]]:
    """Cluster the nodes of a graph, at a given resolution or with a given number.

    Parameters
    ----------
    graph : csr_matrix of shape (n_rows, n_rows)
        Symmetric and connected graph.

    n_clusters : int or None
        Number of clusters. If it is None, Leiden maximizes Newman's modularity at the
        given `resolution`, which is 1 by default [1]_. Otherwise, Leiden optimizes the
        constant Potts model, which can find small clusters next to large ones [2]_.
        The resolution is then found by a bisection of at most 30 steps; if no step
        yields `n_clusters`, the closest number is returned. If every step yields too
        many clusters, those with the largest weight between them are merged.

    params : dict
        Parameters of scikit-network's Leiden.

    seed : int
        Seed of the order in which nodes are visited if `shuffle_nodes` is set.

    Returns
    -------
    leiden : sknetwork.clustering.Leiden
        The fitted estimator. Its `resolution` is the one that was found.

    labels : ndarray of shape (n_rows,), dtype int64
        Cluster of each node.

    Raises
    ------
    ModuleNotFoundError
        If scikit-network is not installed.

    ValueError
        If the resolution or a tolerance is invalid, or if both the resolution and the
        number of clusters are set.

    References
    ----------
    .. [1] V. A. Traag, L. Waltman and N. J. van Eck, "From Louvain to Leiden:
       guaranteeing well-connected communities", Scientific Reports, 2019.

    .. [2] V. A. Traag, P. Van Dooren and Y. Nesterov, "Narrow scope for
       resolution-limit-free community detection", Physical Review E, 2011.
    """
    resolution = params.get("resolution", 1.0)
    if not is_number(resolution) or not 0 < float(resolution) < np.inf:
        raise ValueError(f"resolution={resolution!r} must be a positive number.")
    for name in _TOLERANCES:
        value = params.get(name, 1e-3)
        if not is_number(value) or not float(value) >= _MIN_TOLERANCE:
            raise ValueError(
                f"{name}={value!r} must be a number of at least {_MIN_TOLERANCE}."
            )
    if n_clusters is not None and "resolution" in params:
        raise ValueError(
            f"resolution={resolution} and n_clusters={n_clusters} cannot both be set. "
            f"Leave one of them out."
        )
    if n_clusters is None:
        return _fit_once(graph, {"resolution": resolution, **params}, seed)
    return _find_resolution(graph, n_clusters, {"modularity": "potts", **params}, seed)


def _find_resolution(
    graph: csr_matrix, n_clusters: int, params: dict[str, Any], seed: int
) -> tuple[Any, NDArray[np.int64]]:
    """Bisect the logarithm of the resolution; larger values yield more clusters."""
    low, high, resolution = 0.0, np.inf, 1.0
    fit_by_error: dict[int, tuple[Any, NDArray[np.int64]]] = {}
    for _ in range(_MAX_STEPS):
        fit = _fit_once(graph, {**params, "resolution": resolution}, seed)
        n_found = int(fit[1].max()) + 1
        fit_by_error.setdefault(abs(n_found - n_clusters), fit)
        if n_found == n_clusters:
            break
        if n_found < n_clusters:
            low = resolution
        else:
            high = resolution
        resolution = _next_resolution(low, high)
    leiden, labels = fit_by_error[min(fit_by_error)]
    return leiden, labels if low else _merge_clusters(labels, graph, n_clusters)


def _next_resolution(low: float, high: float) -> float:
    if not low:
        return high / 4
    return low * 4 if np.isinf(high) else float(np.sqrt(low * high))


def _merge_clusters(
    labels: NDArray[np.int64], graph: csr_matrix, n_clusters: int
) -> NDArray[np.int64]:
    """Merge the clusters with the largest weight between them until few are left."""
    n_found = int(labels.max()) + 1
    membership = csr_matrix((np.ones(len(labels)), (np.arange(len(labels)), labels)))
    between = csr_matrix(membership.T @ graph @ membership)
    between.data = 1 / between.data
    tree = minimum_spanning_tree(between).tocoo()
    heaviest = np.argsort(tree.data, kind="stable")[: n_found - n_clusters]
    ends = tree.row[heaviest], tree.col[heaviest]
    merges = csr_matrix((np.ones(len(heaviest)), ends), shape=(n_found, n_found))
    _, merged = connected_components(merges, directed=False)
    return np.asarray(merged[labels], dtype=np.int64)


def _fit_once(
    graph: csr_matrix, params: dict[str, Any], seed: int
) -> tuple[Any, NDArray[np.int64]]:
    import_optional("sknetwork.clustering", caller="algorithm='leiden'")
    from imgsim.cluster.algorithms._leiden_refinement import BoundedLeiden

    leiden = BoundedLeiden(
        return_probs=False, return_aggregate=False, random_state=seed, **params
    )
    return leiden, np.asarray(leiden.fit_predict(graph), dtype=np.int64)
