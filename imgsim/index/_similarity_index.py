"""A collection of embeddings that answers which are nearest to a query."""

import warnings
from collections.abc import Hashable, Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import Tags, check_consistent_length, column_or_1d
from sklearn.utils.validation import check_is_fitted

from imgsim._validation import (
    Interval,
    StrOptions,
    check_rows,
    check_rows_to_fit,
    find_readable_rows,
    fit_context,
)
from imgsim.index._exact import find_nearest_rows
from imgsim.metrics import precision_at_k


class SimilarityIndex(BaseEstimator):
    """Find the most similar images of a collection by their embeddings.

    Every query is compared with every row, block by block, so that the answer is exact
    and memory stays within scikit-learn's `working_memory`.

    Parameters
    ----------
    n_neighbors : int, default=5
        Number of neighbours returned, if a method is not told otherwise.

    metric : {"cosine", "euclidean", "manhattan"}, default="cosine"
        Distance between rows, as scikit-learn defines it; cosine distance is one
        minus the cosine, in [0, 2].

    Attributes
    ----------
    n_features_in_ : int
        Width of a row.

    n_samples_fit_ : int
        Number of rows, unreadable ones counted.

    readable_ : ndarray of shape (n_samples_fit_,), dtype bool
        Whether each row is an embedding, and not the NaN of an unreadable image.

    ids_ : ndarray of shape (n_samples_fit_,)
        Name of each row; its number if `fit` was given no `ids`.

    y_ : ndarray of shape (n_samples_fit_,) or None
        Label of each row, if `fit` was given labels.

    See Also
    --------
    imgsim.ImageEmbedder : Turns images into rows.
    sklearn.neighbors.NearestNeighbors : The like of it, without ids and thresholds.

    Notes
    -----
    A search costs `n_queries * n_samples_fit_ * n_features_in_` operations. Rows that
    hold NaN stand for unreadable images: they are never neighbours, and as
    queries they have none.

    Examples
    --------
    >>> from imgsim import ColorHistogramEmbedder, SimilarityIndex
    >>> from imgsim.datasets import load_sample_photos
    >>> photos = load_sample_photos(n_crops=4, n_copies=2)
    >>> X = ColorHistogramEmbedder().fit_transform(photos.images)
    >>> names = [f"photo {i}" for i in range(len(X))]
    >>> index = SimilarityIndex(metric="manhattan").fit(X, ids=names)
    >>> ids, distances = index.search(X[:2], n_neighbors=3, max_distance=0.2)
    >>> [found.tolist() for found in ids]
    [['photo 0', 'photo 2'], ['photo 1']]
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "metric": [StrOptions({"cosine", "euclidean", "manhattan"})],
    }

    def __init__(self, n_neighbors: int = 5, *, metric: str = "cosine") -> None:
        self.n_neighbors = n_neighbors
        self.metric = metric

    @fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike | None = None,
        ids: Sequence[Hashable] | None = None,
    ) -> Self:
        """Keep the rows to search among.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Embeddings, kept as float32 or float64.

        y : array-like of shape (n_samples,), default=None
            Labels, for `score`.

        ids : sequence of length n_samples, default=None
            Names by which `search` refers to the rows, such as paths; no two alike.
            None takes the row numbers.

        Returns
        -------
        self : SimilarityIndex
            The fitted index.

        Raises
        ------
        ValueError
            If lengths differ, ids repeat, a value is infinite, or every row holds NaN.
        """
        X, self.readable_ = check_rows_to_fit(self, X)
        self._readable = np.flatnonzero(self.readable_)
        check_consistent_length(X, y)
        self.y_ = None if y is None else column_or_1d(y)
        self.ids_ = np.arange(len(X)) if ids is None else _unique_ids(ids, len(X))
        self.n_samples_fit_ = len(X)
        self._rows = X[self._readable]
        return self

    def kneighbors(
        self,
        X: ArrayLike | None = None,
        n_neighbors: int | None = None,
        return_distance: bool = True,
    ) -> tuple[NDArray[Any], NDArray[np.int64]] | NDArray[np.int64]:
        """Find the nearest rows of each query.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features), default=None
            The queries. None takes the rows of the index, and then no row is its own
            neighbour, also where another row equals it.

        n_neighbors : int, default=None
            Number of neighbours of each query, at most the number of readable rows.
            None takes that of the constructor.

        return_distance : bool, default=True
            Whether to return the distances.

        Returns
        -------
        distances : ndarray of shape (n_queries, n_neighbors), dtype of the rows
            Increasing along each row; NaN for an unreadable query. Only if
            `return_distance`.

        indices : ndarray of shape (n_queries, n_neighbors), dtype int64
            Row numbers; of equally near rows the lowest comes first; -1 for an
            unreadable query.

        Raises
        ------
        ValueError
            If `n_neighbors` exceeds the number of rows that can be neighbours, or the
            queries have another width.
        """
        check_is_fitted(self)
        k = self.n_neighbors if n_neighbors is None else n_neighbors
        n_candidates = len(self._readable) - (X is None)
        if not isinstance(k, Integral) or not 1 <= k <= n_candidates:
            raise ValueError(
                f"n_neighbors={k!r} must be an integer, at least 1 and at most "
                f"{n_candidates}, the number of readable rows"
                f"{' other than the query' if X is None else ''} "
                f"(n_samples_fit={self.n_samples_fit_})."
            )
        distances, indices = self._nearest(X, int(k))
        return (distances, indices) if return_distance else indices

    def search(
        self,
        X: ArrayLike | None = None,
        n_neighbors: int | None = None,
        max_distance: float | None = None,
    ) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
        """Find which images are similar to each query, perhaps none.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features), default=None
            The queries. None takes the rows of the index, and then no row is its own
            neighbour.

        n_neighbors : int, default=None
            Largest number of neighbours of each query; there are fewer where the
            index holds fewer. None takes that of the constructor.

        max_distance : float, default=None
            Largest distance of a neighbour. None sets no limit.

        Returns
        -------
        ids : list of n_queries ndarray, each of shape (n_found,)
            Ids of the neighbours, the nearest first; empty where nothing is near
            enough, or the query is unreadable.

        distances : list of n_queries ndarray, each of shape (n_found,)
            Their distances, increasing.

        Raises
        ------
        ValueError
            If `n_neighbors` is less than 1, `max_distance` negative, or the queries
            have another width.
        """
        check_is_fitted(self)
        k = self.n_neighbors if n_neighbors is None else n_neighbors
        if not isinstance(k, Integral) or k < 1:
            raise ValueError(f"n_neighbors={k!r} must be an integer, at least 1.")
        limit = np.inf if max_distance is None else max_distance
        if not isinstance(limit, Real) or not limit >= 0:
            raise ValueError(f"max_distance={limit!r} must be a number, at least 0.")
        n_candidates = len(self._readable) - (X is None)
        distances, indices = self._nearest(X, min(int(k), n_candidates))
        near = distances <= limit
        return (
            [self.ids_[row[found]] for row, found in zip(indices, near, strict=True)],
            [row[found] for row, found in zip(distances, near, strict=True)],
        )

    def score(self, X: ArrayLike, y: ArrayLike) -> float:
        """Return the precision among the first `n_neighbors` neighbours.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Queries that are not rows of the index.

        y : array-like of shape (n_queries,)
            Their labels.

        Returns
        -------
        precision : float
            The share of neighbours that bear the label of their query, in [0, 1];
            unreadable queries are left out.

        Raises
        ------
        ValueError
            If `fit` was given no labels, or no query can be read.

        Warns
        -----
        UserWarning
            If a query bears a label that no row of the index has, as happens when
            cross-validation splits images that are sorted by class: shuffle them, as
            `sklearn.model_selection.StratifiedKFold(shuffle=True)` does.
        """
        check_is_fitted(self)
        if self.y_ is None:
            raise ValueError("score needs labels of the rows: call fit(X, y).")
        check_consistent_length(X, y)
        k = min(self.n_neighbors, len(self._readable))
        _, indices = self._nearest(X, k)
        answered = indices[:, 0] >= 0
        if not answered.any():
            raise ValueError("every row of X holds NaN: there is no query to score.")
        own_label = column_or_1d(y)[answered]
        _warn_of_unknown_labels(own_label, self.y_[self._readable])
        return precision_at_k(self.y_[indices[answered]] == own_label[:, None], k=k)

    def _nearest(
        self, X: ArrayLike | None, n_neighbors: int
    ) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Answer in row numbers, with a row of NaN and -1 for an unreadable query."""
        if X is None:
            queries, asking, n_queries = self._rows, self._readable, self.n_samples_fit_
        else:
            checked = check_rows(self, X, reset=False)
            asking = np.flatnonzero(find_readable_rows(checked))
            queries, n_queries = checked[asking], len(checked)
        distances = np.full((n_queries, n_neighbors), np.nan, dtype=self._rows.dtype)
        indices = np.full((n_queries, n_neighbors), -1, dtype=np.int64)
        if len(asking) and n_neighbors:
            distances[asking], nearest = find_nearest_rows(
                queries,
                self._rows,
                n_neighbors=n_neighbors,
                metric=self.metric,
                exclude_self=X is None,
            )
            indices[asking] = self._readable[nearest]
        return distances, indices

    def __sklearn_tags__(self) -> Tags:
        """Tell scikit-learn that rows of NaN are understood."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def _warn_of_unknown_labels(labels: NDArray[Any], known: NDArray[Any]) -> None:
    n_unknown = int((~np.isin(labels, known)).sum())
    if n_unknown:
        warnings.warn(
            f"{n_unknown} of {len(labels)} queries bear a label that no row of the "
            f"index has, and count as failures. If the images are sorted by class, "
            f"pass cv=StratifiedKFold(shuffle=True) to the search or validation.",
            stacklevel=3,
        )


def _unique_ids(ids: Sequence[Hashable], n_rows: int) -> NDArray[np.object_]:
    if isinstance(ids, str):
        raise TypeError(f"ids={ids!r} must be a sequence with one id for each row.")
    if len(ids) != n_rows:
        raise ValueError(f"ids holds {len(ids)} ids for {n_rows} rows of X.")
    first_row: dict[Hashable, int] = {}
    for row, name in enumerate(ids):
        if not isinstance(name, Hashable):
            raise TypeError(f"ids must be hashable; row {row} has {name!r}.")
        if name in first_row:
            raise ValueError(
                f"ids must differ; rows {first_row[name]} and {row} both have {name!r}."
            )
        first_row[name] = row
    unique = np.empty(len(first_row), dtype=object)
    unique[:] = list(first_row)
    return unique
