"""Display of images and their reconstructions by an autoencoder."""

from collections.abc import Callable, Sequence
from math import ceil
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imgsim._optional import import_optional
from imgsim._typing import PixelArray
from imgsim._validation import nearest_name
from imgsim.display._checks import check_length, check_n_columns
from imgsim.display._grid import GAP, LINE_HEIGHT, TextLine, Tile, draw_grid
from imgsim.embedding import AutoencoderEmbedder
from imgsim.embedding.autoencoder._training_images import make_resizer
from imgsim.images import ImageStream
from imgsim.images._sources import check_image_sources

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_CHOICES = ("first", "best", "worst")


class ReconstructionDisplay:
    """Images above their reconstructions, and the loss curves of the training.

    Create the display with :meth:`from_estimator`.

    Parameters
    ----------
    originals : sequence of image sources of length n_images
        Original images.

    reconstructions : sequence of image sources of length n_images
        Reconstructions of these images.

    errors : array-like of shape (n_images,)
        Reconstruction error of each image.

    loss_curve : sequence of float, default=()
        Training loss in each epoch.

    validation_loss_curve : sequence of float, default=()
        Validation loss after each epoch.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the plot.

    figure_ : matplotlib Figure
        Figure that contains the axes.

    See Also
    --------
    imgsim.AutoencoderEmbedder : Embed images with an autoencoder.

    Examples
    --------
    >>> from imgsim import AutoencoderEmbedder
    >>> from imgsim.datasets import load_digit_images
    >>> from imgsim.display import ReconstructionDisplay
    >>> images = load_digit_images(n_per_class=20).images
    >>> embedder = AutoencoderEmbedder(
    ...     8, image_size=16, channels=(8, 16), color="gray", max_epochs=2
    ... ).fit(images)
    >>> display = ReconstructionDisplay.from_estimator(embedder, images, n_images=3)
    >>> display.plot().ax_.texts[-1].get_text()
    'images above their reconstructions, with reconstruction errors'
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

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: n_images={len(self.originals)}>"

    @classmethod
    def from_estimator(
        cls,
        estimator: AutoencoderEmbedder,
        X: Any,
        *,
        n_images: int = 10,
        select: Literal["first", "best", "worst"] = "first",
    ) -> Self:
        """Reconstruct images and select some of them.

        Parameters
        ----------
        estimator : AutoencoderEmbedder
            Fitted autoencoder.

        X : sequence of image sources
            Images to reconstruct.

        n_images : int, default=10
            Maximum number of images to draw.

        select : {"first", "best", "worst"}, default="first"
            Which images to draw: the first ones, or those with the smallest ("best") or
            largest ("worst") reconstruction errors. Images with large errors are often
            outliers. Unreadable images are only drawn for "first".

        Returns
        -------
        display : ReconstructionDisplay
            Display, to be drawn with :meth:`plot` and :meth:`plot_curves`.

        Raises
        ------
        ValueError
            If `n_images` is less than 1, if `select` is not one of these values, or if
            `select` is "best" or "worst" and no image can be read.

        ImageReadError
            If an image cannot be read and the estimator has `on_error="raise"`.
        """
        if n_images < 1:
            raise ValueError(f"n_images={n_images} must be at least 1.")
        if select not in _CHOICES:
            raise ValueError(
                f"select={select!r} must be one of {_CHOICES}."
                f"{nearest_name(select, _CHOICES)}"
            )
        sources = check_image_sources(X)
        if select == "first":
            sources = sources[:n_images]
        errors = estimator.reconstruction_errors(sources)
        selected = np.arange(len(errors))
        if select != "first":
            selected = _extremes(errors, n_images, largest=select == "worst")
        originals = [sources[i] for i in selected.tolist()]
        architecture = estimator.autoencoder_.architecture
        prepare = make_resizer(architecture.image_size, architecture.n_colors)
        return cls(
            originals=_prepare_images(originals, prepare, estimator.max_pixels),
            reconstructions=_reconstruct(originals, errors[selected], estimator),
            errors=errors[selected],
            loss_curve=estimator.loss_curve_,
            validation_loss_curve=estimator.validation_loss_curve_,
        )

    def plot(self, *, ax: "Axes | None" = None, n_columns: int = 10) -> Self:
        """Draw images above their reconstructions, with the error below.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None creates a figure of suitable size.

        n_columns : int, default=10
            Number of images side by side.

        Returns
        -------
        display : ReconstructionDisplay
            The display itself, with `ax_` and `figure_` set.

        Raises
        ------
        ModuleNotFoundError
            If matplotlib is not installed.

        ValueError
            If `n_columns` is less than 1, or if `originals`, `reconstructions` and
            `errors` differ in length.
        """
        check_n_columns(n_columns)
        errors = np.asarray(self.errors)
        check_length("originals", self.originals, len(errors), "errors")
        check_length("reconstructions", self.reconstructions, len(errors), "errors")
        height = 2 + 2 * LINE_HEIGHT  # images, reconstructions and errors
        title = "images above their reconstructions, with reconstruction errors"
        tiles, top = [], 2 * LINE_HEIGHT
        pairs = zip(self.originals, self.reconstructions, errors, strict=True)
        for i, (original, reconstruction, error) in enumerate(pairs):
            column, row = i % n_columns, top + i // n_columns * height
            tiles.append(Tile(original, column, row))
            tiles.append(Tile(reconstruction, column, row + 1, below=f"{error:.2g}"))
        self.ax_ = draw_grid(
            tiles,
            [TextLine(title, GAP / 2, LINE_HEIGHT)],
            n_columns=max(4, min(n_columns, len(errors))),
            n_rows=top + ceil(len(errors) / n_columns) * height,
            ax=ax,
            caller=f"{type(self).__name__}.plot",
        )
        self.figure_: Figure = self.ax_.figure  # type: ignore[assignment]  # or SubFigure
        return self

    def plot_curves(self, *, ax: "Axes | None" = None) -> Self:
        """Draw the training and validation losses against epochs.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None creates a figure.

        Returns
        -------
        display : ReconstructionDisplay
            The display itself, with `ax_` and `figure_` set.

        Raises
        ------
        ModuleNotFoundError
            If matplotlib is not installed.
        """
        ax = _new_axes(f"{type(self).__name__}.plot_curves") if ax is None else ax
        for label, curve in (
            ("training", self.loss_curve),
            ("validation", self.validation_loss_curve),
        ):
            if len(curve):
                ax.plot(range(1, len(curve) + 1), curve, marker=".", label=label)
        ax.set(xlabel="epoch", ylabel="loss", ylim=(0, None))
        ax.locator_params(axis="x", integer=True)
        if ax.lines:
            ax.legend()
        self.ax_ = ax
        self.figure_ = ax.figure  # type: ignore[assignment]  # or SubFigure
        return self


def _new_axes(caller: str) -> "Axes":
    pyplot = import_optional("matplotlib.pyplot", caller=caller)
    axes: Axes = pyplot.subplots(figsize=(6, 3.5), layout="constrained")[1]
    return axes


def _extremes(
    errors: NDArray[np.float64], n_images: int, *, largest: bool
) -> NDArray[np.int64]:
    """Return the positions of the largest or smallest errors, most extreme first."""
    order = np.argsort(-errors if largest else errors, kind="stable")  # NaN comes last
    n_readable = int((~np.isnan(errors)).sum())
    if n_readable == 0:
        raise ValueError(f"none of the {len(errors)} images could be read.")
    extremes: NDArray[np.int64] = order[: min(n_images, n_readable)]
    return extremes


def _prepare_images(
    sources: Sequence[Any],
    prepare: Callable[[PixelArray], PixelArray],
    max_pixels: float | None,
) -> list[Any]:
    """Return images as the autoencoder receives them, unreadable sources as given."""
    images = list(sources)
    for batch in ImageStream(sources, transform=prepare, max_pixels=max_pixels):
        for row, image in zip(batch.rows, batch.images, strict=True):
            images[row] = image
    return images


def _reconstruct(
    sources: Sequence[Any], errors: NDArray[np.float64], estimator: AutoencoderEmbedder
) -> list[Any]:
    """Return reconstructions of images, unreadable sources as given."""
    images = list(sources)
    readable = np.flatnonzero(~np.isnan(errors)).tolist()
    if readable:
        reconstructed = estimator.reconstruct([sources[i] for i in readable])
        for i, image in zip(readable, reconstructed, strict=True):
            images[i] = image
    return images
