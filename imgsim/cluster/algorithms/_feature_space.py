"""The rows as an algorithm sees them: scaled for its metric, and reduced."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.preprocessing import normalize

AUTO_COMPONENTS = 128
_USUAL_EXPONENT = 16  # of 2: beyond, squares are too large or small for float32


def to_euclidean(rows: NDArray[Any], metric: str) -> NDArray[Any]:
    """Return rows whose Euclidean distances rank pairs as `metric` does."""
    return unit_rows(rows) if metric == "cosine" else rows


def unit_rows(rows: NDArray[Any]) -> NDArray[Any]:
    """Return rows of unit length, however small or large the given ones are."""
    if not len(rows):
        return rows
    exponents = np.frexp(np.abs(rows).max(axis=1))[1]
    if np.abs(exponents).max() > _USUAL_EXPONENT:
        # By powers of 2, which round nothing.
        rows = np.ldexp(rows, -exponents[:, np.newaxis])
    unit: NDArray[Any] = normalize(rows)
    return unit


class Space:
    """Unit length for cosine, then principal components, if any are asked for.

    Parameters
    ----------
    metric : {"euclidean", "cosine"}
        Distance between rows. For cosine, rows have unit length before and after.

    n_components : int, "auto" or None
        Number of principal components; "auto" takes at most 128.

    seed : int
        Seeds the randomized singular value decomposition.
    """

    def __init__(self, metric: str, n_components: int | str | None, seed: int) -> None:
        self.metric = metric
        self.n_components = n_components
        self.seed = seed
        self.pca: PCA | None = None

    def fit(self, rows: NDArray[Any]) -> Self:
        """Learn the components of rows; of rows that are all equal there are none."""
        n_components = self._n_components(rows)
        seen = to_euclidean(rows, self.metric)
        # Rounding makes rows of one direction differ, but not by components.
        if n_components and not np.allclose(seen, seen[0], rtol=1e-6, atol=0):
            self.pca = PCA(n_components, random_state=self.seed).fit(seen)
        return self

    def apply(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Return rows to be compared by Euclidean distance."""
        seen = to_euclidean(rows, self.metric)
        if self.pca is None:
            return seen
        return to_euclidean(self.pca.transform(seen), self.metric)

    def _n_components(self, rows: NDArray[Any]) -> int:
        most: int = min(rows.shape)
        if self.n_components is None:
            return 0
        if isinstance(self.n_components, str):
            # One row less: so many directions are there about a mean.
            return min(AUTO_COMPONENTS, most, len(rows) - 1)
        if self.n_components > most:
            raise ValueError(
                f"n_components={self.n_components} must be at most "
                f"min(n_samples, n_features)={most} (n_samples={len(rows)} readable "
                f"rows)."
            )
        return self.n_components


def count_distinct(rows: NDArray[Any], enough: int) -> int:
    """Return how many rows differ from each other, or `enough` if there are more."""
    seen = set()
    for row in rows:
        seen.add((row + 0.0).tobytes())  # -0.0 becomes 0.0
        if len(seen) >= enough:
            break
    return len(seen)
