"""What a training begins with: the scale of pixels, their axes, fitting changes."""

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from imgsim._compute.torch_random import seeded_initialization
from imgsim._typing import EmbeddingArray, PixelArray
from imgsim.embedding.autoencoder._augmentation import warped

if TYPE_CHECKING:
    from torch import Tensor

    from imgsim.embedding.autoencoder._conv_autoencoder import (
        Architecture,
        ConvAutoencoder,
    )

# A changed picture whose error is at most so many times that of the unchanged one
# could as well be another picture of the collection.
_STILL_LIKE = 1.25
_FEWEST_TO_JUDGE = 20
_MOST_TO_JUDGE = 1024
_N_AT_ONCE = 32
# Share of the mean squared distance of two images.
_NEARLY_EQUAL = 0.02


class Changes(NamedTuple):
    """Which changes a training makes to its images."""

    mirror: bool
    warp: bool

    @classmethod
    def of(cls, augment: str | None) -> "Changes":
        """Read them off the parameter, or off what `name` made of them."""
        return cls("mirror" in (augment or ""), "warp" in (augment or ""))

    @property
    def name(self) -> str | None:
        """The parameter that stands for them."""
        return "+".join(name for name, made in self._asdict().items() if made) or None


def begin(
    architecture: "Architecture",
    *,
    init: str,
    augment: str | None,
    sample: PixelArray,
    seed: int,
) -> "tuple[ConvAutoencoder, Changes]":
    """Return a new network, and the changes to train it with.

    `init` and `augment` are those of the embedder; `sample` are some of the images.
    A network that is to bring warped images back gets no linear path by itself: what
    it has to learn is not linear, and principal components would be a poor start.
    """
    import torch

    from imgsim.embedding.autoencoder._conv_autoencoder import (
        ConvAutoencoder,
        reduced,
        scaled,
    )

    mean, std = measured_scale(sample)
    batches = torch.split(torch.from_numpy(sample), _N_AT_ONCE)
    x = torch.cat([reduced(scaled(batch, mean, std)) for batch in batches])
    changes = Changes.of(augment)
    if augment == "auto":
        changes = choose_changes(x, architecture.latent_dim, seed)
    is_linear = init == "pca" or (init == "auto" and not changes.warp)
    with seeded_initialization(seed):
        network = ConvAutoencoder(replace(architecture, has_linear_path=is_linear))
    network.set_scale(mean, std)
    if is_linear:
        start_from_components(network, x, mirror=changes.mirror, seed=seed)
    return network, changes


def measured_scale(pixels: PixelArray) -> tuple["Tensor", "Tensor"]:
    """Return mean (n_colors, 1, 1) and standard deviation (a scalar) of images.

    In units of [0, 1]. Images that are all alike count as one unit apart.
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


def choose_changes(x: "Tensor", n_components: int, seed: int) -> Changes:
    """Try which changes make pictures unlike those of a collection.

    Some of the images are projected on the principal components of the others. If
    mirrored ones come back nearly as well, then the collection holds such pictures
    anyway, and they may be learned, too. If warped ones come back clearly worse, then
    the pictures have a common pose, to which warped ones can be brought back.

    `x` are scaled images (n, n_colors, height, width). Near copies are left out, and
    components are few enough not to hold each image by itself. Too few images judge
    nothing.
    """
    import torch

    x = _without_copies(x[:_MOST_TO_JUDGE])
    if len(x) < _FEWEST_TO_JUDGE:
        return Changes(mirror=False, warp=False)
    is_tried = np.arange(len(x)) % 4 == 0
    tried, others = x[is_tried], _rows(x[~is_tried])
    pca = _fitted_pca(others, min(n_components, min(others.shape) // 2), seed)
    error = _error(pca, tried)
    random = torch.Generator().manual_seed(seed)
    return Changes(
        mirror=_error(pca, tried.flip(3)) <= _STILL_LIKE * error,
        warp=_error(pca, warped(tried, random)) > _STILL_LIKE * error,
    )


def start_from_components(
    network: "ConvAutoencoder", x: "Tensor", *, mirror: bool, seed: int
) -> None:
    """Let the linear path of a network begin as principal components of images.

    `x` are scaled images, reduced to what the path sees.
    """
    import torch

    rows = _rows(torch.cat([x, x.flip(3)]) if mirror else x)
    if (rows == rows[0]).all():
        mean = torch.from_numpy(rows.mean(axis=0))
        network.start_linear_path(mean, mean.new_empty((0, len(mean))), 1.0)
        return
    pca = _fitted_pca(rows, network.architecture.latent_dim, seed)
    used = pca.explained_variance_ > 1e-10 * pca.explained_variance_[0]
    network.start_linear_path(
        torch.from_numpy(pca.mean_).float(),
        torch.from_numpy(pca.components_[used]).float(),
        float(np.sqrt(pca.explained_variance_[used].mean())),
    )


def _without_copies(x: "Tensor") -> "Tensor":
    """Leave out images that are nearly equal to one before them."""
    import torch

    rows = x.flatten(1)
    mean_squared = 2 * rows.var(dim=0, correction=0).sum()
    is_copy = torch.cdist(rows, rows).square() <= _NEARLY_EQUAL * mean_squared
    return x[~is_copy.tril(diagonal=-1).any(dim=1)]


def _fitted_pca(rows: EmbeddingArray, n_components: int, seed: int) -> PCA:
    n_most = min(n_components, rows.shape[1], len(rows) - 1)
    return PCA(n_most, svd_solver="randomized", random_state=seed).fit(rows)


def _error(pca: PCA, x: "Tensor") -> float:
    rows = _rows(x)
    difference: NDArray[np.float32] = pca.inverse_transform(pca.transform(rows)) - rows
    return float(np.square(difference).mean())


def _rows(x: "Tensor") -> EmbeddingArray:
    rows: EmbeddingArray = x.flatten(1).numpy()
    return rows
