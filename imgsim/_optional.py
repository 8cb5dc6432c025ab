"""Import of optional packages, with one message if a package is missing."""

from importlib import import_module
from types import ModuleType

__all__ = ["import_optional"]

_EXTRA_OF = {"matplotlib": "plot", "skimage": "demo", "sknetwork": "graph"}
_NAME_OF = {
    "skimage": "scikit-image",
    "sknetwork": "scikit-network",
    "umap": "umap-learn",
}


def import_optional(name: str, *, caller: str) -> ModuleType:
    """Import a module, or raise an error that says how to install its package."""
    package = name.partition(".")[0]
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != package:
            raise
        wanted = _NAME_OF.get(package, package)
        extra = _EXTRA_OF.get(package)
        source = f"'scikit-imgsim[{extra}]'" if extra else wanted
        raise ModuleNotFoundError(
            f"{caller} needs {wanted}: pip install {source}.", name=package
        ) from error
