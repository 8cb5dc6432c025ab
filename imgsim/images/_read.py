"""Reading one image, whatever it comes from, to upright 8-bit RGB."""

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
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from imgsim.exceptions import ImageReadError
from imgsim.images._jpeg import rgb_from_file
from imgsim.images._rgb import RGB, rgb_from_array, rgb_from_pillow

FromFile = Callable[[Image.Image, IO[bytes]], RGB]


def read_image(source: Any) -> RGB:
    """Read one image to upright RGB of 8 bits.

    EXIF orientation is applied, alpha is composited on white, and every mode is
    converted by value. Of an animation the first frame is read, of a file with many
    pages the first page.

    Parameters
    ----------
    source : str, path-like, bytes, binary file object, PIL.Image.Image, ndarray or \
            torch.Tensor
        Where the image comes from. An ndarray is (height, width) or (height, width,
        1, 3 or 4), a tensor (1, 3 or 4, height, width); both uint8, uint16, bool, or
        floating in [0, 1]. A file object is read from its start and left where it
        was.

    Returns
    -------
    image : ndarray of shape (height, width, 3), dtype uint8
        Rows from the top, columns from the left, channels red, green, blue, in
        0 to 255. It may share memory with an ndarray given as `source`.

    Raises
    ------
    ImageReadError
        Whatever goes wrong with this one image: a missing, empty, truncated or
        damaged file, a format that Pillow does not know, an array of another dtype
        or range, or more pixels than `PIL.Image.MAX_IMAGE_PIXELS` (89 million unless
        changed there; a larger file may be a decompression bomb). The error of the
        library underneath is its cause.

    See Also
    --------
    ImageStream : Many images, decoded ahead by threads.

    Notes
    -----
    16 bits map 65535 to white (a TIFF of 12 bits: 4095), so that two photographs of
    one collection stay comparable; a scan that uses a small part of the range comes
    out dark. Modes I and F of 32 bits have no agreed white: it is 1 (F only), 255 or
    65535, the smallest that holds every value, or else the values are stretched from
    their minimum to their maximum.

    Colour profiles are not applied.

    Pillow's warnings about odd but readable files are silenced while an image is
    read; what libtiff writes to the standard error of the process about a damaged
    TIFF is not. PostScript is refused, because reading it means to run it.

    Examples
    --------
    >>> import numpy as np
    >>> from imgsim import read_image
    >>> read_image(np.array([[0.0, 0.5, 1.0]]))[0]
    array([[  0,   0,   0],
           [128, 128, 128],
           [255, 255, 255]], dtype=uint8)
    """
    return _read_or_explain(source, lambda image, file: rgb_from_pillow(image))


def read_image_fast(source: Any, least_side: int) -> RGB:
    """Read one image like `read_image`, but a JPEG in the fastest way.

    The pixels are the same, except that a photograph whose shorter side is ten times
    `least_side` or more may be reduced by the decoder, to 2.5 times it or more.
    """
    return _read_or_explain(source, partial(rgb_from_file, least_side=least_side))


def read_image_small(source: Any, side: int) -> RGB:
    """Read one image like `read_image`, but a large file reduced.

    Its longer side stays at least `side` pixels. A JPEG is reduced by its decoder;
    others are decoded whole, but one at a time.
    """
    return _read_or_explain(source, partial(_rgb_reduced, side=side))


def _rgb_reduced(image: Image.Image, file: Any, side: int) -> RGB:
    image.draft(None, (side, side))
    if image.width * image.height <= _MANY_PIXELS:
        return rgb_from_pillow(image)
    with _large_image_lock:
        small = Image.fromarray(rgb_from_pillow(image))
        small.thumbnail((side, side))
        return np.asarray(small)


def read_content(source: Any) -> bytes | None:
    """Return the bytes of a file, wherever it is; None for an image in memory."""
    try:
        if isinstance(source, bytes | bytearray | memoryview):
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
    """Return the path of a source, or a few words for one in memory."""
    if isinstance(source, str | os.PathLike):
        with suppress(TypeError):  # a path-like object that returns no path
            path = os.fsdecode(source)
            return path.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(source, bytes | bytearray | memoryview):
        return f"<{len(source)} bytes>"
    if isinstance(source, Image.Image):
        return f"<{source.mode} image of {source.width} x {source.height} pixels>"
    if hasattr(source, "shape") and hasattr(source, "dtype"):
        return f"<{source.dtype} array of shape {tuple(source.shape)}>"
    if hasattr(source, "read"):
        return f"<open file {getattr(source, 'name', 'without a name')}>"
    return f"<{type(source).__name__} {reprlib.repr(source)}>"


class _QuietPillow:
    """Silence Pillow's warnings and log lines while any thread is inside.

    `warnings` keeps one list of filters for all threads, and a thread that leaves a
    `catch_warnings` puts another list in its place. So every entry sees to it that the
    filter is there, and the last thread that leaves takes it back.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_inside = 0
        self._handler = logging.NullHandler()
        self._filter = ("ignore", None, Warning, re.compile(r"(PIL|torchvision)\."), 0)

    def __enter__(self) -> None:
        with self._lock:
            if not any(entry is self._filter for entry in warnings.filters):
                # Not by `filterwarnings`, which would make Python forget which
                # warnings it has shown before.
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
_N_TRIES = 5
_shared_source_lock = threading.Lock()
_MANY_PIXELS = 4_000_000  # take 30 MB while they are decoded
_large_image_lock = threading.Lock()


def _read_or_explain(source: Any, from_file: FromFile) -> RGB:
    try:
        return _read_quietly(source, from_file)
    except Exception as error:
        raise ImageReadError(describe_source(source), _reason(error)) from error


def _read_quietly(source: Any, from_file: FromFile) -> RGB:
    for _ in range(_N_TRIES - 1):
        with suppress(Warning), _quiet_pillow:
            # An odd but readable file fails if, meanwhile, another thread puts back
            # filters that make errors of warnings.
            return _read(source, from_file)
    with _quiet_pillow:
        return _read(source, from_file)


def _read(source: Any, from_file: FromFile) -> RGB:
    if isinstance(source, np.ndarray):
        return rgb_from_array(source)
    if isinstance(source, Image.Image):
        _check_n_pixels(source)
        with _shared_source_lock:
            source.load()
        return rgb_from_pillow(source)
    if isinstance(source, bytes | bytearray | memoryview):
        return _read_file(io.BytesIO(source), from_file)
    if isinstance(source, str | os.PathLike):
        with _open(source) as file:
            return _read_file(file, from_file)
    if hasattr(source, "read"):
        return _read_file(io.BytesIO(_content(source)), from_file)
    if _is_tensor(source):
        return rgb_from_array(_channels_last(source))
    if source is None or source != source:
        raise TypeError("a missing value, not an image.")
    raise TypeError(
        "an image must be a path, bytes, a binary file object, a PIL image, an ndarray "
        f"or a tensor; got {type(source).__name__}."
    )


def _open(path: str | os.PathLike[str]) -> IO[bytes]:
    # To open a pipe would wait for a writer, and to read a device might never end.
    if not stat.S_ISREG(mode := os.stat(path).st_mode):
        raise IsADirectoryError if stat.S_ISDIR(mode) else OSError("not a file.")
    return open(path, "rb")


def _read_file(file: IO[bytes], from_file: FromFile) -> RGB:
    if not file.read(1):
        raise EOFError("the file is empty.")
    file.seek(0)
    with Image.open(file) as image:
        if image.format == "EPS":
            raise ValueError("PostScript is a program, not a picture; convert it.")
        _check_n_pixels(image)
        return from_file(image, file)


def _check_n_pixels(image: Image.Image) -> None:
    # Pillow itself only warns up to twice its limit.
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and image.width * image.height > limit:
        raise Image.DecompressionBombError


def _content(file: IO[bytes]) -> bytes:
    """Read a file object from its start and put it back where it was."""
    with _shared_source_lock:
        seekable = hasattr(file, "seekable") and file.seekable()
        position = file.tell() if seekable else 0
        if seekable:
            file.seek(0)
        content = file.read()
        if seekable:
            file.seek(position)
    if isinstance(content, str):
        raise TypeError("a file opened as text; open it with mode 'rb'.")
    return content


def _is_tensor(source: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(source, torch.Tensor)


def _channels_last(tensor: Any) -> NDArray[Any]:
    if tensor.is_floating_point():
        tensor = tensor.float()
    array: NDArray[Any] = tensor.detach().cpu().numpy()
    if array.ndim == 2:
        return array
    if array.ndim != 3 or array.shape[0] not in (1, 3, 4):
        raise ValueError(
            f"an image tensor must be (height, width) or (1, 3 or 4, height, width); "
            f"got shape {tuple(array.shape)}."
        )
    return np.moveaxis(array, 0, -1)


def _reason(error: Exception) -> str:
    """Say in words what an exception means for the image."""
    match error:
        case UnidentifiedImageError():
            return "not an image, or in no format that Pillow knows."
        case Image.DecompressionBombError():
            return (
                f"more than {Image.MAX_IMAGE_PIXELS:,} pixels, perhaps a decompression "
                f"bomb; if you trust it, raise PIL.Image.MAX_IMAGE_PIXELS."
            )
        case FileNotFoundError():
            return "no such file."
        case IsADirectoryError():
            return "a folder, not a file; list it with list_images."
        case PermissionError():
            return "permission denied."
        case _:
            return str(error) or type(error).__name__
