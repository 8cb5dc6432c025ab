"""Distances at which to say that nothing is similar."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def threshold_by_coverage(distances: NDArray[Any], coverage: float) -> float:
    """Return the smallest distance that keeps a share of these, and one more.

    Counting the distance to come among those known makes it a conformal quantile.
    """
    if not len(distances):
        raise ValueError(
            "no neighbour bears the label of its query: there is no limit."
        )
    n_kept = int(np.ceil(coverage * (len(distances) + 1) - 1e-9))
    return float(np.sort(distances)[min(max(1, n_kept), len(distances)) - 1])


def threshold_by_precision(
    distances: NDArray[Any], is_right: NDArray[np.bool_], precision: float
) -> float:
    """Return the largest distance up to which a share of the answers is right."""
    order = np.argsort(distances, axis=None, kind="stable")
    limits = distances.ravel()[order]
    reached = np.cumsum(is_right.ravel()[order]) / np.arange(1, len(order) + 1)
    # Equal distances are answered together.
    is_last = np.append(limits[1:] > limits[:-1], True)
    enough = np.flatnonzero(is_last & (reached >= precision))
    if not len(enough):
        best = reached[is_last].max()
        raise ValueError(
            f"precision={precision} is reached at no distance; the best is {best:.3f}."
        )
    return float(limits[enough[-1]])
