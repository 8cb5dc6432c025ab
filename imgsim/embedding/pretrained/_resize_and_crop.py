"""Resizing and cropping of images to the input of a network, in decoding threads."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal

import numpy as np
from PIL import Image

from imgsim._typing import PixelArray
from imgsim.embedding.pretrained._timm_backbone import evaluation_transform
from imgsim.images._read import read_image, read_image_fast

# An image with a larger ratio of its sides is cropped before it is resized, if its ends
# will be removed by the center crop. Resizing the whole image could take gigabytes.
_MAX_ASPECT_RATIO = 16
# Of smaller images, a larger share of the pixels that Pillow and torch compute differs
# by rounding, and Pillow needs less than a millisecond more.
_MIN_PIXELS_FOR_TORCH = 100_000


def make_loader(
    config: Mapping[str, Any],
    decoder: Literal["auto", "pillow"],
    max_pixels: float | None,
) -> Callable[[Any], PixelArray]:
    """Return the function that reads an image source for this preprocessing.

    With `decoder="auto"`, the function may downscale a large file while decoding it,
    but not below the size that the preprocessing requires.
    """
    if decoder == "pillow":
        return partial(read_image, max_pixels=max_pixels)
    return partial(
        read_image_fast, min_side=_required_side(config), max_pixels=max_pixels
    )


def make_transform(
    config: Mapping[str, Any], decoder: Literal["auto", "pillow"]
) -> Callable[[PixelArray], PixelArray]:
    """Return timm's evaluation transform without the normalization.

    The function turns an image of any size into the input of the network. Both are
    uint8 of shape (height, width, 3). With `decoder="auto"`, all but small images are
    resized by torch instead of Pillow, with the same arithmetic up to rounding and in a
    third of the time.
    """
    resize, *other_steps = evaluation_transform(config)
    takes_tensors = _torch_supports(resize)
    use_torch = decoder == "auto" and takes_tensors

    def transform(rgb: PixelArray) -> PixelArray:
        if config["crop_mode"] == "center":
            rgb = _crop_to_max_aspect_ratio(rgb)
        if use_torch and rgb.shape[0] * rgb.shape[1] >= _MIN_PIXELS_FOR_TORCH:
            image = _resize_with_torch(rgb, resize)
        else:
            image = resize(Image.fromarray(rgb))
            if takes_tensors:
                # Pillow would compare the crop with its own limit on pixels.
                image = _to_tensor(np.asarray(image))
        for step in other_steps:
            image = step(image)
        return np.ascontiguousarray(np.moveaxis(np.asarray(image), 0, -1))

    return transform


def _required_side(config: Mapping[str, Any]) -> int:
    """Return the number of pixels along a side to which images are resized."""
    return int(max(config["input_size"][1:]) / config["crop_pct"])


def _torch_supports(resize: Any) -> bool:
    from torchvision.transforms import Resize

    return isinstance(resize, Resize) and resize.interpolation.value in (
        "bicubic",
        "bilinear",
    )


def _resize_with_torch(rgb: PixelArray, resize: Any) -> Any:
    """Resize as torchvision does, but without its conversion to float32."""
    import torch

    return torch.nn.functional.interpolate(
        _to_tensor(rgb)[None],
        size=_resized_shape(rgb.shape[:2], resize.size),
        mode=resize.interpolation.value,
        antialias=True,
    )[0]


def _to_tensor(rgb: PixelArray) -> Any:
    """Return pixels of shape (height, width, 3) as a tensor (3, height, width)."""
    import torch

    # torch warns about an array that is not writable.
    writable = rgb if rgb.flags.writeable else rgb.copy()
    return torch.from_numpy(writable).permute(2, 0, 1)


def _resized_shape(shape: tuple[int, ...], size: Any) -> tuple[int, int]:
    """Return the (height, width) to which torchvision's Resize resizes an image."""
    height, width = shape
    if not isinstance(size, int):
        return int(size[0]), int(size[1])
    if height <= width:
        return size, int(size * width / height)
    return int(size * height / width), size


def _crop_to_max_aspect_ratio(rgb: PixelArray) -> PixelArray:
    height, width = rgb.shape[:2]
    max_side = _MAX_ASPECT_RATIO * min(height, width)
    top, left = max(height - max_side, 0) // 2, max(width - max_side, 0) // 2
    return rgb[top : top + max_side, left : left + max_side]
