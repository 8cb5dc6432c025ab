"""Tests of tables that do not need pandas."""

import csv
import errno
import json
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


def _numbers(n_rows):
    return Table(row=np.arange(n_rows), square=np.arange(n_rows) ** 2)


@pytest.mark.parametrize("show", [str, repr])
def test_a_long_table_is_cut_in_the_middle(show):
    """The last expression of a cell must not print a million lines."""
    whole, cut = show(_numbers(60)).splitlines(), show(_numbers(61)).splitlines()

    assert len(whole) == 61
    shown = ["0", "1", "2", "3", "4", "…", "56", "57", "58", "59", "60"]
    assert [line.split()[0] for line in cut[:-2]] == ["row", *shown]
    assert cut[-2:] == ["", "[61 rows x 2 columns]"]


def test_a_long_table_is_printed_quickly():
    """Only the rows that are shown are converted to text."""

    class Countable(np.ndarray):
        def __iter__(self):
            assert len(self) < 10
            return super().__iter__()

    assert "1000000 rows" in repr(Table(row=np.arange(10**6).view(Countable)))


def test_the_last_expression_of_a_cell_is_the_table():
    """Terminals show the repr, so it is the table as well."""
    table = Table(k=np.array([2, 10]), silhouette=np.array([0.51234, np.nan]))

    assert repr(table) == str(table)
    assert repr(Table()) == "Table()"


def test_long_text_is_shortened_in_the_middle():
    """The start of a path and its file name tell more than the folders between."""
    path = f"/photos/{'a' * 100}/lion.jpg"

    cell = str(Table(path=np.array([path]))).splitlines()[1]

    assert len(cell) == 60
    assert cell.startswith("/photos/aaa")
    assert cell.endswith("aaa/lion.jpg")
    assert "…" in cell


def test_wide_letters_take_two_cells():
    """Names in Chinese, Japanese or Korean would otherwise move the other columns."""
    names = np.array(["猫.jpg", "e\u0301.jpg", "dog.jpg"])

    lines = str(Table(name=names, size=np.array([1, 2, 3]))).splitlines()

    assert lines[1:] == [" 猫.jpg     1", "  e\u0301.jpg     2", "dog.jpg     3"]


def test_a_wide_table_is_divided_in_a_narrow_terminal(monkeypatch):
    """Lines that the terminal wraps cannot be read."""
    table = Table({name * 20: np.array([1.0]) for name in "abcde"})
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "70")

    first, second = str(table).split("\n\n")

    assert first.split()[:3] == ["a" * 20, "b" * 20, "c" * 20]
    assert second.split()[:3] == ["a" * 20, "d" * 20, "e" * 20]
    assert max(map(len, str(table).splitlines())) <= 70


def test_a_notebook_shows_the_same_cells(table):
    """Names are escaped, because file names may contain markup."""
    table["name"][0] = "<b>bold</b>"

    html = table._repr_html_()

    assert "&lt;b&gt;bold" in html
    assert "<b>" not in html
    assert html.count("<tr>") == 5
    assert "0.1235" in html
    assert "[61 rows x 2 columns]" in _numbers(61)._repr_html_()
    assert Table()._repr_html_().count("<td") == 0


def test_to_dict_can_be_written_as_json():
    """Scripts in other languages read JSON, which lacks NaN."""
    sizes = np.empty(2, dtype=object)
    sizes[:] = np.array([3, 1]), np.array([4])
    silhouette = np.array([0.25, np.nan], dtype=np.float32)
    table = Table(k=np.array([2, 1]), silhouette=silhouette, sizes=sizes)

    columns = json.loads(json.dumps(table.to_dict(), allow_nan=False))

    assert columns == {"k": [2, 1], "silhouette": [0.25, None], "sizes": [[3, 1], [4]]}
