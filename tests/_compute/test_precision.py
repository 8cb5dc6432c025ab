"""Tests of the precision of computations."""

import threading
from pathlib import Path

import pytest

from imgsim._compute import precision
from imgsim._compute.precision import (
    resolve_precision,
    round_keeping_sums,
    round_weights,
    use_precision,
)

torch = pytest.importorskip("torch")


@pytest.mark.parametrize(
    ("device", "has_bfloat16", "expected"),
    [
        ("cuda", False, "float16"),
        ("cuda:1", True, "float16"),
        ("cpu", True, "bfloat16"),
        ("cpu", False, "float32"),
        ("mps", True, "float32"),
    ],
)
def test_auto_is_the_fastest_precision_of_the_device(
    monkeypatch, device, has_bfloat16, expected
):
    """An emulated precision would be slower than float32."""
    monkeypatch.setattr(precision, "_cpu_has_bfloat16", lambda: has_bfloat16)

    assert resolve_precision("auto", device) == expected
    assert resolve_precision("bfloat16", device) == "bfloat16"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("flags : avx512f avx512_bf16 avx512_vnni", True),
        ("flags : amx_bf16 amx_tile", True),
        ("Features : asimd bf16 i8mm", True),
        ("flags : avx512f avx2", False),
    ],
)
def test_bfloat16_of_the_cpu_is_detected(monkeypatch, flags, expected):
    """Linux lists the features of x86 and Arm processors under different names."""
    monkeypatch.setattr(Path, "read_text", lambda path: flags)

    assert precision._cpu_has_bfloat16.__wrapped__() is expected


@pytest.mark.parametrize("shape", [(8, 1, 3, 3), (8, 4, 3, 3), (8, 64, 1, 1), (8, 64)])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_rounding_preserves_the_sum_of_each_filter(shape, dtype):
    """Rounding each weight on its own changes the sums several times as much."""
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    per_filter = weight.flatten(2) if shape[-1] == 3 else weight.flatten(1)

    kept = round_keeping_sums(weight, dtype)

    assert kept.dtype == dtype
    kept, plain = kept.float(), weight.to(dtype).float()
    error = (kept.reshape(per_filter.shape) - per_filter).sum(-1).abs().mean()
    plain_error = (plain.reshape(per_filter.shape) - per_filter).sum(-1).abs().mean()
    assert error < plain_error / 3
    assert (kept - weight).abs().max() <= torch.finfo(dtype).eps * weight.abs().max()


def test_only_weights_of_convolutions_and_linear_layers_are_rounded():
    """Rounding norms and biases would cost accuracy and save no time."""
    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Linear(4, 2)
    )

    round_weights(module, torch.bfloat16)

    dtypes = {name: value.dtype for name, value in module.state_dict().items()}
    lowered = {name for name, dtype in dtypes.items() if dtype == torch.bfloat16}
    assert lowered == {"0.weight", "2.weight"}


def _tf32():
    return torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()


def test_float32_on_cuda_is_not_rounded_to_tf32():
    """Embeddings of a GPU must match those of a CPU; the settings are restored."""
    before = _tf32()

    with use_precision("float32", "cuda"):
        inside = _tf32()

    assert inside == (False, "highest")
    assert _tf32() == before


def test_overlapping_threads_restore_the_settings():
    """The first thread that enters may not be the last one that leaves."""
    before = _tf32()
    first_is_in, second_is_in = threading.Event(), threading.Event()

    def second():
        first_is_in.wait(10)
        with use_precision("float32", "cuda"):
            second_is_in.set()
            first_has_left.wait(10)
            seen.append(_tf32())

    first_has_left, seen = threading.Event(), []
    thread = threading.Thread(target=second)
    thread.start()
    with use_precision("float32", "cuda"):
        first_is_in.set()
        second_is_in.wait(10)
    first_has_left.set()
    thread.join()

    assert seen == [(False, "highest")]
    assert _tf32() == before


def test_the_newer_settings_of_torch_are_restored():
    """PyTorch refuses its older settings once a program has used the newer ones."""
    convolution = getattr(torch.backends.cudnn, "conv", None)
    if not hasattr(convolution, "fp32_precision"):
        pytest.skip("this torch has only the older settings")
    matmul = torch.backends.cuda.matmul
    before = convolution.fp32_precision, matmul.fp32_precision
    convolution.fp32_precision, matmul.fp32_precision = "tf32", "tf32"
    torch.backends.cudnn.rnn.fp32_precision = "ieee"
    try:
        with use_precision("float32", "cuda"):
            inside = convolution.fp32_precision, matmul.fp32_precision
        after = convolution.fp32_precision, matmul.fp32_precision
    finally:
        torch.backends.cudnn.rnn.fp32_precision = "tf32"
        convolution.fp32_precision, matmul.fp32_precision = before

    assert inside == ("ieee", "ieee")
    assert after == ("tf32", "tf32")


def test_half_precision_uses_autocast():
    """It is enabled only for the device that computes."""
    with use_precision("bfloat16", "cpu"):
        assert torch.is_autocast_enabled("cpu")
        assert torch.get_autocast_dtype("cpu") == torch.bfloat16
    with use_precision("float32", "cpu"):
        assert not torch.is_autocast_enabled("cpu")
