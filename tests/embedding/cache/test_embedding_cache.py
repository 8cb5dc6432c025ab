"""Tests of rows that outlive the process."""

import os
import pickle
import resource
import signal
import sqlite3
import subprocess
import sys
import time

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image
from sklearn.base import clone

from imgsim import ColorHistogramEmbedder, EmbeddingCache, ImageEmbedder
from imgsim.embedding.cache import _cached_rows, _sqlite_file
from imgsim.exceptions import (
    EmbeddingCacheError,
    EmbeddingCacheWarning,
    ImageReadWarning,
)


class Counting(ColorHistogramEmbedder):
    """Count the images that are embedded indeed."""

    n_embedded = 0

    def _embed(self, images):
        Counting.n_embedded += len(images)
        return super()._embed(images)


@pytest.fixture
def count(monkeypatch):
    """Return a function that counts what is embedded in a call."""

    def counted(embedder, sources):
        monkeypatch.setattr(Counting, "n_embedded", 0)
        return embedder.fit_transform(sources), Counting.n_embedded

    return counted


@pytest.fixture
def cache(tmp_path):
    """Return a cache that is not there yet."""
    return EmbeddingCache(tmp_path / "rows.sqlite")


@pytest.fixture
def paths(pictures, tmp_path):
    """Return files of pictures, last changed a minute ago."""
    folder = tmp_path / "photos"
    folder.mkdir()
    paths = [folder / f"{i}.png" for i in range(len(pictures))]
    for path, picture in zip(paths, pictures, strict=True):
        Image.fromarray(picture).save(path)
    return paths


@pytest.fixture
def _all_settled(monkeypatch):
    """Trust the times of files that were just made."""
    monkeypatch.setattr(_cached_rows, "_SETTLED_NS", -1)


def test_nothing_is_embedded_twice(count, cache, paths):
    """And the rows are the same to the last bit."""
    expected = Counting().fit_transform(paths)

    first, n_first = count(Counting(cache=cache), paths)
    second, n_second = count(Counting(cache=str(cache.path)), paths)

    assert (n_first, n_second) == (12, 0)
    assert_array_equal(first, expected)
    assert_array_equal(second, expected)


def test_sources_of_every_kind_are_found_again(count, cache, pictures, paths):
    """Files by their content, pictures in memory by their pixels."""
    content = paths[0].read_bytes()
    sources = [paths[0], str(paths[1]), pictures[2], Image.fromarray(pictures[3])]

    count(Counting(cache=cache), sources)
    _, n_again = count(Counting(cache=cache), [*sources, content, pictures[3]])

    assert n_again == 0


@pytest.mark.usefixtures("_all_settled")
def test_an_unchanged_file_is_not_read_again(count, cache, paths, monkeypatch):
    """Its status suffices."""
    count(Counting(cache=cache), paths)
    monkeypatch.setattr(_cached_rows, "read_content", None)

    _, n_again = count(Counting(cache=cache), paths)

    assert n_again == 0


@pytest.mark.usefixtures("_all_settled")
def test_renamed_and_copied_files_are_found(count, cache, paths):
    """What counts is the content."""
    X, _ = count(Counting(cache=cache), paths)
    moved = paths[0].rename(paths[0].with_name("moved.png"))
    copied = paths[1].with_name("copied.png")
    copied.write_bytes(paths[1].read_bytes())

    Y, n_again = count(Counting(cache=cache), [moved, copied])

    assert n_again == 0
    assert_array_equal(Y, X[:2])


@pytest.mark.usefixtures("_all_settled")
def test_a_changed_file_is_embedded_again(count, cache, paths):
    """Even of the same size, with its old time put back."""
    picture = np.zeros((8, 8, 3), dtype=np.uint8)
    Image.fromarray(picture).save(paths[0], "BMP")
    count(Counting(cache=cache), paths[:1])
    before = os.stat(paths[0])

    Image.fromarray(picture + 200).save(paths[0], "BMP")
    os.utime(paths[0], ns=(before.st_atime_ns, before.st_mtime_ns))
    X, n_again = count(Counting(cache=cache), paths[:1])

    assert os.stat(paths[0]).st_size == before.st_size
    assert n_again == 1
    assert_array_equal(X, Counting().fit_transform(paths[:1]))


def test_a_file_just_written_is_read_again(count, cache, paths):
    """Its times may not tell of another change within their resolution."""
    count(Counting(cache=cache), paths)

    assert cache.info().n_files == 0
    assert count(Counting(cache=cache), paths)[1] == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"bins": (4, 4, 4)},
        {"grid": (1, 1)},
        {"image_size": 64},
    ],
)
def test_whatever_changes_a_row_is_part_of_the_key(count, cache, paths, changes):
    """Two recipes share nothing but the file."""
    count(Counting(cache=cache), paths)

    X, n_embedded = count(Counting(cache=cache, **changes), paths)

    assert n_embedded == 12
    assert_array_equal(X, Counting(**changes).fit_transform(paths))


@pytest.mark.parametrize(
    "changes",
    [
        {"pooling": "max"},
        {"pooling": "gem"},
        {"layer": 2},
        {"flip": True},
        {"image_size": 32},
        {"mean": 0.4},
        {"crop_pct": 0.5},
        {"interpolation": "bilinear"},
        {"precision": "bfloat16"},
        {"decoder": "pillow"},
        {"model_kwargs": {"output_stride": 16}},
        {"model": "resnet26"},
    ],
)
def test_no_parameter_of_a_network_is_forgotten(cache, pictures, changes):
    """A row of another network would be a wrong answer without a word."""
    base = ImageEmbedder(
        "resnet18", pretrained=False, image_size=64, device="cpu", cache=cache
    )
    base.fit_transform(pictures[:2])
    other = clone(base).set_params(**changes)

    X = other.fit_transform(pictures[:2])

    expected = clone(other).set_params(cache=None).fit_transform(pictures[:2])
    assert_array_equal(X, expected)
    assert len(cache) == 4


def test_other_weights_are_another_network(cache, pictures, tmp_path):
    """They are told by what was loaded, not by the name of a file."""
    torch = pytest.importorskip("torch")
    timm = pytest.importorskip("timm")
    path, rows = tmp_path / "a.pth", []
    for seed in (0, 1):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            torch.save(timm.create_model("resnet18").state_dict(), path)
        embedder = ImageEmbedder(
            "resnet18", checkpoint_path=path, image_size=64, device="cpu", cache=cache
        )
        rows.append(embedder.fit_transform(pictures[:1]))

    assert np.abs(rows[0] - rows[1]).max() > 0.01


def test_normalisation_and_batches_share_rows(count, cache, paths):
    """They come after, and do not change what is kept."""
    count(Counting(cache=cache), paths)

    X, n_again = count(Counting(cache=cache, normalize="l2", batch_size=5), paths)

    assert n_again == 0
    np.testing.assert_allclose(np.linalg.norm(X, axis=1), 1, rtol=1e-6)


def test_unreadable_images_are_never_kept(count, cache, paths):
    """Mended, they are read."""
    good = paths[3].read_bytes()
    paths[3].write_bytes(good[:40])
    embedder = Counting(cache=cache, on_error="nan", batch_size=4)
    with pytest.warns(ImageReadWarning, match="1 of 12") as caught:
        X, _ = count(embedder, paths)

    paths[3].write_bytes(good)
    Y, n_again = count(embedder, paths)

    assert str(paths[3]) in str(caught[0].message)
    assert np.isnan(X[3]).all()
    assert n_again == 1
    assert_array_equal(np.delete(Y, 3, axis=0), np.delete(X, 3, axis=0))


def _damage_header(path):
    path.write_bytes(b"no database" + path.read_bytes()[11:])


def _cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _flip_rows(path):
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE rows SET value = zeroblob(length(value))")
    connection.close()


def _foreign(path):
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE mine (x)")
    connection.close()


def _text(path):
    path.write_text("my thesis" * 1000)


def _newer(path):
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_damage_header, "damaged, or no cache"),
        (_cut, "damaged, or no cache"),
        (_flip_rows, "does not match its checksum"),
        (_foreign, "database of another program"),
        (_text, "damaged, or no cache"),
        (_newer, "format version 99; this version of imgsim reads and writes 1"),
    ],
)
def test_what_is_no_sound_cache_is_refused_and_left_alone(
    cache, paths, damage, message
):
    """It may be somebody's thesis."""
    Counting(cache=cache).fit_transform(paths)
    damage(cache.path)
    content = cache.path.read_bytes()

    with pytest.raises(EmbeddingCacheError, match=message):
        Counting(cache=cache, on_error="nan").fit_transform(paths)

    assert cache.path.read_bytes() == content


def test_a_missing_folder_is_named(tmp_path, paths):
    """It is not made: the path may be misspelt."""
    with pytest.raises(EmbeddingCacheError, match=r"there is no folder '.*nowhere'"):
        Counting(cache=tmp_path / "nowhere/rows.sqlite").fit_transform(paths)


def test_a_full_disk_costs_no_row(cache, paths, monkeypatch):
    """One warning, and the run goes on."""
    expected = Counting().fit_transform(paths)
    monkeypatch.setattr(_cached_rows, "_SECONDS_BETWEEN_COMMITS", 0)
    connect = _cached_rows.connect

    def connect_to_full_disk(path):
        connection = connect(path)
        connection.execute("PRAGMA max_page_count = 1")
        return connection

    monkeypatch.setattr(_cached_rows, "connect", connect_to_full_disk)

    with pytest.warns(EmbeddingCacheWarning, match="disk is full") as caught:
        X = Counting(cache=cache, batch_size=3).fit_transform(paths * 20)

    assert len(caught) == 1
    assert_array_equal(X, np.tile(expected, (20, 1)))


def test_what_is_in_it_and_how_much(cache, paths):
    """For a person who wonders whether to delete it."""
    assert (len(cache), cache.info().n_bytes) == (0, 0)
    assert not cache.path.exists()

    Counting(cache=cache).fit_transform(paths)
    Counting(cache=cache, grid=(1, 1)).fit_transform(paths[:5])

    info = cache.info()
    assert info.n_rows == len(cache) == 17
    assert info.n_bytes == cache.path.stat().st_size
    assert [(r["embedder"], r["grid"], r["n_rows"]) for r in info.recipes] == [
        ("Counting", [2, 2], 12),
        ("Counting", [1, 1], 5),
    ]


def test_pruning_drops_the_oldest(count, cache, paths, monkeypatch):
    """And gives the room back."""
    monkeypatch.setattr(time, "time", lambda: 1e9)
    count(Counting(cache=cache), paths[:6])
    monkeypatch.undo()
    count(Counting(cache=cache), paths[6:])
    before = cache.path.stat().st_size

    n_dropped = cache.prune(older_than=1)

    assert (n_dropped, len(cache)) == (6, 6)
    assert cache.path.stat().st_size < before
    assert cache.prune(max_bytes=0) == 6
    assert len(cache) == 0


def test_pruning_to_a_size_stops_there(cache, pictures):
    """As much as fits is kept."""
    rng = np.random.default_rng(0)
    many = rng.integers(0, 256, (200, 8, 8, 3), dtype=np.uint8)
    ColorHistogramEmbedder(cache=cache).fit_transform(many)
    limit = cache.path.stat().st_size // 2

    n_dropped = cache.prune(max_bytes=limit)

    assert 90 <= n_dropped <= 130
    assert cache.path.stat().st_size <= limit


def test_pruning_beside_a_reader_drops_no_more(cache, pictures):
    """The file cannot shrink until the reader has gone."""
    rng = np.random.default_rng(0)
    many = rng.integers(0, 256, (200, 8, 8, 3), dtype=np.uint8)
    ColorHistogramEmbedder(cache=cache).fit_transform(many)
    limit = int(0.9 * cache.path.stat().st_size)
    reader = sqlite3.connect(cache.path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM rows").fetchone()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_sqlite_file, "_SECONDS_TO_WAIT_FOR_OTHERS", 0.1)
            n_dropped = cache.prune(max_bytes=limit)
    finally:
        reader.close()

    assert 10 <= n_dropped <= 40


def test_a_disk_full_from_the_start_costs_no_row(cache, paths, monkeypatch):
    """One warning, and the run goes on without the cache."""

    def full(path):
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        with _sqlite_file.named_errors(path):
            raise error

    monkeypatch.setattr(_cached_rows, "connect", full)

    with pytest.warns(EmbeddingCacheWarning, match="disk is full") as caught:
        X = Counting(cache=cache).fit_transform(paths)

    assert len(caught) == 1
    assert_array_equal(X, Counting().fit_transform(paths))


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({}, "wants older_than"),
        ({"max_bytes": -1}, "max_bytes=-1 must not be negative"),
        ({"older_than": -0.5}, r"older_than=-0\.5 must not be negative"),
    ],
)
def test_pruning_wants_a_bound(cache, bounds, message):
    """Else it would drop all or nothing."""
    with pytest.raises(ValueError, match=message):
        cache.prune(**bounds)


def test_a_cache_is_its_path(cache):
    """It is cloned, pickled and compared as that."""
    assert pickle.loads(pickle.dumps(cache)) == cache
    assert clone(Counting(cache=cache)).cache == cache
    assert cache != EmbeddingCache("other")
    assert bool(cache)
    assert repr(cache).startswith("EmbeddingCache('")


RUN = """
import sys, time
import numpy as np
from imgsim import ColorHistogramEmbedder, list_images
from imgsim.embedding.cache import _cached_rows

class Slow(ColorHistogramEmbedder):
    def _embed(self, images):
        time.sleep(0.05)
        return super()._embed(images)

_cached_rows._SECONDS_BETWEEN_COMMITS = 0.1
print("ready", flush=True)
X = Slow(cache=sys.argv[1], batch_size=4).fit_transform(list_images(sys.argv[2]))
np.save(sys.argv[3], X)
"""


def _start(cache, paths, result):
    command = [sys.executable, "-c", RUN, cache.path, paths[0].parent, result]
    process = subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    process.stdout.readline()
    return process


@pytest.fixture
def many_paths(tmp_path):
    """Return 120 files of noise: a run of two seconds."""
    folder = tmp_path / "many"
    folder.mkdir()
    rng = np.random.default_rng(0)
    paths = [folder / f"{i:03}.png" for i in range(120)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (9, 9, 3), np.uint8)).save(path)
    return paths


@pytest.mark.parametrize(
    ("kind", "moments"),
    [
        (signal.SIGKILL, (0.3, 0.7, 0.45)),
        (signal.SIGINT, (0.7,)),
        (signal.SIGTERM, (0.7,)),
    ],
    ids=["SIGKILL", "SIGINT", "SIGTERM"],
)
def test_a_run_that_was_killed_goes_on(cache, many_paths, tmp_path, kind, moments):
    """At any moment, several times; and ends with the rows of a run in one go."""
    n_kept = []
    for seconds in moments:
        process = _start(cache, many_paths, tmp_path / "X.npy")
        time.sleep(seconds)
        process.send_signal(kind)
        assert process.wait(30) != 0
        process.stdout.close()
        n_kept.append(len(cache))

    process = _start(cache, many_paths, tmp_path / "X.npy")
    assert process.wait(60) == 0
    process.stdout.close()

    assert n_kept == sorted(n_kept)
    assert 0 < n_kept[-1] < 120
    expected = ColorHistogramEmbedder().fit_transform(sorted(many_paths))
    assert_array_equal(np.load(tmp_path / "X.npy"), expected)
    assert len(cache) == 120


def test_two_processes_write_at_once(cache, many_paths, tmp_path):
    """Neither waits for the other to end, and none damages the file."""
    results = [tmp_path / f"{i}.npy" for i in range(2)]
    processes = [_start(cache, many_paths, result) for result in results]
    for process in processes:
        assert process.wait(60) == 0
        process.stdout.close()

    assert_array_equal(*(np.load(result) for result in results))
    assert len(cache) == 120


FULL = """
import resource, signal, sys, warnings
import numpy as np
from imgsim import ColorHistogramEmbedder
from imgsim.exceptions import EmbeddingCacheWarning

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
images = np.random.default_rng(0).integers(0, 256, (300, 8, 8, 3), dtype=np.uint8)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    X = ColorHistogramEmbedder(cache=sys.argv[1]).fit_transform(images)
assert [w.category for w in caught] == [EmbeddingCacheWarning], caught
assert np.array_equal(X, ColorHistogramEmbedder().fit_transform(images))
"""


@pytest.mark.skipif(
    not hasattr(resource, "RLIMIT_FSIZE"), reason="no limit on the size of files here"
)
def test_a_file_that_may_not_grow_costs_no_row(cache):
    """The system itself refuses to write, as a full disk does."""
    run = subprocess.run(
        [sys.executable, "-c", FULL, str(cache.path)], capture_output=True, text=True
    )

    assert run.returncode == 0, run.stderr
    assert len(cache) < 300
