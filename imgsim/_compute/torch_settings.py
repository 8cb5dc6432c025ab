"""Settings that torch has once for the whole process, shared by its threads."""

import threading
from collections.abc import Callable


class ProcessSwitch:
    """Keep settings switched while any thread is inside.

    The first thread that enters switches them, and the last that leaves puts them
    back. `switch` does the first and returns what does the second.
    """

    def __init__(self, switch: Callable[[], Callable[[], None]]) -> None:
        self._switch = switch
        self._lock = threading.Lock()
        self._n_inside = 0
        self._put_back: Callable[[], None] = lambda: None

    def __enter__(self) -> None:
        with self._lock:
            if self._n_inside == 0:
                self._put_back = self._switch()
            self._n_inside += 1

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            self._n_inside -= 1
            if self._n_inside == 0:
                self._put_back()
