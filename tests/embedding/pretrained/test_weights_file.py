"""Tests of loading weights from files."""

import pickle

import pytest

from imgsim.embedding.pretrained._timm_backbone import (
    BackboneSpec,
    load_backbone,
    load_module,
)
from imgsim.embedding.pretrained._weights_file import WeightsFile

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")


def _spec(path, model="test_resnet", **model_kwargs):
    weights_file = WeightsFile.from_path(path)
    return BackboneSpec(model, False, weights_file, "cpu", "float32", model_kwargs)


@pytest.fixture
def weights():
    """Return the weights of a test_resnet with its classifier."""
    with torch.random.fork_rng():
        torch.manual_seed(7)
        return timm.create_model("test_resnet").state_dict()


CHECKPOINTS = {
    "plain": lambda weights: weights,
    "trainer": lambda weights: {"state_dict": weights, "epoch": 3},
    "DataParallel": lambda weights: {f"module.{k}": v for k, v in weights.items()},
    "Lightning": lambda weights: {
        "state_dict": {f"model.net.{k}": v for k, v in weights.items()}
    },
    "without counters": lambda weights: {
        k: v for k, v in weights.items() if not k.endswith("num_batches_tracked")
    },
}


@pytest.mark.parametrize("wrap", CHECKPOINTS.values(), ids=CHECKPOINTS)
@pytest.mark.parametrize("name", ["a.pth", "a.safetensors", "A.SAFETENSORS"])
def test_weights_are_loaded_from_every_usual_format(name, wrap, weights, tmp_path):
    """As torch, trainers and compilers save them. The classifier is ignored."""
    from safetensors.torch import save_file

    path, content = tmp_path / name, wrap(weights)
    if name == "a.pth":
        torch.save(content, path)
    else:
        save_file(content.get("state_dict", content), path)

    model = load_module(_spec(path))

    assert torch.equal(model.layer1[0].conv1.weight, weights["layer1.0.conv1.weight"])


def test_a_replaced_file_is_loaded_again(weights, tmp_path):
    """A file is identified by its size and time, in addition to its path."""
    path = tmp_path / "a.pth"
    torch.save(weights, path)
    first = load_backbone(_spec(path))
    changed = {name: weight + 1 for name, weight in weights.items()}
    torch.save({**changed, "fc.extra": weights["fc.bias"]}, path)

    second = load_backbone(_spec(path))

    assert second.digest != first.digest


def test_keys_that_do_not_fit_the_model_are_listed(weights, tmp_path):
    """The message has examples of missing, unexpected and misshapen keys."""
    del weights["conv1.0.weight"]
    weights["stem.weight"] = torch.zeros(1)
    weights["bn1.weight"] = torch.zeros(3)
    path = tmp_path / "a.pth"
    torch.save(weights, path)

    with pytest.raises(ValueError, match="does not fit model='test_resnet'") as caught:
        load_backbone(_spec(path))

    message = str(caught.value)
    assert "1 keys missing (conv1.0.weight)" in message
    assert "1 keys unexpected (stem.weight)" in message
    assert "1 keys of a different shape (bn1.weight (3,) instead of (32,))" in message


class _Malicious:
    def __reduce__(self):
        return (pytest.fail, ("the file was executed",))


def test_a_file_is_never_executed(tmp_path):
    """A pickle can contain code, and is then rejected."""
    path = tmp_path / "a.pth"
    with open(path, "wb") as file:
        pickle.dump(_Malicious(), file)

    with pytest.raises(ValueError, match="would execute code"):
        load_backbone(_spec(path))


@pytest.mark.parametrize(
    "content",
    [{1: torch.zeros(1)}, {"a": 3}, [1, 2], {}, {"state_dict": None}],
    ids=str,
)
def test_a_file_without_weights_is_rejected(content, tmp_path):
    """The message does not depend on what else it contains."""
    torch.save(content, tmp_path / "a.pth")

    with pytest.raises(ValueError, match="does not contain a state dict"):
        load_backbone(_spec(tmp_path / "a.pth"))


def test_auxiliary_classifiers_are_ignored(weights, tmp_path):
    """Published weights of Inception contain a second classifier for training."""
    with torch.device("meta"):
        inception = timm.create_model("inception_v3", aux_logits=True)
    auxiliary = [key for key in inception.state_dict() if key.startswith("AuxLogits.")]
    assert auxiliary
    weights.update({key: torch.zeros(1) for key in auxiliary})
    torch.save(weights, tmp_path / "a.pth")

    load_backbone(_spec(tmp_path / "a.pth"))


def test_position_embeddings_are_resampled(tmp_path):
    """The weights of a transformer were trained at another image size."""
    small = timm.create_model("test_vit", img_size=64)
    torch.save(small.state_dict(), tmp_path / "a.pth")

    backbone = load_backbone(_spec(tmp_path / "a.pth", "test_vit", img_size=96))

    assert backbone.module.pos_embed.shape == (1, 37, 64)


def test_a_missing_file_and_a_damaged_file_are_told_apart(tmp_path):
    """The two mistakes have different messages."""
    (tmp_path / "a.safetensors").write_bytes(b"no tensors")

    with pytest.raises(FileNotFoundError, match=r"b\.safetensors' is not a file"):
        _spec(tmp_path / "b.safetensors")
    with pytest.raises(ValueError, match="is damaged or is not a file of weights"):
        load_backbone(_spec(tmp_path / "a.safetensors"))
