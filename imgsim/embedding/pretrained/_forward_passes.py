"""Forward passes of batches through a network, while the next batch is decoded."""

from abc import ABC, abstractmethod
from concurrent.futures import Future, ThreadPoolExecutor
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


# glibc returns blocks of more than 32 MiB to the system. New blocks must then be
# cleared for every layer, which takes longer than the computation itself.
_MAX_BYTES_PER_MAP = 24 * 2**20


class ForwardPasses(ABC):
    """An executor that runs images through a network in passes of limited size."""

    def __init__(
        self, network: Network, pass_size: int, threads: ThreadPoolExecutor
    ) -> None:
        self._network = network
        self._pass_size = pass_size
        self._threads = threads

    @abstractmethod
    def submit(self, images: list[PixelArray]) -> list[Future[EmbeddingArray]]:
        """Start to embed a batch; the futures hold its embeddings in this order."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Wait for the running passes, and cancel the passes that have not started."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _run(self, pixels: "Tensor") -> "Tensor":
        """Embed the images of one pass; a compiled network requires a full pass."""
        n_missing = self._pass_size - len(pixels) if self._network.compile else 0
        if n_missing <= 0:
            return self._network(pixels)
        import torch

        padding = pixels[-1:].expand(n_missing, -1, -1, -1)
        return self._network(torch.cat([pixels, padding]))[: len(pixels)]


class CpuPasses(ForwardPasses):
    """Small passes that run side by side, each on its own core.

    Each pass uses one thread, because threads that share a pass wait for each other
    after every layer, especially if threads that decode images also use the cores. If a
    batch has fewer images than there are cores, the cores are divided among its passes.
    A compiled network runs one pass after another on all cores, because it was compiled
    for this number of threads.
    """

    def __init__(self, network: Network, pass_size: int) -> None:
        import torch

        # The number of threads that the program allows torch.
        self._n_threads = torch.get_num_threads()
        self._controller = ThreadpoolController()
        # In a new thread, torch first sets its number of threads to the default, which
        # must not happen after we have set it.
        threads = ThreadPoolExecutor(
            1 if network.compile else self._n_threads,
            "imgsim-embed",
            initializer=torch.get_num_threads,
        )
        super().__init__(network, pass_size, threads)

    def submit(self, images: list[PixelArray]) -> list[Future[EmbeddingArray]]:
        """Start to embed a batch, with one future per pass."""
        parts = self._divide(images)
        n_parallel = 1 if self._network.compile else len(parts)
        n_threads = max(1, self._n_threads // n_parallel)
        return [self._threads.submit(self._embed, part, n_threads) for part in parts]

    def _divide(self, images: list[PixelArray]) -> list[list[PixelArray]]:
        """Divide a batch among the cores, or into passes of exactly one size."""
        n_parts = ceil(len(images) / self._pass_size)
        bounds = np.arange(n_parts + 1) * self._pass_size
        if not self._network.compile:
            n_parts = max(n_parts, min(self._n_threads, len(images)))
            bounds = np.linspace(0, len(images), n_parts + 1).astype(int)
        return [images[start:stop] for start, stop in pairwise(bounds)]

    def _embed(self, images: list[PixelArray], n_threads: int) -> EmbeddingArray:
        import torch

        with self._controller.limit(limits=n_threads, user_api="openmp"):
            pixels = torch.from_numpy(np.stack(images))
            embeddings: EmbeddingArray = self._run(pixels).numpy()
        return embeddings


class DevicePasses(ForwardPasses):
    """Passes of whole batches on a GPU, while the CPU continues.

    If the memory of the GPU is not sufficient, the size of a pass is halved for the
    rest of the run.
    """

    _has_warned = False

    def __init__(self, network: Network, pass_size: int) -> None:
        super().__init__(network, pass_size, ThreadPoolExecutor(1, "imgsim-embed"))

    def submit(self, images: list[PixelArray]) -> list[Future[EmbeddingArray]]:
        """Start to embed a batch; a thread waits until its embeddings are copied."""
        import torch

        on_cuda = torch.device(self._network.device).type == "cuda"
        shape = (len(images), *images[0].shape)
        pixels = torch.empty(shape, dtype=torch.uint8, device="cpu", pin_memory=on_cuda)
        np.stack(images, out=pixels.numpy())
        embeddings = self._embed(pixels)
        if not on_cuda:
            return [self._threads.submit(embeddings.cpu().numpy)]
        on_host = torch.empty(
            embeddings.shape, dtype=embeddings.dtype, device="cpu", pin_memory=True
        )
        on_host.copy_(embeddings, non_blocking=True)
        copied = torch.cuda.current_stream(embeddings.device).record_event()
        return [self._threads.submit(_wait_for_copy, copied, on_host)]

    def _embed(self, pixels: "Tensor") -> "Tensor":
        import torch

        while True:
            try:
                on_device = pixels.to(self._network.device, non_blocking=True)
                parts = torch.split(on_device, self._pass_size)
                return torch.cat([self._run(part) for part in parts])
            except torch.cuda.OutOfMemoryError:
                if min(self._pass_size, len(pixels)) == 1:
                    raise
            # This is not in the `except` block, because the exception keeps the memory
            # in use until the end of the block.
            self._halve_pass_size(len(pixels))

    def _halve_pass_size(self, n_images: int) -> None:
        import torch

        torch.cuda.empty_cache()
        n_tried = min(self._pass_size, n_images)
        if not self._has_warned:
            warn_caller(
                f"{n_tried} images do not fit in the memory of {self._network.device}; "
                f"the size of forward passes is halved until they fit. Set a smaller "
                f"batch_size to avoid this warning.",
                RuntimeWarning,
            )
        self._has_warned = True
        self._pass_size = ceil(n_tried / 2)


def open_forward_passes(network: Network, pass_size: int) -> ForwardPasses:
    """Return an executor for the device of the network."""
    on_cpu = network.device.partition(":")[0] == "cpu"
    return (CpuPasses if on_cpu else DevicePasses)(network, pass_size)


def choose_pass_size(n_bytes_per_image: int, batch_size: int) -> int:
    """Return the number of images in a pass on a CPU.

    `n_bytes_per_image` is the size of the largest intermediate result of one image.
    """
    n_max = max(1, _MAX_BYTES_PER_MAP // n_bytes_per_image)
    n_passes = ceil(batch_size / n_max)
    return ceil(batch_size / n_passes)


def _wait_for_copy(copied: Any, on_host: "Tensor") -> EmbeddingArray:
    copied.synchronize()
    embeddings: EmbeddingArray = on_host.numpy()
    return embeddings
