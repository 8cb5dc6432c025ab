"""Listing of the image files of a folder, and of their classes."""

import os
import unicodedata
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils import Bunch

from imgsim._warnings import warn_caller

# Raster formats of photographs and scans that Pillow reads on every platform. The set
# is fixed, so that listing a folder gives the same result on every machine.
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
    """List the image files of a folder in a reproducible order.

    Files are selected by their extension, ignoring case, and are not opened. Hidden
    files and folders, whose name starts with a dot, are skipped.

    Parameters
    ----------
    folder : str or path-like
        The folder to list.

    recursive : bool, default=True
        Whether to list subfolders too.

    extensions : collection of str, default=None
        Extensions to include, with or without the leading dot, ignoring case. An
        empty string includes files without an extension. None includes the common
        raster formats: avif, bmp, gif, jfif, jp2, jpe, jpeg, jpg, mpo, pbm, pgm, png,
        pnm, ppm, tga, tif, tiff, webp.

    follow_symlinks : bool, default=False
        Whether to list folders that are symbolic links. Each target folder is listed
        once. Symbolic links to files are always listed, even if the target is missing.
        Reading a link without a target raises an error.

    Returns
    -------
    paths : list of Path
        Paths of the image files, each starting with `folder`. They are sorted by
        their parts relative to `folder`, which are compared by Unicode code point.
        The list is empty if there are no images.

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
    load_image_folder : List images whose classes are given by their subfolders.

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
    """Return whether an object is a path with a common image extension."""
    if not isinstance(source, str | os.PathLike):
        return False
    return Path(source).suffix.lower() in _normalized_extensions(None)


def load_image_folder(folder: str | os.PathLike[str]) -> Bunch:
    """List the images of a folder that has one subfolder for each class.

    The layout `folder/class_name/.../image.jpg` is the one expected by
    `torchvision.datasets.ImageFolder` and `sklearn.datasets.load_files`. The images
    are not read; pass `paths` to an embedder. Images are sorted by class, so use a
    splitter that shuffles for cross-validation, such as
    `StratifiedKFold(shuffle=True)`.

    Parameters
    ----------
    folder : str or path-like
        The folder that contains one subfolder for each class.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        Dictionary-like object with the following attributes.

        paths : list of Path
            Paths of the image files, in the order of :func:`list_images`.
        target : ndarray of shape (n_images,), dtype int64
            Class of each image, as an index into `target_names`.
        target_names : list of str
            Sorted names of the subfolders that contain an image.

    Raises
    ------
    FileNotFoundError
        If `folder` does not exist.

    NotADirectoryError
        If `folder` is a file.

    ValueError
        If no subfolder contains an image.

    Warns
    -----
    UserWarning
        If there are images directly in `folder`. They have no class and are skipped.

    See Also
    --------
    list_images : List the images of a folder without classes.

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
            f"folder={str(folder)!r} must contain one subfolder of images for each "
            f"class, but no subfolder contains an image. Use list_images for images "
            f"without classes."
        )
    n_unclassed = len(parts_of) - len(paths)
    if n_unclassed:
        warn_caller(
            f"{n_unclassed} images directly in folder={str(folder)!r} have no class "
            f"and are skipped. Move each image into the subfolder of its class.",
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
            f"folder={str(folder)!r} must be a folder, but is a file. To embed this "
            f"image alone, pass [{str(folder)!r}] to the embedder."
        )
    return root


def _normalized_extensions(extensions: Collection[str] | None) -> Collection[str]:
    if extensions is None:
        return _EXTENSIONS
    if isinstance(extensions, str):
        raise TypeError(
            f"extensions={extensions!r} must be a collection of str. Pass "
            f"[{extensions!r}]."
        )
    bare = (extension.lower().removeprefix(".") for extension in extensions)
    return {f".{name}" if name else "" for name in bare}


def _walk(root: Path, *, recursive: bool, follow_symlinks: bool) -> Iterator[Path]:
    """Yield the files below `root` that are not hidden, each folder once."""
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
    # File systems return the same name in different Unicode normal forms.
    return tuple((unicodedata.normalize("NFC", part), part) for part in path.parts)
