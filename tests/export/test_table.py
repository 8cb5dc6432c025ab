"""Tests of tables that do not need pandas."""

import csv
import errno
import os
import sys

import numpy as np
import pytest

from imgsim.export import Table


def _rows(path):
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
        return list(csv.reader(file))


@pytest.fixture
def table():
    """Return a table of strings, integers and floats."""
    names = np.array(["a, b", 'say "c"', "d\r\ne", "\udcff.jpg"], dtype=object)
    size = np.array([0.123456, 1e-7, np.nan, 2.0], dtype=np.float32)
    return Table(name=names, group=np.array([0, 1, -1, 2]), size=size)


def test_prints_columns_side_by_side():
    """Columns are right-aligned, and floats have four significant digits."""
    table = Table(k=np.array([2, 10]), silhouette=np.array([0.51234, np.nan]))

    assert str(table) == " k  silhouette\n 2      0.5123\n10         nan"


def test_unprintable_characters_are_escaped(table):
    """A line break would break the table, and print raises on invalid Unicode."""
    lines = str(table).splitlines()

    assert len(lines) == 5
    assert lines[3].split() == [r"d\r\ne", "-1", "nan"]
    assert lines[4].split() == [r"\udcff.jpg", "2", "2"]


def test_an_empty_table_prints_its_header():
    """Neither a table without rows nor one without columns is an error."""
    assert str(Table(path=np.array([]), group=np.array([]))) == "path  group"
    assert str(Table()) == ""


def test_is_a_dict_of_arrays(table):
    """The table can be passed to the constructor of a pandas DataFrame."""
    pd = pytest.importorskip("pandas")

    assert list(table) == ["name", "group", "size"]
    assert table["group"].sum() == 2
    assert pd.DataFrame(table).equals(table.to_frame())


def test_a_data_frame_has_the_dtypes_of_the_columns(table):
    """Integers and single precision are preserved."""
    pytest.importorskip("pandas")

    frame = table.to_frame()

    assert list(frame.columns) == ["name", "group", "size"]
    assert frame["name"].tolist() == table["name"].tolist()
    assert frame["group"].dtype == np.int64
    assert frame["size"].dtype == np.float32


def test_to_frame_without_pandas_says_how_to_install_it(table, monkeypatch):
    """Pandas is an optional dependency."""
    monkeypatch.setitem(sys.modules, "pandas", None)

    with pytest.raises(
        ModuleNotFoundError, match=r"to_frame needs pandas: pip install"
    ):
        table.to_frame()


def test_a_csv_file_preserves_all_digits_and_bytes(table, tmp_path):
    """Reading the file gives exactly the same values, for any file name."""
    table.to_csv(tmp_path / "table.csv")

    header, *rows = _rows(tmp_path / "table.csv")
    assert header == list(table)
    assert [name for name, _, _ in rows] == table["name"].tolist()
    assert [int(group) for _, group, _ in rows] == [0, 1, -1, 2]
    sizes = np.array([size for _, _, size in rows], dtype=np.float32)
    np.testing.assert_array_equal(sizes, table["size"])
    assert b"\xff.jpg" in (tmp_path / "table.csv").read_bytes()


def test_pandas_can_read_the_csv_file(table, tmp_path):
    """Most users read it with pandas."""
    pd = pytest.importorskip("pandas")

    table.to_csv(str(tmp_path / "table.csv"))

    frame = pd.read_csv(
        tmp_path / "table.csv", encoding_errors="surrogateescape", engine="python"
    )
    assert frame["group"].tolist() == [0, 1, -1, 2]
    assert frame["size"].isna().tolist() == [False, False, True, False]


def test_a_long_array_is_abbreviated_when_printed():
    """A cell may contain the sizes of many clusters."""
    sizes = np.empty(2, dtype=object)
    sizes[:] = np.arange(40), np.arange(6)

    lines = str(Table(sizes=sizes)).splitlines()

    assert [line.strip() for line in lines[1:]] == ["0 1 2 3 … 39", "0 1 2 3 4 5"]


def test_a_csv_file_contains_whole_arrays(tmp_path):
    """The string representation of NumPy abbreviates long arrays."""
    sizes = np.empty(1, dtype=object)
    sizes[0] = np.arange(2000)

    Table(sizes=sizes).to_csv(tmp_path / "table.csv")

    assert _rows(tmp_path / "table.csv")[1][0].split() == [*map(str, range(2000))]


def test_a_csv_file_without_rows_has_a_header(tmp_path):
    """Scripts that read the file expect the columns."""
    Table(path=np.array([]), group=np.array([])).to_csv(tmp_path / "table.csv")

    assert _rows(tmp_path / "table.csv") == [["path", "group"]]


@pytest.mark.parametrize(
    ("column", "message"),
    [(["fine", "\ud800"], r"'name' contains '\\ud800', which"), (["too short"], "zip")],
)
def test_a_failed_write_leaves_the_file_unchanged(column, message, tmp_path):
    """An incomplete table would look like a complete one."""
    (tmp_path / "table.csv").write_text("old")
    table = Table(name=np.array(column, dtype=object), group=np.array([0, 1]))

    with pytest.raises(ValueError, match=message):
        table.to_csv(tmp_path / "table.csv")
    assert (tmp_path / "table.csv").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_full_disk_leaves_the_file_unchanged(table, tmp_path, monkeypatch):
    """The table is written aside and replaces the file at the end."""
    (tmp_path / "table.csv").write_text("old")

    def fail(*_):
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match=r"no space: '.*table\.csv'"):
        table.to_csv(tmp_path / "table.csv")

    assert (tmp_path / "table.csv").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_name_of_a_column_that_cannot_be_encoded_is_named(tmp_path):
    """The columns may be named after files."""
    table = Table({"\ud800.jpg": np.array([1])})

    with pytest.raises(ValueError, match=r"column '\\ud800.jpg' contains"):
        table.to_csv(tmp_path / "table.csv")


@pytest.mark.parametrize("name", ["", "none/table.csv", "\ud800.csv"], ids=ascii)
def test_a_path_that_is_no_file_is_named(table, tmp_path, name):
    """Neither a folder nor a name that cannot exist is written."""
    with pytest.raises(
        (OSError, ValueError), match=r"not a regular|create it|character"
    ):
        table.to_csv(tmp_path / name)
