"""The limit on the number of pixels, checked before the pixels are decoded."""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from math import floor, inf, isnan
from typing import Any, NamedTuple

from PIL import Image

from imgsim._validation import is_number

_ICON_FORMATS = ("ICO", "ICNS")
_ICON_SIGNATURES = (b"\0\0\1\0", b"icns")

# Pillow takes time proportional to the square of the number of comments.
_MAX_COMMENTS = 1000

# A TIFF file consists of tiles, one of which may be larger than a small image. Pillow
# takes time for each tile.
_TILE_WIDTH_TAG, _TILE_LENGTH_TAG = 322, 323
_MAX_TILE_PIXELS = 4096 * 4096
_MAX_TILES = 100_000

_PILLOW_CHECK = "_decompression_bomb_check"


class PixelLimit(NamedTuple):
    """A number of pixels, its name, and what to do with an image that has more."""

    n_pixels: float
    name: str
    remedy: str

    @classmethod
    def from_max_pixels(cls, max_pixels: float | None) -> "PixelLimit":
        """Return the limit for the parameter `max_pixels`; None is Pillow's limit."""
        _check_max_pixels(max_pixels)
        if max_pixels is None:
            warned = Image.MAX_IMAGE_PIXELS
            # Pillow warns above this number, and raises an error above twice as many.
            max_pixels = inf if warned is None else 2 * warned
        return cls(
            max_pixels,
            "max_pixels=",
            "It may be a decompression bomb. If you trust the image, pass a larger "
            "max_pixels.",
        )

    def check(self, size: tuple[int, int]) -> None:
        """Raise an error if an image of this size has too many pixels."""
        n_pixels = size[0] * size[1]
        if n_pixels > self.n_pixels:
            raise Image.DecompressionBombError(
                f"the image has {n_pixels:,} pixels, more than "
                f"{self.name}{floor(self.n_pixels):,}. {self.remedy}"
            )


# An icon states a small size, but may contain a large image. Pillow decodes a few
# formats in Python, which takes up to 2 seconds per million pixels.
_SLOW_LIMIT = PixelLimit(
    8_000_000,
    "",
    "This is the maximum for icons and for formats that Pillow decodes slowly. Convert "
    "the file to PNG or JPEG.",
)


def check_before_decoding(image: Image.Image, limit: PixelLimit) -> None:
    """Raise an error if decoding an image would take too much memory or time."""
    limit.check(image.size)
    _check_tiles(image)
    slow_decoders = _python_decoders(image)
    if slow_decoders:
        _SLOW_LIMIT.check(image.size)
    if "ppm_plain" in slow_decoders:
        _check_comments(image)


def limit_nested(
    limit: PixelLimit, source: Image.Image | bytes
) -> AbstractContextManager[None]:
    """Limit the images that this thread opens, including images inside `source`.

    Parameters
    ----------
    limit : PixelLimit
        The limit. It is smaller if `source` is an icon.

    source : PIL.Image.Image or bytes
        An image, or the first bytes of a file.
    """
    if isinstance(source, bytes):
        is_icon = source.startswith(_ICON_SIGNATURES)
    else:
        is_icon = source.format in _ICON_FORMATS
    return _pillow_check.replaced(min(limit, _SLOW_LIMIT) if is_icon else limit)


class _PillowCheck:
    """Replaces Pillow's check of the number of pixels in threads that read an image.

    Pillow checks an image when it is opened, and an image inside another one before
    it is decoded. Its limit is a variable of the whole process, which must not change:
    threads of the application are checked by Pillow at the same time.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_inside = 0
        self._thread = threading.local()

    @contextmanager
    def replaced(self, limit: PixelLimit) -> Iterator[None]:
        """Check images against `limit` in the current thread."""
        with self._lock:
            if self._n_inside == 0:
                # A later version of Pillow may have no such function.
                self._original = getattr(Image, _PILLOW_CHECK, _accept)
                setattr(Image, _PILLOW_CHECK, self._check)
            self._n_inside += 1
        outer_limit = getattr(self._thread, "limit", None)
        self._thread.limit = limit
        try:
            yield
        finally:
            self._thread.limit = outer_limit
            with self._lock:
                self._n_inside -= 1
                if self._n_inside == 0:
                    setattr(Image, _PILLOW_CHECK, self._original)

    def _check(self, size: tuple[int, int], **options: Any) -> None:
        limit = getattr(self._thread, "limit", None)
        if limit is None:
            self._original(size, **options)
        else:
            limit.check(size)


_pillow_check = _PillowCheck()


def _accept(size: tuple[int, int], **options: Any) -> None:
    """Accept an image of any size."""


def _check_max_pixels(max_pixels: Any) -> None:
    if max_pixels is None:
        return
    if not is_number(max_pixels):
        raise TypeError(f"max_pixels={max_pixels!r} must be a number or None.")
    if isnan(max_pixels) or max_pixels < 1:
        raise ValueError(
            f"max_pixels={max_pixels!r} must be at least 1. Pass float('inf') to read "
            f"images of any size."
        )


def _tiles(image: Image.Image) -> list[Any]:
    """Return what remains to be decoded, each with the name of its decoder first."""
    return getattr(image, "tile", None) or []


def _check_tiles(image: Image.Image) -> None:
    """Raise an error if an image consists of too many tiles, or of very large ones."""
    n_tiles = len(_tiles(image))
    if n_tiles > _MAX_TILES:
        raise ValueError(
            f"the image is stored in {n_tiles:,} parts, more than {_MAX_TILES:,}. "
            f"Convert it to PNG or JPEG."
        )
    tags = getattr(image, "tag_v2", {})
    width, length = tags.get(_TILE_WIDTH_TAG, 0), tags.get(_TILE_LENGTH_TAG, 0)
    # A side of a tile is a multiple of 16, so a tile may exceed a large image slightly.
    if width * length > max(2 * image.width * image.height, _MAX_TILE_PIXELS):
        raise ValueError(
            f"the image of {image.width} x {image.height} pixels consists of tiles of "
            f"{width} x {length} pixels. Convert it to PNG or JPEG."
        )


def _python_decoders(image: Image.Image) -> set[str]:
    """Return the decoders of an image that Pillow implements in Python, by name."""
    names = {tile[0] for tile in _tiles(image)}
    return {
        name
        for name in names & Image.DECODERS.keys()
        if Image.DECODERS[name].__module__.startswith("PIL.")
    }


def _check_comments(image: Image.Image) -> None:
    file: Any = getattr(image, "fp", None)
    if file is not None and file.read().count(b"#") > _MAX_COMMENTS:
        raise ValueError(
            f"the file contains more than {_MAX_COMMENTS:,} comments. Convert the file "
            f"to PNG or JPEG."
        )
