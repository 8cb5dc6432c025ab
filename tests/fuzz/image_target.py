"""Damaged images of many formats, read through both decoders."""

import io
from contextlib import suppress

import numpy as np
from mutation import mutate_bytes
from PIL import Image, ImageCms

from imgsim import read_image
from imgsim.exceptions import ImageReadError
from imgsim.images._read import read_image_fast, read_image_small

_MAX_PIXELS = 8_000_000


class ImageTarget:
    """Images of many formats, read through both decoders."""

    def __init__(self, folder):
        self.valid_files = list(_make_images())

    def run_valid_files(self):
        """Check that each valid file is accepted."""
        for content in self.valid_files:
            self._check(content)

    def run(self, rng):
        """Check a file that is damaged at random."""
        content = self.valid_files[rng.integers(len(self.valid_files))]
        self._check(mutate_bytes(rng, content, self.valid_files))

    def _check(self, content):
        for read in (
            lambda: read_image(content, max_pixels=_MAX_PIXELS),
            lambda: read_image_fast(content, 8, max_pixels=_MAX_PIXELS),
            lambda: read_image_small(content, 16, max_pixels=_MAX_PIXELS),
        ):
            try:
                rgb = read()
            except ImageReadError as error:
                if isinstance(error.__cause__, MemoryError | RecursionError):
                    raise AssertionError("memory is exhausted") from error
            else:
                assert rgb.dtype == np.uint8
                assert rgb.ndim == 3
                assert rgb.shape[2] == 3
                assert 0 < rgb.size <= 3 * _MAX_PIXELS


def _make_images():
    """Yield small valid files, in each format that this Pillow can write."""
    rows, columns = np.mgrid[0:40, 0:60]
    channels = [rows * 6, columns * 4, 255 - rows * 3, 255 - columns * 2]
    rgba = Image.fromarray(np.stack(channels, axis=2).astype(np.uint8))
    rgb, gray = rgba.convert("RGB"), rgba.convert("L")
    deep = Image.fromarray(np.asarray(gray).astype(np.uint16) * 257)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x0112] = 6
    animation = {"save_all": True, "append_images": [rgb.rotate(180)], "duration": 50}
    files = [
        *((image, "JPEG", {}) for image in (rgb, gray, rgb.convert("CMYK"))),
        (rgb, "JPEG", {"progressive": True, "exif": exif, "icc_profile": profile}),
        (rgb, "JPEG", {"restart_marker_blocks": 1}),
        (rgb, "MPO", animation),
        *((image, "PNG", {}) for image in (rgb, rgba, gray, deep, rgb.quantize(16))),
        (rgb, "PNG", {**animation, "icc_profile": profile}),
        (rgb, "GIF", animation),
        *((rgba, "WEBP", {"lossless": lossless}) for lossless in (True, False)),
        (rgba, "WEBP", animation),
        *(
            (rgb, "TIFF", {"compression": name})
            for name in (None, "tiff_lzw", "tiff_deflate", "packbits", "jpeg")
        ),
        (deep, "TIFF", {}),
        (gray.convert("F"), "TIFF", {"exif": exif}),
        (rgba, "TIFF", {"save_all": True, "append_images": [rgba.rotate(180)]}),
        *(
            (rgb, name, {})
            for name in ("BMP", "DIB", "PPM", "TGA", "PCX", "SGI", "QOI")
        ),
        (rgb, "TGA", {"compression": "tga_rle"}),
        (gray, "PPM", {}),
        *((rgba, name, {}) for name in ("ICO", "ICNS", "JPEG2000", "AVIF", "DDS")),
    ]
    with suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()
        files.append((rgb, "HEIF", {}))
    for image, name, options in files:
        file = io.BytesIO()
        # The optional libraries of Pillow are missing on some systems.
        with suppress(KeyError, OSError, ValueError):
            image.save(file, name, **options)
            yield file.getvalue()
