"""Pairs of images, and the places that make them alike."""

import reprlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imgsim._optional import import_optional
from imgsim.display._grid import (
    GAP,
    LINE_HEIGHT,
    Line,
    Tile,
    check_length,
    draw_grid,
    source_name,
)
from imgsim.display.similarity._cosine_contributions import (
    Contributions,
    pool,
    split_cosine,
)
from imgsim.display.similarity._heat import HeatScale, color_bar, paint
from imgsim.embedding import ImageEmbedder
from imgsim.embedding._feature_maps import MappedBatch
from imgsim.images import ImageFailure
from imgsim.images._warn_of_failures import warn_of_failures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SPLIT_BY_PLACES = ("avg", "token_avg", "max")
_CELL_INCHES = 2.0
_HEADER = 1.2 * LINE_HEIGHT
_GUTTER = 0.35  # cells between pairs
_BAR = (1 + GAP / 2, 1.4)  # the columns it begins and ends at
_BAR_HEIGHT = 0.08
# Of the length of a row: what summing in another order may change, with room.
_LARGEST_GAP = 1e-3


class _Place(NamedTuple):
    """Where a pair stands: its left edge, the top of its pictures, the line above."""

    column: float
    top: float
    line: float


class _Image(NamedTuple):
    pixels: NDArray[np.uint8]
    features: NDArray[np.float32]


class _Pair(NamedTuple):
    images: tuple[Any, Any]
    split: Contributions | None


class SimilarityMapDisplay:
    """Pairs of pictures, bright where they are alike to the network.

    The cosine of two pooled embeddings is a sum over the places of either image [1]_.
    What each place adds is painted over the pictures, which are drawn grey, as the
    network saw them: resized and cropped. Both pictures of a pair share their colours;
    where a place takes away, purple stands for that and orange for what adds. Create it
    by :meth:`from_estimator`.

    Parameters
    ----------
    images : sequence of n_pairs pairs of ndarray or image sources
        The pictures as the network saw them, (height, width, 3) uint8. An unreadable
        one is there as the source it was.

    contributions : sequence of n_pairs pairs of array-like
        What each place adds to the similarity, of shape (height, width), from top to
        bottom and from left to right. Each of the two sums to the similarity. None in
        place of a pair says that an image is unreadable.

    similarities : array-like of shape (n_pairs,)
        Cosine similarities, in [-1, 1], or NaN.

    names : sequence of n_pairs pairs of str, default=None
        What to call the pictures. None leaves them unnamed.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes drawn on.

    figure_ : matplotlib Figure
        The figure that holds them.

    See Also
    --------
    imgsim.ImageEmbedder.feature_maps : The maps that are compared.
    NeighborsDisplay : Queries with their nearest images.

    Notes
    -----
    The maps are exact: they split the cosine, and nothing of it is left over. They are
    coarse: a place stands for the part of the picture in its middle, but the network
    saw more than that, for most networks nearly all of the picture.

    References
    ----------
    .. [1] A. Stylianou, R. Souvenir and R. Pless, "Visualizing deep similarity
       networks", WACV 2019.

    Examples
    --------
    An untrained network, so that the example needs no download:

    >>> from imgsim import ImageEmbedder
    >>> from imgsim.datasets import load_sample_photos
    >>> from imgsim.display import SimilarityMapDisplay
    >>> photos = load_sample_photos(n_crops=2, n_copies=1).images
    >>> embedder = ImageEmbedder("resnet18", pretrained=False, image_size=128)
    >>> display = SimilarityMapDisplay.from_estimator(embedder, photos[:1], photos[1:2])
    >>> first, second = display.contributions[0]
    >>> first.shape, bool(abs(first.sum() - display.similarities[0]) < 1e-9)
    ((4, 4), True)
    >>> display.plot().ax_.texts[0].get_text()
    'what places add to the cosine'
    """

    def __init__(
        self,
        *,
        images: Sequence[Sequence[Any]],
        contributions: Sequence[Sequence[ArrayLike] | None],
        similarities: ArrayLike,
        names: Sequence[Sequence[str]] | None = None,
    ) -> None:
        self.images = images
        self.contributions = contributions
        self.similarities = similarities
        self.names = names

    @classmethod
    def from_estimator(cls, embedder: ImageEmbedder, X: Any, Y: Any) -> Self:
        """Compare images in pairs, place by place.

        Parameters
        ----------
        embedder : ImageEmbedder
            With `pooling` "avg", "token_avg" or "max", at most one `layer`, and no
            `flip`.

        X : sequence of image sources of length n_pairs
            The first image of each pair.

        Y : sequence of image sources of length n_pairs
            The second of each.

        Returns
        -------
        display : SimilarityMapDisplay
            To be drawn by :meth:`plot`.

        Raises
        ------
        ImageReadError
            If an image cannot be read and the embedder has `on_error="raise"`.

        TypeError
            If `embedder` is no ImageEmbedder.

        ValueError
            If X and Y differ in length, or the similarity is no sum over places: for
            another pooling, several layers, `flip`, or a model that does more to a row
            than pool it. That is tried on the images.

        Warns
        -----
        ImageReadWarning
            Once, if images could not be read and the embedder has `on_error="nan"`.
            Its `failures_` then lists those of X, and after them those of Y.

        Notes
        -----
        Each image goes through the network twice, and its crop is kept: 0.15 MB at
        224 pixels. Similarities and contributions are computed in float64 from the
        maps, whatever the `precision` of the embedder, and nothing is compiled.
        """
        _check_splits_by_places(embedder)
        first, failures = embedder._checked_sources(X)
        second, more_failures = embedder._checked_sources(Y)
        check_length("Y", second, len(first), "images in X")
        pairs = list(_compared(embedder, (first, second), (failures, more_failures)))
        failures += more_failures
        embedder.failures_ = failures
        consequence = "their pairs have no similarity"
        warn_of_failures(failures, 2 * len(first), consequence)
        return cls(
            images=[pair.images for pair in pairs],
            contributions=[pair.split and pair.split[:2] for pair in pairs],
            similarities=np.array(
                [np.nan if p.split is None else p.split.similarity for p in pairs]
            ),
            names=[
                (source_name(one), source_name(other))
                for one, other in zip(first, second, strict=True)
            ],
        )

    def plot(self, *, ax: "Axes | None" = None, n_columns: int = 1) -> Self:
        """Draw the pairs, and above each its cosine and what its colours mean.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a figure of a fitting size.

        n_columns : int, default=1
            Number of pairs beside each other.

        Returns
        -------
        display : SimilarityMapDisplay
            With `ax_` and `figure_` set.

        Raises
        ------
        ModuleNotFoundError
            If matplotlib is missing.

        ValueError
            If `n_columns` is less than 1, or lengths differ.
        """
        if n_columns < 1:
            raise ValueError(f"n_columns={n_columns} must be at least 1.")
        n_pairs = len(np.asarray(self.similarities))
        check_length("images", self.images, n_pairs, "similarities")
        check_length("contributions", self.contributions, n_pairs, "similarities")
        caller = f"{type(self).__name__}.plot"
        import_optional("matplotlib", caller=caller)  # for the colours
        tiles: list[Tile] = []
        lines = [Line("what places add to the cosine", GAP / 2, LINE_HEIGHT / 2)]
        places = self._places(n_pairs, n_columns)
        for i, place in enumerate(places):
            tiles += self._tiles(i, place)
            lines += self._lines(i, place)
        self.ax_ = draw_grid(
            tiles,
            lines,
            n_columns=max(place.column for place in places) + 2,
            n_rows=places[-1].top + 1,
            ax=ax,
            caller=caller,
            cell_inches=_CELL_INCHES,
        )
        for i, place in enumerate(places):
            self._draw_bar(i, place)
        self.figure_: Figure = self.ax_.figure  # type: ignore[assignment]  # or a part
        return self

    def _places(self, n_pairs: int, n_columns: int) -> list[_Place]:
        has_names = any(name for pair in self.names or () for name in pair)
        above = (3 if has_names else 2) * LINE_HEIGHT  # of a pair of pictures
        return [
            _Place(
                i % n_columns * (2 + _GUTTER),
                _HEADER + i // n_columns * (1 + above) + above,
                _HEADER + i // n_columns * (1 + above) + LINE_HEIGHT,
            )
            for i in range(n_pairs)
        ]

    def _scale(self, i: int) -> HeatScale | None:
        contributions = self.contributions[i]
        return None if contributions is None else HeatScale.of(*contributions)

    def _tiles(self, i: int, place: _Place) -> list[Tile]:
        shown, maps = list(self.images[i]), self.contributions[i]
        scale = self._scale(i)
        if maps is not None and scale is not None:
            both = zip(shown, maps, strict=True)
            shown = [paint(image, one, scale) for image, one in both]
        names = self.names[i] if self.names is not None else ("", "")
        return [
            Tile(image, name, place.column + side, place.top)
            for side, (image, name) in enumerate(zip(shown, names, strict=True))
        ]

    def _lines(self, i: int, place: _Place) -> list[Line]:
        scale, left = self._scale(i), place.column + GAP / 2
        if scale is None:
            return [Line("no similarity", left, place.line)]
        words = f"cosine {np.asarray(self.similarities)[i]:.3f}"
        signed = "±" if scale.has_negative else "0 to "
        most = f"{signed}{scale.largest:#.2g}"
        right = place.column + _BAR[1] + GAP / 2
        return [Line(words, left, place.line), Line(most, right, place.line)]

    def _draw_bar(self, i: int, place: _Place) -> None:
        scale = self._scale(i)
        if scale is None:
            return
        left, right = (place.column + edge for edge in _BAR)
        top, bottom = (place.line + side * _BAR_HEIGHT / 2 for side in (-1, 1))
        extent = (left, right, bottom, top)
        self.ax_.imshow(color_bar(scale), extent=extent, aspect="equal", origin="upper")


def _check_splits_by_places(embedder: Any) -> None:
    """Refuse what is known not to be a sum over places before an image is read."""
    if not isinstance(embedder, ImageEmbedder):
        raise TypeError(
            f"embedder must be an ImageEmbedder; got {type(embedder).__name__}. Of a "
            f"Pipeline that begins with one, pass pipeline[0]."
        )
    if embedder.pooling not in _SPLIT_BY_PLACES:
        raise ValueError(
            f"pooling={embedder.pooling!r}: the cosine is no sum over places; set "
            f"pooling to one of {_SPLIT_BY_PLACES}."
        )
    if embedder.flip:
        raise ValueError(
            "flip=True: a row mixes an image with its mirror image; set flip=False."
        )


def _compared(
    embedder: ImageEmbedder,
    sources: tuple[Sequence[Any], Sequence[Any]],
    failures: tuple[list[ImageFailure], list[ImageFailure]],
) -> Iterator[_Pair]:
    """Yield pairs, reading and embedding two batches of images at a time."""
    pooling = str(embedder.pooling)
    with ExitStack() as opened:
        batches = [
            opened.enter_context(closing(embedder._mapped(*collection)))
            for collection in zip(sources, failures, strict=True)
        ]
        start = 0
        for both in zip(*batches, strict=True):
            first, second = (_images_by_index(embedder, batch) for batch in both)
            stop = min(start + embedder.batch_size, len(sources[0]))
            for i in range(start, stop):
                pair = (sources[0][i], sources[1][i])
                yield _split((first.get(i), second.get(i)), pair, pooling)
            start = stop


def _split(
    images: tuple[_Image | None, _Image | None], sources: tuple[Any, Any], pooling: str
) -> _Pair:
    """Compare two images, if both are readable."""
    one, other = images
    shown = (
        sources[0] if one is None else one.pixels,
        sources[1] if other is None else other.pixels,
    )
    if one is None or other is None:
        return _Pair(shown, None)
    return _Pair(shown, split_cosine(one.features, other.features, pooling=pooling))


def _images_by_index(embedder: ImageEmbedder, batch: MappedBatch) -> dict[int, _Image]:
    """Return the readable images, after a check that their rows are pooled maps."""
    if batch.pixels:
        rows = embedder._pooled(batch.pixels)
        pooled = pool(batch.maps, str(embedder.pooling))
        gaps = np.linalg.norm(rows - pooled, axis=1)
        if not (gaps <= _LARGEST_GAP * np.linalg.norm(pooled, axis=1)).all():
            raise ValueError(
                f"pooling={embedder.pooling!r}: model="
                f"{reprlib.repr(embedder.model)} does more to a row than pool it, "
                f"such as a norm, and the cosine is no sum over places; set layer=-1, "
                f"whose map is pooled and no more."
            )
    images = zip(batch.indices.tolist(), batch.pixels, batch.maps, strict=True)
    return {index: _Image(pixels, features) for index, pixels, features in images}
