"""Initialization of the network, and the choice of augmentation for a collection."""

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from imgsim._compute.torch_random import seeded_initialization
from imgsim._typing import PixelArray
from imgsim.embedding.autoencoder._augmentation import Augmentation, random_warp

if TYPE_CHECKING:
    from torch import Tensor

    from imgsim.embedding.autoencoder._conv_autoencoder import (
        Architecture,
        ConvAutoencoder,
    )

# Transformed images whose reconstruction error is at most this many times the error of
# the original ones are considered to resemble the collection.
_MAX_ERROR_RATIO = 1.25
_MIN_IMAGES = 20
_MAX_IMAGES = 1024
_BATCH_SIZE = 32
# Fraction of the mean squared distance between two images of the collection.
_NEAR_COPY_DISTANCE = 0.02


def initialize_network(
    architecture: "Architecture",
    *,
    init: Literal["auto", "pca", "random"],
    augment: str | None,
    sample: PixelArray,
    seed: int,
) -> "tuple[ConvAutoencoder, Augmentation]":
    """Return a new network and the augmentation to train it with.

    `init` and `augment` are the parameters of the embedder; `sample` is a sample of the
    images. With `init="auto"`, a network that is trained on warped images does not have
    a linear path: undoing a warp is not a linear operation, so principal components are
    a poor initialization.
    """
    import torch

    from imgsim.embedding.autoencoder._conv_autoencoder import (
        ConvAutoencoder,
        downsample,
        standardize,
    )

    mean, std = measure_pixel_scale(sample)
    batches = torch.split(torch.from_numpy(sample), _BATCH_SIZE)
    x = torch.cat([downsample(standardize(batch, mean, std)) for batch in batches])
    augmentation = Augmentation.from_name(augment)
    if augment == "auto":
        augmentation = choose_augmentation(x, architecture.latent_dim, seed)
    has_linear_path = init == "pca" or (init == "auto" and not augmentation.warp)
    with seeded_initialization(seed):
        network = ConvAutoencoder(
            replace(architecture, has_linear_path=has_linear_path)
        )
    network.set_pixel_scale(mean, std)
    if has_linear_path:
        init_with_pca(network, x, mirror=augmentation.mirror, seed=seed)
    return network, augmentation


def measure_pixel_scale(pixels: PixelArray) -> tuple["Tensor", "Tensor"]:
    """Return the mean (n_colors, 1, 1) and the scalar standard deviation of pixels.

    Both are in units of [0, 1]. The standard deviation of constant images is set to 1.
    """
    import torch

    total, total_square = np.zeros(pixels.shape[-1]), np.zeros(pixels.shape[-1])
    for image in pixels:
        colors = image.reshape(-1, image.shape[-1]) / 255
        total += colors.mean(axis=0)
        total_square += np.square(colors).mean(axis=0)
    mean, mean_square = total / len(pixels), total_square / len(pixels)
    variance = float((mean_square - mean**2).mean())
    std = variance**0.5 if variance > 1e-6 else 1.0
    return (
        torch.tensor(mean, dtype=torch.float32, device="cpu")[:, None, None],
        torch.tensor(std, dtype=torch.float32, device="cpu"),
    )


def choose_augmentation(x: "Tensor", n_components: int, seed: int) -> Augmentation:
    """Choose the augmentation that fits a collection.

    A test set of the images is projected on the principal components of the others. If
    mirrored test images are reconstructed nearly as well as the original ones, the
    collection contains such images anyway, and mirroring is used. If warped test images
    are reconstructed clearly worse, the images have a common pose to which a warped
    image can be restored, and warping is used.

    `x` are standardized images of shape (n_images, n_colors, height, width). Near
    copies are left out, and the number of components is limited so that they cannot
    represent each image separately. With fewer than 20 different images, no
    augmentation is chosen.
    """
    import torch

    x = _drop_near_copies(x[:_MAX_IMAGES])
    if len(x) < _MIN_IMAGES:
        return Augmentation(mirror=False, warp=False)
    is_test = np.arange(len(x)) % 4 == 0
    test, others = x[is_test], _flatten(x[~is_test])
    pca = _fit_pca(others, min(n_components, min(others.shape) // 2), seed)
    max_error = _MAX_ERROR_RATIO * _reconstruction_error(pca, test)
    generator = torch.Generator().manual_seed(seed)
    return Augmentation(
        mirror=_reconstruction_error(pca, test.flip(3)) <= max_error,
        warp=_reconstruction_error(pca, random_warp(test, generator)) > max_error,
    )


def init_with_pca(
    network: "ConvAutoencoder", x: "Tensor", *, mirror: bool, seed: int
) -> None:
    """Initialize the linear path of a network with the principal components of images.

    `x` are standardized images, downsampled as for the linear path.
    """
    import torch

    rows = _flatten(torch.cat([x, x.flip(3)]) if mirror else x)
    if (rows == rows[0]).all():
        mean = torch.from_numpy(rows.mean(axis=0))
        network.init_linear_path(mean, mean.new_empty((0, len(mean))), 1.0)
        return
    pca = _fit_pca(rows, network.architecture.latent_dim, seed)
    is_used = pca.explained_variance_ > 1e-10 * pca.explained_variance_[0]
    network.init_linear_path(
        torch.from_numpy(pca.mean_).float(),
        torch.from_numpy(pca.components_[is_used]).float(),
        float(np.sqrt(pca.explained_variance_[is_used].mean())),
    )


def _drop_near_copies(x: "Tensor") -> "Tensor":
    """Leave out each image that is nearly equal to an earlier one."""
    import torch

    rows = x.flatten(1)
    mean_squared = 2 * rows.var(dim=0, correction=0).sum()
    is_copy = torch.cdist(rows, rows).square() <= _NEAR_COPY_DISTANCE * mean_squared
    return x[~is_copy.tril(diagonal=-1).any(dim=1)]


def _fit_pca(rows: NDArray[np.float32], n_components: int, seed: int) -> PCA:
    n_components = min(n_components, rows.shape[1], len(rows) - 1)
    return PCA(n_components, svd_solver="randomized", random_state=seed).fit(rows)


def _reconstruction_error(pca: PCA, x: "Tensor") -> float:
    rows = _flatten(x)
    difference: NDArray[np.float32] = pca.inverse_transform(pca.transform(rows)) - rows
    return float(np.square(difference).mean())


def _flatten(x: "Tensor") -> NDArray[np.float32]:
    rows: NDArray[np.float32] = x.flatten(1).numpy()
    return rows
