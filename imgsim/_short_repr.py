"""Objects that contain many images, whose representation is short."""

from typing import Any

import numpy as np
from sklearn.utils import Bunch

__all__ = ["ImageBunch", "describe_items"]


class ImageBunch(Bunch):
    """A Bunch that represents an array by its shape and a list by its length."""

    def __repr__(self) -> str:
        return f"<Bunch: {describe_items(self)}>"


def describe_items(items: dict[str, Any]) -> str:
    """Return the names of values with their type and their size."""
    return ", ".join(f"{name}: {_describe(value)}" for name, value in items.items())


def _describe(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"array of shape {value.shape}"
    if isinstance(value, list | tuple):
        return f"{type(value).__name__} of length {len(value)}"
    return repr(value)
