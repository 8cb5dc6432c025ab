"""Questions about rows, asked and answered as in `sklearn.neighbors`."""

from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_matrix
from sklearn.utils.validation import check_is_fitted

from imgsim._distance.rows import DistanceRows
from imgsim._estimator_base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from imgsim._validation import find_readable_rows
from imgsim.index._searcher import BaseIndex
from imgsim.index.exact._nearest import find_within
from imgsim.index.exact._scan import Pairs


class NeighborsQueries(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseIndex):
    """An index whose answers are row numbers, arrays and graphs."""

    radius: float
    mode: str

    def kneighbors(
        self,
        X: ArrayLike | None = None,
        n_neighbors: int | None = None,
        return_distance: bool = True,
        *,
        fingerprint: str | None = None,
    ) -> tuple[NDArray[Any], NDArray[np.int64]] | NDArray[np.int64]:
        """Find the nearest rows of each query.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features), default=None
            The queries. None takes the rows of the index, and then no row is its own
            neighbour, also where another row equals it.

        n_neighbors : int, default=None
            Number of neighbours of each query, at most the number of readable rows.
            None takes that of the constructor.

        return_distance : bool, default=True
            Whether to return the distances.

        fingerprint : str, default=None
            What made the queries.

        Returns
        -------
        distances : ndarray of shape (n_queries, n_neighbors), dtype of the rows
            Increasing along each row; NaN for an unreadable query. Only if
            `return_distance`.

        indices : ndarray of shape (n_queries, n_neighbors), dtype int64
            Row numbers; of equally near rows the lowest comes first; -1 for an
            unreadable query.

        Raises
        ------
        ValueError
            If `n_neighbors` exceeds the number of rows that can be neighbours, or the
            queries have another width or fingerprint.
        """
        check_is_fitted(self)
        k = self.n_neighbors if n_neighbors is None else n_neighbors
        n_candidates = self._n_candidates(X)
        if not isinstance(k, Integral) or not 1 <= k <= n_candidates:
            raise ValueError(
                f"n_neighbors={k!r} must be an integer, at least 1 and at most "
                f"{n_candidates}, the number of readable rows"
                f"{' other than the query' if X is None else ''} "
                f"(n_samples_fit={self.n_samples_fit_})."
            )
        distances, indices = self._answer(X, int(k), fingerprint)
        return (distances, indices) if return_distance else indices

    def radius_neighbors(
        self,
        X: ArrayLike | None = None,
        radius: float | None = None,
        return_distance: bool = True,
        sort_results: bool = False,
        *,
        fingerprint: str | None = None,
    ) -> tuple[NDArray[np.object_], NDArray[np.object_]] | NDArray[np.object_]:
        """Find all rows within a distance of each query; always exact.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features), default=None
            The queries. None takes the rows of the index, and then no row is its own
            neighbour.

        radius : float, default=None
            Largest distance. None takes that of the constructor.

        return_distance : bool, default=True
            Whether to return the distances.

        sort_results : bool, default=False
            Whether the nearest come first; else the lowest row numbers do.

        fingerprint : str, default=None
            What made the queries.

        Returns
        -------
        distances : ndarray of shape (n_queries,), dtype object
            An array of distances for each query. Only if `return_distance`.

        indices : ndarray of shape (n_queries,), dtype object
            An array of row numbers for each query, empty for an unreadable one.

        Raises
        ------
        ValueError
            If the radius is no number, or the queries do not fit the rows.
        """
        check_is_fitted(self)
        radius = self.radius if radius is None else radius
        if not isinstance(radius, Real) or np.isnan(radius):
            raise ValueError(f"radius={radius!r} must be a number.")
        n_queries, (query, row, distance) = self._within(X, float(radius), fingerprint)
        if sort_results:
            order = np.lexsort((row, distance, query))
            query, row, distance = query[order], row[order], distance[order]
        bounds = np.searchsorted(query, np.arange(1, n_queries))
        indices = _as_objects(np.split(row, bounds))
        if not return_distance:
            return indices
        dtype = self._store.rows.values.dtype
        return _as_objects(np.split(distance.astype(dtype), bounds)), indices

    def kneighbors_graph(
        self,
        X: ArrayLike | None = None,
        n_neighbors: int | None = None,
        mode: str = "connectivity",
    ) -> csr_matrix:
        """Return the graph of the nearest rows of each query.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features), default=None
            The queries. None takes the rows of the index, and then no row is its own
            neighbour.

        n_neighbors : int, default=None
            Number of neighbours of each query. None takes that of the constructor.

        mode : {"connectivity", "distance"}, default="connectivity"
            Whether an edge weighs 1 or its distance.

        Returns
        -------
        graph : csr_matrix of shape (n_queries, n_samples_fit)
            The edges of query i in row i, the nearest first; none for an unreadable
            query.

        Raises
        ------
        ValueError
            If `mode` is another, or as `kneighbors` does.
        """
        _check_mode(mode)
        distances, indices = self.kneighbors(X, n_neighbors)
        known = indices >= 0
        query, _ = np.nonzero(known)
        return self._graph_of(
            mode, len(indices), query, indices[known], distances[known]
        )

    def radius_neighbors_graph(
        self,
        X: ArrayLike | None = None,
        radius: float | None = None,
        mode: str = "connectivity",
        sort_results: bool = False,
    ) -> csr_matrix:
        """Return the graph of the rows within a distance of each query.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features), default=None
            The queries. None takes the rows of the index, and then no row is its own
            neighbour.

        radius : float, default=None
            Largest distance. None takes that of the constructor.

        mode : {"connectivity", "distance"}, default="connectivity"
            Whether an edge weighs 1 or its distance.

        sort_results : bool, default=False
            Whether the edges of a query are sorted by distance.

        Returns
        -------
        graph : csr_matrix of shape (n_queries, n_samples_fit)
            The edges of query i in row i.

        Raises
        ------
        ValueError
            If `mode` is another, or as `radius_neighbors` does.
        """
        _check_mode(mode)
        distances, indices = self.radius_neighbors(X, radius, True, sort_results)
        query = np.repeat(np.arange(len(indices)), [len(found) for found in indices])
        row, distance = np.concatenate(indices), np.concatenate(distances)
        return self._graph_of(mode, len(indices), query, row, distance)

    def transform(self, X: ArrayLike) -> csr_matrix:
        """Return the graph of neighbours, as `KNeighborsTransformer` does.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            The queries. A row of the index finds itself, too.

        Returns
        -------
        graph : csr_matrix of shape (n_queries, n_samples_fit)
            With `mode="distance"` the distances of `n_neighbors + 1` rows, that a row
            which finds itself has as many others; else ones for `n_neighbors`.

        Raises
        ------
        ValueError
            As `kneighbors` does.
        """
        check_is_fitted(self)
        n_neighbors = self.n_neighbors + (self.mode == "distance")
        return self.kneighbors_graph(X, n_neighbors, self.mode)

    def _graph_of(
        self,
        mode: str,
        n_queries: int,
        query: NDArray[np.int64],
        row: NDArray[np.int64],
        distance: NDArray[Any],
    ) -> csr_matrix:
        weight = np.ones(len(row)) if mode == "connectivity" else distance
        ends = np.searchsorted(query, np.arange(n_queries + 1))
        return csr_matrix((weight, row, ends), shape=(n_queries, self.n_samples_fit_))

    @property
    def _n_features_out(self) -> int:
        return self.n_samples_fit_

    def _n_candidates(self, X: ArrayLike | None) -> int:
        return int(np.count_nonzero(self._store.findable)) - (X is None)

    def _asked(
        self, X: ArrayLike | None, fingerprint: str | None
    ) -> tuple[int, NDArray[np.int64], DistanceRows, NDArray[np.int64] | None]:
        """Return the number of queries, which are readable, these, and their slots."""
        store = self._store
        if X is None:
            own = np.flatnonzero(store.findable)
            n_queries, asking = store.n_rows, store.row_of_slot[own]
            values = store.rows.values[own]
        else:
            checked = self._checked_rows(X, fingerprint)
            own, n_queries = None, len(checked)
            asking = np.flatnonzero(find_readable_rows(checked))
            values = checked if len(asking) == n_queries else checked[asking]
        if self.query_expansion and len(values):
            values = self._expanded(own, values, self.query_expansion)
        return (
            n_queries,
            asking,
            DistanceRows(values, store.metric.describe(values)),
            own,
        )

    def _answer(
        self,
        X: ArrayLike | None,
        n_neighbors: int,
        fingerprint: str | None,
        allowed: NDArray[np.bool_] | None = None,
    ) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Answer in row numbers; NaN and -1 for unreadable queries, or none left."""
        n_queries, asking, queries, own = self._asked(X, fingerprint)
        store = self._store
        distances = np.full((n_queries, n_neighbors), np.nan, store.rows.values.dtype)
        indices = np.full((n_queries, n_neighbors), -1, dtype=np.int64)
        if len(asking) and n_neighbors:
            collection = self._collection(allowed)
            distances[asking], slots = self._nearest(
                queries, collection, n_neighbors, own
            )
            indices[asking] = np.where(slots < 0, -1, store.row_of_slot[slots])
            distances[indices < 0] = np.nan
        return distances, indices

    def _within(
        self, X: ArrayLike | None, radius: float, fingerprint: str | None
    ) -> tuple[int, Pairs]:
        """Return the number of queries, and all near pairs in row numbers."""
        n_queries, asking, queries, own = self._asked(X, fingerprint)
        none = np.empty(0, dtype=np.int64)
        if not len(asking):
            return n_queries, (none, none, np.empty(0))
        # A distance that was returned is rounded, and as a radius reaches its row.
        dtype = self._store.rows.values.dtype
        limit = dtype.type(radius)
        reach = float(np.nextafter(limit, dtype.type(np.inf)))
        query, slot, exact = find_within(queries, self._collection(), reach)
        near = exact.astype(dtype) <= limit
        query, slot, distance = query[near], slot[near], exact[near]
        if own is not None:
            other = slot != own[query]
            query, slot, distance = query[other], slot[other], distance[other]
        return n_queries, (asking[query], self._store.row_of_slot[slot], distance)


def _check_mode(mode: str) -> None:
    if mode not in ("connectivity", "distance"):
        raise ValueError(f"mode={mode!r} must be 'connectivity' or 'distance'.")


def _as_objects(arrays: list[NDArray[Any]]) -> NDArray[np.object_]:
    objects = np.empty(len(arrays), dtype=object)
    for i, array in enumerate(arrays):
        objects[i] = array
    return objects
