"""Warnings that point at the caller's own line."""

import sys
import warnings

__all__ = ["warn_caller"]

_OURS = {"imgsim", "joblib", "sklearn"}


def warn_caller(message: str, category: type[Warning]) -> None:
    """Warn of the line that called imgsim, by way of scikit-learn or not."""
    frame, level = sys._getframe(1), 1
    while frame.f_back and _package_of(frame.f_globals) in _OURS:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level + 1)


def _package_of(names: dict[str, object]) -> str:
    return str(names.get("__name__", "")).partition(".")[0]
