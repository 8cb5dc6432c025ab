"""Which rows are exact copies of others, told by content and not by distance."""

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from imgsim.images._content_hash import hash_pixels
from imgsim.images._read import read_content, read_image


def find_first_copies(
    values: NDArray[Any], images: Sequence[Any] | None
) -> NDArray[np.int64]:
    """Return for each row the first row that is a copy of it, or itself.

    Rows are copies if they are equal bit by bit, or if the images that they came from
    are: files byte by byte, images in memory pixel by pixel.
    """
    first = _first_of_each(hash_pixels(row) for row in values)
    if images is None:
        return first
    same_image = _first_of_each(_key_of_image(image) for image in images)
    n = len(first)
    copies = np.tile(np.arange(n), 2), np.concatenate([first, same_image])
    graph = coo_array((np.ones(2 * n, dtype=bool), copies), shape=(n, n))
    _, labels = connected_components(graph, directed=False)
    return _first_of_each(labels.tolist())


def _first_of_each(keys: Iterable[Hashable]) -> NDArray[np.int64]:
    first_of: dict[Hashable, int] = {}
    firsts = (first_of.setdefault(key, row) for row, key in enumerate(keys))
    return np.fromiter(firsts, dtype=np.int64)


def _key_of_image(source: Any) -> bytes:
    content = read_content(source)
    if content is None:
        return hash_pixels(read_image(source))
    return hash_pixels(np.frombuffer(content, dtype=np.uint8))
