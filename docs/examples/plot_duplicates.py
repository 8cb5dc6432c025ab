"""
Find copies and choose which to keep
====================================

A collection that was merged from several folders often has the same image more than
once: as an identical file, in half size, cropped, brighter or recompressed.
``find_duplicates`` finds the groups of copies and suggests which image to keep.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.sparse.csgraph import connected_components

from imgsim import ImageEmbedder, SimilarityIndex, find_duplicates
from imgsim.datasets import load_installed_photos

# %%
# The collection consists of photographs with five near copies of each, and of exact
# copies of two of the images. We keep the image with the most pixels in each group.
# Because we pass `images`, exact copies are identified by their content.

photos = load_installed_photos()
again = [30, 36]
images = [*photos.images, *(photos.images[i] for i in again)]
target = np.append(photos.target, photos.target[again])
names = [*photos.copy_names, *["again"] * len(again)]

X = ImageEmbedder("tf_efficientnet_lite0").fit_transform(images)
groups = find_duplicates(
    X,
    max_distance=0.3,
    keep=[image.shape[0] * image.shape[1] for image in images],
    images=images,
)
n_extra = sum(len(group.extra) for group in groups)
print(f"{len(groups)} groups; {n_extra} of {len(images)} images can be removed.")
print("Exact copies:", [same for group in groups for same in group.exact_copies])

# %%
# Always look at the groups before you delete files. The figure shows the first two
# groups and the last two, which are the smallest. The image to keep is framed. The
# number on the left is the largest distance between two images of the group.


def draw_group(axes, group):
    """Show the images of a group in one row, the image to keep first."""
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
# The images of each group show the same thing, but the last two groups are incomplete:
# other copies of the page and of the rocket form groups of their own. The page was
# cropped so that most of its text is missing, and the rotated copy is cropped as well.
#
# How does `max_distance` affect the result? We use the labels to count the pairs of
# images that are in the same group. For comparison, we also connect all near pairs, so
# that a chain of images, each similar to the next, forms one group.


def precision_and_recall(labels):
    """Evaluate the pairs of images that are in the same group."""
    found = np.triu(labels[:, np.newaxis] == labels, 1)
    correct = np.triu(target[:, np.newaxis] == target, 1)
    n_both = (found & correct).sum()
    return n_both / max(1, found.sum()), n_both / correct.sum()


def label_groups(max_distance):
    """Label each image with its group, in which all pairs are near."""
    labels = np.arange(len(X))
    for group in find_duplicates(X, max_distance):
        labels[group.rows] = group.rows[0]
    return labels


def label_chains(max_distance):
    """Label each image with its chain, in which consecutive images are near."""
    graph = index.radius_neighbors_graph(radius=max_distance)
    return connected_components(graph, directed=False)[1]


index = SimilarityIndex().fit(X)
distances = np.arange(0.02, 0.9, 0.02)
methods = {"groups: all pairs are near": label_groups, "chains": label_chains}
_, axes = plt.subplots(1, 2, figsize=(8, 3), sharey=True, layout="constrained")
for ax, (title, label) in zip(axes, methods.items(), strict=True):
    scores = [precision_and_recall(label(distance)) for distance in distances]
    precision, recall = np.transpose(scores)
    ax.plot(distances, precision, label="precision of pairs")
    ax.plot(distances, recall, label="recall of pairs")
    ax.set(title=title, xlabel="max_distance")
axes[0].legend(loc="lower right")
plt.show()

# %%
# With a small `max_distance`, chains find more of the copies. However, they join images
# of different photographs at a distance of 0.5, and soon nearly all images. The groups
# are correct up to a distance of 0.68, and tolerate a value of `max_distance` that is
# slightly too large.
