"""The preprocessing of images: the model's own, and the parameters that override it."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from imgsim._validation import is_integer, is_number

CropMode = Literal["center", "squash", "border"]
Interpolation = Literal["bicubic", "bilinear", "lanczos", "nearest", "box", "hamming"]

# Parameters of ImageEmbedder that override the preprocessing of the model.
OVERRIDES = ("image_size", "crop_mode", "crop_pct", "mean", "std", "interpolation")


def override_preprocessing(
    config: Mapping[str, Any], parameters: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the preprocessing of a model, changed by parameters that are not None."""
    # A configuration that was read from JSON contains lists.
    result = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in config.items()
    }
    given = {name: value for name, value in parameters.items() if value is not None}
    if "image_size" in given:
        result["input_size"] = (3, *check_image_size(given.pop("image_size")))
    for name, value in given.items():
        is_scale = name in ("mean", "std")
        result[name] = _one_per_channel(name, value) if is_scale else value
    return result


def check_image_size(image_size: Any) -> tuple[int, int]:
    """Return `image_size` as (height, width) in pixels."""
    has_two = isinstance(image_size, tuple | list)
    sides = tuple(image_size) if has_two else (image_size, image_size)
    if len(sides) != 2 or not all(is_integer(n) and n >= 1 for n in sides):
        raise ValueError(
            f"image_size={image_size!r} must be one integer or two, (height, width), "
            f"each at least 1."
        )
    return int(sides[0]), int(sides[1])


def _one_per_channel(name: str, value: Any) -> tuple[float, float, float]:
    values = (value,) * 3 if is_number(value) else tuple(value)
    valid = len(values) == 3 and all(
        is_number(number) and np.isfinite(number) and (number > 0 or name == "mean")
        for number in values
    )
    if not valid:
        raise ValueError(
            f"{name}={value!r} must be one number or three, for red, green and blue, "
            f"each finite{' and greater than 0' if name == 'std' else ''}."
        )
    return values
