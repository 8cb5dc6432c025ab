"""Tests of the table of scores, for clusters made by hand."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.distance import pdist
from sklearn.cluster import KMeans
from sklearn.metrics import (
    adjusted_rand_score,
    calinski_harabasz_score,
    davies_bouldin_score,
    silhouette_samples,
    silhouette_score,
)
from sklearn.preprocessing import normalize

from imgsim.cluster.algorithms._registry import ClusteringTask
from imgsim.cluster.criteria._gap_and_stability import reference_box
from imgsim.cluster.selection import _score_candidates
from imgsim.cluster.selection._candidates import Candidate, cluster_candidates
from imgsim.cluster.selection._score_candidates import score_candidates

ALWAYS = ["silhouette", "calinski_harabasz", "davies_bouldin", "inertia"]


def _task(X, metric="euclidean", algorithm="kmeans", features=None, **params):
    features = X if features is None else features
    return ClusteringTask(X, features, algorithm, metric, params, 0)


def _candidate(k, labels, reason=""):
    return Candidate(k, 0.1, np.asarray(labels), "an estimator", reason)


def _failed(k, n_rows, reason="did not converge"):
    return Candidate(k, 0.2, np.full(n_rows, -1), reason=reason)


def _labelings(n_rows, ks, seed=0):
    rng = np.random.default_rng(seed)
    return [_candidate(k, rng.permutation(np.arange(n_rows) % k)) for k in ks]


def _log_w(rows, labels):
    """Return log(W_k) of Tibshirani et al., from the distances of all pairs."""
    members = [rows[labels == label] for label in np.unique(labels)]
    return np.log(sum((pdist(some) ** 2).sum() / len(some) for some in members))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_scores_are_those_of_scikit_learn(blobs, metric, dtype):
    """For cosine, criteria from sums refer to rows scaled to unit length."""
    X = blobs[0].astype(dtype)
    candidates = _labelings(60, (2, 3, 7))

    table = score_candidates(_task(X, metric), candidates, "silhouette", None)

    compared = normalize(X) if metric == "cosine" else X
    for i, labels in enumerate(candidate.labels for candidate in candidates):
        members = [compared[labels == label] for label in np.unique(labels)]
        expected = {
            "silhouette": silhouette_score(X, labels, metric=metric),
            "calinski_harabasz": calinski_harabasz_score(compared, labels),
            "davies_bouldin": davies_bouldin_score(compared, labels),
            "inertia": sum(((some - some.mean(axis=0)) ** 2).sum() for some in members),
        }
        found = {name: table[name][i] for name in expected}
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_errors_of_silhouettes_are_those_within_clusters(blobs):
    """They are the standard errors of stratified sampling."""
    X, _ = blobs
    (candidate,) = _labelings(60, [3])

    table = score_candidates(_task(X), [candidate], "silhouette", None)

    silhouettes = silhouette_samples(X, candidate.labels)
    by_cluster = [silhouettes[candidate.labels == i] for i in range(3)]
    variance = sum((len(s) / 60) ** 2 * s.var(ddof=1) / len(s) for s in by_cluster)
    assert table["silhouette_se"] == pytest.approx([np.sqrt(variance)], rel=1e-3)


def test_a_row_describes_the_clusters_found(blobs):
    """The number of clusters found may differ from the requested one."""
    X, y = blobs
    candidates = [_candidate(3, y), _candidate(5, y + 4), _failed(99, 60)]

    table = score_candidates(_task(X), candidates, "silhouette", None)

    assert table["k"].tolist() == [3, 5, 99]
    assert table["n_clusters"].tolist() == [3, 3, 0]
    assert [sizes.tolist() for sizes in table["sizes"]] == [[30, 20, 10]] * 2 + [[]]
    assert table["seconds"].tolist() == [0.1, 0.1, 0.2]
    assert table["reason"].tolist() == ["", "", "did not converge"]
    for name in ALWAYS:
        assert table[name][0] == pytest.approx(table[name][1])


@pytest.mark.parametrize(
    ("criterion", "extra"),
    [*((name, []) for name in ALWAYS), ("gap", ["gap"]), ("stability", ["stability"])],
)
def test_columns_are_in_a_fixed_order(blobs, criterion, extra):
    """Each criterion has its error; expensive criteria are computed if requested."""
    X, y = blobs

    table = score_candidates(_task(X), [_candidate(3, y)], criterion, None)

    names = [*ALWAYS, *extra]
    pairs = [column for name in names for column in (name, f"{name}_se")]
    assert list(table) == ["k", *pairs, "n_clusters", "sizes", "seconds", "reason"]
    assert {len(column) for column in table.values()} == {1}


@pytest.mark.parametrize("criterion", ["silhouette", "gap", "stability"])
def test_candidates_that_failed_have_no_scores(blobs, criterion):
    """Their scores are NaN and do not change those of other candidates."""
    X, y = blobs
    good = _candidate(3, y)
    table = score_candidates(_task(X), [good], criterion, None)

    failed = [_failed(2, 60), good, _failed(70, 60)]
    among = score_candidates(_task(X), failed, criterion, None)

    names = [*ALWAYS, *{criterion, *ALWAYS} - {*ALWAYS}]
    for name in [*names, *(f"{name}_se" for name in names)]:
        assert_array_equal(among[name], [np.nan, table[name][0], np.nan])


@pytest.mark.parametrize("criterion", ["silhouette", "inertia", "gap", "stability"])
def test_all_candidates_may_have_failed(blobs, criterion):
    """The error is raised when one of them has to be selected."""
    failed = [_failed(2, 60), _failed(3, 60)]

    table = score_candidates(_task(blobs[0]), failed, criterion, None)

    assert np.isnan(table[criterion]).all()
    assert np.isnan(table[f"{criterion}_se"]).all()


def test_a_single_cluster_has_only_a_gap_and_an_inertia(blobs):
    """Other criteria compare clusters with each other."""
    single = _candidate(1, np.zeros(60, dtype=int), "a single cluster")

    table = score_candidates(_task(blobs[0]), [single], "gap", None)

    assert np.isfinite([table["gap"][0], table["gap_se"][0]]).all()
    assert np.isnan([table[name][0] for name in ALWAYS[:3]]).all()
    assert table["inertia"][0] == pytest.approx(60 * blobs[0].var(axis=0).sum())
    assert np.isfinite(table["inertia_se"][0])
    assert table["n_clusters"].tolist() == [1]


def test_noise_is_left_out(blobs):
    """The scores are those without the noise."""
    X, y = blobs
    outliers = np.random.default_rng(0).normal(scale=50, size=(5, 8))
    both = np.vstack([X, outliers.astype(np.float32)])
    noisy = _candidate(3, np.append(y, [-1] * 5))

    table = score_candidates(_task(both), [noisy], "silhouette", None)

    plain = score_candidates(_task(X), [_candidate(3, y)], "silhouette", None)
    assert table["sizes"][0].tolist() == [30, 20, 10]
    for name in ALWAYS:
        assert_allclose(table[name], plain[name], rtol=1e-5)


def test_scores_refer_to_the_rows_and_not_to_their_components(blobs):
    """Candidates are compared in the space of the embeddings."""
    X, y = blobs

    table = score_candidates(
        _task(X, features=X[:, :1]), [_candidate(3, y)], "silhouette", None
    )

    assert table["silhouette"] == pytest.approx([silhouette_score(X, y)], rel=1e-5)
    assert table["davies_bouldin"] == pytest.approx([davies_bouldin_score(X, y)])


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("k", [1, 2, 4])
def test_the_gap_is_that_of_tibshirani(blobs, k, metric):
    """There are ten references, the same for every k, clustered as the rows are."""
    X = blobs[0].astype(float)
    features = normalize(X) if metric == "cosine" else X
    task = _task(X, metric, features=features)
    candidates = cluster_candidates(task, [k], 1, 0)

    table = score_candidates(task, candidates, "gap", None)

    draw, rng = reference_box(features), np.random.default_rng(0)
    references = [draw(rng) for _ in range(10)]
    if metric == "cosine":
        references = [normalize(rows) for rows in references]
    kmeans = KMeans(k, random_state=0)
    logs = np.array([_log_w(rows, kmeans.fit_predict(rows)) for rows in references])
    gap = logs.mean() - _log_w(features, kmeans.fit_predict(features))
    assert table["gap"] == pytest.approx([gap])
    assert table["gap_se"] == pytest.approx([logs.std() * np.sqrt(1.1)])


def test_stability_clusters_subsamples_with_the_same_seed(blobs):
    """There are ten subsamples, the same for every k."""
    X = blobs[0].astype(float)
    task = _task(X)
    candidates = cluster_candidates(task, [2, 5], 1, 0)

    table = score_candidates(task, candidates, "stability", None)

    for k, score, error in zip(
        (2, 5), table["stability"], table["stability_se"], strict=True
    ):
        rng, kmeans = np.random.default_rng(0), KMeans(k, random_state=0)
        labels = kmeans.fit_predict(X)
        parts = [rng.choice(60, 48, replace=False) for _ in range(10)]
        scores = [
            adjusted_rand_score(labels[part], kmeans.fit_predict(X[part]))
            for part in parts
        ]
        assert score == pytest.approx(np.mean(scores))
        assert error == pytest.approx(np.std(scores, ddof=1) / np.sqrt(10))


@pytest.mark.parametrize("criterion", ["gap", "stability"])
def test_a_candidate_fails_if_other_rows_cannot_be_clustered(blobs, criterion):
    """Three initial centers let two clusters fail, but not before the resampling."""
    X, y = blobs
    task = _task(X, init=X[[0, 30, 50]])
    candidates = [_candidate(2, y % 2), _candidate(3, y)]

    table = score_candidates(task, candidates, criterion, None)

    assert np.isnan(table[criterion]).tolist() == [True, False]
    assert table["reason"][0] != ""
    assert table["reason"][1] == ""


@pytest.mark.parametrize("sample_size", [30, 100])
def test_a_sample_comes_near_the_full_score(sample_size):
    """It is within a few standard errors, although one cluster has only two rows."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], [248, 150, 2])
    X = 3 * np.eye(3)[y] + rng.normal(size=(400, 3))

    table = score_candidates(_task(X), [_candidate(3, y)], "silhouette", sample_size)

    deviation = abs(table["silhouette"] - silhouette_score(X, y))
    assert 0 < table["silhouette_se"][0] < 0.1
    assert 0 < deviation < 4 * table["silhouette_se"]


@pytest.mark.parametrize("sample_size", [None, "auto", 60, 1000])
def test_small_collections_are_not_sampled(blobs, sample_size):
    """Nor are collections with no more rows than the sample."""
    X, y = blobs

    table = score_candidates(_task(X), [_candidate(3, y)], "silhouette", sample_size)

    assert table["silhouette"] == pytest.approx([silhouette_score(X, y)], rel=1e-5)


@pytest.mark.parametrize(
    ("metric", "sample_size", "is_sampled"),
    [
        ("euclidean", "auto", True),
        ("euclidean", None, False),
        ("cosine", "auto", False),
        ("cosine", 20, True),
    ],
)
def test_large_collections_are_sampled_where_it_pays(
    blobs, monkeypatch, metric, sample_size, is_sampled
):
    """Cosine silhouettes cost little and are sampled only on request."""
    X, y = blobs
    monkeypatch.setattr(_score_candidates, "_MOST_ROWS", 59)
    monkeypatch.setattr(_score_candidates, "_SAMPLE_SIZE", 20)

    table = score_candidates(
        _task(X, metric), [_candidate(3, y)], "silhouette", sample_size
    )

    exact = silhouette_score(X, y, metric=metric)
    is_exact = table["silhouette"] == pytest.approx([exact], rel=1e-5)
    assert is_exact != is_sampled
