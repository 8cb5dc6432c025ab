"""Scores of a block of rows for some queries: fast, and wrong by a known bound."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgsim._compute.precision import computing_in
from imgsim._distance.metric import ABSOLUTE, JACCARD, Metric

Scorer = Callable[[NDArray[Any]], NDArray[np.float32]]

_FLOAT32_UNIT = 2.0**-24
_BFLOAT16_UNIT = 2.0**-8
_N_COLUMNS = 256


def relative_error(metric: Metric, n_features: int, precision: str) -> float:
    """Return by which share of the sizes of query and row a score may be wrong.

    Products are sums of `n_features` terms, each rounded. In bfloat16 both factors and
    the sum are rounded once more; the first two terms of the expansion are counted.
    """
    single = (n_features + 16) * _FLOAT32_UNIT
    if metric.is_linear and precision == "bfloat16":
        return 3 * _BFLOAT16_UNIT + 4 * _BFLOAT16_UNIT**2 + 2 * single
    return 2 * single


def slack(
    metric: Metric,
    error: float,
    query_size: NDArray[np.float64],
    row_size: float,
    row_bias: float,
) -> NDArray[np.float32]:
    """Return by how much the scores of a block may be wrong, for each query."""
    if metric.is_linear:
        wrong = error * query_size * row_size + 4 * _FLOAT32_UNIT * row_bias
    else:
        wrong = error * (query_size + row_size)
    # What is too small to be written in single precision counts as well.
    return (wrong + 1e-30).astype(np.float32)


def make_scorer(
    metric: Metric, queries: NDArray[np.float32], precision: str, device: str
) -> Scorer:
    """Return what gives the scores of a block of rows, one line for each query."""
    if metric.is_linear:
        return _products(queries, precision, device)
    if metric.kind == JACCARD:
        return _jaccard(queries)
    return _differences(queries, metric.kind == ABSOLUTE)


def _products(queries: NDArray[np.float32], precision: str, device: str) -> Scorer:
    if precision == "bfloat16" or device != "cpu":
        return _torch_products(queries, precision, device)
    if len(queries) == 1:
        return lambda rows: (_float32(rows) @ queries[0])[np.newaxis]
    return lambda rows: queries @ _float32(rows).T


def _torch_products(
    queries: NDArray[np.float32], precision: str, device: str
) -> Scorer:
    import torch

    dtype = getattr(torch, precision)
    there = torch.from_numpy(queries).to(device, dtype)

    def scores(rows: NDArray[Any]) -> NDArray[np.float32]:
        if not rows.flags.writeable or min(rows.strides) < 0:
            rows = rows.copy()  # torch warns of the one, and refuses the other
        kind = there.device.type
        with computing_in("float32", kind), torch.autocast(kind, enabled=False):
            product = there @ torch.from_numpy(rows).to(device, dtype).T
        found: NDArray[np.float32] = product.float().cpu().numpy()
        return found

    return scores


def _float32(rows: NDArray[Any]) -> NDArray[np.float32]:
    return rows.astype(np.float32, copy=False)


def _jaccard(queries: NDArray[np.float32]) -> Scorer:
    n_of_query = queries.sum(axis=1)[:, np.newaxis]

    def scores(rows: NDArray[Any]) -> NDArray[np.float32]:
        rows = _float32(rows)
        both = queries @ rows.T
        either = n_of_query + rows.sum(axis=1) - both
        shared = np.divide(both, either, out=np.ones_like(both), where=either > 0)
        return np.asarray(shared - np.float32(1))

    return scores


def _differences(queries: NDArray[np.float32], summed: bool) -> Scorer:
    from imgsim._distance.kernels import largest_differences, sums_of_differences

    n_queries = len(queries)
    queries = _evened(queries)

    def scores(rows: NDArray[Any]) -> NDArray[np.float32]:
        n_rows = len(rows)
        rows = _evened(_float32(rows))
        found = np.empty((len(queries), len(rows)), dtype=np.float32)
        for start in range(0, len(rows), _N_COLUMNS):
            part = rows[start : start + _N_COLUMNS]
            block = np.empty((len(queries), len(part)), dtype=np.float32)
            if summed:
                sums_of_differences(queries, np.ascontiguousarray(part), block)
            else:
                largest_differences(queries, np.ascontiguousarray(part.T), block)
            found[:, start : start + len(part)] = block
        return found[:n_queries, :n_rows]

    return scores


def _evened(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return an even number of rows, the last one twice if need be."""
    return np.concatenate([rows, rows[-1:]]) if len(rows) % 2 else rows
