"""Temporary changes of torch settings that apply to all threads of the process."""

import threading
from collections.abc import Callable


class ProcessSettings:
    """Context in which settings of the process are changed for all threads inside it.

    The first thread that enters changes the settings, and the last thread that leaves
    restores them.

    Parameters
    ----------
    change : callable
        Changes the settings, and returns a function that restores them.
    """

    def __init__(self, change: Callable[[], Callable[[], None]]) -> None:
        self._change = change
        self._lock = threading.Lock()
        self._n_threads = 0
        self._restore: Callable[[], None] = lambda: None

    def __enter__(self) -> None:
        with self._lock:
            if self._n_threads == 0:
                self._restore = self._change()
            self._n_threads += 1

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            self._n_threads -= 1
            if self._n_threads == 0:
                self._restore()
