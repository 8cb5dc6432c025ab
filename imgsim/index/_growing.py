"""An array that rows are appended to without copying it each time."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_GROWTH = 1.5


class GrowingArray:
    """An array with room to spare, so that appending costs what is appended.

    Parameters
    ----------
    values : ndarray
        The first rows.

    copy : bool, default=True
        Whether to copy them at once, with room to spare; else they are kept as they are
        until something is appended. Room that is not used takes no memory.
    """

    def __init__(self, values: NDArray[Any], copy: bool = True) -> None:
        self._room = values
        self._n = len(values)
        if copy:
            self._move_to(values.dtype, self._n)

    @property
    def values(self) -> NDArray[Any]:
        """Return all rows; the array stays as it is when others are appended."""
        return self._room[: self._n]

    def append(self, more: NDArray[Any]) -> None:
        """Put rows behind the others, of a wider type if they need one."""
        if not len(more):
            return
        n = self._n + len(more)
        dtype = np.result_type(self._room, more)
        if n > len(self._room) or dtype != self._room.dtype:
            self._move_to(dtype, n)
        self._room[self._n : n] = more
        self._n = n

    def _move_to(self, dtype: Any, n_needed: int) -> None:
        capacity = max(n_needed, int(_GROWTH * self._n))
        room = np.empty((capacity, *self._room.shape[1:]), dtype=dtype)
        room[: self._n] = self.values
        self._room = room

    def __getstate__(self) -> dict[str, Any]:
        """Keep the rows, not the room."""
        return {"_room": self.values.copy(), "_n": self._n}
