"""A network that the user brings, made ready without changing it."""

import threading
from copy import deepcopy
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from imgsim.embedding.pretrained._preprocessing import two_sides
from imgsim.embedding.pretrained._timm_backbone import Backbone, identify, make_backbone

if TYPE_CHECKING:
    from torch import nn

_copying = threading.Lock()
_made_of: "WeakKeyDictionary[nn.Module, tuple[Any, Backbone]]" = WeakKeyDictionary()


def backbone_of(
    module: "nn.Module", device: str, precision: str, image_size: Any
) -> Backbone:
    """Return a copy of a network, ready to embed; a new one if it was changed since."""
    sides = None if image_size is None else two_sides(image_size)
    with _copying:
        identity = identify(module)
        state = (device, precision, sides, identity)
        known, backbone = _made_of.get(module, (None, None))
        if backbone is None or known != state:
            backbone = make_backbone(
                deepcopy(module), identity, device, precision, sides
            )
            _made_of[module] = state, backbone
    return backbone


def refuse_with_module(**parameters: Any) -> None:
    """Raise if parameters are given that only make sense with a name."""
    for name, value in parameters.items():
        if value is not None:
            raise ValueError(
                f"{name}={value!r} is for models by name; model is a network already."
            )


def forget_copies() -> None:
    """Free the copies."""
    _made_of.clear()
