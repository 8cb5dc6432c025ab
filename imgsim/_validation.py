"""Validation of parameters and arrays, with private functions of scikit-learn."""

import os
import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from functools import wraps
from numbers import Integral, Real
from typing import Any, TypeGuard, TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import _fit_context
from sklearn.utils import _param_validation, check_array
from sklearn.utils._param_validation import (
    HasMethods,
    InvalidParameterError,
    StrOptions,
)
from sklearn.utils.validation import validate_data

__all__ = [
    "ANY_INTEGER",
    "ANY_NUMBER",
    "RANDOM_STATE",
    "HasMethods",
    "Interval",
    "StrOptions",
    "check_embeddings",
    "check_rows",
    "check_rows_to_fit",
    "find_readable_rows",
    "fit_context",
    "floats_for",
    "is_integer",
    "is_number",
    "nearest_name",
    "spread_labels",
    "suggest_names",
    "validate_params",
]


_FLOATS = (np.float32, np.float64)
# In a message of scikit-learn: names that are allowed, and the name that was passed.
_ALLOWED = re.compile(r"a str among \{(.+?)\}")
_PASSED = re.compile(r"Got (['\"])(.+)\1 instead\.$")
_MIN_SIMILARITY = 0.5

Function = TypeVar("Function", bound=Callable[..., Any])


def is_integer(value: Any) -> TypeGuard[int]:
    """Return whether a value is an integer. True and False are not."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_number(value: Any) -> TypeGuard[float]:
    """Return whether a value is a real number, perhaps NaN. True and False are not."""
    return isinstance(value, Real) and not isinstance(value, bool)


class Interval(_param_validation.Interval):
    """scikit-learn's interval of numbers, without True and False."""

    def is_satisfied_by(self, val: Any) -> bool:
        """Return whether a value is a number in the interval."""
        return is_number(val) and bool(super().is_satisfied_by(val))


ANY_INTEGER = Interval(Integral, None, None, closed="neither")
ANY_NUMBER = Interval(Real, None, None, closed="neither")
RANDOM_STATE = [
    Interval(Integral, 0, 2**32 - 1, closed="both"),
    np.random.RandomState,
    None,
]


def fit_context(
    *, prefer_skip_nested_validation: bool
) -> Callable[[Function], Function]:
    """Return scikit-learn's decorator of `fit`, which checks the parameters first.

    Declared here so that the decorated method keeps its signature for type checkers.
    """
    decorate: Callable[[Function], Function] = _fit_context(
        prefer_skip_nested_validation=prefer_skip_nested_validation
    )
    return lambda method: suggest_names(decorate(method))


def validate_params(
    constraints: dict[str, Any], *, prefer_skip_nested_validation: bool
) -> Callable[[Function], Function]:
    """Return scikit-learn's decorator of functions, which checks their parameters.

    Declared here so that the decorated function keeps its signature for type checkers.
    """
    decorate: Callable[[Function], Function] = _param_validation.validate_params(
        constraints, prefer_skip_nested_validation=prefer_skip_nested_validation
    )
    return lambda function: suggest_names(decorate(function))


def suggest_names(function: Function) -> Function:
    """Decorate a function whose errors about a wrong name then suggest the nearest."""

    @wraps(function)
    def suggesting(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except InvalidParameterError as error:
            message = str(error)
            allowed = re.findall(r"'(.+?)'", " ".join(_ALLOWED.findall(message)))
            if (passed := _PASSED.search(message)) and allowed:
                error.args = (message + nearest_name(passed[2], allowed),)
            raise

    decorated: Any = suggesting
    return decorated  # type: ignore[no-any-return]


def nearest_name(value: Any, names: Iterable[str]) -> str:
    """Return a question that names the most similar name, or "" if none is similar."""
    word, ordered = str(value).lower(), sorted(names)
    longer = [name for name in ordered if word and name.startswith(word)]
    nearest = longer or get_close_matches(word, ordered, n=1, cutoff=_MIN_SIMILARITY)
    return f" Did you mean {nearest[0]!r}?" if nearest else ""


def check_rows(estimator: Any, X: Any, *, reset: bool) -> NDArray[Any]:
    """Return X as float32 or float64. Rows may contain NaN, but not infinity."""
    name = type(estimator).__name__
    _refuse_images(
        X,
        "X",
        f"put an embedder before {name} in a pipeline, for example "
        f"make_pipeline(ImageEmbedder(), {name}())",
    )
    rows: NDArray[Any] = validate_data(
        estimator,
        X,
        dtype=floats_for(X),
        ensure_all_finite="allow-nan",
        reset=reset,
    )
    return rows


def check_embeddings(
    X: Any, caller: str, *, name: str = "X", dtype: Any = None
) -> NDArray[Any]:
    """Return the embeddings that a function takes. Rows may contain NaN.

    Errors name the parameter and the function, whatever they are passed on to.
    """
    example = "ImageEmbedder().fit_transform(images)"
    _refuse_images(X, name, f"pass {caller} their embeddings, for example {example}")
    rows: NDArray[Any] = check_array(
        X,
        dtype=floats_for(X) if dtype is None else dtype,
        ensure_all_finite="allow-nan",
        estimator=caller,
        input_name=name,
    )
    return rows


def _refuse_images(X: Any, name: str, remedy: str) -> None:
    """Raise TypeError if X contains images or their paths in place of embeddings."""
    try:
        first = np.asarray(X if isinstance(X, str) else X[:1], dtype=object)
    except (LookupError, NotImplementedError, TypeError, ValueError):
        return  # such as a scalar or a sparse matrix: scikit-learn says what is wrong
    item = first.flat[0] if first.size else None
    is_column = first.ndim < 2 or first.shape[1:] == (1,)
    if is_column and _is_source(item):
        given = f"paths such as {str(item)[:80]!r}"
        given = "encoded images" if isinstance(item, bytes) else given
    elif first.ndim > 2 or hasattr(item, "getbands"):
        given = "images"
    else:
        return
    raise TypeError(f"{name} must be an array of numbers; got {given}; {remedy}.")


def _is_source(item: Any) -> bool:
    """Return whether an item is a path or a file in memory, and not a number."""
    if not isinstance(item, str | bytes | os.PathLike):
        return False
    try:
        float(item)  # type: ignore[arg-type]  # a path is not a number
    except (TypeError, ValueError):
        return True
    return False


def floats_for(X: Any) -> tuple[type, ...]:
    """Return the accepted dtypes; other dtypes are converted to the first one."""
    dtype: Any = getattr(X, "dtype", None)
    # float32 cannot represent every integer of 32 bits or more.
    is_wide = getattr(dtype, "kind", None) in ("i", "u") and dtype.itemsize > 2
    return _FLOATS[::-1] if is_wide else _FLOATS


def check_rows_to_fit(estimator: Any, X: Any) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return X and a mask of the rows without NaN. At least one row is required."""
    rows = check_rows(estimator, X, reset=True)
    readable = find_readable_rows(rows)
    if not readable.any():
        raise ValueError(
            f"every row of X contains NaN: none of the {len(rows)} images could be "
            f"read."
        )
    return rows, readable


def find_readable_rows(X: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which rows do not contain NaN, which stands for an unreadable image."""
    readable: NDArray[np.bool_] = ~np.isnan(X).any(axis=1)
    return readable


def spread_labels(
    labels: NDArray[Any], readable: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Return labels for all rows, with -1 for rows that are not readable."""
    spread = np.full(len(readable), -1, dtype=np.int64)
    spread[readable] = labels
    return spread
