"""
Embed a growing collection with a cache
=======================================

Computing embeddings takes most of the time of an analysis. With a cache, each image is
passed through the network only once, even if files are added or renamed, or if the
program is run again.
"""

import tempfile
from pathlib import Path
from time import perf_counter

import matplotlib.pyplot as plt
from PIL import Image

from imgsim import EmbeddingCache, ImageEmbedder, list_images
from imgsim.datasets import load_installed_photos

# %%
# We create a folder with 60 images, and embed them by a network whose weights are
# installed by the extra `offline`.

folder = tempfile.TemporaryDirectory()
photos_folder = Path(folder.name) / "photos"
photos_folder.mkdir()
images = load_installed_photos().images
for i, image in enumerate(images[:60]):
    Image.fromarray(image).save(photos_folder / f"{i:02}.jpg")

cache = EmbeddingCache(Path(folder.name) / "embeddings.sqlite")
embedder = ImageEmbedder("tf_efficientnet_lite0", cache=cache).fit()


def seconds_to_embed():
    """Embed all images in the folder and measure the time."""
    start = perf_counter()
    embedder.transform(list_images(photos_folder))
    return perf_counter() - start


seconds = {"60 new images": seconds_to_embed(), "second run": seconds_to_embed()}

# %%
# Next, we rename ten images, and then add ten new ones. Only the new images are
# embedded.

for path in list_images(photos_folder)[:10]:
    path.rename(path.with_name(f"renamed_{path.name}"))
seconds["10 renamed images"] = seconds_to_embed()

for i, image in enumerate(images[60:70], start=60):
    Image.fromarray(image).save(photos_folder / f"{i:02}.jpg")
seconds["10 new images"] = seconds_to_embed()

_, ax = plt.subplots(figsize=(6, 2.4), layout="constrained")
bars = ax.barh(list(seconds), list(seconds.values()), color="tab:blue")
ax.bar_label(bars, fmt="%.2f s", padding=3)
ax.invert_yaxis()
ax.margins(x=0.15)
ax.set(xlabel="seconds to embed the folder")
ax.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# `info` describes the content of the cache. `prune` limits its size: here, it deletes
# embeddings that are older than 90 days, and then the oldest ones until the file has at
# most 100 MB.

info = cache.info()
print(f"{info.n_rows} embeddings in {info.n_bytes / 1e6:.1f} MB")
for recipe in info.recipes:
    print(recipe["model"], recipe["pooling"], recipe["precision"], recipe["n_rows"])

cache.prune(older_than=90, max_bytes=100_000_000)
folder.cleanup()
