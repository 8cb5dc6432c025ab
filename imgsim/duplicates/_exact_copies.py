"""Identification of exact copies by their content."""

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from imgsim.images._content_hash import hash_pixels
from imgsim.images._read import read_content, read_image


def find_first_copies(
    embeddings: NDArray[Any], images: Sequence[Any] | None
) -> NDArray[np.int64]:
    """Return for each embedding the position of its first exact copy, or its own.

    Two embeddings are exact copies if they are equal bit by bit, or if their images are
    equal: files are compared byte by byte, and images in memory pixel by pixel.
    """
    first_embedding = _first_occurrences(hash_pixels(row) for row in embeddings)
    if images is None:
        return first_embedding
    first_image = _first_occurrences(_digest_of_image(image) for image in images)
    n = len(first_embedding)
    copies = np.tile(np.arange(n), 2), np.concatenate([first_embedding, first_image])
    graph = coo_array((np.ones(2 * n, dtype=bool), copies), shape=(n, n))
    _, labels = connected_components(graph, directed=False)
    return _first_occurrences(labels.tolist())


def _first_occurrences(keys: Iterable[Hashable]) -> NDArray[np.int64]:
    """Return for each key the position at which it occurs first."""
    first_of: dict[Hashable, int] = {}
    firsts = (first_of.setdefault(key, i) for i, key in enumerate(keys))
    return np.fromiter(firsts, dtype=np.int64)


def _digest_of_image(source: Any) -> bytes:
    content = read_content(source)
    if content is None:
        return hash_pixels(read_image(source))
    return hash_pixels(np.frombuffer(content, dtype=np.uint8))
