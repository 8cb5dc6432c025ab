"""What a page of pictures shows of each image, as plain lists for JSON."""

import math
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imgsim._distance.metric import JACCARD, make_metric
from imgsim._html import as_text
from imgsim._validation import find_readable_rows
from imgsim.display._checks import check_embeddings, check_length
from imgsim.display._labels import as_label_column, name_label
from imgsim.images._thumbnails import thumbnail_data_uris
from imgsim.index import SimilarityIndex

_QUOTED_PATH = re.compile(r"""(?<!\w)b?(['"])((?!\1).)*[/\\].*?\1""")


class Groups(NamedTuple):
    """The names of groups, and the position among them of each image's own.

    `outside` is the position of what stands for no group, or None.
    """

    names: list[str]
    of_image: NDArray[np.int64]
    outside: int | None = None


class Pictures(NamedTuple):
    """Where a page finds each picture, and what is wrong with those it cannot show."""

    addresses: list[str | None]
    reasons: dict[int, str]


def image_names(sources: Sequence[Any], what: str = "image") -> list[str]:
    """Return the file names of paths, and a number for each image in memory."""
    return [_file_name(s) or f"{what} {i}" for i, s in enumerate(sources)]


def embedded_pictures(shown: Mapping[str, Sequence[Any]], size: int) -> Pictures:
    """Return thumbnails that are their own addresses, and why others are missing."""
    sources = [source for part in shown.values() for source in part]
    addresses, failures = thumbnail_data_uris(sources, size)
    reasons = {
        failure.row: as_text(_without_paths(failure.reason, sources[failure.row]))
        for failure in failures
    }
    return Pictures(addresses, reasons)


def linked_pictures(shown: Mapping[str, Sequence[Any]], page: Path) -> Pictures:
    """Return the addresses of files as seen from a page."""
    folder = page.absolute().parent
    addresses: list[str | None] = []
    for name, sources in shown.items():
        for i, source in enumerate(sources):
            if not isinstance(source, str | os.PathLike):
                raise ValueError(
                    f"thumbnails='link' refers to files, but {name}[{i}] is of type "
                    f"{type(source).__name__}: pass paths, or thumbnails='embed'."
                )
            addresses.append(_address(Path(os.fsdecode(source)), folder))
    return Pictures(addresses, {})


def make_groups(
    labels: ArrayLike | None,
    names: Mapping[int, str] | Sequence[str] | None,
    n_images: int,
) -> Groups | None:
    """Return the groups, sorted by label; those below 0, for no group, are the last."""
    if labels is None:
        if names is not None:
            raise ValueError("label_names name labels; pass labels, too.")
        return None
    column = as_label_column(labels)
    check_length("images", range(n_images), len(column), "labels")
    found, group_of = np.unique(column, return_inverse=True)
    if column.dtype.kind == "U":
        if names is not None:
            raise ValueError("label_names are for integers, but labels are strings.")
        return Groups([as_text(label) for label in found], group_of)
    order = np.argsort(found < 0, kind="stable")
    rank = np.argsort(order, kind="stable")
    named = [as_text(name_label(found[i].item(), names)) for i in order]
    outside = len(found) - 1 if found[0] < 0 else None
    return Groups(named, rank[group_of], outside)


def make_index(
    X: ArrayLike | None, metric: Any, n_images: int
) -> SimilarityIndex | None:
    """Return an index of the rows, or None where no image has an embedding."""
    if X is None:
        return None
    rows = check_embeddings("X", X)
    check_length("images", range(n_images), len(rows), "rows of X")
    if not find_readable_rows(rows).any():
        return None
    index: SimilarityIndex = SimilarityIndex(metric=metric).fit(X)
    return index


def find_neighbors(
    index: SimilarityIndex | None,
    n_queries: int,
    queries: ArrayLike | None = None,
    *,
    k: int,
    max_distance: float | None,
) -> list[list[list[Any]] | None]:
    """Return rows and distances of the neighbours of each query, None if unreadable.

    Without queries each row of the index is one, and not its own neighbour.
    """
    if index is None:
        return [None] * n_queries
    readable = index.readable_
    if queries is not None:
        readable = find_readable_rows(np.asarray(queries))
    result = index.search(queries, k, max_distance)
    return [
        [found.tolist(), rounded(away)] if known else None
        for found, away, known in zip(
            result.rows, result.distances, readable, strict=True
        )
    ]


def center_distances(
    X: ArrayLike | None, group_of: NDArray[np.int64], metric: Any
) -> list[float | None] | None:
    """Return the distance of each image from the mean of its group.

    A mean says nothing by a metric of sets or of SciPy's; then there are none.
    """
    if X is None:
        return None
    rows = np.asarray(X)
    means = make_metric(metric, None, rows)
    if means.kind is None or means.kind == JACCARD:
        return None
    distances = np.full(len(rows), np.nan)
    readable = find_readable_rows(rows)
    for group in np.unique(group_of[readable]):
        members = np.flatnonzero(readable & (group_of == group))
        inside, terms = rows[members], means.compute_terms(rows[members])
        center = means.transform(inside, terms).mean(axis=0, keepdims=True)
        center_terms = means.compute_terms(center)
        to_center = means.pairwise_distances(inside, terms, center, center_terms)
        distances[members] = to_center[:, 0]
    return rounded(distances)


def scaled_positions(
    positions: ArrayLike | None, n_images: int
) -> list[list[float] | None] | None:
    """Return places in the unit square, in proportion; None for images without one."""
    if positions is None:
        return None
    places = np.asarray(positions, dtype=np.float64)
    if places.ndim != 2 or places.shape[1] != 2:
        raise ValueError(
            f"positions must have the shape (n_images, 2); got {places.shape}."
        )
    check_length("images", range(n_images), len(places), "positions")
    placed = np.asarray(np.isfinite(places).all(axis=1))
    known = places[placed]
    if len(known):
        low, high = known.min(axis=0), known.max(axis=0)
        extent = (high - low).max()
        places = (places - (low + high) / 2) / (extent if extent > 0 else 1) + 0.5
    return [
        [round(x, 4), round(y, 4)] if is_placed else None
        for (x, y), is_placed in zip(places.tolist(), placed.tolist(), strict=True)
    ]


def rounded(values: NDArray[Any]) -> list[float | None]:
    """Return numbers with five digits; None for what JSON has no word for."""
    return [float(f"{v:.5g}") if math.isfinite(v) else None for v in values.tolist()]


def _without_paths(reason: str, source: Any) -> str:
    """Return a reason that does not tell where the file was."""
    if isinstance(source, str | os.PathLike):
        with suppress(TypeError):  # a path-like object that returns no path
            path = os.fsdecode(source)
            reason = reason.replace(repr(path), "")
            for known in (os.path.realpath(path), os.path.abspath(path)):
                reason = reason.replace(known, "")
    return _QUOTED_PATH.sub("", reason).rstrip(" :") or "the file could not be read"


def _file_name(source: Any) -> str:
    if isinstance(source, str | os.PathLike):
        with suppress(TypeError):  # a path-like object that returns no path
            return as_text(Path(os.fsdecode(source)).name)
    return ""


def _address(path: Path, folder: Path) -> str:
    try:
        relative = Path(os.path.relpath(path.absolute(), folder))
    except ValueError:  # on another drive of Windows
        return path.absolute().as_uri()
    return "/".join(quote(os.fsencode(part), safe="") for part in relative.parts)
