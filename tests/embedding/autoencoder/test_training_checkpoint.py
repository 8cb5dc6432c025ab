"""Tests of the checkpoint file of a training run."""

import pytest

torch = pytest.importorskip("torch")

from imgsim.embedding.autoencoder._training_checkpoint import (  # noqa: E402  # torch may be missing
    TrainingCheckpoint,
)


def _state(value):
    return {"weights": torch.full((3,), value)}


def test_the_last_saved_state_is_loaded(tmp_path):
    """The folder is created if it does not exist."""
    checkpoint = TrainingCheckpoint(tmp_path / "new" / "folder", {"latent_dim": 3})
    assert checkpoint.load() is None

    for value in (1.0, 2.0):
        checkpoint.save(_state(value))

    assert checkpoint.load()["weights"].tolist() == [2.0] * 3
    assert len(list((tmp_path / "new" / "folder").iterdir())) == 1


def test_different_settings_have_different_files(tmp_path):
    """The order of the settings does not matter."""
    TrainingCheckpoint(tmp_path, {"a": 1, "b": 2}).save(_state(1.0))

    assert TrainingCheckpoint(tmp_path, {"b": 2, "a": 1}).load() is not None
    assert TrainingCheckpoint(tmp_path, {"a": 1, "b": 3}).load() is None


def test_a_failed_write_leaves_the_last_state(tmp_path, monkeypatch):
    """The disk may be full."""
    checkpoint = TrainingCheckpoint(tmp_path, {})
    checkpoint.save(_state(1.0))

    def fail(state, file):
        file.write(b"half of the state")
        raise OSError("no space left on device")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match="no space left"):
        checkpoint.save(_state(2.0))

    assert checkpoint.load()["weights"].tolist() == [1.0] * 3
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 broken"])
def test_a_damaged_file_is_an_error(tmp_path, content):
    """The message names the file and says what to do."""
    checkpoint = TrainingCheckpoint(tmp_path, {})
    checkpoint.save(_state(1.0))
    [path] = tmp_path.iterdir()
    path.write_bytes(content)

    with pytest.raises(ValueError, match=rf"{path.name}' is damaged. Delete it"):
        checkpoint.load()


def test_a_checkpoint_can_be_removed_twice(tmp_path):
    """Another process may have deleted the file."""
    checkpoint = TrainingCheckpoint(tmp_path, {})
    checkpoint.save(_state(1.0))

    checkpoint.remove()
    checkpoint.remove()

    assert checkpoint.load() is None
