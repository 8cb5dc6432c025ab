"""Folders of image files, relative to the folder that contains all of them."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def is_path(source: Any) -> bool:
    """Return whether an image source is the path of a file."""
    return isinstance(source, str | os.PathLike)


def relative_folders(sources: Sequence[Any]) -> list[str]:
    """Return the folder of each path below the folder that contains all of them.

    Its parts are separated by slashes. It is empty for files directly in the common
    folder, and for images in memory.
    """
    folders = [_folder(source) if is_path(source) else None for source in sources]
    known = [folder for folder in folders if folder is not None]
    try:
        common = os.path.commonpath(known) if known else ""
    except ValueError:  # on several drives of Windows
        common = ""
    return ["" if folder is None else _below(folder, common) for folder in folders]


def _folder(source: Any) -> str:
    return os.path.dirname(os.path.abspath(os.fsdecode(source)))


def _below(folder: str, common: str) -> str:
    path = Path(folder)
    return "/".join((path.relative_to(common) if common else path).parts)
