"""A table of named columns that does not need pandas."""

import csv
import io
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgsim._optional import import_optional

__all__ = ["Table"]

_MAX_SHOWN = 6  # values of an array in a cell


class Table(dict[str, NDArray[Any]]):
    """Dictionary of named columns of equal length, which prints as a table.

    Each value is an array. `pandas.DataFrame(table)` works as well.

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
            The file to write. An existing file is replaced.

        Raises
        ------
        UnicodeEncodeError
            If a string cannot be encoded. An existing file is left unchanged.

        OSError
            If the file cannot be written. It may then be incomplete.

        Notes
        -----
        File names that are not valid UTF-8 are written as their original bytes. To read
        them, open the file with `errors="surrogateescape"`.
        """
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(self)
        columns = [map(_join_values, column) for column in self.values()]
        writer.writerows(zip(*columns, strict=True))
        Path(path).write_bytes(text.getvalue().encode("utf-8", "surrogateescape"))

    def __str__(self) -> str:
        """Return the columns side by side, with four significant digits.

        If a cell contains an array of more than six values, only the first four and the
        last of them are shown.
        """
        columns = [
            [_escape(name), *map(_abbreviate, column)] for name, column in self.items()
        ]
        widths = [max(map(len, column)) for column in columns]
        lines = zip(*columns, strict=True)
        return "\n".join(
            "  ".join(
                cell.rjust(width) for cell, width in zip(line, widths, strict=True)
            )
            for line in lines
        )


def _join_values(value: Any) -> Any:
    return " ".join(map(str, value)) if isinstance(value, np.ndarray) else value


def _abbreviate(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return f"{value:.4g}"
    if isinstance(value, np.ndarray) and len(value) > _MAX_SHOWN:
        return f"{_join_values(value[: _MAX_SHOWN - 2])} … {value[-1]}"
    return _escape(str(_join_values(value)))


def _escape(text: str) -> str:
    """Escape line breaks and unprintable characters, which file names may contain."""
    return "".join(
        letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text
    )
