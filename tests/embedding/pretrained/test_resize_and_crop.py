"""Tests of what happens to an image before the network."""

import numpy as np
import pytest
from PIL import Image

from imgsim.embedding.pretrained._resize_and_crop import make_preparation

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
def test_preparation_is_the_transform_of_timm(crop_mode, pictures):
    """Up to the normalisation, which the device does."""
    config = _config(crop_mode=crop_mode)
    transform = timm.data.create_transform(**config, is_training=False)
    prepare = make_preparation(config, "pillow")

    for picture in pictures:
        ours = prepare(picture)
        theirs = transform(Image.fromarray(picture)).numpy()
        assert ours.dtype == np.uint8
        as_trained = (np.moveaxis(ours, -1, 0) / 255 - 0.5) / 0.5
        np.testing.assert_allclose(as_trained, theirs, atol=1e-6)


@pytest.mark.parametrize("shape", [(4000, 1, 3), (1, 100_000, 3), (1, 1, 3)])
@pytest.mark.parametrize("decoder", ["auto", "pillow"])
def test_extreme_shapes_take_little_memory(shape, decoder):
    """A strip enlarged before it is cropped would take gigabytes."""
    rgb = np.full(shape, 77, dtype=np.uint8)

    pixels = make_preparation(_config(), decoder)(rgb)

    np.testing.assert_array_equal(pixels, np.full((32, 32, 3), 77))


@pytest.mark.parametrize("decoder", ["auto", "pillow"])
def test_a_squashed_strip_is_squashed_whole(decoder):
    """Only the centre crop drops the ends anyway."""
    config = _config(crop_mode="squash", crop_pct=1.0)
    strip = np.zeros((100, 2, 3), dtype=np.uint8)
    strip[:25] = 255

    pixels = make_preparation(config, decoder)(strip)

    assert pixels[:6].min() > 200


@pytest.mark.parametrize("crop_mode", ["center", "squash", "border"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear", "lanczos", "nearest"])
@pytest.mark.parametrize("shape", [(300, 401), (97, 43), (20, 31), (1, 5)])
def test_both_decoders_prepare_the_same_picture(crop_mode, interpolation, shape):
    """Up to the rounding of each of the two passes of a resize."""
    noise = np.random.default_rng(0).integers(0, 256, (9, 11, 3)).astype(np.uint8)
    height, width = shape
    smooth = np.asarray(Image.fromarray(noise).resize((width, height)))
    config = _config(crop_mode=crop_mode, interpolation=interpolation)

    fast = make_preparation(config, "auto")(smooth)
    slow = make_preparation(config, "pillow")(smooth)

    assert fast.shape == slow.shape == (32, 32, 3)
    assert np.abs(fast.astype(int) - slow).max() <= 2


def test_a_picture_that_may_not_be_written_is_prepared():
    """Without a remark of torch."""
    grey = np.full((50, 60, 3), 9, dtype=np.uint8)
    grey.flags.writeable = False

    pixels = make_preparation(_config(), "auto")(grey)

    np.testing.assert_array_equal(pixels, np.full((32, 32, 3), 9))
