"""Digests that identify equal image files and equal arrays of pixels."""

import hashlib
from typing import Any

import numpy as np

from imgsim._typing import PixelArray

__all__ = ["hash_file", "hash_pixels"]


def hash_file(content: bytes) -> bytes:
    """Return the digest of an encoded image, 20 bytes."""
    return _digest(b"file", content)


def hash_pixels(rgb: PixelArray) -> bytes:
    """Return the digest of the shape and the values of an array, 20 bytes."""
    return _digest(f"pixels {rgb.shape}".encode(), np.ascontiguousarray(rgb))


def _digest(kind: bytes, content: Any) -> bytes:
    digest = hashlib.blake2b(kind, digest_size=20)
    digest.update(content)
    return digest.digest()
