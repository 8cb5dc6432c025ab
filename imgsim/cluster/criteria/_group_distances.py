"""Mean distances of rows from groups, of many labelings, in one pass over all pairs.

Tiles of distances come from products in single precision, which are checked: pairs
that are near for their size are compared again in double precision, and so is all if
a sample shows that single precision does not suffice.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.spatial.distance import cdist
from sklearn import get_config

from imgsim._compute.threads import count_threads, map_in_threads
from imgsim._distance.metric import ABSOLUTE, SQUARED, Metric
from imgsim._distance.scores import make_score_function
from imgsim.cluster.algorithms._feature_space import unit_rows

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Sums = Iterator[tuple[slice, Floats]]

_N_ROWS = 512  # of a tile, which stays in the cache of a core
_N_UNIT_ROWS = 128  # of unit length
_N_TRIED = 128  # rows, whose pairs decide on the precision
_N_FEATURES = 1024  # added up in single precision, one after the other
_MOST_CLOSE = 1 / 8  # of the pairs of a tile are worth comparing one by one
_COSINE_ROUNDING = 64 * np.finfo(np.float64).eps


@dataclass(frozen=True)
class Groupings:
    """Labelings of the same rows, all their groups numbered one after the other.

    `codes`, of shape (n_labelings, n_rows), holds the group of each row, -1 for none;
    the groups of a labeling are those from `starts[labeling]` to the next.
    """

    codes: Ints
    starts: Ints

    @property
    def n_groups(self) -> int:
        """Return the number of groups of all labelings."""
        return int(self.starts[-1])

    @property
    def grouped(self) -> Ints:
        """Return the rows that any labeling has in a group."""
        return np.flatnonzero((self.codes >= 0).any(axis=0))

    def groups_of(self, labeling: int) -> slice:
        """Return the numbers of the groups of a labeling."""
        return slice(int(self.starts[labeling]), int(self.starts[labeling + 1]))

    def count(self, rows: Ints) -> Ints:
        """Return how many of some rows each group has."""
        codes = self.codes[:, rows]
        return np.bincount(codes[codes >= 0], minlength=self.n_groups)

    def members(self, rows: Ints) -> Any:
        """Return a sparse matrix, groups by rows, of ones."""
        codes = self.codes[:, rows]
        columns = np.nonzero(codes >= 0)[1]
        entries = np.ones(len(columns)), (codes[codes >= 0], columns)
        return csr_array(entries, shape=(self.n_groups, len(rows)))


@dataclass(frozen=True)
class GroupDescription:
    """How near rows are to the groups of one labeling, see `describe_groups`."""

    silhouette: Floats
    own: Floats


def describe_groups(
    rows: NDArray[Any],
    labels: Ints,
    metric: str,
    *,
    max_columns: int = 20_000,
    seed: int = 0,
) -> GroupDescription:
    """Return silhouettes, and mean distances within groups.

    Parameters
    ----------
    rows : ndarray of shape (n_samples, n_features), float32 or float64
        What is grouped; NaN only where there is no group.

    labels : ndarray of shape (n_samples,), dtype int64
        0 to `n_groups - 1`, each there, or -1 for a row in no group.

    metric : {"euclidean", "cosine", "manhattan"}
        Distance between rows.

    max_columns : int, default=20_000
        With more grouped rows than this, distances to a group are averaged over a
        random sample of it, the row itself not counted: about `max_columns` rows in
        all, of each group its share and at least two. For cosine always over all.

    seed : int, default=0
        Seeds the sample.

    Returns
    -------
    description : GroupDescription
        `silhouette` of shape (n_samples,), NaN for a row in no group, and for all if
        there is one group or all are alone; `own` of shape (n_samples,), the mean
        distance from the other members of the group, 0 for a row that is alone and
        NaN in no group.
    """
    groupings = Groupings(labels[np.newaxis], np.array([0, labels.max() + 1]))
    grouped = columns = groupings.grouped
    if metric != "cosine" and len(grouped) > max_columns:
        columns = _share_of_each_group(labels, grouped, max_columns, seed)
    n_columns, is_column = groupings.count(columns), np.isin(grouped, columns)
    silhouette, own = np.full((2, len(labels)), np.nan)
    for part, sums in sum_distances(rows, metric, groupings, grouped, columns):
        some = grouped[part]
        own[some], silhouette[some] = own_and_silhouette(
            sums, labels[some], n_columns, is_column[part]
        )
    if not 2 <= groupings.n_groups < len(grouped):
        silhouette[:] = np.nan
    return GroupDescription(silhouette, own)


def _share_of_each_group(labels: Ints, grouped: Ints, n_wanted: int, seed: int) -> Ints:
    """Draw rows of each group in proportion to its size, two at least."""
    shuffled = np.random.default_rng(seed).permutation(grouped)
    codes = labels[shuffled]
    share = np.rint(np.bincount(codes) * (n_wanted / len(grouped)))
    return np.sort(shuffled[ranks_in_groups(codes) < np.maximum(share, 2)[codes]])


def ranks_in_groups(codes: Ints) -> Ints:
    """Return how many members of its group stand before each row."""
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    ranks = np.empty_like(order)
    ranks[order] = np.arange(len(codes)) - np.searchsorted(ordered, ordered)
    return ranks


def own_and_silhouette(
    sums: Floats, codes: Ints, n_columns: Ints, is_column: NDArray[np.bool_] | bool
) -> tuple[Floats, Floats]:
    """Return mean distances from the own group, and silhouettes; NaN for code -1.

    `sums`, of shape (n_groups, n_rows), are over `n_columns` rows of each group.
    """
    each = np.arange(len(codes))
    n_others = n_columns[codes] - is_column
    own = sums[codes, each] / np.maximum(n_others, 1)
    means = sums / n_columns[:, np.newaxis]
    means[codes, each] = np.inf
    nearest = means.min(axis=0)
    nearest[np.isinf(nearest)] = 0  # there is no other group
    larger = np.maximum(own, nearest)
    is_judged = (n_others > 0) & (larger > 0)
    silhouette = np.zeros(len(codes))
    np.divide(nearest - own, larger, out=silhouette, where=is_judged)
    own[codes < 0] = silhouette[codes < 0] = np.nan
    return own, silhouette


def sum_distances(
    X: NDArray[Any], metric: str, groupings: Groupings, rows: Ints, columns: Ints
) -> Sums:
    """Yield blocks of rows, with sums of their distances to the columns of each group.

    Sums are of shape (n_groups, n_rows of the block). A row is at distance 0 from
    itself. For cosine, `columns` have to be all rows in groups.
    """
    if metric == "cosine":
        return _cosine_sums(X, groupings, rows, columns)
    comparison = _Comparison(X, metric, columns)
    below = comparison.see(columns)
    are_same = np.array_equal(rows, columns)
    beside = below if are_same else comparison.see(rows)
    n_fitting = int(get_config()["working_memory"] * 2**20 / 4 / 8)
    n_fitting //= groupings.n_groups
    if are_same and len(rows) <= n_fitting:
        return _symmetric_sums(comparison, below, groupings)
    n_at_once = max(1, min(_N_ROWS // 2, n_fitting // (4 * count_threads())))
    return _sums(comparison, beside, below, groupings, n_at_once)


def _cosine_sums(
    X: NDArray[Any], groupings: Groupings, rows: Ints, columns: Ints
) -> Sums:
    """Sum distances of rows of unit length, which are linear."""

    def totals_of(part: slice) -> Floats:
        directions = unit_rows(X[columns[part]].astype(np.float64))
        totals: Floats = groupings.members(columns[part]) @ directions
        return totals

    def sums_of(part: slice) -> tuple[slice, Floats]:
        directions = unit_rows(X[rows[part]].astype(np.float64))
        sums = n_columns - total @ directions.T
        codes = groupings.codes[:, rows[part]]
        to_itself = 1 - np.einsum("ij,ij->i", directions, directions)
        each = np.nonzero(codes >= 0)[1]
        sums[codes[codes >= 0], each] -= to_itself[each]
        sums[sums < _COSINE_ROUNDING * n_columns] = 0
        return part, sums

    n_columns = groupings.count(columns)[:, np.newaxis]
    total = np.zeros((groupings.n_groups, X.shape[1]))
    for some in map_in_threads(
        totals_of, _parts(len(columns), _N_UNIT_ROWS), count_threads()
    ):
        total += some
    yield from map_in_threads(sums_of, _parts(len(rows), _N_UNIT_ROWS), count_threads())


def _symmetric_sums(
    comparison: "_Comparison", rows: "_Rows", groupings: Groupings
) -> Sums:
    """Compare each pair of rows once."""
    parts = _parts(len(rows.index), _N_ROWS)
    members = [groupings.members(rows.index[part]) for part in parts]
    tiles = [(i, j) for j in range(len(parts)) for i in range(j + 1)]

    def sums_of(tile: tuple[int, int]) -> list[tuple[slice, Floats]]:
        i, j = tile
        distances = comparison.distances(rows[parts[i]], rows[parts[j]])
        below = [(parts[j], members[i] @ distances)]
        return below if i == j else [*below, (parts[i], members[j] @ distances.T)]

    sums = np.zeros((groupings.n_groups, len(rows.index)))
    for found in map_in_threads(sums_of, tiles, count_threads()):
        for part, some in found:
            sums[:, part] += some
    return ((part, sums[:, part] * comparison.unit) for part in parts)


def _sums(
    comparison: "_Comparison",
    rows: "_Rows",
    columns: "_Rows",
    groupings: Groupings,
    n_at_once: int,
) -> Sums:
    """Compare all rows with all columns."""
    parts = _parts(len(columns.index), _N_ROWS)
    members = [groupings.members(columns.index[part]) for part in parts]

    def sums_of(some: slice) -> tuple[slice, Floats]:
        sums = np.zeros((groupings.n_groups, some.stop - some.start))
        for part, ones in zip(parts, members, strict=True):
            sums += ones @ comparison.distances(columns[part], rows[some])
        return some, sums * comparison.unit

    yield from map_in_threads(
        sums_of, _parts(len(rows.index), n_at_once), count_threads()
    )


def _parts(n_rows: int, n_at_once: int) -> list[slice]:
    return [slice(a, min(a + n_at_once, n_rows)) for a in range(0, n_rows, n_at_once)]


@dataclass(frozen=True)
class _Rows:
    """Some rows as they are compared, and the sums of their squares or amounts."""

    index: Ints
    values: NDArray[Any]
    size: NDArray[Any]

    def __getitem__(self, some: slice) -> "_Rows":
        return _Rows(self.index[some], self.values[some], self.size[some])


class _Comparison:
    """Distances of rows, in units whose squares neither overflow nor vanish."""

    def __init__(self, X: NDArray[Any], metric: str, columns: Ints) -> None:
        self.X = np.ascontiguousarray(X)
        self.kind = SQUARED if metric == "euclidean" else ABSOLUTE
        some = columns[:: len(columns) // 1000 + 1]
        self.center = X[some].mean(axis=0, dtype=np.float64)
        # Of its size, where a distance begins to be rounded too much.
        self.least_share = {"f": 1 / 16, "d": 1e-9}
        if self.kind == ABSOLUTE and X.dtype == np.float32:
            self.center[:] = 0  # differences of what is given are right
            self.least_share["f"] = 0
        largest = max(np.fmax.reduce(X, axis=None), -np.fmin.reduce(X, axis=None))
        self.unit = float(np.ldexp(1.0, np.clip(np.frexp(largest)[1], -1000, 1000)))
        suits = self._suits_float32(columns)
        self.dtype: type = np.float32 if suits else np.float64

    def _suits_float32(self, columns: Ints) -> bool:
        """Try a sample of pairs: terms that are all alike are all rounded one way."""
        some = columns[:: len(columns) // _N_TRIED + 1]
        itself = np.diag_indices(len(some))
        rows, exact = self.see(some, np.float32), self.see(some, np.float64)
        single, close = self._compare(rows, rows, itself)
        double, _ = self._compare(exact, exact, itself)
        far = ~close & np.isfinite(single)
        is_right = np.abs(single[far] - double[far]) <= 1e-5 * double[far]
        return bool(close.mean() <= _MOST_CLOSE and is_right.all())

    def see(self, index: Ints, dtype: type | None = None) -> _Rows:
        """Return rows as they are compared."""
        dtype = dtype or self.dtype
        values: NDArray[Any] = np.empty((len(index), self.X.shape[1]), dtype=dtype)
        size: NDArray[Any] = np.empty(len(index), dtype=dtype)
        for part in _parts(len(index), _N_ROWS):
            seen = self.X[index[part]] - self.center
            seen *= 1 / self.unit
            values[part] = seen
            other = seen if self.kind == SQUARED else np.sign(seen)
            size[part] = np.einsum("ij,ij->i", seen, other)
        return _Rows(index, values, size)

    def distances(self, left: _Rows, right: _Rows) -> Floats:
        """Return the distances of all rows on the left from those on the right."""
        itself = np.nonzero(left.index[:, np.newaxis] == right.index)
        compared, close = self._compare(left, right, itself)
        if close.mean() > _MOST_CLOSE and compared.dtype == np.float32:
            left, right = (self.see(rows.index, np.float64) for rows in (left, right))
            compared, close = self._compare(left, right, itself)
        compared = compared.astype(np.float64, copy=False)
        compared[itself] = 0
        if close.any():
            i, j = np.nonzero(close)
            compared[i, j] = self._compare_pairs(left.index[i], right.index[j])
        return np.sqrt(compared, out=compared) if self.kind == SQUARED else compared

    def _compare(
        self, left: _Rows, right: _Rows, itself: tuple[Ints, ...]
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Compare all rows, and tell where that is rounded too much."""
        if self.kind == SQUARED:
            compared = left.values @ right.values.T
            compared *= -2
            compared += left.size[:, np.newaxis]
            compared += right.size
        elif left.values.dtype == np.float32:
            compared = _manhattan(left.values, right.values)
        else:
            compared = cdist(left.values, right.values, "cityblock")
        compared[itself] = np.inf
        share = compared.dtype.type(self.least_share[compared.dtype.char])
        return compared, compared <= np.add.outer(share * left.size, share * right.size)

    def _compare_pairs(self, i: Ints, j: Ints) -> Floats:
        """Compare pairs of what is given in double precision."""
        from imgsim._distance.kernels import compare_pairs

        shift, scale = np.zeros(len(self.X)), np.full(len(self.X), 1 / self.unit)
        compared = np.empty(len(i))
        rows = self.X, shift, scale
        compare_pairs(*rows, *rows, self.kind, i, j, compared)
        return compared if self.kind == SQUARED else compared / self.unit


def _manhattan(
    left: NDArray[np.float32], right: NDArray[np.float32]
) -> NDArray[np.float32]:
    found = np.zeros((len(left), len(right)), dtype=np.float32)
    for start in range(0, left.shape[1], _N_FEATURES):
        part = slice(start, start + _N_FEATURES)
        some = np.ascontiguousarray(left[:, part])
        score = make_score_function(Metric("manhattan"), some, "float32", "cpu")
        found -= score(right[:, part])
    return found
