"""
Tell good groups from bad ones
==============================

An algorithm always returns groups. Silhouettes tell which of them stand apart, and
which to look at first.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import adjusted_rand_score

from imgsim import ColorHistogramEmbedder, ImageClusterer
from imgsim.cluster import silhouette_score_many
from imgsim.datasets import load_digit_images
from imgsim.display import ClusterDisplay, SilhouetteDisplay

# %%
# k-means is told that there are ten digits, and returns the best ten groups of ten
# starts. The silhouette of a picture is near 1 if it is far nearer to its own group
# than to the next, and below 0 if it is nearer to the next. Each group is a knife of
# sorted silhouettes, as thick as it has pictures; the dashed line is the mean of all.

digits = load_digit_images()
by_ink = ColorHistogramEmbedder(bins=(1, 1, 4), grid=(8, 8), image_size=32)
X = by_ink.fit_transform(digits.images)
clusterer = ImageClusterer(
    10, metric="euclidean", algorithm_params={"n_init": 10}, random_state=0
).fit(X)

SilhouetteDisplay.from_estimator(clusterer).plot()
plt.show()

# %%
# The two thickest knives also have the smallest means. Here are 24 pictures of each,
# evenly spread from the largest silhouette to the smallest.


def spread(group, n_images=24):
    """Return pictures of a group, from the best to the worst."""
    members = np.flatnonzero(clusterer.labels_ == group)
    order = members[np.argsort(-clusterer.silhouette_samples_[members])]
    return digits.images[order[np.linspace(0, len(order) - 1, n_images, dtype=int)]]


suspects = np.argsort(clusterer.report()["silhouette"])[:2].tolist()
ClusterDisplay(
    groups={group: spread(group) for group in suspects},
    sizes={group: clusterer.cluster_sizes_[group] for group in suspects},
).plot(n_columns=12)
plt.show()

# %%
# One holds nines, fives and eights, the other ones and eights. As there are ten groups
# in all, some of the others must be pieces of one digit.
#
# Groups of another algorithm are judged by the same distances. Leiden follows dense
# regions instead of cutting between centres, and finds by itself how many there are.

leiden = ImageClusterer(algorithm="leiden", metric="cosine", random_state=0).fit(X)
SilhouetteDisplay.from_predictions(X, leiden.labels_).plot()
plt.show()

# %%
# The silhouettes of many labelings come from one pass over the distances.

labelings = {"k-means": clusterer.labels_, "Leiden": leiden.labels_}
means, errors = silhouette_score_many(X, list(labelings.values()))
for (name, labels), mean, error in zip(labelings.items(), means, errors, strict=True):
    rand_index = adjusted_rand_score(digits.target, labels)
    print(f"{name:8} silhouette {mean:.3f} ± {error:.3f}, Rand index {rand_index:.2f}")

# %%
# Leiden agrees far better with the digits, and no better with the distances.
# Silhouettes favour round groups: they tell which groups of a clustering to look at,
# and how many groups of one algorithm to take, but not which algorithm is right.
