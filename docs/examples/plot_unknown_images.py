"""
Return no result for unknown images
===================================

There is always a nearest image, even if a query is unlike all images of the collection.
With a distance threshold, the result of such a query is empty. ``suggest_threshold``
estimates a threshold from the collection, and this example shows which queries it
accepts and which ones it rejects.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import train_test_split

from imgsim import ColorHistogramEmbedder, SimilarityIndex
from imgsim.datasets import load_digit_images, load_sample_photos

# %%
# The collection contains the digits 0 to 7. The queries are other images of these
# digits, images of the digits 8 and 9, which are not in the collection, and crops of
# color photographs.

digits = load_digit_images(n_per_class=150)
photos = load_sample_photos(n_copies=2).images
embedder = ColorHistogramEmbedder(bins=(1, 1, 4), grid=(8, 8), image_size=32)
X = embedder.fit_transform(digits.images)
X_photos = embedder.transform(photos)

is_known = digits.target < 8
collection, new = train_test_split(X[is_known], test_size=0.25, random_state=0)
example = {digit: np.flatnonzero(digits.target == digit)[0] for digit in (3, 8)}
queries = {
    "digits 0 to 7, new": (new, digits.images[example[3]]),
    "digits 8 and 9": (X[~is_known], digits.images[example[8]]),
    "photographs": (X_photos, photos[27]),
}

# %%
# Without labels, the threshold is the distance within which 95% of the images have
# their nearest neighbor. About 95% of new images from the same distribution are then
# accepted. There is no guarantee for images from other distributions, so we look at
# their distances.

index = SimilarityIndex(n_neighbors=1, metric="manhattan").fit(collection)
threshold = index.suggest_threshold(coverage=0.95)
print(f"threshold: {threshold:.3f}")

nearest = {}
for name, (Q, _) in queries.items():
    nearest[name] = index.kneighbors(Q)[0].ravel()
    print(f"{name}: {np.mean(nearest[name] <= threshold):.0%} have a result")

# %%
# All photographs are rejected, and so are most of the eights and nines. The ones that
# are accepted look very much like a digit of the collection.

bins = np.linspace(0, 1.4, 57)
figure, axes = plt.subplots(
    3, 2, figsize=(7, 4.2), width_ratios=(1, 5), layout="constrained"
)
for (name, (_, image)), (image_ax, ax) in zip(queries.items(), axes, strict=True):
    image_ax.imshow(image, cmap="gray")
    image_ax.axis("off")
    accepted = nearest[name] <= threshold
    ax.hist([nearest[name][accepted], nearest[name][~accepted]], bins, stacked=True)
    ax.axvline(threshold, color="black", linestyle="--")
    ax.set(xlim=(0, 1.4), yticks=[], ylabel="queries")
    ax.set_title(f"{name}: {accepted.mean():.0%} have a result", size=10, loc="right")
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelbottom=ax is axes[-1, 1])
axes[-1, 1].set_xlabel("Manhattan distance from the nearest image")
plt.show()
