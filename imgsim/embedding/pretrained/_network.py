"""All that happens to pixels on the device, from 8 bits to rows."""

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from imgsim._compute.precision import computing_in
from imgsim.embedding.pretrained._pooling import pool_last, pool_stages

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn


@dataclass(frozen=True)
class Network:
    """A backbone in evaluation mode, with what goes before and comes after it."""

    module: "nn.Module"
    device: str
    precision: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    stages: tuple[int, ...] | None
    pooling: str | None
    gem_p: float
    flip: bool
    compile: bool

    def __call__(self, pixels: "Tensor") -> "Tensor":
        """Turn (n_images, height, width, 3) uint8 into (n_images, n_features)."""
        import torch

        forward = compiled(self) if self.compile else self.forward
        with torch.inference_mode(), computing_in(self.precision, pixels.device.type):
            return forward(pixels)

    def forward(self, pixels: "Tensor") -> "Tensor":
        """Do what a call does, in whatever mode and precision torch is."""
        scale, shift = self._scale_and_shift
        x = pixels.permute(0, 3, 1, 2).float().mul_(scale).add_(shift)
        rows = self._rows(x)
        return (rows + self._rows(x.flip(3))) / 2 if self.flip else rows

    def _rows(self, x: "Tensor") -> "Tensor":
        if self.stages is None:
            rows = pool_last(self.module, x, self.pooling, self.gem_p)
        else:
            assert self.pooling is not None
            rows = pool_stages(self.module, x, self.stages, self.pooling, self.gem_p)
        return rows.float()

    @cached_property
    def _scale_and_shift(self) -> "tuple[Tensor, Tensor]":
        """What takes pixels of 0 to 255 to what the network was trained on."""
        import torch

        mean, std = (
            torch.tensor(value, dtype=torch.float64, device="cpu")[:, None, None]
            for value in (self.mean, self.std)
        )
        scale, shift = 1 / (255 * std), -mean / std
        return scale.float().to(self.device), shift.float().to(self.device)

    def probe(self, pixels: "Tensor") -> "tuple[Tensor, int]":
        """Return the rows of a few pixels, and the bytes of the largest map on the way.

        Nothing is compiled for it.
        """
        sizes = [pixels.nbytes]

        def note_size(part: "nn.Module", inputs: Any, output: Any) -> None:
            sizes.append(getattr(output, "nbytes", 0))

        parts = self.module.modules()
        hooks = [part.register_forward_hook(note_size) for part in parts]
        try:
            rows = replace(self, compile=False)(pixels)
        finally:
            for hook in hooks:
                hook.remove()
        return rows, max(sizes)


@lru_cache(maxsize=4)
def compiled(network: Network) -> "Callable[[Tensor], Tensor]":
    """Compile a network for batches of one shape; the last few are kept."""
    import torch

    fast: Callable[[Tensor], Tensor] = torch.compile(network.forward, dynamic=False)
    return fast
