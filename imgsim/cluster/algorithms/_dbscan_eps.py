"""Choice of the radius `eps` of DBSCAN from the distances to near neighbors."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgsim.cluster._knee import find_knee
from imgsim.cluster.algorithms._feature_space import ClusterMetric
from imgsim.index import SimilarityIndex

_SHARE = 0.95


def suggest_eps(
    rows: NDArray[Any], min_samples: int, metric: ClusterMetric, seed: int
) -> float:
    """Return the knee of the sorted distances to the `min_samples`-th nearest row.

    Rows on the left of the knee have near neighbors, and rows on its right are isolated
    [1]_. As in DBSCAN, each row counts as its own nearest neighbor. The largest 5% of
    the distances are left out, because a few outliers would stretch the curve and move
    its knee.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_features)
        The rows to cluster.

    min_samples : int
        Number of rows within the radius that make a row a core sample.

    metric : {"cosine", "euclidean"}
        Distance between rows.

    seed : int
        Seed of the approximate search in large collections.

    Returns
    -------
    eps : float
        A positive radius. If the curve does not have a knee, it is about the median
        distance.

    References
    ----------
    .. [1] M. Ester, H.-P. Kriegel, J. Sander and X. Xu, "A density-based algorithm for
       discovering clusters in large spatial databases with noise", KDD 1996.
    """
    smallest = float(np.finfo(rows.dtype).eps)  # DBSCAN rejects a radius of 0
    if metric == "euclidean":
        smallest *= float(np.abs(rows).max()) or 1.0
    n_others = min(max(min_samples - 1, 1), len(rows) - 1)
    if n_others < 1:
        return smallest
    index = SimilarityIndex(n_others, metric=metric, random_state=seed).fit(rows)
    distances = np.sort(index.kneighbors()[0][:, -1])
    distances = distances[: max(3, int(len(distances) * _SHARE))]
    knee = find_knee(np.arange(len(distances)), distances)
    position = len(distances) // 2 if knee is None else knee
    # A radius between two distances, so that rounding does not exclude a row.
    nearer = distances[position]
    farther = distances[min(position + 1, len(distances) - 1)]
    return max(float((nearer + farther) / 2), float(nearer) * (1 + 1e-5), smallest)
