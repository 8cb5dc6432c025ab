"""
See a collection as a map
=========================

Similar pictures near each other on a plane: what is in a collection, which groups
touch, and which pictures lie among those of another group.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.neighbors import NearestNeighbors

from imgsim import ColorHistogramEmbedder, ImageClusterer
from imgsim.datasets import load_digit_images, load_sample_photos
from imgsim.display import EmbeddingMapDisplay

# %%
# t-SNE places each picture near those that are most like it. The map is cut into cells,
# and the picture nearest to the centre of a cell stands for the others in it, which are
# points. Frame and marker tell what digit a picture is of.

digits = load_digit_images(n_per_class=60)
by_ink = ColorHistogramEmbedder(bins=(1, 1, 4), grid=(8, 8), image_size=32)
X = by_ink.fit_transform(digits.images)

by_digit = EmbeddingMapDisplay.from_predictions(
    X,
    digits.target,
    images=digits.images,
    label_names=[f"digit {n}" for n in range(10)],
    random_state=0,
)
by_digit.plot()
plt.show()

# %%
# The same places without pictures, and beside them the groups that a clusterer finds.
# Each group is named where most of it is.

clusterer = ImageClusterer(
    10, metric="euclidean", algorithm_params={"n_init": 10}, random_state=0
).fit(X)
by_group = EmbeddingMapDisplay.from_predictions(
    X, clusterer.labels_, method=by_digit.positions
)

_, axes = plt.subplots(1, 2, figsize=(11, 5), layout="constrained")
by_digit.plot(ax=axes[0], n_thumbnails=0)
by_group.plot(ax=axes[1])
plt.show()

# %%
# A picture that lies among those of another digit is one to look at: here those whose
# five nearest places all belong to one other digit.

nearest = NearestNeighbors(n_neighbors=5).fit(by_digit.positions)
around = digits.target[nearest.kneighbors(return_distance=False)]
is_alone = (around == around[:, :1]).all(axis=1) & (around[:, 0] != digits.target)
for i in np.flatnonzero(is_alone)[:5]:
    print(f"Picture {i} is of a {digits.target[i]}, among those of {around[i, 0]}.")

# %%
# Queries are stars. Near copies of 16 photographs lie in heaps, and an original that is
# looked up lies among its copies. The map of few pictures has large ones.

photos = load_sample_photos()
is_query = np.array(photos.copy_names) == "original"
X_photos = ColorHistogramEmbedder().fit_transform(photos.images)
collection = np.flatnonzero(~is_query)
queries = np.flatnonzero(is_query)[:3]

EmbeddingMapDisplay.from_predictions(
    X_photos[collection],
    images=[photos.images[i] for i in collection],
    queries=X_photos[queries],
    query_images=[photos.images[i] for i in queries],
    perplexity=5,
    random_state=0,
).plot()
plt.show()
