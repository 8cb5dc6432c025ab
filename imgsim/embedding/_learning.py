"""From the parameters of an autoencoder embedder to a trained network."""

from copy import deepcopy
from dataclasses import replace
from numbers import Integral
from typing import TYPE_CHECKING, Any, NamedTuple

from sklearn.utils import check_random_state

from imgsim.embedding._arrays import Pixels
from imgsim.embedding._base_reconstructor import preparation
from imgsim.embedding._checkpoint import fingerprint
from imgsim.embedding._corruption import Corruption
from imgsim.embedding._device import resolve_device
from imgsim.embedding._latent_scaling import scale_axes
from imgsim.embedding._precision import resolve_precision
from imgsim.embedding._training import Training, TrainingOptions
from imgsim.embedding._training_checkpoint import TrainingCheckpoint
from imgsim.embedding._training_images import TrainingImages
from imgsim.embedding._training_loop import Split, train
from imgsim.embedding._training_start import Changes, begin
from imgsim.images._sources import check_image_sources

if TYPE_CHECKING:
    from imgsim.embedding._autoencoder_embedder import AutoencoderEmbedder
    from imgsim.embedding._conv_autoencoder import Architecture, ConvAutoencoder

# Parameters that may differ where a training goes on from a checkpoint.
_BESIDE_TRAINING = {
    "cache",
    "checkpoint_dir",
    "device",
    "n_jobs",
    "normalize",
    "on_error",
    "random_state",
    "rescale",
    "verbose",
}
_N_SAMPLED = 2048

# A network that was trained already, and with which changes.
Previous = tuple["ConvAutoencoder", Changes]


class Learned(NamedTuple):
    """A trained network on the CPU, and how it came about."""

    network: "ConvAutoencoder"
    changes: Changes
    loss_curve: list[float]
    validation_curve: list[float]
    best_epoch: int


def read_images(embedder: "AutoencoderEmbedder", X: Any) -> TrainingImages:
    """Read the images to learn from; those that cannot be read are `failures_`.

    Raises
    ------
    ValueError
        If none can be read; before that, if parameters do not fit each other.
    """
    _architecture(embedder)
    resolve_device(embedder.device)
    images = TrainingImages(
        check_image_sources(X),
        preparation(embedder.image_size, 1 if embedder.color == "gray" else 3),
        batch_size=embedder.batch_size,
        n_jobs=embedder.n_jobs,
        on_error=embedder.on_error,
    )
    embedder.failures_ = images.failures
    if not len(images):
        first = images.failures[0]
        raise ValueError(
            f"none of {len(images.failures)} images could be read. The first is "
            f"{first.source}: {first.reason}"
        )
    return images


def learn(embedder: "AutoencoderEmbedder", images: TrainingImages) -> Learned:
    """Train on all images, or go on from a checkpoint, or as `warm_start` says."""
    previous = _previous(embedder) if embedder.warm_start else None
    checkpoint, saved = None, None
    if embedder.checkpoint_dir is not None:
        identity = _identity(embedder, images, previous)
        checkpoint = TrainingCheckpoint(embedder.checkpoint_dir, identity)
        saved = checkpoint.load()
    seed = _drawn_seed(embedder) if saved is None else int(saved["seed"])
    stops_early = embedder.early_stopping
    held_back = embedder.validation_fraction if stops_early else 0.0
    split = Split.random(len(images), held_back, seed)
    sample = images.take(split.learned[:_N_SAMPLED])
    network, changes = _network(embedder, sample, seed, previous)
    training = _training(embedder, network, changes, seed, embedder.max_epochs)
    if saved is not None:
        training.restore(saved)
    train(
        training,
        images,
        split,
        max_epochs=embedder.max_epochs,
        patience=embedder.patience if stops_early else None,
        checkpoint=checkpoint,
        verbose=embedder.verbose,
    )
    return _learned(embedder, training, changes, sample, seed)


def learn_once(
    embedder: "AutoencoderEmbedder",
    images: TrainingImages,
    state: dict[str, Any] | None,
) -> tuple[Learned, dict[str, Any]]:
    """Learn once from each image; return the state of the training to go on from."""
    previous = _previous(embedder)
    seed = _drawn_seed(embedder) if state is None else int(state["seed"])
    split = Split.random(len(images), 0.0, seed)
    sample = images.take(split.learned[:_N_SAMPLED])
    network, changes = _network(embedder, sample, seed, previous)
    training = _training(embedder, network, changes, seed, max_epochs=None)
    if state is not None:
        training.restore(state)
    training.run_epoch(images, split.learned, split.held_back)
    learned = _learned(embedder, training, changes, sample, seed)
    return learned, {**training.state(), "best_weights": {}}


def _previous(embedder: "AutoencoderEmbedder") -> Previous | None:
    if not hasattr(embedder, "autoencoder_"):
        return None
    return embedder.autoencoder_, Changes.of(embedder.augment_)


def _network(
    embedder: "AutoencoderEmbedder",
    sample: Pixels,
    seed: int,
    previous: Previous | None,
) -> "tuple[ConvAutoencoder, Changes]":
    """Begin a network, or copy the previous one to train it further."""
    wanted = _architecture(embedder)
    if previous is None:
        return begin(
            wanted,
            init=embedder.init,
            augment=embedder.augment,
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
    if embedder.augment != "auto":
        changes = Changes.of(embedder.augment)
    return deepcopy(network).requires_grad_(True), changes


def _architecture(embedder: "AutoencoderEmbedder") -> "Architecture":
    from imgsim.embedding._conv_autoencoder import Architecture

    channels = tuple(embedder.channels)
    if not channels or not all(isinstance(c, Integral) and c > 0 for c in channels):
        raise ValueError(
            f"channels={embedder.channels!r} must be one or more positive integers."
        )
    n_most = int(embedder.image_size).bit_length() - 1
    if len(channels) > n_most:
        raise ValueError(
            f"channels={embedder.channels!r} halves images {len(channels)} times; "
            f"image_size={embedder.image_size} allows at most {n_most}."
        )
    return Architecture(
        image_size=int(embedder.image_size),
        n_colors=1 if embedder.color == "gray" else 3,
        latent_dim=int(embedder.latent_dim),
        channels=tuple(map(int, channels)),
        n_blocks=int(embedder.n_blocks),
        is_variational=embedder.penalty == "variational",
    )


def _training(
    embedder: "AutoencoderEmbedder",
    network: "ConvAutoencoder",
    changes: Changes,
    seed: int,
    max_epochs: int | None,
) -> Training:
    device = resolve_device(embedder.device)
    corruption = Corruption(
        warp=changes.warp,
        mask_ratio=embedder.mask_ratio,
        noise_std=embedder.noise_std,
    )
    options = TrainingOptions(
        loss=embedder.loss,
        mirror=changes.mirror,
        corruption=corruption,
        penalty=embedder.penalty,
        penalty_weight=embedder.penalty_weight,
        max_epochs=max_epochs,
        learning_rate=embedder.learning_rate,
        weight_decay=embedder.weight_decay,
        precision=_precision(embedder, device),
        seed=seed,
    )
    return Training(network, options, device)


def _learned(
    embedder: "AutoencoderEmbedder",
    training: Training,
    changes: Changes,
    sample: Pixels,
    seed: int,
) -> Learned:
    """Bring a trained network to the CPU, and find the axes of its rows."""
    network = training.network.to("cpu").requires_grad_(False).eval()
    if embedder.rescale:
        scale_axes(network, sample, mirror=changes.mirror, seed=seed)
    else:
        network.reset_axes()
    return Learned(
        network=network,
        changes=changes,
        loss_curve=training.loss_curve,
        validation_curve=training.validation_curve,
        best_epoch=training.best_epoch,
    )


def _identity(
    embedder: "AutoencoderEmbedder", images: TrainingImages, previous: Previous | None
) -> dict[str, Any]:
    """Return all that decides where a training leads, but for the device."""
    parameters = embedder.get_params(deep=False)
    seed, device = embedder.random_state, resolve_device(embedder.device)
    return {
        **{k: parameters[k] for k in parameters.keys() - _BESIDE_TRAINING},
        "precision": _precision(embedder, device),
        # Any other seed is drawn, and kept in the checkpoint.
        "random_state": seed if isinstance(seed, Integral) else None,
        "images": images.fingerprint,
        "previous": None if previous is None else fingerprint(previous[0]),
    }


def _precision(embedder: "AutoencoderEmbedder", device: str) -> str:
    """Return the precision of training: float16 has too small a range for it."""
    import torch

    precision = resolve_precision(embedder.precision, device)
    if precision != "float16":
        return precision
    has_bfloat16 = torch.cuda.get_device_capability(device) >= (8, 0)
    return "bfloat16" if has_bfloat16 else "float32"


def _drawn_seed(embedder: "AutoencoderEmbedder") -> int:
    return int(check_random_state(embedder.random_state).randint(2**31 - 1))
