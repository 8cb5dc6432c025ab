"""
Choose the number of groups
===========================

How many groups are there? ``select_k`` groups the collection for each candidate and
compares the mean silhouettes: how much nearer a picture is to its own group than to the
next. It is what ``ImageClusterer(n_clusters="auto")`` asks.
"""

import matplotlib.pyplot as plt
import numpy as np

from imgsim import ColorHistogramEmbedder, select_k
from imgsim.datasets import load_digit_images, load_sample_photos

# %%
# Two collections: 16 pictures with 3 near copies of each, and ten handwritten digits.

photos = load_sample_photos(n_copies=3)
X_photos = ColorHistogramEmbedder().fit_transform(photos.images)

digits = load_digit_images(n_per_class=40)
by_ink = ColorHistogramEmbedder(bins=(1, 1, 4), grid=(8, 8), image_size=32)
X_digits = by_ink.fit_transform(digits.images)

# %%
# The result holds a table with a row a candidate, the labels for each, and the best.

selections = {
    "near copies of 16 pictures": select_k(X_photos, range(2, 25), random_state=0),
    "ten handwritten digits": select_k(X_digits, range(2, 25), random_state=0),
}

_, axes = plt.subplots(1, 2, figsize=(8, 3), sharey=True, layout="constrained")
for ax, (title, selection) in zip(axes, selections.items(), strict=True):
    k, silhouette = selection.table["k"], selection.table["silhouette"]
    best = selection.best_k
    ax.plot(k, silhouette, marker=".")
    ax.plot(best, silhouette[k == best], "o", color="C1", label=f"best k = {best}")
    ax.set(title=title, xlabel="number of groups k", ylim=(0, 1.05))
    ax.legend(loc="upper left")
axes[0].set_ylabel("mean silhouette")
plt.show()

# %%
# On the left the curve has a top, at one group more than there are pictures. The groups
# show why: one copy, compressed until its sky changed colour, is alone.

labels = selections["near copies of 16 pictures"].labelings[17]
for label in np.flatnonzero(np.bincount(labels) != 4):
    members = np.flatnonzero(labels == label)
    names = [photos.copy_names[i] for i in members]
    print(f"{photos.target_names[photos.target[members[0]]]}: {', '.join(names)}")

# %%
# On the right the curve is low and nearly flat. The silhouette still names a best k,
# but no groups stand apart: look at the curve, not only at the number at its top.
