"""First centres of k-means for several numbers of groups, drawn once."""

from collections.abc import Iterable
from threading import Lock
from typing import Any

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray
from sklearn.cluster import kmeans_plusplus


class SharedSeeds:
    """The `init` of several k-means of the same rows and the same seed.

    k-means++ draws one centre after the other [1]_, so that the first centres of a
    larger k are those of a smaller one, if both try as many rows for each. Thus each
    k-means begins as if it were alone.

    Parameters
    ----------
    ks : iterable of int
        The numbers of groups.

    References
    ----------
    .. [1] D. Arthur and S. Vassilvitskii, "k-means++: the advantages of careful
       seeding", SODA 2007.
    """

    def __init__(self, ks: Iterable[int]) -> None:
        # Of numbers that try as many rows, the largest comes last.
        self._largest = {_n_trials(k): k for k in sorted(ks)}
        self._drawn: dict[int, NDArray[Any]] = {}
        self._lock = Lock()

    def __call__(
        self, X: NDArray[Any], n_clusters: int, random_state: RandomState
    ) -> NDArray[Any]:
        """Return the first centres, of shape (n_clusters, n_features)."""
        n_trials = _n_trials(n_clusters)
        with self._lock:
            if n_trials not in self._drawn:
                self._drawn[n_trials], _ = kmeans_plusplus(
                    X,
                    self._largest[n_trials],
                    random_state=random_state,
                    n_local_trials=n_trials,
                )
        return self._drawn[n_trials][:n_clusters].copy()


def _n_trials(n_clusters: int) -> int:
    """Return how many rows scikit-learn tries for each centre."""
    return 2 + int(np.log(n_clusters))
