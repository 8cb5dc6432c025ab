"""An index as a file of arrays and JSON.

`FORMAT_VERSION` rises when a file can no longer be read by the code that wrote the
version before: a new array or field that old code would miss. Code reads all versions
up to its own. It does not rise for what old code may ignore.
"""

import json
import os
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgsim._distance.metric import Metric
from imgsim.exceptions import IndexFileError
from imgsim.index._row_store import RowStore
from imgsim.index._wholeness import (
    check_fields_whole,
    check_graph_whole,
    check_rows_whole,
)
from imgsim.index.graph._neighbor_graph import NeighborGraph
from imgsim.index.storage._array_file import read_arrays, write_arrays

FORMAT_VERSION = 1
_KIND = "imgsim.SimilarityIndex"
_DEFECTS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
_GRAPH_NUMBERS = ("width", "n_neighbors", "recall")
_GRAPH_ARRAYS = ("links", "entries", "entry_codes", "axes")


def save_index(index: Any, path: str | os.PathLike[str]) -> None:
    """Write a fitted index."""
    metric = index._store.metric
    if callable(metric.name):
        raise ValueError(
            f"metric={metric.name!r} is a function, which is not saved: name a metric, "
            f"or keep the rows and fit again."
        )
    # A graph walks over removed rows, too, until it is built anew.
    with_gaps = index._graph is not None
    arrays: dict[str, NDArray[Any]] = {}
    for name, column in index._store.columns(with_gaps).items():
        arrays |= _packed(f"rows.{name}", column)
    for name, value in metric.params.items():
        arrays |= _packed(f"metric.{name}", np.atleast_1d(value))
    graph = index._graph
    if graph is not None:
        arrays |= {f"graph.{name}": getattr(graph, name) for name in _GRAPH_ARRAYS}
    metadata = {
        "parameters": _parameters(index),
        "metric": metric.name,
        "given": sorted(index.metric_params or {}),
        "scalars": [
            name for name, value in metric.params.items() if np.isscalar(value)
        ],
        "next_id": index._store.next_id,
        "n_features": index.n_features_in_,
        "feature_names": list(getattr(index, "feature_names_in_", [])),
        "fingerprint": index.fingerprint_,
        "has_bool_rows": index._has_bool_rows,
        "graph": graph and {name: getattr(graph, name) for name in _GRAPH_NUMBERS},
    }
    write_arrays(path, arrays, metadata, kind=_KIND, version=FORMAT_VERSION)


def load_index(
    cls: type, path: str | os.PathLike[str], *, mapped: bool, verify: bool | None
) -> Any:
    """Return the index that `save_index` wrote, as an instance of `cls`."""
    arrays, metadata, _ = read_arrays(
        path, kind=_KIND, max_version=FORMAT_VERSION, mapped=mapped, verify=verify
    )
    try:
        return _restored(cls, arrays, metadata)
    except _DEFECTS as error:
        # Its checksums agree, so that it was written so: by another program.
        raise IndexFileError(
            f"{os.fspath(path)!r} does not hold a whole index ({error!r}): save it "
            f"again, or restore a copy."
        ) from error


def _restored(cls: type, arrays: dict[str, NDArray[Any]], metadata: Any) -> Any:
    check_fields_whole(metadata)
    index = cls(**metadata["parameters"])
    index._validate_params()
    params: dict[str, Any] = dict(_unpacked("metric.", arrays))
    for name in metadata["scalars"]:
        params[name] = params[name].item()
    given = {name: params[name] for name in metadata["given"]}
    index.metric_params = given or None
    metric = Metric(metadata["metric"], params)
    columns = _unpacked("rows.", arrays)
    check_rows_whole(columns, metadata["n_features"])
    index._store = RowStore.from_columns(metric, columns)
    index._store.next_id = metadata["next_id"]
    index._graph = None
    if metadata["graph"]:
        links, entries, codes, axes = (
            arrays[f"graph.{name}"] for name in _GRAPH_ARRAYS
        )
        check_graph_whole(links, entries, codes, axes, columns["values"])
        index._graph = NeighborGraph(links, entries, codes, axes, **metadata["graph"])
    index._has_bool_rows = metadata["has_bool_rows"]
    index.fingerprint_ = metadata["fingerprint"]
    index.n_features_in_ = metadata["n_features"]
    if metadata["feature_names"]:
        index.feature_names_in_ = np.array(metadata["feature_names"], dtype=object)
    return index


def _parameters(index: Any) -> dict[str, Any]:
    """Return what JSON can hold of the parameters; the rest is what fit has used."""
    parameters = index.get_params(deep=False)
    parameters["metric_params"] = None
    if not isinstance(parameters["random_state"], int | np.integer):
        parameters["random_state"] = None
    numbers = {
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in parameters.items()
    }
    return numbers


def _packed(name: str, column: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Return numbers as they are, and ids or labels of any kind as JSON in bytes."""
    if column.dtype.kind in "biuf":
        return {name: column}
    values = [v.item() if isinstance(v, np.generic) else v for v in column.tolist()]
    if all(type(value) is int and abs(value) < 2**63 for value in values):
        return {f"{name}.objects": np.array(values, dtype=np.int64)}
    for odd in values:
        if not isinstance(odd, str | int | float | PurePath | None):
            raise ValueError(
                f"{name.removeprefix('rows.')} holds {odd!r}, and only str, paths and "
                f"numbers are saved: convert them, as by str()."
            )
    # Of what JSON does not know, only paths occur.
    text = json.dumps([column.dtype.kind, values], default=lambda path: [str(path)])
    return {f"{name}.json": np.frombuffer(text.encode(), dtype=np.uint8)}


def _unpacked(prefix: str, arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return what was packed under names with this prefix."""
    columns = {}
    for name, array in arrays.items():
        if name.startswith(prefix):
            short, _, form = name.removeprefix(prefix).partition(".")
            columns[short] = _restored_column(array, form)
    return columns


def _restored_column(array: NDArray[Any], form: str) -> NDArray[Any]:
    if not form:
        return array
    if form == "objects":
        return array.astype(object)
    kind, values = json.loads(array.tobytes())
    if kind == "U":
        return np.array(values, dtype=kind)
    if kind != "O" or type(values) is not list:
        raise ValueError("ids or labels are of an unknown kind")
    column = np.empty(len(values), dtype=object)
    column[:] = [Path(*v) if isinstance(v, list) else v for v in values]
    return column
