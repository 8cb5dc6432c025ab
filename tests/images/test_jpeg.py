"""Tests of the fast way of reading JPEGs: the same picture as by Pillow."""

import io
import warnings

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

from imgsim.exceptions import ImageReadError
from imgsim.images._read import read_image, read_image_fast

pytest.importorskip("torchvision")

KINDS = {
    "RGB": ("RGB", {}),
    "grey": ("L", {}),
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
def test_the_pixels_are_those_of_pillow(mode, options, picture):
    """To the bit: both decode by libjpeg-turbo."""
    content = _jpeg(picture, mode, **options)

    assert_array_equal(read_image_fast(content, 30), read_image(content))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied(orientation, picture):
    """Torchvision decodes as the pixels lie in the file."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = _jpeg(picture, exif=exif)

    assert_array_equal(read_image_fast(content, 30), read_image(content))


def test_sources_of_every_kind_are_read(picture, tmp_path):
    """As by `read_image`."""
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


def test_a_large_photograph_is_reduced_while_decoded(picture):
    """By 4 if that leaves 2.5 times the pixels wanted, and the exact shape."""
    large = np.asarray(Image.fromarray(picture).resize((800, 600)))

    assert read_image_fast(_jpeg(large), 60).shape == (150, 200, 3)
    assert read_image_fast(_jpeg(large), 61).shape == (600, 800, 3)
    assert read_image_fast(_jpeg(large), 30).shape == (75, 100, 3)
    assert read_image_fast(_jpeg(large[:599]), 10).shape == (599, 800, 3)


def test_a_reduced_photograph_is_turned_too(picture):
    """By the same tag."""
    exif = Image.Exif()
    exif[0x0112] = 6
    large = np.asarray(Image.fromarray(picture).resize((800, 600)))

    assert read_image_fast(_jpeg(large, exif=exif), 60).shape == (200, 150, 3)


def test_warnings_as_errors_refuse_no_jpeg(picture):
    """Torchvision announces that its decoder will move."""
    content = _jpeg(picture)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image = read_image_fast(content, 30)

    assert_array_equal(image, read_image(content))


def test_pillow_reads_where_torchvision_has_no_decoder(picture, monkeypatch):
    """It may be gone one day."""
    import torchvision

    monkeypatch.delattr(torchvision.io, "decode_jpeg")
    content = _jpeg(picture)

    assert_array_equal(read_image_fast(content, 30), read_image(content))


def _outcome(read, content):
    try:
        return read(content)
    except ImageReadError as error:
        return str(error)


def test_damaged_files_get_the_verdict_of_pillow(picture, capfd):
    """Read or refused alike, in the same words, and with the same pixels."""
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
    capfd.readouterr()  # libjpeg tells of each on standard error

    n_refused = sum(isinstance(by_pillow, str) for by_pillow, _ in outcomes)
    assert 30 < n_refused < 170
    for by_pillow, fast in outcomes:
        assert type(by_pillow) is type(fast)
        assert np.array_equal(by_pillow, fast)
