"""Tests of what is taken from a network, each against timm and torch by hand."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from PIL import Image

from imgsim import ImageEmbedder

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")

BY_HAND = {
    "avg": lambda x: x.mean((2, 3)),
    "max": lambda x: x.amax((2, 3)),
    "gem": lambda x: x.clamp(min=1e-6).pow(3).mean((2, 3)).pow(1 / 3),
    "flatten": lambda x: x.flatten(1),
}


def _embedder(name, **kwargs):
    return ImageEmbedder(
        name, pretrained=False, device="cpu", decoder="pillow", **kwargs
    )


def _model_and_pixels(name, picture):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = timm.create_model(name, num_classes=0).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
    return model, transform(Image.fromarray(picture))[None]


def _assert_close(rows, expected):
    expected = expected.detach().numpy()
    assert rows.shape == expected.shape
    assert_allclose(rows, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("pooling", BY_HAND)
@pytest.mark.parametrize("name", ["resnet18", "vgg11"])
def test_a_last_feature_map_is_pooled(name, pooling, picture):
    """Of a convolutional network."""
    model, pixels = _model_and_pixels(name, picture)

    rows = _embedder(name, pooling=pooling).fit_transform([picture])

    _assert_close(rows, BY_HAND[pooling](model.forward_features(pixels)))


@pytest.mark.parametrize(
    ("pooling", "take"),
    [
        ("cls", lambda tokens: tokens[:, 0]),
        ("token_avg", lambda tokens: tokens[:, 1:].mean(1)),
        ("avg", lambda tokens: tokens[:, 1:].mean(1)),
        ("flatten", lambda tokens: tokens[:, 1:].flatten(1)),
    ],
)
def test_tokens_of_a_transformer_are_pooled(pooling, take, picture):
    """The class token comes first, and is no place."""
    model, pixels = _model_and_pixels("vit_tiny_patch16_224", picture)

    rows = _embedder("vit_tiny_patch16_224", pooling=pooling).fit_transform([picture])

    _assert_close(rows, take(model.forward_features(pixels)))


def test_the_power_of_the_generalised_mean(picture):
    """1 is the mean of what is positive; a large one comes near the maximum."""
    rows = {
        p: _embedder("resnet18", pooling="gem", gem_p=p).fit_transform([picture])
        for p in (1, 500.0)
    }

    mean = _embedder("resnet18").fit_transform([picture])
    largest = _embedder("resnet18", pooling="max").fit_transform([picture])
    assert_allclose(rows[1], mean, atol=1e-5)
    assert_allclose(rows[500], largest, atol=0.02 * largest.max())


@pytest.mark.parametrize(
    ("name", "layer", "index"),
    [
        ("resnet18", "layer3", 3),
        ("resnet18", 0, 0),
        ("resnet18", -2, 3),
        ("mobilenetv2_100", "blocks.4", 3),
        ("vgg11", -1, 5),
        ("convnext_atto", 1, 1),
        ("swin_tiny_patch4_window7_224", 2, 2),
        ("vit_tiny_patch16_224", "blocks.7", 7),
    ],
)
def test_a_stage_is_what_timm_returns_for_it(name, layer, index, picture):
    """By index or name."""
    model, pixels = _model_and_pixels(name, picture)
    if not hasattr(model, "forward_intermediates"):
        pytest.skip(f"this version of timm does not tell of the stages of {name}")

    rows = _embedder(name, layer=layer).fit_transform([picture])

    stage = model.forward_intermediates(pixels, intermediates_only=True)[index]
    _assert_close(rows, stage.mean((2, 3)))


def test_stages_are_set_side_by_side_in_the_order_asked_for(picture):
    """A list of them makes one wide row."""
    wide = _embedder("resnet18", layer=["layer4", 1]).fit_transform([picture])

    parts = [_embedder("resnet18", layer=i).fit_transform([picture]) for i in (4, 1)]
    assert_allclose(wide, np.hstack(parts), atol=1e-5)


def test_a_class_token_without_its_number_is_told_by_its_name(picture):
    """Of a VOLO, which does not say how many tokens come before the places."""
    model, pixels = _model_and_pixels("volo_d1_224", picture)
    tokens = model.forward_features(pixels)

    for pooling, expected in (("cls", tokens[:, 0]), ("avg", tokens[:, 1:].mean(1))):
        rows = _embedder("volo_d1_224", pooling=pooling).fit_transform([picture])
        _assert_close(rows, expected)


def test_the_class_token_of_a_stage(picture):
    """As timm returns it beside the places."""
    name = "vit_tiny_patch16_224"
    model, pixels = _model_and_pixels(name, picture)

    rows = _embedder(name, layer=5, pooling="cls").fit_transform([picture])

    (_, prefix), *_ = model.forward_intermediates(
        pixels, indices=[5], return_prefix_tokens=True, intermediates_only=True
    )
    _assert_close(rows, prefix[:, 0])


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("resnet18", {"pooling": "cls"}, "'cls' is for transformers"),
        ("resnet18", {"pooling": "token_avg"}, "'token_avg' is for transformers"),
        ("resnet18", {"layer": 1, "pooling": "cls"}, "'cls' is for transformers"),
        (
            "swin_tiny_patch4_window7_224",
            {"pooling": "cls"},
            "is for transformers|no cl",
        ),
        ("resnet18", {"layer": "layer9"}, r"layer='layer9' is no stage.*4 'layer4'"),
        ("resnet18", {"layer": 5}, "layer=5 is no stage"),
        ("resnet18", {"layer": [1, -6]}, "layer=-6 is no stage"),
        ("resnet18", {"layer": []}, r"layer=\[\] names no stage"),
        ("resnet18", {"layer": 1, "pooling": None}, "layer=1 needs a pooling"),
    ],
)
def test_what_a_model_cannot_give_is_refused(name, parameters, message):
    """With the choices there are."""
    with pytest.raises(ValueError, match=message):
        _embedder(name, **parameters).fit()


def test_flip_is_the_mean_of_an_image_and_its_mirror(picture):
    """So that both have the same row."""
    mirrored = np.ascontiguousarray(picture[:, ::-1])
    both = _embedder("resnet18").fit_transform([picture, mirrored])

    rows = _embedder("resnet18", flip=True).fit_transform([picture, mirrored])

    assert_allclose(rows[0], both.mean(axis=0), atol=1e-5)
    assert_allclose(rows[1], rows[0], atol=1e-5)
