"""Formats of image files that may be opened, and their extensions."""

from contextlib import suppress
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

SIGNATURE_LENGTH = 16

_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_AVIF_BRANDS = (b"avif", b"avis")
_JPEG_XL_SIGNATURES = (b"\xff\x0a", b"\0\0\0\x0cJXL ")
_RAW_SIGNATURES = (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0")
_IPTC_SIGNATURES = (b"\x1c\x01", b"\x1c\x02", b"\x1c\x03")


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
    if name in _PILLOW_FORMATS:
        return True
    return name in Image.OPEN and not _is_from_pillow(Image.OPEN[name][0])


def check_format_of(image: Image.Image) -> None:
    """Raise an error if loading an image would open a format that is not allowed."""
    name = image.format
    if name is None or not _is_from_pillow(type(image)) or is_allowed(name):
        return
    if _is_loaded(image):
        return
    raise ValueError(
        f"the image is in the format {name}, which is not supported, and is not loaded "
        f"yet. If you trust the image, call its method load first."
    )


def explain_refusal(start: bytes) -> str:
    """Return why a file cannot be opened, given its first `SIGNATURE_LENGTH` bytes."""
    name = _refused_format(start)
    if name is not None:
        return (
            f"files in the format {name} are not supported. Convert the file to PNG or "
            f"JPEG, or register a plugin for this format with PIL.Image.register_open."
        )
    brand = start[8:12] if start[4:8] == b"ftyp" else b""
    if brand in _HEIF_BRANDS and "HEIF" not in Image.OPEN:
        return f"HEIC and HEIF files need pillow-heif: {_register_heif()}"
    if brand in _AVIF_BRANDS and "AVIF" not in Image.OPEN:
        return "AVIF files need Pillow 11.3 or a later version."
    if start.startswith(_JPEG_XL_SIGNATURES):
        return (
            "JPEG XL files need a plugin of Pillow: pip install pillow-jxl-plugin, and "
            "import pillow_jxl."
        )
    if brand == b"crx " or start.startswith(_RAW_SIGNATURES):
        return "RAW photographs are not supported. Convert the file to TIFF or JPEG."
    return "not an image, or not in a format that is supported."


def _is_from_pillow(opener: Any) -> bool:
    """Return whether a class or function that opens a format is one of Pillow."""
    return str(getattr(opener, "__module__", "")).partition(".")[0] == "PIL"


def _is_loaded(image: Image.Image) -> bool:
    with suppress(Exception):  # Pillow raises an error if there are no pixels yet
        return image.im is not None and not getattr(image, "tile", None)
    return False


def _refused_format(start: bytes) -> str | None:
    """Return the name of the format of a file that Pillow, but not imgsim, opens."""
    if start.startswith(_IPTC_SIGNATURES):
        return "IPTC"
    for name, (opener, accepts) in list(Image.OPEN.items()):
        with suppress(Exception):  # Pillow does not check the length of the file
            if accepts and accepts(start) and not is_allowed(name):
                description = getattr(opener, "format_description", None)
                return (
                    name if description in (None, name) else f"{name} ({description})"
                )
    return None


def _register_plugins() -> None:
    Image.init()
    _register_heif()


@cache
def _register_heif() -> str:
    """Register the plugin for HEIC, or return what is necessary to do so."""
    if "HEIF" in Image.OPEN:
        return ""
    try:
        from pillow_heif import register_heif_opener
    except ModuleNotFoundError:
        return "pip install 'scikit-imgsim[heif]'."
    except Exception as error:  # such as an OSError if its compiled library is broken
        return f"it is installed, but importing it fails: {error}"
    register_heif_opener()
    return ""
