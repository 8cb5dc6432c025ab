"""Exact copies among images, which a figure shows once."""

import os
from collections import defaultdict
from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np

from imgsim.display._folders import is_path
from imgsim.exceptions import ImageReadError
from imgsim.images._content_hash import hash_source


class Copies(NamedTuple):
    """Position of the first of some exact copies, and their number."""

    first: int
    n_copies: int


def group_copies(images: Sequence[Any]) -> list[Copies]:
    """Return the groups of exact copies, in the order of their first images.

    Files are compared byte by byte, and images in memory pixel by pixel. Only files of
    equal size are read.
    """
    by_size: dict[Hashable, list[int]] = defaultdict(list)
    for i, image in enumerate(images):
        by_size[_size(image)].append(i)
    by_content: dict[Hashable, list[int]] = defaultdict(list)
    for size, members in by_size.items():
        for i in members:
            key = _digest(images[i]) if len(members) > 1 else None
            by_content[size, key or i].append(i)
    return sorted(Copies(members[0], len(members)) for members in by_content.values())


def _size(image: Any) -> Any:
    """Return what is equal for exact copies, and is known without reading them."""
    if isinstance(image, np.ndarray):
        return image.shape
    if is_path(image):
        try:
            return os.path.getsize(image)
        except OSError:  # drawn as unreadable
            return os.fspath(image)
    return type(image).__name__


def _digest(image: Any) -> bytes | None:
    """Return a digest of the content, or None for an unreadable image."""
    try:
        return hash_source(image)
    except ImageReadError:
        return None
