"""Networks come out alike, whatever the program around has set."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

# torch draws weights from one generator, with one default dtype, for all threads.
_one_at_a_time = threading.RLock()


@contextmanager
def building(seed: int) -> Iterator[None]:
    """Draw weights from a seed, in float32, on the CPU, and leave torch as it was."""
    import torch

    with _one_at_a_time:
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
    """Enable gradients, even if the calling program has disabled them."""
    import torch

    with torch.inference_mode(False), torch.enable_grad():
        yield
