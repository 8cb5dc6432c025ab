"""Which candidate a criterion prefers, and whether it is worth much."""

import numpy as np

from imgsim._warnings import warn_caller
from imgsim.cluster.selection._knee import find_knee
from imgsim.exceptions import WeakClustersWarning
from imgsim.export._table import Table

CRITERIA = (
    "silhouette",
    "calinski_harabasz",
    "davies_bouldin",
    "inertia",
    "gap",
    "stability",
)
_WEAK, _STRONG, _ALIKE = 0.1, 0.5, 0.02  # mean silhouettes


def choose(table: Table, criterion: str) -> int:
    """Return the position of the candidate that a criterion prefers.

    Parameters
    ----------
    table : Table
        Of all candidates, in order of k.

    criterion : str
        One of `CRITERIA`.

    Returns
    -------
    position : int
        Of equal candidates the smallest k, of equally stable ones the largest.

    Raises
    ------
    ValueError
        If no candidate has a value.
    """
    known = np.flatnonzero(np.isfinite(table[criterion]))
    if len(known) == 0:
        raise ValueError(
            f"no candidate can be judged by {criterion!r}: {_reasons(table)}."
        )
    values = table[criterion][known]
    if criterion == "davies_bouldin":
        return int(known[values.argmin()])
    if criterion == "inertia":
        knee = find_knee(table["k"][known], values)
        return int(known[0 if knee is None else knee])
    if criterion == "gap":
        # The first whose gap the next does not clearly exceed.
        errors = table["gap_se"][known]
        enough = values[:-1] >= values[1:] - errors[1:]
        return int(known[enough.argmax() if enough.any() else values.argmax()])
    if criterion == "stability":
        # Groups that hold together may do so in twos, too.
        return int(known[len(values) - 1 - values[::-1].argmax()])
    return int(known[values.argmax()])


def _reasons(table: Table) -> str:
    """Name each reason once, with the candidates that it concerns."""
    concerned: dict[str, list[str]] = {}
    for k, reason in zip(table["k"], table["reason"], strict=True):
        concerned.setdefault(str(reason).rstrip("."), []).append(str(k))
    return "; ".join(f"k={', '.join(ks)}: {why}" for why, ks in concerned.items())


def warn_if_weak(table: Table, position: int, criterion: str) -> None:
    """Warn if silhouettes tell that there are no groups, or not how many."""
    silhouettes, k = table["silhouette"], table["k"]
    best = silhouettes[position]
    if k[position] == 1:  # which only the gap can choose
        return
    if not best >= _WEAK:
        warn_caller(
            f"the groups hardly stand apart: the mean silhouette of k={k[position]} is "
            f"{best:.3f}, below {_WEAK}. There is no clear cluster structure for any "
            f"k. Try metric='cosine', n_components='auto', algorithm='leiden', which "
            f"follows dense regions, or another embedder.",
            WeakClustersWarning,
        )
        return
    if criterion != "silhouette":
        return
    alike = _like_the_best(table, position)
    if alike:
        warn_caller(
            f"no clear maximum: the mean silhouette of k={k[position]}, {best:.3f}, is "
            f"hardly above that of {alike}. There may be no groups, or groups of "
            f"groups: look at plot(), and at the images.",
            WeakClustersWarning,
        )
    elif position == len(k) - 1 and len(k) > 2:
        warn_caller(
            f"the best k={k[position]} is the largest candidate: more groups may be "
            f"better still. Widen k_range.",
            WeakClustersWarning,
        )


def _like_the_best(table: Table, position: int) -> str:
    """Name the candidates that are about as good as the best, "" if there are none.

    These are others, but for the next ones, within the standard error and 0.02; or half
    of all, if the best is below 0.5 and not a tenth above their median.
    """
    silhouettes, errors = table["silhouette"], table["silhouette_se"]
    with np.errstate(invalid="ignore"):
        apart = silhouettes[position] - silhouettes
        is_close = apart <= np.minimum(np.hypot(errors, errors[position]), _ALIKE)
    is_far = np.abs(np.arange(len(apart)) - position) > 1
    rivals = table["k"][is_close & is_far]
    if len(rivals):
        return f"k={', '.join(map(str, rivals))}"
    median = np.nanmedian(silhouettes)
    least = min(1.1 * median, _STRONG)
    if np.isfinite(silhouettes).sum() > 2 and silhouettes[position] < least:
        return f"half of the candidates, {median:.3f}"
    return ""
