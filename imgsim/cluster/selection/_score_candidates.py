"""Every criterion for every candidate, as a table."""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import LabelEncoder

from imgsim.cluster.algorithms._feature_space import to_euclidean
from imgsim.cluster.criteria._gap_and_stability import (
    gap_statistic,
    reference_box,
    stability,
)
from imgsim.cluster.criteria._silhouette import silhouette_score_many
from imgsim.cluster.criteria._variance_criteria import Criteria, judge
from imgsim.cluster.selection._candidates import (
    CLUSTERING_ERRORS,
    Candidate,
    Setting,
    in_threads,
)
from imgsim.export._table import Table

_MOST_ROWS = 20_000
_SAMPLE_SIZE = 5_000

Score = tuple[float, float]
_UNKNOWN: Score = (np.nan, np.nan)


def judge_candidates(
    setting: Setting,
    candidates: list[Candidate],
    criterion: str,
    sample_size: int | str | None,
    n_jobs: int | None = None,
) -> Table:
    """Return a row for each candidate, NaN where there is nothing to judge."""
    if criterion in ("gap", "stability"):
        tried = in_threads(partial(_try_again, setting, criterion), candidates, n_jobs)
        candidates = [candidate for candidate, _ in tried]
    judged = [c for c in candidates if c.is_judged]
    scores: dict[str, dict[int, Score]] = {
        "silhouette": _silhouettes(setting, judged, sample_size)
    }
    sums = in_threads(partial(_sums, setting), judged, n_jobs)
    for name in ("calinski_harabasz", "davies_bouldin", "inertia"):
        scores[name] = {
            c.k: (getattr(value, name), getattr(error, name))
            for c, (value, error) in zip(judged, sums, strict=True)
        }
    if criterion in ("gap", "stability"):
        scores[criterion] = {c.k: score for c, score in tried}
    return _as_table(candidates, scores)


def _try_again(
    setting: Setting, criterion: str, candidate: Candidate
) -> tuple[Candidate, Score]:
    """Cluster other rows as the candidate's; it fails if that does."""
    # The gap alone can tell that there is a single group.
    is_single = criterion == "gap" and candidate.k == 1
    if not candidate.is_judged and not (is_single and candidate.estimator is not None):
        return candidate, _UNKNOWN
    judge_again = _gap if criterion == "gap" else _stability
    try:
        return candidate, judge_again(setting, candidate)
    except CLUSTERING_ERRORS as error:
        return replace(candidate, reason=f"{criterion}: {error}"), _UNKNOWN


def _silhouettes(
    setting: Setting, judged: list[Candidate], sample_size: int | str | None
) -> dict[int, Score]:
    if not judged:
        return {}
    if isinstance(sample_size, str):
        is_large = len(setting.rows) > _MOST_ROWS and setting.metric != "cosine"
        sample_size = _SAMPLE_SIZE if is_large else None
    means, errors = silhouette_score_many(
        setting.rows,
        np.stack([c.labels for c in judged]),
        metric=setting.metric,
        sample_size=sample_size,
        random_state=setting.seed,
    )
    return {
        c.k: (float(mean), float(error))
        for c, mean, error in zip(judged, means, errors, strict=True)
    }


def _sums(setting: Setting, candidate: Candidate) -> tuple[Criteria, Criteria]:
    grouped = candidate.labels >= 0
    rows = to_euclidean(setting.rows[grouped], setting.metric)
    codes = LabelEncoder().fit_transform(candidate.labels[grouped])
    return judge(rows, codes, setting.seed)


def _gap(setting: Setting, candidate: Candidate) -> Score:
    draw = reference_box(setting.seen)
    # The same references for every k, so that chance favours none.
    rng = np.random.default_rng(setting.seed)
    return gap_statistic(
        setting.seen,
        candidate.labels,
        lambda rows: setting.fit(candidate.k, rows)[1],
        lambda: to_euclidean(draw(rng), setting.metric),
    )


def _stability(setting: Setting, candidate: Candidate) -> Score:
    return stability(
        setting.seen,
        candidate.labels,
        lambda rows: setting.fit(candidate.k, rows)[1],
        np.random.default_rng(setting.seed),
    )


def _as_table(
    candidates: list[Candidate], scores: dict[str, dict[int, Score]]
) -> Table:
    columns: dict[str, NDArray[Any]] = {"k": np.array([c.k for c in candidates])}
    for name, by_k in scores.items():
        pairs = np.array([by_k.get(c.k, _UNKNOWN) for c in candidates])
        columns[name], columns[f"{name}_se"] = pairs.T
    sizes = np.empty(len(candidates), dtype=object)
    sizes[:] = [_sizes(c.labels) for c in candidates]
    columns["n_clusters"] = np.array([len(some) for some in sizes])
    columns["sizes"] = sizes
    columns["seconds"] = np.array([c.seconds for c in candidates])
    columns["reason"] = np.array([c.reason for c in candidates])
    return Table(columns)


def _sizes(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    counts = np.unique(labels[labels >= 0], return_counts=True)[1]
    return np.sort(counts)[::-1]
