"""Tests of the validation split; training is tested with the embedder."""

import numpy as np
import pytest

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
