"""k-means in the space that a metric asks for."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.preprocessing import normalize

RandomState = int | np.random.RandomState | None


def to_euclidean(X: NDArray[Any], metric: str) -> NDArray[Any]:
    """Return rows whose Euclidean distances rank pairs as `metric` does."""
    unit_or_given: NDArray[Any] = normalize(X) if metric == "cosine" else X
    return unit_or_given


def fit_kmeans(
    rows: NDArray[Any], n_clusters: int, random_state: RandomState
) -> KMeans:
    """Run k-means from ten starts and keep the best."""
    return KMeans(n_clusters, n_init=10, random_state=random_state).fit(rows)
