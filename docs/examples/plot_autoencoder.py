"""
Learn an embedding from the pictures themselves
===============================================

Networks pretrained on photographs know little of scans, and weights may not be had
everywhere. An autoencoder learns from the collection alone: it squeezes every picture
into a row of numbers, and is trained to give the picture back.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import PCA

from imgsim import AutoencoderEmbedder, SimilarityIndex
from imgsim.datasets import load_digit_images
from imgsim.display import ReconstructionDisplay
from imgsim.metrics import average_precision_at_k

# %%
# Five epochs over the handwritten digits, 32 numbers a picture. With
# `augment="auto"`, the embedder tries what a warp does to pictures of the collection:
# warped digits look unlike all others, so that it learns to bring them back upright.

digits = load_digit_images()
embedder = AutoencoderEmbedder(
    latent_dim=32, image_size=32, color="gray", max_epochs=5, random_state=0
)
X = embedder.fit_transform(digits.images)
print(f"augment_={embedder.augment_!r}")

display = ReconstructionDisplay.from_estimator(embedder, digits.images)
display.plot()
plt.show()

# %%
# What comes back is not what went in, but how such a digit is commonly written. That
# is what makes rows comparable: the mean average precision of a search for the same
# digit, beside principal components of the same width.


def mean_average_precision(rows):
    """Search for every picture among all others."""
    _, nearest = SimilarityIndex(n_neighbors=len(rows) - 1).fit(rows).kneighbors()
    relevance = digits.target[nearest] == digits.target[:, None]
    return average_precision_at_k(relevance, relevance.sum(axis=1))


pixels = digits.images.reshape(len(digits.images), -1) / 255
print(f"components:  {mean_average_precision(PCA(32).fit_transform(pixels)):.3f}")
print(f"autoencoder: {mean_average_precision(X):.3f}")

# %%
# The curves tell whether more epochs would help.

display.plot_curves()
plt.show()

# %%
# Pictures that come back worst are unlike the others.

ReconstructionDisplay.from_estimator(embedder, digits.images, select="worst").plot()
plt.show()

# %%
# Rows can be made up, and turned into pictures: here on the way from a 0 to a 6.

start, end = X[0], X[6]
steps = np.linspace(0, 1, 8)[:, np.newaxis]
images = embedder.inverse_transform((1 - steps) * start + steps * end)

_, axes = plt.subplots(1, len(images), figsize=(8, 1.3), layout="constrained")
for ax, image in zip(axes, images, strict=True):
    ax.imshow(image)
    ax.set_axis_off()
plt.show()
