"""The convolutional autoencoder itself; only functions import this module."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

# The linear path sees at most as many pixels a side; finer detail is for the rest.
_LINEAR_SIDE = 32
_MOST_GROUPS = 8


@dataclass(frozen=True)
class Architecture:
    """What decides the shapes of all weights."""

    image_size: int
    n_colors: int
    latent_dim: int
    channels: tuple[int, ...]
    n_blocks: int
    is_variational: bool
    has_linear_path: bool = False

    @property
    def bottom_side(self) -> int:
        """Side of the smallest map, halved and rounded up once for each width."""
        return math.ceil(self.image_size / (1 << len(self.channels)))

    @property
    def linear_side(self) -> int:
        """Side of the picture that the linear path sees."""
        return min(self.image_size, _LINEAR_SIDE)


def scaled(pixels: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Centre and scale (n, height, width, n_colors) of 0 to 255, channels first."""
    return (pixels.permute(0, 3, 1, 2).float() / 255 - mean) / std


def reduced(x: Tensor) -> Tensor:
    """Return square images as the linear path sees them, smaller if they are large."""
    return nn.functional.adaptive_avg_pool2d(x, min(x.shape[-1], _LINEAR_SIDE))


class ConvAutoencoder(nn.Module):
    """Residual halvings to a latent row, and residual doublings back to pixels.

    Beside the convolutions, a linear path may lead to the code and back. It begins as
    principal components, so that training improves on them from the first step; the
    ends of the convolutions then begin at zero.

    A code is what training makes of an image; a row is a code on other axes, which are
    found after training.
    """

    pixel_mean: Tensor
    pixel_std: Tensor
    axes: Tensor
    axes_back: Tensor
    enlarging: Tensor

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = a = architecture
        n_bottom = a.channels[-1] * a.bottom_side**2
        n_linear = a.n_colors * a.linear_side**2
        n_codes = 2 * a.latent_dim if a.is_variational else a.latent_dim
        self.halvings = _halvings(a)
        self.to_code = nn.Linear(n_bottom, n_codes)
        self.from_code = nn.Linear(a.latent_dim, n_bottom)
        self.doublings = _doublings(a)
        if a.has_linear_path:
            self.linear_to_code = nn.Linear(n_linear, n_codes)
            self.linear_from_code = nn.Linear(a.latent_dim, n_linear)
            enlarging = _enlarging(a.linear_side, a.image_size)
            self.register_buffer("enlarging", enlarging)
            _begin_at_zero(self.to_code)
            _begin_at_zero(self.doublings[-2])
        self.register_buffer("pixel_mean", torch.full((a.n_colors, 1, 1), 0.5))
        self.register_buffer("pixel_std", torch.tensor(0.25))
        self.register_buffer("axes", torch.eye(a.latent_dim))
        self.register_buffer("axes_back", torch.eye(a.latent_dim))

    def set_scale(self, mean: Tensor, std: Tensor) -> None:
        """Set what centres and scales pixels in [0, 1]."""
        self.pixel_mean.copy_(mean)
        self.pixel_std.copy_(std)

    def set_axes(self, axes: Tensor, back: Tensor) -> None:
        """Set the axes of rows: `codes @ axes`, and `rows @ back`."""
        self.axes.copy_(axes)
        self.axes_back.copy_(back)

    def reset_axes(self) -> None:
        """Let rows be codes."""
        unit = torch.eye(self.architecture.latent_dim, device="cpu")
        self.set_axes(unit, unit)

    def start_linear_path(self, mean: Tensor, components: Tensor, scale: float) -> None:
        """Let the linear path project on axes, in units of `scale`, and back.

        `mean` is of shape (n_linear,) and `components` (n_components, n_linear), of
        scaled pixels. There may be fewer components than a row is wide; the rest of
        the row then begins as nothing that is seen in the pixels.
        """
        n = len(components)
        nn.init.zeros_(self.linear_from_code.weight)
        with torch.no_grad():
            self.linear_to_code.weight[:n] = components / scale
            self.linear_to_code.bias[:n] = -(components @ mean) / scale
            self.linear_from_code.weight[:, :n] = components.T * scale
            self.linear_from_code.bias.copy_(mean)

    def scaled(self, pixels: Tensor) -> Tensor:
        """Centre and scale (n, height, width, n_colors) of 0 to 255, channels first."""
        return scaled(pixels, self.pixel_mean, self.pixel_std)

    def to_pixels(self, x: Tensor) -> Tensor:
        """Return scaled pixels in units of [0, 1], channels first, not clipped."""
        return x * self.pixel_std + self.pixel_mean

    def codes(self, x: Tensor) -> Tensor:
        """Encode scaled pixels; if variational, means beside log variances."""
        codes: Tensor = self.to_code(self.halvings(x).flatten(1))
        if self.architecture.has_linear_path:
            codes = codes + self.linear_to_code(reduced(x).flatten(1))
        return codes

    def encode(self, x: Tensor) -> Tensor:
        """Encode scaled pixels as codes (n, latent_dim)."""
        return self.codes(x)[:, : self.architecture.latent_dim]

    def decode(self, codes: Tensor) -> Tensor:
        """Decode codes to scaled pixels."""
        a = self.architecture
        bottom = self.from_code(codes).unflatten(
            1, (a.channels[-1], a.bottom_side, a.bottom_side)
        )
        deep = self.doublings(bottom.contiguous(memory_format=torch.channels_last))
        pixels: Tensor = deep[..., : a.image_size, : a.image_size]
        if a.has_linear_path:
            coarse = self.linear_from_code(codes).unflatten(
                1, (a.n_colors, a.linear_side, a.linear_side)
            )
            enlarging = self.enlarging.to(coarse.dtype)
            pixels = pixels + enlarging @ coarse @ enlarging.T
        return pixels

    def rows(self, pixels: Tensor) -> Tensor:
        """Embed (n, height, width, n_colors) of 0 to 255 as rows (n, latent_dim)."""
        x = self.scaled(pixels).contiguous(memory_format=torch.channels_last)
        return self.encode(x) @ self.axes

    def images(self, rows: Tensor) -> Tensor:
        """Turn rows into images (n, height, width, n_colors) in [0, 1]."""
        x = self.decode(rows @ self.axes_back)
        return self.to_pixels(x).clamp(0, 1).permute(0, 2, 3, 1)


class _ResidualBlock(nn.Module):
    """Two convolutions, normalised before, added to what came in; at first nothing."""

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            _norm(n_channels),
            nn.SiLU(),
            nn.Conv2d(n_channels, n_channels, 3, padding=1, bias=False),
            _norm(n_channels),
            nn.SiLU(),
            nn.Conv2d(n_channels, n_channels, 3, padding=1),
        )
        _begin_at_zero(self.branch[-1])

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.branch(x)
        return y


def _halvings(architecture: Architecture) -> nn.Sequential:
    layers: list[nn.Module] = []
    n_before = architecture.n_colors
    for n_channels in architecture.channels:
        layers.append(nn.Conv2d(n_before, n_channels, 3, stride=2, padding=1))
        layers += [_ResidualBlock(n_channels) for _ in range(architecture.n_blocks)]
        n_before = n_channels
    return nn.Sequential(*layers, _norm(n_before), nn.SiLU())


def _doublings(architecture: Architecture) -> nn.Sequential:
    layers: list[nn.Module] = []
    widths = architecture.channels[::-1]
    for n_channels, n_after in zip(widths, [*widths[1:], None], strict=True):
        layers += [_ResidualBlock(n_channels) for _ in range(architecture.n_blocks)]
        if n_after is not None:
            layers += [nn.Conv2d(n_channels, 4 * n_after, 1), nn.PixelShuffle(2)]
    to_pixels = nn.Conv2d(widths[-1], 4 * architecture.n_colors, 3, padding=1)
    layers += [_norm(widths[-1]), nn.SiLU(), to_pixels, nn.PixelShuffle(2)]
    return nn.Sequential(*layers)


def _norm(n_channels: int) -> nn.Module:
    """Normalise within an image: its row must not depend on others of its batch."""
    n_groups = math.gcd(min(_MOST_GROUPS, max(n_channels // 4, 1)), n_channels)
    # One channel of one pixel has nothing to be normalised by.
    return nn.GroupNorm(n_groups, n_channels) if n_channels > 1 else nn.Identity()


def _begin_at_zero(layer: nn.Module) -> None:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


def _enlarging(side: int, wanted: int) -> Tensor:
    """Return the matrix (wanted, side) that interpolates linearly along a side.

    As a matrix, because torch's own interpolation is not deterministic on CUDA when
    differentiated.
    """
    unit = torch.eye(side)[None]
    grown = nn.functional.interpolate(unit, size=wanted, mode="linear")
    return grown[0].T.contiguous()
