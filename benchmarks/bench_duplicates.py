"""Quality of groups of duplicates, and the cost of finding them in a large collection.

Quality: 30 photographs in nine variants each (unchanged, cropped, mirrored, brighter,
recompressed, rotated by five degrees, captioned, in gray, at half the size), alone and
among 1,467 photographs of animals, which contain each of the 30 once more. They are
embedded by MobileNetV2. Precision, recall and F1 of the pairs in a group are printed
for each threshold, for complete linkage and, as a baseline, for single linkage. A few
of the pairs that count as wrong show the same scene.

Cost: 200,000 unit vectors of 512 float32 numbers, of which 20,000 are in groups of
five. The time of the search in seconds, the peak memory before the search and its
increase by the search in MiB are printed.
"""

import os
import resource
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest
from scipy.sparse.csgraph import connected_components
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize

from imgsim import ImageEmbedder, list_images
from imgsim.duplicates import find_duplicates

THRESHOLDS = [*np.arange(2, 31) / 100, 0.35, 0.4, 0.45, 0.5]
N_ROWS, WIDTH, N_GROUPS, GROUP_SIZE = 200_000, 512, 4_000, 5


@dataclass
class Photographs:
    """Embeddings of variants of photographs, and the photograph of each variant."""

    X: np.ndarray
    target: np.ndarray


@pytest.fixture(scope="module")
def photographs():
    """Return the variants alone, and among distractors."""
    folder = os.environ.get("IMGSIM_TEST_DATA")
    if not folder:
        pytest.skip("IMGSIM_TEST_DATA is not set: no near duplicates")
    embedder = ImageEmbedder(
        "mobilenetv2_100",
        checkpoint_path=Path(folder) / "weights/mobilenetv2_100_tf_in1k.safetensors",
        model_kwargs={"pad_type": "same"},
        mean=0.5,
        std=0.5,
    )
    variants = list_images(Path(folder) / "data/neardup")
    animals = list_images(Path(folder) / "data/animals")
    # The folder of the variants of a photograph has the name of the photograph.
    target = np.array(
        [path.parent.name for path in variants] + [path.stem for path in animals]
    )
    X = embedder.fit_transform([*variants, *animals])
    n = len(variants)
    return {"alone": Photographs(X[:n], target[:n]), "hidden": Photographs(X, target)}


def _complete_linkage(X, max_distance):
    labels = np.arange(len(X))
    for group in find_duplicates(X, max_distance):
        labels[group.rows] = group.rows[0]
    return labels


def _single_linkage(X, max_distance):
    neighbors = NearestNeighbors(radius=max_distance, metric="cosine").fit(X)
    return connected_components(neighbors.radius_neighbors_graph(), directed=False)[1]


METHODS = {
    "single linkage (baseline)": _single_linkage,
    "find_duplicates": _complete_linkage,
}


def _pair_metrics(labels, target):
    """Return precision, recall and F1 of pairs."""
    found = labels[:, np.newaxis] == labels
    correct = target[:, np.newaxis] == target
    n_both, n_found, n_correct = (
        np.triu(pairs, 1).sum() for pairs in (found & correct, found, correct)
    )
    f1 = 2 * n_both / (n_found + n_correct)
    return n_both / max(1, n_found), n_both / n_correct, f1


@pytest.mark.benchmark(group="groups at 33 thresholds, seconds")
@pytest.mark.parametrize("which", ["alone", "hidden"])
@pytest.mark.parametrize("method", METHODS)
def bench_quality(benchmark, photographs, method, which):
    """Find groups at each threshold."""
    data = photographs[which]

    def group_all():
        return [METHODS[method](data.X, limit) for limit in THRESHOLDS]

    labelings = benchmark.pedantic(group_all, rounds=1)

    print(f"\n{method}, {which}\nmax_distance precision  recall      F1")
    for limit, labels in zip(THRESHOLDS, labelings, strict=True):
        precision, recall, f1 = _pair_metrics(labels, data.target)
        print(f"{limit:>12.2f}{precision:>10.3f}{recall:>8.3f}{f1:>8.3f}")


@pytest.mark.benchmark(group="duplicates among 200,000 x 512, seconds")
@pytest.mark.parametrize("loaded", ["numpy", "torch"])
def bench_many_rows(benchmark, loaded):
    """Find known groups; if torch is imported, bfloat16 products may be used."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        found = benchmark.pedantic(
            lambda: process.submit(_find_known_groups, loaded).result(), rounds=1
        )

    benchmark.extra_info.update(found)
    figures = ", ".join(f"{name} {value:.0f}" for name, value in found.items())
    print(f"\n{loaded} loaded: {figures}")


def _find_known_groups(loaded):
    """Return time and peak memory, measured in a separate process."""
    import_module(loaded)
    X, known = _rows_with_groups()
    before, start = _peak(), perf_counter()
    groups = find_duplicates(X)
    seconds = perf_counter() - start
    assert {tuple(group.rows.tolist()) for group in groups} == known
    return {"seconds": seconds, "MiB before": before, "MiB added": _peak() - before}


def _rows_with_groups():
    rng = np.random.default_rng(0)
    X = normalize(rng.standard_normal((N_ROWS, WIDTH), dtype=np.float32), copy=False)
    groups = rng.permutation(N_ROWS)[: N_GROUPS * GROUP_SIZE].reshape(N_GROUPS, -1)
    noise = rng.standard_normal((*groups.shape, WIDTH), dtype=np.float32)
    X[groups] = X[groups[:, :1]] + 0.01 * noise
    return X, {tuple(sorted(group)) for group in groups.tolist()}


def _peak():
    """Return the peak memory of the process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
