"""One RGB image becomes the pixels a network takes, in the decoding threads."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from PIL import Image

from imgsim._typing import PixelArray
from imgsim.embedding.pretrained._timm_backbone import evaluation_transform

# Beyond this ratio of its sides, the ends of a picture are cut off before it is
# resized: the centre crop would drop them, and enlarging them first can take
# gigabytes.
_MAX_ASPECT = 16


def make_preparation(
    config: Mapping[str, Any], decoder: str
) -> Callable[[PixelArray], PixelArray]:
    """Return timm's evaluation transform up to, without, the normalisation.

    The function turns any (height, width, 3) into the (height, width, 3) the network
    takes, both uint8. With `decoder="auto"`, torch resizes instead of Pillow, by the
    same arithmetic and in a third of the time.
    """
    resize, *others = evaluation_transform(config)
    on_tensor = decoder == "auto" and _has_equal_in_torch(resize)

    def prepare(rgb: PixelArray) -> PixelArray:
        if config["crop_mode"] == "center":
            rgb = _without_far_ends(rgb)
        image = _resized_by_torch(rgb, resize) if on_tensor else _resized(rgb, resize)
        for step in others:
            image = step(image)
        return np.ascontiguousarray(np.moveaxis(np.asarray(image), 0, -1))

    return prepare


def least_side(config: Mapping[str, Any]) -> int:
    """Return the pixels along a side below which no image need be read."""
    return int(max(config["input_size"][1:]) / config["crop_pct"])


def _resized(rgb: PixelArray, resize: Any) -> Any:
    return resize(Image.fromarray(rgb))


def _has_equal_in_torch(resize: Any) -> bool:
    from torchvision.transforms import Resize

    return isinstance(resize, Resize) and resize.interpolation.value in (
        "bicubic",
        "bilinear",
    )


def _resized_by_torch(rgb: PixelArray, resize: Any) -> Any:
    """Resize as torchvision does, without its detour by float32."""
    import torch

    writable = rgb if rgb.flags.writeable else rgb.copy()  # torch remarks on others
    pixels = torch.from_numpy(writable).permute(2, 0, 1)
    return torch.nn.functional.interpolate(
        pixels[None],
        size=_new_sides(rgb.shape[:2], resize.size),
        mode=resize.interpolation.value,
        antialias=True,
    )[0]


def _new_sides(sides: tuple[int, ...], wanted: Any) -> tuple[int, int]:
    """Return the height and width that torchvision's Resize makes of an image."""
    height, width = sides
    if not isinstance(wanted, int):
        return int(wanted[0]), int(wanted[1])
    if height <= width:
        return wanted, int(wanted * width / height)
    return int(wanted * height / width), wanted


def _without_far_ends(rgb: PixelArray) -> PixelArray:
    height, width = rgb.shape[:2]
    longest = _MAX_ASPECT * min(height, width)
    top, left = max(height - longest, 0) // 2, max(width - longest, 0) // 2
    return rgb[top : top + longest, left : left + longest]
