"""Loader of handwritten digits as grayscale images."""

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.utils import Bunch

from imgsim._short_repr import ImageBunch
from imgsim._typing import PixelArray
from imgsim._validation import is_integer


def load_digit_images(*, n_per_class: int | None = None, size: int = 32) -> Bunch:
    """Load the handwritten digits of scikit-learn as images.

    Parameters
    ----------
    n_per_class : int, default=None
        Number of images of each of the ten digits, in the order of scikit-learn. None
        loads all 1,797 images.

    size : int, default=32
        Height and width of the images in pixels. The original images of 8 x 8 pixels
        are enlarged by bicubic interpolation.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        Dictionary-like object with the following attributes.

        images : ndarray of shape (n_images, size, size), dtype uint8
            Grayscale images of white digits on a black background.
        target : ndarray of shape (n_images,), dtype int64
            The digit, from 0 to 9.
        target_names : list of str
            Names of the classes, from "0" to "9".

    Raises
    ------
    ValueError
        If `n_per_class` or `size` is not an integer of at least 1.

    See Also
    --------
    load_sample_photos : Load crops of color photographs and near copies of them.

    References
    ----------
    .. [1] E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits",
       UCI Machine Learning Repository, 1998.

    Examples
    --------
    >>> from imgsim.datasets import load_digit_images
    >>> data = load_digit_images(n_per_class=5)
    >>> data.images.shape, data.target[:4]
    ((50, 32, 32), array([0, 1, 2, 3]))
    """
    given = {"size": size}
    if n_per_class is not None:
        given["n_per_class"] = n_per_class
    for name, value in given.items():
        if not is_integer(value) or value < 1:
            raise ValueError(f"{name}={value!r} must be an integer, at least 1.")
    digits = load_digits()
    rows = np.sort(
        np.concatenate(
            [
                np.flatnonzero(digits.target == digit)[:n_per_class]
                for digit in range(10)
            ]
        )
    )
    levels = np.rint(digits.images[rows] * (255 / 16)).astype(np.uint8)
    images = np.stack([_enlarge(level, size) for level in levels])
    return ImageBunch(
        images=images,
        target=digits.target[rows].astype(np.int64),
        target_names=[str(digit) for digit in range(10)],
    )


def _enlarge(level: PixelArray, size: int) -> PixelArray:
    image = Image.fromarray(level).resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(image)
