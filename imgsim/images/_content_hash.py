"""Digests of image files and of arrays of pixels, which are equal for equal content."""

import hashlib
from typing import Any

import numpy as np

from imgsim._typing import PixelArray
from imgsim.images._read import read_content, read_image

__all__ = ["hash_file", "hash_pixels", "hash_source"]


def hash_file(content: bytes) -> bytes:
    """Return a digest of 20 bytes of an encoded image."""
    return _digest(b"file", content)


def hash_pixels(rgb: PixelArray) -> bytes:
    """Return a digest of 20 bytes of the shape and the values of an array."""
    return _digest(f"pixels {rgb.shape}".encode(), np.ascontiguousarray(rgb))


def hash_source(source: Any) -> bytes:
    """Return a digest of the file of an image, or of its pixels if it is in memory."""
    content = read_content(source)
    return hash_pixels(read_image(source)) if content is None else hash_file(content)


def _digest(kind: bytes, content: Any) -> bytes:
    digest = hashlib.blake2b(kind, digest_size=20)
    digest.update(content)
    return digest.digest()
