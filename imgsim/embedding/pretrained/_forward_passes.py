"""Batches of pixels go through the network, while the next are being decoded."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from math import ceil
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from threadpoolctl import ThreadpoolController

from imgsim._typing import EmbeddingArray, PixelArray
from imgsim._warnings import warn_caller
from imgsim.embedding.pretrained._network import Network

if TYPE_CHECKING:
    from torch import Tensor


# glibc gives blocks beyond 32 MiB back to the system and has them cleared anew, layer
# by layer, which takes longer than to compute them.
_LARGEST_MAP = 24 * 2**20


class Passes(ABC):
    """Forward passes that are begun first, and waited for later."""

    def __init__(self, network: Network, n_images: int) -> None:
        self._network = network
        self._n_images = n_images

    @abstractmethod
    def __call__(self, images: list[PixelArray]) -> Callable[[], EmbeddingArray]:
        """Begin with a batch; call what is returned for its rows."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Free the threads, if there are any."""
        return

    def _run(self, pixels: "Tensor") -> "Tensor":
        """Embed no more than a pass takes; a compiled network wants exactly that."""
        n_missing = self._n_images - len(pixels) if self._network.compile else 0
        if n_missing <= 0:
            return self._network(pixels)
        import torch

        filling = pixels[-1:].expand(n_missing, -1, -1, -1)
        return self._network(torch.cat([pixels, filling]))[: len(pixels)]


class CpuPasses(Passes):
    """Small passes side by side, each on its own core.

    One thread a pass, because threads that share a pass wait for each other after
    every layer, and longest where decoding threads want the cores too. A batch that is
    too small for all cores shares them out among its passes. Compiled networks run one
    pass after the other, on all cores, for which they were compiled.
    """

    def __init__(self, network: Network, n_images: int) -> None:
        import torch

        super().__init__(network, n_images)
        self._n_cores = torch.get_num_threads()
        self._threads = ThreadpoolController()
        # In a new thread, torch sets its number of threads once, before we do.
        self._pool = ThreadPoolExecutor(
            1 if network.compile else self._n_cores,
            "imgsim-embed",
            initializer=torch.get_num_threads,
        )

    def __call__(self, images: list[PixelArray]) -> Callable[[], EmbeddingArray]:
        """Begin with a batch; call what is returned for its rows."""
        parts = self._parts(images)
        n_at_once = 1 if self._network.compile else len(parts)
        n_threads = max(1, self._n_cores // n_at_once)
        futures = [self._pool.submit(self._pass, part, n_threads) for part in parts]
        return lambda: np.concatenate([future.result() for future in futures])

    def _parts(self, images: list[PixelArray]) -> list[list[PixelArray]]:
        """Share a batch out among the cores, or into passes of exactly one size."""
        n_parts = ceil(len(images) / self._n_images)
        bounds = np.arange(n_parts + 1) * self._n_images
        if not self._network.compile:
            n_parts = max(n_parts, min(self._n_cores, len(images)))
            bounds = np.linspace(0, len(images), n_parts + 1).astype(int)
        return [images[begin:end] for begin, end in pairwise(bounds)]

    def __exit__(self, *exception: object) -> None:
        """Wait for the passes under way, and drop those that have not begun."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _pass(self, images: list[PixelArray], n_threads: int) -> EmbeddingArray:
        import torch

        with self._threads.limit(limits=n_threads, user_api="openmp"):
            rows: EmbeddingArray = self._run(torch.from_numpy(np.stack(images))).numpy()
        return rows


class DevicePasses(Passes):
    """Whole batches on a GPU, copied and computed while the host goes on.

    If its memory does not suffice, the batch is halved for the rest of the run.
    """

    _has_warned = False

    def __call__(self, images: list[PixelArray]) -> Callable[[], EmbeddingArray]:
        """Begin with a batch; call what is returned for its rows."""
        import torch

        on_cuda = torch.device(self._network.device).type == "cuda"
        shape = (len(images), *images[0].shape)
        pixels = torch.empty(shape, dtype=torch.uint8, device="cpu", pin_memory=on_cuda)
        np.stack(images, out=pixels.numpy())
        rows = self._embedded(pixels)
        if not on_cuda:
            return rows.cpu().numpy
        on_host = torch.empty(
            rows.shape, dtype=rows.dtype, device="cpu", pin_memory=True
        )
        on_host.copy_(rows, non_blocking=True)
        copied = torch.cuda.current_stream(rows.device).record_event()
        return lambda: _after(copied, on_host)

    def _embedded(self, pixels: "Tensor") -> "Tensor":
        import torch

        while True:
            try:
                on_device = pixels.to(self._network.device, non_blocking=True)
                parts = torch.split(on_device, self._n_images)
                return torch.cat([self._run(part) for part in parts])
            except torch.cuda.OutOfMemoryError:
                if min(self._n_images, len(pixels)) == 1:
                    raise
            # Not inside `except`, where the error would keep the memory in use.
            self._halve(len(pixels))

    def _halve(self, n_images: int) -> None:
        import torch

        torch.cuda.empty_cache()
        n_tried = min(self._n_images, n_images)
        if not self._has_warned:
            warn_caller(
                f"{n_tried} images at once do not fit into the memory of "
                f"{self._network.device}; batches are halved until they do. Set a "
                f"smaller batch_size to begin with.",
                RuntimeWarning,
            )
        self._has_warned = True
        self._n_images = ceil(n_tried / 2)


def open_passes(network: Network, n_images: int) -> Passes:
    """Return passes of at most `n_images` on the device of the network."""
    on_cpu = network.device.partition(":")[0] == "cpu"
    return (CpuPasses if on_cpu else DevicePasses)(network, n_images)


def n_images_in_pass(n_bytes_an_image: int, batch_size: int) -> int:
    """Return how many images a CPU takes at once, given the largest map of one."""
    n_most = max(1, _LARGEST_MAP // n_bytes_an_image)
    n_passes = ceil(batch_size / n_most)
    return ceil(batch_size / n_passes)


def _after(copied: Any, on_host: "Tensor") -> EmbeddingArray:
    copied.synchronize()
    rows: EmbeddingArray = on_host.numpy()
    return rows
