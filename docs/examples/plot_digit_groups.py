"""
Group handwritten digits
========================

A collection without labels is split into groups, and the most typical pictures of each
show what the group is about. The digits have labels, so that we can look how well the
groups agree with them.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import adjusted_rand_score
from sklearn.pipeline import make_pipeline

from imgsim import ColorHistogramEmbedder, ImageClusterer
from imgsim.datasets import load_digit_images
from imgsim.display import ClusterDisplay

# %%
# Grey pictures have neither hue nor saturation: one bin is enough for each, and what
# tells digits apart is where the ink is, so that the grid is fine. What k-means finds
# depends on where it starts; of ten starts the best is taken.

digits = load_digit_images()
grouper = make_pipeline(
    ColorHistogramEmbedder(bins=(1, 1, 4), grid=(8, 8), image_size=32),
    ImageClusterer(
        n_clusters=10,
        metric="euclidean",
        algorithm_params={"n_init": 10},
        random_state=0,
    ),
)
labels = grouper.fit_predict(digits.images)
clusterer = grouper[-1]
print(f"Sizes of the groups: {clusterer.cluster_sizes_.tolist()}")

# %%
# Groups are numbered by size. Pictures are ordered by their distance from the centre of
# their group, the most typical first.

display = ClusterDisplay.from_estimator(grouper, digits.images, n_images=12)
display.plot(n_columns=12)
plt.show()

# %%
# The adjusted Rand index is 1 if groups and digits agree on every pair of pictures, and
# about 0 if they agree as often as by chance.

print(f"Adjusted Rand index: {adjusted_rand_score(digits.target, labels):.3f}")

# %%
# Counting digits in groups shows where they disagree: the eights have no group of their
# own and mostly lie with ones, and the ones are spread over three groups.

counts = np.zeros((10, 10), dtype=int)
np.add.at(counts, (labels, digits.target), 1)

_, ax = plt.subplots(figsize=(5, 4.5), layout="constrained")
ax.imshow(counts, cmap="Blues")
for (group, digit), count in np.ndenumerate(counts):
    if count:
        color = "white" if count > counts.max() / 2 else "black"
        ax.text(digit, group, count, ha="center", va="center", color=color, size=8)
ax.set(xlabel="digit", ylabel="group", xticks=range(10), yticks=range(10))
plt.show()
