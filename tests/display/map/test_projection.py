"""Tests of projecting embeddings onto a plane."""

import sys
from types import ModuleType

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE, trustworthiness
from sklearn.preprocessing import normalize

from imgsim.display import EmbeddingMapDisplay
from imgsim.display.map import _projection


def _positions(X, **kwargs):
    return EmbeddingMapDisplay.from_predictions(X, random_state=0, **kwargs).positions


def _record_perplexity(monkeypatch):
    recorded = []

    class Recorder(TSNE):
        def __init__(self, **kwargs):
            recorded.append(kwargs["perplexity"])
            super().__init__(**kwargs)

    monkeypatch.setattr(_projection, "TSNE", Recorder)
    return recorded


@pytest.mark.parametrize(
    ("n", "perplexity"), [(4, 1), (4, 5.0), (5, 1e9), (12, 1), (12, 5.0), (20, 5.0)]
)
def test_perplexity_is_limited_by_the_number_of_rows(n, perplexity, blobs, monkeypatch):
    """It is at most a third of the number of other rows."""
    recorded = _record_perplexity(monkeypatch)

    positions = _positions(blobs[0][:n], perplexity=perplexity)

    assert recorded == [min(perplexity, (n - 1) / 3)]
    assert positions.shape == (n, 2)
    assert np.isfinite(positions).all()


def test_tsne_preserves_neighbors():
    """Wide rows are reduced to principal components first."""
    rng = np.random.default_rng(0)
    X = np.hstack([rng.uniform(size=(60, 2)), 1e-3 * rng.normal(size=(60, 200))])

    positions = _positions(X, metric="euclidean", perplexity=10)

    assert trustworthiness(X, positions, n_neighbors=5) > 0.95


def test_pca_projects_on_the_first_two_principal_components(blobs):
    """For cosine, rows are scaled to unit length. Queries share the components."""
    X, _ = blobs

    cosine = EmbeddingMapDisplay.from_predictions(X[5:], queries=X[:5], method="pca")
    euclidean = _positions(X, method="pca", metric="euclidean")

    rows = normalize(X)
    pca = PCA(2).fit(rows[5:])
    assert_allclose(cosine.positions, pca.transform(rows[5:]), atol=1e-5)
    assert_allclose(cosine.query_positions, pca.transform(rows[:5]), atol=1e-5)
    assert_allclose(euclidean, PCA(2).fit_transform(X), atol=1e-4)


def test_lengths_do_not_matter_for_cosine(blobs):
    """The cosine depends only on directions."""
    X, _ = blobs
    lengths = np.random.default_rng(0).uniform(1, 9, size=(60, 1))

    scaled = _positions(X * lengths, method="pca")

    assert_allclose(scaled, _positions(X, method="pca"), atol=1e-5)


@pytest.mark.parametrize("method", ["tsne", "pca"])
def test_queries_are_near_their_neighbors(method, blobs):
    """An unreadable query has no position."""
    X, y = blobs
    queries = np.vstack([X[[0, 35, 55]], np.full((1, 8), np.nan)])

    display = EmbeddingMapDisplay.from_predictions(
        X, queries=queries, method=method, random_state=0
    )

    positions = display.query_positions
    distances = np.linalg.norm(positions[:3, None] - display.positions, axis=2)
    assert y[distances.argmin(axis=1)].tolist() == [0, 1, 2]
    assert np.isnan(positions[3]).all()


@pytest.mark.parametrize("method", ["tsne", "pca"])
@pytest.mark.parametrize("n_queries", [0, 1, 3])
@pytest.mark.parametrize("n", [1, 2, 3, 5])
@pytest.mark.parametrize("width", [1, 8])
def test_few_or_equal_rows_have_positions(method, n_queries, n, width):
    """Any number and width of rows is valid, and equal rows have equal positions."""
    rng = np.random.default_rng(0)
    apart, queries = rng.normal(size=(n, width)), rng.normal(size=(n_queries, width))
    equal = np.tile(apart[:1], (n, 1))

    for X in (apart, equal):
        display = EmbeddingMapDisplay.from_predictions(
            X, queries=queries if n_queries else None, method=method, random_state=0
        )

        assert display.positions.shape == (n, 2)
        assert np.isfinite(display.positions).all()
    assert_allclose(display.positions - display.positions[0], 0, atol=1e-6)


def test_rows_without_an_embedding_change_nothing(blobs):
    """The positions of the other rows do not depend on them."""
    X = blobs[0][:40]
    with_nan = np.insert(X, [0, 30], np.nan, axis=0)

    positions = _positions(with_nan)

    assert np.isnan(positions[[0, 31]]).all()
    assert (np.delete(positions, [0, 31], axis=0) == _positions(X)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_rows_are_not_changed(dtype):
    """Embeddings may be a read-only memory map."""
    X = np.random.default_rng(0).normal(scale=9, size=(20, 4)).astype(dtype)
    X.flags.writeable = False

    assert _positions(X).shape == (20, 2)


def test_invalid_embeddings_are_refused(blobs):
    """The message names the argument."""
    X, _ = blobs

    with pytest.raises(ValueError, match="queries has 3 features and X has 8"):
        _positions(X, queries=X[:, :3])
    with pytest.raises(ValueError, match="Input X contains infinity"):
        _positions(np.where(X[0, 0] == X, np.inf, X))
    with pytest.raises(ValueError, match="Expected 2D array"):
        _positions(X[0])


class _UMAP:
    """Projects a row on its first two features, and records its parameters."""

    def __init__(self, **kwargs):
        self.params = kwargs

    def fit_transform(self, X):
        self.n_fitted = len(X)
        return X[:, :2]

    def transform(self, X):
        return X[:, :2] + self.n_fitted


def test_umap_is_fitted_on_the_images_and_transforms_queries(blobs, monkeypatch):
    """The number of neighbors is limited by the number of images."""
    made = []
    umap = ModuleType("umap")
    umap.UMAP = lambda **kwargs: made.append(_UMAP(**kwargs)) or made[-1]
    monkeypatch.setitem(sys.modules, "umap", umap)
    X = blobs[0][:10]

    display = EmbeddingMapDisplay.from_predictions(
        X, queries=X[:2], method="umap", metric="euclidean", random_state=5
    )

    assert_allclose(display.positions, X[:, :2])
    assert_allclose(display.query_positions, X[:2, :2] + 10)
    assert made[0].params == {"n_neighbors": 9, "random_state": 5, "n_jobs": 1}


def test_missing_umap_raises_an_error(blobs, monkeypatch):
    """The message names the package to install."""
    monkeypatch.setitem(sys.modules, "umap", None)

    with pytest.raises(ModuleNotFoundError, match="umap-learn: pip install umap-learn"):
        _positions(blobs[0], method="umap")


def test_animals_of_one_kind_are_near_each_other(animals):
    """On a map of photographs, most neighbors of an image are of its kind."""
    positions = _positions(animals.X)

    distances = np.linalg.norm(positions[:, None] - positions, axis=2)
    nearest = distances.argsort(axis=1)[:, 1:6]
    assert (animals.target[nearest] == animals.target[:, None]).mean() > 0.8
