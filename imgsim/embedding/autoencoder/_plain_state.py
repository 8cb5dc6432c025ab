"""Conversion of the state of a training run to arrays of NumPy, and back."""

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["to_arrays", "to_tensors"]


def to_arrays(state: Any) -> Any:
    """Return nested dicts and lists with an array in place of each tensor."""
    import torch

    return _map_leaves(
        lambda leaf: leaf.numpy() if isinstance(leaf, torch.Tensor) else leaf, state
    )


def to_tensors(state: Any) -> Any:
    """Return nested dicts and lists with a tensor in place of each array."""
    import torch

    # A copy, because torch cannot use arrays that are read-only.
    return _map_leaves(
        lambda leaf: (
            torch.from_numpy(leaf.copy()) if isinstance(leaf, np.ndarray) else leaf
        ),
        state,
    )


def _map_leaves(function: Callable[[Any], Any], state: Any) -> Any:
    if isinstance(state, dict):
        return {key: _map_leaves(function, value) for key, value in state.items()}
    if isinstance(state, list):
        return [_map_leaves(function, value) for value in state]
    return function(state)
