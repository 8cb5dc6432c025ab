"""Backbones from a module that the user passes, which is copied and not modified."""

import threading
from copy import deepcopy
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from imgsim.embedding.pretrained._preprocessing import check_image_size
from imgsim.embedding.pretrained._timm_backbone import (
    Backbone,
    hash_network,
    make_backbone,
)

if TYPE_CHECKING:
    from torch import nn

_lock = threading.Lock()
_copies: "WeakKeyDictionary[nn.Module, tuple[Any, Backbone]]" = WeakKeyDictionary()


def copy_backbone(
    module: "nn.Module", device: str, precision: str, image_size: Any
) -> Backbone:
    """Return a backbone from a copy of a module.

    The copy is kept for the next call, and is replaced if the module has changed since
    it was copied.
    """
    sides = None if image_size is None else check_image_size(image_size)
    with _lock:
        digest = hash_network(module)
        key = (device, precision, sides, digest)
        kept_key, backbone = _copies.get(module, (None, None))
        if backbone is None or kept_key != key:
            copy = deepcopy(module)
            backbone = make_backbone(copy, digest, device, precision, sides)
            _copies[module] = key, backbone
    return backbone


def check_unused(**parameters: Any) -> None:
    """Raise ValueError if a parameter is set that a module does not use."""
    for name, value in parameters.items():
        if value is not None:
            raise ValueError(
                f"{name}={value!r} is used only if model is a name, but model is a "
                f"module; set {name}=None."
            )


def clear_copies() -> None:
    """Remove from memory the copies of all modules."""
    _copies.clear()
