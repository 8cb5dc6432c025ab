"""Groups as folders of files, to look at with any viewer and to hand on."""

import os
import re
import shutil
import stat
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imgsim._validation import StrOptions, validate_params
from imgsim.export._label_table import label_table

_BLOCK = 2**20
_MAX_NAME = 255  # bytes, on nearly every file system
_MAX_EXTENSION = 20  # a longer one is a dot within a name
# A folder with such a name can be made on some systems only, or leads elsewhere.
_FORBIDDEN = re.compile(r'^\.|[. ]$|[\x00-\x1f\x7f\ud800-\udfff<>:"/\\|?*]')
_DEVICES = {"aux", "con", "conin$", "conout$", "nul", "prn"} | {
    f"{port}{number}" for port in ("com", "lpt") for number in "0123456789¹²³"
}


@validate_params(
    {
        "folder": [str, os.PathLike],
        "mode": [StrOptions({"copy", "link"})],
        "names": [Mapping, list, tuple, np.ndarray, None],
    },
    prefer_skip_nested_validation=True,
)
def copy_to_folders(
    paths: Sequence[str | os.PathLike[str]],
    labels: ArrayLike,
    folder: str | os.PathLike[str],
    *,
    mode: str = "copy",
    names: Mapping[int, str] | Sequence[str] | None = None,
) -> list[Path]:
    """Copy images into one folder for each group.

    Nothing is ever overwritten, moved or deleted: the folders of the groups must be
    new, and the originals stay where they are.

    Parameters
    ----------
    paths : sequence of str or path-like, of length n_images
        The images' files, as given to the embedder.

    labels : array-like of shape (n_images,)
        Group of each image, an integer; -1 for an image in none. `labels_` of an
        :class:`ImageClusterer` is meant.

    folder : str or path-like
        Where the folders of the groups are made. It is made, too, if it does not exist;
        what else it holds is left alone.

    mode : {"copy", "link"}, default="copy"
        Whether to copy the files, or to make symbolic links to them, which takes no
        space. Who opens a link and edits the image edits the original.

    names : mapping of int to str or sequence of str, default=None
        Name of the folder of each group, by its label. Groups that have none go to
        "group_00", "group_01" and so on, with as many digits as the largest label
        needs, and images without a group to "no_group".

    Returns
    -------
    written : list of Path, of length n_images
        The new files; row i is the copy of image i, or the link to it. Each begins with
        `folder`.

    Raises
    ------
    FileExistsError
        If the folder of a group exists, as after a former run, or if another program
        makes it at the same time.

    FileNotFoundError
        If a file of `paths` does not exist.

    NotADirectoryError
        If `folder` is a file, or a link to nowhere.

    TypeError
        If `paths` are not paths, `labels` not integers, or `names` not by integers.

    ValueError
        If lengths differ; if one of `paths` is not a regular file; if one of `names`
        cannot name a folder on every system, or two groups would share it.

    OSError
        If a file cannot be read or written; both are named.

    See Also
    --------
    label_table : The groups as a table, which can be written to a CSV file.

    Notes
    -----
    Of images of the same name in one group, the first keeps it: "IMG_1.jpg",
    "IMG_1-2.jpg", "IMG_1-3.jpg". Names too long for a number are shortened. A file that
    stands in `paths` twice is copied twice.

    A second run into the same `folder` is refused, rather than mix two groupings or
    double every image: take another folder, or delete the first yourself.

    All of the input is checked before anything is made. When a file cannot be read or
    written later, those before it stay and it leaves nothing behind; only a process
    that is killed leaves the file it was at unfinished. A copy has the time of change
    of the original, and its permissions as far as the umask allows them; its owner may
    always write it, and setuid and the like are left out. Of an original that is a link
    itself, the file is copied.

    Copying takes the time and space of all the bytes, and no memory to speak of.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from imgsim import copy_to_folders
    >>> with tempfile.TemporaryDirectory() as home:
    ...     paths = [Path(home, name) for name in ["may/1.jpg", "june/1.jpg", "2.jpg"]]
    ...     for path in paths:
    ...         path.parent.mkdir(exist_ok=True)
    ...         path.touch()
    ...     written = copy_to_folders(paths, [0, 0, -1], Path(home, "groups"))
    ...     [path.relative_to(home).as_posix() for path in written]
    ['groups/group_00/1.jpg', 'groups/group_00/1-2.jpg', 'groups/no_group/2.jpg']
    """
    table = label_table(paths, labels)
    sources, groups = table["path"].tolist(), table["group"]
    for row, source in enumerate(sources):
        _check_source(row, source)
    folder_of = _folders_by_group(groups, names, Path(folder))
    _check_folder(Path(folder), folder_of.values())
    _make_folders(Path(folder), folder_of.values())
    write = _copy if mode == "copy" else _link
    tries: Counter[Path] = Counter()
    return [
        _write_new(write, source, folder_of[group], tries)
        for source, group in zip(sources, groups.tolist(), strict=True)
    ]


def _check_source(row: int, source: str) -> None:
    named = f"paths[{row}]={source!r}"
    if os.path.basename(source) in ("", ".", "..") or "\0" in source:
        raise ValueError(f"{named} must end with the name of a file.")
    try:
        kind = os.stat(source).st_mode
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{named} does not exist.") from error
    if not stat.S_ISREG(kind):
        raise ValueError(
            f"{named} must be a regular file, not a folder, a pipe or a device."
        )


def _folders_by_group(
    groups: NDArray[np.int64],
    names: Mapping[int, str] | Sequence[str] | None,
    folder: Path,
) -> dict[int, Path]:
    given = _names_by_label(names)
    n_digits = max(2, len(str(groups.max(initial=0))))
    folder_of: dict[int, Path] = {}
    label_of: dict[str, int] = {}
    for label in np.unique(groups).tolist():
        name = f"group_{label:0{n_digits}}" if label >= 0 else "no_group"
        name = given.get(label, name)
        _check_name(label, name)
        # Some file systems take "Cats" and "cats" for the same folder.
        first = label_of.setdefault(_folded(name), label)
        if first != label:
            raise ValueError(
                f"names leads to the same folder, {name!r}, for the labels {first} and "
                f"{label}; to join groups, give their images one label."
            )
        folder_of[label] = folder / name
    return folder_of


def _names_by_label(names: Any) -> dict[int, Any]:
    if names is None:
        return {}
    if not isinstance(names, Mapping):
        return dict(enumerate(names))
    for label in names:
        if not isinstance(label, Integral):
            raise TypeError(f"names has the key {label!r}, which must be an integer.")
    return dict(names)


def _check_name(label: int, name: Any) -> None:
    if not isinstance(name, str):
        raise TypeError(f"names[{label}]={name!r} must be a str.")
    is_device = name.partition(".")[0].rstrip().lower() in _DEVICES
    if not name or is_device or _FORBIDDEN.search(name) or _n_bytes(name) > _MAX_NAME:
        raise ValueError(
            f"names[{label}]={name!r} must be a plain name of a folder: 1 to "
            f'{_MAX_NAME} bytes, without any of /\\<>:"|?* and control characters, no '
            f"dot at the start, no dot or space at the end, no device of Windows."
        )


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name.casefold())


def _n_bytes(name: str) -> int:
    return len(name.encode("utf-8", "surrogatepass"))


def _check_folder(folder: Path, subfolders: Iterable[Path]) -> None:
    if os.path.lexists(folder) and not folder.is_dir():
        kind = "a file" if folder.exists() else "a link to nowhere"
        raise NotADirectoryError(f"folder={str(folder)!r} is {kind}, not a folder.")
    for subfolder in subfolders:
        if os.path.lexists(subfolder):  # a link to nowhere exists, too
            raise FileExistsError(
                f"folder={str(folder)!r} already has {subfolder.name!r}; pass another, "
                f"or delete what a former run left there."
            )


def _make_folders(folder: Path, subfolders: Iterable[Path]) -> None:
    """Make folders that nobody else uses, and that are no links to elsewhere."""
    folder.mkdir(parents=True, exist_ok=True)
    for subfolder in subfolders:
        try:
            subfolder.mkdir()
        except FileExistsError as error:
            raise FileExistsError(
                f"another program made {str(subfolder)!r} at the same time; pass a "
                f"folder={str(folder)!r} of its own to each."
            ) from error


def _write_new(
    write: Callable[[str, Path], None],
    source: str,
    folder: Path,
    tries: Counter[Path],
) -> Path:
    """Write under the name of the source or, where that is taken, with a number."""
    wanted = folder / os.path.basename(source)
    while True:
        tries[wanted] += 1
        target = _numbered(wanted, tries[wanted])
        try:
            write(source, target)
        except FileExistsError:
            continue
        except OSError as error:
            raise OSError(
                error.errno, error.strerror, source, None, str(target)
            ) from error
        return target


def _numbered(path: Path, number: int) -> Path:
    if number == 1:
        return path
    stem, extension = os.path.splitext(path.name)
    if len(extension) > _MAX_EXTENSION:
        stem, extension = path.name, ""
    end = f"-{number}{extension}"
    while _n_bytes(stem + end) > _MAX_NAME:
        stem = stem[:-1]
    return path.with_name(stem + end)


def _copy(source: str, target: Path) -> None:
    is_ours = False
    try:
        with open(source, "rb") as original:
            status = os.fstat(original.fileno())
            # Windows deletes no file that its owner may not write.
            permissions = status.st_mode & 0o777 | stat.S_IWUSR
            with open(target, "xb", opener=partial(os.open, mode=permissions)) as copy:
                is_ours = True
                shutil.copyfileobj(original, copy, _BLOCK)
    except BaseException:
        if is_ours:
            with suppress(OSError):
                os.unlink(target)
        raise
    # Not every file system holds every time.
    with suppress(OSError):
        os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def _link(source: str, target: Path) -> None:
    try:
        # Not the real path: who moves a collection moves its own links with it.
        os.symlink(Path(source).absolute(), target)
    except FileExistsError:
        raise
    except OSError as error:
        text = f"{error.strerror}; no links can be made here, pass mode='copy'"
        raise OSError(error.errno, text) from error
