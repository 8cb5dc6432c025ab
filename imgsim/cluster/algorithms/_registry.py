"""The algorithms: scikit-learn's estimators, and Leiden, behind one function."""

from collections.abc import Callable
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import get_config
from sklearn.cluster import (
    DBSCAN,
    HDBSCAN,
    AgglomerativeClustering,
    BisectingKMeans,
    KMeans,
    MiniBatchKMeans,
    SpectralClustering,
)
from sklearn.mixture import GaussianMixture

from imgsim.cluster.algorithms._dbscan_eps import suggest_eps
from imgsim.cluster.algorithms._leiden import fit_leiden
from imgsim.cluster.algorithms._shared_neighbor_graph import (
    N_NEIGHBORS,
    shared_neighbors_graph,
)
from imgsim.index import SimilarityIndex

# Shift-invert factorises the graph's matrix, which then fills with numbers.
_MOST_ROWS_TO_FACTORISE = 5_000
_LEIDEN_PARAMS = {
    "modularity",
    "n_aggregations",
    "resolution",
    "shuffle_nodes",
    "tol_aggregation",
    "tol_optimization",
}
_RESERVED = {"metric", "n_clusters", "n_components", "random_state"}
# They leave no labels, or another number of them, or overwrite what others read.
_IMPOSSIBLE = {"compute_labels", "copy_x", "distance_threshold"}

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Task:
    """What an algorithm is given.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_features)
        Of unit length for cosine, perhaps reduced; without NaN.

    metric : {"euclidean", "cosine"}
        Distance between rows.

    params : dict
        What the user sets of the algorithm.

    seed : int
        Seeds whatever is random.

    n_clusters : int or None
        Number of groups; None for an algorithm that finds it.
    """

    rows: NDArray[Any]
    metric: str
    params: dict[str, Any]
    seed: int
    n_clusters: int | None = None


@dataclass(frozen=True)
class Algorithm:
    """What there is to know of an algorithm.

    Parameters
    ----------
    fit : callable
        Task → fitted estimator and labels, -1 for noise.

    params : set of str
        Names that the user may set.

    assigns : {"itself", "cores", "neighbors"}
        Who assigns unseen rows: the fitted estimator, the nearest core sample within
        its radius, or a vote of the nearest rows.

    takes_n_clusters : bool
        Whether it can be told the number of groups.

    finds_n_clusters : bool
        Whether it finds a number of groups by itself.
    """

    fit: Callable[[Task], tuple[Any, Labels]]
    params: set[str] = field(repr=False)
    assigns: str = "itself"
    takes_n_clusters: bool = True
    finds_n_clusters: bool = False


def _fit(estimator: Any, data: Any) -> tuple[Any, Labels]:
    labels = estimator.fit_predict(data)
    return estimator, np.asarray(labels, dtype=np.int64)


def _fits_rows(
    estimator: Callable[..., Any], **presets: Any
) -> Callable[[Task], tuple[Any, Labels]]:
    def fit(task: Task) -> tuple[Any, Labels]:
        params = {**presets, **task.params}
        fresh = estimator(task.n_clusters, random_state=task.seed, **params)
        # Variances are small beside squares, and lost in single precision.
        is_mixture = estimator is GaussianMixture
        return _fit(fresh, task.rows.astype(np.float64) if is_mixture else task.rows)

    return fit


def _fit_spectral(task: Task) -> tuple[Any, Labels]:
    params = {"affinity": "neighbors", **task.params}
    if str(params["affinity"]).startswith("precomputed"):
        raise ValueError(
            f"affinity={params['affinity']!r} takes a graph, and X are rows; leave it "
            f"out for the graph of shared neighbours."
        )
    data = task.rows
    if params["affinity"] == "neighbors":
        data = _graph(task)
        params["affinity"] = "precomputed"
        params.pop("n_neighbors", None)
        solver = _eigen_solver(len(task.rows), task.n_clusters or 1)
        params.setdefault("eigen_solver", solver)
    spectral = SpectralClustering(task.n_clusters, random_state=task.seed, **params)
    return _fit(spectral, data)


def _eigen_solver(n_rows: int, n_clusters: int) -> str:
    # Of few rows, where ARPACK fails, LOBPCG takes the whole matrix.
    suits_arpack = 5 * n_clusters + 1 < n_rows <= _MOST_ROWS_TO_FACTORISE
    return "arpack" if suits_arpack else "lobpcg"


def _fit_agglomerative(task: Task) -> tuple[Any, Labels]:
    params = dict(task.params)
    if params.get("linkage", "ward") != "ward":
        params["metric"] = task.metric
    n_bytes = len(task.rows) * (len(task.rows) - 1) / 2 * 8
    if n_bytes > get_config()["working_memory"] * 2**20:
        params.setdefault("connectivity", _graph(task))
    return _fit(AgglomerativeClustering(task.n_clusters, **params), task.rows)


def _fit_dbscan(task: Task) -> tuple[Any, Labels]:
    params = {"eps": "auto", "min_samples": 5, **task.params}
    if isinstance(params["eps"], str) and params["eps"] == "auto":
        min_samples = _checked_count("min_samples", params["min_samples"])
        params["eps"] = suggest_eps(task.rows, min_samples, task.metric, task.seed)
    dbscan = DBSCAN(metric="precomputed", **params)
    index = SimilarityIndex(metric=task.metric, algorithm="exact").fit(task.rows)
    near = index.radius_neighbors_graph(
        task.rows, radius=_checked_eps(dbscan.eps), mode="distance", sort_results=True
    )
    return _fit(dbscan, near)


def _checked_count(name: str, value: Any) -> int:
    if not isinstance(value, Integral) or value < 1:
        raise ValueError(f"{name}={value!r} must be an integer of at least 1.")
    return int(value)


def _checked_eps(eps: Any) -> float:
    if not isinstance(eps, Real) or not 0 < float(eps) < np.inf:
        raise ValueError(f"eps={eps!r} must be 'auto' or a positive number.")
    return float(eps)


def _fit_hdbscan(task: Task) -> tuple[Any, Labels]:
    least = task.params.get("min_samples") or task.params.get("min_cluster_size", 5)
    if isinstance(least, Integral) and len(task.rows) < int(least):
        raise ValueError(
            f"algorithm='hdbscan' needs at least min_cluster_size={least} readable "
            f"rows; got n_samples={len(task.rows)}. Set a smaller one in "
            f"algorithm_params."
        )
    # Euclidean distances of unit rows rank as cosine does, and need no matrix.
    return _fit(HDBSCAN(**{"copy": True, **task.params}), task.rows)


def _fit_leiden(task: Task) -> tuple[Any, Labels]:
    params = {name: v for name, v in task.params.items() if name != "n_neighbors"}
    return fit_leiden(_graph(task), task.n_clusters, params, task.seed)


def _graph(task: Task) -> Any:
    n_neighbors = task.params.get("n_neighbors", N_NEIGHBORS)
    n_neighbors = _checked_count("n_neighbors", n_neighbors)
    return shared_neighbors_graph(task.rows, n_neighbors, task.seed)


def _params_of(estimator: Any) -> set[str]:
    return set(estimator().get_params()) - _RESERVED - _IMPOSSIBLE


ALGORITHMS = {
    "kmeans": Algorithm(_fits_rows(KMeans), _params_of(KMeans)),
    "minibatch_kmeans": Algorithm(
        _fits_rows(MiniBatchKMeans), _params_of(MiniBatchKMeans)
    ),
    "bisecting_kmeans": Algorithm(
        _fits_rows(BisectingKMeans), _params_of(BisectingKMeans)
    ),
    "gaussian_mixture": Algorithm(
        # A full covariance has more numbers than most collections have images.
        _fits_rows(GaussianMixture, covariance_type="diag"),
        _params_of(GaussianMixture),
    ),
    "spectral": Algorithm(
        _fit_spectral, _params_of(SpectralClustering), assigns="neighbors"
    ),
    "agglomerative": Algorithm(
        _fit_agglomerative, _params_of(AgglomerativeClustering), assigns="neighbors"
    ),
    "dbscan": Algorithm(
        _fit_dbscan,
        {"eps", "min_samples"},
        assigns="cores",
        takes_n_clusters=False,
        finds_n_clusters=True,
    ),
    "hdbscan": Algorithm(
        _fit_hdbscan,
        _params_of(HDBSCAN),
        assigns="neighbors",
        takes_n_clusters=False,
        finds_n_clusters=True,
    ),
    "leiden": Algorithm(
        _fit_leiden,
        _LEIDEN_PARAMS | {"n_neighbors"},
        assigns="neighbors",
        finds_n_clusters=True,
    ),
}


def fit_algorithm(name: str, task: Task) -> tuple[Any, Labels]:
    """Cluster rows.

    Parameters
    ----------
    name : str
        One of `ALGORITHMS`.

    task : Task
        Rows, number of groups and parameters.

    Returns
    -------
    estimator : object
        Fitted.

    labels : ndarray of shape (n_rows,), dtype int64
        As the estimator numbers the groups; -1 for noise.

    Raises
    ------
    ValueError
        If the algorithm has no parameter of a name, or refuses a value.
    """
    check_params(name, task.params)
    return ALGORITHMS[name].fit(task)


def check_params(name: str, params: dict[str, Any]) -> None:
    """Raise a ValueError if an algorithm has no parameter of a name."""
    known = ALGORITHMS[name].params
    unknown = sorted(set(map(str, params)) - known)
    if unknown:
        raise ValueError(
            f"algorithm_params={params!r}: algorithm={name!r} has no parameter "
            f"{unknown[0]!r} to set; it has {', '.join(sorted(known))}."
        )
