"""Groups of unseen rows, for algorithms that cannot assign them by themselves."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.cluster import DBSCAN
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.mixture import GaussianMixture

from imgsim.cluster.algorithms._registry import ALGORITHMS
from imgsim.cluster.selection._candidates import Setting
from imgsim.index import SimilarityIndex

Labels = NDArray[np.int64]
_N_VOTERS = 15


class Rule(Protocol):
    """What assigns unseen rows to groups."""

    def predict(self, rows: NDArray[Any]) -> Labels:
        """Return the group of each row."""


class OwnRule:
    """The rule of the fitted estimator, its groups renumbered.

    A group that had no row when fitted stands for the one with the nearest centre.
    """

    def __init__(
        self,
        estimator: Any,
        number_of: Labels,
        rows: NDArray[Any],
        labels: Labels,
    ) -> None:
        self.estimator = estimator
        self.number_of = number_of
        is_mixture = isinstance(estimator, GaussianMixture)
        self.dtype = np.dtype(np.float64) if is_mixture else rows.dtype
        groups = range(labels.max() + 1)
        self.centers = np.stack([rows[labels == i].mean(axis=0) for i in groups])

    def predict(self, rows: NDArray[Any]) -> Labels:
        """Return the group of each row."""
        found = self.estimator.predict(rows.astype(self.dtype, copy=False))
        labels: Labels = self.number_of[np.minimum(found, len(self.number_of) - 1)]
        lost = labels < 0
        if lost.any():
            distances = euclidean_distances(rows[lost], self.centers)
            labels[lost] = distances.argmin(axis=1)
        return labels


class NearestCore:
    """The group of the nearest core sample, if it is within the radius of DBSCAN."""

    def __init__(
        self, dbscan: DBSCAN, rows: NDArray[Any], labels: Labels, metric: str
    ) -> None:
        self.eps = float(dbscan.eps)
        self.labels = labels[dbscan.core_sample_indices_]
        self.index = None
        if len(self.labels):
            index = SimilarityIndex(1, metric=metric, algorithm="exact")
            self.index = index.fit(rows[dbscan.core_sample_indices_])

    def predict(self, rows: NDArray[Any]) -> Labels:
        """Return the group of each row, -1 for noise."""
        if self.index is None:
            return np.full(len(rows), -1, dtype=np.int64)
        distances, nearest = self.index.kneighbors(rows)
        near = distances[:, 0] <= self.eps
        return np.where(near, self.labels[nearest[:, 0]], -1)


class NeighborVote:
    """The group, or noise, of the nearest rows, weighted by the inverse distance.

    Rows at distance 0 alone decide if there are any, so that the rows of the collection
    keep their groups.
    """

    def __init__(self, rows: NDArray[Any], labels: Labels, seed: int) -> None:
        n_voters = min(_N_VOTERS, len(rows))
        index = SimilarityIndex(n_voters, metric="euclidean", random_state=seed)
        self.index = index.fit(rows)
        self.labels = labels

    def predict(self, rows: NDArray[Any]) -> Labels:
        """Return the group of each row, -1 for noise."""
        distances, nearest = self.index.kneighbors(rows)
        weights = 1 / np.maximum(distances, np.finfo(distances.dtype).tiny)
        same = distances == 0
        decided = same.any(axis=1)
        weights[decided] = same[decided]
        # Noise votes too, in the first column.
        votes = np.zeros((len(rows), self.labels.max() + 2))
        voters = np.repeat(np.arange(len(rows)), nearest.shape[1])
        np.add.at(votes, (voters, self.labels[nearest].ravel() + 1), weights.ravel())
        winners: Labels = votes.argmax(axis=1) - 1
        return winners


def make_rule(
    setting: Setting, estimator: Any, labels: Labels, number_of: Labels
) -> Rule:
    """Return what assigns unseen rows to the groups that were found.

    Parameters
    ----------
    setting : Setting
        What was clustered.

    estimator : object
        Fitted.

    labels : ndarray of shape (n_rows,), dtype int64
        The groups by number, -1 for noise.

    number_of : ndarray
        The number of each group of the estimator; the last is noise's.

    Returns
    -------
    rule : Rule
        Its `predict` takes rows of the same space.
    """
    assigns = ALGORITHMS[setting.algorithm].assigns
    if assigns == "itself":
        return OwnRule(estimator, number_of, setting.seen, labels)
    if assigns == "cores":
        return NearestCore(estimator, setting.seen, labels, setting.metric)
    return NeighborVote(setting.seen, labels, setting.seed)


def as_limits(
    max_distance: ArrayLike | None, n_groups: int
) -> NDArray[np.float64] | None:
    """Return the largest distance from the centre of each group, None without limits.

    Parameters
    ----------
    max_distance : float, array-like of shape (n_groups,) or None
        One for all groups, or one for each.

    n_groups : int
        Number of groups.

    Returns
    -------
    limits : ndarray of shape (n_groups,), dtype float64, or None
        What was given, for each group.

    Raises
    ------
    ValueError
        If it is negative, no number or of another shape.
    """
    if max_distance is None:
        return None
    given = np.asarray(max_distance)
    are_numbers = given.dtype.kind in "iuf" and given.shape in ((), (n_groups,))
    if not are_numbers or not (given >= 0).all():
        raise ValueError(
            f"max_distance={max_distance!r} must be at least 0: one number, or one for "
            f"each of the {n_groups} groups."
        )
    return np.broadcast_to(given.astype(np.float64), n_groups)
