"""Checks whether queries or new rows belong to the embeddings of an index."""

from collections.abc import Callable

from numpy.typing import ArrayLike

from imgsim._distance.metric import BOOLEAN_METRICS
from imgsim.index._row_store import is_boolean

__all__ = ["check_fingerprint", "check_kind"]


def check_fingerprint(given: str | None, known: str | None) -> None:
    """Raise ValueError if two fingerprints are known and differ."""
    if None not in (given, known) and given != known:
        raise ValueError(
            f"fingerprint={given!r} differs from the fingerprint of the index, "
            f"{known!r}: compute X with the embedder of the indexed rows."
        )


def check_kind(
    X: ArrayLike, metric: str | Callable[..., float], has_boolean_rows: bool
) -> None:
    """Raise TypeError if X is boolean, but the rows of the index are numbers."""
    takes_booleans = metric in BOOLEAN_METRICS or has_boolean_rows
    if not takes_booleans and is_boolean(X):
        raise TypeError(
            "X is boolean, but the rows of the index are numbers, so distances "
            "between them have no meaning: convert X to numbers."
        )
