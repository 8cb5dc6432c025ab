"""Criteria of a grouping that come from sums over its groups, with standard errors."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.spatial.distance import cdist

_N_PARTS = 10
_N_ROWS = 256  # at a time, which stay in the cache of a core


class Criteria(NamedTuple):
    """What sums over groups tell of a grouping.

    Parameters
    ----------
    inertia : float
        Sum of squared Euclidean distances of rows from the mean of their group.

    calinski_harabasz : float
        Spread between groups over spread within them; larger is better [1]_.

    davies_bouldin : float
        Mean likeness of each group and the one most like it; smaller is better [2]_.

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


def judge(
    rows: NDArray[np.floating], labels: NDArray[np.int64], seed: int
) -> tuple[Criteria, Criteria]:
    """Return the criteria of a grouping, and the standard error of each.

    The error is the jackknife's over ten random parts of the rows: how much a criterion
    moves when a part is left out. The distances from the means stay those of all rows.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_features)
        Compared by Euclidean distance.

    labels : ndarray of shape (n_rows,), dtype int64
        Groups 0 to k - 1, each with a row; at least 2, and fewer than rows.

    seed : int
        Seeds the parts.

    Returns
    -------
    criteria : Criteria
        Equal to scikit-learn's.

    errors : Criteria
        Standard errors; infinite or NaN where a criterion is.

    References
    ----------
    .. [1] B. Efron and C. Stein, "The jackknife estimate of variance", The Annals of
       Statistics, 1981.
    """
    n_parts = min(_N_PARTS, len(rows))
    part_of = np.random.default_rng(seed).permutation(len(rows)) % n_parts
    means = _sum_by(labels, rows) / np.bincount(labels)[:, np.newaxis]
    parts = _sums_of_parts(rows, labels, means, part_of, n_parts)
    whole = parts.total()
    without = np.array([whole.minus(parts, i).criteria() for i in range(n_parts)])
    spread = ((without - without.mean(axis=0)) ** 2).sum(axis=0)
    errors = np.sqrt(spread * (n_parts - 1) / n_parts)
    return whole.criteria(), Criteria(*errors.tolist())


@dataclass(frozen=True)
class _Sums:
    """Sums over the rows of each group, the last axis but of `moves` its number.

    `moves`, `squares` and `lengths` add up the differences from `means`, their squares
    and lengths. `scale` tells how many times as many rows there are in all.
    """

    means: NDArray[np.float64]
    size: NDArray[np.float64]
    moves: NDArray[np.float64]
    squares: NDArray[np.float64]
    lengths: NDArray[np.float64]
    scale: float = 1.0

    def total(self) -> "_Sums":
        """Return the sums over all parts, which the first axis tells apart."""
        return _Sums(
            self.means,
            self.size.sum(axis=0),
            self.moves.sum(axis=0),
            self.squares.sum(axis=0),
            self.lengths.sum(axis=0),
        )

    def minus(self, parts: "_Sums", i: int) -> "_Sums":
        """Return the sums without a part, and without groups that vanish with it."""
        size = self.size - parts.size[i]
        kept = size > 0
        return _Sums(
            self.means[kept],
            size[kept],
            (self.moves - parts.moves[i])[kept],
            (self.squares - parts.squares[i])[kept],
            (self.lengths - parts.lengths[i])[kept],
            scale=float(self.size.sum() / size.sum()),
        )

    def criteria(self) -> Criteria:
        """Return the criteria; an inertia is scaled to the number of all rows."""
        moved = self.moves / self.size[:, np.newaxis]
        means = self.means + moved
        inertias = self.squares - self.size * (moved**2).sum(axis=1)
        inertia = float(np.maximum(inertias, 0).sum())
        n, k = self.size.sum(), len(self.size)
        about = means - self.size @ means / n
        between = float(self.size @ (about**2).sum(axis=1))
        # scikit-learn's answer where every row lies on its mean.
        ratio = 1.0
        if inertia:
            ratio = between * float(n - k) / (inertia * max(k - 1, 1))
        likeness = _davies_bouldin(self.lengths / self.size, means)
        return Criteria(inertia * self.scale, ratio, likeness)


def _davies_bouldin(spread: NDArray[np.float64], means: NDArray[np.float64]) -> float:
    apart = cdist(means, means)
    if np.allclose(spread, 0) or np.allclose(apart, 0):
        return 0.0
    apart[apart == 0] = np.inf
    likeness = (spread[:, np.newaxis] + spread) / apart
    return float(likeness.max(axis=1).mean())


def _sums_of_parts(
    rows: NDArray[np.floating],
    labels: NDArray[np.int64],
    means: NDArray[np.float64],
    part_of: NDArray[np.int64],
    n_parts: int,
) -> _Sums:
    """Add up rows by part and group."""
    shape = n_parts, len(means)
    codes = part_of * len(means) + labels
    moves = np.zeros((n_parts * len(means), rows.shape[1]))
    squares = np.empty(len(rows))
    # Each sum has the size of `moves`, which should not exceed that of the rows.
    for some in _blocks(len(rows), max(_N_ROWS, len(moves))):
        away = rows[some] - means[labels[some]]
        squares[some] = np.einsum("ij,ij->i", away, away)
        moves += _sum_by(codes[some], away, len(moves))
    return _Sums(
        means,
        np.bincount(codes, minlength=len(moves)).reshape(shape).astype(float),
        moves.reshape(*shape, -1),
        np.bincount(codes, squares, len(moves)).reshape(shape).astype(float),
        np.bincount(codes, np.sqrt(squares), len(moves)).reshape(shape).astype(float),
    )


def _sum_by(
    codes: NDArray[np.int64], rows: NDArray[np.floating], n_codes: int | None = None
) -> NDArray[np.float64]:
    """Add up the rows of each code, in double precision."""
    n_codes = int(codes.max()) + 1 if n_codes is None else n_codes
    entries = np.ones(len(rows)), (codes, np.arange(len(rows)))
    sums: NDArray[np.float64] = csr_array(entries, shape=(n_codes, len(rows))) @ rows
    return sums


def _blocks(n_rows: int, n_at_once: int) -> list[slice]:
    return [slice(i, i + n_at_once) for i in range(0, n_rows, n_at_once)]
