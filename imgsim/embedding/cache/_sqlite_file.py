"""The SQLite file of an EmbeddingCache: its tables, its version, and its errors.

CACHE_FORMAT_VERSION is the `user_version` of the file. It increases by one with every
change of the tables or of the meaning of a stored value. A file of a different version
is rejected.

Before any table is read, the whole schema of the file is compared with the tables of a
cache, so that the views and triggers of another file are never evaluated.
"""

import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

from imgsim._atomic_file import check_characters
from imgsim.exceptions import EmbeddingCacheError

CACHE_FORMAT_VERSION = 2
_APPLICATION_ID = 0x696D6773  # "imgs"
_LOCK_TIMEOUT_SECONDS = 60
_TABLES = (
    """CREATE TABLE recipes (
        id INTEGER PRIMARY KEY,
        description TEXT NOT NULL UNIQUE,
        created REAL NOT NULL)""",
    """CREATE TABLE rows (
        id INTEGER PRIMARY KEY,
        recipe INTEGER NOT NULL REFERENCES recipes (id),
        content BLOB NOT NULL,
        value BLOB NOT NULL,
        checksum INTEGER NOT NULL,
        created REAL NOT NULL,
        UNIQUE (recipe, content))""",
    """CREATE TABLE files (
        path BLOB PRIMARY KEY,
        size INTEGER NOT NULL,
        modified INTEGER NOT NULL,
        changed INTEGER NOT NULL,
        inode BLOB NOT NULL,
        content BLOB NOT NULL,
        checksum INTEGER NOT NULL) WITHOUT ROWID""",
)
# A damaged file can have a tree of pages in which SQLite would read the same pages
# again and again. Reading the tables of a cache takes fewer steps than these.
_MAX_STEPS_OF_CHECK = 100_000
_MAX_STEPS = 1_000_000  # plus ten for each byte of the file
_STEPS_BETWEEN_CALLS = 10_000
_PERMISSIONS = (
    "Check the permissions of the file and of its folder. If a run was "
    "interrupted while it wrote to the file, the next run has to repair the file."
)
_REPEAT = "Try again when no other process uses the file."
# What to do after errors of SQLite that do not depend on the content of the file.
_REMEDIES = {
    sqlite3.SQLITE_AUTH: _PERMISSIONS,
    sqlite3.SQLITE_BUSY: _REPEAT,
    sqlite3.SQLITE_CANTOPEN: _PERMISSIONS,
    sqlite3.SQLITE_FULL: "Free space on the disk.",
    sqlite3.SQLITE_IOERR: "Check that the disk works and has free space.",
    sqlite3.SQLITE_LOCKED: _REPEAT,
    sqlite3.SQLITE_NOLFS: "Check that the disk supports large files.",
    sqlite3.SQLITE_NOMEM: "Free memory.",
    sqlite3.SQLITE_PERM: _PERMISSIONS,
    sqlite3.SQLITE_PROTOCOL: _REPEAT,
    sqlite3.SQLITE_READONLY: _PERMISSIONS,
}


class CacheConnection(sqlite3.Connection):
    """A connection to a file of a cache, which may be writable or not."""

    is_writable = True


@contextmanager
def open_cache_file(path: str) -> Iterator[CacheConnection]:
    """Open or create the file; raise EmbeddingCacheError for errors of SQLite."""
    with translate_errors(path), closing(connect(path)) as connection:
        _limit_steps(connection, _MAX_STEPS + 10 * os.path.getsize(path))
        yield connection


def connect(path: str) -> CacheConnection:
    """Connect to the file, or create it.

    A file is created only if there is none, or if it is empty.
    """
    check_cache_path(path)
    mode = _check_file(path)
    with translate_errors(path):
        connection: CacheConnection = sqlite3.connect(
            f"{Path(os.path.abspath(path)).as_uri()}?mode={mode}",
            uri=True,
            timeout=_LOCK_TIMEOUT_SECONDS,
            isolation_level=None,
            check_same_thread=False,
            factory=CacheConnection,
        )
        connection.is_writable = mode != "ro"
        try:
            _initialize(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


def check_cache_path(path: Any) -> str:
    """Return the path as a str, or raise an error if it cannot name a file."""
    name = os.fspath(path) if isinstance(path, os.PathLike) else path
    if not isinstance(name, str):
        raise TypeError(f"cache={path!r} must be a str or a path-like object.")
    try:
        check_characters(name)
    except ValueError as error:
        raise EmbeddingCacheError(f"cache={name!r} cannot be used: {error}") from error
    if name in ("", ":memory:") or name.startswith("file:"):
        raise EmbeddingCacheError(
            f"cache={name!r} is not the path of a file, so that no embedding would be "
            f"kept; use a path such as 'embeddings.sqlite'."
        )
    return name


@contextmanager
def translate_errors(path: str) -> Iterator[None]:
    """Raise EmbeddingCacheError with the name of the file for errors of SQLite."""
    try:
        yield
    # The message of an error can contain text of the file that is not valid UTF-8.
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        remedy = _REMEDIES.get(_primary_code(error))
        if remedy is not None:
            raise EmbeddingCacheError(
                f"cache={path!r} cannot be used: {error}. {remedy} Otherwise, use "
                f"another path."
            ) from error
        raise EmbeddingCacheError(
            f"cache={path!r} is damaged or is not a cache of embeddings: {error}. Move "
            f"the file away, or use another path."
        ) from error


def is_disk_full(error: BaseException | None) -> bool:
    """Return whether an error of SQLite means that nothing more can be written."""
    return _primary_code(error) in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)


def _primary_code(error: BaseException | None) -> int:
    # The low byte of an extended error code is the primary code.
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _check_file(path: str) -> str:
    """Return the mode in which SQLite opens the file, or raise EmbeddingCacheError."""
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise EmbeddingCacheError(
            f"cache={path!r}: the folder {folder!r} does not exist; create it first, "
            f"or use another path."
        )
    for suffix in ("-journal", "-wal", "-shm"):
        _check_type(path, path + suffix, os.lstat)
    if not _check_type(path, path, os.stat):
        return "rwc"
    return "rw" if os.access(path, os.W_OK) and os.access(folder, os.W_OK) else "ro"


def _check_type(path: str, part: str, get_status: Callable[[str], Any]) -> bool:
    """Return whether a file of the cache exists; raise an error for anything else."""
    problem = "is not a regular file"
    try:
        if stat.S_ISREG(get_status(part).st_mode):
            return True
    except FileNotFoundError:
        # Another process may just have deleted its journal.
        if not os.path.islink(part):
            return False
        problem = "is a link to a file that does not exist"
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
    raise EmbeddingCacheError(
        f"cache={path!r} cannot be used, because {part!r} {problem}; use another path."
    )


def _initialize(connection: CacheConnection, path: str) -> None:
    """Create the tables of a new file, or check an existing file."""
    _limit_steps(connection, _MAX_STEPS_OF_CHECK)
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    n_pages = _read_pragma(connection, "page_count")
    # SQLite also treats a file of one byte as empty.
    if n_pages == 0 and os.path.getsize(path) == 0:
        # With an embedding of length 2048, half of a larger page would be empty.
        connection.execute("PRAGMA page_size = 4096")
        connection.execute("BEGIN")
        _create_tables(connection)
        connection.execute("COMMIT")
    _check_version(connection, path)
    _check_schema(connection, path)
    connection.set_progress_handler(None, 0)


def _create_tables(connection: CacheConnection) -> None:
    # This writes to the file. Before the transaction, it would be a commit of its own,
    # and other processes would find a file without tables. In the transaction, it
    # waits for another process that creates the tables.
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    if not _read_schema(connection, 1):
        for table in _TABLES:
            connection.execute(table)
        connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {CACHE_FORMAT_VERSION}")


def _check_version(connection: CacheConnection, path: str) -> None:
    if _read_pragma(connection, "application_id") != _APPLICATION_ID:
        raise EmbeddingCacheError(
            f"cache={path!r} is a database of another program and was not modified; "
            f"use another path."
        )
    version = _read_pragma(connection, "user_version")
    if version != CACHE_FORMAT_VERSION:
        raise EmbeddingCacheError(
            f"cache={path!r} has format version {version}, but this version of imgsim "
            f"supports only version {CACHE_FORMAT_VERSION}; use another path."
        )


def _check_schema(connection: CacheConnection, path: str) -> None:
    """Raise EmbeddingCacheError unless the tables are exactly those of a cache."""
    expected = _expected_schema()
    found = _read_schema(connection, len(expected) + 1)
    if len(found) != len(expected) or set(found) != expected:
        raise EmbeddingCacheError(
            f"cache={path!r} does not have the tables of a cache of embeddings, or has "
            f"more than these, and was not modified; use another path."
        )


@cache
def _expected_schema() -> frozenset[tuple[Any, ...]]:
    with closing(sqlite3.connect(":memory:")) as connection:
        for table in _TABLES:
            connection.execute(table)
        return frozenset(_read_schema(connection, -1))


def _read_schema(connection: sqlite3.Connection, limit: int) -> list[tuple[Any, ...]]:
    query = "SELECT type, name, tbl_name, sql FROM sqlite_schema LIMIT ?"
    return connection.execute(query, (limit,)).fetchall()


def _read_pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _limit_steps(connection: sqlite3.Connection, n_steps: int) -> None:
    """Interrupt the connection after a number of steps of its virtual machine."""
    calls = count(_STEPS_BETWEEN_CALLS, _STEPS_BETWEEN_CALLS)
    connection.set_progress_handler(lambda: next(calls) > n_steps, _STEPS_BETWEEN_CALLS)
