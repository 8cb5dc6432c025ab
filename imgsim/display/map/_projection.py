"""Projection of embeddings onto a plane."""

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.utils import check_array
from threadpoolctl import ThreadpoolController

from imgsim._optional import import_optional
from imgsim._validation import find_readable_rows
from imgsim.cluster.algorithms._feature_space import ClusterMetric, to_euclidean

ProjectionMethod = Literal["tsne", "pca", "umap"]
ProjectionMetric = Literal["cosine", "euclidean"]
METHODS: tuple[ProjectionMethod, ...] = get_args(ProjectionMethod)
METRICS: tuple[ProjectionMetric, ...] = get_args(ProjectionMetric)

# In a thousand dimensions, t-SNE is slow, and noise affects which rows are neighbors.
# Its authors reduce the rows to 30 or 50 principal components.
_N_COMPONENTS = 50
_MIN_ROWS = 4  # the smallest number for a perplexity of 1, a third of the others
_UMAP_NEIGHBORS = 15


def check_positions(
    name: str, positions: ArrayLike, n_expected: int | None = None
) -> NDArray[np.float64]:
    """Return a copy of positions as float64. NaN is allowed, infinity is not."""
    checked: NDArray[np.float64] = np.array(
        check_array(
            positions, dtype=np.float64, ensure_all_finite="allow-nan", input_name=name
        )
    )
    if checked.shape[1] != 2:
        raise ValueError(f"{name} must have 2 columns, x and y; got {checked.shape}.")
    if n_expected is not None and len(checked) != n_expected:
        raise ValueError(
            f"{name} has {len(checked)} positions, but the number of rows of X is "
            f"{n_expected}; both must be equal."
        )
    return checked


def project(
    X: NDArray[Any],
    queries: NDArray[Any] | None,
    *,
    method: str,
    metric: ClusterMetric,
    perplexity: float,
    seed: int,
    caller: str,
) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Return positions of rows and of queries, NaN for rows that contain NaN."""
    readable = find_readable_rows(X)
    if not readable.any():
        raise ValueError(
            f"every row of X contains NaN: none of the {len(X)} images could be read."
        )
    query_rows = X[:0] if queries is None else queries
    if query_rows.shape[1] != X.shape[1]:
        raise ValueError(
            f"queries has {query_rows.shape[1]} features and X has {X.shape[1]}; both "
            f"must be equal."
        )
    readable_queries = find_readable_rows(query_rows)
    rows = to_euclidean(X[readable], metric)
    others = to_euclidean(query_rows[readable_queries], metric)
    # With one thread, the order of sums, and so their rounding, does not depend on the
    # number of processors. More threads are not faster for small maps.
    with ThreadpoolController().limit(limits=1):
        positions, query_positions = _project_rows(
            rows, others, method, perplexity, seed, caller
        )
    return (
        _with_nan_rows(positions, readable),
        None if queries is None else _with_nan_rows(query_positions, readable_queries),
    )


def _project_rows(
    rows: NDArray[Any],
    queries: NDArray[Any],
    method: str,
    perplexity: float,
    seed: int,
    caller: str,
) -> tuple[NDArray[Any], NDArray[Any]]:
    both = np.vstack([rows, queries])
    if _all_equal(both):
        return np.zeros((len(rows), 2)), np.zeros((len(queries), 2))
    if _all_equal(rows):
        return _split(_project_by_pca(both, both, seed), len(rows))
    if method == "tsne" and len(both) >= _MIN_ROWS:
        return _split(_project_by_tsne(both, perplexity, seed), len(rows))
    if method == "umap" and len(rows) >= _MIN_ROWS:
        return _project_by_umap(rows, queries, seed, caller)
    return _split(_project_by_pca(rows, both, seed), len(rows))


def _project_by_tsne(rows: NDArray[Any], perplexity: float, seed: int) -> NDArray[Any]:
    n_components = min(_N_COMPONENTS, *rows.shape)
    reduced = PCA(n_components, random_state=seed).fit_transform(rows)
    tsne = TSNE(
        perplexity=min(perplexity, (len(rows) - 1) / 3), init="pca", random_state=seed
    )
    positions: NDArray[Any] = tsne.fit_transform(_pad_to_two_columns(reduced))
    return positions


def _project_by_pca(
    rows: NDArray[Any], projected: NDArray[Any], seed: int
) -> NDArray[Any]:
    pca = PCA(min(2, *rows.shape), random_state=seed).fit(rows)
    return _pad_to_two_columns(pca.transform(projected))


def _project_by_umap(
    rows: NDArray[Any], queries: NDArray[Any], seed: int, caller: str
) -> tuple[NDArray[Any], NDArray[Any]]:
    umap = import_optional("umap", caller=caller)
    mapper = umap.UMAP(
        n_neighbors=min(_UMAP_NEIGHBORS, len(rows) - 1), random_state=seed, n_jobs=1
    )
    positions = mapper.fit_transform(rows)
    return positions, mapper.transform(queries) if len(queries) else np.zeros((0, 2))


def _all_equal(rows: NDArray[Any]) -> bool:
    return np.allclose(rows, rows[0], rtol=1e-6, atol=0)


def _pad_to_two_columns(rows: NDArray[Any]) -> NDArray[Any]:
    return np.pad(rows, [(0, 0), (0, max(2 - rows.shape[1], 0))])


def _split(positions: NDArray[Any], n_rows: int) -> tuple[NDArray[Any], NDArray[Any]]:
    return positions[:n_rows], positions[n_rows:]


def _with_nan_rows(
    positions: NDArray[Any], readable: NDArray[np.bool_]
) -> NDArray[Any]:
    """Return one position per row, NaN where the row is not readable."""
    all_positions = np.full((len(readable), 2), np.nan)
    all_positions[readable] = positions
    return all_positions
