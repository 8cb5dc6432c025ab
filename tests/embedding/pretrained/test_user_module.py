"""Tests of networks that a user brings."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone

from imgsim import ImageEmbedder

torch = pytest.importorskip("torch")


def _own_network():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return torch.nn.Sequential(
            torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU()
        )


def _embedder(module, **kwargs):
    return ImageEmbedder(module, image_size=16, device="cpu", **kwargs)


def test_its_feature_map_is_pooled(pictures):
    """As that of any network."""
    module = _own_network()
    as_input = _embedder(torch.nn.Identity(), pooling="flatten")
    pixels = torch.from_numpy(as_input.fit_transform(pictures)).reshape(-1, 3, 16, 16)

    rows = _embedder(module).fit_transform(pictures)

    expected = module.eval()(pixels).mean((2, 3)).detach().numpy()
    assert_allclose(rows, expected, atol=1e-5)


def test_it_is_left_as_it_was(pictures):
    """Training, with gradients, and in float32."""
    module = _own_network().train()
    before = {name: value.clone() for name, value in module.state_dict().items()}

    _embedder(module, precision="bfloat16").fit_transform(pictures)

    assert module.training
    assert all(parameter.requires_grad for parameter in module.parameters())
    assert all(torch.equal(before[k], v) for k, v in module.state_dict().items())


def test_training_it_further_changes_the_rows(pictures):
    """No stale copy answers for it."""
    module = _own_network()
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
    ids=["another layer", "another stride", "behind the back of autograd"],
)
def test_any_change_of_it_is_noticed(change, pictures, tmp_path):
    """In memory and in the cache."""
    module = _own_network()
    embedder = _embedder(module, cache=tmp_path / "rows.sqlite").fit()
    before = embedder.transform(pictures)

    change(module)

    assert np.abs(embedder.transform(pictures) - before).max() > 0.001


@pytest.mark.parametrize(
    "parameters", [{"checkpoint_path": "a.pth"}, {"model_kwargs": {"drop_rate": 0.1}}]
)
def test_parameters_of_names_are_refused(parameters):
    """They would be ignored without a word."""
    with pytest.raises(ValueError, match="is for models by name"):
        _embedder(_own_network(), **parameters).fit()


def test_a_parametrized_convolution_is_not_folded(pictures):
    """Its weight is made anew with every call."""
    module = _own_network()
    torch.nn.utils.parametrizations.weight_norm(module[0])

    assert _embedder(module).fit_transform(pictures).shape == (12, 4)


def test_it_travels_with_clones_and_pickles(pictures):
    """Its weights are the user's, and nowhere else."""
    embedder = _embedder(_own_network())
    rows = embedder.fit_transform(pictures)

    assert_allclose(clone(embedder).fit_transform(pictures), rows, atol=1e-6)
    loaded = pickle.loads(pickle.dumps(embedder))
    assert_allclose(loaded.transform(pictures), rows, atol=1e-6)


def test_a_network_that_returns_rows_wants_no_pooling(pictures):
    """There is nothing left to pool."""
    module = torch.nn.Sequential(_own_network(), torch.nn.Flatten())

    with pytest.raises(ValueError, match="returns rows by itself; set pooling=None"):
        _embedder(module).fit()
    assert _embedder(module, pooling=None).fit_transform(pictures).shape == (12, 784)


def test_a_network_without_stages_has_no_layers():
    """They are known by timm's interface."""
    with pytest.raises(ValueError, match="does not tell of its stages"):
        _embedder(_own_network(), layer=1).fit()
