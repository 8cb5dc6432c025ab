"""Which rows a search may find: filters, and ids to leave out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imgsim.index._row_store import RowStore

_PER_QUERY = (list, set, frozenset, np.ndarray)


@dataclass(frozen=True)
class Excluded:
    """Slots that no answer holds, and those that single answers do not hold."""

    everywhere: list[int]
    by_query: list[list[int]] | None

    @property
    def n_at_most(self) -> int:
        """Return the largest number of slots that one query leaves out."""
        return max(map(len, self.by_query), default=0) if self.by_query else 0


def excluded_slots(
    store: RowStore, ids: Sequence[Any] | None, n_queries: int
) -> Excluded:
    """Look up the ids to leave out: the same for all queries, or a list for each."""
    if ids is None:
        return Excluded([], None)
    if isinstance(ids, str | bytes) or not isinstance(ids, Iterable):
        raise TypeError(f"exclude_ids={ids!r} must be a sequence of ids.")
    entries = list(ids)
    if not entries or not all(isinstance(entry, _PER_QUERY) for entry in entries):
        known = _known(store, entries)
        if known or not entries or not all(isinstance(e, tuple) for e in entries):
            return Excluded(known, None)
    if len(entries) != n_queries:
        raise ValueError(
            f"exclude_ids holds {len(entries)} lists of ids for {n_queries} queries."
        )
    return Excluded([], [_known(store, entry) for entry in entries])


def allowed_slots(
    store: RowStore, where: ArrayLike | None, excluded: list[int]
) -> NDArray[np.bool_]:
    """Return which slots may be found."""
    allowed = store.findable
    if where is not None:
        mask = np.asarray(where)
        if mask.dtype != bool or mask.shape != (store.n_rows,):
            raise ValueError(
                f"where must be a boolean mask of shape ({store.n_rows},), one value "
                f"for each of ids_, got {mask.dtype} of shape {mask.shape}."
            )
        allowed[np.flatnonzero(store.present)[~mask]] = False
    allowed[excluded] = False
    return allowed


def without(
    near: NDArray[np.bool_],
    rows: NDArray[np.int64],
    excluded: Excluded,
    n_neighbors: int,
    store: RowStore,
) -> NDArray[np.bool_]:
    """Return which of the rows found are answers: none excluded, and not too many."""
    if excluded.by_query is None:
        return near
    row_of_slot = store.row_of_slot
    for answer, found, slots in zip(near, rows, excluded.by_query, strict=True):
        answer &= ~np.isin(found, row_of_slot[slots])
        answer &= np.cumsum(answer) <= n_neighbors
    return near


def _known(store: RowStore, ids: Any) -> list[int]:
    names = ids.tolist() if isinstance(ids, np.ndarray) else ids
    try:
        return [slot for slot in store.slots_of(names) if slot is not None]
    except TypeError as error:
        raise TypeError(
            f"exclude_ids must hold ids, or a list, set or array of ids for each query "
            f"and nothing else: {error}."
        ) from error
