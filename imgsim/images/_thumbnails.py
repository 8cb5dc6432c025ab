"""Thumbnails of images, and their encoding as data URIs."""

import base64
import io
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from PIL import Image

from imgsim._typing import PixelArray
from imgsim.images._read import read_image_small
from imgsim.images._stream import ImageFailure, ImageStream


def stream_thumbnails(X: Any, size: int) -> ImageStream:
    """Return a stream of thumbnails whose longer side is at most `size` pixels."""
    return _stream(X, size, partial(make_thumbnail, size=size))


def thumbnail_data_uris(
    X: Any, size: int
) -> tuple[list[str | None], list[ImageFailure]]:
    """Return the data URI of each thumbnail, None for an unreadable image."""
    stream = _stream(X, size, lambda rgb: as_data_uri(make_thumbnail(rgb, size)))
    uris: list[str | None] = [None] * stream.n_images
    failures: list[ImageFailure] = []
    for batch in stream:
        for row, uri in zip(batch.rows, batch.images, strict=True):
            uris[row] = uri
        failures += batch.failures
    return uris, failures


def _stream(X: Any, size: int, transform: Callable[[PixelArray], Any]) -> ImageStream:
    return ImageStream(
        X, transform=transform, loader=partial(read_image_small, side=2 * size)
    )


def make_thumbnail(rgb: PixelArray, size: int) -> PixelArray:
    """Downscale an image so that its longer side is at most `size` pixels."""
    image = Image.fromarray(rgb)
    image.thumbnail((size, size))
    return np.asarray(image)


def as_data_uri(rgb: PixelArray, quality: int = 70) -> str:
    """Encode an image as a data URI, in WebP and base64."""
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "webp", quality=quality)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode("ascii")
