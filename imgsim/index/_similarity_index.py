"""A collection of embeddings that answers which are nearest to a query."""

from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.validation import check_is_fitted

from imgsim._distance.metric import (
    KINDS,
    OTHER_NAMES,
    SLOW_METRICS,
    check_max_distance,
)
from imgsim._validation import Interval, StrOptions
from imgsim._warnings import warn_caller
from imgsim.index._filters import allowed_slots, excluded_slots, without
from imgsim.index._neighbors_queries import NeighborsQueries
from imgsim.index._saving import Saving
from imgsim.index._search_result import SearchResult
from imgsim.index._thresholds import threshold_by_coverage, threshold_by_precision
from imgsim.metrics import precision_at_k

_MANY = 256  # ids that one query leaves out
_METRICS = {*KINDS, *OTHER_NAMES, *SLOW_METRICS, "precomputed"}


class SimilarityIndex(Saving, NeighborsQueries):
    """Find the most similar images of a collection by their embeddings.

    Parameters
    ----------
    n_neighbors : int, default=5
        Number of neighbours returned, if a method is not told otherwise.

    radius : float, default=1.0
        Largest distance in `radius_neighbors`, if it is not told otherwise.

    metric : str or callable, default="cosine"
        Distance between rows. Fast ones are "cosine", "euclidean", "sqeuclidean",
        "manhattan", "chebyshev", "correlation", "inner_product" (1 minus the product)
        and, for rows of booleans, "hamming" and "jaccard". Other names of
        `scipy.spatial.distance`, and functions of two rows, are slow. Distances are
        as scikit-learn defines them: cosine distance is 1 minus the cosine, in [0, 2],
        and a row of zeros has distance 1 to all.

    metric_params : dict, default=None
        What a metric of SciPy's takes, such as `{"p": 3}` for "minkowski".

    mode : {"distance", "connectivity"}, default="distance"
        What `transform` returns.

    algorithm : {"auto", "exact", "pynndescent"}, default="auto"
        How neighbours are found. "exact" compares all rows; "pynndescent" walks over a
        graph, which is built once and finds nearly all. "auto" is exact up to
        600,000,000 numbers in the collection, where a query takes a third of a second.

    recall : float, default=0.95
        Share of the true neighbours that the graph should find, in (0, 1]. The walk is
        made as long as a sample of the rows needs it; `recall_` is what was measured.

    query_expansion : int, default=0
        Number of neighbours that are added to a query before it is answered [1]_. Only
        for metric="cosine".

    database_augmentation : int, default=0
        Number of neighbours that are added to each row when it is kept [2]_. Only for
        metric="cosine". A row that is asked for again may then not find itself first.

    expansion_power : float, default=3.0
        Power of the similarity by which these neighbours are weighted.

    device : str, default="cpu"
        Where products of rows are computed in an exact search: "cpu", "auto" for a GPU
        if there is one, or a device of torch such as "cuda:1".

    random_state : int, RandomState instance or None, default=None
        Draws what building a graph draws.

    Attributes
    ----------
    n_features_in_ : int
        Width of a row.

    n_samples_fit_ : int
        Number of rows, unreadable ones counted.

    readable_ : ndarray of shape (n_samples_fit_,), dtype bool
        Whether each row is an embedding, and not the NaN of an unreadable image.

    embeddings_ : ndarray of shape (n_samples_fit_, n_features_in_)
        Embeddings of the index, read-only, float32 or float64. Rows of unreadable
        images hold NaN. With `database_augmentation` these are the augmented embeddings.

    effective_metric_ : str or callable
        Metric used: "manhattan" if `metric` is one of its other names, "cityblock" and
        "l1"; "euclidean" if it is "l2"; else `metric`.

    effective_metric_params_ : dict
        Parameters of the metric: `metric_params`, and the variances that `fit` computes
        for "seuclidean" and "mahalanobis" unless they are given.

    ids_ : ndarray of shape (n_samples_fit_,)
        Name of each row; its number if `fit` was given no `ids`.

    y_ : ndarray of shape (n_samples_fit_,) or None
        Label of each row, if `fit` was given labels.

    algorithm_ : str
        How neighbours are found: "exact" or "pynndescent".

    recall_ : float
        Share of the true neighbours that was found when the graph was built, by rows
        that were not in it; 1 for an exact search.

    fingerprint_ : str or None
        What made the rows, if `fit` was told.

    See Also
    --------
    imgsim.ImageEmbedder : Turns images into rows.
    imgsim.find_duplicates : Groups the copies of a collection.
    sklearn.neighbors.NearestNeighbors : The like of it, without ids and thresholds.

    Notes
    -----
    An exact search costs `n_queries * n_samples_fit_ * n_features_in_` operations and
    memory within scikit-learn's `working_memory`. It scores all rows in few digits,
    with a bound of the error, and compares exactly those that may be in the answer:
    neighbours and distances are those of double precision, rounded to the type of the
    rows. Rows that hold NaN stand for unreadable images: they are never neighbours, and
    as queries they have none. Searches may run in several threads at once; `fit`, `add`
    and `remove` may not.

    References
    ----------
    .. [1] F. Radenović, G. Tolias and O. Chum, "Fine-tuning CNN image retrieval with no
       human annotation", IEEE TPAMI, 2018.
    .. [2] R. Arandjelović and A. Zisserman, "Three things everyone should know to
       improve object retrieval", CVPR 2012.

    Examples
    --------
    >>> from imgsim import ColorHistogramEmbedder, SimilarityIndex
    >>> from imgsim.datasets import load_sample_photos
    >>> photos = load_sample_photos(n_crops=4, n_copies=2)
    >>> X = ColorHistogramEmbedder().fit_transform(photos.images)
    >>> names = [f"photo {i}" for i in range(len(X))]
    >>> index = SimilarityIndex(metric="manhattan").fit(X, ids=names)
    >>> distances, ids = index.search(X[:2], n_neighbors=3, max_distance=0.2)
    >>> [found.tolist() for found in ids]
    [['photo 0', 'photo 2'], ['photo 1']]
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "radius": [Interval(Real, None, None, closed="neither")],
        "metric": [StrOptions(_METRICS), callable],
        "metric_params": [dict, None],
        "mode": [StrOptions({"distance", "connectivity"})],
        "algorithm": [StrOptions({"auto", "exact", "pynndescent"})],
        "recall": [Interval(Real, 0, 1, closed="right")],
        "query_expansion": [Interval(Integral, 0, None, closed="left")],
        "database_augmentation": [Interval(Integral, 0, None, closed="left")],
        "expansion_power": [Interval(Real, 0, None, closed="left")],
        "device": [str],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        n_neighbors: int = 5,
        *,
        radius: float = 1.0,
        metric: str | Callable[..., float] = "cosine",
        metric_params: dict[str, Any] | None = None,
        mode: str = "distance",
        algorithm: str = "auto",
        recall: float = 0.95,
        query_expansion: int = 0,
        database_augmentation: int = 0,
        expansion_power: float = 3.0,
        device: str = "cpu",
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_neighbors = n_neighbors
        self.radius = radius
        self.metric = metric
        self.metric_params = metric_params
        self.mode = mode
        self.algorithm = algorithm
        self.recall = recall
        self.query_expansion = query_expansion
        self.database_augmentation = database_augmentation
        self.expansion_power = expansion_power
        self.device = device
        self.random_state = random_state

    def search(
        self,
        X: ArrayLike | None = None,
        n_neighbors: int | None = None,
        max_distance: float | None = None,
        *,
        where: ArrayLike | None = None,
        exclude_ids: Sequence[Any] | None = None,
        fingerprint: str | None = None,
    ) -> SearchResult:
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

        where : array-like of shape (n_samples_fit_,), dtype bool, default=None
            Which rows may be found, in the order of `ids_`. None allows all.

        exclude_ids : sequence, default=None
            Ids that are in no answer; or a list of n_queries lists, sets or arrays of
            ids, each left out of the answer to its query. Unknown ids are ignored.

        fingerprint : str, default=None
            What made the queries.

        Returns
        -------
        distances : list of n_queries ndarray, each of shape (n_found,)
            Distances of the neighbors of each query, increasing; empty where nothing is
            near enough, or the query is unreadable.

        ids : list of n_queries ndarray, each of shape (n_found,)
            Ids of these neighbors, in the same order. The pair is a
            :class:`SearchResult`, which notebooks show as images.

        Raises
        ------
        ValueError
            If `n_neighbors` is less than 1, `max_distance` negative, `where` of another
            length, or the queries do not fit the rows.
        """
        check_is_fitted(self)
        k = self.n_neighbors if n_neighbors is None else n_neighbors
        if not isinstance(k, Integral) or k < 1:
            raise ValueError(f"n_neighbors={k!r} must be an integer, at least 1.")
        limit = check_max_distance(max_distance, self.effective_metric_)
        if X is not None:
            X = self._checked_rows(X, fingerprint)
        n_queries = self.n_samples_fit_ if X is None else len(X)
        excluded = excluded_slots(self._store, exclude_ids, n_queries)
        if excluded.n_at_most > _MANY and X is not None:
            return self._searched_singly(X, k, max_distance, where, exclude_ids)
        allowed = allowed_slots(self._store, where, excluded.everywhere)
        n_candidates = int(np.count_nonzero(allowed))
        k_and_excluded = min(int(k) + excluded.n_at_most, n_candidates)
        distances, rows = self._answer(X, k_and_excluded, fingerprint, allowed)
        near = (rows >= 0) & ~(distances > limit)
        near = without(near, rows, excluded, int(k), self._store)
        found = [row[some] for row, some in zip(rows, near, strict=True)]
        away = [row[some] for row, some in zip(distances, near, strict=True)]
        ids = self.ids_
        return SearchResult(away, [ids[row] for row in found], found)

    def _searched_singly(
        self,
        X: NDArray[Any],
        n_neighbors: int,
        max_distance: float | None,
        where: ArrayLike | None,
        exclude_ids: Any,
    ) -> SearchResult:
        """Search for each query alone, that not all look for what one leaves out."""
        answers = [
            self.search(X[[i]], n_neighbors, max_distance, where=where, exclude_ids=own)
            for i, own in enumerate(map(list, exclude_ids))
        ]
        parts = ((answer.distances, answer.ids, answer.rows) for answer in answers)
        return SearchResult(
            *([p for (p,) in part] for part in zip(*parts, strict=True))
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
        labels = self._labels("score")
        check_consistent_length(X, y)
        k = min(self.n_neighbors, self._n_candidates(X))
        _, indices = self._answer(X, k, None)
        answered = indices[:, 0] >= 0
        if not answered.any():
            raise ValueError("every row of X holds NaN: there is no query to score.")
        own_label = column_or_1d(y)[answered]
        _warn_of_unknown_labels(own_label, labels[self.readable_])
        return precision_at_k(labels[indices[answered]] == own_label[:, None], k=k)

    def suggest_threshold(
        self, *, precision: float | None = None, coverage: float = 0.95
    ) -> float:
        """Suggest a distance beyond which to answer that nothing is similar.

        Parameters
        ----------
        precision : float, default=None
            Share of the answers that should be right, in (0, 1]; needs labels.

        coverage : float, default=0.95
            Share of the right answers that should be kept, in (0, 1], if `precision` is
            None. With labels, these are the neighbours of the same label; without, each
            row's nearest other row is taken to be right.

        Returns
        -------
        max_distance : float
            To be passed to `search`. By `precision` the largest distance up to which
            that share of the `n_neighbors` nearest bears the label of its query; by
            `coverage` the smallest that keeps that share.

        Raises
        ------
        ValueError
            If `precision` is given and the index has no labels, or it is reached at no
            distance.

        Notes
        -----
        The rows of the index ask, and each is left out of its own answer. Without
        labels this is the conformal test of novelty [1]_: a new image of the same kind
        as the collection, drawn alike, gets no answer with probability `1 - coverage`
        at most; fewer than `1 / (1 - coverage)` rows cannot promise so much, and give
        the largest distance they know. It promises nothing of strangers, and
        collections full of near copies make it too small for images that have none. A
        threshold holds for this model, metric and collection only. An exact index
        compares all rows with all others for it.

        References
        ----------
        .. [1] R. Laxhammar and G. Falkman, "Conformal prediction for distribution-
           independent anomaly detection in streaming vessel data", StreamKDD 2010.
        """
        check_is_fitted(self)
        name, value = (
            ("coverage", coverage) if precision is None else ("precision", precision)
        )
        if not isinstance(value, Real) or not 0 < value <= 1:
            raise ValueError(f"{name}={value!r} must be a number in (0, 1].")
        if self._n_candidates(None) < 1:
            raise ValueError("suggest_threshold needs two rows that can be read.")
        labels = self.y_ if precision is None else self._labels("precision")
        k = 1 if labels is None else min(self.n_neighbors, self._n_candidates(None))
        distances, indices = self._answer(None, k, None)
        asking = self.readable_
        if labels is None:
            return threshold_by_coverage(distances[asking, 0], coverage)
        is_right = labels[indices[asking]] == labels[asking, np.newaxis]
        if precision is None:
            return threshold_by_coverage(distances[asking][is_right], coverage)
        return threshold_by_precision(distances[asking], is_right, precision)

    def _labels(self, asker: str) -> NDArray[Any]:
        if self.y_ is None:
            raise ValueError(f"{asker} needs labels of the rows: call fit(X, y).")
        return self.y_


def _warn_of_unknown_labels(labels: NDArray[Any], known: NDArray[Any]) -> None:
    n_unknown = int((~np.isin(labels, known)).sum())
    if n_unknown:
        warn_caller(
            f"{n_unknown} of {len(labels)} queries bear a label that no row of the "
            f"index has, and count as failures. If the images are sorted by class, "
            f"pass cv=StratifiedKFold(shuffle=True) to the search or validation.",
            UserWarning,
        )
