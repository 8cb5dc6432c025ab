"""Prediction of the clusters of unseen rows, for every algorithm."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.cluster import DBSCAN
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.mixture import GaussianMixture

from imgsim.cluster.algorithms._feature_space import ClusterMetric
from imgsim.cluster.algorithms._registry import ALGORITHMS, ClusteringTask, Labels
from imgsim.index import SimilarityIndex

_N_VOTERS = 15


class ClusterPredictor(Protocol):
    """Predicts the clusters of unseen rows."""

    def predict(self, features: NDArray[Any]) -> Labels:
        """Return the cluster of each row, -1 for noise."""


class EstimatorPredictor:
    """Prediction by the fitted estimator, with renumbered clusters.

    An estimator may predict a cluster that had no row when it was fitted. The row is
    then assigned to the cluster with the nearest center.

    Parameters
    ----------
    estimator : object
        The fitted estimator.

    number_of : ndarray, dtype int64
        New number of each cluster of the estimator, -1 for a cluster without rows.

    features : ndarray of shape (n_rows, n_components)
        The rows that were clustered.

    labels : ndarray of shape (n_rows,), dtype int64
        Cluster of each of these rows, by its new number.
    """

    def __init__(
        self,
        estimator: Any,
        number_of: Labels,
        features: NDArray[Any],
        labels: Labels,
    ) -> None:
        self.estimator = estimator
        self.number_of = number_of
        is_mixture = isinstance(estimator, GaussianMixture)
        self.dtype = "float64" if is_mixture else features.dtype.name
        clusters = range(labels.max() + 1)
        self.centers = np.stack([features[labels == i].mean(axis=0) for i in clusters])

    def predict(self, features: NDArray[Any]) -> Labels:
        """Return the cluster of each row."""
        found = self.estimator.predict(features.astype(self.dtype, copy=False))
        labels: Labels = self.number_of[np.minimum(found, len(self.number_of) - 1)]
        is_empty = labels < 0
        if is_empty.any():
            distances = euclidean_distances(features[is_empty], self.centers)
            labels[is_empty] = distances.argmin(axis=1)
        return labels


class CoreSamplePredictor:
    """Prediction of the cluster of the nearest core sample within `eps` of DBSCAN.

    Parameters
    ----------
    dbscan : DBSCAN
        The fitted estimator.

    features : ndarray of shape (n_rows, n_components)
        The rows that were clustered.

    labels : ndarray of shape (n_rows,), dtype int64
        Cluster of each of these rows, -1 for noise.

    metric : {"cosine", "euclidean"}
        Distance between rows.
    """

    def __init__(
        self,
        dbscan: DBSCAN,
        features: NDArray[Any],
        labels: Labels,
        metric: ClusterMetric,
    ) -> None:
        self.eps = float(dbscan.eps)
        self.labels = labels[dbscan.core_sample_indices_]
        self.index = None
        if len(self.labels):
            index = SimilarityIndex(1, metric=metric, algorithm="exact")
            self.index = index.fit(features[dbscan.core_sample_indices_])

    def predict(self, features: NDArray[Any]) -> Labels:
        """Return the cluster of each row, -1 for noise."""
        if self.index is None:
            return np.full(len(features), -1, dtype=np.int64)
        distances, nearest = self.index.kneighbors(features)
        near = distances[:, 0] <= self.eps
        return np.where(near, self.labels[nearest[:, 0]], -1)


class NeighborVotePredictor:
    """Prediction by a vote of the 15 nearest rows, weighted by inverse distance.

    Noise takes part in the vote. If there are rows at distance 0, only these vote, so
    that each clustered row keeps its label.

    Parameters
    ----------
    features : ndarray of shape (n_rows, n_components)
        The rows that were clustered.

    labels : ndarray of shape (n_rows,), dtype int64
        Cluster of each of these rows, -1 for noise.

    seed : int
        Seed of the approximate search in large collections.
    """

    def __init__(self, features: NDArray[Any], labels: Labels, seed: int) -> None:
        n_voters = min(_N_VOTERS, len(features))
        index = SimilarityIndex(n_voters, metric="euclidean", random_state=seed)
        self.index = index.fit(features)
        self.labels = labels

    def predict(self, features: NDArray[Any]) -> Labels:
        """Return the cluster of each row, -1 for noise."""
        distances, nearest = self.index.kneighbors(features)
        weights = 1 / np.maximum(distances, np.finfo(distances.dtype).tiny)
        is_equal = distances == 0
        has_equal = is_equal.any(axis=1)
        weights[has_equal] = is_equal[has_equal]
        # The first column counts the votes of noise.
        votes = np.zeros((len(features), self.labels.max() + 2))
        voters = np.repeat(np.arange(len(features)), nearest.shape[1])
        np.add.at(votes, (voters, self.labels[nearest].ravel() + 1), weights.ravel())
        winners: Labels = votes.argmax(axis=1) - 1
        return winners


def make_predictor(
    task: ClusteringTask, estimator: Any, labels: Labels, number_of: Labels
) -> ClusterPredictor:
    """Return the predictor of the clusters that an algorithm found.

    Parameters
    ----------
    task : ClusteringTask
        The rows that were clustered, and the algorithm.

    estimator : object
        The fitted estimator.

    labels : ndarray of shape (n_rows,), dtype int64
        Cluster of each row, by its new number; -1 for noise.

    number_of : ndarray, dtype int64
        New number of each cluster of the estimator, -1 for a cluster without rows.

    Returns
    -------
    predictor : ClusterPredictor
        Its `predict` takes rows in the space of `task.features`.
    """
    predicts_by = ALGORITHMS[task.algorithm].predicts_by
    if predicts_by == "estimator":
        return EstimatorPredictor(estimator, number_of, task.features, labels)
    if predicts_by == "core_samples":
        return CoreSamplePredictor(estimator, task.features, labels, task.metric)
    return NeighborVotePredictor(task.features, labels, task.seed)


def check_distance_limits(
    max_distance: ArrayLike | None, n_clusters: int
) -> NDArray[np.float64] | None:
    """Return the largest allowed distance from each center, None without limits.

    Parameters
    ----------
    max_distance : float, array-like of shape (n_clusters,) or None
        One limit for all clusters, or one for each.

    n_clusters : int
        Number of clusters.

    Returns
    -------
    limits : ndarray of shape (n_clusters,), dtype float64, or None
        The limit of each cluster.

    Raises
    ------
    ValueError
        If a limit is negative or not a number, or `max_distance` has another shape.
    """
    if max_distance is None:
        return None
    given = np.asarray(max_distance)
    are_numbers = given.dtype.kind in "iuf" and given.shape in ((), (n_clusters,))
    if not are_numbers or not (given >= 0).all():
        raise ValueError(
            f"max_distance={max_distance!r} must be at least 0: one number, or one for "
            f"each of the {n_clusters} clusters."
        )
    return np.broadcast_to(given.astype(np.float64), n_clusters)
