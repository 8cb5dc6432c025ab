"""Small copies of pictures, and how a page carries them."""

import base64
import io
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from PIL import Image

from imgsim.images._read import read_image_small
from imgsim.images._rgb import RGB
from imgsim.images._stream import ImageFailure, ImageStream


def stream_thumbnails(X: Any, size: int) -> ImageStream:
    """Read images and shrink each so that neither side exceeds `size` pixels."""
    return _stream(X, size, partial(make_thumbnail, size=size))


def thumbnail_addresses(
    X: Any, size: int
) -> tuple[list[str | None], list[ImageFailure]]:
    """Return thumbnails as addresses that hold them; None for an unreadable image."""
    stream = _stream(X, size, lambda rgb: as_data_uri(make_thumbnail(rgb, size)))
    addresses: list[str | None] = [None] * stream.n_images
    failures: list[ImageFailure] = []
    for batch in stream:
        for i, address in zip(batch.rows, batch.images, strict=True):
            addresses[i] = address
        failures += batch.failures
    return addresses, failures


def _stream(X: Any, size: int, prepare: Callable[[RGB], Any]) -> ImageStream:
    return ImageStream(
        X, prepare=prepare, read=partial(read_image_small, side=2 * size)
    )


def make_thumbnail(rgb: RGB, size: int) -> RGB:
    """Shrink a picture so that neither side exceeds `size` pixels; small ones stay."""
    image = Image.fromarray(rgb)
    image.thumbnail((size, size))
    return np.asarray(image)


def as_data_uri(rgb: RGB, quality: int = 70) -> str:
    """Return a picture as an address that holds all of it: WebP in base64."""
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "webp", quality=quality)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode("ascii")
