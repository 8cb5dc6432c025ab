"""How many groups, and which: what `ImageClusterer.fit` asks of an algorithm."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imgsim._warnings import warn_caller
from imgsim.cluster.algorithms._feature_space import count_distinct
from imgsim.cluster.algorithms._registry import ALGORITHMS
from imgsim.cluster.selection._candidates import (
    Setting,
    check_candidates,
    cluster_candidates,
)
from imgsim.cluster.selection._k_selection import KSelection
from imgsim.cluster.selection._select_k import select
from imgsim.exceptions import WeakClustersWarning

Labels = NDArray[np.int64]

_MOST_IN_ONE = 0.9  # of all rows
_N_TO_TELL_APART = 20


class Found(NamedTuple):
    """The groups of readable rows.

    Parameters
    ----------
    estimator : object
        Fitted.

    labels : ndarray of shape (n_rows,), dtype int64
        As the estimator numbers the groups; -1 for noise.

    selection : KSelection or None
        How their number was chosen, if numbers were compared.
    """

    estimator: Any
    labels: Labels
    selection: KSelection | None = None


def find_groups(
    setting: Setting,
    readable: NDArray[np.bool_],
    n_clusters: int | str,
    k_range: Sequence[int] | None,
    criterion: str,
    n_jobs: int | None,
) -> Found:
    """Cluster readable rows into groups of a given number, or of the best.

    Parameters
    ----------
    setting : Setting
        The readable rows, and how they are clustered.

    readable : ndarray of shape (n_samples,), dtype bool
        Which rows these are.

    n_clusters : int or "auto"
        Their number.

    k_range : sequence of int or None
        Candidates.

    criterion : str
        What decides among them.

    n_jobs : int or None
        How many candidates are clustered at a time.

    Returns
    -------
    found : Found
        The groups.

    Raises
    ------
    ValueError
        If there are too few rows, or candidates where none are compared.
    """
    compared = _is_compared(setting.algorithm, n_clusters, k_range)
    _check_enough(setting.algorithm, len(setting.rows), n_clusters, compared=compared)
    if not isinstance(n_clusters, str):
        return _find_given(setting, n_clusters)
    if not compared:
        found = Found(*setting.fit(None))
        _warn_of_one_group(found.labels, setting)
        return found
    ks = check_candidates(range(2, 11) if k_range is None else k_range)
    candidates = cluster_candidates(setting, ks, n_jobs, verbose=0)
    selection = select(setting, candidates, readable, criterion, n_jobs)
    labels = selection.labelings[selection.best_k][readable]
    return Found(selection.best_estimator, labels, selection)


def _is_compared(
    name: str, n_clusters: int | str, k_range: Sequence[int] | None
) -> bool:
    """Tell whether candidates for the number of groups are compared."""
    algorithm = ALGORITHMS[name]
    if k_range is not None and not algorithm.takes_n_clusters:
        raise ValueError(
            f"k_range={k_range!r}: algorithm={name!r} finds the number of groups by "
            f"itself; leave k_range=None."
        )
    if not isinstance(n_clusters, str):
        return False
    return not algorithm.finds_n_clusters or k_range is not None


def _check_enough(
    name: str, n_rows: int, n_clusters: int | str, *, compared: bool
) -> None:
    """Raise a ValueError if there are too few rows for the question."""
    if compared and n_rows < 3:
        raise ValueError(
            f"n_clusters='auto' compares numbers of groups, and needs at least 3 "
            f"readable rows; got n_samples={n_rows}."
        )
    if not isinstance(n_clusters, str) and n_clusters > n_rows:
        raise ValueError(
            f"n_clusters={n_clusters} must be at most the number of readable rows, "
            f"n_samples={n_rows}."
        )
    if n_rows < 2 and ALGORITHMS[name].assigns == "neighbors":
        raise ValueError(
            f"algorithm={name!r} needs at least 2 readable rows; got "
            f"n_samples={n_rows}."
        )


def _find_given(setting: Setting, n_clusters: int) -> Found:
    if not ALGORITHMS[setting.algorithm].takes_n_clusters:
        estimator, labels = setting.fit(None)
        labels = _keep_largest(labels, n_clusters)
        _warn_of_another_number(labels, n_clusters)
        return Found(estimator, labels)
    n_distinct = min(
        count_distinct(rows, n_clusters) for rows in (setting.rows, setting.seen)
    )
    if n_clusters > n_distinct:
        warn_caller(
            f"n_clusters={n_clusters} exceeds the number of rows that differ: there "
            f"are {n_distinct} groups at most.",
            WeakClustersWarning,
        )
    possible = min(n_clusters, n_distinct)
    found = Found(*setting.fit(possible))
    _warn_of_another_number(found.labels, possible)
    return found


def _warn_of_another_number(labels: Labels, n_clusters: int) -> None:
    n_found = len(np.unique(labels[labels >= 0]))
    if n_found not in (0, n_clusters):
        warn_caller(
            f"n_clusters={n_clusters}, but {n_found} groups were found: there is no "
            f"such number of groups for these rows and algorithm_params.",
            WeakClustersWarning,
        )


def _warn_of_one_group(labels: Labels, setting: Setting) -> None:
    """Warn if hardly anything was told apart, though many rows differ."""
    largest = np.bincount(labels[labels >= 0], minlength=1).max()
    if largest <= _MOST_IN_ONE * len(labels):
        return
    if count_distinct(setting.rows, _N_TO_TELL_APART) < _N_TO_TELL_APART:
        return
    remedy = "n_components=32, a smaller eps or min_cluster_size, or algorithm='leiden'"
    if setting.algorithm == "leiden":
        remedy = "a larger resolution"
    warn_caller(
        f"one group holds {largest} of {len(labels)} rows: hardly anything was told "
        f"apart. Try {remedy}; or there are no groups.",
        WeakClustersWarning,
    )


def _keep_largest(labels: Labels, n_clusters: int) -> Labels:
    """Return labels without the smaller groups, whose rows become noise."""
    sizes = np.bincount(labels[labels >= 0])
    kept = np.argsort(-sizes, kind="stable")[:n_clusters]
    return np.where(np.isin(labels, kept), labels, -1)
