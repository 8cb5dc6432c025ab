"""
Choose an embedding and a metric by labels
==========================================

Which colours to tell apart, and which distance to use, depends on the collection. If
some pictures have labels, ``GridSearchCV`` tries the choices: an index scores as the
share of the neighbours of unseen pictures that bear their label.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline

from imgsim import ColorHistogramEmbedder, SimilarityIndex
from imgsim.datasets import load_sample_photos

# %%
# Each of 16 pictures comes with five near copies: 16 labels of 6 pictures. A picture
# left out should find the others of its label.

photos = load_sample_photos()
finder = make_pipeline(ColorHistogramEmbedder(), SimilarityIndex(n_neighbors=3))
bins = [(1, 1, 8), (1, 1, 32), (8, 1, 1), (8, 4, 2), (8, 8, 4)]
metrics = ["cosine", "euclidean", "manhattan"]
choices = {"colorhistogramembedder__bins": bins, "similarityindex__metric": metrics}
folds = StratifiedKFold(3, shuffle=True, random_state=0)
search = GridSearchCV(finder, choices, cv=folds).fit(photos.images, photos.target)
for name, value in search.best_params_.items():
    print(f"{name}: {value}")
print(f"precision at 3: {search.best_score_:.3f}")

# %%
# Each choice by its mean precision over the folds, with the standard error of the mean.

results = search.cv_results_
shape = (len(bins), len(metrics))
precision = np.reshape(results["mean_test_score"], shape)
error = np.reshape(results["std_test_score"], shape) / np.sqrt(search.n_splits_)

_, ax = plt.subplots(figsize=(7, 3.5), layout="constrained")
for i, metric in enumerate(metrics):
    position = np.arange(len(bins)) + 0.15 * (i - 1)
    ax.errorbar(position, precision[:, i], error[:, i], fmt="o", label=metric)
ax.set_xticks(range(len(bins)), [f"{h}, {s}, {v}" for h, s, v in bins])
ax.set(xlabel="bins of hue, saturation, value", ylabel="precision at 3")
ax.legend(loc="lower right")
plt.show()

# %%
# Colour by all three is better than by brightness or hue alone, and brightness in fine
# steps is worst: a brightened copy moves from bin to bin. Manhattan distance is best
# with each of the last two, which differ by less than their errors: take the smaller.
