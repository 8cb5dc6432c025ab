"""A heat map of numbers, blended over a gray image."""

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from imgsim._typing import PixelArray

_LARGEST_OPACITY = 0.75
_GRAY = 128
# Smaller negative values, relative to the largest, would not be visible.
_VISIBLE = 0.02


class HeatScale(NamedTuple):
    """The absolute value with the most intense color, and whether some are negative."""

    largest: float
    has_negative: bool

    @classmethod
    def of(cls, *amounts: ArrayLike) -> Self:
        """Return the scale that fits all of these arrays."""
        values = np.concatenate([np.ravel(one) for one in amounts])
        largest = float(np.abs(values).max())
        return cls(largest, bool(values.min() < -_VISIBLE * largest))


def paint(image: PixelArray, amounts: ArrayLike, scale: HeatScale) -> PixelArray:
    """Blend a heat map over a gray version of an image, larger amounts more opaque.

    Parameters
    ----------
    image : ndarray of shape (height, width, 3), dtype uint8
        The image.

    amounts : array-like of shape (n_rows, n_columns)
        Values of the cells of a grid over the image. They are interpolated linearly
        between the centers of the cells.

    scale : HeatScale
        Color scale of the amounts.

    Returns
    -------
    painted : ndarray of shape (height, width, 3), dtype uint8
        The image with the heat map.
    """
    small = Image.fromarray(np.asarray(amounts, dtype=np.float32))
    smooth = small.resize(image.shape[1::-1], Image.Resampling.BILINEAR)
    gray = np.asarray(Image.fromarray(image).convert("L"))
    return _blend(gray, np.asarray(smooth), scale)


def color_bar(scale: HeatScale, n_pixels: int = 256) -> PixelArray:
    """Return one row of pixels with the colors of a scale, increasing to the right."""
    lowest = -scale.largest if scale.has_negative else 0.0
    amounts = np.linspace(lowest, scale.largest, n_pixels)[np.newaxis]
    return _blend(np.full(amounts.shape, _GRAY, dtype=np.uint8), amounts, scale)


def _blend(
    gray: PixelArray, amounts: NDArray[np.floating], scale: HeatScale
) -> PixelArray:
    from matplotlib import colormaps

    shares = np.clip(amounts / (scale.largest or 1.0), -1, 1)
    if scale.has_negative:
        colors = colormaps["PuOr_r"]((shares + 1) / 2)
    else:
        shares = shares.clip(0)
        colors = colormaps["inferno"](shares)
    opacity = (_LARGEST_OPACITY * np.abs(shares) ** 0.8)[..., np.newaxis]
    blended = (1 - opacity) * gray[..., np.newaxis] + opacity * 255 * colors[..., :3]
    pixels: PixelArray = np.rint(blended).astype(np.uint8)
    return pixels
