"""The collection of an index: what fit keeps, what is added and removed."""

from abc import ABC
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace as replaced
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import (
    check_consistent_length,
    check_random_state,
    column_or_1d,
)
from sklearn.utils.validation import check_is_fitted

from imgsim._compute.device import resolve_device
from imgsim._distance.metric import BOOLEAN_METRICS, make_metric
from imgsim._distance.rows import Collection, DistanceRows
from imgsim._estimator_base import BaseEstimator, Tags
from imgsim._validation import (
    check_rows,
    check_rows_to_fit,
    find_readable_rows,
    fit_context,
)
from imgsim.index._ids import check_ids, ids_from
from imgsim.index._query_expansion import expand
from imgsim.index._row_store import RowStore
from imgsim.index._row_types import check_values, is_boolean, kind_of
from imgsim.index.exact._nearest import find_nearest
from imgsim.index.exact._self_neighbors import order_without_own
from imgsim.index.graph._neighbor_graph import GRAPH_METRICS, NeighborGraph, build_graph

# Numbers in the collection from which algorithm="auto" builds a graph.
_MANY_NUMBERS = 6e8
_MAX_UNKNOWN = 0.25  # of the rows that the graph knows


class BaseIndex(BaseEstimator, ABC):
    """Rows with ids, to which others are added and from which some are removed."""

    # Parameters of every index.
    n_neighbors: int
    metric: Any
    metric_params: dict[str, Any] | None
    algorithm: str
    recall: float
    query_expansion: int
    database_augmentation: int
    expansion_power: float
    device: str
    random_state: Any

    _store: RowStore
    _graph: NeighborGraph | None
    fingerprint_: str | None

    @property
    def n_samples_fit_(self) -> int:
        """Number of rows, unreadable ones counted."""
        return self._store.n_rows

    @property
    def ids_(self) -> NDArray[Any]:
        """Name of each row."""
        return self._store.ids

    @property
    def y_(self) -> NDArray[Any] | None:
        """Label of each row, if there are labels."""
        return self._store.labels

    @property
    def readable_(self) -> NDArray[np.bool_]:
        """Whether each row is an embedding, and not the NaN of an unreadable image."""
        return self._store.readable

    @property
    def embeddings_(self) -> NDArray[Any]:
        """Embeddings of the index, read-only; NaN for unreadable images."""
        return self._store.embeddings

    @property
    def effective_metric_(self) -> str | Callable[..., float]:
        """Metric used, under its own name."""
        return self._store.metric.name

    @property
    def effective_metric_params_(self) -> dict[str, Any]:
        """Parameters of the metric, with those that `fit` estimated."""
        return dict(self._store.metric.params)

    @property
    def algorithm_(self) -> str:
        """How neighbours are found: "exact" or "pynndescent"."""
        return "exact" if self._graph is None else "pynndescent"

    @property
    def recall_(self) -> float:
        """Share of the true neighbours that was found when the graph was built."""
        return 1.0 if self._graph is None else self._graph.recall

    @fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike | None = None,
        ids: Sequence[Hashable] | None = None,
        fingerprint: str | None = None,
    ) -> Self:
        """Keep the rows to search among.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Embeddings, kept as float32 or float64.

        y : array-like of shape (n_samples,), default=None
            Labels, for `score` and `suggest_threshold`.

        ids : sequence of length n_samples, default=None
            Names by which `search` refers to the rows, such as paths; no two alike.
            None takes the row numbers.

        fingerprint : str, default=None
            What made the rows, as the `fingerprint` of an embedder tells. Rows and
            queries of another make are refused from then on.

        Returns
        -------
        self : object
            The fitted index.

        Raises
        ------
        ValueError
            If lengths differ, ids repeat, a value is infinite, every row holds NaN, or
            the metric does not fit the rows or the other parameters.
        """
        rows, _ = check_rows_to_fit(self, X)
        metric = make_metric(self.metric, self.metric_params, rows)
        self._check_combination(metric.name)
        check_values(rows, self.metric)
        check_consistent_length(rows, y)
        names = np.arange(len(rows)) if ids is None else check_ids(ids, len(rows))
        labels = None if y is None else column_or_1d(y)
        self._has_bool_rows = is_boolean(X)
        self._store = RowStore(metric, rows, names, labels)
        self._graph = None
        self.fingerprint_ = fingerprint
        if self.database_augmentation:
            readable = self._store.readable
            rows = rows.copy()
            slots = np.flatnonzero(readable)
            rows[slots] = self._expanded(slots, rows[slots], self.database_augmentation)
            self._store = RowStore(metric, rows, names, labels)
        self._build_graph()
        return self

    def add(
        self,
        X: ArrayLike,
        ids: Sequence[Hashable] | None = None,
        *,
        y: ArrayLike | None = None,
        replace: bool = False,
        fingerprint: str | None = None,
    ) -> Self:
        """Put rows behind those that are there.

        Parameters
        ----------
        X : array-like of shape (n_new, n_features)
            Embeddings.

        ids : sequence of length n_new, default=None
            Their names. None takes the next integers, where all ids are integers.

        y : array-like of shape (n_new,), default=None
            Their labels; to be given if, and only if, the index has labels.

        replace : bool, default=False
            Whether a row with the id of one that is there takes its place. It comes
            last, like all new rows.

        fingerprint : str, default=None
            What made the rows.

        Returns
        -------
        self : object
            The index. Unless all rows could be added it is as it was.

        Raises
        ------
        ValueError
            If an id is there already and `replace` is false, ids repeat, or the rows do
            not fit those of the index.

        Notes
        -----
        It costs what is added. A graph is built anew when it lacks a quarter as many
        rows as it knows; until then these are searched one by one. With
        `database_augmentation` new rows are augmented by those that are there, which stay as
        they are: fit again, with all rows, for what a fit gives.
        """
        check_is_fitted(self)
        rows = self._checked_rows(X, fingerprint)
        store = self._store
        labels = self._checked_labels(y, len(rows))
        if ids is None:
            names = ids_from(store.next_id, len(rows))
        else:
            names = check_ids(ids, len(rows))
        taken = [slot for slot in store.slots_of(names.tolist()) if slot is not None]
        if taken and not replace:
            known = store.ids[store.row_of_slot[taken[0]]]
            raise ValueError(
                f"{len(taken)} of the ids are in the index already, such as {known!r}: "
                f"pass replace=True to put the new rows in their place."
            )
        self._check_left(taken, rows)
        store.remove(taken)
        if self.database_augmentation:
            rows = self._augmented(rows)
        store.append(rows, names, labels)
        self._keep_order()
        return self

    def remove(self, ids: Sequence[Hashable]) -> Self:
        """Remove rows; those behind them move up.

        Parameters
        ----------
        ids : sequence
            Ids of the rows, no two alike.

        Returns
        -------
        self : object
            The index. Unless all ids are known it is as it was.

        Raises
        ------
        KeyError
            If the index has no such id.

        ValueError
            If ids repeat, or no readable row would be left.
        """
        check_is_fitted(self)
        names = check_ids(ids).tolist()
        slots = self._store.slots_of(names)
        unknown = [
            name for name, slot in zip(names, slots, strict=True) if slot is None
        ]
        if unknown:
            raise KeyError(
                f"the index has no row with id {unknown[0]!r}"
                f"{f', nor with {len(unknown) - 1} others' if unknown[1:] else ''}."
            )
        found = [slot for slot in slots if slot is not None]
        self._check_left(found, np.empty((0, 1)))
        self._store.remove(found)
        self._keep_order()
        return self

    def _keep_order(self) -> None:
        """Close gaps, and build the graph anew, when there is reason enough."""
        graph, store = self._graph, self._store
        is_untidy = store.is_untidy
        if is_untidy:
            store.tidy_up()
        if graph is None:
            self._build_graph()  # if there are enough rows by now
        elif is_untidy or store.n_slots > (1 + _MAX_UNKNOWN) * len(graph):
            self._build_graph()

    def _build_graph(self) -> None:
        """Build the graph where the algorithm asks for one."""
        self._graph = None
        collection = self._collection()
        wanted = self.algorithm == "pynndescent"
        if self.algorithm == "auto" and collection.metric.name in GRAPH_METRICS:
            wanted = collection.rows.values.size > _MANY_NUMBERS
        # Rows beyond single precision are compared with each other, not walked to.
        sizes = collection.rows.terms.size[collection.allowed]
        wanted = wanted and bool(np.isfinite(sizes).all())
        if wanted and np.count_nonzero(collection.allowed) > 2:
            self._store.tidy_up()
            collection = self._collection()
            random_state = check_random_state(self.random_state)
            k = min(self.n_neighbors, int(np.count_nonzero(collection.allowed)) - 2)
            self._graph = build_graph(collection, k, self.recall, random_state)

    def _check_left(self, gone: list[int], new_rows: NDArray[Any]) -> None:
        left = self._store.findable.copy()
        left[gone] = False
        if not (left.any() or find_readable_rows(new_rows).any()):
            raise ValueError("this would leave no row that can be read.")

    def _augmented(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Return new rows with their neighbours in the index added."""
        rows, readable = rows.copy(), find_readable_rows(rows)
        if readable.any() and self._store.findable.any():
            rows[readable] = self._expanded(
                None, rows[readable], self.database_augmentation
            )
        return rows

    def _collection(self, allowed: NDArray[np.bool_] | None = None) -> Collection:
        """Return the rows to search among, and where to compute."""
        device = "cpu" if self.device == "cpu" else resolve_device(self.device)
        return replaced(self._store.collection(allowed), device=device)

    def _check_combination(self, metric: Any) -> None:
        if self.algorithm == "pynndescent" and metric not in GRAPH_METRICS:
            raise ValueError(
                f"algorithm='pynndescent' needs a metric of {list(GRAPH_METRICS)}, got "
                f"metric={self.metric!r}: take algorithm='exact'."
            )
        if (self.query_expansion or self.database_augmentation) and metric != "cosine":
            raise ValueError(
                f"query_expansion={self.query_expansion} and database_augmentation="
                f"{self.database_augmentation} need metric='cosine', got {self.metric!r}."
            )

    def _checked_rows(self, X: ArrayLike, fingerprint: str | None) -> NDArray[Any]:
        """Return rows or queries that fit those of the index, as its type of number."""
        if None not in (fingerprint, self.fingerprint_) and (
            fingerprint != self.fingerprint_
        ):
            raise ValueError(
                f"fingerprint={fingerprint!r} differs from {self.fingerprint_!r}, that "
                f"of the rows of the index: embed with the model that made them."
            )
        is_number = self._store.metric.name not in BOOLEAN_METRICS
        if is_number and not self._has_bool_rows and is_boolean(X):
            raise TypeError(
                "X holds booleans where the rows of the index are numbers; distances "
                "between the two mean nothing. Convert X if it is meant so."
            )
        rows = check_rows(self, X, reset=False)
        check_values(rows, self._store.metric.name)
        dtype = self._store.rows.values.dtype
        with np.errstate(over="ignore"):
            fitting = rows.astype(dtype, copy=False)
        if np.isinf(fitting).any():
            raise ValueError(
                f"X holds {rows[np.isinf(fitting)][0]:g}, too large for {dtype}, which "
                f"the rows of the index are: fit it with float64, or scale X."
            )
        return fitting

    def _checked_labels(self, y: ArrayLike | None, n_rows: int) -> NDArray[Any] | None:
        if (y is None) != (self._store.labels is None):
            raise ValueError(
                "y must be given, since the index was fitted with labels."
                if y is None
                else "y was given, but the index was fitted without labels."
            )
        if y is None:
            return None
        labels = column_or_1d(y)
        if len(labels) != n_rows:
            raise ValueError(f"y holds {len(labels)} labels for {n_rows} rows of X.")
        known = self._store.labels
        # Numbers are not to become words because words are added to them.
        is_alike = known is not None and kind_of(known) == kind_of(labels)
        return np.asarray(labels if is_alike else labels.astype(object))

    def _expanded(
        self, own: NDArray[np.int64] | None, vectors: NDArray[Any], n_neighbors: int
    ) -> NDArray[Any]:
        """Return vectors with their neighbours added; `own` are their slots, if any."""
        collection = self._collection()
        n_others = int(np.count_nonzero(collection.allowed)) - (own is not None)
        if not n_others:
            return vectors
        queries = DistanceRows(vectors, collection.metric.describe(vectors))
        found = self._nearest(queries, collection, min(n_neighbors, n_others), own)
        return expand(vectors, *found, collection, self.expansion_power)

    def _nearest(
        self,
        queries: DistanceRows,
        collection: Collection,
        n_neighbors: int,
        own: NDArray[np.int64] | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return distances and slots; `own`, the slot of each query, is no answer."""
        finder = find_nearest if self._graph is None else self._graph.find_nearest
        if own is None:
            return finder(queries, collection, n_neighbors)
        distances, slots = finder(queries, collection, n_neighbors + 1)
        order = order_without_own(slots, own, n_neighbors)
        return (
            np.take_along_axis(distances, order, axis=1),
            np.take_along_axis(slots, order, axis=1),
        )

    def __sklearn_is_fitted__(self) -> bool:
        """Tell whether there are rows."""
        return hasattr(self, "_store")

    def __sklearn_tags__(self) -> Tags:
        """Tell scikit-learn that rows of NaN are understood."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags
