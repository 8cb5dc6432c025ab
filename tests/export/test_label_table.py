"""Tests of tables of images and their cluster labels."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgsim import ImageClusterer
from imgsim.export import label_table


def test_rows_are_in_the_order_of_the_images(blobs):
    """The labels of a clusterer are accepted without conversion."""
    clusterer = ImageClusterer(3, random_state=0).fit(blobs[0])
    paths = [f"{row}.jpg" for row in range(60)]

    table = label_table(paths, clusterer.labels_)

    assert list(table) == ["path", "cluster"]
    assert table["path"].tolist() == paths
    assert table["cluster"].tolist() == clusterer.labels_.tolist()
    assert table["cluster"].dtype == np.int64


def test_accepts_all_types_of_paths(tmp_path):
    """All are converted to str without being resolved."""
    (tmp_path / "c.jpg").touch()
    with os.scandir(os.fsencode(tmp_path)) as entries:
        paths = ["./a.jpg", Path("b.jpg"), *entries, np.str_("d.jpg")]

    found = label_table(paths, [0, 1, -1, 0])["path"]

    assert [type(path) for path in found] == [str] * 4
    assert found.tolist() == ["./a.jpg", "b.jpg", str(tmp_path / "c.jpg"), "d.jpg"]


@pytest.mark.parametrize("kind", [tuple, np.array, "pandas", "polars"])
def test_accepts_columns_of_data_frames(kind):
    """Paths and labels are often columns of a data frame."""
    make = pytest.importorskip(kind).Series if isinstance(kind, str) else kind

    table = label_table(make(["a.jpg", "b.jpg"]), make([1, 0]))

    assert table["path"].tolist() == ["a.jpg", "b.jpg"]
    assert table["cluster"].tolist() == [1, 0]


def test_additional_columns_are_copied():
    """They keep their order and dtype, and changing the original has no effect."""
    silhouette = np.array([0.5, np.nan], dtype=np.float32)
    columns = {"silhouette": silhouette, "file size": [10, 20]}

    table = label_table(["a.jpg", "b.jpg"], [0, -1], columns=columns)
    silhouette[0] = 0

    assert list(table) == ["path", "cluster", "silhouette", "file size"]
    assert table["silhouette"].dtype == np.float32
    assert table["silhouette"][0] == 0.5
    assert table["file size"].tolist() == [10, 20]


def test_no_images_give_an_empty_table():
    """A filter may have removed all images."""
    table = label_table([], [], columns={"size": []})

    assert [len(column) for column in table.values()] == [0, 0, 0]
    assert table["cluster"].dtype == np.int64


def test_a_csv_file_preserves_all_paths(tmp_path):
    """File names may contain any byte except a slash and a null byte."""
    paths = ["a,b", 'a"b', "a\nb", "a\rb", " a ", "ä/中.jpg", os.fsdecode(b"\xe4.jpg")]

    label_table(paths, range(7)).to_csv(tmp_path / "table.csv")

    with open(
        tmp_path / "table.csv", encoding="utf-8", errors="surrogateescape", newline=""
    ) as file:
        assert [row["path"] for row in csv.DictReader(file)] == paths


def test_converts_to_a_data_frame():
    """Data frames can be aggregated by cluster."""
    pytest.importorskip("pandas")

    frame = label_table(["a", "b", "c"], [0, 1, 0], columns={"x": [1, 2, 3]}).to_frame()

    assert frame.groupby("cluster")["x"].sum().tolist() == [4, 2]


def test_lengths_must_agree():
    """It would be unknown which image has which label."""
    with pytest.raises(ValueError, match=r"paths has 2 entries and labels has 3"):
        label_table(["a", "b"], [0, 1, 2])
    with pytest.raises(
        ValueError, match=r"columns\['x'\] has 1 entries and paths has 2"
    ):
        label_table(["a", "b"], [0, 1], columns={"x": [1]})


@pytest.mark.parametrize("labels", [[0.0, 1.0], ["0", "1"], [True, False], [0, None]])
def test_labels_must_be_integers(labels):
    """Floats indicate a missing label or the wrong column."""
    with pytest.raises(TypeError, match=r"labels must be integers"):
        label_table(["a", "b"], labels)


@pytest.mark.parametrize("labels", [[[0], [1]], 0])
def test_labels_must_be_one_dimensional(labels):
    """A two-dimensional column is a frequent mistake."""
    with pytest.raises(ValueError, match=r"labels must be one-dimensional"):
        label_table(["a", "b"], labels)


def test_labels_below_minus_one_are_refused():
    """HDBSCAN of scikit-learn uses -3 for rows that contain NaN, for example."""
    with pytest.raises(ValueError, match=r"labels contains -3.*numpy\.maximum"):
        label_table(["a", "b"], [0, -3])


@pytest.mark.parametrize(
    "image", [np.zeros((2, 2, 3), np.uint8), Image.new("L", (2, 2)), b"\xff\xd8", None]
)
def test_images_without_a_path_are_refused(image):
    """The message suggests to pass names instead of images in memory."""
    with pytest.raises(TypeError, match=r"paths\[1\] must be a str .* pass names"):
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
    """A single path is not a collection, and a set has no order."""
    with pytest.raises(TypeError, match=r"paths must be a sequence of paths"):
        label_table(paths, [0, 1])


@pytest.mark.parametrize("name", ["path", "cluster"])
def test_reserved_names_of_columns_are_refused(name):
    """An additional column must not replace the paths or the labels."""
    with pytest.raises(ValueError, match=rf"columns has the key '{name}'"):
        label_table(["a"], [0], columns={name: [1]})


@pytest.mark.parametrize(
    ("columns", "error", "words"),
    [
        ({1: [1]}, TypeError, "columns has the key 1"),
        ({"x": [[1]]}, ValueError, r"columns\['x'\] must be one-dimensional"),
        ({"x": "a"}, ValueError, r"columns\['x'\] must be one-dimensional"),
        ([("x", [1])], ValueError, "'columns' parameter"),
    ],
)
def test_columns_must_be_named_arrays(columns, error, words):
    """The message names the invalid column."""
    with pytest.raises(error, match=words):
        label_table(["a"], [0], columns=columns)
