"""The engine of `SimilarityIndex`, which searches, adds and removes rows."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.utils import check_random_state

from imgsim._compute.device import resolve_device
from imgsim._distance.metric import Metric
from imgsim._distance.rows import Collection, DistanceRows
from imgsim._validation import find_readable_rows, nearest_name
from imgsim.index._filters import ExcludedSlots, drop_excluded
from imgsim.index._query_expansion import add_neighbors
from imgsim.index._row_store import RowStore
from imgsim.index.exact._nearest import find_nearest, find_within
from imgsim.index.exact._scan import Pairs
from imgsim.index.exact._self_neighbors import order_without_self
from imgsim.index.graph._neighbor_graph import GRAPH_METRICS, NeighborGraph, build_graph

# Number of values in the collection above which algorithm="auto" builds a graph.
_MAX_EXACT_VALUES = 6e8
_MAX_NEW_SHARE = 0.25  # of the rows in the graph
# If a query excludes more ids, each query is searched separately.
_MAX_EXCLUDED_TOGETHER = 256

Neighbors = tuple[NDArray[np.float64], NDArray[np.int64]]


@dataclass(frozen=True)
class SearchParameters:
    """Parameters of `SimilarityIndex` that its searcher needs."""

    n_neighbors: int
    algorithm: Literal["auto", "exact", "pynndescent"]
    recall: float
    query_expansion: int
    database_augmentation: int
    expansion_power: float
    device: str
    random_state: int | np.random.RandomState | None

    def check_metric(self, metric: str | Callable[..., float]) -> None:
        """Raise ValueError if the metric does not suit the parameters."""
        if self.algorithm == "pynndescent" and metric not in GRAPH_METRICS:
            raise ValueError(
                f"metric={metric!r} must be one of {list(GRAPH_METRICS)} for "
                f"algorithm='pynndescent': pass algorithm='exact'."
            )
        for name in ("query_expansion", "database_augmentation"):
            value = getattr(self, name)
            if value and metric != "cosine":
                raise ValueError(
                    f"{name}={value} requires metric='cosine', got metric={metric!r}."
                )


class _Queries(NamedTuple):
    """Queries of a search.

    `n_queries` is the number of all queries, and `readable` contains the positions of
    the readable queries. `rows` and `slots` are the rows and slots of the readable
    queries. `slots` is None unless the queries are the indexed rows.
    """

    n_queries: int
    readable: NDArray[np.int64]
    rows: DistanceRows
    slots: NDArray[np.int64] | None


@dataclass(frozen=True)
class Searcher:
    """Find neighbors among the rows of an index; a searcher never changes.

    Parameters
    ----------
    store : RowStore
        The rows.

    parameters : SearchParameters
        Parameters of the index.

    graph : NeighborGraph, default=None
        Graph of the slots. If None, the search is exact.
    """

    store: RowStore
    parameters: SearchParameters
    graph: NeighborGraph | None = None

    @classmethod
    def from_rows(
        cls,
        metric: Metric,
        rows: NDArray[Any],
        ids: NDArray[Any],
        labels: NDArray[Any] | None,
        parameters: SearchParameters,
    ) -> Self:
        """Return a searcher for rows, after database augmentation."""
        searcher = cls(RowStore(metric, rows, ids, labels), parameters)
        if parameters.database_augmentation:
            slots = np.flatnonzero(searcher.store.readable)
            augmented = rows.copy()
            augmented[slots] = searcher._expand(
                rows[slots], parameters.database_augmentation, slots
            )
            searcher = cls(RowStore(metric, augmented, ids, labels), parameters)
        return searcher._with_new_graph()

    def count_candidates(self, X: NDArray[Any] | None) -> int:
        """Return the number of rows that can be neighbors of a query."""
        return int(np.count_nonzero(self.store.searchable)) - (X is None)

    def kneighbors(
        self,
        X: NDArray[Any] | None,
        n_neighbors: int,
        allowed: NDArray[np.bool_] | None = None,
    ) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Find the nearest rows of each query.

        Parameters
        ----------
        X : ndarray of shape (n_queries, n_features) or None
            Valid queries. None uses each row as a query, excluded from its own result.

        n_neighbors : int
            Number of neighbors.

        allowed : ndarray of shape (n_slots,), dtype bool, default=None
            Slots that may be returned. None allows all readable rows.

        Returns
        -------
        distances : ndarray of shape (n_queries, n_neighbors), dtype of the rows
            NaN for unreadable queries, and where there are too few rows.

        indices : ndarray of shape (n_queries, n_neighbors), dtype int64
            Row numbers; -1 where the distance is NaN.
        """
        queries, store = self._make_queries(X), self.store
        shape = queries.n_queries, n_neighbors
        distances = np.full(shape, np.nan, store.dtype)
        indices = np.full(shape, -1, dtype=np.int64)
        if len(queries.readable) and n_neighbors:
            distances[queries.readable], slots = self._find_nearest(
                queries.rows, self._collection(allowed), n_neighbors, queries.slots
            )
            rows = np.where(slots < 0, -1, store.row_of_slot[slots])
            indices[queries.readable] = rows
            distances[indices < 0] = np.nan
        return distances, indices

    def radius_neighbors(
        self, X: NDArray[Any] | None, radius: float, sort_results: bool
    ) -> tuple[NDArray[np.object_], NDArray[np.object_]]:
        """Find all rows within a distance of each query, exactly.

        Parameters
        ----------
        X : ndarray of shape (n_queries, n_features) or None
            Valid queries. None uses each row as a query, excluded from its own result.

        radius : float
            Largest distance.

        sort_results : bool
            Whether to sort the rows of each query by distance instead of by row number.

        Returns
        -------
        distances : ndarray of shape (n_queries,), dtype object
            Array of distances of each query, of the dtype of the rows.

        indices : ndarray of shape (n_queries,), dtype object
            Array of row numbers of each query.
        """
        queries = self._make_queries(X)
        pairs = self._pairs_within(queries, radius)
        if sort_results:
            order = np.lexsort((pairs.rows, pairs.distances, pairs.queries))
            pairs = pairs.select(order)
        bounds = np.searchsorted(pairs.queries, np.arange(1, queries.n_queries))
        distances = pairs.distances.astype(self.store.dtype)
        return (
            _as_object_array(np.split(distances, bounds)),
            _as_object_array(np.split(pairs.rows, bounds)),
        )

    def _pairs_within(self, queries: _Queries, radius: float) -> Pairs:
        """Return pairs of the position of a query and a row number, with distances."""
        if not len(queries.readable):
            return Pairs.empty()
        # Returned distances are rounded to the dtype of the rows. A radius that
        # equals a returned distance must include its row.
        dtype = self.store.dtype
        limit = dtype.type(radius)
        reach = float(np.nextafter(limit, dtype.type(np.inf)))
        pairs = find_within(queries.rows, self._collection(), reach)
        is_result = pairs.distances.astype(dtype) <= limit
        if queries.slots is not None:
            is_result &= pairs.rows != queries.slots[pairs.queries]
        pairs = pairs.select(is_result)
        return Pairs(
            queries.readable[pairs.queries],
            self.store.row_of_slot[pairs.rows],
            pairs.distances,
        )

    def make_graph(
        self,
        mode: Literal["connectivity", "distance"],
        n_queries: int,
        query: NDArray[np.int64],
        row: NDArray[np.int64],
        distance: NDArray[Any],
    ) -> csr_matrix:
        """Return the sparse graph with these edges, which are sorted by query."""
        values = np.ones(len(row)) if mode == "connectivity" else distance
        indptr = np.searchsorted(query, np.arange(n_queries + 1))
        return csr_matrix((values, row, indptr), shape=(n_queries, self.store.n_rows))

    def search(
        self,
        X: NDArray[Any] | None,
        n_neighbors: int,
        max_distance: float,
        allowed: NDArray[np.bool_],
        excluded: ExcludedSlots,
    ) -> tuple[list[NDArray[Any]], list[NDArray[np.int64]]]:
        """Find at most `n_neighbors` rows within a distance of each query.

        Parameters
        ----------
        X : ndarray of shape (n_queries, n_features) or None
            Valid queries. None uses each row as a query, excluded from its own result.

        n_neighbors : int
            Largest number of neighbors.

        max_distance : float
            Largest distance.

        allowed : ndarray of shape (n_slots,), dtype bool
            Slots that may be returned.

        excluded : ExcludedSlots
            Slots that are excluded from single results.

        Returns
        -------
        distances : list of n_queries ndarray, dtype of the rows
            Increasing distances.

        indices : list of n_queries ndarray, dtype int64
            Row numbers.
        """
        n_excluded = excluded.max_per_query
        if X is not None and n_excluded > _MAX_EXCLUDED_TOGETHER:
            return self._search_each(X, n_neighbors, max_distance, allowed, excluded)
        n_allowed = int(np.count_nonzero(allowed))
        k = min(n_neighbors + n_excluded, n_allowed)
        distances, indices = self.kneighbors(X, k, allowed)
        is_result = (indices >= 0) & ~(distances > max_distance)
        if excluded.by_query is not None:
            row_of_slot = self.store.row_of_slot
            excluded_rows = [row_of_slot[slots] for slots in excluded.by_query]
            drop_excluded(is_result, indices, excluded_rows, n_neighbors)
        return (
            [row[kept] for row, kept in zip(distances, is_result, strict=True)],
            [row[kept] for row, kept in zip(indices, is_result, strict=True)],
        )

    def _search_each(
        self,
        X: NDArray[Any],
        n_neighbors: int,
        max_distance: float,
        allowed: NDArray[np.bool_],
        excluded: ExcludedSlots,
    ) -> tuple[list[NDArray[Any]], list[NDArray[np.int64]]]:
        """Search each query separately, so that a long list slows only its query."""
        distances, indices = [], []
        for i, slots in enumerate(excluded.by_query or ()):
            allowed_here = allowed.copy()
            allowed_here[slots] = False
            result = self.search(
                X[i : i + 1],
                n_neighbors,
                max_distance,
                allowed_here,
                ExcludedSlots([], None),
            )
            distances += result[0]
            indices += result[1]
        return distances, indices

    def with_rows(
        self,
        rows: NDArray[Any],
        ids: NDArray[Any],
        labels: NDArray[Any] | None,
        replace_rows: bool,
    ) -> Self:
        """Return a searcher that also finds these rows.

        If `replace_rows` is true, indexed rows that have one of the ids are removed.
        """
        store = self.store
        replaced = [slot for slot in store.find_slots(ids.tolist()) if slot is not None]
        if replaced and not replace_rows:
            known = store.ids[store.row_of_slot[replaced[0]]]
            raise ValueError(
                f"{len(replaced)} of the ids are already in the index, such as "
                f"{known!r}: pass replace=True to replace their rows."
            )
        self._check_readable_left(replaced, rows)
        kept = replace(self, store=store.without(replaced))
        if self.parameters.database_augmentation:
            rows = kept._augment_new(rows)
        return kept._with_store(kept.store.with_rows(rows, ids, labels))

    def without(self, ids: NDArray[Any]) -> Self:
        """Return a searcher that does not find the rows with these ids."""
        names = ids.tolist()
        slots = self.store.find_slots(names)
        unknown = [
            name for name, slot in zip(names, slots, strict=True) if slot is None
        ]
        if unknown:
            raise KeyError(
                f"{len(unknown)} of the ids are not in the index, such as "
                f"{unknown[0]!r}: pass ids that are in ids_."
            )
        removed = [slot for slot in slots if slot is not None]
        self._check_readable_left(removed, np.empty((0, 1)))
        return self._with_store(self.store.without(removed))

    def _check_readable_left(self, removed: list[int], new_rows: NDArray[Any]) -> None:
        left = self.store.searchable
        left[removed] = False
        if not (left.any() or find_readable_rows(new_rows).any()):
            raise ValueError(
                "at least one readable row must remain in the index, but this call "
                "would remove all readable rows: add others first."
            )

    def _with_store(self, store: RowStore) -> Self:
        """Return a searcher for changed rows.

        The rows are compacted, and the graph is built again, if too much has changed.
        """
        changed = replace(self, store=store)
        if store.needs_compaction:
            return replace(changed, store=store.compacted())._with_new_graph()
        if self.graph is None or (
            store.n_slots > (1 + _MAX_NEW_SHARE) * len(self.graph)
        ):
            return changed._with_new_graph()
        return changed

    def _with_new_graph(self) -> Self:
        """Return a searcher with a graph, if the algorithm and the rows require it."""
        n_searchable = int(np.count_nonzero(self.store.searchable))
        if n_searchable <= 2 or not self._needs_graph():
            return replace(self, graph=None)
        compact = replace(self, store=self.store.compacted(), graph=None)
        graph = build_graph(
            compact._collection(),
            min(self.parameters.n_neighbors, n_searchable - 2),
            self.parameters.recall,
            check_random_state(self.parameters.random_state),
        )
        return replace(compact, graph=graph)

    def _needs_graph(self) -> bool:
        algorithm, store = self.parameters.algorithm, self.store
        rows = store.slot_rows
        is_needed = algorithm == "pynndescent"
        if algorithm == "auto" and store.metric.name in GRAPH_METRICS:
            is_needed = rows.values.size > _MAX_EXACT_VALUES
        # Rows outside the range of single precision can only be compared exactly.
        return is_needed and bool(np.isfinite(rows.terms.size[store.searchable]).all())

    def _augment_new(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Return new rows with their neighbors in the index added."""
        rows, readable = rows.copy(), find_readable_rows(rows)
        if readable.any() and self.store.searchable.any():
            n_neighbors = self.parameters.database_augmentation
            rows[readable] = self._expand(rows[readable], n_neighbors)
        return rows

    def _collection(self, allowed: NDArray[np.bool_] | None = None) -> Collection:
        """Return the rows to search among, and the device for their products."""
        device = self.parameters.device
        # `resolve_device` imports torch, which a search on the CPU may not require.
        device = "cpu" if device == "cpu" else resolve_device(device)
        return self.store.collection(allowed, device)

    def _make_queries(self, X: NDArray[Any] | None) -> _Queries:
        """Return the readable queries with their terms, after query expansion."""
        store, slots = self.store, None
        if X is None:
            slots = np.flatnonzero(store.searchable)
            n_queries, readable = store.n_rows, store.row_of_slot[slots]
            values = store.slot_rows.values[slots]
        else:
            n_queries, readable = len(X), np.flatnonzero(find_readable_rows(X))
            values = X if len(readable) == n_queries else X[readable]
        if self.parameters.query_expansion and len(values):
            values = self._expand(values, self.parameters.query_expansion, slots)
        rows = DistanceRows.from_values(values, store.metric)
        return _Queries(n_queries, readable, rows, slots)

    def _expand(
        self,
        vectors: NDArray[Any],
        n_neighbors: int,
        slots: NDArray[np.int64] | None = None,
    ) -> NDArray[Any]:
        """Add to vectors their neighbors; `slots` are the slots of indexed vectors."""
        collection = self._collection()
        n_others = int(np.count_nonzero(collection.allowed)) - (slots is not None)
        if not n_others:
            return vectors
        queries = DistanceRows.from_values(vectors, collection.metric)
        k = min(n_neighbors, n_others)
        neighbors = self._find_nearest(queries, collection, k, slots)
        power = self.parameters.expansion_power
        return add_neighbors(vectors, *neighbors, collection, power)

    def _find_nearest(
        self,
        queries: DistanceRows,
        collection: Collection,
        n_neighbors: int,
        slots: NDArray[np.int64] | None = None,
    ) -> Neighbors:
        """Return distances and slots; the slot of a query is not in its own result."""
        find = find_nearest if self.graph is None else self.graph.find_nearest
        if slots is None:
            return find(queries, collection, n_neighbors)
        distances, nearest = find(queries, collection, n_neighbors + 1)
        order = order_without_self(nearest, slots, n_neighbors)
        return (
            np.take_along_axis(distances, order, axis=1),
            np.take_along_axis(nearest, order, axis=1),
        )


def _as_object_array(arrays: list[NDArray[Any]]) -> NDArray[np.object_]:
    objects = np.empty(len(arrays), dtype=object)
    for i, array in enumerate(arrays):
        objects[i] = array
    return objects


def check_graph_mode(mode: str) -> None:
    """Raise a ValueError unless `mode` is a kind of values of a graph."""
    modes = ("connectivity", "distance")
    if mode not in modes:
        raise ValueError(
            f"mode={mode!r} must be 'connectivity' or 'distance'."
            f"{nearest_name(mode, modes)}"
        )
