"""Conversion of Pillow images and arrays to upright 8-bit RGB."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imgsim._typing import PixelArray

_ORIENTATION_TAG = 0x0112
_BITS_PER_SAMPLE_TAG = 258
_ALPHA_MODES = {"LA", "La", "PA", "RGBA", "RGBa"}
_CHANNELS = {1, 3, 4}


def rgb_from_pillow(image: Image.Image) -> PixelArray:
    """Convert a Pillow image to upright RGB, with alpha composited on white."""
    image.load()
    if 0 in image.size:
        raise ValueError(
            f"the image has no pixels: its size is {image.width} x {image.height}."
        )
    return _apply_orientation(_rgb_of_mode(image), _orientation(image))


def orient_like(image: Image.Image, rgb: PixelArray) -> PixelArray:
    """Apply the EXIF orientation of an image to its decoded pixels."""
    return _apply_orientation(rgb, _orientation(image))


def rgb_from_array(array: NDArray[Any]) -> PixelArray:
    """Convert an array of shape (height, width[, channels]) to 8-bit RGB."""
    if array.ndim == 2:
        array = array[:, :, np.newaxis]
    if array.ndim != 3 or array.shape[2] not in _CHANNELS or 0 in array.shape:
        raise ValueError(
            f"an image array must have shape (height, width) or (height, width, 1, 3 "
            f"or 4) and must not be empty; got shape {array.shape}."
        )
    levels = _levels_from_array(array)
    if levels.shape[2] == 4:
        levels = _on_white(levels)
    return np.ascontiguousarray(np.broadcast_to(levels, (*levels.shape[:2], 3)))


def _rgb_of_mode(image: Image.Image) -> PixelArray:
    """Convert an image of any mode to RGB, without applying the orientation."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _rgb_from_scalars(image)
    if image.mode == "LAB":
        return np.array(_srgb_from_lab(image))
    if image.mode in _ALPHA_MODES or "transparency" in image.info:
        image = _composited_on_white(image)
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def _composited_on_white(image: Image.Image) -> Image.Image:
    try:
        # Pillow cannot convert premultiplied gray to RGBA directly.
        image = image.convert("LA") if image.mode == "La" else image
        rgba = image.convert("RGBA")
    except (TypeError, ValueError, OverflowError):
        # The transparency is invalid metadata; the pixels can still be used.
        image = image.copy()
        del image.info["transparency"]
        return image
    return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)


def _srgb_from_lab(image: Image.Image) -> Image.Image:
    from PIL import ImageCms

    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    transform = ImageCms.buildTransform(lab, srgb, "LAB", "RGB")
    converted = ImageCms.applyTransform(image, transform)
    assert converted is not None  # None only where it converts in place
    return converted


def _rgb_from_scalars(image: Image.Image) -> PixelArray:
    """Convert modes I, I;16 and F, for which the value of white is inferred."""
    values = np.asarray(image).astype(np.float32)
    finite = np.isfinite(values)
    if not finite.any():
        raise ValueError("all pixels of the image are NaN or infinite.")
    values = np.where(finite, values, values[finite].min())
    black, white = _black_and_white(image, values)
    span = white - black if white > black else 1.0
    levels = np.rint((values - black) * (255 / span)).astype(np.uint8)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        levels[values == transparent] = 255
    return np.repeat(levels[:, :, np.newaxis], 3, axis=2)


def _black_and_white(
    image: Image.Image, values: NDArray[np.float32]
) -> tuple[float, float]:
    """Return the values that represent black and white."""
    if image.mode.startswith("I;16"):
        bits = getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE_TAG, (16,))[0]
        return 0.0, float(2**bits - 1)
    if image.mode == "I" and image.format in ("PNG", "PPM"):
        return 0.0, 65535.0
    # No standard defines white for 32 bits: take the smallest common range that
    # contains all values, or the range of the values.
    low, high = float(values.min()), float(values.max())
    common = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0)
    for white in common:
        if low >= 0 and high <= white:
            return 0.0, white
    return low, high


def _levels_from_array(array: NDArray[Any]) -> PixelArray:
    levels: PixelArray
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype == np.uint8:
        levels = array
        return levels
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype == np.uint16:
        levels = ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
        return levels
    if not np.issubdtype(array.dtype, np.floating):
        raise TypeError(
            f"an image array must have dtype uint8, uint16 or bool, or a floating "
            f"dtype with values in [0, 1]; got dtype {array.dtype}."
        )
    return _levels_from_float(array)


def _levels_from_float(array: NDArray[np.floating[Any]]) -> PixelArray:
    tolerance = 1e-4  # resizing and color conversion may exceed the range slightly
    with np.errstate(invalid="ignore"):  # NaN is rejected below
        low, high = array.min(), array.max()
    if not (low >= -tolerance and high <= 1 + tolerance):
        raise ValueError(
            f"a floating-point image must have values in [0, 1]; got values in "
            f"[{low:g}, {high:g}]. Divide by the value of white, or convert to uint8."
        )
    levels: PixelArray = np.rint(np.clip(array, 0, 1) * 255).astype(np.uint8)
    return levels


def _on_white(levels: PixelArray) -> PixelArray:
    rgba = Image.fromarray(np.ascontiguousarray(levels))
    return np.array(_composited_on_white(rgba).convert("RGB"))


def _orientation(image: Image.Image) -> int:
    # load() of a TIFF applies the orientation and deletes the tag, so call it first.
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:
        # Invalid metadata does not make an image unreadable.
        return 1


def _apply_orientation(rgb: PixelArray, orientation: int) -> PixelArray:
    """Apply an EXIF orientation from 1 to 8; other values are ignored."""
    if orientation in (5, 6, 7, 8):
        rgb = rgb.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        rgb = rgb[::-1]
    if orientation in (2, 3, 6, 7):
        rgb = rgb[:, ::-1]
    return np.ascontiguousarray(rgb)
