"""Checks of arguments that several displays take."""

from collections.abc import Sized

from imgsim._validation import is_integer


def check_length(name: str, images: Sized, n_expected: int, of_what: str) -> None:
    """Raise ValueError unless there is one image for each of the expected items."""
    if len(images) != n_expected:
        raise ValueError(
            f"{name} has length {len(images)}, but the number of {of_what} is "
            f"{n_expected}; both must be equal."
        )


def check_n_columns(n_columns: int) -> None:
    """Raise ValueError unless there is at least one column of images."""
    if not is_integer(n_columns) or n_columns < 1:
        raise ValueError(f"n_columns={n_columns!r} must be an integer, at least 1.")
