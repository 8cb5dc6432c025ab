"""A network that the user brings, made ready without changing it."""

from copy import deepcopy
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from imgsim.embedding._backbone import Backbone, make_backbone

if TYPE_CHECKING:
    from torch import nn

_made_of: "WeakKeyDictionary[nn.Module, tuple[Any, Backbone]]" = WeakKeyDictionary()


def backbone_of(
    module: "nn.Module", device: str, precision: str, sides: tuple[int, int] | None
) -> Backbone:
    """Return a copy of a network, ready to embed; a new one if it was trained since."""
    state = (device, precision, sides, _versions(module))
    known, backbone = _made_of.get(module, (None, None))
    if backbone is None or known != state:
        backbone = make_backbone(deepcopy(module), device, precision, sides)
        _made_of[module] = state, backbone
    return backbone


def forget_copies() -> None:
    """Free the copies."""
    _made_of.clear()


def _versions(module: "nn.Module") -> tuple[Any, ...]:
    """Return what changes when a tensor is replaced, or written in place."""
    return tuple(
        (tensor.data_ptr(), 0 if tensor.is_inference() else tensor._version)
        for tensor in module.state_dict().values()
    )
