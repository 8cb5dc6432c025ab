"""What is done to an image before a network sees it, as numbers and names."""

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np

# The parameters of ImageEmbedder that take the place of a model's own preprocessing.
OVERRIDING = ("image_size", "crop_mode", "crop_pct", "mean", "std", "interpolation")


def overridden(
    config: Mapping[str, Any], parameters: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a model's own preprocessing, but for the parameters that are not None."""
    # A configuration read from JSON has lists.
    result = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in config.items()
    }
    given = {name: value for name, value in parameters.items() if value is not None}
    if "image_size" in given:
        result["input_size"] = (3, *two_sides(given.pop("image_size")))
    for name, value in given.items():
        is_scale = name in ("mean", "std")
        result[name] = _one_per_channel(name, value) if is_scale else value
    return result


def two_sides(image_size: Any) -> tuple[int, int]:
    """Return the height and width that `image_size` asks for."""
    both = isinstance(image_size, tuple | list)
    sides = tuple(image_size) if both else (image_size, image_size)
    if len(sides) != 2 or not all(
        isinstance(n, int | np.integer) and n >= 1 for n in sides
    ):
        raise ValueError(
            f"image_size={image_size!r} must be one integer, or two: height, width; "
            f"each at least 1 pixel."
        )
    return int(sides[0]), int(sides[1])


def _one_per_channel(name: str, value: Any) -> tuple[float, float, float]:
    values = (value,) * 3 if isinstance(value, Real) else tuple(value)
    valid = len(values) == 3 and all(
        isinstance(number, int | float | np.number)
        and np.isfinite(number)
        and (number > 0 or name == "mean")
        for number in values
    )
    if not valid:
        raise ValueError(
            f"{name}={value!r} must be one number, or three: red, green, blue; finite"
            f"{', and larger than 0' if name == 'std' else ''}."
        )
    return values
