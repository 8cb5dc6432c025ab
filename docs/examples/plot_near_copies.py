"""
Find near copies of an image
============================

A collection often has several versions of the same image: recompressed, in half size,
cropped, brighter or slightly rotated. This example searches for such copies of 16
images, and chooses a distance threshold so that the results contain copies and no other
images.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import pairwise_distances
from sklearn.pipeline import make_pipeline

from imgsim import ColorHistogramEmbedder, SimilarityIndex
from imgsim.datasets import load_digit_images, load_sample_photos
from imgsim.display import NeighborsDisplay

# %%
# The collection consists of the copies, and the originals are the queries. Near copies
# have similar colors in similar places, so a color histogram on a grid is a suitable
# embedding.

photos = load_sample_photos()
is_query = np.array(photos.copy_names) == "original"
queries = [photos.images[i] for i in np.flatnonzero(is_query)]
collection = [photos.images[i] for i in np.flatnonzero(~is_query)]

finder = make_pipeline(ColorHistogramEmbedder(), SimilarityIndex(metric="manhattan"))
finder.fit(collection, photos.target[~is_query])
precision = finder.score(queries, photos.target[is_query])
print(f"Of the 5 nearest images, {precision:.0%} are copies of the query.")

# %%
# To choose a threshold, we use labels to compare the distances between copies with the
# distances between other images. Most copies are nearer than any other image.

X = finder[:-1].transform(photos.images)
distances = pairwise_distances(X[is_query], X[~is_query], metric="manhattan")
is_copy = photos.target[is_query][:, np.newaxis] == photos.target[~is_query]

_, ax = plt.subplots(figsize=(6, 3), layout="constrained")
bins = np.linspace(0, 2, 41)
for values in (distances[is_copy], distances[~is_copy]):
    ax.hist(values, bins, weights=np.full(len(values), 1 / len(values)), alpha=0.7)
ax.axvline(0.75, color="black", linestyle="--")
ax.legend(["threshold", "copies of the query", "other images"], loc=(0.42, 0.6))
ax.set(xlabel="Manhattan distance", ylabel="fraction of pairs", xlim=(0, 2))
plt.show()

# %%
# With a threshold of 0.75, the result of a query contains only copies. For an image
# that is unlike the whole collection, the result is empty.

unknown = load_digit_images(n_per_class=1, size=160).images[3]
result = finder[-1].search(finder[:-1].transform([unknown]), max_distance=0.75)
print(f"Similar to the unknown image: {result.ids[0].tolist()}")

shown = [queries[i] for i in (1, 5, 10)] + [unknown]
NeighborsDisplay.from_estimator(
    finder, shown, images=collection, max_distance=0.75
).plot()
plt.show()

# %%
# The threshold misses some copies, namely those whose colors changed most. Consider
# both kinds of error when you choose a threshold.

near = distances <= 0.75
print(f"Of the pairs within the threshold, {is_copy[near].mean():.0%} are copies.")
print(f"Of the copies, {near[is_copy].mean():.0%} are within the threshold.")
missed = np.array(photos.copy_names)[~is_query][np.nonzero(is_copy & ~near)[1]]
print(f"Missed: {', '.join(missed)}")
