"""Clustering algorithms with one interface: scikit-learn's estimators and Leiden."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from numbers import Integral
from typing import Any, Literal

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

from imgsim._validation import is_integer, is_number, nearest_name
from imgsim.cluster.algorithms._dbscan_eps import suggest_eps
from imgsim.cluster.algorithms._feature_space import ClusterMetric
from imgsim.cluster.algorithms._leiden import fit_leiden
from imgsim.cluster.algorithms._shared_neighbor_graph import (
    N_NEIGHBORS,
    shared_neighbors_graph,
)
from imgsim.index import SimilarityIndex

# ARPACK's shift-invert mode factorizes the graph's matrix, and the factors are dense.
_MOST_ROWS_TO_FACTORIZE = 5_000
_LEIDEN_PARAMS = {
    "modularity",
    "n_aggregations",
    "resolution",
    "shuffle_nodes",
    "tol_aggregation",
    "tol_optimization",
}
_RESERVED = {"metric", "n_clusters", "n_components", "random_state"}
# These would drop the labels, overrule n_clusters, or overwrite rows in use elsewhere.
_UNSUPPORTED = {"compute_labels", "copy_x", "distance_threshold"}

Labels = NDArray[np.int64]
# The algorithms that accept a number of clusters, and all of them.
KAlgorithmName = Literal[
    "kmeans",
    "minibatch_kmeans",
    "bisecting_kmeans",
    "spectral",
    "agglomerative",
    "gaussian_mixture",
    "leiden",
]
AlgorithmName = KAlgorithmName | Literal["dbscan", "hdbscan"]


@dataclass(frozen=True)
class ClusteringTask:
    """Embeddings, and how to cluster them.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_features)
        Embeddings as the user passed them, without NaN.

    features : ndarray of shape (n_rows, n_components)
        The same embeddings in the space in which the algorithm works, see
        `FeatureSpace`.

    algorithm : str
        One of `ALGORITHMS`.

    metric : {"cosine", "euclidean"}
        Distance between rows.

    params : dict
        Parameters of the algorithm that the user set.

    seed : int
        Seed of every clustering, whatever the number of clusters.
    """

    rows: NDArray[Any]
    features: NDArray[Any]
    algorithm: AlgorithmName
    metric: ClusterMetric
    params: dict[str, Any]
    seed: int

    def fit(
        self, n_clusters: int | None, features: NDArray[Any] | None = None
    ) -> tuple[Any, Labels]:
        """Cluster the features, or other rows of the same space.

        Parameters
        ----------
        n_clusters : int or None
            Number of clusters; None if the algorithm finds it.

        features : ndarray of shape (n_others, n_components), default=None
            Rows to cluster instead of the features of the task.

        Returns
        -------
        estimator : object
            The fitted estimator.

        labels : ndarray of shape (n_rows,), dtype int64
            Cluster of each row, numbered by the estimator; -1 for noise.

        Raises
        ------
        ValueError
            If the algorithm does not have one of the parameters, or rejects its value.
        """
        check_algorithm_params(self.algorithm, self.params)
        task = self if features is None else replace(self, features=features)
        return ALGORITHMS[self.algorithm].fit(task, n_clusters)


FitFunction = Callable[[ClusteringTask, int | None], tuple[Any, Labels]]


@dataclass(frozen=True)
class Algorithm:
    """A clustering algorithm and what it supports.

    Parameters
    ----------
    fit : callable
        Takes a task and a number of clusters, which is None if the algorithm finds it.
        Returns the fitted estimator and the labels, -1 for noise.

    params : set of str
        Names of the parameters that the user may set.

    predicts_by : {"estimator", "core_samples", "neighbors"}, default="estimator"
        How the cluster of an unseen row is predicted: by the fitted estimator, by the
        nearest core sample within its radius, or by a vote of the nearest rows.

    takes_n_clusters : bool, default=True
        Whether the number of clusters can be set.

    finds_n_clusters : bool, default=False
        Whether the algorithm can find the number of clusters.
    """

    fit: FitFunction
    params: set[str] = field(repr=False)
    predicts_by: Literal["estimator", "core_samples", "neighbors"] = "estimator"
    takes_n_clusters: bool = True
    finds_n_clusters: bool = False


def _fit_predict(estimator: Any, data: Any) -> tuple[Any, Labels]:
    labels = estimator.fit_predict(data)
    return estimator, np.asarray(labels, dtype=np.int64)


def _fit_with(estimator_class: Callable[..., Any], **defaults: Any) -> FitFunction:
    """Return a function that fits an estimator with `n_clusters` and `random_state`."""

    def fit(task: ClusteringTask, n_clusters: int | None) -> tuple[Any, Labels]:
        params = {**defaults, **task.params}
        estimator = estimator_class(n_clusters, random_state=task.seed, **params)
        features = task.features
        if estimator_class is GaussianMixture:
            # Variances are differences of squares, which cancel in single precision.
            features = features.astype(np.float64)
        return _fit_predict(estimator, features)

    return fit


def _fit_spectral(task: ClusteringTask, n_clusters: int | None) -> tuple[Any, Labels]:
    params = {"affinity": "neighbors", **task.params}
    if str(params["affinity"]).startswith("precomputed"):
        raise ValueError(
            f"affinity={params['affinity']!r} needs a graph, but X holds embeddings. "
            f"Leave affinity out to cluster the graph of shared neighbors."
        )
    data = task.features
    if params["affinity"] == "neighbors":
        data = _neighbor_graph(task)
        params["affinity"] = "precomputed"
        params.pop("n_neighbors", None)
        solver = _eigen_solver(len(task.features), n_clusters or 1)
        params.setdefault("eigen_solver", solver)
    spectral = SpectralClustering(n_clusters, random_state=task.seed, **params)
    return _fit_predict(spectral, data)


def _eigen_solver(n_rows: int, n_clusters: int) -> str:
    # ARPACK fails on fewer rows, for which LOBPCG solves a dense problem.
    suits_arpack = 5 * n_clusters < n_rows <= _MOST_ROWS_TO_FACTORIZE
    return "arpack" if suits_arpack else "lobpcg"


def _fit_agglomerative(
    task: ClusteringTask, n_clusters: int | None
) -> tuple[Any, Labels]:
    params = dict(task.params)
    if params.get("linkage", "ward") != "ward":
        params["metric"] = task.metric
    n_rows = len(task.features)
    n_bytes = n_rows * (n_rows - 1) / 2 * 8
    if n_bytes > get_config()["working_memory"] * 2**20:
        params.setdefault("connectivity", _neighbor_graph(task))
    return _fit_predict(AgglomerativeClustering(n_clusters, **params), task.features)


def _fit_dbscan(task: ClusteringTask, n_clusters: int | None) -> tuple[Any, Labels]:
    params = {"eps": "auto", "min_samples": 5, **task.params}
    if isinstance(params["eps"], str) and params["eps"] == "auto":
        min_samples = _checked_count("min_samples", params["min_samples"])
        params["eps"] = suggest_eps(task.features, min_samples, task.metric, task.seed)
    dbscan = DBSCAN(metric="precomputed", **params)
    index = SimilarityIndex(metric=task.metric, algorithm="exact").fit(task.features)
    near = index.radius_neighbors_graph(
        task.features,
        radius=_checked_eps(dbscan.eps),
        mode="distance",
        sort_results=True,
    )
    return _fit_predict(dbscan, near)


def _checked_count(name: str, value: Any) -> int:
    if not is_integer(value) or value < 1:
        raise ValueError(f"{name}={value!r} must be an integer of at least 1.")
    return int(value)


def _checked_eps(eps: Any) -> float:
    if not is_number(eps) or not 0 < float(eps) < np.inf:
        raise ValueError(f"eps={eps!r} must be 'auto' or a positive number.")
    return float(eps)


def _fit_hdbscan(task: ClusteringTask, n_clusters: int | None) -> tuple[Any, Labels]:
    name = "min_samples" if task.params.get("min_samples") else "min_cluster_size"
    least = task.params.get(name, 5)
    n_rows = len(task.features)
    if isinstance(least, Integral) and n_rows < int(least):
        raise ValueError(
            f"algorithm='hdbscan' needs at least {name}={least} readable rows, got "
            f"n_samples={n_rows}. Set a smaller {name} in algorithm_params."
        )
    # For rows of unit length, Euclidean distances rank pairs as cosine distances do.
    # For cosine distances, HDBSCAN would compute the distances of all pairs.
    return _fit_predict(HDBSCAN(**{"copy": True, **task.params}), task.features)


def _fit_leiden(task: ClusteringTask, n_clusters: int | None) -> tuple[Any, Labels]:
    params = {name: v for name, v in task.params.items() if name != "n_neighbors"}
    return fit_leiden(_neighbor_graph(task), n_clusters, params, task.seed)


def _neighbor_graph(task: ClusteringTask) -> Any:
    n_neighbors = task.params.get("n_neighbors", N_NEIGHBORS)
    n_neighbors = _checked_count("n_neighbors", n_neighbors)
    return shared_neighbors_graph(task.features, n_neighbors, task.seed)


def _params_of(estimator_class: Callable[..., Any]) -> set[str]:
    return set(estimator_class().get_params()) - _RESERVED - _UNSUPPORTED


ALGORITHMS: dict[AlgorithmName, Algorithm] = {
    "kmeans": Algorithm(_fit_with(KMeans), _params_of(KMeans)),
    "minibatch_kmeans": Algorithm(
        _fit_with(MiniBatchKMeans), _params_of(MiniBatchKMeans)
    ),
    "bisecting_kmeans": Algorithm(
        _fit_with(BisectingKMeans), _params_of(BisectingKMeans)
    ),
    "gaussian_mixture": Algorithm(
        # A full covariance has more entries than most collections have images.
        _fit_with(GaussianMixture, covariance_type="diag"),
        _params_of(GaussianMixture),
    ),
    "spectral": Algorithm(
        _fit_spectral, _params_of(SpectralClustering), predicts_by="neighbors"
    ),
    "agglomerative": Algorithm(
        _fit_agglomerative, _params_of(AgglomerativeClustering), predicts_by="neighbors"
    ),
    "dbscan": Algorithm(
        _fit_dbscan,
        {"eps", "min_samples"},
        predicts_by="core_samples",
        takes_n_clusters=False,
        finds_n_clusters=True,
    ),
    "hdbscan": Algorithm(
        _fit_hdbscan,
        _params_of(HDBSCAN),
        predicts_by="neighbors",
        takes_n_clusters=False,
        finds_n_clusters=True,
    ),
    "leiden": Algorithm(
        _fit_leiden,
        _LEIDEN_PARAMS | {"n_neighbors"},
        predicts_by="neighbors",
        finds_n_clusters=True,
    ),
}


def check_algorithm_params(algorithm: AlgorithmName, params: dict[str, Any]) -> None:
    """Raise a ValueError if an algorithm does not have one of the parameters."""
    known = ALGORITHMS[algorithm].params
    unknown = sorted(set(map(str, params)) - known)
    if unknown:
        raise ValueError(
            f"algorithm_params={params!r}: algorithm={algorithm!r} has no parameter "
            f"{unknown[0]!r}. Its parameters are {', '.join(sorted(known))}."
            f"{nearest_name(unknown[0], known)}"
        )
