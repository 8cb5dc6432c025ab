"""Conversion of Pillow images and arrays to upright 8-bit sRGB, in bands of rows.

A conversion holds pixels in several forms at a time. Since this applies to one band
only, an image takes little more memory than its source and its result.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imgsim._typing import PixelArray
from imgsim.images.decoding._color_profile import (
    ColorConverter,
    find_color_converter,
    make_lab_converter,
)

ImageConverter: TypeAlias = Callable[[Image.Image], Image.Image]

_BAND_PIXELS = 20_000  # in all forms, fit into the cache of a processor
_ORIENTATION_TAG = 0x0112
_BITS_PER_SAMPLE_TAG = 258
_ALPHA_MODES = {"LA", "La", "PA", "RGBA", "RGBa"}
_CHANNELS = {1, 3, 4}
_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def rgb_from_pillow(image: Image.Image) -> PixelArray:
    """Convert a Pillow image to upright sRGB, with alpha composited on white."""
    image.load()
    if 0 in image.size:
        raise ValueError(
            f"the image has no pixels: its size is {image.width} x {image.height}."
        )
    convert = _rgb_converter(image)
    orientation = _orientation(image)
    if convert is None and orientation not in _TRANSPOSITIONS:
        return np.array(image)  # faster than bands

    def make_band(top: int, bottom: int) -> Image.Image:
        band = image.crop((0, top, image.width, bottom))
        return band if convert is None else convert(band)

    return _join_bands(make_band, image.size, orientation)


def rgb_from_decoded(image: Image.Image, rgb: PixelArray) -> PixelArray:
    """Convert the pixels of an image, which are decoded to RGB, to upright sRGB."""
    to_srgb = find_color_converter(image)
    orientation = _orientation(image)
    if to_srgb is None and orientation not in _TRANSPOSITIONS:
        return rgb

    def make_band(top: int, bottom: int) -> Image.Image:
        band = Image.fromarray(rgb[top:bottom])
        return band if to_srgb is None else to_srgb(band)

    return _join_bands(make_band, image.size, orientation)


def rgb_from_array(array: NDArray[Any]) -> PixelArray:
    """Convert an array of shape (height, width[, channels]) to 8-bit RGB."""
    if array.ndim == 2:
        array = array[:, :, np.newaxis]
    if array.ndim != 3 or array.shape[2] not in _CHANNELS or 0 in array.shape:
        raise ValueError(
            f"an image array must have shape (height, width) or (height, width, 1, 3 "
            f"or 4) and must not be empty; got shape {array.shape}."
        )
    height, width, n_channels = array.shape
    if array.dtype == np.uint8 and n_channels != 4:
        return np.ascontiguousarray(np.broadcast_to(array, (height, width, 3)))
    _check_values(array)
    rgb: PixelArray = np.empty((height, width, 3), dtype=np.uint8)
    for top, bottom in _bands(height, width):
        levels = _levels_from_array(array[top:bottom])
        rgb[top:bottom] = _on_white(levels) if n_channels == 4 else levels
    return rgb


def _join_bands(
    make_band: Callable[[int, int], Image.Image],
    size: tuple[int, int],
    orientation: int,
) -> PixelArray:
    """Return an upright image, given the function that makes its bands as stored."""
    width, height = size
    is_turned = orientation in (5, 6, 7, 8)
    shape = (width, height, 3) if is_turned else (height, width, 3)
    rgb: PixelArray = np.empty(shape, dtype=np.uint8)
    for top, bottom in _bands(height, width):
        band = make_band(top, bottom)
        if orientation in _TRANSPOSITIONS:
            band = band.transpose(_TRANSPOSITIONS[orientation])
        if orientation in (3, 4, 6, 7):  # the first row is stored last
            top, bottom = height - bottom, height - top
        target = rgb[:, top:bottom] if is_turned else rgb[top:bottom]
        target[:] = np.asarray(band)
    return rgb


def _bands(height: int, width: int) -> Iterator[tuple[int, int]]:
    """Yield the first row and the end of each band of an image."""
    n_rows = max(1, _BAND_PIXELS // width)
    for top in range(0, height, n_rows):
        yield top, min(top + n_rows, height)


def _rgb_converter(image: Image.Image) -> ImageConverter | None:
    """Return the function that converts bands of an image to RGB, None if they are."""
    if image.mode == "LAB":
        return make_lab_converter()
    to_srgb = find_color_converter(image)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _scalar_converter(image, to_srgb)
    if image.mode == "RGB" and to_srgb is None and "transparency" not in image.info:
        return None
    return partial(_rgb_of_band, to_srgb=to_srgb)


def _rgb_of_band(band: Image.Image, to_srgb: ColorConverter | None) -> Image.Image:
    if band.mode == "CMYK" and to_srgb is not None:
        return to_srgb(band)
    is_transparent = band.mode in _ALPHA_MODES or "transparency" in band.info
    colors = _rgba(band) if is_transparent else band
    if colors.mode not in ("RGB", "RGBA"):
        colors = colors.convert("RGB")
    if to_srgb is not None:
        colors = to_srgb(colors)
    return _composited_on_white(colors) if colors.mode == "RGBA" else colors


def _rgba(band: Image.Image) -> Image.Image:
    """Convert to RGBA, or return the band if its transparency is invalid."""
    try:
        # Pillow cannot convert premultiplied gray to RGBA directly.
        return (band.convert("LA") if band.mode == "La" else band).convert("RGBA")
    except (TypeError, ValueError, OverflowError):
        # The transparency is invalid metadata; the pixels can still be used.
        del band.info["transparency"]
        return band


def _composited_on_white(rgba: Image.Image) -> Image.Image:
    white = Image.new("RGBA", rgba.size, "white")
    return Image.alpha_composite(white, rgba).convert("RGB")


def _scalar_converter(
    image: Image.Image, to_srgb: ColorConverter | None
) -> ImageConverter:
    """Return the converter of modes I, I;16 and F, for which white is inferred."""
    lowest, highest = _finite_range(image)
    black, white = _black_and_white(image, float(lowest), float(highest))
    span = white - black if white > black else 1.0
    transparent = image.info.get("transparency")

    def convert(band: Image.Image) -> Image.Image:
        values = np.asarray(band).astype(np.float32)
        values = np.where(np.isfinite(values), values, lowest)
        levels = np.rint((values - black) * (255 / span)).astype(np.uint8)
        if isinstance(transparent, int):
            levels[values == transparent] = 255
        rgb = Image.fromarray(levels).convert("RGB")
        return rgb if to_srgb is None else to_srgb(rgb)

    return convert


def _finite_range(image: Image.Image) -> tuple[np.float32, np.float32]:
    """Return the lowest and the highest value that is not NaN or infinite."""
    extremes = []
    for top, bottom in _bands(image.height, image.width):
        band = image.crop((0, top, image.width, bottom))
        values = np.asarray(band).astype(np.float32)
        finite = values[np.isfinite(values)]
        if finite.size:
            extremes += [finite.min(), finite.max()]
    if not extremes:
        raise ValueError("all pixels of the image are NaN or infinite.")
    return min(extremes), max(extremes)


def _black_and_white(
    image: Image.Image, lowest: float, highest: float
) -> tuple[float, float]:
    """Return the values that represent black and white."""
    if image.mode.startswith("I;16"):
        bits = getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE_TAG, (16,))[0]
        return 0.0, float(2**bits - 1)
    if image.mode == "I" and image.format in ("PNG", "PPM"):
        return 0.0, 65535.0
    # No standard defines white for 32 bits: take the smallest common range that
    # contains all values, or the range of the values.
    common = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0)
    for white in common:
        if lowest >= 0 and highest <= white:
            return 0.0, white
    return lowest, highest


def _check_values(array: NDArray[Any]) -> None:
    """Raise an error if an array has another dtype or range than images have."""
    if array.dtype in (np.bool_, np.uint8) or array.dtype.newbyteorder("=") == "uint16":
        return
    if not np.issubdtype(array.dtype, np.floating):
        raise TypeError(
            f"an image array must have dtype uint8, uint16 or bool, or a floating "
            f"dtype with values in [0, 1]; got dtype {array.dtype}."
        )
    tolerance = 1e-4  # resizing and color conversion may exceed the range slightly
    with np.errstate(invalid="ignore"):  # NaN is rejected below
        low, high = array.min(), array.max()
    if not (low >= -tolerance and high <= 1 + tolerance):
        raise ValueError(
            f"a floating-point image must have values in [0, 1]; got values in "
            f"[{low:g}, {high:g}]. Divide by the value of white, or convert to uint8."
        )


def _levels_from_array(array: NDArray[Any]) -> PixelArray:
    levels: PixelArray
    if array.dtype == np.uint8:
        levels = array
    elif array.dtype == np.bool_:
        levels = array.astype(np.uint8) * np.uint8(255)
    elif array.dtype.kind == "u":
        levels = ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
    else:
        levels = np.rint(np.clip(array, 0, 1) * 255).astype(np.uint8)
    return levels


def _on_white(levels: PixelArray) -> PixelArray:
    rgba = Image.fromarray(np.ascontiguousarray(levels))
    return np.asarray(_composited_on_white(rgba))


def _orientation(image: Image.Image) -> int:
    # load() of a TIFF applies the orientation and deletes the tag, so call it first.
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:
        # Invalid metadata does not make an image unreadable.
        return 1
