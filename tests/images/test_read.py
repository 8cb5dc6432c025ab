"""Tests of reading one image from any source."""

import csv
import io
import os
import pickle
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgsim import ImageReadError, read_image


def _saved(picture, path, **options):
    Image.fromarray(picture).save(path, **options)
    return path


def _png(picture):
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


SOURCES = {
    "str": lambda picture, folder: str(_saved(picture, folder / "a.png")),
    "path": lambda picture, folder: _saved(picture, folder / "a.png"),
    "bytes": lambda picture, folder: _png(picture),
    "bytearray": lambda picture, folder: bytearray(_png(picture)),
    "memoryview": lambda picture, folder: memoryview(_png(picture)),
    "file object": lambda picture, folder: io.BytesIO(_png(picture)),
    "PIL": lambda picture, folder: Image.fromarray(picture),
    "lazy PIL": lambda picture, folder: Image.open(io.BytesIO(_png(picture))),
    "uint8": lambda picture, folder: picture,
    "uint16": lambda picture, folder: picture.astype(np.uint16) * 257,
    "float64": lambda picture, folder: picture / 255,
    "float32": lambda picture, folder: (picture / 255).astype(np.float32),
    "read-only": lambda picture, folder: _read_only(picture),
    "Fortran order": lambda picture, folder: np.asfortranarray(picture),
}


def _read_only(picture):
    picture = picture.copy()
    picture.flags.writeable = False
    return picture


@pytest.mark.parametrize("make_source", SOURCES.values(), ids=SOURCES)
def test_every_kind_of_source_gives_the_same_pixels(make_source, picture, tmp_path):
    """The contract of every embedder begins here."""
    rgb = read_image(make_source(picture, tmp_path))

    assert rgb.dtype == np.uint8
    assert rgb.flags.c_contiguous
    np.testing.assert_array_equal(rgb, picture)


@pytest.mark.parametrize("kind", ["uint8", "float32", "float16", "bfloat16"])
def test_reads_tensors(kind, picture):
    """Channels come first in torch."""
    torch = pytest.importorskip("torch")
    tensor = torch.from_numpy(picture).permute(2, 0, 1)
    if kind != "uint8":
        tensor = (tensor / 255).to(getattr(torch, kind))

    rgb = read_image(tensor)

    atol = {"bfloat16": 1}.get(kind, 0)
    np.testing.assert_allclose(rgb.astype(int), picture.astype(int), atol=atol)


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1)])
def test_grey_arrays_become_three_equal_channels(shape):
    """Grey is a colour too."""
    grey = np.arange(35, dtype=np.uint8).reshape(shape)

    rgb = read_image(grey)

    np.testing.assert_array_equal(rgb, np.repeat(grey.reshape(5, 7, 1), 3, axis=2))


def test_booleans_are_black_and_white():
    """A mask is an image of two values."""
    assert read_image(np.array([[False, True]]))[0, :, 0].tolist() == [0, 255]


def test_a_file_object_is_read_whole_and_left_where_it_was(picture):
    """Cross-validation reads the same object again."""
    file = io.BytesIO(_png(picture))
    file.seek(7)

    for _ in range(2):
        np.testing.assert_array_equal(read_image(file), picture)
    assert file.tell() == 7


def test_one_file_object_serves_many_threads(picture):
    """The same object may stand in X more than once."""
    file = io.BytesIO(_png(picture))
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(read_image(file)))
        for _ in range(8)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(results) == 8
    assert all((rgb == picture).all() for rgb in results)


# Mode, pixel values as Pillow holds them, and the colour they mean, by hand.
MODES = [
    ("1", 255, (255, 255, 255)),
    ("L", 100, (100, 100, 100)),
    ("LA", (100, 255), (100, 100, 100)),
    ("LA", (100, 0), (255, 255, 255)),
    ("RGBA", (10, 20, 30, 255), (10, 20, 30)),
    ("RGBA", (10, 20, 30, 0), (255, 255, 255)),
    ("RGBA", (0, 0, 0, 51), (204, 204, 204)),
    ("CMYK", (0, 255, 255, 0), (255, 0, 0)),
    ("YCbCr", (128, 128, 128), (128, 128, 128)),
    ("HSV", (0, 255, 255), (255, 0, 0)),
    ("I;16", 65535, (255, 255, 255)),
    ("I;16", 25700, (100, 100, 100)),
    ("I", 100, (100, 100, 100)),
    ("F", 0.0, (0, 0, 0)),
    ("F", 1.0, (255, 255, 255)),
    ("F", 100.0, (100, 100, 100)),
]


@pytest.mark.parametrize(("mode", "value", "expected"), MODES)
def test_modes_are_converted_by_value(mode, value, expected):
    """Nothing is clipped, and alpha lies on white."""
    rgb = read_image(Image.new(mode, (3, 2), value))

    assert rgb.shape == (2, 3, 3)
    np.testing.assert_allclose(rgb[0, 0], expected, atol=1)


def test_lab_grey_stays_grey():
    """Pillow alone refuses LAB; it holds a and b with 128 for grey."""
    rgb = read_image(Image.new("LAB", (2, 2), (137, 128, 128))).astype(int)

    # L* = 100 * 137 / 255 = 53.7 is sRGB 129 (CIE 1976, D50).
    np.testing.assert_allclose(rgb[0, 0], 129, atol=3)


def test_palettes_with_transparency_lie_on_white():
    """Both spellings: one transparent index, and an alpha for each index."""
    palette = Image.new("P", (2, 1))
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.putpixel((1, 0), 1)
    expected = [[[255, 0, 0], [255, 255, 255]]]
    for transparency in (1, b"\xff\x00"):
        file = io.BytesIO()
        palette.save(file, "PNG", transparency=transparency)

        np.testing.assert_array_equal(read_image(file), expected)


def test_unusual_ranges_are_stretched():
    """A depth map or a phase has no white; its own range is shown."""
    values = np.array([[-3.0, 0.0, 3.0]], dtype=np.float32)

    rgb = read_image(Image.fromarray(values))

    assert rgb[0, :, 0].tolist() == [0, 128, 255]


def test_twelve_bits_reach_white():
    """A camera's 4095 is as white as 65535 in 16 bits; a TIFF says how many."""
    image = Image.fromarray(np.full((4, 4), 4095, dtype=np.uint16))
    image.tag_v2 = {258: (12,)}  # as Pillow reads such a file, but cannot write it

    assert read_image(image).min() == 255


ORIENTED = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: upright[::-1, ::-1].swapaxes(0, 1),
    8: lambda upright: np.rot90(upright, -1),
}


@pytest.mark.parametrize("extension", ["png", "tif", "webp"])
@pytest.mark.parametrize("orientation", ORIENTED)
def test_orientation_is_undone(orientation, extension, picture, tmp_path):
    """Each of the eight, by the definition of EXIF: how the camera was held."""
    stored = np.ascontiguousarray(ORIENTED[orientation](picture))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if extension == "webp" else {}
    path = _saved(stored, tmp_path / f"a.{extension}", exif=exif, **options)

    np.testing.assert_array_equal(read_image(path), picture)


@pytest.mark.parametrize("orientation", [0, 9, 255])
def test_invalid_orientation_means_upright(orientation, picture, tmp_path):
    """Broken metadata does not spoil a picture."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = _saved(picture, tmp_path / "a.png", exif=exif)

    np.testing.assert_array_equal(read_image(path), picture)


def test_the_given_pil_image_is_not_changed(picture):
    """It belongs to the caller."""
    image = Image.fromarray(picture)
    image.getexif()[0x0112] = 3

    read_image(image)

    assert image.getexif()[0x0112] == 3
    np.testing.assert_array_equal(np.asarray(image), picture)


def test_the_first_frame_of_an_animation_is_read(picture, tmp_path):
    """An animation is one image of a collection."""
    frames = [Image.fromarray(picture), Image.fromarray(255 - picture)]
    path = tmp_path / "a.webp"
    frames[0].save(path, save_all=True, append_images=frames[1:], lossless=True)

    np.testing.assert_array_equal(read_image(path), picture)


class _Pathless:
    def __fspath__(self):
        return 3


BAD_ARRAYS = [
    (np.zeros((3, 3), dtype=np.int64), "got dtype int64"),
    (np.full((3, 3), 2.0), r"must lie in \[0, 1\]; got values in \[2, 2\]"),
    (np.full((3, 3), np.nan), r"must lie in \[0, 1\]"),
    (np.full((3, 3), -0.5), r"must lie in \[0, 1\]"),
    (np.zeros((3, 3, 2), dtype=np.uint8), r"got shape \(3, 3, 2\)"),
    (np.zeros((0, 3, 3), dtype=np.uint8), r"got shape \(0, 3, 3\)"),
    (np.zeros(3, dtype=np.uint8), r"got shape \(3,\)"),
    (np.array([[None]]), "got dtype object"),
    (None, "a missing value"),
    (float("nan"), "a missing value"),
    (7, "got int"),
    (io.StringIO("text"), "opened as text"),
    (_Pathless(), "__fspath__"),
]


@pytest.mark.parametrize(("source", "reason"), BAD_ARRAYS, ids=lambda x: str(x)[:20])
def test_unfit_sources_say_why(source, reason):
    """The message names what was got and what is wanted."""
    with pytest.raises(ImageReadError, match=reason):
        read_image(source)


def test_bad_files_say_why(picture, tmp_path):
    """Each mistake in the words of its remedy, with the file's name."""
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "folder.jpg").mkdir()
    half = _png(picture)
    (tmp_path / "half.png").write_bytes(half[: len(half) // 2])
    (tmp_path / "page.jpg").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"
    )
    reasons = {
        "empty.jpg": "the file is empty",
        "text.jpg": "not an image",
        "folder.jpg": "a folder, not a file",
        "half.png": "truncated",
        "page.jpg": "PostScript",
        "missing.jpg": "no such file",
        "nul\0.jpg": "null",
    }

    for name, reason in reasons.items():
        with pytest.raises(ImageReadError, match=reason) as caught:
            read_image(tmp_path / name)
        assert caught.value.source == str(tmp_path / name)
        assert caught.value.__cause__ is not None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
def test_a_pipe_does_not_hang(tmp_path):
    """Opening one would wait for a writer that never comes."""
    os.mkfifo(tmp_path / "pipe.jpg")

    with pytest.raises(ImageReadError, match="not a file"):
        read_image(tmp_path / "pipe.jpg")


def test_more_pixels_than_the_limit_is_an_error(picture, tmp_path, monkeypatch):
    """Pillow only warns up to twice its limit; a bomb is a bomb."""
    path = _saved(picture, tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", picture[..., 0].size - 1)

    with pytest.raises(ImageReadError, match=r"raise PIL\.Image\.MAX_IMAGE_PIXELS"):
        read_image(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", picture[..., 0].size)
    read_image(path)


def test_the_limit_holds_for_a_pil_image_that_is_not_loaded(picture, monkeypatch):
    """It would be decoded here."""
    lazy = Image.open(io.BytesIO(_png(picture)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)

    with pytest.raises(ImageReadError, match="more than 10 pixels"):
        read_image(lazy)


@pytest.mark.parametrize("transparency", ["x", 300, (1, 2, 3)])
def test_a_senseless_transparency_is_ignored(transparency):
    """Broken metadata does not spoil a picture."""
    image = Image.new("P", (3, 2))
    image.putpalette([9, 8, 7])
    image.info["transparency"] = transparency

    assert read_image(image)[0, 0].tolist() == [9, 8, 7]
    assert image.info["transparency"] == transparency


def test_big_endian_arrays_are_read():
    """As TIFF readers and FITS files hand them over."""
    array = np.array([[0, 25700, 65535]], dtype=">u2")

    assert read_image(array)[0, :, 0].tolist() == [0, 100, 255]


def test_an_interrupt_is_not_an_unreadable_image(monkeypatch):
    """Ctrl-C has to stop the program."""

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(Image, "open", interrupt)

    with pytest.raises(KeyboardInterrupt):
        read_image(b"anything")


def test_the_error_survives_pickling():
    """Worker processes send it home."""
    error = pickle.loads(pickle.dumps(ImageReadError("a.jpg", "no such file.")))

    assert (error.source, error.reason) == ("a.jpg", "no such file.")
    assert str(error) == "cannot read a.jpg: no such file."


def test_the_filters_of_warnings_are_left_as_they_were(picture):
    """They belong to the program, not to one of its libraries."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        before = list(warnings.filters)

        read_image(_png(picture))

        assert warnings.filters == before


def _expected(test_data):
    with open(test_data / "data/malformed/expected.csv", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_real_broken_files_raise_and_odd_ones_do_not(test_data):
    """About 60 files from the tests of image libraries, without a single warning."""
    root = test_data / "data/malformed"
    rows = _expected(test_data)
    wrong = []
    for row in rows:
        path = root / row["file"]
        try:
            rgb = read_image(path)
        except ImageReadError as error:
            readable = path.name not in str(error)
        else:
            readable = True
            assert rgb.dtype == np.uint8
            assert rgb.shape[2] == 3
        if readable != (row["pillow13"] == "ok"):
            wrong.append(row["file"])

    assert wrong == []
    assert len(rows) > 40


@pytest.mark.parametrize("stem", ["hopper_orientation", "Landscape"])
def test_real_orientations_come_out_alike(test_data, stem):
    """One scene, as many cameras would store it."""
    folder = test_data / "data/malformed/orientation"
    variants = [read_image(path) for path in sorted(folder.glob(f"{stem}_*.jpg"))]
    coarse = [
        np.asarray(Image.fromarray(rgb).resize((16, 16), Image.Resampling.BOX), float)
        for rgb in variants
    ]

    assert len(variants) > 3
    assert len({rgb.shape for rgb in variants}) == 1
    for other in coarse[1:]:
        # Each Landscape bears its number, and JPEG rounds each anew.
        assert np.abs(other - coarse[0]).mean() < 3


def test_reading_needs_no_torch(picture, tmp_path):
    """Pixels know nothing of networks."""
    path = _saved(picture, tmp_path / "a.png")
    code = (
        "import sys, imgsim; imgsim.read_image(sys.argv[1]); "
        "sys.exit('torch' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", code, path], check=False)

    assert done.returncode == 0


def test_a_name_that_is_no_text_can_be_printed(tmp_path):
    """On Linux a file name is bytes; the message must not fail to be shown."""
    name = Path(os.fsdecode(b"\xff.jpg"))

    with pytest.raises(ImageReadError) as caught:
        read_image(tmp_path / name)

    str(caught.value).encode("utf-8")
