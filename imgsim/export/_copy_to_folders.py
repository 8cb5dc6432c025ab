"""Export of the clusters of a collection as folders of image files."""

import errno
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
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imgsim._atomic_file import check_characters
from imgsim._validation import StrOptions, validate_params
from imgsim.export._label_table import label_table

_BUFFER_SIZE = 2**20
_MAX_NAME = 255  # bytes, on almost all file systems
_MAX_EXTENSION = 20  # a longer suffix is part of the name
# Some systems cannot create a folder with such a name, or resolve it to another one.
_FORBIDDEN = re.compile(r'^\.|[. ]$|[\x00-\x1f\x7f\ud800-\udfff<>:"/\\|?*]')
_NO_SPACE = (errno.EDQUOT, errno.ENOSPC, errno.EROFS)
_DEVICES = {"aux", "con", "conin$", "conout$", "nul", "prn"} | {
    f"{port}{number}" for port in ("com", "lpt") for number in "0123456789¹²³"
}


@validate_params(
    {
        "folder": [str, os.PathLike],
        "mode": [StrOptions({"copy", "symlink"})],
        "label_names": [Mapping, list, tuple, np.ndarray, None],
    },
    prefer_skip_nested_validation=True,
)
def copy_to_folders(
    paths: Sequence[str | os.PathLike[str]],
    labels: ArrayLike,
    folder: str | os.PathLike[str],
    *,
    mode: Literal["copy", "symlink"] = "copy",
    label_names: Mapping[int, str] | Sequence[str] | NDArray[Any] | None = None,
) -> list[Path]:
    """Copy the images of each cluster to a folder.

    No file is overwritten, moved or deleted. The folders of the clusters must not exist
    yet.

    Parameters
    ----------
    paths : sequence of str or path-like, of length n_images
        Paths of the image files, as passed to the embedder.

    labels : array-like of shape (n_images,)
        Cluster label of each image, an integer, such as `labels_` of an
        :class:`ImageClusterer`. The label -1 means noise.

    folder : str or path-like
        The folder in which a subfolder for each cluster is created. It is created if it
        does not exist. Its other contents are left unchanged.

    mode : {"copy", "symlink"}, default="copy"
        Whether to copy the files, or to create symbolic links to them. Links need no
        disk space, but editing a linked image changes the original file.

    label_names : mapping of int to str or sequence of str, default=None
        Name of the folder of each label. The default names are "cluster_00",
        "cluster_01" and so on, with as many digits as the largest label needs, and
        "noise" for the label -1.

    Returns
    -------
    written : list of Path, of length n_images
        Path of the copy of each image, or of the link to it, in the order of `paths`.
        Each starts with `folder`.

    Raises
    ------
    FileExistsError
        If the folder of a cluster exists, for example from a previous run, or if
        another process creates it at the same time.

    FileNotFoundError
        If one of `paths` does not exist.

    NotADirectoryError
        If `folder` is a file or a broken symbolic link.

    TypeError
        If `paths` does not contain paths, `labels` does not contain integers, or a key
        of `label_names` is not an integer.

    ValueError
        If `paths` and `labels` differ in length, if one of `paths` is not a regular
        file, if one of `label_names` is not a valid name of a folder on every system,
        or if two clusters would share a folder.

    OSError
        If a file cannot be read or written. The message contains both paths.

    See Also
    --------
    label_table : Return the clusters as a table, which can be written to a CSV file.

    Notes
    -----
    If several images of a cluster have the same name, a number is appended to the name
    of each but the first: "IMG_1.jpg", "IMG_1-2.jpg", "IMG_1-3.jpg". A name that would
    become too long is shortened. A path that is listed twice is copied twice.

    Calling the function again with the same `folder` raises an error, because two
    clusterings would be mixed. Pass another folder, or delete the previous results
    first.

    All input is validated before any folder is created. If a file cannot be read or
    written later, the files copied before are kept, and the incomplete copy is deleted.
    Only a process that is killed leaves an incomplete file. A copy has the modification
    time of the original file, and its permissions subject to the umask, except that the
    owner can always write to the copy, and that the setuid, setgid and sticky bits are
    not copied. If a path is a symbolic link, the file that it points to is copied.

    The time and the disk space needed are proportional to the size of the files. Memory
    use is constant.

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
    ...     written = copy_to_folders(paths, [0, 0, -1], Path(home, "out"))
    ...     [path.relative_to(home).as_posix() for path in written]
    ['out/cluster_00/1.jpg', 'out/cluster_00/1-2.jpg', 'out/noise/2.jpg']
    """
    table = label_table(paths, labels)
    sources, clusters = table["path"].tolist(), table["cluster"]
    for row, source in enumerate(sources):
        _check_source(row, source)
    folder_of = _folders_by_label(clusters, label_names, Path(folder))
    _check_folder(Path(folder), folder_of.values())
    _create_folders(Path(folder), folder_of.values())
    write = _copy if mode == "copy" else _symlink
    n_tries: Counter[Path] = Counter()
    return [
        _write_new(write, source, folder_of[label], n_tries)
        for source, label in zip(sources, clusters.tolist(), strict=True)
    ]


def _check_source(row: int, source: str) -> None:
    named = f"paths[{row}]={source!r}"
    if os.path.basename(source) in ("", ".", "..") or "\0" in source:
        raise ValueError(f"{named} must end with a file name.")
    try:
        kind = os.stat(source).st_mode
    except (FileNotFoundError, UnicodeEncodeError) as error:
        raise FileNotFoundError(f"{named} does not exist.") from error
    if not stat.S_ISREG(kind):
        raise ValueError(
            f"{named} must be a regular file, not a folder, a pipe or a device."
        )


def _folders_by_label(
    labels: NDArray[np.int64],
    label_names: Mapping[int, str] | Sequence[str] | NDArray[Any] | None,
    folder: Path,
) -> dict[int, Path]:
    names = _names_by_label(label_names)
    n_digits = max(2, len(str(labels.max(initial=0))))
    folder_of: dict[int, Path] = {}
    label_of: dict[str, int] = {}
    for label in np.unique(labels).tolist():
        default = f"cluster_{label:0{n_digits}}" if label >= 0 else "noise"
        name = names.get(label, default)
        _check_name(label, name)
        # On some file systems, "Cats" and "cats" are the same folder.
        first = label_of.setdefault(_normalize(name), label)
        if first != label:
            raise ValueError(
                f"label_names maps the labels {first} and {label} to the same folder, "
                f"{name!r}. To merge clusters, assign the same label to their images."
            )
        folder_of[label] = folder / name
    return folder_of


def _names_by_label(label_names: Any) -> dict[int, Any]:
    if label_names is None:
        return {}
    if not isinstance(label_names, Mapping):
        return dict(enumerate(label_names))
    for label in label_names:
        if not isinstance(label, Integral):
            raise TypeError(
                f"label_names has the key {label!r}, which must be an integer."
            )
    return dict(label_names)


def _check_name(label: int, name: Any) -> None:
    if not isinstance(name, str):
        raise TypeError(f"label_names[{label}]={name!r} must be a str.")
    is_device = name.partition(".")[0].rstrip().lower() in _DEVICES
    if not name or is_device or _FORBIDDEN.search(name) or _n_bytes(name) > _MAX_NAME:
        raise ValueError(
            f"label_names[{label}]={name!r} must be a valid folder name on every "
            f"system: 1 to {_MAX_NAME} bytes, without control characters and the "
            f'characters /\\<>:"|?*, not starting with a dot, not ending with a dot or '
            f"a space, and not a Windows device name such as 'nul'."
        )


def _normalize(name: str) -> str:
    return unicodedata.normalize("NFC", name.casefold())


def _n_bytes(name: str) -> int:
    return len(name.encode("utf-8", "surrogatepass"))


def _check_folder(folder: Path, subfolders: Iterable[Path]) -> None:
    check_characters(folder)
    if os.path.lexists(folder) and not folder.is_dir():
        kind = "a file" if folder.exists() else "a broken symbolic link"
        raise NotADirectoryError(
            f"folder={str(folder)!r} must be a folder, but is {kind}."
        )
    for subfolder in subfolders:
        if os.path.lexists(subfolder):  # unlike exists, true for broken links
            raise FileExistsError(
                f"folder={str(folder)!r} already contains {subfolder.name!r}. Pass "
                f"another folder, or delete the results of the previous run."
            )


def _create_folders(folder: Path, subfolders: Iterable[Path]) -> None:
    """Create the folders; one that exists by now is an error, even if it is a link."""
    folder.mkdir(parents=True, exist_ok=True)
    for subfolder in subfolders:
        try:
            subfolder.mkdir()
        except FileExistsError as error:
            raise FileExistsError(
                f"another process created {str(subfolder)!r} at the same time. Pass a "
                f"different folder than {str(folder)!r} in each process."
            ) from error


def _write_new(
    write: Callable[[str, Path], None],
    source: str,
    folder: Path,
    n_tries: Counter[Path],
) -> Path:
    """Write a file under the name of its source, with a number if the name exists."""
    preferred = folder / os.path.basename(source)
    while True:
        n_tries[preferred] += 1
        target = _append_number(preferred, n_tries[preferred])
        try:
            write(source, target)
        except FileExistsError:
            continue
        except OSError as error:
            reason = error.strerror or str(error)
            raise OSError(
                error.errno or errno.EIO, reason, source, None, str(target)
            ) from error
        return target


def _append_number(path: Path, number: int) -> Path:
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
    is_created = False
    try:
        with open(source, "rb") as original:
            status = os.fstat(original.fileno())
            # Windows cannot delete a file that is not writable.
            permissions = status.st_mode & 0o777 | stat.S_IWUSR
            with open(target, "xb", opener=partial(os.open, mode=permissions)) as copy:
                is_created = True
                shutil.copyfileobj(original, copy, _BUFFER_SIZE)
    except BaseException:
        if is_created:
            with suppress(OSError):
                os.unlink(target)
        raise
    # Not every file system can store every time.
    with suppress(OSError):
        os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def _symlink(source: str, target: Path) -> None:
    try:
        # Links within a collection stay valid if the whole collection is moved, so
        # they are not resolved.
        os.symlink(Path(source).absolute(), target)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise
        text = f"{error.strerror}; symbolic links are not possible, pass mode='copy'"
        raise OSError(error.errno, text) from error
