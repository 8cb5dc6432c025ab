"""
Train an embedding on your own images
=====================================

Networks that are pretrained on photographs are less suitable for scans or drawings, and
their weights are not always available. This example trains an autoencoder on a
collection of handwritten digits. The autoencoder encodes each image as a short vector,
and is trained to reconstruct the image from this vector.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import PCA

from imgsim import AutoencoderEmbedder, SimilarityIndex
from imgsim.datasets import load_digit_images
from imgsim.display import ReconstructionDisplay
from imgsim.metrics import average_precision_at_k

# %%
# We train an embedding of 32 numbers for five epochs. By default, `augment="auto"`
# tests how a random warp changes the images. A warped digit looks unlike all digits of
# the collection, so the network is trained to reconstruct the original digit from it.

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
# The reconstructions differ from the images: they show how each digit is commonly
# written. For this reason, embeddings of the same digit are similar. We search for the
# same digit and compare the mean average precision with the result of principal
# components of the same dimension.


def mean_average_precision(X):
    """Use every image as a query and search among all others."""
    _, nearest = SimilarityIndex(n_neighbors=len(X) - 1).fit(X).kneighbors()
    relevance = digits.target[nearest] == digits.target[:, None]
    return average_precision_at_k(relevance, relevance.sum(axis=1))


pixels = digits.images.reshape(len(digits.images), -1) / 255
components = PCA(32).fit_transform(pixels)
print(f"principal components: {mean_average_precision(components):.3f}")
print(f"autoencoder:          {mean_average_precision(X):.3f}")

# %%
# The learning curves show whether more epochs would reduce the error.

display.plot_curves()
plt.show()

# %%
# The images with the largest reconstruction errors are unlike most other images.

ReconstructionDisplay.from_estimator(embedder, digits.images, select="worst").plot()
plt.show()

# %%
# The decoder converts any vector to an image. Here, we interpolate between the
# embeddings of a 0 and a 6.

start, end = X[0], X[6]
steps = np.linspace(0, 1, 8)[:, np.newaxis]
images = embedder.inverse_transform((1 - steps) * start + steps * end)

_, axes = plt.subplots(1, len(images), figsize=(8, 1.3), layout="constrained")
for ax, image in zip(axes, images, strict=True):
    ax.imshow(image)
    ax.set_axis_off()
plt.show()
