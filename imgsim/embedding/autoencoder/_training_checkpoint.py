"""Checkpoint file of a training run, from which an interrupted run resumes."""

import hashlib
import os
import pickle
from collections.abc import Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np

from imgsim._atomic_file import replace_file

# Increased by every change after which a training run would continue differently.
CHECKPOINT_FORMAT_VERSION = 2


class TrainingCheckpoint:
    """The checkpoint file of one training run.

    The name of the file contains a digest of `settings`, so that runs with different
    parameters or images use different files in the same folder. Loading a file never
    executes code from it.

    Parameters
    ----------
    folder : str or path-like
        Folder of the file; it is created if it does not exist.

    settings : mapping
        Everything that determines the result of the training, by name.

    Raises
    ------
    ValueError
        If `folder` is not a folder and cannot be created.
    """

    def __init__(
        self, folder: str | os.PathLike[str], settings: Mapping[str, Any]
    ) -> None:
        items = sorted((name, _canonical(value)) for name, value in settings.items())
        described = repr([CHECKPOINT_FORMAT_VERSION, *items]).encode()
        digest = hashlib.blake2b(described, digest_size=8).hexdigest()
        self._path = Path(folder) / f"autoencoder-{digest}.pt"
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(
                f"checkpoint_dir={str(folder)!r} is not a folder and could not be "
                f"created: {error}"
            ) from error

    def load(self) -> dict[str, Any] | None:
        """Return the saved state, or None if there is no file.

        Raises
        ------
        ValueError
            If the file is damaged.
        """
        import torch

        try:
            state: dict[str, Any] = torch.load(
                self._path, map_location="cpu", weights_only=True
            )
        except FileNotFoundError:
            return None
        except (EOFError, RuntimeError, pickle.UnpicklingError) as error:
            raise ValueError(
                f"the checkpoint {str(self._path)!r} is damaged. Delete it to train "
                f"from the beginning."
            ) from error
        return state

    def save(self, state: Mapping[str, Any]) -> None:
        """Replace the file in a single step, so that the file is always complete."""
        import torch

        with replace_file(self._path) as file:
            torch.save(state, file)

    def remove(self) -> None:
        """Delete the file of a run that is finished."""
        self._path.unlink(missing_ok=True)


def _canonical(value: Any) -> Any:
    """Convert numpy numbers and lists, so that equal values have the same repr."""
    if isinstance(value, list | tuple):
        return tuple(map(_canonical, value))
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, Integral):
        return int(value)
    return float(value) if isinstance(value, Real) else value
