"""Seconds to decode 200 JPEGs of about 500 x 375 pixels to RGB arrays.

The baseline is a loop that decodes one file after the other by Pillow. `ImageStream`
uses one thread per core, and also applies the orientation and validates the images.
"""

import numpy as np
import pytest
from PIL import Image

from imgsim import read_image
from imgsim.images import ImageStream


def _pillow_loop(paths):
    return [np.asarray(Image.open(path).convert("RGB")).shape for path in paths]


def _read_image_loop(paths):
    return [read_image(path).shape for path in paths]


def _stream(paths):
    return [image.shape for batch in ImageStream(paths) for image in batch.images]


def _stream_one_thread(paths):
    stream = ImageStream(paths, n_jobs=1)
    return [image.shape for batch in stream for image in batch.images]


READERS = {
    "Pillow, one by one (baseline)": _pillow_loop,
    "read_image, one by one": _read_image_loop,
    "ImageStream, one thread": _stream_one_thread,
    "ImageStream, one thread per core": _stream,
}


@pytest.mark.benchmark(group="decode 200 JPEGs, seconds")
@pytest.mark.parametrize("name", READERS)
def bench_read(benchmark, photographs, name):
    """Read the same images in the same order."""
    shapes = benchmark.pedantic(
        READERS[name], args=(photographs,), rounds=5, warmup_rounds=1
    )

    assert len(shapes) == len(photographs)
