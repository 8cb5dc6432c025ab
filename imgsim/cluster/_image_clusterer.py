"""Groups of similar images."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    ClusterMixin,
    TransformerMixin,
)
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from imgsim._validation import (
    Interval,
    StrOptions,
    check_rows,
    check_rows_to_fit,
    find_readable_rows,
    fit_context,
    spread_labels,
)
from imgsim.cluster._finding import find_groups
from imgsim.cluster._group_summary import Groups, distances_from, number_by_size
from imgsim.cluster.algorithms._feature_space import Space
from imgsim.cluster.algorithms._prediction import Rule, as_limits, make_rule
from imgsim.cluster.algorithms._registry import ALGORITHMS
from imgsim.cluster.criteria._silhouette import silhouette_score_many
from imgsim.cluster.selection._best_k import CRITERIA
from imgsim.cluster.selection._candidates import Setting
from imgsim.cluster.selection._select_k import RandomState, as_seed
from imgsim.export._table import Table


class ImageClusterer(
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    ClusterMixin,
    BaseEstimator,
):
    """Group images by their embeddings.

    Groups are numbered by size, the largest 0. Images in no group have the label -1.

    For embeddings of photographs, where nothing is known of the groups, begin with
    `ImageClusterer(algorithm="leiden", n_components="auto")`: it finds the number of
    groups, too, or takes `n_clusters`.

    Parameters
    ----------
    n_clusters : int or "auto", default="auto"
        Number of groups. "auto" leaves it to `leiden`, `dbscan` and `hdbscan` to find
        it; for the others, and for `leiden` if `k_range` is given, the candidates of
        `k_range` are compared by `criterion`, see :func:`select_k`. Given a number,
        `leiden` searches for the resolution that yields it, or the nearest, and
        `dbscan` and `hdbscan` keep that many of the largest groups, the images of the
        others becoming noise.

    algorithm : {"kmeans", "minibatch_kmeans", "bisecting_kmeans", "spectral", \
"agglomerative", "dbscan", "hdbscan", "gaussian_mixture", "leiden"}, default="kmeans"
        How rows are grouped, by scikit-learn's estimator of that name; `leiden` by
        scikit-network's (`pip install 'scikit-imgsim[graph]'`), which finds regions
        of a graph that are densely connected. `spectral` and `leiden` work on the
        graph of shared nearest neighbours.

    metric : {"cosine", "euclidean"}, default="cosine"
        Distance between rows. Cosine is the default because embeddings of neural
        networks are compared by direction; their length carries little information.
        For cosine, rows are scaled to unit length for algorithms that only support
        Euclidean distances.

    n_components : int, "auto" or None, default=None
        Number of principal components that the algorithm is given, because distances
        in a thousand dimensions are blunt. "auto" takes at most 128; 32 suits
        `hdbscan`, which is slow with more, and `dbscan`. Silhouettes, medoids and
        distances are about the rows of X all the same.

    algorithm_params : dict, default=None
        Parameters of the algorithm, such as `{"n_init": 10}` for k-means. Beyond
        those of scikit-learn: `n_neighbors`, 20 by default, of the graph of
        `spectral` and `leiden`; `resolution` of `leiden`, 1 by default, with which
        the number of groups grows; `eps="auto"` of `dbscan`, its default, the knee
        of the sorted distances to the `min_samples`-th row.

    k_range : sequence of int, default=None
        The candidates of `n_clusters="auto"`. None takes 2 to 10.

    criterion : {"silhouette", "calinski_harabasz", "davies_bouldin", "inertia", \
"gap", "stability"}, default="silhouette"
        What decides among the candidates, see :func:`select_k`.

    n_jobs : int, default=None
        Number of candidates clustered at the same time, in threads. None means 1
        unless in a :obj:`joblib.parallel_backend` context. -1 means all processors.

    random_state : int, RandomState instance or None, default=None
        Seeds whatever is random.

    Attributes
    ----------
    labels_ : ndarray of shape (n_samples,), dtype int64
        Group of each image; -1 for noise, and for an unreadable image.

    n_clusters_ : int
        Number of groups; 0 if all is noise.

    cluster_sizes_ : ndarray of shape (n_clusters_,), dtype int64
        Number of images in each group, never increasing.

    cluster_centers_ : ndarray of shape (n_clusters_, n_features_in_)
        Mean row of each group; for cosine, the mean of rows of unit length.

    medoid_indices_ : ndarray of shape (n_clusters_,), dtype int64
        The most typical image of each group: the row number of the member with the
        smallest mean distance to the others.

    silhouette_samples_ : ndarray of shape (n_samples,), dtype float64
        How much nearer each image is to its own group than to the next; NaN for images
        in no group, and for all if there is only one group.

    n_noise_ : int
        Number of images in no group, unreadable ones included.

    estimator_ : object
        The fitted estimator of scikit-learn or scikit-network. It numbers the groups
        in its own way.

    selection_ : KSelection or None
        How the number of groups was chosen; None if it was given, or found by the
        algorithm.

    n_features_in_ : int
        Width of a row.

    See Also
    --------
    select_k : Compare numbers of groups.
    imgsim.ImageEmbedder : Turns images into rows.

    Notes
    -----
    Unseen rows are assigned by the algorithm's own rule for `kmeans`,
    `minibatch_kmeans`, `bisecting_kmeans` and `gaussian_mixture`, which gives training
    rows their `labels_`. `dbscan` takes the group of the nearest core sample within
    `eps`; a border row between two groups may change sides. The others take a vote of
    the 15 nearest rows, noise included, each weighted by the inverse of its distance;
    a training row keeps its label, unless an equal row has another.

    Of more than 20,000 rows, silhouettes and medoids by Euclidean distance are means
    over 20,000 rows, drawn from all groups. `agglomerative` joins only neighbours in
    the graph, if the distances of all pairs would exceed `working_memory`.

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
        "metric": [StrOptions({"euclidean", "cosine"})],
        "n_components": [
            Interval(Integral, 1, None, closed="left"),
            StrOptions({"auto"}),
            None,
        ],
        "algorithm_params": [dict, None],
        "k_range": ["array-like", range, None],
        "criterion": [StrOptions(set(CRITERIA))],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        n_clusters: int | str = "auto",
        *,
        algorithm: str = "kmeans",
        metric: str = "cosine",
        n_components: int | str | None = None,
        algorithm_params: dict[str, Any] | None = None,
        k_range: Sequence[int] | None = None,
        criterion: str = "silhouette",
        n_jobs: int | None = None,
        random_state: RandomState = None,
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

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Find the groups.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Embeddings, kept as float32 or float64. A row that holds NaN gets
            the label -1 and changes nothing else.

        y : Ignored
            Present for API consistency.

        Returns
        -------
        self : ImageClusterer
            Fitted.

        Raises
        ------
        ValueError
            If there are fewer readable rows than groups or components, fewer than 3
            to compare numbers of groups, or all are equal then; if the algorithm has
            no parameter of a name in `algorithm_params`, or refuses a value.

        ModuleNotFoundError
            If scikit-network is missing for `leiden`.

        Warns
        -----
        WeakClustersWarning
            If there is no group, or fewer rows differ than groups were asked for, or
            silhouettes do not tell how many groups there are.
        """
        for name in [name for name in vars(self) if name.endswith("_")]:
            delattr(self, name)  # so that a fit that fails leaves nothing behind
        X, readable = check_rows_to_fit(self, X)
        rows, seed = X[readable], as_seed(self.random_state)
        space = Space(self.metric, self.n_components, seed).fit(rows)
        params = self.algorithm_params or {}
        setting = Setting(
            rows, space.apply(rows), self.algorithm, self.metric, params, seed
        )
        self.estimator_, found, self.selection_ = find_groups(
            setting,
            readable,
            self.n_clusters,
            self.k_range,
            self.criterion,
            self.n_jobs,
        )
        labels, self.cluster_sizes_, number_of = number_by_size(found)
        self.n_clusters_ = len(self.cluster_sizes_)
        self.labels_ = spread_labels(labels, readable)
        self.n_noise_ = int((self.labels_ < 0).sum())
        self._space = space
        self._rule: Rule = make_rule(setting, self.estimator_, labels, number_of)
        groups = Groups.of(rows, labels, self.cluster_sizes_, self.metric, seed)
        self.cluster_centers_ = groups.centers
        row_of = np.flatnonzero(readable)
        self.medoid_indices_ = row_of[groups.medoids]
        self.silhouette_samples_ = np.full(len(X), np.nan)
        self.silhouette_samples_[readable] = groups.silhouettes
        self._table = Table(groups.table, medoid=self.medoid_indices_)
        return self

    def predict(
        self, X: ArrayLike, max_distance: ArrayLike | None = None
    ) -> NDArray[np.int64]:
        """Assign images to groups.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Embeddings.

        max_distance : float or array-like of shape (n_clusters_,), default=None
            Largest distance from the centre of the group, as `transform` gives it, or
            one for each group, such as `report()["max_distance"]`; an image beyond it
            is a stranger, and gets -1. None has no limit.

        Returns
        -------
        labels : ndarray of shape (n_samples,), dtype int64
            Group of each image; -1 for noise, strangers and rows that hold NaN.

        Raises
        ------
        ValueError
            If `max_distance` is negative, no number or of another shape.
        """
        check_is_fitted(self)
        limits = as_limits(max_distance, self.n_clusters_)
        X = check_rows(self, X, reset=False)
        readable = find_readable_rows(X)
        labels = np.full(len(X), -1, dtype=np.int64)
        if not readable.any() or not self.n_clusters_:
            return labels
        groups = self._rule.predict(self._space.apply(X[readable]))
        if limits is not None:
            distances = distances_from(X[readable], self.cluster_centers_, self.metric)
            own = distances[np.arange(len(groups)), groups]
            groups = np.where(own <= limits[groups], groups, -1)
        labels[readable] = groups
        return labels

    def transform(self, X: ArrayLike) -> NDArray[Any]:
        """Compute the distances of images from the centres of the groups.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Embeddings.

        Returns
        -------
        distances : ndarray of shape (n_samples, n_clusters_), dtype of `X`
            By `metric`: Euclidean, or one less the cosine of row and centre. NaN for
            a row that holds NaN.
        """
        check_is_fitted(self)
        X = check_rows(self, X, reset=False)
        readable = find_readable_rows(X)
        distances = np.full((len(X), self.n_clusters_), np.nan, dtype=X.dtype)
        if readable.any() and self.n_clusters_:
            distances[readable] = distances_from(
                X[readable], self.cluster_centers_, self.metric
            )
        return distances

    def score(self, X: ArrayLike, y: Any = None) -> float:
        """Return the mean silhouette of images under their predicted groups.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Embeddings.

        y : Ignored
            Present for API consistency.

        Returns
        -------
        silhouette : float
            In [-1, 1], larger is better; noise and unreadable images are left out. NaN
            if the images fall into a single group, or into one each.
        """
        labels = self.predict(X)
        n_found, n_grouped = len(np.unique(labels[labels >= 0])), (labels >= 0).sum()
        if not 2 <= n_found < n_grouped:
            return np.nan
        X = check_rows(self, X, reset=False)
        means, _ = silhouette_score_many(X, [labels], metric=self.metric)
        return float(means[0])

    def report(self) -> Table:
        """Describe the groups.

        Returns
        -------
        table : dict of str to ndarray of shape (n_clusters_,)
            A row a group; `print` shows it, `to_frame()` makes a DataFrame of it and
            `to_csv(path)` a file. Columns: `group`; `size`; `medoid`, the row number
            of its most typical image; `silhouette`, the mean over its images;
            `nearest`, the group with the nearest centre, -1 if there is no other;
            `mean_distance` and `max_distance` of its images from its centre.
        """
        check_is_fitted(self)
        return Table({name: column.copy() for name, column in self._table.items()})

    @property
    def _n_features_out(self) -> int:
        return self.n_clusters_

    def __sklearn_tags__(self) -> Tags:
        """Tell scikit-learn that rows of NaN are understood."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags
