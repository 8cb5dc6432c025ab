"""Tests of silhouettes of many labelings, against scikit-learn's of one."""

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
    """Return silhouettes by their definition, from differences in double precision."""
    X = X.astype(np.float64)
    distances = cdist(X, X, CDIST_NAMES.get(metric, metric))
    found = np.zeros(len(X))
    for i, label in enumerate(labels):
        own = (labels == label) & (np.arange(len(X)) != i)
        others = [distances[i, labels == x].mean() for x in set(labels) - {label}]
        if own.any() and max(a := distances[i, own].mean(), b := min(others)) > 0:
            found[i] = (b - a) / max(a, b)
    return found


def _labelings(n_rows, *numbers_of_groups):
    rng = np.random.default_rng(1)
    return [rng.permutation(np.arange(n_rows) % k) for k in numbers_of_groups]


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
    """Return rows near the centre of others, whose squares single precision loses."""
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
def test_they_follow_the_definition(name, metric, dtype):
    """Products in single precision lose what sets near rows apart."""
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
def test_they_equal_those_of_scikit_learn(n_rows, offset, metric, dtype):
    """It is what users know; 1,300 rows are more than one tile."""
    X = np.random.default_rng(0).standard_normal((n_rows, 24)) + offset
    X = X.astype(dtype)
    labelings = _labelings(n_rows, 2, 3, 5, n_rows // 2)

    found = silhouette_samples_many(X, labelings, metric=metric)

    assert found.shape == (4, n_rows)
    assert found.dtype == np.float64
    # Of cosines in single precision scikit-learn has fewer digits.
    known = X.astype(np.float64) if metric == "cosine" else X
    for labels, line in zip(labelings, found, strict=True):
        expected = silhouette_samples(known, labels, metric=metric)
        assert_allclose(line, expected, rtol=0, atol=WITHIN)


@settings(max_examples=60, deadline=None)
@given(
    X=arrays(np.float32, (12, 3), elements=st.integers(-2, 2)),
    labels=arrays(np.int64, 12, elements=st.integers(-3, 3)),
    metric=st.sampled_from(METRICS),
)
def test_small_rows_in_any_groups(X, labels, metric):
    """Zeros, equal rows, single ones and rows in no group come in all combinations."""
    inside = labels != -1
    if not 2 <= len(set(labels[inside])) < inside.sum():
        return
    found = silhouette_samples_many(X, [labels], metric=metric)[0]

    rows = X[inside].astype(np.float64)
    if metric == "cosine":
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        rows = np.divide(rows, lengths, out=rows, where=lengths > 0)
        # One rounding of equal directions is not a distance.
        distances = np.round(1 - rows @ rows.T, 12)
        np.fill_diagonal(distances, 0)
        expected = silhouette_samples(distances, labels[inside], metric="precomputed")
    else:
        expected = _by_hand(rows, labels[inside], metric)
    assert np.isnan(found[~inside]).all()
    assert_allclose(found[inside], expected, atol=WITHIN)


@pytest.mark.parametrize("metric", METRICS)
def test_rows_alone_have_silhouette_zero(metric):
    """So Rousseeuw defines it."""
    X = np.array([[0.0, 1], [1, 0], [1, 1], [5, 1]])

    found = silhouette_samples_many(X, [[0, 0, 1, 2]], metric=metric)[0]

    assert_array_equal(found[2:], [0, 0])
    assert_allclose(found, silhouette_samples(X, [0, 0, 1, 2], metric=metric))


@pytest.mark.parametrize("metric", METRICS)
def test_equal_rows_have_silhouette_zero(metric):
    """Where all distances are zero no group is nearer; rounding must not choose one."""
    X = np.repeat(np.random.default_rng(0).random((2, 300)), 20, axis=0)
    labels = np.arange(40) // 10

    found = silhouette_samples_many(X, [labels], metric=metric)

    assert_array_equal(found, np.zeros((1, 40)))


def test_rows_of_zeros_under_cosine():
    """They are at distance 1 from all others, and 0 from themselves."""
    X = np.random.default_rng(0).standard_normal((30, 4))
    X[:5] = 0
    labelings = _labelings(30, 2, 4)

    found = silhouette_samples_many(X, labelings, metric="cosine")

    for labels, line in zip(labelings, found, strict=True):
        assert_allclose(line, silhouette_samples(X, labels, metric="cosine"))


@pytest.mark.parametrize("metric", METRICS)
def test_rows_in_no_group_are_left_out(metric):
    """As noise and unreadable images are; each labeling has its own."""
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
def test_names_of_groups_do_not_matter(metric):
    """Any integers do, and so does any order of rows."""
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
def test_little_memory_changes_nothing(metric):
    """Then sums are kept of a block of rows only."""
    X = np.random.default_rng(0).standard_normal((700, 8), dtype=np.float32)
    labelings = _labelings(700, 2, 30)

    roomy = silhouette_samples_many(X, labelings, metric=metric)
    with config_context(working_memory=0.1):
        tight = silhouette_samples_many(X, labelings, metric=metric)

    assert_allclose(tight, roomy, atol=WITHIN)


@pytest.mark.parametrize("metric", METRICS)
def test_input_is_left_as_it_is(metric):
    """Read-only rows in Fortran's order are rows, too, and lists are."""
    X = np.asfortranarray(np.random.default_rng(0).integers(9, size=(20, 3)) / 2)
    X.setflags(write=False)
    labelings = _labelings(20, 2, 3)

    found = silhouette_samples_many(X, labelings, metric=metric)
    again = silhouette_samples_many(
        X.tolist(), [labels.tolist() for labels in labelings], metric=metric
    )

    assert_array_equal(again, found)


def test_wide_integers_keep_their_digits():
    """Single precision has seven."""
    X = 10**9 + np.random.default_rng(0).integers(50, size=(30, 2))
    labels = np.arange(30) % 3

    found = silhouette_samples_many(X, [labels])[0]

    assert_allclose(found, silhouette_samples(X - 10**9, labels), atol=WITHIN)


@pytest.mark.parametrize("metric", METRICS)
def test_the_score_is_the_mean(metric):
    """Its error is that of independent draws from each group."""
    X = np.random.default_rng(0).standard_normal((90, 4))
    labelings = _labelings(90, 2, 7, 88)

    scores, errors = silhouette_score_many(X, labelings, metric=metric)

    lines = silhouette_samples_many(X, labelings, metric=metric)
    for labels, line, score, error in zip(
        labelings, lines, scores, errors, strict=True
    ):
        assert score == pytest.approx(silhouette_score(X, labels, metric=metric))
        groups = [line[labels == group] for group in set(labels)]
        squares = [
            (len(g) / 90) ** 2 * g.var(ddof=1) / len(g) for g in groups if len(g) > 1
        ]
        assert error == pytest.approx(np.sqrt(sum(squares)))


def _three_groups(n_rows=3000):
    """Return rows of three groups of very different sizes, and two labelings."""
    rng = np.random.default_rng(0)
    labels = rng.choice(3, p=[0.9, 0.099, 0.001], size=n_rows)
    labels[:2] = 2
    centers = np.array([[0, 0], [3, 0], [0, 6]])
    X = centers[labels] + rng.standard_normal((n_rows, 2))
    return X, [labels, np.arange(n_rows) % 4]


@pytest.mark.parametrize("metric", ["euclidean", "manhattan"])
def test_a_sample_is_judged_against_all_rows(metric):
    """So its scores are within few standard errors, and that is what errors mean."""
    X, labelings = _three_groups()
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


def test_every_group_is_in_the_sample():
    """One row cannot stand for three groups, nor can one of two tell their spread."""
    X, labelings = _three_groups()

    _, errors = silhouette_score_many(X, labelings, sample_size=1, random_state=0)

    assert np.isfinite(errors).all()
    assert (errors > 0).all()


def test_a_sample_of_all_rows_is_all_rows():
    """Nothing is left to chance then."""
    X, labelings = _three_groups(300)

    everything = silhouette_score_many(X, labelings)
    sampled = silhouette_score_many(X, labelings, sample_size=300, random_state=0)

    assert_array_equal(sampled, everything)


def test_equal_seeds_give_equal_scores():
    """And the order in which threads finish does not matter."""
    X, labelings = _three_groups()

    first = silhouette_score_many(X, labelings, sample_size=700, random_state=3)
    second = silhouette_score_many(X, labelings, sample_size=700, random_state=3)
    other = silhouette_score_many(X, labelings, sample_size=700, random_state=4)

    assert_array_equal(first, second)
    assert (first[0] != other[0]).all()


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([0, 0, 0, 0], r"labelings\[1\] has 1 groups: .* at least 2"),
        ([-1, -1, -1, -1], r"labelings\[1\] has 0 groups"),
        ([0, 1, 2, 3], r"labelings\[1\] has 4 groups: .* fewer .* here 4"),
        ([0, 1, -1, 2], r"labelings\[1\] has 3 groups: .* here 3"),
        ([0, 1, 1], r"labelings must .* n_samples=4.*lengths differ"),
    ],
)
@pytest.mark.parametrize("function", [silhouette_samples_many, silhouette_score_many])
def test_impossible_labelings_are_refused(function, labels, words):
    """The message says which of them it is."""
    with pytest.raises(ValueError, match=words):
        function(np.eye(4), [[0, 0, 1, 1], labels])


@pytest.mark.parametrize(
    ("labelings", "words"),
    [
        ([0, 0, 1, 1], r"shape \(n_labelings, n_samples=4\), got \(4,\); a single"),
        ([[0, 0, 1]], r"n_samples=4\), got \(1, 3\)"),
        ([], r"n_samples=4\), got \(0,\)"),
        ([[0, 0, 1, 1.5]], "must hold integers, got dtype=float64"),
        ([["a", "a", "b", "b"]], "must hold integers"),
    ],
)
def test_what_is_no_labeling_is_refused(labelings, words):
    """A single one without its list is the usual mistake."""
    with pytest.raises(ValueError, match=words):
        silhouette_samples_many(np.eye(4), labelings)


def test_rows_that_hold_nan_must_be_in_no_group():
    """They have no distance from anything."""
    X = np.eye(4)
    X[1:3, 0] = np.nan

    with pytest.raises(ValueError, match=r"2 rows of X hold NaN .* label them -1"):
        silhouette_samples_many(X, [[0, -1, 1, 1], [0, 0, 1, 1]])


@pytest.mark.parametrize(
    "parameters", [{"metric": "chebyshev"}, {"sample_size": 0}, {"random_state": "a"}]
)
def test_unknown_parameters_are_refused(parameters):
    """As by all of scikit-learn, before anything is computed."""
    with pytest.raises(ValueError, match=f"{next(iter(parameters))}.* must be"):
        silhouette_score_many(np.eye(4), [[0, 0, 1, 1]], **parameters)


def test_infinity_is_refused():
    """A distance from it is no number."""
    X = np.eye(4)
    X[0, 0] = np.inf

    with pytest.raises(ValueError, match="infinity"):
        silhouette_samples_many(X, [[0, 0, 1, 1]])
