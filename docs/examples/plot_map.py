"""
Show a collection as a map
==========================

A map places similar images near each other in two dimensions. It shows what a
collection contains, which clusters are close to each other, and which images are among
images of another class.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.neighbors import NearestNeighbors

from imgsim import ColorHistogramEmbedder, ImageClusterer, ImageEmbedder
from imgsim.datasets import load_digit_images, load_installed_photos
from imgsim.display import EmbeddingMapDisplay

# %%
# By default, the map is computed by t-SNE, which places each image near its nearest
# neighbors. The map is divided into cells. In each cell, the image that is nearest to
# the center is drawn as a thumbnail, and the other images are drawn as points. The
# frame and the marker of a thumbnail show its digit.

digits = load_digit_images(n_per_class=60)
by_ink = ColorHistogramEmbedder(bins=(1, 1, 4), grid=(8, 8), image_size=32)
X = by_ink.fit_transform(digits.images)

by_digit = EmbeddingMapDisplay.from_predictions(
    X,
    digits.target,
    images=digits.images,
    label_names=[f"digit {n}" for n in range(10)],
    random_state=0,
)
by_digit.plot()
plt.show()

# %%
# We now draw the same map without thumbnails, and next to it the clusters that k-means
# finds. The name of each digit or cluster is written where most of its images are.

clusterer = ImageClusterer(10, algorithm_params={"n_init": 10}, random_state=0).fit(X)
by_cluster = EmbeddingMapDisplay.from_predictions(
    X, clusterer.labels_, method=by_digit.positions
)

_, axes = plt.subplots(1, 2, figsize=(11, 5), layout="constrained")
by_digit.plot(ax=axes[0], n_thumbnails=0)
by_cluster.plot(ax=axes[1])
plt.show()

# %%
# An image among images of another digit deserves a closer look. We list images whose
# five nearest neighbors on the map all show the same other digit.

nearest = NearestNeighbors(n_neighbors=5).fit(by_digit.positions)
around = digits.target[nearest.kneighbors(return_distance=False)]
is_surrounded = (around == around[:, :1]).all(axis=1) & (around[:, 0] != digits.target)
for i in np.flatnonzero(is_surrounded)[:5]:
    print(f"Image {i} shows a {digits.target[i]} among images of {around[i, 0]}.")

# %%
# Queries are drawn as stars. In this collection of near copies of photographs, copies
# of the same photograph are close to each other, and each query is among its copies.
# Because there are only a few images, the thumbnails are larger.

photos = load_installed_photos()
is_query = np.array(photos.copy_names) == "original"
X_photos = ImageEmbedder("tf_efficientnet_lite0").fit_transform(photos.images)
collection = np.flatnonzero(~is_query)
queries = np.flatnonzero(is_query)[[2, 5, 6]]

EmbeddingMapDisplay.from_predictions(
    X_photos[collection],
    images=[photos.images[i] for i in collection],
    queries=X_photos[queries],
    query_images=[photos.images[i] for i in queries],
    perplexity=5,
    random_state=0,
).plot()
plt.show()
