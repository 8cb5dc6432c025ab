"""Exclusion of files and folders by patterns of their names."""

import fnmatch
import os
import re
import unicodedata
from collections.abc import Callable, Collection

__all__ = ["DEFAULT_EXCLUDE", "make_exclusion"]

# Folders that hold no photographs of the user, only thumbnails or deleted files.
DEFAULT_EXCLUDE = (
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


def make_exclusion(exclude: Collection[str] | None) -> Callable[[str, str], bool]:
    """Return a function that decides whether a file or folder is excluded.

    Parameters
    ----------
    exclude : collection of str or None
        Patterns, as documented by `list_images`.

    Returns
    -------
    is_excluded : callable
        Function of a name, and of the path relative to the listed folder, whose parts
        are separated by slashes.

    Raises
    ------
    TypeError
        If `exclude` is a single string, or contains other objects than strings.
    """
    patterns = [_normalize(p) for p in _checked_patterns(exclude)]
    names = [p for p in patterns if "/" not in p.rstrip("/")]
    paths = [p for p in patterns if "/" in p.rstrip("/")]
    is_name, is_path = _make_matcher(names), _make_matcher(paths)

    def is_excluded(name: str, path: str) -> bool:
        return is_name(_normalize(name)) or (bool(paths) and is_path(_normalize(path)))

    return is_excluded


def _checked_patterns(exclude: Collection[str] | None) -> Collection[str]:
    if exclude is None:
        return DEFAULT_EXCLUDE
    if isinstance(exclude, str | bytes):
        raise TypeError(
            f"exclude={exclude!r} must be a collection of str. Pass [{exclude!r}]."
        )
    for pattern in exclude:
        if not isinstance(pattern, str):
            raise TypeError(f"exclude contains {pattern!r}, which must be a str.")
    return exclude


def _normalize(text: str) -> str:
    # File systems return the same name in different cases and Unicode normal forms.
    return unicodedata.normalize("NFC", text).lower().replace(os.sep, "/")


def _make_matcher(patterns: Collection[str]) -> Callable[[str], bool]:
    expression = "|".join(fnmatch.translate(p.strip("/")) for p in patterns)
    match = re.compile(expression or "(?!)").match
    return lambda text: match(text) is not None
