"""All pairs of rows that are near to each other, in bounded memory."""

from math import isqrt

import numpy as np
from sklearn import get_config

from imgsim._distance.metric import Metric
from imgsim._distance.rows import Collection, DistanceRows
from imgsim.index.exact._nearest import find_within
from imgsim.index.exact._scan import Pairs

_BYTES_PER_PAIR = 128  # while pairs are looked for, and while they are grouped


def find_near_pairs(rows: DistanceRows, metric: Metric, max_distance: float) -> Pairs:
    """Return the pairs of rows that are not further apart than `max_distance`.

    Parameters
    ----------
    rows : DistanceRows
        What to compare with each other.

    metric : Metric
        How they are compared.

    max_distance : float
        Largest distance.

    Returns
    -------
    i, j : ndarray of shape (n_pairs,), dtype int64
        Positions in `rows`, `i` less than `j`.

    distances : ndarray of shape (n_pairs,)
        Their distances.

    Raises
    ------
    ValueError
        If there are more pairs than should be kept in scikit-learn's `working_memory`.
    """
    memory = get_config()["working_memory"]
    most = max(1, int(memory * 2**20 / _BYTES_PER_PAIR))
    found = [(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))]
    n_found = 0
    n_operations = rows.values.size * len(rows) / 2
    n_at_once = isqrt(most)  # so that all pairs of two blocks may be near
    for start, block in rows.blocks(n_at_once):
        for offset, others in rows[start:].blocks(n_at_once):
            everywhere = np.ones(len(others), dtype=bool)
            collection = Collection(others, everywhere, metric)
            i, j, distances = find_within(block, collection, max_distance, n_operations)
            j += offset
            once = i < j
            found.append((i[once] + start, j[once] + start, distances[once]))
            n_found += int(once.sum())
            if n_found > most:
                raise ValueError(
                    f"max_distance={max_distance} joins {n_found:,} pairs or more "
                    f"among {len(rows):,} distinct rows; {most:,} fit into "
                    f"working_memory={memory} MiB. Take a smaller max_distance, or "
                    f"raise the limit by sklearn.set_config(working_memory=...)."
                )
    i, j, distances = map(np.concatenate, zip(*found, strict=True))
    return i, j, distances
