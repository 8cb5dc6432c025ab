"""Warnings that are attributed to the code that calls imgsim."""

import sys
import warnings

__all__ = ["warn_caller"]

# A context manager that is used as a decorator calls a function from contextlib.
_SKIPPED_PACKAGES = {"contextlib", "imgsim", "joblib", "sklearn"}


def warn_caller(message: str, category: type[Warning]) -> None:
    """Issue a warning that points at the user's line of code.

    Frames of imgsim are skipped, and so are frames of scikit-learn and joblib, which
    may call imgsim on behalf of the user.
    """
    frame, level = sys._getframe(1), 1
    while frame.f_back and _package_of(frame.f_globals) in _SKIPPED_PACKAGES:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level + 1)


def _package_of(names: dict[str, object]) -> str:
    return str(names.get("__name__", "")).partition(".")[0]
