"""Search for the image files of a folder, with one warning of each kind."""

import errno
import os
import unicodedata
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from imgsim._warnings import warn_caller
from imgsim.images.decoding._formats import allowed_extensions
from imgsim.images.listing._exclusion import DEFAULT_EXCLUDE, make_exclusion
from imgsim.images.listing._file_identity import identify_file
from imgsim.images.listing._folder_walk import FoundFile, walk_folder
from imgsim.images.listing._unsupported_files import (
    PHOTO_EXTENSIONS,
    warn_of_unsupported,
)

__all__ = ["ImageFile", "choose_paths", "find_image_files"]

_MAX_NAMED = 3


class ImageFile(NamedTuple):
    """A path of a file, and the identity of the file, which all its paths share."""

    path: Path
    n_links: int
    identity: Hashable


def find_image_files(
    root: Path,
    *,
    recursive: bool = True,
    extensions: Collection[str] | None = None,
    follow_symlinks: bool = False,
    exclude: Collection[str] | None = None,
    on_error: Literal["warn", "raise"] = "warn",
) -> list[ImageFile]:
    """Return all paths of image files, sorted, with the parameters of `list_images`."""
    errors: list[OSError] = []
    report = errors.append if on_error == "warn" else _raise
    wanted, unsupported = _wanted_and_unsupported(extensions)
    patterns = DEFAULT_EXCLUDE
    if exclude is not None:
        patterns = tuple(_checked_strings("exclude", exclude))
    images, others = [], []
    for file in walk_folder(
        root,
        recursive=recursive,
        follow_symlinks=follow_symlinks,
        is_excluded=make_exclusion(patterns),
        report=report,
    ):
        extension = file.path.suffix.lower()
        if extension in wanted:
            images.append(file)
        elif extension in unsupported:
            others.append(file)
    found = sorted(_identify(images, report), key=lambda file: _sort_key(file, root))
    photos = choose_paths(_identify(others, report))
    warn_of_unsupported([photo.path for photo in photos], root)
    _warn_of_errors(errors, root)
    return found


def choose_paths(files: Iterable[ImageFile]) -> list[ImageFile]:
    """Return one path of each file: the first of those with the fewest links."""
    ordered = list(files)
    chosen: dict[Hashable, ImageFile] = {}
    for file in sorted(ordered, key=lambda file: file.n_links):
        chosen.setdefault(file.identity, file)
    return [file for file in ordered if chosen[file.identity] is file]


def _wanted_and_unsupported(
    extensions: Collection[str] | None,
) -> tuple[Collection[str], Collection[str]]:
    if extensions is None:
        allowed = allowed_extensions()
        return allowed, PHOTO_EXTENSIONS - allowed
    checked = _checked_strings("extensions", extensions)
    bare = (extension.lower().removeprefix(".") for extension in checked)
    return {f".{name}" if name else "" for name in bare}, ()


def _checked_strings(name: str, values: Collection[str]) -> list[str]:
    if isinstance(values, str | bytes | os.PathLike) or not isinstance(
        values, Iterable
    ):
        raise TypeError(
            f"{name}={values!r} must be a collection of str. Pass [{values!r}]."
        )
    strings = list(values)
    for value in strings:
        if not isinstance(value, str):
            raise TypeError(f"{name} contains {value!r}, which must be a str.")
    return strings


def _identify(
    files: Iterable[FoundFile], report: Callable[[OSError], None]
) -> Iterator[ImageFile]:
    """Yield the files whose status can be read, and links without a target."""
    for file in files:
        try:
            yield ImageFile(*file, identify_file(file.path))
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ELOOP):
                report(error)
            elif os.path.islink(file.path):
                yield ImageFile(*file, file.path)


def _raise(error: OSError) -> None:
    raise error


def _sort_key(file: ImageFile, root: Path) -> tuple[tuple[str, str], ...]:
    # File systems return the same name in different Unicode normal forms.
    parts = file.path.relative_to(root).parts
    return tuple((unicodedata.normalize("NFC", part), part) for part in parts)


def _warn_of_errors(errors: Collection[OSError], root: Path) -> None:
    reasons = {str(error.filename): error.strerror for error in errors}
    if not reasons:
        return
    first = sorted(reasons.items())[:_MAX_NAMED]
    named = ", ".join(f"{path!r} ({reason})" for path, reason in first)
    more = ", and others" if len(reasons) > len(first) else ""
    warn_caller(
        f"{len(reasons)} folders or files in folder={str(root)!r} could not be "
        f"examined, and their images are not listed: {named}{more}. Pass "
        f"on_error='raise' to raise an error instead.",
        UserWarning,
    )
