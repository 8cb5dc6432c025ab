"""Fast decoding of JPEG files: the only module that imports torchvision.io."""

import io
import os
from typing import IO, cast

import numpy as np
from PIL import Image

from imgsim._typing import PixelArray
from imgsim.images.decoding._rgb import rgb_from_decoded, rgb_from_pillow

# The JPEG decoder downscales an image if the shorter side remains at least this many
# times as long as requested, and if the factor divides both sides. A factor of 2 takes
# as long as decoding all pixels with torchvision.
_MARGIN = 2.5
_FACTORS = (8, 4)
_MANY_PIXELS = 250_000  # Pillow is as fast as torchvision below


def rgb_from_file(image: Image.Image, file: IO[bytes], min_side: int) -> PixelArray:
    """Decode an opened image, and downscale it if it is a very large JPEG.

    The pixels are exactly the ones returned by `rgb_from_pillow`, unless the shorter
    side of a JPEG is at least ten times `min_side`.
    """
    if image.format not in ("JPEG", "MPO") or image.mode not in ("RGB", "L"):
        return rgb_from_pillow(image)
    width, height = image.size
    for factor in _FACTORS:
        is_exact = width % factor == height % factor == 0
        if is_exact and min(image.size) >= factor * _MARGIN * min_side:
            image.draft(None, (width // factor, height // factor))
            return rgb_from_pillow(image)
    rgb = _decode_by_torchvision(file) if width * height >= _MANY_PIXELS else None
    return rgb_from_pillow(image) if rgb is None else rgb_from_decoded(image, rgb)


def _decode_by_torchvision(file: IO[bytes]) -> PixelArray | None:
    """Decode a JPEG file, or return None if torchvision cannot decode it."""
    import torch

    try:
        from torchvision.io import ImageReadMode, decode_jpeg
    except ImportError:  # torchvision plans to move its decoders to torchcodec
        return None
    content = torch.frombuffer(_content(file), dtype=torch.uint8)
    try:
        pixels = decode_jpeg(content, mode=ImageReadMode.RGB)
    except RuntimeError:
        return None
    rgb: PixelArray = pixels.permute(1, 2, 0).numpy()
    return np.ascontiguousarray(rgb)


def _content(file: IO[bytes]) -> bytearray:
    """Return a copy of a file that can be written, and go back to its start."""
    content = bytearray(file.seek(0, os.SEEK_END))
    file.seek(0)
    n_read = cast(io.BufferedIOBase, file).readinto(content)
    file.seek(0)
    del content[n_read:]
    return content
