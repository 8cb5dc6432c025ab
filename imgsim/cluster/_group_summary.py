"""What there is to tell of groups: sizes, centres, medoids, silhouettes."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics.pairwise import pairwise_distances

from imgsim._warnings import warn_caller
from imgsim.cluster.algorithms._feature_space import to_euclidean
from imgsim.cluster.criteria._group_distances import describe_groups
from imgsim.exceptions import WeakClustersWarning
from imgsim.export._table import Table
from imgsim.index import SimilarityIndex

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Groups:
    """Groups of rows, numbered by size.

    Parameters
    ----------
    centers : ndarray of shape (n_groups, n_features)
        Mean row of each; for cosine, of rows of unit length.

    medoids : ndarray of shape (n_groups,), dtype int64
        Row with the smallest mean distance to the others of its group.

    silhouettes : ndarray of shape (n_rows,)
        NaN for noise.

    table : Table
        A row a group.
    """

    centers: NDArray[Any]
    medoids: Labels
    silhouettes: NDArray[np.float64]
    table: Table

    @classmethod
    def of(
        cls, rows: NDArray[Any], labels: Labels, sizes: Labels, metric: str, seed: int
    ) -> "Groups":
        """Describe groups 0 to k - 1 of rows, -1 being noise."""
        groups = np.arange(len(sizes))
        seen = to_euclidean(rows, metric)
        members = [np.flatnonzero(labels == group) for group in groups]
        centers = np.empty((len(sizes), rows.shape[1]), rows.dtype)
        means = np.empty(len(sizes))
        largest, mean_silhouette = means.copy(), means.copy()
        medoids = np.empty(len(sizes), np.int64)
        silhouettes = np.full(len(rows), np.nan)
        if len(sizes):
            told = describe_groups(rows, labels, metric, seed=seed)
            silhouettes = told.silhouette
        for group, some in enumerate(members):
            centers[group] = seen[some].mean(axis=0)
            away = distances_from(rows[some], centers[group : group + 1], metric)
            means[group], largest[group] = away.mean(), away.max()
            mean_silhouette[group] = silhouettes[some].mean()
            medoids[group] = some[told.own[some].argmin()]
        table = Table(
            group=groups,
            size=sizes,
            medoid=medoids,
            silhouette=mean_silhouette,
            nearest=_nearest_of_each(centers, metric),
            mean_distance=means,
            max_distance=largest,
        )
        return cls(centers, medoids, silhouettes, table)


def _nearest_of_each(centers: NDArray[Any], metric: str) -> Labels:
    if len(centers) < 2:
        return np.full(len(centers), -1)
    index = SimilarityIndex(1, metric=metric, algorithm="exact").fit(centers)
    nearest: Labels = index.kneighbors()[1][:, 0]
    return nearest


def number_by_size(found: Labels) -> tuple[Labels, Labels, Labels]:
    """Renumber groups, the largest 0.

    Parameters
    ----------
    found : ndarray of shape (n_rows,), dtype int64
        Labels, -1 for noise.

    Returns
    -------
    labels : ndarray of shape (n_rows,), dtype int64
        New labels, -1 for noise.

    sizes : ndarray of shape (n_groups,), dtype int64
        Never increasing.

    number_of : ndarray of shape (largest label + 2,), dtype int64
        New number of each old one, -1 for one without rows; the last is noise's.
    """
    counts = np.bincount(found[found >= 0])
    if not len(counts):
        warn_caller(
            f"no group was found: all {len(found)} rows are noise. Try a larger eps, a "
            f"smaller min_samples or min_cluster_size, or n_components=32.",
            WeakClustersWarning,
        )
    by_size = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
    number_of = np.full(len(counts) + 1, -1, dtype=np.int64)
    number_of[by_size] = np.arange(len(by_size))
    return number_of[found], counts[by_size], number_of


def distances_from(
    rows: NDArray[Any], centers: NDArray[Any], metric: str
) -> NDArray[Any]:
    """Return the distances of rows from centres, by the metric."""
    seen = to_euclidean(rows, metric)
    distances: NDArray[Any] = pairwise_distances(seen, centers, metric=metric)
    return distances
