"""Time of a search, in seconds, compared with scikit-learn, faiss, hnswlib and usearch.

Exact search finds the 10 nearest of 100,000 rows of 512 numbers for 2,000 queries,
float32 and standard normal. The baselines are scikit-learn's brute force and faiss's
flat index. For cosine, faiss computes Euclidean distances of unit rows, which takes the
same number of operations.

Approximate search finds the 10 nearest of 50,000 rows of 1,280 numbers for 2,000
queries: embeddings of crops of photographs, some of them mirrored, by MobileNetV2. The
baselines are hnswlib and usearch, built with their defaults, with the smallest search
width that reaches a recall of 95 %. BENCH_INDEX_ROWS names a .npy file in which the
embeddings are kept between runs.

All methods run once in each of several rounds, in turn, and their medians are compared.
All use all cores.
"""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import faiss
import hnswlib
import numpy as np
import pytest
from PIL import Image
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize
from usearch.index import Index

from imgsim import ImageEmbedder, SimilarityIndex, list_images
from imgsim.metrics import average_precision_at_k

N_ROWS, N_QUERIES, WIDTH, K = 100_000, 2_000, 512, 10
N_ROUNDS = 5
FAISS_METRICS = {
    "cosine": faiss.METRIC_L2,
    "euclidean": faiss.METRIC_L2,
    "manhattan": faiss.METRIC_L1,
}


def _medians(methods, n_rounds=N_ROUNDS):
    """Return the median time of each method; the first round is not counted."""
    seconds = {name: [] for name in methods}
    for _ in range(n_rounds + 1):
        for name, run in methods.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(each[1:]) for name, each in seconds.items()}


def _seconds(run):
    start = time.perf_counter()
    result = run()
    return time.perf_counter() - start, result


@pytest.fixture(scope="module")
def normal_rows():
    """Return rows and queries, float32."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N_ROWS + N_QUERIES, WIDTH), dtype=np.float32)
    return X[:N_ROWS], X[N_ROWS:]


@pytest.mark.parametrize("metric", FAISS_METRICS)
def bench_exact(normal_rows, metric):
    """Time exact search, and compare its neighbors with those of faiss."""
    X, queries = normal_rows
    if metric == "manhattan":
        queries = queries[:200]  # scikit-learn takes minutes for all queries
    if metric == "cosine":
        X, queries = (
            a / np.linalg.norm(a, axis=1, keepdims=True) for a in (X, queries)
        )
    flat = faiss.IndexFlat(WIDTH, FAISS_METRICS[metric])
    flat.add(X)
    brute = NearestNeighbors(n_neighbors=K, metric=metric, algorithm="brute").fit(X)
    index = SimilarityIndex(K, metric=metric, algorithm="exact").fit(X)

    seconds = _medians(
        {
            "SimilarityIndex": lambda: index.kneighbors(queries),
            "faiss": lambda: flat.search(queries, K),
            "scikit-learn": lambda: brute.kneighbors(queries),
        }
    )

    same = (index.kneighbors(queries)[1] == flat.search(queries, K)[1]).mean()
    print(f"\n{metric}, exact, {N_ROWS:,} x {WIDTH}, {len(queries):,} queries")
    for name, value in seconds.items():
        ratio = value / seconds["SimilarityIndex"]
        print(f"  {name:16} {value:6.2f} s, {ratio:5.2f} times SimilarityIndex")
    print(f"  neighbors equal to faiss: {same:.4%}")
    assert same > 0.999  # faiss rounds distances to float32


@pytest.fixture(scope="module")
def embeddings():
    """Return embeddings of unit length of crops, and of other crops as queries."""
    kept = os.environ.get("BENCH_INDEX_ROWS")
    if kept and Path(kept).exists():
        X = np.load(kept)
    else:
        X = _embedded_crops()
        if kept:
            np.save(kept, X)
    X = normalize(X)
    return X[:50_000], X[50_000:50_500]


def _embedded_crops(n_rows=50_500):
    folder = os.environ.get("IMGSIM_TEST_DATA")
    if not folder:
        pytest.skip("IMGSIM_TEST_DATA is unset: no real photographs and weights")
    embedder = ImageEmbedder(
        "mobilenetv2_100",
        checkpoint_path=Path(folder) / "weights/mobilenetv2_100_tf_in1k.safetensors",
        model_kwargs={"pad_type": "same"},
        mean=0.5,
        std=0.5,
    )
    paths = list_images(Path(folder) / "data/animals")
    n_crops = -(-n_rows // len(paths))
    rows = [
        embedder.transform([crop for path in some for crop in _crops(path, n_crops)])
        for some in np.array_split(paths, 50)
    ]
    return np.random.default_rng(0).permutation(np.concatenate(rows))[:n_rows]


def _crops(path, n_crops):
    """Yield crops of half to all of a photograph; every second one is mirrored."""
    rng = np.random.default_rng(len(str(path)))
    image = Image.open(path).convert("RGB")
    size = np.array(image.size)
    for i in range(n_crops):
        inner = np.maximum(8, size * rng.uniform(0.55, 1)).astype(int)
        left, top = rng.integers(0, size - inner + 1)
        crop = image.crop((left, top, left + inner[0], top + inner[1]))
        crop = crop.resize((224, 224), Image.Resampling.BILINEAR)
        yield crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if i % 2 else crop


def _recall(found, true):
    return np.mean([np.isin(a, b).mean() for a, b in zip(true, found, strict=True)])


def _hnswlib(X):
    index = hnswlib.Index("ip", X.shape[1])
    index.init_index(len(X), ef_construction=200, M=16)
    index.add_items(X)

    def search(queries, width):
        index.set_ef(width)
        return index.knn_query(queries, K)[0]

    return search


def _usearch(X):
    index = Index(ndim=X.shape[1], metric="ip", dtype="f32")
    index.add(np.arange(len(X)), X)

    def search(queries, width):
        index.expansion_search = width
        return index.search(queries, K).keys

    return search


def bench_approximate(embeddings):
    """Time builds and searches at a recall of 95 %, and the first build."""
    X, queries = embeddings
    true = SimilarityIndex(K, algorithm="exact").fit(X).kneighbors(queries)[1]
    index = SimilarityIndex(K, algorithm="pynndescent", random_state=0)
    index.fit(X[:3000])  # compiles the loops
    many = np.concatenate([queries] * 4)
    methods, lines = {}, {}
    for name, build in {"hnswlib": _hnswlib, "usearch": _usearch}.items():
        seconds, search = _seconds(lambda build=build: build(X))
        width = next(
            width
            for width in (10, 12, 16, 24, 32, 48, 64, 96, 128)
            if _recall(search(queries, width), true) >= 0.95
        )
        recall = _recall(search(queries, width), true)
        lines[name] = f"build {seconds:5.1f} s, width {width}, recall {recall:.4f}"
        methods[name] = lambda search=search, width=width: search(many, width)
    seconds, _ = _seconds(lambda: index.fit(X))
    recall = _recall(index.kneighbors(queries)[1], true)
    lines["SimilarityIndex"] = (
        f"build {seconds:5.1f} s, recall_ {index.recall_:.4f}, recall {recall:.4f}"
    )
    methods["SimilarityIndex"] = lambda: index.kneighbors(many)

    seconds = _medians(methods, 9)

    print(f"\napproximate, {len(X):,} x {X.shape[1]:,}, {len(many):,} queries")
    for name, value in seconds.items():
        print(f"  {name:16} {lines[name]}, {len(many) / value:7,.0f} queries/s")
    print(f"  first build of a process, with imports: {_first_build(X):.1f} s")


def _first_build(X):
    """Return the time in which a new process builds one graph."""
    program = (
        "import sys, time, numpy as np; X = np.load(sys.argv[1]); "
        "start = time.perf_counter(); from imgsim import SimilarityIndex; "
        "SimilarityIndex(algorithm='pynndescent', random_state=0).fit(X); "
        "print(time.perf_counter() - start)"
    )
    path = Path(os.environ.get("TMPDIR", "/tmp")) / f"bench_index_{os.getpid()}.npy"
    np.save(path, X)
    try:
        command = [sys.executable, "-c", program, str(path)]
        return float(subprocess.run(command, capture_output=True, check=True).stdout)
    finally:
        path.unlink()


def bench_crossing(embeddings):
    """Show for how many queries a graph is faster than exact search."""
    X, queries = embeddings
    print("\nrows      graph built    exact, 1 and 500 queries     graph, 1 and 500")
    for n_rows in (3_000, 10_000, 50_000):
        exact = SimilarityIndex(K, algorithm="exact").fit(X[:n_rows])
        graph = SimilarityIndex(K, algorithm="pynndescent", random_state=0)
        built, _ = _seconds(lambda graph=graph, n=n_rows: graph.fit(X[:n]))
        seconds = _medians(
            {
                (name, n): lambda index=index, n=n: index.kneighbors(queries[:n])
                for name, index in {"exact": exact, "graph": graph}.items()
                for n in (1, 500)
            }
        )
        times = "   ".join(f"{1000 * value:8.1f} ms" for value in seconds.values())
        print(f"{n_rows:6,}  {built:8.1f} s    {times}")


def bench_changes(normal_rows, tmp_path):
    """Time fitting, adding and removing 1 % of the rows, saving and loading."""
    X, queries = normal_rows
    index = SimilarityIndex(algorithm="exact")
    steps = {
        "fit": lambda: index.fit(X),
        "add 1 %": lambda: index.add(queries[:1000]),
        "remove 1 %": lambda: index.remove(range(1000)),
        "save": lambda: index.save(tmp_path / "index"),
        "load": lambda: SimilarityIndex.load(tmp_path / "index"),
    }
    print(f"\n{N_ROWS:,} x {WIDTH}")
    for name, step in steps.items():
        print(f"  {name:12} {1000 * _seconds(step)[0]:8.1f} ms")


def bench_rankings():
    """Show how expansion and augmentation change mean average precision."""
    folder = os.environ.get("IMGSIM_TEST_DATA")
    if not folder:
        pytest.skip("IMGSIM_TEST_DATA is unset: no real photographs and weights")
    from imgsim import load_image_folder

    data = load_image_folder(Path(folder) / "data/animals")
    X = ImageEmbedder(
        "mobilenetv2_100",
        checkpoint_path=Path(folder) / "weights/mobilenetv2_100_tf_in1k.safetensors",
        model_kwargs={"pad_type": "same"},
        mean=0.5,
        std=0.5,
    ).fit_transform(data.paths)
    print("\nquery_expansion  database_augmentation  mAP")
    for expanded, augmented in ((0, 0), (10, 0), (0, 10), (5, 5), (10, 10)):
        index = SimilarityIndex(
            query_expansion=expanded, database_augmentation=augmented
        )
        nearest = index.fit(X).kneighbors(n_neighbors=len(X) - 1)[1]
        relevant = data.target[nearest] == data.target[:, None]
        quality = average_precision_at_k(relevant, relevant.sum(axis=1))
        print(f"{expanded:15}  {augmented:21}  {quality:.3f}")
    _print_unknown_classes(X, data.target)


def _print_unknown_classes(X, target):
    """Show how many photographs of a class that is not indexed have no neighbor."""
    known, unknown = [], []
    for left_out in np.unique(target):
        is_known = target != left_out
        index = SimilarityIndex().fit(X[is_known], target[is_known])
        threshold = index.suggest_threshold(coverage=0.95)
        _, ids = index.search(max_distance=threshold)
        known.append(np.mean([len(neighbors) > 0 for neighbors in ids]))
        _, ids = index.search(X[~is_known], max_distance=threshold)
        unknown.append(np.mean([len(neighbors) == 0 for neighbors in ids]))
    print(
        f"photographs of known classes with a neighbor: {np.mean(known):.1%}; of the "
        f"class left out, each in turn, without one: {np.mean(unknown):.1%} "
        f"({min(unknown):.1%} to {max(unknown):.1%})"
    )
