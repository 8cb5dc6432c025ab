"""Tests of the rules that choose among candidates, and of their warnings."""

import re
import warnings

import numpy as np
import pytest

from imgsim.cluster.selection._best_k import CRITERIA, choose, warn_if_weak
from imgsim.exceptions import WeakClustersWarning
from imgsim.export._table import Table

NAN = np.nan


def _table(values, criterion="silhouette", errors=0.0, first_k=2):
    """Return candidates with these values of a criterion; NaN failed."""
    values = np.array(values, dtype=float)
    return Table(
        {
            "k": np.arange(first_k, first_k + len(values)),
            criterion: values,
            f"{criterion}_se": np.broadcast_to(errors, len(values)).astype(float),
            "reason": np.where(np.isnan(values), "did not converge", ""),
        }
    )


def _message(table, position, criterion="silhouette"):
    """Return the warning in one line, "" if there is none."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_if_weak(table, position, criterion)
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
def test_each_criterion_has_its_best(criterion, values, best_k):
    """The largest, the smallest, or the knee."""
    table = _table(values, criterion)

    assert table["k"][choose(table, criterion)] == best_k


@pytest.mark.parametrize("criterion", CRITERIA)
def test_of_equal_candidates_the_smallest_is_chosen(criterion):
    """Fewer groups are easier to look through, but groups are stable in twos, too."""
    chosen = choose(_table([0.5, 0.5, 0.4, 0.5], criterion), criterion)

    assert chosen == {"stability": 3, "davies_bouldin": 2, "inertia": 2}.get(
        criterion, 0
    )


@pytest.mark.parametrize("criterion", CRITERIA)
def test_candidates_without_a_value_are_passed_over(criterion):
    """Be they first, last or in between; infinity is no value either."""
    best_of = {
        "davies_bouldin": [NAN, 0.9, NAN, 0.2, 0.7, np.inf, NAN],
        "inertia": [NAN, 99, NAN, 12, 9, NAN, NAN],
    }
    values = best_of.get(criterion, [NAN, 0.1, NAN, 0.9, 0.5, -np.inf, NAN])

    assert choose(_table(values, criterion), criterion) == 3


@pytest.mark.parametrize("values", [[9], [9, 4], [9, 6, 3], [9, 8, 5, 1]])
def test_without_a_knee_there_is_no_reason_for_more_groups(values):
    """A straight line, or one that bends the other way."""
    assert choose(_table(values, "inertia"), "inertia") == 0


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
def test_the_gap_takes_the_first_that_the_next_does_not_exceed(gaps, errors, best_k):
    """gap(k) >= gap(k + 1) - s(k + 1), in the words of the paper."""
    table = _table(gaps, "gap", errors, first_k=1)

    assert table["k"][choose(table, "gap")] == best_k


@pytest.mark.parametrize("criterion", CRITERIA)
def test_no_candidate_is_an_error_with_the_reasons(criterion):
    """Of each candidate."""
    table = _table([NAN, NAN], criterion)
    table["reason"] = np.array(["a single group", "too many"])

    message = f"'{criterion}': k=2: a single group; k=3: too many"
    with pytest.raises(ValueError, match=re.escape(message)):
        choose(table, criterion)


def test_a_reason_that_all_share_is_given_once():
    """Nine candidates fail for one mistake."""
    table = _table([NAN] * 9)

    with pytest.raises(ValueError, match="did not converge") as caught:
        choose(table, "silhouette")
    assert str(caught.value).count("did not converge") == 1


@pytest.mark.parametrize(
    ("silhouettes", "best"),
    [
        ([0.3, 0.8, 0.5, 0.4], 1),
        ([0.8, 0.5, 0.4, 0.3], 0),
        ([NAN, 0.8, 0.5, NAN, 0.3], 1),
        ([0.8], 0),
        ([0.5, 0.8], 1),  # of two, one is the larger
    ],
)
def test_a_clear_maximum_is_no_cause_for_a_warning(silhouettes, best):
    """Whatever failed beside it."""
    assert _message(_table(silhouettes, errors=0.05), best) == ""


@pytest.mark.parametrize("criterion", CRITERIA)
def test_a_weak_silhouette_warns_whatever_decided(criterion):
    """With the number, the bound, and what to try."""
    message = _message(_table([0.03, 0.0987, 0.05]), 1, criterion)

    assert "silhouette of k=3 is 0.099, below 0.1" in message
    assert "metric='cosine', n_components='auto', algorithm='leiden'" in message


def test_the_bound_itself_is_not_weak():
    """It is below 0.1 that groups hardly stand apart."""
    assert _message(_table([0.05, 0.1, 0.05]), 1) == ""


def test_a_choice_without_a_silhouette_is_not_called_nan():
    """The gap may find a single group, which has none."""
    table = _table([NAN, 0.3, 0.2], first_k=1)

    assert "nan" not in _message(table, 0, "gap")


@pytest.mark.parametrize(
    ("silhouettes", "rivals"),
    [
        ([0.80, 0.5, 0.6, 0.785], "k=5"),
        ([0.80, 0.5, 0.79, 0.5, 0.785], "k=4, 6"),
        ([0.785, NAN, 0.80, 0.5], "k=2"),
    ],
)
def test_candidates_as_good_as_the_best_are_named(silhouettes, rivals):
    """Within the errors of both, groups of groups may be meant."""
    table = _table(silhouettes, errors=0.03)

    message = _message(table, int(np.nanargmax(silhouettes)))

    assert message.startswith("no clear maximum: the mean silhouette of k=")
    assert f", 0.800, is hardly above that of {rivals}. There may be" in message
    assert "groups of groups" in message


def test_errors_add_up_as_squares():
    """A difference of 0.01 is within errors of 0.008 and 0.008, but not of 0.006."""
    silhouettes = [0.8, 0.5, 0.79, 0.5]

    assert "k=4" in _message(_table(silhouettes, errors=0.008), 0)
    assert _message(_table(silhouettes, errors=0.006), 0) == ""


def test_large_errors_of_few_images_do_not_hide_a_maximum():
    """The rows are the same for every k: errors are too large for differences."""
    assert _message(_table([0.5, 0.8, 0.5, 0.76], errors=0.1), 1) == ""


def test_neighbours_of_the_best_are_no_rivals():
    """A broad maximum is one maximum."""
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
    """However small the errors: half of the candidates are within a tenth."""
    message = _message(_table(silhouettes), int(np.nanargmax(silhouettes)))

    assert f"above that of half of the candidates, {median}. There may be" in message


@pytest.mark.parametrize(
    "silhouettes",
    [[0.30, 0.34, 0.2], [0.4, 0.39], [NAN, 0.4, 0.39], [0.50, 0.55, 0.54]],
)
def test_a_curve_of_three_points_may_be_flat(silhouettes):
    """Not of two, nor if the best is a tenth above the median, or above 0.5."""
    assert _message(_table(silhouettes), int(np.nanargmax(silhouettes))) == ""


def test_the_largest_candidate_may_not_be_the_end():
    """Only if it is the best of more than two."""
    message = _message(_table([0.3, 0.5, 0.8]), 2)

    assert "k=4 is the largest candidate" in message
    assert "Widen k_range" in message


@pytest.mark.parametrize("criterion", sorted({*CRITERIA} - {"silhouette"}))
def test_other_criteria_may_disagree_with_silhouettes(criterion):
    """They have a reason to: no word of maxima."""
    assert _message(_table([0.3, 0.5, 0.8], errors=0.5), 2, criterion) == ""


def test_there_is_one_warning_at_most():
    """The worst."""
    with pytest.warns(WeakClustersWarning) as caught:
        warn_if_weak(_table([0.05, 0.02, 0.05], errors=0.1), 2, "silhouette")

    assert len(caught) == 1
