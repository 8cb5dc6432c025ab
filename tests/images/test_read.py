"""Tests of reading an image from any source."""

import csv
import io
import os
import pickle
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgsim import ImageReadError, read_image
from imgsim.images import ImageStream


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
    """An embedding must not depend on how the image was passed."""
    rgb = read_image(make_source(picture, tmp_path))

    assert rgb.dtype == np.uint8
    assert rgb.flags.c_contiguous
    np.testing.assert_array_equal(rgb, picture)


@pytest.mark.parametrize("kind", ["uint8", "float32", "float16", "bfloat16"])
def test_reads_tensors(kind, picture):
    """The channel is the first axis of a torch tensor."""
    torch = pytest.importorskip("torch")
    tensor = torch.from_numpy(picture).permute(2, 0, 1)
    if kind != "uint8":
        tensor = (tensor / 255).to(getattr(torch, kind))

    rgb = read_image(tensor)

    atol = {"bfloat16": 1}.get(kind, 0)
    np.testing.assert_allclose(rgb.astype(int), picture.astype(int), atol=atol)


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1)])
def test_grayscale_arrays_get_three_equal_channels(shape):
    """The result is always RGB."""
    gray = np.arange(35, dtype=np.uint8).reshape(shape)

    rgb = read_image(gray)

    np.testing.assert_array_equal(rgb, np.repeat(gray.reshape(5, 7, 1), 3, axis=2))


def test_booleans_are_black_and_white():
    """A mask is an image with two values."""
    assert read_image(np.array([[False, True]]))[0, :, 0].tolist() == [0, 255]


def test_the_position_of_a_file_object_is_restored(picture):
    """Cross-validation reads the same file object several times."""
    file = io.BytesIO(_png(picture))
    file.seek(7)

    for _ in range(2):
        np.testing.assert_array_equal(read_image(file), picture)
    assert file.tell() == 7


def test_several_threads_can_read_the_same_file_object(picture):
    """The same object may occur in X more than once."""
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


# Mode, pixel value in Pillow, and the color it represents, computed by hand.
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
    """No value is clipped, and alpha is composited on white."""
    rgb = read_image(Image.new(mode, (3, 2), value))

    assert rgb.shape == (2, 3, 3)
    np.testing.assert_allclose(rgb[0, 0], expected, atol=1)


def test_gray_in_lab_stays_gray():
    """Pillow cannot convert LAB without a profile; 128 is gray in channels a and b."""
    rgb = read_image(Image.new("LAB", (2, 2), (137, 128, 128))).astype(int)

    # L* = 100 * 137 / 255 = 53.7 is sRGB 129 (CIE 1976, D50).
    np.testing.assert_allclose(rgb[0, 0], 129, atol=3)


def test_transparent_palettes_are_composited_on_white():
    """A file stores one transparent index, or an alpha value for each index."""
    palette = Image.new("P", (2, 1))
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.putpixel((1, 0), 1)
    expected = [[[255, 0, 0], [255, 255, 255]]]
    for transparency in (1, b"\xff\x00"):
        file = io.BytesIO()
        palette.save(file, "PNG", transparency=transparency)

        np.testing.assert_array_equal(read_image(file), expected)


def test_unusual_ranges_are_rescaled():
    """White is not defined for a depth map, so its own range is used."""
    values = np.array([[-3.0, 0.0, 3.0]], dtype=np.float32)

    rgb = read_image(Image.fromarray(values))

    assert rgb[0, :, 0].tolist() == [0, 128, 255]


def test_twelve_bits_reach_white():
    """The number of bits is read from the tags of a TIFF."""
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
def test_orientation_is_applied(orientation, extension, picture, tmp_path):
    """All eight orientations of the EXIF standard give an upright image."""
    stored = np.ascontiguousarray(ORIENTED[orientation](picture))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if extension == "webp" else {}
    path = _saved(stored, tmp_path / f"a.{extension}", exif=exif, **options)

    np.testing.assert_array_equal(read_image(path), picture)


@pytest.mark.parametrize("orientation", [0, 9, 255])
def test_an_invalid_orientation_is_ignored(orientation, picture, tmp_path):
    """Invalid metadata does not make an image unreadable."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = _saved(picture, tmp_path / "a.png", exif=exif)

    np.testing.assert_array_equal(read_image(path), picture)


def test_a_pil_image_is_not_modified(picture):
    """The image belongs to the caller."""
    image = Image.fromarray(picture)
    image.getexif()[0x0112] = 3

    read_image(image)

    assert image.getexif()[0x0112] == 3
    np.testing.assert_array_equal(np.asarray(image), picture)


def test_the_first_frame_of_an_animation_is_read(picture, tmp_path):
    """An animation counts as one image of a collection."""
    frames = [Image.fromarray(picture), Image.fromarray(255 - picture)]
    path = tmp_path / "a.webp"
    frames[0].save(path, save_all=True, append_images=frames[1:], lossless=True)

    np.testing.assert_array_equal(read_image(path), picture)


class _Pathless:
    def __fspath__(self):
        return 3


BAD_ARRAYS = [
    (np.zeros((3, 3), dtype=np.int64), "got dtype int64"),
    (np.full((3, 3), 2.0), r"values in \[0, 1\]; got values in \[2, 2\]"),
    (np.full((3, 3), np.nan), r"must have values in \[0, 1\]"),
    (np.full((3, 3), -0.5), r"must have values in \[0, 1\]"),
    (np.zeros((3, 3, 2), dtype=np.uint8), r"got shape \(3, 3, 2\)"),
    (np.zeros((0, 3, 3), dtype=np.uint8), r"got shape \(0, 3, 3\)"),
    (np.zeros(3, dtype=np.uint8), r"got shape \(3,\)"),
    (np.array([[None]]), "got dtype object"),
    (None, "the value is missing"),
    (float("nan"), "the value is missing"),
    (7, "got int"),
    (io.StringIO("text"), "open in text mode"),
    (_Pathless(), "__fspath__"),
]


@pytest.mark.parametrize(("source", "reason"), BAD_ARRAYS, ids=lambda x: str(x)[:20])
def test_invalid_sources_raise_with_the_reason(source, reason):
    """The message contains what was passed and what is expected."""
    with pytest.raises(ImageReadError, match=reason):
        read_image(source)


def test_invalid_files_raise_with_the_reason(picture, tmp_path):
    """The error has the path of the file and the original exception."""
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
        "page.jpg": "EPS",
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
    """Opening a pipe would wait for a writer forever."""
    os.mkfifo(tmp_path / "pipe.jpg")

    with pytest.raises(ImageReadError, match="not a regular file"):
        read_image(tmp_path / "pipe.jpg")


@pytest.mark.parametrize("transparency", ["x", 300, (1, 2, 3)])
def test_an_invalid_transparency_is_ignored(transparency):
    """Invalid metadata does not make an image unreadable."""
    image = Image.new("P", (3, 2))
    image.putpalette([9, 8, 7])
    image.info["transparency"] = transparency

    assert read_image(image)[0, 0].tolist() == [9, 8, 7]
    assert image.info["transparency"] == transparency


def test_big_endian_arrays_are_read():
    """Readers of TIFF and FITS files return such arrays."""
    array = np.array([[0, 25700, 65535]], dtype=">u2")

    assert read_image(array)[0, :, 0].tolist() == [0, 100, 255]


def test_an_interrupt_is_not_an_image_read_error(monkeypatch):
    """Pressing Ctrl-C has to stop the program."""

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(Image, "open", interrupt)

    with pytest.raises(KeyboardInterrupt):
        read_image(b"anything")


def test_the_error_can_be_pickled():
    """Worker processes send it to the main process."""
    error = pickle.loads(pickle.dumps(ImageReadError("a.jpg", "no such file.")))

    assert (error.source, error.reason) == ("a.jpg", "no such file.")
    assert str(error) == "cannot read a.jpg: no such file."


def test_the_warning_filters_are_restored(picture):
    """The filters belong to the program, not to a library that it uses."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        before = list(warnings.filters)

        read_image(_png(picture))

        assert warnings.filters == before


def _expected(test_data):
    with open(test_data / "data/malformed/expected.csv", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_damaged_files_raise_and_unusual_files_do_not(test_data):
    """These are about 60 files from the tests of image libraries."""
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
def test_photographs_in_all_orientations_look_the_same(test_data, stem):
    """The files show one scene, stored in each orientation."""
    folder = test_data / "data/malformed/orientation"
    variants = [read_image(path) for path in sorted(folder.glob(f"{stem}_*.jpg"))]
    coarse = [
        np.asarray(Image.fromarray(rgb).resize((16, 16), Image.Resampling.BOX), float)
        for rgb in variants
    ]

    assert len(variants) > 3
    assert len({rgb.shape for rgb in variants}) == 1
    for other in coarse[1:]:
        # A number is drawn on each photograph, and JPEG compression differs.
        assert np.abs(other - coarse[0]).mean() < 3


class _SurrogatePath:
    def __fspath__(self):
        return "folder\ud800/\udc00.jpg"


class _NamedFile(io.BytesIO):
    name = "\ud800.jpg"


UNPRINTABLE = {
    "high surrogate": lambda folder: str(folder / "\ud800.jpg"),
    "low surrogate": lambda folder: folder / "\udcff.jpg",
    "bytes that are not UTF-8": lambda folder: Path(os.fsdecode(b"\xff.jpg")),
    "path-like": lambda folder: _SurrogatePath(),
    "open file": lambda folder: _NamedFile(b"no picture"),
}


@pytest.mark.parametrize("make_source", UNPRINTABLE.values(), ids=UNPRINTABLE)
def test_the_message_for_a_name_that_is_not_unicode_can_be_printed(
    make_source, tmp_path
):
    """On Linux, a file name may contain any bytes, and a str any surrogates."""
    with pytest.raises(ImageReadError) as caught:
        read_image(make_source(tmp_path))

    str(caught.value).encode("utf-8")
    assert "\\ud" in caught.value.source
    assert ".jpg" in caught.value.source


@pytest.mark.skipif(os.name == "nt", reason="Windows allows such names")
def test_a_name_that_no_file_can_have_is_explained(tmp_path):
    """The message of Python is about a codec."""
    with pytest.raises(ImageReadError, match="characters that no file name can"):
        read_image(tmp_path / "\ud800.jpg")


def test_a_failure_with_such_a_name_can_be_printed(tmp_path):
    """The name is part of a warning, and of the list of failures."""
    names = [tmp_path / "\ud800.jpg", tmp_path / "\udcff.jpg"]

    [batch] = ImageStream(names)

    for failure in batch.failures:
        repr(failure).encode("utf-8")
        (failure.source + failure.reason).encode("utf-8")
