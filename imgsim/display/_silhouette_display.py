"""Silhouettes of images, a knife a group."""

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.pipeline import Pipeline
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.validation import check_is_fitted

from imgsim._optional import import_optional
from imgsim.cluster.criteria._silhouette import silhouette_samples_many

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Those of Okabe and Ito that stand out on white, neighbours unlike in lightness.
_COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
_MAX_STEPS = 2000  # of a knife's edge, more than a figure has pixels


class SilhouetteDisplay:
    """Knives of sorted silhouettes, one a group, as Rousseeuw drew them.

    A knife is as thick as its group is large, and as long as the group stands apart:
    a silhouette of 1 is far nearer to its own group than to the next, one below 0 is
    nearer to the next. The dashed line is the mean. Groups follow each other by
    number from the top down; images in no group, or without a silhouette, are left
    out and counted in the title. Create it by :meth:`from_estimator` or
    :meth:`from_predictions`.

    Parameters
    ----------
    silhouettes : array-like of shape (n_samples,)
        Silhouette of each image, in [-1, 1]; NaN for none.

    labels : array-like of shape (n_samples,), dtype int
        Group of each image; -1 for none.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes drawn on.

    figure_ : matplotlib Figure
        The figure that holds them.

    See Also
    --------
    SelectionDisplay : Mean silhouettes by number of groups.
    ClusterDisplay : The images of each group.

    References
    ----------
    .. [1] P. J. Rousseeuw, "Silhouettes: a graphical aid to the interpretation and
       validation of cluster analysis", Journal of Computational and Applied
       Mathematics, 1987.

    Examples
    --------
    >>> from imgsim import ColorHistogramEmbedder, ImageClusterer
    >>> from imgsim.datasets import load_sample_photos
    >>> from imgsim.display import SilhouetteDisplay
    >>> photos = load_sample_photos(n_crops=2, n_copies=3)
    >>> X = ColorHistogramEmbedder().fit_transform(photos.images)
    >>> clusterer = ImageClusterer(4, random_state=0).fit(X)
    >>> display = SilhouetteDisplay.from_estimator(clusterer)
    >>> display.plot().ax_.get_title()
    'mean silhouette 0.94 (dashed)'
    """

    def __init__(self, *, silhouettes: ArrayLike, labels: ArrayLike) -> None:
        self.silhouettes = silhouettes
        self.labels = labels

    @classmethod
    def from_estimator(cls, estimator: Any, X: Any = None) -> Self:
        """Take the silhouettes of a clusterer, or compute those of other images.

        Parameters
        ----------
        estimator : ImageClusterer or Pipeline
            Fitted; a pipeline ends in an :class:`~imgsim.ImageClusterer`. Given X, any
            clusterer of scikit-learn serves that has `predict`.

        X : array-like of shape (n_samples, n_features), or sequence of image sources, \
default=None
            What the estimator takes; its groups are predicted. None shows the images
            that the estimator was fitted on, without computing anything.

        Returns
        -------
        display : SilhouetteDisplay
            To be drawn by :meth:`plot`.

        Raises
        ------
        TypeError
            If the estimator keeps no silhouettes and X is None, or X is given and it
            has no `predict`.

        ValueError
            If the images of X fall into a single group, or into one each.

        Notes
        -----
        Given X, distances are the estimator's `metric` if it has one, and Euclidean
        otherwise; the cost is that of
        :func:`~imgsim.cluster.silhouette_samples_many`.
        """
        if isinstance(estimator, Pipeline):
            X = None if X is None else estimator[:-1].transform(X)
            estimator = estimator[-1]
        check_is_fitted(estimator)
        wanted = "silhouette_samples_" if X is None else "predict"
        if not hasattr(estimator, wanted):
            raise TypeError(
                f"{type(estimator).__name__} has no {wanted}; "
                f"use from_predictions(X, labels)."
            )
        if X is None:
            return cls(
                silhouettes=estimator.silhouette_samples_, labels=estimator.labels_
            )
        metric = getattr(estimator, "metric", "euclidean")
        return cls.from_predictions(X, estimator.predict(X), metric=metric)

    @classmethod
    def from_predictions(
        cls, X: ArrayLike, labels: ArrayLike, *, metric: str = "euclidean"
    ) -> Self:
        """Compute the silhouettes of a grouping.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Embeddings.

        labels : array-like of shape (n_samples,), dtype int
            Group of each image; -1 for none.

        metric : {"euclidean", "cosine", "manhattan"}, default="euclidean"
            Distance between rows.

        Returns
        -------
        display : SilhouetteDisplay
            To be drawn by :meth:`plot`.

        Raises
        ------
        ValueError
            If lengths differ, labels are no integers, there are fewer than two
            groups, or all are of one row.
        """
        group_of = np.asarray(column_or_1d(labels))
        check_consistent_length(X, group_of)
        if group_of.dtype.kind not in "iu":
            raise ValueError(f"labels must be integers; got dtype {group_of.dtype}.")
        silhouettes = silhouette_samples_many(X, [group_of], metric=metric)[0]
        return cls(silhouettes=silhouettes, labels=group_of)

    def plot(self, *, ax: "Axes | None" = None) -> Self:
        """Draw the knives below each other.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a figure, higher for more groups.

        Returns
        -------
        display : SilhouetteDisplay
            With `ax_` and `figure_` set.

        Raises
        ------
        ModuleNotFoundError
            If matplotlib is missing.

        ValueError
            If there are not as many silhouettes as labels.
        """
        knives = self._knives()
        if ax is None:
            ax = _new_axes(len(knives), f"{type(self).__name__}.plot")
        sizes = np.array([len(knife) for knife in knives.values()], dtype=int)
        gap = min(0.02, 0.15 / max(len(knives), 1)) * sizes.sum()
        tops = np.cumsum(sizes + gap) - sizes
        for i, knife in enumerate(knives.values()):
            _draw_knife(ax, knife, tops[i], _COLORS[i % len(_COLORS)])
        ax.axvline(0, color="0.2", linewidth=0.8)
        if knives:
            mean = np.concatenate([*knives.values()]).mean()
            ax.axvline(mean, color="0.2", linestyle="--")
            ax.set_ylim(tops[-1] + sizes[-1] + gap, 0)
        labels = [f"{n} ({size:,})" for n, size in zip(knives, sizes, strict=True)]
        _write_labels(ax, tops + sizes / 2, labels)
        ax.set(xlabel="silhouette", ylabel="group (number of images)")
        ax.set_title(self._title(knives), size="medium")
        self.ax_ = ax
        self.figure_: Figure = ax.figure  # type: ignore[assignment]  # or a part
        return self

    def _knives(self) -> dict[int, NDArray[np.float64]]:
        """Return the silhouettes of each group, the largest first."""
        labels = np.asarray(self.labels)
        silhouettes = np.asarray(self.silhouettes, dtype=np.float64)
        check_consistent_length(silhouettes, labels)
        drawn = (labels >= 0) & ~np.isnan(silhouettes)
        return {
            label: np.sort(silhouettes[drawn & (labels == label)])[::-1]
            for label in np.unique(labels[drawn]).tolist()
        }

    def _title(self, knives: dict[int, NDArray[np.float64]]) -> str:
        drawn = [*knives.values()]
        mean = f"{np.concatenate(drawn).mean():.2f} (dashed)" if drawn else "unknown"
        n_noise = int((np.asarray(self.labels) < 0).sum())
        n_unknown = len(np.asarray(self.labels)) - n_noise - sum(map(len, drawn))
        counts = {"in no group": n_noise, "without a silhouette": n_unknown}
        parts = [f"{n:,} {where}" for where, n in counts.items() if n]
        left_out = f"\nleft out: {', '.join(parts)}" if parts else ""
        return f"mean silhouette {mean}{left_out}"


def _new_axes(n_groups: int, caller: str) -> "Axes":
    pyplot = import_optional("matplotlib.pyplot", caller=caller)
    height = min(max(3.5, 1.5 + 0.25 * n_groups), 12)
    axes: Axes = pyplot.subplots(figsize=(6, height), layout="constrained")[1]
    return axes


def _draw_knife(
    ax: "Axes", silhouettes: NDArray[np.float64], top: float, color: str
) -> None:
    n_images = len(silhouettes)
    steps = np.linspace(0, n_images - 1, min(n_images, _MAX_STEPS)).round().astype(int)
    edge = silhouettes[np.append(steps, -1)]
    rows = top + np.append(steps, n_images)
    # An edge of its own colour keeps a knife of a few images among thousands visible.
    ax.fill_betweenx(rows, 0, edge, step="post", color=color, linewidth=0.4)


def _write_labels(ax: "Axes", rows: NDArray[np.float64], labels: list[str]) -> None:
    """Name the groups left of the axes, leaving out names that would overlap."""
    points = ax.get_window_extent().height * 72 / ax.figure.dpi
    font_size = min(max(points / max(len(rows), 1) / 1.2, 6), 10)
    span = abs(np.subtract(*ax.get_ylim()))
    distance = 1.2 * font_size / points * span
    kept: list[int] = []
    for i, row in enumerate(rows):
        if not kept or row - rows[kept[-1]] >= distance:
            kept.append(i)
    ax.set_yticks(rows[kept], [labels[i] for i in kept], size=font_size)
