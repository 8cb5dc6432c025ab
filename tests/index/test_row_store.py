"""Sequences of changes to an index agree with a dictionary and brute force."""

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
from imgsim.index._row_store import check_ids, make_ids, next_id

METRICS = {"cosine": "cosine", "euclidean": "euclidean", "manhattan": "cityblock"}
NAN = (np.nan,) * 3
# With few values, copies, ties and rows of zeros are frequent.
VECTORS = st.tuples(*[st.integers(-2, 2).map(float)] * 3)
ROWS = st.lists(
    st.one_of(VECTORS, VECTORS, VECTORS, st.just(NAN)), min_size=1, max_size=4
)
# The string "3" is not the integer 3.
NAMES = st.one_of(st.integers(-2, 12), st.sampled_from(["a", "b", "3", "ü", "\udcff"]))
QUERIES = np.array([[1, 2, 0], [0, 0, 0], [-2, 1, 1], NAN, [2, 2, 2]])


def _true_distances(queries, rows, metric):
    queries, rows = np.asarray(queries, float), np.asarray(rows, float)
    distances = cdist(queries, rows.reshape(-1, queries.shape[1]), METRICS[metric])
    if metric == "cosine":  # SciPy returns NaN for rows of zeros
        zero = ~queries.any(axis=1)[:, None] | ~rows.any(axis=1)[None]
        distances[zero] = 1
    return distances


class _Changes(RuleBasedStateMachine):
    """An index, and a dictionary from id to row in the order of addition."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.n_saved = 0

    def teardown(self):
        """Remove the saved files."""
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
        """Return the labels of rows, or None without labels."""
        return [f"label {row[0]}" for row in rows] if self.labelled else None

    def is_readable(self, known):
        """Return whether some row is readable."""
        return any(not np.isnan(row).any() for row in known.values())

    @property
    def table(self):
        """Return all rows."""
        return np.array(list(self.known.values()), dtype=self.dtype)

    @property
    def readable(self):
        """Return which rows are readable."""
        return ~np.isnan(self.table).any(axis=1)

    def expected(self, queries, allowed, own=None):
        """Yield the rows that may be found by each query, and their distances."""
        rows = np.flatnonzero(allowed & self.readable)
        distances = _true_distances(
            np.nan_to_num(queries), self.table[rows], self.metric
        )
        for i, query in enumerate(queries):
            is_candidate = np.full(len(rows), not np.isnan(query).any())
            is_candidate &= True if own is None else rows != own[i]
            yield rows[is_candidate], distances[i][is_candidate]

    def append(self, rows, names):
        """Append rows, and remove rows with the same ids."""
        for name, row in zip(names, rows, strict=True):
            self.known.pop(name, None)
            self.known[name] = row

    @rule(mmap_mode=st.sampled_from(["r", None]))
    def save_and_load(self, mmap_mode):
        """Continue with the index that is read back from a file."""
        self.n_saved += 1
        path = Path(self.folder.name) / f"{self.n_saved % 2}.index"
        self.index.save(path)
        self.index = SimilarityIndex.load(path, mmap_mode=mmap_mode)

    @rule()
    def pickle(self):
        """Continue with the unpickled index."""
        self.index = pickle.loads(pickle.dumps(self.index))

    @invariant()
    def rows_are_those_of_the_dictionary(self):
        """Compare ids, labels and readable rows."""
        assert self.index.ids_.tolist() == list(self.known)
        assert self.index.n_samples_fit_ == len(self.known)
        assert_array_equal(self.index.readable_, self.readable)
        if self.labelled:
            assert self.index.y_.tolist() == self.labels(self.table)


class ExactChanges(_Changes):
    """The results are those of brute force, with ties broken by row number."""

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
        """Add rows with the next integers as ids, if all ids are integers."""
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
            with pytest.raises(KeyError, match="are not in the index"):
                self.index.remove([*names, stranger])
        elif not self.is_readable(left):
            with pytest.raises(ValueError, match="one readable row"):
                self.index.remove(names)
        else:
            self.index.remove(names)
            self.known = left

    @rule()
    def remove_all(self):
        """Try to remove every row, which is refused."""
        with pytest.raises(ValueError, match="one readable row"):
            self.index.remove(list(self.known))

    @rule(
        k=st.integers(1, 20),
        max_distance=st.sampled_from([None, 0.3, 1.37, 2.3]),
        chosen=st.one_of(st.none(), st.integers(0, 2**32)),
        left_out=st.sampled_from(["none", "everywhere", "by query"]),
        data=st.data(),
    )
    def search(self, k, max_distance, chosen, left_out, data):
        """Search with all filters."""
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

        result = self.index.search(
            queries, k, max_distance, where=where, exclude_ids=exclude_ids
        )

        for i, names in enumerate(of_query):
            free = allowed & ~np.isin(np.arange(len(allowed)), self.rows_of(names))
            rows, distances = next(iter(self.expected(queries[i : i + 1], free)))
            limit = np.inf if max_distance is None else max_distance
            self.check(result.ids[i], result.distances[i], rows, distances, k, limit)

    @invariant()
    def neighbors_are_those_of_brute_force(self):
        """Compare the neighbors of new queries."""
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
    def no_row_is_its_own_neighbor(self):
        """Compare the neighbors of the indexed rows."""
        result = self.index.search(n_neighbors=2)

        every = np.ones(len(self.known), dtype=bool)
        truth = self.expected(self.table, every, range(len(every)))
        for i, (rows, distances) in enumerate(truth):
            self.check(result.ids[i], result.distances[i], rows, distances, 2, np.inf)

    def rows_of(self, names):
        """Return the row numbers of these ids."""
        every = list(self.known)
        return [every.index(name) for name in names if name in self.known]

    def check(self, ids, distances, rows, true, k, limit):
        """Compare a result with the distances of all rows that may be in it."""
        # Rounding errors make equal distances differ slightly.
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


class GraphChanges(_Changes):
    """Nearly all results are those of brute force, and removed rows are never found."""

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
        """Return rows in clusters, some of them equal and some unreadable."""
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
    def nearly_all_neighbors_are_found(self):
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
    def indexed_rows_find_other_rows(self):
        """Compare the neighbors of the indexed rows with their distances."""
        distances, indices = self.index.kneighbors(n_neighbors=2)

        assert not (indices == np.arange(len(indices))[:, None]).any()
        assert_array_equal(indices[:, 0] < 0, ~self.readable)
        rows = self.table[self.readable].astype(float)
        true = np.linalg.norm(
            rows[:, None] - self.table[indices[self.readable]].astype(float), axis=2
        )
        assert_allclose(distances[self.readable], true, rtol=1e-5, atol=1e-6)


TestExactChanges = ExactChanges.TestCase
TestExactChanges.settings = settings(
    derandomize=True, deadline=None, max_examples=60, stateful_step_count=15
)
TestGraphChanges = GraphChanges.TestCase
TestGraphChanges.settings = settings(
    derandomize=True, deadline=None, max_examples=10, stateful_step_count=10
)


@pytest.mark.parametrize(
    "ids",
    [
        [1, "1", ("a", 1), 2.5, None, frozenset([1])],
        np.arange(6),
        np.array(list("abcdef")),
        range(6),
        tuple("abcdef"),
        [2**70, -(2**70), 0, "\udcff", "", b"\xff"],
    ],
    ids=["mixed", "integers", "words", "range", "tuple", "odd"],
)
def test_ids_may_be_any_hashable(ids):
    """They are kept unchanged and in order."""
    expected = ids.tolist() if isinstance(ids, np.ndarray) else list(ids)

    assert check_ids(ids, 6).tolist() == expected


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        (["a", "b", "a"], ValueError, r"\[0\] and ids\[2\] are both 'a'"),
        ([1, True, 2], ValueError, r"\[0\] and ids\[1\] are both True"),
        ([1, 2], ValueError, "ids has 2 entries and X has 3 rows"),
        ([1, float("nan"), 2], ValueError, r"ids\[1\] is nan"),
        ([1, [2], 3], TypeError, r"ids\[1\] is \[2\]"),
        (np.ones((3, 2)), TypeError, r"ids\[0\] is "),
        ("abc", TypeError, "ids='abc' must be a sequence"),
        (b"abc", TypeError, "must be a sequence"),
        (3, TypeError, "ids=3 must be a sequence"),
        (iter("abc"), TypeError, "must be a sequence"),
    ],
)
def test_invalid_ids_are_refused(ids, error, message):
    """The message has the position and the id."""
    with pytest.raises(error, match=message):
        check_ids(ids, 3)


def _after(ids, n_rows):
    return make_ids(next_id(ids, 0), n_rows).tolist()


def test_new_ids_follow_the_largest_integer():
    """Integers may exceed 64 bits, and negative ones are not continued."""
    assert _after(np.array([3, 9, 4]), 2) == [10, 11]
    assert _after(check_ids([-5, -7], 2), 1) == [0]
    assert _after(check_ids([2**70], 1), 2) == [2**70 + 1, 2**70 + 2]
    assert next_id(np.array([3]), 7) == 7


def test_new_ids_are_integers_beyond_64_bits():
    """Two such numbers may be equal as floats."""
    assert _after(check_ids([2**63 - 1], 1), 2) == [2**63, 2**63 + 1]


def test_ids_of_numpy_integers_become_python_integers():
    """`list(array)` has NumPy integers, which JSON cannot represent."""
    ids = check_ids(list(np.arange(3)), 3)

    assert _after(ids, 1) == [3]
    assert all(type(name) is int for name in ids)


def test_new_ids_must_be_passed_after_strings():
    """No integer follows the id "b"."""
    with pytest.raises(ValueError, match="ids must be passed"):
        _after(check_ids([1, "b"], 2), 1)
