"""Similarity search: find the most similar images of a collection."""

import os
from collections.abc import Callable, Hashable, Iterable, Sequence
from copy import copy
from dataclasses import fields, replace
from numbers import Integral, Real
from typing import Any, ClassVar, Literal, Self, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_matrix
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import check_is_fitted

from imgsim._callbacks import as_fit_task
from imgsim._distance.magnitudes import check_magnitudes, check_magnitudes_to_fit
from imgsim._distance.metric import (
    MetricName,
    check_max_distance,
    make_metric,
)
from imgsim._estimator_base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    Tags,
    TransformerMixin,
)
from imgsim._logging import log_run
from imgsim._validation import (
    RANDOM_STATE,
    Interval,
    StrOptions,
    check_rows,
    check_rows_to_fit,
    fit_context,
    is_integer,
    is_number,
)
from imgsim.index._filters import find_allowed_slots, find_excluded_slots
from imgsim.index._query_checks import check_fingerprint, check_kind
from imgsim.index._row_labels import (
    as_labels,
    have_equal_labels,
    warn_of_unknown_labels,
)
from imgsim.index._row_store import check_boolean_values, check_ids, is_boolean
from imgsim.index._search_result import SearchResult, find_known_queries
from imgsim.index._searcher import Searcher, SearchParameters, check_graph_mode
from imgsim.index._thresholds import threshold_by_coverage, threshold_by_precision
from imgsim.index._write_lock import write_lock
from imgsim.index.storage._index_file import (
    IndexContent,
    load_index,
    refuse_invalid_content,
    save_index,
)
from imgsim.metrics import precision_at_k

_log_run = log_run("n_samples_fit_", "n_features_in_", "metric", "algorithm_")
_METRICS = {*get_args(MetricName), "precomputed"}


class SimilarityIndex(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Find the most similar images of a collection by their embeddings.

    Parameters
    ----------
    n_neighbors : int, default=5
        Number of neighbors to return by default.

    radius : float, default=1.0
        Largest distance of a neighbor in `radius_neighbors` by default.

    metric : str or callable, default="cosine"
        Distance between embeddings. "cosine", the default, suits embeddings of neural
        networks: it is 1 minus the cosine similarity, in [0, 2], and 1 for a row of
        zeros. The other fast metrics are "correlation", "euclidean", "sqeuclidean",
        "manhattan", "chebyshev", "inner_product" (1 minus the inner product) and, for
        boolean rows, "hamming" and "jaccard". Other metrics of
        `scipy.spatial.distance` and functions of two rows are also accepted, but are
        slow. Distances are defined as in scikit-learn.

    metric_params : dict, default=None
        Parameters of a SciPy metric or of a function, such as `{"p": 3}` for
        "minkowski".

    mode : {"distance", "connectivity"}, default="distance"
        Values of the graph that `transform` returns: distances, or ones.

    algorithm : {"auto", "exact", "pynndescent"}, default="auto"
        How neighbors are found. "exact" compares a query with all rows. "pynndescent"
        builds a graph of the rows once, and a search follows its edges; it misses some
        neighbors. "auto" is exact unless the collection contains more than 600,000,000
        values and the metric is supported by the graph. An exact search takes about a
        third of a second for one query at that size.

    recall : float, default=0.95
        Fraction of the true neighbors that a search of the graph should find, in
        (0, 1]. A wider search finds more neighbors and takes longer. `fit` measures the
        recall on a sample of the rows, and chooses the narrowest search that reaches
        it. `recall_` is the measured recall.

    query_expansion : int, default=0
        Number of nearest rows added to each query before the final search [1]_.
        Requires metric="cosine".

    database_augmentation : int, default=0
        Number of nearest rows added to each row when it is indexed [2]_. Requires
        metric="cosine". An indexed row used as a query may then not be its own nearest
        neighbor.

    expansion_power : float, default=3.0
        Power of the cosine similarity by which the added rows are weighted.

    device : str, default="cpu"
        Device that computes the products of rows in an exact search: "cpu", "auto" for
        a GPU if there is one, or a torch device such as "cuda:1".

    random_state : int, RandomState instance or None, default=None
        Controls the randomness of graph construction. Pass an int for reproducible
        results.

    Attributes
    ----------
    n_features_in_ : int
        Number of features of an embedding.

    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if `X` was a DataFrame with string column names.

    n_samples_fit_ : int
        Number of indexed rows, including rows of unreadable images.

    embeddings_ : ndarray of shape (n_samples_fit_, n_features_in_)
        Indexed embeddings, read-only, float32 or float64. Rows of unreadable images
        contain NaN. With `database_augmentation` these are the augmented embeddings.

    readable_ : ndarray of shape (n_samples_fit_,), dtype bool
        Whether each row is an embedding. False for the NaN of an unreadable image.

    ids_ : ndarray of shape (n_samples_fit_,)
        Id of each row, the row number if no `ids` were passed to `fit`.

    y_ : ndarray of shape (n_samples_fit_,) or None
        Label of each row, if labels were passed to `fit`.

    effective_metric_ : str or callable
        Metric used: "manhattan" if `metric` is "cityblock" or "l1", "euclidean" if it
        is "l2", and `metric` otherwise.

    effective_metric_params_ : dict
        Parameters of the metric: `metric_params`, and the variances that `fit` computes
        for "seuclidean" and "mahalanobis" unless they are given.

    algorithm_ : str
        How neighbors are found: "exact" or "pynndescent".

    recall_ : float
        Fraction of the true neighbors found when the graph was built, measured with
        rows that were left out of the graph. 1.0 for an exact search.

    fingerprint_ : str or None
        Fingerprint of the embedder, if it was passed to `fit`.

    See Also
    --------
    imgsim.ImageEmbedder : Computes embeddings of images.
    imgsim.find_duplicates : Finds groups of copies in a collection.
    sklearn.neighbors.NearestNeighbors : Nearest neighbors without ids and thresholds.

    Notes
    -----
    An exact search takes `n_queries * n_samples_fit_ * n_features_in_` operations and
    memory within scikit-learn's `working_memory`. It computes approximate scores of all
    rows with a known error bound, and then the exact distances of the rows that may be
    among the results. Neighbors and distances are the same as if they were computed in
    double precision throughout; the distances are then rounded to the dtype of the
    rows.

    Rows that contain NaN stand for unreadable images. They are never returned as
    neighbors, and as queries they have no neighbors.

    The methods of an index may be called by several threads at the same time. `fit`,
    `add` and `remove` prepare a new state of the index and then switch to it in a
    single step: if they raise an error or are interrupted, for example by Ctrl-C, the
    index has either its old state or its new one. Calls of `add` and `remove` wait for
    each other, so that all of them take effect. Each search and each call of `save`
    uses one state from beginning to end, even if the index is changed meanwhile.
    Attributes that are read one after the other, such as `ids_` and `embeddings_`, may
    belong to different states; `copy.copy(index)` returns an index with the current
    state, which shares memory with the original and can be changed independently.

    Values may have any magnitude for which distances can be represented. A larger or
    smaller value is refused with a message that states the bound: 1e280 in float64 and
    1e33 in float32, or 1e150 and 1e15 for "sqeuclidean", "inner_product",
    "mahalanobis" and "seuclidean", whose values are squares.

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
    >>> [neighbors.tolist() for neighbors in ids]
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
        "random_state": RANDOM_STATE,
    }

    _output_name = "row"
    n_features_in_: int
    feature_names_in_: NDArray[np.object_]
    fingerprint_: str | None
    _searcher: Searcher
    _has_boolean_rows: bool

    def __init__(
        self,
        n_neighbors: int = 5,
        *,
        radius: float = 1.0,
        metric: MetricName | Callable[..., float] = "cosine",
        metric_params: dict[str, Any] | None = None,
        mode: Literal["distance", "connectivity"] = "distance",
        algorithm: Literal["auto", "exact", "pynndescent"] = "auto",
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

    @property
    def n_samples_fit_(self) -> int:
        """Number of indexed rows, including rows of unreadable images."""
        return self._searcher.store.n_rows

    @property
    def embeddings_(self) -> NDArray[Any]:
        """Indexed embeddings, read-only. Rows of unreadable images contain NaN."""
        return self._searcher.store.embeddings

    @property
    def readable_(self) -> NDArray[np.bool_]:
        """Whether each row is an embedding. False for an unreadable image."""
        return self._searcher.store.readable

    @property
    def ids_(self) -> NDArray[Any]:
        """Id of each row."""
        return self._searcher.store.ids

    @property
    def y_(self) -> NDArray[Any] | None:
        """Label of each row, if labels were passed to `fit`."""
        return self._searcher.store.labels

    @property
    def effective_metric_(self) -> str | Callable[..., float]:
        """Metric used."""
        return self._searcher.store.metric.name

    @property
    def effective_metric_params_(self) -> dict[str, Any]:
        """Parameters of the metric, including those that `fit` computes."""
        return dict(self._searcher.store.metric.params)

    @property
    def algorithm_(self) -> Literal["exact", "pynndescent"]:
        """How neighbors are found: "exact" or "pynndescent"."""
        return "exact" if self._searcher.graph is None else "pynndescent"

    @property
    def recall_(self) -> float:
        """Fraction of the true neighbors found when the graph was built."""
        graph = self._searcher.graph
        return 1.0 if graph is None else graph.recall

    @_log_run
    @fit_context(prefer_skip_nested_validation=True)
    @as_fit_task
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike | None = None,
        ids: Sequence[Hashable] | None = None,
        fingerprint: str | None = None,
    ) -> Self:
        """Index embeddings.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Embeddings, kept as float32 or float64. A row that contains NaN stands for
            an unreadable image.

        y : array-like of shape (n_samples,), default=None
            Labels, used by `score` and `suggest_threshold`.

        ids : sequence of length n_samples, default=None
            Unique ids that `search` returns, such as paths. None uses the row numbers.

        fingerprint : str, default=None
            Fingerprint of the embedder, as its method `fingerprint` returns it. Rows
            and queries that are passed with another fingerprint are then rejected.

        Returns
        -------
        self : SimilarityIndex
            The fitted index.

        Raises
        ------
        ValueError
            If lengths differ, ids are not unique, a value is infinite or its magnitude
            is out of range for the metric, every row contains NaN, or the metric does
            not fit the rows or the other parameters.
        """
        fitted = copy(self)
        rows, _ = check_rows_to_fit(fitted, X)
        check_magnitudes_to_fit(rows, self.metric)
        metric = make_metric(self.metric, self.metric_params, rows)
        parameters = self._search_parameters()
        parameters.check_metric(metric.name)
        check_boolean_values(rows, metric.name)
        check_consistent_length(rows, y)
        fitted._searcher = Searcher.from_rows(
            metric,
            rows,
            np.arange(len(rows)) if ids is None else check_ids(ids, len(rows)),
            None if y is None else as_labels(y),
            parameters,
        )
        fitted._has_boolean_rows = is_boolean(X)
        fitted.fingerprint_ = fingerprint
        with write_lock(self):
            # A single assignment, so that no mixture of two fits is ever seen.
            self.__dict__ = {**vars(fitted), **self.get_params(deep=False)}
        return self

    @_log_run
    def add(
        self,
        X: ArrayLike,
        ids: Sequence[Hashable] | None = None,
        *,
        y: ArrayLike | None = None,
        replace: bool = False,
        fingerprint: str | None = None,
    ) -> Self:
        """Append embeddings to the index.

        Parameters
        ----------
        X : array-like of shape (n_new, n_features)
            Embeddings.

        ids : sequence of length n_new, default=None
            Unique ids of the new rows. None uses the next integers, if all ids of the
            index are integers.

        y : array-like of shape (n_new,), default=None
            Labels of the new rows. They are required if the index has labels, and must
            be None if it does not.

        replace : bool, default=False
            Whether to remove an indexed row that has the same id as a new row. The new
            row is appended at the end, like all new rows.

        fingerprint : str, default=None
            Fingerprint of the embedder of `X`.

        Returns
        -------
        self : SimilarityIndex
            The index. It is unchanged if the call raises.

        Raises
        ------
        ValueError
            If an id is already in the index and `replace` is false, ids are not unique,
            or the embeddings do not fit the embeddings of the index.

        Notes
        -----
        The cost is proportional to the number of rows added. The rows that a graph does
        not contain yet are searched exactly. The graph is rebuilt once they exceed 25%
        of the rows in the graph.

        With `database_augmentation`, the new rows are augmented with their nearest
        indexed rows, and the indexed rows do not change. Fit the index again with all
        rows to augment all of them.
        """
        with write_lock(self):
            index = self._snapshot()
            searcher = index._get_searcher()
            rows = index._check_rows(X, fingerprint)
            labels = searcher.store.check_new_labels(y, len(rows))
            unique_ids = searcher.store.check_new_ids(ids, len(rows))
            self._searcher = searcher.with_rows(rows, unique_ids, labels, replace)
        return self

    def remove(self, ids: Sequence[Hashable]) -> Self:
        """Remove rows from the index by their ids.

        The row numbers of all rows after a removed row decrease.

        Parameters
        ----------
        ids : sequence
            Unique ids of the rows to remove.

        Returns
        -------
        self : SimilarityIndex
            The index. It is unchanged if the call raises.

        Raises
        ------
        KeyError
            If an id is not in the index.

        ValueError
            If ids are not unique, or no readable row would be left.
        """
        with write_lock(self):
            searcher = self._snapshot()._get_searcher()
            self._searcher = searcher.without(check_ids(ids))
        return self

    def search(
        self,
        X: ArrayLike | None = None,
        n_neighbors: int | None = None,
        max_distance: float | None = None,
        *,
        where: ArrayLike | None = None,
        exclude_ids: Iterable[Any] | None = None,
        fingerprint: str | None = None,
    ) -> SearchResult:
        """Find the images that are similar to each query.

        A query may have no similar images, in which case its result is empty.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features), default=None
            Queries. With None, each indexed row is used as a query and excluded from
            its own result.

        n_neighbors : int, default=None
            Largest number of neighbors of each query. Fewer are returned if the index
            contains fewer rows. None uses the value passed to the constructor.

        max_distance : float, default=None
            Largest distance of a neighbor. None sets no limit.

        where : array-like of shape (n_samples_fit_,), dtype bool, default=None
            Mask of the rows that may be returned, in the order of `ids_`. None allows
            all rows.

        exclude_ids : sequence, default=None
            Ids that are never returned, or a list of n_queries lists, sets or arrays of
            ids, each excluded from the result of its query. Unknown ids are ignored.

        fingerprint : str, default=None
            Fingerprint of the embedder of `X`.

        Returns
        -------
        distances : list of n_queries ndarray, each of shape (n_found,)
            Distances of the neighbors of each query, in increasing order. The array is
            empty if no row is near enough or the query is unreadable.

        ids : list of n_queries ndarray, each of shape (n_found,)
            Ids of these neighbors, in the same order. The pair is a
            :class:`SearchResult`, which notebooks display as images.

        Raises
        ------
        ValueError
            If `n_neighbors` is less than 1, `max_distance` is negative and the metric
            is not "inner_product", `where` is not a boolean mask of the rows,
            `exclude_ids` has a list for each query but the number of lists differs from
            the number of queries, or the queries do not fit the embeddings of the
            index.

        TypeError
            If `exclude_ids` is not a sequence of ids or of lists of ids.
        """
        index = self._snapshot()
        searcher, store = index._get_searcher(), index._searcher.store
        k = index.n_neighbors if n_neighbors is None else n_neighbors
        if not is_integer(k) or k < 1:
            raise ValueError(f"n_neighbors={k!r} must be an integer, at least 1.")
        limit = check_max_distance(max_distance, store.metric.name)
        queries = index._check_queries(X, fingerprint)
        n_queries = store.n_rows if queries is None else len(queries)
        excluded = find_excluded_slots(store, exclude_ids, n_queries)
        allowed = find_allowed_slots(store, where, excluded.everywhere)
        distances, indices = searcher.search(queries, int(k), limit, allowed, excluded)
        ids = store.ids
        known = find_known_queries(queries, indices, store)
        return SearchResult(distances, [ids[rows] for rows in indices], indices, known)

    def kneighbors(
        self,
        X: ArrayLike | None = None,
        n_neighbors: int | None = None,
        return_distance: bool = True,
        *,
        fingerprint: str | None = None,
    ) -> tuple[NDArray[Any], NDArray[np.int64]] | NDArray[np.int64]:
        """Find the nearest rows of each query.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features), default=None
            Queries. With None, each indexed row is used as a query and excluded from
            its own result; other rows that are equal to it are not excluded.

        n_neighbors : int, default=None
            Number of neighbors of each query, at most the number of readable rows. None
            uses the value passed to the constructor.

        return_distance : bool, default=True
            Whether to return the distances.

        fingerprint : str, default=None
            Fingerprint of the embedder of `X`.

        Returns
        -------
        distances : ndarray of shape (n_queries, n_neighbors), dtype of the rows
            Distances, increasing along each row. NaN for an unreadable query. Only
            returned if `return_distance` is true.

        indices : ndarray of shape (n_queries, n_neighbors), dtype int64
            Row numbers of the neighbors. Rows at equal distances are in the order of
            their row numbers. -1 for an unreadable query.

        Raises
        ------
        ValueError
            If `n_neighbors` exceeds the number of rows that can be neighbors, or the
            queries do not fit the embeddings of the index.
        """
        index = self._snapshot()
        searcher = index._get_searcher()
        queries = index._check_queries(X, fingerprint)
        k = index.n_neighbors if n_neighbors is None else n_neighbors
        n_candidates = searcher.count_candidates(queries)
        if not is_integer(k) or not 1 <= k <= n_candidates:
            raise ValueError(
                f"n_neighbors={k!r} must be an integer, at least 1 and at most "
                f"{n_candidates}, the number of readable rows"
                f"{' other than the query' if X is None else ''} "
                f"(n_samples_fit={index.n_samples_fit_})."
            )
        distances, indices = searcher.kneighbors(queries, int(k))
        return (distances, indices) if return_distance else indices

    def radius_neighbors(
        self,
        X: ArrayLike | None = None,
        radius: float | None = None,
        return_distance: bool = True,
        sort_results: bool = False,
        *,
        fingerprint: str | None = None,
    ) -> tuple[NDArray[np.object_], NDArray[np.object_]] | NDArray[np.object_]:
        """Find all rows within a distance of each query, always exactly.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features), default=None
            Queries. With None, each indexed row is used as a query and excluded from
            its own result.

        radius : float, default=None
            Largest distance. None uses the value passed to the constructor.

        return_distance : bool, default=True
            Whether to return the distances.

        sort_results : bool, default=False
            Whether to sort the neighbors of each query by distance instead of by row
            number.

        fingerprint : str, default=None
            Fingerprint of the embedder of `X`.

        Returns
        -------
        distances : ndarray of shape (n_queries,), dtype object
            Array of the distances of each query. Only returned if `return_distance` is
            true.

        indices : ndarray of shape (n_queries,), dtype object
            Array of the row numbers of each query. Empty for an unreadable query.

        Raises
        ------
        ValueError
            If `radius` is not a number, or the queries do not fit the embeddings of the
            index.
        """
        index = self._snapshot()
        searcher = index._get_searcher()
        radius = index.radius if radius is None else radius
        if not is_number(radius) or np.isnan(radius):
            raise ValueError(f"radius={radius!r} must be a number.")
        queries = index._check_queries(X, fingerprint)
        distances, indices = searcher.radius_neighbors(
            queries, float(radius), sort_results
        )
        return (distances, indices) if return_distance else indices

    def kneighbors_graph(
        self,
        X: ArrayLike | None = None,
        n_neighbors: int | None = None,
        mode: Literal["connectivity", "distance"] = "connectivity",
    ) -> csr_matrix:
        """Return the sparse graph of the nearest rows of each query.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features), default=None
            Queries. With None, each indexed row is used as a query and excluded from
            its own result.

        n_neighbors : int, default=None
            Number of neighbors of each query. None uses the value passed to the
            constructor.

        mode : {"connectivity", "distance"}, default="connectivity"
            Values of the graph: ones, or distances.

        Returns
        -------
        graph : csr_matrix of shape (n_queries, n_samples_fit)
            Row i contains the neighbors of query i, the nearest first. The row of an
            unreadable query is empty.

        Raises
        ------
        ValueError
            If `mode` is neither "connectivity" nor "distance", or `kneighbors` raises
            an error for the other parameters.
        """
        check_graph_mode(mode)
        index = self._snapshot()
        distances, indices = index.kneighbors(X, n_neighbors)
        found = indices >= 0
        edges = np.nonzero(found)[0], indices[found], distances[found]
        return index._searcher.make_graph(mode, len(indices), *edges)

    def radius_neighbors_graph(
        self,
        X: ArrayLike | None = None,
        radius: float | None = None,
        mode: Literal["connectivity", "distance"] = "connectivity",
        sort_results: bool = False,
    ) -> csr_matrix:
        """Return the sparse graph of the rows within a distance of each query.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features), default=None
            Queries. With None, each indexed row is used as a query and excluded from
            its own result.

        radius : float, default=None
            Largest distance. None uses the value passed to the constructor.

        mode : {"connectivity", "distance"}, default="connectivity"
            Values of the graph: ones, or distances.

        sort_results : bool, default=False
            Whether to sort the neighbors of each query by distance instead of by row
            number.

        Returns
        -------
        graph : csr_matrix of shape (n_queries, n_samples_fit)
            Row i contains the neighbors of query i.

        Raises
        ------
        ValueError
            If `mode` is neither "connectivity" nor "distance", or `radius_neighbors`
            raises an error for the other parameters.
        """
        check_graph_mode(mode)
        index = self._snapshot()
        distances, indices = index.radius_neighbors(X, radius, True, sort_results)
        query = np.repeat(np.arange(len(indices)), [len(rows) for rows in indices])
        edges = query, np.concatenate(indices), np.concatenate(distances)
        return index._searcher.make_graph(mode, len(indices), *edges)

    def transform(self, X: ArrayLike) -> csr_matrix:
        """Return the graph of neighbors, as `KNeighborsTransformer` does.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Queries. An indexed row used as a query is a neighbor of itself.

        Returns
        -------
        graph : csr_matrix of shape (n_queries, n_samples_fit)
            With mode="distance", the distances of the `n_neighbors + 1` nearest rows,
            so that an indexed row has `n_neighbors` other neighbors. With
            mode="connectivity", ones for the `n_neighbors` nearest rows.

        Raises
        ------
        ValueError
            If the index has too few readable rows, or the queries do not fit the
            embeddings of the index.
        """
        index = self._snapshot()
        n_neighbors = index.n_neighbors + (index.mode == "distance")
        return index.kneighbors_graph(X, n_neighbors, index.mode)

    def score(self, X: ArrayLike, y: ArrayLike) -> float:
        """Return the mean precision of the `n_neighbors` nearest rows.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Queries that are not indexed.

        y : array-like of shape (n_queries,)
            Labels of the queries.

        Returns
        -------
        precision : float
            Fraction of the neighbors that have the label of their query, in [0, 1].
            Unreadable queries are not counted.

        Raises
        ------
        ValueError
            If no labels were passed to `fit`, or every query is unreadable.

        Warns
        -----
        UserWarning
            If a query has a label that no indexed row has. This happens when images are
            sorted by class and split by cross-validation. Shuffle them, for example
            with `sklearn.model_selection.StratifiedKFold(shuffle=True)`.
        """
        index = self._snapshot()
        searcher, labels = index._get_searcher(), index._get_labels("score")
        queries = index._check_rows(X, None)
        check_consistent_length(queries, y)
        k = min(index.n_neighbors, searcher.count_candidates(queries))
        _, indices = searcher.kneighbors(queries, k)
        is_readable = indices[:, 0] >= 0
        if not is_readable.any():
            raise ValueError("every row of X contains NaN: no query to score.")
        query_labels = as_labels(y)[is_readable]
        warn_of_unknown_labels(query_labels, labels[index.readable_])
        is_relevant = have_equal_labels(
            labels[indices[is_readable]], query_labels[:, np.newaxis]
        )
        return precision_at_k(is_relevant, k=k)

    def suggest_threshold(
        self, *, precision: float | None = None, coverage: float = 0.95
    ) -> float:
        """Suggest the distance beyond which images should not count as similar.

        Parameters
        ----------
        precision : float, default=None
            Fraction of the neighbors that should be relevant, in (0, 1]. Requires
            labels.

        coverage : float, default=0.95
            Fraction of the relevant neighbors that should be kept, in (0, 1]. Used only
            if `precision` is None. A neighbor is relevant if it has the label of its
            query. Without labels, the nearest other row of each row is assumed to be
            relevant.

        Returns
        -------
        max_distance : float
            Distance to pass to `search`. For `precision`, the largest distance up to
            which this fraction of the `n_neighbors` nearest rows is relevant. For
            `coverage`, the smallest distance that keeps this fraction of the relevant
            neighbors.

        Raises
        ------
        ValueError
            If `precision` or `coverage` is not in (0, 1], `precision` is given and the
            index has no labels, the precision is not reached at any distance, no
            neighbor is relevant, or the index has fewer than 2 readable rows.

        Notes
        -----
        Each indexed row is used as a query and excluded from its own result. An exact
        index compares all rows with each other.

        Without labels, the threshold is a conformal test of novelty [1]_: a new image
        drawn from the distribution of the collection has no neighbor within the
        threshold with a probability of at most `1 - coverage`. This requires at least
        `1 / (1 - coverage)` rows. With fewer rows, the threshold is the largest
        distance between a row and its nearest other row.

        Nothing is guaranteed for images from another distribution. In a collection of
        near copies, the threshold is too small for images without copies. A threshold
        applies only to the embedder, metric and collection it was computed for.

        References
        ----------
        .. [1] R. Laxhammar and G. Falkman, "Conformal prediction for distribution-
           independent anomaly detection in streaming vessel data", StreamKDD 2010.
        """
        index = self._snapshot()
        searcher = index._get_searcher()
        name, share = (
            ("coverage", coverage) if precision is None else ("precision", precision)
        )
        if not is_number(share) or not 0 < share <= 1:
            raise ValueError(f"{name}={share!r} must be a number in (0, 1].")
        n_candidates = searcher.count_candidates(None)
        if n_candidates < 1:
            raise ValueError(
                "the index has 1 readable row; suggest_threshold requires at least 2."
            )
        labels = index.y_ if precision is None else index._get_labels("precision")
        k = 1 if labels is None else min(index.n_neighbors, n_candidates)
        distances, indices = searcher.kneighbors(None, k)
        readable = index.readable_
        if labels is None:
            return threshold_by_coverage(distances[readable, 0], coverage)
        is_relevant = labels[indices[readable]] == labels[readable, np.newaxis]
        if precision is None:
            return threshold_by_coverage(distances[readable][is_relevant], coverage)
        return threshold_by_precision(distances[readable], is_relevant, precision)

    @_log_run
    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the index to a file.

        Parameters
        ----------
        path : str or path-like
            Path of the file. An existing file is replaced once the new one is complete.

        Raises
        ------
        ValueError
            If the metric is a function, or if ids or labels are not strings, paths or
            numbers.

        Notes
        -----
        The file contains arrays and JSON in the format of safetensors, with a checksum
        for each array. Removed rows are not saved, unless the graph still contains them
        because it has not been rebuilt since they were removed.
        """
        index = self._snapshot()
        content = IndexContent(
            parameters=index.get_params(deep=False),
            store=index._searcher.store,
            graph=index._searcher.graph,
            n_features=index.n_features_in_,
            feature_names=list(getattr(index, "feature_names_in_", [])),
            fingerprint=index.fingerprint_,
            has_boolean_rows=index._has_boolean_rows,
        )
        save_index(content, path)

    @classmethod
    @_log_run
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        mmap_mode: Literal["r"] | None = "r",
        verify: bool | None = None,
    ) -> Self:
        """Load an index from a file that `save` wrote.

        No code in the file is executed.

        Parameters
        ----------
        path : str or path-like
            Path of the file.

        mmap_mode : {"r", None}, default="r"
            Whether to map the embeddings from the file or to read them into memory. A
            mapped index opens at once, and processes that map the same file share its
            memory. The embeddings are copied into memory when rows are added.

        verify : bool, default=None
            Whether to compare the checksums of the arrays, which reads the whole file.
            None compares them in files of up to 256 MiB; in larger files only the
            checksum of the header and the sizes of the arrays are compared.

        Returns
        -------
        index : SimilarityIndex
            The index as it was saved.

        Raises
        ------
        IndexFileError
            If the file is damaged, is not a saved index, or was written by a newer
            version of imgsim.

        FileNotFoundError
            If the file does not exist.

        ValueError
            If `mmap_mode` is neither "r" nor None.
        """
        if mmap_mode not in ("r", None):
            raise ValueError(f"mmap_mode={mmap_mode!r} must be 'r' or None.")
        content = load_index(path, mapped=mmap_mode == "r", verify=verify)
        with refuse_invalid_content(path):
            index = cls(**content.parameters)
            index._validate_params()
        index._searcher = Searcher(
            content.store, index._search_parameters(), content.graph
        )
        index._has_boolean_rows = content.has_boolean_rows
        index.fingerprint_ = content.fingerprint
        index.n_features_in_ = content.n_features
        if content.feature_names:
            index.feature_names_in_ = np.array(content.feature_names, dtype=object)
        return index

    def _snapshot(self) -> Self:
        """Return a copy of the fitted index, which no other thread changes."""
        check_is_fitted(self)
        return copy(self)

    def _get_searcher(self) -> Searcher:
        """Return the searcher, with the current parameters of the index."""
        return replace(self._searcher, parameters=self._search_parameters())

    def _search_parameters(self) -> SearchParameters:
        names = (field.name for field in fields(SearchParameters))
        return SearchParameters(**{name: getattr(self, name) for name in names})

    def _get_labels(self, caller: str) -> NDArray[Any]:
        labels = self.y_
        if labels is None:
            raise ValueError(f"{caller} requires labels of the rows: call fit(X, y).")
        return labels

    def _check_queries(
        self, X: ArrayLike | None, fingerprint: str | None
    ) -> NDArray[Any] | None:
        return None if X is None else self._check_rows(X, fingerprint)

    def _check_rows(self, X: ArrayLike, fingerprint: str | None) -> NDArray[Any]:
        """Validate rows or queries, and convert them to the dtype of the index."""
        check_fingerprint(fingerprint, self.fingerprint_)
        store = self._searcher.store
        check_kind(X, store.metric.name, self._has_boolean_rows)
        rows = check_rows(self, X, reset=False)
        check_boolean_values(rows, store.metric.name)
        converted = store.convert(rows)
        check_magnitudes(converted, store.metric.name)
        return converted

    @property
    def _n_features_out(self) -> int:
        """Number of columns of the graph, read by `get_feature_names_out`."""
        return self.n_samples_fit_

    def __sklearn_is_fitted__(self) -> bool:
        """Return whether `fit` or `load` was called."""
        return hasattr(self, "_searcher")

    def __sklearn_tags__(self) -> Tags:
        """Return scikit-learn's tags: rows of NaN are allowed."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags
