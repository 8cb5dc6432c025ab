"""An index is read back from its file unchanged, or the file is refused."""

import copy
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.exceptions import NotFittedError

from imgsim import SimilarityIndex
from imgsim.exceptions import IndexFileError
from imgsim.index.storage._array_file import read_arrays, write_arrays
from imgsim.index.storage._index_file import INDEX_FORMAT_VERSION

KIND = "imgsim.SimilarityIndex"
VERSIONS = range(INDEX_FORMAT_VERSION, INDEX_FORMAT_VERSION + 1)
MODES = pytest.mark.parametrize("mmap_mode", ["r", None])


@pytest.fixture
def rows():
    """Return 30 rows of width 4, one of them unreadable."""
    rows = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    rows[5] = np.nan
    return rows


def _assert_same(found, expected, queries):
    assert found.ids_.tolist() == expected.ids_.tolist()
    types = [list(map(type, index.ids_.tolist())) for index in (found, expected)]
    assert types[0] == types[1]
    assert_array_equal(found.readable_, expected.readable_)
    assert (found.y_ is None) == (expected.y_ is None)
    if found.y_ is not None:
        assert found.y_.tolist() == expected.y_.tolist()
        assert found.y_.dtype.kind == expected.y_.dtype.kind
    assert found.get_params() == expected.get_params()
    for method in ("kneighbors", "radius_neighbors"):
        for one, other in zip(
            getattr(found, method)(queries),
            getattr(expected, method)(queries),
            strict=True,
        ):
            for a, b in zip(one, other, strict=True):
                assert_array_equal(a, b)


@MODES
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"metric": "euclidean", "radius": np.float32(2), "n_neighbors": np.int64(3)},
        {"metric": "inner_product"},
        {"metric": "seuclidean"},
        {"query_expansion": 3, "database_augmentation": 2, "random_state": 4},
        {"algorithm": "pynndescent"},
        {"metric": "minkowski", "metric_params": {"p": 3}},
    ],
    ids=str,
)
def test_an_index_is_read_back_unchanged(parameters, mmap_mode, rows, tmp_path):
    """It has the same rows, ids, parameters and results."""
    rows = rows[~np.isnan(rows).any(axis=1)]
    index = SimilarityIndex(**parameters).fit(rows, fingerprint="this")

    index.save(tmp_path / "a.index")
    loaded = SimilarityIndex.load(tmp_path / "a.index", mmap_mode=mmap_mode)

    _assert_same(loaded, index, rows[:4])
    assert loaded.fingerprint_ == "this"
    assert loaded.algorithm_ == index.algorithm_
    assert loaded.recall_ == index.recall_


IDS = {
    "default": None,
    "numbers": range(30),
    "words": [f"picture {i}" for i in range(30)],
    "mixed": [3, "3", 2.5, "\udcff.jpg", 2**70, -(2**63), "", *range(10, 33)],
    "paths of bytes": [os.fsdecode(bytes([255, 65 + i])) for i in range(30)],
}


@MODES
@pytest.mark.parametrize("ids", IDS.values(), ids=IDS)
def test_ids_are_read_back_unchanged(ids, mmap_mode, rows, tmp_path):
    """They have the same types, whatever characters and digits they consist of."""
    index = SimilarityIndex().fit(rows, ids=ids)

    index.save(tmp_path / "a.index")
    loaded = SimilarityIndex.load(tmp_path / "a.index", mmap_mode=mmap_mode)

    _assert_same(loaded, index, rows)


@pytest.mark.parametrize(
    "labels",
    [
        np.arange(30),
        np.arange(30) / 7,
        np.arange(30) % 2 == 0,
        np.array([f"ü{i}" for i in range(30)]),
        np.array([*range(15), *map(str, range(15))], dtype=object),
        np.array([None, *range(29)], dtype=object),
        np.array([2**70, *range(29)], dtype=object),
    ],
    ids=["int", "float", "bool", "str", "object", "None", "large"],
)
def test_labels_are_read_back_unchanged(labels, rows, tmp_path):
    """They have the same dtype."""
    index = SimilarityIndex().fit(rows, labels)

    index.save(tmp_path / "a.index")

    _assert_same(SimilarityIndex.load(tmp_path / "a.index"), index, rows)


@pytest.mark.parametrize(
    ("ids", "name"),
    [
        ([("a", 1), *range(29)], r"\('a', 1\)"),
        ([frozenset("a"), *range(29)], "frozenset"),
        ([None, ("a", 1), *range(28)], r"\('a', 1\)"),
    ],
)
def test_ids_that_json_cannot_represent_are_refused(ids, name, rows, tmp_path):
    """A tuple would become a list, which does not equal the id."""
    index = SimilarityIndex().fit(rows, ids=ids)

    with pytest.raises(ValueError, match=f"ids contains {name}.*only str"):
        index.save(tmp_path / "a.index")

    assert list(tmp_path.iterdir()) == []


def test_numpy_integers_are_saved_as_ids(rows, tmp_path):
    """`list(array)` has such elements."""
    SimilarityIndex().fit(rows, ids=list(np.arange(30))).save(tmp_path / "a.index")


def test_a_metric_that_is_a_function_is_refused(rows, tmp_path):
    """Loading a file must never execute code from it."""
    index = SimilarityIndex(metric=lambda x, y: abs(x - y).sum()).fit(rows)

    with pytest.raises(ValueError, match="is a function, which cannot be saved"):
        index.save(tmp_path / "a.index")


def test_an_unfitted_index_is_not_saved(tmp_path):
    """It has no content."""
    with pytest.raises(NotFittedError):
        SimilarityIndex().save(tmp_path / "a.index")


def test_feature_names_are_read_back(rows, tmp_path):
    """A DataFrame with other columns must be refused after loading, too."""
    table = pd.DataFrame(rows, columns=list("abcd"))
    SimilarityIndex().fit(table).save(tmp_path / "a.index")

    loaded = SimilarityIndex.load(tmp_path / "a.index")

    loaded.kneighbors(table)
    with pytest.raises(ValueError, match="feature names"):
        loaded.kneighbors(table[list("dcba")])


@MODES
def test_a_loaded_index_can_be_changed_and_saved(mmap_mode, rows, tmp_path):
    """Rows are added and removed, and the index is pickled and saved again."""
    path = tmp_path / "a.index"
    index = SimilarityIndex().fit(rows, ids=range(30))
    index.save(path)
    loaded = SimilarityIndex.load(path, mmap_mode=mmap_mode)

    for one in (index, loaded):
        one.add(rows[:3] * 2, ["x", "y", "z"]).remove([0, 7, "y"])
    loaded.save(path)

    _assert_same(loaded, index, rows)
    _assert_same(pickle.loads(pickle.dumps(loaded)), index, rows)
    _assert_same(copy.deepcopy(loaded), index, rows)
    _assert_same(SimilarityIndex.load(path, mmap_mode=mmap_mode), index, rows)


@MODES
def test_the_file_may_be_replaced_while_it_is_mapped(mmap_mode, rows, tmp_path):
    """The index keeps using the old content of the file."""
    path = tmp_path / "a.index"
    SimilarityIndex().fit(rows).save(path)
    loaded = SimilarityIndex.load(path, mmap_mode=mmap_mode)
    before = loaded.kneighbors(rows)

    SimilarityIndex().fit(rows[::-1]).save(path)

    for one, other in zip(loaded.kneighbors(rows), before, strict=True):
        assert_array_equal(one, other)


def test_a_graph_with_removed_rows_is_saved(tmp_path):
    """Its links refer to the slots of the rows that it was built from."""
    rows = np.random.default_rng(0).normal(size=(400, 4))
    index = SimilarityIndex(metric="euclidean", algorithm="pynndescent", random_state=0)
    index.fit(rows).remove(range(80))

    index.save(tmp_path / "a.index")
    loaded = SimilarityIndex.load(tmp_path / "a.index")

    assert loaded.algorithm_ == "pynndescent"
    assert loaded.ids_.tolist() == list(range(80, 400))
    for found, expected in zip(
        loaded.kneighbors(rows), index.kneighbors(rows), strict=True
    ):
        assert_array_equal(found, expected)


SEARCHED = """
import sys
import numpy as np
from imgsim import SimilarityIndex
index = SimilarityIndex.load(sys.argv[1], mmap_mode="r")
print(index.search(np.eye(4, dtype=np.float32)).ids)
"""


def _run(script, path):
    return subprocess.run(
        [sys.executable, "-c", script, str(path)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_two_processes_map_one_file(rows, tmp_path):
    """Both find the same neighbors."""
    path = tmp_path / "a.index"
    index = SimilarityIndex().fit(rows)
    index.save(path)
    loaded = SimilarityIndex.load(path)

    other = _run(SEARCHED, path)

    _, ids = loaded.search(np.eye(4, dtype=np.float32))
    assert other.stdout.strip() == str(ids), other.stderr


KILLED_WHILE_SAVING = """
import os, random, signal, sys, time
import numpy as np
from imgsim import SimilarityIndex

path, rng = sys.argv[1], random.Random(0)
rows = [np.full((20_000, 8), number) for number in (1.0, 2.0)]
indexes = [SimilarityIndex().fit(X, np.full(20_000, X[0, 0])) for X in rows]
indexes[0].save(path)
for _ in range(10):
    child = os.fork()
    if child == 0:
        while True:
            indexes[1].save(path)
            indexes[0].save(path)
    time.sleep(rng.uniform(0.002, 0.04))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    index = SimilarityIndex.load(path, verify=True)
    (number,) = np.unique(index.embeddings_)
    assert (index.y_ == number).all() and len(index.y_) == 20_000
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")
def test_a_killed_save_leaves_a_complete_file(tmp_path):
    """A crash may happen at any moment; the file is the old index or the new one."""
    done = _run(KILLED_WHILE_SAVING, tmp_path / "a.index")

    assert done.returncode == 0, done.stderr
    others = {path.name for path in tmp_path.iterdir()} - {"a.index"}
    assert all(n.startswith(".a.index.") and n.endswith(".tmp") for n in others)


def _refused(path):
    for mmap_mode in ("r", None):
        with pytest.raises(IndexFileError, match=r"cannot be loaded|a valid index"):
            SimilarityIndex.load(path, mmap_mode=mmap_mode)


@pytest.fixture
def saved(tmp_path):
    """Return the path of a tiny saved index with a graph."""
    X = np.arange(8, dtype=np.float32).reshape(4, 2)
    index = SimilarityIndex(2, metric="euclidean", algorithm="pynndescent")
    index.fit(X, list("abab"), ids=["p", "q", 3, 4], fingerprint="this")
    index.save(tmp_path / "a.index")
    return tmp_path / "a.index"


def _content(path):
    return read_arrays(path, kind=KIND, versions=VERSIONS, mapped=False, verify=True)


def _put(path, content):
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def test_every_changed_byte_is_detected(saved):
    """A checksum covers each byte."""
    content = saved.read_bytes()

    for i in range(0, len(content), 3):
        _put(saved, content[:i] + bytes([content[i] ^ 0x55]) + content[i + 1 :])
        with pytest.raises(IndexFileError):
            SimilarityIndex.load(saved)


def test_every_truncation_is_detected(saved):
    """The file may be cut anywhere, even to nothing."""
    content = saved.read_bytes()

    for n in [*range(0, len(content), 17), len(content) - 1]:
        _put(saved, content[:n])
        with pytest.raises(IndexFileError):
            SimilarityIndex.load(saved)


def test_other_files_are_refused_and_not_executed(tmp_path):
    """A pickle under this name is not unpickled."""

    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "sprung",)

    for content in (
        pickle.dumps(Trap()),
        pickle.dumps(SimilarityIndex().fit(np.eye(3))),
        json.dumps({"kind": KIND}).encode(),
        b"\x89PNG\r\n\x1a\n" + bytes(200),
        b"",
    ):
        _put(tmp_path / "a.index", content)
        _refused(tmp_path / "a.index")
    np.savez(tmp_path / "b.index.npz", np.eye(3))
    _refused(tmp_path / "b.index.npz")
    assert not (tmp_path / "sprung").exists()


def test_a_newer_version_says_to_update(saved):
    """The file is intact, but the program is too old."""
    arrays, metadata = _content(saved)
    write_arrays(saved, arrays, metadata, kind=KIND, version=99)

    with pytest.raises(IndexFileError, match=r"layout 99.*Update imgsim"):
        SimilarityIndex.load(saved)


def test_a_missing_file_raises_file_not_found(tmp_path):
    """It is not a damaged file."""
    with pytest.raises(FileNotFoundError):
        SimilarityIndex.load(tmp_path / "a.index")


def test_another_mmap_mode_is_refused(saved):
    """The embeddings in a file are never written to."""
    with pytest.raises(ValueError, match="mmap_mode='r\\+' must be 'r' or None"):
        SimilarityIndex.load(saved, mmap_mode="r+")


def test_missing_arrays_and_fields_are_refused(saved):
    """The checksums are correct, but another program wrote the file."""
    arrays, metadata = _content(saved)

    for name in arrays:
        if name != "rows.labels.json":  # labels are optional
            fewer = {key: array for key, array in arrays.items() if key != name}
            write_arrays(
                saved, fewer, metadata, kind=KIND, version=INDEX_FORMAT_VERSION
            )
            _refused(saved)
    for name in metadata:
        fewer = {key: value for key, value in metadata.items() if key != name}
        write_arrays(saved, arrays, fewer, kind=KIND, version=INDEX_FORMAT_VERSION)
        _refused(saved)


def _json(text):
    return np.frombuffer(text.encode(), dtype=np.uint8)


FORGED = [
    ("rows.values", lambda a: a[:, :1]),
    ("rows.values", lambda a: a[:3]),
    ("rows.values", lambda a: a[..., None]),
    ("rows.values", lambda a: a.astype(np.int64)),
    ("rows.values", lambda a: a.astype(np.float16)),
    ("rows.shift", lambda a: a[:3]),
    ("rows.scale", lambda a: a[:, None]),
    ("rows.bias", lambda a: a.astype(np.int8)),
    ("rows.readable", lambda a: a.astype(float)),
    ("rows.readable", lambda a: a[:, None]),
    ("rows.ids.json", lambda a: _json('["O",["p","q",3]]')),
    ("rows.ids.json", lambda a: _json('["O",["p","q",3,3]]')),
    ("rows.ids.json", lambda a: _json('["O",["p","q",3,[4]]]')),
    ("rows.ids.json", lambda a: _json('["i8",[1,2,3,' + "9" * 40 + "]]")),
    ("rows.ids.json", lambda a: _json("[" * 100_000)),
    ("rows.ids.json", lambda a: _json('["M8[s]",[1,2,3,4]]')),
    ("rows.ids.json", lambda a: _json('["O",{"p":1}]')),
    ("rows.ids.json", lambda a: a[:-1]),
    ("rows.labels.json", lambda a: _json('["O",[[1],[2],[3],[4]]]')),
    ("graph.links", lambda a: a[:3]),
    ("graph.links", lambda a: np.full_like(a, 4)),
    ("graph.links", lambda a: np.full_like(a, -2)),
    ("graph.links", lambda a: a.astype(float)),
    ("graph.entries", lambda a: a + 4),
    ("graph.entries", lambda a: a - 9),
    ("graph.entries", lambda a: a[:0]),
    ("graph.entry_codes", lambda a: a[:1]),
    ("graph.axes", lambda a: a[:1]),
]


@pytest.mark.parametrize(
    ("name", "forge"),
    [
        pytest.param(name, forge, id=f"{name} {i}")
        for i, (name, forge) in enumerate(FORGED)
    ],
)
def test_arrays_that_do_not_fit_are_refused(name, forge, saved):
    """A search would follow a link to a row that does not exist."""
    arrays, metadata = _content(saved)
    arrays[name] = np.ascontiguousarray(forge(arrays[name]))
    write_arrays(saved, arrays, metadata, kind=KIND, version=INDEX_FORMAT_VERSION)

    _refused(saved)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("parameters", {"n_neighbors": 0}),
        ("parameters", {"unknown": 1}),
        ("parameters", []),
        ("n_features", 3),
        ("n_features", "2"),
        ("graph", {"width": 1}),
        ("graph", [1]),
        ("scalars", ["p"]),
        ("metric", "far"),
        ("metric", "cosine"),
        ("metric", 3),
        ("graph", {"width": "wide", "recall": 1}),
        ("graph", {"width": -1, "recall": 1}),
        ("feature_names", "ab"),
        ("feature_names", ["a"]),
        ("feature_names", [1, 2]),
        ("fingerprint", 3),
        ("has_bool_rows", "yes"),
    ],
)
def test_fields_that_do_not_fit_are_refused(name, value, saved):
    """The error is raised by `load` and not by the first search."""
    arrays, metadata = _content(saved)
    write_arrays(
        saved,
        arrays,
        {**metadata, name: value},
        kind=KIND,
        version=INDEX_FORMAT_VERSION,
    )

    _refused(saved)
