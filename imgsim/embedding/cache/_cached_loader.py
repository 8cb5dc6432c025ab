"""What happens to one source in a decoding thread: looked up, or read and prepared."""

from collections.abc import Callable
from typing import Any, NamedTuple

from imgsim._typing import EmbeddingArray, PixelArray
from imgsim.embedding.cache._cached_rows import CachedRows
from imgsim.exceptions import ImageReadError
from imgsim.images._content_hash import hash_pixels
from imgsim.images._read import describe_source
from imgsim.images._stream import transform_or_explain


class Loaded(NamedTuple):
    """One image: its row if the cache has it, else its prepared pixels."""

    source: Any
    key: bytes | None
    row: EmbeddingArray | None
    pixels: PixelArray | None


class Loader:
    """Read a source, prepare it, and ask the cache whether that is needed at all."""

    def __init__(
        self,
        read: Callable[[Any], PixelArray],
        prepare: Callable[[PixelArray], PixelArray],
        cached: CachedRows | None,
    ) -> None:
        self._read = read
        self._prepare = prepare
        self._cached = cached

    def __call__(self, source: Any) -> Loaded:
        """Load one source; ImageReadError if it cannot be read."""
        if self._cached is None:
            return self._prepared(source, None, self._read(source))
        found = self._cached.find(source)
        if found.row is not None:
            return Loaded(source, found.key, found.row, None)
        if found.content is not None:
            rgb = self._read_content(found.content, source)
            return self._prepared(source, found.key, rgb)
        rgb = self._read(source)
        key = hash_pixels(rgb)
        row = self._cached.row_of(key)
        if row is not None:
            return Loaded(source, key, row, None)
        return self._prepared(source, key, rgb)

    def _read_content(self, content: bytes, source: Any) -> PixelArray:
        try:
            return self._read(content)
        except ImageReadError as error:
            described = describe_source(source)
            raise ImageReadError(described, error.reason) from error.__cause__

    def _prepared(self, source: Any, key: bytes | None, rgb: PixelArray) -> Loaded:
        pixels = transform_or_explain(self._prepare, rgb, source)
        return Loaded(source, key, None, pixels)
