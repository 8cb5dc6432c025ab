"""A table of named columns that does not need pandas."""

import csv
import io
import math
import os
import shutil
import sys
import unicodedata
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgsim._atomic_file import check_target, replace_file
from imgsim._html import render_html
from imgsim._optional import import_optional
from imgsim.export._json_value import to_json_value

__all__ = ["Table"]

# How Python encodes file names that are not valid Unicode.
_ERRORS = "surrogatepass" if os.name == "nt" else "surrogateescape"
_MAX_ROWS = 60
_N_AT_ENDS = 5  # rows that are shown at each end of a longer table
_MAX_SHOWN = 6  # values of an array in a cell
_MAX_LETTERS = 60  # of a cell
_CUT, _GAP = "…", "  "


class Table(dict[str, NDArray[Any]]):
    """Dictionary of named columns of equal length, which prints as a table.

    Each value is an array. Notebooks display the table in HTML.
    `pandas.DataFrame(table)` works as well.

    Examples
    --------
    >>> import numpy as np
    >>> from imgsim.export import Table
    >>> table = Table(cluster=np.array([0, 1]), silhouette=np.array([0.51234, np.nan]))
    >>> print(table)
    cluster  silhouette
          0      0.5123
          1         nan
    """

    def to_frame(self) -> Any:
        """Return the table as a pandas DataFrame.

        Returns
        -------
        frame : pandas.DataFrame
            Data frame with the columns of the table.

        Raises
        ------
        ModuleNotFoundError
            If pandas is not installed.
        """
        return import_optional("pandas", caller="to_frame").DataFrame(dict(self))

    def to_csv(self, path: str | PathLike[str]) -> None:
        """Write the table to a file of comma-separated values, encoded in UTF-8.

        Parameters
        ----------
        path : str or path-like
            The file to write. An existing file is replaced in one step and keeps its
            permissions; a symbolic link is followed.

        Raises
        ------
        OSError
            If the file cannot be written, or if `path` is not a regular file. An
            existing file is left unchanged.

        ValueError
            If a string cannot be encoded. An existing file is left unchanged.

        Notes
        -----
        File names that are not valid Unicode are written as their original bytes. To
        read them, open the file with `errors="surrogateescape"`, or on Windows with
        `errors="surrogatepass"`.
        """
        target = Path(path)
        check_target(target)
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(self)
        columns = [map(_join_values, column) for column in self.values()]
        writer.writerows(zip(*columns, strict=True))
        try:
            content = _encode(text.getvalue())
        except UnicodeEncodeError:
            self._check_encoding()
            raise
        with replace_file(target) as file:
            file.write(content)

    def _check_encoding(self) -> None:
        """Raise ValueError with the first value that cannot be encoded."""
        for name, column in self.items():
            for value in (name, *column):
                try:
                    _encode(str(_join_values(value)))
                except UnicodeEncodeError as error:
                    raise ValueError(
                        f"column {name!r} contains {value!r}, which cannot be encoded "
                        f"in UTF-8, because it contains a lone surrogate. Replace "
                        f"this character."
                    ) from error

    def to_dict(self) -> dict[str, list[Any]]:
        """Return the columns as lists that the module `json` can write.

        Returns
        -------
        columns : dict of str to list
            The columns by name. Numbers are int and float, NaN and infinity are None,
            and an array in a cell is a list.

        Examples
        --------
        >>> import numpy as np
        >>> from imgsim.export import Table
        >>> Table(k=np.array([1, 2]), silhouette=np.array([np.nan, 0.5])).to_dict()
        {'k': [1, 2], 'silhouette': [None, 0.5]}
        """
        columns: dict[str, list[Any]] = to_json_value(self)
        return columns

    def __str__(self) -> str:
        """Return the columns side by side, with four significant digits.

        Of a table of more than 60 rows, the first and the last five are shown, with the
        number of all rows. If a cell contains an array of more than six values, only
        the first four and the last of them are shown, and long text is shortened in the
        middle. If the lines are wider than the terminal, the columns are divided into
        several blocks, each of which starts with the first column.
        """
        columns = [
            [name, *cells]
            for name, cells in zip(self._names(), self._cells(), strict=True)
        ]
        blocks = map(_side_by_side, _divide(columns, _max_width()))
        return "\n\n".join(filter(None, [*blocks, self._note()]))

    def __repr__(self) -> str:
        return str(self) or f"{type(self).__name__}()"

    def _repr_html_(self) -> str:
        return render_html(
            "imgsim.export",
            "table.html",
            names=self._names(),
            rows=zip(*self._cells(), strict=True),
            note=self._note(),
        )

    def _names(self) -> list[str]:
        return [_escape(str(name)) for name in self]

    def _cells(self) -> list[list[str]]:
        """Return the text of the cells that are shown, column by column."""
        if self._n_rows() <= _MAX_ROWS:
            return [list(map(_abbreviate, column)) for column in self.values()]
        return [
            [
                *map(_abbreviate, column[:_N_AT_ENDS]),
                _CUT,
                *map(_abbreviate, column[-_N_AT_ENDS:]),
            ]
            for column in self.values()
        ]

    def _note(self) -> str:
        """Return the size of the table if not all rows are shown."""
        n_rows = self._n_rows()
        return f"[{n_rows} rows x {len(self)} columns]" if n_rows > _MAX_ROWS else ""

    def _n_rows(self) -> int:
        return max(map(len, self.values()), default=0)


def _encode(text: str) -> bytes:
    return text.encode("utf-8", _ERRORS)


def _join_values(value: Any) -> Any:
    return " ".join(map(str, value)) if isinstance(value, np.ndarray) else value


def _abbreviate(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return f"{value:.4g}"
    if isinstance(value, np.ndarray) and len(value) > _MAX_SHOWN:
        return f"{_join_values(value[: _MAX_SHOWN - 2])} {_CUT} {value[-1]}"
    text = _escape(str(_join_values(value)))
    if len(text) <= _MAX_LETTERS:
        return text
    # Both ends of a path tell more than its middle.
    n_left = _MAX_LETTERS // 2
    return text[:n_left] + _CUT + text[n_left + 1 - _MAX_LETTERS :]


def _escape(text: str) -> str:
    """Escape line breaks and unprintable characters, which file names may contain."""
    return "".join(
        letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text
    )


def _divide(columns: list[list[str]], max_width: float) -> Iterator[list[list[str]]]:
    """Divide columns into blocks that fit a width; each repeats the first column."""
    block: list[list[str]] = []
    for column in columns:
        width = sum(_widest(other) + len(_GAP) for other in block) + _widest(column)
        if len(block) > 1 and width > max_width:
            yield block
            block = columns[:1]
        block = [*block, column]
    yield block


def _side_by_side(columns: list[list[str]]) -> str:
    widths = list(map(_widest, columns))
    return "\n".join(
        _GAP.join(
            " " * (width - _count_cells(cell)) + cell
            for cell, width in zip(line, widths, strict=True)
        )
        for line in zip(*columns, strict=True)
    )


def _widest(column: list[str]) -> int:
    return max(map(_count_cells, column))


def _count_cells(text: str) -> int:
    """Return the width of a text in a terminal, in which some letters are wide."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return len(text) + wide - sum(map(bool, map(unicodedata.combining, text)))


def _max_width() -> float:
    """Return the width of the terminal, which is unlimited if there is none."""
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    return shutil.get_terminal_size().columns if is_terminal else math.inf
