"""Listing of the image files of a folder, and of their classes."""

import os
import stat
from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal

import numpy as np
from sklearn.utils import Bunch

from imgsim._short_repr import ImageBunch
from imgsim._validation import StrOptions, validate_params
from imgsim._warnings import warn_caller
from imgsim.images.decoding._formats import allowed_extensions
from imgsim.images.listing._image_files import ImageFile, choose_paths, find_image_files

_CONSTRAINTS = {"on_error": [StrOptions({"warn", "raise"})]}


@validate_params(_CONSTRAINTS, prefer_skip_nested_validation=True)
def list_images(
    folder: str | os.PathLike[str],
    *,
    recursive: bool = True,
    extensions: Collection[str] | None = None,
    follow_symlinks: bool = False,
    exclude: Collection[str] | None = None,
    on_error: Literal["warn", "raise"] = "warn",
) -> list[Path]:
    """List the image files of a folder in a reproducible order.

    Files are selected by their extension, ignoring case, and are not opened. Each file
    is listed once, even if several links lead to it.

    Parameters
    ----------
    folder : str or path-like
        The folder to list.

    recursive : bool, default=True
        Whether to list subfolders too.

    extensions : collection of str, default=None
        Extensions to include, with or without the leading dot, ignoring case. An
        empty string includes files without an extension. None includes the extensions
        of all formats that :func:`read_image` can open, and warns about photographs
        in other formats.

    follow_symlinks : bool, default=False
        Whether to list folders that are symbolic links. Symbolic links to files are
        always listed, even if the target is missing. Reading a link without a target
        raises an error.

    exclude : collection of str, default=None
        Patterns of files and folders to leave out, with the wildcards of
        :mod:`fnmatch`, ignoring case. A pattern is compared with the name of each file
        and folder. If it contains a slash, it is compared with the path relative to
        `folder` instead, as in `2023/*_edited.jpg`, where an asterisk also matches
        slashes. None excludes names that start with a dot, and folders of thumbnails
        and deleted files, see Notes. An empty collection excludes nothing.

    on_error : {"warn", "raise"}, default="warn"
        What to do if a subfolder cannot be listed or a file cannot be examined, for
        example because permission is denied. "warn" lists the other files and issues
        one warning, "raise" raises the error.

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

    OSError
        If `folder` itself cannot be listed, or if a subfolder or file cannot be
        examined and `on_error="raise"`.

    TypeError
        If `extensions` or `exclude` is a single string, or contains objects that are
        not strings.

    Warns
    -----
    UserWarning
        If folders or files cannot be examined and `on_error="warn"`. If there are
        photographs in formats that cannot be opened, such as the raw formats of
        cameras, and `extensions` is None.

    See Also
    --------
    load_image_folder : List images whose classes are given by their subfolders.

    Notes
    -----
    A file with several paths is listed once: by the path that has the fewest symbolic
    links, so that a file takes precedence over links to it. Ties, such as hard links,
    are broken by the order of the result. Linked folders are treated in the same way.

    The patterns that are excluded by default are `.*`, `@eaDir`, `#recycle`,
    `#snapshot`, `@Recycle`, `@Recently-Snapshot`, `$RECYCLE.BIN`,
    `System Volume Information`, `__MACOSX`, `Network Trash Folder`, `lost+found`,
    `*.lrdata` and `*.photoslibrary/resources`. Patterns that you pass replace them.

    The list of formats depends on the version of Pillow and on the plugins that are
    registered in it. For the same list on every machine, pass `extensions`.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from imgsim import list_images
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ["b.JPG", "a.png", "a_small.png", ".hidden.png", "notes.txt"]:
    ...         Path(folder, name).touch()
    ...     [path.name for path in list_images(folder, exclude=[".*", "*_small.*"])]
    ['a.png', 'b.JPG']
    """
    root = _existing_folder(folder)
    files = find_image_files(
        root,
        recursive=recursive,
        extensions=extensions,
        follow_symlinks=follow_symlinks,
        exclude=exclude,
        on_error=on_error,
    )
    return [file.path for file in choose_paths(files)]


def is_image_path(source: Any) -> bool:
    """Return whether an object is a path with a common image extension."""
    if not isinstance(source, str | os.PathLike):
        return False
    return Path(os.fsdecode(source)).suffix.lower() in allowed_extensions()


@validate_params(_CONSTRAINTS, prefer_skip_nested_validation=True)
def load_image_folder(
    folder: str | os.PathLike[str],
    *,
    exclude: Collection[str] | None = None,
    on_error: Literal["warn", "raise"] = "warn",
) -> Bunch:
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

    exclude : collection of str, default=None
        Patterns of files and folders to leave out, as in :func:`list_images`.

    on_error : {"warn", "raise"}, default="warn"
        What to do if a subfolder or file cannot be examined, as in :func:`list_images`.

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

    OSError
        If `folder` itself cannot be listed, or if a subfolder or file cannot be
        examined and `on_error="raise"`.

    TypeError
        If `exclude` is a single string, or contains objects that are not strings.

    ValueError
        If no subfolder contains an image.

    Warns
    -----
    UserWarning
        If there are images directly in `folder`, which have no class and are skipped;
        if an image is in several classes; and in the cases of :func:`list_images`.

    See Also
    --------
    list_images : List the images of a folder without classes.

    Notes
    -----
    Each file is listed once, as by :func:`list_images`. If links to a file are in
    several classes, the file is listed only in the class of the path with the fewest
    symbolic links, or in the first of these classes, and there is a warning. An image
    with two classes would otherwise be in the training set and the test set at once.
    A file directly in `folder` is in a class if the class contains a link to it.

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
    files = find_image_files(root, exclude=exclude, on_error=on_error)
    class_of = {file: _class_of(file, root) for file in files}
    in_classes = [file for file in files if class_of[file] is not None]
    if not in_classes:
        raise ValueError(
            f"folder={str(folder)!r} must contain one subfolder of images for each "
            f"class, but no subfolder contains an image. Use list_images for images "
            f"without classes."
        )
    _warn_of_missing_classes(files, in_classes, root)
    chosen = choose_paths(in_classes)
    _warn_of_several_classes(chosen, in_classes, class_of)
    classes = [class_of[file] for file in chosen]
    target_names = list(dict.fromkeys(classes))
    position = {name: i for i, name in enumerate(target_names)}
    target = np.array([position[name] for name in classes], dtype=np.int64)
    paths = [file.path for file in chosen]
    return ImageBunch(paths=paths, target=target, target_names=target_names)


def _class_of(file: ImageFile, root: Path) -> str | None:
    parts = file.path.relative_to(root).parts
    return parts[0] if len(parts) > 1 else None


def _warn_of_missing_classes(
    files: list[ImageFile], in_classes: list[ImageFile], root: Path
) -> None:
    identities = {file.identity for file in files}
    n_unclassed = len(identities - {file.identity for file in in_classes})
    if n_unclassed:
        warn_caller(
            f"{n_unclassed} images directly in folder={str(root)!r} have no class "
            f"and are skipped. Move each image into the subfolder of its class.",
            UserWarning,
        )


def _warn_of_several_classes(
    chosen: list[ImageFile],
    in_classes: list[ImageFile],
    class_of: dict[ImageFile, str | None],
) -> None:
    listed = {file.identity: file for file in chosen}
    left_out = [
        file for file in in_classes if class_of[file] != class_of[listed[file.identity]]
    ]
    if left_out:
        n_images = len({file.identity for file in left_out})
        first = listed[left_out[0].identity].path
        warn_caller(
            f"{n_images} images are in several classes, and each is listed in one of "
            f"them only. The first is {str(first)!r}, which is the same file as "
            f"{str(left_out[0].path)!r}. Remove links from classes that are wrong.",
            UserWarning,
        )


def _existing_folder(folder: str | os.PathLike[str]) -> Path:
    """Return the folder, which exists and can be read."""
    root = Path(folder)
    try:
        mode = os.stat(root).st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        raise FileNotFoundError(f"folder={str(folder)!r} does not exist.") from error
    if not stat.S_ISDIR(mode):
        raise NotADirectoryError(
            f"folder={str(folder)!r} must be a folder, but is a file. To embed this "
            f"image alone, pass [{str(folder)!r}] to the embedder."
        )
    with os.scandir(root):
        return root
