"""Tests of listing images beside their groups."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgsim import ImageClusterer
from imgsim.export import label_table


def test_lists_images_in_their_order(blobs):
    """Row i is image i."""
    clusterer = ImageClusterer(3, random_state=0).fit(blobs[0])
    paths = [f"{row}.jpg" for row in range(60)]

    table = label_table(paths, clusterer.labels_)

    assert list(table) == ["path", "group"]
    assert table["path"].tolist() == paths
    assert table["group"].tolist() == clusterer.labels_.tolist()
    assert table["group"].dtype == np.int64


def test_takes_paths_of_all_kinds(tmp_path):
    """All come out as str, as they were spelled."""
    (tmp_path / "c.jpg").touch()
    with os.scandir(os.fsencode(tmp_path)) as entries:
        paths = ["./a.jpg", Path("b.jpg"), *entries, np.str_("d.jpg")]

    found = label_table(paths, [0, 1, -1, 0])["path"]

    assert [type(path) for path in found] == [str] * 4
    assert found.tolist() == ["./a.jpg", "b.jpg", str(tmp_path / "c.jpg"), "d.jpg"]


@pytest.mark.parametrize("kind", [tuple, np.array, "pandas", "polars"])
def test_takes_columns_of_paths(kind):
    """A table of files is where paths often come from."""
    make = pytest.importorskip(kind).Series if isinstance(kind, str) else kind

    table = label_table(make(["a.jpg", "b.jpg"]), make([1, 0]))

    assert table["path"].tolist() == ["a.jpg", "b.jpg"]
    assert table["group"].tolist() == [1, 0]


def test_takes_further_columns():
    """In the order given, unchanged, and apart from what they were made from."""
    silhouette = np.array([0.5, np.nan], dtype=np.float32)
    columns = {"silhouette": silhouette, "file size": [10, 20]}

    table = label_table(["a.jpg", "b.jpg"], [0, -1], columns=columns)
    silhouette[0] = 0

    assert list(table) == ["path", "group", "silhouette", "file size"]
    assert table["silhouette"].dtype == np.float32
    assert table["silhouette"][0] == 0.5
    assert table["file size"].tolist() == [10, 20]


def test_no_images_are_an_empty_table():
    """A filter may leave none."""
    table = label_table([], [], columns={"size": []})

    assert [len(column) for column in table.values()] == [0, 0, 0]
    assert table["group"].dtype == np.int64


def test_any_path_survives_a_csv_file(tmp_path):
    """Names of files hold anything but a slash and a zero byte."""
    paths = ["a,b", 'a"b', "a\nb", "a\rb", " a ", "ä/中.jpg", os.fsdecode(b"\xe4.jpg")]

    label_table(paths, range(7)).to_csv(tmp_path / "table.csv")

    with open(
        tmp_path / "table.csv", encoding="utf-8", errors="surrogateescape", newline=""
    ) as file:
        assert [row["path"] for row in csv.DictReader(file)] == paths


def test_becomes_a_frame():
    """Which is grouped and joined at once."""
    pytest.importorskip("pandas")

    frame = label_table(["a", "b", "c"], [0, 1, 0], columns={"x": [1, 2, 3]}).to_frame()

    assert frame.groupby("group")["x"].sum().tolist() == [4, 2]


def test_lengths_must_agree():
    """Otherwise it would be anybody's guess which image has which label."""
    with pytest.raises(ValueError, match=r"paths has 2 entries and labels has 3"):
        label_table(["a", "b"], [0, 1, 2])
    with pytest.raises(
        ValueError, match=r"columns\['x'\] has 1 entries and paths has 2"
    ):
        label_table(["a", "b"], [0, 1], columns={"x": [1]})


@pytest.mark.parametrize("labels", [[0.0, 1.0], ["0", "1"], [True, False], [0, None]])
def test_labels_must_be_integers(labels):
    """A float is the sign of a missing label, or of another column."""
    with pytest.raises(TypeError, match=r"labels must be integers"):
        label_table(["a", "b"], labels)


@pytest.mark.parametrize("labels", [[[0], [1]], 0])
def test_labels_have_one_axis(labels):
    """A column of a matrix is one index away."""
    with pytest.raises(ValueError, match=r"labels must have one axis"):
        label_table(["a", "b"], labels)


def test_other_signs_of_no_group_are_refused():
    """HDBSCAN of scikit-learn marks rows that it could not read by -3."""
    with pytest.raises(ValueError, match=r"labels has -3.*numpy\.maximum"):
        label_table(["a", "b"], [0, -3])


@pytest.mark.parametrize(
    "image", [np.zeros((2, 2, 3), np.uint8), Image.new("L", (2, 2)), b"\xff\xd8", None]
)
def test_images_without_a_path_are_told(image):
    """Arrays and pictures in memory are images, too, and have no name."""
    with pytest.raises(TypeError, match=r"paths\[1\] must be a str or path-like"):
        label_table(["a", image], [0, 1])


@pytest.mark.parametrize(
    "paths",
    [
        "ab",
        Path("ab"),
        b"ab",
        {"a", "b"},
        {"a": 1, "b": 2},
        iter("ab"),
        np.zeros((2, 2)),
    ],
)
def test_paths_must_be_a_sequence(paths):
    """A single path is no collection, and a set has no order."""
    with pytest.raises(TypeError, match=r"paths must be a sequence of paths"):
        label_table(paths, [0, 1])


@pytest.mark.parametrize("name", ["path", "group"])
def test_columns_have_names_of_their_own(name):
    """What the table says of an image is not replaced."""
    with pytest.raises(ValueError, match=rf"columns has '{name}'"):
        label_table(["a"], [0], columns={name: [1]})


@pytest.mark.parametrize(
    ("columns", "error", "words"),
    [
        ({1: [1]}, TypeError, "columns has the key 1"),
        ({"x": [[1]]}, ValueError, r"columns\['x'\] must have one axis"),
        ({"x": "a"}, ValueError, r"columns\['x'\] must have one axis"),
        ([("x", [1])], ValueError, "'columns' parameter"),
    ],
)
def test_columns_are_named_arrays(columns, error, words):
    """As a table has them."""
    with pytest.raises(error, match=words):
        label_table(["a"], [0], columns=columns)
