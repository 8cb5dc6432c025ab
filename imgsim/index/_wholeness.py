"""What a saved index must hold, so that a search can trust it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgsim._distance.metric import KINDS, OTHER_NAMES, SLOW_METRICS

_ROW_TYPES = {
    "shift": np.float64,
    "scale": np.float64,
    "bias": np.float64,
    "size": np.float64,
    "readable": np.bool_,
    "present": np.bool_,
}


def check_rows_whole(columns: dict[str, NDArray[Any]], n_features: Any) -> None:
    """Raise ValueError unless these are the columns of rows of this width."""
    values = columns["values"]
    _require(values.ndim == 2 and len(values) > 0, "values have another shape")
    _require(values.dtype in (np.float32, np.float64), "values are of another type")
    _require(type(n_features) is int, "n_features is no integer")
    _require(values.shape[1] == n_features, "values have another width")
    for name, dtype in _ROW_TYPES.items():
        _require(columns[name].dtype == dtype, f"{name} is of another type")
    for name, column in columns.items():
        _require(len(column) == len(values), f"{name} has another length")
        _require(name == "values" or column.ndim == 1, f"{name} has another shape")
    present = columns["ids"][columns["present"]]
    _require(len(present) > 0, "no row is present")
    _require(len(set(present.tolist())) == len(present), "ids repeat")


def check_graph_whole(
    links: NDArray[Any],
    entries: NDArray[Any],
    entry_codes: NDArray[Any],
    axes: NDArray[Any],
    values: NDArray[Any],
) -> None:
    """Raise ValueError unless every link and entry of a graph leads to a row."""
    n_rows, n_features = values.shape
    _require(links.dtype == np.int32 and links.ndim == 2, "links are of another type")
    _require(entries.dtype == np.int64 and entries.ndim == 1, "entries are no rows")
    _require(0 < len(links) <= n_rows, "links has another length")
    _require(len(entries) > 0 and links.shape[1] > 0, "the graph is empty")
    _require(links.min() >= -1 and links.max() < len(links), "a link leads nowhere")
    _require(entries.min() >= 0 and entries.max() < len(links), "an entry is no row")
    _require(entry_codes.dtype == np.float32 == axes.dtype, "codes are of another type")
    fits = entry_codes.shape == (len(entries), len(axes) - 1)
    _require(fits and axes.shape[1:] == (n_features,), "codes have another shape")


def check_fields_whole(metadata: dict[str, Any]) -> None:
    """Raise ValueError unless the fields beside the arrays are what they should be."""
    metric, fingerprint = metadata["metric"], metadata["fingerprint"]
    asked = metadata["parameters"]["metric"]
    _require(metric in {*KINDS, *SLOW_METRICS}, "the metric is unknown")
    _require(metric == OTHER_NAMES.get(asked, asked), "there are two metrics")
    _require(fingerprint is None or type(fingerprint) is str, "fingerprint is no str")
    _require(type(metadata["has_bool_rows"]) is bool, "has_bool_rows is no bool")
    next_id = metadata["next_id"]
    _require(next_id is None or type(next_id) is int, "next_id is no integer")
    names = metadata["feature_names"]
    _require(type(names) is list, "feature_names is no list")
    _require(len(names) in (0, metadata["n_features"]), "a feature has no name")
    _require(all(type(name) is str for name in names), "a name is no str")
    for name, value in (metadata["graph"] or {}).items():
        _require(type(value) in (int, float) and value >= 0, f"{name} is no number")


def _require(holds: Any, else_: str) -> None:
    if not holds:
        raise ValueError(else_)
