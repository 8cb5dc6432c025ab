"""In which floating-point format a network computes."""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgsim._compute.torch_settings import ProcessSwitch

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

_LOWERED = ("bfloat16", "float16")


def resolve_precision(precision: str, device: str) -> str:
    """Return `precision`, or for "auto" the fastest that keeps the quality."""
    if precision != "auto":
        return precision
    kind = device.partition(":")[0]
    if kind == "cuda":
        return "float16"
    return "bfloat16" if kind == "cpu" and _cpu_has_bfloat16() else "float32"


@lru_cache(maxsize=1)
def _cpu_has_bfloat16() -> bool:
    """Tell whether the CPU multiplies bfloat16 itself; elsewhere it is slower."""
    try:
        described = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return re.search(r"\b(avx512_bf16|amx_bf16|bf16)\b", described) is not None


def lower_weights(module: "nn.Module", dtype: "torch.dtype") -> None:
    """Round the weights of convolutions and linear layers, in place.

    They take nearly all of the time. Norms, embeddings of positions and sums stay in
    float32: rounded biases alone would cost as many neighbours as all weights.
    """
    from torch import nn

    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            part.weight.data = round_keeping_sums(part.weight.data, dtype)


def round_keeping_sums(weight: "Tensor", dtype: "torch.dtype") -> "Tensor":
    """Round the weights of a layer such that the sum of each filter is kept.

    The error of each weight is carried to the next smaller one, which is finer, so
    that an area without structure, and a channel that is constant, come out as before.
    """
    import torch

    is_spatial = weight.ndim > 2 and weight[0, 0].numel() > 1
    filters = weight.flatten(2) if is_spatial else weight.reshape(len(weight), 1, -1)
    order = filters.abs().argsort(dim=-1, descending=True)
    exact = filters.float().gather(-1, order)
    rounded = torch.empty_like(exact)
    carried = torch.zeros_like(exact[..., 0])
    for i in range(exact.shape[-1]):
        wanted = exact[..., i] + carried
        rounded[..., i] = wanted.to(dtype)
        carried = wanted - rounded[..., i]
    unsorted = torch.empty_like(exact).scatter_(-1, order, rounded)
    return unsorted.reshape(weight.shape).to(dtype)


def computing_in(precision: str, device_type: str) -> AbstractContextManager[Any]:
    """Return the context in which a network of this precision runs."""
    import torch

    if precision in _LOWERED:
        return torch.autocast(device_type, dtype=getattr(torch, precision))
    return _full_float32 if device_type == "cuda" else nullcontext()


def _switch_to_full_float32() -> Callable[[], None]:
    """Change the settings of torch, and return what puts them back."""
    import torch
    from torch import backends

    try:
        tf32 = backends.cudnn.allow_tf32
        matmul = torch.get_float32_matmul_precision()
    except RuntimeError:
        # torch refuses these where a program has used its newer settings.
        return _switch_newer_settings()
    backends.cudnn.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")

    def put_back() -> None:
        backends.cudnn.allow_tf32 = tf32
        torch.set_float32_matmul_precision(matmul)

    return put_back


def _switch_newer_settings() -> Callable[[], None]:
    from torch import backends

    cudnn: Any = backends.cudnn
    owners: tuple[Any, Any] = (cudnn.conv, backends.cuda.matmul)
    before = [owner.fp32_precision for owner in owners]
    for owner in owners:
        owner.fp32_precision = "ieee"

    def put_back() -> None:
        for owner, precision in zip(owners, before, strict=True):
            owner.fp32_precision = precision

    return put_back


# Keeps CUDA from rounding float32 to 10 bits (TF32).
_full_float32 = ProcessSwitch(_switch_to_full_float32)
