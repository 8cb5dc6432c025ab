"""Query expansion and database augmentation: embeddings summed with their neighbors."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from imgsim._distance.rows import Collection
from imgsim._distance.unit_rows import unit_rows


def add_neighbors(
    vectors: NDArray[Any],
    distances: NDArray[np.float64],
    slots: NDArray[np.int64],
    collection: Collection,
    expansion_power: float,
) -> NDArray[Any]:
    """Add the neighbors of each vector to it, weighted by a power of their similarity.

    Parameters
    ----------
    vectors : ndarray of shape (n, n_features)
        Indexed rows or queries.

    distances : ndarray of shape (n, n_neighbors)
        Cosine distances of their neighbors.

    slots : ndarray of shape (n, n_neighbors), dtype int64
        Slots of the neighbors in the collection, -1 where there is no neighbor.

    collection : Collection
        The indexed rows.

    expansion_power : float
        Power of the cosine similarity; negative similarities are treated as 0.

    Returns
    -------
    expanded : ndarray of shape (n, n_features), dtype of `vectors`
        Weighted sums of unit vectors, scaled to unit length.
    """
    n, n_neighbors = slots.shape
    is_neighbor = slots >= 0
    similarity = np.where(is_neighbor, 1 - np.where(is_neighbor, distances, 1), 0)
    similarity = similarity.clip(0)
    used, columns = np.unique(np.where(is_neighbor, slots, 0), return_inverse=True)
    weights = csr_array(
        (
            np.where(similarity > 0, similarity**expansion_power, 0).ravel(),
            columns.ravel(),
            np.arange(0, n * n_neighbors + 1, n_neighbors),
        ),
        shape=(n, len(used)),
    )
    neighbors = unit_rows(collection.rows.values[used])
    expanded = unit_rows(vectors) + weights @ neighbors
    return np.asarray(unit_rows(expanded), dtype=vectors.dtype)
