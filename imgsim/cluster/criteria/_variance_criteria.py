"""Criteria computed from sums over clusters, with jackknife standard errors."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.spatial.distance import cdist
from sklearn.utils import gen_batches

_N_PARTS = 10
_BLOCK_ROWS = 256  # a block of rows fits the cache of a core


class VarianceCriteria(NamedTuple):
    """Criteria of a labeling, or their standard errors.

    Parameters
    ----------
    inertia : float
        Sum of squared Euclidean distances of rows to the mean of their cluster.

    calinski_harabasz : float
        Ratio of the dispersion between clusters to the dispersion within clusters;
        larger is better [1]_.

    davies_bouldin : float
        Mean similarity of each cluster to its most similar cluster; smaller is
        better [2]_.

    References
    ----------
    .. [1] T. Caliński and J. Harabasz, "A dendrite method for cluster analysis",
       Communications in Statistics, 1974.

    .. [2] D. L. Davies and D. W. Bouldin, "A cluster separation measure", IEEE
       Transactions on Pattern Analysis and Machine Intelligence, 1979.
    """

    inertia: float
    calinski_harabasz: float
    davies_bouldin: float


def compute_variance_criteria(
    rows: NDArray[np.floating], labels: NDArray[np.int64], seed: int
) -> tuple[VarianceCriteria, VarianceCriteria]:
    """Return the criteria of a labeling, and the standard error of each.

    The error is the jackknife estimate over ten random parts of the rows: how much a
    criterion changes when a part is left out. The cluster means move with the part that
    is left out, but the distances to the means of all rows are kept.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_features)
        Rows to be compared by Euclidean distance.

    labels : ndarray of shape (n_rows,), dtype int64
        Clusters from 0 without gaps, fewer than rows. If there is only one, only the
        inertia has a meaning.

    seed : int
        Seed of the random parts.

    Returns
    -------
    criteria : VarianceCriteria
        The values that scikit-learn computes.

    errors : VarianceCriteria
        Standard errors; infinite or NaN where a criterion is.

    References
    ----------
    .. [1] B. Efron and C. Stein, "The jackknife estimate of variance", The Annals of
       Statistics, 1981.
    """
    n_parts = min(_N_PARTS, len(rows))
    part_of = np.random.default_rng(seed).permutation(len(rows)) % n_parts
    means = _sum_by_code(labels, rows) / np.bincount(labels)[:, np.newaxis]
    parts = _sum_parts(rows, labels, means, part_of, n_parts)
    whole = parts.total()
    without = np.array([whole.minus(parts, i).criteria() for i in range(n_parts)])
    spread = ((without - without.mean(axis=0)) ** 2).sum(axis=0)
    errors = np.sqrt(spread * (n_parts - 1) / n_parts)
    return whole.criteria(), VarianceCriteria(*errors.tolist())


@dataclass(frozen=True)
class _ClusterSums:
    """Sums over the rows of each cluster.

    `differences`, `squares` and `lengths` are the sums of the differences of rows from
    `means`, of their squared lengths and of their lengths. The last axis numbers the
    clusters, except that `differences` and `means` end with the axis of features.
    `scale` is the number of all rows, divided by the number of rows in these sums.
    """

    means: NDArray[np.float64]
    size: NDArray[np.float64]
    differences: NDArray[np.float64]
    squares: NDArray[np.float64]
    lengths: NDArray[np.float64]
    scale: float = 1.0

    def total(self) -> "_ClusterSums":
        """Return the sums over all parts, which are numbered by the first axis."""
        return _ClusterSums(
            self.means,
            self.size.sum(axis=0),
            self.differences.sum(axis=0),
            self.squares.sum(axis=0),
            self.lengths.sum(axis=0),
        )

    def minus(self, parts: "_ClusterSums", i: int) -> "_ClusterSums":
        """Return the sums without part i and the clusters that are empty without it."""
        size = self.size - parts.size[i]
        kept = size > 0
        return _ClusterSums(
            self.means[kept],
            size[kept],
            (self.differences - parts.differences[i])[kept],
            (self.squares - parts.squares[i])[kept],
            (self.lengths - parts.lengths[i])[kept],
            scale=float(self.size.sum() / size.sum()),
        )

    def criteria(self) -> VarianceCriteria:
        """Return the criteria; the inertia is scaled to the number of all rows."""
        shift = self.differences / self.size[:, np.newaxis]
        means = self.means + shift
        inertias = self.squares - self.size * (shift**2).sum(axis=1)
        inertia = float(np.maximum(inertias, 0).sum())
        n, k = self.size.sum(), len(self.size)
        centered = means - self.size @ means / n
        between = float(self.size @ (centered**2).sum(axis=1))
        # scikit-learn defines the ratio as 1 if every row lies on its mean.
        ratio = 1.0
        if inertia:
            ratio = between * float(n - k) / (inertia * max(k - 1, 1))
        similarity = _davies_bouldin(self.lengths / self.size, means)
        return VarianceCriteria(inertia * self.scale, ratio, similarity)


def _davies_bouldin(spread: NDArray[np.float64], means: NDArray[np.float64]) -> float:
    distances = cdist(means, means)
    if np.allclose(spread, 0) or np.allclose(distances, 0):
        return 0.0
    distances[distances == 0] = np.inf
    similarity = (spread[:, np.newaxis] + spread) / distances
    return float(similarity.max(axis=1).mean())


def _sum_parts(
    rows: NDArray[np.floating],
    labels: NDArray[np.int64],
    means: NDArray[np.float64],
    part_of: NDArray[np.int64],
    n_parts: int,
) -> _ClusterSums:
    """Add up rows by part and cluster."""
    shape = n_parts, len(means)
    codes = part_of * len(means) + labels
    n_codes = n_parts * len(means)
    differences = np.zeros((n_codes, rows.shape[1]))
    squares = np.empty(len(rows))
    # The sums of a block take as much memory as `differences`, so a smaller block
    # would not save any.
    for block in gen_batches(len(rows), max(_BLOCK_ROWS, n_codes)):
        difference = rows[block] - means[labels[block]]
        squares[block] = np.einsum("ij,ij->i", difference, difference)
        differences += _sum_by_code(codes[block], difference, n_codes)
    return _ClusterSums(
        means,
        np.bincount(codes, minlength=n_codes).reshape(shape).astype(float),
        differences.reshape(*shape, -1),
        np.bincount(codes, squares, n_codes).reshape(shape).astype(float),
        np.bincount(codes, np.sqrt(squares), n_codes).reshape(shape).astype(float),
    )


def _sum_by_code(
    codes: NDArray[np.int64], rows: NDArray[np.floating], n_codes: int | None = None
) -> NDArray[np.float64]:
    """Return the sum of the rows of each code, in double precision."""
    n_codes = int(codes.max()) + 1 if n_codes is None else n_codes
    entries = np.ones(len(rows)), (codes, np.arange(len(rows)))
    sums: NDArray[np.float64] = csr_array(entries, shape=(n_codes, len(rows))) @ rows
    return sums
