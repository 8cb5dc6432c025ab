"""Tests of the result of select_k."""

import dataclasses
import pickle

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from imgsim import select_k
from imgsim.display import SelectionDisplay


@pytest.fixture
def selection(blobs):
    """Return a selection among four candidates, one of which is impossible."""
    return select_k(blobs[0], [2, 3, 5, 61], random_state=0)


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def test_plot_draws_the_criterion_of_the_selection(selection):
    """It returns the display with its axes."""
    display = selection.plot()

    assert isinstance(display, SelectionDisplay)
    assert display.ax_.get_ylabel().startswith("mean silhouette")
    assert display.figure_.axes == [display.ax_]


def test_plot_draws_other_criteria(selection):
    """They are drawn on the given axes."""
    ax = plt.figure().add_subplot()

    display = selection.plot(ax=ax, criteria=["davies_bouldin"])

    assert display.ax_ is ax
    assert ax.get_ylabel().startswith("Davies-Bouldin")


def test_the_table_becomes_a_data_frame(selection):
    """One row for each candidate; pandas also accepts the table as a dict."""
    frame = selection.table.to_frame()

    assert frame["k"].tolist() == [2, 3, 5, 61]
    assert frame["sizes"][1].tolist() == [30, 20, 10]
    assert_array_equal(frame["silhouette"], selection.table["silhouette"])
    pd.testing.assert_frame_equal(pd.DataFrame(selection.table), frame)


def test_the_table_becomes_a_csv_file(selection, tmp_path):
    """Sizes are separated by spaces, and an impossible candidate has none."""
    selection.table.to_csv(tmp_path / "k.csv")

    frame = pd.read_csv(tmp_path / "k.csv", keep_default_na=False, na_values=["nan"])
    assert list(frame) == list(selection.table)
    assert frame["sizes"].tolist()[1] == "30 20 10"
    assert frame["sizes"].tolist()[3] == ""
    assert_allclose(frame["silhouette"], selection.table["silhouette"])
    assert frame["reason"].tolist() == selection.table["reason"].tolist()


def test_the_table_prints_a_line_for_each_candidate(selection):
    """The first line has the names of the columns."""
    lines = str(selection.table).splitlines()

    assert len(lines) == 5
    assert lines[0].split() == list(selection.table)
    assert lines[4].endswith("k exceeds the number of distinct rows, 60")


def test_a_selection_is_frozen(selection):
    """Its attributes belong together."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        selection.best_k = 7


def test_selections_are_compared_by_identity(selection, blobs):
    """Comparing their arrays would not give a single truth value."""
    other = select_k(blobs[0], [2, 3], random_state=0)

    assert selection == selection
    assert selection != other
    assert len({selection, other}) == 2


def test_a_selection_survives_pickling(selection):
    """It can be stored and plotted later."""
    copy = pickle.loads(pickle.dumps(selection))

    assert (copy.best_k, copy.criterion) == (3, "silhouette")
    assert str(copy.table) == str(selection.table)
    assert_array_equal(copy.labelings[3], selection.labelings[3])
    assert copy.plot().best_k == 3


def test_labelings_have_a_label_for_every_row(selection):
    """There is one labeling for each candidate that was clustered."""
    assert list(selection.labelings) == [2, 3, 5]
    for k, labels in selection.labelings.items():
        assert labels.shape == (60,)
        assert labels.dtype == np.int64
        assert set(labels) == set(range(k))
