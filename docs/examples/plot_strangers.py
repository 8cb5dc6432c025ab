"""
Answer strangers with nothing
=============================

An index always has a nearest picture, also for a query that is like none. A largest
distance makes the answer to such strangers empty. ``suggest_threshold`` takes it from
the collection itself; here we look at what it keeps and what it turns away.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import train_test_split

from imgsim import ColorHistogramEmbedder, SimilarityIndex
from imgsim.datasets import load_digit_images, load_sample_photos

# %%
# The collection holds the digits 0 to 7. Asked are other pictures of these, the digits
# 8 and 9, which it has never seen, and cuts of colour photographs.

digits = load_digit_images(n_per_class=150)
photos = load_sample_photos(n_copies=2).images
embedder = ColorHistogramEmbedder(bins=(1, 1, 4), grid=(8, 8), image_size=32)
X = embedder.fit_transform(digits.images)
X_photos = embedder.transform(photos)

is_known = digits.target < 8
rows, new = train_test_split(X[is_known], test_size=0.25, random_state=0)
example = {digit: np.flatnonzero(digits.target == digit)[0] for digit in (3, 8)}
queries = {
    "digits 0 to 7, new": (new, digits.images[example[3]]),
    "digits 8 and 9": (X[~is_known], digits.images[example[8]]),
    "photographs": (X_photos, photos[27]),
}

# %%
# Without labels, each row's nearest other row is taken to be a right answer, and the
# limit keeps 95 % of these. What comes later and is drawn alike is kept as often. Of
# strangers nothing is promised: look how far they are.

index = SimilarityIndex(n_neighbors=1, metric="manhattan").fit(rows)
limit = index.suggest_threshold(coverage=0.95)
print(f"Limit: {limit:.3f}")

nearest = {}
for name, (Q, _) in queries.items():
    nearest[name] = index.kneighbors(Q)[0].ravel()
    print(f"{name}: {np.mean(nearest[name] <= limit):.0%} get an answer.")

# %%
# The photographs are all turned away, and so are most eights and nines; some of these
# look more like a digit of the collection than its own digits do.

bins = np.linspace(0, 1.4, 57)
figure, axes = plt.subplots(
    3, 2, figsize=(7, 4.2), width_ratios=(1, 5), layout="constrained"
)
for (name, (_, image)), (picture, ax) in zip(queries.items(), axes, strict=True):
    picture.imshow(image, cmap="gray")
    picture.axis("off")
    kept = nearest[name] <= limit
    ax.hist([nearest[name][kept], nearest[name][~kept]], bins, stacked=True)
    ax.axvline(limit, color="black", linestyle="--")
    ax.set(xlim=(0, 1.4), yticks=[], ylabel="queries")
    ax.set_title(f"{name}: {kept.mean():.0%} get an answer", size=10, loc="right")
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelbottom=ax is axes[-1, 1])
axes[-1, 1].set_xlabel("Manhattan distance of the nearest row")
plt.show()
