"""
See why two pictures are alike
==============================

A similarity is one number. For an embedding that is pooled from a map of places, the
number is a sum over places, so that a picture can be made of it: how much does each
place add? To know what such a picture should look like, here is a network whose
features are known: it was not trained, and sees three colours and four directions.
"""

import matplotlib.pyplot as plt
import torch
from torch.nn import functional

from imgsim import ImageEmbedder
from imgsim.datasets import load_sample_photos
from imgsim.display import SimilarityMapDisplay

# %%
# The features of a place are how red, green and blue it is, each beyond the other two,
# and how strong its edges are in four directions, if it has any.

SLOPE = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])
DIAGONAL = torch.tensor([[-2.0, -1, 0], [-1, 0, 1], [0, 1, 2]])
SLOPES = torch.stack([SLOPE, SLOPE.T, DIAGONAL, DIAGONAL.flip(1)])[:, None]


class ColorsAndEdges(torch.nn.Module):
    """Seven features at 10 x 10 places of an image of 160 x 160 pixels."""

    def __init__(self, edge_weight):
        super().__init__()
        self.register_buffer("color_weight", torch.tensor(1.0 - edge_weight))
        self.register_buffer("edge_weight", torch.tensor(float(edge_weight)))

    def forward(self, rgb):
        """Turn (n_images, 3, 160, 160) into (n_images, 7, 10, 10)."""
        colors = (1.5 * rgb - rgb.sum(1, keepdim=True) / 2).relu()
        grey = functional.pad(rgb.mean(1, keepdim=True), (1, 1, 1, 1), "replicate")
        edges = functional.conv2d(grey, SLOPES).abs()
        features = [self.color_weight * colors, self.edge_weight * edges]
        return functional.avg_pool2d(torch.cat(features, dim=1), 16)


def make_embedder(edge_weight):
    """Return an embedder by colours, by edges, or by something in between."""
    return ImageEmbedder(
        ColorsAndEdges(edge_weight),
        image_size=160,
        crop_pct=1.0,
        mean=0.0,
        std=1.0,
        device="cpu",
    )


# %%
# Four pairs: two parts of a flower, one of them and its near copy, the flower and a
# temple, and the flower and the sky. The network sees mostly colours.

images = load_sample_photos().images
first = [images[i] for i in (54, 54, 54, 54)]
second = [images[i] for i in (60, 57, 30, 0)]

by_color = SimilarityMapDisplay.from_estimator(make_embedder(0.1), first, second)
by_color.plot(n_columns=2)
plt.show()

# %%
# Petals are like petals, also in the near copy, which is cropped and larger. They are
# like the orange roofs of the temple, too, and the map says so. To the likeness of
# flower and sky, the petals add nothing, but some of the leaves, which are blue, do.
# The places of either picture sum to the cosine:

for pair, similarity in zip(by_color.contributions, by_color.similarities, strict=True):
    sums = ", ".join(f"{contributions.sum():.3f}" for contributions in pair)
    print(f"cosine {similarity:.3f}, sums over places {sums}")

# %%
# A map shows what this network compares, not what there is to be seen. To one that sees
# nothing but edges, it is the outline of the flower that counts, and all four pairs are
# alike: the row tells how edges are directed, not of what they are.

by_edge = SimilarityMapDisplay.from_estimator(make_embedder(1.0), first, second)
by_edge.plot(n_columns=2)
plt.show()
