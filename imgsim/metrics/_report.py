"""Text report of retrieval metrics."""

from collections.abc import Sequence

from numpy.typing import ArrayLike
from sklearn.utils import check_array

from imgsim._validation import is_integer
from imgsim.metrics._ranking import (
    average_precision_at_k,
    ndcg_at_k,
    precision_at_k,
    recall_at_k,
)


def retrieval_report(
    relevance: ArrayLike,
    n_relevant: ArrayLike,
    *,
    ks: Sequence[int] = (1, 5, 10),
    digits: int = 3,
) -> str:
    """Build a text report of the main retrieval metrics.

    Parameters
    ----------
    relevance : array-like of shape (n_queries, n_retrieved), dtype bool
        Whether the image at each rank, nearest first, is relevant to the query.

    n_relevant : array-like of shape (n_queries,), dtype int
        Number of images in the collection that are relevant to each query, excluding
        the query itself.

    ks : sequence of int, default=(1, 5, 10)
        Numbers of ranks to report. Numbers above `n_retrieved` are ignored. The last
        row of the report always evaluates all `n_retrieved` ranks.

    digits : int, default=3
        Number of digits after the decimal point.

    Returns
    -------
    report : str
        One row for each `k`. Precision is the mean over all queries. Recall, average
        precision and NDCG are means over the queries that have relevant images.

    Raises
    ------
    ValueError
        If an element of `ks` is not an integer of at least 1, `digits` is not an
        integer of at least 0, or no query has a relevant image.

    See Also
    --------
    sklearn.metrics.classification_report : Build a text report of a classification.

    Examples
    --------
    >>> from imgsim import ColorHistogramEmbedder, SimilarityIndex
    >>> from imgsim.datasets import load_sample_photos
    >>> from imgsim.metrics import retrieval_report
    >>> photos = load_sample_photos(n_copies=5)
    >>> X = ColorHistogramEmbedder().fit_transform(photos.images)
    >>> _, indices = SimilarityIndex().fit(X).kneighbors(n_neighbors=10)
    >>> relevance = photos.target[indices] == photos.target[:, None]
    >>> print(retrieval_report(relevance, [5] * len(X), ks=(1, 5)))
              k  precision   recall       AP     NDCG
              1      0.948    0.190    0.948    0.948
              5      0.906    0.906    0.905    0.921
             10      0.458    0.917    0.909    0.927
    """
    if not is_integer(digits) or digits < 0:
        raise ValueError(f"digits={digits!r} must be an integer, at least 0.")
    n_retrieved = check_array(relevance, dtype=None, input_name="relevance").shape[1]
    rows = [f"{'k':>11}{'precision':>11}{'recall':>9}{'AP':>9}{'NDCG':>9}"]
    for k in dict.fromkeys((*(k for k in ks if k <= n_retrieved), n_retrieved)):
        precision = precision_at_k(relevance, k=k)
        others = (
            metric(relevance, n_relevant, k=k)
            for metric in (recall_at_k, average_precision_at_k, ndcg_at_k)
        )
        cells = "".join(f"{value:>9.{digits}f}" for value in others)
        rows.append(f"{k:>11}{precision:>11.{digits}f}{cells}")
    return "\n".join(rows)
