"""Tests of the conversion of images to upright RGB in bands, and of its memory."""

import io
import json
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from PIL import Image, features

from imgsim import read_image

WIDTH, HEIGHT = 2000, 2000
BYTES_PER_PIXEL = 16
# Prints the most memory that reading each file takes, in bytes, over the interpreter.
# Each file is read by a process of its own, since freed memory may be reused.
MEASURE = """
    import json
    import multiprocessing
    import sys

    from imgsim import read_image

    def memory(key):
        with open("/proc/self/status") as file:
            return next(int(x.split()[1]) * 1024 for x in file if x.startswith(key))

    def peak(path):
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")  # reset the peak
        start = memory("VmRSS")
        assert read_image(path).shape[2] == 3
        return memory("VmHWM") - start

    context = multiprocessing.get_context("fork")
    with context.Pool(1, maxtasksperchild=1) as pool:
        print(json.dumps(pool.map(peak, sys.argv[1:], chunksize=1)))
"""


def _image(mode):
    """Return a large image of a mode, whose pixels differ."""
    ramp = np.linspace(0, 1, WIDTH, dtype=np.float32) * np.ones((HEIGHT, 1), "f4")
    if mode in ("F", "I", "I;16"):
        return Image.fromarray(
            (ramp * 65535).astype({"F": "f4", "I": "i4"}.get(mode, "u2"))
        )
    gray = Image.fromarray((ramp * 255).astype(np.uint8))
    if mode == "LA":
        return Image.merge("LA", [gray, gray])
    rgba = Image.merge("RGBA", [gray, gray.transpose(0), gray, gray])
    return rgba.convert(mode)


def _oriented(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


FILES = {
    "lossless.webp": ("RGBA", {"lossless": True, "quality": 0, "method": 0}),
    "lossy.webp": ("RGBA", {"method": 0}),
    "animated.webp": ("RGB", {"method": 0, "save_all": True, "append_images": "same"}),
    "alpha.avif": ("RGBA", {"speed": 10}),
    "alpha.png": ("RGBA", {"compress_level": 1}),
    "gray and alpha.png": ("LA", {"compress_level": 1}),
    "palette.png": ("P", {"compress_level": 1, "transparency": 3}),
    "16 bits.ppm": ("I;16", {}),
    "float.tif": ("F", {"tiffinfo": {0x0112: 6}}),
    "turned.jpg": ("RGB", {"exif": _oriented(5), "progressive": True}),
    "inks.jpg": ("CMYK", {"progressive": True, "subsampling": 0}),
}


def _save_files(folder):
    for name, (mode, options) in FILES.items():
        if name.endswith("avif") and not features.check("avif"):
            continue
        image = _image(mode)
        if "append_images" in options:
            options = options | {"append_images": [image.transpose(0)]}
        image.save(folder / name, **options)
        yield str(folder / name)


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_reading_a_file_takes_at_most_16_bytes_per_pixel(tmp_path):
    """Threads read several files, each of which may contain a large image."""
    paths = list(_save_files(tmp_path))
    measured = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(MEASURE), *paths],
        capture_output=True,
        text=True,
        check=True,
    )

    peaks = json.loads(measured.stdout)
    limit = BYTES_PER_PIXEL * WIDTH * HEIGHT
    assert [x for x in zip(paths, peaks, strict=True) if x[1] > limit] == []


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS is enforced on Linux")
def test_a_tiny_file_of_a_huge_image_can_be_read_with_little_memory(tmp_path):
    """An image of one color is compressed to less than a kilobyte."""
    Image.new("RGBA", (3000, 3000), (9, 80, 70, 200)).save(
        tmp_path / "a.webp", lossless=True, quality=0, method=0
    )
    program = f"""
        import resource
        from imgsim import read_image
        size = next(x for x in open("/proc/self/status") if x.startswith("VmSize"))
        limit = 1024 * int(size.split()[1]) + {BYTES_PER_PIXEL} * 3000 * 3000
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        print(read_image({str(tmp_path / "a.webp")!r})[0, 0].tolist())
    """
    program = textwrap.dedent(program)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True
    )

    # 255 + (9 - 255) * 200 / 255 = 62, and so on.
    assert (done.returncode, done.stdout, done.stderr) == (0, "[62, 118, 110]\n", "")


@pytest.mark.parametrize("size", [(7, 9000), (30_000, 3), (1, 30_000), (300, 217)])
@pytest.mark.parametrize("mode", ["RGBA", "L", "I", "F", "CMYK"])
def test_bands_have_no_seams(size, mode):
    """An image is converted in bands of rows, which must not change a pixel."""
    width, height = size
    values = np.random.default_rng(0).integers(
        0, 256, (height, width, 4), dtype=np.uint8
    )
    if mode in ("RGBA", "CMYK"):
        image = Image.frombytes(mode, size, values.tobytes())
    else:
        dtype = {"L": np.uint8, "I": np.int32, "F": np.float32}[mode]
        image = Image.fromarray(values[..., 0].astype(dtype))

    rgb = read_image(image)

    for top in range(0, height, max(1, height // 5)):
        rows = image.crop((0, top, width, top + 1))
        if mode in ("I", "F"):
            expected = np.repeat(values[top, :, :1], 3, axis=1)
        else:
            expected = read_image(rows)[0]
        np.testing.assert_array_equal(rgb[top], expected)


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "I;16"])
def test_an_image_of_several_bands_is_turned(orientation, mode):
    """Each band is turned alone, and placed where it belongs."""
    rng = np.random.default_rng(0)
    if mode == "I;16":
        image = Image.fromarray(rng.integers(0, 2**16, (211, 307), dtype=np.uint16))
    else:
        channels = rng.integers(0, 256, (211, 307, len(mode)), dtype=np.uint8)
        image = Image.fromarray(channels)
    upright = read_image(image)
    exif = _oriented(orientation)
    file = io.BytesIO()
    image.save(file, "PNG", exif=exif)

    rgb = read_image(file)

    expected = upright.swapaxes(0, 1) if orientation > 4 else upright
    if orientation in (3, 4, 7, 8):
        expected = expected[::-1]
    if orientation in (2, 3, 6, 7):
        expected = expected[:, ::-1]
    np.testing.assert_array_equal(rgb, expected)


@pytest.mark.parametrize("dtype", ["uint8", ">u2", "float32", ">f8", "bool"])
def test_large_arrays_with_alpha_are_composited(dtype):
    """Arrays are converted in bands, too."""
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 2, (150, 400, 4))
    white = 255 if dtype == "uint8" else 65535 if dtype == ">u2" else 1
    array = (levels * white).astype(dtype)

    expected = np.where(levels[..., 3:] == 1, 255 * levels[..., :3], 255)
    np.testing.assert_array_equal(read_image(array), expected)
