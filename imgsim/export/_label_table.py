"""Which image is in which group, as a table."""

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
    """List images beside their groups.

    Parameters
    ----------
    paths : sequence of str or path-like, of length n_images
        The images' files, as given to the embedder.

    labels : array-like of shape (n_images,)
        Group of each image, an integer; -1 for an image in none. `labels_` of an
        :class:`ImageClusterer` is meant.

    columns : mapping of str to array-like of shape (n_images,), default=None
        Further columns by name, such as
        `{"silhouette": clusterer.silhouette_samples_}`.

    Returns
    -------
    table : Table
        A dict of arrays of shape (n_images,), row i being image i: "path" (str, dtype
        object), "group" (int64), and those of `columns`. It prints as a table,
        `to_frame()` makes it a pandas DataFrame, and `to_csv(path)` writes it to a
        file.

    Raises
    ------
    TypeError
        If `paths` are not paths, `labels` not integers, or a name in `columns` no str.

    ValueError
        If lengths differ, an array has not one axis, a label is less than -1, or
        `columns` has one named "path" or "group".

    See Also
    --------
    copy_to_folders : A folder for each group, with copies of its images.

    Notes
    -----
    No file is looked at, and a path stays as it was given, relative or not. In a file
    that `to_csv` wrote, paths are what they were, also with commas, quotes and line
    breaks, and with bytes that are no UTF-8; read these with
    `open(path, encoding="utf-8", errors="surrogateescape", newline="")`. A spreadsheet
    may take a path that begins with an equals sign for a formula.

    Examples
    --------
    >>> from imgsim.export import label_table
    >>> paths = ["zoo/lion.jpg", "zoo/zebra.jpg", "blurred.jpg"]
    >>> print(label_table(paths, [0, 1, -1], columns={"silhouette": [0.7, 0.52, 0]}))
             path  group  silhouette
     zoo/lion.jpg      0         0.7
    zoo/zebra.jpg      1        0.52
      blurred.jpg     -1           0
    """
    names = np.array(_checked_paths(paths), dtype=object)
    groups = _checked_groups(labels)
    if len(names) != len(groups):
        raise ValueError(
            f"paths has {len(names)} entries and labels has {len(groups)}; they must "
            f"be the paths and groups of the same images, in the same order."
        )
    return Table({"path": names, "group": groups, **_checked_columns(columns, names)})


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
            f"Images that are not files have no path: name them yourself."
        )
    # A path-like may hand out bytes, as an entry of os.scandir does.
    return str(os.fsdecode(path))


def _checked_groups(labels: ArrayLike) -> NDArray[np.int64]:
    groups = _column("labels", labels)
    if groups.dtype.kind not in "iu" and len(groups):
        raise TypeError(
            f"labels must be integers, such as labels_ of an ImageClusterer; got "
            f"{groups.dtype}."
        )
    if len(groups) and groups.min() < -1:
        raise ValueError(
            f"labels has {groups.min()}, and must be at least -1, which stands for no "
            f"group: pass numpy.maximum(labels, -1)."
        )
    return groups.astype(np.int64)


def _checked_columns(
    columns: Mapping[str, ArrayLike] | None, names: NDArray[Any]
) -> dict[str, NDArray[Any]]:
    checked = {}
    for name, values in (columns or {}).items():
        if not isinstance(name, str):
            raise TypeError(f"columns has the key {name!r}, which must be a str.")
        if name in ("path", "group"):
            raise ValueError(f"columns has {name!r}, a name the table itself uses.")
        column = _column(f"columns[{name!r}]", values)
        if len(column) != len(names):
            raise ValueError(
                f"columns[{name!r}] has {len(column)} entries and paths has "
                f"{len(names)}; they must have as many."
            )
        checked[name] = column
    return checked


def _column(name: str, values: ArrayLike) -> NDArray[Any]:
    column = np.array(values)
    if column.ndim != 1:
        raise ValueError(f"{name} must have one axis; got shape {column.shape}.")
    return column
