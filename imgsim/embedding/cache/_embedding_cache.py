"""A cache of embeddings on disk, so that no image is embedded twice."""

import json
import math
import os
import sqlite3
from collections.abc import Callable
from time import time
from typing import Any

from imgsim._validation import is_integer, is_number
from imgsim.embedding.cache._cache_info import CacheInfo
from imgsim.embedding.cache._sqlite_file import check_cache_path, open_cache_file
from imgsim.exceptions import EmbeddingCacheError

_SECONDS_PER_DAY = 86400


class EmbeddingCache:
    """Store embeddings in a SQLite file, by the content of the images.

    An embedder with the parameter `cache` looks up each image before it embeds it, and
    adds the embeddings that it computes. A cached embedding is used only if everything
    that affects it is unchanged: the content of the image, the model, its weights, the
    preprocessing, the layer, the pooling and the precision. An update of imgsim that
    changes embeddings also invalidates cached embeddings. The embedding of a renamed or
    copied file is found. The embedding of a modified file is computed again.

    Parameters
    ----------
    path : str or path-like
        Path of the SQLite file. The file is created at the first use, and an empty file
        is accepted. Its folder must exist.

    Raises
    ------
    TypeError
        If `path` is neither a str nor a path-like object.

    EmbeddingCacheError
        If `path` cannot be the path of a file, or is a special name of SQLite such as
        ":memory:".

    See Also
    --------
    ImageEmbedder : Embedder with a parameter `cache`, which also accepts a path.

    Notes
    -----
    A file is not read again if its path, size, times and inode are unchanged. A file
    that was modified less than two seconds before it was read is read and hashed again
    in the next run.

    Embeddings are written every two seconds and at the end, so that a killed run loses
    at most the last two seconds. Several processes can use the same file if it is on a
    local disk. If the disk is full, the run continues without the cache, with one
    warning. The embeddings in a read-only file are used, and one warning says that new
    embeddings are not written.

    A file that is damaged or belongs to another program is rejected and not modified.
    Its tables are compared with those of a cache before anything is read from them, and
    each row has a checksum, which reveals accidental damage. The checksum does not
    protect against people who can write to the file: they can store wrong embeddings.

    An embedding of length `d` takes `4 d` bytes plus a few hundred bytes, and the
    status of a file takes about 150 bytes. A million embeddings of ResNet-50 (length
    2048) take 8.8 GB, embeddings of MobileNetV2 (length 1280) take 5.5 GB, and
    embeddings of length 384 take 2.1 GB.

    A network is identified by its weights and its `repr`. A change of its code that
    affects neither is not detected.

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
        check_cache_path(path)
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
        """Return the number of embeddings."""
        return int(self.info().n_rows)

    def info(self) -> CacheInfo:
        """Describe the content of the cache.

        Returns
        -------
        info : CacheInfo
            Dictionary-like object, which prints as a table, with the attributes:

            - `n_rows`: the number of embeddings;
            - `n_files`: the number of files with a known status;
            - `n_bytes`: the size on disk;
            - `recipes`: a list of dicts, each with everything that affects an embedding
              and with the number of its embeddings, `n_rows`.

        Raises
        ------
        EmbeddingCacheError
            If the file is damaged or is not a cache.
        """
        path = os.fspath(self.path)
        if not os.path.lexists(path):
            return CacheInfo(n_rows=0, n_files=0, n_bytes=0, recipes=[])
        with open_cache_file(path) as connection:
            recipes: list[dict[str, Any]] = [
                {**_decode_recipe(description, path), "n_rows": n_rows}
                for description, n_rows in connection.execute(
                    "SELECT description, count(rows.id) FROM recipes "
                    "JOIN rows ON rows.recipe = recipes.id "
                    "GROUP BY recipes.id ORDER BY recipes.id"
                )
            ]
            n_files = _count(connection, "SELECT count(path) FROM files")
        return CacheInfo(
            n_rows=sum(recipe["n_rows"] for recipe in recipes),
            n_files=n_files,
            n_bytes=os.path.getsize(path),
            recipes=recipes,
        )

    def prune(
        self, *, older_than: float | None = None, max_bytes: int | None = None
    ) -> int:
        """Remove embeddings, oldest first, and free their space on disk.

        Parameters
        ----------
        older_than : float, default=None
            Age in days. Older embeddings are removed.

        max_bytes : int, default=None
            Size of the file in bytes. The oldest embeddings are removed until the file
            is not larger than this.

        Returns
        -------
        n_removed : int
            Number of embeddings that were removed.

        Raises
        ------
        TypeError
            If `older_than` is not a number, or `max_bytes` is not an integer.

        ValueError
            If both parameters are None, or one of them is negative or not finite.

        EmbeddingCacheError
            If the file is damaged, is not a cache, or cannot be written.
        """
        _check_bound("older_than", older_than, is_number)
        _check_bound("max_bytes", max_bytes, is_integer)
        if older_than is None and max_bytes is None:
            raise ValueError("prune requires older_than (in days) or max_bytes.")
        path = os.fspath(self.path)
        if not os.path.lexists(path):
            return 0
        with open_cache_file(path) as connection:
            if not connection.is_writable:
                raise EmbeddingCacheError(
                    f"cache={path!r} can only be read, so that no embedding can be "
                    f"removed. Change the permissions of the file and of its folder."
                )
            return _prune(connection, older_than, max_bytes)


def _decode_recipe(description: Any, path: str) -> dict[str, Any]:
    try:
        recipe = json.loads(description)
        if not isinstance(recipe, dict):
            raise ValueError("the description of a recipe is not a JSON object")
    except (RecursionError, TypeError, ValueError) as error:
        raise EmbeddingCacheError(
            f"cache={path!r} is damaged: {error}. Move the file away, or use another "
            f"path."
        ) from error
    return recipe


def _check_bound(name: str, bound: Any, is_of_kind: Callable[[Any], bool]) -> None:
    """Raise an error unless a bound is None or a finite number of at least 0."""
    if bound is None:
        return
    if not is_of_kind(bound):
        noun = "an integer" if is_of_kind is is_integer else "a number"
        raise TypeError(f"{name}={bound!r} must be {noun} or None.")
    try:
        is_valid = 0 <= float(bound) < math.inf
    except OverflowError:  # an integer that is larger than any float
        is_valid = False
    if not is_valid:
        raise ValueError(f"{name}={bound!r} must be at least 0 and finite.")


def _prune(
    connection: sqlite3.Connection, older_than: float | None, max_bytes: int | None
) -> int:
    n_removed = 0
    if older_than is not None:
        oldest = time() - older_than * _SECONDS_PER_DAY
        n_removed += _remove(connection, "created < ?", oldest)
    _shrink(connection)
    while max_bytes is not None and _n_bytes_used(connection) > max_bytes:
        first = "id IN (SELECT id FROM rows ORDER BY created, id LIMIT ?)"
        n_new = _remove(connection, first, _n_excess(connection, max_bytes))
        if n_new == 0:
            break
        n_removed += n_new
        _shrink(connection)
    return n_removed


def _count(connection: sqlite3.Connection, query: str) -> int:
    # The number of steps that `count(*)` takes cannot be limited.
    return int(connection.execute(query).fetchone()[0])


def _n_excess(connection: sqlite3.Connection, max_bytes: int) -> int:
    """Estimate how many rows exceed `max_bytes`; 0 only if there are no rows."""
    n_rows = _count(connection, "SELECT count(id) FROM rows")
    excess = 1 - max_bytes / _n_bytes_used(connection)
    return min(n_rows, int(n_rows * excess) + 1)


def _n_bytes_used(connection: sqlite3.Connection) -> int:
    """Return the size of the file when no other process uses it."""
    names = ("page_count", "freelist_count", "page_size")
    n_pages, n_free, size = (_count(connection, f"PRAGMA {name}") for name in names)
    return (n_pages - n_free) * size


def _remove(connection: sqlite3.Connection, condition: str, value: float) -> int:
    """Remove embeddings, and the status of files that no longer have an embedding."""
    connection.execute("BEGIN IMMEDIATE")
    query = f"DELETE FROM rows WHERE {condition}"
    n_removed: int = connection.execute(query, (value,)).rowcount
    connection.execute(
        "DELETE FROM files WHERE content NOT IN (SELECT content FROM rows)"
    )
    connection.execute("COMMIT")
    return n_removed


def _shrink(connection: sqlite3.Connection) -> None:
    # `execute` would run only one step, which frees only one page.
    connection.executescript("PRAGMA incremental_vacuum")
