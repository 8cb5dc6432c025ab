"""Sizes, centers, medoids and silhouettes of clusters."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics.pairwise import pairwise_distances

from imgsim._warnings import warn_caller
from imgsim.cluster.algorithms._feature_space import ClusterMetric, to_euclidean
from imgsim.cluster.criteria._cluster_distances import measure_cohesion
from imgsim.exceptions import WeakClustersWarning
from imgsim.export import Table
from imgsim.index import SimilarityIndex

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class ClusterSummary:
    """Properties of the clusters that `ImageClusterer` reports.

    Parameters
    ----------
    centers : ndarray of shape (n_clusters, n_features)
        Mean row of each cluster; for cosine, the mean of rows scaled to unit length.

    medoids : ndarray of shape (n_clusters,), dtype int64
        The row of each cluster with the smallest mean distance to its other members.

    silhouettes : ndarray of shape (n_rows,), dtype float64
        Silhouette of each row; NaN for noise.

    table : Table
        One row for each cluster.
    """

    centers: NDArray[Any]
    medoids: Labels
    silhouettes: NDArray[np.float64]
    table: Table

    @classmethod
    def from_labels(
        cls,
        rows: NDArray[Any],
        labels: Labels,
        sizes: Labels,
        metric: ClusterMetric,
        seed: int,
    ) -> "ClusterSummary":
        """Summarize clusters that are numbered from 0 without gaps, -1 being noise."""
        clusters = np.arange(len(sizes))
        scaled = to_euclidean(rows, metric)
        centers = np.empty((len(sizes), rows.shape[1]), rows.dtype)
        mean_distance = np.empty(len(sizes))
        max_distance, mean_silhouette = mean_distance.copy(), mean_distance.copy()
        medoids = np.empty(len(sizes), np.int64)
        silhouettes = np.full(len(rows), np.nan)
        if len(sizes):
            cohesion = measure_cohesion(rows, labels, metric, seed=seed)
            silhouettes = cohesion.silhouettes
        for cluster in clusters:
            members = np.flatnonzero(labels == cluster)
            centers[cluster] = scaled[members].mean(axis=0)
            center = centers[cluster : cluster + 1]
            distances = distances_to_centers(rows[members], center, metric)
            mean_distance[cluster] = distances.mean()
            max_distance[cluster] = distances.max()
            mean_silhouette[cluster] = silhouettes[members].mean()
            medoids[cluster] = members[cohesion.mean_distances[members].argmin()]
        table = Table(
            cluster=clusters,
            size=sizes,
            medoid=medoids,
            silhouette=mean_silhouette,
            nearest=_nearest_clusters(centers, metric),
            mean_distance=mean_distance,
            max_distance=max_distance,
        )
        return cls(centers, medoids, silhouettes, table)


def _nearest_clusters(centers: NDArray[Any], metric: ClusterMetric) -> Labels:
    """Return for each cluster the one with the nearest center, -1 if there is none."""
    if len(centers) < 2:
        return np.full(len(centers), -1)
    index = SimilarityIndex(1, metric=metric, algorithm="exact").fit(centers)
    nearest: Labels = index.kneighbors()[1][:, 0]
    return nearest


def renumber_by_size(labels: Labels) -> tuple[Labels, Labels, Labels]:
    """Renumber clusters so that the largest is 0.

    Parameters
    ----------
    labels : ndarray of shape (n_rows,), dtype int64
        Clusters as the algorithm numbers them, -1 for noise.

    Returns
    -------
    labels : ndarray of shape (n_rows,), dtype int64
        New labels, -1 for noise.

    sizes : ndarray of shape (n_clusters,), dtype int64
        Number of rows in each cluster, in decreasing order.

    number_of : ndarray of shape (largest label + 2,), dtype int64
        New number of each old label, -1 for a label without rows. The last element
        is -1 as well, so that indexing with the label -1 gives noise.
    """
    counts = np.bincount(labels[labels >= 0])
    if not len(counts):
        warn_caller(
            f"no cluster was found: all {len(labels)} rows are noise. Try a larger "
            f"eps, a smaller min_samples or min_cluster_size, or n_components=32.",
            WeakClustersWarning,
        )
    by_size = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
    number_of = np.full(len(counts) + 1, -1, dtype=np.int64)
    number_of[by_size] = np.arange(len(by_size))
    return number_of[labels], counts[by_size], number_of


def distances_to_centers(
    rows: NDArray[Any], centers: NDArray[Any], metric: ClusterMetric
) -> NDArray[Any]:
    """Return the distance of each row to each center."""
    scaled = to_euclidean(rows, metric)
    distances: NDArray[Any] = pairwise_distances(scaled, centers, metric=metric)
    return distances
