"""The warning about images that could not be read."""

from imgsim._warnings import warn_caller
from imgsim.exceptions import ImageReadWarning
from imgsim.images._stream import ImageFailure

__all__ = ["warn_of_failures"]


def warn_of_failures(
    failures: list[ImageFailure], n_images: int, consequence: str
) -> None:
    """Warn if images could not be read.

    Parameters
    ----------
    failures : list of ImageFailure
        The images that could not be read. There is no warning if the list is empty.

    n_images : int
        Number of images in the collection.

    consequence : str
        How these images are treated, as a main clause such as "their rows are NaN".
    """
    if failures:
        first = failures[0]
        warn_caller(
            f"{len(failures)} of {n_images} images could not be read; {consequence}. "
            f"`failures_` lists them. The first is image {first.row}, "
            f"{first.source}: {first.reason}",
            ImageReadWarning,
        )
