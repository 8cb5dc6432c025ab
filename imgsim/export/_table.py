"""A table of named columns that does not need pandas."""

import csv
import io
import os
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgsim._atomic_file import check_target, replace_file
from imgsim._optional import import_optional

__all__ = ["Table"]

# How Python encodes file names that are not valid Unicode.
_ERRORS = "surrogatepass" if os.name == "nt" else "surrogateescape"
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


def _encode(text: str) -> bytes:
    return text.encode("utf-8", _ERRORS)


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
