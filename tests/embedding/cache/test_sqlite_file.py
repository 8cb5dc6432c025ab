"""Tests of the file of a cache: what is accepted, and how it is opened."""

import multiprocessing
import os
import shutil
import sqlite3
import stat
import tempfile
import warnings
from contextlib import closing, suppress
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from imgsim import ColorHistogramEmbedder, EmbeddingCache
from imgsim.embedding.cache import _cached_rows, _sqlite_file
from imgsim.exceptions import EmbeddingCacheError, EmbeddingCacheWarning

posix_only = pytest.mark.skipif(os.name != "posix", reason="needs a POSIX system")
ENDLESS = (
    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c"
)
PAGE_SIZE = 4096


@pytest.fixture(scope="module")
def images():
    """Return four images of noise."""
    return np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def expected(images):
    """Return the embeddings of the images, which are computed without a cache."""
    return ColorHistogramEmbedder().fit_transform(images)


@pytest.fixture(scope="module")
def saved(images, tmp_path_factory):
    """Return the content of a cache that contains the embeddings of the images."""
    path = tmp_path_factory.mktemp("cache") / "rows.sqlite"
    ColorHistogramEmbedder(cache=path).fit_transform(images)
    return path.read_bytes()


@pytest.fixture
def path(saved, tmp_path):
    """Return the path of a cache that contains the embeddings of the images."""
    path = tmp_path / "rows.sqlite"
    path.write_bytes(saved)
    return path


def _run_sql(path, *statements):
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


FOREIGN_SCHEMAS = {
    "view": [f"CREATE VIEW endless AS {ENDLESS}"],
    "view of rows": [
        "ALTER TABLE rows RENAME TO old",
        "CREATE VIEW rows AS SELECT * FROM old",
    ],
    "endless view of rows": [
        "DROP TABLE rows",
        f"CREATE VIEW rows AS SELECT x AS id, x AS recipe, x AS content, x AS value, "
        f"x AS checksum, x AS created FROM ({ENDLESS})",
    ],
    "endless view of recipes": [
        "DROP TABLE recipes",
        f"CREATE VIEW recipes AS SELECT x AS id, x AS description FROM ({ENDLESS})",
    ],
    "trigger": [
        "CREATE TRIGGER t AFTER INSERT ON rows BEGIN DELETE FROM rows; END",
    ],
    "trigger on files": [
        "CREATE TRIGGER t BEFORE DELETE ON files BEGIN SELECT RAISE(IGNORE); END",
    ],
    "index": ["CREATE INDEX i ON rows (created)"],
    "index of an expression": ["CREATE INDEX i ON rows (abs(created))"],
    "column": ["ALTER TABLE files ADD COLUMN x"],
    "generated column": ["ALTER TABLE rows ADD COLUMN x AS (zeroblob(900000000))"],
    "renamed column": ["ALTER TABLE files RENAME COLUMN inode TO x"],
    "table": ["CREATE TABLE more (x)"],
    "missing table": ["DROP TABLE files"],
    "no table": ["DROP TABLE files", "DROP TABLE rows", "DROP TABLE recipes"],
    "statistics": ["ANALYZE"],
    "virtual table": ["CREATE VIRTUAL TABLE v USING fts5(x)"],
    "other text": [
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_schema SET sql = replace(sql, 'NOT NULL', '')",
    ],
    "not a statement": [
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_schema SET sql = 'text' WHERE name = 'rows'",
    ],
    "not UTF-8": [
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_schema SET name = CAST(x'ff' AS TEXT) WHERE name = 'rows'",
    ],
}


@pytest.mark.parametrize("statements", FOREIGN_SCHEMAS.values(), ids=FOREIGN_SCHEMAS)
def test_other_schemas_are_rejected_before_they_are_evaluated(path, images, statements):
    """A view can be endless, and a trigger can delete embeddings."""
    with suppress(sqlite3.OperationalError):  # an old SQLite may not know the statement
        _run_sql(path, *statements)
    content = path.read_bytes()

    for use in (
        lambda: ColorHistogramEmbedder(cache=path).fit_transform(images),
        lambda: EmbeddingCache(path).info(),
        lambda: EmbeddingCache(path).prune(max_bytes=0),
    ):
        with pytest.raises(EmbeddingCacheError, match=r"cache='.*rows\.sqlite'"):
            use()

    assert path.read_bytes() == content
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize(
    "statements",
    [
        ["PRAGMA user_version = 2"],
        ["PRAGMA auto_vacuum = FULL", "VACUUM"],
        ["CREATE TABLE t (x)", "DROP TABLE t"],
        ["PRAGMA journal_mode = WAL"],
    ],
    ids=str,
)
def test_an_empty_database_of_another_program_is_rejected(path, images, statements):
    """Only a file without any content becomes a cache."""
    path.unlink()
    _run_sql(path, *statements)
    content = path.read_bytes()

    with pytest.raises(EmbeddingCacheError, match="database of another program"):
        ColorHistogramEmbedder(cache=path).fit_transform(images)

    assert path.read_bytes() == content


@pytest.mark.parametrize("length", [1, 15, 16, 100, 511, 512, 4096])
@pytest.mark.parametrize("byte", [b"\0", b"x"])
def test_a_file_without_a_database_is_rejected(path, images, length, byte):
    """However short it is, it may be valuable."""
    path.write_bytes(length * byte)

    with pytest.raises(EmbeddingCacheError, match=r"cache='.*rows\.sqlite'"):
        ColorHistogramEmbedder(cache=path).fit_transform(images)

    assert path.read_bytes() == length * byte


def test_an_empty_file_becomes_a_cache(path, images):
    """`tempfile` creates such files."""
    path.write_bytes(b"")

    ColorHistogramEmbedder(cache=path).fit_transform(images)

    assert len(EmbeddingCache(path)) == 4


def test_an_older_version_is_named(path, images):
    """A cache of the first version is valid, but its files have no checksums."""
    _run_sql(path, "PRAGMA user_version = 1")

    with pytest.raises(EmbeddingCacheError, match="has format version 1, but this"):
        ColorHistogramEmbedder(cache=path).fit_transform(images)


@pytest.fixture
def _all_settled(monkeypatch):
    """Accept the times of files that were just written."""
    monkeypatch.setattr(_cached_rows, "_SETTLED_NS", -1)


@pytest.fixture
def files(images, tmp_path):
    """Return the paths of four image files."""
    from PIL import Image

    paths = [tmp_path / f"{i}.png" for i in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path)
    return paths


@pytest.mark.usefixtures("_all_settled")
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE files SET content = (SELECT max(content) FROM files)",
        "UPDATE files SET content = CAST(hex(content) AS TEXT)",
        "UPDATE files SET checksum = checksum + 1",
        "UPDATE files SET size = CAST(size AS BLOB)",
        "UPDATE files SET inode = CAST(inode AS TEXT)",
        "UPDATE files SET modified = modified + 1",
        "UPDATE rows SET value = CAST(zeroblob(length(value)) AS TEXT)",
        "UPDATE rows SET value = x''",
        "UPDATE rows SET value = zeroblob(100000)",
        "UPDATE rows SET value = 1.5",
        "UPDATE rows SET checksum = 'text'",
        "UPDATE rows SET checksum = x'00'",
        "UPDATE rows SET value = (SELECT value FROM rows AS r WHERE r.id != rows.id)",
    ],
)
def test_a_changed_value_is_detected(tmp_path, files, statement):
    """Otherwise, the embedding of another image would be returned."""
    path = tmp_path / "rows.sqlite"
    ColorHistogramEmbedder(cache=path).fit_transform(files)
    _run_sql(path, statement)

    with pytest.raises(EmbeddingCacheError, match="does not match its checksum"):
        ColorHistogramEmbedder(cache=path).fit_transform(files)


@pytest.mark.usefixtures("_all_settled")
@pytest.mark.parametrize("table", ["files", "rows"])
def test_a_missing_value_is_detected(tmp_path, files, table):
    """SQLite checks the type of a value only when it is written."""
    path = tmp_path / "rows.sqlite"
    ColorHistogramEmbedder(cache=path).fit_transform(files)
    column = "content" if table == "files" else "value"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        query = "SELECT sql FROM sqlite_schema WHERE name = ?"
        (sql,) = connection.execute(query, (table,)).fetchone()
        _write_schema(connection, table, sql.replace("NOT NULL", ""))
    _run_sql(path, f"UPDATE {table} SET {column} = NULL")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        _write_schema(connection, table, sql)

    with pytest.raises(EmbeddingCacheError, match="does not match its checksum"):
        ColorHistogramEmbedder(cache=path).fit_transform(files)


def _write_schema(connection, table, sql):
    connection.execute("PRAGMA writable_schema = ON")
    query = "UPDATE sqlite_schema SET sql = ? WHERE name = ?"
    connection.execute(query, (sql, table))


def test_a_row_of_another_recipe_is_detected(path, images):
    """Its length may be the same, but its numbers have another meaning."""
    other = ColorHistogramEmbedder(cache=path, image_size=16)
    other.fit_transform(images)
    _run_sql(path, "DELETE FROM rows WHERE recipe = 1", "UPDATE rows SET recipe = 1")

    with pytest.raises(EmbeddingCacheError, match="does not match its checksum"):
        ColorHistogramEmbedder(cache=path).fit_transform(images)


def test_exchanged_recipes_are_detected(path, images):
    """Then, no row was changed, but each has another meaning."""
    other = ColorHistogramEmbedder(cache=path, image_size=16)
    other.fit_transform(images)
    _run_sql(
        path,
        "UPDATE recipes SET description = 'none' || description",
        "UPDATE recipes SET description = (SELECT substr(r.description, 5) "
        "FROM recipes AS r WHERE r.id = 3 - recipes.id) WHERE id = 1",
    )

    with pytest.raises(EmbeddingCacheError, match="does not match its checksum"):
        other.fit_transform(images)


@pytest.mark.parametrize(
    "description",
    ["", "text", "[]", "1", "null", "[" * 100_000, b"{}", 1.5, '{"a": 1', b"\xff"],
    ids=lambda value: repr(value)[:20],
)
def test_a_recipe_that_is_not_a_json_object_is_detected(path, description):
    """`info` shows the recipes."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE recipes SET description = ?", (description,))

    if description == b"{}":
        assert EmbeddingCache(path).info().recipes == [{"n_rows": 4}]
        return
    with pytest.raises(EmbeddingCacheError, match=r"rows\.sqlite' is damaged"):
        EmbeddingCache(path).info()


def _leaf_of_table(content, name):
    """Return the number of the root page of a table, counted from 1."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "copy"
        path.write_bytes(content)
        query = "SELECT rootpage FROM sqlite_schema WHERE name = ?"
        with closing(sqlite3.connect(path)) as connection:
            return connection.execute(query, (name,)).fetchone()[0]


def _interior_page(child, header_size):
    """Return a page of a tree of a table that has the same child many times."""
    n_cells, page = 300, bytearray(PAGE_SIZE)
    start = PAGE_SIZE - 5 * n_cells
    page[header_size : header_size + 8] = (
        b"\x05\0\0" + n_cells.to_bytes(2, "big") + start.to_bytes(2, "big") + b"\0"
    )
    page[header_size + 8 : header_size + 12] = child.to_bytes(4, "big")
    for cell in range(n_cells):
        position = start + 5 * cell
        pointer = header_size + 12 + 2 * cell
        page[pointer : pointer + 2] = position.to_bytes(2, "big")
        page[position : position + 5] = child.to_bytes(4, "big") + b"\x01"
    return page


@pytest.mark.parametrize("table", ["sqlite_schema", "rows"])
def test_a_tree_with_endless_paths_is_detected(path, table):
    """Each of its pages is valid, but the same pages would be read for ever."""
    content = bytearray(path.read_bytes())
    root = 1 if table == "sqlite_schema" else _leaf_of_table(content, table)
    n_pages = len(content) // PAGE_SIZE
    chain = [root, *range(n_pages + 1, n_pages + 9)]
    leaf = content[(root - 1) * PAGE_SIZE : root * PAGE_SIZE]
    content += bytes(8 * PAGE_SIZE)
    for page, child in pairwise(chain):
        header_size = 100 if page == 1 else 0
        new = _interior_page(child, header_size)
        new[:header_size] = content[:header_size]
        content[(page - 1) * PAGE_SIZE : page * PAGE_SIZE] = new
    if root != 1:
        content[-PAGE_SIZE:] = leaf
    else:
        content[-PAGE_SIZE:] = b"\x0d" + bytes(6) + b"\x10" + bytes(PAGE_SIZE - 8)
    content[28:32] = (len(content) // PAGE_SIZE).to_bytes(4, "big")
    path.write_bytes(content)

    with pytest.raises(EmbeddingCacheError, match=r"rows\.sqlite' is damaged"):
        EmbeddingCache(path).prune(max_bytes=0)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "no embedding would be kept"),
        (":memory:", "no embedding would be kept"),
        ("file::memory:", "no embedding would be kept"),
        ("file:a.sqlite?mode=memory", "no embedding would be kept"),
        ("a\0b", "no file name can contain"),
        ("\ud800", "no file name can contain"),
    ],
)
def test_a_path_that_keeps_nothing_is_an_error(
    images, tmp_path, monkeypatch, name, message
):
    """Silently, all embeddings would be computed again in the next run."""
    monkeypatch.chdir(tmp_path)

    with pytest.raises(EmbeddingCacheError, match=message):
        ColorHistogramEmbedder(cache=name).fit_transform(images)
    with pytest.raises(EmbeddingCacheError, match=message):
        EmbeddingCache(name)

    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("path", [None, 3, b"a.sqlite", ["a.sqlite"]])
def test_a_path_of_another_type_is_an_error(path):
    """The error is raised at once."""
    with pytest.raises(
        TypeError, match=r"cache=.* must be a str or a path-like object"
    ):
        EmbeddingCache(path)


def _make_dangling_link(path):
    path.symlink_to(path.with_name("missing"))


def _make_circular_link(path):
    path.symlink_to(path)


def _make_device(path):
    path.symlink_to("/dev/null")


@posix_only
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (os.mkdir, "is not a regular file"),
        (os.mkfifo, "is not a regular file"),
        (_make_device, "is not a regular file"),
        (_make_dangling_link, "is a link to a file that does not exist"),
        (_make_circular_link, "symbolic links"),
    ],
)
def test_something_that_is_not_a_file_is_an_error(images, tmp_path, make, message):
    """A pipe would wait for ever, and a link could point anywhere."""
    path = tmp_path / "rows.sqlite"
    make(path)

    with pytest.raises(EmbeddingCacheError, match=rf"rows\.sqlite'.* {message}"):
        ColorHistogramEmbedder(cache=path).fit_transform(images)
    with pytest.raises(EmbeddingCacheError, match=rf"rows\.sqlite'.* {message}"):
        EmbeddingCache(path).info()


@posix_only
@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, _make_dangling_link])
@pytest.mark.parametrize("suffix", ["-journal", "-wal", "-shm"])
def test_a_part_that_is_not_a_file_is_an_error(path, images, make, suffix):
    """SQLite would wait for a pipe of this name."""
    part = path.with_name(path.name + suffix)
    make(part)

    with pytest.raises(EmbeddingCacheError, match=rf"{part.name}' is not a regular"):
        ColorHistogramEmbedder(cache=path).fit_transform(images)


def test_a_file_is_created_in_one_step(tmp_path):
    """Otherwise, another process or a killed process would find half a cache."""
    path, sizes = tmp_path / "rows.sqlite", []
    path.touch()

    class Traced(_sqlite_file.CacheConnection):
        def execute(self, *args):
            result = super().execute(*args)
            sizes.append(path.stat().st_size)
            return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_sqlite_file, "CacheConnection", Traced)
        assert EmbeddingCache(path).info().n_bytes == path.stat().st_size

    assert set(sizes) == {0, path.stat().st_size}


@pytest.mark.parametrize(
    "name", ["%41?mode=ro#a", "a b", "ä", "\udce4" if os.name == "posix" else "b"]
)
def test_unusual_names_are_used_unchanged(images, tmp_path, name):
    """SQLite reads the path as a URI, in which some characters have a meaning."""
    ColorHistogramEmbedder(cache=tmp_path / name).fit_transform(images)

    assert os.listdir(tmp_path) == [name]
    assert len(EmbeddingCache(tmp_path / name)) == 4


# Processes start quickly if the server has imported what this module imports.
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["imgsim.embedding", "matplotlib", "pytest"])


@pytest.fixture
def shared(saved):
    """Return the path of a cache in a folder that every user can read."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.sqlite"
        path.write_bytes(saved)
        os.chmod(folder, 0o755)
        path.chmod(0o644)
        yield path
        os.chmod(folder, 0o755)


def _run_as_another_user(function, *args):
    """Run a function in a process that may not write to files of this user."""
    process = _processes.Process(target=_drop_privileges, args=(function, *args))
    process.start()
    process.join(60)
    assert process.exitcode == 0


def _drop_privileges(function, *args):
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    function(*args)


def _use_cache_that_can_only_be_read(path, images, expected):
    new = np.concatenate([images, 255 - images[:1]])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        embedder = ColorHistogramEmbedder(cache=path, batch_size=2)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ColorHistogramEmbedder, "_embed", None)
            assert_array_equal(embedder.fit_transform(images), expected)
        assert [w.category for w in caught] == [EmbeddingCacheWarning]
        assert "new embeddings are not written to cache=" in str(caught[0].message)
        X = embedder.transform(new)
        assert [w.category for w in caught] == 2 * [EmbeddingCacheWarning]
    assert_array_equal(X, ColorHistogramEmbedder().fit_transform(new))
    cache = EmbeddingCache(path)
    assert len(cache) == cache.info().n_rows == 4
    with pytest.raises(EmbeddingCacheError, match="can only be read"):
        cache.prune(max_bytes=0)


@posix_only
@pytest.mark.parametrize(
    ("file_mode", "folder_mode"), [(0o444, 0o755), (0o444, 0o555), (0o644, 0o555)]
)
def test_a_cache_that_can_only_be_read_is_used(
    shared, images, expected, file_mode, folder_mode
):
    """It may be on a read-only disk, or belong to another user."""
    content = shared.read_bytes()
    shared.chmod(file_mode)
    os.chmod(shared.parent, folder_mode)

    _run_as_another_user(_use_cache_that_can_only_be_read, shared, images, expected)

    assert shared.read_bytes() == content
    assert os.listdir(shared.parent) == [shared.name]
    assert stat.S_IMODE(shared.stat().st_mode) == file_mode


def _use_cache_that_cannot_be_used(path, images, message):
    with pytest.raises(EmbeddingCacheError, match=message):
        ColorHistogramEmbedder(cache=path).fit_transform(images)


@posix_only
@pytest.mark.parametrize("mode", ["unreadable", "missing", "empty"])
def test_a_cache_that_cannot_be_used_is_an_error(shared, images, mode):
    """There is nothing to read, and nothing can be written."""
    if mode == "unreadable":
        shared.chmod(0)
    elif mode == "missing":
        shared.unlink()
    else:
        shared.write_bytes(b"")
    os.chmod(shared.parent, 0o555)

    message = r"rows\.sqlite' cannot be used: .* Check the permissions"
    _run_as_another_user(_use_cache_that_cannot_be_used, shared, images, message)


def test_an_interrupted_write_is_undone(path, images, expected, tmp_path):
    """A killed process leaves a journal, from which the old content is restored."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE rows SET value = zeroblob(length(value))")
        copy = tmp_path / "copy.sqlite"
        shutil.copy(path, copy)
        shutil.copy(f"{path}-journal", f"{copy}-journal")
    assert copy.read_bytes() != path.read_bytes()

    X = ColorHistogramEmbedder(cache=copy).fit_transform(images)

    assert_array_equal(X, expected)
