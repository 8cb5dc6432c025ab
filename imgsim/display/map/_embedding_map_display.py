"""Display of a map of a collection of images in two dimensions."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.pipeline import Pipeline

from imgsim._compute.seeds import RandomState, as_seed
from imgsim._validation import check_embeddings, is_integer, is_number, nearest_name
from imgsim.display._labels import LabelNames
from imgsim.display.map._label_groups import number_labels
from imgsim.display.map._projection import (
    METHODS,
    METRICS,
    ProjectionMethod,
    ProjectionMetric,
    check_positions,
    project,
)
from imgsim.display.map._scene import (
    N_QUERY_NEIGHBORS,
    Scene,
    check_images,
    draw_scene,
)
from imgsim.index import SimilarityIndex

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class EmbeddingMapDisplay:
    """A map of a collection, on which similar images are near each other.

    Each image is a point with the color and the marker of its cluster. If `images` are
    given, thumbnails fill the map: it is divided into cells, and the image nearest to
    the center of a cell is drawn there, in a frame with the color and line style of its
    cluster and with its marker at a corner. Empty cells show other images from cells
    nearby. The remaining images are points. Queries are stars. Queries and the images
    nearest to them are drawn first, so that they are never hidden. Images without an
    embedding have no position. They are left out and counted in the title. Create the
    display with :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    positions : array-like of shape (n_samples, 2)
        Position of each image; NaN for an image without a position.

    images : sequence of image sources of length n_samples, default=None
        Images to draw as thumbnails. None draws points only.

    labels : array-like of shape (n_samples,), dtype int or str, default=None
        Cluster or class of each image, as a number or a name. A negative number means
        noise. None draws all images alike.

    label_names : mapping of int to str or sequence of str, default=None
        Names of the numbers in `labels`.

    query_positions : array-like of shape (n_queries, 2), default=None
        Position of each query; NaN for a query without a position.

    query_images : sequence of image sources of length n_queries, default=None
        Images of the queries, to draw as thumbnails. None draws only stars.

    query_neighbors : list of n_queries array-like of int, default=None
        Rows of the images that are nearest to each query. None means the five images
        nearest to it on the map.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the plot.

    figure_ : matplotlib Figure
        Figure that contains the axes.

    See Also
    --------
    ClusterDisplay : The most typical images of each cluster.
    SilhouetteDisplay : The silhouettes of each cluster.

    Notes
    -----
    A map in two dimensions cannot preserve all distances. t-SNE and UMAP preserve
    neighborhoods, but the size of a cluster and its distance from other clusters are
    not meaningful. PCA preserves the directions in which the collection varies most,
    and images that differ only in other directions overlap.

    If there are more than 49 clusters, the smallest ones share one style.
    Both axes have the same scale.

    Examples
    --------
    >>> from imgsim import ColorHistogramEmbedder
    >>> from imgsim.datasets import load_sample_photos
    >>> from imgsim.display import EmbeddingMapDisplay
    >>> photos = load_sample_photos(n_crops=2, n_copies=3)
    >>> X = ColorHistogramEmbedder().fit_transform(photos.images)
    >>> display = EmbeddingMapDisplay.from_predictions(
    ...     X, photos.target, images=photos.images, method="pca"
    ... )
    >>> [text.get_text() for text in display.plot().ax_.get_legend().get_texts()]
    ['cluster 0 (4)', 'cluster 1 (4)', 'cluster 2 (4)', 'cluster 3 (4)']
    """

    def __init__(
        self,
        *,
        positions: ArrayLike,
        images: Any = None,
        labels: ArrayLike | None = None,
        label_names: LabelNames | None = None,
        query_positions: ArrayLike | None = None,
        query_images: Any = None,
        query_neighbors: Sequence[ArrayLike] | None = None,
    ) -> None:
        self.positions = positions
        self.images = images
        self.labels = labels
        self.label_names = label_names
        self.query_positions = query_positions
        self.query_images = query_images
        self.query_neighbors = query_neighbors

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: n_images={len(np.asarray(self.positions))}>"

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        images: Any = None,
        label_names: LabelNames | None = None,
        queries: Any = None,
        query_images: Any = None,
        method: ProjectionMethod | ArrayLike = "tsne",
        metric: ProjectionMetric | None = None,
        perplexity: float = 30.0,
        random_state: RandomState = None,
    ) -> Self:
        """Predict the clusters of images and compute their positions.

        Parameters
        ----------
        estimator : ImageClusterer or Pipeline
            Fitted clusterer, or pipeline that ends in an
            :class:`~imgsim.ImageClusterer`. Any other scikit-learn estimator with
            `predict` is accepted, including classifiers.

        X : array-like of shape (n_samples, n_features), or sequence of image sources
            Input of the estimator: embeddings, or images if its first step is an
            embedder.

        images : sequence of image sources of length n_samples, default=None
            Images to draw as thumbnails. None means X if the estimator is a pipeline,
            and otherwise draws points only.

        label_names : mapping of int to str or sequence of str, default=None
            Names of the clusters. None numbers them.

        queries : array-like of shape (n_queries, n_features), or sequence of image \
sources, default=None
            Queries to mark on the map, in the same form as X. If `method` is an array,
            the positions of the queries.

        query_images : sequence of image sources of length n_queries, default=None
            Images of the queries, to draw as thumbnails. None means `queries` if the
            estimator is a pipeline, and otherwise draws only stars.

        method : {"tsne", "pca", "umap"} or array-like of shape (n_samples, 2), \
default="tsne"
            See :meth:`from_predictions`.

        metric : {"cosine", "euclidean"}, default=None
            Distance between embeddings. None means the `metric` of the estimator, or
            cosine if it has none.

        perplexity : float, default=30.0
            See :meth:`from_predictions`.

        random_state : int, RandomState instance or None, default=None
            Controls the randomness of t-SNE and UMAP.

        Returns
        -------
        display : EmbeddingMapDisplay
            Display, to be drawn with :meth:`plot`.

        Raises
        ------
        ValueError
            Under the same conditions as :meth:`from_predictions`.

        TypeError
            If the estimator has no `predict`.

        ModuleNotFoundError
            If `method="umap"` and umap-learn is not installed.
        """
        if isinstance(estimator, Pipeline):
            images = X if images is None else images
            X, embedder = estimator[:-1].transform(X), estimator[:-1]
            if queries is not None and isinstance(method, str):
                query_images = queries if query_images is None else query_images
                queries = embedder.transform(queries)
            estimator = estimator[-1]
        if not hasattr(estimator, "predict"):
            raise TypeError(
                f"{type(estimator).__name__} has no predict; "
                f"use from_predictions(X, labels)."
            )
        own_metric = getattr(estimator, "metric", None)
        default: ProjectionMetric = own_metric if own_metric in METRICS else "cosine"
        return cls.from_predictions(
            X,
            estimator.predict(X),
            images=images,
            label_names=label_names,
            queries=queries,
            query_images=query_images,
            method=method,
            metric=default if metric is None else metric,
            perplexity=perplexity,
            random_state=random_state,
        )

    @classmethod
    def from_predictions(
        cls,
        X: ArrayLike,
        labels: ArrayLike | None = None,
        *,
        images: Any = None,
        label_names: LabelNames | None = None,
        queries: ArrayLike | None = None,
        query_images: Any = None,
        method: ProjectionMethod | ArrayLike = "tsne",
        metric: ProjectionMetric = "cosine",
        perplexity: float = 30.0,
        random_state: RandomState = None,
    ) -> Self:
        """Compute the positions of images.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Embeddings. A row that contains NaN gets no position.

        labels : array-like of shape (n_samples,), dtype int or str, default=None
            Cluster or class of each image, as a number or a name. A negative number
            means noise. None draws all images alike.

        images : sequence of image sources of length n_samples, default=None
            Images to draw as thumbnails. None draws points only.

        label_names : mapping of int to str or sequence of str, default=None
            Names of the numbers in `labels`. None numbers the clusters.

        queries : array-like of shape (n_queries, n_features), default=None
            Embeddings of queries to mark on the map. If `method` is an array, the
            positions of the queries, of shape (n_queries, 2).

        query_images : sequence of image sources of length n_queries, default=None
            Images of the queries, to draw as thumbnails. None draws only stars.

        method : {"tsne", "pca", "umap"} or array-like of shape (n_samples, 2), \
default="tsne"
            How positions are computed: t-SNE of at most 50 principal components [1]_;
            the first two principal components; or UMAP [2]_ (`pip install
            umap-learn`). An array contains the positions themselves, and NaN for an
            image without a position.

        metric : {"cosine", "euclidean"}, default="cosine"
            Distance between embeddings. For cosine, embeddings are first scaled to unit
            length.

        perplexity : float, default=30.0
            Approximate number of neighbors that t-SNE preserves, at least 1. It is
            limited to a third of the number of other images.

        random_state : int, RandomState instance or None, default=None
            Controls the randomness of t-SNE and UMAP.

        Returns
        -------
        display : EmbeddingMapDisplay
            Display, to be drawn with :meth:`plot`.

        Raises
        ------
        ValueError
            If arguments differ in length or number of features, if a parameter has an
            invalid value, if every row contains NaN, or if labels are neither integers
            nor strings.

        ModuleNotFoundError
            If `method="umap"` and umap-learn is not installed.

        Notes
        -----
        t-SNE projects queries together with X, so that queries change the positions of
        the other images a little.
        PCA and UMAP are fitted on X alone. Fewer than four embeddings are projected by
        PCA, whatever the method. Embeddings that are all equal have the same position.

        References
        ----------
        .. [1] L. van der Maaten and G. Hinton, "Visualizing data using t-SNE", Journal
           of Machine Learning Research, 2008.

        .. [2] L. McInnes, J. Healy and J. Melville, "UMAP: uniform manifold
           approximation and projection for dimension reduction", 2018.
        """
        _check_choices(method, metric, perplexity)
        caller = f"{cls.__name__}.from_predictions"
        rows = check_embeddings(X, caller)
        if queries is not None:
            queries = check_embeddings(queries, caller, name="queries")
        _check_labels(labels, label_names, len(rows))
        check_images("images", images, len(rows), "rows of X")
        if isinstance(method, str):
            positions, query_positions = project(
                rows,
                queries,
                method=method,
                metric=metric,
                perplexity=perplexity,
                seed=as_seed(random_state),
                caller=f"{cls.__name__} with method='umap'",
            )
        else:
            positions = check_positions("method", method, len(rows))
            positions[np.isnan(rows).any(axis=1)] = np.nan
            query_positions = (
                None if queries is None else check_positions("queries", queries)
            )
        n_queries = 0 if query_positions is None else len(query_positions)
        query_neighbors = None
        if isinstance(method, str) and n_queries:
            index = SimilarityIndex(N_QUERY_NEIGHBORS, metric=metric).fit(rows)
            query_neighbors = index.search(queries).rows
        check_images("query_images", query_images, n_queries, "queries")
        return cls(
            positions=positions,
            images=images,
            labels=labels,
            label_names=label_names,
            query_positions=query_positions,
            query_images=query_images,
            query_neighbors=query_neighbors,
        )

    def plot(
        self,
        *,
        ax: "Axes | None" = None,
        n_thumbnails: int = 250,
        show_names: bool = True,
    ) -> Self:
        """Draw the map, with a legend to its right if there are labels or queries.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. They contain both the map and the legend. None creates a
            figure, whose width depends on the length of the names.

        n_thumbnails : int, default=250
            Maximum number of thumbnails. Fewer thumbnails are larger. 0 draws points
            only.

        show_names : bool, default=True
            Whether the names of clusters are written on a map without thumbnails, near
            the median position of each cluster. Names that would overlap are left out.
            Clusters without a name are numbered.

        Returns
        -------
        display : EmbeddingMapDisplay
            The display itself, with `ax_` and `figure_` set.

        Raises
        ------
        ModuleNotFoundError
            If matplotlib is not installed.

        ValueError
            If `n_thumbnails` is negative.
        """
        if not is_integer(n_thumbnails) or n_thumbnails < 0:
            raise ValueError(f"n_thumbnails={n_thumbnails!r} must be at least 0.")
        query_positions = self.query_positions
        if query_positions is not None:
            query_positions = check_positions("query_positions", query_positions)
        scene = Scene.of(
            check_positions("positions", self.positions),
            self.images,
            self.labels,
            self.label_names,
            query_positions,
            self.query_images,
            self.query_neighbors,
        )
        caller = f"{type(self).__name__}.plot"
        self.ax_ = draw_scene(scene, ax, n_thumbnails, show_names, caller)
        self.figure_: Figure = self.ax_.figure  # type: ignore[assignment]  # or SubFigure
        return self


def _check_choices(
    method: ProjectionMethod | ArrayLike, metric: str, perplexity: float
) -> None:
    if isinstance(method, str) and method not in METHODS:
        raise ValueError(
            f"method={method!r} must be one of {METHODS}, or an array of positions."
            f"{nearest_name(method, METHODS)}"
        )
    if metric not in METRICS:
        raise ValueError(
            f"metric={metric!r} must be one of {METRICS}."
            f"{nearest_name(metric, METRICS)}"
        )
    if not is_number(perplexity) or not float(perplexity) >= 1:
        raise ValueError(f"perplexity={perplexity!r} must be a number, at least 1.")


def _check_labels(
    labels: ArrayLike | None, label_names: LabelNames | None, n_rows: int
) -> None:
    if labels is None:
        if label_names is not None:
            raise ValueError("label_names is given without labels; pass both.")
        return
    n_labels = len(number_labels(labels, label_names).numbers)
    if n_labels != n_rows:
        raise ValueError(
            f"labels has length {n_labels}, but the number of rows of X is {n_rows}; "
            f"both must be equal."
        )
