"""
Look through a collection in the browser
========================================

A figure shows a few pictures. ``write_gallery`` writes a page that shows all of them:
each with its neighbours, by groups, on a map, and as answers to queries. The page is
one file, which any browser opens without a network.
"""

from pathlib import Path
from tempfile import mkdtemp

import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import PCA

from imgsim import ColorHistogramEmbedder, ImageClusterer
from imgsim.datasets import load_sample_photos
from imgsim.display import write_gallery

# %%
# The collection is made of near copies, whose originals are the queries. Groups are
# found by their colours; the map is a projection of the embeddings on two axes.

photos = load_sample_photos()
is_query = np.array(photos.copy_names) == "original"
X_all = ColorHistogramEmbedder().fit_transform(photos.images)
X, images = X_all[~is_query], [photos.images[i] for i in np.flatnonzero(~is_query)]

clusterer = ImageClusterer(algorithm="hdbscan", metric="cosine").fit(X)
positions = PCA(2).fit_transform(X)

# %%
# Everything beside the pictures is left out at will; the page shows what it is given.

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
# A double click on the file opens it, or ``webbrowser.open(page.as_uri())``. A picture
# takes a few kilobytes, so that thousands fit into a page. Larger ones show more when
# they are opened.

sizes = (48, 64, 96, 128, 160)
n_bytes = []
for n_pixels in sizes:
    page = write_gallery(page, images, thumbnail_size=n_pixels)
    n_bytes.append(page.stat().st_size)

_, ax = plt.subplots(figsize=(5, 3), layout="constrained")
ax.plot(sizes, np.array(n_bytes) / 1000 / len(images), marker="o")
ax.set(xlabel="thumbnail_size, pixels", ylabel="kB an image", ylim=(0, None))
plt.show()
