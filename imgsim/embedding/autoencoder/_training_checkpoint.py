"""A training on disk, so that an interrupted one goes on."""

import hashlib
import os
import pickle
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np

from imgsim._atomic_file import replace_file
from imgsim.embedding.autoencoder._trainer import Training

# Goes up with every change after which a training would go on differently.
FORMAT_VERSION = 1


class TrainingCheckpoint:
    """The file of one training: of these images with these parameters.

    Others have files of their own in the same folder. Nothing in a file is executed.
    """

    def __init__(
        self, folder: str | os.PathLike[str], identity: dict[str, Any]
    ) -> None:
        spelled = {name: _canonical(value) for name, value in identity.items()}
        named = repr([FORMAT_VERSION, *sorted(spelled.items())]).encode()
        digest = hashlib.blake2b(named, digest_size=8).hexdigest()
        self._path = Path(folder) / f"autoencoder-{digest}.pt"
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(
                f"checkpoint_dir={str(folder)!r} is no folder, and none can be made "
                f"there: {error}"
            ) from error

    def load(self) -> dict[str, Any] | None:
        """Return the state of the training, if there is one.

        Raises
        ------
        ValueError
            If the file is damaged.
        """
        import torch

        try:
            content: dict[str, Any] = torch.load(
                self._path, map_location="cpu", weights_only=True
            )
        except FileNotFoundError:
            return None
        except (EOFError, RuntimeError, pickle.UnpicklingError) as error:
            raise ValueError(
                f"the checkpoint {str(self._path)!r} is damaged; delete it to train "
                f"from the beginning."
            ) from error
        return content

    def save(self, training: Training) -> None:
        """Replace the file at once, so that there is always a whole one."""
        import torch

        with replace_file(self._path) as file:
            torch.save(training.state(), file)

    def remove(self) -> None:
        """Forget a training that is finished."""
        self._path.unlink(missing_ok=True)


def _canonical(value: Any) -> Any:
    """Spell equal values alike: numpy's numbers, lists and tuples."""
    if isinstance(value, list | tuple):
        return tuple(map(_canonical, value))
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, Integral):
        return int(value)
    return float(value) if isinstance(value, Real) else value
