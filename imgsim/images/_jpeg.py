"""JPEG files by torchvision, where it is faster: the one importer of torchvision.io."""

from typing import IO

import numpy as np
from PIL import Image

from imgsim.images._rgb import RGB, rgb_from_pillow, upright_like

# A photograph is reduced by the JPEG decoder itself if it keeps this many times the
# pixels along a side that are wanted in the end, and its exact shape. To reduce by 2
# takes as long as torchvision takes for all pixels.
_MARGIN = 2.5
_REDUCTIONS = (8, 4)


def rgb_from_file(image: Image.Image, file: IO[bytes], least_side: int) -> RGB:
    """Read an opened image whose shorter side need not exceed `least_side` by much.

    The picture is that of `rgb_from_pillow`, to the bit; but a photograph with ten
    times as many pixels along its shorter side, or more, is returned reduced.
    """
    if image.format not in ("JPEG", "MPO") or image.mode not in ("RGB", "L"):
        return rgb_from_pillow(image)
    width, height = image.size
    for reduction in _REDUCTIONS:
        is_exact = width % reduction == height % reduction == 0
        if is_exact and min(image.size) >= reduction * _MARGIN * least_side:
            image.draft(None, (width // reduction, height // reduction))
            return rgb_from_pillow(image)
    rgb = _decoded_by_torchvision(file)
    return rgb_from_pillow(image) if rgb is None else upright_like(image, rgb)


def _decoded_by_torchvision(file: IO[bytes]) -> RGB | None:
    """Decode a whole JPEG file, or return None if torchvision refuses it."""
    import torch

    try:
        from torchvision.io import ImageReadMode, decode_jpeg
    except ImportError:  # it is to move to another package
        return None
    file.seek(0)
    content = torch.frombuffer(bytearray(file.read()), dtype=torch.uint8)
    try:
        pixels = decode_jpeg(content, mode=ImageReadMode.RGB)
    except RuntimeError:
        file.seek(0)
        return None
    rgb: RGB = pixels.permute(1, 2, 0).numpy()
    return np.ascontiguousarray(rgb)
