"""Thresholds: the distance beyond which images do not count as similar."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def threshold_by_coverage(distances: NDArray[Any], coverage: float) -> float:
    """Return the smallest of the distances that is not exceeded by this fraction.

    One future distance is counted in addition to the given distances, so that the
    threshold is a conformal quantile.
    """
    if not len(distances):
        raise ValueError(
            "no neighbor has the label of its query, so there is no distance to choose "
            "a threshold from: check the labels."
        )
    n_kept = int(np.ceil(coverage * (len(distances) + 1) - 1e-9))
    return float(np.sort(distances)[min(max(1, n_kept), len(distances)) - 1])


def threshold_by_precision(
    distances: NDArray[Any], is_relevant: NDArray[np.bool_], precision: float
) -> float:
    """Return the largest distance up to which this fraction is relevant."""
    order = np.argsort(distances, axis=None, kind="stable")
    limits = distances.ravel()[order]
    precisions = np.cumsum(is_relevant.ravel()[order]) / np.arange(1, len(order) + 1)
    # A threshold cannot separate neighbors at equal distances.
    is_last = np.append(limits[1:] > limits[:-1], True)
    sufficient = np.flatnonzero(is_last & (precisions >= precision))
    if not len(sufficient):
        best = precisions[is_last].max()
        raise ValueError(
            f"precision={precision} is not reached at any distance; the highest "
            f"precision is {best:.3f}: pass a smaller precision."
        )
    return float(limits[sufficient[-1]])
