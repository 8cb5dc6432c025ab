"""Axes of latent rows, scaled by how much they tell images apart."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from imgsim._typing import PixelArray
from imgsim.embedding.autoencoder._augmentation import half_mirrored, warped

if TYPE_CHECKING:
    from imgsim.embedding.autoencoder._conv_autoencoder import ConvAutoencoder

# Share of the mean noise that is added to that of every direction.
_SHRINKAGE = 0.03
# Axes without signal keep a little, so that rows can be decoded again.
_LEAST_RATIO = 1e-3
_N_AT_ONCE = 32


class LatentScaling(NamedTuple):
    """A change of axes: `codes @ axes`, and `rows @ back`."""

    axes: NDArray[np.float64]
    back: NDArray[np.float64]


def scale_by_signal(
    codes: NDArray[np.float64], changed: NDArray[np.float64]
) -> LatentScaling:
    """Find axes on which rows vary as much as they tell images apart.

    Noise is how far a change moves the code of an image, signal how much further apart
    different images are. As in relevant component analysis [1]_, directions are those
    that make noise alike everywhere. The deviation along each is the cube root of its
    ratio of signal to noise: the square root would let a few directions dominate, such
    as brightness, and equal deviations would count those that tell nothing.

    Parameters
    ----------
    codes : ndarray of shape (n_images, latent_dim)
        Codes of the images.

    changed : ndarray of shape (n_images, latent_dim)
        Codes of changed copies of them, in the same order.

    Returns
    -------
    scaling : LatentScaling
        The most telling axis is the first. The axes as they are, if no change moves a
        code.

    References
    ----------
    .. [1] N. Shental, T. Hertz, D. Weinshall and M. Pavel, "Adjustment learning and
       relevant component analysis", ECCV 2002.
    """
    n_images, n_dims = codes.shape
    spread, moved = codes - codes.mean(axis=0), changed - codes
    total = spread.T @ spread / n_images
    # The squared difference of two copies is twice their variance.
    noise = moved.T @ moved / (2 * n_images)
    mean_noise = np.trace(noise) / n_dims
    if mean_noise == 0:
        return LatentScaling(np.eye(n_dims), np.eye(n_dims))
    noise += _SHRINKAGE * mean_noise * np.eye(n_dims)
    variances, directions = (found[..., ::-1] for found in eigh(total, noise))
    deviations = np.sqrt(np.maximum(variances, _LEAST_RATIO))
    wanted = np.cbrt(np.maximum(variances - 1, _LEAST_RATIO))
    axes = np.ascontiguousarray(directions * (wanted / deviations))
    back = (deviations / wanted)[:, np.newaxis] * (directions.T @ noise)
    return LatentScaling(axes, back)


def scale_axes(
    network: "ConvAutoencoder", pixels: PixelArray, *, mirror: bool, seed: int
) -> None:
    """Scale the axes of a network by warped copies of some images.

    If `mirror`, mirrored copies count as alike, too.
    """
    import torch

    device = network.axes.device
    random = torch.Generator(device).manual_seed(seed)
    codes, changed = [], []
    with torch.inference_mode():
        for batch in torch.split(torch.from_numpy(pixels), _N_AT_ONCE):
            x = network.scaled(batch.to(device))
            copies = half_mirrored(x, random) if mirror else x
            codes.append(network.encode(x))
            changed.append(network.encode(warped(copies, random)))
        scaling = scale_by_signal(
            torch.cat(codes).double().cpu().numpy(),
            torch.cat(changed).double().cpu().numpy(),
        )
        network.set_axes(*map(torch.from_numpy, scaling))
