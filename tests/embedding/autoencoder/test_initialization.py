"""Tests of what a training begins with."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from imgsim.datasets import load_digit_images  # noqa: E402  # torch may be missing
from imgsim.embedding.autoencoder._initialization import (  # noqa: E402
    Changes,
    choose_changes,
    measured_scale,
)


def _scaled(images):
    x = torch.from_numpy(np.ascontiguousarray(images)).float()
    return (x - x.mean()) / x.std()


def _waves(n_images, *, seed=0):
    """Return textures like those of nature, the coarser the stronger."""
    rng = np.random.default_rng(seed)
    spectrum = rng.normal(size=(n_images, 1, 32, 32)) + 1j * rng.normal(
        size=(n_images, 1, 32, 32)
    )
    frequency = np.hypot(*np.meshgrid(*[np.fft.fftfreq(32)] * 2))
    return np.fft.ifft2(spectrum / (frequency + 0.03) ** 1.5).real


def test_scale_is_the_mean_of_colours_and_one_deviation():
    """That of all colours together, in units of [0, 1]."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (7, 9, 9, 3)).astype(np.uint8)
    pixels[..., 1] //= 3

    mean, std = measured_scale(pixels)

    expected = pixels.reshape(-1, 3).mean(axis=0) / 255
    assert mean.flatten().tolist() == pytest.approx(expected.tolist())
    spread = (pixels / 255 - expected).std()
    assert std.item() == pytest.approx(spread, rel=1e-4)


def test_plain_images_have_a_scale():
    """Nothing is divided by zero."""
    mean, std = measured_scale(np.full((3, 4, 4, 1), 51, dtype=np.uint8))

    assert mean.flatten().tolist() == pytest.approx([0.2])
    assert std.item() == 1


def test_digits_have_a_pose_and_no_mirror_image():
    """Warped ones look unlike the collection, and so do mirrored ones."""
    images = load_digit_images(n_per_class=30).images[:, None]

    for seed in range(3):
        changes = choose_changes(_scaled(images), 16, seed)
        assert changes == Changes(mirror=False, warp=True)


def test_textures_may_be_mirrored_and_have_no_pose():
    """Any place and direction is as good as any other."""
    for seed in range(3):
        changes = choose_changes(_scaled(_waves(300)), 16, seed)
        assert changes == Changes(mirror=True, warp=False)


@pytest.mark.parametrize("n_copies", [2, 3])
def test_copies_do_not_pass_for_the_collection(n_copies):
    """An image that was seen comes back well only because it was."""
    waves = np.repeat(_waves(100), n_copies, axis=0)
    noise = np.random.default_rng(1).normal(size=waves.shape) * 0.01 * waves.std()
    shuffled = np.random.default_rng(2).permutation(waves + noise)

    changes = choose_changes(_scaled(shuffled), 128, 0)

    assert changes == Changes(mirror=True, warp=False)


@pytest.mark.parametrize("size", [8, 16])
def test_a_row_as_wide_as_the_image_still_judges(size):
    """Components enough for every pixel would bring back anything."""
    images = load_digit_images(n_per_class=30, size=size).images[:, None]

    for n_components in (16, 64, 300):
        changes = choose_changes(_scaled(images), n_components, 0)
        assert changes == Changes(mirror=False, warp=True)


def test_too_few_or_plain_images_judge_nothing():
    """Better no change than a guess."""
    nothing = Changes(mirror=False, warp=False)

    assert choose_changes(_scaled(_waves(19)), 8, 0) == nothing
    assert choose_changes(torch.ones(50, 1, 32, 32), 8, 0) == nothing


@pytest.mark.parametrize("name", [None, "mirror", "warp", "mirror+warp"])
def test_changes_are_spelled_as_the_parameter(name):
    """There and back."""
    assert Changes.of(name).name == name
