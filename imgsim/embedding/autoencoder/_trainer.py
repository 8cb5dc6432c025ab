"""The epochs of a training run: forward and backward passes, losses, best weights."""

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from imgsim._compute.precision import use_precision
from imgsim._compute.torch_settings import ProcessSettings
from imgsim._typing import PixelArray
from imgsim.embedding.autoencoder._augmentation import (
    Augmentation,
    Corruption,
    random_mirror,
)
from imgsim.embedding.autoencoder._losses import (
    contractive_penalty,
    kl_divergence,
    reconstruction_loss,
    sample_latent,
)
from imgsim.embedding.autoencoder._training_images import TrainingImages
from imgsim.embedding.autoencoder._training_state import check_state

if TYPE_CHECKING:
    from torch import Generator, Tensor
    from torch.optim import Optimizer

    from imgsim.embedding.autoencoder._conv_autoencoder import ConvAutoencoder

_WARM_UP_FRACTION = 0.1
_WARM_UP_EPOCHS = 1.0  # if the number of epochs is not known in advance
_MAX_GRADIENT_NORM = 1.0
_BETAS = (0.9, 0.99)


class Trainer:
    """Train a network epoch by epoch and keep the weights of the best epoch.

    The random numbers of an epoch depend only on the seed and the number of the epoch.
    A run that is resumed from a state dict therefore continues as if it had not been
    interrupted.

    Parameters
    ----------
    network : ConvAutoencoder
        The network; it is moved to `device` and trained in place.

    params : SimpleNamespace
        Parameters of the embedder, of which `loss`, `penalty`, `penalty_weight`,
        `mask_ratio`, `noise_std`, `learning_rate` and `weight_decay` are used.

    augmentation : Augmentation
        Whether images are mirrored and warped.

    max_epochs : int or None
        Number of epochs of the learning rate schedule. None keeps the learning rate
        constant after the first epoch.

    device : str
        PyTorch device.

    precision : {"float32", "bfloat16"}
        Precision of the forward passes.

    seed : int
        Seed of all random numbers.

    Attributes
    ----------
    loss_curve : list of float
        Mean training loss of every epoch, with the penalty.

    validation_loss_curve : list of float
        Mean reconstruction loss of the validation images after every epoch.

    best_epoch : int
        Index of the epoch with the smallest loss, -1 before the first epoch.

    best_weights : dict of str to Tensor
        State dict of the network after the best epoch.
    """

    def __init__(
        self,
        network: "ConvAutoencoder",
        params: SimpleNamespace,
        augmentation: Augmentation,
        *,
        max_epochs: int | None,
        device: str,
        precision: str,
        seed: int,
    ) -> None:
        import torch

        self.network = network.to(device).to(memory_format=torch.channels_last)
        self.loss_curve: list[float] = []
        self.validation_loss_curve: list[float] = []
        self.best_epoch = -1
        self.best_weights: dict[str, Tensor] = {}
        self._params = params
        self._mirror = augmentation.mirror
        self._corrupt = Corruption(
            augmentation.warp, params.mask_ratio, params.noise_std
        )
        self._max_epochs = max_epochs
        self._device = torch.device(device)
        self._precision = precision
        self._seed = seed
        self._optimizer = _make_optimizer(self.network, params)

    @property
    def n_epochs(self) -> int:
        """Number of epochs that are finished."""
        return len(self.loss_curve)

    @property
    def n_epochs_without_improvement(self) -> int:
        """Number of epochs since the best one."""
        return self.n_epochs - 1 - self.best_epoch

    def run_epoch(
        self,
        images: TrainingImages,
        training: NDArray[np.int64],
        validation: NDArray[np.int64],
    ) -> None:
        """Train once on each image of `training`, then compute the validation loss.

        `training` and `validation` are indices of `images`; `validation` may be empty.

        Raises
        ------
        ValueError
            If the loss is infinite or NaN.
        """
        seeds = np.random.SeedSequence((self._seed, self.n_epochs))
        order = np.random.default_rng(seeds).permutation(training)
        generator = self._make_generator(int(seeds.generate_state(1)[0]))
        n_seen, losses, validation_losses = 0, [], []
        self.network.train()
        with _deterministic_cudnn, use_precision("float32", self._device.type):
            for batch in images.batches(order):
                midpoint = (n_seen + len(batch) / 2) / len(order)
                self._set_learning_rate(self.n_epochs + midpoint)
                losses.append(len(batch) * self._train_batch(batch, generator))
                n_seen += len(batch)
            loss = self._mean_loss(losses, len(order))
            if len(validation):
                validation_losses.append(self._validation_loss(images, validation))
        self.loss_curve.append(loss)
        self.validation_loss_curve += validation_losses
        self._update_best()

    def state_dict(self) -> dict[str, Any]:
        """Return the state from which training resumes, with all tensors on the CPU.

        It holds only types that torch loads without unpickling arbitrary objects.
        """
        return {
            "seed": self._seed,
            "network": _to_cpu(self.network.state_dict()),
            "optimizer": _to_cpu(self._optimizer.state_dict()),
            "best_weights": _to_cpu(self.best_weights),
            "best_epoch": self.best_epoch,
            "loss_curve": list(self.loss_curve),
            "validation_loss_curve": list(self.validation_loss_curve),
        }

    def resume(
        self, state: dict[str, Any], *, max_epochs: int, has_validation: bool
    ) -> None:
        """Restore the state of a file, or raise ValueError if it does not fit."""
        groups = self._optimizer.param_groups
        check_state(
            state,
            weights=self.network.state_dict(),
            parameters=[p for group in groups for p in group["params"]],
            max_epochs=max_epochs,
            has_validation=has_validation,
        )
        self.load_state_dict(state)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state; the network is unchanged if the state has no weights."""
        if "network" in state:
            self.network.load_state_dict(state["network"])
        # Without the copies, torch would modify the given tensors in later steps.
        moments = {
            number: {name: value.clone() for name, value in values.items()}
            for number, values in state["optimizer"]["state"].items()
        }
        # The parameters may have been changed since the state was saved.
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": moments, "param_groups": groups})
        self.best_weights = {
            name: value.to(self._device)
            for name, value in state.get("best_weights", {}).items()
        }
        self.best_epoch = state["best_epoch"]
        self.loss_curve = list(state["loss_curve"])
        self.validation_loss_curve = list(state["validation_loss_curve"])

    def _train_batch(self, batch: PixelArray, generator: "Generator") -> "Tensor":
        """Take one optimization step and return the loss, detached."""
        import torch
        from torch.nn.utils import clip_grad_norm_

        x = self._standardize(batch)
        if self._mirror:
            x = random_mirror(x, generator)
        loss = self._training_loss(x, generator)
        self._optimizer.zero_grad()
        torch.autograd.backward(loss)
        clip_grad_norm_(self.network.parameters(), _MAX_GRADIENT_NORM)
        self._optimizer.step()
        return loss.detach()

    def _training_loss(self, x: "Tensor", generator: "Generator") -> "Tensor":
        """Return the reconstruction loss of corrupted images, plus the penalty."""
        corrupted, network = self._corrupt(x, generator), self.network
        penalty: Tensor | float = 0.0
        with self._autocast():
            latent = network.latent_parameters(corrupted)
            if self._params.penalty == "contractive":
                penalty = contractive_penalty(
                    network.latent_parameters, corrupted, latent, generator
                )
            elif self._params.penalty == "variational":
                penalty = kl_divergence(latent) / x[0].numel()
                latent = sample_latent(latent, generator)
            reconstruction = network.decode(latent)
        loss = self._reconstruction_loss(reconstruction, x)
        weight: float = self._params.penalty_weight
        return loss + weight * penalty

    def _validation_loss(
        self, images: TrainingImages, indices: NDArray[np.int64]
    ) -> float:
        """Return the reconstruction loss, with the same corruption in every epoch."""
        import torch

        generator, losses = self._make_generator(self._seed), []
        self.network.eval()
        with torch.inference_mode():
            for batch in images.batches(indices):
                x = self._standardize(batch)
                with self._autocast():
                    latent = self.network.encode(self._corrupt(x, generator))
                    reconstruction = self.network.decode(latent)
                losses.append(len(batch) * self._reconstruction_loss(reconstruction, x))
        return self._mean_loss(losses, len(indices))

    def _standardize(self, batch: PixelArray) -> "Tensor":
        import torch

        pixels = torch.from_numpy(batch).to(self._device, non_blocking=True)
        return self.network.standardize(pixels)

    def _reconstruction_loss(self, reconstruction: "Tensor", x: "Tensor") -> "Tensor":
        network = self.network
        return reconstruction_loss(
            self._params.loss,
            network.to_unit_range(reconstruction.float()),
            network.to_unit_range(x),
            network.pixel_std,
        )

    def _autocast(self) -> AbstractContextManager[Any]:
        return use_precision(self._precision, self._device.type)

    def _make_generator(self, seed: int) -> "Generator":
        import torch

        return torch.Generator(self._device).manual_seed(seed)

    def _set_learning_rate(self, n_epochs: float) -> None:
        """Set the learning rate after a number of epochs, which may be fractional."""
        factor = min(1.0, n_epochs / _WARM_UP_EPOCHS)
        if self._max_epochs is not None:
            factor = learning_rate_factor(n_epochs / self._max_epochs)
        for group in self._optimizer.param_groups:
            group["lr"] = factor * self._params.learning_rate

    def _mean_loss(self, losses: "list[Tensor]", n_images: int) -> float:
        """Return the mean loss per image, or raise ValueError if it is not finite."""
        import torch

        loss = float(torch.stack(losses).sum()) / n_images
        if math.isfinite(loss):
            return loss
        remedy = "" if self._precision == "float32" else " or set precision='float32'"
        raise ValueError(
            f"the loss is {loss} in epoch {self.n_epochs + 1} and must be finite. "
            f"Lower learning_rate={self._params.learning_rate}{remedy}."
        )

    def _update_best(self) -> None:
        curve = self.validation_loss_curve or self.loss_curve
        if self.best_epoch < 0 or curve[-1] < curve[self.best_epoch]:
            weights = self.network.state_dict()
            self.best_weights = {name: value.clone() for name, value in weights.items()}
            self.best_epoch = self.n_epochs - 1


def learning_rate_factor(progress: float) -> float:
    """Return the factor of the learning rate for a fraction of the training.

    The factor rises linearly to 1 during the first tenth, then falls to 0 along half a
    period of a cosine.
    """
    if progress < _WARM_UP_FRACTION:
        return progress / _WARM_UP_FRACTION
    decay = (progress - _WARM_UP_FRACTION) / (1 - _WARM_UP_FRACTION)
    return 0.5 * (1 + math.cos(math.pi * decay))


def _to_cpu(state: Any) -> Any:
    """Return dicts and lists with all tensors in them on the CPU."""
    if isinstance(state, Mapping):
        return {key: _to_cpu(value) for key, value in state.items()}
    if isinstance(state, list):
        return [_to_cpu(value) for value in state]
    return state.cpu() if hasattr(state, "cpu") else state


def _make_optimizer(network: "ConvAutoencoder", params: SimpleNamespace) -> "Optimizer":
    """Return AdamW with weight decay for weight matrices, not for biases and norms."""
    import torch

    parameters = list(network.parameters())
    groups = [
        {
            "params": [p for p in parameters if p.ndim > 1],
            "weight_decay": params.weight_decay,
        },
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        groups, lr=params.learning_rate, betas=_BETAS, foreach=True
    )


def _use_deterministic_cudnn() -> Callable[[], None]:
    """Make cuDNN deterministic, and return a function that restores its settings."""
    from torch.backends import cudnn

    before = cudnn.benchmark, cudnn.deterministic
    cudnn.benchmark, cudnn.deterministic = False, True

    def restore() -> None:
        cudnn.benchmark, cudnn.deterministic = before

    return restore


_deterministic_cudnn = ProcessSettings(_use_deterministic_cudnn)
