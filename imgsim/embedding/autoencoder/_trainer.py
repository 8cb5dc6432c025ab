"""The training of an autoencoder, epoch by epoch."""

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from imgsim._compute.precision import use_precision
from imgsim._compute.torch_settings import ProcessSettings
from imgsim._typing import PixelArray
from imgsim.embedding._latent_penalty import contraction, divergence, drawn
from imgsim.embedding.autoencoder._augmentation import Corruption, half_mirrored
from imgsim.embedding.autoencoder._losses import reconstruction_loss
from imgsim.embedding.autoencoder._training_images import TrainingImages

if TYPE_CHECKING:
    from torch import Generator, Tensor
    from torch.optim import Optimizer

    from imgsim.embedding.autoencoder._conv_autoencoder import ConvAutoencoder

_WARM_UP = 0.1  # of the training
_WARM_UP_EPOCHS = 1.0  # of a training without end
_LARGEST_GRADIENT = 1.0
_BETAS = (0.9, 0.99)


@dataclass(frozen=True)
class TrainingOptions:
    """What decides, beside network and images, where a training leads.

    With `max_epochs=None` it has no end, and the learning rate does not decay.
    """

    loss: str
    mirror: bool
    corruption: Corruption
    penalty: str | None
    penalty_weight: float
    max_epochs: int | None
    learning_rate: float
    weight_decay: float
    precision: str
    seed: int


class Training:
    """An autoencoder on its way: network, optimiser, curves and the best epoch so far.

    Every epoch draws its random numbers from the seed and its own number, so that a
    training goes on after any epoch as if it had never stopped.
    """

    def __init__(
        self, network: "ConvAutoencoder", options: TrainingOptions, device: str
    ) -> None:
        import torch

        self.network = network.to(device).to(memory_format=torch.channels_last)
        self.loss_curve: list[float] = []
        self.validation_loss_curve: list[float] = []
        self.best_epoch = -1
        self.best_weights: dict[str, Tensor] = {}
        self._optimizer = _make_optimizer(self.network, options)
        self._options = options
        self._device = torch.device(device)

    @property
    def n_epochs(self) -> int:
        """Number of epochs that are done."""
        return len(self.loss_curve)

    def run_epoch(
        self,
        images: TrainingImages,
        rows: NDArray[np.int64],
        held_back: NDArray[np.int64],
    ) -> None:
        """Learn from each image of `rows` once, and see how those held back fare.

        Raises
        ------
        ValueError
            If the loss is not finite.
        """
        seeds = np.random.SeedSequence((self._options.seed, self.n_epochs))
        order = np.random.default_rng(seeds).permutation(rows)
        random = self._random(int(seeds.generate_state(1)[0]))
        n_seen, losses = 0, []
        self.network.train()
        with _repeatable, use_precision("float32", self._device.type):
            for batch in images.batches(order):
                middle = (n_seen + len(batch) / 2) / len(order)
                self._set_rate(self.n_epochs + middle)
                losses.append(len(batch) * self._step(batch, random))
                n_seen += len(batch)
            loss = self._mean(losses, len(order))
            validated = [self._validated(images, held_back)] if len(held_back) else []
        self.loss_curve.append(loss)
        self.validation_loss_curve += validated
        self._keep_if_best()

    def n_epochs_without_gain(self) -> int:
        """Return how long ago the best epoch was."""
        return self.n_epochs - 1 - self.best_epoch

    def state(self) -> dict[str, Any]:
        """Return all it needs to go on, on the CPU, in types that need no pickle."""
        return {
            "seed": self._options.seed,
            "network": _on_cpu(self.network.state_dict()),
            "optimizer": _on_cpu(self._optimizer.state_dict()),
            "best_weights": _on_cpu(self.best_weights),
            "best_epoch": self.best_epoch,
            "loss_curve": list(self.loss_curve),
            "validation_loss_curve": list(self.validation_loss_curve),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to where `state` was taken; without a network, to its optimiser."""
        if "network" in state:
            self.network.load_state_dict(state["network"])
        decays = [group["weight_decay"] for group in self._optimizer.param_groups]
        # A copy, because torch would go on to change the numbers that it is given.
        self._optimizer.load_state_dict(deepcopy(state["optimizer"]))
        for group, decay in zip(self._optimizer.param_groups, decays, strict=True):
            group["weight_decay"] = decay
        self.best_weights = {
            name: value.to(self._device)
            for name, value in state.get("best_weights", {}).items()
        }
        self.best_epoch = state["best_epoch"]
        self.loss_curve = list(state["loss_curve"])
        self.validation_loss_curve = list(state["validation_loss_curve"])

    def _step(self, batch: PixelArray, random: "Generator") -> "Tensor":
        """Learn from a batch and return its loss, detached."""
        import torch
        from torch.nn.utils import clip_grad_norm_

        x = self._scaled(batch)
        if self._options.mirror:
            x = half_mirrored(x, random)
        loss = self._loss(x, random)
        self._optimizer.zero_grad()
        torch.autograd.backward(loss)
        clip_grad_norm_(self.network.parameters(), _LARGEST_GRADIENT)
        self._optimizer.step()
        return loss.detach()

    def _loss(self, x: "Tensor", random: "Generator") -> "Tensor":
        """Return how badly images come back from changed copies, and the penalty."""
        changed, options = self._options.corruption(x, random), self._options
        penalty: Tensor | float = 0.0
        with self._computing():
            latent = self.network.codes(changed)
            if options.penalty == "contractive":
                penalty = contraction(self.network.codes, changed, latent, random)
            elif options.penalty == "variational":
                penalty = divergence(latent) / x[0].numel()
                latent = drawn(latent, random)
            reconstructed = self.network.decode(latent)
        loss = self._difference(reconstructed, x)
        return loss + options.penalty_weight * penalty

    def _validated(self, images: TrainingImages, rows: NDArray[np.int64]) -> float:
        """Return the loss of images held back, changed alike in every epoch."""
        import torch

        random, losses = self._random(self._options.seed), []
        self.network.eval()
        with torch.inference_mode():
            for batch in images.batches(rows):
                x = self._scaled(batch)
                with self._computing():
                    latent = self.network.encode(self._options.corruption(x, random))
                    reconstructed = self.network.decode(latent)
                losses.append(len(batch) * self._difference(reconstructed, x))
        return self._mean(losses, len(rows))

    def _scaled(self, batch: PixelArray) -> "Tensor":
        import torch

        pixels = torch.from_numpy(batch).to(self._device, non_blocking=True)
        return self.network.scaled(pixels)

    def _difference(self, reconstructed: "Tensor", x: "Tensor") -> "Tensor":
        network = self.network
        return reconstruction_loss(
            self._options.loss,
            network.to_pixels(reconstructed.float()),
            network.to_pixels(x),
            network.pixel_std,
        )

    def _computing(self) -> AbstractContextManager[Any]:
        return use_precision(self._options.precision, self._device.type)

    def _random(self, seed: int) -> "Generator":
        import torch

        return torch.Generator(self._device).manual_seed(seed)

    def _set_rate(self, n_epochs: float) -> None:
        """Set the learning rate after so many epochs, the one under way in parts."""
        n_all = self._options.max_epochs
        share = min(1.0, n_epochs / _WARM_UP_EPOCHS)
        if n_all is not None:
            share = share_of_rate(n_epochs / n_all)
        for group in self._optimizer.param_groups:
            group["lr"] = share * self._options.learning_rate

    def _mean(self, losses: "list[Tensor]", n_images: int) -> float:
        """Return the sum of losses by image, or tell that it is not finite."""
        import torch

        loss = float(torch.stack(losses).sum()) / n_images
        if math.isfinite(loss):
            return loss
        options = self._options
        remedy = "" if options.precision == "float32" else " or set precision='float32'"
        raise ValueError(
            f"the loss is {loss} in epoch {self.n_epochs + 1}; lower learning_rate="
            f"{options.learning_rate}{remedy}."
        )

    def _keep_if_best(self) -> None:
        curve = self.validation_loss_curve or self.loss_curve
        if self.best_epoch < 0 or curve[-1] < curve[self.best_epoch]:
            state = self.network.state_dict()
            self.best_weights = {name: value.clone() for name, value in state.items()}
            self.best_epoch = self.n_epochs - 1


def _on_cpu(state: Any) -> Any:
    """Return dicts and lists with all tensors in them on the CPU."""
    if isinstance(state, Mapping):
        return {key: _on_cpu(value) for key, value in state.items()}
    if isinstance(state, list):
        return [_on_cpu(value) for value in state]
    return state.cpu() if hasattr(state, "cpu") else state


def share_of_rate(done: float) -> float:
    """Return the share of the learning rate when so much of a training is done.

    It rises in a line during the first tenth, and falls as half a cosine to 0.
    """
    if done < _WARM_UP:
        return done / _WARM_UP
    return 0.5 * (1 + math.cos(math.pi * (done - _WARM_UP) / (1 - _WARM_UP)))


def _make_optimizer(
    network: "ConvAutoencoder", options: TrainingOptions
) -> "Optimizer":
    """Return AdamW, which lets matrices decay but not biases and norms."""
    import torch

    parameters = list(network.parameters())
    groups = [
        {
            "params": [p for p in parameters if p.ndim > 1],
            "weight_decay": options.weight_decay,
        },
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        groups, lr=options.learning_rate, betas=_BETAS, foreach=True
    )


def _switch_to_repeatable() -> Callable[[], None]:
    """Let CUDA take only convolutions that give the same numbers every time."""
    from torch.backends import cudnn

    before = cudnn.benchmark, cudnn.deterministic
    cudnn.benchmark, cudnn.deterministic = False, True

    def put_back() -> None:
        cudnn.benchmark, cudnn.deterministic = before

    return put_back


_repeatable = ProcessSettings(_switch_to_repeatable)
