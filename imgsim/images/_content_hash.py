"""Hashes by which equal images, or equal files, are recognized."""

import hashlib
from typing import Any

import numpy as np

from imgsim._typing import PixelArray

__all__ = ["hash_file", "hash_pixels"]


def hash_file(content: bytes) -> bytes:
    """Return the hash of an encoded image, 20 bytes."""
    return _hash(b"file", content)


def hash_pixels(rgb: PixelArray) -> bytes:
    """Return the hash of an array, 20 bytes; its shape counts, too."""
    return _hash(f"pixels {rgb.shape}".encode(), np.ascontiguousarray(rgb))


def _hash(kind: bytes, content: Any) -> bytes:
    digest = hashlib.blake2b(kind, digest_size=20)
    digest.update(content)
    return digest.digest()
