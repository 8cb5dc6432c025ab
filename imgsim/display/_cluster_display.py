"""Display of the most typical images of each cluster."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.pipeline import Pipeline
from sklearn.utils import check_consistent_length, column_or_1d

from imgsim.display._checks import check_length, check_n_columns
from imgsim.display._copies import group_copies
from imgsim.display._labels import name_label
from imgsim.display._pictures import (
    Picture,
    Rectangle,
    draw_picture,
    draw_placeholder,
    new_axes,
    prepare_axes,
    read_pictures,
    size_in_points,
)
from imgsim.display._sheets import Page, lay_out_page
from imgsim.display._text import DrawnLine, write
from imgsim.images._sources import check_image_sources

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Lengths are in inches.
_PAGE_WIDTH, _PAGE_HEIGHT = 11.0, 15.5
_LARGEST_HEIGHT = 1.1  # of a picture
_LARGEST_SHARE = 0.2  # of the height of given axes
_LARGEST_FONT = 10.0  # points


class ClusterDisplay:
    """Sheets with the images of each cluster, the most typical first.

    Clusters are drawn in the order of their labels, in columns from top to bottom, so
    that the figure fits on a page. The images of a row have the same height and fill
    its width. Noise (label -1) comes last. Create the display with
    :meth:`from_estimator` or :meth:`from_predictions`, which show exact copies once.

    Parameters
    ----------
    clusters : dict of int to list of image sources
        Images to draw for each cluster, by its label, in the order of drawing.

    sizes : dict of int to int
        Number of images in each cluster, including those that are not drawn.

    n_copies : dict of int to list of int, default=None
        Number of exact copies of each image in `clusters`, including the image itself.
        None means 1.

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
        self,
        *,
        clusters: Mapping[int, Sequence[Any]],
        sizes: Mapping[int, int],
        n_copies: Mapping[int, Sequence[int]] | None = None,
    ) -> None:
        self.clusters = clusters
        self.sizes = sizes
        self.n_copies = n_copies

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: n_clusters={len(self.clusters)}>"

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
            Maximum number of images drawn for a cluster. Exact copies are drawn once,
            with their number.

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
            Maximum number of images drawn for a cluster. Exact copies are drawn once,
            with their number.

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
        if column.dtype.kind == "i":
            column = np.maximum(column, -1)
        if n_images < 1:
            raise ValueError(f"n_images={n_images} must be at least 1.")
        by_distance = np.arange(len(column))
        if distances is not None:
            by_distance = np.argsort(distances, kind="stable")
        sorted_labels = column[by_distance]
        clusters, sizes, n_copies = {}, {}, {}
        for label in sorted(np.unique(column).tolist(), key=lambda n: (n < 0, n)):
            members = by_distance[sorted_labels == label]
            copies = group_copies([images[i] for i in members])[:n_images]
            clusters[label] = [images[members[group.first]] for group in copies]
            n_copies[label] = [group.n_copies for group in copies]
            sizes[label] = len(members)
        return cls(clusters=clusters, sizes=sizes, n_copies=n_copies)

    def plot(self, *, ax: "Axes | None" = None, n_columns: int | None = None) -> Self:
        """Draw the clusters in columns of sheets.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None creates a figure that fits on a page.

        n_columns : int, default=None
            Number of images side by side in a cluster. None chooses it so that the
            images are as large as the figure allows.

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
        if n_columns is not None:
            check_n_columns(n_columns)
        sources = [image for images in self.clusters.values() for image in images]
        remaining = iter(read_pictures(sources))
        pictures = [[next(remaining) for _ in some] for some in self.clusters.values()]
        aspects = [[picture.aspect for picture in some] for some in pictures]
        if ax is None:
            size = _PAGE_WIDTH, _PAGE_HEIGHT
            page = lay_out_page(aspects, *size, _LARGEST_HEIGHT, n_columns)
            width, height = page.right, page.height
            ax = new_axes(width, height, f"{type(self).__name__}.plot")
            prepare_axes(ax)
        else:
            prepare_axes(ax)
            width, height = (length / 72 for length in size_in_points(ax, ax))
            largest = max(_LARGEST_HEIGHT, _LARGEST_SHARE * height)
            page = lay_out_page(aspects, width, height, largest, n_columns)
            height = max(height, page.height)
        ax.set(xlim=(0, width), ylim=(height, 0), aspect="equal")
        self._draw_page(ax, page, pictures)
        self.ax_ = ax
        self.figure_: Figure = ax.figure  # type: ignore[assignment]  # or SubFigure
        return self

    def _draw_page(
        self, ax: "Axes", page: Page, pictures: Sequence[Sequence[Picture]]
    ) -> None:
        points = size_in_points(ax, ax)[0] / abs(np.subtract(*ax.get_xlim()))
        titles = [self._title(label) for label in self.clusters]
        size = _font_size(
            titles, points * page.title_height, points * page.column_width
        )
        for title, (left, top) in zip(titles, page.titles, strict=True):
            bottom = top + 0.8 * page.title_height
            write(ax.text(left, bottom, "", size=size, va="baseline"), title)
        for label, some, boxes in zip(
            self.clusters, pictures, page.pictures, strict=True
        ):
            n_copies = (
                [1] * len(some) if self.n_copies is None else self.n_copies[label]
            )
            for picture, box, n in zip(some, boxes, n_copies, strict=True):
                _draw(ax, picture, box, n, points, size)

    def _title(self, label: int) -> str:
        size, n_drawn = self.sizes[label], len(self.clusters[label])
        if self.n_copies is not None:
            n_drawn = sum(self.n_copies[label])
        note = f", {n_drawn} shown" if n_drawn < size else ""
        name = name_label(label, None)
        return f"{name}: {size} image{'' if size == 1 else 's'}{note}"


def _font_size(titles: Sequence[str], height: float, width: float) -> float:
    """Return the largest font size in which all titles fit, in points."""
    widest = max(DrawnLine.of(title).width for title in titles)
    return float(max(min(_LARGEST_FONT, 0.6 * height, width / widest), 1))


def _draw(
    ax: "Axes",
    picture: Picture,
    box: Rectangle,
    n_copies: int,
    points: float,
    size: float,
) -> None:
    """Draw an image, and the number of its copies in its lower right corner."""
    if picture.pixels is None:
        draw_placeholder(ax, picture, box, points * box.width, 0.8 * size)
    else:
        draw_picture(ax, picture.pixels, box)
    if n_copies > 1:
        right, bottom = (
            box.left + box.width - 2 / points,
            box.top + box.height - 2 / points,
        )
        badge = {
            "boxstyle": "round,pad=0.15",
            "facecolor": "white",
            "edgecolor": "none",
        }
        text = ax.text(right, bottom, "", size=0.85 * size, ha="right", va="bottom")
        text.set(color="black", bbox={**badge, "alpha": 0.85})
        write(text, f"\N{MULTIPLICATION SIGN}{n_copies}")


def _distances_to_cluster(
    distances: NDArray[Any], labels: NDArray[np.int64]
) -> NDArray[Any]:
    """Return the distance of each row to its cluster; for noise, to the nearest one."""
    # The initial value is the distance if there are no clusters at all.
    to_cluster: NDArray[Any] = distances.min(axis=1, initial=np.inf)
    members = np.flatnonzero(labels >= 0)
    to_cluster[members] = distances[members, labels[members]]
    return to_cluster
