"""A collection on a plane."""

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.pipeline import Pipeline

from imgsim.cluster.selection._select_k import RandomState, as_seed
from imgsim.display._checks import check_embeddings
from imgsim.display.map._groups import name_labels
from imgsim.display.map._projection import METHODS, METRICS, check_places, project
from imgsim.display.map._scene import Scene, check_attached, draw_scene

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class EmbeddingMapDisplay:
    """A map of the collection: similar images are near each other.

    Each image is a point in the colour and with the marker of its group. Given images,
    some are drawn as pictures, as many as fit without hiding each other: the map is
    cut into cells, and the image nearest to the centre of a cell stands for it, in a
    frame of its colour and with its marker at a corner. Queries are stars. Images
    without an embedding have no place: they are left out and counted in the title.
    Create it by :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    positions : array-like of shape (n_samples, 2)
        Place of each image; NaN for none.

    images : sequence of image sources of length n_samples, default=None
        The pictures. None draws points only.

    labels : array-like of shape (n_samples,), dtype int or str, default=None
        Group of each image, as a number, negative for none, or as a name. None draws
        all alike.

    label_names : mapping of int to str or sequence of str, default=None
        Name of each number in `labels`.

    query_positions : array-like of shape (n_queries, 2), default=None
        Place of each query; NaN for none.

    query_images : sequence of image sources of length n_queries, default=None
        The queries as pictures. None draws only stars.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes drawn on.

    figure_ : matplotlib Figure
        The figure that holds them.

    See Also
    --------
    ClusterDisplay : The most typical images of each group.
    SilhouetteDisplay : How far each group stands apart.

    Notes
    -----
    A map in two dimensions cannot keep all distances. t-SNE and UMAP keep neighbours
    together: that two groups touch or are far apart, and how large they are, says
    little. PCA keeps the directions in which the collection differs most, and mixes
    what differs in others.

    Of more than 49 groups, the smallest are drawn alike. Both axes have one scale.

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
    ['group 0 (4)', 'group 1 (4)', 'group 2 (4)', 'group 3 (4)']
    """

    def __init__(
        self,
        *,
        positions: ArrayLike,
        images: Any = None,
        labels: ArrayLike | None = None,
        label_names: Mapping[int, str] | Sequence[str] | None = None,
        query_positions: ArrayLike | None = None,
        query_images: Any = None,
    ) -> None:
        self.positions = positions
        self.images = images
        self.labels = labels
        self.label_names = label_names
        self.query_positions = query_positions
        self.query_images = query_images

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        images: Any = None,
        label_names: Mapping[int, str] | Sequence[str] | None = None,
        queries: Any = None,
        query_images: Any = None,
        method: str | ArrayLike = "tsne",
        metric: str | None = None,
        perplexity: float = 30.0,
        random_state: RandomState = None,
    ) -> Self:
        """Assign images to groups and place them on a plane.

        Parameters
        ----------
        estimator : ImageClusterer or Pipeline
            Fitted; a pipeline ends in an :class:`~imgsim.ImageClusterer`. Any other
            estimator of scikit-learn serves that has `predict`, a classifier too.

        X : array-like of shape (n_samples, n_features), or sequence of image sources
            What the estimator takes: embeddings, or images if it embeds them itself.

        images : sequence of image sources of length n_samples, default=None
            The pictures. None takes X, if the estimator is a pipeline, and otherwise
            draws points only.

        label_names : mapping of int to str or sequence of str, default=None
            Name of each group. None calls them by their number.

        queries : array-like of shape (n_queries, n_features), or sequence of image \
sources, default=None
            Images to be marked among the others, as X; places, if `method` is an array.

        query_images : sequence of image sources of length n_queries, default=None
            The queries as pictures. None takes `queries` as `images` takes X.

        method : {"tsne", "pca", "umap"} or array-like of shape (n_samples, 2), \
default="tsne"
            See :meth:`from_predictions`.

        metric : {"cosine", "euclidean"}, default=None
            Distance between rows. None takes the `metric` of the estimator, or cosine
            if it has none.

        perplexity : float, default=30.0
            See :meth:`from_predictions`.

        random_state : int, RandomState instance or None, default=None
            Seeds t-SNE and UMAP.

        Returns
        -------
        display : EmbeddingMapDisplay
            To be drawn by :meth:`plot`.

        Raises
        ------
        ValueError
            As :meth:`from_predictions`.

        TypeError
            If the estimator has no `predict`.

        ModuleNotFoundError
            If umap-learn is missing for "umap".
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
        usual = own_metric if own_metric in METRICS else "cosine"
        return cls.from_predictions(
            X,
            estimator.predict(X),
            images=images,
            label_names=label_names,
            queries=queries,
            query_images=query_images,
            method=method,
            metric=usual if metric is None else metric,
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
        label_names: Mapping[int, str] | Sequence[str] | None = None,
        queries: ArrayLike | None = None,
        query_images: Any = None,
        method: str | ArrayLike = "tsne",
        metric: str = "cosine",
        perplexity: float = 30.0,
        random_state: RandomState = None,
    ) -> Self:
        """Place images on a plane.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Embeddings. A row that holds NaN gets no place.

        labels : array-like of shape (n_samples,), dtype int or str, default=None
            Group of each image, as a number, negative for none, or as a name. None
            draws all alike.

        images : sequence of image sources of length n_samples, default=None
            The pictures. None draws points only.

        label_names : mapping of int to str or sequence of str, default=None
            Name of each number in `labels`. None calls groups by their number.

        queries : array-like of shape (n_queries, n_features), default=None
            Embeddings to be marked among the others; places of shape (n_queries, 2),
            if `method` is an array.

        query_images : sequence of image sources of length n_queries, default=None
            The queries as pictures. None draws only stars.

        method : {"tsne", "pca", "umap"} or array-like of shape (n_samples, 2), \
default="tsne"
            How rows are placed: t-SNE of at most 50 principal components [1]_; the
            first two principal components; UMAP [2]_ (`pip install umap-learn`); or
            places found by something else, NaN for none.

        metric : {"cosine", "euclidean"}, default="cosine"
            Distance between rows. For cosine, rows are scaled to unit length first.

        perplexity : float, default=30.0
            About how many neighbours t-SNE keeps near each row, at least 1; a third of
            the other rows, if that is less.

        random_state : int, RandomState instance or None, default=None
            Seeds t-SNE and UMAP.

        Returns
        -------
        display : EmbeddingMapDisplay
            To be drawn by :meth:`plot`.

        Raises
        ------
        ValueError
            If lengths or widths differ, a parameter has none of its values, every row
            holds NaN, or labels are neither integers nor strings.

        ModuleNotFoundError
            If umap-learn is missing for "umap".

        Notes
        -----
        t-SNE places queries together with X, and so moves the others a little; PCA and
        UMAP learn from X alone. Fewer than four rows are placed by PCA, whatever the
        method, and rows that are all equal in one place.

        References
        ----------
        .. [1] L. van der Maaten and G. Hinton, "Visualizing data using t-SNE", Journal
           of Machine Learning Research, 2008.

        .. [2] L. McInnes, J. Healy and J. Melville, "UMAP: uniform manifold
           approximation and projection for dimension reduction", 2018.
        """
        _check_choices(method, metric, perplexity)
        rows = check_embeddings("X", X)
        _check_attached(len(rows), labels, label_names, images)
        if isinstance(method, str):
            asked = None if queries is None else check_embeddings("queries", queries)
            positions, query_positions = project(
                rows,
                asked,
                method=method,
                metric=metric,
                perplexity=perplexity,
                seed=as_seed(random_state),
                caller=f"{cls.__name__} with method='umap'",
            )
        else:
            positions = check_places("method", method, len(rows))
            positions[np.isnan(rows).any(axis=1)] = np.nan
            query_positions = (
                None if queries is None else check_places("queries", queries)
            )
        _check_queries(query_positions, query_images)
        return cls(
            positions=positions,
            images=images,
            labels=labels,
            label_names=label_names,
            query_positions=query_positions,
            query_images=query_images,
        )

    def plot(
        self,
        *,
        ax: "Axes | None" = None,
        n_thumbnails: int = 250,
        show_names: bool = True,
    ) -> Self:
        """Draw the map, with a legend to its right if there are groups or queries.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; map and legend share their area. None makes a figure, wider
            for longer names.

        n_thumbnails : int, default=250
            Largest number of pictures. The fewer, the larger. 0 draws points only.

        show_names : bool, default=True
            Whether a map without pictures names each group where most of it is, as far
            as names fit without covering each other. Groups without names are called
            by their number.

        Returns
        -------
        display : EmbeddingMapDisplay
            With `ax_` and `figure_` set.

        Raises
        ------
        ModuleNotFoundError
            If matplotlib is missing.

        ValueError
            If `n_thumbnails` is negative.
        """
        if not isinstance(n_thumbnails, int | np.integer) or n_thumbnails < 0:
            raise ValueError(f"n_thumbnails={n_thumbnails!r} must be at least 0.")
        asked = self.query_positions
        scene = Scene.of(
            check_places("positions", self.positions),
            self.images,
            self.labels,
            self.label_names,
            None if asked is None else check_places("query_positions", asked),
            self.query_images,
        )
        caller = f"{type(self).__name__}.plot"
        self.ax_ = draw_scene(scene, ax, n_thumbnails, show_names, caller)
        self.figure_: Figure = self.ax_.figure  # type: ignore[assignment]  # or a part
        return self


def _check_choices(method: str | ArrayLike, metric: str, perplexity: float) -> None:
    if isinstance(method, str) and method not in METHODS:
        raise ValueError(
            f"method={method!r} must be one of {METHODS}, or an array of places."
        )
    if metric not in METRICS:
        raise ValueError(f"metric={metric!r} must be one of {METRICS}.")
    if not isinstance(perplexity, Real) or not float(perplexity) >= 1:
        raise ValueError(f"perplexity={perplexity!r} must be a number, at least 1.")


def _check_attached(
    n_rows: int, labels: ArrayLike | None, label_names: Any, images: Any
) -> None:
    """Raise an error that names what does not go with the rows."""
    if labels is None and label_names is not None:
        raise ValueError("label_names are given without labels.")
    if labels is not None:
        n_labels = len(name_labels(labels, label_names)[0])
        if n_labels != n_rows:
            raise ValueError(f"labels holds {n_labels} labels for {n_rows} rows of X.")
    check_attached("images", images, n_rows, "rows of X")


def _check_queries(query_positions: Any, query_images: Any) -> None:
    n_queries = 0 if query_positions is None else len(query_positions)
    check_attached("query_images", query_images, n_queries, "queries")
