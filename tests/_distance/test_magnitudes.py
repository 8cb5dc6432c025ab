"""Distances of rows whose squares leave the range of floating-point numbers."""

from decimal import Decimal, localcontext

import numpy as np
import pytest
from numpy.testing import assert_allclose

from imgsim import ImageClusterer, SimilarityIndex
from imgsim.cluster import select_k
from imgsim.duplicates import find_duplicates
from imgsim.index.exact import _nearest

METRICS = {
    "euclidean": None,
    "sqeuclidean": None,
    "manhattan": None,
    "chebyshev": None,
    "inner_product": None,
    "minkowski": {"p": 3},
    "canberra": None,
    "braycurtis": None,
    "cosine": None,
    "correlation": None,
}
# Powers of 2 by which the rows are multiplied, so that squares overflow or underflow.
EXPONENTS = {
    np.float32: [-140, -90, -62, -40, 40, 62, 90, 120],
    np.float64: [-1060, -900, -600, -530, -400, 400, 520, 600, 900, 1015],
}


def _exact_distance(metric, a, b):
    """Return a distance computed with 80 digits."""
    with localcontext() as context:
        context.prec = 80
        a, b = ([Decimal(float(value)) for value in row] for row in (a, b))
        if metric == "correlation":
            a, b = ([value - sum(row) / len(row) for value in row] for row in (a, b))
        differences = [abs(x - y) for x, y in zip(a, b, strict=True)]
        product = sum(x * y for x, y in zip(a, b, strict=True))
        if metric in ("cosine", "correlation"):
            lengths = [sum(x * x for x in row).sqrt() for row in (a, b)]
            return 1 - product / (lengths[0] * lengths[1])
        squared = sum(difference**2 for difference in differences)
        triples = zip(differences, a, b, strict=True)
        ratios = [d / (abs(x) + abs(y)) for d, x, y in triples if d]
        return {
            "euclidean": squared.sqrt(),
            "sqeuclidean": squared,
            "manhattan": sum(differences),
            "chebyshev": max(differences),
            "inner_product": 1 - product,
            "minkowski": _cube_root(sum(difference**3 for difference in differences)),
            "canberra": sum(ratios, Decimal(0)),
            "braycurtis": sum(differences)
            / sum(abs(x + y) for x, y in zip(a, b, strict=True)),
        }[metric]


def _cube_root(value):
    return (value.ln() / 3).exp() if value else value


def _index(metric):
    return SimilarityIndex(8, metric=metric, metric_params=METRICS[metric])


def _assert_exact(metric, X, queries):
    """Compare all distances; a distance of a float32 index is rounded to float32."""
    distances, indices = _index(metric).fit(X).kneighbors(queries)

    exact = [
        [float(_exact_distance(metric, query, X[row])) for row in rows]
        for query, rows in zip(queries, indices, strict=True)
    ]
    info = np.finfo(X.dtype)
    unit = 1.0 if metric in ("cosine", "correlation", "inner_product") else 0.0
    # SciPy computes the root of a sum of powers with a relative error of 1e-13.
    tolerance = max(float(info.eps) * 64, 1e-12)
    smallest = float(info.smallest_subnormal) * 4
    assert_allclose(distances, exact, rtol=tolerance, atol=unit * tolerance + smallest)


@pytest.fixture
def rows():
    """Return eight rows, two of them equal."""
    rows = np.abs(np.random.default_rng(0).normal(size=(8, 5)))
    rows[3] = rows[2]
    return rows


@pytest.mark.parametrize("uses_scan", [False, True], ids=["brute force", "scan"])
@pytest.mark.parametrize("dtype", EXPONENTS)
@pytest.mark.parametrize("metric", METRICS)
def test_distances_of_scaled_rows_are_exact_or_refused(
    metric, dtype, uses_scan, rows, monkeypatch
):
    """NaN, 0 or infinity would be returned without a word."""
    if uses_scan:
        monkeypatch.setattr(_nearest, "_MAX_BRUTE_FORCE_VALUES", -1)
    n_refused = 0
    for exponent in EXPONENTS[dtype]:
        X = np.ldexp(rows, exponent).astype(dtype)
        try:
            _assert_exact(metric, X, X[:3])
        except ValueError as error:
            assert "magnitude" in str(error)  # noqa: PT017
            n_refused += 1

    assert n_refused <= (8 if "product" in metric or metric == "sqeuclidean" else 3)


@pytest.mark.parametrize("dtype", EXPONENTS)
@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "minkowski", "chebyshev"])
def test_one_collection_may_hold_all_magnitudes(metric, dtype, rows):
    """No common scale makes all squares representable."""
    exponents = np.array([*EXPONENTS[dtype][:-1], 0])[:8, np.newaxis]

    _assert_exact(
        metric,
        np.ldexp(rows[: len(exponents)], exponents).astype(dtype),
        rows[:2].astype(dtype),
    )


@pytest.mark.parametrize("uses_scan", [False, True], ids=["brute force", "scan"])
def test_tiny_differences_between_large_rows_are_exact(uses_scan, monkeypatch):
    """The softmax of certain predictions has such rows."""
    if uses_scan:
        monkeypatch.setattr(_nearest, "_MAX_BRUTE_FORCE_VALUES", -1)
    X = np.zeros((8, 4))
    X[:, 0] = 1
    X[np.arange(3), 1] = [1e-170, 3e-170, 5e-300]
    X[4, 2] = -5e-324

    _assert_exact("euclidean", X, X[:4])
    pairs = SimilarityIndex(metric="euclidean").fit(X).radius_neighbors(X[:1], 2.5e-170)
    assert pairs[1][0].tolist() == [0, 1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ("metric", "X", "message"),
    [
        ("sqeuclidean", np.full((3, 2), 1e200), r"magnitude 1e\+200.* at most 1e\+150"),
        ("sqeuclidean", np.full((3, 2), 1e-200), "magnitude 1e-200.* at least 1e-150"),
        ("mahalanobis", np.full((3, 2), 1e200), "at most"),
        ("euclidean", np.full((3, 2), 1e300), r"at most 1e\+280"),
        ("euclidean", np.full((3, 2), 1e35, np.float32), r"at most 1e\+33 .*float32"),
        ("cosine", np.full((3, 2), 1e-300), "row of X has the magnitude 1e-300"),
        ("seuclidean", np.array([[1, 2.0], [1, 3]]), "feature 0 has the variance 0"),
    ],
)
def test_the_error_states_the_bound(metric, X, message):
    """The user can then scale the rows."""
    with pytest.raises(ValueError, match=message):
        SimilarityIndex(metric=metric).fit(X)


def test_queries_and_new_rows_are_checked(rows):
    """A query in other units must not be silently at distance 0 or 1."""
    index = SimilarityIndex(metric="sqeuclidean").fit(rows)
    of_directions = SimilarityIndex().fit(rows.astype(np.float32))

    for call in (index.search, index.kneighbors, index.add):
        with pytest.raises(ValueError, match="at most"):
            call(rows * 1e200)
    with pytest.raises(ValueError, match="exceeds the range of float32"):
        of_directions.search(rows * 1e-200)
    assert index.n_samples_fit_ == 8


@pytest.mark.parametrize("power", [-600, 600])
def test_other_functions_do_not_depend_on_the_unit(power, rows):
    """Copies and clusters are the same in all units."""
    X = np.repeat(rows, 3, axis=0)
    scaled = np.ldexp(X, power)

    groups = find_duplicates(scaled, 1e-9)
    clusterer = ImageClusterer(3, random_state=0)
    index = SimilarityIndex(2, query_expansion=2, database_augmentation=2)

    assert [g.rows.tolist() for g in groups] == [
        g.rows.tolist() for g in find_duplicates(X, 1e-9)
    ]
    assert clusterer.fit_predict(scaled).tolist() == clusterer.fit_predict(X).tolist()
    expected = index.fit(X).kneighbors(X[:4])
    assert_allclose(
        index.fit(scaled).kneighbors(scaled[:4])[0], expected[0], atol=1e-12
    )


@pytest.mark.parametrize("scale", [1e200, 1e-200])
def test_clusters_by_euclidean_distances_need_squares(scale, rows):
    """k-means would return arbitrary clusters."""
    with pytest.raises(ValueError, match="metric='euclidean' and float64: scale X"):
        ImageClusterer(2, metric="euclidean").fit(rows * scale)
    with pytest.raises(ValueError, match="metric='euclidean' and float32: scale X"):
        select_k((rows * scale**0.1).astype(np.float32), [2, 3], metric="euclidean")
    clusterer = ImageClusterer(2, metric="euclidean", random_state=0).fit(rows)
    with pytest.raises(ValueError, match="at most"):
        clusterer.predict(rows * 1e200)


@pytest.mark.parametrize("power", [-30, 30])
def test_the_radius_of_dbscan_has_the_unit_of_the_rows(power):
    """An absolute lower bound would merge all rows."""
    rng = np.random.default_rng(0)
    X = np.repeat(rng.normal(size=(3, 4)), 12, axis=0) + rng.normal(size=(36, 4)) / 50
    X = X.astype(np.float32)
    clusterer = ImageClusterer(algorithm="dbscan", metric="euclidean", random_state=0)

    expected = clusterer.fit_predict(X)

    assert len(set(expected)) >= 3
    assert clusterer.fit_predict(np.ldexp(X, power)).tolist() == expected.tolist()
