"""Rows of one recipe, looked up and kept while a collection is embedded."""

import json
import os
import sqlite3
import stat
import threading
import time
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from imgsim._typing import EmbeddingArray
from imgsim._warnings import warn_caller
from imgsim.embedding.cache._sqlite_file import connect, named_errors
from imgsim.exceptions import EmbeddingCacheError, EmbeddingCacheWarning
from imgsim.images._content_hash import hash_file
from imgsim.images._read import read_content

_SECONDS_BETWEEN_COMMITS = 2.0
_BYTES_BETWEEN_COMMITS = 64 * 2**20
# A file changed so shortly before it was read may change again without a trace in the
# times of its status, whose resolution is up to two seconds.
_SETTLED_NS = 2_000_000_000


class Found(NamedTuple):
    """What the cache knows of a source, and what had to be read to find out."""

    key: bytes | None
    row: EmbeddingArray | None
    content: bytes | None


class FileStatus(NamedTuple):
    """What tells an unchanged file without reading it."""

    path: bytes
    size: int
    modified: int
    changed: int
    inode: bytes

    @classmethod
    def of(cls, path: Any) -> "FileStatus | None":
        """Ask for the status of a regular file; None if there is none there."""
        try:
            status = os.stat(path)
        except (OSError, ValueError, TypeError):
            return None
        if not stat.S_ISREG(status.st_mode):
            return None
        inode = f"{status.st_dev} {status.st_ino}".encode()
        name = os.fsencode(os.path.abspath(path))
        return cls(name, status.st_size, status.st_mtime_ns, status.st_ctime_ns, inode)

    def is_settled(self) -> bool:
        """Tell whether a later change would show in the times."""
        return time.time_ns() - max(self.modified, self.changed) > _SETTLED_NS


class CachedRows:
    """The rows of one recipe in a cache file.

    `find` and `row_of` are called by many threads, `keep` and `close` by one.
    """

    def __init__(self, path: str, recipe: Mapping[str, Any], n_features: int) -> None:
        self._path = path
        self._n_bytes = 4 * n_features
        self._lock = threading.Lock()
        self._new_rows: dict[bytes, EmbeddingArray] = {}
        self._new_files: dict[bytes, tuple[FileStatus, bytes]] = {}
        self._committed_at = time.monotonic()
        self._is_writable = True
        self._connection = connect(path)
        with named_errors(path):
            self._recipe = self._id_of(json.dumps(recipe, sort_keys=True, default=repr))

    def find(self, source: Any) -> Found:
        """Look a source up, by the status of its file or else by its content."""
        is_path = isinstance(source, str | os.PathLike)
        status = FileStatus.of(source) if is_path else None
        if status is not None:
            hit = self._by_status(status)
            if hit is not None:
                return hit
        content = read_content(source)
        if content is None:
            return Found(None, None, None)
        key = hash_file(content)
        is_settled = status is not None and status.is_settled()
        if status is not None and is_settled and status == FileStatus.of(source):
            with self._lock:
                self._new_files[status.path] = status, key
        return Found(key, self.row_of(key), content)

    def row_of(self, key: bytes) -> EmbeddingArray | None:
        """Look a row up by the hash of what it was made of."""
        with self._lock, named_errors(self._path):
            if key in self._new_rows:
                return self._new_rows[key]
            found = self._connection.execute(
                "SELECT value, checksum FROM rows WHERE recipe = ? AND content = ?",
                (self._recipe, key),
            ).fetchone()
        return None if found is None else self._checked(key, *found)

    def keep(self, key: bytes, row: EmbeddingArray) -> None:
        """Remember a row, to be written with the next commit."""
        with self._lock:
            self._new_rows[key] = row.copy()

    def commit_if_due(self) -> None:
        """Commit every few seconds, or when much has come together."""
        is_late = time.monotonic() - self._committed_at > _SECONDS_BETWEEN_COMMITS
        if is_late or self._n_bytes * len(self._new_rows) > _BYTES_BETWEEN_COMMITS:
            self.commit()

    def commit(self) -> None:
        """Write what is new; where that fails, warn and go on without the cache."""
        with self._lock, named_errors(self._path):
            try:
                if self._is_writable:
                    self._write()
            except sqlite3.OperationalError as error:
                self._is_writable = False
                self._warn(error)
            self._new_rows, self._new_files = {}, {}
            self._committed_at = time.monotonic()

    def close(self) -> None:
        """Write what is new, and let go of the file."""
        try:
            self.commit()
        finally:
            self._connection.close()

    def _by_status(self, status: FileStatus) -> Found | None:
        with self._lock, named_errors(self._path):
            found = self._connection.execute(
                "SELECT content, value, checksum FROM files JOIN rows USING (content) "
                "WHERE path = ? AND size = ? AND modified = ? AND changed = ? "
                "AND inode = ? AND recipe = ?",
                (*status, self._recipe),
            ).fetchone()
        if found is None:
            return None
        return Found(found[0], self._checked(*found), None)

    def _checked(self, key: bytes, value: bytes, checksum: int) -> EmbeddingArray:
        if len(value) != self._n_bytes or _checksum(key, value) != checksum:
            raise EmbeddingCacheError(
                f"cache={self._path!r} is damaged: a row of it does not match its "
                f"checksum. Move it away, or take another path."
            )
        return np.frombuffer(value, dtype="<f4").astype(np.float32)

    def _id_of(self, description: str) -> int:
        query = "SELECT id FROM recipes WHERE description = ?"
        found = self._connection.execute(query, (description,)).fetchone()
        if found is None:
            try:
                self._connection.execute(
                    "INSERT OR IGNORE INTO recipes (description, created) "
                    "VALUES (?, ?)",
                    (description, time.time()),
                )
            except sqlite3.OperationalError as error:
                self._is_writable = False
                self._warn(error)
                return -1
            found = self._connection.execute(query, (description,)).fetchone()
        return int(found[0])

    def _write(self) -> None:
        if not self._new_rows and not self._new_files:
            return
        now = time.time()
        rows = []
        for key, row in self._new_rows.items():
            value = row.astype("<f4").tobytes()
            rows.append((self._recipe, key, value, _checksum(key, value), now))
        files = [(*status, key) for status, key in self._new_files.values()]
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            self._connection.executemany(
                "INSERT OR IGNORE INTO rows (recipe, content, value, checksum, created)"
                " VALUES (?, ?, ?, ?, ?)",
                rows,
            )
            self._connection.executemany(
                "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?)", files
            )
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def _warn(self, error: sqlite3.OperationalError) -> None:
        warn_caller(
            f"rows are no longer kept in cache={self._path!r}: {error}. Those returned "
            f"are complete, and the next run goes on from what is kept.",
            EmbeddingCacheWarning,
        )


def _checksum(key: bytes, value: bytes) -> int:
    return zlib.crc32(value, zlib.crc32(key))
