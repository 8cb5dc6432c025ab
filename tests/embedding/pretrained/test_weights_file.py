"""Tests of loading weights from files."""

import pickle

import pytest

from imgsim.embedding.pretrained._timm_backbone import (
    BackboneSpec,
    load_backbone,
    load_module,
)
from imgsim.embedding.pretrained._weights_file import Checkpoint

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")


def _spec(model="resnet18", *, checkpoint, **model_kwargs):
    return BackboneSpec(
        model,
        False,
        Checkpoint.at(checkpoint),
        "cpu",
        "float32",
        model_kwargs,
    )


@pytest.fixture
def weights():
    """Return the weights of a whole resnet18, its classifier among them."""
    with torch.random.fork_rng():
        torch.manual_seed(7)
        return timm.create_model("resnet18").state_dict()


CHECKPOINTS = {
    "plain": lambda weights: weights,
    "of a trainer": lambda weights: {"state_dict": weights, "epoch": 3},
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
def test_checkpoints_load_in_every_usual_form(name, wrap, weights, tmp_path):
    """As torch, trainers and compilers save them; the classifier is left out."""
    from safetensors.torch import save_file

    path, content = tmp_path / name, wrap(weights)
    if name == "a.pth":
        torch.save(content, path)
    else:
        save_file(content.get("state_dict", content), path)

    model = load_module(_spec(checkpoint=path))

    assert torch.equal(model.layer1[0].conv1.weight, weights["layer1.0.conv1.weight"])


def test_a_replaced_checkpoint_is_loaded_anew(weights, tmp_path):
    """A file is told by its size and time, not by its name alone."""
    path = tmp_path / "a.pth"
    torch.save(weights, path)
    first = load_backbone(_spec(checkpoint=path))
    torch.save(
        {
            **weights,
            "conv1.weight": weights["conv1.weight"] + 1,
            "fc.extra": weights["fc.bias"],
        },
        path,
    )

    second = load_backbone(_spec(checkpoint=path))

    assert second.fingerprint != first.fingerprint


def test_a_checkpoint_of_another_model_lists_the_keys(weights, tmp_path):
    """Missing, unexpected and of another shape, each with examples."""
    del weights["conv1.weight"]
    weights["stem.weight"] = torch.zeros(1)
    weights["bn1.weight"] = torch.zeros(3)
    path = tmp_path / "a.pth"
    torch.save(weights, path)

    with pytest.raises(ValueError, match="does not fit model='resnet18'") as caught:
        load_backbone(_spec(checkpoint=path))

    message = str(caught.value)
    assert "1 keys missing (conv1.weight)" in message
    assert "1 keys unexpected (stem.weight)" in message
    assert "bn1.weight (3,) instead of (64,)" in message


class _Malicious:
    def __reduce__(self):
        return (pytest.fail, ("the checkpoint was executed",))


def test_a_checkpoint_is_never_executed(tmp_path):
    """A pickle can run anything; such a file is refused."""
    path = tmp_path / "a.pth"
    with open(path, "wb") as file:
        pickle.dump(_Malicious(), file)

    with pytest.raises(ValueError, match="execute code, which is refused"):
        load_backbone(_spec(checkpoint=path))


@pytest.mark.parametrize(
    "content",
    [{1: torch.zeros(1)}, {"a": 3}, [1, 2], {}, {"state_dict": None}],
    ids=str,
)
def test_a_checkpoint_without_weights_says_so(content, tmp_path):
    """Whatever else a file holds, the error is ours."""
    torch.save(content, tmp_path / "a.pth")

    with pytest.raises(ValueError, match="holds no weights by name"):
        load_backbone(_spec(checkpoint=tmp_path / "a.pth"))


def test_auxiliary_classifiers_are_left_out(tmp_path):
    """Weights of Inception carry a second classifier, used in training alone."""
    model = timm.create_model("inception_v3", aux_logits=True)
    assert any(key.startswith("AuxLogits.") for key in model.state_dict())
    torch.save(model.state_dict(), tmp_path / "a.pth")

    load_backbone(_spec("inception_v3", checkpoint=tmp_path / "a.pth"))


def test_position_embeddings_are_resampled(tmp_path):
    """Weights of a transformer trained at another image size."""
    small = timm.create_model("vit_tiny_patch16_224", img_size=64)
    torch.save(small.state_dict(), tmp_path / "a.pth")

    spec = _spec("vit_tiny_patch16_224", checkpoint=tmp_path / "a.pth", img_size=96)

    assert load_backbone(spec).module.pos_embed.shape == (1, 37, 192)


def test_a_missing_or_foreign_checkpoint_is_named(tmp_path):
    """The two mistakes read differently."""
    (tmp_path / "a.safetensors").write_bytes(b"no tensors")

    with pytest.raises(FileNotFoundError, match=r"b\.safetensors' is not a file"):
        _spec(checkpoint=tmp_path / "b.safetensors")
    with pytest.raises(ValueError, match="is damaged, or no file of weights"):
        load_backbone(_spec(checkpoint=tmp_path / "a.safetensors"))
