"""The choice of the number of groups by silhouette."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score
from sklearn.utils import check_array, check_random_state

from imgsim._validation import (
    StrOptions,
    find_readable_rows,
    spread_labels,
    validate_params,
)
from imgsim.cluster._kmeans import RandomState, fit_kmeans, to_euclidean


@dataclass(frozen=True)
class KSelection:
    """The outcome of :func:`select_k`.

    Parameters
    ----------
    best_k : int
        The candidate with the largest mean silhouette; of equal ones the smallest.

    table : dict of str to ndarray of shape (n_candidates,)
        A row a candidate, as `pandas.DataFrame(selection.table)` shows it: `k`,
        `silhouette` in [-1, 1] (larger is better, NaN if the candidate yields a
        single group) and `inertia`, the sum of squared distances to the centres.

    labelings : dict of int to ndarray of shape (n_samples,), dtype int64
        The groups for each k; -1 for rows that hold NaN.

    best_estimator : :class:`~sklearn.cluster.KMeans`
        The k-means fitted with `best_k`; for the cosine metric, on rows of unit
        length.

    See Also
    --------
    select_k : Computes it.

    Examples
    --------
    >>> import numpy as np
    >>> from imgsim.cluster import select_k
    >>> X = np.array([0.0, 0.1, 0.2, 5.0, 5.1, 5.2, 9.0, 9.1, 9.2])[:, np.newaxis]
    >>> selection = select_k(X, range(2, 5), random_state=0)
    >>> selection.best_k, selection.table["silhouette"].round(2).tolist()
    (3, [0.74, 0.97, 0.7])
    """

    best_k: int
    table: dict[str, NDArray[Any]]
    labelings: dict[int, NDArray[np.int64]] = field(repr=False)
    best_estimator: KMeans = field(repr=False)


@validate_params(
    {
        "X": ["array-like"],
        "k_range": ["array-like", range],
        "metric": [StrOptions({"euclidean", "cosine"})],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def select_k(
    X: ArrayLike,
    k_range: Sequence[int] = range(2, 11),
    *,
    metric: str = "euclidean",
    random_state: RandomState = None,
) -> KSelection:
    """Compare numbers of groups by k-means and mean silhouette.

    The silhouette of a row [1]_ tells how much nearer it is to its own group than to
    the next one.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Embeddings. Rows that hold NaN are left out.

    k_range : sequence of int, default=range(2, 11)
        The candidates, each at least 2 and less than the number of readable rows.

    metric : {"euclidean", "cosine"}, default="euclidean"
        Distance between rows. For cosine, k-means works on rows of unit length.

    random_state : int, RandomState instance or None, default=None
        Seeds the starts of k-means.

    Returns
    -------
    selection : KSelection
        `best_k`, the table of all candidates, and their labelings.

    Raises
    ------
    ValueError
        If a candidate is out of range, or no candidate yields two groups, as when
        all rows are equal.

    See Also
    --------
    imgsim.ImageClusterer : With `n_clusters="auto"` it calls this function.

    Notes
    -----
    Each silhouette compares all pairs of rows, in bounded memory:
    `n_samples ** 2 * n_features` operations a candidate.

    References
    ----------
    .. [1] P. J. Rousseeuw, "Silhouettes: a graphical aid to the interpretation and
       validation of cluster analysis", Journal of Computational and Applied
       Mathematics, 1987.

    Examples
    --------
    >>> from imgsim import ColorHistogramEmbedder
    >>> from imgsim.cluster import select_k
    >>> from imgsim.datasets import load_sample_photos
    >>> photos = load_sample_photos(n_crops=3, n_copies=3)
    >>> X = ColorHistogramEmbedder().fit_transform(photos.images)
    >>> select_k(X, random_state=0).best_k
    6
    """
    rows = check_array(X, dtype=(np.float32, np.float64), ensure_all_finite="allow-nan")
    readable = find_readable_rows(rows)
    candidates = _checked_candidates(k_range, n_rows=int(readable.sum()))
    seeds = check_random_state(random_state).randint(2**31 - 1, size=len(candidates))
    space = to_euclidean(rows[readable], metric)
    fitted = [
        fit_kmeans(space, k, int(seed))
        for k, seed in zip(candidates, seeds, strict=True)
    ]
    silhouettes = [
        _silhouette(rows[readable], kmeans.labels_, metric) for kmeans in fitted
    ]
    if np.isnan(silhouettes).all():
        raise ValueError("no candidate yields two groups: all rows of X are equal.")
    table = {
        "k": np.array(candidates),
        "silhouette": np.array(silhouettes),
        "inertia": np.array([kmeans.inertia_ for kmeans in fitted]),
    }
    labelings = {
        k: spread_labels(kmeans.labels_, readable)
        for k, kmeans in zip(candidates, fitted, strict=True)
    }
    best = int(np.nanargmax(silhouettes))
    return KSelection(candidates[best], table, labelings, fitted[best])


def _checked_candidates(k_range: Sequence[int], *, n_rows: int) -> list[int]:
    integral = all(isinstance(k, Integral) for k in k_range)
    candidates = sorted({int(k) for k in k_range}) if integral else []
    if not candidates or candidates[0] < 2 or candidates[-1] >= n_rows:
        raise ValueError(
            f"k_range={k_range!r} must hold integers of at least 2 and less than the "
            f"number of readable rows, n_samples={n_rows}."
        )
    return candidates


def _silhouette(rows: NDArray[Any], labels: NDArray[np.int64], metric: str) -> float:
    n_groups = len(np.unique(labels))
    if not 2 <= n_groups < len(rows):
        return np.nan
    return float(silhouette_score(rows, labels, metric=metric))
