"""Loading of images in decoding threads, with cached embeddings if there are any."""

from collections.abc import Callable
from typing import Any, NamedTuple

from imgsim._typing import EmbeddingArray, PixelArray
from imgsim.embedding.cache._cached_rows import CachedRows
from imgsim.exceptions import ImageReadError
from imgsim.images._content_hash import hash_pixels
from imgsim.images._read import describe_source
from imgsim.images._stream import transform_or_explain


class LoadedImage(NamedTuple):
    """An image with its embedding if it is cached, and with its pixels otherwise."""

    source: Any
    key: bytes | None
    embedding: EmbeddingArray | None
    pixels: PixelArray | None


class CachedLoader:
    """A loader that reads and transforms an image only if its embedding is not cached.

    Without a cache, every image is read and transformed.
    """

    def __init__(
        self,
        load: Callable[[Any], PixelArray],
        transform: Callable[[PixelArray], PixelArray],
        cached_rows: CachedRows | None,
    ) -> None:
        self._load = load
        self._transform = transform
        self._cached_rows = cached_rows

    def __call__(self, source: Any) -> LoadedImage:
        """Load an image, or raise ImageReadError if it cannot be read."""
        if self._cached_rows is None:
            return self._make_image(source, None, self._load(source))
        lookup = self._cached_rows.find(source)
        if lookup.embedding is not None:
            return LoadedImage(source, lookup.key, lookup.embedding, None)
        if lookup.content is not None:
            rgb = self._load_content(lookup.content, source)
            return self._make_image(source, lookup.key, rgb)
        rgb = self._load(source)
        key = hash_pixels(rgb)
        embedding = self._cached_rows.get(key)
        if embedding is not None:
            return LoadedImage(source, key, embedding, None)
        return self._make_image(source, key, rgb)

    def _load_content(self, content: bytes, source: Any) -> PixelArray:
        try:
            return self._load(content)
        except ImageReadError as error:
            description = describe_source(source)
            raise ImageReadError(description, error.reason) from error.__cause__

    def _make_image(
        self, source: Any, key: bytes | None, rgb: PixelArray
    ) -> LoadedImage:
        pixels = transform_or_explain(self._transform, rgb, source)
        return LoadedImage(source, key, None, pixels)
