"""Leiden communities of a graph, at a resolution or in a number."""

from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree

from imgsim._optional import import_optional

_N_STEPS = 30
_TOLERANCES = ("tol_aggregation", "tol_optimization")
_LEAST_TOLERANCE = 1e-6  # of a modularity in single precision


def fit_leiden(
    graph: csr_matrix, n_clusters: int | None, params: dict[str, Any], seed: int
) -> tuple[Any, NDArray[np.int64]]:
    """Find communities: their number follows from the resolution, or the reverse.

    Parameters
    ----------
    graph : csr_matrix of shape (n_rows, n_rows)
        Symmetric and connected.

    n_clusters : int or None
        Number of groups. Then the constant Potts model is optimised [2]_, which finds
        small groups beside large ones, at the resolution that yields this number, or
        the nearest that a search of 30 steps meets; groups so far apart that no
        resolution joins them are joined by the most weight between them. None
        optimises modularity at `resolution`, 1 by default [1]_.

    params : dict
        Parameters of scikit-network's Leiden.

    seed : int
        Seeds the order of rows if `shuffle_nodes` is set.

    Returns
    -------
    leiden : sknetwork.clustering.Leiden
        Fitted; its `resolution` is the one found.

    labels : ndarray of shape (n_rows,), dtype int64
        The communities.

    References
    ----------
    .. [1] V. A. Traag, L. Waltman and N. J. van Eck, "From Louvain to Leiden:
       guaranteeing well-connected communities", Scientific Reports, 2019.

    .. [2] V. A. Traag, P. Van Dooren and Y. Nesterov, "Narrow scope for
       resolution-limit-free community detection", Physical Review E, 2011.
    """
    resolution = params.get("resolution", 1.0)
    if not isinstance(resolution, Real) or not 0 < float(resolution) < np.inf:
        raise ValueError(f"resolution={resolution!r} must be a positive number.")
    for name in _TOLERANCES:
        value = params.get(name, 1e-3)
        if not isinstance(value, Real) or not float(value) >= _LEAST_TOLERANCE:
            raise ValueError(
                f"{name}={value!r} must be a number of at least {_LEAST_TOLERANCE}."
            )
    if n_clusters is not None and "resolution" in params:
        raise ValueError(
            f"resolution={resolution} and n_clusters={n_clusters} cannot both be had; "
            f"leave one of them to the other."
        )
    if n_clusters is None:
        return _communities(graph, {"resolution": resolution, **params}, seed)
    return _search(graph, n_clusters, {"modularity": "potts", **params}, seed)


def _search(
    graph: csr_matrix, n_clusters: int, params: dict[str, Any], seed: int
) -> tuple[Any, NDArray[np.int64]]:
    """Bisect the logarithm of the resolution, with which the number of groups grows."""
    low, high, resolution = 0.0, np.inf, 1.0
    met: dict[int, tuple[Any, NDArray[np.int64]]] = {}
    for _ in range(_N_STEPS):
        found = _communities(graph, {**params, "resolution": resolution}, seed)
        n_found = int(found[1].max()) + 1
        met.setdefault(abs(n_found - n_clusters), found)
        if n_found == n_clusters:
            break
        if n_found < n_clusters:
            low = resolution
        else:
            high = resolution
        resolution = _between(low, high)
    leiden, labels = met[min(met)]
    return leiden, labels if low else _joined(labels, graph, n_clusters)


def _joined(
    labels: NDArray[np.int64], graph: csr_matrix, n_clusters: int
) -> NDArray[np.int64]:
    """Join groups too far apart for any resolution, by the most weight between them."""
    n_found = int(labels.max()) + 1
    member = csr_matrix((np.ones(len(labels)), (np.arange(len(labels)), labels)))
    between = csr_matrix(member.T @ graph @ member)
    between.data = 1 / between.data
    tree = minimum_spanning_tree(between).tocoo()
    heaviest = np.argsort(tree.data, kind="stable")[: n_found - n_clusters]
    ends = tree.row[heaviest], tree.col[heaviest]
    joints = csr_matrix((np.ones(len(heaviest)), ends), shape=(n_found, n_found))
    _, group_of = connected_components(joints, directed=False)
    return np.asarray(group_of[labels], dtype=np.int64)


def _between(low: float, high: float) -> float:
    if not low:
        return high / 4
    return low * 4 if np.isinf(high) else float(np.sqrt(low * high))


def _communities(
    graph: csr_matrix, params: dict[str, Any], seed: int
) -> tuple[Any, NDArray[np.int64]]:
    import_optional("sknetwork.clustering", caller="algorithm='leiden'")
    from imgsim.cluster.algorithms._leiden_refinement import BoundedLeiden

    leiden = BoundedLeiden(
        return_probs=False, return_aggregate=False, random_state=seed, **params
    )
    return leiden, np.asarray(leiden.fit_predict(graph), dtype=np.int64)
