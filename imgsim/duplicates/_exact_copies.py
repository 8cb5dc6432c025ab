"""Identification of exact copies by their content."""

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from imgsim.images._content_hash import hash_pixels, hash_source


def label_contents(images: Sequence[Any]) -> NDArray[np.int64]:
    """Return for each image the position of the first image with equal content.

    Files are compared byte by byte, and images in memory pixel by pixel.
    """
    return _first_occurrences(hash_source(image) for image in images)


def find_first_copies(
    embeddings: NDArray[Any],
    comparable: NDArray[np.bool_],
    contents: NDArray[np.int64] | None,
) -> NDArray[np.int64]:
    """Return for each image the position of its first exact copy, or its own.

    Two images are exact copies if their embeddings are comparable and equal bit by bit,
    or if their contents have the same label. A copy whose embedding is comparable comes
    before all others.
    """
    first_embedding = _first_occurrences(
        hash_pixels(row) if is_comparable else i
        for i, (row, is_comparable) in enumerate(
            zip(embeddings, comparable, strict=True)
        )
    )
    if contents is None:
        return first_embedding
    n = len(first_embedding)
    copies = np.tile(np.arange(n), 2), np.concatenate([first_embedding, contents])
    graph = coo_array((np.ones(2 * n, dtype=bool), copies), shape=(n, n))
    n_labels, labels = connected_components(graph, directed=False)
    first = np.full(n_labels, 2 * n)
    np.minimum.at(first, labels, np.arange(n) + np.where(comparable, 0, n))
    first_copies: NDArray[np.int64] = first[labels] % n
    return first_copies


def _first_occurrences(keys: Iterable[Hashable]) -> NDArray[np.int64]:
    """Return for each key the position at which it occurs first."""
    first_of: dict[Hashable, int] = {}
    firsts = (first_of.setdefault(key, i) for i, key in enumerate(keys))
    return np.fromiter(firsts, dtype=np.int64)
