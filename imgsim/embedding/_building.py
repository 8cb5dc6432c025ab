"""Networks come out alike, whatever the program around has set."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def building(seed: int) -> Iterator[None]:
    """Draw weights from a seed, in float32, on the CPU, and leave torch as it was."""
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        with torch.random.fork_rng(devices=[]), torch.device("cpu"):
            torch.default_generator.manual_seed(seed)
            yield
    finally:
        torch.set_default_dtype(before)
