"""Time and memory of silhouettes and select_k, and the quality of clusters.

Rows are random but resemble embeddings: they are float32, not negative, and of low rank
with noise. A cluster consists of the rows nearest to one of k rows.

Speed: the mean silhouettes of nine labelings, k = 2 to 10, of 4,738 rows with 2,048
features. The baseline calls silhouette_score of scikit-learn nine times. For the
Manhattan distance, there are only 1,000 rows. All methods use all cores and run once in
each of several rounds, and the medians are compared.

Memory: the peak of a new process with 50,000 rows of 1,280 features and 20 labelings,
either with k = 2 to 21 or with k = 50, in MiB. Memory used by imports is subtracted;
memory of the rows is included.
"""

import inspect
import os
import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score, silhouette_score

from imgsim import ImageClusterer, ImageEmbedder, load_image_folder, select_k
from imgsim.cluster import silhouette_score_many
from imgsim.exceptions import WeakClustersWarning

N_ROUNDS = 5
N_ROWS_BY_METRIC = {"euclidean": 4738, "cosine": 4738, "manhattan": 1000}


def _medians(ways, n_rounds=N_ROUNDS):
    """Return the median seconds of each method; the first round is a warm-up."""
    seconds = {name: [] for name in ways}
    for _ in range(n_rounds + 1):
        for name, run in ways.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(each[1:]) for name, each in seconds.items()}


def make_rows(n_rows, width, rank=40):
    """Return random rows that resemble embeddings, computed in blocks."""
    rng = np.random.default_rng(0)
    axes = rng.standard_normal((rank, width), dtype=np.float32)
    X = np.empty((n_rows, width), dtype=np.float32)
    for start in range(0, n_rows, 1000):
        block = X[start : start + 1000]
        block[:] = rng.standard_normal((len(block), rank), dtype=np.float32) @ axes
        block += 2 * rng.standard_normal(block.shape, dtype=np.float32)
        np.maximum(block, 0, out=block)
    return X


def make_labelings(X, ks):
    """Return a labeling for each k: the nearest of k random rows."""
    labelings = []
    for seed, k in enumerate(ks):
        centers = X[np.random.default_rng(seed).choice(len(X), k, replace=False)]
        nearness = X @ centers.T - (centers**2).sum(axis=1) / 2
        labelings.append(nearness.argmax(axis=1))
    return np.array(labelings)


@pytest.mark.parametrize("metric", N_ROWS_BY_METRIC)
def bench_silhouettes(metric):
    """Time nine mean silhouettes of the same rows."""
    X = make_rows(N_ROWS_BY_METRIC[metric], 2048)
    labelings = make_labelings(X, range(2, 11))

    def one_by_one():
        return [silhouette_score(X, labels, metric=metric) for labels in labelings]

    seconds = _medians(
        {
            "silhouette_score_many": lambda: silhouette_score_many(
                X, labelings, metric=metric
            ),
            "scikit-learn": one_by_one,
        }
    )

    scores, _ = silhouette_score_many(X, labelings, metric=metric)
    wrong = np.abs(scores - one_by_one()).max()
    ratio = seconds["scikit-learn"] / seconds["silhouette_score_many"]
    print(f"\n{metric}, {len(X):,} x {X.shape[1]:,}, {len(labelings)} labelings")
    for name, value in seconds.items():
        print(f"  {name:22} {value:7.3f} s")
    print(f"  {ratio:.1f} times faster; scores differ by {wrong:.0e} at most")
    assert wrong < 1e-5


def bench_sample():
    """Print the time and the error of the mean silhouette of a sample of rows."""
    X = make_rows(20_000, 512)
    labelings = make_labelings(X, range(2, 11))
    ways = {
        "all rows": lambda: silhouette_score_many(X, labelings),
        "2,000 against all": lambda: silhouette_score_many(
            X, labelings, sample_size=2000, random_state=0
        ),
        "2,000 of scikit-learn's": lambda: (
            [
                silhouette_score(X, labels, sample_size=2000, random_state=0)
                for labels in labelings
            ],
            np.nan,
        ),
    }

    seconds = _medians(ways, 3)

    exact, _ = silhouette_score_many(X, labelings)
    print(f"\neuclidean, {len(X):,} x {X.shape[1]}, {len(labelings)} labelings")
    for name, run in ways.items():
        scores, errors = run()
        wrong = np.sqrt(((np.array(scores) - exact) ** 2).mean())
        print(
            f"  {name:24} {seconds[name]:6.2f} s, error {wrong:.4f}, standard error "
            f"{np.mean(errors):.4f}"
        )


PROGRAM = """
import sys, time
import numpy as np
import sklearn.metrics, imgsim.cluster, imgsim._distance.kernels
from imgsim.cluster import silhouette_score_many

{functions}

def peak():
    with open("/proc/self/status") as status:
        lines = dict(line.split(":", 1) for line in status)
    return int(lines["VmHWM"].split()[0]) / 1024

before = peak()
X = make_rows(50_000, 1280)
labelings = make_labelings(X, {numbers})
start = time.perf_counter()
silhouette_score_many(X, labelings)
print(time.perf_counter() - start, peak() - before, X.nbytes / 2**20)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
@pytest.mark.parametrize("numbers", ["range(2, 22)", "[50] * 20"])
def bench_memory(numbers):
    """Measure the peak memory of a new process, including rows and labels."""
    functions = "\n".join(map(inspect.getsource, (make_rows, make_labelings)))
    program = PROGRAM.format(functions=functions, numbers=numbers)

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True
    )

    seconds, peak, rows = map(float, done.stdout.split())
    print(f"\neuclidean, 50,000 x 1,280, 20 labelings, k in {numbers}")
    print(f"  {seconds:.0f} s, peak {peak:,.0f} MiB, of which rows {rows:,.0f} MiB")
    assert peak < 2048


def bench_select_k():
    """Compare select_k with a loop over k; both must give the same results."""
    ks, X = range(2, 11), make_rows(4738, 2048)

    def loop():
        found = {}
        for k in ks:
            labels = KMeans(k, random_state=0).fit(X).labels_
            found[k] = labels, silhouette_score(X, labels)
        return found

    with warnings.catch_warnings():
        # The rows have no clear clusters, which causes a warning each time.
        warnings.simplefilter("ignore", WeakClustersWarning)
        ours = select_k(X, ks, metric="euclidean", n_jobs=-1, random_state=0)
        seconds = _medians(
            {
                "select_k": lambda: select_k(
                    X, ks, metric="euclidean", n_jobs=-1, random_state=0
                ),
                "KMeans + silhouette_score": loop,
            }
        )

    theirs = loop()
    print(
        f"\nselect_k, {len(X):,} x {X.shape[1]:,}, k = 2 to 10, all criteria, all cores"
    )
    for name, value in seconds.items():
        print(f"  {name:26} {value:6.2f} s, {value / seconds['select_k']:5.2f}")
    for k, silhouette in zip(ks, ours.table["silhouette"], strict=True):
        np.testing.assert_array_equal(ours.labelings[k], theirs[k][0])
        np.testing.assert_allclose(silhouette, theirs[k][1], atol=1e-5)


@pytest.mark.parametrize("n_rows", [5_000, 20_000])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def bench_shared_initial_centers(n_rows, metric):
    """Measure how much select_k saves by drawing initial centers once for all k.

    If the user sets the initialization of k-means, they are drawn for each k.
    """
    ks = range(2, 31)
    X, _ = make_blobs(n_rows, 128, centers=15, cluster_std=6.0, random_state=0)
    X = X.astype(np.float32)

    def select(**kwargs):
        return select_k(X, ks, metric=metric, random_state=0, **kwargs)

    ways = {
        "drawn once": select,
        "drawn for each k": lambda: select(algorithm_params={"init": "k-means++"}),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WeakClustersWarning)
        seconds = _medians(ways, 3)
        once, for_each = (run() for run in ways.values())

    print(f"\nselect_k, {metric}, {n_rows:,} x 128, k = 2 to 30, initial centers")
    for name, value in seconds.items():
        print(f"  {name:18} {value:6.2f} s, {value / seconds['drawn once']:5.2f}")
    for k in ks:
        np.testing.assert_array_equal(once.labelings[k], for_each.labelings[k])


RECIPE = {"algorithm": "leiden", "metric": "cosine", "n_components": "auto"}


def bench_photographs():
    """Print how well clusters of photographs agree with their classes.

    The recipe of the user guide is evaluated on all classes and on each half of the
    classes, so that the result does not depend on one collection only. It is compared
    with the other algorithms, which are given the number of classes if they accept one.
    """
    data = os.environ.get("IMGSIM_TEST_DATA")
    if not data:
        pytest.skip("IMGSIM_TEST_DATA is unset: no real photographs to cluster")
    photos = load_image_folder(Path(data) / "data/animals")
    weights = Path(data) / "weights/mobilenetv2_100_tf_in1k.safetensors"
    X = ImageEmbedder(
        "mobilenetv2_100",
        checkpoint_path=weights,
        model_kwargs={"pad_type": "same"},
        mean=0.5,
        std=0.5,
    ).fit_transform(photos.paths)
    n_classes = len(photos.target_names)
    drawn = np.random.default_rng(0).permutation(n_classes)

    print(f"\nadjusted Rand index, {len(X):,} photographs of {n_classes} classes")
    for name, classes in {
        "all": drawn,
        "half of the classes": drawn[: n_classes // 2],
        "the other half": drawn[n_classes // 2 :],
    }.items():
        some = np.isin(photos.target, classes)
        for n_clusters in ("auto", len(classes)):
            _print_agreement(name, X[some], photos.target[some], n_clusters, **RECIPE)
    for algorithm in ("kmeans", "spectral", "agglomerative", "gaussian_mixture"):
        setting = {**RECIPE, "algorithm": algorithm}
        _print_agreement("all", X, photos.target, n_classes, **setting)
    for algorithm in ("dbscan", "hdbscan"):
        setting = {**RECIPE, "algorithm": algorithm, "n_components": 32}
        _print_agreement("all", X, photos.target, "auto", **setting)


def _print_agreement(name, X, target, n_clusters, **setting):
    start = time.perf_counter()
    clusterer = ImageClusterer(n_clusters, random_state=0, **setting).fit(X)
    seconds = time.perf_counter() - start
    agreement = adjusted_rand_score(target, clusterer.labels_)
    print(
        f"  {setting['algorithm']:17} {name:20} n_clusters={n_clusters!s:5} "
        f"{agreement:.3f}, {clusterer.n_clusters_} clusters, {clusterer.n_noise_} "
        f"noise, {seconds:.1f} s"
    )
