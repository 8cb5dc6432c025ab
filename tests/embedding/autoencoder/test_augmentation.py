"""Tests of what is done to images before they are to be given back."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

torch = pytest.importorskip("torch")

from imgsim.embedding.autoencoder._augmentation import (  # noqa: E402  # torch may be missing
    Corruption,
    half_mirrored,
    warped,
)


def _random(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def discs():
    """Return 200 images of a disc in the middle, which a turn leaves as it is."""
    y, x = np.mgrid[0:32, 0:32] - 15.5
    disc = (np.hypot(x, y) < 8).astype(np.float32)
    return torch.from_numpy(np.broadcast_to(disc, (200, 1, 32, 32)).copy())


def test_nothing_is_done_unless_asked(discs):
    """The images come back as they are."""
    corruption = Corruption(warp=False, mask_ratio=0.0, noise_std=0.0)

    assert corruption(discs, _random()) is discs


def test_equal_seeds_change_alike(discs):
    """And others do not."""
    corruption = Corruption(warp=True, mask_ratio=0.2, noise_std=0.1)

    first = corruption(discs, _random())

    assert torch.equal(first, corruption(discs, _random()))
    assert not torch.equal(first, corruption(discs, _random(1)))


def test_warping_moves_and_scales_within_its_limits(discs):
    """Centres by up to a tenth of a side; sizes by up to 15 %, and more by bending."""
    images = warped(discs, _random())[:, 0].numpy()
    y, x = np.mgrid[0:32, 0:32] - 15.5
    mass = images.sum(axis=(1, 2))
    shift = np.array([(images * x).sum((1, 2)), (images * y).sum((1, 2))]) / mass

    assert np.abs(shift).max() < 0.1 * 32 + 2.5
    assert np.abs(shift.mean(axis=1)).max() < 0.6
    assert 1 < shift.std() < 2.5
    ratio = mass / discs[0].sum().item()
    assert 0.9 < ratio.mean() < 1.1
    assert 0.5 < ratio.min() < 0.85
    assert 1.2 < ratio.max() < 2


def test_warping_leaves_a_plain_image_plain():
    """The border is mirrored, not filled with black."""
    plain = torch.full((20, 3, 16, 16), 0.7)

    assert_allclose(warped(plain, _random()).numpy(), 0.7, atol=1e-6)


def test_masking_hides_the_share_asked_for():
    """By the mean, which is zero in centred images."""
    ones = torch.ones(50, 3, 16, 16)

    masked = Corruption(False, 0.3, 0.0)(ones, _random())

    assert set(masked.unique().tolist()) == {0.0, 1.0}
    assert 1 - masked.mean().item() == pytest.approx(0.3, abs=0.02)
    assert torch.equal(masked[:, 0], masked[:, 2])


def test_noise_has_the_deviation_asked_for():
    """In standard deviations of scaled pixels."""
    zeros = torch.zeros(50, 3, 16, 16)

    noisy = Corruption(False, 0.0, 0.4)(zeros, _random())

    assert noisy.std().item() == pytest.approx(0.4, rel=0.02)


def test_about_half_is_mirrored():
    """Whole images, left to right."""
    x = torch.arange(4.0).expand(1000, 1, 2, 4)

    mirrored = half_mirrored(x, _random())

    first = mirrored[:, 0, 0, 0]
    assert set(first.tolist()) == {0.0, 3.0}
    assert first.mean().item() == pytest.approx(1.5, abs=0.15)
    assert torch.equal(mirrored.sum(dim=3), x.sum(dim=3))
