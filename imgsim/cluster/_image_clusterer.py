"""Clustering of images by their embeddings."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted
from tqdm.auto import tqdm

from imgsim._callbacks import FitTask
from imgsim._compute.seeds import RandomState, as_seed
from imgsim._estimator_base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    ClusterMixin,
    Tags,
    TransformerMixin,
)
from imgsim._logging import log_run
from imgsim._validation import (
    ANY_INTEGER,
    RANDOM_STATE,
    Interval,
    StrOptions,
    check_rows,
    check_rows_to_fit,
    find_readable_rows,
    fit_context,
    spread_labels,
)
from imgsim._warnings import warn_caller
from imgsim.cluster._cluster_summary import (
    ClusterSummary,
    distances_to_centers,
    renumber_by_size,
)
from imgsim.cluster.algorithms._feature_space import (
    ClusterMetric,
    FeatureSpace,
    count_distinct,
)
from imgsim.cluster.algorithms._prediction import check_distance_limits, make_predictor
from imgsim.cluster.algorithms._registry import (
    ALGORITHMS,
    AlgorithmName,
    ClusteringTask,
    Labels,
)
from imgsim.cluster.criteria._silhouette import silhouette_score_many
from imgsim.cluster.selection._best_k import CRITERIA, Criterion
from imgsim.cluster.selection._candidates import check_k_range, cluster_candidates
from imgsim.cluster.selection._k_selection import KSelection
from imgsim.cluster.selection._select_k import select_candidate
from imgsim.exceptions import WeakClustersWarning
from imgsim.export import Table

_MOST_IN_ONE_CLUSTER = 0.9  # of all rows
_LEAST_DISTINCT = 20  # rows, below which one cluster is not suspicious


class ImageClusterer(
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    ClusterMixin,
    BaseEstimator,
):
    """Cluster images by their embeddings.

    Clusters are numbered by size, and the largest has the label 0. Images that belong
    to no cluster are noise and have the label -1.

    For embeddings of photographs whose number of clusters is not known, start with
    `ImageClusterer(algorithm="leiden", n_components="auto")`. It finds the number of
    clusters, or accepts it as `n_clusters`.

    Parameters
    ----------
    n_clusters : int or "auto", default="auto"
        Number of clusters. With "auto", `leiden`, `dbscan` and `hdbscan` find the
        number. For the other algorithms, and for `leiden` if `k_range` is given, the
        candidates in `k_range` are compared by `criterion`, see :func:`select_k`. With
        an int, `leiden` searches for the resolution that yields this number of
        clusters, or a number as close to it as possible; `dbscan` and `hdbscan` keep
        only that many clusters, the largest ones, and the images of the other clusters
        become noise.

    algorithm : {"kmeans", "minibatch_kmeans", "bisecting_kmeans", "spectral", \
"agglomerative", "dbscan", "hdbscan", "gaussian_mixture", "leiden"}, default="kmeans"
        Clustering algorithm. `leiden` [1]_ finds densely connected regions of a graph
        and needs scikit-network (`pip install 'scikit-imgsim[graph]'`). The other
        algorithms are the estimators of scikit-learn with the same name. `spectral`
        and `leiden` cluster the graph of shared nearest neighbors [3]_.

    metric : {"cosine", "euclidean"}, default="cosine"
        Distance between embeddings. Cosine is the default because embeddings of neural
        networks are compared by direction; their length carries little information.
        For cosine, embeddings are scaled to unit length for algorithms that only
        support Euclidean distances.

    n_components : int, "auto" or None, default=None
        Number of principal components to which embeddings are reduced before they are
        clustered. In a thousand dimensions, all distances are similar, so that fewer
        dimensions often give better clusters. "auto" keeps at most 128 components. For
        `dbscan` and `hdbscan`, try 32; `hdbscan` is slow with more components. None
        keeps all dimensions of X. Silhouettes, medoids and distances are always
        computed from all dimensions.

    algorithm_params : dict, default=None
        Parameters of the algorithm, such as `{"n_init": 10}` for `kmeans`. In addition
        to the parameters of scikit-learn's estimators, `spectral` and `leiden` have
        `n_neighbors`, the number of neighbors in the graph (20 by default); `leiden`
        has `resolution` (1 by default), for which larger values yield more clusters;
        and `dbscan` accepts `eps="auto"` [2]_, which is its default and means the knee
        of the sorted distances to the `min_samples`-th nearest row.

    k_range : sequence of int, default=None
        Candidates for the number of clusters if `n_clusters="auto"`. None means 2 to
        10.

    criterion : {"silhouette", "calinski_harabasz", "davies_bouldin", "inertia", \
"gap", "stability"}, default="silhouette"
        Criterion by which the number of clusters is selected among the candidates, see
        :func:`select_k`.

    n_jobs : int, default=None
        Number of candidates clustered at the same time, in threads. None means 1
        unless in a :obj:`joblib.parallel_backend` context. -1 means all processors.

    random_state : int, RandomState instance or None, default=None
        Controls the randomness of the algorithm. Pass an int for reproducible clusters.

    verbose : int, default=0
        Whether to show progress bars: of the steps of `fit`, and of the candidates that
        are compared. The estimators of scikit-learn print their own progress if
        `algorithm_params` contains their parameter `verbose`.

    Attributes
    ----------
    labels_ : ndarray of shape (n_samples,), dtype int64
        Cluster of each image; -1 for noise and for unreadable images.

    n_clusters_ : int
        Number of clusters; 0 if all images are noise.

    cluster_sizes_ : ndarray of shape (n_clusters_,), dtype int64
        Number of images in each cluster, in decreasing order.

    cluster_centers_ : ndarray of shape (n_clusters_, n_features_in_)
        Mean embedding of each cluster. For cosine, the mean of embeddings scaled to
        unit length.

    medoid_indices_ : ndarray of shape (n_clusters_,), dtype int64
        Row number of the most typical image of each cluster, the medoid: the member
        with the smallest mean distance to the other members.

    silhouette_samples_ : ndarray of shape (n_samples,), dtype float64
        Silhouette of each image, in [-1, 1]: how much nearer the image is to its own
        cluster than to the nearest other cluster. NaN for images in no cluster, and for
        all images if there is only one cluster.

    n_noise_ : int
        Number of images in no cluster, unreadable images included.

    estimator_ : object
        Fitted estimator of scikit-learn or scikit-network. Unlike `labels_`, it does
        not number the clusters by size.

    selection_ : KSelection or None
        Comparison of the numbers of clusters; None if the number was given or found by
        the algorithm.

    n_features_in_ : int
        Number of features of an embedding.

    See Also
    --------
    select_k : Compare numbers of clusters.
    imgsim.ImageEmbedder : Compute embeddings of images.

    Notes
    -----
    For `kmeans`, `minibatch_kmeans`, `bisecting_kmeans` and `gaussian_mixture`, the
    fitted estimator predicts the clusters of unseen images, and predicts `labels_` for
    the images it was fitted on. `dbscan` predicts the cluster of the nearest core
    sample within `eps`; for an image at the border of two clusters, this may differ
    from `labels_`. For the remaining algorithms, the 15 nearest rows, including noise,
    vote with weights that are inversely proportional to their distances; an image seen
    in `fit` keeps its label unless an equal row has another label.

    For the Euclidean metric and more than 20,000 rows, silhouettes and medoids are
    computed from the distances to 20,000 rows, drawn at random from every cluster.
    If the distances of all pairs of rows would exceed scikit-learn's `working_memory`,
    `agglomerative` only merges clusters that are connected in the graph of shared
    nearest neighbors.

    References
    ----------
    .. [1] V. A. Traag, L. Waltman and N. J. van Eck, "From Louvain to Leiden:
       guaranteeing well-connected communities", Scientific Reports, 2019.

    .. [2] M. Ester, H.-P. Kriegel, J. Sander and X. Xu, "A density-based algorithm for
       discovering clusters in large spatial databases with noise", KDD 1996.

    .. [3] R. A. Jarvis and E. A. Patrick, "Clustering using a similarity measure based
       on shared near neighbors", IEEE Transactions on Computers, 1973.

    Examples
    --------
    >>> from imgsim import ColorHistogramEmbedder, ImageClusterer
    >>> from imgsim.datasets import load_sample_photos
    >>> photos = load_sample_photos(n_crops=3, n_copies=3)
    >>> X = ColorHistogramEmbedder().fit_transform(photos.images[:-2])
    >>> clusterer = ImageClusterer(random_state=0).fit(X)
    >>> clusterer.n_clusters_, clusterer.cluster_sizes_
    (6, array([4, 4, 4, 4, 4, 2]))
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "n_clusters": [
            Interval(Integral, 1, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "algorithm": [StrOptions(set(ALGORITHMS))],
        "metric": [StrOptions({"cosine", "euclidean"})],
        "n_components": [
            Interval(Integral, 1, None, closed="left"),
            StrOptions({"auto"}),
            None,
        ],
        "algorithm_params": [dict, None],
        "k_range": ["array-like", range, None],
        "criterion": [StrOptions(set(CRITERIA))],
        "n_jobs": [ANY_INTEGER, None],
        "random_state": RANDOM_STATE,
        "verbose": ["verbose"],
    }

    _output_name = "cluster"

    def __init__(
        self,
        n_clusters: int | Literal["auto"] = "auto",
        *,
        algorithm: AlgorithmName = "kmeans",
        metric: ClusterMetric = "cosine",
        n_components: int | Literal["auto"] | None = None,
        algorithm_params: dict[str, Any] | None = None,
        k_range: Sequence[int] | None = None,
        criterion: Criterion = "silhouette",
        n_jobs: int | None = None,
        random_state: RandomState = None,
        verbose: int = 0,
    ) -> None:
        self.n_clusters = n_clusters
        self.algorithm = algorithm
        self.metric = metric
        self.n_components = n_components
        self.algorithm_params = algorithm_params
        self.k_range = k_range
        self.criterion = criterion
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    @log_run("algorithm", "n_clusters_", "n_noise_")
    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Cluster embeddings.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Embeddings, kept as float32 or float64. A row that contains NaN gets the
            label -1 and does not influence the other rows.

        y : Ignored
            Present for API consistency.

        Returns
        -------
        self : ImageClusterer
            The fitted clusterer.

        Raises
        ------
        ValueError
            If there are fewer readable rows than clusters or components; if numbers of
            clusters are compared but fewer than 3 rows are readable, or all rows are
            equal; if the algorithm does not have a parameter in `algorithm_params`, or
            rejects its value.

        ModuleNotFoundError
            If `algorithm="leiden"` and scikit-network is not installed.

        Warns
        -----
        WeakClustersWarning
            If no cluster is found, if nearly all images are in one cluster, if more
            clusters are requested than there are distinct rows, if the number of
            clusters found differs from the number requested, or if silhouettes do not
            show a clear number of clusters.
        """
        for name in [name for name in vars(self) if name.endswith("_")]:
            delattr(self, name)  # a failed fit leaves no results of an earlier one
        checked, readable = check_rows_to_fit(self, X)
        ks = self._candidates(int(readable.sum()))
        with (
            FitTask(self, X, n_subtasks=len(ks)) as fit_task,
            tqdm(total=2, desc="ImageClusterer", disable=not self.verbose) as bar,
        ):
            self._fit(checked, readable, ks, fit_task, bar)
        return self

    def _fit(
        self,
        X: NDArray[Any],
        readable: NDArray[np.bool_],
        ks: list[int],
        fit_task: FitTask,
        bar: Any,
    ) -> None:
        """Set the fitted attributes, and show the progress."""
        bar.set_postfix_str(f"clustering with {self.algorithm}")
        rows, seed = X[readable], as_seed(self.random_state)
        space = FeatureSpace(self.metric, self.n_components, seed).fit(rows)
        features = space.transform(rows)
        params = self.algorithm_params or {}
        task = ClusteringTask(rows, features, self.algorithm, self.metric, params, seed)
        clustering = self._cluster(task, readable, ks, fit_task)
        self.estimator_, self.selection_ = clustering.estimator, clustering.selection
        labels, self.cluster_sizes_, number_of = renumber_by_size(clustering.labels)
        self.n_clusters_ = len(self.cluster_sizes_)
        self.labels_ = spread_labels(labels, readable)
        self.n_noise_ = int((self.labels_ < 0).sum())
        self._space = space
        self._predictor = make_predictor(task, self.estimator_, labels, number_of)
        bar.update()
        bar.set_postfix_str("silhouettes and medoids")
        summary = ClusterSummary.from_labels(
            rows, labels, self.cluster_sizes_, self.metric, seed
        )
        self.cluster_centers_ = summary.centers
        self.medoid_indices_ = np.flatnonzero(readable)[summary.medoids]
        self.silhouette_samples_ = np.full(len(X), np.nan)
        self.silhouette_samples_[readable] = summary.silhouettes
        self._table = Table(summary.table, medoid=self.medoid_indices_)
        bar.update()

    def _candidates(self, n_rows: int) -> list[int]:
        """Return the numbers of clusters to compare, none if they are not compared."""
        compares = self._compares_candidates()
        self._check_n_rows(n_rows, compares=compares)
        if not compares:
            return []
        return check_k_range(range(2, 11) if self.k_range is None else self.k_range)

    def _cluster(
        self,
        task: ClusteringTask,
        readable: NDArray[np.bool_],
        ks: list[int],
        fit_task: FitTask,
    ) -> "_Clustering":
        """Cluster into a given number of clusters, or into the best number."""
        if not isinstance(self.n_clusters, str):
            return _cluster_into(task, self.n_clusters)
        if not ks:
            clustering = _Clustering(*task.fit(None))
            _warn_of_one_cluster(task, clustering.labels)
            return clustering
        candidates = cluster_candidates(task, ks, self.n_jobs, self.verbose, fit_task)
        selection = select_candidate(
            task,
            candidates,
            readable,
            self.criterion,
            self.n_jobs,
            verbose=self.verbose,
        )
        labels = selection.labelings[selection.best_k][readable]
        return _Clustering(selection.best_estimator, labels, selection)

    def _compares_candidates(self) -> bool:
        """Return whether several numbers of clusters are compared."""
        algorithm = ALGORITHMS[self.algorithm]
        if self.k_range is not None and not algorithm.takes_n_clusters:
            raise ValueError(
                f"k_range={self.k_range!r} must be None for "
                f"algorithm={self.algorithm!r}, which finds the number of clusters "
                f"itself."
            )
        if not isinstance(self.n_clusters, str):
            return False
        return not algorithm.finds_n_clusters or self.k_range is not None

    def _check_n_rows(self, n_rows: int, *, compares: bool) -> None:
        """Raise a ValueError if there are too few readable rows."""
        if compares and n_rows < 3:
            raise ValueError(
                f"n_clusters='auto' compares numbers of clusters and needs at least 3 "
                f"readable rows, got n_samples={n_rows}."
            )
        if not isinstance(self.n_clusters, str) and self.n_clusters > n_rows:
            raise ValueError(
                f"n_clusters={self.n_clusters} must be at most the number of readable "
                f"rows, n_samples={n_rows}."
            )
        if n_rows < 2 and ALGORITHMS[self.algorithm].predicts_by == "neighbors":
            raise ValueError(
                f"algorithm={self.algorithm!r} needs at least 2 readable rows, got "
                f"n_samples={n_rows}."
            )

    def predict(
        self, X: ArrayLike, max_distance: ArrayLike | None = None
    ) -> NDArray[np.int64]:
        """Assign images to clusters.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Embeddings.

        max_distance : float or array-like of shape (n_clusters_,), default=None
            Largest distance of an image from the center of its cluster, as `transform`
            returns it: one number, or one for each cluster, such as
            `report()["max_distance"]`. Images beyond it get the label -1. None sets no
            limit.

        Returns
        -------
        labels : ndarray of shape (n_samples,), dtype int64
            Cluster of each image; -1 for noise, for images beyond `max_distance`, and
            for rows that contain NaN.

        Raises
        ------
        ValueError
            If `max_distance` is negative, not a number, or has another shape.
        """
        check_is_fitted(self)
        limits = check_distance_limits(max_distance, self.n_clusters_)
        X = check_rows(self, X, reset=False)
        readable = find_readable_rows(X)
        labels = np.full(len(X), -1, dtype=np.int64)
        if not readable.any() or not self.n_clusters_:
            return labels
        rows = X[readable]
        found = self._predictor.predict(self._space.transform(rows))
        if limits is not None:
            distances = distances_to_centers(rows, self.cluster_centers_, self.metric)
            to_own = distances[np.arange(len(found)), found]
            found = np.where(to_own <= limits[found], found, -1)
        labels[readable] = found
        return labels

    def transform(self, X: ArrayLike) -> NDArray[Any]:
        """Compute the distances of images to the cluster centers.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Embeddings.

        Returns
        -------
        distances : ndarray of shape (n_samples, n_clusters_), dtype of `X`
            Euclidean distances, or 1 minus the cosine of embedding and center. NaN for
            a row that contains NaN.
        """
        check_is_fitted(self)
        X = check_rows(self, X, reset=False)
        readable = find_readable_rows(X)
        distances = np.full((len(X), self.n_clusters_), np.nan, dtype=X.dtype)
        if readable.any() and self.n_clusters_:
            distances[readable] = distances_to_centers(
                X[readable], self.cluster_centers_, self.metric
            )
        return distances

    def score(self, X: ArrayLike, y: object = None) -> float:
        """Return the mean silhouette of images in their predicted clusters.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Embeddings.

        y : Ignored
            Present for API consistency.

        Returns
        -------
        silhouette : float
            In [-1, 1], larger is better. Noise and unreadable images are left out. NaN
            if all images are in one cluster, or each image is in a cluster of its own.
        """
        labels = self.predict(X)
        n_found, n_clustered = len(np.unique(labels[labels >= 0])), (labels >= 0).sum()
        if not 2 <= n_found < n_clustered:
            return np.nan
        X = check_rows(self, X, reset=False)
        means, _ = silhouette_score_many(X, [labels], metric=self.metric)
        return float(means[0])

    def report(self) -> Table:
        """Summarize the clusters in a table.

        Returns
        -------
        table : dict of str to ndarray of shape (n_clusters_,)
            One row for each cluster. `print(table)` shows it, `table.to_frame()`
            returns a DataFrame and `table.to_csv(path)` writes a file. Columns:

            - `cluster`: the label;
            - `size`: number of images;
            - `medoid`: row number of the most typical image;
            - `silhouette`: mean silhouette of the images;
            - `nearest`: the cluster with the nearest center, -1 if there is no other;
            - `mean_distance` and `max_distance` of the images from the center.
        """
        check_is_fitted(self)
        return Table({name: column.copy() for name, column in self._table.items()})

    @property
    def _n_features_out(self) -> int:
        return self.n_clusters_

    def __sklearn_tags__(self) -> Tags:
        """Declare that rows may contain NaN."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


class _Clustering(NamedTuple):
    """The clusters of readable rows, as the estimator numbers them."""

    estimator: Any
    labels: Labels
    selection: KSelection | None = None


def _cluster_into(task: ClusteringTask, n_clusters: int) -> _Clustering:
    """Cluster into a given number of clusters, as far as that is possible."""
    if not ALGORITHMS[task.algorithm].takes_n_clusters:
        estimator, labels = task.fit(None)
        labels = _keep_largest(labels, n_clusters)
        _warn_of_another_number(labels, n_clusters)
        return _Clustering(estimator, labels)
    n_distinct = min(
        count_distinct(rows, n_clusters) for rows in (task.rows, task.features)
    )
    if n_clusters > n_distinct:
        warn_caller(
            f"n_clusters={n_clusters} exceeds the number of distinct rows, "
            f"{n_distinct}, which is the largest possible number of clusters.",
            WeakClustersWarning,
        )
    possible = min(n_clusters, n_distinct)
    clustering = _Clustering(*task.fit(possible))
    _warn_of_another_number(clustering.labels, possible)
    return clustering


def _keep_largest(labels: Labels, n_clusters: int) -> Labels:
    """Return labels in which all but the largest clusters are noise."""
    sizes = np.bincount(labels[labels >= 0])
    kept = np.argsort(-sizes, kind="stable")[:n_clusters]
    return np.where(np.isin(labels, kept), labels, -1)


def _warn_of_another_number(labels: Labels, n_clusters: int) -> None:
    n_found = len(np.unique(labels[labels >= 0]))
    if n_found not in (0, n_clusters):
        warn_caller(
            f"n_clusters={n_clusters}, but {n_found} clusters were found: the "
            f"algorithm cannot form the requested number from these rows with these "
            f"algorithm_params. Change n_clusters or algorithm_params.",
            WeakClustersWarning,
        )


def _warn_of_one_cluster(task: ClusteringTask, labels: Labels) -> None:
    """Warn if nearly all rows are in one cluster, although many rows are distinct."""
    largest = np.bincount(labels[labels >= 0], minlength=1).max()
    if largest <= _MOST_IN_ONE_CLUSTER * len(labels):
        return
    if count_distinct(task.rows, _LEAST_DISTINCT) < _LEAST_DISTINCT:
        return
    remedy = "n_components=32, a smaller eps or min_cluster_size, or algorithm='leiden'"
    if task.algorithm == "leiden":
        remedy = "a larger resolution"
    warn_caller(
        f"one cluster holds {largest} of {len(labels)} rows, so that hardly any rows "
        f"were separated. Try {remedy}, unless the rows have no cluster structure.",
        WeakClustersWarning,
    )
