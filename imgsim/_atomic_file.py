"""Atomic replacement of a file: a reader sees the old content or the new one."""

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

__all__ = ["check_target", "replace_file"]


def check_target(target: str | os.PathLike[str]) -> None:
    """Raise OSError unless `target` can be written as a regular file.

    Raises
    ------
    FileNotFoundError
        If the folder of `target` does not exist.

    OSError
        If `target` exists and is not a regular file.
    """
    name = os.fspath(target)
    folder = os.path.dirname(name) or os.curdir
    if not os.path.isdir(folder):
        raise FileNotFoundError(errno.ENOENT, "no such folder, create it first", folder)
    if os.path.exists(name) and not os.path.isfile(name):
        code = errno.EISDIR if os.path.isdir(name) else errno.EINVAL
        raise OSError(code, "not a regular file, pass another path", name)


@contextmanager
def replace_file(target: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a temporary file that replaces `target` when the block ends normally.

    The temporary file is created in the folder of `target`, under a random name, and is
    removed if the block raises. A file or link that already has this name is an error.
    The content is flushed to the disk before the replacement. If `target` is a symbolic
    link, the file that it points to is replaced.

    Parameters
    ----------
    target : str or PathLike
        Path of the file. If the file exists, its permissions are kept.

    Yields
    ------
    file : binary file
        Empty file, open for writing.
    """
    path = os.path.realpath(target)
    folder, name = os.path.split(path)
    # The name itself may be as long as the file system allows.
    temporary = os.path.join(folder, f".{name[:40]}.{secrets.token_hex(8)}.tmp")
    opened = open(temporary, "xb")  # noqa: SIM115  # a file that exists is not ours
    try:
        with opened as file:
            # Fails if there is no old file, or if the file system has no permissions.
            with suppress(OSError):
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


def _sync_folder(folder: str) -> None:
    with suppress(OSError):  # Windows cannot open a folder.
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
