"""Tests of fast decoding of JPEG files."""

import io
import warnings

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

from imgsim.exceptions import ImageReadError
from imgsim.images._read import read_image, read_image_fast
from imgsim.images.decoding import _jpeg as jpeg_module

pytest.importorskip("torchvision")


@pytest.fixture(autouse=True)
def _torchvision_decodes_small_files(monkeypatch):
    """Decode small files as if they were large, which makes the tests fast."""
    monkeypatch.setattr(jpeg_module, "_MANY_PIXELS", 1)


KINDS = {
    "RGB": ("RGB", {}),
    "gray": ("L", {}),
    "CMYK": ("CMYK", {}),
    "progressive": ("RGB", {"progressive": True}),
    "4:4:4": ("RGB", {"subsampling": 0}),
    "restarts": ("RGB", {"restart_marker_blocks": 3}),
}


def _jpeg(picture, mode="RGB", **options):
    file = io.BytesIO()
    Image.fromarray(picture).convert(mode).save(file, "JPEG", **options)
    return file.getvalue()


@pytest.mark.parametrize(("mode", "options"), KINDS.values(), ids=KINDS)
def test_pixels_are_the_same_as_with_pillow(mode, options, picture):
    """Both libraries use libjpeg-turbo, so the pixels are exactly equal."""
    content = _jpeg(picture, mode, **options)

    assert_array_equal(read_image_fast(content, 30), read_image(content))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied(orientation, picture):
    """The decoder of torchvision ignores the orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = _jpeg(picture, exif=exif)

    assert_array_equal(read_image_fast(content, 30), read_image(content))


def test_all_types_of_sources_are_read(picture, tmp_path):
    """The sources are the same as for `read_image`."""
    content = _jpeg(picture)
    (tmp_path / "a.jpg").write_bytes(content)
    expected = read_image(content)
    sources = [
        tmp_path / "a.jpg",
        io.BytesIO(content),
        expected,
        Image.open(tmp_path / "a.jpg"),
    ]

    for source in sources:
        assert_array_equal(read_image_fast(source, 30), expected)


def test_a_large_image_is_downscaled_by_the_decoder(picture):
    """The result has at least 2.5 times the requested size, and the exact shape."""
    large = np.asarray(Image.fromarray(picture).resize((800, 600)))

    assert read_image_fast(_jpeg(large), 60).shape == (150, 200, 3)
    assert read_image_fast(_jpeg(large), 61).shape == (600, 800, 3)
    assert read_image_fast(_jpeg(large), 30).shape == (75, 100, 3)
    assert read_image_fast(_jpeg(large[:599]), 10).shape == (599, 800, 3)


def test_the_orientation_of_a_downscaled_image_is_applied(picture):
    """Downscaling in the decoder keeps the EXIF data."""
    exif = Image.Exif()
    exif[0x0112] = 6
    large = np.asarray(Image.fromarray(picture).resize((800, 600)))

    assert read_image_fast(_jpeg(large, exif=exif), 60).shape == (200, 150, 3)


def test_images_are_read_if_warnings_are_errors(picture):
    """Torchvision warns that its decoders will move to another package."""
    content = _jpeg(picture)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image = read_image_fast(content, 30)

    assert_array_equal(image, read_image(content))


def test_pillow_is_used_if_torchvision_has_no_decoder(picture, monkeypatch):
    """A future version of torchvision may not have it."""
    import torchvision

    monkeypatch.delattr(torchvision.io, "decode_jpeg")
    content = _jpeg(picture)

    assert_array_equal(read_image_fast(content, 30), read_image(content))


def test_remarks_on_damaged_small_files_are_not_printed(picture, monkeypatch, capfd):
    """Pillow is as fast for them, and does not write to the standard error stream."""
    monkeypatch.undo()
    content = bytearray(_jpeg(picture))
    content[-40:-30] = bytes(10)
    assert _decoded_with_remarks(bytes(content), capfd)

    read_image_fast(bytes(content), 30)

    assert capfd.readouterr().err == ""


def _decoded_with_remarks(content, capfd):
    jpeg_module._decode_by_torchvision(io.BytesIO(content))
    return "Corrupt JPEG data" in capfd.readouterr().err


def _outcome(read, content):
    try:
        return read(content)
    except ImageReadError as error:
        return str(error)


def test_damaged_files_are_handled_as_with_pillow(picture, capfd):
    """Pixels and error messages do not depend on the decoder."""
    rng = np.random.default_rng(0)
    whole = _jpeg(np.asarray(Image.fromarray(picture).resize((90, 70))))
    damaged = [whole[:n] for n in rng.integers(2, len(whole), 60)]
    for _ in range(120):
        content = bytearray(whole)
        for place in rng.integers(2, len(whole), 3):
            content[place] = rng.integers(256)
        damaged.append(bytes(content))

    outcomes = [
        (_outcome(read_image, c), _outcome(lambda x: read_image_fast(x, 30), c))
        for c in damaged
    ]
    capfd.readouterr()  # discard the messages of libjpeg

    n_refused = sum(isinstance(by_pillow, str) for by_pillow, _ in outcomes)
    assert 30 < n_refused < 170
    for by_pillow, fast in outcomes:
        assert type(by_pillow) is type(fast)
        assert np.array_equal(by_pillow, fast)
