"""
Choose the number of groups
===========================

How many groups are there? ``select_k`` groups the collection for each candidate and
compares the mean silhouettes: how much nearer a picture is to its own group than to the
next. It is what ``ImageClusterer(n_clusters="auto")`` asks.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np

from imgsim import ColorHistogramEmbedder, select_k
from imgsim.datasets import load_digit_images, load_sample_photos
from imgsim.exceptions import WeakClustersWarning

# %%
# Two collections: 16 pictures with 3 near copies of each, and ten handwritten digits.

photos = load_sample_photos(n_copies=3)
X_photos = ColorHistogramEmbedder().fit_transform(photos.images)

digits = load_digit_images(n_per_class=40)
by_ink = ColorHistogramEmbedder(bins=(1, 1, 4), grid=(8, 8), image_size=32)
X_digits = by_ink.fit_transform(digits.images)

# %%
# The result holds a table with a row a candidate, the labels for each, and the best.

candidates = range(2, 25)
of_photos = select_k(X_photos, candidates, metric="euclidean", random_state=0)
of_digits = select_k(X_digits, candidates, metric="euclidean", random_state=0)

_, axes = plt.subplots(1, 2, figsize=(8, 3), sharey=True, layout="constrained")
of_photos.plot(ax=axes[0])
of_digits.plot(ax=axes[1])
axes[0].set(title="near copies of 16 pictures", ylim=(0, 1.05))
axes[1].set(title="ten handwritten digits", ylabel="")
plt.show()

# %%
# On the left the curve has a top, at one group more than there are pictures. The groups
# show why: one copy, compressed until its sky changed colour, is alone.

labels = of_photos.labelings[17]
for label in np.flatnonzero(np.bincount(labels) != 4):
    members = np.flatnonzero(labels == label)
    names = [photos.copy_names[i] for i in members]
    print(f"{photos.target_names[photos.target[members[0]]]}: {', '.join(names)}")

# %%
# On the right the curve is low and nearly flat. Its top is at the right number, but the
# groups hardly stand apart: look at the curve, not only at the number at its top.
#
# Near the top, candidates differ by less than their standard errors: 16 is as good as
# 17. The table has the other criteria as well.

table = of_photos.table
for k in (15, 16, 17, 18):
    row = table["k"] == k
    silhouette, error = table["silhouette"][row][0], table["silhouette_se"][row][0]
    print(f"{k}: {silhouette:.3f} ± {error:.3f}")
of_photos.plot(criteria=["silhouette", "davies_bouldin", "inertia"])
plt.show()

# %%
# Which k is best depends on whom you ask. Where groups stand apart, the answers lie
# close together. Here they do not, and silhouettes come nearest: 16 and 10 are right.

print("                    photos  digits")
for criterion in ("silhouette", "inertia", "davies_bouldin", "calinski_harabasz"):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WeakClustersWarning)
        best = [
            select_k(
                X,
                candidates,
                metric="euclidean",
                criterion=criterion,
                random_state=0,
            ).best_k
            for X in (X_photos, X_digits)
        ]
    print(f"{criterion:18} {best[0]:7} {best[1]:7}")
