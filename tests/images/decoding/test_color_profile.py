"""Tests of the conversion of colors to sRGB by embedded ICC profiles."""

import io
import struct
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image, ImageCms

from imgsim import read_image
from imgsim.datasets import load_sample_photos
from imgsim.embedding import ColorHistogramEmbedder
from imgsim.images._read import read_image_fast

# XYZ of the primaries of color spaces, adapted to the white of profiles, D50. They are
# the published values of these profiles.
SRGB = [
    (0.43607, 0.22249, 0.01392),
    (0.38515, 0.71687, 0.09708),
    (0.14307, 0.06061, 0.7141),
]
DISPLAY_P3 = [
    (0.51512, 0.2412, -0.00105),
    (0.29198, 0.69225, 0.04189),
    (0.1571, 0.06657, 0.78407),
]
ADOBE_RGB = [
    (0.60974, 0.31111, 0.01947),
    (0.20528, 0.62567, 0.06087),
    (0.14919, 0.06322, 0.74457),
]
PROPHOTO = [
    (0.79767, 0.28804, 0.0),
    (0.13519, 0.71188, 0.0),
    (0.03134, 0.00009, 0.82491),
]
D50 = (0.9642, 1.0, 0.8249)


def _fixed(values):
    return b"".join(struct.pack(">i", round(65536 * value)) for value in values)


def _xyz(values):
    return b"XYZ \0\0\0\0" + _fixed(values)


def _gamma(exponent):
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(256 * exponent))


def _sampled(curve, n_samples):
    samples = np.rint(65535 * curve(np.linspace(0, 1, n_samples))).astype(">u2")
    return b"curv\0\0\0\0" + struct.pack(">I", n_samples) + samples.tobytes()


# The curve of sRGB with five parameters.
SRGB_CURVE = b"para\0\0\0\0\0\3\0\0" + _fixed(
    (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
)


def _srgb_to_linear(values):
    return np.where(
        values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4
    )


def _linear_to_srgb(values):
    return np.where(
        values <= 0.0031308, 12.92 * values, 1.055 * values ** (1 / 2.4) - 0.055
    )


def _profile(tags, *, space=b"RGB ", kind=b"mntr", connection=b"XYZ "):
    """Return an ICC profile of version 4, with a description and a white point."""
    name = b"mluc\0\0\0\0" + struct.pack(">II2s2sII", 1, 12, b"en", b"US", 4, 28)
    tags = {b"desc": name + "te".encode("utf-16-be"), b"wtpt": _xyz(D50), **tags}
    table, data = struct.pack(">I", len(tags)), b""
    for signature, content in tags.items():
        start = 132 + 12 * len(tags) + len(data)
        table += signature + struct.pack(">II", start, len(content))
        data += content + bytes(-len(content) % 4)
    header = bytearray(128)
    header[0:4] = struct.pack(">I", 128 + len(table) + len(data))
    header[8:24] = b"\4\x30\0\0" + kind + space + connection
    header[36:40] = b"acsp"
    header[68:80] = _fixed(D50)
    return bytes(header) + table + data


def _rgb_profile(primaries, curve, **options):
    tags = {}
    for color, xyz in zip("rgb", primaries, strict=True):
        tags[f"{color}XYZ".encode()] = _xyz(xyz)
        tags[f"{color}TRC".encode()] = curve
    return _profile(tags | options.pop("tags", {}), **options)


def _gray_profile(exponent):
    return _profile({b"kTRC": _gamma(exponent)}, space=b"GRAY")


def _cmyk_profile():
    """Return a profile whose inks darken a neutral gray by their mean coverage."""
    identity = np.tile(np.arange(256, dtype=np.uint8), 4).tobytes()
    corners = np.indices((2, 2, 2, 2)).reshape(4, -1).T
    lightness = np.rint(255 * (1 - corners.mean(axis=1)))
    table = np.column_stack([lightness, np.full((16, 2), 128)]).astype(np.uint8)
    lut = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + _fixed(np.eye(3).ravel())
    lut += (
        identity
        + table.tobytes()
        + np.tile(np.arange(256, dtype=np.uint8), 3).tobytes()
    )
    return _profile({b"A2B0": lut}, space=b"CMYK", kind=b"prtr", connection=b"Lab ")


WIDE = {
    "Display P3": (DISPLAY_P3, SRGB_CURVE, _linear_to_srgb),
    "Adobe RGB": (ADOBE_RGB, _gamma(2.19921875), lambda x: x ** (1 / 2.19921875)),
    "ProPhoto RGB": (PROPHOTO, _gamma(1.8), lambda x: x ** (1 / 1.8)),
}


def _in_space(picture, primaries, encode):
    """Return an sRGB picture in another color space, computed by its definition."""
    to_space = np.linalg.solve(np.transpose(primaries), np.transpose(SRGB))
    linear = _srgb_to_linear(picture / 255) @ to_space.T
    return np.rint(255 * encode(np.clip(linear, 0, 1))).astype(np.uint8)


def _encoded(picture, profile, form="PNG", **options):
    file = io.BytesIO()
    Image.fromarray(picture).save(file, form, icc_profile=profile, **options)
    return file.getvalue()


def _levels(*, seed=0):
    """Return colors inside of all color spaces, and all gray levels."""
    colors = np.random.default_rng(seed).integers(30, 226, (64, 64, 3), dtype=np.uint8)
    colors[0] = 4 * np.arange(64, dtype=np.uint8)[:, np.newaxis]
    return colors


@pytest.mark.parametrize("name", WIDE)
def test_colors_of_wide_color_spaces_are_converted(name):
    """The expected colors follow from the primaries and the curve of the space."""
    primaries, curve, encode = WIDE[name]
    colors = _levels()
    profile = _rgb_profile(primaries, curve)

    rgb = read_image(_encoded(_in_space(colors, primaries, encode), profile))

    # 8 bits are fewer than the dark colors of ProPhoto RGB need.
    difference = np.abs(rgb.astype(int) - colors)
    assert np.quantile(difference, 0.99) <= 2
    assert difference.max() <= 6


@pytest.mark.parametrize("name", WIDE)
def test_copies_in_wide_color_spaces_have_similar_embeddings(name):
    """Cameras save the same photograph in one space or the other."""
    primaries, curve, encode = WIDE[name]
    photos = load_sample_photos(n_crops=2, n_copies=0).images
    profile = _rgb_profile(primaries, curve)
    copies = [_encoded(_in_space(x, primaries, encode), profile) for x in photos]

    embedder = ColorHistogramEmbedder(n_jobs=1).fit(photos)
    X, X_copies = embedder.transform(photos), embedder.transform(copies)

    assert np.linalg.norm(X - X_copies, axis=1).max() < 0.05


SAVED = {
    "JPEG": ("JPEG", {"quality": 100, "subsampling": 0}),
    "PNG": ("PNG", {}),
    "TIFF": ("TIFF", {}),
    "WebP": ("WEBP", {"lossless": True}),
}


@pytest.mark.parametrize(("form", "options"), SAVED.values(), ids=SAVED)
@pytest.mark.parametrize("read", [read_image, lambda x: read_image_fast(x, 999)])
def test_profiles_of_all_formats_are_applied(form, options, read):
    """Each format stores the profile in its own way."""
    profile = _rgb_profile(*WIDE["Adobe RGB"][:2])
    color = np.full((600, 600, 3), (150, 100, 50), dtype=np.uint8)
    in_space = _in_space(color, *WIDE["Adobe RGB"][::2])

    rgb = read(_encoded(in_space, profile, form, **options))

    np.testing.assert_allclose(rgb[300, 300].astype(int), (150, 100, 50), atol=3)
    assert np.ptp(rgb, axis=(0, 1)).max() == 0


def test_both_decoders_give_the_same_pixels():
    """A profile is applied to the pixels, whoever decoded them."""
    colors = np.tile(_levels(), (9, 9, 1))
    exif = Image.Exif()
    exif[0x0112] = 6
    for profile in (_rgb_profile(*WIDE["Display P3"][:2]), _gray_profile(1.0)):
        for mode in ("RGB", "L"):
            picture = np.asarray(Image.fromarray(colors).convert(mode))
            content = _encoded(picture, profile, "JPEG", exif=exif)

            expected = read_image(content)
            np.testing.assert_array_equal(read_image_fast(content, 999), expected)


def test_a_large_profile_in_several_parts_is_applied():
    """A segment of a JPEG file contains up to 64 kB."""
    tags = {b"data": b"data\0\0\0\0" + bytes(200_000)}
    colors = _levels()
    small = _rgb_profile(*WIDE["Display P3"][:2])
    large = _rgb_profile(*WIDE["Display P3"][:2], tags=tags)

    rgb = read_image(_encoded(colors, large, "JPEG"))

    np.testing.assert_array_equal(rgb, read_image(_encoded(colors, small, "JPEG")))
    assert not np.array_equal(rgb, read_image(_encoded(colors, None, "JPEG")))


SRGB_VARIANTS = {
    "parameters": _rgb_profile(SRGB, SRGB_CURVE),
    "26 samples": _rgb_profile(SRGB, _sampled(_srgb_to_linear, 26)),
    "1024 samples": _rgb_profile(SRGB, _sampled(_srgb_to_linear, 1024)),
    "Little CMS": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    "four digits": _rgb_profile(np.round(SRGB, 4), SRGB_CURVE),
}


@pytest.mark.parametrize("profile", SRGB_VARIANTS.values(), ids=SRGB_VARIANTS)
def test_profiles_of_srgb_change_no_pixel(profile):
    """There are many profiles of sRGB, which differ in their precision."""
    colors = _levels()

    np.testing.assert_array_equal(read_image(_encoded(colors, profile)), colors)


def _mutated(profile, seed):
    content = bytearray(profile)
    rng = np.random.default_rng(seed)
    for place in rng.integers(36, len(content), 4):
        content[place] = rng.integers(256)
    return bytes(content)


WIDE_PROFILE = _rgb_profile(PROPHOTO, _gamma(1.8))
UNSUITABLE = {
    "empty": b"",
    "text": b"no profile",
    "truncated": WIDE_PROFILE[:200],
    "header": WIDE_PROFILE[:128],
    "no curves": _profile({}),
    "gray": _gray_profile(1.0),
    "CMYK": _cmyk_profile(),
    "device link": _rgb_profile(PROPHOTO, _gamma(1.8), kind=b"link"),
    "named colors": _rgb_profile(PROPHOTO, _gamma(1.8), kind=b"nmcl"),
    "abstract": _rgb_profile(PROPHOTO, _gamma(1.8), kind=b"abst"),
    "too large": WIDE_PROFILE + bytes(2**24),
    "not bytes": "profile",
    "no value": None,
}


@pytest.mark.parametrize("profile", UNSUITABLE.values(), ids=UNSUITABLE)
def test_unsuitable_profiles_are_ignored(profile):
    """Invalid metadata does not make an image unreadable."""
    colors = _levels()
    image = Image.fromarray(colors)
    image.info["icc_profile"] = profile

    np.testing.assert_array_equal(read_image(image), colors)


def test_a_profile_that_does_not_fit_the_mode_is_ignored(picture):
    """Pillow keeps the profile of an image that it converts to another mode."""
    for mode, profile in [
        ("L", WIDE_PROFILE),
        ("CMYK", WIDE_PROFILE),
        ("LAB", WIDE_PROFILE),
    ]:
        image = Image.new(
            mode, (3, 2), 90 if mode == "L" else (90, 60, 70, 80)[: len(mode)]
        )
        plain = read_image(image)
        image.info["icc_profile"] = profile

        np.testing.assert_array_equal(read_image(image), plain)


@pytest.mark.parametrize("mode", ["L", "LA", "La", "I;16"])
def test_gray_profiles_are_applied(mode):
    """The level v of a profile with exponent 1.8 is the linear light v ** 1.8."""
    level = 120
    value = {"L": level, "I;16": level * 257}.get(mode, (level, 255))
    image = Image.new(mode, (3, 2), value)
    image.info["icc_profile"] = _gray_profile(1.8)

    expected = 255 * _linear_to_srgb((level / 255) ** 1.8)
    np.testing.assert_allclose(read_image(image).astype(float), expected, atol=1)
    assert np.ptp(read_image(image), axis=2).max() == 0


def test_cmyk_profiles_are_applied():
    """The ink of this profile is gray: half of it has half the lightness L*."""
    image = Image.new("CMYK", (3, 2), (255, 255, 0, 0))
    plain = read_image(image)
    image.info["icc_profile"] = _cmyk_profile()

    rgb = read_image(image)

    # L* = 50 is the luminance 0.184, which is sRGB 119 (CIE 1976).
    np.testing.assert_allclose(rgb.astype(int), 119, atol=2)
    assert plain[0, 0].tolist() == [0, 0, 255]


def test_transparent_colors_are_converted_before_they_are_composited():
    """The white background is sRGB, whatever the profile of the image."""
    linear = _rgb_profile(SRGB, _gamma(1.0))
    opaque = 255 * _linear_to_srgb(np.array(100 / 255))
    rgba = np.full((1, 3, 4), 100, dtype=np.uint8)
    rgba[0, :, 3] = 255, 51, 0

    rgb = read_image(_encoded(rgba, linear))

    expected = [opaque, 0.2 * opaque + 0.8 * 255, 255]
    np.testing.assert_allclose(rgb[0, :, 0], expected, atol=2)


def test_palettes_are_converted():
    """The profile of an image with a palette describes the colors of the palette."""
    image = Image.new("P", (3, 2))
    image.putpalette([100, 100, 100])
    linear = _rgb_profile(SRGB, _gamma(1.0))
    file = io.BytesIO()
    image.save(file, "PNG", icc_profile=linear)

    expected = 255 * _linear_to_srgb(np.array(100 / 255))
    np.testing.assert_allclose(read_image(file).astype(float), expected, atol=1)


def test_an_image_with_a_profile_is_not_modified():
    """The image belongs to the caller."""
    colors = _levels()
    image = Image.fromarray(colors)
    image.info["icc_profile"] = WIDE_PROFILE

    assert not np.array_equal(read_image(image), colors)
    np.testing.assert_array_equal(np.asarray(image), colors)
    assert image.info == {"icc_profile": WIDE_PROFILE}


def test_threads_share_the_conversion():
    """Images are decoded by several threads at a time."""
    contents = [_encoded(_levels(seed=i), WIDE_PROFILE) for i in range(40)]
    expected = [read_image(content) for content in contents]

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(read_image, contents))

    for rgb, alone in zip(results, expected, strict=True):
        np.testing.assert_array_equal(rgb, alone)


def test_damaged_profiles_do_not_crash(tmp_path):
    """Little CMS is compiled code, so a crash would end the process."""
    profiles = [WIDE_PROFILE, _cmyk_profile(), SRGB_VARIANTS["26 samples"]]
    modes = ["RGB", "CMYK", "RGB"]
    np.save(tmp_path / "modes.npy", modes)
    for i, profile in enumerate(profiles):
        (tmp_path / f"{i}.icc").write_bytes(profile)
    program = f"""
        import numpy as np
        from PIL import Image
        from imgsim import read_image
        folder = {str(tmp_path)!r}
        rng = np.random.default_rng(0)
        for i, mode in enumerate(np.load(folder + "/modes.npy")):
            whole = open(f"{{folder}}/{{i}}.icc", "rb").read()
            for _ in range(30):
                content = bytearray(whole)
                for place in rng.integers(0, len(content), 4):
                    content[place] = rng.integers(256)
                image = Image.new(mode, (9, 9), (10, 20, 30, 40)[: len(mode)])
                image.info["icc_profile"] = bytes(content)
                assert read_image(image).shape == (9, 9, 3)
    """
    program = textwrap.dedent(program)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True
    )

    assert (done.returncode, done.stderr) == (0, "")
