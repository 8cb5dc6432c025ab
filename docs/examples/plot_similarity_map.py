"""
See why two images are similar
==============================

The similarity of two images is a single number. If their embeddings are pooled from
feature maps, this number is a sum over the locations of an image, and a heat map can
show how much each location contributes. This example first uses a pretrained network,
and then a network whose features are known, so that the result is easy to check.
"""

import matplotlib.pyplot as plt
import torch
from torch.nn import functional

from imgsim import ImageEmbedder
from imgsim.datasets import load_installed_photos, load_sample_photos
from imgsim.display import SimilarityMapDisplay

# %%
# We compare a cat with a cropped copy, two photographs of a motorcycle that were taken
# from different sides, an astronaut with an officer, and a cup of coffee with a cat.

photos = load_installed_photos().images
first = [photos[i] for i in (30, 78, 12, 36)]
second = [photos[i] for i in (33, 84, 108, 30)]

network = ImageEmbedder("tf_efficientnet_lite0", pooling="avg")
SimilarityMapDisplay.from_estimator(network, first, second).plot(n_columns=2)
plt.show()

# %%
# The cat and its copy are similar because of the same fur, and the motorcycles because
# of their tank and engine. For the astronaut and the officer, the uniforms contribute
# most, and the faces contribute little. The cup and the cat have almost nothing in
# common, as the scale of their colors shows.
#
# The second network is not trained. At each location, three features measure how red,
# green and blue the image is compared with the other two channels, and four features
# measure the strength of edges in four directions.

SLOPE = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])
DIAGONAL = torch.tensor([[-2.0, -1, 0], [-1, 0, 1], [0, 1, 2]])
SLOPES = torch.stack([SLOPE, SLOPE.T, DIAGONAL, DIAGONAL.flip(1)])[:, None]


class ColorsAndEdges(torch.nn.Module):
    """Compute seven features at 10 x 10 locations of 160 x 160 pixels."""

    def __init__(self, edge_weight):
        super().__init__()
        self.register_buffer("color_weight", torch.tensor(1.0 - edge_weight))
        self.register_buffer("edge_weight", torch.tensor(float(edge_weight)))

    def forward(self, rgb):
        """Turn (n_images, 3, 160, 160) into (n_images, 7, 10, 10)."""
        colors = (1.5 * rgb - rgb.sum(1, keepdim=True) / 2).relu()
        gray = functional.pad(rgb.mean(1, keepdim=True), (1, 1, 1, 1), "replicate")
        edges = functional.conv2d(gray, SLOPES).abs()
        features = [self.color_weight * colors, self.edge_weight * edges]
        return functional.avg_pool2d(torch.cat(features, dim=1), 16)


def make_embedder(edge_weight):
    """Return an embedder for colors (0), edges (1), or a mixture of both."""
    return ImageEmbedder(
        ColorsAndEdges(edge_weight),
        image_size=160,
        crop_pct=1.0,
        mean=0.0,
        std=1.0,
        device="cpu",
    )


# %%
# With mostly colors, we compare an image of a flower with four others: another part of
# the flower, a near copy, a temple, and the sky.

images = load_sample_photos().images
first = [images[i] for i in (54, 54, 54, 54)]
second = [images[i] for i in (60, 57, 30, 0)]

by_color = SimilarityMapDisplay.from_estimator(make_embedder(0.1), first, second)
by_color.plot(n_columns=2)
plt.show()

# %%
# The petals make the flower similar to its other part and to the near copy, which is
# cropped and enlarged. They also make it similar to the orange roofs of the temple. The
# petals contribute nothing to the similarity of the flower and the sky, which comes
# from bluish leaves. The contributions of either image sum to the cosine similarity:

for pair, similarity in zip(by_color.contributions, by_color.similarities, strict=True):
    sums = ", ".join(f"{contributions.sum():.3f}" for contributions in pair)
    print(f"cosine {similarity:.3f}, sums over locations {sums}")

# %%
# A heat map shows what a particular network compares, not what a person would compare.
# For a network that uses only edges, the outline of the flower is most important. All
# four pairs are then similar, because the embedding describes the directions of edges
# and not the objects to which they belong.

by_edge = SimilarityMapDisplay.from_estimator(make_embedder(1.0), first, second)
by_edge.plot(n_columns=2)
plt.show()
