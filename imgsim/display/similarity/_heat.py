"""Numbers at places, painted over a picture."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

RGB = NDArray[np.uint8]

_MOST_OPAQUE = 0.75
_GREY = 128


class HeatScale(NamedTuple):
    """The largest amount there is a colour for, and whether there is one for less."""

    largest: float
    has_negative: bool

    @classmethod
    def of(cls, *amounts: ArrayLike) -> "HeatScale":
        """Return the scale that all of these fit on."""
        values = np.concatenate([np.ravel(one) for one in amounts])
        largest = float(np.abs(values).max())
        # What is hardly below zero would not be seen.
        return cls(largest, bool(values.min() < -0.02 * largest))


def paint(picture: RGB, amounts: ArrayLike, scale: HeatScale) -> RGB:
    """Paint amounts over a picture turned grey, the more opaque the larger.

    Parameters
    ----------
    picture : ndarray of shape (height, width, 3), dtype uint8
        The picture.

    amounts : array-like of shape (n_rows, n_columns)
        Numbers at places that tile the picture, interpolated between their middles.

    scale : HeatScale
        Which colour stands for how much.

    Returns
    -------
    painted : ndarray of shape (height, width, 3), dtype uint8
    """
    small = Image.fromarray(np.asarray(amounts, dtype=np.float32))
    smooth = small.resize(picture.shape[1::-1], Image.Resampling.BILINEAR)
    grey = np.asarray(Image.fromarray(picture).convert("L"))
    return _blend(grey, np.asarray(smooth), scale)


def color_bar(scale: HeatScale, n_pixels: int = 256) -> RGB:
    """Return one row of pixels with the colours of a scale, on grey, the least left."""
    least = -scale.largest if scale.has_negative else 0.0
    amounts = np.linspace(least, scale.largest, n_pixels)[np.newaxis]
    return _blend(np.full(amounts.shape, _GREY, dtype=np.uint8), amounts, scale)


def _blend(grey: RGB, amounts: NDArray[np.floating], scale: HeatScale) -> RGB:
    from matplotlib import colormaps

    shares = np.clip(amounts / (scale.largest or 1.0), -1, 1)
    if scale.has_negative:
        colors = colormaps["PuOr_r"]((shares + 1) / 2)
    else:
        shares = shares.clip(0)
        colors = colormaps["inferno"](shares)
    opacity = (_MOST_OPAQUE * np.abs(shares) ** 0.8)[..., np.newaxis]
    blended = (1 - opacity) * grey[..., np.newaxis] + opacity * 255 * colors[..., :3]
    pixels: RGB = np.rint(blended).astype(np.uint8)
    return pixels
