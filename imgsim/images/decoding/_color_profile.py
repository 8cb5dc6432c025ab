"""Conversion of colors to sRGB by the ICC profile that is embedded in an image.

Little CMS, the library behind Pillow's ImageCms, does the arithmetic.
"""

import hashlib
import io
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from PIL.ImageCms import ImageCmsTransform

ColorConverter: TypeAlias = Callable[[Image.Image], Image.Image]

_MAX_PROFILE_BYTES = 2**24  # the largest profiles of printing presses have 2**23
_N_CONVERTERS = 32  # require up to 0.5 MB each
_DEVICE_CLASSES = ("scnr", "mntr", "prtr", "spac")
# The modes to which a profile of each color space is applied, before and after.
_MODES = {"RGB ": ("RGB", "RGB"), "GRAY": ("L", "RGB"), "CMYK": ("CMYK", "RGB")}
# Profiles of sRGB differ in the precision of their curves, by up to 2 levels of 255.
_TOLERANCE = 2


def find_color_converter(image: Image.Image) -> ColorConverter | None:
    """Return the function that converts colors of an image to sRGB.

    The function accepts images in mode CMYK if the image is in this mode, and in modes
    RGB and RGBA otherwise. It keeps alpha. The result is None if colors do not have to
    be converted: the image has no profile, or a profile of sRGB, or a profile that is
    invalid or does not fit its mode.
    """
    profile = image.info.get("icc_profile")
    if not isinstance(profile, bytes) or not 0 < len(profile) <= _MAX_PROFILE_BYTES:
        return None
    space = _color_space(image.mode)
    return None if space is None else _converters.get(profile, space)


def make_lab_converter() -> ColorConverter:
    """Return the function that converts CIELAB to sRGB."""
    from PIL import ImageCms

    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    transform = ImageCms.buildTransform(lab, srgb, "LAB", "RGB")
    return transform.apply


def _color_space(mode: str) -> str | None:
    """Return the signature of the color space of a mode, None if no profile fits."""
    if mode == "LAB":
        return None
    if mode == "CMYK":
        return "CMYK"
    return "GRAY" if mode[0] in "1LIF" else "RGB "


class _ColorConverters:
    """The converters of the profiles used most recently, shared by all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._converters: OrderedDict[Any, ColorConverter | None] = OrderedDict()

    def get(self, profile: bytes, space: str) -> ColorConverter | None:
        """Return the converter of a profile, None if colors need no conversion."""
        key = space, hashlib.blake2b(profile, digest_size=20).digest()
        with self._lock:
            if key not in self._converters:
                self._converters[key] = _make_converter(profile, space)
            self._converters.move_to_end(key)
            while len(self._converters) > _N_CONVERTERS:
                self._converters.popitem(last=False)
            return self._converters[key]


_converters = _ColorConverters()


def _make_converter(profile: bytes, space: str) -> ColorConverter | None:
    try:
        transform = _build_transform(profile, space)
    except Exception:
        # An invalid profile does not make an image unreadable.
        return None
    if transform is None:
        return None
    if space == "CMYK":
        return transform.apply
    if space == "GRAY":
        return _gray_converter(transform)
    if _changes_nothing(transform):
        return None

    def convert(image: Image.Image) -> Image.Image:
        converted = transform.apply(image.convert("RGB"))
        if image.mode == "RGBA":
            converted.putalpha(image.getchannel("A"))
        return converted

    return convert


def _build_transform(profile: bytes, space: str) -> "ImageCmsTransform | None":
    """Return the transform of a profile to sRGB, None if the profile is unsuitable.

    The colorimetric intent keeps all colors that sRGB contains, so that copies of a
    photograph in several color spaces become equal. Perceptual tables change each color
    according to the taste of their author.
    """
    from PIL import ImageCms

    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    details = source.profile
    if details.xcolor_space != space or details.device_class not in _DEVICE_CLASSES:
        return None
    return ImageCms.buildTransform(
        source,
        ImageCms.createProfile("sRGB"),
        *_MODES[space],
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        # Without its cache of one pixel, threads may share a transform.
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION | ImageCms.Flags.NOCACHE,
    )


def _gray_converter(transform: "ImageCmsTransform") -> ColorConverter | None:
    """Return a converter by table, which keeps gray neutral."""
    ramp = np.arange(256, dtype=np.uint8)[np.newaxis]
    levels = np.asarray(transform.apply(Image.fromarray(ramp)))[0, :, 1]
    if np.abs(levels.astype(int) - ramp[0]).max() <= _TOLERANCE:
        return None
    table = levels.tolist()
    tables = {"RGB": 3 * table, "RGBA": [*table, *table, *table, *range(256)]}
    return lambda image: image.point(tables[image.mode])


def _changes_nothing(transform: "ImageCmsTransform") -> bool:
    """Return whether a transform changes colors by no more than rounding."""
    levels = np.array([*range(0, 64, 7), *range(64, 256, 21), 255], dtype=np.uint8)
    colors = np.stack(np.meshgrid(levels, levels, levels), axis=-1)
    probe = colors.reshape(-1, len(levels), 3)
    converted = np.asarray(transform.apply(Image.fromarray(probe)))
    return bool(np.abs(converted.astype(int) - probe).max() <= _TOLERANCE)
