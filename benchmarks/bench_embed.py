"""Seconds from 100 JPEGs on disk to rows: MobileNetV2, 224 pixels, float32, CPU.

The baseline is the loop of a notebook, Pillow and one forward pass an image, with the
transform of timm. The weights are untrained, which does not change the time.
"""

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from imgsim import ColorHistogramEmbedder, ImageEmbedder

MODEL = "mobilenetv2_100"


@pytest.fixture(scope="module")
def hundred(photographs):
    """Return paths of 100 photographs."""
    return photographs[:100]


def _notebook_loop(paths):
    model = timm.create_model(MODEL, num_classes=0).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))

    def embed(paths):
        with torch.inference_mode():
            return np.vstack(
                [
                    model(transform(Image.open(path).convert("RGB"))[None]).numpy()
                    for path in paths
                ]
            )

    return embed


EMBEDDERS = {
    "one by one (baseline)": _notebook_loop,
    "ImageEmbedder": lambda paths: (
        ImageEmbedder(MODEL, pretrained=False, device="cpu").fit(paths).transform
    ),
    "ColorHistogramEmbedder": lambda paths: (
        ColorHistogramEmbedder().fit(paths).transform
    ),
}


@pytest.mark.benchmark(group="100 JPEGs to rows, seconds")
@pytest.mark.parametrize("name", EMBEDDERS)
def bench_embed(benchmark, hundred, name):
    """Time what comes after the network is loaded."""
    embed = EMBEDDERS[name](hundred)

    X = benchmark.pedantic(embed, args=(hundred,), rounds=3, warmup_rounds=1)

    assert len(X) == 100
