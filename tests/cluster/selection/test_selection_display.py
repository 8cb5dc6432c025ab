"""Tests of drawing criteria against the number of clusters."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from imgsim import select_k
from imgsim.display import SelectionDisplay
from imgsim.export import Table

ALL = [
    "silhouette",
    "calinski_harabasz",
    "davies_bouldin",
    "inertia",
    "gap",
    "stability",
]


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture
def table():
    """Return candidates 2 to 6, of which 4 failed; only the gap has standard errors."""
    table = Table(k=np.arange(2, 7))
    for name in ALL:
        values = np.array([0.2, 0.5, np.nan, 0.7, 0.4])
        errors = values / 10 if name == "gap" else np.full(5, np.nan)
        table |= {name: values, f"{name}_se": errors}
    return table | {"reason": np.array(["", "", "did not converge", "", ""])}


@pytest.fixture
def display(table):
    """Return a display of five candidates, of which 5 is the best."""
    return SelectionDisplay(table=table, best_k=5, criterion="silhouette")


def _explained(ax):
    """Return the labels of the legend with their artists."""
    return dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))


def _legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_the_criterion_of_the_selection_is_drawn(display, table):
    """The curve is interrupted where a candidate failed."""
    ax = display.plot().ax_

    (curve,) = (line for line in ax.lines if len(line.get_xdata()) == 5)
    assert_array_equal(curve.get_xdata(), table["k"])
    assert_array_equal(curve.get_ydata(), table["silhouette"])
    assert ax.get_xlabel() == "number of clusters k"
    assert ax.get_ylabel() == "mean silhouette\n(larger is better)"
    assert display.axes_ == [ax]
    assert display.figure_.axes == [ax]


def test_the_best_k_is_marked(display):
    """It is marked on the curve and named in the legend."""
    ax = display.plot().ax_

    best = _explained(ax)["best k = 5"]
    assert best.get_xydata().tolist() == [[5, 0.7]]
    assert _legend(ax) == ["best k = 5", "failed"]


def test_failed_candidates_are_marked_on_the_axis(display):
    """They have no value, and are drawn at the bottom of the panel."""
    ax = display.plot().ax_

    failed = _explained(ax)["failed"]
    display.figure_.canvas.draw()
    ((x, y),) = ax.transAxes.inverted().transform(
        failed.get_transform().transform(failed.get_xydata())
    )
    low, high = ax.get_xlim()
    assert failed.get_xdata().tolist() == [4]
    assert x == pytest.approx((4 - low) / (high - low))
    assert 0 <= y < 0.1


def test_a_candidate_without_a_value_need_not_have_failed(table):
    """A single cluster has no silhouette, but it has a gap."""
    table["reason"][:] = ""

    display = SelectionDisplay(table=table, best_k=5, criterion="silhouette").plot()

    assert _legend(display.ax_) == ["best k = 5"]


def test_standard_errors_are_error_bars(display, table):
    """They are drawn where they are known."""
    ax = display.plot(criteria="gap").ax_

    (bars,) = (bars.get_segments() for bars in ax.collections)
    ends = np.array([[low[1], high[1]] for low, high in bars])
    known = ~np.isnan(table["gap"])
    expected = table["gap"][known, np.newaxis] * [0.9, 1.1]
    assert np.allclose(ends, expected)
    assert "± standard error" in _legend(ax)
    assert "± standard error" not in _legend(display.plot().ax_)


def test_several_criteria_have_a_panel_each(display):
    """The panels share the axis of k and one legend."""
    display.plot(criteria=ALL)

    display.figure_.canvas.draw()
    tops = [ax.get_position().y1 for ax in display.axes_]
    assert [ax.get_ylabel().partition("\n")[2] for ax in display.axes_] == [
        "(larger is better)",
        "(larger is better)",
        "(smaller is better)",
        "(look for the knee)",
        "(larger is better)",
        "(larger is better)",
    ]
    assert tops == sorted(tops, reverse=True)
    assert len({ax.get_xlim() for ax in display.axes_}) == 1
    assert display.ax_ is display.axes_[0]
    assert _legend(display.ax_) == [
        "best k = 5 by mean silhouette",
        "failed",
        "± standard error",
    ]
    assert not any(ax.get_legend() for ax in display.axes_[1:])


def test_everything_is_inside_the_figure(display):
    """Also the legend above the panels and the labels of the axes."""
    display.plot(criteria=["gap", "inertia"])

    display.figure_.canvas.draw()
    tight = display.figure_.get_tightbbox()
    width, height = display.figure_.get_size_inches()
    assert min(tight.x0, tight.y0) >= 0
    assert tight.x1 <= width
    assert tight.y1 <= height


@pytest.mark.parametrize("n_candidates", [1, 2, 5])
def test_the_ticks_of_k_are_integers(table, n_candidates):
    """There are no 2.5 clusters."""
    few = {name: column[:n_candidates] for name, column in table.items()}

    ax = SelectionDisplay(table=few, best_k=2, criterion="silhouette").plot().ax_

    low, high = ax.get_xlim()
    ticks = [tick for tick in ax.get_xticks() if low <= tick <= high]
    assert ticks == [tick for tick in ticks if tick == int(tick)]
    assert 2 in ticks


def test_a_table_of_one_criterion_is_enough():
    """Standard errors and reasons are optional."""
    table = {"k": [2, 3], "inertia": [9.0, 4.0]}

    ax = SelectionDisplay(table=table, best_k=3, criterion="inertia").plot().ax_

    assert _legend(ax) == ["best k = 3"]


def test_draws_on_given_axes(display):
    """Users compose their own figures, with one criterion on each axes."""
    figure, axes = plt.subplots(1, 2)

    for ax, name in zip(axes, ["silhouette", "davies_bouldin"], strict=True):
        display.plot(ax=ax, criteria=[name])

    assert display.ax_ is axes[1]
    assert display.figure_ is figure
    assert axes[1].get_ylabel() == "Davies-Bouldin\n(smaller is better)"
    assert _legend(axes[0])[0] == "best k = 5"
    assert _legend(axes[1])[0] == "best k = 5 by mean silhouette"
    assert len(figure.axes) == 2


def test_from_selection_takes_a_selection(blobs):
    """The display shows the table of the selection."""
    selection = select_k(blobs[0], range(2, 6), random_state=0)

    display = SelectionDisplay.from_selection(selection)

    assert display.table is selection.table
    assert _legend(display.plot().ax_)[0] == "best k = 3"


def test_other_criteria_are_rejected(display, table):
    """The message names the criteria in the table."""
    for criteria in ("dunn", [], ["gap", "k"]):
        with pytest.raises(
            ValueError, match=r"only criteria in the table: .*'inertia'"
        ):
            display.plot(criteria=criteria)
    del table["gap"]
    with pytest.raises(ValueError, match="criteria='gap' must name at least one"):
        display.plot(criteria="gap")
    with pytest.raises(ValueError, match="must be a single criterion if ax is given"):
        display.plot(ax=plt.figure().add_subplot(), criteria=["silhouette", "inertia"])
