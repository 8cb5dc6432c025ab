"""Folders of images: which files there are, and which class each belongs to."""

import os
import unicodedata
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils import Bunch

from imgsim._warnings import warn_caller

# The raster formats that photographs and scans come in and Pillow reads on every
# platform; fixed here, so that a folder is listed alike on every machine.
# fmt: off
_EXTENSIONS = frozenset((
    ".avif", ".bmp", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".mpo",
    ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tga", ".tif", ".tiff", ".webp",
))
# fmt: on


def list_images(
    folder: str | os.PathLike[str],
    *,
    recursive: bool = True,
    extensions: Collection[str] | None = None,
    follow_symlinks: bool = False,
) -> list[Path]:
    """List the image files of a folder in an order that is the same everywhere.

    Files are chosen by their extension, in any case, and are not opened. Hidden files
    and folders (a name that starts with a dot) are left out.

    Parameters
    ----------
    folder : str or path-like
        The folder to list.

    recursive : bool, default=True
        Whether to descend into subfolders.

    extensions : collection of str, default=None
        Extensions to keep, with or without the dot, in any case. An empty string
        keeps files without an extension. None keeps the usual raster formats: avif,
        bmp, gif, jfif, jp2, jpe, jpeg, jpg, mpo, pbm, pgm, png, pnm, ppm, tga, tif,
        tiff, webp.

    follow_symlinks : bool, default=False
        Whether to descend into linked folders; each real folder is entered once. A
        linked file is listed either way, also when its target is missing: reading it
        then says so.

    Returns
    -------
    paths : list of Path
        Each begins with `folder`. Sorted by the names on the way from `folder`,
        compared as Unicode code points, folder by folder. Empty if there is no image.

    Raises
    ------
    FileNotFoundError
        If `folder` does not exist.

    NotADirectoryError
        If `folder` is a file.

    TypeError
        If `extensions` is a single string.

    See Also
    --------
    load_image_folder : Images with the name of their subfolder as class.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from imgsim import list_images
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ["b.JPG", "a.png", ".hidden.png", "notes.txt"]:
    ...         Path(folder, name).touch()
    ...     [path.name for path in list_images(folder)]
    ['a.png', 'b.JPG']
    """
    root = _existing_folder(folder)
    wanted = _normalized_extensions(extensions)
    paths = (
        path
        for path in _walk(root, recursive=recursive, follow_symlinks=follow_symlinks)
        if path.suffix.lower() in wanted
    )
    return sorted(paths, key=lambda path: _sort_key(path.relative_to(root)))


def is_image_path(source: Any) -> bool:
    """Tell whether this is a path with one of the usual extensions."""
    if not isinstance(source, str | os.PathLike):
        return False
    return Path(source).suffix.lower() in _normalized_extensions(None)


def load_image_folder(folder: str | os.PathLike[str]) -> Bunch:
    """List the images of a folder whose subfolders are classes.

    The layout is that of `torchvision.datasets.ImageFolder` and of
    `sklearn.datasets.load_files`: `folder/class_name/.../image.jpg`. Pixels are not
    read; pass `paths` to an embedder. The images come sorted by class: to
    cross-validate, shuffle them, as `StratifiedKFold(shuffle=True)` does.

    Parameters
    ----------
    folder : str or path-like
        The folder that holds one subfolder for each class.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        With the attributes

        paths : list of Path
            Image files, sorted as by :func:`list_images`.
        target : ndarray of shape (n_images,), dtype int64
            Class of each image, a position in `target_names`.
        target_names : list of str
            Names of the subfolders that hold an image, sorted.

    Raises
    ------
    FileNotFoundError
        If `folder` does not exist.

    NotADirectoryError
        If `folder` is a file.

    ValueError
        If no subfolder holds an image.

    Warns
    -----
    UserWarning
        If images lie directly in `folder`: they have no class and are left out.

    See Also
    --------
    list_images : Images of a folder without classes.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from imgsim import load_image_folder
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ["lion/1.jpg", "zebra/1.jpg", "zebra/2.jpg"]:
    ...         Path(folder, name).parent.mkdir(exist_ok=True)
    ...         Path(folder, name).touch()
    ...     data = load_image_folder(folder)
    >>> data.target_names, data.target
    (['lion', 'zebra'], array([0, 1, 1]))
    """
    root = _existing_folder(folder)
    parts_of = {path: path.relative_to(root).parts for path in list_images(root)}
    paths = [path for path, parts in parts_of.items() if len(parts) > 1]
    if not paths:
        raise ValueError(
            f"folder={str(folder)!r} must hold one subfolder of images for each class, "
            f"and has none; for images without classes use list_images."
        )
    n_unclassed = len(parts_of) - len(paths)
    if n_unclassed:
        warn_caller(
            f"{n_unclassed} images lie directly in {str(folder)!r}, belong to no class "
            f"and are left out; move each into the subfolder of its class.",
            UserWarning,
        )
    classes = [parts_of[path][0] for path in paths]
    target_names = list(dict.fromkeys(classes))
    position = {name: i for i, name in enumerate(target_names)}
    target = np.array([position[name] for name in classes], dtype=np.int64)
    return Bunch(paths=paths, target=target, target_names=target_names)


def _existing_folder(folder: str | os.PathLike[str]) -> Path:
    root = Path(folder)
    if not root.exists():
        raise FileNotFoundError(f"folder={str(folder)!r} does not exist.")
    if not root.is_dir():
        raise NotADirectoryError(
            f"folder={str(folder)!r} is a file, not a folder; pass [{str(folder)!r}] "
            f"to an embedder to embed this one image."
        )
    return root


def _normalized_extensions(extensions: Collection[str] | None) -> Collection[str]:
    if extensions is None:
        return _EXTENSIONS
    if isinstance(extensions, str):
        raise TypeError(
            f"extensions={extensions!r} must be a collection of str; "
            f"pass [{extensions!r}]."
        )
    bare = (extension.lower().removeprefix(".") for extension in extensions)
    return {f".{name}" if name else "" for name in bare}


def _walk(root: Path, *, recursive: bool, follow_symlinks: bool) -> Iterator[Path]:
    """Yield the visible files below `root`, each real folder entered once."""
    entered = set()
    for folder, subfolders, names in os.walk(
        root, onerror=_raise, followlinks=follow_symlinks
    ):
        real = os.path.realpath(folder)
        if real in entered:
            subfolders.clear()
            continue
        entered.add(real)
        subfolders[:] = sorted(n for n in subfolders if recursive and n[0] != ".")
        yield from (Path(folder, name) for name in names if name[0] != ".")


def _raise(error: OSError) -> None:
    raise error


def _sort_key(path: Path) -> tuple[tuple[str, str], ...]:
    # File systems differ in the Unicode form in which they hand a name back.
    return tuple((unicodedata.normalize("NFC", part), part) for part in path.parts)
