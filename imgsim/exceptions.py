"""Custom errors and warnings used across imgsim.

Each error also derives from a built-in exception, so that code without knowledge of
imgsim can catch it.

::

    Exception
     +-- ImgsimError
          +-- EmbeddingCacheError (OSError)         a cache of embeddings cannot be used
          +-- ImageReadError (ValueError)           an image cannot be read
          +-- IndexFileError (ValueError)           a saved index cannot be loaded
          +-- WeightsUnavailableError (OSError)     pretrained weights cannot be loaded
    Warning
     +-- EmbeddingCacheWarning (UserWarning)        new embeddings are not cached
     +-- ImageReadWarning (UserWarning)             some images could not be read
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

    Each subclass also derives from a built-in exception, so that code without
    knowledge of imgsim can catch it.

    Examples
    --------
    >>> from imgsim import read_image
    >>> from imgsim.exceptions import ImgsimError
    >>> try:
    ...     read_image(b"not an image")
    ... except ImgsimError as error:
    ...     print(error)
    cannot read <12 bytes>: not an image, or not in a format that is supported.
    """


class EmbeddingCacheError(ImgsimError, OSError):
    """A file cannot be used as a cache of embeddings.

    The file is damaged, was not written by :class:`~imgsim.EmbeddingCache`, or cannot
    be accessed. It is left unchanged.

    Examples
    --------
    >>> from imgsim import EmbeddingCache
    >>> from imgsim.exceptions import EmbeddingCacheError
    >>> try:
    ...     EmbeddingCache("README.md").info()
    ... except EmbeddingCacheError as error:
    ...     print(error)  # doctest: +ELLIPSIS
    cache='README.md' ...
    """


class ImageReadError(ImgsimError, ValueError):
    """An image cannot be read.

    The exception raised by the decoding library is the `__cause__` of this error.

    Parameters
    ----------
    source : str
        Path of the image as it was passed, or a short description of an image in
        memory.

    reason : str
        Why the image cannot be read.

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
        """Return a one-line message that names the image and the reason."""
        return f"cannot read {self.source}: {self.reason}"


class IndexFileError(ImgsimError, ValueError):
    """A file cannot be loaded as a saved index.

    The file is damaged, does not contain an index, or was written by a newer version
    of imgsim. It is left unchanged.

    Examples
    --------
    >>> from imgsim.exceptions import IndexFileError
    >>> issubclass(IndexFileError, ValueError)
    True
    """


class WeightsUnavailableError(ImgsimError, OSError):
    """Pretrained weights are not cached locally and cannot be downloaded.

    Examples
    --------
    >>> from imgsim.exceptions import WeightsUnavailableError
    >>> issubclass(WeightsUnavailableError, OSError)
    True
    """


class EmbeddingCacheWarning(UserWarning):
    """New embeddings are not cached: the disk is full, or the file can only be read.

    The embedder still returns all embeddings.

    Examples
    --------
    >>> import warnings
    >>> from imgsim.exceptions import EmbeddingCacheWarning
    >>> warnings.simplefilter("error", EmbeddingCacheWarning)  # raise instead
    >>> warnings.simplefilter("default", EmbeddingCacheWarning)
    """


class ImageReadWarning(UserWarning):
    """Some images could not be read.

    Their embeddings are NaN, and training ignores them.

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
    """The clusters are weak, or none was found; the message suggests a remedy.

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
    >>> [warning.category.__name__ for warning in caught]
    ['WeakClustersWarning']
    """
