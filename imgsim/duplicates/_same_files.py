"""Identification of entries that refer to the same file and count as one image."""

import os
from collections.abc import Hashable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgsim.images.listing._file_identity import identify_source


def find_distinct_files(
    ids: Sequence[Any],
    images: Sequence[Any] | None,
    values: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Return the position of one entry for each file.

    Parameters
    ----------
    ids : sequence of length n_images
        Ids, which may be paths. They identify the file of an image in memory.

    images : sequence of length n_images or None
        Image sources.

    values : ndarray of shape (n_images,)
        The entry with the largest value stands for a file, unless it is a symbolic
        link and another entry is not. Ties are broken by the first entry.

    Returns
    -------
    positions : ndarray of shape (n_files,), dtype int64
        Positions in increasing order.
    """
    sources = images if images is not None else [None] * len(ids)
    pairs = list(zip(sources, ids, strict=True))
    files = [identify_source(source) or identify_source(name) for source, name in pairs]
    are_links = [_is_link(source) or _is_link(name) for source, name in pairs]
    chosen: dict[Hashable, int] = {}
    for i in np.lexsort((-values, np.array(are_links))).tolist():
        chosen.setdefault(i if files[i] is None else files[i], i)
    return np.array(sorted(chosen.values()), dtype=np.int64)


def _is_link(source: Any) -> bool:
    path = getattr(source, "name", None) if hasattr(source, "read") else source
    with suppress(OSError, ValueError, TypeError):
        return isinstance(path, str | os.PathLike) and os.path.islink(path)
    return False
