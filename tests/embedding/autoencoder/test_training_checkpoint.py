"""Tests of the checkpoint file of a training run."""

import errno
import hashlib
import io
import os
import pickle
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
from embedders import make_autoencoder
from numpy.testing import assert_array_equal

from imgsim.embedding.autoencoder import _training_checkpoint
from imgsim.embedding.autoencoder._trainer import Trainer

torch = pytest.importorskip("torch")

posix_only = pytest.mark.skipif(os.name != "posix", reason="needs a POSIX system")


class _PowerFailureError(Exception):
    """The end of a process in the middle of the training."""


def _make_embedder(folder=None, **params):
    """Make an embedder that trains for a short time."""
    small = {"max_epochs": 3, "image_size": 8, "channels": (4,), "augment": None}
    return make_autoencoder(checkpoint_dir=folder, **{**small, **params})


def _weights(embedder):
    return np.concatenate(
        [value.ravel() for value in embedder.autoencoder_.state_dict().values()]
    )


@pytest.fixture(scope="module")
def images():
    """Return twenty images."""
    return np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def expected(images):
    """Return the weights after a training that is not interrupted."""
    return _weights(_make_embedder().fit(images))


@pytest.fixture(scope="module")
def saved(images, tmp_path_factory):
    """Return the name and the content of a checkpoint after two of three epochs."""
    folder = tmp_path_factory.mktemp("saved")
    run, n_epochs = Trainer.run_epoch, 2

    def run_or_fail(self, *args):
        if self.n_epochs == n_epochs:
            raise _PowerFailureError
        run(self, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "run_epoch", run_or_fail)
        with pytest.raises(_PowerFailureError):
            _make_embedder(folder).fit(images)
    [path] = folder.iterdir()
    return SimpleNamespace(name=path.name, content=path.read_bytes())


@pytest.fixture
def path(saved, tmp_path):
    """Return the path of the checkpoint, which exists."""
    path = tmp_path / saved.name
    path.write_bytes(saved.content)
    return path


def _with_content(content, new):
    """Return a file with other content, whose checksum is correct."""
    header = content[: content.index(b"\n") - 64]
    return header + hashlib.sha256(new).hexdigest().encode() + b"\n" + new


def _load(content):
    return torch.load(io.BytesIO(content[content.index(b"\n") + 1 :]))


def _save(value):
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


def test_a_checkpoint_resumes_the_training(path, images, expected):
    """The result is the same as without the interruption, and the file is deleted."""
    embedder = _make_embedder(path.parent).fit(images)

    assert_array_equal(_weights(embedder), expected)
    assert not path.exists()


@pytest.mark.parametrize("position", np.linspace(0, 1, 12).tolist())
def test_a_flipped_bit_is_detected(path, images, position):
    """Otherwise, the training would end with another network."""
    content = bytearray(path.read_bytes())
    content[int(position * (len(content) - 1))] ^= 4
    path.write_bytes(content)

    with pytest.raises(ValueError, match=rf"{path.name}' .* Delete it to train from"):
        _make_embedder(path.parent).fit(images)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:-1],
        lambda content: content[: len(content) // 2],
        lambda content: content[:150],
        lambda content: content + b"\0",
        lambda content: content[content.index(b"\n") + 1 :],
        lambda content: b"my thesis\n" * 1000,
        lambda content: b"PK\x03\x04 broken",
        lambda content: pickle.dumps({}),
    ],
    ids=["empty", "cut", "half", "header", "longer", "torch", "text", "zip", "pickle"],
)
def test_another_file_is_detected(path, images, damage):
    """The message names the file and says what to do."""
    path.write_bytes(damage(path.read_bytes()))

    with pytest.raises(ValueError, match=rf"{path.name}' is damaged.* Delete it"):
        _make_embedder(path.parent).fit(images)


def test_versions_and_damage_are_told_apart(path, images):
    """A checkpoint of another version is valid, but useless."""
    path.write_bytes(path.read_bytes().replace(b"version 3", b"version 2", 1))

    with pytest.raises(ValueError, match="has format version 2, but this version"):
        _make_embedder(path.parent).fit(images)


def test_a_checkpoint_of_another_run_is_detected(path, images):
    """Its network would fit, but it was trained in another way."""
    embedder = _make_embedder(path.parent, learning_rate=1e-4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_training_checkpoint.TrainingCheckpoint, "remove", lambda _: None)
        embedder.fit(images)
    [other] = set(path.parent.iterdir()) - {path}
    path.replace(other)

    with pytest.raises(ValueError, match="with other parameters or other images"):
        embedder.fit(images)


def _set(*keys, value):
    """Return a function that replaces a value in a nested state."""

    def change(state):
        inner = state
        for key in keys[:-1]:
            inner = inner[key]
        old = inner[keys[-1]]
        inner[keys[-1]] = value(old) if callable(value) else value
        return state

    return change


def _delete(*keys):
    def change(state):
        inner = state
        for key in keys[:-1]:
            inner = inner[key]
        del inner[keys[-1]]
        return state

    return change


WEIGHT, MOMENT = "from_latent.weight", "exp_avg_sq"
CHANGES = {
    "empty": lambda state: {},
    "list": lambda state: [state],
    "tensor": lambda state: torch.zeros(3),
    "no network": _delete("network"),
    "another field": lambda state: {**state, "more": 1},
    "no weight": _delete("network", WEIGHT),
    "network is a list": _set("network", value=list),
    "weight is a list": _set("network", WEIGHT, value=lambda t: t.tolist()),
    "shape": _set("best_weights", WEIGHT, value=lambda t: t[:1]),
    "dtype": _set("network", WEIGHT, value=lambda t: t.double()),
    "NaN": _set("network", WEIGHT, value=lambda t: t * np.nan),
    "sparse": _set("network", WEIGHT, value=lambda t: t.to_sparse()),
    "meta": _set("best_weights", WEIGHT, value=lambda t: t.to("meta")),
    "parameter": _set("network", WEIGHT, value=torch.nn.Parameter),
    "no moments": _set("optimizer", value={}),
    "optimizer is a list": _set("optimizer", "state", value=[]),
    "moment is missing": _delete("optimizer", "state", 0, MOMENT),
    "infinite moment": _set("optimizer", "state", 0, MOMENT, value=lambda t: t / 0),
    "negative": _set("optimizer", "state", 0, MOMENT, value=lambda t: -t - 1),
    "step": _set("optimizer", "state", 0, "step", value=3),
    "seed is large": _set("seed", value=2**40),
    "seed is a str": _set("seed", value="1"),
    "best_epoch": _set("best_epoch", value=lambda n: 1 - n),
    "best_epoch is True": _set("best_epoch", value=lambda n: bool(n)),
    "no epoch": _set("loss_curve", value=[]),
    "many epochs": _set("loss_curve", value=[1.0] * 99),
    "loss is NaN": _set("loss_curve", 0, value=np.nan),
    "loss is a str": _set("loss_curve", 0, value="1"),
    "curves differ": _set("validation_loss_curve", value=lambda c: c[:1]),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_state_that_does_not_fit_is_detected(path, images, change):
    """Whoever can write to the folder can also compute the checksum."""
    content = path.read_bytes()
    path.write_bytes(_with_content(content, _save(change(_load(content)))))

    with pytest.raises(ValueError, match=rf"{path.name}' does not contain a valid st"):
        _make_embedder(path.parent).fit(images)


class _Malicious:
    def __reduce__(self):
        return (pytest.fail, ("the file was executed",))


def _zip():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("thesis.txt", "text")
    return file.getvalue()


@pytest.mark.parametrize(
    "new",
    [_save(_Malicious()), pickle.dumps(_Malicious()), _zip(), b"", b"text"],
    ids=["torch", "pickle", "zip", "empty", "text"],
)
def test_a_file_is_never_executed(path, images, new):
    """Only tensors and plain values are loaded."""
    path.write_bytes(_with_content(path.read_bytes(), new))

    with pytest.raises(ValueError, match="does not contain a valid state"):
        _make_embedder(path.parent).fit(images)


def _make_pipe(path):
    os.mkfifo(path)


def _make_link(path):
    path.symlink_to(path.with_name("target"))
    path.with_name("target").write_text("thesis")


def _make_dangling_link(path):
    path.symlink_to(path.with_name("target"))


def _make_device(path):
    path.symlink_to("/dev/zero")


@posix_only
@pytest.mark.parametrize(
    "make", [os.mkdir, _make_pipe, _make_link, _make_dangling_link, _make_device]
)
def test_only_a_regular_file_is_read(path, images, make):
    """A pipe would wait for ever, and a link may point to a file of someone else."""
    path.unlink()
    make(path)

    with pytest.raises(ValueError, match=rf"{path.name}' is not a regular file"):
        _make_embedder(path.parent).fit(images)


@posix_only
def test_a_link_is_replaced_and_not_followed(saved, images, tmp_path, monkeypatch):
    """Another user of a shared folder may create one while the network is trained."""
    victim = tmp_path / "victim"
    victim.write_text("thesis")
    folder = tmp_path / "shared"
    run = Trainer.run_epoch

    def run_and_plant(self, *args):
        run(self, *args)
        if self.n_epochs == 1:
            (folder / saved.name).symlink_to(victim)

    monkeypatch.setattr(Trainer, "run_epoch", run_and_plant)

    _make_embedder(folder).fit(images)

    assert victim.read_text() == "thesis"
    assert not list(folder.iterdir())


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
def test_a_full_disk_does_not_end_the_training(
    images, expected, tmp_path, monkeypatch, code
):
    """One warning says that the training could not be resumed."""
    n_tries = []

    def fail(*args, **kwargs):
        n_tries.append(1)
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(_training_checkpoint, "replace_file", fail)

    with pytest.warns(UserWarning, match="could not be saved") as caught:
        embedder = _make_embedder(tmp_path).fit(images)

    # There is another warning of few images.
    (warning,) = [w for w in caught if "could not be saved" in str(w.message)]
    assert warning.filename == __file__
    assert len(n_tries) == 3
    assert_array_equal(_weights(embedder), expected)


@posix_only
def test_a_checkpoint_that_cannot_be_deleted_does_not_cost_the_network(
    saved, images, expected, tmp_path, monkeypatch
):
    """A folder may have taken its place, or a permission may be lost."""
    save = _training_checkpoint.TrainingCheckpoint.save

    def save_and_replace(self, state):
        save(self, state)
        if len(state["loss_curve"]) == 3:
            (tmp_path / saved.name).unlink()
            (tmp_path / saved.name).mkdir()

    monkeypatch.setattr(
        _training_checkpoint.TrainingCheckpoint, "save", save_and_replace
    )

    with pytest.warns(UserWarning, match="could not be deleted"):
        embedder = _make_embedder(tmp_path).fit(images)

    assert_array_equal(_weights(embedder), expected)


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "\udfff/b"])
def test_a_folder_that_cannot_exist_is_an_error(images, tmp_path, name):
    """The message names the parameter."""
    with pytest.raises(ValueError, match=r"the path .* no file name can contain"):
        _make_embedder(f"{tmp_path}/{name}").fit(images)


def test_the_files_of_different_runs_have_different_names(saved, images, tmp_path):
    """A grid search may save all of its runs in one folder, which is created."""
    folder = tmp_path / "new" / "folder"

    for settings in ({"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 1, "b": 3}):
        _training_checkpoint.TrainingCheckpoint(folder, settings).save({})

    assert len(list(folder.iterdir())) == 2
