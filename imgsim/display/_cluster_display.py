"""Groups of images, a sheet each."""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.pipeline import Pipeline
from sklearn.utils import check_consistent_length, column_or_1d

from imgsim.display._checks import check_length, check_n_columns
from imgsim.display._grid import GAP, LINE_HEIGHT, TextLine, Tile, draw_grid
from imgsim.images._sources import check_image_sources

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class ClusterDisplay:
    """Sheets of pictures, one a group, the most typical first.

    Groups follow each other by number; the images in no group (label -1) are the last
    sheet. Create it by :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    groups : dict of int to list of image sources
        The images to show of each group, in this order.

    sizes : dict of int to int
        Number of images in each group, shown or not.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes drawn on.

    figure_ : matplotlib Figure
        The figure that holds them.

    See Also
    --------
    NeighborsDisplay : Queries and their neighbours.

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
    'group 0: 4 images'
    """

    def __init__(
        self, *, groups: Mapping[int, Sequence[Any]], sizes: Mapping[int, int]
    ) -> None:
        self.groups = groups
        self.sizes = sizes

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, *, images: Any = None, n_images: int = 10
    ) -> Self:
        """Assign images to groups and keep the most typical of each.

        Of the images in no group, those nearest to any group come first: if they look
        like members, the clusterer leaves out too many. Unreadable ones come last.

        Parameters
        ----------
        estimator : ImageClusterer or Pipeline
            Fitted; a pipeline ends in an :class:`~imgsim.ImageClusterer`. Any other
            clusterer of scikit-learn serves that has `predict`, and a `transform` to
            distances from the groups.

        X : array-like of shape (n_samples, n_features), or sequence of image sources
            What the estimator takes: embeddings, or images if it embeds them itself.

        images : sequence of image sources of length n_samples, default=None
            The pictures. None takes X, if the estimator is a pipeline.

        n_images : int, default=10
            Largest number of images shown of a group.

        Returns
        -------
        display : ClusterDisplay
            To be drawn by :meth:`plot`.

        Raises
        ------
        ValueError
            If there are not as many images as rows, or none are given.

        TypeError
            If the estimator has no `predict` or no `transform`.
        """
        if images is None and not isinstance(estimator, Pipeline):
            raise ValueError("images must be given, one for each row of X.")
        images = X if images is None else images
        if isinstance(estimator, Pipeline):  # embed once for the two calls below
            X, estimator = estimator[:-1].transform(X), estimator[-1]
        if not hasattr(estimator, "predict") or not hasattr(estimator, "transform"):
            raise TypeError(
                f"{type(estimator).__name__} cannot tell which images are typical; use "
                f"from_predictions(images, labels)."
            )
        labels = estimator.predict(X)
        distances = _distances_shown(np.asarray(estimator.transform(X)), labels)
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
        """Keep the most typical images of each group.

        Parameters
        ----------
        images : sequence of image sources of length n_samples
            The pictures.

        labels : array-like of shape (n_samples,), dtype int
            Group of each image; -1, or any negative number, for none.

        distances : array-like of shape (n_samples,), default=None
            Distance of each image from the centre of its group, or what orders the
            images in no group; the smallest is the most typical, NaN comes last. None
            keeps the order of `images`.

        n_images : int, default=10
            Largest number of images shown of a group.

        Returns
        -------
        display : ClusterDisplay
            To be drawn by :meth:`plot`.

        Raises
        ------
        ValueError
            If lengths differ, labels are no integers, or `n_images` is less than 1.
        """
        images, group_of = check_image_sources(images), np.asarray(column_or_1d(labels))
        check_length("images", images, len(group_of), "labels")
        check_consistent_length(group_of, distances)
        if group_of.dtype.kind not in "iu":
            raise ValueError(f"labels must be integers; got dtype {group_of.dtype}.")
        group_of = np.maximum(group_of.astype(np.int64), -1)
        if n_images < 1:
            raise ValueError(f"n_images={n_images} must be at least 1.")
        by_typicality = np.arange(len(group_of))
        if distances is not None:
            by_typicality = np.argsort(distances, kind="stable")
        in_order = group_of[by_typicality]
        groups, sizes = {}, {}
        for label in sorted(np.unique(group_of).tolist(), key=lambda n: (n < 0, n)):
            members = by_typicality[in_order == label]
            groups[label] = [images[i] for i in members[:n_images]]
            sizes[label] = len(members)
        return cls(groups=groups, sizes=sizes)

    def plot(self, *, ax: "Axes | None" = None, n_columns: int = 10) -> Self:
        """Draw the sheets below each other.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a figure of a fitting size.

        n_columns : int, default=10
            Number of pictures beside each other.

        Returns
        -------
        display : ClusterDisplay
            With `ax_` and `figure_` set.

        Raises
        ------
        ModuleNotFoundError
            If matplotlib is missing.

        ValueError
            If `n_columns` is less than 1.
        """
        check_n_columns(n_columns)
        tiles: list[Tile] = []
        lines: list[TextLine] = []
        top = 0.0
        for label, images in self.groups.items():
            lines.append(TextLine(self._title(label), GAP / 2, top + LINE_HEIGHT))
            top += 2 * LINE_HEIGHT
            for i, image in enumerate(images):
                tiles.append(Tile(image, "", i % n_columns, top + i // n_columns))
            top += ceil(len(images) / n_columns) + GAP
        n_shown = max(map(len, self.groups.values()))
        self.ax_ = draw_grid(
            tiles,
            lines,
            n_columns=max(2, min(n_columns, n_shown)),
            n_rows=top,
            ax=ax,
            caller=f"{type(self).__name__}.plot",
        )
        self.figure_: Figure = self.ax_.figure  # type: ignore[assignment]  # or a part
        return self

    def _title(self, label: int) -> str:
        size, n_shown = self.sizes[label], len(self.groups[label])
        name = "no group" if label < 0 else f"group {label}"
        shown = f", {n_shown} shown" if n_shown < size else ""
        return f"{name}: {size} image{'' if size == 1 else 's'}{shown}"


def _distances_shown(
    distances: NDArray[Any], labels: NDArray[np.int64]
) -> NDArray[Any]:
    """Return the distance of each row from its group; if it has none, from the next."""
    # Where there are no groups at all, the initial value stands for every distance.
    shown: NDArray[Any] = distances.min(axis=1, initial=np.inf)
    grouped = np.flatnonzero(labels >= 0)
    shown[grouped] = distances[grouped, labels[grouped]]
    return shown
