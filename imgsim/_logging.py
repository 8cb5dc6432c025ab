"""The logger `imgsim`, which says at the level INFO what a run did."""

import logging
import sys
from collections.abc import Callable
from functools import wraps
from time import perf_counter
from typing import Any, TypeVar

__all__ = ["LOGGER", "log_run"]

LOGGER = logging.getLogger("imgsim")
LOGGER.addHandler(logging.NullHandler())

Function = TypeVar("Function", bound=Callable[..., Any])


def log_run(*names: str) -> Callable[[Function], Function]:
    """Return a decorator of functions that logs each call that did not raise.

    A call by imgsim itself, such as a search within clustering, is logged at the level
    DEBUG. The decorator must be the outermost one, so that it knows the caller.

    Parameters
    ----------
    *names : str
        Attributes to log: of the result, or of the object if a method has no result.
    """

    def decorate(function: Function) -> Function:
        @wraps(function)
        def logged(*args: Any, **kwargs: Any) -> Any:
            caller = str(sys._getframe(1).f_globals.get("__name__"))
            level = logging.DEBUG if caller.startswith("imgsim.") else logging.INFO
            start = perf_counter()
            result = function(*args, **kwargs)
            if LOGGER.isEnabledFor(level):
                done = args[0] if result is None else result
                values = [f"{name}={getattr(done, name)!r}" for name in names]
                seconds = f"{perf_counter() - start:.2f} s"
                message = ", ".join([*values, seconds])
                LOGGER.log(level, "%s: %s", function.__qualname__, message)
            return result

        decorated: Any = logged
        return decorated  # type: ignore[no-any-return]

    return decorate
