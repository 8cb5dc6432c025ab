"""The description of a cache of embeddings, which is printed as a table."""

from typing import Any

import numpy as np
from sklearn.utils import Bunch

from imgsim.export import Table

_ALWAYS_SHOWN = ("embedder", "model", "n_rows")


class CacheInfo(Bunch):
    """Result of `EmbeddingCache.info`, whose entries are also attributes.

    It is printed as the size of the cache and a table with one row for each recipe.
    The table has a column for each setting in which recipes of one embedder differ.
    """

    def __repr__(self) -> str:
        return "\n".join(filter(None, [self._title(), str(self._table())]))

    def _repr_html_(self) -> str:
        return f"<p>{self._title()}</p>\n{self._table()._repr_html_()}"

    def _title(self) -> str:
        return (
            f"{self.n_rows} embeddings, {self.n_files} files with a known status, "
            f"{self.n_bytes / 1e6:.1f} MB"
        )

    def _table(self) -> Table:
        shown = dict.fromkeys(_ALWAYS_SHOWN[:2])
        shown |= dict.fromkeys(sorted(self._differing_settings()))
        shown |= dict.fromkeys(_ALWAYS_SHOWN[2:])
        columns = {
            name: [str(recipe.get(name, "")) for recipe in self.recipes]
            for name in shown
        }
        return Table(
            {name: np.array(column) for name, column in columns.items() if any(column)}
        )

    def _differing_settings(self) -> set[str]:
        """Return the settings that have several values in recipes of one embedder."""
        values: dict[tuple[Any, str], set[str]] = {}
        for recipe in self.recipes:
            for name, value in recipe.items():
                values.setdefault((recipe["embedder"], name), set()).add(repr(value))
        return {name for (_, name), some in values.items() if len(some) > 1} - {
            *_ALWAYS_SHOWN
        }
