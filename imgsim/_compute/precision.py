"""Precision of computations: the floating-point format of products and weights."""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgsim._compute.torch_settings import ProcessSettings

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

_HALF_PRECISIONS = ("bfloat16", "float16")


def resolve_precision(precision: str, device: str) -> str:
    """Return `precision`; for "auto", the fastest precision of similar quality."""
    if precision != "auto":
        return precision
    kind = device.partition(":")[0]
    if kind == "cuda":
        return "float16"
    return "bfloat16" if kind == "cpu" and _cpu_has_bfloat16() else "float32"


@lru_cache(maxsize=1)
def _cpu_has_bfloat16() -> bool:
    """Return whether the CPU has instructions for bfloat16; without them it is slow."""
    try:
        cpu_info = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return re.search(r"\b(avx512_bf16|amx_bf16|bf16)\b", cpu_info) is not None


def round_weights(module: "nn.Module", dtype: "torch.dtype") -> None:
    """Round the weights of convolutions and linear layers, in place.

    These layers take nearly all of the time. Norms, positional embeddings and biases
    stay in float32: rounding the biases would change as many neighbors as rounding all
    weights.
    """
    from torch import nn

    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            part.weight.data = round_keeping_sums(part.weight.data, dtype)


def round_keeping_sums(weight: "Tensor", dtype: "torch.dtype") -> "Tensor":
    """Round the weights of a layer so that the sum of each filter is preserved.

    The rounding error of each weight is added to the next smaller weight, which is
    rounded to a finer grid. The response to uniform areas and constant channels is then
    nearly unchanged.
    """
    import torch

    is_spatial = weight.ndim > 2 and weight[0, 0].numel() > 1
    filters = weight.flatten(2) if is_spatial else weight.reshape(len(weight), 1, -1)
    order = filters.abs().argsort(dim=-1, descending=True)
    exact = filters.float().gather(-1, order)
    rounded = torch.empty_like(exact)
    error = torch.zeros_like(exact[..., 0])
    for i in range(exact.shape[-1]):
        corrected = exact[..., i] + error
        rounded[..., i] = corrected.to(dtype)
        error = corrected - rounded[..., i]
    unsorted = torch.empty_like(exact).scatter_(-1, order, rounded)
    return unsorted.reshape(weight.shape).to(dtype)


def use_precision(precision: str, device_type: str) -> AbstractContextManager[None]:
    """Return a context in which a network computes in this precision."""
    import torch

    if precision in _HALF_PRECISIONS:
        return torch.autocast(device_type, dtype=getattr(torch, precision))
    return _full_float32 if device_type == "cuda" else nullcontext()


def _disable_tf32() -> Callable[[], None]:
    """Change the settings of torch, and return a function that restores them."""
    import torch
    from torch import backends

    try:
        tf32 = backends.cudnn.allow_tf32
        matmul = torch.get_float32_matmul_precision()
    except RuntimeError:
        # torch raises an error if the program has used its newer settings.
        return _disable_tf32_by_newer_settings()
    backends.cudnn.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")

    def restore() -> None:
        backends.cudnn.allow_tf32 = tf32
        torch.set_float32_matmul_precision(matmul)

    return restore


def _disable_tf32_by_newer_settings() -> Callable[[], None]:
    from torch import backends

    cudnn: Any = backends.cudnn
    owners: tuple[Any, Any] = (cudnn.conv, backends.cuda.matmul)
    before = [owner.fp32_precision for owner in owners]
    for owner in owners:
        owner.fp32_precision = "ieee"

    def restore() -> None:
        for owner, precision in zip(owners, before, strict=True):
            owner.fp32_precision = precision

    return restore


# By default, CUDA may round the factors of float32 products to 10 bits (TF32).
_full_float32 = ProcessSettings(_disable_tf32)
