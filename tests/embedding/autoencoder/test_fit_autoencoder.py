"""Tests of the validation split; training is tested with the embedder."""

import warnings

import numpy as np
import pytest
from embedders import make_autoencoder

from imgsim.embedding.autoencoder._fit_autoencoder import TrainingSplit


@pytest.mark.parametrize(
    ("n_images", "fraction", "n_validation"),
    [(100, 0.1, 10), (19, 0.1, 1), (9, 0.1, 0), (1, 0.9, 0), (2, 0.5, 1), (30, 0.0, 0)],
)
def test_a_fraction_of_the_images_is_for_validation(n_images, fraction, n_validation):
    """Each image is in one of the two sets, and training has at least one."""
    split = TrainingSplit.random(n_images, fraction, seed=0)

    assert len(split.validation) == n_validation
    both = np.concatenate([split.training, split.validation])
    assert sorted(both) == list(range(n_images))


def test_the_seed_determines_the_split():
    """A resumed run must not train on its validation images."""
    first, same, other = (TrainingSplit.random(100, 0.1, seed) for seed in (0, 0, 1))

    assert first.validation.tolist() == same.validation.tolist()
    assert first.validation.tolist() != other.validation.tolist()


def _noise_images(n_images):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, size=(n_images, 16, 16, 3), dtype=np.uint8)


@pytest.mark.parametrize("method", ["fit", "fit_transform"])
def test_few_images_are_warned_of(method):
    """A beginner should not take the result for what the network can do."""
    embedder = make_autoencoder(max_epochs=1, warm_start=True)
    images = _noise_images(199)

    with pytest.warns(UserWarning, match="fitted to only 199 images") as caught:
        getattr(embedder, method)(images)

    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_enough_images_are_not_warned_of():
    """Neither are a few more images for a network that was already trained."""
    embedder = make_autoencoder(max_epochs=1, warm_start=True)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        embedder.fit(_noise_images(200))
        embedder.fit(_noise_images(10))
        make_autoencoder().partial_fit(_noise_images(10))
