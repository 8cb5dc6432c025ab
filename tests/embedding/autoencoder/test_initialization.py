"""Tests of the pixel scale and of the choice of augmentation."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from imgsim.datasets import load_digit_images  # noqa: E402  # torch may be missing
from imgsim.embedding.autoencoder._augmentation import Augmentation  # noqa: E402
from imgsim.embedding.autoencoder._initialization import (  # noqa: E402
    choose_augmentation,
    measure_pixel_scale,
)


def _standardize(images):
    x = torch.from_numpy(np.ascontiguousarray(images)).float()
    return (x - x.mean()) / x.std()


def _textures(n_images):
    """Return random textures with the spectrum of natural images."""
    rng = np.random.default_rng(0)
    spectrum = rng.normal(size=(n_images, 1, 32, 32)) + 1j * rng.normal(
        size=(n_images, 1, 32, 32)
    )
    frequency = np.hypot(*np.meshgrid(*[np.fft.fftfreq(32)] * 2))
    return np.fft.ifft2(spectrum / (frequency + 0.03) ** 1.5).real


def test_the_pixel_scale_has_a_mean_per_color_and_one_deviation():
    """Both are in units of [0, 1]; the deviation is that of all colors together."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (7, 9, 9, 3)).astype(np.uint8)
    pixels[..., 1] //= 3

    mean, std = measure_pixel_scale(pixels)

    expected = pixels.reshape(-1, 3).mean(axis=0) / 255
    assert mean.flatten().tolist() == pytest.approx(expected.tolist())
    assert std.item() == pytest.approx((pixels / 255 - expected).std(), rel=1e-4)


def test_the_pixel_scale_of_constant_images_is_one():
    """A standard deviation of 0 must not be a divisor."""
    mean, std = measure_pixel_scale(np.full((3, 4, 4, 1), 51, dtype=np.uint8))

    assert mean.flatten().tolist() == pytest.approx([0.2])
    assert std.item() == 1


def test_digits_are_warped_and_not_mirrored():
    """They have a common pose, and a mirrored digit is not a digit."""
    images = load_digit_images(n_per_class=30).images[:, None]

    for seed in range(3):
        augmentation = choose_augmentation(_standardize(images), 16, seed)
        assert augmentation == Augmentation(mirror=False, warp=True)


def test_textures_are_mirrored_and_not_warped():
    """No position or direction is special in them."""
    x = _standardize(_textures(300))

    for seed in range(3):
        augmentation = choose_augmentation(x, 16, seed)
        assert augmentation == Augmentation(mirror=True, warp=False)


@pytest.mark.parametrize("n_copies", [2, 3])
def test_near_copies_do_not_change_the_choice(n_copies):
    """The error of an image is small if a copy of it was used for the PCA."""
    textures = np.repeat(_textures(100), n_copies, axis=0)
    noise = np.random.default_rng(1).normal(size=textures.shape)
    shuffled = np.random.default_rng(2).permutation(
        textures + 0.01 * textures.std() * noise
    )

    augmentation = choose_augmentation(_standardize(shuffled), 128, 0)

    assert augmentation == Augmentation(mirror=True, warp=False)


@pytest.mark.parametrize("size", [8, 16])
def test_many_components_do_not_change_the_choice(size):
    """With a component for every pixel, the reconstruction error would be 0."""
    images = load_digit_images(n_per_class=30, size=size).images[:, None]

    for n_components in (16, 64, 300):
        augmentation = choose_augmentation(_standardize(images), n_components, 0)
        assert augmentation == Augmentation(mirror=False, warp=True)


def test_few_or_constant_images_are_not_augmented():
    """The comparison of errors would be a guess."""
    nothing = Augmentation(mirror=False, warp=False)

    assert choose_augmentation(_standardize(_textures(19)), 8, 0) == nothing
    assert choose_augmentation(torch.ones(50, 1, 32, 32), 8, 0) == nothing
