"""Rows with the terms that their metric needs, and the collection that is searched."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from imgsim._distance.metric import Metric, RowTerms

_Key: TypeAlias = slice | NDArray[np.int64] | NDArray[np.bool_]


@dataclass(frozen=True)
class DistanceRows:
    """Rows with the terms that their metric needs.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_features)
        float32 or float64, without NaN.

    terms : RowTerms
        The terms of each row.
    """

    values: NDArray[Any]
    terms: RowTerms

    @classmethod
    def from_values(cls, values: NDArray[Any], metric: Metric) -> Self:
        """Return rows with the terms of a metric."""
        return cls(values, metric.compute_terms(values))

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.values)

    def __getitem__(self, key: _Key) -> "DistanceRows":
        """Return the rows at a slice, positions or a mask."""
        terms = self.terms
        return DistanceRows(
            self.values[key],
            RowTerms(
                terms.shift[key], terms.scale[key], terms.bias[key], terms.size[key]
            ),
        )

    def blocks(self, n_rows: int) -> Iterator[tuple[int, "DistanceRows"]]:
        """Yield the position of the first row of each block, and the block."""
        for first in range(0, len(self), n_rows):
            yield first, self[first : first + n_rows]


@dataclass(frozen=True)
class Collection:
    """Rows to search among.

    Parameters
    ----------
    rows : DistanceRows
        All rows.

    allowed : ndarray of shape (n_rows,), dtype bool
        Which rows may be returned.

    metric : Metric
        Distance between rows.

    device : str, default="cpu"
        Device that computes products of rows.
    """

    rows: DistanceRows
    allowed: NDArray[np.bool_]
    metric: Metric
    device: str = "cpu"
