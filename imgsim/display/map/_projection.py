"""Embeddings become places on a plane."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.utils import check_array
from threadpoolctl import ThreadpoolController

from imgsim._optional import import_optional
from imgsim._validation import find_readable_rows
from imgsim.cluster.algorithms._feature_space import to_euclidean

METHODS = ("tsne", "pca", "umap")
METRICS = ("cosine", "euclidean")
# t-SNE of a thousand dimensions is slow, and noisy; its authors reduce to 30 or 50.
_N_COMPONENTS = 50
_LEAST_ROWS = 4  # of which one has three neighbours, a perplexity of 1
_N_NEIGHBORS = 15  # of UMAP

Rows = NDArray[Any]


def check_places(name: str, places: ArrayLike, n_expected: int | None = None) -> Rows:
    """Return given places as float64, NaN allowed, or say what they are."""
    checked: Rows = np.array(
        check_array(
            places, dtype=np.float64, ensure_all_finite="allow-nan", input_name=name
        )
    )
    if checked.shape[1] != 2:
        raise ValueError(
            f"{name} must have 2 columns, one place a row; got shape {checked.shape}."
        )
    if n_expected is not None and len(checked) != n_expected:
        raise ValueError(f"{name} holds {len(checked)} places for {n_expected} rows.")
    return checked


def project(
    X: Rows,
    queries: Rows | None,
    *,
    method: str,
    metric: str,
    perplexity: float,
    seed: int,
    caller: str,
) -> tuple[Rows, Rows | None]:
    """Place rows, and queries among them; rows that hold NaN are placed at NaN."""
    readable = find_readable_rows(X)
    if not readable.any():
        raise ValueError(
            f"every row of X holds NaN: none of the {len(X)} images could be read."
        )
    asked = X[:0] if queries is None else queries
    if asked.shape[1] != X.shape[1]:
        raise ValueError(
            f"queries have {asked.shape[1]} features, and X has {X.shape[1]}."
        )
    askable = find_readable_rows(asked)
    rows = to_euclidean(X[readable], metric)
    others = to_euclidean(asked[askable], metric)
    # One thread rounds alike on every machine; more are no faster for small maps.
    with ThreadpoolController().limit(limits=1):
        places, other_places = _place(rows, others, method, perplexity, seed, caller)
    positions = _spread(places, readable)
    return positions, None if queries is None else _spread(other_places, askable)


def _place(
    rows: Rows, others: Rows, method: str, perplexity: float, seed: int, caller: str
) -> tuple[Rows, Rows]:
    joint = np.vstack([rows, others])
    if _all_equal(joint):
        return np.zeros((len(rows), 2)), np.zeros((len(others), 2))
    if _all_equal(rows):
        return _split(_by_pca(joint, joint, seed), len(rows))
    if method == "tsne" and len(joint) >= _LEAST_ROWS:
        return _split(_by_tsne(joint, perplexity, seed), len(rows))
    if method == "umap" and len(rows) >= _LEAST_ROWS:
        return _by_umap(rows, others, seed, caller)
    return _split(_by_pca(rows, joint, seed), len(rows))


def _by_tsne(rows: Rows, perplexity: float, seed: int) -> Rows:
    """Place rows by t-SNE on their principal components."""
    n_components = min(_N_COMPONENTS, *rows.shape)
    reduced = PCA(n_components, random_state=seed).fit_transform(rows)
    tsne = TSNE(
        perplexity=min(perplexity, (len(rows) - 1) / 3), init="pca", random_state=seed
    )
    places: Rows = tsne.fit_transform(_two_columns(reduced))
    return places


def _by_pca(rows: Rows, shown: Rows, seed: int) -> Rows:
    pca = PCA(min(2, *rows.shape), random_state=seed).fit(rows)
    return _two_columns(pca.transform(shown))


def _by_umap(rows: Rows, others: Rows, seed: int, caller: str) -> tuple[Rows, Rows]:
    umap = import_optional("umap", caller=caller)
    mapper = umap.UMAP(
        n_neighbors=min(_N_NEIGHBORS, len(rows) - 1), random_state=seed, n_jobs=1
    )
    places = mapper.fit_transform(rows)
    return places, mapper.transform(others) if len(others) else np.zeros((0, 2))


def _all_equal(rows: Rows) -> bool:
    return np.allclose(rows, rows[0], rtol=1e-6, atol=0)


def _two_columns(rows: Rows) -> Rows:
    return np.pad(rows, [(0, 0), (0, max(2 - rows.shape[1], 0))])


def _split(places: Rows, n_rows: int) -> tuple[Rows, Rows]:
    return places[:n_rows], places[n_rows:]


def _spread(places: Rows, known: NDArray[np.bool_]) -> Rows:
    spread = np.full((len(known), 2), np.nan)
    spread[known] = places
    return spread
