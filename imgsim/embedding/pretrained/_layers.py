"""Stages of a network, selected by their index or name in timm."""

from typing import TYPE_CHECKING, Any

from imgsim._validation import is_integer

if TYPE_CHECKING:
    from torch import nn


def find_stages(module: "nn.Module", layer: Any) -> tuple[int, ...]:
    """Return the index of each stage that `layer` names, in the same order.

    Raises
    ------
    ValueError
        If the network does not list its stages, or does not have a stage of this index
        or name.
    """
    names = _stage_names(module)
    if not names:
        raise ValueError(
            f"layer={layer!r} requires a model that lists its stages as timm does "
            f"(forward_intermediates and feature_info); set layer=None."
        )
    stages = list(layer) if isinstance(layer, list | tuple) else [layer]
    if not stages:
        raise ValueError(
            "layer=[] must name at least one stage; set layer=None for the last "
            "feature map."
        )
    return tuple(_find_stage(stage, names) for stage in stages)


def _stage_names(module: "nn.Module") -> list[str]:
    info: Any = getattr(module, "feature_info", None)
    if not hasattr(module, "forward_intermediates") or info is None:
        return []
    return [stage["module"] for stage in getattr(info, "info", info)]


def _find_stage(stage: Any, names: list[str]) -> int:
    if isinstance(stage, str) and stage in names:
        return names.index(stage)
    is_index = is_integer(stage)
    if is_index and -len(names) <= stage < len(names):
        return int(stage) % len(names)
    choices = ", ".join(f"{i} {name!r}" for i, name in enumerate(names))
    raise ValueError(
        f"layer={stage!r} is not a stage of the model. Its stages, by index and name, "
        f"are {choices}; -1 is the last stage."
    )
