"""Seconds to decode 200 JPEGs of about 500 x 375 pixels to RGB arrays.

The baseline is a loop that decodes one file after the other by Pillow. `ImageStream`
uses one thread per core, and also applies the orientation and validates the images.

Color profiles are measured with the same photographs, which contain no profile, a
profile of sRGB, or a profile of a wide color space. Only the last has to be applied.
"""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from imgsim import read_image
from imgsim.images import ImageStream


def _pillow_loop(paths):
    return [np.asarray(Image.open(path).convert("RGB")).shape for path in paths]


def _read_image_loop(paths):
    return [read_image(path).shape for path in paths]


def _stream(paths):
    return [image.shape for batch in ImageStream(paths) for image in batch.images]


def _stream_one_thread(paths):
    stream = ImageStream(paths, n_jobs=1)
    return [image.shape for batch in stream for image in batch.images]


READERS = {
    "Pillow, one by one (baseline)": _pillow_loop,
    "read_image, one by one": _read_image_loop,
    "ImageStream, one thread": _stream_one_thread,
    "ImageStream, one thread per core": _stream,
}


@pytest.mark.benchmark(group="decode 200 JPEGs, seconds")
@pytest.mark.parametrize("name", READERS)
def bench_read(benchmark, photographs, name):
    """Read the same images in the same order."""
    shapes = benchmark.pedantic(
        READERS[name], args=(photographs,), rounds=5, warmup_rounds=1
    )

    assert len(shapes) == len(photographs)


@pytest.fixture(scope="module")
def photographs_of_profile(photographs):
    """Return the function that saves the photographs in memory with a profile."""

    def save(profile):
        contents = []
        for path in photographs:
            file = io.BytesIO()
            Image.open(path).convert("RGB").save(
                file, "JPEG", quality=90, icc_profile=profile
            )
            contents.append(file.getvalue())
        return contents

    return save


def _srgb_profile():
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _wide_profile():
    """Return the profile of sRGB with its red and green primaries moved outwards."""
    profile = bytearray(_srgb_profile())
    for name, xyz in {
        b"rXYZ": (0.515, 0.241, -0.001),
        b"gXYZ": (0.292, 0.692, 0.042),
    }.items():
        entry = profile.index(name, 128)
        start = struct.unpack_from(">I", profile, entry + 4)[0]
        struct.pack_into(">3i", profile, start + 8, *(round(65536 * x) for x in xyz))
    return bytes(profile)


PROFILES = {
    "no profile (baseline)": lambda: None,
    "sRGB": _srgb_profile,
    "wide": _wide_profile,
}


@pytest.mark.benchmark(group="decode 200 JPEGs with a color profile, seconds")
@pytest.mark.parametrize("name", PROFILES)
def bench_profiles(benchmark, photographs_of_profile, name):
    """Read the same images, with different profiles."""
    contents = photographs_of_profile(PROFILES[name]())

    shapes = benchmark.pedantic(
        _read_image_loop, args=(contents,), rounds=5, warmup_rounds=1
    )

    assert len(shapes) == len(contents)
