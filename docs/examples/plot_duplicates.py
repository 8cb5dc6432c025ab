"""
Find copies, and choose which to keep
=====================================

A collection has grown out of several folders, and many pictures are in it more than
once: as the same file, half as large, cropped, brighter, recompressed.
``find_duplicates`` puts them into groups and names the one to keep of each.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.sparse.csgraph import connected_components

from imgsim import ColorHistogramEmbedder, SimilarityIndex, find_duplicates
from imgsim.datasets import load_sample_photos

# %%
# 16 pictures with five copies of each, and two of the pictures once more, unchanged.
# The one to keep is the one with most pixels. Exact copies are told by their content.

photos = load_sample_photos()
again = [12, 54]
images = [*photos.images, *(photos.images[i] for i in again)]
target = np.append(photos.target, photos.target[again])
names = [*photos.copy_names, *["again"] * len(again)]

X = ColorHistogramEmbedder().fit_transform(images)
groups = find_duplicates(
    X,
    max_distance=0.75,
    metric="manhattan",
    keep=[image.shape[0] * image.shape[1] for image in images],
    images=images,
)
n_extra = sum(len(group.extra) for group in groups)
print(f"{len(groups)} groups; {n_extra} of {len(images)} images could go.")
print("Exact copies:", [same for group in groups for same in group.exact_copies])

# %%
# Always look at groups before you delete anything. Here are the first two and the last
# two, which are the smallest. The picture to keep is framed, and each group is named by
# the distance of its weakest pair.


def draw_group(axes, group):
    """Show the pictures of a group in a line, the one to keep first."""
    axes[0].set_ylabel(f"{group.distance:.2f}", rotation=0, ha="right", va="center")
    for ax in axes[len(group) :]:
        ax.set_axis_off()
    for ax, i in zip(axes, [group.kept, *group.extra], strict=False):
        ax.imshow(images[i])
        ax.set_xlabel(names[i], size=8)
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_color("lightgrey")
    axes[0].spines[:].set(color="C2", linewidth=5)


shown = [*groups[:2], *groups[-2:]]
n_columns = max(len(group) for group in shown)
figure, rows = plt.subplots(
    len(shown), n_columns, figsize=(8, 5.2), layout="constrained"
)
for axes, group in zip(rows, shown, strict=True):
    draw_group(axes, group)
plt.show()

# %%
# The last group is wrong: two pieces of sky, made brighter, are both white. The
# embedder sees colours only, and sees the same in both.
#
# What does the largest distance do? With labels, count the pairs that stand in one
# group. A baseline joins whatever is near, so that chains of pictures, each similar to
# the next, become one group.


def count_pairs(labels):
    """Return precision and recall of the pairs that stand in one group."""
    found = np.triu(labels[:, np.newaxis] == labels, 1)
    right = np.triu(target[:, np.newaxis] == target, 1)
    n_both = (found & right).sum()
    return n_both / max(1, found.sum()), n_both / right.sum()


def every_pair_near(limit):
    """Return the number of the group of each picture."""
    labels = np.arange(len(X))
    for group in find_duplicates(X, limit, metric="manhattan"):
        labels[group.rows] = group.rows[0]
    return labels


def chains(limit):
    """Return the same for what hangs together by near pairs."""
    graph = index.radius_neighbors_graph(radius=limit)
    return connected_components(graph, directed=False)[1]


index = SimilarityIndex(metric="manhattan").fit(X)
limits = np.arange(0.05, 1.8, 0.05)
_, axes = plt.subplots(1, 2, figsize=(8, 3), sharey=True, layout="constrained")
for ax, group_by in zip(axes, (every_pair_near, chains), strict=True):
    precision, recall = np.transpose([count_pairs(group_by(x)) for x in limits])
    ax.plot(limits, precision, label="precision of pairs")
    ax.plot(limits, recall, label="recall of pairs")
    ax.set(title=group_by.__name__.replace("_", " "), xlabel="max_distance")
axes[0].legend(loc="lower right")
plt.show()

# %%
# Both find about as much without an error. Beyond that, the chains soon join nearly
# everything, while groups in which every pair is near forgive a limit that is a little
# too large.
