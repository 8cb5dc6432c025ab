"""Loader of crops of two color photographs, with near copies of each crop."""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance, ImageOps
from sklearn.datasets import load_sample_images
from sklearn.utils import Bunch

from imgsim._short_repr import ImageBunch
from imgsim._typing import PixelArray

_SIDE = 160
_GRID = (2, 4)


def load_sample_photos(*, n_crops: int = 8, n_copies: int = 5) -> Bunch:
    """Load crops of the sample photographs of scikit-learn, and near copies of them.

    Each of the two photographs, a temple in China and a dahlia, is divided into square
    crops that do not overlap. Each crop is followed by near copies of the kinds that
    occur in photo collections: recompressed, at half the size, cropped, brighter,
    rotated by five degrees, mirrored, and in gray.

    Parameters
    ----------
    n_crops : int, default=8
        Number of crops of each photograph, from 1 to 8.

    n_copies : int, default=5
        Number of near copies of each crop, from 0 to 7, in the order given above.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        Dictionary-like object with the following attributes.

        images : list of ndarray, each of shape (height, width, 3), dtype uint8
            Each crop, followed by its near copies.
        target : ndarray of shape (n_images,), dtype int64
            The crop that each image shows, as an index into `target_names`.
        target_names : list of str
            Names of the crops: the photograph and a number, such as "flower-3".
        copy_names : list of str
            How each image was made from its crop: "original", "recompressed",
            "half size", "cropped", "brighter", "rotated", "mirrored" or "gray".

    Raises
    ------
    ValueError
        If `n_crops` or `n_copies` is out of range.

    See Also
    --------
    load_digit_images : Load grayscale images of handwritten digits.

    Examples
    --------
    >>> from imgsim.datasets import load_sample_photos
    >>> data = load_sample_photos(n_crops=2, n_copies=2)
    >>> data.target, data.target_names[-1]
    (array([0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]), 'flower-2')
    """
    if not 1 <= n_crops <= _GRID[0] * _GRID[1]:
        raise ValueError(
            f"n_crops={n_crops} must be at least 1 and at most {_GRID[0] * _GRID[1]}."
        )
    if not 0 <= n_copies <= len(_VARIATIONS):
        raise ValueError(
            f"n_copies={n_copies} must be at least 0 and at most {len(_VARIATIONS)}."
        )
    variations = {"original": _unchanged} | dict(list(_VARIATIONS.items())[:n_copies])
    crops = _crops_by_name(n_crops)
    return ImageBunch(
        images=[
            np.asarray(vary(crop))
            for crop in crops.values()
            for vary in variations.values()
        ],
        target=np.repeat(np.arange(len(crops), dtype=np.int64), len(variations)),
        target_names=list(crops),
        copy_names=list(variations) * len(crops),
    )


def _crops_by_name(n_crops: int) -> dict[str, Image.Image]:
    photos = load_sample_images()
    names = [name.removesuffix(".jpg").rpartition("/")[2] for name in photos.filenames]
    return {
        f"{name}-{i + 1}": Image.fromarray(_crop(photo, i))
        for name, photo in zip(names, photos.images, strict=True)
        for i in range(n_crops)
    }


def _crop(photo: PixelArray, i: int) -> PixelArray:
    n_rows, n_columns = _GRID
    top = (i // n_columns) * (photo.shape[0] // n_rows) + 25
    left = (i % n_columns) * (photo.shape[1] // n_columns)
    return photo[top : top + _SIDE, left : left + _SIDE]


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
