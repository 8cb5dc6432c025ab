"""Export of cluster labels as a table."""

import os
from collections.abc import Mapping, Sequence, Set
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imgsim._validation import validate_params
from imgsim.export._table import Table


@validate_params({"columns": [Mapping, None]}, prefer_skip_nested_validation=True)
def label_table(
    paths: Sequence[str | os.PathLike[str]],
    labels: ArrayLike,
    *,
    columns: Mapping[str, ArrayLike] | None = None,
) -> Table:
    """Return a table of the images and their cluster labels.

    Parameters
    ----------
    paths : sequence of str or path-like, of length n_images
        Paths of the image files, as passed to the embedder.

    labels : array-like of shape (n_images,)
        Cluster label of each image, an integer, such as `labels_` of an
        :class:`ImageClusterer`. The label -1 means noise.

    columns : mapping of str to array-like of shape (n_images,), default=None
        Additional columns by name, such as
        `{"silhouette": clusterer.silhouette_samples_}`.

    Returns
    -------
    table : Table
        Dictionary of arrays of shape (n_images,), in the order of `paths`: "path"
        (str, dtype object), "cluster" (int64), and the additional columns. Use
        `print(table)` to show it, `table.to_frame()` to convert it to a pandas
        DataFrame, and `table.to_csv(path)` to write it to a file.

    Raises
    ------
    TypeError
        If `paths` does not contain paths, `labels` does not contain integers, or a key
        of `columns` is not a str.

    ValueError
        If lengths differ, an array is not one-dimensional, a label is less than -1, or
        `columns` has a key "path" or "cluster".

    See Also
    --------
    copy_to_folders : Copy the images of each cluster to a folder.

    Notes
    -----
    No file is opened, and paths are not changed: a relative path stays relative. A file
    written by `to_csv` preserves all paths, including commas, quotes, line breaks and
    bytes that are not valid UTF-8. To read such bytes, use
    `open(path, encoding="utf-8", errors="surrogateescape", newline="")`. Spreadsheet
    programs may interpret a path that starts with an equals sign as a formula.

    Examples
    --------
    >>> from imgsim.export import label_table
    >>> paths = ["zoo/lion.jpg", "zoo/zebra.jpg", "blurred.jpg"]
    >>> print(label_table(paths, [0, 1, -1], columns={"silhouette": [0.7, 0.52, 0]}))
             path  cluster  silhouette
     zoo/lion.jpg        0         0.7
    zoo/zebra.jpg        1        0.52
      blurred.jpg       -1           0
    """
    names = np.array(_checked_paths(paths), dtype=object)
    clusters = _checked_labels(labels)
    if len(names) != len(clusters):
        raise ValueError(
            f"paths has {len(names)} entries and labels has {len(clusters)}; both must "
            f"have one entry for each image, in the same order."
        )
    others = _checked_columns(columns, len(names))
    return Table({"path": names, "cluster": clusters, **others})


def _checked_paths(paths: Any) -> list[str]:
    scalar = isinstance(paths, str | bytes | os.PathLike | Mapping | Set)
    if scalar or not hasattr(paths, "__len__") or getattr(paths, "ndim", 1) != 1:
        raise TypeError(
            f"paths must be a sequence of paths, such as list_images returns; got "
            f"{type(paths).__name__}."
        )
    return [_checked_path(row, path) for row, path in enumerate(paths)]


def _checked_path(row: int, path: Any) -> str:
    if not isinstance(path, str | os.PathLike):
        raise TypeError(
            f"paths[{row}] must be a str or path-like; got {type(path).__name__}. "
            f"For images that are not files, pass names instead."
        )
    # A path-like object may return bytes, as an entry of os.scandir does.
    return str(os.fsdecode(path))


def _checked_labels(labels: ArrayLike) -> NDArray[np.int64]:
    clusters = _checked_column("labels", labels)
    if clusters.dtype.kind not in "iu" and len(clusters):
        raise TypeError(
            f"labels must be integers, such as labels_ of an ImageClusterer; got dtype "
            f"{clusters.dtype}."
        )
    if len(clusters) and clusters.min() < -1:
        raise ValueError(
            f"labels contains {clusters.min()}, but must be at least -1, the label of "
            f"noise. Pass numpy.maximum(labels, -1)."
        )
    largest = np.iinfo(np.int64).max
    if len(clusters) and clusters.max() > largest:
        raise ValueError(
            f"labels contains {clusters.max()}, but must be at most {largest}. Number "
            f"the clusters with numpy.unique(labels, return_inverse=True)[1]."
        )
    return clusters.astype(np.int64)


def _checked_columns(
    columns: Mapping[str, ArrayLike] | None, n_rows: int
) -> dict[str, NDArray[Any]]:
    checked = {}
    for name, values in (columns or {}).items():
        if not isinstance(name, str):
            raise TypeError(f"columns has the key {name!r}, which must be a str.")
        if name in ("path", "cluster"):
            raise ValueError(
                f"columns has the key {name!r}, which is reserved for a column of the "
                f"table. Choose another name."
            )
        column = _checked_column(f"columns[{name!r}]", values)
        if len(column) != n_rows:
            raise ValueError(
                f"columns[{name!r}] has {len(column)} entries and paths has {n_rows}; "
                f"both must have the same length."
            )
        checked[name] = column
    return checked


def _checked_column(name: str, values: ArrayLike) -> NDArray[Any]:
    column = np.array(values)
    if column.ndim != 1:
        raise ValueError(f"{name} must be one-dimensional; got shape {column.shape}.")
    return column
