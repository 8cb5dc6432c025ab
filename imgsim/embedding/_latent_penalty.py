"""Penalties on latent rows, beside the loss of reconstruction."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Generator, Tensor

# Length of the step that measures a slope, in standard deviations of a pixel.
_STEP = 0.1
_LARGEST_LOG_VARIANCE = 8.0


def drawn(codes: "Tensor", random: "Generator") -> "Tensor":
    """Draw a latent row from each normal distribution that `codes` describes."""
    import torch

    mean, log_variance = _mean_and_log_variance(codes)
    noise = torch.randn(
        mean.shape, generator=random, device=mean.device, dtype=mean.dtype
    )
    return mean + torch.exp(log_variance / 2) * noise


def divergence(codes: "Tensor") -> "Tensor":
    """Return the mean Kullback-Leibler divergence of `codes` from unit normals [1]_.

    References
    ----------
    .. [1] D. P. Kingma and M. Welling, "Auto-encoding variational Bayes", ICLR 2014.
    """
    mean, log_variance = _mean_and_log_variance(codes)
    each = mean.square() + log_variance.exp() - 1 - log_variance
    return each.sum(1).mean() / 2


def contraction(
    encode: "Callable[[Tensor], Tensor]",
    x: "Tensor",
    latent: "Tensor",
    random: "Generator",
) -> "Tensor":
    """Return how much latent rows move when pixels move a little.

    The squared norm of the Jacobian [1]_, estimated by one random step an image, and
    divided by the variance of the rows, which could otherwise shrink instead. One
    image has no variance, and no penalty.

    References
    ----------
    .. [1] S. Rifai, P. Vincent, X. Muller, X. Glorot and Y. Bengio, "Contractive
       auto-encoders: explicit invariance during feature extraction", ICML 2011.
    """
    import torch

    if len(x) < 2:
        return latent.new_zeros(())
    noise = torch.randn(x.shape, generator=random, device=x.device, dtype=x.dtype)
    step = _STEP * noise
    moved = (encode(x + step) - latent).float().square().mean()
    variance = (latent - latent.mean(0)).float().square().mean()
    return moved / (_STEP**2 * variance + torch.finfo(torch.float32).eps)


def _mean_and_log_variance(codes: "Tensor") -> "tuple[Tensor, Tensor]":
    mean, log_variance = codes.float().chunk(2, dim=1)
    limit = _LARGEST_LOG_VARIANCE
    return mean, log_variance.clamp(-limit, limit)
