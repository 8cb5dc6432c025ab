"""
Choose an embedding and a metric with labeled images
====================================================

The best parameters of an embedder and the best metric depend on the collection. If some
images have labels, ``GridSearchCV`` can compare the parameters by cross-validation. The
score of an index is the precision: the fraction of the nearest neighbors that have the
same label as the query.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline

from imgsim import ColorHistogramEmbedder, SimilarityIndex
from imgsim.datasets import load_sample_photos

# %%
# The collection has 16 labels with 6 images each: an image and five near copies of it.
# We compare numbers of bins for hue, saturation and value, and three metrics. A
# held-out image should find the other images with its label.

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
# The figure shows the mean precision over the folds and its standard error.

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
# Histograms of hue, saturation and value together are better than histograms of hue or
# value alone. Many bins for value are worst, because a brighter copy falls into
# different bins. The Manhattan distance is best for the last two choices of bins. These
# two differ by less than their standard errors, so we can use the smaller number of
# bins.
