"""The knee of a curve."""

import numpy as np
from numpy.typing import ArrayLike


def find_knee(x: ArrayLike, y: ArrayLike) -> int | None:
    """Return the position of the knee of a convex curve.

    The knee is the point farthest below the straight line from the first point to the
    last, after both axes are scaled to [0, 1] [1]_.

    Parameters
    ----------
    x : array-like of shape (n_points,)
        Increasing values.

    y : array-like of shape (n_points,)
        A curve that only falls or only rises.

    Returns
    -------
    position : int or None
        None if no point lies below the line.

    References
    ----------
    .. [1] V. Satopää, J. Albrecht, D. Irwin and B. Raghavan, "Finding a 'kneedle' in a
       haystack: detecting knee points in system behavior", ICDCS Workshops 2011.
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if len(x) < 3 or np.ptp(y) == 0:
        return None
    share = (x - x[0]) / (x[-1] - x[0])
    line = y[0] + share * (y[-1] - y[0])
    below = (line - y) / np.ptp(y)
    position = int(below.argmax())
    return position if below[position] > 1e-9 else None
