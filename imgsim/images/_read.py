"""Reading of an image from any source as upright 8-bit RGB."""

import io
import logging
import os
import re
import reprlib
import stat
import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, TypeAlias, TypeGuard, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from imgsim._typing import PixelArray
from imgsim.exceptions import ImageReadError
from imgsim.images.decoding._formats import (
    SIGNATURE_LENGTH,
    allowed_formats,
    check_format_of,
    explain_refusal,
)
from imgsim.images.decoding._jpeg import rgb_from_file
from imgsim.images.decoding._pixel_limit import (
    PixelLimit,
    check_before_decoding,
    limit_nested,
)
from imgsim.images.decoding._rgb import rgb_from_array, rgb_from_pillow
from imgsim.images.decoding._single_frame import release_after_first_frame

if TYPE_CHECKING:
    from torch import Tensor

Buffer: TypeAlias = bytes | bytearray | memoryview
ImageSource: TypeAlias = (
    "str | os.PathLike[str] | Buffer | IO[bytes] | Image.Image | NDArray[Any] | Tensor"
)
Decoder: TypeAlias = Callable[[Image.Image, IO[bytes]], PixelArray]

_N_TRIES = 5
_MANY_PIXELS = 4_000_000  # require 30 MB while they are decoded

_shared_source_lock = threading.Lock()
_large_image_lock = threading.Lock()


def read_image(source: ImageSource, *, max_pixels: float | None = None) -> PixelArray:
    """Read an image as upright 8-bit RGB.

    The EXIF orientation is applied, alpha is composited on white, and every mode is
    converted to RGB. Only the first frame of an animation and the first page of a
    document are read.

    Parameters
    ----------
    source : str, path-like, bytes, binary file object, PIL.Image.Image, ndarray or \
            torch.Tensor
        The source of the image. An ndarray has shape (height, width) or (height,
        width, 1, 3 or 4), a tensor has shape (height, width) or (1, 3 or 4, height,
        width). The dtype of both is uint8, uint16, bool, or floating with values in
        [0, 1]. A file object is read from its start, and its position is restored
        afterwards.

    max_pixels : float, default=None
        Maximum number of pixels of a file or PIL image. An image with more pixels is
        not decoded, because a small file may expand to gigabytes. None means twice
        `PIL.Image.MAX_IMAGE_PIXELS`, above which Pillow refuses an image as well:
        178,956,970 pixels, unless an application changed it. `float("inf")` means no
        limit.

    Returns
    -------
    image : ndarray of shape (height, width, 3), dtype uint8
        Pixels from top to bottom and from left to right, with channels red, green and
        blue in [0, 255]. The array may share memory with an ndarray passed as
        `source`.

    Raises
    ------
    ImageReadError
        If the image cannot be read for any reason: the file is missing, empty,
        truncated or damaged; its format is not supported; an array has another shape,
        dtype or range; or the image has more than `max_pixels` pixels. The original
        exception is the `__cause__`.

    TypeError, ValueError
        If `max_pixels` is neither None nor a number of at least 1.

    See Also
    --------
    ImageStream : Read many images, decoded ahead by threads.

    Notes
    -----
    For 16-bit images, 65535 is white (4095 for a 12-bit TIFF), so that photographs of
    a collection stay comparable. A scan that uses only a small part of this range is
    therefore dark. For the 32-bit modes I and F, white is not standardized: it is the
    smallest of 1 (mode F only), 255 and 65535 that is not exceeded by any value. If
    there is none, or if values are negative, values are scaled from their minimum and
    maximum to black and white.

    Colors are converted to sRGB by the ICC profile of the image, with the relative
    colorimetric intent and black point compensation. A profile is ignored if it is
    damaged, if it does not fit the mode of the image, or if it differs from sRGB by no
    more than rounding. Other descriptions of colors, such as the chunks gAMA and cHRM
    of PNG and the numbers (CICP) that AVIF may contain instead of a profile, are not
    used, and neither is the profile of a GIF or JPEG 2000 file, which Pillow does not
    read.

    While a file is read, it takes at most 16 bytes of memory per pixel, including the
    result, which takes 3. The exceptions are JPEG 2000 files with several channels,
    which take up to 25 bytes per pixel unless they are divided into tiles, and WebP and
    AVIF files of noise, which are as large as their pixels and are themselves held in
    memory. Reading an array takes at most 16 bytes per pixel in addition to the array.
    Threads that read several images at the same time need this memory for each of them.

    Pillow's warnings about unusual but readable files are suppressed while an image
    is read. Messages that libtiff writes to the standard error stream are not.

    These formats of Pillow are read: AVIF, BMP, DIB, GIF, ICNS, ICO, JPEG, JPEG 2000,
    MPO, PCD, PCX, PNG, PPM, PSD, QOI, SGI, SUN, TGA, TIFF and WebP. Others are refused,
    because they run a program (EPS, IPTC, WMF), take long to decode (FITS), or contain
    no photographs. This also applies to a PIL image that is not yet loaded. HEIC and
    HEIF are read if `pillow-heif` is installed. Formats of other plugins are read if
    the plugin is registered with `PIL.Image.register_open` in each process.

    At most 8 million pixels are read from icons (ICO, ICNS), and from files that Pillow
    decodes in Python: QOI, BMP with run-length encoding, and PPM as text or with a
    maximum value other than 255 or 65535.

    Examples
    --------
    >>> import numpy as np
    >>> from imgsim import read_image
    >>> read_image(np.array([[0.0, 0.5, 1.0]]))[0]
    array([[  0,   0,   0],
           [128, 128, 128],
           [255, 255, 255]], dtype=uint8)
    """
    return _read_or_explain(
        source, lambda image, file: rgb_from_pillow(image), max_pixels
    )


def read_image_fast(
    source: ImageSource, min_side: int, *, max_pixels: float | None = None
) -> PixelArray:
    """Read an image like `read_image`, but with the fastest decoder for JPEG files.

    The pixels are the same, except that the decoder may downscale a JPEG whose shorter
    side is at least ten times `min_side`. The result is at least 2.5 times `min_side`
    on its shorter side. The decoder may write remarks on damaged files of at least
    250,000 pixels to the standard error stream.
    """
    decode = partial(rgb_from_file, min_side=min_side)
    return _read_or_explain(source, decode, max_pixels)


def read_image_small(
    source: ImageSource, side: int, *, max_pixels: float | None = None
) -> PixelArray:
    """Read an image like `read_image`, but downscale large files.

    The longer side of a file that is downscaled is at least `side`. JPEG files are
    downscaled by their decoder. Other large files are decoded one at a time, which
    limits the use of memory.
    """
    return _read_or_explain(source, partial(_downscaled_rgb, side=side), max_pixels)


def _downscaled_rgb(image: Image.Image, file: IO[bytes], side: int) -> PixelArray:
    image.draft(None, (side, side))
    if image.width * image.height <= _MANY_PIXELS:
        return rgb_from_pillow(image)
    with _large_image_lock:
        small = Image.fromarray(rgb_from_pillow(image))
        small.thumbnail((side, side))
        return np.asarray(small)


def read_content(source: Any) -> bytes | None:
    """Return the encoded bytes of a source, or None if the source is not encoded."""
    try:
        if isinstance(source, Buffer):
            return bytes(source)
        if isinstance(source, str | os.PathLike):
            with _open(source) as file:
                return file.read()
        if hasattr(source, "read"):
            return _content(source)
    except Exception as error:
        raise ImageReadError(describe_source(source), _reason(error)) from error
    return None


def describe_source(source: Any) -> str:
    """Return the path of a source, or a short description if it is in memory."""
    if isinstance(source, str | os.PathLike):
        with suppress(TypeError):  # a path-like object may return an invalid path
            return _printable(os.fsdecode(source))
    return _printable(_describe_object(source))


def _describe_object(source: Any) -> str:
    if isinstance(source, Buffer):
        return f"<{len(source)} bytes>"
    if isinstance(source, Image.Image):
        return f"<{source.mode} image of {source.width} x {source.height} pixels>"
    if hasattr(source, "shape") and hasattr(source, "dtype"):
        return f"<{source.dtype} array of shape {tuple(source.shape)}>"
    if hasattr(source, "read"):
        return f"<open file {getattr(source, 'name', 'without a name')}>"
    return f"<{type(source).__name__} {reprlib.repr(source)}>"


class _QuietPillow:
    """Suppress Pillow's warnings and log messages while any thread is in the context.

    All threads share the list of warning filters, and a thread that leaves
    `catch_warnings` replaces the list. Each thread that enters this context therefore
    makes sure that the filter is present, and the last thread to leave removes it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_inside = 0
        self._handler = logging.NullHandler()
        self._filter = ("ignore", None, Warning, re.compile(r"(PIL|torchvision)\."), 0)

    def __enter__(self) -> None:
        with self._lock:
            if not any(entry is self._filter for entry in warnings.filters):
                # `filterwarnings` would reset the record of warnings already shown.
                cast(list[Any], warnings.filters).insert(0, self._filter)
            if self._n_inside == 0:
                logging.getLogger("PIL").addHandler(self._handler)
            self._n_inside += 1

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._lock:
            self._n_inside -= 1
            if self._n_inside == 0:
                filters = cast(list[Any], warnings.filters)
                filters[:] = [entry for entry in filters if entry is not self._filter]
                logging.getLogger("PIL").removeHandler(self._handler)


_quiet_pillow = _QuietPillow()


def _read_or_explain(
    source: ImageSource, decode: Decoder, max_pixels: float | None
) -> PixelArray:
    limit = PixelLimit.from_max_pixels(max_pixels)
    try:
        return _read_quietly(source, decode, limit)
    except Exception as error:
        raise ImageReadError(describe_source(source), _reason(error)) from error


def _read_quietly(
    source: ImageSource, decode: Decoder, limit: PixelLimit
) -> PixelArray:
    for _ in range(_N_TRIES - 1):
        with suppress(Warning), _quiet_pillow:
            # A readable file raises a warning as an error if another thread restores
            # a filter with the action "error" at the same time: try again.
            return _read(source, decode, limit)
    with _quiet_pillow:
        return _read(source, decode, limit)


def _read(source: ImageSource, decode: Decoder, limit: PixelLimit) -> PixelArray:
    if isinstance(source, np.ndarray):
        return rgb_from_array(source)
    if isinstance(source, Image.Image):
        return _read_pillow(source, limit)
    if isinstance(source, Buffer):
        return _read_file(io.BytesIO(source), decode, limit)
    if isinstance(source, str | os.PathLike):
        with _open(source) as file:
            return _read_file(file, decode, limit)
    if hasattr(source, "read"):
        content = _content(cast(IO[bytes], source))
        return _read_file(io.BytesIO(content), decode, limit)
    if _is_tensor(source):
        return rgb_from_array(_channels_last(source))
    if source is None or source != source:
        raise TypeError("the value is missing.")
    raise TypeError(
        "an image must be a path, bytes, a binary file object, a PIL image, an ndarray "
        f"or a tensor; got {type(source).__name__}."
    )


def _read_pillow(image: Image.Image, limit: PixelLimit) -> PixelArray:
    check_format_of(image)
    check_before_decoding(image, limit)
    with _shared_source_lock, limit_nested(limit, image):
        image.load()
    return rgb_from_pillow(image)


def _open(path: str | os.PathLike[str]) -> IO[bytes]:
    # Opening a pipe waits for a writer, and reading a device may never end.
    if not stat.S_ISREG(mode := os.stat(path).st_mode):
        if stat.S_ISDIR(mode):
            raise IsADirectoryError
        raise OSError("not a regular file.")
    return open(path, "rb")


def _read_file(file: IO[bytes], decode: Decoder, limit: PixelLimit) -> PixelArray:
    start = file.read(SIGNATURE_LENGTH)
    if not start:
        raise EOFError("the file is empty.")
    file.seek(0)
    with limit_nested(limit, start):
        try:
            image = Image.open(file, formats=allowed_formats())
        except UnidentifiedImageError as error:
            raise UnidentifiedImageError(explain_refusal(start)) from error
        with image:
            check_before_decoding(image, limit)
            release_after_first_frame(image)
            return decode(image, file)


def _content(file: IO[bytes]) -> bytes:
    """Read a file object from its start and restore its position."""
    with _shared_source_lock:
        seekable = hasattr(file, "seekable") and file.seekable()
        position = file.tell() if seekable else 0
        if seekable:
            file.seek(0)
        content = file.read()
        if seekable:
            file.seek(position)
    if isinstance(content, str):
        raise TypeError("the file is open in text mode. Open it with mode='rb'.")
    return content


def _is_tensor(source: Any) -> "TypeGuard[Tensor]":
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(source, torch.Tensor)


def _channels_last(tensor: "Tensor") -> NDArray[Any]:
    if tensor.is_floating_point():
        tensor = tensor.float()
    array: NDArray[Any] = tensor.detach().cpu().numpy()
    if array.ndim == 2:
        return array
    if array.ndim != 3 or array.shape[0] not in (1, 3, 4):
        raise ValueError(
            f"an image tensor must have shape (height, width) or (1, 3 or 4, height, "
            f"width); got shape {tuple(array.shape)}."
        )
    return np.moveaxis(array, 0, -1)


def _reason(error: Exception) -> str:
    """Return why an image cannot be read, given the exception that was raised."""
    match error:
        case FileNotFoundError():
            return "no such file."
        case IsADirectoryError():
            return "a folder, not a file. Use list_images to list its images."
        case PermissionError():
            return "permission denied."
        case UnicodeEncodeError():
            return "its path contains characters that no file name can contain."
        case _:
            return _printable(str(error)) or type(error).__name__


def _printable(text: str) -> str:
    """Return a text without the lone surrogates of names that are not Unicode."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
