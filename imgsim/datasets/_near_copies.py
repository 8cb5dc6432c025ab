"""Near copies of an image, of the kinds that occur in photo collections."""

import io
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from imgsim._short_repr import ImageBunch
from imgsim._validation import is_integer

__all__ = ["bunch_of_copies", "check_n_copies"]


def check_n_copies(n_copies: int) -> None:
    """Raise ValueError if there are not as many kinds of near copies."""
    if not is_integer(n_copies) or not 0 <= n_copies <= len(_VARIATIONS):
        raise ValueError(
            f"n_copies={n_copies!r} must be an integer, at least 0 and at most "
            f"{len(_VARIATIONS)}."
        )


def bunch_of_copies(
    originals: Sequence[tuple[str, Image.Image]], n_copies: int
) -> ImageBunch:
    """Return each image followed by its near copies, labeled by what it shows.

    Images with the same name have the same label.
    """
    variations = {"original": _unchanged} | dict(list(_VARIATIONS.items())[:n_copies])
    names = [name for name, _ in originals]
    target_names = list(dict.fromkeys(names))
    target = np.array([target_names.index(name) for name in names], dtype=np.int64)
    return ImageBunch(
        images=[
            np.asarray(vary(image))
            for _, image in originals
            for vary in variations.values()
        ],
        target=np.repeat(target, len(variations)),
        target_names=target_names,
        copy_names=list(variations) * len(originals),
    )


def _unchanged(image: Image.Image) -> Image.Image:
    return image


def _recompressed(image: Image.Image) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=20)
    return Image.open(file, formats=["JPEG"])


def _half_size(image: Image.Image) -> Image.Image:
    return image.resize((image.width // 2, image.height // 2))


def _cropped(image: Image.Image) -> Image.Image:
    margin = image.width // 10
    return ImageOps.crop(image, margin)


def _brighter(image: Image.Image) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(1.3)


def _rotated(image: Image.Image) -> Image.Image:
    # The margin that contains the empty corners is removed.
    return _cropped(image.rotate(5, Image.Resampling.BICUBIC))


def _gray(image: Image.Image) -> Image.Image:
    return ImageOps.grayscale(image).convert("RGB")


_VARIATIONS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "recompressed": _recompressed,
    "half size": _half_size,
    "cropped": _cropped,
    "brighter": _brighter,
    "rotated": _rotated,
    "mirrored": ImageOps.mirror,
    "gray": _gray,
}
