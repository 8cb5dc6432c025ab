"""Display of the silhouettes of a clustering."""

from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.pipeline import Pipeline
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.validation import check_is_fitted

from imgsim._optional import import_optional
from imgsim._validation import check_embeddings, nearest_name
from imgsim.cluster import silhouette_samples_many

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_METRICS = ("euclidean", "cosine", "manhattan")
# The colors of Okabe and Ito that are visible on white. Adjacent ones differ in
# lightness.
_COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
_MAX_STEPS = 2000  # of an outline, more than a figure has pixels


class SilhouetteDisplay:
    """Silhouette plot: the sorted silhouette values of each cluster [1]_.

    Each cluster is a filled area, whose height is the number of its images and whose
    width shows their silhouette values. An image with a value near 1 is much nearer to
    its own cluster than to any other. An image with a negative value is nearer to
    another cluster. The dashed line is the mean of all values. Clusters are drawn from
    top to bottom in the order of their labels. Noise and images without a silhouette
    value are left out and counted in the title. Create the display with
    :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    silhouettes : array-like of shape (n_samples,)
        Silhouette value of each image, in [-1, 1], or NaN.

    labels : array-like of shape (n_samples,), dtype int
        Cluster label of each image. A negative number means noise.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the plot.

    figure_ : matplotlib Figure
        Figure that contains the axes.

    See Also
    --------
    SelectionDisplay : Mean silhouettes for several numbers of clusters.
    ClusterDisplay : The most typical images of each cluster.

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

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: n_images={len(np.asarray(self.labels))}>"

    @classmethod
    def from_estimator(cls, estimator: Any, X: Any = None) -> Self:
        """Use the silhouettes of a fitted clusterer, or compute them for other images.

        Parameters
        ----------
        estimator : ImageClusterer or Pipeline
            Fitted clusterer, or pipeline that ends in an
            :class:`~imgsim.ImageClusterer`. If X is given, any other scikit-learn
            clusterer with `predict` is accepted.

        X : array-like of shape (n_samples, n_features), or sequence of image sources, \
default=None
            Input of the estimator, whose clusters are predicted. None uses the
            silhouettes of the images that the estimator was fitted on.

        Returns
        -------
        display : SilhouetteDisplay
            Display, to be drawn with :meth:`plot`.

        Raises
        ------
        TypeError
            If X is None and the estimator has no `silhouette_samples_`, or if X is
            given and the estimator has no `predict`.

        ValueError
            If the images of X are all in one cluster, or all in different clusters.

        Notes
        -----
        If X is given, distances are computed with the `metric` of the estimator, or the
        Euclidean metric if it has none. The cost is the cost of
        :func:`~imgsim.cluster.silhouette_samples_many`.
        """
        if isinstance(estimator, Pipeline):
            X = None if X is None else estimator[:-1].transform(X)
            estimator = estimator[-1]
        check_is_fitted(estimator)
        needed = "silhouette_samples_" if X is None else "predict"
        if not hasattr(estimator, needed):
            raise TypeError(
                f"{type(estimator).__name__} has no {needed}; "
                f"use from_predictions(X, labels)."
            )
        if X is None:
            return cls(
                silhouettes=estimator.silhouette_samples_, labels=estimator.labels_
            )
        metric: Any = getattr(estimator, "metric", "euclidean")
        return cls.from_predictions(X, estimator.predict(X), metric=metric)

    @classmethod
    def from_predictions(
        cls,
        X: ArrayLike,
        labels: ArrayLike,
        *,
        metric: Literal["euclidean", "cosine", "manhattan"] = "euclidean",
    ) -> Self:
        """Compute the silhouettes of a clustering.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Embeddings.

        labels : array-like of shape (n_samples,), dtype int
            Cluster label of each image. A negative number means noise.

        metric : {"euclidean", "cosine", "manhattan"}, default="euclidean"
            Distance between embeddings.

        Returns
        -------
        display : SilhouetteDisplay
            Display, to be drawn with :meth:`plot`.

        Raises
        ------
        ValueError
            If X and `labels` differ in length, if labels are not integers, if there are
            fewer than two clusters, or if each cluster contains a single image.
        """
        check_embeddings(X, f"{cls.__name__}.from_predictions")
        if metric not in _METRICS:
            raise ValueError(
                f"metric={metric!r} must be one of {_METRICS}."
                f"{nearest_name(metric, _METRICS)}"
            )
        column = np.asarray(column_or_1d(labels))
        check_consistent_length(X, column)
        if column.dtype.kind not in "iu":
            raise ValueError(f"labels must be integers; got dtype {column.dtype}.")
        silhouettes = silhouette_samples_many(X, [column], metric=metric)[0]
        return cls(silhouettes=silhouettes, labels=column)

    def plot(self, *, ax: "Axes | None" = None) -> Self:
        """Draw the silhouettes of the clusters one below the other.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None creates a figure, whose height depends on the
            number of clusters.

        Returns
        -------
        display : SilhouetteDisplay
            The display itself, with `ax_` and `figure_` set.

        Raises
        ------
        ModuleNotFoundError
            If matplotlib is not installed.

        ValueError
            If `silhouettes` and `labels` differ in length.
        """
        clusters = self._values_by_cluster()
        if ax is None:
            ax = _new_axes(len(clusters), f"{type(self).__name__}.plot")
        sizes = np.array([len(values) for values in clusters.values()], dtype=int)
        gap = min(0.02, 0.15 / max(len(clusters), 1)) * sizes.sum()
        tops = np.cumsum(sizes + gap) - sizes
        for i, values in enumerate(clusters.values()):
            _draw_cluster(ax, values, tops[i], _COLORS[i % len(_COLORS)])
        ax.axvline(0, color="0.2", linewidth=0.8)
        if clusters:
            mean = np.concatenate([*clusters.values()]).mean()
            ax.axvline(mean, color="0.2", linestyle="--")
            ax.set_ylim(tops[-1] + sizes[-1] + gap, 0)
        labels = [f"{n} ({size:,})" for n, size in zip(clusters, sizes, strict=True)]
        _write_labels(ax, tops + sizes / 2, labels)
        ax.set(xlabel="silhouette", ylabel="cluster (number of images)")
        ax.set_title(self._title(clusters), size="medium")
        self.ax_ = ax
        self.figure_: Figure = ax.figure  # type: ignore[assignment]  # or SubFigure
        return self

    def _values_by_cluster(self) -> dict[int, NDArray[np.float64]]:
        """Return the silhouette values of each cluster, in decreasing order."""
        labels = np.asarray(self.labels)
        silhouettes = np.asarray(self.silhouettes, dtype=np.float64)
        check_consistent_length(silhouettes, labels)
        drawn = (labels >= 0) & ~np.isnan(silhouettes)
        return {
            label: np.sort(silhouettes[drawn & (labels == label)])[::-1]
            for label in np.unique(labels[drawn]).tolist()
        }

    def _title(self, clusters: dict[int, NDArray[np.float64]]) -> str:
        drawn = [*clusters.values()]
        mean = f"{np.concatenate(drawn).mean():.2f} (dashed)" if drawn else "unknown"
        n_noise = int((np.asarray(self.labels) < 0).sum())
        n_unknown = len(np.asarray(self.labels)) - n_noise - sum(map(len, drawn))
        counts = {"as noise": n_noise, "without a silhouette": n_unknown}
        parts = [f"{n:,} {reason}" for reason, n in counts.items() if n]
        left_out = f"\nleft out: {', '.join(parts)}" if parts else ""
        return f"mean silhouette {mean}{left_out}"


def _new_axes(n_clusters: int, caller: str) -> "Axes":
    pyplot = import_optional("matplotlib.pyplot", caller=caller)
    height = min(max(3.5, 1.5 + 0.25 * n_clusters), 12)
    axes: Axes = pyplot.subplots(figsize=(6, height), layout="constrained")[1]
    return axes


def _draw_cluster(
    ax: "Axes", silhouettes: NDArray[np.float64], top: float, color: str
) -> None:
    n_images = len(silhouettes)
    steps = np.linspace(0, n_images - 1, min(n_images, _MAX_STEPS)).round().astype(int)
    edge = silhouettes[np.append(steps, -1)]
    rows = top + np.append(steps, n_images)
    # An edge of the same color keeps a cluster of a few images among thousands visible.
    ax.fill_betweenx(rows, 0, edge, step="post", color=color, linewidth=0.4)


def _write_labels(ax: "Axes", rows: NDArray[np.float64], labels: list[str]) -> None:
    """Write the labels of clusters at the left, except those that would overlap."""
    points = ax.get_window_extent().height * 72 / ax.figure.dpi
    font_size = min(max(points / max(len(rows), 1) / 1.2, 6), 10)
    span = abs(np.subtract(*ax.get_ylim()))
    distance = 1.2 * font_size / points * span
    kept: list[int] = []
    for i, row in enumerate(rows):
        if not kept or row - rows[kept[-1]] >= distance:
            kept.append(i)
    ax.set_yticks(rows[kept], [labels[i] for i in kept], size=font_size)
