"""The network of the autoencoder; it is imported only inside functions."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

# Larger images are downsampled to this side for the linear path. The convolutional
# path adds the finer detail.
_MAX_LINEAR_SIDE = 32
_MAX_NORM_GROUPS = 8


@dataclass(frozen=True)
class Architecture:
    """Settings that determine the shapes of all weights."""

    image_size: int
    n_colors: int
    latent_dim: int
    channels: tuple[int, ...]
    n_blocks: int
    is_variational: bool
    has_linear_path: bool = False

    @property
    def bottleneck_side(self) -> int:
        """Side of the smallest feature map: halved once per width, rounded up."""
        return math.ceil(self.image_size / (1 << len(self.channels)))

    @property
    def linear_side(self) -> int:
        """Side of the images that the linear path encodes."""
        return min(self.image_size, _MAX_LINEAR_SIDE)


def standardize(pixels: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Center and scale pixels (n, height, width, n_colors) of 0 to 255.

    Returns shape (n, n_colors, height, width).
    """
    return (pixels.permute(0, 3, 1, 2).float() / 255 - mean) / std


def downsample(x: Tensor) -> Tensor:
    """Reduce square images to the size that the linear path encodes."""
    return nn.functional.adaptive_avg_pool2d(x, min(x.shape[-1], _MAX_LINEAR_SIDE))


class ConvAutoencoder(nn.Module):
    """Convolutional autoencoder of residual blocks.

    The encoder halves the resolution once for each entry of `channels` and ends in a
    latent vector. The decoder does the reverse.

    An optional linear path runs beside the convolutional path in both directions. It is
    initialized with principal components, and the last layers of the convolutional path
    with zeros, so that training improves on a PCA from the first step.

    An embedding is the latent vector in other coordinates: `latent @ axes`. The axes
    are computed after training.
    """

    pixel_mean: Tensor
    pixel_std: Tensor
    axes: Tensor
    inverse_axes: Tensor
    upsampling: Tensor

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = a = architecture
        n_bottleneck = a.channels[-1] * a.bottleneck_side**2
        n_linear = a.n_colors * a.linear_side**2
        n_outputs = 2 * a.latent_dim if a.is_variational else a.latent_dim
        self.encoder = _make_encoder(a)
        self.to_latent = nn.Linear(n_bottleneck, n_outputs)
        self.from_latent = nn.Linear(a.latent_dim, n_bottleneck)
        self.decoder = _make_decoder(a)
        if a.has_linear_path:
            self.linear_to_latent = nn.Linear(n_linear, n_outputs)
            self.linear_from_latent = nn.Linear(a.latent_dim, n_linear)
            upsampling = _upsampling_matrix(a.linear_side, a.image_size)
            self.register_buffer("upsampling", upsampling)
            _set_to_zero(self.to_latent)
            _set_to_zero(self.decoder[-2])
        self.register_buffer("pixel_mean", torch.full((a.n_colors, 1, 1), 0.5))
        self.register_buffer("pixel_std", torch.tensor(0.25))
        self.register_buffer("axes", torch.eye(a.latent_dim))
        self.register_buffer("inverse_axes", torch.eye(a.latent_dim))

    def __getstate__(self) -> dict[str, Any]:
        """Return the architecture and the weights as plain values and arrays of NumPy.

        skops can then save the network, and a pickle of it loads without a GPU.
        """
        weights = {
            name: tensor.cpu().numpy() for name, tensor in self.state_dict().items()
        }
        return {
            "architecture": asdict(self.architecture),
            "weights": weights,
            "is_training": self.training,
            "requires_grad": self.to_latent.weight.requires_grad,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Rebuild the network on the CPU, without drawing random weights."""
        with torch.device("meta"):
            ConvAutoencoder.__init__(self, Architecture(**state["architecture"]))
        weights = {
            name: torch.from_numpy(array.copy())
            for name, array in state["weights"].items()
        }
        self.load_state_dict(weights, assign=True)
        self.to(memory_format=torch.channels_last)
        self.train(state["is_training"]).requires_grad_(state["requires_grad"])

    def set_pixel_scale(self, mean: Tensor, std: Tensor) -> None:
        """Set the mean and standard deviation that standardize pixels in [0, 1]."""
        self.pixel_mean.copy_(mean)
        self.pixel_std.copy_(std)

    def set_axes(self, axes: Tensor, inverse: Tensor) -> None:
        """Set the axes of embeddings and their inverse."""
        self.axes.copy_(axes)
        self.inverse_axes.copy_(inverse)

    def reset_axes(self) -> None:
        """Make embeddings equal to latent vectors."""
        identity = torch.eye(self.architecture.latent_dim, device="cpu")
        self.set_axes(identity, identity)

    def init_linear_path(self, mean: Tensor, components: Tensor, scale: float) -> None:
        """Initialize the linear path with principal components, divided by `scale`.

        `mean` has shape (n_linear,) and `components` (n_components, n_linear), both in
        standardized pixels. If there are fewer components than latent dimensions, the
        remaining dimensions do not affect the reconstruction at first.
        """
        n = len(components)
        nn.init.zeros_(self.linear_from_latent.weight)
        with torch.no_grad():
            self.linear_to_latent.weight[:n] = components / scale
            self.linear_to_latent.bias[:n] = -(components @ mean) / scale
            self.linear_from_latent.weight[:, :n] = components.T * scale
            self.linear_from_latent.bias.copy_(mean)

    def standardize(self, pixels: Tensor) -> Tensor:
        """Center and scale pixels, see :func:`standardize`."""
        return standardize(pixels, self.pixel_mean, self.pixel_std)

    def to_unit_range(self, x: Tensor) -> Tensor:
        """Convert standardized pixels to the range [0, 1], without clipping."""
        return x * self.pixel_std + self.pixel_mean

    def latent_parameters(self, x: Tensor) -> Tensor:
        """Encode standardized pixels as the parameters of their latent vectors.

        Returns the latent vectors (n, latent_dim), or for a variational network their
        means and log variances (n, 2 * latent_dim).
        """
        parameters: Tensor = self.to_latent(self.encoder(x).flatten(1))
        if self.architecture.has_linear_path:
            parameters = parameters + self.linear_to_latent(downsample(x).flatten(1))
        return parameters

    def encode(self, x: Tensor) -> Tensor:
        """Encode standardized pixels as latent vectors (n, latent_dim)."""
        return self.latent_parameters(x)[:, : self.architecture.latent_dim]

    def decode(self, latent: Tensor) -> Tensor:
        """Decode latent vectors to standardized pixels."""
        a = self.architecture
        bottleneck = self.from_latent(latent).unflatten(
            1, (a.channels[-1], a.bottleneck_side, a.bottleneck_side)
        )
        bottleneck = bottleneck.contiguous(memory_format=torch.channels_last)
        x: Tensor = self.decoder(bottleneck)[..., : a.image_size, : a.image_size]
        if a.has_linear_path:
            coarse = self.linear_from_latent(latent).unflatten(
                1, (a.n_colors, a.linear_side, a.linear_side)
            )
            upsampling = self.upsampling.to(coarse.dtype)
            x = x + upsampling @ coarse @ upsampling.T
        return x

    def embed(self, pixels: Tensor) -> Tensor:
        """Embed pixels (n, height, width, n_colors) of 0 to 255.

        Returns shape (n, latent_dim).
        """
        x = self.standardize(pixels).contiguous(memory_format=torch.channels_last)
        return self.encode(x) @ self.axes

    def decode_embeddings(self, embeddings: Tensor) -> Tensor:
        """Decode embeddings to pixels (n, height, width, n_colors) in [0, 1]."""
        x = self.decode(embeddings @ self.inverse_axes)
        return self.to_unit_range(x).clamp(0, 1).permute(0, 2, 3, 1)


class _ResidualBlock(nn.Module):
    """Pre-activation residual block of two convolutions, initially the identity."""

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            _make_norm(n_channels),
            nn.SiLU(),
            nn.Conv2d(n_channels, n_channels, 3, padding=1, bias=False),
            _make_norm(n_channels),
            nn.SiLU(),
            nn.Conv2d(n_channels, n_channels, 3, padding=1),
        )
        _set_to_zero(self.branch[-1])

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.branch(x)
        return y


def _make_encoder(architecture: Architecture) -> nn.Sequential:
    layers: list[nn.Module] = []
    n_before = architecture.n_colors
    for n_channels in architecture.channels:
        layers.append(nn.Conv2d(n_before, n_channels, 3, stride=2, padding=1))
        layers += [_ResidualBlock(n_channels) for _ in range(architecture.n_blocks)]
        n_before = n_channels
    return nn.Sequential(*layers, _make_norm(n_before), nn.SiLU())


def _make_decoder(architecture: Architecture) -> nn.Sequential:
    layers: list[nn.Module] = []
    widths = architecture.channels[::-1]
    for n_channels, n_after in zip(widths, [*widths[1:], None], strict=True):
        layers += [_ResidualBlock(n_channels) for _ in range(architecture.n_blocks)]
        if n_after is not None:
            layers += [nn.Conv2d(n_channels, 4 * n_after, 1), nn.PixelShuffle(2)]
    to_pixels = nn.Conv2d(widths[-1], 4 * architecture.n_colors, 3, padding=1)
    layers += [_make_norm(widths[-1]), nn.SiLU(), to_pixels, nn.PixelShuffle(2)]
    return nn.Sequential(*layers)


def _make_norm(n_channels: int) -> nn.Module:
    """Return a norm within each image; embeddings must not depend on the batch."""
    n_groups = math.gcd(min(_MAX_NORM_GROUPS, max(n_channels // 4, 1)), n_channels)
    # A channel of a single pixel would become 0 if it were normalized alone.
    return nn.GroupNorm(n_groups, n_channels) if n_channels > 1 else nn.Identity()


def _set_to_zero(layer: nn.Module) -> None:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


def _upsampling_matrix(side: int, new_side: int) -> Tensor:
    """Return the matrix (new_side, side) of linear interpolation along one side.

    A matrix product is used because the gradient of torch's own interpolation is not
    deterministic on CUDA.
    """
    identity = torch.eye(side)[None]
    interpolated = nn.functional.interpolate(identity, size=new_side, mode="linear")
    return interpolated[0].T.contiguous()
