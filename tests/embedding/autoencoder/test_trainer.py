"""Tests of single steps of a training; whole ones are tested with the embedder."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from imgsim.embedding.autoencoder._augmentation import Corruption  # noqa: E402
from imgsim.embedding.autoencoder._conv_autoencoder import (  # noqa: E402  # torch may be missing
    Architecture,
    ConvAutoencoder,
)
from imgsim.embedding.autoencoder._trainer import (  # noqa: E402
    Training,
    TrainingOptions,
    share_of_rate,
)
from imgsim.embedding.autoencoder._training_images import TrainingImages  # noqa: E402


@pytest.fixture
def images():
    """Return thirty random images in batches of ten."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (30, 8, 8, 3), dtype=np.uint8)
    return TrainingImages(
        list(pixels), lambda rgb: rgb, batch_size=10, n_jobs=1, on_error="raise"
    )


def _training(**kwargs):
    torch.manual_seed(0)
    architecture = Architecture(
        image_size=8,
        n_colors=3,
        latent_dim=4,
        channels=(8,),
        n_blocks=1,
        is_variational=False,
    )
    options = {
        "loss": "mse",
        "mirror": True,
        "corruption": Corruption(warp=True, mask_ratio=0.1, noise_std=0.1),
        "penalty": None,
        "penalty_weight": 0.0,
        "max_epochs": 4,
        "learning_rate": 1e-2,
        "weight_decay": 0.1,
        "precision": "float32",
        "seed": 0,
        **kwargs,
    }
    return Training(ConvAutoencoder(architecture), TrainingOptions(**options), "cpu")


def test_the_rate_rises_in_a_line_and_falls_as_a_cosine():
    """To its largest after a tenth, to half in the middle of the rest, to 0."""
    shares = [share_of_rate(done) for done in (0.05, 0.1, 0.55, 1.0)]

    assert shares == pytest.approx([0.5, 1.0, 0.5, 0.0])


def test_without_an_end_the_rate_does_not_fall(images):
    """As for `partial_fit`."""
    training = _training(max_epochs=None)
    for _ in range(3):
        training.run_epoch(images, np.arange(30), np.arange(0))

    [rate] = {group["lr"] for group in training._optimizer.param_groups}
    assert rate == 1e-2


def test_biases_and_norms_do_not_decay():
    """Only matrices and filters do."""
    decaying, others = _training()._optimizer.param_groups

    assert decaying["weight_decay"] == 0.1
    assert min(p.ndim for p in decaying["params"]) == 2
    assert others["weight_decay"] == 0.0
    assert {p.ndim for p in others["params"]} == {1}


def test_held_back_images_are_judged_alike_in_every_epoch(images):
    """With the same changes, so that only the network makes a difference."""
    training = _training(learning_rate=1e-30)
    for _ in range(3):
        training.run_epoch(images, np.arange(20), np.arange(20, 30))

    assert len(set(training.validation_loss_curve)) == 1
    assert len(set(training.loss_curve)) == 3
    assert training.best_epoch == 0
    assert training.n_epochs_without_gain() == 2


def test_a_training_goes_on_from_its_state(images):
    """In another process, as if it had never stopped."""
    rows, held_back = np.arange(20), np.arange(20, 30)
    training = _training()
    training.run_epoch(images, rows, held_back)
    state = {
        name: {k: v.clone() for k, v in value.items()} if name == "network" else value
        for name, value in training.state().items()
    }
    resumed = _training()
    resumed.restore(state)

    for each in (training, resumed):
        each.run_epoch(images, rows, held_back)

    assert resumed.loss_curve == training.loss_curve
    assert resumed.validation_loss_curve == training.validation_loss_curve


def test_gradients_are_clipped(images):
    """One strange image does not throw the network off."""
    training = _training()
    training.network.set_scale(torch.zeros(3, 1, 1), torch.tensor(1e-6))

    training.run_epoch(images, np.arange(30), np.arange(0))

    norms = [p.grad.norm() for p in training.network.parameters()]
    assert torch.stack(norms).norm().item() == pytest.approx(1.0, rel=1e-3)


def test_switches_of_cuda_are_put_back(images):
    """They belong to the program around."""
    before = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic

    _training().run_epoch(images, np.arange(30), np.arange(0))

    after = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic
    assert after == before
