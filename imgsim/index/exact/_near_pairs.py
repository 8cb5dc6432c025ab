"""All pairs of rows that are near to each other, in bounded memory."""

from math import isqrt

import numpy as np
from sklearn import get_config

from imgsim._distance.metric import Metric
from imgsim._distance.rows import Collection, DistanceRows
from imgsim.index.exact._nearest import find_within
from imgsim.index.exact._scan import Pairs, concatenate_pairs

_BYTES_PER_PAIR = 128  # while pairs are found, and while they are grouped


def find_near_pairs(rows: DistanceRows, metric: Metric, max_distance: float) -> Pairs:
    """Return the pairs of rows with distances of at most `max_distance`.

    Parameters
    ----------
    rows : DistanceRows
        The rows to compare with each other.

    metric : Metric
        Distance between rows.

    max_distance : float
        Largest distance.

    Returns
    -------
    pairs : Pairs
        Positions in `rows` and distances. The position in `queries` is always less than
        the position in `rows`.

    Raises
    ------
    ValueError
        If there are more pairs than fit into scikit-learn's `working_memory`.
    """
    memory = get_config()["working_memory"]
    max_pairs = max(1, int(memory * 2**20 / _BYTES_PER_PAIR))
    parts, n_pairs = [Pairs.empty()], 0
    n_operations = rows.values.size * len(rows) / 2
    block_length = isqrt(max_pairs)  # so that all pairs of two blocks may be near
    for start, block in rows.blocks(block_length):
        for offset, others in rows[start:].blocks(block_length):
            allowed = np.ones(len(others), dtype=bool)
            collection = Collection(others, allowed, metric)
            pairs = find_within(block, collection, max_distance, n_operations)
            pairs = pairs.select(pairs.queries < pairs.rows + offset)
            parts.append(
                Pairs(
                    pairs.queries + start, pairs.rows + offset + start, pairs.distances
                )
            )
            n_pairs += len(pairs.distances)
            if n_pairs > max_pairs:
                raise ValueError(
                    f"max_distance={max_distance} selects at least {n_pairs:,} pairs "
                    f"among {len(rows):,} distinct rows, but only {max_pairs:,} pairs "
                    f"fit into working_memory={memory} MiB: pass a smaller "
                    f"max_distance, or raise the limit with "
                    f"sklearn.set_config(working_memory=...)."
                )
    return concatenate_pairs(parts)
