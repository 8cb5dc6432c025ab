"""Colour histograms: an embedder that needs no network and no weights."""

import os
from collections.abc import Callable
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from imgsim._typing import EmbeddingArray, PixelArray
from imgsim._validation import Interval
from imgsim.embedding._base import BaseImageEmbedder
from imgsim.embedding.cache._embedding_cache import EmbeddingCache


class ColorHistogramEmbedder(BaseImageEmbedder):
    """Embed images by the colours they have, and where they have them.

    The image is cut into a grid of cells. In each cell, the joint histogram of hue,
    saturation and value counts which share of the pixels has which colour [1]_. It
    needs no weights, finds copies and pictures
    of one scene, and knows nothing of what is shown.

    Parameters
    ----------
    bins : tuple of int, default=(8, 8, 4)
        Number of bins of hue, saturation and value, each 1 to 256.

    grid : tuple of int, default=(2, 2)
        Rows and columns of the grid of cells; (1, 1) is one histogram of the image.

    image_size : int, default=128
        Pixels along each side of the square that the image is reduced to first, at
        least as many as the grid has rows and columns.

    normalize : {"l2"}, default=None
        Whether rows are scaled to unit Euclidean length. None keeps shares that sum
        to 1.

    batch_size : int, default=32
        Number of images held at a time.

    n_jobs : int, default=-1
        Number of threads that decode images. None means 1 unless in a
        :obj:`joblib.parallel_backend` context. -1 means all processors.

    cache : EmbeddingCache, str or path-like, default=None
        Where rows are kept, so that no image is embedded twice; a path means an
        :class:`EmbeddingCache` there.

    on_error : {"raise", "nan"}, default="raise"
        Whether an unreadable image raises, or leaves a row of NaN, an entry in
        `failures_` and one warning for all.

    verbose : int, default=0
        Whether to show a bar with images a second, time left, failures and cache
        hits.

    Attributes
    ----------
    n_features_out_ : int
        Width of a row: the product of `bins` and `grid`.

    failures_ : list of ImageFailure
        Index, source and reason of each image that the last `transform` could not
        read.

    See Also
    --------
    ImageEmbedder : Embed by what a network pretrained on photographs sees.

    Notes
    -----
    Rows of shares compare well by any metric; Manhattan distance is one minus the
    histogram intersection of [1]_, times two. Mirrored and turned copies move
    between the cells: use `grid=(1, 1)` to ignore where a colour is.

    References
    ----------
    .. [1] M. J. Swain and D. H. Ballard, "Color indexing", International Journal of
       Computer Vision, 1991.

    Examples
    --------
    >>> import numpy as np
    >>> from imgsim import ColorHistogramEmbedder
    >>> red = np.full((20, 30, 3), (200, 0, 0), dtype=np.uint8)
    >>> blue = np.full((20, 30, 3), (0, 0, 200), dtype=np.uint8)
    >>> X = ColorHistogramEmbedder(bins=(4, 1, 1), grid=(1, 1)).transform([red, blue])
    >>> X
    array([[1., 0., 0., 0.],
           [0., 0., 1., 0.]], dtype=float32)
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseImageEmbedder._parameter_constraints,
        "bins": [tuple, list],
        "grid": [tuple, list],
        "image_size": [Interval(Integral, 1, 4096, closed="both")],
    }

    def __init__(
        self,
        bins: tuple[int, int, int] = (8, 8, 4),
        *,
        grid: tuple[int, int] = (2, 2),
        image_size: int = 128,
        normalize: str | None = None,
        batch_size: int = 32,
        n_jobs: int | None = -1,
        cache: EmbeddingCache | str | os.PathLike[str] | None = None,
        on_error: str = "raise",
        verbose: int = 0,
    ) -> None:
        self.bins = bins
        self.grid = grid
        self.image_size = image_size
        self.normalize = normalize
        self.batch_size = batch_size
        self.n_jobs = n_jobs
        self.cache = cache
        self.on_error = on_error
        self.verbose = verbose

    def _setup(self) -> None:
        _check_counts("bins", self.bins, n_expected=3, largest=256)
        _check_counts("grid", self.grid, n_expected=2, largest=self.image_size)
        self.n_features_out_ = int(np.prod(self.bins) * np.prod(self.grid))

    def _preparation(self) -> Callable[[PixelArray], PixelArray]:
        size = (self.image_size, self.image_size)

        def to_hsv(rgb: PixelArray) -> PixelArray:
            small = Image.fromarray(rgb).resize(size, Image.Resampling.BOX)
            return np.asarray(small.convert("HSV"))

        return to_hsv

    def _recipe(self) -> dict[str, Any]:
        return {
            "bins": list(self.bins),
            "grid": list(self.grid),
            "image_size": self.image_size,
        }

    def _embed(self, images: list[PixelArray]) -> EmbeddingArray:
        return np.stack([self._histogram(image) for image in images])

    def _histogram(self, hsv: PixelArray) -> EmbeddingArray:
        """Count the pixels of every (cell, hue, saturation, value)."""
        bins = np.asarray(self.bins)
        hue, saturation, value = np.moveaxis(hsv.astype(np.int64) * bins // 256, 2, 0)
        color = (hue * bins[1] + saturation) * bins[2] + value
        position = np.arange(self.image_size)
        row, column = (position * n // self.image_size for n in self.grid)
        cell = row[:, np.newaxis] * self.grid[1] + column
        counts = np.bincount(
            (cell * bins.prod() + color).ravel(), minlength=self.n_features_out_
        )
        shares: EmbeddingArray = (counts / color.size).astype(np.float32)
        return shares


def _check_counts(
    name: str, counts: tuple[int, ...], *, n_expected: int, largest: int
) -> None:
    valid = len(counts) == n_expected and all(
        isinstance(count, Integral) and 1 <= count <= largest for count in counts
    )
    if not valid:
        raise ValueError(
            f"{name}={counts!r} must be {n_expected} integers, each 1 to {largest}."
        )
