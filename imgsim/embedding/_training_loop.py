"""An autoencoder learns from images, from the first epoch to the last."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imgsim.embedding.autoencoder._trainer import Training
from imgsim.embedding.autoencoder._training_checkpoint import TrainingCheckpoint
from imgsim.embedding.autoencoder._training_images import TrainingImages


@dataclass(frozen=True)
class Split:
    """Numbers of the images to learn from, in random order, and of those held back."""

    learned: NDArray[np.int64]
    held_back: NDArray[np.int64]

    @classmethod
    def random(cls, n_images: int, held_back: float, seed: int) -> "Split":
        """Hold back a share of the images, none if that is less than one."""
        order = np.random.default_rng(seed).permutation(n_images)
        n_held_back = int(held_back * n_images)
        return cls(order[n_held_back:], order[:n_held_back])


def train(
    training: Training,
    images: TrainingImages,
    split: Split,
    *,
    max_epochs: int,
    patience: int | None,
    checkpoint: TrainingCheckpoint | None,
    verbose: int,
) -> bool:
    """Run the epochs that are left, and leave the network as after the best.

    Return False if Ctrl-C ended the training before; it is raised as long as there is
    no epoch to keep.
    """
    is_finished = True
    try:
        for _ in _with_progress(training, max_epochs, verbose):
            if patience is not None and training.n_epochs_without_gain() >= patience:
                break
            training.run_epoch(images, split.learned, split.held_back)
            if checkpoint is not None:
                checkpoint.save(training)
    except KeyboardInterrupt:
        if not training.best_weights:
            raise
        is_finished = False
    training.network.load_state_dict(training.best_weights)
    if is_finished and checkpoint is not None:
        checkpoint.remove()
    return is_finished


def _with_progress(training: Training, max_epochs: int, verbose: int) -> Iterator[int]:
    """Count the epochs that are left, and show how the losses go."""
    from tqdm.auto import tqdm

    epochs = range(training.n_epochs, max_epochs)
    if not verbose:
        yield from epochs
        return
    with tqdm(
        total=max_epochs, initial=training.n_epochs, desc="training", unit=" epochs"
    ) as bar:
        for epoch in epochs:
            yield epoch
            curves = {
                "loss": training.loss_curve,
                "held_back": training.validation_loss_curve,
            }
            bar.set_postfix({k: f"{v[-1]:.4f}" for k, v in curves.items() if v})
            bar.update()
