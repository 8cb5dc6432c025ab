"""Leiden communities of a graph; the only importer of scikit-network."""

import ctypes
import sys
from numbers import Real
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, triu

from imgsim._optional import import_optional

_N_STEPS = 30
_LOCK = Lock()  # the C library has one sequence of random numbers for all threads


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
        the nearest that a search of 30 steps meets. None optimises modularity at
        `resolution`, 1 by default [1]_.

    params : dict
        Parameters of scikit-network's Leiden.

    seed : int
        Seeds the refinement, and the order of rows if `shuffle_nodes` is set.

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
    if n_clusters is not None and "resolution" in params:
        raise ValueError(
            f"resolution={resolution} and n_clusters={n_clusters} cannot both be had; "
            f"leave one of them to the other."
        )
    if n_clusters is None:
        return _communities(graph, {"resolution": resolution, **params}, seed)
    leiden, labels = _search(graph, n_clusters, {"modularity": "potts", **params}, seed)
    # Far groups are not merged, whatever the resolution; but all is one group.
    return leiden, labels if n_clusters > 1 else np.zeros_like(labels)


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
    return met[min(met)]


def _between(low: float, high: float) -> float:
    if not low:
        return high / 4
    return low * 4 if np.isinf(high) else float(np.sqrt(low * high))


def _communities(
    graph: csr_matrix, params: dict[str, Any], seed: int
) -> tuple[Any, NDArray[np.int64]]:
    clustering = import_optional("sknetwork.clustering", caller="algorithm='leiden'")
    graph = _without_ties(graph, seed)
    leiden = clustering.Leiden(
        return_probs=False, return_aggregate=False, random_state=seed, **params
    )
    with _LOCK:
        _seed_c_library(seed)
        labels = leiden.fit_predict(graph)
    return leiden, np.asarray(labels, dtype=np.int64)


def _without_ties(graph: csr_matrix, seed: int) -> csr_matrix:
    """Change weights by up to a thousandth.

    Between places that are equally good but for rounding, the refinement of
    scikit-network moves rows to and fro for ever.
    """
    upper = triu(graph, k=1, format="csr")
    upper.data *= 1 + 1e-3 * np.random.default_rng(seed).random(len(upper.data))
    return csr_matrix(upper + upper.T)


def _seed_c_library(seed: int) -> None:
    """Seed what scikit-network refines groups by, whatever its `random_state`."""
    library = ctypes.CDLL("ucrtbase" if sys.platform == "win32" else None)
    library.srand(ctypes.c_uint(seed % 2**32))
