"""Training of an autoencoder with the parameters of an embedder."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from time import perf_counter
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from imgsim._callbacks import FitTask
from imgsim._compute.device import resolve_device
from imgsim._compute.precision import resolve_precision
from imgsim._compute.seeds import draw_seed
from imgsim._compute.torch_random import gradients_enabled
from imgsim._logging import LOGGER
from imgsim._validation import is_integer
from imgsim._warnings import warn_caller
from imgsim.embedding.autoencoder._augmentation import Augmentation
from imgsim.embedding.autoencoder._initialization import initialize_network
from imgsim.embedding.autoencoder._latent_axes import rescale_axes
from imgsim.embedding.autoencoder._trainer import Trainer
from imgsim.embedding.autoencoder._training_checkpoint import TrainingCheckpoint
from imgsim.embedding.autoencoder._training_images import TrainingImages, make_resizer
from imgsim.embedding.pretrained._weights_file import hash_weights
from imgsim.images._sources import check_image_sources

if TYPE_CHECKING:
    from imgsim.embedding.autoencoder._conv_autoencoder import (
        Architecture,
        ConvAutoencoder,
    )

# With 200 handwritten digits, the precision at 5 is still below that of the pixels, and
# with 400 digits, it is above it.
_FEW_IMAGES = 200

# Parameters that may change before an interrupted training run is resumed.
_NOT_IN_CHECKPOINT = {
    "cache",
    "checkpoint_dir",
    "device",
    "max_pixels",
    "n_jobs",
    "normalize",
    "on_error",
    "random_state",
    "rescale",
    "verbose",
    "warm_start",
}


class TrainedNetwork(NamedTuple):
    """A network and the augmentation that it was trained with."""

    network: "ConvAutoencoder"
    augmentation: Augmentation


class TrainingResult(NamedTuple):
    """A trained network on the CPU and the history of its training."""

    network: "ConvAutoencoder"
    augmentation: Augmentation
    loss_curve: list[float]
    validation_loss_curve: list[float]
    best_epoch: int


@dataclass(frozen=True)
class TrainingSplit:
    """Indices of the training images, in random order, and of the validation images."""

    training: NDArray[np.int64]
    validation: NDArray[np.int64]

    @classmethod
    def random(cls, n_images: int, validation_fraction: float, seed: int) -> Self:
        """Split at random; the number of validation images is rounded down."""
        order = np.random.default_rng(seed).permutation(n_images)
        n_validation = int(validation_fraction * n_images)
        return cls(order[n_validation:], order[:n_validation])


class TrainingRun:
    """One training of a network on a collection of images.

    Parameters
    ----------
    params : SimpleNamespace
        Parameters of the embedder, by name.

    images : TrainingImages
        The images.

    trained : TrainedNetwork or None
        Network to train further. None initializes a new one.

    seed : int or None
        Seed of all random numbers. None draws it from `random_state`.

    validation_fraction : float
        Fraction of the images that are used for validation.

    max_epochs : int or None
        Number of epochs of the learning rate schedule, see `Trainer`.
    """

    def __init__(
        self,
        params: SimpleNamespace,
        images: TrainingImages,
        trained: TrainedNetwork | None,
        *,
        seed: int | None,
        validation_fraction: float,
        max_epochs: int | None,
    ) -> None:
        seed = draw_seed(params.random_state) if seed is None else seed
        device = resolve_device(params.device)
        self._params, self._images, self._seed = params, images, seed
        self._split = TrainingSplit.random(len(images), validation_fraction, seed)
        self._sample = images.sample(self._split.training)
        network, self._augmentation = _initial_network(
            params, trained, sample=self._sample, seed=seed
        )
        self.trainer = Trainer(
            network,
            params,
            self._augmentation,
            max_epochs=max_epochs,
            device=device,
            precision=_training_precision(params.precision, device),
            seed=seed,
        )

    def resume(self, checkpoint: TrainingCheckpoint, state: dict[str, Any]) -> None:
        """Continue from the state of a checkpoint, which is checked before."""
        with checkpoint.refuse_invalid_state():
            self.trainer.resume(
                state,
                max_epochs=self._params.max_epochs,
                has_validation=len(self._split.validation) > 0,
            )

    def run_epoch(self) -> None:
        """Train once on each training image."""
        split = self._split
        self.trainer.run_epoch(self._images, split.training, split.validation)

    def run_epochs(self, checkpoint: TrainingCheckpoint | None, task: FitTask) -> bool:
        """Run the remaining epochs and restore the weights of the best epoch.

        Returns False if Ctrl-C interrupted the run. If the first epoch was not
        finished, there are no weights to restore, and KeyboardInterrupt is raised.
        """
        params, trainer = self._params, self.trainer
        is_finished = True
        try:
            for epoch in _with_progress(trainer, params.max_epochs, params.verbose):
                if self._should_stop() or task.should_stop:
                    break
                with task.subtask("epoch", epoch):
                    self.run_epoch()
                if checkpoint is not None:
                    checkpoint.save(trainer.state_dict())
        except KeyboardInterrupt:
            if not trainer.best_weights:
                raise
            is_finished = False
        trainer.network.load_state_dict(trainer.best_weights)
        if is_finished and checkpoint is not None:
            checkpoint.remove()
        return is_finished

    def log(self, seconds: float) -> None:
        """Log what was trained, on what, and how well."""
        trainer = self.trainer
        losses = trainer.validation_loss_curve or trainer.loss_curve
        kind = "validation" if trainer.validation_loss_curve else "training"
        LOGGER.info(
            "AutoencoderEmbedder: trained %d epochs on %d images in %.2f s, best %s "
            "loss %.4f, device=%r",
            trainer.n_epochs,
            len(self._images),
            seconds,
            kind,
            min(losses),
            resolve_device(self._params.device),
        )

    def result(self, *, update_axes: bool = True) -> TrainingResult:
        """Set the axes of the embeddings and return the network and its history."""
        trainer, augmentation = self.trainer, self._augmentation
        network = trainer.network.requires_grad_(False).eval()
        if not self._params.rescale:
            network.reset_axes()
        elif update_axes:
            rescale_axes(
                network, self._sample, mirror=augmentation.mirror, seed=self._seed
            )
        return TrainingResult(
            network=network.to("cpu"),
            augmentation=augmentation,
            loss_curve=list(trainer.loss_curve),
            validation_loss_curve=list(trainer.validation_loss_curve),
            best_epoch=trainer.best_epoch,
        )

    def _should_stop(self) -> bool:
        if not self._params.early_stopping:
            return False
        return self.trainer.n_epochs_without_improvement >= int(self._params.patience)


def read_training_images(params: SimpleNamespace, X: Any) -> TrainingImages:
    """Read the images to train on.

    Raises
    ------
    ValueError
        If parameters are inconsistent. This is checked before any image is read.
    """
    architecture = _make_architecture(params)
    resolve_device(params.device)
    return TrainingImages(
        check_image_sources(X),
        make_resizer(architecture.image_size, architecture.n_colors),
        batch_size=params.batch_size,
        n_jobs=params.n_jobs,
        on_error=params.on_error,
        max_pixels=params.max_pixels,
    )


def warn_of_few_images(n_images: int) -> None:
    """Warn of what to expect if a new network is fitted to few images."""
    if n_images < _FEW_IMAGES:
        warn_caller(
            f"the autoencoder is fitted to only {n_images} images. With fewer than "
            f"about {_FEW_IMAGES}, its embeddings usually tell images apart less well "
            f"than the pixels do. Fit it to more images of the same kind; for "
            f"photographs, use ImageEmbedder.",
            UserWarning,
        )


@gradients_enabled()
def fit_autoencoder(
    params: SimpleNamespace,
    images: TrainingImages,
    trained: TrainedNetwork | None,
    task: FitTask,
) -> tuple[TrainingResult, bool]:
    """Train for all epochs; also return whether the run finished or was interrupted.

    The run resumes from its checkpoint if there is one. Otherwise it starts from the
    network `trained`, or from a new network if that is None. The epochs are subtasks of
    `task`.
    """
    checkpoint, state = None, None
    if params.checkpoint_dir is not None:
        settings = _checkpoint_settings(params, images, trained)
        checkpoint = TrainingCheckpoint(params.checkpoint_dir, settings)
        state = checkpoint.load()
    run = TrainingRun(
        params,
        images,
        trained,
        seed=None if state is None else state["seed"],
        validation_fraction=params.validation_fraction if params.early_stopping else 0,
        max_epochs=params.max_epochs,
    )
    if checkpoint is not None and state is not None:
        run.resume(checkpoint, state)
    start = perf_counter()
    is_finished = run.run_epochs(checkpoint, task)
    run.log(perf_counter() - start)
    return run.result(), is_finished


@gradients_enabled()
def fit_one_epoch(
    params: SimpleNamespace,
    images: TrainingImages,
    trained: TrainedNetwork | None,
    state: Mapping[str, Any] | None,
) -> tuple[TrainingResult, dict[str, Any]]:
    """Train once on each image; also return the state to continue from.

    The state does not contain the weights, because the result contains them.
    """
    run = TrainingRun(
        params,
        images,
        trained,
        seed=None if state is None else state["seed"],
        validation_fraction=0.0,
        max_epochs=None,
    )
    if state is not None:
        run.trainer.load_state_dict(state)
    start = perf_counter()
    run.run_epoch()
    run.log(perf_counter() - start)
    update_axes = trained is None or len(images) >= params.latent_dim
    last_epoch = run.trainer.n_epochs - 1
    result = run.result(update_axes=update_axes)._replace(best_epoch=last_epoch)
    next_state = run.trainer.state_dict()
    del next_state["network"], next_state["best_weights"]
    return result, next_state


def _initial_network(
    params: SimpleNamespace,
    trained: TrainedNetwork | None,
    *,
    sample: NDArray[np.uint8],
    seed: int,
) -> "tuple[ConvAutoencoder, Augmentation]":
    """Initialize a new network, or copy the trained one."""
    wanted = _make_architecture(params)
    if trained is None:
        return initialize_network(
            wanted, init=params.init, augment=params.augment, sample=sample, seed=seed
        )
    network, augmentation = trained
    actual = network.architecture
    if actual != replace(wanted, has_linear_path=actual.has_linear_path):
        raise ValueError(
            f"the parameters require {wanted}, but the network of the previous fit "
            f"is {actual} and cannot be trained further. Restore the parameters, or "
            f"set warm_start=False to fit a new network."
        )
    if params.augment != "auto":
        augmentation = Augmentation.from_name(params.augment)
    return deepcopy(network).requires_grad_(True), augmentation


def _make_architecture(params: SimpleNamespace) -> "Architecture":
    from imgsim.embedding.autoencoder._conv_autoencoder import Architecture

    channels, image_size = tuple(params.channels), int(params.image_size)
    is_valid = all(is_integer(c) and c > 0 for c in channels)
    if not channels or not is_valid:
        raise ValueError(
            f"channels={params.channels!r} must be one or more positive integers."
        )
    max_length = image_size.bit_length() - 1
    if len(channels) > max_length:
        raise ValueError(
            f"channels={params.channels!r} must have at most {max_length} entries for "
            f"image_size={image_size}, because each entry halves the side of the image."
        )
    return Architecture(
        image_size=image_size,
        n_colors=1 if params.color == "gray" else 3,
        latent_dim=int(params.latent_dim),
        channels=tuple(map(int, channels)),
        n_blocks=int(params.n_blocks),
        is_variational=params.penalty == "variational",
    )


def _checkpoint_settings(
    params: SimpleNamespace, images: TrainingImages, trained: TrainedNetwork | None
) -> dict[str, Any]:
    """Return everything except the device that determines the trained network."""
    seed, device = params.random_state, resolve_device(params.device)
    names = vars(params).keys() - _NOT_IN_CHECKPOINT
    return {
        **{name: getattr(params, name) for name in names},
        "precision": _training_precision(params.precision, device),
        # If `random_state` is None, a seed is drawn and saved in the checkpoint.
        "random_state": None if seed is None else draw_seed(deepcopy(seed)),
        "images": images.digest,
        "trained_weights": None if trained is None else hash_weights(trained.network),
    }


def _training_precision(precision: str, device: str) -> str:
    """Return the precision of training; the range of float16 is too small for it."""
    import torch

    precision = resolve_precision(precision, device)
    if precision != "float16":
        return precision
    has_bfloat16 = torch.cuda.get_device_capability(device) >= (8, 0)
    return "bfloat16" if has_bfloat16 else "float32"


def _with_progress(trainer: Trainer, max_epochs: int, verbose: int) -> Iterator[int]:
    """Yield the remaining epochs; show a progress bar with the losses if `verbose`."""
    from tqdm.auto import tqdm

    epochs = range(trainer.n_epochs, max_epochs)
    if not verbose:
        yield from epochs
        return
    with tqdm(
        total=max_epochs, initial=trainer.n_epochs, desc="training", unit=" epochs"
    ) as bar:
        for epoch in epochs:
            yield epoch
            curves = {
                "loss": trainer.loss_curve,
                "validation_loss": trainer.validation_loss_curve,
            }
            bar.set_postfix({k: f"{v[-1]:.4f}" for k, v in curves.items() if v})
            bar.update()
