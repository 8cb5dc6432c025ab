"""Formats of image files that may be opened, and their extensions."""

from functools import cache
from typing import Any

from PIL import Image

# Pillow's own formats in which people keep photographs, scans and graphics, and whose
# pixels are decoded by compiled code. Formats that Pillow will add have to be reviewed
# before they are added here. Left out: formats that run programs (EPS, and IPTC, which
# may contain it; WMF on Windows), that only identify a file (BUFR, GRIB, HDF5, MPEG),
# that are decoded in Python (BLP, FITS, MSP, XPM), and all others.
# fmt: off
_PILLOW_FORMATS = frozenset((
    "AVIF", "BMP", "DIB", "GIF", "ICNS", "ICO", "JPEG", "JPEG2000", "MPO", "PCD", "PCX",
    "PNG", "PPM", "PSD", "QOI", "SGI", "SUN", "TGA", "TIFF", "WEBP",
))
# fmt: on


def allowed_formats() -> tuple[str, ...]:
    """Return the formats that may be opened, for `formats` of `PIL.Image.open`.

    These are formats of Pillow that are safe to open, and every format of a plugin that
    is registered in Pillow by the user or another package. The plugin of pillow-heif is
    registered if it is installed. Formats without a signature are last, because they
    may accept a file of another format.
    """
    _register_plugins()
    formats = [name for name in list(Image.ID) if is_allowed(name)]
    return tuple(sorted(formats, key=lambda name: Image.OPEN[name][1] is None))


def allowed_extensions() -> frozenset[str]:
    """Return the extensions of the formats that may be opened, as in ".jpg"."""
    _register_plugins()
    return frozenset(
        extension.lower()
        for extension, name in list(Image.EXTENSION.items())
        if is_allowed(name)
    )


def is_allowed(name: str) -> bool:
    """Return whether files of a format that is registered in Pillow may be opened."""
    return name in _PILLOW_FORMATS or _is_of_plugin(name)


def _is_of_plugin(name: str) -> bool:
    """Return whether the class that opens a format is not one of Pillow."""
    if name not in Image.OPEN:
        return False
    factory: Any = Image.OPEN[name][0]
    return str(getattr(factory, "__module__", "")).partition(".")[0] != "PIL"


def _register_plugins() -> None:
    Image.init()
    _register_heif()


@cache
def _register_heif() -> None:
    """Register the plugin for HEIC and HEIF files, if its package is installed."""
    if "HEIF" in Image.OPEN:
        return
    try:
        from pillow_heif import register_heif_opener
    except Exception:  # such as an OSError if its compiled library is broken
        return
    register_heif_opener()
