"""Tests of modules that a user passes as model."""

import pickle

import numpy as np
import pytest
from embedders import assert_embeddings_close
from sklearn.base import clone

from imgsim import ImageEmbedder

torch = pytest.importorskip("torch")


def _make_module():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return torch.nn.Sequential(
            torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU()
        )


def _embedder(module, **kwargs):
    return ImageEmbedder(module, image_size=16, device="cpu", **kwargs)


def test_the_feature_map_of_a_module_is_pooled(pictures):
    """Like the feature map of any other network."""
    module = _make_module()
    as_input = _embedder(torch.nn.Identity(), pooling="flatten")
    pixels = torch.from_numpy(as_input.fit_transform(pictures)).reshape(-1, 3, 16, 16)

    embeddings = _embedder(module).fit_transform(pictures)

    expected = module.eval()(pixels).mean((2, 3)).detach().numpy()
    assert_embeddings_close(embeddings, expected)


def test_a_module_is_not_modified(pictures):
    """It stays in training mode, with gradients and in float32."""
    module = _make_module().train()
    before = {name: value.clone() for name, value in module.state_dict().items()}

    _embedder(module, precision="bfloat16").fit_transform(pictures)

    assert module.training
    assert all(parameter.requires_grad for parameter in module.parameters())
    assert all(torch.equal(before[k], v) for k, v in module.state_dict().items())


def test_further_training_of_a_module_changes_its_embeddings(pictures):
    """The copy that the embedder keeps is replaced."""
    module = _make_module()
    embedder = _embedder(module).fit()
    before = embedder.transform(pictures)

    with torch.no_grad():
        module[0].weight.mul_(2)

    assert np.abs(embedder.transform(pictures) - before).max() > 0.01


@pytest.mark.parametrize(
    "change",
    [
        lambda module: module.__setitem__(2, torch.nn.Tanh()),
        lambda module: setattr(module[0], "stride", (2, 2)),
        lambda module: module[0].weight.data.mul_(2),
    ],
    ids=["another layer", "another stride", "through .data"],
)
def test_every_change_of_a_module_is_detected(change, pictures, tmp_path):
    """Neither the copy in memory nor the cache is used then."""
    module = _make_module()
    embedder = _embedder(module, cache=tmp_path / "rows.sqlite").fit()
    before = embedder.transform(pictures)

    change(module)

    assert np.abs(embedder.transform(pictures) - before).max() > 0.001


@pytest.mark.parametrize(
    "parameters", [{"checkpoint_path": "a.pth"}, {"model_kwargs": {"drop_rate": 0.1}}]
)
def test_parameters_that_require_a_name_are_rejected(parameters):
    """They would be ignored otherwise."""
    with pytest.raises(ValueError, match="is used only if model is a name"):
        _embedder(_make_module(), **parameters).fit()


def test_a_parametrized_convolution_is_not_folded(pictures):
    """Its weight is computed in every forward pass."""
    module = _make_module()
    torch.nn.utils.parametrizations.weight_norm(module[0])

    assert _embedder(module).fit_transform(pictures).shape == (12, 4)


def test_clones_and_pickles_contain_the_module(pictures):
    """Its weights are not available from anywhere else."""
    embedder = _embedder(_make_module())
    embeddings = embedder.fit_transform(pictures)

    assert_embeddings_close(clone(embedder).fit_transform(pictures), embeddings)
    loaded = pickle.loads(pickle.dumps(embedder))
    assert_embeddings_close(loaded.transform(pictures), embeddings)


def test_a_module_that_returns_embeddings_requires_pooling_none(pictures):
    """There is no feature map to pool."""
    module = torch.nn.Sequential(_make_module(), torch.nn.Flatten())

    with pytest.raises(
        ValueError, match=r"returns embeddings instead.*; set pooling=None"
    ):
        _embedder(module).fit()
    assert _embedder(module, pooling=None).fit_transform(pictures).shape == (12, 784)


def test_a_module_without_stages_has_no_layers():
    """Stages are listed through the interface of timm."""
    with pytest.raises(ValueError, match="requires a model that lists its stages"):
        _embedder(_make_module(), layer=1).fit()
