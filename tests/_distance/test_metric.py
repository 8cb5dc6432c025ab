"""Tests of the distances of all metrics."""

import functools

import numpy as np
import pytest
from brute_force import METRICS, brute_force, cosine_in_60_digits, draw
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.distance import cdist
from sklearn.metrics import pairwise_distances

from imgsim._distance.metric import BOOLEAN_METRICS, SCIPY_METRICS, make_metric


def _pairwise(metric, queries, X):
    return metric.pairwise_distances(
        queries, metric.compute_terms(queries), X, metric.compute_terms(X)
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", METRICS)
def test_distances_are_those_of_scipy(name, dtype):
    """Distances have double precision for float32 and float64 rows."""
    X, queries = draw(name, 30, 7, dtype), draw(name, 5, 7, dtype, seed=1)

    distances = _pairwise(make_metric(name, None, X), queries, X)

    assert_allclose(distances, brute_force(queries, X, name), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", ["cosine", "euclidean", "manhattan", "chebyshev"])
def test_distances_are_those_of_scikit_learn(name):
    """The definitions agree with scikit-learn, also for rows of zeros."""
    X = draw(name, 20, 4, np.float64)
    X[[3, 8]] = 0

    distances = _pairwise(make_metric(name, None, X), X, X)

    expected = pairwise_distances(X, metric=name)
    np.fill_diagonal(expected, 1 if name == "cosine" else 0)
    np.fill_diagonal(distances, 1 if name == "cosine" else 0)
    assert_allclose(distances, expected, atol=1e-12)


@pytest.mark.parametrize("name", ["cosine", "correlation"])
def test_a_row_of_zeros_has_distance_1_to_all(name):
    """A row of zeros has no direction, not even the same direction as itself."""
    X = draw(name, 5, 4)
    X[1] = 0

    distances = _pairwise(make_metric(name, None, X), X, X)

    assert_array_equal(distances[1], np.ones(5))
    assert_array_equal(distances[:, 1], np.ones(5))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_constant_row_has_correlation_distance_1(dtype):
    """Its mean is rounded and may differ slightly from its values."""
    X = draw("correlation", 4, 3, dtype)
    X[2] = 0.1

    distances = _pairwise(make_metric("correlation", None, X), X, X)

    assert_array_equal(distances[2], np.ones(4))


def test_rows_of_false_have_jaccard_distance_0():
    """SciPy defines the distance of two empty sets as 0."""
    X = np.zeros((2, 3), dtype=np.float32)

    distances = _pairwise(make_metric("jaccard", None, X), X, X)

    assert_array_equal(distances, np.zeros((2, 2)))


@pytest.mark.parametrize("gap", [2.0**-13, 2.0**-23])
@pytest.mark.parametrize("scale", [1.0, 3.0, 1e5])
def test_distances_of_near_copies_are_precise(gap, scale):
    """The formula 1 minus the cosine would leave only rounding errors here."""
    x = np.array([[1.0, 2.0, -1.0, 0.5]]) * scale
    y = np.array([[1.0 + gap, 2.0, -1.0, 0.5]]) * scale

    distances = _pairwise(make_metric("cosine", None, x), x, y)

    expected = cosine_in_60_digits(x[0], y[0])
    assert_allclose(distances, [[expected]], rtol=1e-6)


@pytest.mark.parametrize("name", ["euclidean", "sqeuclidean", "correlation"])
def test_a_common_offset_does_not_reduce_precision(name):
    """Embeddings may lie far from the origin."""
    steps = draw(name, 6, 16).round(2)
    X = (steps.astype(np.float64) + 1000).astype(np.float32)

    distances = _pairwise(make_metric(name, None, X), X, X)

    exact = X.astype(np.float64) - 1000
    assert_allclose(distances, brute_force(exact, exact, name), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", sorted(SCIPY_METRICS))
def test_other_metrics_are_those_of_scipy(name):
    """Parameters that depend on the rows are computed as in SciPy."""
    X = draw("jaccard" if name in BOOLEAN_METRICS else name, 12, 5, np.float64)
    if name == "jensenshannon":
        X = np.abs(X)

    distances = _pairwise(make_metric(name, None, X), X[:3], X)

    rows = X > 0 if name in BOOLEAN_METRICS else X
    params = {"seuclidean": {"V": X.var(axis=0, ddof=1)}}
    if name == "mahalanobis":
        params[name] = {"VI": np.linalg.inv(np.cov(X.T))}
    expected = cdist(rows[:3], rows, name, **params.get(name, {}))
    assert_allclose(distances, expected, rtol=1e-9, atol=1e-12)


def test_parameters_are_passed_to_the_metric():
    """They have the meaning of scikit-learn's metric_params."""
    X = draw("minkowski", 6, 3, np.float64)

    distances = _pairwise(make_metric("minkowski", {"p": 3}, X), X, X)

    expected = (np.abs(X[:, None] - X[None]) ** 3).sum(axis=2) ** (1 / 3)
    assert_allclose(distances, expected, atol=1e-12)


def _gap(x, y, power=1):
    return float(abs(x[0] - y[0]) ** power)


@pytest.mark.parametrize(
    ("function", "params"),
    [(_gap, {"power": 2}), (functools.partial(_gap, power=2), {})],
)
def test_a_function_may_be_a_metric(function, params):
    """A function takes two rows, and parameters if there are any."""
    X = np.array([[1.0, 9.0], [3.0, 9.0]], dtype=np.float32)

    distances = _pairwise(make_metric(function, params, X), X, X)

    assert_array_equal(distances, [[0, 4], [4, 0]])


class _Gap:
    """A metric with `__eq__` and therefore without a hash."""

    def __eq__(self, other):
        return isinstance(other, _Gap)

    def __call__(self, x, y):
        return _gap(x, y)


def test_a_metric_need_not_be_hashable():
    """A dataclass with `__call__` is not hashable by default."""
    X = np.array([[1.0], [3.0]])

    distances = _pairwise(make_metric(_Gap(), None, X), X, X)

    assert_array_equal(distances, [[0, 2], [2, 0]])


@pytest.mark.parametrize(
    ("alias", "name"),
    [("l1", "manhattan"), ("cityblock", "manhattan"), ("l2", "euclidean")],
)
def test_metrics_have_the_aliases_of_scikit_learn(alias, name):
    """Users of scikit-learn know these names."""
    assert make_metric(alias, None, np.ones((2, 2))).name == name


def test_precomputed_distances_are_refused():
    """The message names the estimator that takes a matrix of distances."""
    with pytest.raises(ValueError, match=r"precomputed.*NearestNeighbors"):
        make_metric("precomputed", None, np.ones((2, 2)))


def test_parameters_of_a_fast_metric_are_refused():
    """Ignoring them would mislead the user."""
    with pytest.raises(
        ValueError, match="metric='manhattan' does not accept metric_params"
    ):
        make_metric("cityblock", {"p": 2}, np.ones((2, 2)))


@pytest.mark.parametrize("name", ["seuclidean", "mahalanobis"])
def test_unreadable_rows_do_not_change_a_metric(name):
    """Variances are computed from the rows without NaN."""
    X = draw(name, 20, 3, np.float64)
    with_nan = np.insert(X, 5, np.nan, axis=0)

    params = make_metric(name, None, with_nan).params
    expected = make_metric(name, None, X).params

    assert params.keys() == expected.keys()
    for key, value in expected.items():
        assert_allclose(params[key], value)


@pytest.mark.parametrize("name", METRICS)
def test_terms_do_not_depend_on_other_rows(name):
    """Rows may be added one by one, or all at once."""
    X = draw(name, 9, 5)
    metric = make_metric(name, None, X)

    together = metric.compute_terms(X)
    alone = [metric.compute_terms(X[i : i + 1]) for i in range(9)]

    for term in ("shift", "scale", "bias", "size"):
        of_each = np.concatenate([getattr(terms, term) for terms in alone])
        assert_allclose(getattr(together, term), of_each, rtol=1e-14)


@pytest.mark.parametrize("name", ["cosine", "correlation", "euclidean", "sqeuclidean"])
def test_the_score_at_a_distance_is_the_score_of_a_row_at_it(name):
    """A search within a radius looks for rows with at least this score."""
    X, queries = draw(name, 5, 6, np.float64), draw(name, 3, 6, np.float64, seed=1)
    metric = make_metric(name, None, X)
    terms, query_terms = metric.compute_terms(X), metric.compute_terms(queries)
    distances = brute_force(queries, X, name)

    scores = metric.transform(queries, query_terms) @ X.T * terms.scale + terms.bias

    for j in range(5):
        found = [
            metric.score_at_distance(d, query_terms.size, 6)[i]
            for i, d in enumerate(distances[:, j])
        ]
        assert_allclose(found, scores[:, j], atol=1e-12)
