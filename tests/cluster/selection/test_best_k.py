"""Tests of the rules that select a candidate, and of the warnings."""

import re
import warnings

import numpy as np
import pytest

from imgsim.cluster.selection._best_k import CRITERIA, find_best_k, warn_if_weak
from imgsim.exceptions import WeakClustersWarning
from imgsim.export import Table

NAN = np.nan


def _table(values, criterion="silhouette", errors=0.0, first_k=2):
    """Return candidates with these values of a criterion, NaN for one that failed."""
    values = np.array(values, dtype=float)
    return Table(
        {
            "k": np.arange(first_k, first_k + len(values)),
            criterion: values,
            f"{criterion}_se": np.broadcast_to(errors, len(values)).astype(float),
            "reason": np.where(np.isnan(values), "did not converge", ""),
        }
    )


def _message(table, position, criterion="silhouette", metric="cosine"):
    """Return the text of the warning, "" if there is none."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_if_weak(table, position, criterion, metric)
    assert all(one.category is WeakClustersWarning for one in caught)
    return " ".join(str(one.message) for one in caught)


@pytest.mark.parametrize(
    ("criterion", "values", "best_k"),
    [
        ("silhouette", [0.2, 0.7, 0.5], 3),
        ("calinski_harabasz", [90, 30, 99], 4),
        ("davies_bouldin", [1.2, 0.3, 0.4], 3),
        ("stability", [0.6, 0.9, 0.95], 4),
        ("inertia", [100, 20, 15, 12, 10], 3),
    ],
)
def test_each_criterion_selects_its_best(criterion, values, best_k):
    """The best is the largest value, the smallest, or the knee."""
    table = _table(values, criterion)

    assert table["k"][find_best_k(table, criterion)] == best_k


@pytest.mark.parametrize("criterion", CRITERIA)
def test_the_smallest_of_equal_candidates_is_selected(criterion):
    """Except for stability: pairs of stable clusters are stable, too."""
    position = find_best_k(_table([0.5, 0.5, 0.4, 0.5], criterion), criterion)

    assert position == {"stability": 3, "davies_bouldin": 2, "inertia": 2}.get(
        criterion, 0
    )


@pytest.mark.parametrize("criterion", CRITERIA)
def test_candidates_without_a_score_are_ignored(criterion):
    """Wherever they are in the table; an infinite score is ignored, too."""
    best_of = {
        "davies_bouldin": [NAN, 0.9, NAN, 0.2, 0.7, np.inf, NAN],
        "inertia": [NAN, 99, NAN, 12, 9, NAN, NAN],
    }
    values = best_of.get(criterion, [NAN, 0.1, NAN, 0.9, 0.5, -np.inf, NAN])

    assert find_best_k(_table(values, criterion), criterion) == 3


@pytest.mark.parametrize("values", [[9], [9, 4], [9, 6, 3], [9, 8, 5, 1]])
def test_without_a_knee_the_smallest_k_is_selected(values):
    """The curve is a straight line or concave."""
    assert find_best_k(_table(values, "inertia"), "inertia") == 0


@pytest.mark.parametrize(
    ("gaps", "errors", "best_k"),
    [
        ([0.5, 0.4, 0.9], 0.0, 1),  # the first fall decides
        ([0.1, 0.5, 0.4], 0.0, 2),
        ([0.1, 0.5, 0.55, 0.9], [0, 0, 0.1, 0], 2),  # 0.55 may be chance
        ([0.1, 0.5, 0.55, 0.5], [0, 0.1, 0.01, 0], 3),  # the error of the next counts
        ([0.1, 0.2, 0.3], 0.0, 3),  # it never falls: the largest
        ([0.1, NAN, 0.3, 0.2], 0.0, 3),
        ([0.4], 0.0, 1),
    ],
)
def test_the_gap_selects_the_first_that_the_next_does_not_exceed(gaps, errors, best_k):
    """The smallest k with gap(k) >= gap(k + 1) - s(k + 1), as in the paper."""
    table = _table(gaps, "gap", errors, first_k=1)

    assert table["k"][find_best_k(table, "gap")] == best_k


@pytest.mark.parametrize("criterion", CRITERIA)
def test_the_error_has_the_reason_of_each_candidate(criterion):
    """No candidate can be selected if all have failed."""
    table = _table([NAN, NAN], criterion)
    table["reason"] = np.array(["a single cluster", "too many"])

    message = f"'{criterion}': k=2: a single cluster; k=3: too many"
    with pytest.raises(ValueError, match=re.escape(message)):
        find_best_k(table, criterion)


def test_a_shared_reason_is_given_once():
    """One wrong parameter lets all candidates fail."""
    table = _table([NAN] * 9)

    with pytest.raises(ValueError, match="did not converge") as caught:
        find_best_k(table, "silhouette")
    assert str(caught.value).count("did not converge") == 1


@pytest.mark.parametrize(
    ("silhouettes", "best"),
    [
        ([0.3, 0.8, 0.5, 0.4], 1),
        ([0.8, 0.5, 0.4, 0.3], 0),
        ([NAN, 0.8, 0.5, NAN, 0.3], 1),
        ([0.8], 0),
        ([0.5, 0.8], 1),  # two candidates do not have a flat curve
    ],
)
def test_a_clear_maximum_does_not_warn(silhouettes, best):
    """Candidates that failed do not matter."""
    assert _message(_table(silhouettes, errors=0.05), best) == ""


@pytest.mark.parametrize("criterion", CRITERIA)
def test_a_weak_silhouette_warns_for_every_criterion(criterion):
    """The message has the value, the bound, and what to try."""
    message = _message(_table([0.03, 0.0987, 0.05]), 1, criterion)

    assert "silhouette of k=3 is 0.099, below 0.1" in message
    assert "There is no clear cluster structure for any k. Try n_comp" in message


def test_the_cosine_metric_is_suggested_to_others():
    """It is the default, and whoever has it need not try it."""
    table = _table([0.03, 0.05, 0.04])

    assert "Try metric='cosine', n_comp" in _message(table, 1, metric="euclidean")
    assert "metric='cosine'" not in _message(table, 1, metric="cosine")


def test_a_silhouette_at_the_bound_is_not_weak():
    """Only mean silhouettes below 0.1 are."""
    assert _message(_table([0.05, 0.1, 0.05]), 1) == ""


def test_a_single_cluster_does_not_warn():
    """The gap statistic may select it, and it has no silhouette."""
    table = _table([NAN, 0.3, 0.2], first_k=1)

    assert _message(table, 0, "gap") == ""


@pytest.mark.parametrize(
    ("silhouettes", "rivals"),
    [
        ([0.80, 0.5, 0.6, 0.785], "k=5"),
        ([0.80, 0.5, 0.79, 0.5, 0.785], "k=4, 6"),
        ([0.785, NAN, 0.80, 0.5], "k=2"),
    ],
)
def test_candidates_as_good_as_the_best_are_named(silhouettes, rivals):
    """If clusters consist of clusters, several numbers are right."""
    table = _table(silhouettes, errors=0.03)

    message = _message(table, int(np.nanargmax(silhouettes)))

    assert message.startswith("there is no clear maximum: the mean silhouette of k=")
    assert f", 0.800, is hardly larger than for {rivals}. There may be" in message
    assert "clusters that consist of smaller clusters" in message


def test_errors_are_added_in_quadrature():
    """A difference of 0.01 is within two errors of 0.008, but not of 0.006."""
    silhouettes = [0.8, 0.5, 0.79, 0.5]

    assert "k=4" in _message(_table(silhouettes, errors=0.008), 0)
    assert _message(_table(silhouettes, errors=0.006), 0) == ""


def test_large_errors_of_few_images_do_not_hide_a_maximum():
    """All k share the same rows, so that errors overstate the error of a difference."""
    assert _message(_table([0.5, 0.8, 0.5, 0.76], errors=0.1), 1) == ""


def test_neighbors_of_the_best_do_not_warn():
    """A broad maximum is still a single maximum."""
    assert _message(_table([0.5, 0.79, 0.8, 0.79, 0.5, 0.4], errors=0.05), 2) == ""


@pytest.mark.parametrize(
    ("silhouettes", "median"),
    [
        ([0.2, 0.39, 0.4, 0.39, 0.35], "0.390"),
        ([0.30, 0.32, 0.31], "0.310"),
        ([NAN, 0.40, 0.42, 0.43, NAN, 0.30, 0.40], "0.400"),
    ],
)
def test_a_flat_curve_has_no_clear_maximum(silhouettes, median):
    """Half of the candidates are within a tenth of the best, whatever the errors."""
    message = _message(_table(silhouettes), int(np.nanargmax(silhouettes)))

    named = f"half of the candidates (median {median})"
    assert f"hardly larger than for {named}. There may be" in message


@pytest.mark.parametrize(
    "silhouettes",
    [[0.30, 0.34, 0.2], [0.4, 0.39], [NAN, 0.4, 0.39], [0.50, 0.55, 0.54]],
)
def test_some_curves_are_not_flat(silhouettes):
    """Two points, or a best that is above 0.5 or a tenth above the median."""
    assert _message(_table(silhouettes), int(np.nanargmax(silhouettes))) == ""


def test_the_largest_candidate_warns_if_it_is_the_best():
    """Larger candidates could be better."""
    message = _message(_table([0.3, 0.5, 0.8]), 2)

    assert "k=4 is the largest candidate" in message
    assert "Widen k_range" in message


@pytest.mark.parametrize("criterion", sorted({*CRITERIA} - {"silhouette"}))
def test_other_criteria_do_not_warn_of_maxima(criterion):
    """They need not agree with the silhouettes."""
    assert _message(_table([0.3, 0.5, 0.8], errors=0.5), 2, criterion) == ""


def test_there_is_at_most_one_warning():
    """Only the most serious reason is given."""
    with pytest.warns(WeakClustersWarning) as caught:
        warn_if_weak(_table([0.05, 0.02, 0.05], errors=0.1), 2, "silhouette", "cosine")

    assert len(caught) == 1
