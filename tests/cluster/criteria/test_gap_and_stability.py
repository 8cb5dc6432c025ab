"""Tests of the gap statistic and of stability, against their definitions."""

from itertools import combinations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.distance import pdist
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA

from imgsim.cluster.criteria._gap_and_stability import (
    gap_statistic,
    reference_box,
    stability,
)

N_TIMES = 10


def _log_w(rows, labels):
    """Return log(W_k) by its definition, from the distances of all pairs."""
    members = [rows[labels == label] for label in np.unique(labels)]
    # D_r counts each pair twice, and is divided by 2 n_r.
    return np.log(sum((pdist(some) ** 2).sum() / len(some) for some in members))


def _k_means(rows):
    return KMeans(3, random_state=0).fit_predict(rows)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_gap_is_that_of_tibshirani(blobs, dtype):
    """The mean of log(W) over ten references minus log(W) of the rows."""
    X = blobs[0].astype(dtype)
    labels = _k_means(X)
    rng = np.random.default_rng(1)
    references = []

    def draw_reference():
        references.append(rng.uniform(size=X.shape))
        return references[-1]

    gap, error = gap_statistic(X, labels, _k_means, draw_reference)

    logs = np.array([_log_w(some, _k_means(some)) for some in references])
    assert len(references) == N_TIMES
    assert gap == pytest.approx(logs.mean() - _log_w(X, labels), rel=1e-5)
    assert error == pytest.approx(logs.std() * np.sqrt(1 + 1 / N_TIMES))


def test_clusters_without_spread_have_a_finite_gap():
    """The logarithm of zero would make the gap infinite."""
    rows = np.repeat([[0.0], [1.0]], 5, axis=0)
    labels = np.repeat([0, 1], 5)
    rng = np.random.default_rng(0)

    gap, error = gap_statistic(
        rows,
        labels,
        lambda rows: (rows[:, 0] > 0).astype(int),
        lambda: rng.normal(size=(10, 1)),
    )

    assert 100 < gap < np.inf
    assert np.isfinite(error)


def _long_cloud(n_rows=400):
    """Return a cloud along a diagonal, far from the origin."""
    rng = np.random.default_rng(0)
    along = rng.normal(size=(n_rows, 3)) * [10, 2, 0.5]
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return along @ turn + 50


def test_references_fill_the_box_along_the_principal_axes():
    """They are uniform from the smallest to the largest projection of the rows."""
    rows = _long_cloud()
    pca = PCA().fit(rows)
    low, high = np.sort(pca.transform(rows), axis=0)[[0, -1]]

    draw, rng = reference_box(rows), np.random.default_rng(0)
    drawn = np.vstack([draw(rng) for _ in range(10)])

    shares = (pca.transform(drawn) - low) / (high - low)
    assert shares.min() >= -1e-9
    assert shares.max() <= 1 + 1e-9
    deciles = np.quantile(shares, np.linspace(0, 1, 11), axis=0)
    assert_allclose(
        deciles, np.linspace(0, 1, 11)[:, np.newaxis].repeat(3, 1), atol=0.03
    )
    assert_allclose(np.corrcoef(shares.T), np.eye(3), atol=0.05)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_references_have_the_shape_and_dtype_of_the_rows(dtype):
    """Each draw differs from the one before, and equal seeds give equal draws."""
    rows = _long_cloud(20).astype(dtype)
    draw, rng = reference_box(rows), np.random.default_rng(3)

    first, second = draw(rng), draw(rng)

    assert first.shape == rows.shape
    assert first.dtype == dtype
    assert not (first == second).any()
    assert_array_equal(draw(np.random.default_rng(3)), first)


def test_references_lie_in_the_plane_of_the_rows():
    """Five rows span only four directions, however many features they have."""
    rows = np.random.default_rng(0).normal(size=(5, 20))
    pca = PCA(4).fit(rows)

    drawn = reference_box(rows)(np.random.default_rng(0))

    assert_allclose(pca.inverse_transform(pca.transform(drawn)), drawn, atol=1e-6)


def _numbered(n_rows):
    """Return rows that hold their own number."""
    return np.arange(float(n_rows))[:, np.newaxis]


def _rand_index(one, other):
    """Return the adjusted Rand index of Hubert and Arabie, by counting pairs."""
    pairs = np.array(
        [
            (one[i] == one[j], other[i] == other[j])
            for i, j in combinations(range(len(one)), 2)
        ]
    )
    both, (of_one, of_other) = pairs.all(axis=1).sum(), pairs.sum(axis=0)
    by_chance = of_one * of_other / len(pairs)
    return (both - by_chance) / ((of_one + of_other) / 2 - by_chance)


def test_stability_is_the_mean_agreement_over_subsamples():
    """The agreement is the adjusted Rand index, computed here from pairs of rows."""
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=25)
    parts, found = [], []

    def cluster(rows):
        parts.append(rows[:, 0].astype(int))
        found.append(np.where(rng.random(20) < 0.3, 2, labels[parts[-1]]))
        return found[-1]

    score, error = stability(_numbered(25), labels, cluster, np.random.default_rng(0))

    expected = [
        _rand_index(labels[part], new) for part, new in zip(parts, found, strict=True)
    ]
    assert score == pytest.approx(np.mean(expected))
    assert error == pytest.approx(np.std(expected, ddof=1) / np.sqrt(N_TIMES))
    assert 0 < score < 1


def test_subsamples_have_four_fifths_of_the_rows():
    """There are ten different subsamples, drawn without replacement."""
    parts = []

    def cluster(rows):
        parts.append(frozenset(rows[:, 0]))
        return np.zeros(len(rows))

    stability(_numbered(50), np.zeros(50), cluster, np.random.default_rng(0))

    assert [len(part) for part in parts] == [40] * N_TIMES
    assert len(set(parts)) == N_TIMES


def test_the_numbers_of_clusters_do_not_matter():
    """Clusters that are found again are stable, whatever their labels."""
    labels = np.arange(30) % 4

    score, error = stability(
        _numbered(30), labels, lambda rows: 7 - rows[:, 0] % 4, np.random.default_rng(0)
    )

    assert (score, error) == (1, 0)


def test_random_clusters_are_not_stable():
    """The adjusted Rand index of random labels is about 0."""
    rng = np.random.default_rng(0)

    score, _ = stability(
        _numbered(500),
        rng.integers(3, size=500),
        lambda rows: rng.integers(3, size=len(rows)),
        rng,
    )

    assert abs(score) < 0.01


@pytest.mark.parametrize("n_rows", [2, 3])
def test_a_subsample_has_at_least_two_rows(n_rows):
    """A single row has no pairs to compare."""
    sizes = []

    def cluster(rows):
        sizes.append(len(rows))
        return np.arange(len(rows))

    stability(_numbered(n_rows), np.arange(n_rows), cluster, np.random.default_rng(0))

    assert set(sizes) == {2}
