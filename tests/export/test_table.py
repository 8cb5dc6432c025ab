"""Tests of tables without pandas."""

import csv
import sys

import numpy as np
import pytest

from imgsim.export._table import Table


def _rows(path):
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
        return list(csv.reader(file))


@pytest.fixture
def table():
    """Return a table of texts, integers and numbers."""
    names = np.array(["a, b", 'say "c"', "d\r\ne", "\udcff.jpg"], dtype=object)
    size = np.array([0.123456, 1e-7, np.nan, 2.0], dtype=np.float32)
    return Table(name=names, group=np.array([0, 1, -1, 2]), size=size)


def test_prints_columns_beside_each_other():
    """As wide as they must be, with four digits."""
    table = Table(k=np.array([2, 10]), silhouette=np.array([0.51234, np.nan]))

    assert str(table) == " k  silhouette\n 2      0.5123\n10         nan"


def test_prints_what_cannot_be_printed(table):
    """Of a file's name, a line break would tear the table, a lone byte stop print."""
    lines = str(table).splitlines()

    assert len(lines) == 5
    assert lines[3].split() == [r"d\r\ne", "-1", "nan"]
    assert lines[4].split() == [r"\udcff.jpg", "2", "2"]


def test_an_empty_table_has_a_header():
    """No images are no error; nor is no column."""
    assert str(Table(path=np.array([]), group=np.array([]))) == "path  group"
    assert str(Table()) == ""


def test_is_a_dict_of_arrays(table):
    """It is pandas' own input, and numpy's."""
    pd = pytest.importorskip("pandas")

    assert list(table) == ["name", "group", "size"]
    assert table["group"].sum() == 2
    assert pd.DataFrame(table).equals(table.to_frame())


def test_becomes_a_frame(table):
    """With the columns' own types."""
    pytest.importorskip("pandas")

    frame = table.to_frame()

    assert list(frame.columns) == ["name", "group", "size"]
    assert frame["name"].tolist() == table["name"].tolist()
    assert frame["group"].dtype == np.int64
    assert frame["size"].dtype == np.float32


def test_a_frame_needs_pandas(table, monkeypatch):
    """The rest of a table does not."""
    monkeypatch.setitem(sys.modules, "pandas", None)

    with pytest.raises(
        ModuleNotFoundError, match=r"to_frame needs pandas: pip install"
    ):
        table.to_frame()


def test_a_csv_file_holds_all_digits_and_bytes(table, tmp_path):
    """What is written is what is read, whatever a file is called."""
    table.to_csv(tmp_path / "table.csv")

    header, *rows = _rows(tmp_path / "table.csv")
    assert header == list(table)
    assert [name for name, _, _ in rows] == table["name"].tolist()
    assert [int(group) for _, group, _ in rows] == [0, 1, -1, 2]
    sizes = np.array([size for _, _, size in rows], dtype=np.float32)
    np.testing.assert_array_equal(sizes, table["size"])
    assert b"\xff.jpg" in (tmp_path / "table.csv").read_bytes()


def test_a_csv_file_is_read_by_pandas(table, tmp_path):
    """Which is what most people do with it."""
    pd = pytest.importorskip("pandas")

    table.to_csv(str(tmp_path / "table.csv"))

    frame = pd.read_csv(
        tmp_path / "table.csv", encoding_errors="surrogateescape", engine="python"
    )
    assert frame["group"].tolist() == [0, 1, -1, 2]
    assert frame["size"].isna().tolist() == [False, False, True, False]


def test_a_long_array_is_cut_when_printed():
    """The sizes of forty groups would break the lines of a whole table."""
    sizes = np.empty(2, dtype=object)
    sizes[:] = np.arange(40), np.arange(6)

    lines = str(Table(sizes=sizes)).splitlines()

    assert [line.strip() for line in lines[1:]] == ["0 1 2 3 … 39", "0 1 2 3 4 5"]


def test_a_csv_file_holds_whole_arrays(tmp_path):
    """Numpy would leave out the middle of a long one."""
    sizes = np.empty(1, dtype=object)
    sizes[0] = np.arange(2000)

    Table(sizes=sizes).to_csv(tmp_path / "table.csv")

    assert _rows(tmp_path / "table.csv")[1][0].split() == [*map(str, range(2000))]


def test_an_empty_csv_file_has_a_header(tmp_path):
    """So that a script finds the columns it expects."""
    Table(path=np.array([]), group=np.array([])).to_csv(tmp_path / "table.csv")

    assert _rows(tmp_path / "table.csv") == [["path", "group"]]


@pytest.mark.parametrize(
    ("column", "error"),
    [(["fine", "\ud800"], UnicodeEncodeError), (["too short"], ValueError)],
)
def test_what_cannot_be_written_leaves_the_file_as_it_was(column, error, tmp_path):
    """Half a table looks like a whole one."""
    (tmp_path / "table.csv").write_text("old")
    table = Table(name=np.array(column, dtype=object), group=np.array([0, 1]))

    with pytest.raises(error):
        table.to_csv(tmp_path / "table.csv")
    assert (tmp_path / "table.csv").read_text() == "old"
