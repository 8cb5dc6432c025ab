"""Checkpoint file of a training run, from which an interrupted run resumes.

The file consists of a line of text and the state of the run, as torch saves it. The
line contains CHECKPOINT_FORMAT_VERSION, a digest of the settings of the run, and the
SHA-256 of the state.
"""

import hashlib
import io
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np

from imgsim._atomic_file import check_characters, replace_file
from imgsim._warnings import warn_caller
from imgsim.embedding.autoencoder._training_state import check_seed

# Increased by every change after which a training run would continue differently, or
# after which the content of the file has another meaning.
CHECKPOINT_FORMAT_VERSION = 3
_HEADER = re.compile(
    rb"imgsim training checkpoint, version (\d{1,9}), "
    rb"settings ([0-9a-f]{16}), sha256 ([0-9a-f]{64})\n"
)
_MAX_HEADER_SIZE = 200


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
        self._digest = hashlib.blake2b(described, digest_size=8).hexdigest()
        name = f"autoencoder-{self._digest}.pt"
        check_characters(folder)
        self._path = Path(folder) / name
        self._has_failed = False
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(
                f"checkpoint_dir={str(folder)!r} is not a folder and could not be "
                f"created: {error}"
            ) from error

    def load(self) -> dict[str, Any] | None:
        """Return the saved state, or None if there is no file.

        The checksum does not protect from another user who can write to the folder.
        Therefore, the caller has to check everything in the state except the seed.

        Raises
        ------
        ValueError
            If the file is damaged or is not a checkpoint of this run.
        """
        import torch

        try:
            content = self._read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._error(f"cannot be read ({error})") from error
        state = io.BytesIO(self._check_header(content))
        del content
        with self.refuse_invalid_state():
            loaded: dict[str, Any] = torch.load(
                state, map_location="cpu", weights_only=True
            )
            check_seed(loaded)
        return loaded

    @contextmanager
    def refuse_invalid_state(self) -> Iterator[None]:
        """Raise ValueError with the name of the file for any error in the block."""
        try:
            yield
        except Exception as error:
            raise self._error(f"does not contain a valid state ({error})") from error

    def save(self, state: Mapping[str, Any]) -> None:
        """Replace the file in a single step, so that the file is always complete.

        A failure, for example because the disk is full, causes a warning instead of an
        error. It is reported only once, and later states are saved if that is possible.
        """
        import torch

        content = io.BytesIO()
        torch.save(state, content)
        checksum = hashlib.sha256(content.getbuffer()).hexdigest()
        try:
            # Another user of a shared folder may have created a link of this name.
            with replace_file(self._path, follow_link=False) as file:
                file.write(_make_header(self._digest, checksum))
                file.write(content.getbuffer())
        except OSError as error:
            self._warn(
                f"could not be saved ({error.strerror}). The training continues "
                f"without it. If the training is interrupted, it has to be repeated"
            )

    def remove(self) -> None:
        """Delete the file of a run that is finished, or warn that it cannot be done."""
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            self._warn(
                f"could not be deleted ({error.strerror}). The training is finished. "
                f"Delete the file, so that another training with the same parameters "
                f"and images does not end with the same network"
            )

    def _read(self) -> bytes:
        """Read a regular file. Anything else could block, or belong to someone else."""
        if not stat.S_ISREG(os.lstat(self._path).st_mode):
            raise self._error("is not a regular file")
        with open(self._path, "rb", opener=_open_without_waiting) as file:
            header = file.readline(_MAX_HEADER_SIZE)
            # Nothing more is read of a large file that is not a checkpoint.
            return header + file.read() if _HEADER.fullmatch(header) else header

    def _check_header(self, content: bytes) -> memoryview:
        """Return the state that follows a valid header."""
        match = _HEADER.match(content)
        if match is None:
            raise self._error("is damaged or is not a checkpoint")
        version, digest, checksum = (group.decode() for group in match.groups())
        if int(version) != CHECKPOINT_FORMAT_VERSION:
            raise self._error(
                f"has format version {version}, but this version of imgsim supports "
                f"only version {CHECKPOINT_FORMAT_VERSION}"
            )
        if digest != self._digest:
            raise self._error("was saved with other parameters or other images")
        state = memoryview(content)[match.end() :]
        if hashlib.sha256(state).hexdigest() != checksum:
            raise self._error("is damaged")
        return state

    def _error(self, problem: str) -> ValueError:
        return ValueError(
            f"the checkpoint {str(self._path)!r} {problem}. Delete it to train from "
            f"the beginning, or use another checkpoint_dir."
        )

    def _warn(self, problem: str) -> None:
        if not self._has_failed:
            message = f"the checkpoint {str(self._path)!r} {problem}."
            warn_caller(message, UserWarning)
        self._has_failed = True


def _open_without_waiting(path: str, flags: int) -> int:
    """Open a file; a link, or a pipe without a writer, is an error or empty."""
    names = ("O_NONBLOCK", "O_NOFOLLOW")  # which Windows does not have
    return os.open(path, flags | sum(getattr(os, name, 0) for name in names))


def _make_header(digest: str, checksum: str) -> bytes:
    return (
        f"imgsim training checkpoint, version {CHECKPOINT_FORMAT_VERSION}, "
        f"settings {digest}, sha256 {checksum}\n"
    ).encode()


def _canonical(value: Any) -> Any:
    """Convert numpy numbers and lists, so that equal values have the same repr."""
    if isinstance(value, list | tuple):
        return tuple(map(_canonical, value))
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, Integral):
        return int(value)
    return float(value) if isinstance(value, Real) else value
