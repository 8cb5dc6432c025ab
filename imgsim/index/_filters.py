"""Filters of a search: the rows that are allowed and the ids that are excluded."""

from collections.abc import Hashable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imgsim.index._row_store import RowStore

_LIST_TYPES = (list, set, frozenset, np.ndarray)


class ExcludedSlots(NamedTuple):
    """Slots excluded from all results, and slots excluded from single results.

    `by_query` is a list of slots for each query, or None if the same ids are excluded
    from all results.
    """

    everywhere: list[int]
    by_query: list[list[int]] | None

    @property
    def max_per_query(self) -> int:
        """Return the largest number of slots in `by_query`."""
        return max(map(len, self.by_query or ()), default=0)


def find_excluded_slots(
    store: RowStore, exclude_ids: Iterable[Any] | None, n_queries: int
) -> ExcludedSlots:
    """Look up the ids that are excluded from all results, or from each result."""
    if exclude_ids is None:
        return ExcludedSlots([], None)
    if isinstance(exclude_ids, str | bytes) or not isinstance(exclude_ids, Iterable):
        raise TypeError(f"exclude_ids={exclude_ids!r} must be a sequence of ids.")
    entries = list(exclude_ids)
    if not entries or not all(isinstance(entry, _LIST_TYPES) for entry in entries):
        slots = _slots_of_known_ids(store, entries)
        # A tuple may be an id, or the list of ids of one query.
        if slots or not entries or not all(isinstance(e, tuple) for e in entries):
            return ExcludedSlots(slots, None)
    if len(entries) != n_queries:
        raise ValueError(
            f"exclude_ids holds {len(entries)} lists of ids for {n_queries} queries: "
            f"pass one list for each query."
        )
    return ExcludedSlots([], [_slots_of_known_ids(store, entry) for entry in entries])


def find_allowed_slots(
    store: RowStore, where: ArrayLike | None, excluded: list[int]
) -> NDArray[np.bool_]:
    """Return the mask of slots that a search may return."""
    allowed = store.searchable
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


def drop_excluded(
    is_result: NDArray[np.bool_],
    indices: NDArray[np.int64],
    excluded: Sequence[NDArray[np.int64]],
    n_neighbors: int,
) -> None:
    """Unset, in place, excluded neighbors and those beyond the first `n_neighbors`.

    Parameters
    ----------
    is_result : ndarray of shape (n_queries, n_candidates), dtype bool
        Which candidates are results.

    indices : ndarray of shape (n_queries, n_candidates), dtype int64
        Row numbers of the candidates, the nearest first.

    excluded : sequence of n_queries ndarray, dtype int64
        Row numbers excluded from the result of each query.

    n_neighbors : int
        Largest number of results for each query.
    """
    for kept, candidates, rows in zip(is_result, indices, excluded, strict=True):
        kept &= ~np.isin(candidates, rows)
        kept &= np.cumsum(kept) <= n_neighbors


def _slots_of_known_ids(store: RowStore, ids: Iterable[Hashable]) -> list[int]:
    names = ids.tolist() if isinstance(ids, np.ndarray) else ids
    try:
        return [slot for slot in store.find_slots(names) if slot is not None]
    except TypeError as error:
        raise TypeError(
            f"exclude_ids must contain either only ids, or only lists, sets or arrays "
            f"of ids, one for each query: {error}."
        ) from error
