"""The SQLite file behind an EmbeddingCache: what is in it, and whether it is one.

FORMAT_VERSION is the `user_version` of the file. It goes up by one with every change
of the tables or of what a stored value means; a file of another version is refused.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

from imgsim.exceptions import EmbeddingCacheError

FORMAT_VERSION = 1
_APPLICATION_ID = 0x696D6773  # "imgs"
_SECONDS_TO_WAIT_FOR_OTHERS = 60
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
def opened(path: str) -> Iterator[sqlite3.Connection]:
    """Open the file, and make it where there is none; errors name it."""
    with named_errors(path), closing(connect(path)) as connection:
        yield connection


def connect(path: str) -> sqlite3.Connection:
    """Open the file, and make it where there is none."""
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise EmbeddingCacheError(f"cache={path!r}: there is no folder {folder!r}.")
    with named_errors(path):
        connection = sqlite3.connect(
            path,
            timeout=_SECONDS_TO_WAIT_FOR_OTHERS,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            _make_or_check(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


@contextmanager
def named_errors(path: str) -> Iterator[None]:
    """Turn errors of SQLite into EmbeddingCacheError, with the name of the file."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise EmbeddingCacheError(
            f"cache={path!r} cannot be used: {error}. Check that the folder may be "
            f"written and has room, or take another path."
        ) from error
    except sqlite3.DatabaseError as error:
        raise EmbeddingCacheError(
            f"cache={path!r} is damaged, or no cache of embeddings: {error}. Move it "
            f"away, or take another path."
        ) from error


def is_full_disk(error: BaseException | None) -> bool:
    """Tell whether SQLite failed because nothing more can be written."""
    # The low byte of an extended code is the primary one.
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)


def _make_or_check(connection: sqlite3.Connection, path: str) -> None:
    (n_tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if n_tables == 0 and application == 0:
        # Of larger pages, rows of 2,048 numbers would leave half empty.
        connection.execute("PRAGMA page_size = 4096")
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("BEGIN IMMEDIATE")
        _make_tables(connection)
        connection.execute("COMMIT")
    _check(connection, path)
    with suppress(sqlite3.OperationalError):
        # Fails only while another process does the same.
        connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")


def _make_tables(connection: sqlite3.Connection) -> None:
    # Another process may have made them since we looked.
    (n_tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if n_tables == 0:
        for table in _TABLES:
            connection.execute(table)
        connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}")


def _check(connection: sqlite3.Connection, path: str) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != _APPLICATION_ID:
        raise EmbeddingCacheError(
            f"cache={path!r} is a database of another program. It was left as it is; "
            f"take another path."
        )
    if version != FORMAT_VERSION:
        raise EmbeddingCacheError(
            f"cache={path!r} has format version {version}; this version of imgsim "
            f"reads and writes {FORMAT_VERSION}. Take another path."
        )
