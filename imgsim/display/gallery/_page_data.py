"""Data of a gallery page about its images, as plain lists for JSON."""

import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imgsim._distance.metric import JACCARD, MetricName, make_metric
from imgsim._html import as_text
from imgsim._validation import check_embeddings, find_readable_rows
from imgsim.display._checks import check_length
from imgsim.display._folders import relative_folders
from imgsim.display._labels import LabelNames, as_label_column, name_label
from imgsim.images._thumbnails import thumbnail_data_uris
from imgsim.index import SimilarityIndex

_QUOTED_PATH = re.compile(r"""(?<!\w)b?(['"])((?!\1).)*[/\\].*?\1""")


class PageClusters(NamedTuple):
    """Names of clusters, and the position of the cluster of each image among them.

    `noise` is the position of the entry for noise, or None.
    """

    names: list[str]
    of_image: NDArray[np.int64]
    noise: int | None = None


class PageFolders(NamedTuple):
    """Folders of images, and the position of the folder of each image among them."""

    names: list[str]
    of_image: list[int]


class PageImages(NamedTuple):
    """Addresses of images, and the reasons why others cannot be shown, by position."""

    addresses: list[str | None]
    reasons: dict[int, str]


def image_names(sources: Sequence[Any], what: str = "image") -> list[str]:
    """Return the file names of paths, and numbered names for images in memory."""
    return [_file_name(s) or f"{what} {i}" for i, s in enumerate(sources)]


def find_folders(sources: Sequence[Any]) -> PageFolders | None:
    """Return the folders below the common folder, or None if there are none."""
    folders = [as_text(folder) for folder in relative_folders(sources)]
    names = sorted(set(folders), key=lambda folder: folder.split("/"))
    if names == [""]:
        return None
    position = {name: i for i, name in enumerate(names)}
    return PageFolders(names, [position[folder] for folder in folders])


def embed_images(sources: Mapping[str, Sequence[Any]], size: int) -> PageImages:
    """Return thumbnails as data URIs, and the reasons why others are missing."""
    all_sources = [source for part in sources.values() for source in part]
    addresses, failures = thumbnail_data_uris(all_sources, size)
    reasons = {
        failure.row: as_text(_without_paths(failure.reason, all_sources[failure.row]))
        for failure in failures
    }
    return PageImages(addresses, reasons)


def link_images(sources: Mapping[str, Sequence[Any]], page: Path) -> PageImages:
    """Return the addresses of files relative to a page."""
    folder = page.absolute().parent
    addresses: list[str | None] = []
    for name, part in sources.items():
        for i, source in enumerate(part):
            if not isinstance(source, str | os.PathLike):
                raise ValueError(
                    f"thumbnails='link' needs paths, but {name}[{i}] is of type "
                    f"{type(source).__name__}; pass paths, or thumbnails='embed'."
                )
            try:
                addresses.append(_address(Path(os.fsdecode(source)), folder))
            except UnicodeEncodeError as error:
                raise ValueError(
                    f"{name}[{i}]={source!r} contains a character that no file name "
                    f"can contain. Pass the name of an existing file."
                ) from error
    return PageImages(addresses, {})


def make_clusters(
    labels: ArrayLike | None, names: LabelNames | None, n_images: int
) -> PageClusters | None:
    """Return the clusters in the order of their labels, and noise last."""
    if labels is None:
        if names is not None:
            raise ValueError("label_names is given without labels; pass both.")
        return None
    column = as_label_column(labels)
    check_length("images", range(n_images), len(column), "labels")
    present, cluster_of = np.unique(column, return_inverse=True)
    if column.dtype.kind == "U":
        if names is not None:
            raise ValueError(
                "label_names is for integer labels, but labels are strings; pass "
                "label_names=None."
            )
        return PageClusters([as_text(label) for label in present], cluster_of)
    order = np.argsort(present < 0, kind="stable")
    rank = np.argsort(order, kind="stable")
    ordered_names = [as_text(name_label(present[i].item(), names)) for i in order]
    noise = len(present) - 1 if present[0] < 0 else None
    return PageClusters(ordered_names, rank[cluster_of], noise)


def make_index(
    X: ArrayLike | None, metric: MetricName | Callable[..., float], n_images: int
) -> SimilarityIndex | None:
    """Return an index of the embeddings, or None if no image has an embedding."""
    if X is None:
        return None
    rows = check_embeddings(X, "write_gallery")
    check_length("images", range(n_images), len(rows), "rows of X")
    if not find_readable_rows(rows).any():
        return None
    return SimilarityIndex(metric=metric).fit(X)


def find_neighbors(
    index: SimilarityIndex | None,
    n_queries: int,
    queries: ArrayLike | None = None,
    *,
    n_neighbors: int,
    max_distance: float | None,
) -> list[list[list[Any]] | None]:
    """Return rows and distances of the neighbors of each query, None if unreadable.

    Without queries, each indexed row is used as a query and excluded from its own
    result.
    """
    if index is None:
        return [None] * n_queries
    readable = index.readable_
    if queries is not None:
        readable = find_readable_rows(np.asarray(queries))
    result = index.search(queries, n_neighbors, max_distance)
    return [
        [rows.tolist(), round_values(distances)] if is_readable else None
        for rows, distances, is_readable in zip(
            result.rows, result.distances, readable, strict=True
        )
    ]


def center_distances(
    X: ArrayLike | None,
    cluster_of: NDArray[np.int64],
    metric: MetricName | Callable[..., float],
) -> list[float | None] | None:
    """Return the distance of each image to the mean of its cluster.

    The result is None for metrics of sets and metrics of SciPy, which have no
    meaningful mean.
    """
    if X is None:
        return None
    rows = np.asarray(X)
    fitted_metric = make_metric(metric, None, rows)
    if fitted_metric.kind is None or fitted_metric.kind == JACCARD:
        return None
    distances = np.full(len(rows), np.nan)
    readable = find_readable_rows(rows)
    for cluster in np.unique(cluster_of[readable]):
        members = np.flatnonzero(readable & (cluster_of == cluster))
        inside, terms = rows[members], fitted_metric.compute_terms(rows[members])
        center = fitted_metric.transform(inside, terms).mean(axis=0, keepdims=True)
        center_terms = fitted_metric.compute_terms(center)
        to_center = fitted_metric.pairwise_distances(
            inside, terms, center, center_terms
        )
        distances[members] = to_center[:, 0]
    return round_values(distances)


def scale_positions(
    positions: ArrayLike | None, n_images: int
) -> list[list[float] | None] | None:
    """Scale positions to the unit square, both axes alike. NaN becomes None."""
    if positions is None:
        return None
    points = np.asarray(positions, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(
            f"positions must have shape (n_images, 2); got {points.shape}."
        )
    check_length("images", range(n_images), len(points), "positions")
    is_finite = np.asarray(np.isfinite(points).all(axis=1))
    known = points[is_finite]
    if len(known):
        low, high = known.min(axis=0), known.max(axis=0)
        extent = (high - low).max()
        points = (points - (low + high) / 2) / (extent if extent > 0 else 1) + 0.5
    return [
        [round(x, 4), round(y, 4)] if is_known else None
        for (x, y), is_known in zip(points.tolist(), is_finite.tolist(), strict=True)
    ]


def round_values(values: NDArray[Any]) -> list[float | None]:
    """Round to five digits. NaN and infinity, which JSON lacks, become None."""
    return [float(f"{v:.5g}") if math.isfinite(v) else None for v in values.tolist()]


def _without_paths(reason: str, source: Any) -> str:
    """Remove paths from a reason, so that the page does not reveal folders."""
    if isinstance(source, str | os.PathLike):
        with suppress(TypeError, ValueError):  # not a valid path
            path = os.fsdecode(source)
            reason = reason.replace(repr(path), "")
            for full_path in (os.path.realpath(path), os.path.abspath(path)):
                reason = reason.replace(full_path, "")
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
