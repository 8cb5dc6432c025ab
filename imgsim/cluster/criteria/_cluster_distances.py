"""Mean distances of rows to clusters, for many labelings in one pass over all pairs.

The distances of a tile of pairs come from a matrix product in single precision, which
is checked: pairs that are close relative to their norms are computed again in double
precision, and all pairs are if a sample shows that single precision does not suffice.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.spatial.distance import cdist
from sklearn import get_config
from sklearn.utils import gen_batches

from imgsim._compute.threads import count_threads, map_in_threads
from imgsim._distance.metric import ABSOLUTE, SQUARED, Metric
from imgsim._distance.scores import make_score_function
from imgsim._distance.unit_rows import unit_rows

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
BlockSums = Iterator[tuple[slice, Floats]]

_TILE_ROWS = 512  # a tile of 512 x 512 distances fits the cache of a core
_UNIT_BLOCK_ROWS = 128  # a block of rows of unit length
_SAMPLE_ROWS = 128  # rows whose pairs decide on the precision
_FEATURES_AT_A_TIME = 1024  # whose terms are summed in one pass in single precision
_MOST_CLOSE = 1 / 8  # share of a tile's pairs that is worth computing pair by pair
_COSINE_ROUNDING = 64 * np.finfo(np.float64).eps


@dataclass(frozen=True)
class Labelings:
    """Several labelings of the same rows, with all clusters numbered consecutively.

    Parameters
    ----------
    codes : ndarray of shape (n_labelings, n_rows), dtype int64
        Cluster of each row in each labeling; -1 for a row in no cluster.

    starts : ndarray of shape (n_labelings + 1,), dtype int64
        Number of the first cluster of each labeling, then the number of all clusters.
    """

    codes: Ints
    starts: Ints

    @property
    def n_clusters(self) -> int:
        """Number of clusters of all labelings together."""
        return int(self.starts[-1])

    @property
    def clustered(self) -> Ints:
        """Rows that are in a cluster of any labeling."""
        return np.flatnonzero((self.codes >= 0).any(axis=0))

    def clusters_of(self, labeling: int) -> slice:
        """Return the range of the clusters of a labeling."""
        return slice(int(self.starts[labeling]), int(self.starts[labeling + 1]))

    def sizes(self, rows: Ints) -> Ints:
        """Return how many of the given rows each cluster has."""
        codes = self.codes[:, rows]
        return np.bincount(codes[codes >= 0], minlength=self.n_clusters)

    def membership(self, rows: Ints) -> Any:
        """Return a sparse matrix of clusters by rows with a 1 for each member."""
        codes = self.codes[:, rows]
        columns = np.nonzero(codes >= 0)[1]
        entries = np.ones(len(columns)), (codes[codes >= 0], columns)
        return csr_array(entries, shape=(self.n_clusters, len(rows)))


@dataclass(frozen=True)
class ClusterCohesion:
    """Silhouettes and mean distances within clusters, see `measure_cohesion`."""

    silhouettes: Floats
    mean_distances: Floats


def measure_cohesion(
    rows: NDArray[Any],
    labels: Ints,
    metric: str,
    *,
    max_columns: int = 20_000,
    seed: int = 0,
) -> ClusterCohesion:
    """Return silhouettes and mean distances within clusters.

    Parameters
    ----------
    rows : ndarray of shape (n_samples, n_features), float32 or float64
        Embeddings. A row may contain NaN if it is in no cluster.

    labels : ndarray of shape (n_samples,), dtype int64
        Clusters from 0 without gaps; -1 for a row in no cluster.

    metric : {"euclidean", "cosine", "manhattan"}
        Distance between rows.

    max_columns : int, default=20_000
        If there are more rows in clusters than this, mean distances to a cluster are
        estimated from a random sample, in which the row itself does not count. The
        sample has about `max_columns` rows and represents each cluster in proportion
        to its size, with at least two rows. For cosine all rows are used.

    seed : int, default=0
        Seed of the sample.

    Returns
    -------
    cohesion : ClusterCohesion
        `silhouettes` of shape (n_samples,): NaN for a row in no cluster, and for all
        rows if there is a single cluster or no cluster has two rows.
        `mean_distances` of shape (n_samples,): mean distance to the other members of
        the own cluster, 0 for the only member and NaN for a row in no cluster.
    """
    labelings = Labelings(labels[np.newaxis], np.array([0, labels.max() + 1]))
    clustered = columns = labelings.clustered
    if metric != "cosine" and len(clustered) > max_columns:
        columns = _sample_clusters(labels, clustered, max_columns, seed)
    n_columns, is_column = labelings.sizes(columns), np.isin(clustered, columns)
    silhouettes, mean_distances = np.full((2, len(labels)), np.nan)
    for part, sums in sum_distances(rows, metric, labelings, clustered, columns):
        some = clustered[part]
        mean_distances[some], silhouettes[some] = own_distances_and_silhouettes(
            sums, labels[some], n_columns, is_column[part]
        )
    if not 2 <= labelings.n_clusters < len(clustered):
        silhouettes[:] = np.nan
    return ClusterCohesion(silhouettes, mean_distances)


def _sample_clusters(labels: Ints, clustered: Ints, n_wanted: int, seed: int) -> Ints:
    """Draw rows of each cluster in proportion to its size, at least two."""
    shuffled = np.random.default_rng(seed).permutation(clustered)
    codes = labels[shuffled]
    share = np.rint(np.bincount(codes) * (n_wanted / len(clustered)))
    return np.sort(shuffled[ranks_in_clusters(codes) < np.maximum(share, 2)[codes]])


def ranks_in_clusters(codes: Ints) -> Ints:
    """Return how many members of its cluster precede each row."""
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    ranks = np.empty_like(order)
    ranks[order] = np.arange(len(codes)) - np.searchsorted(ordered, ordered)
    return ranks


def own_distances_and_silhouettes(
    sums: Floats, codes: Ints, n_columns: Ints, is_column: NDArray[np.bool_] | bool
) -> tuple[Floats, Floats]:
    """Return mean distances to the own cluster, and silhouettes; NaN for code -1.

    Parameters
    ----------
    sums : ndarray of shape (n_clusters, n_rows)
        Sums of the distances of each row to the columns in each cluster.

    codes : ndarray of shape (n_rows,), dtype int64
        Cluster of each row.

    n_columns : ndarray of shape (n_clusters,), dtype int64
        Number of columns in each cluster.

    is_column : ndarray of shape (n_rows,), dtype bool, or bool
        Whether each row is a column itself, so that it is left out of its own mean.

    Returns
    -------
    own : ndarray of shape (n_rows,), dtype float64
        Mean distances to the other members of the own cluster.

    silhouettes : ndarray of shape (n_rows,), dtype float64
        0 for the only member of a cluster.
    """
    each = np.arange(len(codes))
    n_others = n_columns[codes] - is_column
    own = sums[codes, each] / np.maximum(n_others, 1)
    means = sums / n_columns[:, np.newaxis]
    means[codes, each] = np.inf
    nearest = means.min(axis=0)
    nearest[np.isinf(nearest)] = 0  # there is no other cluster
    larger = np.maximum(own, nearest)
    is_defined = (n_others > 0) & (larger > 0)
    silhouettes = np.zeros(len(codes))
    np.divide(nearest - own, larger, out=silhouettes, where=is_defined)
    own[codes < 0] = silhouettes[codes < 0] = np.nan
    return own, silhouettes


def sum_distances(
    X: NDArray[Any], metric: str, labelings: Labelings, rows: Ints, columns: Ints
) -> BlockSums:
    """Yield blocks of rows with the sums of their distances to each cluster.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features), float32 or float64
        Embeddings.

    metric : {"euclidean", "cosine", "manhattan"}
        Distance between rows.

    labelings : Labelings
        Clusters of the rows of `X`.

    rows : ndarray of shape (n_rows,), dtype int64
        Rows of `X` whose distances are summed.

    columns : ndarray of shape (n_columns,), dtype int64
        Rows of `X` to which distances are summed. For cosine, all rows in clusters.

    Yields
    ------
    block : slice
        Positions in `rows`.

    sums : ndarray of shape (n_clusters, n_rows of the block), dtype float64
        Sums of the distances to the columns in each cluster. The distance of a row to
        itself is 0.
    """
    if metric == "cosine":
        return _cosine_sums(X, labelings, rows, columns)
    block_distances = _BlockDistances(X, metric, columns)
    scaled_columns = block_distances.scale(columns)
    are_same = np.array_equal(rows, columns)
    scaled_rows = scaled_columns if are_same else block_distances.scale(rows)
    n_fitting = int(get_config()["working_memory"] * 2**20 / 4 / 8)
    n_fitting //= labelings.n_clusters
    if are_same and len(rows) <= n_fitting:
        return _symmetric_sums(block_distances, scaled_columns, labelings)
    n_at_a_time = max(1, min(_TILE_ROWS // 2, n_fitting // (4 * count_threads())))
    return _sums(block_distances, scaled_rows, scaled_columns, labelings, n_at_a_time)


def _cosine_sums(
    X: NDArray[Any], labelings: Labelings, rows: Ints, columns: Ints
) -> BlockSums:
    """Sum cosine distances, which are linear in rows of unit length."""

    def add_up(block: slice) -> Floats:
        directions = unit_rows(X[columns[block]].astype(np.float64))
        total: Floats = labelings.membership(columns[block]) @ directions
        return total

    def sum_block(block: slice) -> tuple[slice, Floats]:
        directions = unit_rows(X[rows[block]].astype(np.float64))
        sums = n_columns - total @ directions.T
        codes = labelings.codes[:, rows[block]]
        to_itself = 1 - np.einsum("ij,ij->i", directions, directions)
        each = np.nonzero(codes >= 0)[1]
        sums[codes[codes >= 0], each] -= to_itself[each]
        sums[sums < _COSINE_ROUNDING * n_columns] = 0
        return block, sums

    n_columns = labelings.sizes(columns)[:, np.newaxis]
    total = np.zeros((labelings.n_clusters, X.shape[1]))
    blocks = gen_batches(len(columns), _UNIT_BLOCK_ROWS)
    for some in map_in_threads(add_up, blocks, count_threads()):
        total += some
    blocks = gen_batches(len(rows), _UNIT_BLOCK_ROWS)
    yield from map_in_threads(sum_block, blocks, count_threads())


def _symmetric_sums(
    block_distances: "_BlockDistances", rows: "_ScaledRows", labelings: Labelings
) -> BlockSums:
    """Compute the distance of each pair of rows once."""
    blocks = list(gen_batches(len(rows.index), _TILE_ROWS))
    members = [labelings.membership(rows.index[block]) for block in blocks]
    tiles = [(i, j) for j in range(len(blocks)) for i in range(j + 1)]

    def sum_tile(tile: tuple[int, int]) -> list[tuple[slice, Floats]]:
        i, j = tile
        distances = block_distances.compute(rows[blocks[i]], rows[blocks[j]])
        upper = [(blocks[j], members[i] @ distances)]
        return upper if i == j else [*upper, (blocks[i], members[j] @ distances.T)]

    sums = np.zeros((labelings.n_clusters, len(rows.index)))
    for tile_sums in map_in_threads(sum_tile, tiles, count_threads()):
        for block, some in tile_sums:
            sums[:, block] += some
    return ((block, sums[:, block] * block_distances.unit) for block in blocks)


def _sums(
    block_distances: "_BlockDistances",
    rows: "_ScaledRows",
    columns: "_ScaledRows",
    labelings: Labelings,
    n_at_a_time: int,
) -> BlockSums:
    """Compute the distances of all rows to all columns."""
    parts = list(gen_batches(len(columns.index), _TILE_ROWS))
    members = [labelings.membership(columns.index[part]) for part in parts]

    def sum_block(block: slice) -> tuple[slice, Floats]:
        sums = np.zeros((labelings.n_clusters, block.stop - block.start))
        for part, ones in zip(parts, members, strict=True):
            sums += ones @ block_distances.compute(columns[part], rows[block])
        return block, sums * block_distances.unit

    blocks = gen_batches(len(rows.index), n_at_a_time)
    yield from map_in_threads(sum_block, blocks, count_threads())


@dataclass(frozen=True)
class _ScaledRows:
    """Rows that are centered and scaled, with their squared or absolute norms."""

    index: Ints
    values: NDArray[Any]
    norms: NDArray[Any]

    def __getitem__(self, some: slice) -> "_ScaledRows":
        return _ScaledRows(self.index[some], self.values[some], self.norms[some])


class _BlockDistances:
    """Distances between blocks of rows, scaled so that squares do not overflow."""

    def __init__(self, X: NDArray[Any], metric: str, columns: Ints) -> None:
        self.X = np.ascontiguousarray(X)
        self.kind = SQUARED if metric == "euclidean" else ABSOLUTE
        some = columns[:: len(columns) // 1000 + 1]
        self.center = X[some].mean(axis=0, dtype=np.float64)
        # By dtype: distances below this share of the norms have large rounding errors.
        self.least_share = {"f": 1 / 16, "d": 1e-9}
        if self.kind == ABSOLUTE and X.dtype == np.float32:
            self.center[:] = 0  # differences of the given rows are exact enough
            self.least_share["f"] = 0
        largest = max(np.fmax.reduce(X, axis=None), -np.fmin.reduce(X, axis=None))
        self.unit = float(np.ldexp(1.0, np.clip(np.frexp(largest)[1], -1000, 1000)))
        suits = self._suits_float32(columns)
        self.dtype: type = np.float32 if suits else np.float64

    def _suits_float32(self, columns: Ints) -> bool:
        """Compare a sample of distances in single and in double precision.

        Single precision does not suffice if the terms of a sum are nearly equal,
        because they are then all rounded in the same direction.
        """
        some = columns[:: len(columns) // _SAMPLE_ROWS + 1]
        to_itself = np.diag_indices(len(some))
        rows, exact = self.scale(some, np.float32), self.scale(some, np.float64)
        single, close = self._compute_raw(rows, rows, to_itself)
        double, _ = self._compute_raw(exact, exact, to_itself)
        far = ~close & np.isfinite(single)
        is_right = np.abs(single[far] - double[far]) <= 1e-5 * double[far]
        return bool(close.mean() <= _MOST_CLOSE and is_right.all())

    def scale(self, index: Ints, dtype: type | None = None) -> _ScaledRows:
        """Return rows centered and scaled, in the given precision or the chosen one."""
        dtype = dtype or self.dtype
        values: NDArray[Any] = np.empty((len(index), self.X.shape[1]), dtype=dtype)
        norms: NDArray[Any] = np.empty(len(index), dtype=dtype)
        for block in gen_batches(len(index), _TILE_ROWS):
            scaled = self.X[index[block]] - self.center
            scaled *= 1 / self.unit
            values[block] = scaled
            factor = scaled if self.kind == SQUARED else np.sign(scaled)
            norms[block] = np.einsum("ij,ij->i", scaled, factor)
        return _ScaledRows(index, values, norms)

    def compute(self, left: _ScaledRows, right: _ScaledRows) -> Floats:
        """Return the distances of all rows on the left to all rows on the right."""
        to_itself = np.nonzero(left.index[:, np.newaxis] == right.index)
        raw, close = self._compute_raw(left, right, to_itself)
        if close.mean() > _MOST_CLOSE and raw.dtype == np.float32:
            left, right = (self.scale(rows.index, np.float64) for rows in (left, right))
            raw, close = self._compute_raw(left, right, to_itself)
        raw = raw.astype(np.float64, copy=False)
        raw[to_itself] = 0
        if close.any():
            i, j = np.nonzero(close)
            raw[i, j] = self._compute_pairs(left.index[i], right.index[j])
        return np.sqrt(raw, out=raw) if self.kind == SQUARED else raw

    def _compute_raw(
        self, left: _ScaledRows, right: _ScaledRows, to_itself: tuple[Ints, ...]
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return distances, or their squares, and where rounding errors are large."""
        if self.kind == SQUARED:
            raw = left.values @ right.values.T
            raw *= -2
            raw += left.norms[:, np.newaxis]
            raw += right.norms
        elif left.values.dtype == np.float32:
            raw = _manhattan(left.values, right.values)
        else:
            raw = cdist(left.values, right.values, "cityblock")
        raw[to_itself] = np.inf
        share = raw.dtype.type(self.least_share[raw.dtype.char])
        return raw, raw <= np.add.outer(share * left.norms, share * right.norms)

    def _compute_pairs(self, i: Ints, j: Ints) -> Floats:
        """Return the raw distances of single pairs of the given rows, in float64."""
        from imgsim._distance.kernels import compare_pairs

        shift, scale = np.zeros(len(self.X)), np.full(len(self.X), 1 / self.unit)
        raw = np.empty(len(i))
        rows = self.X, shift, scale
        compare_pairs(*rows, *rows, self.kind, i, j, raw)
        return raw if self.kind == SQUARED else raw / self.unit


def _manhattan(
    left: NDArray[np.float32], right: NDArray[np.float32]
) -> NDArray[np.float32]:
    distances = np.zeros((len(left), len(right)), dtype=np.float32)
    for start in range(0, left.shape[1], _FEATURES_AT_A_TIME):
        part = slice(start, start + _FEATURES_AT_A_TIME)
        some = np.ascontiguousarray(left[:, part])
        score = make_score_function(Metric("manhattan"), some, "float32", "cpu")
        distances -= score(right[:, part])
    return distances
