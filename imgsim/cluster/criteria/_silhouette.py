"""Silhouettes for many labelings of the same rows, in one pass over their distances."""

from numbers import Integral
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from imgsim._validation import (
    RANDOM_STATE,
    Interval,
    StrOptions,
    check_embeddings,
    find_readable_rows,
    validate_params,
)
from imgsim.cluster.criteria._cluster_distances import (
    Labelings,
    own_distances_and_silhouettes,
    ranks_in_clusters,
    sum_distances,
)

SilhouetteMetric = Literal["euclidean", "cosine", "manhattan"]

_LEAST_SAMPLED = 2  # rows of each cluster, so that a variance can be computed

_CONSTRAINTS: dict[str, Any] = {
    "X": ["array-like"],
    "labelings": ["array-like"],
    "metric": [StrOptions({"euclidean", "cosine", "manhattan"})],
}


@validate_params(_CONSTRAINTS, prefer_skip_nested_validation=True)
def silhouette_samples_many(
    X: ArrayLike, labelings: ArrayLike, *, metric: SilhouetteMetric = "euclidean"
) -> NDArray[np.float64]:
    """Compute the silhouette of each row for each of several labelings.

    The silhouette of a row [1]_ is `(b - a) / max(a, b)`, where `a` is the mean
    distance of the row to the other members of its cluster, and `b` is its mean
    distance to the members of the nearest other cluster. It is 0 for the only member
    of a cluster.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Embeddings, float32 or float64. A row may contain NaN if its label is -1 in
        every labeling.

    labelings : array-like of shape (n_labelings, n_samples)
        Cluster labels, integers. Rows with the label -1 are in no cluster and are
        ignored.

    metric : {"euclidean", "cosine", "manhattan"}, default="euclidean"
        Distance between rows. Euclidean is the default as in scikit-learn's silhouette
        functions; pass "cosine" for clusters that :class:`~imgsim.ImageClusterer` found
        with its default metric. For cosine, a row of zeros has distance 1 from others.

    Returns
    -------
    silhouettes : ndarray of shape (n_labelings, n_samples), dtype float64
        In [-1, 1], larger is better; NaN for rows in no cluster.

    Raises
    ------
    ValueError
        If a labeling has another length than `X`, fewer than two clusters, or only
        clusters of one row; if labels are not integers; if a row that contains NaN
        is in a cluster.

    See Also
    --------
    silhouette_score_many : Mean silhouettes, also computed from a sample.
    sklearn.metrics.silhouette_samples : Silhouettes for a single labeling.

    Notes
    -----
    All labelings share one pass over the distances, which are computed in single
    precision where that suffices: results agree with double precision to within 1e-5.
    The pass takes `n_samples ** 2 * n_features / 2` multiplications, or twice as many
    if the sums of the distances of all rows to all clusters do not fit in a quarter of
    scikit-learn's `working_memory`. It takes twice the time if clusters are far apart,
    and ten times if most rows are copies of each other. Memory is needed for a centered
    copy of `X` and for these sums. For cosine there is no pass over pairs, only
    `n_samples * n_clusters * n_features` multiplications, where `n_clusters` counts the
    clusters of all labelings.

    References
    ----------
    .. [1] P. J. Rousseeuw, "Silhouettes: a graphical aid to the interpretation and
       validation of cluster analysis", Journal of Computational and Applied
       Mathematics, 1987.

    Examples
    --------
    >>> import numpy as np
    >>> from imgsim.cluster import silhouette_samples_many
    >>> X = np.array([[0.0], [1.0], [8.0], [9.0], [50.0]])
    >>> silhouette_samples_many(X, [[0, 0, 1, 1, -1], [0, 1, 1, 1, 2]]).round(2)
    array([[ 0.88,  0.87,  0.87,  0.88,   nan],
           [ 0.  , -0.87,  0.5 ,  0.5 ,  0.  ]])
    """
    rows, labels = _checked(X, labelings, "silhouette_samples_many")
    silhouettes = np.full(labels.codes.shape, np.nan)
    clustered = labels.clustered
    silhouettes[:, clustered] = _silhouettes(rows, labels, metric, clustered)
    return silhouettes


@validate_params(
    {
        **_CONSTRAINTS,
        "sample_size": [Interval(Integral, 1, None, closed="left"), None],
        "random_state": RANDOM_STATE,
    },
    prefer_skip_nested_validation=True,
)
def silhouette_score_many(
    X: ArrayLike,
    labelings: ArrayLike,
    *,
    metric: SilhouetteMetric = "euclidean",
    sample_size: int | None = None,
    random_state: int | np.random.RandomState | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute mean silhouettes and their standard errors for several labelings.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Embeddings, float32 or float64. A row may contain NaN if its label is -1 in
        every labeling.

    labelings : array-like of shape (n_labelings, n_samples)
        Cluster labels, integers. Rows with the label -1 are in no cluster and are
        ignored.

    metric : {"euclidean", "cosine", "manhattan"}, default="euclidean"
        Distance between rows. Euclidean is the default as in scikit-learn's silhouette
        functions; pass "cosine" for clusters that :class:`~imgsim.ImageClusterer` found
        with its default metric. For cosine, a row of zeros has distance 1 from others.

    sample_size : int, default=None
        Number of rows whose silhouettes are computed. The same rows are sampled for all
        labelings, and each is compared with all rows. Rows are added if a cluster has
        fewer than two rows in the sample. None, or a number that is not smaller than
        the number of rows, means all rows.

    random_state : int, RandomState instance or None, default=None
        Controls which rows are sampled.

    Returns
    -------
    scores : ndarray of shape (n_labelings,), dtype float64
        Mean silhouette of the rows in clusters, in [-1, 1], larger is better. With a
        sample, the mean of the clusters' means, weighted by the sizes of the clusters.

    standard_errors : ndarray of shape (n_labelings,), dtype float64
        Estimated standard deviation of `scores` if other images of the same clusters
        were drawn: `sqrt(sum((n_g / n) ** 2 * variance_g / m_g))`. The sum is over
        clusters, `n` is the number of rows in clusters, `n_g` is the size of a cluster,
        and `variance_g` is the variance of the `m_g` silhouettes computed for it. A
        cluster with a single row contributes 0.

    Raises
    ------
    ValueError
        If a labeling has another length than `X`, fewer than two clusters, or only
        clusters of one row; if labels are not integers; if a row that contains NaN
        is in a cluster.

    See Also
    --------
    silhouette_samples_many : Compute the silhouette of each row. Its notes describe
        the computation and its cost.
    sklearn.metrics.silhouette_score : Mean silhouette for a single labeling. Rows of a
        sample are only compared with each other.

    Notes
    -----
    A sample takes `sample_size * n_samples * n_features` multiplications. The
    silhouettes of the sampled rows are exact [1]_, so that only the choice of the rows
    is random.

    References
    ----------
    .. [1] P. J. Rousseeuw, "Silhouettes: a graphical aid to the interpretation and
       validation of cluster analysis", Journal of Computational and Applied
       Mathematics, 1987.

    Examples
    --------
    >>> from imgsim import ColorHistogramEmbedder
    >>> from imgsim.cluster import silhouette_score_many
    >>> from imgsim.datasets import load_sample_photos
    >>> photos = load_sample_photos(n_crops=3, n_copies=3)
    >>> X = ColorHistogramEmbedder().fit_transform(photos.images)
    >>> in_pairs = photos.target // 2
    >>> scores, standard_errors = silhouette_score_many(X, [in_pairs, photos.target])
    >>> scores.round(2), standard_errors.round(2)
    (array([0.44, 0.75]), array([0.01, 0.02]))
    """
    rows, labels = _checked(X, labelings, "silhouette_score_many")
    sampled, is_sampled = _sample_rows(labels, sample_size, random_state)
    silhouettes = _silhouettes(rows, labels, metric, sampled)
    sizes = labels.sizes(labels.clustered)
    results = []
    for i, some in enumerate(is_sampled):
        clusters = labels.clusters_of(i)
        codes = labels.codes[i, sampled[some]] - clusters.start
        results.append(_mean_and_error(silhouettes[i, some], codes, sizes[clusters]))
    scores, standard_errors = np.array(results).T
    return scores, standard_errors


def _checked(
    X: ArrayLike, labelings: ArrayLike, caller: str
) -> tuple[NDArray[Any], Labelings]:
    """Return rows and their clusters, or raise ValueError if silhouettes are undefined.

    The clusters of all labelings are numbered consecutively.
    """
    rows = check_embeddings(X, caller, dtype=(np.float64, np.float32))
    labels = _checked_labels(labelings, len(rows))
    n_unreadable = int((~find_readable_rows(rows) & (labels != -1).any(axis=0)).sum())
    if n_unreadable:
        raise ValueError(
            f"{n_unreadable} rows of X contain NaN but are in clusters. Label them -1 "
            f"in every labeling."
        )
    codes, starts = np.full(labels.shape, -1), [0]
    for i, line in enumerate(labels):
        names, inside = np.unique(line[line != -1], return_inverse=True)
        if not 2 <= len(names) < len(inside):
            raise ValueError(
                f"labelings[{i}] has {len(names)} clusters. Silhouettes need at least "
                f"2 clusters, and fewer than the {len(inside)} rows in clusters."
            )
        codes[i, line != -1] = inside + starts[-1]
        starts.append(starts[-1] + len(names))
    return rows, Labelings(codes, np.array(starts))


def _checked_labels(labelings: ArrayLike, n_rows: int) -> NDArray[Any]:
    try:
        labels = np.asarray(labelings)
    except ValueError as error:
        raise ValueError(
            f"labelings must have shape (n_labelings, n_samples={n_rows}), but their "
            f"lengths differ."
        ) from error
    if labels.ndim != 2 or labels.shape[1] != n_rows or not len(labels):
        raise ValueError(
            f"labelings must have shape (n_labelings, n_samples={n_rows}), got "
            f"{labels.shape}. Pass a single labeling as a list that contains it."
        )
    if labels.dtype.kind not in "iu":
        raise ValueError(f"labelings must be integers; got dtype {labels.dtype}.")
    return labels


def _silhouettes(
    X: NDArray[Any], labelings: Labelings, metric: str, rows: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the silhouettes of some rows, one line for each labeling."""
    silhouettes = np.empty((len(labelings.codes), len(rows)))
    columns = labelings.clustered
    sizes = labelings.sizes(columns)
    for block, sums in sum_distances(X, metric, labelings, rows, columns):
        for i, codes in enumerate(labelings.codes[:, rows[block]]):
            clusters = labelings.clusters_of(i)
            inside = np.where(codes < 0, -1, codes - clusters.start)
            _, silhouettes[i, block] = own_distances_and_silhouettes(
                sums[clusters], inside, sizes[clusters], is_column=True
            )
    return silhouettes


def _sample_rows(
    labelings: Labelings,
    sample_size: int | None,
    random_state: int | np.random.RandomState | None,
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the rows that any labeling needs, and which of them each labeling uses."""
    rows = labelings.clustered
    if sample_size is None or sample_size >= len(rows):
        return rows, labelings.codes[:, rows] >= 0
    rows = check_random_state(random_state).permutation(rows)
    codes = labelings.codes[:, rows]
    # The first members in random order are a random sample of their cluster.
    is_sampled = np.array([ranks_in_clusters(line) for line in codes]) < _LEAST_SAMPLED
    is_sampled[:, :sample_size] = True
    is_sampled &= codes >= 0
    in_any = is_sampled.any(axis=0)
    return rows[in_any], is_sampled[:, in_any]


def _mean_and_error(
    silhouettes: NDArray[np.float64], codes: NDArray[np.int64], sizes: NDArray[np.int64]
) -> tuple[float, float]:
    """Return the mean, weighted by cluster sizes, and its standard error."""
    n_sampled = np.bincount(codes)
    means = np.bincount(codes, silhouettes) / n_sampled
    deviations = (silhouettes - means[codes]) ** 2
    variances = np.bincount(codes, deviations) / np.maximum(n_sampled - 1, 1)
    shares = sizes / sizes.sum()
    return float(shares @ means), float(np.sqrt(shares**2 @ (variances / n_sampled)))
