"""The stages of a network, by the index or the name timm gives them."""

from numbers import Integral
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn


def find_stages(module: "nn.Module", layer: Any) -> tuple[int, ...]:
    """Return the index of each stage that `layer` names, in its order.

    Raises
    ------
    ValueError
        If the network tells of no stages, or has none of that index or name.
    """
    names = _stage_names(module)
    if not names:
        raise ValueError(
            f"layer={layer!r}: the model does not tell of its stages in timm's way "
            f"(forward_intermediates and feature_info); set layer=None."
        )
    asked = list(layer) if isinstance(layer, list | tuple) else [layer]
    if not asked:
        raise ValueError("layer=[] names no stage; None takes the last feature map.")
    return tuple(_index(one, names) for one in asked)


def _stage_names(module: "nn.Module") -> list[str]:
    info: Any = getattr(module, "feature_info", None)
    if not hasattr(module, "forward_intermediates") or info is None:
        return []
    return [stage["module"] for stage in getattr(info, "info", info)]


def _index(one: Any, names: list[str]) -> int:
    if isinstance(one, str) and one in names:
        return names.index(one)
    is_index = isinstance(one, Integral) and not isinstance(one, bool)
    if is_index and -len(names) <= one < len(names):
        return int(one) % len(names)
    listed = ", ".join(f"{i} {name!r}" for i, name in enumerate(names))
    raise ValueError(
        f"layer={one!r} is no stage of the model. Its stages, by index or name: "
        f"{listed}; -1 is the last."
    )
