"""
Compare clustering algorithms
=============================

Which clustering algorithm is best depends on the clusters: on their number and size,
and on whether there are images that belong to no cluster. This example applies nine
algorithms to two collections whose classes are known. One collection has a few large
classes, and the other has many small ones.
"""

from time import perf_counter

import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import adjusted_rand_score

from imgsim import ColorHistogramEmbedder, ImageClusterer, ImageEmbedder
from imgsim.datasets import load_digit_images, load_installed_photos

# %%
# The first collection consists of about 180 images of each of the ten digits, and the
# second of photographs of 18 subjects and five near copies of each photograph.

digits = load_digit_images()
by_ink = ColorHistogramEmbedder(bins=(1, 1, 4), grid=(8, 8), image_size=32)
photos = load_installed_photos()
collections = {
    "ten digits": (by_ink.fit_transform(digits.images), digits.target),
    "near copies of photographs": (
        ImageEmbedder("tf_efficientnet_lite0").fit_transform(photos.images),
        photos.target,
    ),
}

# %%
# Six algorithms need the number of clusters, and we pass the correct number. The other
# three find it themselves. Leiden connects each image with its 20 nearest neighbors by
# default, and we also try three.

algorithms = {
    "kmeans": {},
    "minibatch_kmeans": {},
    "bisecting_kmeans": {},
    "gaussian_mixture": {},
    "agglomerative": {},
    "spectral": {},
    "leiden": {},
    "leiden, 3 neighbors": {"n_neighbors": 3},
    "hdbscan": {},
    "dbscan": {},
}
finds_n_clusters = {"leiden", "hdbscan", "dbscan"}


def rand_index(target, labels):
    """Compare clusters with classes, where each noise image is its own cluster."""
    singletons = len(labels) + np.arange(len(labels))
    return adjusted_rand_score(target, np.where(labels < 0, singletons, labels))


def compare(X, target):
    """Return Rand index, number of clusters, noise and seconds of each algorithm."""
    results = {}
    for title, params in algorithms.items():
        name = title.partition(",")[0]
        clusterer = ImageClusterer(
            "auto" if name in finds_n_clusters else len(np.unique(target)),
            algorithm=name,
            metric="cosine",
            n_components=32,
            algorithm_params=params,
            random_state=0,
        )
        start = perf_counter()
        clusterer.fit(X)
        seconds = perf_counter() - start
        score = rand_index(target, clusterer.labels_)
        results[title] = (score, clusterer.n_clusters_, clusterer.n_noise_, seconds)
    return results


results = {title: compare(X, target) for title, (X, target) in collections.items()}
for title, rows in results.items():
    print(f"\n{title:24}  Rand index  clusters  noise  seconds")
    for name, (score, n_clusters, n_noise, seconds) in rows.items():
        print(f"{name:24} {score:11.2f} {n_clusters:9} {n_noise:6} {seconds:8.1f}")

# %%
# The adjusted Rand index is 1 if clusters and classes agree on every pair of images.
# The text next to each bar is the number of clusters and the number of images that were
# labeled as noise. Algorithms that find the number of clusters have orange bars.

_, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
for ax, (title, rows) in zip(axes, results.items(), strict=True):
    scores = [score for score, *_ in rows.values()]
    is_found = [name.split(",")[0] in finds_n_clusters for name in rows]
    bars = ax.barh(list(rows), scores, color=np.where(is_found, "C1", "C0"))
    notes = [
        f"{n_clusters}, {n_noise} noise" if n_noise else str(n_clusters)
        for _, n_clusters, n_noise, _ in rows.values()
    ]
    ax.bar_label(bars, notes, padding=3, size=8)
    ax.set(title=title, xlabel="adjusted Rand index", xlim=(0, 1.3))
    ax.set_xticks(np.linspace(0, 1, 6))
    ax.spines[["top", "right"]].set_visible(False)
axes[0].invert_yaxis()
plt.show()

# %%
# The classes of digits are connected regions that are not convex, and Leiden can follow
# such regions. It has the highest Rand index although it finds more than ten clusters,
# because some digits are written in several ways. With 20 neighbors, it merges copies
# of different photographs, since most classes of the second collection have only six
# images. With three neighbors, on the other hand, it splits the classes of digits.
#
# HDBSCAN and DBSCAN find dense clusters. The near copies of a photograph form a dense
# cluster, so that HDBSCAN finds all 18 clusters without being told their number, and
# DBSCAN labels only a few images as noise. The classes of digits are not dense: HDBSCAN
# labels a third of the images as noise, and DBSCAN a fifth.
