"""Cuts of two colour photographs, and near copies of each cut."""

import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps
from sklearn.datasets import load_sample_images
from sklearn.utils import Bunch

_SIDE = 160
_GRID = (2, 4)


def load_sample_photos(*, n_crops: int = 8, n_copies: int = 5) -> Bunch:
    """Cut scikit-learn's two photographs into pictures and near copies of them.

    Each photograph, a temple in China and a dahlia, is cut into square pictures that
    do not overlap. Each picture is followed by its near copies, as a photo collection
    would hold them: recompressed, half as large, cropped, brighter, turned by five
    degrees, mirrored, grey.

    Parameters
    ----------
    n_crops : int, default=8
        Number of pictures cut from each photograph, 1 to 8.

    n_copies : int, default=5
        Number of near copies of each picture, 0 to 7, in the order given above.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        With the attributes

        images : list of ndarray, each (height, width, 3) uint8
            A picture, then its copies, then the next picture.
        target : ndarray of shape (n_images,), dtype int64
            Which picture this one is or copies, a position in `target_names`.
        target_names : list of str
            Photograph and number of the cut, such as "flower-3".
        copy_names : list of str
            What was done to each image; "original" for the picture itself.

    Raises
    ------
    ValueError
        If `n_crops` or `n_copies` is out of range.

    See Also
    --------
    load_digit_images : Grey pictures of ten digits.

    Examples
    --------
    >>> from imgsim.datasets import load_sample_photos
    >>> data = load_sample_photos(n_crops=2, n_copies=2)
    >>> data.target, data.target_names[-1]
    (array([0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]), 'flower-2')
    """
    if not 1 <= n_crops <= _GRID[0] * _GRID[1]:
        raise ValueError(f"n_crops={n_crops} must be 1 to {_GRID[0] * _GRID[1]}.")
    if not 0 <= n_copies <= len(_VARIATIONS):
        raise ValueError(f"n_copies={n_copies} must be 0 to {len(_VARIATIONS)}.")
    variations = {"original": _unchanged} | dict(list(_VARIATIONS.items())[:n_copies])
    cuts = _cuts(n_crops)
    return Bunch(
        images=[
            np.asarray(vary(cut))
            for cut in cuts.values()
            for vary in variations.values()
        ],
        target=np.repeat(np.arange(len(cuts), dtype=np.int64), len(variations)),
        target_names=list(cuts),
        copy_names=list(variations) * len(cuts),
    )


def _cuts(n_crops: int) -> dict[str, Image.Image]:
    photos = load_sample_images()
    names = [name.removesuffix(".jpg").rpartition("/")[2] for name in photos.filenames]
    return {
        f"{name}-{i + 1}": Image.fromarray(_cut(photo, i))
        for name, photo in zip(names, photos.images, strict=True)
        for i in range(n_crops)
    }


def _cut(photo: NDArray[np.uint8], i: int) -> NDArray[np.uint8]:
    n_rows, n_columns = _GRID
    top = (i // n_columns) * (photo.shape[0] // n_rows) + 25
    left = (i % n_columns) * (photo.shape[1] // n_columns)
    return photo[top : top + _SIDE, left : left + _SIDE]


def _unchanged(image: Image.Image) -> Image.Image:
    return image


def _recompressed(image: Image.Image) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=20)
    return Image.open(file)


def _half_size(image: Image.Image) -> Image.Image:
    return image.resize((image.width // 2, image.height // 2))


def _cropped(image: Image.Image) -> Image.Image:
    margin = image.width // 10
    return ImageOps.crop(image, margin)


def _brighter(image: Image.Image) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(1.3)


def _turned(image: Image.Image) -> Image.Image:
    # Turned inside its own frame, then cut to where there are pixels.
    return _cropped(image.rotate(5, Image.Resampling.BICUBIC))


def _grey(image: Image.Image) -> Image.Image:
    return ImageOps.grayscale(image).convert("RGB")


_VARIATIONS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "recompressed": _recompressed,
    "half size": _half_size,
    "cropped": _cropped,
    "brighter": _brighter,
    "turned": _turned,
    "mirrored": ImageOps.mirror,
    "grey": _grey,
}
