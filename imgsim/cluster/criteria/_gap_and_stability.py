"""Criteria by repeated clustering: the gap statistic, and stability of subsamples."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from sklearn.metrics import adjusted_rand_score

Labels = NDArray[np.int64]
ClusterFunction = Callable[[NDArray[Any]], Labels]

N_REFERENCES = 10
N_SUBSAMPLES = 10
_SUBSAMPLE_SHARE = 0.8


def gap_statistic(
    rows: NDArray[Any],
    labels: Labels,
    cluster: ClusterFunction,
    draw_reference: Callable[[], NDArray[Any]],
) -> tuple[float, float]:
    """Compare the spread within clusters with the spread in rows without clusters.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_features)
        The rows that were clustered.

    labels : ndarray of shape (n_rows,), dtype int64
        Cluster of each row.

    cluster : callable
        Takes rows, and returns their labels for the same number of clusters.

    draw_reference : callable
        Returns a new set of rows without clusters each time.

    Returns
    -------
    gap : float
        Mean of log(W) over ten references, minus log(W) of the rows, where W is the sum
        of squared distances to the cluster means; larger is better [1]_.

    error : float
        Standard deviation over the references, times sqrt(1 + 1 / 10).

    References
    ----------
    .. [1] R. Tibshirani, G. Walther and T. Hastie, "Estimating the number of clusters
       in a data set via the gap statistic", Journal of the Royal Statistical Society
       B, 2001.
    """
    logs = []
    for _ in range(N_REFERENCES):
        reference = draw_reference()
        logs.append(_log_spread(reference, cluster(reference)))
    gap = np.mean(logs) - _log_spread(rows, labels)
    return float(gap), float(np.std(logs) * np.sqrt(1 + 1 / N_REFERENCES))


def reference_box(
    rows: NDArray[Any],
) -> Callable[[np.random.Generator], NDArray[Any]]:
    """Return a function that draws rows uniformly from the box of the principal axes.

    The box encloses the rows, and its sides are parallel to their principal axes.
    """
    mean = rows.mean(axis=0)
    centered = rows - mean
    _, axes = eigh(centered.T @ centered)
    projected = centered @ axes
    low, high = projected.min(axis=0), projected.max(axis=0)

    def draw(rng: np.random.Generator) -> NDArray[Any]:
        drawn = rng.uniform(low, high, size=rows.shape) @ axes.T + mean
        uniform: NDArray[Any] = drawn.astype(rows.dtype)
        return uniform

    return draw


def stability(
    rows: NDArray[Any],
    labels: Labels,
    cluster: ClusterFunction,
    rng: np.random.Generator,
) -> tuple[float, float]:
    """Measure how well clusters of subsamples agree with the clusters of all rows.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_features)
        The rows that were clustered.

    labels : ndarray of shape (n_rows,), dtype int64
        Cluster of each row.

    cluster : callable
        Takes rows, and returns their labels for the same number of clusters.

    rng : Generator
        Draws the subsamples.

    Returns
    -------
    stability : float
        Mean adjusted Rand index over ten random subsamples, each of four fifths of the
        rows; at most 1, larger is better [1]_.

    error : float
        Standard error of the mean over the subsamples.

    References
    ----------
    .. [1] A. Ben-Hur, A. Elisseeff and I. Guyon, "A stability based method for
       discovering structure in clustered data", Pacific Symposium on Biocomputing,
       2002.
    """
    n_drawn = max(2, int(_SUBSAMPLE_SHARE * len(rows)))
    scores = []
    for _ in range(N_SUBSAMPLES):
        drawn = rng.choice(len(rows), n_drawn, replace=False)
        scores.append(adjusted_rand_score(labels[drawn], cluster(rows[drawn])))
    error = np.std(scores, ddof=1) / np.sqrt(N_SUBSAMPLES)
    return float(np.mean(scores)), float(error)


def _log_spread(rows: NDArray[Any], labels: Labels) -> float:
    spread = 0.0
    for label in np.unique(labels):
        members = rows[labels == label].astype(np.float64)
        spread += float(((members - members.mean(axis=0)) ** 2).sum())
    return float(np.log(max(spread, np.finfo(np.float64).tiny)))
