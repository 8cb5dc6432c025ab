"""
Browse a collection
===================

A figure has room for only a few images. ``write_gallery`` writes an HTML page with all
images of a collection, their neighbors, their clusters, a map, and the results of
queries. The page is a single file that any browser can open without a network
connection.
"""

from pathlib import Path
from tempfile import mkdtemp

import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import PCA

from imgsim import ImageClusterer, ImageEmbedder
from imgsim.datasets import load_installed_photos
from imgsim.display import write_gallery

# %%
# The collection consists of near copies of photographs, and the photographs themselves
# are the queries. The map is a projection of the embeddings onto their first two
# principal components.

photos = load_installed_photos()
is_query = np.array(photos.copy_names) == "original"
X_all = ImageEmbedder("tf_efficientnet_lite0").fit_transform(photos.images)
X, images = X_all[~is_query], [photos.images[i] for i in np.flatnonzero(~is_query)]

clusterer = ImageClusterer(algorithm="hdbscan", metric="cosine").fit(X)
positions = PCA(2).fit_transform(X)

# %%
# All arguments except the images are optional, and the page shows what it is given.

page = write_gallery(
    Path(mkdtemp()) / "photos.html",
    images,
    X,
    labels=clusterer.labels_,
    positions=positions,
    queries=X_all[is_query],
    query_images=[photos.images[i] for i in np.flatnonzero(is_query)],
    max_distance=0.4,
    title="Near copies",
)
print(f"{page.name}: {len(images)} images in {page.stat().st_size / 1000:.0f} kB")

# %%
# To open the page, double-click the file or call ``webbrowser.open(page.as_uri())``.
# Each image takes a few kilobytes, so a page can hold thousands of images. Larger
# thumbnails show more detail.

sizes = (48, 64, 96, 128, 160)
n_bytes = []
for n_pixels in sizes:
    page = write_gallery(page, images, thumbnail_size=n_pixels)
    n_bytes.append(page.stat().st_size)

_, ax = plt.subplots(figsize=(5, 3), layout="constrained")
ax.plot(sizes, np.array(n_bytes) / 1000 / len(images), marker="o")
ax.set(xlabel="thumbnail_size, pixels", ylabel="kB per image", ylim=(0, None))
plt.show()
