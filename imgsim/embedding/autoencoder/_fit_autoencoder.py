"""From the parameters of an autoencoder embedder to a trained network."""

import os
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, fields, replace
from numbers import Integral
from typing import TYPE_CHECKING, Any, NamedTuple

from numpy.random import RandomState
from sklearn.utils import check_random_state

from imgsim._compute.device import resolve_device
from imgsim._compute.precision import resolve_precision
from imgsim._compute.torch_random import gradients_enabled
from imgsim._typing import PixelArray
from imgsim.embedding._base_reconstructor import preparation
from imgsim.embedding._training_loop import Split, train
from imgsim.embedding.autoencoder._augmentation import Corruption
from imgsim.embedding.autoencoder._initialization import Changes, begin
from imgsim.embedding.autoencoder._latent_axes import scale_axes
from imgsim.embedding.autoencoder._trainer import Training, TrainingOptions
from imgsim.embedding.autoencoder._training_checkpoint import TrainingCheckpoint
from imgsim.embedding.autoencoder._training_images import TrainingImages
from imgsim.embedding.pretrained._weights_file import hash_weights
from imgsim.images._sources import check_image_sources

if TYPE_CHECKING:
    from imgsim.embedding.autoencoder._conv_autoencoder import (
        Architecture,
        ConvAutoencoder,
    )

# Parameters that may differ where a training goes on from a checkpoint.
_BESIDE_TRAINING = {
    "checkpoint_dir",
    "device",
    "n_jobs",
    "on_error",
    "random_state",
    "rescale",
    "verbose",
}

# A network that was trained already, and with which changes.
Previous = tuple["ConvAutoencoder", Changes]


@dataclass(frozen=True)
class LearningParameters:
    """The parameters of an embedder that have to do with learning."""

    latent_dim: int
    image_size: int
    channels: Sequence[int]
    n_blocks: int
    color: str
    init: str
    augment: str | None
    noise_std: float
    mask_ratio: float
    loss: str
    penalty: str | None
    penalty_weight: float
    rescale: bool
    max_epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    validation_fraction: float
    early_stopping: bool
    patience: int
    checkpoint_dir: str | os.PathLike[str] | None
    device: str
    precision: str
    random_state: int | RandomState | None
    n_jobs: int | None
    on_error: str
    verbose: int

    @classmethod
    def of(cls, embedder: Any) -> "LearningParameters":
        """Read them off an embedder that has them all."""
        return cls(**{each.name: getattr(embedder, each.name) for each in fields(cls)})


class Learned(NamedTuple):
    """A trained network on the CPU, and how it came about."""

    network: "ConvAutoencoder"
    changes: Changes
    loss_curve: list[float]
    validation_loss_curve: list[float]
    best_epoch: int
    is_finished: bool = True


class _Begun(NamedTuple):
    """A training that is set up, and what it was set up with."""

    training: Training
    changes: Changes
    split: Split
    sample: PixelArray
    seed: int


def read_images(parameters: LearningParameters, X: Any) -> TrainingImages:
    """Read the images to learn from.

    Parameters that do not fit each other are refused first, with a ValueError.
    """
    architecture = _architecture(parameters)
    resolve_device(parameters.device)
    return TrainingImages(
        check_image_sources(X),
        preparation(architecture.image_size, architecture.n_colors),
        batch_size=parameters.batch_size,
        n_jobs=parameters.n_jobs,
        on_error=parameters.on_error,
    )


@gradients_enabled()
def learn(
    parameters: LearningParameters, images: TrainingImages, previous: Previous | None
) -> Learned:
    """Train on all images, from a previous network or a checkpoint if there is one."""
    checkpoint, saved = None, None
    if parameters.checkpoint_dir is not None:
        identity = _identity(parameters, images, previous)
        checkpoint = TrainingCheckpoint(parameters.checkpoint_dir, identity)
        saved = checkpoint.load()
    stops_early = parameters.early_stopping
    begun = _begun(
        parameters,
        images,
        previous,
        saved,
        held_back=parameters.validation_fraction if stops_early else 0.0,
        max_epochs=parameters.max_epochs,
    )
    is_finished = train(
        begun.training,
        images,
        begun.split,
        max_epochs=parameters.max_epochs,
        patience=parameters.patience if stops_early else None,
        checkpoint=checkpoint,
        verbose=parameters.verbose,
    )
    return _learned(parameters, begun)._replace(is_finished=is_finished)


@gradients_enabled()
def learn_once(
    parameters: LearningParameters,
    images: TrainingImages,
    previous: Previous | None,
    state: dict[str, Any] | None,
) -> tuple[Learned, dict[str, Any]]:
    """Learn once from each image; return the state of the training to go on from."""
    begun = _begun(parameters, images, previous, state, held_back=0.0, max_epochs=None)
    training, split = begun.training, begun.split
    training.run_epoch(images, split.learned, split.held_back)
    has_enough = previous is None or len(images) >= parameters.latent_dim
    learned = _learned(parameters, begun, finds_axes=has_enough)
    learned = learned._replace(best_epoch=training.n_epochs - 1)
    next_state = training.state()
    del next_state["network"], next_state["best_weights"]
    return learned, next_state


def _begun(
    parameters: LearningParameters,
    images: TrainingImages,
    previous: Previous | None,
    state: dict[str, Any] | None,
    *,
    held_back: float,
    max_epochs: int | None,
) -> _Begun:
    """Set up a training, at its beginning or where `state` was taken."""
    seed = _drawn_seed(parameters.random_state) if state is None else int(state["seed"])
    split = Split.random(len(images), held_back, seed)
    sample = images.sample(split.learned)
    network, changes = _network(parameters, sample, seed, previous)
    training = _training(parameters, network, changes, seed, max_epochs)
    if state is not None:
        training.restore(state)
    return _Begun(training, changes, split, sample, seed)


def _network(
    parameters: LearningParameters,
    sample: PixelArray,
    seed: int,
    previous: Previous | None,
) -> "tuple[ConvAutoencoder, Changes]":
    """Begin a network, or copy the previous one to train it further."""
    wanted = _architecture(parameters)
    if previous is None:
        return begin(
            wanted,
            init=parameters.init,
            augment=parameters.augment,
            sample=sample,
            seed=seed,
        )
    network, changes = previous
    has = network.architecture
    if has != replace(wanted, has_linear_path=has.has_linear_path):
        raise ValueError(
            f"the network learned before cannot be trained further: it is {has}, and "
            f"the parameters ask for {wanted}. Set them back, or fit anew with "
            f"warm_start=False."
        )
    if parameters.augment != "auto":
        changes = Changes.of(parameters.augment)
    return deepcopy(network).requires_grad_(True), changes


def _architecture(parameters: LearningParameters) -> "Architecture":
    from imgsim.embedding.autoencoder._conv_autoencoder import Architecture

    channels = tuple(parameters.channels)
    if not channels or not all(isinstance(c, Integral) and c > 0 for c in channels):
        raise ValueError(
            f"channels={parameters.channels!r} must be one or more positive integers."
        )
    n_most = int(parameters.image_size).bit_length() - 1
    if len(channels) > n_most:
        raise ValueError(
            f"channels={parameters.channels!r} halves images {len(channels)} times; "
            f"image_size={parameters.image_size} allows at most {n_most}."
        )
    return Architecture(
        image_size=int(parameters.image_size),
        n_colors=1 if parameters.color == "gray" else 3,
        latent_dim=int(parameters.latent_dim),
        channels=tuple(map(int, channels)),
        n_blocks=int(parameters.n_blocks),
        is_variational=parameters.penalty == "variational",
    )


def _training(
    parameters: LearningParameters,
    network: "ConvAutoencoder",
    changes: Changes,
    seed: int,
    max_epochs: int | None,
) -> Training:
    device = resolve_device(parameters.device)
    corruption = Corruption(
        warp=changes.warp,
        mask_ratio=parameters.mask_ratio,
        noise_std=parameters.noise_std,
    )
    options = TrainingOptions(
        loss=parameters.loss,
        mirror=changes.mirror,
        corruption=corruption,
        penalty=parameters.penalty,
        penalty_weight=parameters.penalty_weight,
        max_epochs=max_epochs,
        learning_rate=parameters.learning_rate,
        weight_decay=parameters.weight_decay,
        precision=_precision(parameters, device),
        seed=seed,
    )
    return Training(network, options, device)


def _learned(
    parameters: LearningParameters, begun: _Begun, *, finds_axes: bool = True
) -> Learned:
    """Find the axes of rows, if asked and wanted, and bring all to the CPU."""
    training, changes = begun.training, begun.changes
    network = training.network.requires_grad_(False).eval()
    if not parameters.rescale:
        network.reset_axes()
    elif finds_axes:
        scale_axes(network, begun.sample, mirror=changes.mirror, seed=begun.seed)
    return Learned(
        network=network.to("cpu"),
        changes=changes,
        loss_curve=list(training.loss_curve),
        validation_loss_curve=list(training.validation_loss_curve),
        best_epoch=training.best_epoch,
    )


def _identity(
    parameters: LearningParameters, images: TrainingImages, previous: Previous | None
) -> dict[str, Any]:
    """Return all that decides where a training leads, but for the device."""
    seed, device = parameters.random_state, resolve_device(parameters.device)
    named = {each.name: getattr(parameters, each.name) for each in fields(parameters)}
    return {
        **{name: named[name] for name in named.keys() - _BESIDE_TRAINING},
        "precision": _precision(parameters, device),
        # Without a seed, one is drawn, and kept in the checkpoint.
        "random_state": None if seed is None else _drawn_seed(deepcopy(seed)),
        "images": images.fingerprint,
        "previous": None if previous is None else hash_weights(previous[0]),
    }


def _precision(parameters: LearningParameters, device: str) -> str:
    """Return the precision of training: float16 has too small a range for it."""
    import torch

    precision = resolve_precision(parameters.precision, device)
    if precision != "float16":
        return precision
    has_bfloat16 = torch.cuda.get_device_capability(device) >= (8, 0)
    return "bfloat16" if has_bfloat16 else "float32"


def _drawn_seed(random_state: int | RandomState | None) -> int:
    return int(check_random_state(random_state).randint(2**31 - 1))
