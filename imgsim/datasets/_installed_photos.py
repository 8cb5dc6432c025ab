"""Loader of the photographs that installed packages contain, with near copies."""

from collections.abc import Iterator
from pathlib import Path

from PIL import Image
from sklearn.utils import Bunch

from imgsim._optional import import_optional
from imgsim._warnings import warn_caller
from imgsim.datasets._near_copies import bunch_of_copies, check_n_copies

_LONGER_SIDE = 400

# The files of each package, relative to its folder, and what they show.
_FILES = {
    "sklearn": {
        "datasets/images/china.jpg": "temple",
        "datasets/images/flower.jpg": "dahlia",
    },
    "skimage": {
        "data/astronaut.png": "astronaut",
        "data/brick.png": "bricks",
        "data/camera.png": "photographer",
        "data/chelsea.png": "cat",
        "data/coffee.png": "coffee",
        "data/coins.png": "coins",
        "data/grass.png": "grass",
        "data/gravel.png": "gravel",
        "data/hubble_deep_field.jpg": "galaxies",
        "data/ihc.png": "tissue",
        "data/moon.png": "moon",
        "data/motorcycle_left.png": "motorcycle",
        "data/motorcycle_right.png": "motorcycle",
        "data/page.png": "page",
        "data/retina.jpg": "retina",
        "data/rocket.jpg": "rocket",
    },
    "matplotlib": {"mpl-data/sample_data/grace_hopper.jpg": "officer"},
}


def load_installed_photos(*, n_copies: int = 5) -> Bunch:
    """Load photographs that installed packages contain, and near copies of them.

    scikit-learn, scikit-image and matplotlib contain photographs for their own
    examples: a temple, a flower, an astronaut, a cat, a cup of coffee, a rocket, the
    moon, a motorcycle from two sides, textures such as grass and gravel, and others.
    Each photograph is reduced to at most 400 pixels along its longer side, and is
    followed by near copies of the kinds that occur in photo collections: recompressed,
    at half the size, cropped, brighter, rotated by five degrees, mirrored, and in gray.

    Parameters
    ----------
    n_copies : int, default=5
        Number of near copies of each photograph, from 0 to 7, in the order given above.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        Dictionary-like object with the following attributes.

        images : list of ndarray, each of shape (height, width, 3), dtype uint8
            Each photograph, followed by its near copies.
        target : ndarray of shape (n_images,), dtype int64
            What each image shows, as an index into `target_names`. The two photographs
            of the motorcycle have the same target.
        target_names : list of str
            Names of what the photographs show, such as "cat".
        copy_names : list of str
            How each image was made from its photograph: "original", "recompressed",
            "half size", "cropped", "brighter", "rotated", "mirrored" or "gray".

    Raises
    ------
    ValueError
        If `n_copies` is out of range.
    ModuleNotFoundError
        If scikit-image or matplotlib is not installed. The extra `demo` installs both.

    Warns
    -----
    UserWarning
        If a photograph is not in the installed version of its package. It is left out.

    See Also
    --------
    load_sample_photos : Load crops of two photographs, and near copies of them.

    Notes
    -----
    The files are read where they are installed, and nothing is downloaded. Most of the
    photographs are in the public domain, and the packages document where they come
    from. The temple, by danielbuechele, and the flower, by vultilion, are licensed
    under CC BY 2.0.

    Examples
    --------
    >>> from imgsim.datasets import load_installed_photos
    >>> data = load_installed_photos(n_copies=2)
    >>> len(data.images), data.copy_names[:3]
    (57, ['original', 'recompressed', 'half size'])
    >>> print(*data.target_names[:6])
    temple dahlia astronaut bricks photographer cat
    """
    check_n_copies(n_copies)
    photos = [(name, _read_reduced(path)) for name, path in _find_files()]
    return bunch_of_copies(photos, n_copies)


def _find_files() -> Iterator[tuple[str, Path]]:
    for package, names in _FILES.items():
        module = import_optional(package, caller="load_installed_photos")
        for file, name in names.items():
            path = Path(str(module.__file__)).parent / file
            if path.is_file():
                yield name, path
            else:
                warn_caller(
                    f"the photograph {name!r} is left out, because the installed "
                    f"version of {package} does not contain the file {file!r}.",
                    UserWarning,
                )


def _read_reduced(path: Path) -> Image.Image:
    with Image.open(path, formats=["JPEG", "PNG"]) as file:
        photo = file.convert("RGB")
    photo.thumbnail((_LONGER_SIDE, _LONGER_SIDE))
    return photo
