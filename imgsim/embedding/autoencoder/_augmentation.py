"""What is done to an image before the autoencoder has to give it back unharmed."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Generator, Tensor

# The largest of each change; it is drawn anew for every image, evenly up to it.
_DEGREES = 15.0
_SCALE = 0.15
_SHEAR = 0.1
_SHIFT = 0.1  # of a side
# Standard deviation of the bending, of a side, at 4 by 4 points.
_BEND = 0.05
_BEND_POINTS = 4
_MASK_CELLS = 8


@dataclass(frozen=True)
class Corruption:
    """Warp, hide parts and add noise, each image anew at every call.

    Images are tensors (n, n_colors, height, width), centred and scaled, so that 0 is
    the mean. All random numbers come from `random`, on the device of the images.
    """

    warp: bool
    mask_ratio: float
    noise_std: float

    def __call__(self, x: "Tensor", random: "Generator") -> "Tensor":
        """Return changed copies of the images."""
        import torch

        if self.warp:
            x = warped(x, random)
        if self.mask_ratio:
            x = _masked(x, self.mask_ratio, random)
        if self.noise_std:
            noise = torch.randn(
                x.shape, generator=random, device=x.device, dtype=x.dtype
            )
            x = x + self.noise_std * noise
        return x


def warped(x: "Tensor", random: "Generator") -> "Tensor":
    """Turn, scale, shear, shift and bend each image a little, as handwriting varies.

    What comes in from outside is the picture mirrored at its border. Bending is that
    of Simard et al. [1]_, with smooth displacements.

    References
    ----------
    .. [1] P. Y. Simard, D. Steinkraus and J. C. Platt, "Best practices for
       convolutional neural networks applied to visual document analysis", ICDAR 2003.
    """
    import torch
    from torch.nn import functional

    n_bends = (len(x), 2, _BEND_POINTS, _BEND_POINTS)
    bends = torch.randn(n_bends, generator=random, device=x.device, dtype=x.dtype)
    bends = functional.interpolate(
        2 * _BEND * bends, x.shape[2:], mode="bicubic", align_corners=True
    )
    moves = _affine_moves(x, random)
    places = functional.affine_grid(moves, list(x.shape), align_corners=False)
    places = places + bends.permute(0, 2, 3, 1)
    return functional.grid_sample(
        x, places, padding_mode="reflection", align_corners=False
    )


def half_mirrored(x: "Tensor", random: "Generator") -> "Tensor":
    """Mirror each image left to right, or not, as a coin says."""
    import torch

    drawn = torch.rand(len(x), generator=random, device=x.device, dtype=x.dtype)
    is_mirrored = drawn < 0.5
    return torch.where(is_mirrored[:, None, None, None], x.flip(3), x)


def _affine_moves(x: "Tensor", random: "Generator") -> "Tensor":
    """Draw a matrix (2, 3) for each image, in units of half a side."""
    import torch

    drawn = torch.rand((5, len(x)), generator=random, device=x.device, dtype=x.dtype)
    turn, scale, shear, shift_x, shift_y = 2 * drawn - 1
    angle = turn * math.radians(_DEGREES)
    size = torch.exp(scale * math.log(1 + _SCALE))
    cos, sin = torch.cos(angle) / size, torch.sin(angle) / size
    x_row = torch.stack([cos, shear * _SHEAR - sin, shift_x * 2 * _SHIFT], dim=1)
    y_row = torch.stack([sin, cos, shift_y * 2 * _SHIFT], dim=1)
    return torch.stack([x_row, y_row], dim=1)


def _masked(x: "Tensor", ratio: float, random: "Generator") -> "Tensor":
    """Replace a share of the cells of a grid by the mean colour."""
    import torch
    from torch.nn import functional

    cells = (len(x), 1, _MASK_CELLS, _MASK_CELLS)
    drawn = torch.rand(cells, generator=random, device=x.device, dtype=x.dtype)
    seen = (drawn >= ratio).to(x.dtype)
    return x * functional.interpolate(seen, x.shape[2:], mode="nearest")
