"""The cosine of two pooled embeddings, split into what each place adds to it."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Places = NDArray[np.float64]


class Contributions(NamedTuple):
    """What the places of two images add to their cosine; each map sums to it."""

    first: Places
    second: Places
    similarity: float


def split_cosine(first: ArrayLike, second: ArrayLike, *, pooling: str) -> Contributions:
    """Split the cosine of two images into contributions of places.

    A pooled row is a sum over places, and a dot product is linear: what a place adds
    is its part of one row, times the whole other row, over the length of both.

    Parameters
    ----------
    first, second : array-like of shape (height, width, n_features)
        Their feature maps.

    pooling : {"avg", "token_avg", "max"}
        How a map becomes a row.

    Returns
    -------
    contributions : Contributions
        Two float64 maps of (height, width), and the cosine. All are zero if a row has
        no direction.
    """
    parts = [_parts_of_row(np.asarray(one, float), pooling) for one in (first, second)]
    rows = [part.sum(axis=(0, 1)) for part in parts]
    # Each by its own length first, as the product of both may overflow.
    units = [_unit(row) for row in rows]
    lengths = [np.linalg.norm(row) or 1.0 for row in rows]
    return Contributions(
        (parts[0] / lengths[0]) @ units[1],
        (parts[1] / lengths[1]) @ units[0],
        float(units[0] @ units[1]),
    )


def pool(maps: ArrayLike, pooling: str) -> NDArray[np.float64]:
    """Pool maps of (..., height, width, n_features) to rows, in float64."""
    places = np.asarray(maps, dtype=np.float64)
    take = np.max if pooling == "max" else np.mean
    rows: NDArray[np.float64] = take(places, axis=(-3, -2))
    return rows


def _parts_of_row(features: Places, pooling: str) -> Places:
    """Return what each place adds to the row; the parts sum to it."""
    if pooling != "max":
        mean_parts: Places = features / (features.shape[0] * features.shape[1])
        return mean_parts
    is_largest = features == pool(features, pooling)
    parts: Places = features * is_largest / is_largest.sum(axis=(0, 1))
    return parts


def _unit(row: Places) -> Places:
    unit: Places = row / (np.linalg.norm(row) or 1.0)
    return unit
