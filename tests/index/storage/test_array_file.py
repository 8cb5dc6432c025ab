"""A file of arrays is read back unchanged, or refused with the reason."""

import hashlib
import json
import os
import pickle
import random
import threading
from contextlib import suppress

import numpy as np
import pytest
import safetensors

from imgsim.exceptions import ImgsimError, IndexFileError
from imgsim.index.storage import _array_file
from imgsim.index.storage._array_file import read_arrays, write_arrays

PREFIX = b'{"__metadata__":{"sha256":"'
DTYPES = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"]
SHAPES = [(7,), (3, 5), (0, 5), (3, 0), (1, 1, 1), (0,)]
METADATA = {"paths": ["é.png", "\udcff", 'a"\\'], "k": None, "x": [1.5, True]}


def _arrays():
    return {
        "codes": np.arange(6, dtype=np.uint8),
        "rows": np.linspace(0, 1, 12, dtype=np.float32).reshape(4, 3),
        "none": np.empty((0, 2), np.int64),
    }


def _write(path, arrays=None, metadata=METADATA, kind="test", version=1):
    arrays = _arrays() if arrays is None else arrays
    write_arrays(path, arrays, metadata, kind=kind, version=version)
    return path


def _read(path, mapped=True, verify=None, kind="test", versions=range(1, 2)):
    return read_arrays(path, kind=kind, versions=versions, mapped=mapped, verify=verify)


def _assert_same(found, expected):
    assert list(found) == list(expected)
    for name, array in expected.items():
        little = array.astype(array.dtype.newbyteorder("<"))
        np.testing.assert_array_equal(found[name], little, strict=True)


def _put(path, content):
    # Some file systems wait for the disk when a file is overwritten.
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def _tree(path):
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def _forge(path, tree, data):
    """Write a header with the correct checksum, whatever its content."""
    text = tree if isinstance(tree, bytes) else json.dumps(tree, separators=(",", ":"))
    text = text if isinstance(text, bytes) else text.encode()
    text = text.ljust(-(-(8 + len(text)) // 64) * 64 - 8)
    head, tail = text[: len(PREFIX)], text[len(PREFIX) + 64 :]
    text = head + hashlib.sha256(head + tail).hexdigest().encode() + tail
    _put(path, len(text).to_bytes(8, "little") + text + data)
    return path


def _assert_refused(path, match=None):
    for mapped in (True, False):
        with pytest.raises(IndexFileError, match=match) as caught:
            _read(path, mapped=mapped)
        assert repr(str(path)) in str(caught.value)


@pytest.mark.parametrize("mapped", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_all_dtypes_are_read_back(tmp_path, shape, mapped):
    """An index holds arrays of several dtypes; empty arrays and the order are kept."""
    rng = np.random.default_rng(0)
    arrays = {d: rng.integers(0, 100, size=shape).astype(d) for d in DTYPES}
    path = _write(tmp_path / "a", arrays)

    for verify in (True, None, False):
        found, metadata = _read(path, mapped, verify)

        _assert_same(found, arrays)
        assert metadata == METADATA


@pytest.mark.parametrize("arrays", [{}, {"a": np.empty((0, 4))}], ids=["no", "empty"])
def test_a_file_without_data_is_valid(tmp_path, arrays):
    """There may be no arrays, or only empty ones."""
    path = _write(tmp_path / "a", arrays, [])

    for mapped in (True, False):
        _assert_same(_read(path, mapped)[0], arrays)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12.0).reshape(3, 4).T,
        np.arange(12)[::-3],
        np.asfortranarray(np.arange(6, dtype=np.float16).reshape(2, 3)),
        np.arange(5, dtype=">u4"),
        np.broadcast_to(np.float32(2), (3, 2)),
        np.zeros(3, np.longlong),
        np.array(5.0),
    ],
    ids=["transposed", "backwards", "fortran", "big-endian", "broadcast", "long", "0d"],
)
def test_the_layout_in_memory_does_not_matter(tmp_path, array):
    """Views are saved by their values."""
    path = _write(tmp_path / "a", {"array": array})

    _assert_same(_read(path, verify=True)[0], {"array": array})


def test_many_blocks_are_read_back(tmp_path, monkeypatch):
    """Blocks follow each other without gaps, whether or not an array is contiguous."""
    monkeypatch.setattr(_array_file, "_BLOCK_SIZE", 64)
    square = np.arange(35 * 35).reshape(35, 35)
    path = _write(tmp_path / "a", {"square": square, "turned": square.T})

    _assert_same(_read(path, verify=True)[0], {"square": square, "turned": square.T})


def test_mapped_arrays_share_memory_with_the_file(tmp_path):
    """A large index opens at once, and processes share its memory."""
    path = _write(tmp_path / "a")
    rows = _read(path, mapped=True)[0]["rows"]
    assert rows[3, 2] == 1
    assert rows.ctypes.data % 4 == 0

    with open(path, "r+b") as file:
        file.seek(-10, os.SEEK_END)  # six codes come last
        file.write(b"\0\0\0\0")

    assert rows[3, 2] == 0


def test_mapped_arrays_cannot_be_written(tmp_path):
    """Writing to an array of an index must not damage the file."""
    rows = _read(_write(tmp_path / "a"), mapped=True)[0]["rows"]

    assert type(rows) is np.ndarray
    with pytest.raises(ValueError, match="read-only"):
        rows[0] = 1
    with pytest.raises(ValueError, match="cannot set WRITEABLE"):
        rows.flags.writeable = True


def test_loaded_arrays_are_independent_of_the_file(tmp_path):
    """Without mapping, the file may be removed and the arrays may be changed."""
    path = _write(tmp_path / "a")
    rows = _read(path, mapped=False)[0]["rows"]
    path.unlink()

    rows[0] = 7

    assert rows.flags.owndata
    assert rows[0, 0] == 7


def test_arrays_are_aligned(tmp_path):
    """Data begin at a multiple of 64 bytes, and each array at one of its item size."""
    arrays = {str(i): np.zeros(3, d) for i, d in enumerate(DTYPES)}
    path = _write(tmp_path / "a", arrays)
    _, data = _tree(path)

    assert (path.stat().st_size - len(data)) % 64 == 0
    for array in _read(path)[0].values():
        assert array.flags.aligned


def test_safetensors_reads_the_file(tmp_path):
    """Other programs and languages can open the file."""
    rng = np.random.default_rng(0)
    arrays = {
        f"{d}{shape}": rng.integers(0, 100, size=shape).astype(d)
        for d in DTYPES
        for shape in SHAPES
    }
    path = _write(tmp_path / "a", arrays)

    with safetensors.safe_open(path, framework="np") as file:
        found = {name: file.get_tensor(name) for name in arrays}
        about = file.metadata()

    _assert_same(found, arrays)
    assert about["kind"] == "test"
    assert about["version"] == "1"
    assert json.loads(about["metadata"]) == METADATA


def test_every_truncation_is_refused(tmp_path):
    """An interrupted copy must not be taken for an index."""
    path = _write(tmp_path / "a")
    content = path.read_bytes()

    for length in range(len(content)):
        _put(path, content[:length])
        with pytest.raises(IndexFileError, match=r"truncated|not a file of imgsim"):
            _read(path, mapped=bool(length % 2), verify=None)


@pytest.mark.parametrize("mask", [1, 32])
def test_every_flipped_bit_is_detected(tmp_path, mask):
    """Bits in the padding of the header count, too."""
    path = _write(tmp_path / "a", metadata={"k": 1})
    content = path.read_bytes()

    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= mask
        _put(path, damaged)
        with pytest.raises(IndexFileError):
            _read(path, mapped=bool(place % 2), verify=None)


def test_random_damage_is_detected(tmp_path):
    """A file with removed, repeated, swapped or overwritten bytes is refused."""
    rng = random.Random(0)
    path = _write(tmp_path / "a")
    content = path.read_bytes()

    for _ in range(700):
        i, j, k = sorted(rng.randrange(len(content) + 1) for _ in range(3))
        one, two = content[i:j], content[j:k]
        new = rng.choice([b"", two + one, one + one + two, rng.randbytes(k - i), two])
        damaged = content[:i] + new + content[k:]
        _put(path, damaged)
        if damaged == content:
            _assert_same(_read(path)[0], _arrays())
        else:
            with pytest.raises(IndexFileError):
                _read(path, mapped=rng.random() < 0.5)


def _mutate(tree, rng):
    """Replace, drop or rename one value somewhere in a JSON tree."""
    odd = [None, True, -1, 0, 2**63, 10**400, 1.5, "", "F32", "1", [], {}, [0] * 99]
    spots = [(tree, key) for key in tree]
    for parent, key in spots:
        child = parent[key]
        if isinstance(child, dict):
            spots += [(child, k) for k in child]
        elif isinstance(child, list):
            spots += [(child, k) for k in range(len(child))]
    parent, key = rng.choice(spots)
    if isinstance(parent, dict) and rng.random() < 0.3:
        parent[rng.choice(["rows", "more", "shape", "dtype"])] = parent.pop(key)
    else:
        parent[key] = rng.choice(odd)


def test_no_header_causes_another_error(tmp_path):
    """A header made to do harm, with a correct checksum, is loaded or refused."""
    rng = random.Random(1)
    original, data = _tree(_write(tmp_path / "a"))

    for _ in range(700):
        tree = json.loads(json.dumps(original))
        for field in ("checksums", "metadata"):
            tree["__metadata__"][field] = json.loads(tree["__metadata__"][field])
        for _ in range(rng.randrange(1, 4)):
            _mutate(tree, rng)
        about = tree.get("__metadata__")
        for field in ("checksums", "metadata"):
            if isinstance(about, dict) and rng.random() < 0.9 and field in about:
                about[field] = json.dumps(about[field])
        path = _forge(tmp_path / "b", tree, data)
        with suppress(IndexFileError):
            _read(path, mapped=rng.random() < 0.5, verify=rng.choice([None, False]))


def _entry(**change):
    return {"dtype": "U8", "shape": [2], "data_offsets": [0, 2], **change}


@pytest.mark.parametrize(
    "entry",
    [
        _entry(dtype="F8_E4M3"),
        _entry(dtype=["U8"]),
        _entry(shape=[3]),
        _entry(shape=[-1, -2]),
        _entry(shape=[2.0]),
        _entry(shape=[2, True]),
        _entry(shape=2),
        _entry(shape=[1] * 40 + [2]),
        _entry(shape=[2**32, 2**32, 2**62], data_offsets=[0, 0]),
        _entry(shape=[0, 2**62, 2**62], data_offsets=[0, 0]),
        _entry(shape=[10**300]),
        _entry(data_offsets=[2, 4]),
        _entry(data_offsets=[-2, 0]),
        _entry(data_offsets=[2, 0]),
        _entry(data_offsets=[0]),
        _entry(data_offsets=[False, 2]),
        {"dtype": "U8", "shape": [2]},
        [],
        None,
    ],
    ids=str,
)
def test_a_wrong_description_of_an_array_is_refused(tmp_path, entry):
    """Each of these descriptions has crashed a reader of some format."""
    tree, data = _tree(_write(tmp_path / "a", {"a": np.zeros(2, np.uint8)}))
    tree["a"] = entry

    _assert_refused(_forge(tmp_path / "b", tree, data), "array 'a'")


@pytest.mark.parametrize(
    ("first", "second"),
    [([0, 4], [0, 4]), ([0, 4], [2, 6]), ([0, 4], [5, 9]), ([4, 8], [8, 12])],
    ids=["same", "overlap", "hole", "hole before"],
)
def test_arrays_that_overlap_or_leave_gaps_are_refused(tmp_path, first, second):
    """Every byte must belong to one array, and so to one checksum."""
    arrays = {"a": np.zeros(4, np.uint8), "b": np.zeros(4, np.uint8)}
    tree, data = _tree(_write(tmp_path / "a", arrays))
    tree["a"]["data_offsets"], tree["b"]["data_offsets"] = first, second

    _assert_refused(_forge(tmp_path / "b", tree, data), "wrong offset of array")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"kind":"test"', b'"kind":NaN'),
        (b'"kind":"test"', b'"kind":"test","kind":"test"'),
        (b'"kind":"test"', b'"none":"test"'),
        (b'"kind":"test"', b'"kind":1' + b"0" * 5000),
        (b'"kind":"test"', b'"kind":' + b"[" * 100_000 + b"]" * 100_000),
        (b'"kind":"test"', b'"kind":"test\xff"'),
        (b'"kind":"test"', b'"kind":"\\ud800"'),
        (b'"kind":"test"', b'"kind":"test'),
        (b'"metadata":"{}"', b'"metadata":"{1}"'),
        (b'"metadata":"{}"', b'"metadata":"Infinity"'),
        (b'"metadata":"{}"', b'"metadata":"' + b"[" * 100_000 + b'"'),
        (b'"version":"1"', b'"version":"-1"'),
        (b'"version":"1"', b'"version":"one"'),
        (b'"version":"1"', '"version":"²"'.encode()),
        (b'"version":"1"', b'"version":"' + b"1" * 5000 + b'"'),
        (b'"version":"1"', b'"version":1'),
        (b'"checksums":"{}"', b'"checksums":"[]"'),
        (b'"checksums":"{}"', b'"checksums":"{\\"a\\":null}"'),
        (b'"checksums":"{}"', b'"checksums":"{\\"a\\":1}"'),
        (b"}}", b"}}}"),
    ],
    ids=lambda text: text[:24].decode(errors="replace"),
)
def test_a_wrong_header_is_refused(tmp_path, old, new):
    """JSON allows much that is not allowed in a header."""
    path = _write(tmp_path / "a", {}, {})
    text = path.read_bytes()[8:]
    assert text.count(old) == 1

    _assert_refused(_forge(path, text.replace(old, new), b""), "header|version")


def test_a_damaged_array_is_named(tmp_path):
    """The user learns which part of the index is lost."""
    path = _write(tmp_path / "a")
    content = path.read_bytes()
    _put(path, content[:-1] + b"\xff")

    _assert_refused(
        path, "checksum of array 'codes' differs. Save it again, or restore"
    )


def test_verify_none_compares_the_checksums_of_small_files_only(tmp_path, monkeypatch):
    """A large index opens at once, because its arrays are not read."""
    path = _write(tmp_path / "a", {"a": np.zeros(320, np.uint8)})
    damaged = bytearray(path.read_bytes())
    damaged[-100] = 1
    _put(path, damaged)

    _assert_refused(path, "array 'a'")
    monkeypatch.setattr(_array_file, "_MAX_SIZE_TO_VERIFY", 100)
    assert _read(path, verify=None)[0]["a"].any()
    assert _read(path, verify=False)[0]["a"].any()
    with pytest.raises(IndexFileError, match="array 'a'"):
        _read(path, verify=True)


def test_sizes_of_large_files_are_always_compared(tmp_path, monkeypatch):
    """A truncated file must be refused even if its arrays are not read."""
    monkeypatch.setattr(_array_file, "_MAX_SIZE_TO_VERIFY", 100)
    path = _write(tmp_path / "a", {"a": np.zeros(320, np.uint8)})
    _put(path, path.read_bytes()[:-1])

    _assert_refused(path, "truncated")


def _foreign_files():
    header = b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'
    return {
        "empty": b"",
        "text": b"not an index\n" * 9,
        "pickle": pickle.dumps(_arrays()),
        "zeros": bytes(1000),
        "absurd length": (2**63).to_bytes(8, "little") + PREFIX + bytes(99),
        "long header": (2 * 10**8 + 56).to_bytes(8, "little") + PREFIX + bytes(99),
        "zero length": bytes(8) + PREFIX + bytes(99),
        "other safetensors": len(header).to_bytes(8, "little") + header + b"1",
    }


@pytest.mark.parametrize(
    "content", [pytest.param(c, id=n) for n, c in _foreign_files().items()]
)
def test_other_files_are_refused(tmp_path, content):
    """Nothing in them is executed, and the message says what is wrong."""
    path = tmp_path / "a"
    _put(path, content)

    _assert_refused(path, r"not a file of imgsim|its header cannot have")


def test_an_npz_file_is_refused(tmp_path):
    """Users may have saved embeddings in this format themselves."""
    np.savez(tmp_path / "a.npz", **_arrays())

    _assert_refused(tmp_path / "a.npz", "not a file of imgsim")


def test_another_kind_is_refused(tmp_path):
    """The arrays of another kind of file would be misinterpreted."""
    path = _write(tmp_path / "a", kind="other")

    _assert_refused(path, "its kind is 'other'. Pass a file of kind 'test'")


def test_a_version_before_the_first_release_says_to_fit_again(tmp_path):
    """Its layout is no longer known."""
    path = _write(tmp_path / "a", version=1)

    with pytest.raises(IndexFileError, match=r"in layout 1\. Fit the index again"):
        _read(path, versions=range(2, 3))


def test_a_newer_version_says_to_update(tmp_path):
    """The file is intact, but the reader is too old."""
    path = _write(tmp_path / "a", version=3)

    _assert_refused(path, "newer version.* up to 1. Update imgsim")
    assert _read(path, versions=range(1, 4))[1] == METADATA


def test_trailing_bytes_are_refused(tmp_path):
    """No checksum covers bytes after the last array."""
    path = _write(tmp_path / "a")
    n_bytes = path.stat().st_size
    _put(path, path.read_bytes() + b"\0")

    _assert_refused(path, f"too long: expected {n_bytes} bytes, found {n_bytes + 1}")


def test_the_error_is_an_imgsim_error_and_a_value_error():
    """Callers may catch either of them."""
    assert issubclass(IndexFileError, ImgsimError)
    assert issubclass(IndexFileError, ValueError)


def test_missing_files_and_folders_raise_the_errors_of_open(tmp_path):
    """A wrong path is not a damaged file."""
    with pytest.raises(FileNotFoundError, match="missing"):
        _read(tmp_path / "missing")
    with pytest.raises(IsADirectoryError):
        _read(tmp_path)


def test_a_path_that_cannot_be_written_is_named(tmp_path):
    """The error is raised before any array is written."""
    with pytest.raises(FileNotFoundError, match=r"create it first: .*none"):
        _write(tmp_path / "none" / "a")
    with pytest.raises(IsADirectoryError, match="not a regular file"):
        _write(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arrays", "metadata", "match"),
    [
        ({"a": np.array(["text"])}, {}, r"arrays\['a'\] has dtype <U4"),
        ({"a": np.zeros(2, complex)}, {}, "complex128"),
        ({"a": np.array([None])}, {}, "object"),
        ({"__metadata__": np.zeros(2)}, {}, "must not have the name"),
        ({}, {"x": float("nan")}, "must be a JSON value"),
        ({}, {"x": object()}, "must be a JSON value"),
        ({}, {1: 2, "1": 3}, "a key occurs twice"),
        ({}, "x" * 9000, "must have at most 9000 bytes: store long values"),
    ],
    ids=["text", "complex", "object", "name", "nan", "class", "keys", "long"],
)
def test_what_cannot_be_read_back_is_not_written(
    tmp_path, monkeypatch, arrays, metadata, match
):
    """The error must be raised while the index still exists."""
    monkeypatch.setattr(_array_file, "_MAX_HEADER_SIZE", 9000)

    with pytest.raises(ValueError, match=match):
        _write(tmp_path / "a", arrays, metadata)

    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_save_leaves_the_old_file(tmp_path, monkeypatch):
    """Most of the time of a save is spent on hashing and writing arrays."""
    path = _write(tmp_path / "a")

    def fail(array):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(_array_file, "_hash", fail)
        with pytest.raises(KeyboardInterrupt):
            _write(path, {"new": np.ones(3)})

    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    _assert_same(_read(path)[0], _arrays())


def test_readers_see_complete_files_during_a_save(tmp_path):
    """A service may read the index while a nightly job replaces it."""
    path = _write(tmp_path / "a", {"a": np.zeros(50_000, int)}, 0)
    done, wrong = threading.Event(), []

    def read():
        while not done.is_set():
            arrays, number = _read(path, mapped=True, verify=True)
            if not (arrays["a"] == number).all():
                wrong.append(number)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for number in range(30):
        _write(path, {"a": np.full(50_000, number)}, number)
    done.set()
    for reader in readers:
        reader.join()

    assert wrong == []
    assert _read(path)[1] == 29


def test_a_file_may_be_rewritten_from_its_own_arrays(tmp_path):
    """A mapped index to which rows were added is saved to the same file."""
    path = _write(tmp_path / "a")
    mapped = _read(path, mapped=True)[0]
    reversed_rows = {"codes": mapped["codes"], "rows": mapped["rows"][::-1]}

    _write(path, reversed_rows)

    _assert_same(mapped, _arrays())
    rows = _arrays()["rows"][::-1]
    _assert_same(_read(path)[0], {"codes": _arrays()["codes"], "rows": rows})
