"""Tests of the transform of an image to the input of a network."""

import numpy as np
import pytest
from PIL import Image

from imgsim.embedding.pretrained._resize_and_crop import make_transform

pytest.importorskip("torch")
timm = pytest.importorskip("timm")


def _config(**changes):
    return {
        "input_size": (3, 32, 32),
        "interpolation": "bicubic",
        "mean": (0.5, 0.5, 0.5),
        "std": (0.5, 0.5, 0.5),
        "crop_pct": 0.875,
        "crop_mode": "center",
    } | changes


@pytest.mark.parametrize("crop_mode", ["center", "squash", "border"])
def test_the_transform_is_the_one_of_timm(crop_mode, pictures):
    """Except for the normalization, which is computed on the device."""
    config = _config(crop_mode=crop_mode)
    expected = timm.data.create_transform(**config, is_training=False)
    transform = make_transform(config, "pillow")

    for picture in pictures:
        ours = transform(picture)
        theirs = expected(Image.fromarray(picture)).numpy()
        assert ours.dtype == np.uint8
        normalized = (np.moveaxis(ours, -1, 0) / 255 - 0.5) / 0.5
        np.testing.assert_allclose(normalized, theirs, atol=1e-6)


@pytest.mark.parametrize("shape", [(4000, 1, 3), (1, 100_000, 3), (1, 1, 3)])
@pytest.mark.parametrize("decoder", ["auto", "pillow"])
def test_extreme_shapes_take_little_memory(shape, decoder):
    """If a strip was enlarged before it is cropped, it would take gigabytes."""
    rgb = np.full(shape, 77, dtype=np.uint8)

    pixels = make_transform(_config(), decoder)(rgb)

    np.testing.assert_array_equal(pixels, np.full((32, 32, 3), 77))


@pytest.mark.parametrize("decoder", ["auto", "pillow"])
def test_a_strip_is_not_cropped_before_it_is_squashed(decoder):
    """Only a center crop removes the ends of the strip anyway."""
    config = _config(crop_mode="squash", crop_pct=1.0)
    strip = np.zeros((100, 2, 3), dtype=np.uint8)
    strip[:25] = 255

    pixels = make_transform(config, decoder)(strip)

    assert pixels[:6].min() > 200


@pytest.mark.parametrize("crop_mode", ["center", "squash", "border"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear", "lanczos", "nearest"])
@pytest.mark.parametrize(
    "shape", [(300, 401), (970, 430), (317, 2000), (20, 31), (1, 5)]
)
def test_both_decoders_give_the_same_pixels(crop_mode, interpolation, shape):
    """Up to rounding in each of the two passes of a resize."""
    noise = np.random.default_rng(0).integers(0, 256, (9, 11, 3)).astype(np.uint8)
    height, width = shape
    smooth = np.asarray(Image.fromarray(noise).resize((width, height)))
    config = _config(crop_mode=crop_mode, interpolation=interpolation)

    fast = make_transform(config, "auto")(smooth)
    slow = make_transform(config, "pillow")(smooth)

    assert fast.shape == slow.shape == (32, 32, 3)
    assert np.abs(fast.astype(int) - slow).max() <= 2


def test_a_read_only_image_is_transformed():
    """Without a warning by torch."""
    gray = np.full((500, 600, 3), 9, dtype=np.uint8)
    gray.flags.writeable = False

    pixels = make_transform(_config(), "auto")(gray)

    np.testing.assert_array_equal(pixels, np.full((32, 32, 3), 9))
