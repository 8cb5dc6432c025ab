"""Tests of the cache of embeddings."""

import multiprocessing
import os
import pickle
import resource
import signal
import sqlite3
import time
import warnings
from contextlib import closing

import numpy as np
import pytest
from embedders import assert_embeddings_close, make_untrained
from numpy.testing import assert_array_equal
from PIL import Image
from sklearn.base import clone

from imgsim import ColorHistogramEmbedder, EmbeddingCache
from imgsim.embedding.cache import _cached_rows, _sqlite_file
from imgsim.exceptions import (
    EmbeddingCacheError,
    EmbeddingCacheWarning,
    ImageReadWarning,
)


class Counting(ColorHistogramEmbedder):
    """Count the images that are embedded instead of loaded from the cache."""

    n_embedded = 0

    def _embed(self, images):
        Counting.n_embedded += len(images)
        return super()._embed(images)


@pytest.fixture
def count(monkeypatch):
    """Return a function that embeds images and counts those not from the cache."""

    def counted(embedder, sources):
        monkeypatch.setattr(Counting, "n_embedded", 0)
        return embedder.fit_transform(sources), Counting.n_embedded

    return counted


@pytest.fixture
def cache(tmp_path):
    """Return a cache whose file does not exist yet."""
    return EmbeddingCache(tmp_path / "rows.sqlite")


@pytest.fixture
def paths(pictures, tmp_path):
    """Return the paths of twelve image files."""
    folder = tmp_path / "photos"
    folder.mkdir()
    paths = [folder / f"{i}.png" for i in range(len(pictures))]
    for path, picture in zip(paths, pictures, strict=True):
        Image.fromarray(picture).save(path)
    return paths


@pytest.fixture
def _all_settled(monkeypatch):
    """Accept the times of files that were just written."""
    monkeypatch.setattr(_cached_rows, "_SETTLED_NS", -1)


def test_no_image_is_embedded_twice(count, cache, paths):
    """Cached embeddings are equal to the computed ones, to the last bit."""
    expected = Counting().fit_transform(paths)

    first, n_first = count(Counting(cache=cache), paths)
    second, n_second = count(Counting(cache=str(cache.path)), paths)

    assert (n_first, n_second) == (12, 0)
    assert_array_equal(first, expected)
    assert_array_equal(second, expected)


def test_sources_of_every_kind_are_cached(count, cache, pictures, paths):
    """Files are found by their content, images in memory by their pixels."""
    content = paths[0].read_bytes()
    sources = [paths[0], str(paths[1]), pictures[2], Image.fromarray(pictures[3])]

    count(Counting(cache=cache), sources)
    _, n_again = count(Counting(cache=cache), [*sources, content, pictures[3]])

    assert n_again == 0


@pytest.mark.usefixtures("_all_settled")
def test_an_unchanged_file_is_not_read_again(count, cache, paths, monkeypatch):
    """Its status is sufficient."""
    count(Counting(cache=cache), paths)
    monkeypatch.setattr(_cached_rows, "read_content", None)

    _, n_again = count(Counting(cache=cache), paths)

    assert n_again == 0


@pytest.mark.usefixtures("_all_settled")
def test_renamed_and_copied_files_are_found(count, cache, paths):
    """They have the same content."""
    X, _ = count(Counting(cache=cache), paths)
    moved = paths[0].rename(paths[0].with_name("moved.png"))
    copied = paths[1].with_name("copied.png")
    copied.write_bytes(paths[1].read_bytes())

    Y, n_again = count(Counting(cache=cache), [moved, copied])

    assert n_again == 0
    assert_array_equal(Y, X[:2])


@pytest.mark.usefixtures("_all_settled")
def test_a_changed_file_is_embedded_again(count, cache, paths):
    """Even if its size and its time of modification are the same as before."""
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


def test_a_file_that_was_just_written_is_read_again(count, cache, paths):
    """Its times may not change with another write within their resolution."""
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
def test_parameters_that_change_embeddings_are_part_of_the_key(
    count, cache, paths, changes
):
    """Two recipes share only the file of the cache."""
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
        {"interpolation": "lanczos"},
        {"precision": "bfloat16"},
        {"decoder": "pillow"},
        {"model_kwargs": {"output_stride": 16}},
        {"model": "test_efficientnet"},
    ],
)
def test_parameters_of_a_network_are_part_of_the_key(cache, pictures, changes):
    """Otherwise, the embedding of another network would be returned."""
    base = make_untrained(image_size=64, cache=cache)
    base.fit_transform(pictures[:2])
    other = clone(base).set_params(**changes)

    X = other.fit_transform(pictures[:2])

    expected = clone(other).set_params(cache=None).fit_transform(pictures[:2])
    assert_array_equal(X, expected)
    assert len(cache) == 4


def test_the_weights_of_a_network_are_part_of_the_key(cache, pictures, tmp_path):
    """They are identified by their values, not by the name of a file."""
    torch = pytest.importorskip("torch")
    timm = pytest.importorskip("timm")
    path, embeddings = tmp_path / "a.pth", []
    for seed in (0, 1):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            torch.save(timm.create_model("test_resnet").state_dict(), path)
        embedder = make_untrained(checkpoint_path=path, image_size=64, cache=cache)
        embeddings.append(embedder.fit_transform(pictures[:1]))

    assert np.abs(embeddings[0] - embeddings[1]).max() > 0.01


def test_a_resumed_run_of_a_network_gives_the_same_embeddings(cache, pictures):
    """The rest is embedded in smaller batches, hence within the tolerance."""
    expected = make_untrained(image_size=64).fit_transform(pictures)
    embedder = make_untrained(image_size=64, cache=cache)
    first = embedder.fit_transform(pictures[:5])

    X = embedder.transform(pictures)

    assert_array_equal(X[:5], first)
    assert_embeddings_close(X, expected)


def test_normalize_and_batch_size_are_not_part_of_the_key(count, cache, paths):
    """The cache contains embeddings before they are normalized."""
    count(Counting(cache=cache), paths)

    X, n_again = count(Counting(cache=cache, normalize="l2", batch_size=5), paths)

    assert n_again == 0
    np.testing.assert_allclose(np.linalg.norm(X, axis=1), 1, rtol=1e-6)


def test_unreadable_images_are_not_cached(count, cache, paths):
    """They are read again in the next run."""
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
        (_damage_header, "damaged or is not a cache"),
        (_cut, "damaged or is not a cache"),
        (_flip_rows, "does not match its checksum"),
        (_foreign, "database of another program"),
        (_text, "damaged or is not a cache"),
        (
            _newer,
            "format version 99, but this version of imgsim supports only version 2",
        ),
    ],
)
def test_a_file_that_is_not_a_cache_is_rejected_and_not_modified(
    cache, paths, damage, message
):
    """It may be a valuable file of the user."""
    Counting(cache=cache).fit_transform(paths)
    damage(cache.path)
    content = cache.path.read_bytes()

    with pytest.raises(EmbeddingCacheError, match=message):
        Counting(cache=cache, on_error="nan").fit_transform(paths)

    assert cache.path.read_bytes() == content


def test_a_missing_folder_is_named(tmp_path, paths):
    """It is not created, because the path may be misspelled."""
    with pytest.raises(
        EmbeddingCacheError, match=r"the folder '.*nowhere' does not exist"
    ):
        Counting(cache=tmp_path / "nowhere/rows.sqlite").fit_transform(paths)


def test_a_full_disk_does_not_end_a_run(cache, paths, monkeypatch):
    """There is one warning, and all embeddings are returned."""
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


def test_info_describes_the_content(cache, paths):
    """A user can decide whether to delete it."""
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


def test_info_shows_what_differs_between_recipes(cache, paths):
    """The settings that all recipes of an embedder share would hide the others."""
    assert repr(cache.info()).startswith("0 embeddings")

    Counting(cache=cache).fit_transform(paths)
    Counting(cache=cache, grid=(1, 1)).fit_transform(paths[:5])

    title, *lines = repr(cache.info()).splitlines()
    assert title.startswith("17 embeddings, ")
    assert [line.split() for line in lines] == [
        ["embedder", "grid", "n_rows"],
        ["Counting", "[2,", "2]", "12"],
        ["Counting", "[1,", "1]", "5"],
    ]
    assert cache.info()._repr_html_().count("<tr>") == 3


def test_prune_removes_the_oldest_embeddings(count, cache, paths, monkeypatch):
    """The file becomes smaller."""
    monkeypatch.setattr(time, "time", lambda: 1e9)
    count(Counting(cache=cache), paths[:6])
    monkeypatch.undo()
    count(Counting(cache=cache), paths[6:])
    before = cache.path.stat().st_size

    n_removed = cache.prune(older_than=1)

    assert (n_removed, len(cache)) == (6, 6)
    assert cache.path.stat().st_size < before
    assert cache.prune(max_bytes=0) == 6
    assert len(cache) == 0


def test_prune_stops_at_max_bytes(cache, pictures):
    """Embeddings that fit are kept."""
    rng = np.random.default_rng(0)
    many = rng.integers(0, 256, (200, 8, 8, 3), dtype=np.uint8)
    ColorHistogramEmbedder(cache=cache).fit_transform(many)
    limit = cache.path.stat().st_size // 2

    n_removed = cache.prune(max_bytes=limit)

    assert 90 <= n_removed <= 130
    assert cache.path.stat().st_size <= limit


def test_prune_waits_for_another_process_that_reads(cache, pictures, monkeypatch):
    """If the other process does not finish, nothing is removed."""
    ColorHistogramEmbedder(cache=cache).fit_transform(pictures)
    monkeypatch.setattr(_sqlite_file, "_LOCK_TIMEOUT_SECONDS", 0.1)
    with closing(sqlite3.connect(cache.path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM rows").fetchone()

        with pytest.raises(EmbeddingCacheError, match="is locked"):
            cache.prune(max_bytes=0)

        assert len(cache) == 12
    assert cache.prune(max_bytes=0) == 12


def test_a_disk_that_is_full_from_the_start_does_not_end_a_run(
    cache, paths, monkeypatch
):
    """There is one warning, and the run continues without the cache."""

    def full(path):
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        with _sqlite_file.translate_errors(path):
            raise error

    monkeypatch.setattr(_cached_rows, "connect", full)

    with pytest.warns(EmbeddingCacheWarning, match="disk is full") as caught:
        X = Counting(cache=cache).fit_transform(paths)

    assert len(caught) == 1
    assert_array_equal(X, Counting().fit_transform(paths))


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({}, "requires older_than"),
        ({"max_bytes": -1}, "max_bytes=-1 must be at least 0"),
        ({"older_than": -0.5}, r"older_than=-0\.5 must be at least 0"),
        ({"older_than": np.nan}, "older_than=nan must be at least 0 and finite"),
        ({"older_than": np.inf}, "older_than=inf must be at least 0 and finite"),
        ({"older_than": 10**400}, "older_than=10* must be at least 0 and finite"),
    ],
)
def test_prune_requires_a_bound(cache, bounds, message):
    """Without one, it would remove everything or nothing."""
    with pytest.raises(ValueError, match=message):
        cache.prune(**bounds)


@pytest.mark.parametrize(
    "bounds",
    [
        {"older_than": True},
        {"older_than": np.True_},
        {"older_than": "3"},
        {"older_than": 1j},
        {"older_than": [3]},
        {"max_bytes": True},
        {"max_bytes": 2.5},
        {"max_bytes": np.nan},
        {"max_bytes": "1e9"},
    ],
    ids=str,
)
def test_prune_requires_numbers(cache, bounds):
    """True is not a number of days, although it equals 1."""
    [name] = bounds

    with pytest.raises(TypeError, match=rf"{name}=.* must be an? (number|integer) or"):
        cache.prune(**bounds)


def test_prune_accepts_numbers_of_numpy(cache, pictures):
    """They come from calculations with arrays."""
    ColorHistogramEmbedder(cache=cache).fit_transform(pictures)

    assert cache.prune(older_than=np.float32(1), max_bytes=np.int64(0)) == 12


def test_a_cache_is_equal_to_another_with_the_same_path(cache):
    """It is cloned and pickled as its path."""
    assert pickle.loads(pickle.dumps(cache)) == cache
    assert clone(Counting(cache=cache)).cache == cache
    assert cache != EmbeddingCache("other")
    assert bool(cache)
    assert repr(cache).startswith("EmbeddingCache('")


# Processes start quickly if the server has imported what this module imports.
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["imgsim.embedding", "matplotlib", "pytest"])


def _start(function, *args):
    process = _processes.Process(target=function, args=args)
    process.start()
    return process


def _exit_code(process):
    process.join(60)
    return process.exitcode


class _SendsSignal(ColorHistogramEmbedder):
    """Send a signal to its own process when it embeds a batch."""

    n_batches = None
    signal_number = None

    def _embed(self, images):
        if self.n_batches == 0:
            signal.raise_signal(self.signal_number)
        if self.n_batches is not None:
            self.n_batches -= 1
        return super()._embed(images)


class _KilledBeforeCommit:
    """A connection that kills the process in a transaction with embeddings."""

    def __init__(self, connection):
        self._connection = connection

    def __getattr__(self, name):
        return getattr(self._connection, name)

    def execute(self, statement, *args):
        if statement == "COMMIT":
            signal.raise_signal(signal.SIGKILL)
        return self._connection.execute(statement, *args)


def _run(cache, paths, result, signal_number=None, n_batches=None):
    """Embed images in batches of 4, each of which is committed, and save the result."""
    _cached_rows._SECONDS_BETWEEN_COMMITS = -1
    embedder = _SendsSignal(cache=cache, batch_size=4)
    embedder.signal_number, embedder.n_batches = signal_number, n_batches
    np.save(result, embedder.fit_transform(paths))


def _run_until_commit(cache, paths, result):
    connect = _cached_rows.connect
    _cached_rows.connect = lambda path: _KilledBeforeCommit(connect(path))
    _run(cache, paths, result)


@pytest.fixture
def many_paths(tmp_path):
    """Return the paths of 40 files of noise, which are ten batches."""
    folder = tmp_path / "many"
    folder.mkdir()
    rng = np.random.default_rng(0)
    paths = [folder / f"{i:03}.png" for i in range(40)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (9, 9, 3), np.uint8)).save(path)
    return paths


@pytest.mark.parametrize(
    ("signal_number", "exit_code"),
    [
        (signal.SIGKILL, -signal.SIGKILL),
        (signal.SIGINT, 1),
        (signal.SIGTERM, -signal.SIGTERM),
    ],
    ids=["SIGKILL", "SIGINT", "SIGTERM"],
)
def test_a_killed_run_is_resumed(cache, many_paths, tmp_path, signal_number, exit_code):
    """It may be killed several times, also in a transaction."""
    args = cache, many_paths, tmp_path / "X.npy"
    lengths = [0]
    for n_batches in (4, 3):
        process = _start(_run, *args, signal_number, n_batches)
        assert _exit_code(process) == exit_code
        lengths.append(len(cache))
        process = _start(_run_until_commit, *args)
        assert _exit_code(process) == -signal.SIGKILL
        assert len(cache) == lengths[-1]

    assert _exit_code(_start(_run, *args)) == 0

    assert lengths[0] < lengths[1] < lengths[2] < 40
    expected = ColorHistogramEmbedder().fit_transform(many_paths)
    assert_array_equal(np.load(tmp_path / "X.npy"), expected)
    assert len(cache) == 40


def test_two_processes_write_at_once(cache, many_paths, tmp_path):
    """Both complete, and the file is not damaged."""
    results = [tmp_path / f"{i}.npy" for i in range(2)]

    processes = [_start(_run, cache, many_paths, result) for result in results]

    assert [_exit_code(process) for process in processes] == [0, 0]
    assert_array_equal(*(np.load(result) for result in results))
    assert len(cache) == 40


def _run_with_small_files(cache):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
    images = np.random.default_rng(0).integers(0, 256, (300, 8, 8, 3), dtype=np.uint8)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        X = ColorHistogramEmbedder(cache=cache).fit_transform(images)
    assert [w.category for w in caught] == [EmbeddingCacheWarning], caught
    assert_array_equal(X, ColorHistogramEmbedder().fit_transform(images))


@pytest.mark.skipif(
    not hasattr(resource, "RLIMIT_FSIZE"), reason="no limit on the size of files here"
)
def test_a_limit_on_the_size_of_files_does_not_end_a_run(cache):
    """The operating system rejects a write, as it does for a full disk."""
    assert _exit_code(_start(_run_with_small_files, cache)) == 0
    assert len(cache) < 300
