"""Batch normalisation folded into the convolution before it."""

from copy import deepcopy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

_TOLERANCE = 1e-4


def fold_batch_norms(module: "nn.Module", example: "Tensor") -> "nn.Module":
    """Return the network with fewer layers and, but for rounding, the same output.

    Which convolution feeds which batch normalisation is seen on a forward pass of
    `example`. The result is compared with the original on it; where a network does
    more with a convolution than that, the original is returned.
    """
    import torch
    from torch import nn

    if not any(isinstance(part, nn.BatchNorm2d) for part in module.modules()):
        return module
    with torch.inference_mode():
        pairs = _pairs(module, example)
        if not pairs:
            return module
        expected = _all_outputs(module, example)
    folded = deepcopy(module)
    for conv_name, norm_name in pairs:
        _fold(folded, conv_name, norm_name)
    with torch.inference_mode():
        actual = _all_outputs(folded, example)
    same = all(
        bool((a - b).abs().max() <= _TOLERANCE * b.abs().max())
        for a, b in zip(actual, expected, strict=True)
    )
    return folded if same else module


def _pairs(module: "nn.Module", example: "Tensor") -> list[tuple[str, str]]:
    """Return the names of each convolution and the batch norm that takes its output."""
    from torch import nn
    from torch.nn.utils.parametrize import is_parametrized

    names = {part: name for name, part in module.named_modules()}
    made_by: dict[int, tuple[nn.Module, Tensor]] = {}
    n_calls: dict[nn.Module, int] = {}
    pairs = []

    def after(part: "nn.Module", inputs: Any, output: Any) -> None:
        n_calls[part] = n_calls.get(part, 0) + 1
        if isinstance(part, nn.Conv2d):
            made_by[id(output)] = part, output
        elif id(inputs[0]) in made_by:
            pairs.append((made_by[id(inputs[0])][0], part))

    hooks = [
        part.register_forward_hook(after)
        for part in names
        if isinstance(part, nn.Conv2d | nn.BatchNorm2d)
    ]
    try:
        module(example)
    finally:
        for hook in hooks:
            hook.remove()
    return [
        (names[conv], names[norm])
        for conv, norm in pairs
        if n_calls[conv] == n_calls[norm] == 1
        and norm.running_mean is not None
        and not is_parametrized(conv)
    ]


def _fold(module: "nn.Module", conv_name: str, norm_name: str) -> None:
    from torch import nn
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    conv, norm = module.get_submodule(conv_name), module.get_submodule(norm_name)
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    _replace(module, conv_name, fuse_conv_bn_eval(conv, norm))
    # timm's norms carry their activation with them.
    rest = [getattr(norm, name) for name in ("drop", "act") if hasattr(norm, name)]
    _replace(module, norm_name, nn.Sequential(*rest))


def _replace(module: "nn.Module", name: str, part: "nn.Module") -> None:
    parent, _, child = name.rpartition(".")
    setattr(module.get_submodule(parent), child, part)


def _all_outputs(module: "nn.Module", example: "Tensor") -> "list[Tensor]":
    """Return what can be taken from a network: its output and its stages."""
    from torch import Tensor

    outputs = [module(example)]
    if hasattr(module, "forward_intermediates"):
        stages: Any = module.forward_intermediates
        outputs += stages(example, intermediates_only=True)
    return [output for output in outputs if isinstance(output, Tensor)]
