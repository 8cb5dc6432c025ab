"""Damaged and hostile caches of embeddings."""

import io
import sqlite3
import warnings
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
from messages import check_message
from mutation import mutate_bytes
from PIL import Image

from imgsim import ColorHistogramEmbedder
from imgsim.exceptions import EmbeddingCacheError, EmbeddingCacheWarning


class CacheTarget:
    """A cache of embeddings: damaged bytes, or another schema and other values."""

    def __init__(self, folder):
        rng = np.random.default_rng(0)
        self.images = [_png(rng, side) for side in (8, 9, 10, 11)]
        self.path = Path(folder) / "rows.sqlite"
        self.expected = ColorHistogramEmbedder().fit_transform(self.images)
        self._embed()
        self.valid_file = self.path.read_bytes()
        with closing(sqlite3.connect(self.path)) as connection:
            query = "SELECT name FROM sqlite_schema WHERE type = 'table'"
            self.tables = {
                name: [
                    row[1] for row in connection.execute(f"PRAGMA table_info({name})")
                ]
                for (name,) in connection.execute(query)
                if not name.startswith("sqlite_")
            }

    def run_valid_files(self):
        """Check that each valid file is accepted."""
        self._check(self.valid_file)

    def run(self, rng):
        """Check a file that is damaged at random."""
        if rng.random() < 0.6:
            self._check(mutate_bytes(rng, self.valid_file, [self.valid_file]))
        else:
            self._check(self._mutate_by_sql(rng))

    def _check(self, content):
        """Check that the rows are right, or that the cache is refused."""
        for path in self.path.parent.glob(f"{self.path.name}*"):
            path.unlink()
        self.path.write_bytes(content)
        try:
            X = self._embed()
        except EmbeddingCacheError as error:
            check_message(error, self.path)
        else:
            np.testing.assert_array_equal(X, self.expected)

    def _embed(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", EmbeddingCacheWarning)
            embedder = ColorHistogramEmbedder(cache=self.path, n_jobs=1)
            return embedder.fit_transform(self.images)

    def _mutate_by_sql(self, rng):
        for path in self.path.parent.glob(f"{self.path.name}*"):
            path.unlink()
        self.path.write_bytes(self.valid_file)
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")
            for _ in range(rng.integers(1, 4)):
                with suppress(sqlite3.Error):
                    connection.execute(self._hostile_statement(rng))
        return self.path.read_bytes()

    def _hostile_statement(self, rng):
        table = list(self.tables)[rng.integers(len(self.tables))]
        columns = self.tables[table]
        column = columns[rng.integers(len(columns))]
        other = columns[rng.integers(len(columns))]
        values = (
            "NULL", "''", "-1", "1e300", "x''", "zeroblob(100000)", "'text'", other,
            "CAST('nan' AS REAL)", f"(SELECT max({column}) FROM {table})",
        )  # fmt: skip
        value = values[rng.integers(len(values))]
        endless = (
            "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) "
            "SELECT x FROM c"
        )
        statements = (
            f"UPDATE {table} SET {column} = {value}",
            f"UPDATE OR REPLACE {table} SET {column} = {other} WHERE random() % 2",
            f"DELETE FROM {table}",
            f"DELETE FROM {table} WHERE random() % 2",
            f"DROP TABLE {table}",
            f"ALTER TABLE {table} RENAME COLUMN {column} TO x",
            f"ALTER TABLE {table} ADD COLUMN x DEFAULT ({value})",
            f"CREATE VIEW endless AS {endless}",
            f"CREATE TRIGGER t AFTER INSERT ON {table} BEGIN DELETE FROM {table}; END",
            f"CREATE TRIGGER t AFTER INSERT ON {table} BEGIN {endless}; END",
            f"CREATE INDEX i ON {table} ({column})",
            f"ALTER TABLE {table} RENAME TO old",
            f"CREATE VIEW {table} AS SELECT * FROM old",
            f"CREATE VIEW {table} AS {endless}",
            "PRAGMA user_version = 99",
            "PRAGMA application_id = 0",
            "PRAGMA encoding = 'UTF-16'",
        )
        return statements[rng.integers(len(statements))]


def _png(rng, side):
    file = io.BytesIO()
    pixels = rng.integers(0, 256, size=(side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()
