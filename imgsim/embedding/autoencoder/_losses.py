"""How far a reconstruction is from its picture, as something to minimise."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Generator, Tensor

_WINDOW = 7
# Constants of Wang et al. (2004), for pixels in [0, 1].
_C1, _C2 = 0.01**2, 0.03**2
_SHARE_OF_SSIM = 0.85
# Length of the step that measures a slope, in standard deviations of a pixel.
_STEP = 0.1
_LARGEST_LOG_VARIANCE = 8.0


def reconstruction_loss(
    name: str, reconstructed: "Tensor", target: "Tensor", std: "Tensor"
) -> "Tensor":
    """Return the mean loss of the name "mse", "l1" or "ssim+l1".

    Pixels are (n, n_colors, height, width) in [0, 1]. Differences count in units of
    their standard deviation `std`, so that a loss of 1 means nothing is known.
    SSIM and L1 are mixed as by Zhao et al. [1]_.

    References
    ----------
    .. [1] H. Zhao, O. Gallo, I. Frosio and J. Kautz, "Loss functions for image
       restoration with neural networks", IEEE Transactions on Computational Imaging,
       2017.
    """
    difference = (reconstructed - target) / std
    if name == "mse":
        return difference.square().mean()
    l1 = difference.abs().mean()
    if name == "l1":
        return l1
    dissimilarity = 1 - ssim(reconstructed, target).mean()
    return _SHARE_OF_SSIM * dissimilarity + (1 - _SHARE_OF_SSIM) * l1


def ssim(x: "Tensor", y: "Tensor") -> "Tensor":
    """Return the mean structural similarity [1]_ of each image, at most 1.

    Means and variances are taken in windows of 7 by 7 pixels that lie within the
    picture, all weighted alike. Pixels are in [0, 1].

    References
    ----------
    .. [1] Z. Wang, A. C. Bovik, H. R. Sheikh and E. P. Simoncelli, "Image quality
       assessment: from error visibility to structural similarity", IEEE Transactions
       on Image Processing, 2004.
    """
    from torch.nn.functional import avg_pool2d

    side = min(_WINDOW, *x.shape[2:])
    mean_x, mean_y, mean_xx, mean_yy, mean_xy = (
        avg_pool2d(values, side, stride=1) for values in (x, y, x * x, y * y, x * y)
    )
    var_x, var_y = mean_xx - mean_x**2, mean_yy - mean_y**2
    luminance = (2 * mean_x * mean_y + _C1) / (mean_x**2 + mean_y**2 + _C1)
    structure = (2 * (mean_xy - mean_x * mean_y) + _C2) / (var_x + var_y + _C2)
    similarity: Tensor = (luminance * structure).mean((1, 2, 3))
    return similarity


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
