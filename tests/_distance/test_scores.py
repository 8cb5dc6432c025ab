"""Tests of scores and of the bounds of their errors."""

from itertools import product

import numpy as np
import pytest
from brute_force import BOOLEAN, LINEAR, SUMMED, draw, make_search
from numpy.testing import assert_allclose

from imgsim._distance.metric import make_metric
from imgsim._distance.scores import (
    _torch_products,
    make_score_function,
    relative_error_bound,
)
from imgsim.index.exact._scan import _score_blocks

CASES = [
    *((name, "float32") for name in (*LINEAR, *SUMMED, *BOOLEAN)),
    *((name, "bfloat16") for name in (*LINEAR, "hamming")),
]


def _alike(rng, shape):
    return rng.random(shape) + 0.5


def _alternating(rng, shape):
    return _alike(rng, shape) * np.where(np.arange(shape[1]) % 2, -1, 1)


def _cancelling(rng, shape):
    rows = _alike(rng, shape)
    rows[::2, 1::2] *= -1
    return rows


def _of_all_sizes(rng, shape):
    return rng.normal(size=shape) * 10.0 ** rng.integers(-8, 4, size=shape)


def _far_away(rng, shape):
    return rng.normal(size=shape) + 1000


def _one_hot(rng, shape):
    return np.eye(shape[1])[rng.integers(shape[1], size=shape[0])]


def _halfway(rng, shape):
    """Return numbers that bfloat16 rounds in one direction, by nearly the maximum."""
    return np.full(shape, 1 + 2.0**-8 - 2.0**-20) + rng.random(shape) * 2.0**-21


def _ordinary(rng, shape):
    return rng.normal(size=shape)


KINDS = [
    _ordinary,
    _alike,
    _alternating,
    _cancelling,
    _of_all_sizes,
    _far_away,
    _one_hot,
    _halfway,
]


def _exact_scores(metric, queries, collection):
    """Return scores by their definition, in extended precision."""
    wide = np.longdouble
    terms = collection.rows.terms
    if metric.kind is not None and not metric.is_linear:
        return -metric.pairwise_distances(
            queries.values, queries.terms, collection.rows.values, terms
        )
    shifted = queries.values.astype(wide) - queries.terms.shift[:, np.newaxis]
    transformed = shifted * queries.terms.scale[:, np.newaxis]
    rows = collection.rows.values.astype(wide) - terms.shift[:, np.newaxis]
    return (transformed @ rows.T) * terms.scale + terms.bias


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("name", "precision"), CASES)
def test_errors_of_scores_are_within_the_bound(name, precision, kind):
    """A larger error could lose a neighbor. These rows make errors add up."""
    if precision == "bfloat16":
        pytest.importorskip("torch")
    for n_features, dtype in product([1, 131, 1500], [np.float32, np.float64]):
        rng = np.random.default_rng(n_features)
        X = kind(rng, (60, n_features)).astype(dtype)
        if name in BOOLEAN:
            X = (np.median(X) < X).astype(dtype)
        queries, collection = make_search(X[:40], X[38:], name)

        [block] = _score_blocks(queries, collection, precision)

        scores = block.scores * block.scale + block.bias
        assert scores.dtype == np.float32
        error = np.abs(scores - _exact_scores(collection.metric, queries, collection))
        assert (error <= block.error[:, np.newaxis]).all(), (n_features, dtype)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", ["cosine", "euclidean"])
def test_errors_for_a_single_query_are_within_the_bound(name, precision):
    """A product of a matrix and a vector uses other routines."""
    if precision == "bfloat16":
        pytest.importorskip("torch")
    X = np.abs(draw(name, 300, 1025))
    queries, collection = make_search(X, X[:1], name)

    [block] = _score_blocks(queries, collection, precision)

    scores = block.scores * block.scale + block.bias
    error = np.abs(scores - _exact_scores(collection.metric, queries, collection))
    assert (error <= block.error[:, np.newaxis]).all()


@pytest.mark.parametrize(("name", "precision"), CASES)
def test_the_bound_is_useful_for_embeddings_of_networks(name, precision):
    """With a loose bound, most rows would have to be compared exactly."""
    error = relative_error_bound(
        make_metric(name, None, np.ones((1, 1))), 512, precision
    )

    assert error < (0.013 if precision == "bfloat16" else 1e-4)


@pytest.mark.parametrize(("n_queries", "n_rows"), [(1, 1), (3, 5), (2, 257), (1, 512)])
@pytest.mark.parametrize("name", [*LINEAR, *SUMMED, *BOOLEAN])
def test_there_is_a_score_for_each_query_and_row(name, n_queries, n_rows):
    """Some loops process rows in pairs and must not return the padding."""
    X, queries = draw(name, n_rows, 6), draw(name, n_queries, 6, seed=1)

    scores = make_score_function(make_metric(name, None, X), queries, "float32", "cpu")(
        X
    )

    assert scores.shape == (n_queries, n_rows)
    assert scores.dtype == np.float32


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_queries", [1, 6])
def test_products_of_torch_are_those_of_numpy(n_queries, dtype):
    """Only the order of the summation may differ."""
    pytest.importorskip("torch")
    X, queries = draw("cosine", 50, 33, dtype), draw("cosine", n_queries, 33, seed=1)
    X.flags.writeable = False

    products = _torch_products(queries, "float32", "cpu")(X)

    assert products.dtype == np.float32
    assert_allclose(products, queries @ X.T.astype(np.float32), rtol=1e-5, atol=1e-5)
