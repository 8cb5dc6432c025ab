"""Initialization and training of networks, independent of the caller's settings."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

# All threads share one generator and one default dtype of torch.
_lock = threading.RLock()


@contextmanager
def seeded_initialization(seed: int) -> Iterator[None]:
    """Initialize networks from a seed, in float32 and on the CPU.

    The random state and the default dtype of torch are restored afterwards. Other
    threads wait, because they share both.
    """
    import torch

    with _lock:
        before = torch.get_default_dtype()
        torch.set_default_dtype(torch.float32)
        try:
            with torch.random.fork_rng(devices=[]), torch.device("cpu"):
                torch.default_generator.manual_seed(seed)
                yield
        finally:
            torch.set_default_dtype(before)


@contextmanager
def gradients_enabled() -> Iterator[None]:
    """Compute gradients, even if the caller has disabled them."""
    import torch

    with torch.inference_mode(False), torch.enable_grad():
        yield
