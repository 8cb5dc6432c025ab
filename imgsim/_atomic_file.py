"""Atomic replacement of a file: a reader sees the old content or the new one."""

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

__all__ = ["check_characters", "check_target", "replace_file"]


def check_characters(path: str | os.PathLike[str]) -> None:
    """Raise ValueError if a path contains a character that no file name can contain."""
    try:
        with suppress(OSError):
            os.lstat(path)
    except ValueError as error:
        raise ValueError(
            f"the path {os.fspath(path)!r} contains a character that no file name can "
            f"contain ({error}). Pass another path."
        ) from error


def check_target(target: str | os.PathLike[str]) -> None:
    """Raise OSError unless `target` can be written as a regular file.

    Raises
    ------
    FileNotFoundError
        If the folder of `target` does not exist.

    OSError
        If `target` exists and is not a regular file.

    ValueError
        If `target` contains a character that no file name can contain.
    """
    name = os.fspath(target)
    check_characters(name)
    folder = os.path.dirname(name) or os.curdir
    if not os.path.isdir(folder):
        raise FileNotFoundError(errno.ENOENT, "no such folder, create it first", folder)
    if os.path.exists(name) and not os.path.isfile(name):
        code = errno.EISDIR if os.path.isdir(name) else errno.EINVAL
        raise OSError(code, "not a regular file, pass another path", name)


@contextmanager
def replace_file(
    target: str | os.PathLike[str], *, follow_link: bool = True
) -> Iterator[BinaryIO]:
    """Open a temporary file that replaces `target` when the block ends normally.

    The temporary file is created in the folder of `target`, under a random name, and is
    removed if the block raises. A file or link that already has this name is an error.
    The content is flushed to the disk before the replacement.

    Parameters
    ----------
    target : str or PathLike
        Path of the file. If the file exists, its permissions are kept.

    follow_link : bool, default=True
        Whether a symbolic link `target` is followed, so that the file that it points to
        is replaced. If False, the link itself is replaced.

    Yields
    ------
    file : binary file
        Empty file, open for writing.

    Raises
    ------
    OSError
        If the file cannot be written, for example because the disk is full. The error
        names `target`, unless the block raised it for another file.

    ValueError
        If `target` contains a character that no file name can contain.
    """
    check_characters(target)
    path = os.path.realpath(target) if follow_link else os.path.abspath(target)
    folder, name = os.path.split(path)
    # The name itself may be as long as the file system allows.
    temporary = os.path.join(folder, f".{name[:40]}.{secrets.token_hex(8)}.tmp")
    with _named_errors(temporary, os.fspath(target)):
        opened = open(temporary, "xb")  # noqa: SIM115  # a file that exists is not ours
        try:
            with opened as file:
                # Fails without an old file, and on file systems without permissions.
                with suppress(OSError):
                    if not os.path.islink(path):
                        shutil.copymode(path, temporary)
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise
    _sync_folder(folder)


@contextmanager
def _named_errors(temporary: str, target: str) -> Iterator[None]:
    """Name the target in errors that name the temporary file, or no file at all."""
    try:
        yield
    except OSError as error:
        if error.filename not in (None, temporary):
            raise
        if error.errno is None:  # a filename would replace the message
            error.args = (f"{error}: {target!r}",)
        else:
            error.filename = target
            if error.filename2 is not None:  # os.replace names both files
                del error.filename2
        raise


def _sync_folder(folder: str) -> None:
    with suppress(OSError):  # Windows cannot open a folder.
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
