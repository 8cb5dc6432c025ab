"""
Choose the number of clusters
=============================

How many clusters does a collection have? ``select_k`` clusters the collection for each
candidate number and compares the mean silhouettes. The silhouette of an image measures
how much nearer it is to its own cluster than to the nearest other cluster.
``ImageClusterer(n_clusters="auto")`` uses the same method.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np

from imgsim import ColorHistogramEmbedder, select_k
from imgsim.datasets import load_digit_images, load_sample_photos
from imgsim.exceptions import WeakClustersWarning

# %%
# We use two collections: 16 images with three near copies of each, and handwritten
# digits of ten classes.

photos = load_sample_photos(n_copies=3)
X_photos = ColorHistogramEmbedder().fit_transform(photos.images)

digits = load_digit_images(n_per_class=40)
by_ink = ColorHistogramEmbedder(bins=(1, 1, 4), grid=(8, 8), image_size=32)
X_digits = by_ink.fit_transform(digits.images)

# %%
# The result contains a table with a row for each candidate, the cluster labels of each
# candidate, and the best candidate. For the digits, a warning says that other
# candidates are almost as good.

candidates = range(2, 25)
of_photos = select_k(X_photos, candidates, random_state=0)
of_digits = select_k(X_digits, candidates, random_state=0)

_, axes = plt.subplots(1, 2, figsize=(8, 3), sharey=True, layout="constrained")
of_photos.plot(ax=axes[0])
of_digits.plot(ax=axes[1])
axes[0].set(title="near copies of 16 images", ylim=(0, 1.05))
axes[1].set(title="ten handwritten digits", ylabel="")
plt.show()

# %%
# On the left, the curve has a clear maximum at the correct number, 16. On the right,
# the curve is low and nearly flat. Its maximum is at the correct number, 10, but the
# clusters are not well separated. Always look at the curve and not only at its maximum.
#
# Near the maximum, candidates differ by less than their standard errors: 17 is as good
# as 16. The table also has the values of the other criteria.

table = of_photos.table
for k in (15, 16, 17, 18):
    row = table["k"] == k
    silhouette, error = table["silhouette"][row][0], table["silhouette_se"][row][0]
    print(f"{k}: {silhouette:.3f} ± {error:.3f}")
of_photos.plot(criteria=["silhouette", "davies_bouldin", "inertia"])
plt.show()

# %%
# The labels show how 17 clusters differ from 16. One copy was compressed so much that
# the color of its sky changed, and it forms a cluster of its own.

labels = of_photos.labelings[17]
for label in np.flatnonzero(np.bincount(labels) != 4):
    members = np.flatnonzero(labels == label)
    names = [photos.copy_names[i] for i in members]
    print(f"{photos.target_names[photos.target[members[0]]]}: {', '.join(names)}")

# %%
# The criteria do not always agree on the best number. If clusters are well separated,
# their results are close together. Here they differ, and the silhouette is the only
# criterion that selects the correct numbers, 16 and 10.

print("                    photos  digits")
for criterion in ("silhouette", "inertia", "davies_bouldin", "calinski_harabasz"):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WeakClustersWarning)
        best = [
            select_k(X, candidates, criterion=criterion, random_state=0).best_k
            for X in (X_photos, X_digits)
        ]
    print(f"{criterion:18} {best[0]:7} {best[1]:7}")
