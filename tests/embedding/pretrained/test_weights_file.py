"""Tests of loading weights from files."""

import io
import pickle
import threading
import zipfile
from argparse import Namespace

import numpy as np
import pytest

from imgsim.embedding.pretrained._timm_backbone import (
    BackboneSpec,
    load_backbone,
    load_module,
)
from imgsim.embedding.pretrained._weights_file import WeightsFile, load_weights

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
    "halves": lambda weights: {k: v.half() for k, v in weights.items()},
    "doubles": lambda weights: {k: v.double() for k, v in weights.items()},
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

    expected = weights["layer1.0.conv1.weight"]
    torch.testing.assert_close(
        model.layer1[0].conv1.weight, expected, rtol=2**-11, atol=1e-7
    )


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


@pytest.mark.parametrize(
    "names",
    [
        ["weight"],
        [""],
        ["."],
        ["..."],
        ["a."],
        [".a", ".b"],
        ["a.", "a.b"],
        ["module.weight"],
        ["module.", "module.weight"],
    ],
    ids=str,
)
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_names_that_are_only_a_prefix_do_not_fit(names, suffix, tmp_path):
    """The search for a common prefix of the names has to end."""
    from safetensors.torch import save_file

    path, content = tmp_path / f"a.{suffix}", {name: torch.zeros(1) for name in names}
    (save_file if suffix == "safetensors" else torch.save)(content, path)

    with pytest.raises(ValueError, match=rf"a\.{suffix}' does not fit model='test_res"):
        load_backbone(_spec(path))


def _quantize(weight):
    return torch.quantize_per_tensor(weight, 0.1, 0, torch.qint8)


def _nest(weight):
    return torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])


@pytest.mark.filterwarnings("ignore:.*prototype:UserWarning")
@pytest.mark.filterwarnings("ignore:.*quantiz:Warning")
@pytest.mark.filterwarnings("ignore:Sparse:UserWarning")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weight: weight.to_sparse(), "is a sparse or nested tensor"),
        (lambda weight: torch.ones(3, 3).to_sparse_csr(), "is a sparse or nested"),
        (_nest, "is a sparse or nested tensor"),
        (lambda weight: weight.to("meta"), "has no data"),
        (_quantize, "is a quantized tensor"),
        (lambda weight: torch.zeros(1).expand(weight.shape), "repeats its data"),
        (lambda weight: torch.zeros(1).expand(10**12), "repeats its data"),
    ],
    ids=["sparse", "csr", "nested", "meta", "quantized", "expanded", "huge"],
)
def test_only_dense_tensors_are_loaded(change, message, weights, tmp_path):
    """The message names the parameter."""
    name, path = "layer1.0.conv1.weight", tmp_path / "a.pth"
    torch.save({**weights, name: change(weights[name])}, path)

    with pytest.raises(
        ValueError, match=rf"a\.pth' contains '{name}', which {message}"
    ):
        load_backbone(_spec(path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weight: weight.to(torch.int64), "torch.int64 instead of torch.float32"),
        (lambda weight: weight.to(torch.uint8), "torch.uint8 instead of torch.float32"),
        (lambda weight: weight.bool(), "torch.bool instead of torch.float32"),
        (lambda weight: weight.to(torch.complex64), "torch.complex64 instead of"),
        (lambda weight: weight.to(torch.float8_e4m3fn), "torch.float8_e4m3fn instead"),
        (lambda weight: weight * np.nan, "1 keys not finite"),
        (lambda weight: weight.double() * 1e300, "1 keys not finite"),
        (lambda weight: weight[:0], r"\(0, 32, 3, 3\) instead of \(32, 32, 3, 3\)"),
    ],
)
def test_numbers_that_are_not_weights_are_rejected(change, message, weights, tmp_path):
    """They would be rounded or cut, or all embeddings would be NaN."""
    name, path = "layer1.0.conv1.weight", tmp_path / "a.pth"
    torch.save({**weights, name: change(weights[name])}, path)

    with pytest.raises(ValueError, match=rf"does not fit model=.*{message}") as caught:
        load_backbone(_spec(path))

    assert name in str(caught.value)


def test_weights_that_share_their_data_are_loaded(weights, tmp_path):
    """Tied weights are stored once."""
    numbers = torch.arange(200_000) / 200_000
    tied = {
        name: numbers[: weight.numel()].view(weight.shape)
        if weight.is_floating_point()
        else weight
        for name, weight in weights.items()
    }
    torch.save(tied, tmp_path / "a.pth")

    model = load_module(_spec(tmp_path / "a.pth"))

    loaded = model.layer1[0].conv1.weight
    assert torch.equal(loaded, tied["layer1.0.conv1.weight"])


@pytest.mark.parametrize("with_average", [False, True])
def test_checkpoints_of_the_training_script_of_timm_are_loaded(with_average, tmp_path):
    """They contain the arguments of the script. Averaged weights are preferred."""
    from timm.utils import CheckpointSaver, ModelEmaV3

    model = timm.create_model("test_resnet")
    average = ModelEmaV3(model) if with_average else None
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(torch.rand(2, 3, 64, 64)).square().sum().backward()
    optimizer.step()
    args = Namespace(model="test_resnet", lr=0.1, mean=(0.5,), eval=Namespace(top=[1]))
    saver = CheckpointSaver(
        model, optimizer, args, model_ema=average, checkpoint_dir=str(tmp_path)
    )
    saver.save_checkpoint(epoch=3, metric=71.5)

    module = load_module(_spec(tmp_path / "model_best.pth.tar"))

    expected = (average.module if with_average else model).layer1[0].conv1.weight
    assert torch.equal(module.layer1[0].conv1.weight, expected)
    assert Namespace not in torch.serialization.get_safe_globals()


def test_classes_that_the_user_allows_remain_allowed(weights, tmp_path):
    """The list of torch belongs to the whole process."""
    path = tmp_path / "a.pth"
    torch.save({"state_dict": weights, "args": Namespace(lr=0.1)}, path)
    before = torch.serialization.get_safe_globals()
    torch.serialization.add_safe_globals([Namespace, _Malicious])
    try:
        load_module(_spec(path))

        assert {Namespace, _Malicious} <= set(torch.serialization.get_safe_globals())
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)


def test_checkpoints_are_loaded_by_several_threads(weights, tmp_path):
    """One of them must not forbid what another one is loading."""
    path, failures = tmp_path / "a.pth", []
    torch.save({"state_dict": weights, "args": Namespace(lr=0.1)}, path)

    def load():
        try:
            for _ in range(3):
                load_weights(module, str(path), model="test_resnet")
        except ValueError as error:
            failures.append(error)

    module = timm.create_model("test_resnet", num_classes=0)
    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not failures


def test_a_namespace_is_not_searched_for_code(weights, tmp_path):
    """Only the class itself is allowed, not what it contains."""
    path = tmp_path / "a.pth"
    args = Namespace(hidden=[Namespace(deep=_Malicious())])
    torch.save({"state_dict": weights, "args": args}, path)

    with pytest.raises(ValueError, match="would execute code"):
        load_backbone(_spec(path))


def test_an_archive_is_not_unpacked_if_it_is_compressed(weights, tmp_path):
    """A small file must not fill the memory."""
    stored, path = io.BytesIO(), tmp_path / "a.pth"
    torch.save({**weights, "more": torch.zeros(10**6)}, stored)
    with (
        zipfile.ZipFile(stored) as source,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for name in source.namelist():
            archive.writestr(name, source.read(name))

    with pytest.raises(ValueError, match="is damaged or is not a file of weights"):
        load_backbone(_spec(path))


@pytest.mark.parametrize("path", ["a\0b", "\ud800"])
def test_a_path_that_no_file_can_have_is_an_error(path):
    """The message names the parameter."""
    with pytest.raises(ValueError, match=r"the path .* no file name can contain"):
        WeightsFile.from_path(path)


def test_a_path_must_be_text():
    """The extension of the name decides how the file is read."""
    with pytest.raises(TypeError, match="checkpoint_path=b'a' must be a str or path"):
        WeightsFile.from_path(b"a")
