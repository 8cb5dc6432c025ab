"""One picture in any mode becomes upright RGB of 8 bits, converted by value."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

RGB = NDArray[np.uint8]

_ORIENTATION_TAG = 0x0112
_BITS_PER_SAMPLE_TAG = 258
_ALPHA_MODES = {"LA", "La", "PA", "RGBA", "RGBa"}
_CHANNELS = {1, 3, 4}


def rgb_from_pillow(image: Image.Image) -> RGB:
    """Convert a Pillow image to (height, width, 3), upright, alpha on white."""
    image.load()
    if 0 in image.size:
        raise ValueError(f"the image has no pixels: {image.width} x {image.height}.")
    return _upright(_rgb_of_mode(image), _orientation(image))


def upright_like(image: Image.Image, rgb: RGB) -> RGB:
    """Turn the decoded pixels of an image as its EXIF orientation says."""
    return _upright(rgb, _orientation(image))


def rgb_from_array(array: NDArray[Any]) -> RGB:
    """Convert (height, width[, channels]) of any documented dtype to 8-bit RGB."""
    if array.ndim == 2:
        array = array[:, :, np.newaxis]
    if array.ndim != 3 or array.shape[2] not in _CHANNELS or 0 in array.shape:
        raise ValueError(
            f"an image array must be (height, width) or (height, width, 1, 3 or 4), "
            f"and not empty; got shape {array.shape}."
        )
    levels = _levels_from_dtype(array)
    if levels.shape[2] == 4:
        levels = _on_white(levels)
    return np.ascontiguousarray(np.broadcast_to(levels, (*levels.shape[:2], 3)))


def _rgb_of_mode(image: Image.Image) -> RGB:
    """Convert without turning; every mode goes the way that keeps its values."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _rgb_from_scalars(image)
    if image.mode == "LAB":
        return np.array(_srgb_from_lab(image))
    if image.mode in _ALPHA_MODES or "transparency" in image.info:
        image = _composited_on_white(image)
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def _composited_on_white(image: Image.Image) -> Image.Image:
    try:
        # Pillow knows no direct way from premultiplied grey to RGBA.
        image = image.convert("LA") if image.mode == "La" else image
        rgba = image.convert("RGBA")
    except (TypeError, ValueError, OverflowError):
        # A note on transparency that makes no sense does not spoil a picture.
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


def _rgb_from_scalars(image: Image.Image) -> RGB:
    """Convert modes I, I;16 and F, whose white has to be inferred."""
    values = np.asarray(image).astype(np.float32)
    finite = np.isfinite(values)
    if not finite.any():
        raise ValueError("no pixel of the image is finite.")
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
    """Return the values that mean black and white."""
    if image.mode.startswith("I;16"):
        bits = getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE_TAG, (16,))[0]
        return 0.0, float(2**bits - 1)
    if image.mode == "I" and image.format in ("PNG", "PPM"):
        return 0.0, 65535.0
    # No standard says what white is in 32 bits: the smallest usual range that holds
    # every value, else the range of the values themselves.
    low, high = float(values.min()), float(values.max())
    usual = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0)
    for white in usual:
        if low >= 0 and high <= white:
            return 0.0, white
    return low, high


def _levels_from_dtype(array: NDArray[Any]) -> NDArray[np.uint8]:
    levels: NDArray[np.uint8]
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
            f"an image array must be uint8, uint16, bool, or float in [0, 1]; got "
            f"dtype {array.dtype}."
        )
    return _levels_from_float(array)


def _levels_from_float(array: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    rounding = 1e-4  # resizing and colour conversion overshoot by so little
    with np.errstate(invalid="ignore"):  # NaN is refused below
        low, high = array.min(), array.max()
    if not (low >= -rounding and high <= 1 + rounding):
        raise ValueError(
            f"a float image must lie in [0, 1]; got values in [{low:g}, {high:g}]. "
            f"Divide by the value of white, or pass uint8."
        )
    levels: NDArray[np.uint8] = np.rint(np.clip(array, 0, 1) * 255).astype(np.uint8)
    return levels


def _on_white(levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    rgba = Image.fromarray(np.ascontiguousarray(levels))
    return np.array(_composited_on_white(rgba).convert("RGB"))


def _orientation(image: Image.Image) -> int:
    # Of a TIFF, call after load(), which turns it by itself and then drops the tag.
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:
        # Broken metadata does not make a picture unreadable.
        return 1


def _upright(rgb: RGB, orientation: int) -> RGB:
    """Undo an EXIF orientation (1 to 8; anything else means upright)."""
    if orientation in (5, 6, 7, 8):
        rgb = rgb.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        rgb = rgb[::-1]
    if orientation in (2, 3, 6, 7):
        rgb = rgb[:, ::-1]
    return np.ascontiguousarray(rgb)
