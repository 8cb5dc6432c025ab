"""Where a curve bends."""

import numpy as np
from numpy.typing import ArrayLike


def find_knee(x: ArrayLike, y: ArrayLike) -> int | None:
    """Return the position of the knee of a convex curve.

    Of all points it lies farthest below the straight line from the first to the last,
    both axes being scaled to [0, 1] [1]_.

    Parameters
    ----------
    x : array-like of shape (n_points,)
        Increasing.

    y : array-like of shape (n_points,)
        A curve that falls or rises throughout.

    Returns
    -------
    position : int or None
        None if no point lies below the line.

    References
    ----------
    .. [1] V. Satopää, J. Albrecht, D. Irwin and B. Raghavan, "Finding a 'kneedle' in a
       haystack: detecting knee points in system behavior", ICDCS Workshops 2011.
    """
    along, height = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if len(along) < 3 or np.ptp(height) == 0:
        return None
    along = (along - along[0]) / (along[-1] - along[0])
    line = height[0] + along * (height[-1] - height[0])
    below = (line - height) / np.ptp(height)
    position = int(below.argmax())
    return position if below[position] > 1e-9 else None
