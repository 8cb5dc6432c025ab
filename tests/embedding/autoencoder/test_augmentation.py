"""Tests of the augmentation and corruption of images."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

torch = pytest.importorskip("torch")

from imgsim.embedding.autoencoder._augmentation import (  # noqa: E402  # torch may be missing
    Augmentation,
    Corruption,
    random_mirror,
    random_warp,
)


def _generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def discs():
    """Return 200 images of a centered disc, which a rotation leaves unchanged."""
    y, x = np.mgrid[0:32, 0:32] - 15.5
    disc = (np.hypot(x, y) < 8).astype(np.float32)
    return torch.from_numpy(np.broadcast_to(disc, (200, 1, 32, 32)).copy())


@pytest.mark.parametrize("name", [None, "mirror", "warp", "mirror+warp"])
def test_augmentations_have_the_names_of_the_parameter(name):
    """`augment_` has to be a valid value of `augment`."""
    assert Augmentation.from_name(name).name == name


def test_a_corruption_without_parts_returns_the_images(discs):
    """All parts are off by default."""
    corruption = Corruption(warp=False, mask_ratio=0.0, noise_std=0.0)

    assert corruption(discs, _generator()) is discs


def test_the_seed_determines_the_corruption(discs):
    """Resumed runs repeat the same corruption."""
    corruption = Corruption(warp=True, mask_ratio=0.2, noise_std=0.1)

    first = corruption(discs, _generator())

    assert torch.equal(first, corruption(discs, _generator()))
    assert not torch.equal(first, corruption(discs, _generator(1)))


def test_warps_shift_and_scale_within_their_limits(discs):
    """Shifts reach 10 % of the side and scales 15 %, plus the elastic part."""
    images = random_warp(discs, _generator())[:, 0].numpy()
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


def test_warps_leave_constant_images_unchanged():
    """The area beyond the border is a reflection, not black."""
    constant = torch.full((20, 3, 16, 16), 0.7)

    assert_allclose(random_warp(constant, _generator()).numpy(), 0.7, atol=1e-6)


def test_masks_hide_the_requested_fraction():
    """Masked cells have the mean color, which is 0 in standardized images."""
    ones = torch.ones(50, 3, 16, 16)

    masked = Corruption(False, 0.3, 0.0)(ones, _generator())

    assert set(masked.unique().tolist()) == {0.0, 1.0}
    assert 1 - masked.mean().item() == pytest.approx(0.3, abs=0.02)
    assert torch.equal(masked[:, 0], masked[:, 2])


def test_noise_has_the_requested_standard_deviation():
    """The unit is the standard deviation of the pixels."""
    zeros = torch.zeros(50, 3, 16, 16)

    noisy = Corruption(False, 0.0, 0.4)(zeros, _generator())

    assert noisy.std().item() == pytest.approx(0.4, rel=0.02)


def test_half_of_the_images_are_mirrored():
    """Whole images are mirrored left to right."""
    x = torch.arange(4.0).expand(1000, 1, 2, 4)

    mirrored = random_mirror(x, _generator())

    first = mirrored[:, 0, 0, 0]
    assert set(first.tolist()) == {0.0, 3.0}
    assert first.mean().item() == pytest.approx(1.5, abs=0.15)
    assert torch.equal(mirrored.sum(dim=3), x.sum(dim=3))
