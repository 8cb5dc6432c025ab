"""Tests of loading networks by name."""

import pytest

from imgsim.embedding import clear_models
from imgsim.embedding.pretrained._timm_backbone import BackboneSpec, load_backbone
from imgsim.exceptions import WeightsUnavailableError

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")


def _spec(model="test_resnet", pretrained=False, **model_kwargs):
    return BackboneSpec(model, pretrained, None, "cpu", "float32", model_kwargs)


def test_equal_specifications_share_one_network():
    """Clones do not load the weights again."""
    assert load_backbone(_spec(drop_rate=0.1)) is load_backbone(_spec(drop_rate=0.1))
    assert load_backbone(_spec(drop_rate=0.1)) is not load_backbone(_spec())


def test_a_backbone_is_frozen_and_in_evaluation_mode():
    """In training mode, embeddings would change from call to call."""
    module = load_backbone(_spec()).module

    assert not any(part.training for part in module.modules())
    assert not any(parameter.requires_grad for parameter in module.parameters())


def test_untrained_weights_are_reproducible():
    """Drawing them does not change the random state of the caller."""
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    clear_models()
    first = load_backbone(_spec()).module.conv1[0].weight.clone()
    drawn = torch.rand(2)
    clear_models()

    assert torch.equal(load_backbone(_spec()).module.conv1[0].weight, first)
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
def test_an_unknown_name_suggests_similar_names(name, suggested):
    """The message helps with the spelling of a thousand names."""
    with pytest.raises(ValueError, match=f"did you mean .*{suggested}'"):
        load_backbone(_spec(name))


def test_a_name_that_is_not_similar_to_any_gets_no_suggestion():
    """The message tells how to list all names instead."""
    with pytest.raises(ValueError, match=r"timm\.list_models"):
        load_backbone(_spec("qqqqqqqqqqqq"))


def test_unavailable_weights_suggest_three_remedies(monkeypatch, tmp_path):
    """The machine is offline, so that the test does not use the internet."""
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))

    with pytest.raises(WeightsUnavailableError) as caught:
        load_backbone(_spec("resnet18.a1_in1k", pretrained=True))

    message = str(caught.value)
    for words in ("resnet18.a1_in1k", "[offline]", "checkpoint_path", "HF_HUB_OFFLINE"):
        assert words in message
    assert caught.value.__cause__ is not None


def test_a_model_without_weights_is_named():
    """There are models in timm for which it has no weights."""
    name = next(n for n in timm.list_models() if not timm.is_model_pretrained(n))

    with pytest.raises(WeightsUnavailableError, match="timm has no weights for"):
        load_backbone(_spec(name, pretrained=True))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_defaults_of_torch_do_not_matter(dtype):
    """A program may set another default dtype or device."""
    expected = load_backbone(_spec()).module.conv1[0].weight
    clear_models()
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
    assert torch.equal(model.conv1[0].weight, expected)
