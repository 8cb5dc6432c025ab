"""Names of rows: checked, and given where there are none."""

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def check_ids(ids: Sequence[Hashable], n_rows: int | None = None) -> NDArray[Any]:
    """Return ids as an array of objects; there are as many as rows, if these count."""
    if isinstance(ids, str | bytes) or not hasattr(ids, "__len__"):
        raise TypeError(f"ids={ids!r} must be a sequence of ids.")
    if n_rows is not None and len(ids) != n_rows:
        raise ValueError(f"ids holds {len(ids)} ids for {n_rows} rows of X.")
    names = [name.item() if isinstance(name, np.generic) else name for name in ids]
    first_row: dict[Hashable, int] = {}
    for row, name in enumerate(names):
        if not isinstance(name, Hashable):
            raise TypeError(f"ids must be hashable; row {row} has {name!r}.")
        if name != name:
            raise ValueError(f"ids must equal themselves; row {row} has {name!r}.")
        if name in first_row:
            raise ValueError(
                f"ids must differ; rows {first_row[name]} and {row} both have {name!r}."
            )
        first_row[name] = row
    unique = np.empty(len(names), dtype=object)
    unique[:] = names
    return unique


def next_id(ids: NDArray[Any], least: int) -> int | None:
    """Return the integer after the largest id, or None if one is no integer."""
    if ids.dtype.kind == "i":
        return max(least, int(ids.max(initial=-1)) + 1)
    names = ids.tolist()
    if not all(isinstance(name, int) for name in names):
        return None
    return max(least, max(names, default=-1) + 1)


def ids_from(first: int | None, n_rows: int) -> NDArray[Any]:
    """Return ids that go on with this integer."""
    if first is None:
        raise ValueError(
            "ids must be given, since those of the index are not all integers."
        )
    if first + n_rows > np.iinfo(np.int64).max:
        return np.array(range(first, first + n_rows), dtype=object)
    return np.arange(first, first + n_rows)
