"""Saving and loading of an index as a file of arrays and JSON.

`INDEX_FORMAT_VERSION` must be increased when code that reads the previous version could
not read the file or would misread it, for example because of a new array that this code
requires or a new meaning of an existing field. It is not increased for a new field that
such code can ignore. Each release reads the files of all earlier releases.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgsim._distance.metric import (
    KIND_OF_METRIC,
    METRIC_ALIASES,
    SCIPY_METRICS,
    Metric,
)
from imgsim.exceptions import IndexFileError
from imgsim.index._row_store import RowStore
from imgsim.index.graph._neighbor_graph import NeighborGraph
from imgsim.index.storage._array_file import read_arrays, write_arrays

INDEX_FORMAT_VERSION = 2
_FIRST_RELEASED_VERSION = 2
_KIND = "imgsim.SimilarityIndex"
_INVALID_CONTENT_ERRORS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
_GRAPH_NUMBERS = ("width", "n_neighbors", "recall")
_GRAPH_ARRAYS = ("links", "entries", "entry_codes", "axes")
_MAX_GRAPH_WIDTH = 2**31 - 1
_COLUMN_DTYPES = {
    "shift": np.float64,
    "scale": np.float64,
    "bias": np.float64,
    "size": np.float64,
    "readable": np.bool_,
    "present": np.bool_,
}

_Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class IndexContent:
    """The content of a file of an index.

    `parameters` are the constructor parameters of `SimilarityIndex`.
    """

    parameters: dict[str, Any]
    store: RowStore
    graph: NeighborGraph | None
    n_features: int
    feature_names: list[str]
    fingerprint: str | None
    has_boolean_rows: bool


def save_index(content: IndexContent, path: str | os.PathLike[str]) -> None:
    """Write an index, or raise ValueError if it cannot be stored."""
    store, graph = content.store, content.graph
    metric = store.metric
    if callable(metric.name):
        raise ValueError(
            f"metric={metric.name!r} is a function, which cannot be saved: use a "
            f"metric that has a name, or keep the embeddings and fit again."
        )
    arrays: _Arrays = {}
    # The links of a graph refer to slots, including those of removed rows.
    for name, column in store.columns(with_empty_slots=graph is not None).items():
        arrays |= _pack(f"rows.{name}", column)
    for name, value in metric.params.items():
        arrays |= _pack(f"metric.{name}", np.atleast_1d(value))
    if graph is not None:
        arrays |= {f"graph.{name}": getattr(graph, name) for name in _GRAPH_ARRAYS}
    given = content.parameters["metric_params"] or {}
    metadata = {
        "parameters": _json_parameters(content.parameters),
        "metric": metric.name,
        "given": sorted(given),
        "scalars": [
            name for name, value in metric.params.items() if np.isscalar(value)
        ],
        "next_id": store.next_id,
        "n_features": content.n_features,
        "feature_names": content.feature_names,
        "fingerprint": content.fingerprint,
        "has_bool_rows": content.has_boolean_rows,
        "graph": graph and {name: getattr(graph, name) for name in _GRAPH_NUMBERS},
    }
    write_arrays(path, arrays, metadata, kind=_KIND, version=INDEX_FORMAT_VERSION)


def load_index(
    path: str | os.PathLike[str], *, mapped: bool, verify: bool | None
) -> IndexContent:
    """Return the index that `save_index` wrote, or raise IndexFileError."""
    arrays, metadata = read_arrays(
        path,
        kind=_KIND,
        versions=range(_FIRST_RELEASED_VERSION, INDEX_FORMAT_VERSION + 1),
        mapped=mapped,
        verify=verify,
    )
    with refuse_invalid_content(path):
        return _decode_index(arrays, metadata)


@contextmanager
def refuse_invalid_content(path: str | os.PathLike[str]) -> Iterator[None]:
    """Raise IndexFileError for errors caused by the content of a file.

    The checksums of the file are correct, so this content was not written by
    `save_index`.
    """
    try:
        yield
    except _INVALID_CONTENT_ERRORS as error:
        raise IndexFileError(
            f"path={os.fspath(path)!r} does not contain a valid index ({error!r}): "
            f"save it again, or restore a copy."
        ) from error


def _decode_index(arrays: _Arrays, metadata: Any) -> IndexContent:
    _check_metadata(metadata)
    params: dict[str, Any] = dict(_unpack("metric.", arrays))
    for name in metadata["scalars"]:
        params[name] = params[name].item()
    metric = Metric(metadata["metric"], params)
    columns = _unpack("rows.", arrays)
    _check_columns(columns, metadata["n_features"])
    given = {name: params[name] for name in metadata["given"]}
    return IndexContent(
        parameters={**metadata["parameters"], "metric_params": given or None},
        store=RowStore.from_columns(metric, columns, metadata["next_id"]),
        graph=_decode_graph(arrays, metadata["graph"], columns["values"]),
        n_features=metadata["n_features"],
        feature_names=metadata["feature_names"],
        fingerprint=metadata["fingerprint"],
        has_boolean_rows=metadata["has_bool_rows"],
    )


def _decode_graph(
    arrays: _Arrays, numbers: dict[str, Any] | None, values: NDArray[Any]
) -> NeighborGraph | None:
    if numbers is None:
        return None
    links, entries, codes, axes = (arrays[f"graph.{name}"] for name in _GRAPH_ARRAYS)
    _check_graph(links, entries, codes, axes, values)
    return NeighborGraph(links, entries, codes, axes, **numbers)


def _json_parameters(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters as JSON values, None if JSON cannot represent a value.

    The values of `metric_params` are stored as arrays.
    """
    parameters = {**parameters, "metric_params": None}
    if not isinstance(parameters["random_state"], int | np.integer):
        parameters["random_state"] = None
    return {
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in parameters.items()
    }


def _pack(name: str, column: NDArray[Any]) -> _Arrays:
    """Return numbers unchanged, and other ids or labels as JSON in bytes."""
    if column.dtype.kind in "biuf":
        return {name: column}
    values = [v.item() if isinstance(v, np.generic) else v for v in column.tolist()]
    if all(type(value) is int and abs(value) < 2**63 for value in values):
        return {f"{name}.objects": np.array(values, dtype=np.int64)}
    for value in values:
        if not isinstance(value, str | int | float | PurePath | None):
            raise ValueError(
                f"{name.removeprefix('rows.')} contains {value!r}, but only str, paths "
                f"and numbers can be saved: convert it, for example with str()."
            )
    # Of these values, only paths are unknown to JSON. They are stored as lists.
    text = json.dumps([column.dtype.kind, values], default=lambda path: [str(path)])
    return {f"{name}.json": np.frombuffer(text.encode(), dtype=np.uint8)}


def _unpack(prefix: str, arrays: _Arrays) -> _Arrays:
    """Return the columns that were packed under names with this prefix."""
    columns = {}
    for name, array in arrays.items():
        if name.startswith(prefix):
            short, _, form = name.removeprefix(prefix).partition(".")
            columns[short] = _unpack_column(array, form)
    return columns


def _unpack_column(array: NDArray[Any], form: str) -> NDArray[Any]:
    if not form:
        return array
    if form == "objects":
        return array.astype(object)
    kind, values = json.loads(array.tobytes())
    if kind == "U":
        return np.array(values, dtype=kind)
    _require(kind == "O" and type(values) is list, "ids or labels of an unknown kind")
    column = np.empty(len(values), dtype=object)
    column[:] = [Path(*v) if isinstance(v, list) else v for v in values]
    return column


def _check_metadata(metadata: dict[str, Any]) -> None:
    """Raise ValueError unless the metadata have the types that a search requires."""
    metric, fingerprint = metadata["metric"], metadata["fingerprint"]
    parameter = metadata["parameters"]["metric"]
    _require(metric in {*KIND_OF_METRIC, *SCIPY_METRICS}, "the metric is unknown")
    _require(
        metric == METRIC_ALIASES.get(parameter, parameter),
        "the metric differs from the parameter",
    )
    _require(
        fingerprint is None or type(fingerprint) is str, "fingerprint is not a str"
    )
    _require(type(metadata["has_bool_rows"]) is bool, "has_bool_rows is not a bool")
    next_id = metadata["next_id"]
    _require(next_id is None or type(next_id) is int, "next_id is not an integer")
    n_features, names = metadata["n_features"], metadata["feature_names"]
    _require(type(n_features) is int, "n_features is not an integer")
    _require(type(names) is list, "feature_names is not a list")
    _require(len(names) in (0, n_features), "a feature has no name")
    _require(all(type(name) is str for name in names), "a feature name is not a str")
    _check_graph_numbers(metadata["graph"])


def _check_graph_numbers(numbers: dict[str, Any] | None) -> None:
    if numbers is None:
        return
    _require(numbers.keys() == set(_GRAPH_NUMBERS), "numbers of the graph are missing")
    for name in ("width", "n_neighbors"):
        value = numbers[name]
        is_valid = type(value) is int and 1 <= value <= _MAX_GRAPH_WIDTH
        _require(is_valid, f"graph: {name} is not an integer in the valid range")
    recall = numbers["recall"]
    is_share = type(recall) in (int, float) and 0 <= recall <= 1
    _require(is_share, "graph: recall is not a number in [0, 1]")


def _check_columns(columns: _Arrays, n_features: int) -> None:
    """Raise ValueError unless these are the columns of rows of this width."""
    values = columns["values"]
    _require(values.ndim == 2 and len(values) > 0, "values has a wrong shape")
    _require(values.dtype in (np.float32, np.float64), "values has a wrong dtype")
    _require(values.shape[1] == n_features, "values has a wrong width")
    for name, dtype in _COLUMN_DTYPES.items():
        _require(columns[name].dtype == dtype, f"{name} has a wrong dtype")
    for name, column in columns.items():
        _require(len(column) == len(values), f"{name} has a wrong length")
        _require(name == "values" or column.ndim == 1, f"{name} has a wrong shape")
    ids = columns["ids"][columns["present"]]
    _require(len(ids) > 0, "no row is present")
    _require(len(set(ids.tolist())) == len(ids), "ids are not unique")


def _check_graph(
    links: NDArray[Any],
    entries: NDArray[Any],
    entry_codes: NDArray[Any],
    axes: NDArray[Any],
    values: NDArray[Any],
) -> None:
    """Raise ValueError unless all links and entries of a graph are slots of rows."""
    n_rows, n_features = values.shape
    _require(links.dtype == np.int32 and links.ndim == 2, "links has a wrong type")
    _require(
        entries.dtype == np.int64 and entries.ndim == 1, "entries has a wrong type"
    )
    _require(0 < len(links) <= n_rows, "links has a wrong length")
    _require(len(entries) > 0 and links.shape[1] > 0, "the graph is empty")
    _require(links.min() >= -1 and links.max() < len(links), "a link is not a slot")
    _require(
        entries.min() >= 0 and entries.max() < len(links), "an entry is not a slot"
    )
    is_float32 = entry_codes.dtype == np.float32 == axes.dtype
    _require(is_float32, "entry_codes or axes has a wrong dtype")
    is_shape = entry_codes.shape == (len(entries), len(axes) - 1)
    _require(is_shape and axes.shape[1:] == (n_features,), "axes has a wrong shape")


def _require(condition: bool | np.bool_, problem: str) -> None:
    if not condition:
        raise ValueError(problem)
