"""Tests of the choice of the number of clusters."""

import re
from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import (
    adjusted_rand_score,
    calinski_harabasz_score,
    davies_bouldin_score,
    silhouette_score,
)
from sklearn.preprocessing import normalize
from sklearn.utils.validation import check_is_fitted

from imgsim import ImageClusterer, select_k
from imgsim.cluster.selection._best_k import CRITERIA
from imgsim.exceptions import WeakClustersWarning

ALGORITHMS = (
    "kmeans",
    "minibatch_kmeans",
    "bisecting_kmeans",
    "spectral",
    "agglomerative",
    "gaussian_mixture",
    "leiden",
)
CALLERS = {
    "select_k": select_k,
    "fit": lambda X, k_range=None, **kwargs: ImageClusterer(
        k_range=k_range, **kwargs
    ).fit(X),
}


@pytest.fixture(params=CALLERS.values(), ids=CALLERS)
def choose_k(request):
    """Return a function that compares candidates: select_k, or fit of the clusterer."""
    return request.param


@pytest.fixture
def noise():
    """Return 60 rows without clusters."""
    return np.random.default_rng(0).normal(size=(60, 20))


def _assert_equal_tables(one, other):
    """Compare all columns except seconds; NaN is equal to NaN."""
    assert list(one) == list(other)
    assert [sizes.tolist() for sizes in one["sizes"]] == [
        sizes.tolist() for sizes in other["sizes"]
    ]
    for name in set(one) - {"seconds", "sizes"}:
        assert_array_equal(one[name], other[name], err_msg=name)


def _assert_equal_selections(one, other):
    assert one.best_k == other.best_k
    _assert_equal_tables(one.table, other.table)
    assert list(one.labelings) == list(other.labelings)
    for k, labels in one.labelings.items():
        assert_array_equal(labels, other.labelings[k])


def test_the_default_candidates_are_2_to_10(blobs):
    """Each has a row in the table and a labeling."""
    selection = select_k(blobs[0], random_state=0)

    assert selection.table["k"].tolist() == [*range(2, 11)]
    assert {len(column) for column in selection.table.values()} == {9}
    assert list(selection.labelings) == [*range(2, 11)]


def test_labels_and_scores_are_those_of_a_loop_over_k(blobs):
    """The loop calls `KMeans` and `silhouette_score` with the same seed."""
    X, _ = blobs

    selection = select_k(X, metric="euclidean", random_state=5)

    for i, k in enumerate(range(2, 11)):
        kmeans = KMeans(k, random_state=5).fit(X)
        assert_array_equal(selection.labelings[k], kmeans.labels_)
        assert selection.table["silhouette"][i] == pytest.approx(
            silhouette_score(X, kmeans.labels_), abs=1e-5
        )
        assert selection.table["inertia"][i] == pytest.approx(kmeans.inertia_, rel=1e-4)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_each_candidate_is_scored_by_every_criterion(blobs, metric):
    """For cosine, criteria from means refer to rows scaled to unit length."""
    X, _ = blobs
    rows = normalize(X) if metric == "cosine" else X

    selection = select_k(X, [5, 2, 3], metric=metric, random_state=0)

    labelings = [selection.labelings[k] for k in (2, 3, 5)]
    expected = {
        "silhouette": [silhouette_score(X, y, metric=metric) for y in labelings],
        "calinski_harabasz": [calinski_harabasz_score(rows, y) for y in labelings],
        "davies_bouldin": [davies_bouldin_score(rows, y) for y in labelings],
        "n_clusters": [2, 3, 5],
    }
    for name, column in expected.items():
        assert_allclose(selection.table[name], column, rtol=1e-4, err_msg=name)
    assert [sizes.sum() for sizes in selection.table["sizes"]] == [60, 60, 60]
    assert all(a > b for a, b in pairwise(selection.table["inertia"]))
    assert selection.best_k == 3


@pytest.mark.parametrize(
    "k_range",
    [[4, 2, 3, 2], (3, 4, 2), np.array([2, 3, 4, 4]), [np.int64(4), np.uint8(3), 2]],
    ids=str,
)
def test_candidates_are_sorted_without_duplicates(blobs, k_range):
    """They may be any sequence of integers."""
    selection = select_k(blobs[0], k_range, random_state=0)

    assert selection.table["k"].tolist() == [2, 3, 4]
    assert list(selection.labelings) == [2, 3, 4]
    assert type(selection.best_k) is int


@pytest.mark.parametrize(
    "k_range", [0, [0], [2, -1], [2.0], [2, 3.5], ["2"], "23", [], range(0), [[2, 3]]]
)
def test_other_candidates_are_rejected(choose_k, blobs, k_range):
    """They are checked before anything is clustered."""
    with pytest.raises(ValueError, match="k_range"):
        choose_k(blobs[0], k_range)


def test_impossible_candidates_are_listed_with_the_reason(blobs):
    """They do not raise an error, and have no criteria but the inertia of k = 1."""
    X, _ = blobs

    selection = select_k(X, [1, 2, 3, 60, 61, 1000], random_state=0)

    table = selection.table
    failed = [True, False, False, True, True, True]
    assert table["k"].tolist() == [1, 2, 3, 60, 61, 1000]
    assert (table["reason"] != "").tolist() == failed
    for name in ("silhouette", "calinski_harabasz", "davies_bouldin", "inertia"):
        missing = [failed[0] and name != "inertia", *failed[1:]]
        assert np.isnan(table[name]).tolist() == missing
        assert np.isnan(table[f"{name}_se"]).tolist() == missing
    assert "single cluster" in table["reason"][0]
    assert "a cluster of its own" in table["reason"][3]
    assert "k exceeds the number of distinct rows, 60" in table["reason"][4]
    assert selection.best_k == 3


def test_more_clusters_than_distinct_rows_are_impossible(blobs):
    """The reason is in the table, and k-means does not warn."""
    X = np.repeat(blobs[0][[0, 1, 2, 30, 31, 32]], 4, axis=0)

    selection = select_k(X, random_state=0)

    assert (selection.table["reason"] == "").tolist() == [True] * 5 + [False] * 4
    assert "distinct rows, 6" in selection.table["reason"][5]
    assert list(selection.labelings) == [2, 3, 4, 5, 6]
    assert selection.best_k == 6


def test_labelings_cover_all_that_was_clustered(blobs):
    """Also a single cluster, which the gap statistic may select."""
    selection = select_k(blobs[0], [1, 3, 60, 61], random_state=0)

    assert list(selection.labelings) == [1, 3, 60]
    for k, labels in selection.labelings.items():
        assert len(np.unique(labels)) == k


@pytest.mark.parametrize(
    ("X", "k_range", "reason"),
    [
        (
            np.eye(5),
            [1, 9],
            "k=1: a single cluster.*; k=9: k exceeds .* distinct rows, 5",
        ),
        (np.ones((12, 3)), [2, 3], "distinct rows, 1"),
        (np.ones((1, 3)), [2, 3], "distinct rows, 1"),
        (np.eye(3), [3], "each row is a cluster of its own"),
    ],
    ids=["impossible", "equal", "one", "all"],
)
@pytest.mark.parametrize("criterion", ["silhouette", "inertia", "stability"])
def test_the_error_has_the_reasons_if_all_candidates_fail(
    X, k_range, reason, criterion
):
    """None of them can be selected."""
    with pytest.raises(ValueError, match=reason):
        select_k(X, k_range, criterion=criterion)


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("k_range", [range(1, 6), range(2, 7)], ids=str)
def test_every_criterion_finds_three_separate_clusters(blobs, criterion, k_range):
    """There is no warning, as warnings are errors in the tests."""
    X, y = blobs

    selection = select_k(X, k_range, criterion=criterion, random_state=0)

    assert selection.best_k == 3
    assert selection.criterion == criterion
    assert adjusted_rand_score(y, selection.labelings[3]) == 1


@pytest.mark.filterwarnings("ignore::imgsim.exceptions.WeakClustersWarning")
def test_the_gap_can_select_a_single_cluster():
    """The other criteria need at least two clusters."""
    X = np.random.default_rng(0).normal(size=(80, 3))

    selection = select_k(X, range(1, 6), criterion="gap", random_state=0)

    assert selection.best_k == 1
    assert (
        selection.table["reason"][0]
        == "a single cluster, which cannot be compared with another"
    )
    assert_array_equal(selection.labelings[1], np.zeros(80))
    assert selection.best_estimator.n_clusters == 1


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("algorithm", ["kmeans", "agglomerative", "leiden"])
def test_the_inertia_of_a_single_cluster_is_that_of_all_rows(blobs, metric, algorithm):
    """The curve of the inertia starts at k = 1, and its knee is where it was."""
    X, _ = blobs
    kwargs = {"algorithm": algorithm, "metric": metric, "criterion": "inertia"}

    selection = select_k(X, range(1, 7), random_state=0, **kwargs)

    rows = normalize(X) if metric == "cosine" else X
    expected = ((rows - rows.mean(axis=0)) ** 2).sum()
    assert selection.table["inertia"][0] == pytest.approx(expected, rel=1e-5)
    assert np.isnan(selection.table["silhouette"][0])
    without = select_k(X, range(2, 7), random_state=0, **kwargs)
    assert selection.best_k == without.best_k == 3
    assert_array_equal(selection.table["inertia"][1:], without.table["inertia"])


@pytest.mark.filterwarnings("ignore::imgsim.exceptions.WeakClustersWarning")
def test_the_clusterer_may_find_a_single_cluster():
    """The gap statistic selects it."""
    X = np.random.default_rng(0).normal(size=(80, 3))

    clusterer = ImageClusterer(k_range=range(1, 6), criterion="gap", random_state=0)

    assert clusterer.fit(X).n_clusters_ == 1


@pytest.mark.parametrize("criterion", ["gap", "stability"])
def test_few_rows_are_resampled_as_far_as_possible(blobs, criterion):
    """A subsample with fewer rows than clusters does not raise an error."""
    X = blobs[0][[0, 1, 2, 30, 31, 32, 33, 50, 51, 52]]

    selection = select_k(X, criterion=criterion, random_state=0)

    assert selection.best_k == 3


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_every_algorithm_that_takes_a_number_finds_clusters(blobs, algorithm, metric):
    """The clusters are clear, so that there is no warning."""
    X, y = blobs

    selection = select_k(
        X, range(1, 6), algorithm=algorithm, metric=metric, random_state=0
    )

    assert selection.best_k == 3
    assert selection.table["n_clusters"][2] == 3
    assert adjusted_rand_score(y, selection.labelings[3]) == 1


@pytest.mark.parametrize("algorithm", ["dbscan", "hdbscan", "k-means"])
def test_other_algorithms_are_rejected(blobs, algorithm):
    """Also those that always find the number of clusters themselves."""
    with pytest.raises(ValueError, match="'algorithm' parameter of select_k"):
        select_k(blobs[0], algorithm=algorithm)


def test_the_best_estimator_is_the_one_fitted_with_the_best_k(blobs):
    """It has the labels of the labeling and can predict."""
    X, _ = blobs

    selection = select_k(X, range(2, 6), random_state=0)

    estimator = selection.best_estimator
    assert isinstance(estimator, KMeans)
    check_is_fitted(estimator)
    assert estimator.n_clusters == 3
    assert_array_equal(estimator.labels_, selection.labelings[3])
    assert_array_equal(estimator.predict(X), selection.labelings[3])


@pytest.mark.filterwarnings("ignore::imgsim.exceptions.WeakClustersWarning")
def test_parameters_are_passed_to_the_algorithm(noise):
    """Ten initializations give a smaller inertia than one."""
    plain = select_k(noise, random_state=0)
    params = {"n_init": 10}
    better = select_k(noise, algorithm_params=params, random_state=0)

    assert better.best_estimator.n_init == 10
    assert (better.table["inertia"] <= plain.table["inertia"] * (1 + 1e-9)).all()
    assert (better.table["inertia"] < plain.table["inertia"] * 0.99).any()
    assert params == {"n_init": 10}


BAD_PARAMS = [
    ("kmeans", {"n_init": 0}, "'n_init' parameter of KMeans"),
    ("kmeans", {"max_iter": "many"}, "'max_iter' parameter of KMeans"),
    ("kmeans", {"algorithm": "fast"}, "'algorithm' parameter of KMeans"),
    ("kmeans", {"depth": 3}, "algorithm='kmeans' has no parameter 'depth'"),
    ("kmeans", {"n_clusters": 3}, "algorithm='kmeans' has no parameter 'n_clusters'"),
    ("agglomerative", {"linkage": "x"}, "'linkage' parameter of Agglomerative"),
    ("gaussian_mixture", {"tol": -1.0}, "'tol' parameter of GaussianMixture"),
    ("leiden", {"resolution": -1}, "resolution=-1 must be a positive number"),
]


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize(("algorithm", "params", "message"), BAD_PARAMS)
def test_an_invalid_parameter_is_one_error(blobs, algorithm, params, message, n_jobs):
    """The message is not repeated for each candidate."""
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        select_k(blobs[0], algorithm=algorithm, algorithm_params=params, n_jobs=n_jobs)
    assert str(caught.value).count(message) == 1


def test_the_default_metric_compares_directions(blobs):
    """The rows are scaled to unit length, so that their length does not matter."""
    X = blobs[0].astype(float)
    longer = X * np.random.default_rng(0).uniform(1, 9, size=(60, 1))

    selection = select_k(X, range(2, 6), random_state=0)
    other = select_k(longer, range(2, 6), metric="cosine", random_state=0)

    for k in range(2, 6):
        kmeans = KMeans(k, random_state=0).fit(normalize(X))
        assert_array_equal(selection.labelings[k], kmeans.labels_)
        assert_array_equal(other.labelings[k], kmeans.labels_)
    assert_allclose(other.table["silhouette"], selection.table["silhouette"])


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_rows_that_differ_in_length_only_are_equal_for_cosine(n_jobs):
    """The table has the reason, and k-means does not warn."""
    X = np.outer([1.0, 2, 4, 8], [1.0, 0, 0])
    X = np.vstack([X, X[:, ::-1]])

    selection = select_k(X, range(2, 5), metric="cosine", n_jobs=n_jobs)

    assert selection.best_k == 2
    assert (selection.table["reason"] == "").tolist() == [True, False, False]


def test_components_are_clustered_and_rows_are_scored(blobs):
    """Silhouettes refer to all features."""
    X, _ = blobs

    selection = select_k(
        X, range(2, 6), metric="euclidean", n_components=2, random_state=0
    )

    few = PCA(2, random_state=0).fit_transform(X)
    for i, k in enumerate(range(2, 6)):
        labels = KMeans(k, random_state=0).fit_predict(few)
        assert_array_equal(selection.labelings[k], labels)
        assert selection.table["silhouette"][i] == pytest.approx(
            silhouette_score(X, labels), abs=1e-5
        )
    assert selection.best_estimator.n_features_in_ == 2


def test_too_many_components_are_rejected(blobs):
    """The message has the bound."""
    with pytest.raises(ValueError, match=r"n_components=9 must be at most .*8"):
        select_k(blobs[0], n_components=9)


def test_clearly_separated_clusters_do_not_warn(choose_k, blobs):
    """Warnings are errors in the tests."""
    choose_k(blobs[0], random_state=0)


def test_rows_without_clusters_warn(choose_k, noise):
    """There is one warning, which says what to try."""
    with pytest.warns(WeakClustersWarning, match="below 0.1") as caught:
        choose_k(noise, metric="euclidean", random_state=0)

    assert len(caught) == 1
    assert "Try metric='cosine'" in str(caught[0].message)


def test_clusters_of_clusters_have_no_clear_maximum(choose_k):
    """With three clusters of three clusters each, 3 and 9 are both right."""
    rng = np.random.default_rng(0)
    corners = np.array([[0, 0], [1, 0], [0.5, 0.866]])
    centers = (12 * corners[:, np.newaxis] + 4 * corners).reshape(-1, 2)
    X = np.repeat(centers, 10, axis=0) + rng.normal(scale=0.6, size=(90, 2))

    with pytest.warns(WeakClustersWarning, match=r"of k=3, .* larger than for k=9\."):
        choose_k(X, metric="euclidean", algorithm_params={"n_init": 5}, random_state=0)


def test_the_best_may_be_beyond_the_candidates(choose_k):
    """There are five clusters, but the largest candidate is four."""
    rng = np.random.default_rng(0)
    X = np.repeat(20 * np.eye(5), 12, axis=0) + rng.normal(size=(60, 5))

    with pytest.warns(WeakClustersWarning, match="k=4 is the largest .* Widen k_range"):
        choose_k(X, range(2, 5), random_state=0)


def test_a_warning_points_at_the_line_of_the_caller(choose_k, noise):
    """Users find the call that they may want to change."""

    def caller():
        choose_k(noise, random_state=0)

    if choose_k is CALLERS["fit"]:
        line = choose_k.__code__.co_firstlineno
    else:
        line = caller.__code__.co_firstlineno + 1

    with pytest.warns(WeakClustersWarning) as caught:
        caller()

    assert caught[0].filename == __file__
    assert line <= caught[0].lineno <= line + 2


@pytest.mark.parametrize(
    ("algorithm", "n_jobs"),
    [("kmeans", 2), ("kmeans", None), ("kmeans", -1), ("gaussian_mixture", 2)],
)
def test_jobs_do_not_change_the_result(blobs, n_jobs, algorithm):
    """Each candidate has its own random generator with the same seed."""
    X, _ = blobs
    kwargs = {"algorithm": algorithm, "random_state": 3}

    one = select_k(X, range(1, 7), n_jobs=1, **kwargs)
    some = select_k(X, range(1, 7), n_jobs=n_jobs, **kwargs)

    _assert_equal_selections(some, one)


@pytest.mark.parametrize(
    ("criterion", "make_seed"),
    [
        ("silhouette", np.int64),
        ("silhouette", np.random.RandomState),
        ("gap", int),
        ("stability", int),
    ],
)
def test_equal_seeds_give_equal_selections(blobs, criterion, make_seed):
    """A seed may be an integer or a RandomState."""
    X, _ = blobs

    one, other = (
        select_k(X, range(2, 5), criterion=criterion, random_state=make_seed(5))
        for _ in range(2)
    )

    _assert_equal_selections(one, other)


@pytest.mark.filterwarnings("ignore::imgsim.exceptions.WeakClustersWarning")
def test_other_seeds_give_other_labels(noise):
    """So do two draws from a RandomState, and two calls without a seed."""
    generator = np.random.RandomState(0)

    found = [
        select_k(noise, [7, 8], random_state=seed).labelings[7].tolist()
        for seed in (0, 1, generator, generator, None, None)
    ]

    assert len({tuple(labels) for labels in found}) == len(found)


def test_verbose_shows_a_progress_bar(blobs, capsys):
    """It is printed on the standard error; nothing is printed by default."""
    select_k(blobs[0], range(2, 5), random_state=0)
    silent = capsys.readouterr()
    select_k(blobs[0], range(2, 5), random_state=0, verbose=1)
    shown = capsys.readouterr()

    assert silent == ("", "")
    assert shown.out == ""
    assert "3/3" in shown.err


def test_unreadable_rows_do_not_influence_others(blobs):
    """They are labeled -1 and left out of every criterion."""
    X, _ = blobs
    holes = np.insert(X, [0, 10, 60], np.nan, axis=0)
    holes[11, 1:] = 0  # one NaN is enough
    readable = ~np.isnan(holes).any(axis=1)

    plain = select_k(X, random_state=0)
    selection = select_k(holes, random_state=0)

    assert selection.best_k == plain.best_k
    _assert_equal_tables(selection.table, plain.table)
    for k, labels in selection.labelings.items():
        assert_array_equal(labels[readable], plain.labelings[k])
        assert_array_equal(labels[~readable], [-1, -1, -1])


def test_a_collection_without_readable_images_is_rejected():
    """The message has the number of rows."""
    with pytest.raises(ValueError, match=r"every row of X contains NaN .*n_samples=4"):
        select_k(np.full((4, 3), np.nan))


@pytest.mark.parametrize(
    "X", [np.full((9, 3), np.inf), np.arange(9.0), np.ones((0, 3))]
)
def test_other_arrays_than_embeddings_are_rejected(X):
    """The message is scikit-learn's."""
    with pytest.raises(ValueError, match=r"infinity|1D array|0 sample"):
        select_k(X)


def test_the_order_of_rows_does_not_matter(blobs):
    """The clusters are clear."""
    X, _ = blobs
    order = np.random.default_rng(0).permutation(60)

    plain = select_k(X, range(2, 6), random_state=0)
    selection = select_k(X[order], range(2, 6), random_state=0)

    assert selection.best_k == 3
    assert adjusted_rand_score(selection.labelings[3], plain.labelings[3][order]) == 1
    for name in ("silhouette", "calinski_harabasz", "davies_bouldin", "inertia"):
        assert selection.table[name][1] == pytest.approx(plain.table[name][1])


@pytest.mark.parametrize(
    "convert",
    [
        lambda X: X.astype(np.float32),
        lambda X: X.astype(np.int64),
        lambda X: X.astype(np.int16),
        lambda X: (X + 99).astype(np.uint8),
        lambda X: np.asfortranarray(X),
        lambda X: X.tolist(),
        lambda X: X.astype(int).tolist(),
    ],
    ids=["float32", "int64", "int16", "uint8", "fortran", "list", "list of int"],
)
def test_rows_may_have_any_numeric_type(blobs, convert):
    """Values of a few hundred fit all of the types."""
    X = np.rint(10 * blobs[0].astype(float))
    X = X if isinstance(convert(X), list) else X / 4
    rows = convert(X)

    selection = select_k(rows, range(2, 5), metric="euclidean", random_state=0)

    labels = selection.labelings[3]
    assert selection.best_k == 3
    assert adjusted_rand_score(blobs[1], labels) == 1
    expected = silhouette_score(np.asarray(rows, dtype=float), labels)
    assert selection.table["silhouette"][1] == pytest.approx(expected, abs=1e-5)


def test_wide_integers_keep_their_digits(choose_k):
    """Single precision represents only even numbers of this size."""
    X = np.concatenate([2**25 + np.arange(10), 2**25 + 1000 + np.arange(10)])
    rows = X[:, np.newaxis]

    kwargs = {"metric": "euclidean", "random_state": 0}

    found = choose_k(rows, range(2, 5), **kwargs)

    table = getattr(found, "selection_", found).table
    expected = select_k(rows.astype(float), range(2, 5), **kwargs).table
    assert_allclose(table["silhouette"], expected["silhouette"])


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_rows_may_be_a_read_only_memory_map(blobs, algorithm, tmp_path):
    """A collection may be larger than memory, or shared with other processes."""
    X, _ = blobs
    np.save(tmp_path / "X.npy", X)
    on_disk = np.load(tmp_path / "X.npy", mmap_mode="r")

    plain = select_k(X, range(2, 5), algorithm=algorithm, random_state=0)
    selection = select_k(on_disk, range(2, 5), algorithm=algorithm, random_state=0)

    _assert_equal_selections(selection, plain)


@pytest.mark.parametrize("sample_size", [2, 40, 200])
def test_the_score_of_a_sample_is_near_the_full_score(sample_size):
    """It is within a few standard errors, although one cluster has two images."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], [248, 150, 2])
    X = (5 * np.eye(3)[y] * [1, 1, 5] + rng.normal(size=(400, 3))).astype(np.float32)

    full = select_k(X, range(2, 7), sample_size=None, random_state=0).table
    table = select_k(X, range(2, 7), sample_size=sample_size, random_state=0).table

    deviation = np.abs(table["silhouette"] - full["silhouette"])
    assert (deviation <= 5 * table["silhouette_se"]).all()
    assert (deviation > 0).all()
    assert 2 in [sizes.min() for sizes in table["sizes"]]


@pytest.mark.parametrize("sample_size", [0, 1, -5, 2.5, "all"])
def test_a_sample_has_at_least_two_rows(blobs, sample_size):
    """The message has the bound."""
    with pytest.raises(ValueError, match=r"'sample_size' .* \[2, inf\)"):
        select_k(blobs[0], sample_size=sample_size)


@pytest.mark.parametrize(
    ("criterion", "metric"),
    [
        ("silhouette", "euclidean"),
        ("silhouette", "cosine"),
        ("inertia", "cosine"),
        ("stability", "euclidean"),
    ],
)
def test_the_clusterer_selects_the_same_number(blobs, metric, criterion):
    """`n_clusters="auto"` gives the same table and the same clusters."""
    X, _ = blobs
    kwargs = {"metric": metric, "criterion": criterion, "random_state": 2}

    clusterer = ImageClusterer("auto", k_range=range(1, 6), **kwargs).fit(X)

    selection = select_k(X, range(1, 6), **kwargs)
    _assert_equal_selections(clusterer.selection_, selection)
    assert clusterer.n_clusters_ == selection.best_k
    chosen = selection.labelings[selection.best_k]
    assert adjusted_rand_score(chosen, clusterer.labels_) == 1
    assert clusterer.estimator_ is clusterer.selection_.best_estimator


def test_the_clusterer_compares_the_same_candidates(blobs):
    """Unreadable rows are left out; with a given number nothing is compared."""
    X = np.insert(blobs[0], 7, np.nan, axis=0)

    clusterer = ImageClusterer(random_state=0, n_components=3, n_jobs=2).fit(X)

    selection = select_k(X, random_state=0, n_components=3)
    _assert_equal_selections(clusterer.selection_, selection)
    assert clusterer.labels_[7] == -1
    assert ImageClusterer(3).fit(X).selection_ is None
