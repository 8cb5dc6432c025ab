"""Tests of pooling, compared with outputs of timm that are pooled by hand."""

import numpy as np
import pytest
from embedders import assert_embeddings_close, make_untrained, untrained_timm_model
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


def _embed(name, picture, **kwargs):
    return make_untrained(name, decoder="pillow", **kwargs).fit_transform([picture])


def _model_and_pixels(name, picture, **kwargs):
    model = untrained_timm_model(name, **kwargs)
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
    return model, transform(Image.fromarray(picture))[None]


def _assert_close(embeddings, expected):
    expected = expected.numpy()
    assert embeddings.shape == expected.shape
    assert_allclose(embeddings, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("pooling", BY_HAND)
@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet"])
def test_the_last_feature_map_is_pooled(name, pooling, picture):
    """For convolutional networks."""
    model, pixels = _model_and_pixels(name, picture)

    embeddings = _embed(name, picture, pooling=pooling)

    _assert_close(embeddings, BY_HAND[pooling](model.forward_features(pixels)))


@pytest.mark.parametrize(
    ("pooling", "pool"),
    [
        ("cls", lambda tokens: tokens[:, 0]),
        ("token_avg", lambda tokens: tokens[:, 1:].mean(1)),
        ("avg", lambda tokens: tokens[:, 1:].mean(1)),
        ("max", lambda tokens: tokens[:, 1:].amax(1)),
        ("flatten", lambda tokens: tokens[:, 1:].flatten(1)),
    ],
)
def test_tokens_of_a_transformer_are_pooled(pooling, pool, picture):
    """The class token comes first, and is not pooled with the patch tokens."""
    model, pixels = _model_and_pixels("test_vit", picture)

    embeddings = _embed("test_vit", picture, pooling=pooling)

    _assert_close(embeddings, pool(model.forward_features(pixels)))


def test_the_exponent_of_the_generalized_mean(picture):
    """1 is the average of the positive values, and 500 is nearly the maximum."""
    power_1, power_500 = (
        _embed("test_resnet", picture, pooling="gem", gem_p=p) for p in (1, 500.0)
    )

    average = _embed("test_resnet", picture)
    maximum = _embed("test_resnet", picture, pooling="max")
    assert_allclose(power_1, average, atol=2e-6)  # zeros count as 1e-6
    assert_allclose(power_500, maximum, atol=0.02 * maximum.max())


@pytest.mark.parametrize(
    ("name", "layer", "index"),
    [
        ("test_resnet", "layer3", 3),
        ("test_resnet", 0, 0),
        ("test_resnet", -2, 3),
        ("test_efficientnet", "blocks.3", 3),
        ("test_convnext", 1, 1),
        ("test_mambaout", 2, 2),
        ("test_vit", "blocks.4", 4),
        ("vgg11", -1, 5),
    ],
)
def test_a_stage_is_the_output_of_timm(name, layer, index, picture):
    """It is selected by its index or name."""
    kwargs = {"mlp_ratio": 1 / 64} if name == "vgg11" else {}
    model, pixels = _model_and_pixels(name, picture, **kwargs)

    embeddings = _embed(name, picture, layer=layer, model_kwargs=kwargs)

    stage = model.forward_intermediates(pixels, intermediates_only=True)[index]
    _assert_close(embeddings, stage.mean((2, 3)))


def test_stages_are_concatenated_in_the_given_order(picture):
    """A list of stages gives one long embedding."""
    embeddings = _embed("test_resnet", picture, layer=["layer4", 1])

    parts = [_embed("test_resnet", picture, layer=layer) for layer in (4, 1)]
    assert_embeddings_close(embeddings, np.hstack(parts))


def test_a_class_token_is_found_without_num_prefix_tokens(picture):
    """A VOLO has a class token, but does not define the number of prefix tokens."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = timm.models.VOLO(
            layers=(1, 1), embed_dims=(32, 32), num_heads=(2, 2), num_classes=0
        )
    model = model.requires_grad_(False).eval()
    config = timm.data.resolve_model_data_config(model)
    pixels = timm.data.create_transform(**config)(Image.fromarray(picture))[None]
    tokens = model.forward_features(pixels)

    for pooling, expected in (("cls", tokens[:, 0]), ("avg", tokens[:, 1:].mean(1))):
        embedder = ImageEmbedder(model, pooling=pooling, decoder="pillow", device="cpu")
        _assert_close(embedder.fit_transform([picture]), expected)


def test_the_class_token_of_a_stage(picture):
    """The model of timm returns it beside the patch tokens."""
    model, pixels = _model_and_pixels("test_vit", picture)

    embeddings = _embed("test_vit", picture, layer=4, pooling="cls")

    (_, prefix), *_ = model.forward_intermediates(
        pixels, indices=[4], return_prefix_tokens=True, intermediates_only=True
    )
    _assert_close(embeddings, prefix[:, 0])


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("test_resnet", {"pooling": "cls"}, "'cls' requires a transformer"),
        ("test_resnet", {"pooling": "token_avg"}, "'token_avg' requires a transformer"),
        ("test_resnet", {"layer": 1, "pooling": "cls"}, "'cls' requires a transformer"),
        ("test_mambaout", {"pooling": "cls"}, "'cls' requires a transformer"),
        ("test_vit_relpos", {"pooling": "cls"}, "'cls' requires a class token"),
        (
            "test_resnet",
            {"layer": "layer9"},
            r"layer='layer9' is not a stage.*4 'layer4'",
        ),
        ("test_resnet", {"layer": 5}, "layer=5 is not a stage"),
        ("test_resnet", {"layer": [1, -6]}, "layer=-6 is not a stage"),
        ("test_resnet", {"layer": []}, r"layer=\[\] must name at least one stage"),
        ("test_resnet", {"layer": 1, "pooling": None}, "layer=1 requires a pooling"),
    ],
)
def test_outputs_that_a_model_does_not_have_are_rejected(name, parameters, message):
    """The message contains the available choices."""
    with pytest.raises(ValueError, match=message):
        make_untrained(name, **parameters).fit()


def test_flip_averages_an_image_and_its_mirror_image(picture):
    """Both have the same embedding."""
    mirrored = np.ascontiguousarray(picture[:, ::-1])
    both = make_untrained(decoder="pillow").fit_transform([picture, mirrored])

    embedder = make_untrained(decoder="pillow", flip=True)
    embeddings = embedder.fit_transform([picture, mirrored])

    assert_embeddings_close(embeddings[0], both.mean(axis=0))
    assert_embeddings_close(embeddings[1], embeddings[0])
