"""What is searched for, and among what."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgsim._distance.metric import Metric, RowTerms


@dataclass(frozen=True)
class DistanceRows:
    """Rows with what their metric has to know of each.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_features)
        float32 or float64; none holds NaN.

    terms : RowTerms
        The terms of each row.
    """

    values: NDArray[Any]
    terms: RowTerms

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.values)

    def __getitem__(self, part: Any) -> "DistanceRows":
        """Return those at a slice, or at positions."""
        terms = self.terms
        return DistanceRows(
            self.values[part],
            RowTerms(
                terms.shift[part], terms.scale[part], terms.bias[part], terms.size[part]
            ),
        )

    def blocks(self, n_rows: int) -> Iterator[tuple[int, "DistanceRows"]]:
        """Yield the first position of each block, and the block."""
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
        Which of them may be found.

    metric : Metric
        How they are compared.

    device : str, default="cpu"
        Where products of rows are computed.
    """

    rows: DistanceRows
    allowed: NDArray[np.bool_]
    metric: Metric
    device: str = "cpu"
