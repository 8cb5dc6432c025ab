"""The rows of an index in the order in which they came, with ids and labels."""

from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgsim._distance.metric import Metric, RowTerms
from imgsim._distance.rows import Collection, DistanceRows
from imgsim._validation import find_readable_rows
from imgsim.index._growing import GrowingArray
from imgsim.index._ids import next_id

_MAX_GONE = 0.25  # of all slots


class RowStore:
    """Rows, each in a slot; a slot is left empty when its row is removed.

    Row numbers count the rows that are there, so they change when one before is
    removed; slots stay until `tidy_up` closes the gaps.

    Parameters
    ----------
    metric : Metric
        How rows are compared.

    values : ndarray of shape (n_rows, n_features)
        The rows, float32 or float64. Those that hold NaN stand for unreadable images.

    ids : ndarray of shape (n_rows,)
        Their names, no two alike.

    labels : ndarray of shape (n_rows,) or None
        Their labels, if they have any.

    Attributes
    ----------
    next_id : int or None
        The first integer after all ids there ever were; None if some are no integers.
    """

    next_id: int | None

    def __init__(
        self,
        metric: Metric,
        values: NDArray[Any],
        ids: NDArray[Any],
        labels: NDArray[Any] | None,
    ) -> None:
        readable = find_readable_rows(values)
        column = GrowingArray(values)
        column.values[~readable] = 0
        self._begin(metric, column, metric.describe(column.values), readable, ids)
        if labels is not None:
            self._columns["labels"] = GrowingArray(labels)
        self.next_id = next_id(ids, 0)

    def _begin(
        self,
        metric: Metric,
        values: GrowingArray,
        terms: RowTerms,
        readable: NDArray[np.bool_],
        ids: NDArray[Any],
    ) -> None:
        self.metric = metric
        self._columns = {
            "values": values,
            "shift": GrowingArray(terms.shift),
            "scale": GrowingArray(terms.scale),
            "bias": GrowingArray(terms.bias),
            "size": GrowingArray(terms.size),
            "readable": GrowingArray(readable),
            "present": GrowingArray(np.ones(len(readable), dtype=bool)),
            "ids": GrowingArray(ids),
        }
        self._slot_of: dict[Hashable, int] | None = None

    @classmethod
    def from_columns(
        cls, metric: Metric, columns: dict[str, NDArray[Any]]
    ) -> "RowStore":
        """Return the store that `columns` was called on."""
        store = cls.__new__(cls)
        store.metric = metric
        store._columns = {
            name: GrowingArray(column, copy=name != "values")
            for name, column in columns.items()
        }
        store._slot_of = None
        store.next_id = next_id(store.ids, 0)
        return store

    def columns(self, with_gaps: bool) -> dict[str, NDArray[Any]]:
        """Return all there is to know of the rows, or of all slots."""
        if with_gaps or self.n_rows == self.n_slots:
            return {name: column.values for name, column in self._columns.items()}
        return {name: self._of_rows(name) for name in self._columns}

    @property
    def rows(self) -> DistanceRows:
        """Return what is in the slots, empty ones included."""
        names = ("values", "shift", "scale", "bias", "size")
        values, *terms = (self._columns[name].values for name in names)
        return DistanceRows(values, RowTerms(*terms))

    @property
    def present(self) -> NDArray[np.bool_]:
        """Return which slots hold a row."""
        return self._columns["present"].values

    @property
    def findable(self) -> NDArray[np.bool_]:
        """Return which slots hold a row that can be read."""
        found: NDArray[np.bool_] = self.present & self._columns["readable"].values
        return found

    @property
    def n_slots(self) -> int:
        """Return the number of slots."""
        return len(self.present)

    @property
    def n_rows(self) -> int:
        """Return the number of rows."""
        return int(np.count_nonzero(self.present))

    @property
    def row_of_slot(self) -> NDArray[np.int64]:
        """Return the row number of each slot."""
        return np.cumsum(self.present) - 1

    def collection(self, allowed: NDArray[np.bool_] | None = None) -> Collection:
        """Return the rows to search among, by slots; by default all readable ones."""
        return Collection(
            self.rows, self.findable if allowed is None else allowed, self.metric
        )

    def _of_rows(self, name: str) -> NDArray[Any]:
        of_rows: NDArray[Any] = self._columns[name].values[self.present]
        return of_rows

    @property
    def ids(self) -> NDArray[Any]:
        """Return the id of each row."""
        return self._of_rows("ids")

    @property
    def labels(self) -> NDArray[Any] | None:
        """Return the label of each row."""
        return self._of_rows("labels") if "labels" in self._columns else None

    @property
    def embeddings(self) -> NDArray[Any]:
        """Return the values of each row, read-only; NaN for unreadable rows."""
        readable = self.readable
        is_compact = self.n_rows == self.n_slots
        values = self.rows.values.view() if is_compact else self._of_rows("values")
        if not readable.all():
            values = values.copy() if is_compact else values
            values[~readable] = np.nan
        values.flags.writeable = False
        return values

    @property
    def readable(self) -> NDArray[np.bool_]:
        """Return which rows can be read."""
        return self._of_rows("readable")

    def slots_of(self, ids: Iterable[Hashable]) -> list[int | None]:
        """Return the slot of each id, or None where the index has no such id."""
        if self._slot_of is None:
            slots = np.flatnonzero(self.present).tolist()
            self._slot_of = dict(zip(self.ids.tolist(), slots, strict=True))
        return [self._slot_of.get(name) for name in ids]

    def append(
        self, values: NDArray[Any], ids: NDArray[Any], labels: NDArray[Any] | None
    ) -> None:
        """Put rows into new slots."""
        more = RowStore(self.metric, values, ids, labels)._columns
        if self._slot_of is not None:
            slots = range(self.n_slots, self.n_slots + len(values))
            self._slot_of.update(zip(ids.tolist(), slots, strict=True))
        if self.next_id is not None:
            self.next_id = next_id(ids, self.next_id)
        for name, column in self._columns.items():
            column.append(more[name].values)

    def remove(self, slots: list[int]) -> None:
        """Empty some slots."""
        if self._slot_of is not None:
            for name in self._columns["ids"].values[slots].tolist():
                del self._slot_of[name]
        present = self.present.copy()  # a search may be looking at it
        present[slots] = False
        self._columns["present"] = GrowingArray(present)

    @property
    def is_untidy(self) -> bool:
        """Tell whether so many slots are empty that it pays to close the gaps."""
        return self.n_rows < (1 - _MAX_GONE) * self.n_slots

    def tidy_up(self) -> None:
        """Close the gaps; rows move to other slots."""
        if self.n_rows == self.n_slots:
            return
        columns = {name: self._of_rows(name) for name in self._columns}
        self._columns = {
            name: GrowingArray(column, copy=False) for name, column in columns.items()
        }
        self._slot_of = None
