"""The one warning for images that could not be read."""

from imgsim._warnings import warn_caller
from imgsim.exceptions import ImageReadWarning
from imgsim.images._stream import ImageFailure

__all__ = ["warn_of_failures"]


def warn_of_failures(
    failures: list[ImageFailure], n_images: int, consequence: str
) -> None:
    """Warn once if images could not be read, and say what follows from that."""
    if failures:
        first = failures[0]
        warn_caller(
            f"{len(failures)} of {n_images} images could not be read; {consequence} "
            f"and `failures_` lists them. The first is image {first.index}, "
            f"{first.source}: {first.reason}",
            ImageReadWarning,
        )
