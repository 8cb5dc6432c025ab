"""Identity of files: all paths of one file, such as its links, share it."""

import os
import stat
from collections.abc import Hashable
from contextlib import suppress
from typing import Any

__all__ = ["identify_file", "identify_source"]


def identify_file(path: str | os.PathLike[str]) -> Hashable:
    """Return a value that is equal for all paths of a file or folder.

    Raises
    ------
    OSError
        If the file does not exist, or if its status cannot be read.
    """
    return _identity(os.stat(path), path)


def identify_source(source: Any) -> Hashable | None:
    """Return the identity of a path or an open file, and None for other sources."""
    # The path may be invalid, and an object with this method may have no file.
    with suppress(OSError, ValueError, TypeError, AttributeError):
        is_path = isinstance(source, str | os.PathLike)
        if is_path or hasattr(source, "fileno"):
            status = os.stat(source if is_path else source.fileno())
            if stat.S_ISREG(status.st_mode):
                path = source if is_path else getattr(source, "name", None)
                return _identity(status, path)
    return None


def _identity(status: os.stat_result, path: Any) -> Hashable:
    # Some file systems of Windows do not number their files.
    if status.st_ino:
        return status.st_dev, status.st_ino
    return os.path.normcase(os.path.realpath(os.fsdecode(path)))
