"""Notification of scikit-learn's callbacks, which exist since scikit-learn 1.9."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, Self, TypeVar

__all__ = ["FitTask", "as_fit_task"]

Method = TypeVar("Method", bound=Callable[..., Any])


class FitTask:
    """The task of a call to `fit`, whose start and end callbacks are notified of.

    It is a context manager, to be used in a method that `fit_context` decorates.
    Without callbacks, and before scikit-learn 1.9, it does nothing.

    Parameters
    ----------
    estimator : object
        The estimator to fit.

    X : object, default=None
        The data to fit it to.

    n_subtasks : int, default=0
        The largest number of subtasks.
    """

    def __init__(self, estimator: Any, X: Any = None, *, n_subtasks: int = 0) -> None:
        self._estimator, self._X, self._context = estimator, X, None
        # True if a callback has asked to stop after a subtask.
        self.should_stop = False
        if hasattr(estimator, "_init_callback_context"):
            self._context = estimator._init_callback_context(
                max_subtasks=n_subtasks, sequential_subtasks=False
            )

    def __enter__(self) -> Self:
        if self._context is not None:
            self._context.call_on_fit_task_begin(estimator=self._estimator, X=self._X)
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if self._context is not None and error is None:
            self._context.call_on_fit_task_end(
                estimator=self._estimator,
                X=self._X,
                reconstruction_attributes={},  # the estimator itself is fitted
            )

    @contextmanager
    def subtask(self, name: str, number: int) -> Iterator[None]:
        """Notify callbacks of a subtask, which may run in any thread."""
        if self._context is None:
            yield
            return
        context = self._context.subcontext(task_name=name, task_id=number)
        context.call_on_fit_task_begin(estimator=self._estimator)
        yield
        if context.call_on_fit_task_end(estimator=self._estimator):
            self.should_stop = True


def as_fit_task(fit: Method) -> Method:
    """Decorate a method `fit` without subtasks, of which callbacks are notified."""

    @wraps(fit)
    def notifying(self: Any, *args: Any, **kwargs: Any) -> Any:
        with FitTask(self, args[0] if args else kwargs.get("X")):
            return fit(self, *args, **kwargs)

    decorated: Any = notifying
    return decorated  # type: ignore[no-any-return]
