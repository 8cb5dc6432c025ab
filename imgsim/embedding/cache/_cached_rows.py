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
        self._recipe = json.dumps(recipe, sort_keys=True, default=repr)
        self._checksum_of_recipe = zlib.crc32(self._recipe.encode())
        self._n_bytes = 4 * n_features
        self._lock = threading.Lock()
        self._new_rows: dict[bytes, EmbeddingArray] = {}
        self._new_files: dict[bytes, tuple[FileStatus, bytes]] = {}
        self._committed_at = time.monotonic()
        self._connection = connect(path)
        try:
            with translate_errors(path):
                self._recipe_id = self._find_recipe()
            self._is_writable = self._connection.is_writable
            if not self._is_writable:
                self._warn("the file can only be read")
        except BaseException:
            self._connection.close()
            raise

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
                (self._recipe_id, key),
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
                self._warn(str(error))
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
                "SELECT size, modified, changed, inode, files.content, files.checksum, "
                "value, rows.checksum FROM files "
                "LEFT JOIN rows ON rows.content = files.content AND recipe = ? "
                "WHERE path = ?",
                (self._recipe_id, status.path),
            ).fetchone()
        if row is None:
            return None
        *known, key, checksum, value, checksum_of_value = row
        if _checksum_of_file((status.path, *known), key) != checksum:
            raise self._damage_error()
        if (status.path, *known) != status or checksum_of_value is None:
            return None
        return CacheLookup(key, self._decode(key, value, checksum_of_value), None)

    def _decode(self, key: bytes, value: Any, checksum: Any) -> EmbeddingArray:
        is_complete = type(value) is bytes and len(value) == self._n_bytes
        if not is_complete or self._checksum(key, value) != checksum:
            raise self._damage_error()
        return np.frombuffer(value, dtype="<f4").astype(np.float32)

    def _checksum(self, key: bytes, value: bytes) -> int:
        return zlib.crc32(value, zlib.crc32(key, self._checksum_of_recipe))

    def _damage_error(self) -> EmbeddingCacheError:
        return EmbeddingCacheError(
            f"cache={self._path!r} is damaged: a row does not match its checksum. "
            f"Move the file away, or use another path."
        )

    def _find_recipe(self) -> int | None:
        """Return the id of the recipe, or None if the file does not contain it."""
        query = "SELECT id FROM recipes WHERE description = ?"
        row = self._connection.execute(query, (self._recipe,)).fetchone()
        return None if row is None else int(row[0])

    def _write(self) -> None:
        if not self._new_rows and not self._new_files:
            return
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            recipe_id = self._insert()
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        self._recipe_id = recipe_id

    def _insert(self) -> int | None:
        """Insert new embeddings and files; return the id of the recipe."""
        now = time.time()
        self._connection.execute(
            "INSERT OR IGNORE INTO recipes (description, created) VALUES (?, ?)",
            (self._recipe, now),
        )
        recipe_id = self._find_recipe()
        rows = []
        for key, embedding in self._new_rows.items():
            value = embedding.astype("<f4").tobytes()
            rows.append((recipe_id, key, value, self._checksum(key, value), now))
        self._connection.executemany(
            "INSERT OR IGNORE INTO rows (recipe, content, value, checksum, created)"
            " VALUES (?, ?, ?, ?, ?)",
            rows,
        )
        files = [
            (*status, key, _checksum_of_file(status, key))
            for status, key in self._new_files.values()
        ]
        self._connection.executemany(
            "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?)", files
        )
        return recipe_id

    def _warn(self, reason: str) -> None:
        warn_caller(
            f"new embeddings are not written to cache={self._path!r}: {reason}. All "
            f"embeddings are still returned, and those in the cache are not computed "
            f"again.",
            EmbeddingCacheWarning,
        )


def _checksum_of_file(status: tuple[Any, ...], key: Any) -> int:
    return zlib.crc32(repr((*status, key)).encode())
