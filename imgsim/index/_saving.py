"""An index that is kept in a file."""

import os
from typing import Self

from sklearn.utils.validation import check_is_fitted

from imgsim.index.storage._index_file import load_index, save_index


class Saving:
    """Adds `save` and `load` to an index."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the index to a file.

        Parameters
        ----------
        path : str or path-like
            Name of the file. One that exists is replaced once the new one is whole.

        Raises
        ------
        ValueError
            If the metric is a function, or ids or labels are not str, paths or numbers.

        Notes
        -----
        The file holds arrays and JSON in the format of safetensors, with checksums.
        Rows that were removed are not in it, except where a graph still leads over
        them, until it is built anew.
        """
        check_is_fitted(self)
        save_index(self, path)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        mmap_mode: str | None = "r",
        verify: bool | None = None,
    ) -> Self:
        """Read an index that `save` wrote; nothing in the file is executed.

        Parameters
        ----------
        path : str or path-like
            Name of the file.

        mmap_mode : {"r", None}, default="r"
            Whether the rows stay in the file, which opens at once and is shared by all
            processes that map it, or are read into memory. Rows that are added later
            are copied into memory with all others.

        verify : bool, default=None
            Whether to compare all checksums, which reads the file. None does so up to
            256 MiB, and looks only at the ends of larger arrays otherwise.

        Returns
        -------
        index : SimilarityIndex
            The index as it was saved.

        Raises
        ------
        IndexFileError
            If the file is damaged, of another kind or made by a newer version.

        FileNotFoundError
            If there is no such file.
        """
        if mmap_mode not in ("r", None):
            raise ValueError(f"mmap_mode={mmap_mode!r} must be 'r' or None.")
        index: Self = load_index(cls, path, mapped=mmap_mode == "r", verify=verify)
        return index
