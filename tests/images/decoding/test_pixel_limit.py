"""Tests of the limit on the number of pixels."""

import io
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from math import inf, nan

import numpy as np
import pytest
from embedders import make_autoencoder, make_untrained
from joblib import Parallel, delayed
from PIL import Image
from sklearn import clone

from imgsim import ColorHistogramEmbedder, ImageReadError, read_image
from imgsim.embedding import EmbeddingCache
from imgsim.images import ImageStream
from imgsim.images._read import read_image_fast, read_image_small
from imgsim.images.decoding._pixel_limit import PixelLimit, limit_nested

MEGAPIXEL = 1_000_000


def _encoded(image, file_format, **options):
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def _png(width, height):
    return _encoded(Image.new("RGB", (width, height), "red"), "PNG")


SOURCES = {
    "path": lambda content, folder: _written(content, folder),
    "bytes": lambda content, folder: content,
    "file object": lambda content, folder: io.BytesIO(content),
    "lazy PIL": lambda content, folder: Image.open(io.BytesIO(content)),
    "loaded PIL": lambda content, folder: Image.open(io.BytesIO(content)).copy(),
}


def _written(content, folder):
    (folder / "a.png").write_bytes(content)
    return folder / "a.png"


@pytest.mark.parametrize("make_source", SOURCES.values(), ids=SOURCES)
@pytest.mark.parametrize(
    "read",
    [
        read_image,
        lambda source, max_pixels: read_image_fast(source, 8, max_pixels=max_pixels),
        lambda source, max_pixels: read_image_small(source, 8, max_pixels=max_pixels),
    ],
    ids=["read_image", "fast", "small"],
)
def test_more_pixels_than_max_pixels_is_an_error(read, make_source, tmp_path):
    """A limit that one path ignores is not a limit."""
    source = make_source(_png(60, 40), tmp_path)

    with pytest.raises(
        ImageReadError,
        match=r"the image has 2,400 pixels, more than max_pixels=2,399\.",
    ) as caught:
        read(source, max_pixels=2399)
    assert isinstance(caught.value.__cause__, Image.DecompressionBombError)
    assert read(source, max_pixels=2400).shape == (40, 60, 3)


def test_arrays_are_not_limited():
    """The pixels of an array are in memory already."""
    assert read_image(np.zeros((9, 9), dtype=np.uint8), max_pixels=1).shape == (9, 9, 3)


def test_the_default_is_the_limit_above_which_pillow_raises_an_error(monkeypatch):
    """Pillow only warns about cameras of 102 and 108 megapixels."""
    content = _png(60, 40)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1200)
    assert read_image(content).shape == (40, 60, 3)

    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1199)
    with pytest.raises(ImageReadError, match="more than max_pixels=2,398"):
        read_image(content)

    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert read_image(content).shape == (40, 60, 3)


@pytest.mark.parametrize("size", [(12032, 9024), (20000, 5000)], ids=str)
def test_large_photographs_are_read_by_default(size):
    """They are the output of cameras and of software for panoramas."""
    content = _encoded(Image.new("L", size, 99), "JPEG")

    small = read_image_small(content, 64)

    assert small.max() == 99
    assert small.shape[1] / small.shape[0] == pytest.approx(size[0] / size[1], rel=0.01)


@pytest.mark.parametrize("max_pixels", [2400, 2400.5, np.int64(2400), 1e12, inf])
def test_an_explicit_limit_replaces_the_one_of_pillow(max_pixels, monkeypatch):
    """Pillow raises an error by itself when it opens a file."""
    content = _png(60, 40)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    check = Image._decompression_bomb_check

    assert read_image(content, max_pixels=max_pixels).shape == (40, 60, 3)

    assert Image.MAX_IMAGE_PIXELS == 10
    assert Image._decompression_bomb_check is check


def test_other_threads_keep_the_limit_of_pillow(monkeypatch):
    """The application, and other libraries, rely on it at the same time."""
    content = _png(60, 40)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)

    with ThreadPoolExecutor(1) as application:
        with limit_nested(PixelLimit.from_max_pixels(inf), b""):
            Image.open(io.BytesIO(content))
            with pytest.raises(Image.DecompressionBombError):
                application.submit(Image.open, io.BytesIO(content)).result()
        with pytest.raises(Image.DecompressionBombError):
            Image.open(io.BytesIO(content))


def test_threads_have_their_own_limits():
    """Two embedders may be used at the same time."""
    contents = [_png(60, 40)] * 40
    limits = [inf, 10] * 20

    def outcome(content, max_pixels):
        try:
            return len(read_image(content, max_pixels=max_pixels))
        except ImageReadError:
            return None

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(outcome, contents, limits)) == [40, None] * 20


@pytest.mark.parametrize(
    ("max_pixels", "error"),
    [(True, TypeError), ("9", TypeError), (nan, ValueError), (0, ValueError)],
)
def test_an_invalid_limit_is_refused(max_pixels, error, make_embedder):
    """It must not look like an image that cannot be read."""
    image = np.zeros((8, 8, 3), dtype=np.uint8)

    with pytest.raises(error, match=f"max_pixels={max_pixels!r} must be"):
        read_image(image, max_pixels=max_pixels)
    with pytest.raises(error, match=f"max_pixels={max_pixels!r} must be"):
        ImageStream([image], max_pixels=max_pixels)
    with pytest.raises(ValueError, match="The 'max_pixels' parameter"):
        make_embedder(max_pixels=max_pixels).transform([image])


def test_embedders_pass_the_limit_on(make_embedder, monkeypatch):
    """The limit of the embedder applies, whatever Pillow's limit is."""
    content = _png(60, 40)
    with pytest.raises(ImageReadError, match="more than max_pixels=2,399"):
        make_embedder(max_pixels=2399).transform([content])

    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert clone(make_embedder(max_pixels=inf)).max_pixels == inf
    assert np.isfinite(make_embedder(max_pixels=inf).transform([content])).all()


@pytest.mark.parametrize("decoder", ["auto", "pillow"])
@pytest.mark.parametrize("size", [(60, 40), (600, 400)])
def test_the_crop_is_not_compared_with_the_limit_of_pillow(decoder, size, monkeypatch):
    """Small and large images are resized in different ways."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    embedder = make_untrained(max_pixels=inf, decoder=decoder)

    assert np.isfinite(embedder.fit_transform([_png(*size)])).all()


def test_the_limit_applies_to_training_and_reconstruction(monkeypatch):
    """Training reads its images through a stream of its own."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    contents = [_png(60, 40), _png(50, 40), _png(40, 40)]

    embedder = make_autoencoder(max_pixels=2400, early_stopping=False).fit(contents)
    assert len(embedder.reconstruct(contents)) == 3
    embedder.set_params(max_pixels=2399)
    for method in (clone(embedder).fit, embedder.reconstruct):
        with pytest.raises(ImageReadError, match="more than max_pixels=2,399"):
            method(contents)


def test_the_limit_does_not_change_embeddings(tmp_path, make_embedder):
    """Rows that were cached with another limit are used, and can be compared."""
    cache = EmbeddingCache(tmp_path / "cache.sqlite")
    limited = make_embedder(max_pixels=3000, cache=cache)
    unlimited = make_embedder(max_pixels=inf, cache=cache)

    rows = limited.transform([_png(60, 40)])

    np.testing.assert_array_equal(unlimited.transform([_png(60, 40)]), rows)
    assert len(cache) == 1
    assert limited.fingerprint() == unlimited.fingerprint()


def test_the_limit_reaches_worker_processes():
    """A variable of Pillow is not copied to a process of joblib."""
    content = _png(60, 40)
    embedder = ColorHistogramEmbedder(on_error="nan", n_jobs=1)
    embedders = [clone(embedder).set_params(max_pixels=n) for n in (2399, 2400)]

    rows = Parallel(n_jobs=2)(
        delayed(_transform)(embedder, content) for embedder in embedders
    )

    assert [np.isfinite(row).all() for row in rows] == [False, True]


def _transform(embedder, content):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return embedder.transform([content])


def _png_without_pixels(width, height):
    """Return a PNG file that ends where the pixels should begin."""

    def chunk(name, data):
        crc = zlib.crc32(name + data)
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", crc)

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"")


def _bitmap_without_pixels(width, height, compression=0):
    # The height of a bitmap in an icon includes a mask.
    header = (40, width, 2 * height, 1, 8, compression, 0, 0, 0, 256, 0)
    return struct.pack("<IiiHHIIiiII", *header) + bytes(1024)


def _jpeg2000_without_pixels(width, height):
    file = bytearray(_encoded(Image.new("RGB", (8, 8)), "JPEG2000"))
    start = file.index(b"ihdr") + 4
    file[start : start + 8] = struct.pack(">II", height, width)
    return bytes(file[: file.index(b"jp2c")])


def _ico(content):
    entry = struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, len(content), 22)
    return struct.pack("<HHH", 0, 1, 1) + entry + content


def _icns(content):
    block = b"ic08" + struct.pack(">I", 8 + len(content)) + content
    return b"icns" + struct.pack(">I", 8 + len(block)) + block


ICONS = {
    "PNG in ICO": (_ico, _png_without_pixels),
    "bitmap in ICO": (_ico, _bitmap_without_pixels),
    "PNG in ICNS": (_icns, _png_without_pixels),
    "JPEG 2000 in ICNS": (_icns, _jpeg2000_without_pixels),
}


@pytest.mark.parametrize(("wrap", "make"), ICONS.values(), ids=ICONS)
def test_images_in_icons_are_checked_before_they_are_decoded(wrap, make):
    """An icon states a few pixels, and may contain 169 million.

    The files contain no pixels, so that decoding them would raise another error.
    """
    with pytest.raises(ImageReadError, match=r"pixels, more than 8,000,000\."):
        read_image(wrap(make(13000, 13000)), max_pixels=inf)
    with pytest.raises(ImageReadError, match="pixels, more than max_pixels=5,000"):
        read_image(wrap(make(80, 80)), max_pixels=5000)


@pytest.mark.parametrize("file_format", ["ICO", "ICNS"])
def test_icons_are_read(file_format):
    """Their images are within the limit."""
    icon = Image.new("RGBA", (256, 256), "red")
    content = _encoded(icon, file_format, sizes=[(256, 256)])

    assert read_image(content)[0, 0].tolist() == [255, 0, 0]


def test_a_lazy_icon_is_checked_before_it_is_decoded():
    """Pillow decodes the image in an ICNS file when its pixels are accessed."""
    icon = Image.open(io.BytesIO(_icns(_png_without_pixels(13000, 13000))))

    with pytest.raises(ImageReadError, match="169,000,000 pixels"):
        read_image(icon)


def _run_length_bitmap(width, height):
    rows = b"\1\0\0\0" * height  # one pixel, and the end of the line
    header = (40, width, height, 1, 8, 1, len(rows), 0, 0, 256, 0)
    start = struct.pack("<IHHI", 1078 + len(rows), 0, 0, 1078)
    return b"BM" + start + struct.pack("<IiiHHIIiiII", *header) + bytes(1024) + rows


SLOW = {
    "BMP": _run_length_bitmap(4000, 2100),
    "QOI": b"qoif" + struct.pack(">II", 4000, 2100) + b"\3\0" + b"\xfd" * 140_000,
    "PPM as text": b"P3 4000 2100 255\n",
    "PPM with another maximum": b"P5 4000 2100 254\n",
}


@pytest.mark.parametrize("content", SLOW.values(), ids=SLOW)
def test_formats_that_pillow_decodes_in_python_have_fewer_pixels(content):
    """A bitmap of 2 kB took 4 seconds."""
    with pytest.raises(ImageReadError, match=r"has 8,400,000 pixels, more than 8,000"):
        read_image(content, max_pixels=inf)


SMALL = {
    "BMP": _run_length_bitmap(40, 21),
    "QOI": b"qoif" + struct.pack(">II", 40, 21) + b"\3\0" + b"\xfd" * 14,
    "PPM as text": b"P3 40 21 255\n" + b"0 " * 2520,
    "PPM with another maximum": b"P5 40 21 254\n" + bytes(840),
}


@pytest.mark.parametrize("content", SMALL.values(), ids=SMALL)
def test_small_files_of_slow_formats_are_read(content):
    """The limit is above the size of most such files."""
    rgb = read_image(content)

    assert rgb.shape == (21, 40, 3)
    assert not rgb.any()


def test_comments_do_not_take_quadratic_time():
    """A text of 800 kB took 8 seconds."""
    with pytest.raises(ImageReadError, match="more than 1,000 comments"):
        read_image(b"P3 100 100 255\n" + b"#\n" * 400_000)

    text = b"P2 # a comment\n2 1 255 0 255\n"
    assert read_image(text)[0, :, 0].tolist() == [0, 255]


def _tiff(**tags):
    defaults = {256: 16, 257: 16, 258: 8, 259: 1, 262: 1, 277: 1}
    entries = {**defaults, **{int(name[1:]): value for name, value in tags.items()}}
    body = struct.pack("<H", len(entries))
    for tag, value in sorted(entries.items()):
        n_values, number = value if isinstance(value, tuple) else (1, value)
        body += struct.pack("<HHII", tag, 4, n_values, number)
    return b"II*\0" + struct.pack("<I", 8) + body + bytes(4)


def test_a_tiff_of_few_pixels_in_huge_tiles_is_refused():
    """A tile is decoded whole, even if the image is a corner of it."""
    content = _tiff(_322=20_000, _323=20_000, _324=200, _325=9)

    with pytest.raises(ImageReadError, match="tiles of 20000 x 20000 pixels"):
        read_image(content)


def test_a_tiff_of_very_many_strips_is_refused():
    """Pillow took 30 seconds for a million strips of one row each."""
    n = 100_001
    content = _tiff(_257=n, _273=(n, 122), _278=1, _279=(n, 122))

    with pytest.raises(ImageReadError, match="stored in 100,001 parts"):
        read_image(content + bytes(4 * n))
