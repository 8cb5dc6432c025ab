"""Tests of which images are held back; training is tested with the embedder."""

import numpy as np
import pytest

from imgsim.embedding.autoencoder._fit_autoencoder import Split


@pytest.mark.parametrize(
    ("n_images", "share", "n_held_back"),
    [(100, 0.1, 10), (19, 0.1, 1), (9, 0.1, 0), (1, 0.9, 0), (2, 0.5, 1), (30, 0.0, 0)],
)
def test_a_share_is_held_back(n_images, share, n_held_back):
    """Each image is in one part; at least one is learned."""
    split = Split.random(n_images, share, seed=0)

    assert len(split.held_back) == n_held_back
    both = np.concatenate([split.learned, split.held_back])
    assert sorted(both) == list(range(n_images))


def test_the_seed_decides():
    """Which images are held back."""
    first, same, other = (Split.random(100, 0.1, seed) for seed in (0, 0, 1))

    assert first.held_back.tolist() == same.held_back.tolist()
    assert first.held_back.tolist() != other.held_back.tolist()
