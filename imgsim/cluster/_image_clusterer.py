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
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score
from sklearn.metrics.pairwise import euclidean_distances
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
from imgsim.cluster._kmeans import RandomState, fit_kmeans, to_euclidean
from imgsim.cluster._select_k import KSelection, select_k


class ImageClusterer(
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    ClusterMixin,
    BaseEstimator,
):
    """Group images by their embeddings.

    Groups are numbered by size, the largest 0, and each is represented by its most
    typical image.

    Parameters
    ----------
    n_clusters : int or "auto", default="auto"
        Number of groups. "auto" takes the candidate of `k_range` with the largest
        mean silhouette, see :func:`select_k`.

    algorithm : {"kmeans"}, default="kmeans"
        How rows are grouped: by k-means, the best of ten starts.

    metric : {"euclidean", "cosine"}, default="euclidean"
        Distance between rows. For cosine, rows are scaled to unit length first.

    k_range : sequence of int, default=None
        The candidates of `n_clusters="auto"`; those that are not less than the number
        of readable rows are left out. None takes 2 to 10.

    random_state : int, RandomState instance or None, default=None
        Seeds the starts of k-means.

    Attributes
    ----------
    labels_ : ndarray of shape (n_samples,), dtype int64
        Group of each image; -1 for an unreadable one.

    n_clusters_ : int
        Number of groups.

    cluster_sizes_ : ndarray of shape (n_clusters_,), dtype int64
        Number of images in each group, never increasing.

    cluster_centers_ : ndarray of shape (n_clusters_, n_features_in_)
        Mean row of each group; for cosine, the mean of rows of unit length.

    medoid_indices_ : ndarray of shape (n_clusters_,), dtype int64
        The most typical image of each group: its member nearest to the centre.

    n_noise_ : int
        Number of images in no group, here the unreadable ones.

    selection_ : KSelection or None
        How the number of groups was chosen; None if it was given.

    n_features_in_ : int
        Width of a row.

    See Also
    --------
    select_k : Compare numbers of groups.
    imgsim.ImageEmbedder : Turns images into rows.

    Examples
    --------
    >>> from imgsim import ColorHistogramEmbedder, ImageClusterer
    >>> from imgsim.datasets import load_sample_photos
    >>> photos = load_sample_photos(n_crops=3, n_copies=3)
    >>> X = ColorHistogramEmbedder().fit_transform(photos.images)
    >>> clusterer = ImageClusterer(random_state=0).fit(X)
    >>> clusterer.n_clusters_, clusterer.cluster_sizes_
    (6, array([4, 4, 4, 4, 4, 4]))
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "n_clusters": [
            Interval(Integral, 1, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "algorithm": [StrOptions({"kmeans"})],
        "metric": [StrOptions({"euclidean", "cosine"})],
        "k_range": ["array-like", range, None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        n_clusters: int | str = "auto",
        *,
        algorithm: str = "kmeans",
        metric: str = "euclidean",
        k_range: Sequence[int] | None = None,
        random_state: RandomState = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.algorithm = algorithm
        self.metric = metric
        self.k_range = k_range
        self.random_state = random_state

    @fit_context(prefer_skip_nested_validation=True)
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
            The fitted clusterer.

        Raises
        ------
        ValueError
            If there are fewer readable rows than groups, fewer than 3 for "auto", or
            all are equal for "auto".
        """
        X, readable = check_rows_to_fit(self, X)
        rows = to_euclidean(X[readable], self.metric)
        kmeans = self._fit_kmeans(X, rows)
        sizes = np.bincount(kmeans.labels_, minlength=kmeans.n_clusters)
        by_size = np.argsort(-sizes, kind="stable")
        # Fewer distinct rows than groups leave the last groups empty.
        by_size = by_size[: np.count_nonzero(sizes)]
        self.n_clusters_ = len(by_size)
        self.cluster_sizes_ = sizes[by_size]
        self.cluster_centers_ = kmeans.cluster_centers_[by_size]
        labels = np.argsort(by_size)[kmeans.labels_]
        self.labels_ = spread_labels(labels, readable)
        self.medoid_indices_ = np.flatnonzero(readable)[self._medoids(rows, labels)]
        self.n_noise_ = len(X) - len(rows)
        return self

    def predict(self, X: ArrayLike) -> NDArray[np.int64]:
        """Assign images to the group with the nearest centre.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Embeddings.

        Returns
        -------
        labels : ndarray of shape (n_samples,), dtype int64
            Group of each image; -1 for a row that holds NaN.
        """
        distances = self.transform(X)
        readable = find_readable_rows(distances)
        return spread_labels(distances[readable].argmin(axis=1), readable)

    def transform(self, X: ArrayLike) -> NDArray[Any]:
        """Compute the distances of images from the centres of the groups.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Embeddings.

        Returns
        -------
        distances : ndarray of shape (n_samples, n_clusters_), dtype of `X`
            Euclidean; for the cosine metric, between a row of unit length and the
            centre. NaN for a row that holds NaN.
        """
        check_is_fitted(self)
        X = check_rows(self, X, reset=False)
        readable = find_readable_rows(X)
        distances = np.full((len(X), self.n_clusters_), np.nan, dtype=X.dtype)
        if readable.any():
            rows = to_euclidean(X[readable], self.metric)
            centers = self.cluster_centers_.astype(X.dtype, copy=False)
            distances[readable] = euclidean_distances(rows, centers)
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
            In [-1, 1], larger is better; unreadable images are left out.

        Raises
        ------
        ValueError
            If the images fall into a single group, or into one each.
        """
        labels = self.predict(X)
        grouped = labels >= 0
        n_found, n_grouped = len(np.unique(labels[grouped])), int(grouped.sum())
        if not 2 <= n_found < n_grouped:
            raise ValueError(
                f"a silhouette needs at least 2 groups and fewer than images; "
                f"n_samples={n_grouped} fall into {n_found} groups."
            )
        rows = np.asarray(X)[grouped]
        return float(silhouette_score(rows, labels[grouped], metric=self.metric))

    @property
    def _n_features_out(self) -> int:
        return self.n_clusters_

    def _fit_kmeans(self, X: NDArray[Any], rows: NDArray[Any]) -> KMeans:
        """Fit k-means on the readable rows, or take the best of several k."""
        self.selection_: KSelection | None = None
        if isinstance(self.n_clusters, str):
            self.selection_ = self._select_k(X, n_readable=len(rows))
            return self.selection_.best_estimator
        if self.n_clusters > len(rows):
            raise ValueError(
                f"n_clusters={self.n_clusters} must be at most the number of readable "
                f"rows, n_samples={len(rows)}."
            )
        return fit_kmeans(rows, self.n_clusters, self.random_state)

    def _select_k(self, X: NDArray[Any], n_readable: int) -> KSelection:
        candidates = range(2, 11) if self.k_range is None else self.k_range
        possible = [k for k in candidates if k < n_readable]
        if not possible:
            raise ValueError(
                f"n_clusters='auto' needs more readable rows than the smallest "
                f"candidate of k_range; got n_samples={n_readable}."
            )
        selection: KSelection = select_k(
            X, possible, metric=self.metric, random_state=self.random_state
        )
        return selection

    def _medoids(
        self, rows: NDArray[Any], labels: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Return the member of each group that is nearest to its centre."""
        medoids = []
        for label, center in enumerate(self.cluster_centers_):
            members = np.flatnonzero(labels == label)
            distances = euclidean_distances(rows[members], center[np.newaxis])
            medoids.append(members[distances[:, 0].argmin()])
        return np.array(medoids)

    def __sklearn_tags__(self) -> Tags:
        """Tell scikit-learn that rows of NaN are understood."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags
