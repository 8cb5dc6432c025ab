"""Reading and writing of cached embeddings while images are embedded."""

import json
import os
import sqlite3
import stat
import threading
import time
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import numpy as np

from imgsim._typing import EmbeddingArray
from imgsim._warnings import warn_caller
from imgsim.embedding.cache._sqlite_file import connect, translate_errors
from imgsim.exceptions import EmbeddingCacheError, EmbeddingCacheWarning
from imgsim.images._content_hash import hash_file
from imgsim.images._read import read_content

_SECONDS_BETWEEN_COMMITS = 2.0
_BYTES_BETWEEN_COMMITS = 64 * 2**20
# The times of a file may have a resolution of two seconds. A file that was changed
# more recently could change again while its times remain equal.
_SETTLED_NS = 2_000_000_000


class CacheLookup(NamedTuple):
    """The key of a source, its cached embedding, and its content if it was read.

    Each field is None if it is unknown.
    """

    key: bytes | None
    embedding: EmbeddingArray | None
    content: bytes | None


class FileStatus(NamedTuple):
    """The status of a file, which changes if the content of the file changes."""

    path: bytes
    size: int
    modified: int
    changed: int
    inode: bytes

    @classmethod
    def from_path(cls, path: Any) -> Self | None:
        """Return the status of a regular file, or None if there is no such file."""
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
        """Return whether any later change of the file would change its times."""
        return time.time_ns() - max(self.modified, self.changed) > _SETTLED_NS


class CachedRows:
    """The embeddings of one recipe in a cache file.

    A recipe describes everything that affects an embedding, except the image. `find`
    and `get` may be called by several threads at the same time, but all other methods
    only by one thread.
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
        with translate_errors(path):
            description = json.dumps(recipe, sort_keys=True, default=repr)
            self._recipe = self._get_recipe_id(description)

    def find(self, source: Any) -> CacheLookup:
        """Look up a source by the status of its file, or by its content."""
        is_path = isinstance(source, str | os.PathLike)
        status = FileStatus.from_path(source) if is_path else None
        if status is not None:
            lookup = self._find_by_status(status)
            if lookup is not None:
                return lookup
        content = read_content(source)
        if content is None:
            return CacheLookup(None, None, None)
        key = hash_file(content)
        is_settled = status is not None and status.is_settled()
        if status is not None and is_settled and status == FileStatus.from_path(source):
            with self._lock:
                self._new_files[status.path] = status, key
        return CacheLookup(key, self.get(key), content)

    def get(self, key: bytes) -> EmbeddingArray | None:
        """Return the embedding of an image by the digest of its content, or None."""
        with self._lock, translate_errors(self._path):
            if key in self._new_rows:
                return self._new_rows[key]
            row = self._connection.execute(
                "SELECT value, checksum FROM rows WHERE recipe = ? AND content = ?",
                (self._recipe, key),
            ).fetchone()
        return None if row is None else self._decode(key, *row)

    def add(self, key: bytes, embedding: EmbeddingArray) -> None:
        """Add an embedding, to be written with the next commit."""
        with self._lock:
            self._new_rows[key] = embedding.copy()

    def commit_if_due(self) -> None:
        """Commit if two seconds have passed or many embeddings were added."""
        is_late = time.monotonic() - self._committed_at > _SECONDS_BETWEEN_COMMITS
        if is_late or self._n_bytes * len(self._new_rows) > _BYTES_BETWEEN_COMMITS:
            self.commit()

    def commit(self) -> None:
        """Write new embeddings; after a failure, warn once and write nothing more."""
        with self._lock, translate_errors(self._path):
            try:
                if self._is_writable:
                    self._write()
            except sqlite3.OperationalError as error:
                self._is_writable = False
                self._warn(error)
            self._new_rows, self._new_files = {}, {}
            self._committed_at = time.monotonic()

    def close(self) -> None:
        """Commit, and close the file."""
        try:
            self.commit()
        finally:
            self._connection.close()

    def _find_by_status(self, status: FileStatus) -> CacheLookup | None:
        with self._lock, translate_errors(self._path):
            row = self._connection.execute(
                "SELECT content, value, checksum FROM files JOIN rows USING (content) "
                "WHERE path = ? AND size = ? AND modified = ? AND changed = ? "
                "AND inode = ? AND recipe = ?",
                (*status, self._recipe),
            ).fetchone()
        if row is None:
            return None
        return CacheLookup(row[0], self._decode(*row), None)

    def _decode(self, key: bytes, value: bytes, checksum: int) -> EmbeddingArray:
        if len(value) != self._n_bytes or _checksum(key, value) != checksum:
            raise EmbeddingCacheError(
                f"cache={self._path!r} is damaged: a row does not match its checksum. "
                f"Move the file away, or use another path."
            )
        return np.frombuffer(value, dtype="<f4").astype(np.float32)

    def _get_recipe_id(self, description: str) -> int:
        """Return the id of a recipe, which is added if it is new."""
        query = "SELECT id FROM recipes WHERE description = ?"
        row = self._connection.execute(query, (description,)).fetchone()
        if row is None:
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
            row = self._connection.execute(query, (description,)).fetchone()
        return int(row[0])

    def _write(self) -> None:
        if not self._new_rows and not self._new_files:
            return
        now = time.time()
        rows = []
        for key, embedding in self._new_rows.items():
            value = embedding.astype("<f4").tobytes()
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
            f"embeddings are no longer written to cache={self._path!r}: {error}. All "
            f"embeddings are still computed and returned. The next run will use the "
            f"embeddings that are already in the cache.",
            EmbeddingCacheWarning,
        )


def _checksum(key: bytes, value: bytes) -> int:
    return zlib.crc32(value, zlib.crc32(key))
