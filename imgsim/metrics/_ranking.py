"""Precision, recall, average precision and NDCG of the first k answers."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array, column_or_1d


def precision_at_k(relevance: ArrayLike, *, k: int) -> float:
    """Compute the share of relevant images among the first k, averaged over queries.

    Parameters
    ----------
    relevance : array-like of shape (n_queries, n_retrieved), dtype bool
        Whether the image at each rank, the nearest first, is relevant to the query.
        With labels it is `y_index[indices] == y_query[:, None]`; leave out the rows
        of unreadable queries, whose indices are -1.

    k : int
        Number of ranks looked at, 1 to `n_retrieved`. The denominator.

    Returns
    -------
    precision : float
        In [0, 1].

    Raises
    ------
    ValueError
        If `k` is out of range.

    See Also
    --------
    recall_at_k : The share of the relevant images that is found.
    retrieval_report : Several of these metrics in one table.

    Examples
    --------
    >>> from imgsim.metrics import precision_at_k
    >>> precision_at_k([[True, False, True], [True, True, True]], k=2)
    0.75
    """
    return float(_checked_relevance(relevance, k).mean())


def recall_at_k(relevance: ArrayLike, n_relevant: ArrayLike, *, k: int) -> float:
    """Compute the share of the relevant images found among the first k.

    Parameters
    ----------
    relevance : array-like of shape (n_queries, n_retrieved), dtype bool
        Whether the image at each rank, the nearest first, is relevant to the query.

    n_relevant : array-like of shape (n_queries,), dtype int
        Number of images in the collection that are relevant to each query, the query
        itself not counted. The denominator. Queries with none are left out.

    k : int
        Number of ranks looked at, 1 to `n_retrieved`.

    Returns
    -------
    recall : float
        Mean over the queries, in [0, 1].

    Raises
    ------
    ValueError
        If `k` is out of range, `n_relevant` smaller than what `relevance` shows, or
        no query has a relevant image.

    See Also
    --------
    precision_at_k : The share of relevant images among those found.

    Examples
    --------
    >>> from imgsim.metrics import recall_at_k
    >>> recall_at_k([[True, False, True], [True, True, True]], [4, 3], k=2)
    0.4583333333333333
    """
    relevant, n_total = _answerable(relevance, n_relevant, k)
    return float((relevant.sum(axis=1) / n_total).mean())


def average_precision_at_k(
    relevance: ArrayLike, n_relevant: ArrayLike, *, k: int | None = None
) -> float:
    """Compute the mean average precision of the first k ranks.

    The precisions at the ranks of the relevant images among the first k are summed
    and divided by the largest number there could be, `min(k, n_relevant)`, so that a
    perfect ranking scores 1 at every k.

    Parameters
    ----------
    relevance : array-like of shape (n_queries, n_retrieved), dtype bool
        Whether the image at each rank, the nearest first, is relevant to the query.

    n_relevant : array-like of shape (n_queries,), dtype int
        Number of images in the collection that are relevant to each query, the query
        itself not counted. Queries with none are left out.

    k : int, default=None
        Number of ranks looked at, 1 to `n_retrieved`. None looks at all; if the whole
        collection is ranked, the result is the usual mean average precision (mAP).

    Returns
    -------
    average_precision : float
        Mean over the queries, in [0, 1].

    Raises
    ------
    ValueError
        If `k` is out of range, `n_relevant` smaller than what `relevance` shows, or
        no query has a relevant image.

    See Also
    --------
    ndcg_at_k : Another metric that rewards relevant images at early ranks.

    References
    ----------
    .. [1] C. D. Manning, P. Raghavan and H. Schütze, "Introduction to Information
       Retrieval", chapter 8, Cambridge University Press, 2008.

    Examples
    --------
    >>> from imgsim.metrics import average_precision_at_k
    >>> average_precision_at_k([[True, False, True]], [2])
    0.8333333333333333
    """
    relevant, n_total = _answerable(relevance, n_relevant, k)
    ranks = np.arange(1, relevant.shape[1] + 1)
    precisions = np.cumsum(relevant, axis=1) / ranks
    n_best = np.minimum(n_total, relevant.shape[1])
    return float(((precisions * relevant).sum(axis=1) / n_best).mean())


def ndcg_at_k(relevance: ArrayLike, n_relevant: ArrayLike, *, k: int) -> float:
    """Compute the normalized discounted cumulative gain of the first k ranks.

    A relevant image at rank r gains `1 / log2(r + 1)`; the sum is divided by that of
    a perfect ranking, in which the first `min(k, n_relevant)` are relevant.

    Parameters
    ----------
    relevance : array-like of shape (n_queries, n_retrieved), dtype bool
        Whether the image at each rank, the nearest first, is relevant to the query.

    n_relevant : array-like of shape (n_queries,), dtype int
        Number of images in the collection that are relevant to each query, the query
        itself not counted. Queries with none are left out.

    k : int
        Number of ranks looked at, 1 to `n_retrieved`.

    Returns
    -------
    ndcg : float
        Mean over the queries, in [0, 1].

    Raises
    ------
    ValueError
        If `k` is out of range, `n_relevant` smaller than what `relevance` shows, or
        no query has a relevant image.

    See Also
    --------
    sklearn.metrics.ndcg_score : The same gain, from scores instead of ranks.

    References
    ----------
    .. [1] K. Järvelin and J. Kekäläinen, "Cumulated gain-based evaluation of IR
       techniques", ACM Transactions on Information Systems, 2002.

    Examples
    --------
    >>> from imgsim.metrics import ndcg_at_k
    >>> round(ndcg_at_k([[True, False, True]], [2], k=3), 3)
    0.92
    """
    relevant, n_total = _answerable(relevance, n_relevant, k)
    gains = 1 / np.log2(np.arange(2, relevant.shape[1] + 2))
    ideal = np.cumsum(gains)[np.minimum(n_total, relevant.shape[1]) - 1]
    return float(((relevant * gains).sum(axis=1) / ideal).mean())


def _checked_relevance(relevance: ArrayLike, k: int | None) -> NDArray[np.bool_]:
    """Return the first k columns of a valid relevance array."""
    values = check_array(relevance, dtype=None, input_name="relevance")
    if not np.isin(values, (0, 1)).all():
        raise ValueError("relevance must hold booleans, or 0 and 1.")
    n_retrieved = values.shape[1]
    k = n_retrieved if k is None else k
    if not isinstance(k, int | np.integer) or not 1 <= k <= n_retrieved:
        raise ValueError(
            f"k={k!r} must be an integer, at least 1 and at most {n_retrieved=}."
        )
    relevant: NDArray[np.bool_] = values[:, :k].astype(bool)
    return relevant


def _answerable(
    relevance: ArrayLike, n_relevant: ArrayLike, k: int | None
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Return relevance and number of relevant images of the queries that have any."""
    relevant = _checked_relevance(relevance, k)
    n_total = column_or_1d(n_relevant)
    if n_total.dtype.kind not in "iu":
        raise ValueError(f"n_relevant must hold integers; got dtype {n_total.dtype}.")
    n_found = relevant.sum(axis=1)
    if len(n_total) != len(relevant):
        raise ValueError(
            f"n_relevant has {len(n_total)} entries for {len(relevant)} queries."
        )
    if (n_total < n_found).any():
        query = int(np.argmax(n_total < n_found))
        raise ValueError(
            f"n_relevant[{query}]={n_total[query]} must be at least {n_found[query]}, "
            f"the number of relevant images retrieved for that query."
        )
    answerable = n_total > 0
    if not answerable.any():
        raise ValueError("n_relevant is 0 for every query: nothing can be found.")
    return relevant[answerable], n_total[answerable]
