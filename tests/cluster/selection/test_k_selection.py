"""Tests of the outcome of a selection."""

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
    """Return a choice among four numbers of groups, one of which is impossible."""
    return select_k(blobs[0], [2, 3, 5, 61], random_state=0)


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def test_plot_draws_the_criterion_that_decided(selection):
    """And returns the display, with its axes."""
    display = selection.plot()

    assert isinstance(display, SelectionDisplay)
    assert display.ax_.get_ylabel().startswith("mean silhouette")
    assert display.figure_.axes == [display.ax_]


def test_plot_draws_others_if_asked_to(selection):
    """On the axes that it is given."""
    ax = plt.figure().add_subplot()

    display = selection.plot(ax=ax, criteria=["davies_bouldin"])

    assert display.ax_ is ax
    assert ax.get_ylabel().startswith("Davies-Bouldin")


def test_the_table_is_a_frame(selection):
    """A row a candidate; pandas takes the dict itself, too."""
    frame = selection.table.to_frame()

    assert frame["k"].tolist() == [2, 3, 5, 61]
    assert frame["sizes"][1].tolist() == [30, 20, 10]
    assert_array_equal(frame["silhouette"], selection.table["silhouette"])
    pd.testing.assert_frame_equal(pd.DataFrame(selection.table), frame)


def test_the_table_is_a_file(selection, tmp_path):
    """That reads back as it was, sizes as words, an impossible candidate empty."""
    selection.table.to_csv(tmp_path / "k.csv")

    frame = pd.read_csv(tmp_path / "k.csv", keep_default_na=False, na_values=["nan"])
    assert list(frame) == list(selection.table)
    assert frame["sizes"].tolist()[1] == "30 20 10"
    assert frame["sizes"].tolist()[3] == ""
    assert_allclose(frame["silhouette"], selection.table["silhouette"])
    assert frame["reason"].tolist() == selection.table["reason"].tolist()


def test_the_table_prints_a_line_a_candidate(selection):
    """Under a line of names."""
    lines = str(selection.table).splitlines()

    assert len(lines) == 5
    assert lines[0].split() == list(selection.table)
    assert lines[4].endswith("it exceeds the number of rows that differ, 60")


def test_a_selection_is_not_changed(selection):
    """It tells what was found."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        selection.best_k = 7


def test_a_selection_can_be_compared(selection, blobs):
    """With itself and others, by identity: arrays are neither equal nor not."""
    other = select_k(blobs[0], [2, 3], random_state=0)

    assert selection == selection
    assert selection != other
    assert len({selection, other}) == 2


def test_a_selection_survives_pickling(selection):
    """To be looked at another day."""
    copy = pickle.loads(pickle.dumps(selection))

    assert (copy.best_k, copy.criterion) == (3, "silhouette")
    assert str(copy.table) == str(selection.table)
    assert_array_equal(copy.labelings[3], selection.labelings[3])
    assert copy.plot().best_k == 3


def test_labelings_are_of_all_rows(selection):
    """Integers, for each candidate that could be had."""
    assert list(selection.labelings) == [2, 3, 5]
    for k, labels in selection.labelings.items():
        assert labels.shape == (60,)
        assert labels.dtype == np.int64
        assert set(labels) == set(range(k))
