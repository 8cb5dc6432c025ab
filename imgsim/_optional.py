"""Optional packages: imported where they are used, missed with one message."""

from importlib import import_module
from types import ModuleType

__all__ = ["import_optional"]

_EXTRA_OF = {"matplotlib": "plot"}


def import_optional(name: str, *, caller: str) -> ModuleType:
    """Import module `name`, or say which extra of the distribution brings it."""
    package = name.partition(".")[0]
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != package:
            raise
        raise ModuleNotFoundError(
            f"{caller} needs {package}: pip install "
            f"'scikit-imgsim[{_EXTRA_OF[package]}]'.",
            name=package,
        ) from error
