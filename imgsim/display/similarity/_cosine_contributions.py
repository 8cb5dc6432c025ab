"""Decomposition of a cosine similarity into the contributions of locations."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Contributions(NamedTuple):
    """Contributions of the locations of two images. Each map sums to `similarity`."""

    first: NDArray[np.float64]
    second: NDArray[np.float64]
    similarity: float


def split_cosine(first: ArrayLike, second: ArrayLike, *, pooling: str) -> Contributions:
    """Split the cosine similarity of two images into contributions of locations.

    A pooled embedding is a sum of one term per location, and the dot product is linear.
    The contribution of a location is therefore the dot product of its term with the
    other embedding, divided by the norms of both embeddings.

    Parameters
    ----------
    first, second : array-like of shape (height, width, n_features)
        Feature maps of the two images.

    pooling : {"avg", "token_avg", "max"}
        How a feature map is pooled into an embedding.

    Returns
    -------
    contributions : Contributions
        Two float64 arrays of shape (height, width), and the cosine similarity. All are
        zero if an embedding is zero.
    """
    terms = [_terms(np.asarray(one, float), pooling) for one in (first, second)]
    embeddings = [term.sum(axis=(0, 1)) for term in terms]
    # The product of the two norms may overflow, so each is divided by separately.
    units = [_unit(embedding) for embedding in embeddings]
    norms = [np.linalg.norm(embedding) or 1.0 for embedding in embeddings]
    return Contributions(
        (terms[0] / norms[0]) @ units[1],
        (terms[1] / norms[1]) @ units[0],
        float(units[0] @ units[1]),
    )


def pool(maps: ArrayLike, pooling: str) -> NDArray[np.float64]:
    """Pool feature maps of shape (..., height, width, n_features), in float64."""
    values = np.asarray(maps, dtype=np.float64)
    reduce = np.max if pooling == "max" else np.mean
    embeddings: NDArray[np.float64] = reduce(values, axis=(-3, -2))
    return embeddings


def _terms(features: NDArray[np.float64], pooling: str) -> NDArray[np.float64]:
    """Return the terms of the locations, which sum to the embedding."""
    if pooling != "max":
        shares: NDArray[np.float64] = features / (features.shape[0] * features.shape[1])
        return shares
    # Locations that tie for the maximum share it equally.
    is_largest = features == pool(features, pooling)
    terms: NDArray[np.float64] = features * is_largest / is_largest.sum(axis=(0, 1))
    return terms


def _unit(embedding: NDArray[np.float64]) -> NDArray[np.float64]:
    unit: NDArray[np.float64] = embedding / (np.linalg.norm(embedding) or 1.0)
    return unit
