"""Rows scaled to unit length."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import normalize

_USUAL_EXPONENT = 16  # of 2; squares of larger or smaller numbers may leave float32


def unit_rows(rows: NDArray[Any]) -> NDArray[Any]:
    """Return rows scaled to unit length, without overflow or underflow."""
    if not len(rows):
        return rows
    exponents = np.frexp(np.abs(rows).max(axis=1))[1]
    if np.abs(exponents).max() > _USUAL_EXPONENT:
        # Scaling by powers of 2 is exact.
        rows = np.ldexp(rows, -exponents[:, np.newaxis])
    unit: NDArray[Any] = normalize(rows)
    return unit
