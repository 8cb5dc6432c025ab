"""
Embed a growing collection once
===============================

Embedding takes nearly all of the time, and collections grow. With a cache, every
picture goes through the network once: whatever is added, renamed or run again later.
"""

import tempfile
from pathlib import Path
from time import perf_counter

import matplotlib.pyplot as plt
from PIL import Image

from imgsim import EmbeddingCache, ImageEmbedder, list_images
from imgsim.datasets import load_sample_photos

# %%
# A folder with 60 photographs. The network is untrained, so that the example needs no
# download; that changes what the rows mean, not how they are kept.

folder = tempfile.TemporaryDirectory()
photos_folder = Path(folder.name) / "photos"
photos_folder.mkdir()
images = load_sample_photos(n_crops=7).images
for i, image in enumerate(images[:60]):
    Image.fromarray(image).save(photos_folder / f"{i:02}.jpg")

cache = EmbeddingCache(Path(folder.name) / "rows.sqlite")
embedder = ImageEmbedder("resnet18", pretrained=False, cache=cache).fit()


def seconds_to_embed():
    """Embed the folder as it is now."""
    start = perf_counter()
    embedder.transform(list_images(photos_folder))
    return perf_counter() - start


seconds = {"60 new photographs": seconds_to_embed(), "again": seconds_to_embed()}

# %%
# Ten photographs are renamed, and ten more come. Only those are embedded.

for path in list_images(photos_folder)[:10]:
    path.rename(path.with_name(f"renamed_{path.name}"))
seconds["10 renamed"] = seconds_to_embed()

for i, image in enumerate(images[60:70], start=60):
    Image.fromarray(image).save(photos_folder / f"{i:02}.jpg")
seconds["10 more"] = seconds_to_embed()

_, ax = plt.subplots(figsize=(6, 2.4), layout="constrained")
bars = ax.barh(list(seconds), list(seconds.values()), color="tab:blue")
ax.bar_label(bars, fmt="%.2f s", padding=3)
ax.invert_yaxis()
ax.margins(x=0.15)
ax.set(xlabel="seconds to embed the folder")
ax.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# What is in the cache, and how to keep it small: drop what is older than 90 days, and
# then the oldest until the file has at most 100 MB.

info = cache.info()
print(f"{info.n_rows} rows in {info.n_bytes / 1e6:.1f} MB")
for recipe in info.recipes:
    print(recipe["model"], recipe["pooling"], recipe["precision"], recipe["n_rows"])

cache.prune(older_than=90, max_bytes=100_000_000)
folder.cleanup()
