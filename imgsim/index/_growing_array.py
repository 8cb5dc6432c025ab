"""Arrays that share spare capacity with the arrays that are appended to them."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

_GROWTH_FACTOR = 1.5


class _Buffer:
    """Memory of several arrays, of which the first `n_claimed` rows are in use."""

    def __init__(self, rows: NDArray[Any], n_claimed: int) -> None:
        self.rows = rows
        # The position of the first free row. Removing it from the set is a single step,
        # so that only one thread can claim the rows, and none after an interrupt.
        self._first_free = {n_claimed}

    def claim(self, start: int, stop: int) -> bool:
        """Reserve rows for the caller, if they exist and the first of them is free."""
        if stop > len(self.rows):
            return False
        try:
            self._first_free.remove(start)
        except KeyError:
            return False
        self._first_free.add(stop)
        return True


class GrowingArray:
    """An array that never changes, and that can be extended without copying it.

    Parameters
    ----------
    values : ndarray
        The rows.

    copy : bool, default=True
        Whether to copy `values` now, with spare capacity. False keeps the array itself
        until it is extended. Spare capacity takes no memory until it is written,
        because the operating system assigns memory at the first write.
    """

    def __init__(self, values: NDArray[Any], copy: bool = True) -> None:
        self._n = len(values)
        if copy:
            self._buffer = _allocate(values, values.dtype, self._n)
        else:
            self._buffer = _Buffer(values, self._n)

    @property
    def values(self) -> NDArray[Any]:
        """Return all rows."""
        return self._buffer.rows[: self._n]

    def extended(self, rows: NDArray[Any]) -> "GrowingArray":
        """Return this array followed by rows.

        The dtype is widened if the new rows require it. The new rows are written to
        spare capacity that no other array has claimed, or all rows are copied.
        """
        if not len(rows):
            return self
        n = self._n + len(rows)
        dtype = np.result_type(self._buffer.rows, rows)
        buffer = self._buffer
        if dtype != buffer.rows.dtype or not buffer.claim(self._n, n):
            buffer = _allocate(self.values, dtype, n)
        buffer.rows[self._n : n] = rows
        extended = GrowingArray.__new__(GrowingArray)
        extended._buffer, extended._n = buffer, n
        return extended

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle the rows without spare capacity."""
        return GrowingArray, (self.values, False)


def _allocate(values: NDArray[Any], dtype: DTypeLike, n_claimed: int) -> _Buffer:
    """Copy values to a buffer with spare capacity, of which some rows are claimed."""
    capacity = max(n_claimed, int(_GROWTH_FACTOR * len(values)))
    rows = np.empty((capacity, *values.shape[1:]), dtype=dtype)
    rows[: len(values)] = values
    return _Buffer(rows, n_claimed)
