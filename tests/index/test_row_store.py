"""Any life of an index, step by step, beside a dictionary and brute force."""

import pickle
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.distance import cdist

from imgsim import SimilarityIndex

METRICS = {"cosine": "cosine", "euclidean": "euclidean", "manhattan": "cityblock"}
NAN = (np.nan,) * 3
# Few values in few directions: copies, ties and rows of zeros come often.
VECTORS = st.tuples(*[st.integers(-2, 2).map(float)] * 3)
ROWS = st.lists(
    st.one_of(VECTORS, VECTORS, VECTORS, st.just(NAN)), min_size=1, max_size=4
)
# The str "3" is not the int 3.
NAMES = st.one_of(st.integers(-2, 12), st.sampled_from(["a", "b", "3", "ü", "\udcff"]))
QUERIES = np.array([[1, 2, 0], [0, 0, 0], [-2, 1, 1], NAN, [2, 2, 2]])


def _true_distances(queries, rows, metric):
    queries, rows = np.asarray(queries, float), np.asarray(rows, float)
    distances = cdist(queries, rows.reshape(-1, queries.shape[1]), METRICS[metric])
    if metric == "cosine":  # SciPy divides by the length of a row of zeros
        zero = ~queries.any(axis=1)[:, None] | ~rows.any(axis=1)[None]
        distances[zero] = 1
    return distances


class _Life(RuleBasedStateMachine):
    """An index, and beside it a dictionary: id to row, in the order of arrival."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.n_saved = 0

    def teardown(self):
        """Remove what was saved."""
        self.folder.cleanup()

    def begin(self, index, rows, names, labelled):
        """Fit the index and fill the dictionary."""
        self.dtype = rows.dtype
        self.labelled = labelled
        labels = self.labels(rows)
        self.index = index.fit(rows, labels, ids=names)
        names = range(len(rows)) if names is None else names
        self.known = dict(zip(names, rows, strict=True))

    def labels(self, rows):
        """Return the labels of rows, if rows have labels."""
        return [f"label {row[0]}" for row in rows] if self.labelled else None

    def is_readable(self, known):
        """Tell whether some row can be read."""
        return any(not np.isnan(row).any() for row in known.values())

    @property
    def table(self):
        """Return all rows."""
        return np.array(list(self.known.values()), dtype=self.dtype)

    @property
    def readable(self):
        """Return which rows can be read."""
        return ~np.isnan(self.table).any(axis=1)

    def expected(self, queries, allowed, own=None):
        """Return for each query the rows that may be found and how far they are."""
        rows = np.flatnonzero(allowed & self.readable)
        distances = _true_distances(
            np.nan_to_num(queries), self.table[rows], self.metric
        )
        for i, query in enumerate(queries):
            found = np.full(len(rows), not np.isnan(query).any())
            found &= True if own is None else rows != own[i]
            yield rows[found], distances[i][found]

    def append(self, rows, names):
        """Put rows behind the others; those of the same id go."""
        for name, row in zip(names, rows, strict=True):
            self.known.pop(name, None)
            self.known[name] = row

    @rule(mmap_mode=st.sampled_from(["r", None]))
    def save_and_load(self, mmap_mode):
        """Go on with what comes back from a file."""
        self.n_saved += 1
        path = Path(self.folder.name) / f"{self.n_saved % 2}.index"
        self.index.save(path)
        self.index = SimilarityIndex.load(path, mmap_mode=mmap_mode)

    @rule()
    def pickle(self):
        """Go on with what comes back from a pickle."""
        self.index = pickle.loads(pickle.dumps(self.index))

    @invariant()
    def rows_are_those_of_the_dictionary(self):
        """Compare ids, labels and what can be read."""
        assert self.index.ids_.tolist() == list(self.known)
        assert self.index.n_samples_fit_ == len(self.known)
        assert_array_equal(self.index.readable_, self.readable)
        if self.labelled:
            assert self.index.y_.tolist() == self.labels(self.table)


class ExactLife(_Life):
    """Answers are those of brute force, ties broken by row number."""

    @initialize(
        metric=st.sampled_from(sorted(METRICS)),
        rows=ROWS,
        names=st.one_of(st.none(), st.lists(NAMES, unique=True, min_size=12)),
        labelled=st.booleans(),
        dtype=st.sampled_from([np.float32, np.float64]),
    )
    def fit(self, metric, rows, names, labelled, dtype):
        """Begin with some rows."""
        self.metric = metric
        rows = np.array([*rows, (1, 2, 0)][-12:], dtype=dtype)
        names = names and names[: len(rows)]
        index = SimilarityIndex(metric=metric, algorithm="exact")
        self.begin(index, rows, names, labelled)

    @rule(rows=ROWS, data=st.data(), replace=st.booleans())
    def add(self, rows, data, replace):
        """Add rows with ids, some perhaps taken."""
        rows = np.array(rows, dtype=self.dtype)
        size = {"min_size": len(rows), "max_size": len(rows)}
        names = data.draw(st.lists(NAMES, unique=True, **size))
        taken = set(names) & set(self.known)
        if taken and not replace:
            with pytest.raises(ValueError, match=f"{len(taken)} of the ids"):
                self.index.add(rows, names, y=self.labels(rows))
            return
        left = {name: row for name, row in self.known.items() if name not in taken}
        assume(self.is_readable(left))
        self.index.add(rows, names, y=self.labels(rows), replace=replace)
        self.append(rows, names)

    @rule(rows=ROWS)
    def add_without_ids(self, rows):
        """Add rows, named by the next numbers if all names are numbers."""
        rows = np.array(rows, dtype=self.dtype)
        if not all(isinstance(name, int) for name in self.known):
            with pytest.raises(ValueError, match="ids must be passed"):
                self.index.add(rows, y=self.labels(rows))
            return
        self.index.add(rows, y=self.labels(rows))
        new = self.index.ids_[-len(rows) :].tolist()
        assert new == list(range(new[0], new[0] + len(rows)))
        assert new[0] > max(self.known)
        self.append(rows, new)

    @rule(n_copies=st.integers(1, 3), data=st.data())
    def add_copies(self, n_copies, data):
        """Add copies of a row."""
        row = self.table[data.draw(st.integers(0, len(self.known) - 1))]
        rows = np.tile(row, (n_copies, 1))
        names = [f"copy {len(self.known)} {i}" for i in range(n_copies)]
        assume(not set(names) & set(self.known))
        self.index.add(rows, names, y=self.labels(rows))
        self.append(rows, names)

    @rule(data=st.data(), stranger=st.one_of(st.none(), NAMES))
    def remove(self, data, stranger):
        """Remove rows, or nothing if one is unknown or none would be left."""
        names = data.draw(st.lists(st.sampled_from(list(self.known)), unique=True))
        left = {name: row for name, row in self.known.items() if name not in names}
        if stranger is not None and stranger not in self.known:
            with pytest.raises(KeyError, match="no row with id"):
                self.index.remove([*names, stranger])
        elif not self.is_readable(left):
            with pytest.raises(ValueError, match="no readable row"):
                self.index.remove(names)
        else:
            self.index.remove(names)
            self.known = left

    @rule()
    def remove_all(self):
        """Remove no row when asked for all."""
        with pytest.raises(ValueError, match="no readable row"):
            self.index.remove(list(self.known))

    @rule(
        k=st.integers(1, 20),
        max_distance=st.sampled_from([None, 0.3, 1.37, 2.3]),
        chosen=st.one_of(st.none(), st.integers(0, 2**32)),
        left_out=st.sampled_from(["none", "everywhere", "by query"]),
        data=st.data(),
    )
    def search(self, k, max_distance, chosen, left_out, data):
        """Search with all that may narrow it."""
        allowed = np.ones(len(self.known), dtype=bool)
        where, exclude_ids, of_query = None, None, [()] * len(QUERIES)
        if chosen is not None:
            bits = np.random.default_rng(chosen).integers(0, 2, len(allowed))
            where = allowed = bits.astype(bool)
        names = st.lists(st.one_of(NAMES, st.sampled_from(list(self.known))))
        if left_out == "everywhere":
            exclude_ids = data.draw(names)
            of_query = [exclude_ids] * len(QUERIES)
        if left_out == "by query":
            exclude_ids = of_query = [data.draw(names) for _ in QUERIES]
        queries = QUERIES.astype(self.dtype)

        found = self.index.search(
            queries, k, max_distance, where=where, exclude_ids=exclude_ids
        )

        for i, names in enumerate(of_query):
            free = allowed & ~np.isin(np.arange(len(allowed)), self.rows_of(names))
            rows, distances = next(iter(self.expected(queries[i : i + 1], free)))
            limit = np.inf if max_distance is None else max_distance
            self.check(found.ids[i], found.distances[i], rows, distances, k, limit)

    @invariant()
    def neighbours_are_those_of_brute_force(self):
        """Compare the neighbours of new queries."""
        queries = QUERIES.astype(self.dtype)
        k = min(3, int(self.readable.sum()))

        distances, indices = self.index.kneighbors(queries, k)
        near, within = self.index.radius_neighbors(queries, 1.37)

        every, ids = np.ones(len(self.known), dtype=bool), self.index.ids_
        for i, (rows, true) in enumerate(self.expected(queries, every)):
            if np.isnan(queries[i]).any():
                assert_array_equal(indices[i], -1)
                assert len(within[i]) == 0
                continue
            self.check(ids[indices[i]], distances[i], rows, true, k, np.inf)
            assert_array_equal(within[i], rows[true < 1.37])
            assert_allclose(near[i], true[true < 1.37], atol=1e-6)

    @invariant()
    def no_row_is_its_own_neighbour(self):
        """Compare the neighbours of the rows themselves."""
        found = self.index.search(n_neighbors=2)

        every = np.ones(len(self.known), dtype=bool)
        truth = self.expected(self.table, every, range(len(every)))
        for i, (rows, distances) in enumerate(truth):
            self.check(found.ids[i], found.distances[i], rows, distances, 2, np.inf)

    def rows_of(self, names):
        """Return the numbers of the rows with these ids."""
        every = list(self.known)
        return [every.index(name) for name in names if name in self.known]

    def check(self, ids, distances, rows, true, k, limit):
        """Compare an answer with the distances of all rows that may be in it."""
        # Computed in another order of operations, equal distances differ a little.
        order = np.lexsort((rows, true.round(9)))
        order = order[true[order] <= limit + 1e-9][:k]
        assert_allclose(distances, true[order], atol=1e-6)
        assert (np.diff(distances) >= 0).all()
        if self.metric == "cosine":
            far = dict(zip(rows.tolist(), true, strict=True))
            found = self.rows_of(ids.tolist())
            assert len(set(found)) == len(ids)
            assert_allclose([far[row] for row in found], distances, atol=1e-6)
        else:
            every = list(self.known)
            assert ids.tolist() == [every[row] for row in rows[order]]


class GraphLife(_Life):
    """Answers are nearly those of brute force, and nothing removed is among them."""

    metric = "euclidean"

    @initialize(seed=st.integers(0, 2**20), labelled=st.booleans())
    def fit(self, seed, labelled):
        """Begin with some rows."""
        self.rng = np.random.default_rng(seed)
        self.centers = self.rng.normal(size=(5, 6)) * 4
        index = SimilarityIndex(
            metric=self.metric, algorithm="pynndescent", recall=0.99, random_state=0
        )
        self.begin(index, self.draw(80), None, labelled)
        self.gone = set()

    def draw(self, n):
        """Return rows in groups, some equal and some unreadable."""
        centers = self.centers[self.rng.integers(0, 5, size=n)]
        rows = (centers + self.rng.normal(size=(n, 6))).astype(np.float32)
        rows[1::9] = rows[0]
        rows[5::13] = np.nan
        return rows

    @rule(n=st.integers(1, 30), n_replaced=st.integers(0, 5))
    def add(self, n, n_replaced):
        """Add rows, some in the place of others."""
        rows = self.draw(n)
        first = max([*self.known, *self.gone]) + 1
        names = [*list(self.known)[:n_replaced], *range(first, first + n)][:n]
        self.index.add(rows, names, y=self.labels(rows), replace=True)
        self.append(rows, names)

    @rule(share=st.sampled_from([0.02, 0.1, 0.4]))
    def remove(self, share):
        """Remove some rows, perhaps so many that the graph is rebuilt."""
        assume(len(self.known) > 30)
        names = [name for name in self.known if self.rng.random() < share]
        self.index.remove(names)
        self.gone |= set(names)
        for name in names:
            del self.known[name]

    @invariant()
    def nearly_all_neighbours_are_found(self):
        """Compare a filtered search with brute force."""
        queries = self.draw(12)
        allowed = self.rng.random(len(self.known)) < 0.7
        left_out = set(list(self.known)[::7])

        distances, found = self.index.search(
            queries, 5, where=allowed, exclude_ids=left_out
        )

        assert self.index.algorithm_ == "pynndescent"
        every = np.array(list(self.known))
        free = allowed & ~np.isin(every, list(left_out))
        hits = []
        for i, (rows, true) in enumerate(self.expected(queries, free)):
            assert len(found[i]) == min(5, len(true))
            row_of = dict(zip(every[rows].tolist(), true, strict=True))
            far = [row_of[name] for name in found[i].tolist()]
            assert len(row_of) >= len(set(found[i])) == len(far)
            assert_allclose(distances[i], far, rtol=1e-5, atol=1e-6)
            hits += list(np.array(far) <= np.sort(true)[len(far) - 1 : len(far)] + 1e-5)
        assert np.mean(hits) >= 0.9

    @invariant()
    def the_graph_knows_itself(self):
        """Look for rows among their own neighbours."""
        distances, indices = self.index.kneighbors(n_neighbors=2)

        assert not (indices == np.arange(len(indices))[:, None]).any()
        assert_array_equal(indices[:, 0] < 0, ~self.readable)
        rows = self.table[self.readable].astype(float)
        true = np.linalg.norm(
            rows[:, None] - self.table[indices[self.readable]].astype(float), axis=2
        )
        assert_allclose(distances[self.readable], true, rtol=1e-5, atol=1e-6)


TestExactLife = ExactLife.TestCase
TestExactLife.settings = settings(
    derandomize=True, deadline=None, max_examples=60, stateful_step_count=15
)
TestGraphLife = GraphLife.TestCase
TestGraphLife.settings = settings(
    derandomize=True, deadline=None, max_examples=10, stateful_step_count=10
)
