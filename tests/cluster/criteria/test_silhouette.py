"""Tests of silhouettes for many labelings, against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.distance import cdist
from sklearn import config_context
from sklearn.metrics import silhouette_samples, silhouette_score

from imgsim.cluster import silhouette_samples_many, silhouette_score_many

METRICS = ["euclidean", "cosine", "manhattan"]
CDIST_NAMES = {"manhattan": "cityblock"}
WITHIN = 1e-5


def _by_hand(X, labels, metric):
    """Return silhouettes by their definition, from distances in double precision."""
    X, each = X.astype(np.float64), np.arange(len(X))
    _, codes, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    is_member = codes[:, np.newaxis] == np.arange(len(sizes))
    sums = cdist(X, X, CDIST_NAMES.get(metric, metric)) @ is_member
    a = sums[each, codes] / np.maximum(sizes[codes] - 1, 1)
    means = sums / sizes
    means[each, codes] = np.inf
    b = means.min(axis=1)
    larger = np.maximum(a, b)
    is_defined = (sizes[codes] > 1) & (larger > 0)
    return np.divide(b - a, larger, out=np.zeros(len(X)), where=is_defined)


def _labelings(n_rows, *numbers_of_clusters):
    rng = np.random.default_rng(1)
    return [rng.permutation(np.arange(n_rows) % k) for k in numbers_of_clusters]


def _near_pairs(Z):
    Z[::2] = Z[1::2] * (1 + 1e-5)
    return Z


def _equal_pairs(Z):
    Z[::2] = Z[1::2]
    return Z


def _mostly_equal(Z):
    Z[: len(Z) * 2 // 3] = Z[0]
    return Z


def _far_apart(Z):
    Z[::2] += 1e4
    return Z


def _a_speck(Z):
    """Return rows near the center of others, whose squares underflow in float32."""
    Z[1:80:2] = -Z[0:80:2]
    Z[80:] *= 1e-21
    return Z


ROWS = {
    "normal": lambda Z: Z,
    "far from zero": lambda Z: Z + 1e3,
    "near pairs": _near_pairs,
    "equal pairs": _equal_pairs,
    "mostly equal": _mostly_equal,
    "far apart": _far_apart,
    "a speck": _a_speck,
    "few numbers": lambda Z: np.repeat(Z[:, :2], 1250, axis=1),
    "zeros and ones": lambda Z: (Z > 0.5).astype(float),
    "of all sizes": lambda Z: Z * np.exp(4 * Z[:, -1:]),
    "enormous": lambda Z: Z * 1e18,
    "minute": lambda Z: Z * 1e-18,
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("metric", ["euclidean", "manhattan"])
@pytest.mark.parametrize("name", ROWS)
def test_silhouettes_follow_the_definition(name, metric, dtype):
    """Products in single precision lose the small distances between near rows."""
    Z = np.random.default_rng(0).standard_normal((160, 600))
    X = ROWS[name](Z).astype(dtype)
    labelings = _labelings(160, 2, 9, 60, 80)

    found = silhouette_samples_many(X, labelings, metric=metric)

    for labels, line in zip(labelings, found, strict=True):
        assert_allclose(line, _by_hand(X, labels, metric), rtol=0, atol=WITHIN)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("offset", [0, 1e3])
@pytest.mark.parametrize("n_rows", [40, 1300])
def test_silhouettes_are_those_of_scikit_learn(n_rows, offset, metric, dtype):
    """1,300 rows are more than one tile of distances."""
    X = np.random.default_rng(0).standard_normal((n_rows, 24)) + offset
    X = X.astype(dtype)
    labelings = _labelings(n_rows, 2, 3, 5, n_rows // 2)

    found = silhouette_samples_many(X, labelings, metric=metric)

    assert found.shape == (4, n_rows)
    assert found.dtype == np.float64
    # scikit-learn's cosines are less precise in single precision.
    known = X.astype(np.float64) if metric == "cosine" else X
    for labels, line in zip(labelings, found, strict=True):
        expected = silhouette_samples(known, labels, metric=metric)
        assert_allclose(line, expected, rtol=0, atol=WITHIN)


@pytest.mark.parametrize("metric", ["euclidean", "manhattan"])
def test_copies_in_a_part_of_the_rows_are_compared_exactly(metric):
    """The sample of rows that decides on the precision may contain no copies."""
    X = np.random.default_rng(0).standard_normal((1300, 24), dtype=np.float32)
    is_copy = (np.arange(1300) < 512) & (np.arange(1300) % 11 > 0)
    X[is_copy] = X[1] + 1e-3 * X[is_copy]
    labelings = _labelings(1300, 2, 9)

    found = silhouette_samples_many(X, labelings, metric=metric)

    for labels, line in zip(labelings, found, strict=True):
        assert_allclose(line, _by_hand(X, labels, metric), rtol=0, atol=WITHIN)


@settings(max_examples=60, deadline=None)
@given(
    X=arrays(np.float32, (12, 3), elements=st.integers(-2, 2)),
    labels=arrays(np.int64, 12, elements=st.integers(-3, 3)),
    metric=st.sampled_from(METRICS),
)
def test_few_rows_in_any_clusters(X, labels, metric):
    """Zeros, equal rows, clusters of one row and noise occur in all combinations."""
    inside = labels != -1
    if not 2 <= len(set(labels[inside])) < inside.sum():
        return
    found = silhouette_samples_many(X, [labels], metric=metric)[0]

    rows = X[inside].astype(np.float64)
    if metric == "cosine":
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        rows = np.divide(rows, lengths, out=rows, where=lengths > 0)
        # Equal directions may differ by one rounding.
        distances = np.round(1 - rows @ rows.T, 12)
        np.fill_diagonal(distances, 0)
        expected = silhouette_samples(distances, labels[inside], metric="precomputed")
    else:
        expected = _by_hand(rows, labels[inside], metric)
    assert np.isnan(found[~inside]).all()
    assert_allclose(found[inside], expected, atol=WITHIN)


@pytest.mark.parametrize("metric", METRICS)
def test_the_only_row_of_a_cluster_has_silhouette_zero(metric):
    """Rousseeuw defines it so."""
    X = np.array([[0.0, 1], [1, 0], [1, 1], [5, 1]])

    found = silhouette_samples_many(X, [[0, 0, 1, 2]], metric=metric)[0]

    assert_array_equal(found[2:], [0, 0])
    assert_allclose(found, silhouette_samples(X, [0, 0, 1, 2], metric=metric))


@pytest.mark.parametrize("metric", METRICS)
def test_equal_rows_have_silhouette_zero(metric):
    """If all distances are 0, rounding must not make one cluster the nearest."""
    X = np.repeat(np.random.default_rng(0).random((2, 300)), 20, axis=0)
    labels = np.arange(40) // 10

    found = silhouette_samples_many(X, [labels], metric=metric)

    assert_array_equal(found, np.zeros((1, 40)))


def test_rows_of_zeros_with_the_cosine_metric():
    """Their distance to all other rows is 1, and to themselves it is 0."""
    X = np.random.default_rng(0).standard_normal((30, 4))
    X[:5] = 0
    labelings = _labelings(30, 2, 4)

    found = silhouette_samples_many(X, labelings, metric="cosine")

    for labels, line in zip(labelings, found, strict=True):
        assert_allclose(line, silhouette_samples(X, labels, metric="cosine"))


@pytest.mark.parametrize("metric", METRICS)
def test_rows_in_no_cluster_are_left_out(metric):
    """Noise and unreadable images are labeled -1, others in each labeling."""
    X = np.random.default_rng(0).standard_normal((50, 4))
    X[7] = np.nan
    X[8, 2] = np.nan
    labelings = np.array(_labelings(50, 2, 5, 9))
    labelings[:, [7, 8]] = -1
    labelings[1, 20:30] = -1

    found = silhouette_samples_many(X, labelings, metric=metric)
    scores, _ = silhouette_score_many(X, labelings, metric=metric)

    for labels, line, score in zip(labelings, found, scores, strict=True):
        inside = labels != -1
        expected = silhouette_samples(X[inside], labels[inside], metric=metric)
        assert np.isnan(line[~inside]).all()
        assert_allclose(line[inside], expected, atol=WITHIN)
        assert score == pytest.approx(expected.mean(), abs=WITHIN)


@pytest.mark.parametrize("metric", METRICS)
def test_labels_may_be_any_integers(metric):
    """Nor does the order of rows matter."""
    X = np.random.default_rng(0).standard_normal((60, 4))
    labels = np.arange(60) % 3
    names = np.array([-7, 10**12, 0])
    order = np.random.default_rng(0).permutation(60)

    plain = silhouette_samples_many(X, [labels], metric=metric)[0]
    named = silhouette_samples_many(X, [names[labels]], metric=metric)[0]
    turned = silhouette_samples_many(X[order], [labels[order]], metric=metric)[0]

    assert_array_equal(named, plain)
    assert_allclose(turned, plain[order], atol=WITHIN)


@pytest.mark.parametrize("metric", METRICS)
def test_little_working_memory_does_not_change_silhouettes(metric):
    """The sums are then kept for one block of rows at a time."""
    X = np.random.default_rng(0).standard_normal((700, 8), dtype=np.float32)
    labelings = _labelings(700, 2, 30)

    roomy = silhouette_samples_many(X, labelings, metric=metric)
    with config_context(working_memory=0.1):
        tight = silhouette_samples_many(X, labelings, metric=metric)

    assert_allclose(tight, roomy, atol=WITHIN)


@pytest.mark.parametrize("metric", METRICS)
def test_input_may_be_read_only_or_a_list(metric):
    """Rows in Fortran order are accepted, too."""
    X = np.asfortranarray(np.random.default_rng(0).integers(9, size=(20, 3)) / 2)
    X.setflags(write=False)
    labelings = _labelings(20, 2, 3)

    found = silhouette_samples_many(X, labelings, metric=metric)
    again = silhouette_samples_many(
        X.tolist(), [labels.tolist() for labels in labelings], metric=metric
    )

    assert_array_equal(again, found)


def test_wide_integers_keep_their_digits():
    """Single precision has only seven digits."""
    X = 10**9 + np.random.default_rng(0).integers(50, size=(30, 2))
    labels = np.arange(30) % 3

    found = silhouette_samples_many(X, [labels])[0]

    assert_allclose(found, silhouette_samples(X - 10**9, labels), atol=WITHIN)


@pytest.mark.parametrize("metric", METRICS)
def test_the_score_is_the_mean_silhouette(metric):
    """Its error is the standard error of independent draws from each cluster."""
    X = np.random.default_rng(0).standard_normal((90, 4))
    labelings = _labelings(90, 2, 7, 88)

    scores, errors = silhouette_score_many(X, labelings, metric=metric)

    lines = silhouette_samples_many(X, labelings, metric=metric)
    for labels, line, score, error in zip(
        labelings, lines, scores, errors, strict=True
    ):
        assert score == pytest.approx(silhouette_score(X, labels, metric=metric))
        clusters = [line[labels == cluster] for cluster in set(labels)]
        squares = [
            (len(c) / 90) ** 2 * c.var(ddof=1) / len(c) for c in clusters if len(c) > 1
        ]
        assert error == pytest.approx(np.sqrt(sum(squares)))


def _three_clusters(n_rows=1000):
    """Return rows in three clusters of very different sizes, and two labelings."""
    rng = np.random.default_rng(0)
    labels = rng.choice(3, p=[0.9, 0.099, 0.001], size=n_rows)
    labels[:2] = 2
    centers = np.array([[0, 0], [3, 0], [0, 6]])
    X = centers[labels] + rng.standard_normal((n_rows, 2))
    return X, [labels, np.arange(n_rows) % 4]


@pytest.mark.parametrize("metric", ["euclidean", "manhattan"])
def test_a_sample_is_compared_with_all_rows(metric):
    """Its scores deviate from the exact ones by about one standard error."""
    X, labelings = _three_clusters()
    exact, _ = silhouette_score_many(X, labelings, metric=metric)

    sampled = [
        silhouette_score_many(
            X, labelings, metric=metric, sample_size=200, random_state=seed
        )
        for seed in range(20)
    ]

    scores, errors = (np.array(part) for part in zip(*sampled, strict=True))
    deviations = (scores - exact) / errors
    assert np.abs(deviations).max() < 4
    assert 0.5 < np.sqrt((deviations**2).mean()) < 1.5


def test_every_cluster_is_in_the_sample():
    """Each cluster needs two rows so that its variance is known."""
    X, labelings = _three_clusters()

    _, errors = silhouette_score_many(X, labelings, sample_size=1, random_state=0)

    assert np.isfinite(errors).all()
    assert (errors > 0).all()


def test_a_sample_of_all_rows_is_all_rows():
    """The scores are exact then."""
    X, labelings = _three_clusters(300)

    everything = silhouette_score_many(X, labelings)
    sampled = silhouette_score_many(X, labelings, sample_size=300, random_state=0)

    assert_array_equal(sampled, everything)


def test_equal_seeds_give_equal_scores():
    """They do not depend on the order in which threads finish."""
    X, labelings = _three_clusters()

    first = silhouette_score_many(X, labelings, sample_size=700, random_state=3)
    second = silhouette_score_many(X, labelings, sample_size=700, random_state=3)
    other = silhouette_score_many(X, labelings, sample_size=700, random_state=4)

    assert_array_equal(first, second)
    assert (first[0] != other[0]).all()


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([0, 0, 0, 0], r"labelings\[1\] has 1 clusters\. .* at least 2"),
        ([-1, -1, -1, -1], r"labelings\[1\] has 0 clusters"),
        ([0, 1, 2, 3], r"labelings\[1\] has 4 clusters.* fewer than the 4 rows"),
        ([0, 1, -1, 2], r"labelings\[1\] has 3 clusters.* fewer than the 3 rows"),
        ([0, 1, 1], r"labelings must .* n_samples=4.*lengths differ"),
    ],
)
@pytest.mark.parametrize("function", [silhouette_samples_many, silhouette_score_many])
def test_labelings_without_silhouettes_are_rejected(function, labels, words):
    """The message says which labeling it is."""
    with pytest.raises(ValueError, match=words):
        function(np.eye(4), [[0, 0, 1, 1], labels])


@pytest.mark.parametrize(
    ("labelings", "words"),
    [
        (
            [0, 0, 1, 1],
            r"shape \(n_labelings, n_samples=4\), got \(4,\)\. Pass a single",
        ),
        ([[0, 0, 1]], r"n_samples=4\), got \(1, 3\)"),
        ([], r"n_samples=4\), got \(0,\)"),
        ([[0, 0, 1, 1.5]], "must be integers; got dtype float64"),
        ([["a", "a", "b", "b"]], "must be integers"),
    ],
)
def test_other_shapes_and_dtypes_of_labelings_are_rejected(labelings, words):
    """The usual mistake is a single labeling that is not in a list."""
    with pytest.raises(ValueError, match=words):
        silhouette_samples_many(np.eye(4), labelings)


def test_rows_that_hold_nan_must_be_in_no_cluster():
    """Their distances are not defined."""
    X = np.eye(4)
    X[1:3, 0] = np.nan

    with pytest.raises(ValueError, match=r"2 rows of X contain NaN .* Label them -1"):
        silhouette_samples_many(X, [[0, -1, 1, 1], [0, 0, 1, 1]])


@pytest.mark.parametrize(
    "parameters", [{"metric": "chebyshev"}, {"sample_size": 0}, {"random_state": "a"}]
)
def test_invalid_parameters_are_rejected(parameters):
    """The error is scikit-learn's, raised before anything is computed."""
    with pytest.raises(ValueError, match=f"{next(iter(parameters))}.* must be"):
        silhouette_score_many(np.eye(4), [[0, 0, 1, 1]], **parameters)


def test_infinity_is_rejected():
    """Its distances are not defined."""
    X = np.eye(4)
    X[0, 0] = np.inf

    with pytest.raises(ValueError, match="infinity"):
        silhouette_samples_many(X, [[0, 0, 1, 1]])
