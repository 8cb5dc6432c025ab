"""
Find clusters that are not well separated
=========================================

A clustering algorithm returns clusters for any data. Silhouettes show which of them are
well separated, and which ones you should look at first.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import adjusted_rand_score

from imgsim import ColorHistogramEmbedder, ImageClusterer
from imgsim.cluster import silhouette_score_many
from imgsim.datasets import load_digit_images
from imgsim.display import ClusterDisplay, SilhouetteDisplay

# %%
# We cluster the digits into ten clusters with k-means, using the best of ten
# initializations. The silhouette of an image is near 1 if the image is much nearer to
# its own cluster than to any other cluster, and negative if it is nearer to another
# cluster. The display shows the sorted silhouettes of each cluster. The height of a
# cluster in the display is the number of its images, and the dashed line is the mean
# silhouette of all images.

digits = load_digit_images()
by_ink = ColorHistogramEmbedder(bins=(1, 1, 4), grid=(8, 8), image_size=32)
X = by_ink.fit_transform(digits.images)
clusterer = ImageClusterer(10, algorithm_params={"n_init": 10}, random_state=0).fit(X)

SilhouetteDisplay.from_estimator(clusterer).plot()
plt.show()

# %%
# The two largest clusters also have the smallest mean silhouettes. For each of them, we
# show 24 images, evenly spaced from the largest silhouette to the smallest.


def sample_images(cluster, n_images=24):
    """Return images of a cluster, sorted by decreasing silhouette."""
    members = np.flatnonzero(clusterer.labels_ == cluster)
    order = members[np.argsort(-clusterer.silhouette_samples_[members])]
    return digits.images[order[np.linspace(0, len(order) - 1, n_images, dtype=int)]]


worst = np.argsort(clusterer.report()["silhouette"])[:2].tolist()
ClusterDisplay(
    clusters={cluster: sample_images(cluster) for cluster in worst},
    sizes={cluster: clusterer.cluster_sizes_[cluster] for cluster in worst},
).plot(n_columns=12)
plt.show()

# %%
# One cluster contains nines, fives and eights, and the other one contains ones and
# eights. Since there are ten clusters, the images of some other digit must be divided
# among several clusters.
#
# We can evaluate the clusters of any algorithm in the same way. Leiden finds densely
# connected regions and their number.

leiden = ImageClusterer(algorithm="leiden", random_state=0).fit(X)
SilhouetteDisplay.from_predictions(X, leiden.labels_, metric="cosine").plot()
plt.show()

# %%
# ``silhouette_score_many`` computes the silhouettes of several clusterings in one pass
# over the distances.

labelings = {"k-means": clusterer.labels_, "Leiden": leiden.labels_}
means, errors = silhouette_score_many(X, list(labelings.values()), metric="cosine")
for (name, labels), mean, error in zip(labelings.items(), means, errors, strict=True):
    rand_index = adjusted_rand_score(digits.target, labels)
    print(f"{name:8} silhouette {mean:.3f} ± {error:.3f}, Rand index {rand_index:.2f}")

# %%
# The clusters of Leiden agree much better with the digits, but their mean silhouette is
# not larger. Silhouettes favor compact clusters. They show which clusters of a
# clustering need a closer look and help to choose the number of clusters for one
# algorithm, but they do not show which algorithm is best.
