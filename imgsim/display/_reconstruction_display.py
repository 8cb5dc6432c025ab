"""Images, and what an autoencoder gives back of them."""

from collections.abc import Callable, Sequence
from math import ceil
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imgsim._optional import import_optional
from imgsim.display._checks import check_length, check_n_columns
from imgsim.display._grid import GAP, LINE_HEIGHT, TextLine, Tile, draw_grid
from imgsim.embedding._base_reconstructor import preparation
from imgsim.images import ImageStream
from imgsim.images._sources import check_image_sources

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SELECTIONS = ("first", "best", "worst")


class ReconstructionDisplay:
    """Pictures above what came back of them, and how training went.

    Create it by :meth:`from_estimator`.

    Parameters
    ----------
    originals : sequence of image sources of length n_images
        The pictures.

    reconstructions : sequence of image sources of length n_images
        What came back of them.

    errors : array-like of shape (n_images,)
        Reconstruction error of each.

    loss_curve : sequence of float, default=()
        Loss of training in every epoch.

    validation_loss_curve : sequence of float, default=()
        Loss of the images held back, after every epoch.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes drawn on.

    figure_ : matplotlib Figure
        The figure that holds them.

    See Also
    --------
    imgsim.AutoencoderEmbedder : The autoencoder.

    Examples
    --------
    >>> from imgsim import AutoencoderEmbedder
    >>> from imgsim.datasets import load_digit_images
    >>> from imgsim.display import ReconstructionDisplay
    >>> images = load_digit_images(n_per_class=5).images
    >>> embedder = AutoencoderEmbedder(
    ...     8, image_size=16, channels=(8, 16), color="gray", max_epochs=2
    ... ).fit(images)
    >>> display = ReconstructionDisplay.from_estimator(embedder, images, n_images=3)
    >>> display.plot().ax_.texts[-1].get_text()
    'images above, and below them what came back, with its error'
    """

    def __init__(
        self,
        *,
        originals: Sequence[Any],
        reconstructions: Sequence[Any],
        errors: ArrayLike,
        loss_curve: Sequence[float] = (),
        validation_loss_curve: Sequence[float] = (),
    ) -> None:
        self.originals = originals
        self.reconstructions = reconstructions
        self.errors = errors
        self.loss_curve = loss_curve
        self.validation_loss_curve = validation_loss_curve

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, *, n_images: int = 10, select: str = "first"
    ) -> Self:
        """Reconstruct images, and keep some of them.

        Parameters
        ----------
        estimator : AutoencoderEmbedder
            Fitted.

        X : sequence of image sources
            The images.

        n_images : int, default=10
            Largest number of images kept.

        select : {"first", "best", "worst"}, default="first"
            Which are kept: the first, those that came back best, or worst. The worst
            are often unlike the others. Only "first" keeps unreadable images.

        Returns
        -------
        display : ReconstructionDisplay
            To be drawn by :meth:`plot` and :meth:`plot_curves`.

        Raises
        ------
        ValueError
            If `n_images` is less than 1, `select` is none of the three, or no image
            can be read for "best" or "worst".

        ImageReadError
            If an image cannot be read and the estimator has `on_error="raise"`.
        """
        if n_images < 1:
            raise ValueError(f"n_images={n_images} must be at least 1.")
        if select not in _SELECTIONS:
            raise ValueError(f"select={select!r} must be one of {_SELECTIONS}.")
        sources = check_image_sources(X)
        if select == "first":
            sources = sources[:n_images]
        errors = estimator.reconstruction_errors(sources)
        chosen = np.arange(len(errors))
        if select != "first":
            chosen = _extremes(errors, n_images, worst=select == "worst")
        shown = [sources[i] for i in chosen.tolist()]
        architecture = estimator.autoencoder_.architecture
        prepare = preparation(architecture.image_size, architecture.n_colors)
        return cls(
            originals=_prepared(shown, prepare),
            reconstructions=_reconstructed(shown, errors[chosen], estimator),
            errors=errors[chosen],
            loss_curve=estimator.loss_curve_,
            validation_loss_curve=estimator.validation_loss_curve_,
        )

    def plot(self, *, ax: "Axes | None" = None, n_columns: int = 10) -> Self:
        """Draw pictures above their reconstructions, and the error under each.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a figure of a fitting size.

        n_columns : int, default=10
            Number of pictures beside each other.

        Returns
        -------
        display : ReconstructionDisplay
            With `ax_` and `figure_` set.

        Raises
        ------
        ModuleNotFoundError
            If matplotlib is missing.

        ValueError
            If `n_columns` is less than 1, or lengths differ.
        """
        check_n_columns(n_columns)
        errors = np.asarray(self.errors)
        check_length("originals", self.originals, len(errors), "errors")
        check_length("reconstructions", self.reconstructions, len(errors), "errors")
        height = 2 + 2 * LINE_HEIGHT  # of a row of pictures, with its errors
        title = "images above, and below them what came back, with its error"
        tiles, top = [], 2 * LINE_HEIGHT
        pairs = zip(self.originals, self.reconstructions, errors, strict=True)
        for i, (original, reconstruction, error) in enumerate(pairs):
            column, row = i % n_columns, top + i // n_columns * height
            tiles.append(Tile(original, "", column, row))
            tiles.append(Tile(reconstruction, "", column, row + 1, f"{error:.2g}"))
        self.ax_ = draw_grid(
            tiles,
            [TextLine(title, GAP / 2, LINE_HEIGHT)],
            n_columns=max(4, min(n_columns, len(errors))),
            n_rows=top + ceil(len(errors) / n_columns) * height,
            ax=ax,
            caller=f"{type(self).__name__}.plot",
        )
        self.figure_: Figure = self.ax_.figure  # type: ignore[assignment]  # or a part
        return self

    def plot_curves(self, *, ax: "Axes | None" = None) -> Self:
        """Draw the losses of training, epoch by epoch.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a figure.

        Returns
        -------
        display : ReconstructionDisplay
            With `ax_` and `figure_` set.

        Raises
        ------
        ModuleNotFoundError
            If matplotlib is missing.
        """
        ax = _new_axes(f"{type(self).__name__}.plot_curves") if ax is None else ax
        for label, curve in (
            ("training", self.loss_curve),
            ("held back", self.validation_loss_curve),
        ):
            if len(curve):
                ax.plot(range(1, len(curve) + 1), curve, marker=".", label=label)
        ax.set(xlabel="epoch", ylabel="loss", ylim=(0, None))
        ax.locator_params(axis="x", integer=True)
        if ax.lines:
            ax.legend()
        self.ax_ = ax
        self.figure_ = ax.figure  # type: ignore[assignment]  # or a part of one
        return self


def _new_axes(caller: str) -> "Axes":
    pyplot = import_optional("matplotlib.pyplot", caller=caller)
    axes: Axes = pyplot.subplots(figsize=(6, 3.5), layout="constrained")[1]
    return axes


def _extremes(
    errors: NDArray[np.float64], n_images: int, *, worst: bool
) -> NDArray[np.int64]:
    """Return the positions of the largest or smallest errors, the extreme first."""
    order = np.argsort(-errors if worst else errors, kind="stable")  # NaN comes last
    n_known = int((~np.isnan(errors)).sum())
    if n_known == 0:
        raise ValueError(f"none of {len(errors)} images could be read.")
    chosen: NDArray[np.int64] = order[: min(n_images, n_known)]
    return chosen


def _prepared(sources: Sequence[Any], prepare: Callable[..., Any]) -> list[Any]:
    """Return images as the autoencoder sees them; an unreadable one stays as it is."""
    images = list(sources)
    for batch in ImageStream(sources, transform=prepare):
        for row, image in zip(batch.rows, batch.images, strict=True):
            images[row] = image
    return images


def _reconstructed(
    sources: Sequence[Any], errors: NDArray[np.float64], estimator: Any
) -> list[Any]:
    """Return what comes back of images; an unreadable one stays as it is."""
    images = list(sources)
    readable = np.flatnonzero(~np.isnan(errors)).tolist()
    if readable:
        reconstructed = estimator.reconstruct([sources[i] for i in readable])
        for i, image in zip(readable, reconstructed, strict=True):
            images[i] = image
    return images
