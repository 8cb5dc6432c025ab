"""Tests of thumbnails."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from imgsim import read_image
from imgsim.images._thumbnails import (
    as_data_uri,
    make_thumbnail,
    stream_thumbnails,
    thumbnail_data_uris,
)


@pytest.fixture
def photo():
    """Return a smooth image of 300 by 200 pixels."""
    coarse = np.random.default_rng(0).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((300, 200), Image.BICUBIC))


def test_the_longer_side_has_the_requested_size(photo):
    """The aspect ratio is kept."""
    assert make_thumbnail(photo, 96).shape == (64, 96, 3)
    assert make_thumbnail(photo.swapaxes(0, 1), 96).shape == (96, 64, 3)


def test_small_images_are_not_enlarged(photo):
    """Enlarging adds no detail and takes more space."""
    np.testing.assert_array_equal(make_thumbnail(photo[:8, :9], 96), photo[:8, :9])


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_large_jpeg_gives_the_same_thumbnail(orientation, photo, tmp_path):
    """The decoder downscales the image before the orientation is applied."""
    large = Image.fromarray(photo).resize((1800, 1200), Image.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = orientation
    large.save(tmp_path / "large.jpg", quality=95, exif=exif)

    [batch] = stream_thumbnails([tmp_path / "large.jpg"], 96)

    expected = make_thumbnail(read_image(tmp_path / "large.jpg"), 96)
    assert batch.images[0].shape == expected.shape
    assert np.abs(batch.images[0].astype(int) - expected).max() <= 8


def test_an_unreadable_image_is_listed():
    """A placeholder shows the reason."""
    [batch] = stream_thumbnails(["missing.jpg"], 96)

    assert [failure.reason for failure in batch.failures] == ["no such file."]


def test_a_data_uri_contains_the_image(photo):
    """Decoding the URI gives the image."""
    head, _, content = as_data_uri(photo, quality=90).partition(",")

    assert head == "data:image/webp;base64"
    with Image.open(io.BytesIO(base64.b64decode(content, validate=True))) as image:
        shown = np.asarray(image.convert("RGB"))
    assert shown.shape == photo.shape
    assert np.abs(shown.astype(int) - photo).mean() < 4


def test_data_uris_are_in_the_order_of_the_images(photo):
    """The URI of an unreadable image is None, and its failure has the row."""
    uris, failures = thumbnail_data_uris([photo, "missing.jpg", photo[:50]], 96)

    assert uris == [
        as_data_uri(make_thumbnail(photo, 96)),
        None,
        as_data_uri(make_thumbnail(photo[:50], 96)),
    ]
    assert [(failure.row, failure.reason) for failure in failures] == [
        (1, "no such file.")
    ]
