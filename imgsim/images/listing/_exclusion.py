"""Exclusion of files and folders by patterns of their names."""

import fnmatch
import os
import re
import unicodedata
from collections.abc import Callable, Collection

__all__ = ["DEFAULT_EXCLUDE", "make_exclusion"]

# Folders that hold no photographs of the user, only thumbnails or deleted files.
DEFAULT_EXCLUDE: tuple[str, ...] = (
    ".*",  # hidden, such as .thumbnails, .Trash-1000, and ._1.jpg of macOS
    "@eaDir",  # Synology: thumbnails
    "#recycle",
    "#snapshot",
    "@Recycle",  # QNAP
    "@Recently-Snapshot",
    "$RECYCLE.BIN",  # Windows
    "System Volume Information",
    "__MACOSX",  # metadata in archives of macOS
    "Network Trash Folder",
    "lost+found",  # Linux
    "*.lrdata",  # Lightroom: previews
    "*.photoslibrary/resources",  # Photos of macOS: previews
)


def make_exclusion(exclude: Collection[str]) -> Callable[[str, str], bool]:
    """Return a function that decides whether a file or folder is excluded.

    Parameters
    ----------
    exclude : collection of str
        Patterns, as documented by `list_images`.

    Returns
    -------
    is_excluded : callable
        Function of a name, and of the path relative to the listed folder, whose parts
        are separated by slashes.
    """
    patterns = [_normalize(pattern) for pattern in exclude]
    names = [p for p in patterns if "/" not in p.rstrip("/")]
    paths = [p for p in patterns if "/" in p.rstrip("/")]
    is_name, is_path = _make_matcher(names), _make_matcher(paths)

    def is_excluded(name: str, path: str) -> bool:
        return is_name(_normalize(name)) or (bool(paths) and is_path(_normalize(path)))

    return is_excluded


def _normalize(text: str) -> str:
    # File systems return the same name in different cases and Unicode normal forms.
    return unicodedata.normalize("NFC", text).lower().replace(os.sep, "/")


def _make_matcher(patterns: Collection[str]) -> Callable[[str], bool]:
    expression = "|".join(fnmatch.translate(p.strip("/")) for p in patterns)
    match = re.compile(expression or "(?!)").match
    return lambda text: match(text) is not None
