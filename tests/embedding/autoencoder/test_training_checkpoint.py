"""Tests of the file that an interrupted training leaves."""

import pytest

torch = pytest.importorskip("torch")

from imgsim.embedding.autoencoder._training_checkpoint import (  # noqa: E402  # torch may be missing
    TrainingCheckpoint,
)


class _Training:
    """A training of which only the state is wanted."""

    def __init__(self, value):
        self.value = value

    def state(self):
        return {"weights": torch.full((3,), self.value)}


def test_the_last_state_is_read_back(tmp_path):
    """From a folder that is made, too."""
    checkpoint = TrainingCheckpoint(tmp_path / "new" / "folder", {"latent_dim": 3})
    assert checkpoint.load() is None

    for value in (1.0, 2.0):
        checkpoint.save(_Training(value))

    assert checkpoint.load()["weights"].tolist() == [2.0] * 3
    assert len(list((tmp_path / "new" / "folder").iterdir())) == 1


def test_each_identity_has_its_file(tmp_path):
    """Whatever order it is told in."""
    TrainingCheckpoint(tmp_path, {"a": 1, "b": 2}).save(_Training(1.0))

    assert TrainingCheckpoint(tmp_path, {"b": 2, "a": 1}).load() is not None
    assert TrainingCheckpoint(tmp_path, {"a": 1, "b": 3}).load() is None


def test_a_failing_write_leaves_the_last_state(tmp_path, monkeypatch):
    """Such as a full disk."""
    checkpoint = TrainingCheckpoint(tmp_path, {})
    checkpoint.save(_Training(1.0))

    def fail(content, file):
        file.write(b"half of it")
        raise OSError("no space left on device")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match="no space left"):
        checkpoint.save(_Training(2.0))

    assert checkpoint.load()["weights"].tolist() == [1.0] * 3
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 broken"])
def test_a_damaged_file_is_told(tmp_path, content):
    """With its name, and what to do."""
    checkpoint = TrainingCheckpoint(tmp_path, {})
    checkpoint.save(_Training(1.0))
    [path] = tmp_path.iterdir()
    path.write_bytes(content)

    with pytest.raises(ValueError, match=rf"{path.name}' is damaged; delete it"):
        checkpoint.load()


def test_a_finished_training_is_forgotten(tmp_path):
    """And forgetting twice does no harm."""
    checkpoint = TrainingCheckpoint(tmp_path, {})
    checkpoint.save(_Training(1.0))

    checkpoint.remove()
    checkpoint.remove()

    assert checkpoint.load() is None
