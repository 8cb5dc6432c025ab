"""Tests of single epochs; whole training runs are tested with the embedder."""

from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from imgsim.embedding.autoencoder._augmentation import Augmentation  # noqa: E402
from imgsim.embedding.autoencoder._conv_autoencoder import (  # noqa: E402  # torch may be missing
    Architecture,
    ConvAutoencoder,
)
from imgsim.embedding.autoencoder._trainer import (  # noqa: E402
    Trainer,
    learning_rate_factor,
)
from imgsim.embedding.autoencoder._training_images import TrainingImages  # noqa: E402

TRAINING, VALIDATION = np.arange(20), np.arange(20, 30)


@pytest.fixture(scope="module")
def images():
    """Return thirty random images in batches of ten."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (30, 8, 8, 3), dtype=np.uint8)
    return TrainingImages(
        list(pixels), lambda rgb: rgb, batch_size=10, n_jobs=1, on_error="raise"
    )


def _trainer(*, learning_rate=1e-2, max_epochs=4):
    torch.manual_seed(0)
    architecture = Architecture(
        image_size=8,
        n_colors=3,
        latent_dim=4,
        channels=(8,),
        n_blocks=1,
        is_variational=False,
    )
    params = SimpleNamespace(
        loss="mse",
        penalty=None,
        penalty_weight=0.0,
        mask_ratio=0.1,
        noise_std=0.1,
        learning_rate=learning_rate,
        weight_decay=0.1,
    )
    return Trainer(
        ConvAutoencoder(architecture),
        params,
        Augmentation(mirror=True, warp=True),
        max_epochs=max_epochs,
        device="cpu",
        precision="float32",
        seed=0,
    )


def test_the_learning_rate_rises_linearly_and_falls_as_a_cosine():
    """It is largest after a tenth of the training, and 0 at the end."""
    factors = [learning_rate_factor(progress) for progress in (0.05, 0.1, 0.55, 1.0)]

    assert factors == pytest.approx([0.5, 1.0, 0.5, 0.0])


def test_without_a_planned_end_the_learning_rate_does_not_fall(images):
    """`partial_fit` may be called any number of times."""
    trainer = _trainer(max_epochs=None)
    for _ in range(3):
        trainer.run_epoch(images, TRAINING, VALIDATION)

    groups = trainer.state_dict()["optimizer"]["param_groups"]
    assert {group["lr"] for group in groups} == {1e-2}


def test_biases_and_norms_do_not_decay():
    """Weight decay applies to matrices and filters."""
    decaying, others = _trainer()._optimizer.param_groups

    assert decaying["weight_decay"] == 0.1
    assert min(p.ndim for p in decaying["params"]) == 2
    assert others["weight_decay"] == 0.0
    assert {p.ndim for p in others["params"]} == {1}


def test_validation_images_are_corrupted_alike_in_every_epoch(images):
    """Only the weights change the validation loss."""
    trainer = _trainer(learning_rate=1e-30)
    for _ in range(3):
        trainer.run_epoch(images, TRAINING, VALIDATION)

    assert len(set(trainer.validation_loss_curve)) == 1
    assert len(set(trainer.loss_curve)) == 3
    assert trainer.best_epoch == 0
    assert trainer.n_epochs_without_improvement == 2


def test_training_continues_from_a_state_dict(images):
    """The next epoch is the same as without the interruption."""
    trainer = _trainer()
    trainer.run_epoch(images, TRAINING, VALIDATION)
    state = {
        name: {k: v.clone() for k, v in value.items()} if name == "network" else value
        for name, value in trainer.state_dict().items()
    }
    resumed = _trainer()
    resumed.load_state_dict(state)

    for each in (trainer, resumed):
        each.run_epoch(images, TRAINING, VALIDATION)

    assert resumed.loss_curve == trainer.loss_curve
    assert resumed.validation_loss_curve == trainer.validation_loss_curve


def test_gradients_are_clipped(images):
    """An unusual image must not destroy the weights."""
    trainer = _trainer()
    trainer.network.set_pixel_scale(torch.zeros(3, 1, 1), torch.tensor(1e-6))

    trainer.run_epoch(images, TRAINING, VALIDATION)

    norms = [p.grad.norm() for p in trainer.network.parameters()]
    assert torch.stack(norms).norm().item() == pytest.approx(1.0, rel=1e-3)


def test_settings_of_cudnn_are_restored(images):
    """They belong to the calling program."""
    before = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic

    _trainer().run_epoch(images, TRAINING, VALIDATION)

    after = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic
    assert after == before
