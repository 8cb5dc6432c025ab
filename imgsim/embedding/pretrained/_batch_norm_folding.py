"""Folding of batch norms into the convolutions that precede them."""

from copy import deepcopy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

_TOLERANCE = 1e-4


def fold_batch_norms(module: "nn.Module", example: "Tensor") -> "nn.Module":
    """Return the network with fewer layers and, up to rounding, the same output.

    A forward pass of `example` shows which convolution is followed by which batch norm.
    The folded network is compared with the original on `example`. If the outputs
    differ, because the network also uses a convolution in another way, the original
    network is returned.
    """
    import torch
    from torch import nn

    if not any(isinstance(part, nn.BatchNorm2d) for part in module.modules()):
        return module
    with torch.inference_mode():
        pairs = _find_pairs(module, example)
        if not pairs:
            return module
        expected = _all_outputs(module, example)
    folded = deepcopy(module)
    for conv_name, norm_name in pairs:
        _fold(folded, conv_name, norm_name)
    with torch.inference_mode():
        actual = _all_outputs(folded, example)
    is_same = all(
        bool((a - b).abs().max() <= _TOLERANCE * b.abs().max())
        for a, b in zip(actual, expected, strict=True)
    )
    return folded if is_same else module


def _find_pairs(module: "nn.Module", example: "Tensor") -> list[tuple[str, str]]:
    """Return the names of each convolution and of the batch norm of its output."""
    from torch import nn
    from torch.nn.utils.parametrize import is_parametrized

    names = {part: name for name, part in module.named_modules()}
    # The output itself is also kept, so that its id is not reused.
    conv_of_output: dict[int, tuple[nn.Module, Tensor]] = {}
    n_calls: dict[nn.Module, int] = {}
    pairs = []

    def record_call(part: "nn.Module", inputs: Any, output: Any) -> None:
        n_calls[part] = n_calls.get(part, 0) + 1
        if isinstance(part, nn.Conv2d):
            conv_of_output[id(output)] = part, output
        elif id(inputs[0]) in conv_of_output:
            pairs.append((conv_of_output[id(inputs[0])][0], part))

    hooks = [
        part.register_forward_hook(record_call)
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
    # Batch norms of timm may contain dropout and an activation, which are kept.
    rest = [getattr(norm, name) for name in ("drop", "act") if hasattr(norm, name)]
    _replace(module, norm_name, nn.Sequential(*rest))


def _replace(module: "nn.Module", name: str, part: "nn.Module") -> None:
    parent, _, child = name.rpartition(".")
    setattr(module.get_submodule(parent), child, part)


def _all_outputs(module: "nn.Module", example: "Tensor") -> "list[Tensor]":
    """Return the output of a network and the outputs of its stages."""
    from torch import Tensor

    outputs = [module(example)]
    if hasattr(module, "forward_intermediates"):
        run: Any = module.forward_intermediates
        outputs += run(example, intermediates_only=True)
    return [output for output in outputs if isinstance(output, Tensor)]
