"""Display of the most typical images of each cluster."""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.pipeline import Pipeline
from sklearn.utils import check_consistent_length, column_or_1d

from imgsim.display._checks import check_length, check_n_columns
from imgsim.display._grid import GAP, LINE_HEIGHT, TextLine, Tile, draw_grid
from imgsim.display._labels import name_label
from imgsim.images._sources import check_image_sources

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class ClusterDisplay:
    """The images of each cluster in a grid, the most typical first.

    Clusters are drawn in the order of their labels, one below the other. Noise (label
    -1) comes last. Create the display with :meth:`from_estimator` or
    :meth:`from_predictions`.

    Parameters
    ----------
    clusters : dict of int to list of image sources
        Images to draw for each cluster, by its label, in the order of drawing.

    sizes : dict of int to int
        Number of images in each cluster, including those that are not drawn.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the plot.

    figure_ : matplotlib Figure
        Figure that contains the axes.

    See Also
    --------
    NeighborsDisplay : Queries with their nearest neighbors.

    Examples
    --------
    >>> from imgsim import ColorHistogramEmbedder, ImageClusterer
    >>> from imgsim.datasets import load_sample_photos
    >>> from imgsim.display import ClusterDisplay
    >>> photos = load_sample_photos(n_crops=2, n_copies=3)
    >>> X = ColorHistogramEmbedder().fit_transform(photos.images)
    >>> clusterer = ImageClusterer(4, random_state=0).fit(X)
    >>> display = ClusterDisplay.from_estimator(clusterer, X, images=photos.images)
    >>> display.plot().ax_.texts[0].get_text()
    'cluster 0: 4 images'
    """

    def __init__(
        self, *, clusters: Mapping[int, Sequence[Any]], sizes: Mapping[int, int]
    ) -> None:
        self.clusters = clusters
        self.sizes = sizes

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, *, images: Any = None, n_images: int = 10
    ) -> Self:
        """Predict clusters and select the most typical images of each.

        Noise is sorted by the distance to the nearest cluster. If its first images look
        like members of a cluster, the clusterer leaves out too many images. Unreadable
        images come last.

        Parameters
        ----------
        estimator : ImageClusterer or Pipeline
            Fitted clusterer, or pipeline that ends in an
            :class:`~imgsim.ImageClusterer`. Any other scikit-learn clusterer
            with `predict` is accepted if its `transform` returns distances from the
            cluster centers.

        X : array-like of shape (n_samples, n_features), or sequence of image sources
            Input of the estimator: embeddings, or images if its first step is an
            embedder.

        images : sequence of image sources of length n_samples, default=None
            Images to draw. None means X if the estimator is a pipeline.

        n_images : int, default=10
            Maximum number of images drawn for a cluster.

        Returns
        -------
        display : ClusterDisplay
            Display, to be drawn with :meth:`plot`.

        Raises
        ------
        ValueError
            If the number of images differs from the number of rows of X, or if
            `images` is None and the estimator is not a pipeline.

        TypeError
            If the estimator has no `predict` or no `transform`.
        """
        if images is None and not isinstance(estimator, Pipeline):
            raise ValueError(
                "images=None is only allowed if the estimator is a Pipeline; pass one "
                "image for each row of X."
            )
        images = X if images is None else images
        if isinstance(estimator, Pipeline):  # so that images are embedded only once
            X, estimator = estimator[:-1].transform(X), estimator[-1]
        if not hasattr(estimator, "predict") or not hasattr(estimator, "transform"):
            raise TypeError(
                f"{type(estimator).__name__} needs predict and transform to find the "
                f"typical images; use from_predictions(images, labels)."
            )
        labels = estimator.predict(X)
        distances = _distances_to_cluster(np.asarray(estimator.transform(X)), labels)
        return cls.from_predictions(
            images, labels, distances=distances, n_images=n_images
        )

    @classmethod
    def from_predictions(
        cls,
        images: Any,
        labels: ArrayLike,
        *,
        distances: ArrayLike | None = None,
        n_images: int = 10,
    ) -> Self:
        """Select the most typical images of each cluster.

        Parameters
        ----------
        images : sequence of image sources of length n_samples
            Images to draw.

        labels : array-like of shape (n_samples,), dtype int
            Cluster label of each image. A negative number means noise.

        distances : array-like of shape (n_samples,), default=None
            Distance of each image from the center of its cluster. Images with smaller
            distances are more typical and are drawn first; NaN comes last. Noise is
            sorted in the same way. None keeps the order of `images`.

        n_images : int, default=10
            Maximum number of images drawn for a cluster.

        Returns
        -------
        display : ClusterDisplay
            Display, to be drawn with :meth:`plot`.

        Raises
        ------
        ValueError
            If `images`, `labels` and `distances` differ in length, if labels are not
            integers, or if `n_images` is less than 1.
        """
        images = check_image_sources(images, "images")
        column = np.asarray(column_or_1d(labels))
        check_length("images", images, len(column), "labels")
        check_consistent_length(column, distances)
        if column.dtype.kind not in "iu":
            raise ValueError(f"labels must be integers; got dtype {column.dtype}.")
        column = np.maximum(column.astype(np.int64), -1)
        if n_images < 1:
            raise ValueError(f"n_images={n_images} must be at least 1.")
        by_distance = np.arange(len(column))
        if distances is not None:
            by_distance = np.argsort(distances, kind="stable")
        sorted_labels = column[by_distance]
        clusters, sizes = {}, {}
        for label in sorted(np.unique(column).tolist(), key=lambda n: (n < 0, n)):
            members = by_distance[sorted_labels == label]
            clusters[label] = [images[i] for i in members[:n_images]]
            sizes[label] = len(members)
        return cls(clusters=clusters, sizes=sizes)

    def plot(self, *, ax: "Axes | None" = None, n_columns: int = 10) -> Self:
        """Draw the clusters one below the other.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None creates a figure of suitable size.

        n_columns : int, default=10
            Number of images side by side.

        Returns
        -------
        display : ClusterDisplay
            The display itself, with `ax_` and `figure_` set.

        Raises
        ------
        ModuleNotFoundError
            If matplotlib is not installed.

        ValueError
            If `n_columns` is less than 1.
        """
        check_n_columns(n_columns)
        tiles: list[Tile] = []
        lines: list[TextLine] = []
        top = 0.0
        for label, images in self.clusters.items():
            lines.append(TextLine(self._title(label), GAP / 2, top + LINE_HEIGHT))
            top += 2 * LINE_HEIGHT
            for i, image in enumerate(images):
                tiles.append(Tile(image, "", i % n_columns, top + i // n_columns))
            top += ceil(len(images) / n_columns) + GAP
        most_images = max(map(len, self.clusters.values()))
        self.ax_ = draw_grid(
            tiles,
            lines,
            n_columns=max(2, min(n_columns, most_images)),
            n_rows=top,
            ax=ax,
            caller=f"{type(self).__name__}.plot",
        )
        self.figure_: Figure = self.ax_.figure  # type: ignore[assignment]  # or SubFigure
        return self

    def _title(self, label: int) -> str:
        size, n_drawn = self.sizes[label], len(self.clusters[label])
        note = f", {n_drawn} shown" if n_drawn < size else ""
        name = name_label(label, None)
        return f"{name}: {size} image{'' if size == 1 else 's'}{note}"


def _distances_to_cluster(
    distances: NDArray[Any], labels: NDArray[np.int64]
) -> NDArray[Any]:
    """Return the distance of each row to its cluster; for noise, to the nearest one."""
    # The initial value is the distance if there are no clusters at all.
    to_cluster: NDArray[Any] = distances.min(axis=1, initial=np.inf)
    members = np.flatnonzero(labels >= 0)
    to_cluster[members] = distances[members, labels[members]]
    return to_cluster
