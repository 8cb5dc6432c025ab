"""How far a reconstruction is from its picture, as something to minimise."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

_WINDOW = 7
# Constants of Wang et al. (2004), for pixels in [0, 1].
_C1, _C2 = 0.01**2, 0.03**2
_SHARE_OF_SSIM = 0.85


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
