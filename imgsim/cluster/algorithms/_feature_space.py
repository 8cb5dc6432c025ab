"""The space in which rows are clustered: scaled, and projected if requested."""

from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from imgsim._distance.magnitudes import check_largest_value, check_smallest_value
from imgsim._distance.unit_rows import unit_rows

ClusterMetric = Literal["cosine", "euclidean"]

AUTO_COMPONENTS = 128
# The sums of squares of smaller or larger numbers may leave the range of the dtype, by
# its size in bytes.
_RANGES = {4: (1e-15, 1e12), 8: (1e-140, 1e140)}


def to_euclidean(rows: NDArray[Any], metric: ClusterMetric) -> NDArray[Any]:
    """Return rows whose Euclidean distances rank pairs as `metric` does.

    Raise ValueError if the squares of the rows would overflow.
    """
    if metric == "cosine":
        return unit_rows(rows)
    _, largest = _RANGES[rows.dtype.itemsize]
    check_largest_value(rows, metric, largest)
    return rows


class FeatureSpace:
    """Transformation of rows into the space in which they are clustered.

    Rows are scaled to unit length for the cosine metric, and are projected onto
    principal components if requested.

    Parameters
    ----------
    metric : {"cosine", "euclidean"}
        Distance between rows. For cosine, rows are scaled to unit length before and
        after they are projected.

    n_components : int, "auto" or None
        Number of principal components; "auto" keeps at most 128.

    seed : int
        Seed of the randomized singular value decomposition.
    """

    def __init__(
        self,
        metric: ClusterMetric,
        n_components: int | Literal["auto"] | None,
        seed: int,
    ) -> None:
        self.metric = metric
        self.n_components = n_components
        self.seed = seed
        self.pca: PCA | None = None

    def fit(self, rows: NDArray[Any]) -> Self:
        """Compute the principal components; rows that are all equal have none."""
        n_components = self._count_components(rows)
        if self.metric == "euclidean":
            smallest, _ = _RANGES[rows.dtype.itemsize]
            check_smallest_value(rows, self.metric, smallest)
        scaled = to_euclidean(rows, self.metric)
        # Rows with the same direction differ only by rounding errors.
        if n_components and not np.allclose(scaled, scaled[0], rtol=1e-6, atol=0):
            self.pca = PCA(n_components, random_state=self.seed).fit(scaled)
        return self

    def transform(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Return rows to be compared by Euclidean distance."""
        scaled = to_euclidean(rows, self.metric)
        if self.pca is None:
            return scaled
        return to_euclidean(self.pca.transform(scaled), self.metric)

    def _count_components(self, rows: NDArray[Any]) -> int:
        most: int = min(rows.shape)
        if self.n_components is None:
            return 0
        if isinstance(self.n_components, str):
            # n rows span at most n - 1 directions around their mean.
            return min(AUTO_COMPONENTS, most, len(rows) - 1)
        if self.n_components > most:
            raise ValueError(
                f"n_components={self.n_components} must be at most "
                f"min(n_samples, n_features)={most} (n_samples={len(rows)} readable "
                f"rows)."
            )
        return self.n_components


def count_distinct(rows: NDArray[Any], limit: int) -> int:
    """Return the number of distinct rows, or `limit` if there are more."""
    distinct = set()
    for row in rows:
        distinct.add((row + 0.0).tobytes())  # -0.0 becomes 0.0
        if len(distinct) >= limit:
            break
    return len(distinct)
