"""The radius of DBSCAN where none is given."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgsim.cluster.selection._knee import find_knee
from imgsim.index import SimilarityIndex

_SHARE = 0.95


def suggest_eps(rows: NDArray[Any], min_samples: int, metric: str, seed: int) -> float:
    """Return the knee of the sorted distances to the `min_samples`-th nearest row.

    Rows left of the knee have near neighbours, those right of it are on their own
    [1]_. A row counts as its own nearest, as in DBSCAN. The farthest 5 % are left
    out: a few strangers would stretch the curve, and move its knee.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_features)
        What will be clustered.

    min_samples : int
        Number of rows within the radius that make a row a core of a group.

    metric : {"euclidean", "cosine"}
        Distance between rows.

    seed : int
        Seeds the approximate search that large collections need.

    Returns
    -------
    eps : float
        Positive; without a knee, about the median distance.

    References
    ----------
    .. [1] M. Ester, H.-P. Kriegel, J. Sander and X. Xu, "A density-based algorithm for
       discovering clusters in large spatial databases with noise", KDD 1996.
    """
    smallest = float(np.finfo(rows.dtype).eps)  # of equal rows; 0 is no radius
    n_others = min(max(min_samples - 1, 1), len(rows) - 1)
    if n_others < 1:
        return smallest
    index = SimilarityIndex(n_others, metric=metric, random_state=seed).fit(rows)
    distances = np.sort(index.kneighbors()[0][:, -1])
    distances = distances[: max(3, int(len(distances) * _SHARE))]
    knee = find_knee(np.arange(len(distances)), distances)
    place = len(distances) // 2 if knee is None else knee
    # Between two distances, so that rounding decides for none of them.
    nearer, farther = distances[place], distances[min(place + 1, len(distances) - 1)]
    return max(float((nearer + farther) / 2), float(nearer) * (1 + 1e-5), smallest)
