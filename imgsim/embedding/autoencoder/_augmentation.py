"""Augmentation and corruption of the images that the autoencoder is trained on."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    from torch import Generator, Tensor

# Limits of the random warp. For each image, values are drawn uniformly within them.
_MAX_ROTATION = 15.0  # degrees
_MAX_SCALING = 0.15
_MAX_SHEAR = 0.1
_MAX_SHIFT = 0.1  # fraction of the image side
# Elastic displacements are drawn at the points of a coarse grid and interpolated.
_ELASTIC_STD = 0.05  # fraction of the image side
_ELASTIC_GRID = 4
_MASK_GRID = 8


class Augmentation(NamedTuple):
    """The two augmentations that the parameter `augment` switches on or off."""

    mirror: bool
    warp: bool

    @classmethod
    def from_name(cls, name: str | None) -> Self:
        """Return the augmentation for "mirror", "warp", "mirror+warp" or None."""
        parts = (name or "").split("+")
        return cls(mirror="mirror" in parts, warp="warp" in parts)

    @property
    def name(self) -> str | None:
        """Value of the parameter `augment` for this augmentation."""
        return "+".join(name for name, used in self._asdict().items() if used) or None


@dataclass(frozen=True)
class Corruption:
    """Corrupt images as a denoising autoencoder does: warp, mask and add noise [1]_.

    Images are standardized tensors of shape (n_images, n_colors, height, width), in
    which 0 is the mean color. Every call draws new random numbers from `generator`,
    which is on the device of the images.

    References
    ----------
    .. [1] P. Vincent, H. Larochelle, Y. Bengio and P.-A. Manzagol, "Extracting and
       composing robust features with denoising autoencoders", ICML 2008.
    """

    warp: bool
    mask_ratio: float
    noise_std: float

    def __call__(self, x: "Tensor", generator: "Generator") -> "Tensor":
        """Return corrupted copies of the images."""
        import torch

        if self.warp:
            x = random_warp(x, generator)
        if self.mask_ratio:
            x = _random_mask(x, self.mask_ratio, generator)
        if self.noise_std:
            noise = torch.randn(
                x.shape, generator=generator, device=x.device, dtype=x.dtype
            )
            x = x + self.noise_std * noise
        return x


def random_warp(x: "Tensor", generator: "Generator") -> "Tensor":
    """Rotate, scale, shear, shift and elastically deform each image a little.

    Pixels beyond the border are taken from the reflection of the image at its border.
    The deformation uses smooth random displacements as proposed by Simard et al. [1]_.

    References
    ----------
    .. [1] P. Y. Simard, D. Steinkraus and J. C. Platt, "Best practices for
       convolutional neural networks applied to visual document analysis", ICDAR 2003.
    """
    import torch
    from torch.nn import functional

    shape = (len(x), 2, _ELASTIC_GRID, _ELASTIC_GRID)
    coarse = torch.randn(shape, generator=generator, device=x.device, dtype=x.dtype)
    displacements = functional.interpolate(
        2 * _ELASTIC_STD * coarse, x.shape[2:], mode="bicubic", align_corners=True
    )
    matrices = _random_affine_matrices(x, generator)
    grid = functional.affine_grid(matrices, list(x.shape), align_corners=False)
    grid = grid + displacements.permute(0, 2, 3, 1)
    return functional.grid_sample(
        x, grid, padding_mode="reflection", align_corners=False
    )


def random_mirror(x: "Tensor", generator: "Generator") -> "Tensor":
    """Mirror each image left to right with a probability of one half."""
    import torch

    draws = torch.rand(len(x), generator=generator, device=x.device, dtype=x.dtype)
    is_mirrored = draws < 0.5
    return torch.where(is_mirrored[:, None, None, None], x.flip(3), x)


def _random_affine_matrices(x: "Tensor", generator: "Generator") -> "Tensor":
    """Draw an affine matrix (2, 3) for each image, in units of half the image side."""
    import torch

    draws = torch.rand((5, len(x)), generator=generator, device=x.device, dtype=x.dtype)
    rotation, scaling, shear, shift_x, shift_y = 2 * draws - 1
    angle = rotation * math.radians(_MAX_ROTATION)
    scale = torch.exp(scaling * math.log(1 + _MAX_SCALING))
    cos, sin = torch.cos(angle) / scale, torch.sin(angle) / scale
    x_row = torch.stack([cos, shear * _MAX_SHEAR - sin, shift_x * 2 * _MAX_SHIFT], 1)
    y_row = torch.stack([sin, cos, shift_y * 2 * _MAX_SHIFT], dim=1)
    return torch.stack([x_row, y_row], dim=1)


def _random_mask(x: "Tensor", ratio: float, generator: "Generator") -> "Tensor":
    """Replace a fraction of the cells of a grid by the mean color."""
    import torch
    from torch.nn import functional

    shape = (len(x), 1, _MASK_GRID, _MASK_GRID)
    draws = torch.rand(shape, generator=generator, device=x.device, dtype=x.dtype)
    is_visible = (draws >= ratio).to(x.dtype)
    return x * functional.interpolate(is_visible, x.shape[2:], mode="nearest")
