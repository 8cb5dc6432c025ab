"""The rows of an index in the order in which they were added, with ids and labels."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from copy import copy
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imgsim._distance.metric import BOOLEAN_METRICS, Metric, RowTerms
from imgsim._distance.rows import Collection, DistanceRows
from imgsim._validation import find_readable_rows
from imgsim.index._growing_array import GrowingArray
from imgsim.index._row_labels import as_labels, have_common_dtype
from imgsim.index._slot_lookup import SlotLookup

_MAX_EMPTY_SHARE = 0.25  # of all slots


class RowStore:
    """Rows of an index, each in a slot; a store never changes.

    Removing a row leaves its slot empty. Row numbers count only the rows that are
    present, so a row number changes when an earlier row is removed. Slots keep their
    numbers in the stores made by `with_rows` and `without`; `compacted` closes the
    gaps.

    Parameters
    ----------
    metric : Metric
        Distance between rows.

    values : ndarray of shape (n_rows, n_features)
        The rows, float32 or float64. A row that contains NaN is unreadable.

    ids : ndarray of shape (n_rows,)
        Unique ids.

    labels : ndarray of shape (n_rows,) or None
        Labels of the rows, or None.

    Attributes
    ----------
    next_id : int or None
        Smallest integer larger than every id that was ever present. None if some id is
        not an integer.
    """

    def __init__(
        self,
        metric: Metric,
        values: NDArray[Any],
        ids: NDArray[Any],
        labels: NDArray[Any] | None,
    ) -> None:
        readable, copied = find_readable_rows(values), GrowingArray(values)
        copied.values[~readable] = 0
        columns = _compute_columns(metric, copied.values, readable, ids, labels)
        self.metric = metric
        self._columns = {
            name: copied if name == "values" else GrowingArray(column)
            for name, column in columns.items()
        }
        self.n_rows = len(values)
        self.next_id = next_id(ids, 0)
        self._lookup: SlotLookup | None = None

    @classmethod
    def from_columns(
        cls, metric: Metric, columns: dict[str, NDArray[Any]], next_id: int | None
    ) -> Self:
        """Return a store with these columns, in the form that `columns` returns."""
        store = cls.__new__(cls)
        store.metric = metric
        store._columns = {
            name: GrowingArray(column, copy=name != "values")
            for name, column in columns.items()
        }
        store.n_rows = int(np.count_nonzero(columns["present"]))
        store.next_id = next_id
        store._lookup = None
        return store

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the lookup, which is made when it is needed."""
        return {**self.__dict__, "_lookup": None}

    def columns(self, with_empty_slots: bool) -> dict[str, NDArray[Any]]:
        """Return an array for each property of the rows, by name."""
        if with_empty_slots or self._is_compact:
            return {name: column.values for name, column in self._columns.items()}
        return {name: self._of_rows(name) for name in self._columns}

    @property
    def slot_rows(self) -> DistanceRows:
        """Return the content of all slots, including empty slots."""
        names = ("values", "shift", "scale", "bias", "size")
        values, *terms = (self._columns[name].values for name in names)
        return DistanceRows(values, RowTerms(*terms))

    @property
    def dtype(self) -> np.dtype[Any]:
        """Return the dtype of the rows, float32 or float64."""
        return self._columns["values"].values.dtype

    @property
    def present(self) -> NDArray[np.bool_]:
        """Return which slots hold a row."""
        return self._columns["present"].values

    @property
    def searchable(self) -> NDArray[np.bool_]:
        """Return which slots hold a readable row."""
        searchable: NDArray[np.bool_] = self.present & self._columns["readable"].values
        return searchable

    @property
    def n_slots(self) -> int:
        """Return the number of slots."""
        return len(self.present)

    @property
    def row_of_slot(self) -> NDArray[np.int64]:
        """Return the row number of each slot."""
        return np.cumsum(self.present) - 1

    @property
    def embeddings(self) -> NDArray[Any]:
        """Return the values of each row, read-only; NaN for unreadable rows."""
        readable = self.readable
        values = self._of_rows("values")
        if not readable.all():
            values = values.copy() if self._is_compact else values
            values[~readable] = np.nan
        values = values.view()
        values.flags.writeable = False
        return values

    @property
    def ids(self) -> NDArray[Any]:
        """Return the id of each row."""
        return self._columns["ids"].values[self.present]

    @property
    def labels(self) -> NDArray[Any] | None:
        """Return the label of each row, or None without labels."""
        labels = self._columns.get("labels")
        return None if labels is None else labels.values[self.present]

    @property
    def readable(self) -> NDArray[np.bool_]:
        """Return which rows are readable."""
        return self._columns["readable"].values[self.present]

    def collection(
        self, allowed: NDArray[np.bool_] | None = None, device: str = "cpu"
    ) -> Collection:
        """Return the slots as a collection; None allows all readable rows."""
        if allowed is None:
            allowed = self.searchable
        return Collection(self.slot_rows, allowed, self.metric, device)

    def convert(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Convert rows to contiguous rows in the dtype of the store."""
        with np.errstate(over="ignore"):
            # The loops would be compiled again for any other memory layout.
            converted = rows.astype(self.dtype, order="C", copy=False)
        is_too_large = np.isinf(converted)
        if is_too_large.any():
            raise self._range_error(rows[is_too_large][0])
        if self.metric.ignores_length and rows.dtype != self.dtype:
            smallest = np.finfo(self.dtype).tiny
            has_direction = (np.abs(converted) >= smallest).any(axis=1)
            has_direction |= ~find_readable_rows(rows)
            is_too_small = (rows != 0) & ~has_direction[:, np.newaxis]
            if is_too_small.any():
                raise self._range_error(rows[is_too_small][0])
        return converted

    def _range_error(self, value: np.floating[Any]) -> ValueError:
        return ValueError(
            f"X contains {value:g}, which exceeds the range of {self.dtype}, the dtype "
            f"of the index: fit the index with float64, or scale X."
        )

    def check_new_ids(
        self, ids: Sequence[Hashable] | None, n_rows: int
    ) -> NDArray[Any]:
        """Validate ids of new rows; None uses the next integers."""
        if ids is None:
            return make_ids(self.next_id, n_rows)
        return check_ids(ids, n_rows)

    def check_new_labels(self, y: ArrayLike | None, n_rows: int) -> NDArray[Any] | None:
        """Validate labels of new rows."""
        known = self._columns.get("labels")
        if (y is None) != (known is None):
            raise ValueError(
                "y must be passed, because the index was fitted with labels."
                if y is None
                else "y must be None, because the index was fitted without labels."
            )
        if y is None or known is None:
            return None
        labels = as_labels(y)
        if len(labels) != n_rows:
            raise ValueError(
                f"y has {len(labels)} entries and X has {n_rows} rows; both must have "
                f"the same length."
            )
        # Appending strings to an array of numbers would convert the numbers.
        has_common_dtype = have_common_dtype(known.values, labels)
        return labels if has_common_dtype else labels.astype(object)

    def find_slots(self, ids: Iterable[Hashable]) -> list[int | None]:
        """Return the slot of each id, or None for an unknown id."""
        if self._lookup is None:
            present_slots = np.flatnonzero(self.present).tolist()
            slot_of_id = dict(zip(self.ids.tolist(), present_slots, strict=True))
            self._lookup = SlotLookup(slot_of_id)
        slots = self._lookup.find(ids)
        if self._is_compact:
            return slots
        present = self.present
        return [None if slot is None or not present[slot] else slot for slot in slots]

    def with_rows(
        self, values: NDArray[Any], ids: NDArray[Any], labels: NDArray[Any] | None
    ) -> Self:
        """Return a store with these rows in new slots at the end."""
        readable = find_readable_rows(values)
        values = np.where(readable[:, np.newaxis], values, values.dtype.type(0))
        new = _compute_columns(self.metric, values, readable, ids, labels)
        columns = {
            name: column.extended(new[name]) for name, column in self._columns.items()
        }
        store = self._with_columns(columns, self.n_rows + len(values))
        if self.next_id is not None:
            store.next_id = next_id(ids, self.next_id)
        if self._lookup is not None:
            store._lookup = self._lookup.extended(ids.tolist(), self.n_slots)
        return store

    def without(self, slots: list[int]) -> Self:
        """Return a store in which these slots, which hold rows, are empty."""
        if not slots:
            return self
        present = self.present.copy()
        present[slots] = False
        columns = {**self._columns, "present": GrowingArray(present)}
        return self._with_columns(columns, self.n_rows - len(slots))

    @property
    def needs_compaction(self) -> bool:
        """Return whether more than a quarter of the slots is empty."""
        return self.n_rows < (1 - _MAX_EMPTY_SHARE) * self.n_slots

    def compacted(self) -> Self:
        """Return a store without empty slots, in which rows are in other slots."""
        if self._is_compact:
            return self
        columns = {
            name: GrowingArray(self._of_rows(name), copy=False)
            for name in self._columns
        }
        store = self._with_columns(columns, self.n_rows)
        store._lookup = None
        return store

    def _with_columns(self, columns: dict[str, GrowingArray], n_rows: int) -> Self:
        store = copy(self)
        store._columns, store.n_rows, store._lookup = columns, n_rows, self._lookup
        return store

    @property
    def _is_compact(self) -> bool:
        return self.n_rows == self.n_slots

    def _of_rows(self, name: str) -> NDArray[Any]:
        """Return a column without empty slots, copied only if there are empty slots."""
        column = self._columns[name].values
        return column if self._is_compact else column[self.present]


def _compute_columns(
    metric: Metric,
    values: NDArray[Any],
    readable: NDArray[np.bool_],
    ids: NDArray[Any],
    labels: NDArray[Any] | None,
) -> dict[str, NDArray[Any]]:
    """Return the columns of rows that are all present, given values without NaN."""
    terms = metric.compute_terms(values)
    columns = {
        "values": values,
        "shift": terms.shift,
        "scale": terms.scale,
        "bias": terms.bias,
        "size": terms.size,
        "readable": readable,
        "present": np.ones(len(readable), dtype=bool),
        "ids": ids,
    }
    return columns if labels is None else {**columns, "labels": labels}


def check_ids(ids: Sequence[Hashable], n_rows: int | None = None) -> NDArray[Any]:
    """Validate ids, and return them as an array of objects.

    There must be `n_rows` ids, unless `n_rows` is None.
    """
    if isinstance(ids, str | bytes) or not hasattr(ids, "__len__"):
        raise TypeError(f"ids={ids!r} must be a sequence of ids.")
    if n_rows is not None and len(ids) != n_rows:
        raise ValueError(
            f"ids has {len(ids)} entries and X has {n_rows} rows; both must have the "
            f"same length."
        )
    names = [name.item() if isinstance(name, np.generic) else name for name in ids]
    first_position: dict[Hashable, int] = {}
    for i, name in enumerate(names):
        if not isinstance(name, Hashable):
            raise TypeError(f"ids must be hashable, but ids[{i}] is {name!r}.")
        if name != name:
            raise ValueError(
                f"ids must not contain missing values, but ids[{i}] is {name!r}."
            )
        if name in first_position:
            raise ValueError(
                f"ids must be unique, but ids[{first_position[name]}] and ids[{i}] "
                f"are both {name!r}."
            )
        first_position[name] = i
    unique = np.empty(len(names), dtype=object)
    unique[:] = names
    return unique


def next_id(ids: NDArray[Any], minimum: int) -> int | None:
    """Return the integer after the largest id, or None if an id is not an integer."""
    if ids.dtype.kind == "i":
        return max(minimum, int(ids.max(initial=-1)) + 1)
    names = ids.tolist()
    if not all(isinstance(name, int) for name in names):
        return None
    return max(minimum, max(names, default=-1) + 1)


def make_ids(first: int | None, n_rows: int) -> NDArray[Any]:
    """Return consecutive integers as ids, or raise ValueError if `first` is None."""
    if first is None:
        raise ValueError(
            "ids must be passed, because the ids of the index are not all integers."
        )
    if first + n_rows > np.iinfo(np.int64).max:
        return np.array(range(first, first + n_rows), dtype=object)
    return np.arange(first, first + n_rows)


def is_boolean(X: ArrayLike) -> bool:
    """Return whether an array, list or DataFrame is boolean."""
    dtypes = getattr(X, "dtypes", None)  # of a DataFrame
    if dtypes is None:
        return bool(np.asarray(X).dtype.kind == "b")
    return all(str(dtype) in ("bool", "boolean", "Boolean") for dtype in dtypes)


def check_boolean_values(
    rows: NDArray[Any], metric: str | Callable[..., float]
) -> None:
    """Raise ValueError if a boolean metric gets values other than 0 and 1."""
    if metric in BOOLEAN_METRICS:
        other = rows[~np.isnan(rows) & (rows != 0) & (rows != 1)]
        if len(other):
            raise ValueError(
                f"metric={metric!r} requires boolean rows, but X contains "
                f"{other[0]:g}: pass X > threshold, or another metric."
            )
