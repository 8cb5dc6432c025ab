"""What happens to one source in a decoding thread: looked up, or read and prepared."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imgsim.embedding._cached_rows import CachedRows, key_of_pixels
from imgsim.exceptions import ImageReadError
from imgsim.images._read import describe_source, read_image
from imgsim.images._stream import prepare_or_explain

Pixels = NDArray[np.uint8]
Rows = NDArray[np.float32]


class Loaded(NamedTuple):
    """One image: its row if the cache has it, else its prepared pixels."""

    source: str
    key: bytes | None
    row: Rows | None
    pixels: Pixels | None


class Loader:
    """Read a source, prepare it, and ask the cache whether that is needed at all."""

    def __init__(
        self,
        read: Callable[[Any], Pixels],
        prepare: Callable[[Pixels], Pixels],
        cached: CachedRows | None,
    ) -> None:
        self._read = read
        self._prepare = prepare
        self._cached = cached

    def __call__(self, source: Any) -> Loaded:
        """Load one source; ImageReadError if it cannot be read."""
        name = describe_source(source)
        if self._cached is None:
            return Loaded(name, None, None, self._prepared(self._read(source), source))
        found = self._cached.find(source)
        if found.row is not None:
            return Loaded(name, found.key, found.row, None)
        if found.content is not None:
            rgb = self._read_content(found.content, source)
            return Loaded(name, found.key, None, self._prepared(rgb, source))
        rgb = read_image(source)
        key = key_of_pixels(rgb)
        row = self._cached.row_of(key)
        pixels = self._prepared(rgb, source) if row is None else None
        return Loaded(name, key, row, pixels)

    def _read_content(self, content: bytes, source: Any) -> Pixels:
        try:
            return self._read(content)
        except ImageReadError as error:
            described = describe_source(source)
            raise ImageReadError(described, error.reason) from error.__cause__

    def _prepared(self, rgb: Pixels, source: Any) -> Pixels:
        return prepare_or_explain(self._prepare, rgb, source)
