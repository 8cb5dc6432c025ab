"""Walk through the files of a folder, in which errors are reported and not raised."""

import errno
import os
from collections.abc import Callable, Hashable, Iterator
from contextlib import suppress
from heapq import heappop, heappush
from pathlib import Path
from typing import NamedTuple

from imgsim.images.listing._file_identity import identify_file

__all__ = ["FoundFile", "walk_folder"]


class FoundFile(NamedTuple):
    """A file, and the number of symbolic links that lead to it."""

    path: Path
    n_links: int


class _Folder(NamedTuple):
    n_links: int
    path: Path
    relative: str  # path relative to the root, with a slash at its end


def walk_folder(
    root: Path,
    *,
    recursive: bool,
    follow_symlinks: bool,
    is_excluded: Callable[[str, str], bool],
    report: Callable[[OSError], None],
) -> Iterator[FoundFile]:
    """Yield the files of a folder that are not excluded.

    Each folder is entered once, by the path that has the fewest symbolic links and is
    the first of these. An error is passed to `report`, and the walk continues.
    """
    entered: set[Hashable] = set()
    to_enter = [_Folder(0, root, "")]
    while to_enter:
        folder = heappop(to_enter)
        for entry in _scan_once(folder.path, entered, report):
            relative = folder.relative + entry.name
            if is_excluded(entry.name, relative):
                continue
            path, n_links = folder.path / entry.name, folder.n_links + _is_link(entry)
            may_enter = recursive and (follow_symlinks or n_links == folder.n_links)
            if not _is_folder(entry, report if follow_symlinks else None):
                yield FoundFile(path, n_links)
            elif may_enter:
                heappush(to_enter, _Folder(n_links, path, f"{relative}/"))


def _scan_once(
    folder: Path, entered: set[Hashable], report: Callable[[OSError], None]
) -> Iterator["os.DirEntry[str]"]:
    """Yield the entries of a folder, unless it was entered before."""
    try:
        identity = identify_file(folder)
        if identity in entered:
            return
        entered.add(identity)
        with os.scandir(folder) as entries:
            yield from entries
    except OSError as error:
        report(error)


def _is_link(entry: "os.DirEntry[str]") -> bool:
    with suppress(OSError):
        return entry.is_symlink()
    return False


def _is_folder(
    entry: "os.DirEntry[str]", report: Callable[[OSError], None] | None
) -> bool:
    """Return whether an entry is a folder, or a link to one, as far as is known."""
    try:
        return entry.is_dir()
    except OSError as error:
        if report and error.errno != errno.ELOOP:
            report(error)
        return False
