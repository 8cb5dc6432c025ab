"""The SQLite file of an EmbeddingCache: its tables, its version, and its errors.

CACHE_FORMAT_VERSION is the `user_version` of the file. It increases by one with every
change of the tables or of the meaning of a stored value. A file of a different version
is rejected.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

from imgsim.exceptions import EmbeddingCacheError

CACHE_FORMAT_VERSION = 1
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
        content BLOB NOT NULL) WITHOUT ROWID""",
)


@contextmanager
def open_cache_file(path: str) -> Iterator[sqlite3.Connection]:
    """Open or create the file; raise EmbeddingCacheError for errors of SQLite."""
    with translate_errors(path), closing(connect(path)) as connection:
        yield connection


def connect(path: str) -> sqlite3.Connection:
    """Connect to the file, or create it."""
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise EmbeddingCacheError(
            f"cache={path!r}: the folder {folder!r} does not exist; create it first, "
            f"or use another path."
        )
    with translate_errors(path):
        connection = sqlite3.connect(
            path,
            timeout=_LOCK_TIMEOUT_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            _initialize(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


@contextmanager
def translate_errors(path: str) -> Iterator[None]:
    """Raise EmbeddingCacheError with the name of the file for errors of SQLite."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise EmbeddingCacheError(
            f"cache={path!r} cannot be used: {error}. Check that its folder is "
            f"writable and that the disk has free space, or use another path."
        ) from error
    except sqlite3.DatabaseError as error:
        raise EmbeddingCacheError(
            f"cache={path!r} is damaged or is not a cache of embeddings: {error}. Move "
            f"the file away, or use another path."
        ) from error


def is_disk_full(error: BaseException | None) -> bool:
    """Return whether an error of SQLite means that nothing more can be written."""
    # The low byte of an extended error code is the primary code.
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)


def _initialize(connection: sqlite3.Connection, path: str) -> None:
    """Create the tables of a new file, or check an existing file."""
    (n_tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if n_tables == 0 and application == 0:
        # With an embedding of length 2048, half of a larger page would be empty.
        connection.execute("PRAGMA page_size = 4096")
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("BEGIN IMMEDIATE")
        _create_tables(connection)
        connection.execute("COMMIT")
    _check_file(connection, path)
    with suppress(sqlite3.OperationalError):
        # This fails only while another process does the same.
        connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")


def _create_tables(connection: sqlite3.Connection) -> None:
    # Another process may have created the tables in the meantime.
    (n_tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if n_tables == 0:
        for table in _TABLES:
            connection.execute(table)
        connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {CACHE_FORMAT_VERSION}")


def _check_file(connection: sqlite3.Connection, path: str) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != _APPLICATION_ID:
        raise EmbeddingCacheError(
            f"cache={path!r} is a database of another program and was not modified; "
            f"use another path."
        )
    if version != CACHE_FORMAT_VERSION:
        raise EmbeddingCacheError(
            f"cache={path!r} has format version {version}, but this version of imgsim "
            f"supports only version {CACHE_FORMAT_VERSION}; use another path."
        )
