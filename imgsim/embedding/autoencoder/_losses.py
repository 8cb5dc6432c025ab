"""Reconstruction losses and penalties on the latent vectors."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Generator, Tensor

_SSIM_WINDOW = 7
# Constants of Wang et al. (2004) for pixels in [0, 1].
_C1, _C2 = 0.01**2, 0.03**2
_SSIM_WEIGHT = 0.85
# Length of the random step that estimates the Jacobian, in standardized pixels.
_STEP = 0.1
_MAX_LOG_VARIANCE = 8.0


def reconstruction_loss(
    name: Literal["mse", "l1", "ssim+l1"],
    reconstruction: "Tensor",
    target: "Tensor",
    std: "Tensor",
) -> "Tensor":
    """Return the mean reconstruction loss "mse", "l1" or "ssim+l1".

    Pixels have shape (n, n_colors, height, width) and are in [0, 1]. Differences are
    divided by the standard deviation `std` of the pixels, so that an MSE of 1 is the
    loss of the mean color. SSIM and L1 are weighted as proposed by Zhao et al. [1]_.

    References
    ----------
    .. [1] H. Zhao, O. Gallo, I. Frosio and J. Kautz, "Loss functions for image
       restoration with neural networks", IEEE Transactions on Computational Imaging,
       2017.
    """
    difference = (reconstruction - target) / std
    if name == "mse":
        return difference.square().mean()
    l1 = difference.abs().mean()
    if name == "l1":
        return l1
    dissimilarity = 1 - ssim(reconstruction, target).mean()
    return _SSIM_WEIGHT * dissimilarity + (1 - _SSIM_WEIGHT) * l1


def ssim(x: "Tensor", y: "Tensor") -> "Tensor":
    """Return the mean structural similarity [1]_ of each pair of images, at most 1.

    Means and variances are computed in uniform windows of 7 x 7 pixels that lie
    entirely within the image. Pixels are in [0, 1].

    References
    ----------
    .. [1] Z. Wang, A. C. Bovik, H. R. Sheikh and E. P. Simoncelli, "Image quality
       assessment: from error visibility to structural similarity", IEEE Transactions
       on Image Processing, 2004.
    """
    from torch.nn.functional import avg_pool2d

    side = min(_SSIM_WINDOW, *x.shape[2:])
    mean_x, mean_y, mean_xx, mean_yy, mean_xy = (
        avg_pool2d(values, side, stride=1) for values in (x, y, x * x, y * y, x * y)
    )
    var_x, var_y = mean_xx - mean_x**2, mean_yy - mean_y**2
    luminance = (2 * mean_x * mean_y + _C1) / (mean_x**2 + mean_y**2 + _C1)
    structure = (2 * (mean_xy - mean_x * mean_y) + _C2) / (var_x + var_y + _C2)
    similarity: Tensor = (luminance * structure).mean((1, 2, 3))
    return similarity


def sample_latent(latent_parameters: "Tensor", generator: "Generator") -> "Tensor":
    """Draw one latent vector from each normal distribution (reparameterization).

    `latent_parameters` are means and log variances of shape (n, 2 * latent_dim).
    """
    import torch

    mean, log_variance = _mean_and_log_variance(latent_parameters)
    noise = torch.randn(
        mean.shape, generator=generator, device=mean.device, dtype=mean.dtype
    )
    return mean + torch.exp(log_variance / 2) * noise


def kl_divergence(latent_parameters: "Tensor") -> "Tensor":
    """Return the mean Kullback-Leibler divergence from the standard normal [1]_.

    `latent_parameters` are means and log variances of shape (n, 2 * latent_dim).

    References
    ----------
    .. [1] D. P. Kingma and M. Welling, "Auto-encoding variational Bayes", ICLR 2014.
    """
    mean, log_variance = _mean_and_log_variance(latent_parameters)
    terms = mean.square() + log_variance.exp() - 1 - log_variance
    return terms.sum(1).mean() / 2


def contractive_penalty(
    encode: "Callable[[Tensor], Tensor]",
    x: "Tensor",
    latent: "Tensor",
    generator: "Generator",
) -> "Tensor":
    """Return the sensitivity of latent vectors to small changes of the pixels.

    This is the squared norm of the encoder's Jacobian [1]_, estimated by one random
    step for each image, and divided by the variance of the latent vectors, because
    otherwise shrinking them would reduce the penalty. For a single image, which has no
    variance, the penalty is 0.

    References
    ----------
    .. [1] S. Rifai, P. Vincent, X. Muller, X. Glorot and Y. Bengio, "Contractive
       auto-encoders: explicit invariance during feature extraction", ICML 2011.
    """
    import torch

    if len(x) < 2:
        return latent.new_zeros(())
    noise = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
    step = _STEP * noise
    change = (encode(x + step) - latent).float().square().mean()
    variance = (latent - latent.mean(0)).float().square().mean()
    return change / (_STEP**2 * variance + torch.finfo(torch.float32).eps)


def _mean_and_log_variance(latent_parameters: "Tensor") -> "tuple[Tensor, Tensor]":
    mean, log_variance = latent_parameters.float().chunk(2, dim=1)
    limit = _MAX_LOG_VARIANCE
    return mean, log_variance.clamp(-limit, limit)
