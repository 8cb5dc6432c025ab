"""Scores of a block of rows for some queries: fast, with a known error bound."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgsim._compute.precision import use_precision
from imgsim._distance.metric import ABSOLUTE, JACCARD, Metric

ScoreFunction = Callable[[NDArray[Any]], NDArray[np.float32]]

_FLOAT32_UNIT = 2.0**-24
_BFLOAT16_UNIT = 2.0**-8
_N_COLUMNS = 256


def relative_error_bound(metric: Metric, n_features: int, precision: str) -> float:
    """Return a bound on the error of a score, relative to the sizes of both rows.

    A product is a sum of `n_features` terms, each of which is rounded. In bfloat16,
    both factors and the sum are rounded once more. The bound includes the first two
    terms of the expansion in the rounding error.
    """
    float32_error = 2 * (n_features + 16) * _FLOAT32_UNIT
    if metric.is_linear and precision == "bfloat16":
        return 3 * _BFLOAT16_UNIT + 4 * _BFLOAT16_UNIT**2 + float32_error
    return float32_error


def absolute_error_bound(
    metric: Metric,
    relative_error: float,
    query_size: NDArray[np.float64],
    row_size: float,
    row_bias: float,
) -> NDArray[np.float32]:
    """Return a bound on the error of the scores of a block, for each query.

    `row_size` and `row_bias` are the largest values in the block.
    """
    if metric.is_linear:
        error = relative_error * query_size * row_size + 4 * _FLOAT32_UNIT * row_bias
    else:
        error = relative_error * (query_size + row_size)
    # Numbers below the range of single precision are rounded to zero.
    return (error + 1e-30).astype(np.float32)


def make_score_function(
    metric: Metric, queries: NDArray[np.float32], precision: str, device: str
) -> ScoreFunction:
    """Return a function that computes the scores of a block of rows.

    Its result has a row for each query, and a column for each row of the block.
    """
    if metric.is_linear:
        return _products(queries, precision, device)
    if metric.kind == JACCARD:
        return _jaccard(queries)
    return _differences(queries, metric.kind == ABSOLUTE)


def _products(
    queries: NDArray[np.float32], precision: str, device: str
) -> ScoreFunction:
    if precision == "bfloat16" or device != "cpu":
        return _torch_products(queries, precision, device)
    if len(queries) == 1:
        return lambda rows: (_as_float32(rows) @ queries[0])[np.newaxis]
    return lambda rows: queries @ _as_float32(rows).T


def _torch_products(
    queries: NDArray[np.float32], precision: str, device: str
) -> ScoreFunction:
    import torch

    dtype = getattr(torch, precision)
    query_tensor = torch.from_numpy(queries).to(device, dtype)

    def score(rows: NDArray[Any]) -> NDArray[np.float32]:
        if not rows.flags.writeable:
            rows = rows.copy()  # torch warns about read-only arrays
        kind = query_tensor.device.type
        with use_precision("float32", kind), torch.autocast(kind, enabled=False):
            product = query_tensor @ torch.from_numpy(rows).to(device, dtype).T
        scores: NDArray[np.float32] = product.float().cpu().numpy()
        return scores

    return score


def _as_float32(rows: NDArray[Any]) -> NDArray[np.float32]:
    return rows.astype(np.float32, copy=False)


def _jaccard(queries: NDArray[np.float32]) -> ScoreFunction:
    n_of_query = queries.sum(axis=1)[:, np.newaxis]

    def score(rows: NDArray[Any]) -> NDArray[np.float32]:
        rows = _as_float32(rows)
        intersection = queries @ rows.T
        union = n_of_query + rows.sum(axis=1) - intersection
        similarity = np.divide(
            intersection, union, out=np.ones_like(union), where=union > 0
        )
        return np.asarray(similarity - np.float32(1))

    return score


def _differences(queries: NDArray[np.float32], is_manhattan: bool) -> ScoreFunction:
    from imgsim._distance.kernels import negative_chebyshev, negative_manhattan

    n_queries = len(queries)
    queries = _pad_to_even(queries)

    def score(rows: NDArray[Any]) -> NDArray[np.float32]:
        n_rows = len(rows)
        rows = _pad_to_even(_as_float32(rows))
        scores = np.empty((len(queries), len(rows)), dtype=np.float32)
        for start in range(0, len(rows), _N_COLUMNS):
            part = rows[start : start + _N_COLUMNS]
            block = np.empty((len(queries), len(part)), dtype=np.float32)
            if is_manhattan:
                negative_manhattan(queries, np.ascontiguousarray(part), block)
            else:
                negative_chebyshev(queries, np.ascontiguousarray(part.T), block)
            scores[:, start : start + len(part)] = block
        return scores[:n_queries, :n_rows]

    return score


def _pad_to_even(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return an even number of rows, by repeating the last row if necessary."""
    return np.concatenate([rows, rows[-1:]]) if len(rows) % 2 else rows
