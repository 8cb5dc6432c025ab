"""Vectors made better by their neighbours: expanded queries, augmented rows."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.preprocessing import normalize

from imgsim._distance.rows import Collection


def expand(
    vectors: NDArray[Any],
    distances: NDArray[np.float64],
    positions: NDArray[np.int64],
    collection: Collection,
    expansion_power: float,
) -> NDArray[Any]:
    """Add to each vector its neighbours, weighted by a power of their similarity.

    Parameters
    ----------
    vectors : ndarray of shape (n, n_features)
        Rows or queries.

    distances : ndarray of shape (n, n_neighbors)
        Cosine distances of their neighbours.

    positions : ndarray of shape (n, n_neighbors), dtype int64
        Positions of the neighbours in the collection, -1 for none.

    collection : Collection
        The rows.

    expansion_power : float
        Power of the similarity; negative similarities count as 0.

    Returns
    -------
    expanded : ndarray of shape (n, n_features), dtype of `vectors`
        Sums of unit vectors, of unit length.
    """
    n, n_neighbors = positions.shape
    known = positions >= 0
    similarity = np.where(known, 1 - np.where(known, distances, 1), 0).clip(0)
    used, columns = np.unique(np.where(known, positions, 0), return_inverse=True)
    weights = csr_array(
        (
            np.where(similarity > 0, similarity**expansion_power, 0).ravel(),
            columns.ravel(),
            np.arange(0, n * n_neighbors + 1, n_neighbors),
        ),
        shape=(n, len(used)),
    )
    neighbors = normalize(collection.rows.values[used])
    expanded = normalize(vectors) + weights @ neighbors
    return np.asarray(normalize(expanded), dtype=vectors.dtype)
