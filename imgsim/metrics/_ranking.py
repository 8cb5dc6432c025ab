"""Precision, recall, average precision and NDCG at rank k."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array, column_or_1d

from imgsim._validation import is_integer


def precision_at_k(relevance: ArrayLike, *, k: int) -> float:
    """Compute the mean precision of the first k results.

    The precision of a query is the proportion of its first `k` results that are
    relevant.

    Parameters
    ----------
    relevance : array-like of shape (n_queries, n_retrieved), dtype bool
        Whether the image at each rank, nearest first, is relevant to the query. Given
        labels, this is `y_index[indices] == y_query[:, None]`. Exclude the rows of
        unreadable queries, whose indices are -1.

    k : int
        Number of ranks to evaluate, from 1 to `n_retrieved`.

    Returns
    -------
    precision : float
        Mean over the queries, in [0, 1].

    Raises
    ------
    ValueError
        If `k` is out of range.

    See Also
    --------
    recall_at_k : Compute the mean recall of the first k results.
    retrieval_report : Build a text report of several retrieval metrics.

    Examples
    --------
    >>> from imgsim.metrics import precision_at_k
    >>> precision_at_k([[True, False, True], [True, True, True]], k=2)
    0.75
    """
    return float(_checked_relevance(relevance, k).mean())


def recall_at_k(relevance: ArrayLike, n_relevant: ArrayLike, *, k: int) -> float:
    """Compute the mean recall of the first k results.

    The recall of a query is the proportion of the relevant images in the collection
    that are among its first `k` results.

    Parameters
    ----------
    relevance : array-like of shape (n_queries, n_retrieved), dtype bool
        Whether the image at each rank, nearest first, is relevant to the query.

    n_relevant : array-like of shape (n_queries,), dtype int
        Number of images in the collection that are relevant to each query, excluding
        the query itself. Queries without relevant images are ignored.

    k : int
        Number of ranks to evaluate, from 1 to `n_retrieved`.

    Returns
    -------
    recall : float
        Mean over the queries, in [0, 1].

    Raises
    ------
    ValueError
        If `k` is out of range, if `n_relevant` is smaller than the number of relevant
        images in a row of `relevance`, or if no query has a relevant image.

    See Also
    --------
    precision_at_k : Compute the mean precision of the first k results.

    Examples
    --------
    >>> from imgsim.metrics import recall_at_k
    >>> recall_at_k([[True, False, True], [True, True, True]], [4, 3], k=2)
    0.4583333333333333
    """
    relevant, n_total = _drop_queries_without_relevant(relevance, n_relevant, k)
    return float((relevant.sum(axis=1) / n_total).mean())


def average_precision_at_k(
    relevance: ArrayLike, n_relevant: ArrayLike, *, k: int | None = None
) -> float:
    """Compute the mean average precision of the first k results.

    The average precision [1]_ of a query is the sum of the precisions at the ranks of
    the relevant images among its first `k` results, divided by `min(k, n_relevant)`. A
    perfect ranking therefore has a score of 1 for every `k`.

    Parameters
    ----------
    relevance : array-like of shape (n_queries, n_retrieved), dtype bool
        Whether the image at each rank, nearest first, is relevant to the query.

    n_relevant : array-like of shape (n_queries,), dtype int
        Number of images in the collection that are relevant to each query, excluding
        the query itself. Queries without relevant images are ignored.

    k : int, default=None
        Number of ranks to evaluate, from 1 to `n_retrieved`. None evaluates all ranks.
        If the whole collection is ranked, the result is the mean average precision
        (mAP).

    Returns
    -------
    average_precision : float
        Mean over the queries, in [0, 1].

    Raises
    ------
    ValueError
        If `k` is out of range, if `n_relevant` is smaller than the number of relevant
        images in a row of `relevance`, or if no query has a relevant image.

    See Also
    --------
    ndcg_at_k : Compute the mean normalized discounted cumulative gain.

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
    relevant, n_total = _drop_queries_without_relevant(relevance, n_relevant, k)
    ranks = np.arange(1, relevant.shape[1] + 1)
    precisions = np.cumsum(relevant, axis=1) / ranks
    n_best = np.minimum(n_total, relevant.shape[1])
    return float(((precisions * relevant).sum(axis=1) / n_best).mean())


def ndcg_at_k(relevance: ArrayLike, n_relevant: ArrayLike, *, k: int) -> float:
    """Compute the mean normalized discounted cumulative gain of the first k results.

    The discounted cumulative gain of a query is the sum of `1 / log2(r + 1)` over the
    ranks `r` of the relevant images among its first `k` results. It is divided by the
    gain of a perfect ranking, in which the first `min(k, n_relevant)` results are
    relevant [1]_.

    Parameters
    ----------
    relevance : array-like of shape (n_queries, n_retrieved), dtype bool
        Whether the image at each rank, nearest first, is relevant to the query.

    n_relevant : array-like of shape (n_queries,), dtype int
        Number of images in the collection that are relevant to each query, excluding
        the query itself. Queries without relevant images are ignored.

    k : int
        Number of ranks to evaluate, from 1 to `n_retrieved`.

    Returns
    -------
    ndcg : float
        Mean over the queries, in [0, 1].

    Raises
    ------
    ValueError
        If `k` is out of range, if `n_relevant` is smaller than the number of relevant
        images in a row of `relevance`, or if no query has a relevant image.

    See Also
    --------
    sklearn.metrics.ndcg_score : Compute the same metric from scores.

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
    relevant, n_total = _drop_queries_without_relevant(relevance, n_relevant, k)
    gains = 1 / np.log2(np.arange(2, relevant.shape[1] + 2))
    ideal = np.cumsum(gains)[np.minimum(n_total, relevant.shape[1]) - 1]
    return float(((relevant * gains).sum(axis=1) / ideal).mean())


def _checked_relevance(relevance: ArrayLike, k: int | None) -> NDArray[np.bool_]:
    """Return the first k columns of a valid relevance array."""
    values = check_array(relevance, dtype=None, input_name="relevance")
    if not np.isin(values, (0, 1)).all():
        raise ValueError("relevance must contain booleans, or 0 and 1 only.")
    n_retrieved = values.shape[1]
    k = n_retrieved if k is None else k
    if not is_integer(k) or not 1 <= k <= n_retrieved:
        raise ValueError(
            f"k={k!r} must be an integer, at least 1 and at most {n_retrieved=}."
        )
    relevant: NDArray[np.bool_] = values[:, :k].astype(bool)
    return relevant


def _drop_queries_without_relevant(
    relevance: ArrayLike, n_relevant: ArrayLike, k: int | None
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Return both arrays for the queries that have relevant images."""
    relevant = _checked_relevance(relevance, k)
    n_total = column_or_1d(n_relevant)
    if n_total.dtype.kind not in "iu":
        raise ValueError(f"n_relevant must be integers; got dtype {n_total.dtype}.")
    n_found = relevant.sum(axis=1)
    if len(n_total) != len(relevant):
        raise ValueError(
            f"n_relevant has {len(n_total)} entries and relevance has {len(relevant)} "
            f"queries; both must have the same length."
        )
    if (n_total < n_found).any():
        query = int(np.argmax(n_total < n_found))
        raise ValueError(
            f"n_relevant[{query}]={n_total[query]} must be at least {n_found[query]}, "
            f"the number of relevant images among the results of that query."
        )
    has_relevant = n_total > 0
    if not has_relevant.any():
        raise ValueError("n_relevant must be greater than 0 for at least one query.")
    return relevant[has_relevant], n_total[has_relevant]
