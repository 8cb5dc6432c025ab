"""Tests of loading networks by name."""

import pytest

from imgsim.embedding.pretrained._timm_backbone import (
    BackboneSpec,
    kept_backbone,
    load_backbone,
)
from imgsim.exceptions import WeightsUnavailableError

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")


def _spec(model="resnet18", pretrained=False, **model_kwargs):
    return BackboneSpec(model, pretrained, None, "cpu", "float32", model_kwargs)


def test_equal_specifications_share_one_network():
    """Clones load no weights again."""
    assert load_backbone(_spec(drop_rate=0.1)) is load_backbone(_spec(drop_rate=0.1))
    assert load_backbone(_spec(drop_rate=0.1)) is not load_backbone(_spec())


def test_the_network_is_frozen_in_evaluation_mode():
    """Else embeddings would change from call to call."""
    model = load_backbone(_spec()).module

    assert not any(module.training for module in model.modules())
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_untrained_weights_are_the_same_in_every_process():
    """And drawing them leaves the caller's random numbers alone."""
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    kept_backbone.cache_clear()
    first = load_backbone(_spec()).module.conv1.weight.clone()
    drawn = torch.rand(2)
    kept_backbone.cache_clear()

    assert torch.equal(load_backbone(_spec()).module.conv1.weight, first)
    assert torch.equal(drawn, expected)


@pytest.mark.parametrize(
    ("name", "suggested"),
    [
        ("resnet5", "resnet50"),
        ("VGG-16", "vgg16"),
        ("InceptionResNetV2", "inception_resnet_v2"),
        ("resnet50.a1_in2k", "resnet50.a1_in1k"),
        ("timm/resnet50.a1_in1k", "hf-hub:timm/resnet50.a1_in1k"),
    ],
)
def test_a_misspelt_name_suggests_the_nearest(name, suggested):
    """Nobody remembers a thousand names."""
    with pytest.raises(ValueError, match=f"did you mean .*{suggested}'"):
        load_backbone(_spec(name))


def test_a_name_like_no_other_gets_no_suggestion():
    """Three arbitrary names would help nobody."""
    with pytest.raises(ValueError, match=r"timm\.list_models"):
        load_backbone(_spec("qqqqqqqqqqqq"))


def test_missing_weights_name_three_ways_out(monkeypatch, tmp_path):
    """Offline, as on many machines; nothing is asked of the network here."""
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))

    with pytest.raises(WeightsUnavailableError) as caught:
        load_backbone(_spec("resnet18.a1_in1k", pretrained=True))

    message = str(caught.value)
    for words in ("resnet18.a1_in1k", "checkpoint_path", "HF_HUB_OFFLINE", "another"):
        assert words in message
    assert caught.value.__cause__ is not None


def test_a_model_that_has_no_weights_says_so():
    """Timm knows more architectures than it has weights for."""
    name = next(n for n in timm.list_models() if not timm.is_model_pretrained(n))

    with pytest.raises(WeightsUnavailableError, match="timm has no weights for it"):
        load_backbone(_spec(name, pretrained=True))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_defaults_of_the_application_do_not_matter(dtype):
    """A program may compute in float64, or on another device, by default."""
    expected = load_backbone(_spec()).module.conv1.weight
    kept_backbone.cache_clear()
    torch.set_default_dtype(dtype)
    torch.set_default_device("meta")
    try:
        model = load_backbone(_spec()).module
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)

    assert {(p.dtype, p.device.type) for p in model.parameters()} == {
        (torch.float32, "cpu")
    }
    assert torch.equal(model.conv1.weight, expected)
