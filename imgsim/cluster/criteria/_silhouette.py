"""Silhouettes of many labelings of the same rows, in one pass over their distances."""

from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array, check_random_state

from imgsim._validation import (
    Interval,
    StrOptions,
    find_readable_rows,
    validate_params,
)
from imgsim.cluster.criteria._group_distances import (
    Groupings,
    own_and_silhouette,
    ranks_in_groups,
    sum_distances,
)

_LEAST_JUDGED = 2  # members of a group, so that they have a variance

_CONSTRAINTS: dict[str, Any] = {
    "X": ["array-like"],
    "labelings": ["array-like"],
    "metric": [StrOptions({"euclidean", "cosine", "manhattan"})],
}


@validate_params(_CONSTRAINTS, prefer_skip_nested_validation=True)
def silhouette_samples_many(
    X: ArrayLike, labelings: ArrayLike, *, metric: str = "euclidean"
) -> NDArray[np.float64]:
    """Compute the silhouette of each row under each of several labelings.

    The silhouette of a row [1]_ is `(b - a) / max(a, b)`, where `a` is its mean
    distance from the other members of its group and `b` that from the members of the
    nearest other group; 0 for a row that is alone in its group.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Embeddings, float32 or float64. A row may hold NaN if no labeling has it in a
        group.

    labelings : array-like of shape (n_labelings, n_samples)
        Groups as integers. Rows labelled -1 are in no group and left out.

    metric : {"euclidean", "cosine", "manhattan"}, default="euclidean"
        Distance between rows. Euclidean is the default as in scikit-learn's silhouette
        functions; pass "cosine" for clusters that :class:`~imgsim.ImageClusterer` found
        with its default metric. For cosine, a row of zeros has distance 1 from others.

    Returns
    -------
    silhouettes : ndarray of shape (n_labelings, n_samples), dtype float64
        In [-1, 1], larger is better; NaN for rows in no group.

    Raises
    ------
    ValueError
        If a labeling has another length than `X`, fewer than two groups, or only
        groups of one row; if labels are no integers; if a row that holds NaN is in
        a group.

    See Also
    --------
    silhouette_score_many : Their means, also from a sample.
    sklearn.metrics.silhouette_samples : The same for a single labeling.

    Notes
    -----
    All labelings share one pass over the distances, computed in single precision
    where that suffices: results agree with double precision to 1e-5. It takes
    `n_samples ** 2 * n_features / 2` products, twice as many where sums of all rows to
    all groups do not fit a quarter of scikit-learn's `working_memory`; and twice the
    time where groups are far apart, ten times where most rows are copies of each
    other. Memory is that of a centred copy of `X` and of these sums. For cosine there
    is no pass, only `n_samples * n_groups * n_features` products, `n_groups` being
    those of all labelings.

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
    rows, groupings = _checked(X, labelings)
    silhouettes = np.full(groupings.codes.shape, np.nan)
    grouped = groupings.grouped
    silhouettes[:, grouped] = _silhouettes(rows, groupings, metric, grouped)
    return silhouettes


@validate_params(
    {
        **_CONSTRAINTS,
        "sample_size": [Interval(Integral, 1, None, closed="left"), None],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def silhouette_score_many(
    X: ArrayLike,
    labelings: ArrayLike,
    *,
    metric: str = "euclidean",
    sample_size: int | None = None,
    random_state: int | np.random.RandomState | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute the mean silhouette of each of several labelings, and its error.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Embeddings, float32 or float64. A row may hold NaN if no labeling has it in a
        group.

    labelings : array-like of shape (n_labelings, n_samples)
        Groups as integers. Rows labelled -1 are in no group and left out.

    metric : {"euclidean", "cosine", "manhattan"}, default="euclidean"
        Distance between rows. Euclidean is the default as in scikit-learn's silhouette
        functions; pass "cosine" for clusters that :class:`~imgsim.ImageClusterer` found
        with its default metric. For cosine, a row of zeros has distance 1 from others.

    sample_size : int, default=None
        Number of rows to judge, the same ones for all labelings, against all rows; and
        of each group at least two, or the only one. None judges all rows, as does a
        size that is not less than their number.

    random_state : int, RandomState instance or None, default=None
        Draws the sample.

    Returns
    -------
    scores : ndarray of shape (n_labelings,), dtype float64
        Mean silhouette of the rows in groups, in [-1, 1], larger is better. From a
        sample, the means of the groups weighted by their sizes.

    standard_errors : ndarray of shape (n_labelings,), dtype float64
        How much `scores` would vary, as standard deviation, with other images of the
        same groups: `sqrt(sum((n_g / n) ** 2 * variance_g / m_g))` over groups of
        `n_g` rows, of which `m_g` were judged, with `variance_g` between them. A row
        alone in its group contributes nothing.

    Raises
    ------
    ValueError
        If a labeling has another length than `X`, fewer than two groups, or only
        groups of one row; if labels are no integers; if a row that holds NaN is in
        a group.

    See Also
    --------
    silhouette_samples_many : The silhouette of each row, how it is computed, and what
        that costs.
    sklearn.metrics.silhouette_score : The same for a single labeling; its sample is
        compared with itself only.

    Notes
    -----
    From a sample it takes `sample_size * n_samples * n_features` products. The
    silhouette of a row that is judged is exact [1]_, so that only the choice of rows
    is left to chance.

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
    rows, groupings = _checked(X, labelings)
    judged, is_judged = _judged_rows(groupings, sample_size, random_state)
    silhouettes = _silhouettes(rows, groupings, metric, judged)
    sizes = groupings.count(groupings.grouped)
    found = []
    for i, some in enumerate(is_judged):
        groups = groupings.groups_of(i)
        codes = groupings.codes[i, judged[some]] - groups.start
        found.append(_mean_and_error(silhouettes[i, some], codes, sizes[groups]))
    scores, standard_errors = np.array(found).T
    return scores, standard_errors


def _checked(X: ArrayLike, labelings: ArrayLike) -> tuple[NDArray[Any], Groupings]:
    """Return rows and their groups, if silhouettes can be computed."""
    rows = check_array(X, dtype=(np.float64, np.float32), ensure_all_finite="allow-nan")
    labels = _checked_labels(labelings, len(rows))
    n_unreadable = int((~find_readable_rows(rows) & (labels != -1).any(axis=0)).sum())
    if n_unreadable:
        raise ValueError(
            f"{n_unreadable} rows of X hold NaN but are in groups: label them -1 in "
            f"every labeling."
        )
    codes, starts = np.full(labels.shape, -1), [0]
    for i, line in enumerate(labels):
        names, inside = np.unique(line[line != -1], return_inverse=True)
        if not 2 <= len(names) < len(inside):
            raise ValueError(
                f"labelings[{i}] has {len(names)} groups: a silhouette needs at least "
                f"2, and fewer than the rows in groups, here {len(inside)}."
            )
        codes[i, line != -1] = inside + starts[-1]
        starts.append(starts[-1] + len(names))
    return rows, Groupings(codes, np.array(starts))


def _checked_labels(labelings: ArrayLike, n_rows: int) -> NDArray[Any]:
    try:
        labels = np.asarray(labelings)
    except ValueError as error:
        raise ValueError(
            f"every one of labelings must have a label for each row of X, "
            f"n_samples={n_rows}; their lengths differ."
        ) from error
    if labels.ndim != 2 or labels.shape[1] != n_rows or not len(labels):
        raise ValueError(
            f"labelings must have shape (n_labelings, n_samples={n_rows}), got "
            f"{labels.shape}; a single labeling goes in a list."
        )
    if labels.dtype.kind not in "iu":
        raise ValueError(f"labelings must hold integers, got dtype={labels.dtype}.")
    return labels


def _silhouettes(
    X: NDArray[Any], groupings: Groupings, metric: str, rows: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return silhouettes of some rows among all, a line for each labeling."""
    found = np.empty((len(groupings.codes), len(rows)))
    columns = groupings.grouped
    sizes = groupings.count(columns)
    for part, sums in sum_distances(X, metric, groupings, rows, columns):
        for i, codes in enumerate(groupings.codes[:, rows[part]]):
            groups = groupings.groups_of(i)
            inside = np.where(codes < 0, -1, codes - groups.start)
            _, found[i, part] = own_and_silhouette(
                sums[groups], inside, sizes[groups], is_column=True
            )
    return found


def _judged_rows(
    groupings: Groupings,
    sample_size: int | None,
    random_state: int | np.random.RandomState | None,
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the rows that any labeling is judged by, and which of them for each."""
    rows = groupings.grouped
    if sample_size is None or sample_size >= len(rows):
        return rows, groupings.codes[:, rows] >= 0
    rows = check_random_state(random_state).permutation(rows)
    codes = groupings.codes[:, rows]
    # The first members in random order are as good a sample as any.
    is_judged = np.array([ranks_in_groups(line) for line in codes]) < _LEAST_JUDGED
    is_judged[:, :sample_size] = True
    is_judged &= codes >= 0
    of_any = is_judged.any(axis=0)
    return rows[of_any], is_judged[:, of_any]


def _mean_and_error(
    silhouettes: NDArray[np.float64], codes: NDArray[np.int64], sizes: NDArray[np.int64]
) -> tuple[float, float]:
    """Return the mean, weighted by the sizes of groups, and its standard error."""
    n_judged = np.bincount(codes)
    means = np.bincount(codes, silhouettes) / n_judged
    deviations = (silhouettes - means[codes]) ** 2
    variances = np.bincount(codes, deviations) / np.maximum(n_judged - 1, 1)
    shares = sizes / sizes.sum()
    return float(shares @ means), float(np.sqrt(shares**2 @ (variances / n_judged)))
