"""A training on disk, so that an interrupted one goes on."""

import hashlib
import os
import pickle
from pathlib import Path
from typing import Any

from imgsim.embedding._training import Training

# Goes up with every change after which a training would go on differently.
FORMAT_VERSION = 1


class TrainingCheckpoint:
    """The file of one training: of these images with these parameters.

    Others have files of their own in the same folder. Nothing in a file is executed.
    """

    def __init__(
        self, folder: str | os.PathLike[str], identity: dict[str, Any]
    ) -> None:
        named = repr([FORMAT_VERSION, *sorted(identity.items())]).encode()
        digest = hashlib.blake2b(named, digest_size=8).hexdigest()
        self._path = Path(folder) / f"autoencoder-{digest}.pt"

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
        except (EOFError, OSError, RuntimeError, pickle.UnpicklingError) as error:
            raise ValueError(
                f"the checkpoint {str(self._path)!r} is damaged; delete it to train "
                f"from the beginning."
            ) from error
        return content

    def save(self, training: Training) -> None:
        """Replace the file at once, so that there is always a whole one."""
        import torch

        self._path.parent.mkdir(parents=True, exist_ok=True)
        new = self._path.with_suffix(f".{os.getpid()}.tmp")
        try:
            torch.save(training.state(), new)
            os.replace(new, self._path)
        finally:
            new.unlink(missing_ok=True)

    def remove(self) -> None:
        """Forget a training that is finished."""
        self._path.unlink(missing_ok=True)
