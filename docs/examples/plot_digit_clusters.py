"""
Cluster handwritten digits
==========================

This example clusters a collection of images without using their labels, and shows the
most typical images of each cluster. Because the digits do have labels, we can then
measure how well the clusters agree with them.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import adjusted_rand_score
from sklearn.pipeline import make_pipeline

from imgsim import ColorHistogramEmbedder, ImageClusterer
from imgsim.datasets import load_digit_images
from imgsim.display import ClusterDisplay

# %%
# Gray images have no hue and no saturation, so a single bin is enough for each of them.
# Digits differ in the position of the ink, so we use a fine grid. The result of k-means
# depends on its initialization. With `n_init=10`, the best of ten results is used.

digits = load_digit_images()
pipeline = make_pipeline(
    ColorHistogramEmbedder(bins=(1, 1, 4), grid=(8, 8), image_size=32),
    ImageClusterer(n_clusters=10, algorithm_params={"n_init": 10}, random_state=0),
)
labels = pipeline.fit_predict(digits.images)
clusterer = pipeline[-1]
print(f"Cluster sizes: {clusterer.cluster_sizes_.tolist()}")

# %%
# Clusters are numbered by size, and the images of each cluster are sorted by their
# distance from its center. The most typical images come first.

display = ClusterDisplay.from_estimator(pipeline, digits.images, n_images=12)
display.plot(n_columns=12)
plt.show()

# %%
# The adjusted Rand index is 1 if clusters and digits agree on every pair of images, and
# about 0 if the clusters are random.

print(f"Adjusted Rand index: {adjusted_rand_score(digits.target, labels):.3f}")

# %%
# The number of images of each digit in each cluster shows the differences. There is no
# cluster of eights: most of them are in a cluster with ones. The ones are distributed
# over three clusters.

counts = np.zeros((10, 10), dtype=int)
np.add.at(counts, (labels, digits.target), 1)

_, ax = plt.subplots(figsize=(5, 4.5), layout="constrained")
ax.imshow(counts, cmap="Blues")
for (cluster, digit), count in np.ndenumerate(counts):
    if count:
        color = "white" if count > counts.max() / 2 else "black"
        ax.text(digit, cluster, count, ha="center", va="center", color=color, size=8)
ax.set(xlabel="digit", ylabel="cluster", xticks=range(10), yticks=range(10))
plt.show()
