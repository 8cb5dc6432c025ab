"""Axes of the embeddings, rescaled by their signal-to-noise ratio."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from imgsim._typing import PixelArray
from imgsim.embedding.autoencoder._augmentation import random_mirror, random_warp

if TYPE_CHECKING:
    from imgsim.embedding.autoencoder._conv_autoencoder import ConvAutoencoder

# Fraction of the mean noise variance that is added to the noise of every direction.
_SHRINKAGE = 0.03
# Axes without signal keep this minimum ratio, so that embeddings can be decoded.
_MIN_RATIO = 1e-3
_BATCH_SIZE = 32


class LatentAxes(NamedTuple):
    """A change of coordinates: `latent @ axes`, and `embeddings @ inverse` back."""

    axes: NDArray[np.float64]
    inverse: NDArray[np.float64]


def signal_to_noise_axes(
    latent: NDArray[np.float64], latent_of_copies: NDArray[np.float64]
) -> LatentAxes:
    """Return axes that are rescaled by their signal-to-noise ratio.

    Noise is the variance between the latent vectors of an image and its warped copy;
    signal is the additional variance between different images. As in relevant component
    analysis [1]_, the directions whiten the noise. The standard deviation of the
    embeddings along each axis is the cube root of its signal-to-noise ratio: with the
    square root, a few directions such as brightness would dominate the distances, and
    with equal deviations, directions without information would count as much as others.

    Parameters
    ----------
    latent : ndarray of shape (n_images, latent_dim)
        Latent vectors of the images.

    latent_of_copies : ndarray of shape (n_images, latent_dim)
        Latent vectors of warped copies of the images, in the same order.

    Returns
    -------
    axes : LatentAxes
        The axes, in the order of decreasing signal-to-noise ratio. If the copies have
        the same latent vectors as the images, the axes are the identity.

    References
    ----------
    .. [1] N. Shental, T. Hertz, D. Weinshall and M. Pavel, "Adjustment learning and
       relevant component analysis", ECCV 2002.
    """
    n_images, n_dims = latent.shape
    centered, change = latent - latent.mean(axis=0), latent_of_copies - latent
    total = centered.T @ centered / n_images
    # The squared difference of two copies is twice their variance.
    noise = change.T @ change / (2 * n_images)
    mean_noise = np.trace(noise) / n_dims
    if mean_noise == 0:
        return LatentAxes(np.eye(n_dims), np.eye(n_dims))
    noise += _SHRINKAGE * mean_noise * np.eye(n_dims)
    variances, directions = (result[..., ::-1] for result in eigh(total, noise))
    old_std = np.sqrt(np.maximum(variances, _MIN_RATIO))
    new_std = np.cbrt(np.maximum(variances - 1, _MIN_RATIO))
    axes = np.ascontiguousarray(directions * (new_std / old_std))
    inverse = (old_std / new_std)[:, np.newaxis] * (directions.T @ noise)
    return LatentAxes(axes, inverse)


def rescale_axes(
    network: "ConvAutoencoder", pixels: PixelArray, *, mirror: bool, seed: int
) -> None:
    """Set the axes of a network by the latent vectors of images and warped copies.

    With `mirror`, half of the copies are also mirrored.
    """
    import torch

    device = network.axes.device
    generator = torch.Generator(device).manual_seed(seed)
    latent, latent_of_copies = [], []
    with torch.inference_mode():
        for batch in torch.split(torch.from_numpy(pixels), _BATCH_SIZE):
            x = network.standardize(batch.to(device))
            copies = random_mirror(x, generator) if mirror else x
            latent.append(network.encode(x))
            latent_of_copies.append(network.encode(random_warp(copies, generator)))
        axes = signal_to_noise_axes(
            torch.cat(latent).double().cpu().numpy(),
            torch.cat(latent_of_copies).double().cpu().numpy(),
        )
        network.set_axes(*map(torch.from_numpy, axes))
