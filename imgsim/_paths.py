"""Checks of the paths that users pass."""

import os

__all__ = ["check_path"]


def check_path(name: str, path: object) -> str:
    """Return a path as a str, or raise an error that names the parameter.

    Whether there is a file is not checked.

    Raises
    ------
    TypeError
        If `path` is neither a str nor a path-like object of a str.

    ValueError
        If no file can have this name.
    """
    text = os.fspath(path) if isinstance(path, os.PathLike) else path
    if not isinstance(text, str):
        raise TypeError(f"{name}={path!r} must be a str or a path-like object.")
    try:
        is_encodable = b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        is_encodable = False
    if not is_encodable:
        raise ValueError(
            f"{name}={text!r} contains a character that no file name can contain; "
            f"use another path."
        )
    return text
