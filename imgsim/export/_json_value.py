"""Conversion of results to values that the module json can write."""

import math
import os
from collections.abc import Collection, Mapping
from numbers import Integral, Real
from typing import Any

__all__ = ["to_json_value"]


def to_json_value(value: Any) -> Any:
    """Return a value that consists of dict, list, str, int, float, bool and None only.

    Parameters
    ----------
    value : object
        A result, such as an id, an array of distances, or a mapping of these.

    Returns
    -------
    value : dict, list, str, int, float, bool or None
        Arrays, tuples and sets become lists. NaN and infinity, which JSON lacks, become
        None. Paths become strings, and so does every object that is not listed here.
    """
    if hasattr(value, "tolist"):
        # `tolist` would return a time in nanoseconds as an integer.
        is_time = getattr(value.dtype, "kind", "") in "mM"
        value = value.astype(str).tolist() if is_time else value.tolist()
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, bytes | os.PathLike):
        return str(os.fsdecode(value))
    if isinstance(value, Mapping):
        return {str(to_json_value(key)): to_json_value(value[key]) for key in value}
    if isinstance(value, Collection) and not isinstance(value, str):
        return [to_json_value(item) for item in value]
    return str(value)
