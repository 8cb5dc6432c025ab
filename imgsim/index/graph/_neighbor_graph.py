"""Approximate search: a beam search on a graph of nearest neighbors."""

from dataclasses import dataclass, replace
from threading import Lock

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from imgsim._compute.threads import count_threads
from imgsim._distance.rows import Collection, DistanceRows
from imgsim.index.exact._nearest import find_nearest
from imgsim.index.exact._scan import (
    compute_distances,
    map_query_parts,
    nearest_of_pairs,
)
from imgsim.index.exact._self_neighbors import (
    drop_self,
    find_self_neighbors,
    fits_memory,
)

GRAPH_METRICS = ("correlation", "cosine", "euclidean", "sqeuclidean")

_N_NEIGHBORS = 30
_N_LINKS = 32
_N_ENTRIES_PER_QUERY = 4
_N_AXES = 32
_N_SAMPLED = 512
_N_SCORES = 2**20  # of the entries, computed at once
_WIDTH_FACTORS = (
    0.3,
    0.4,
    0.5,
    0.6,
    0.7,
    0.8,
    0.9,
    1,
    1.2,
    1.6,
    2.4,
    3.2,
    4.8,
    6.4,
    9.6,
    12.8,
    19.2,
    51.2,
)
_MAX_ALLOWED_RATIO = 4  # of all to allowed rows, above which the search is exact
# Number of operations up to which comparing all rows is faster than compiling
# pynndescent.
_MAX_EXACT_OPERATIONS = 4e12
# With fewer features, comparing a pair takes as long as with this number.
_MIN_N_FEATURES = 64
_build_lock = Lock()  # some threading layers of numba allow only one thread


@dataclass(frozen=True)
class NeighborGraph:
    """A graph of rows, in which a beam search finds the nearest rows of a query.

    Parameters
    ----------
    links : ndarray of shape (n_rows, n_links), dtype int32
        Rows linked from each row, padded with -1.

    entries : ndarray of shape (n_entries,), dtype int64
        Rows at which a search may start.

    entry_codes : ndarray of shape (n_entries, n_axes), dtype float32
        Coordinates of the entries on the axes.

    axes : ndarray of shape (n_axes + 1, n_features), dtype float32
        Principal axes of the rows, followed by their mean.

    width : int
        Width of the beam: the number of nearest rows whose links a search follows.

    n_neighbors : int
        Number of neighbors for which `width` was chosen. To find more neighbors, the
        beam is made wider.

    recall : float
        Fraction of the true neighbors of a sample of rows that were found.
    """

    links: NDArray[np.int32]
    entries: NDArray[np.int64]
    entry_codes: NDArray[np.float32]
    axes: NDArray[np.float32]
    width: int
    n_neighbors: int
    recall: float

    def __len__(self) -> int:
        """Return the number of rows in the graph."""
        return len(self.links)

    def find_nearest(
        self, queries: DistanceRows, collection: Collection, n_neighbors: int
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return the nearest rows of each query, of which some may be missed.

        The result has the same form as the result of the exact `find_nearest`. The
        graph contains the first rows of the collection. The other rows are searched
        exactly.
        """
        allowed = collection.allowed[: len(self)]
        ratio = len(self) / max(1, int(np.count_nonzero(allowed)))
        if ratio > _MAX_ALLOWED_RATIO or not np.isfinite(queries.terms.size).all():
            return find_nearest(queries, collection, n_neighbors)
        in_graph = Collection(collection.rows[: len(self)], allowed, collection.metric)
        n_searched = int(np.ceil(n_neighbors * ratio))
        neighbors = self._search(queries, in_graph, n_searched, n_neighbors)
        if len(self) < len(collection.rows):
            new = Collection(
                collection.rows[len(self) :],
                collection.allowed[len(self) :],
                collection.metric,
            )
            new_distances, new_positions = find_nearest(queries, new, n_neighbors)
            new_positions[new_positions >= 0] += len(self)
            neighbors = _merge_nearest(neighbors, (new_distances, new_positions))
        distances, positions = neighbors
        incomplete = np.flatnonzero(positions[:, -1] < 0)
        if len(incomplete):
            distances[incomplete], positions[incomplete] = find_nearest(
                queries[incomplete], collection, n_neighbors
            )
        return distances, positions

    def _search(
        self,
        queries: DistanceRows,
        collection: Collection,
        n_searched: int,
        n_neighbors: int,
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return the nearest allowed rows visited by a search for `n_searched` rows."""
        from imgsim.index.graph._graph_kernels import search_graph

        rows, metric = collection.rows, collection.metric
        scale, bias = _float32_terms(rows)
        width = int(np.ceil(self.width * max(1, n_searched / self.n_neighbors)))
        n_kept = min(len(rows), max(n_searched, width))
        transformed = metric.transform_to_float32(queries.values, queries.terms)
        entries = self._nearest_entries(transformed)

        def search(part: slice) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
            nearest = np.full((len(transformed[part]), n_kept), -1, dtype=np.int64)
            search_graph(
                transformed[part],
                rows.values,
                scale,
                bias,
                self.links,
                entries[part],
                width,
                nearest,
            )
            is_candidate = (nearest >= 0) & collection.allowed[nearest]
            candidates = np.nonzero(is_candidate)[0], nearest[is_candidate]
            pairs = compute_distances(queries[part], collection, *candidates)
            return nearest_of_pairs(pairs, len(nearest), n_neighbors)

        parts = map_query_parts(search, len(queries), count_threads())
        distances, positions = zip(*parts, strict=True)
        return np.concatenate(distances), np.concatenate(positions)

    def _nearest_entries(self, queries: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return the entries nearest to each query on the principal axes."""
        from imgsim.index.graph._graph_kernels import largest_per_row

        axes, mean = self.axes[:-1], self.axes[-1]
        codes = queries @ axes.T - axes @ mean
        bias = -(self.entry_codes**2).sum(axis=1) / 2
        n_entries = min(_N_ENTRIES_PER_QUERY, len(self.entries))
        nearest = np.empty((len(queries), n_entries), dtype=np.int64)
        step = max(1, _N_SCORES // len(self.entries))
        for first in range(0, len(queries), step):
            part = slice(first, first + step)
            largest_per_row(codes[part] @ self.entry_codes.T, bias, nearest[part])
        return self.entries[nearest]


def build_graph(
    collection: Collection,
    n_neighbors: int,
    recall: float,
    random_state: np.random.RandomState,
) -> NeighborGraph:
    """Build a graph in which a search finds at least this fraction of the nearest rows.

    Parameters
    ----------
    collection : Collection
        The rows.

    n_neighbors : int
        Number of neighbors for which the recall is measured.

    recall : float
        Fraction of the true neighbors to find.

    random_state : RandomState
        Controls the sample, the entries and the random numbers of pynndescent.

    Returns
    -------
    graph : NeighborGraph
        The graph. Its width is the smallest that reaches `recall` on rows of the
        collection that are left out of the graph, or the largest width tried.
    """
    rows = collection.rows
    neighbors = _find_neighbors(collection, random_state)
    order = random_state.permutation(np.flatnonzero(collection.allowed))
    sample = np.sort(order[: min(_N_SAMPLED, max(1, len(order) // 4))])
    is_sampled = np.zeros(len(rows), dtype=bool)
    is_sampled[sample] = True
    entries = np.sort(order[len(sample) :][: max(1024, len(rows) // 12)])
    codes, axes = _principal_axes(rows[entries], collection)
    k = n_neighbors
    links = _make_links(neighbors, collection, is_sampled)
    without_sample = NeighborGraph(links, entries, codes, axes, k, k, 0)
    width, measured = _choose_width(
        without_sample, collection, sample, is_sampled, n_neighbors, recall
    )
    links = _make_links(neighbors, collection, np.zeros_like(is_sampled))
    return NeighborGraph(links, entries, codes, axes, width, k, measured)


def _principal_axes(
    rows: DistanceRows, collection: Collection
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the coordinates of rows on principal axes, and the axes and the mean."""
    transformed = collection.metric.transform(rows.values, rows.terms)
    n_axes = min(_N_AXES, *transformed.shape)
    pca = PCA(n_axes, svd_solver="randomized", random_state=0)
    # If all rows are equal, the explained variance ratio, which is unused, is NaN.
    with np.errstate(invalid="ignore"):
        codes = pca.fit_transform(transformed).astype(np.float32)
    return codes, np.vstack([pca.components_, pca.mean_]).astype(np.float32)


def _find_neighbors(
    collection: Collection, random_state: np.random.RandomState
) -> NDArray[np.int32]:
    """Return the nearest other rows of each row, of which some may be missed."""
    rows, metric = collection.rows, collection.metric
    k = min(_N_NEIGHBORS, int(np.count_nonzero(collection.allowed)) - 1)
    n_operations = len(rows) ** 2 * max(rows.values.shape[1], _MIN_N_FEATURES)
    if n_operations < _MAX_EXACT_OPERATIONS and fits_memory(len(rows), k):
        return find_self_neighbors(collection, k).astype(np.int32)
    from pynndescent import NNDescent

    with _build_lock:
        graph = NNDescent(
            metric.transform_to_float32(rows.values, rows.terms),
            metric="euclidean",
            n_neighbors=k + 1,
            random_state=random_state.randint(2**31 - 1),
        )
    positions = graph.neighbor_graph[0]
    return drop_self(positions, np.arange(len(positions)), k).astype(np.int32)


def _make_links(
    neighbors: NDArray[np.int32], collection: Collection, is_excluded: NDArray[np.bool_]
) -> NDArray[np.int32]:
    """Return the links between rows that are allowed and not excluded."""
    from imgsim.index.graph._graph_kernels import add_reverse_links, choose_links

    rows = collection.rows
    scale, bias = _float32_terms(rows)
    links = np.full((len(rows), _N_LINKS), -1, dtype=np.int32)

    def choose(part: slice) -> None:
        choose_links(
            neighbors[part],
            rows.values,
            scale,
            bias,
            is_excluded | ~collection.allowed,
            part.start,
            links[part],
        )

    map_query_parts(choose, len(rows), count_threads())
    add_reverse_links(links)
    return links


def _choose_width(
    graph: NeighborGraph,
    collection: Collection,
    sample: NDArray[np.int64],
    is_sampled: NDArray[np.bool_],
    n_neighbors: int,
    recall: float,
) -> tuple[int, float]:
    """Return the smallest width that reaches the recall, and the recall measured.

    The sampled rows are used as queries. Like new queries, they are neither in the
    graph nor among the results.
    """
    others = Collection(
        collection.rows, collection.allowed & ~is_sampled, collection.metric
    )
    queries = collection.rows[sample]
    k = min(n_neighbors, int(np.count_nonzero(others.allowed)))
    true = np.sort(find_nearest(queries, others, k)[1], axis=1)
    for width in dict.fromkeys(int(np.ceil(k * factor)) for factor in _WIDTH_FACTORS):
        _, found = replace(graph, width=width)._search(queries, others, k, k)
        recalls = [np.isin(a, b).mean() for a, b in zip(true, found, strict=True)]
        measured = float(np.mean(recalls))
        # The standard error is subtracted so that the width is not chosen by chance.
        if measured - np.std(recalls) / np.sqrt(len(recalls)) >= recall:
            break
    return width, measured


def _merge_nearest(
    first: tuple[NDArray[np.float64], NDArray[np.int64]],
    second: tuple[NDArray[np.float64], NDArray[np.int64]],
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the nearest of two results, of which the first has lower positions."""
    distances = np.concatenate([first[0], second[0]], axis=1)
    positions = np.concatenate([first[1], second[1]], axis=1)
    order = np.argsort(distances, axis=1, kind="stable")[:, : first[0].shape[1]]
    return (
        np.take_along_axis(distances, order, axis=1),
        np.take_along_axis(positions, order, axis=1),
    )


def _float32_terms(
    rows: DistanceRows,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the scale and the bias of rows in single precision."""
    return rows.terms.scale.astype(np.float32), rows.terms.bias.astype(np.float32)
