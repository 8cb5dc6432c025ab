"""Rows that outlive the process, so that nothing is embedded twice."""

import json
import os
import sqlite3
from time import time
from typing import Any

from sklearn.utils import Bunch

from imgsim.embedding.cache._sqlite_file import opened

_SECONDS_A_DAY = 86400


class EmbeddingCache:
    """Keep embeddings in one SQLite file, by the content of the images.

    Given to an embedder as `cache`, it is asked before an image is embedded, and told
    after. A row is found again if neither the content of the file nor anything that
    changes the row has changed: the model, its weights as they were loaded, the
    preprocessing, layer, pooling and precision, and the version of the rows in
    imgsim. A renamed or copied file is found, a changed one is not.

    Parameters
    ----------
    path : str or path-like
        The file. It is made on first use, in a folder that exists.

    See Also
    --------
    ImageEmbedder : Takes a cache, or just its path.

    Notes
    -----
    A file whose path, size, times and inode are as they were is not read again. One
    changed within two seconds before it was read is read and hashed once more.

    Rows are written every two seconds and at the end, so a killed run loses what it
    did since. Several processes may use one file, on a local disk. If the disk fills
    up, the run goes on without the cache and warns once. A file that is damaged, or of
    another program, is refused and left alone.

    A row of `d` numbers takes `4 d` bytes and some hundred around it, and a file whose
    status is known some 150 more. A million rows of ResNet-50, 2048 numbers each, take
    8.8 GB; of MobileNetV2, 1280 numbers, 5.5 GB; of 384 numbers, 2.1 GB.

    A network is known by its weights and its `repr`. What its code does differently
    besides, the cache cannot see.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from imgsim import ColorHistogramEmbedder, EmbeddingCache
    >>> from imgsim.datasets import load_sample_photos
    >>> photos = load_sample_photos(n_crops=4)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cache = EmbeddingCache(Path(folder) / "rows.sqlite")
    ...     X = ColorHistogramEmbedder(cache=cache).fit_transform(photos.images)
    ...     print(len(X), len(cache))
    48 48
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path

    def __repr__(self) -> str:
        return f"EmbeddingCache({os.fspath(self.path)!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, EmbeddingCache):
            return NotImplemented
        return os.fspath(self.path) == os.fspath(other.path)

    def __hash__(self) -> int:
        return hash(os.fspath(self.path))

    def __bool__(self) -> bool:
        return True

    def __len__(self) -> int:
        """Return the number of rows."""
        return int(self.info().n_rows)

    def info(self) -> Bunch:
        """Tell what is in the cache.

        Returns
        -------
        info : Bunch
            `n_rows`; `n_files`, whose status is known; `n_bytes` on disk; and
            `recipes`, a list of dicts, each with what the rows were made by and their
            number, `n_rows`.

        Raises
        ------
        EmbeddingCacheError
            If the file is damaged, or no cache.
        """
        if not os.path.exists(self.path):
            return Bunch(n_rows=0, n_files=0, n_bytes=0, recipes=[])
        with opened(os.fspath(self.path)) as connection:
            recipes: list[dict[str, Any]] = [
                {**json.loads(description), "n_rows": n_rows}
                for description, n_rows in connection.execute(
                    "SELECT description, count(rows.id) FROM recipes "
                    "JOIN rows ON rows.recipe = recipes.id "
                    "GROUP BY recipes.id ORDER BY recipes.id"
                )
            ]
            (n_files,) = connection.execute("SELECT count(*) FROM files").fetchone()
        return Bunch(
            n_rows=sum(recipe["n_rows"] for recipe in recipes),
            n_files=n_files,
            n_bytes=self._n_bytes(),
            recipes=recipes,
        )

    def prune(
        self, *, older_than: float | None = None, max_bytes: int | None = None
    ) -> int:
        """Drop rows, the oldest first, and give their room back to the disk.

        Parameters
        ----------
        older_than : float, default=None
            Days since a row was made, beyond which it is dropped.

        max_bytes : int, default=None
            Size on disk down to which the oldest of all rows are dropped.

        Returns
        -------
        n_dropped : int
            Number of rows dropped.

        Raises
        ------
        ValueError
            If both are None, or one is negative.

        EmbeddingCacheError
            If the file is damaged, or no cache.
        """
        for name, bound in (("older_than", older_than), ("max_bytes", max_bytes)):
            if bound is not None and bound < 0:
                raise ValueError(f"{name}={bound!r} must not be negative.")
        if older_than is None and max_bytes is None:
            raise ValueError("prune wants older_than, in days, or max_bytes.")
        if not os.path.exists(self.path):
            return 0
        n_dropped = 0
        with opened(os.fspath(self.path)) as connection:
            if older_than is not None:
                oldest = time() - older_than * _SECONDS_A_DAY
                n_dropped += _drop(connection, "created < ?", oldest)
            _shrink(connection)
            while max_bytes is not None and _n_bytes_used(connection) > max_bytes:
                n_excess = _n_excess(connection, max_bytes)
                if n_excess == 0:
                    break
                first = "id IN (SELECT id FROM rows ORDER BY created, id LIMIT ?)"
                n_dropped += _drop(connection, first, n_excess)
                _shrink(connection)
        return n_dropped

    def _n_bytes(self) -> int:
        path = os.fspath(self.path)
        parts = (path, path + "-wal")
        return sum(os.path.getsize(part) for part in parts if os.path.exists(part))


def _n_excess(connection: sqlite3.Connection, max_bytes: int) -> int:
    """Estimate how many rows are too many; 0 only if there are none."""
    n_rows = int(connection.execute("SELECT count(*) FROM rows").fetchone()[0])
    excess = 1 - max_bytes / _n_bytes_used(connection)
    return min(n_rows, int(n_rows * excess) + 1)


def _n_bytes_used(connection: sqlite3.Connection) -> int:
    """Return what the file takes once all others have let go of it."""
    names = ("page_count", "freelist_count", "page_size")
    n_pages, n_free, size = (
        int(connection.execute(f"PRAGMA {name}").fetchone()[0]) for name in names
    )
    return (n_pages - n_free) * size


def _drop(connection: sqlite3.Connection, condition: str, value: float) -> int:
    """Drop rows, and the files of which no row is left."""
    connection.execute("BEGIN IMMEDIATE")
    query = f"DELETE FROM rows WHERE {condition}"
    n_dropped: int = connection.execute(query, (value,)).rowcount
    connection.execute(
        "DELETE FROM files WHERE content NOT IN (SELECT content FROM rows)"
    )
    connection.execute("COMMIT")
    return n_dropped


def _shrink(connection: sqlite3.Connection) -> None:
    # `execute` would take one step of it, and free one page.
    connection.executescript("PRAGMA incremental_vacuum")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
