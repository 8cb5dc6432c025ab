"""Networks on their device: from 8-bit pixels to embeddings or feature maps."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Self

from imgsim._compute.precision import use_precision
from imgsim.embedding.pretrained._pooling import (
    Pooling,
    last_features,
    pool_last,
    pool_stages,
    stage_features,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class Network(ABC):
    """A backbone in evaluation mode, which takes 8-bit pixels and scales them."""

    module: "nn.Module"
    device: str
    precision: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    stages: tuple[int, ...] | None
    compile: bool

    def __call__(self, pixels: "Tensor") -> "Tensor":
        """Return the output for uint8 pixels (n_images, height, width, 3)."""
        import torch

        forward = compile_network(self) if self.compile else self.forward
        with torch.inference_mode(), use_precision(self.precision, pixels.device.type):
            return forward(pixels)

    def forward(self, pixels: "Tensor") -> "Tensor":
        """Compute the output, in the current mode and precision of torch."""
        scale, shift = self._scale_and_shift
        return self._output(pixels.permute(0, 3, 1, 2).float().mul_(scale).add_(shift))

    @abstractmethod
    def _output(self, x: "Tensor") -> "Tensor":
        """Compute the float32 output for pixels (n_images, 3, height, width)."""

    @cached_property
    def _scale_and_shift(self) -> "tuple[Tensor, Tensor]":
        """Factor and offset that scale pixels in [0, 255] to the network's input."""
        import torch

        mean, std = (
            torch.tensor(value, dtype=torch.float64, device="cpu")[:, None, None]
            for value in (self.mean, self.std)
        )
        scale, shift = 1 / (255 * std), -mean / std
        return scale.float().to(self.device), shift.float().to(self.device)


@dataclass(frozen=True, kw_only=True)
class EmbeddingNetwork(Network):
    """A network whose output is one embedding per image."""

    pooling: Pooling | None
    gem_p: float
    flip: bool

    def probe(self, pixels: "Tensor") -> "tuple[Tensor, int]":
        """Return the embeddings, and the bytes of the largest intermediate result.

        The network is not compiled for this call.
        """
        sizes = [pixels.nbytes]

        def append_size(part: "nn.Module", inputs: Any, output: Any) -> None:
            sizes.append(getattr(output, "nbytes", 0))

        parts = self.module.modules()
        hooks = [part.register_forward_hook(append_size) for part in parts]
        try:
            embeddings = replace(self, compile=False)(pixels)
        finally:
            for hook in hooks:
                hook.remove()
        return embeddings, max(sizes)

    def _output(self, x: "Tensor") -> "Tensor":
        embeddings = self._pool(x)
        return (embeddings + self._pool(x.flip(3))) / 2 if self.flip else embeddings

    def _pool(self, x: "Tensor") -> "Tensor":
        if self.stages is None:
            return pool_last(self.module, x, self.pooling, self.gem_p).float()
        assert self.pooling is not None
        pooled = pool_stages(self.module, x, self.stages, self.pooling, self.gem_p)
        return pooled.float()


@dataclass(frozen=True, kw_only=True)
class MapNetwork(Network):
    """A network whose output is one feature map per image.

    The shape of the output is (n_images, height, width, n_features).
    """

    @classmethod
    def from_network(cls, network: Network) -> Self:
        """Return the same network with its feature map as output, not compiled."""
        values = {field.name: getattr(network, field.name) for field in fields(Network)}
        return cls(**{**values, "compile": False})

    def _output(self, x: "Tensor") -> "Tensor":
        if self.stages is not None:
            [(maps, _)] = stage_features(self.module, x, list(self.stages))
            return maps.permute(0, 2, 3, 1)
        features, prefix = last_features(
            self.module, x, advice="set layer, or use another model"
        )
        if prefix is None:
            return features.permute(0, 2, 3, 1)
        n_images, n_tokens, n_features = features.shape
        grid = _token_grid(self.module, n_tokens, tuple(x.shape[2:]))
        return features.reshape(n_images, *grid, n_features)


@lru_cache(maxsize=4)
def compile_network(network: Network) -> "Callable[[Tensor], Tensor]":
    """Compile a network for batches of one shape; the last four results are kept."""
    import torch

    compiled: Callable[[Tensor], Tensor]
    compiled = torch.compile(network.forward, dynamic=False)
    return compiled


def _token_grid(
    module: "nn.Module", n_tokens: int, sides: tuple[int, ...]
) -> tuple[int, int]:
    """Return the (height, width) of the grid of patch tokens, in row-major order."""
    patch: Any = getattr(getattr(module, "patch_embed", None), "patch_size", None)
    if patch is not None:
        sizes = patch if isinstance(patch, tuple | list) else (patch, patch)
        height, width = (side // size for side, size in zip(sides, sizes, strict=True))
        if height * width == n_tokens:
            return int(height), int(width)
    raise ValueError(
        f"the grid of the {n_tokens} patch tokens of the model is unknown; set "
        f"layer=-1, whose grid timm provides."
    )
