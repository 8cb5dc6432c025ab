"""Tests of the formats of image files that are opened."""

import ast
import io
import os
import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image, ImageFile, TiffImagePlugin

import imgsim
from imgsim import ImageReadError, read_image
from imgsim.images._read import read_image_fast, read_image_small
from imgsim.images.decoding import _formats
from imgsim.images.decoding._formats import allowed_extensions, allowed_formats

POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"


def _iptc(content):
    """Return an IPTC file that contains another file."""

    def record(number, dataset, data):
        return bytes([0x1C, number, dataset]) + struct.pack(">H", len(data)) + data

    return (
        record(3, 60, b"\x01\x00")
        + record(3, 65, b"\0")
        + record(3, 20, b"\0\x09")
        + record(3, 30, b"\0\x09")
        + record(3, 120, b"\x05")
        + record(8, 10, content)
    )


def _fits():
    cards = ["SIMPLE  =                    T", "BITPIX  =                    8"]
    cards += ["NAXIS   =                    2", "NAXIS1  =                    9"]
    cards += ["NAXIS2  =                    9", "END"]
    return "".join(card.ljust(80) for card in cards).ljust(2880).encode() + bytes(2880)


def _wmf():
    # The picture is 9 x 9 inches, and consists of a header and no records.
    header = b"\xd7\xcd\xc6\x9a\0\0" + struct.pack("<hhhhH", 0, 0, 9, 9, 1) + bytes(6)
    return header + b"\1\0\t\0" + bytes(40)


def _icon(content):
    entry = struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, len(content), 22)
    return struct.pack("<HHH", 0, 1, 1) + entry + content


REFUSED = {
    "EPS": (POSTSCRIPT, r"in the format EPS \(Encapsulated Postscript\)"),
    "EPS with a preview": (
        struct.pack("<7IH", 0xC6D3D0C5, 30, len(POSTSCRIPT), 0, 0, 0, 0, 0xFFFF)
        + POSTSCRIPT,
        "in the format EPS",
    ),
    "EPS in IPTC": (_iptc(POSTSCRIPT), "in the format IPTC"),
    "IPTC in IPTC": (_iptc(_iptc(POSTSCRIPT)), "in the format IPTC"),
    "EPS in ICO": (_icon(POSTSCRIPT), "cannot read"),
    "FITS": (_fits(), "in the format FITS"),
    "WMF": (_wmf(), "in the format WMF"),
    "EMF": (b"\1\0\0\0" + bytes(36) + b" EMF" + bytes(60), "in the format WMF"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(60), "in the format HDF5"),
    "BUFR": (b"BUFR" + bytes(60), "in the format BUFR"),
    "DDS": (b"DDS " + bytes(200), "in the format DDS"),
    "JPEG XL": (b"\xff\x0a" + bytes(60), "pip install pillow-jxl-plugin"),
    "RAW": (b"\0\0\0\x18ftypcrx " + bytes(60), "RAW photographs are not supported"),
    "text": (b"no picture", "not an image"),
}


@pytest.fixture
def programs(monkeypatch):
    """Return the list of programs that are run, none of which is really run."""
    started = []

    def start(*args, **kwargs):
        started.append(args)
        raise OSError("a program was run")

    monkeypatch.setattr(subprocess, "Popen", start)
    monkeypatch.setattr(os, "system", start)
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", start)
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", "gs")
    return started


@pytest.mark.parametrize(("content", "reason"), REFUSED.values(), ids=REFUSED)
def test_other_formats_are_refused_without_running_a_program(
    content, reason, programs, tmp_path
):
    """The name of a file does not say what it contains."""
    paths = [tmp_path / name for name in ("a.jpg", "a.eps", "a.tif", "a")]
    for path in paths:
        path.write_bytes(content)

    for source in (*paths, content, bytearray(content), io.BytesIO(content)):
        for read in (
            read_image,
            lambda source: read_image_fast(source, 8),
            lambda source: read_image_small(source, 8),
        ):
            with pytest.raises(ImageReadError, match=reason):
                read(source)
    assert programs == []


def _samples():
    """Return a file in each format that Pillow writes, by the name of the format."""
    Image.init()
    samples = {}
    for name in Image.SAVE:
        for mode in ("RGB", "L", "1", "P"):
            file = io.BytesIO()
            with suppress(Exception):
                Image.new(mode, (16, 16)).save(file, name)
                with Image.open(io.BytesIO(file.getvalue())) as image:
                    samples[image.format] = file.getvalue()
                break
    return samples


@pytest.mark.parametrize("lazy", [False, True], ids=["file", "lazy PIL"])
def test_every_format_of_pillow_is_read_or_refused(lazy, programs):
    """Nothing depends on the kind of a file except whether it is allowed."""
    samples = _samples()
    allowed = {*allowed_formats(), "MPO"}
    read = set()

    for name, content in samples.items():
        with suppress(ImageReadError):
            read_image(Image.open(io.BytesIO(content)) if lazy else content)
            read.add(name)

    assert read == allowed & samples.keys()
    assert {"JPEG", "PNG", "TIFF", "GIF", "WEBP", "BMP", "PPM", "TGA"} <= read
    assert "EPS" in samples.keys() - read
    assert programs == []


@pytest.mark.parametrize("name", ["EPS", "EPS in IPTC", "FITS", "WMF"])
def test_a_pil_image_of_another_format_is_not_loaded(name, programs):
    """Pillow runs the program when the pixels are accessed."""
    image = Image.open(io.BytesIO(REFUSED[name][0]))

    with pytest.raises(ImageReadError, match=r"is not loaded yet\. If you trust"):
        read_image(image)
    assert programs == []


def test_a_loaded_pil_image_of_another_format_is_read():
    """The pixels are in memory already, so that nothing has to be trusted."""
    image = Image.open(io.BytesIO(_fits()))
    image.load()

    assert read_image(image).shape == (9, 9, 3)
    assert read_image(Image.open(io.BytesIO(_fits())).copy()).shape == (9, 9, 3)


def test_no_file_is_opened_without_a_list_of_formats():
    """Pillow would otherwise try all formats that it knows."""
    calls = [
        node
        for path in Path(imgsim.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Image.open"
    ]

    assert calls
    for call in calls:
        assert "formats" in {keyword.arg for keyword in call.keywords}


class _DotsFile(ImageFile.ImageFile):
    format = "DOTS"
    format_description = "one row of gray pixels"

    def _open(self):
        self.fp.read(4)
        self._mode, self._size = "L", (self.fp.read(1)[0], 1)
        self.tile = [("raw", (0, 0, *self._size), 5, ("L", 0, 1))]


@pytest.fixture
def registry(monkeypatch):
    """Restore Pillow's registry of formats after the test."""
    Image.init()
    for name in ("ID", "OPEN", "EXTENSION"):
        monkeypatch.setattr(Image, name, getattr(Image, name).copy())


@pytest.mark.usefixtures("registry")
def test_formats_that_the_user_registers_are_read():
    """Formats such as JPEG XL are added in this way."""
    content = b"DOTS\x03\x00\x09\xff"
    with pytest.raises(ImageReadError, match="not in a format that is supported"):
        read_image(content)

    Image.register_open("DOTS", _DotsFile, lambda start: start[:4] == b"DOTS")
    Image.register_extension("DOTS", ".dots")

    assert read_image(content)[0, :, 0].tolist() == [0, 9, 255]
    assert read_image(Image.open(io.BytesIO(content))).shape == (1, 3, 3)
    assert ".dots" in allowed_extensions()


@pytest.mark.usefixtures("registry")
def test_classes_of_pillow_are_refused_under_any_name(programs):
    """Only the class tells who has written a plugin."""
    Image.register_open("MINE", EpsImagePlugin.EpsImageFile, lambda start: True)

    assert "MINE" not in allowed_formats()
    with pytest.raises(ImageReadError):
        read_image(POSTSCRIPT)
    assert programs == []


@pytest.mark.usefixtures("registry")
def test_a_plugin_may_replace_a_format_of_pillow():
    """The user vouches for it, as for a new format."""

    class SafeEps(TiffImagePlugin.TiffImageFile):
        pass

    Image.register_open("EPS", SafeEps, lambda start: False)

    assert "EPS" in allowed_formats()


def test_formats_without_a_signature_are_tried_last():
    """TGA accepts files of other formats that happen to look like it."""
    formats = allowed_formats()
    has_signature = [Image.OPEN[name][1] is not None for name in formats]

    assert formats[-1] == "TGA"
    assert has_signature == sorted(has_signature, reverse=True)


def test_extensions_are_those_of_the_formats_that_are_read():
    """A folder is listed by them."""
    extensions = allowed_extensions()

    assert {".jpg", ".jpeg", ".mpo", ".png", ".apng", ".tif", ".webp"} <= extensions
    assert extensions.isdisjoint({".eps", ".ps", ".iim", ".fits", ".wmf", ".h5"})
    assert all(extension == extension.lower() for extension in extensions)


@pytest.fixture(scope="module")
def heic():
    """Return a function that encodes an image as HEIC, or skip the test."""
    pillow_heif = pytest.importorskip("pillow_heif", reason="pillow-heif is missing")

    def encode(picture):
        file = io.BytesIO()
        pillow_heif.from_pillow(Image.fromarray(picture)).save(file, quality=-1)
        return file.getvalue()

    try:
        encode(np.zeros((64, 64, 3), dtype=np.uint8))
    except Exception as error:
        pytest.skip(f"pillow-heif has no encoder: {error}")
    return encode


@pytest.fixture
def no_heif(registry, monkeypatch):
    """Let the test start without the plugin for HEIC, as a new process does."""
    Image.OPEN.pop("HEIF", None)
    monkeypatch.setattr(Image, "ID", [name for name in Image.ID if name != "HEIF"])
    _formats._register_heif.cache_clear()
    yield
    _formats._register_heif.cache_clear()


@pytest.mark.usefixtures("no_heif")
def test_heic_is_read_without_any_setup(heic, picture, tmp_path):
    """Worker processes have none of the plugins of their parent."""
    (tmp_path / "a.heic").write_bytes(heic(picture))

    rgb = read_image(tmp_path / "a.heic").astype(int)

    assert np.abs(rgb - picture).mean() < 3  # YCbCr has been rounded
    assert {".heic", ".heif", ".hif"} <= allowed_extensions()


def test_the_limit_on_pixels_applies_to_heic(heic, picture):
    """The number of pixels is known before they are decoded."""
    with pytest.raises(ImageReadError, match="2,400 pixels, more than max_pixels=99"):
        read_image(heic(picture), max_pixels=99)


@pytest.mark.usefixtures("no_heif")
@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        ("raise ModuleNotFoundError", r"pip install 'scikit-imgsim\[heif\]'"),
        ("raise OSError('libheif is missing')", "fails: libheif is missing"),
    ],
)
def test_heic_without_its_package_is_explained(code, remedy, monkeypatch, tmp_path):
    """A package that is missing or broken does not affect other formats."""
    (tmp_path / "pillow_heif.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "pillow_heif", raising=False)

    with pytest.raises(ImageReadError, match=remedy):
        read_image(b"\0\0\0\x18ftypheic" + bytes(60))
    assert ".jpg" in allowed_extensions()
