"""A small table: named columns of equal length, without a need of pandas."""

import csv
import io
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgsim._optional import import_optional

__all__ = ["Table"]

_MOST_SHOWN = 6  # numbers of a cell


class Table(dict[str, NDArray[Any]]):
    """Columns of equal length by name; prints as a table.

    It is a dict of arrays, so that `pandas.DataFrame(table)` works too.

    Examples
    --------
    >>> import numpy as np
    >>> from imgsim.export import Table
    >>> table = Table(group=np.array([0, 1]), silhouette=np.array([0.51234, np.nan]))
    >>> print(table)
    group  silhouette
        0      0.5123
        1         nan
    """

    def to_frame(self) -> Any:
        """Return the table as a pandas DataFrame.

        Returns
        -------
        frame : pandas.DataFrame
            A column for each of the table.

        Raises
        ------
        ModuleNotFoundError
            If pandas is missing.
        """
        return import_optional("pandas", caller="to_frame").DataFrame(dict(self))

    def to_csv(self, path: str | PathLike[str]) -> None:
        """Write the table into a file of comma-separated values, in UTF-8.

        Parameters
        ----------
        path : str or PathLike
            The file, which is replaced if it exists.

        Raises
        ------
        UnicodeEncodeError
            If a text is not Unicode; the file is as it was then.

        OSError
            If the file cannot be written, in which case it may be cut short.

        Notes
        -----
        Names of files that are no UTF-8 keep their bytes. To read them back, open the
        file with `errors="surrogateescape"`.
        """
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(self)
        columns = [map(_in_full, column) for column in self.values()]
        writer.writerows(zip(*columns, strict=True))
        Path(path).write_bytes(text.getvalue().encode("utf-8", "surrogateescape"))

    def __str__(self) -> str:
        """Return the columns beside each other, numbers with four digits.

        Of an array of more than six numbers in one place, the first four and the last.
        """
        columns = [
            [_printable(name), *map(_in_short, column)] for name, column in self.items()
        ]
        widths = [max(map(len, column)) for column in columns]
        lines = zip(*columns, strict=True)
        return "\n".join(
            "  ".join(
                cell.rjust(width) for cell, width in zip(line, widths, strict=True)
            )
            for line in lines
        )


def _in_full(value: Any) -> Any:
    return " ".join(map(str, value)) if isinstance(value, np.ndarray) else value


def _in_short(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return f"{value:.4g}"
    if isinstance(value, np.ndarray) and len(value) > _MOST_SHOWN:
        return f"{_in_full(value[: _MOST_SHOWN - 2])} … {value[-1]}"
    return _printable(str(_in_full(value)))


def _printable(text: str) -> str:
    """Escape what would break a line, or could not be printed: names of files may."""
    return "".join(
        letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text
    )
