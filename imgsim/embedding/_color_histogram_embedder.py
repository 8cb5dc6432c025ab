"""Embedding of images by color histograms, without a network."""

import os
from collections.abc import Callable
from numbers import Integral
from typing import Any, ClassVar, Literal

import numpy as np
from PIL import Image

from imgsim._typing import EmbeddingArray, PixelArray
from imgsim._validation import (
    Interval,
    is_integer,
)
from imgsim.embedding._base import BaseImageEmbedder
from imgsim.embedding.cache._embedding_cache import EmbeddingCache


class ColorHistogramEmbedder(BaseImageEmbedder):
    """Embed images by their colors and the locations of these colors.

    The image is divided into a grid of cells. The embedding contains the joint
    histogram of hue, saturation and value [1]_ for each cell, as fractions of all
    pixels of the image. No network and no weights are required. The embeddings are
    suitable for finding copies and images of the same scene, but not for recognizing
    objects.

    Parameters
    ----------
    bins : tuple of int, default=(8, 8, 4)
        Numbers of bins for hue, saturation and value, each 1 to 256.

    grid : tuple of int, default=(2, 2)
        Numbers of rows and columns of the grid. (1, 1) computes one histogram of the
        whole image.

    image_size : int, default=128
        Side in pixels of the square to which images are resized first. It must be at
        least the number of rows and at least the number of columns of `grid`.

    normalize : {"l2"}, default=None
        Whether to scale embeddings to unit Euclidean length. None does not scale them,
        so that each embedding sums to 1.

    batch_size : int, default=32
        Number of images in a batch.

    n_jobs : int, default=-1
        Number of threads that decode images. None means 1 unless in a
        :obj:`joblib.parallel_backend` context. -1 means all processors.

    max_pixels : float, default=None
        Maximum number of pixels of a file or PIL image. An image with more is
        unreadable, because a small file may expand to gigabytes. None means twice
        `PIL.Image.MAX_IMAGE_PIXELS`: 178,956,970 pixels, unless an application changed
        it in this process. `float("inf")` means no limit.

    cache : EmbeddingCache, str or path-like, default=None
        Cache of embeddings, so that no image is embedded twice. A path stands for an
        :class:`EmbeddingCache` at that path.

    on_error : {"raise", "nan"}, default="raise"
        Whether an unreadable image raises an exception, or results in an embedding of
        NaN, an entry in `failures_` and one warning for all unreadable images.

    verbose : int, default=0
        Whether to show a progress bar with the number of images per second, the
        remaining time, and the numbers of failures and cache hits.

    Attributes
    ----------
    n_features_out_ : int
        Length of an embedding: the product of `bins` and `grid`.

    failures_ : list of ImageFailure
        Row, source and reason for each image that could not be read in the last call
        of `transform`.

    See Also
    --------
    ImageEmbedder : Embed images with a network pretrained on photographs.

    Notes
    -----
    Histograms can be compared by any metric. Their Manhattan distance is
    `2 * (1 - intersection)`, where `intersection` is the histogram intersection of
    [1]_. In a mirrored or rotated copy, colors are in other cells: use `grid=(1, 1)` to
    ignore the locations of colors.

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
        normalize: Literal["l2"] | None = None,
        batch_size: int = 32,
        n_jobs: int | None = -1,
        max_pixels: float | None = None,
        cache: EmbeddingCache | str | os.PathLike[str] | None = None,
        on_error: Literal["raise", "nan"] = "raise",
        verbose: int = 0,
    ) -> None:
        self.bins = bins
        self.grid = grid
        self.image_size = image_size
        self.normalize = normalize
        self.batch_size = batch_size
        self.n_jobs = n_jobs
        self.max_pixels = max_pixels
        self.cache = cache
        self.on_error = on_error
        self.verbose = verbose

    def _setup(self) -> None:
        _check_counts("bins", self.bins, n_expected=3, max_count=256)
        _check_counts("grid", self.grid, n_expected=2, max_count=self.image_size)
        self.n_features_out_ = int(np.prod(self.bins) * np.prod(self.grid))

    def _image_transform(self) -> Callable[[PixelArray], PixelArray]:
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
        """Return the fraction of pixels for each (cell, hue, saturation, value)."""
        bins = np.asarray(self.bins)
        hue, saturation, value = np.moveaxis(hsv.astype(np.int64) * bins // 256, 2, 0)
        color = (hue * bins[1] + saturation) * bins[2] + value
        position = np.arange(self.image_size)
        row, column = (position * n // self.image_size for n in self.grid)
        cell = row[:, np.newaxis] * self.grid[1] + column
        counts = np.bincount(
            (cell * bins.prod() + color).ravel(), minlength=self.n_features_out_
        )
        fractions: EmbeddingArray = (counts / color.size).astype(np.float32)
        return fractions


def _check_counts(
    name: str, counts: tuple[int, ...], *, n_expected: int, max_count: int
) -> None:
    valid = len(counts) == n_expected and all(
        is_integer(count) and 1 <= count <= max_count for count in counts
    )
    if not valid:
        raise ValueError(
            f"{name}={counts!r} must be {n_expected} integers from 1 to {max_count}."
        )
