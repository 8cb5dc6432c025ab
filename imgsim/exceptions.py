"""The errors and warnings a caller of imgsim may want to catch.

::

    Exception
     +-- ImgsimError
          +-- EmbeddingCacheError (OSError)         a cache of rows cannot be used
          +-- ImageReadError (ValueError)           one image cannot be read
          +-- IndexFileError (ValueError)           a saved index cannot be loaded
          +-- WeightsUnavailableError (OSError)     pretrained weights cannot be had
    Warning
     +-- EmbeddingCacheWarning (UserWarning)        rows are no longer kept
     +-- ImageReadWarning (UserWarning)             images were skipped, see `failures_`
     +-- WeakClustersWarning (UserWarning)          clusters are weak, or none was found
"""

__all__ = [
    "EmbeddingCacheError",
    "EmbeddingCacheWarning",
    "ImageReadError",
    "ImageReadWarning",
    "ImgsimError",
    "IndexFileError",
    "WeakClustersWarning",
    "WeightsUnavailableError",
]


class ImgsimError(Exception):
    """Base class of the errors that imgsim defines.

    Every subclass also derives from the builtin exception that fits it, so that code
    which knows nothing of imgsim can catch it too.

    Examples
    --------
    >>> from imgsim import read_image
    >>> from imgsim.exceptions import ImgsimError
    >>> try:
    ...     read_image(b"not a picture")
    ... except ImgsimError as error:
    ...     print(error)
    cannot read <13 bytes>: not an image, or in no format that Pillow knows.
    """


class EmbeddingCacheError(ImgsimError, OSError):
    """A cache of embeddings is damaged, of another program, or out of reach.

    The file is left as it is.

    Examples
    --------
    >>> from imgsim import EmbeddingCache
    >>> from imgsim.exceptions import EmbeddingCacheError
    >>> try:
    ...     EmbeddingCache("README.md").info()
    ... except EmbeddingCacheError as error:
    ...     print(str(error)[:49])
    cache='README.md' is damaged, or no cache of embe
    """


class ImageReadError(ImgsimError, ValueError):
    """One image cannot be read.

    Whatever the decoding library raised is the `__cause__` of this error.

    Parameters
    ----------
    source : str
        The path of the image as it was given, or a short description of an image in
        memory.

    reason : str
        What is wrong with it, in words.

    Examples
    --------
    >>> from imgsim import read_image
    >>> from imgsim.exceptions import ImageReadError
    >>> try:
    ...     read_image("missing.jpg")
    ... except ImageReadError as error:
    ...     print(error.source, "|", error.reason)
    missing.jpg | no such file.
    """

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(source, reason)
        self.source = source
        self.reason = reason

    def __str__(self) -> str:
        """Return one line that names the image and what is wrong with it."""
        return f"cannot read {self.source}: {self.reason}"


class IndexFileError(ImgsimError, ValueError):
    """A saved index is damaged, of another kind, or of a newer version of imgsim.

    The file is left as it is.

    Examples
    --------
    >>> from imgsim.exceptions import IndexFileError
    >>> issubclass(IndexFileError, ValueError)
    True
    """


class WeightsUnavailableError(ImgsimError, OSError):
    """Pretrained weights can be had neither from the network nor from the cache.

    Examples
    --------
    >>> from imgsim.exceptions import WeightsUnavailableError
    >>> issubclass(WeightsUnavailableError, OSError)
    True
    """


class EmbeddingCacheWarning(UserWarning):
    """Rows can no longer be kept, because a disk is full, say; the run goes on.

    Examples
    --------
    >>> import warnings
    >>> from imgsim.exceptions import EmbeddingCacheWarning
    >>> warnings.simplefilter("error", EmbeddingCacheWarning)  # to stop instead
    >>> warnings.simplefilter("default", EmbeddingCacheWarning)
    """


class ImageReadWarning(UserWarning):
    """Some images could not be read, and their rows hold NaN.

    Examples
    --------
    >>> import warnings
    >>> from imgsim import ColorHistogramEmbedder
    >>> from imgsim.exceptions import ImageReadWarning
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", ImageReadWarning)
    ...     X = ColorHistogramEmbedder(on_error="nan").fit_transform(["missing.jpg"])
    >>> bool(X.any() and X[0, 0] != X[0, 0])
    True
    """


class WeakClustersWarning(UserWarning):
    """Groups were found that mean little, or none; the message says what to try.

    Examples
    --------
    >>> import warnings
    >>> import numpy as np
    >>> from imgsim import select_k
    >>> from imgsim.exceptions import WeakClustersWarning
    >>> X = np.random.default_rng(0).normal(size=(200, 50))
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     selection = select_k(X, range(2, 5), random_state=0)
    >>> caught[0].category.__name__, str(caught[0].message)[:33]
    ('WeakClustersWarning', 'the clusters are barely separated')
    """
