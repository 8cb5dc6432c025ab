"""Tests of feature maps, which are compared with the outputs of timm."""

import numpy as np
import pytest
from embedders import assert_embeddings_close, make_untrained, untrained_timm_model
from numpy.testing import assert_allclose
from PIL import Image

from imgsim import ImageEmbedder

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")


@pytest.mark.parametrize("layer", [None, "layer3"])
def test_a_feature_map_is_the_output_of_timm(layer, picture):
    """Its axes are rows, columns and features."""
    model = untrained_timm_model("test_resnet")
    config = timm.data.resolve_model_data_config(model)
    pixels = timm.data.create_transform(**config)(Image.fromarray(picture))[None]
    if layer is None:
        expected = model.forward_features(pixels)
    else:
        expected = model.forward_intermediates(pixels, intermediates_only=True)[3]

    maps = make_untrained(layer=layer, decoder="pillow").feature_maps([picture])

    expected = expected.permute(0, 2, 3, 1).numpy()
    assert maps.dtype == np.float32
    assert maps.shape == expected.shape
    assert_allclose(maps, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("size", [(160, 160), (64, 96)])
def test_patch_tokens_form_a_grid(size, picture):
    """In row-major order, without the class token."""
    embedder = make_untrained("test_vit", image_size=size)

    maps = embedder.feature_maps([picture])

    flat = embedder.set_params(pooling="flatten").transform([picture])
    assert maps.shape == (1, size[0] // 16, size[1] // 16, 64)
    assert_embeddings_close(maps.reshape(1, -1), flat)


@pytest.mark.parametrize(
    ("name", "layer"), [("test_resnet", 1), ("test_mambaout", 0), ("test_vit", 0)]
)
def test_a_feature_map_is_upright(name, layer):
    """A change in the lower left of an image changes the lower left of its map."""
    gray = np.full((64, 64, 3), 128, dtype=np.uint8)
    changed = gray.copy()
    changed[48:, :16] = (255, 0, 0)
    embedder = make_untrained(name, layer=layer, image_size=64, crop_pct=1.0)

    maps = embedder.feature_maps([gray, changed])

    change = np.abs(maps[1] - maps[0]).sum(axis=2)
    height, width = change.shape
    row, column = np.unravel_index(change.argmax(), change.shape)
    assert row >= 0.7 * height
    assert column <= 0.3 * width


# A LeViT, which has no patch_embed from which the grid of its tokens could be derived.
SMALL_LEVIT = {"embed_dim": (16, 24, 32), "depth": (1, 1, 1), "num_heads": (2, 2, 2)}


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("test_resnet", {"layer": [1, 2]}, r"layer=\[1, 2\] names 2 stages.*name one"),
        ("test_resnet", {"layer": 9}, "layer=9 is not a stage"),
        ("levit_128s", {"model_kwargs": SMALL_LEVIT}, "the 16 patch tokens.*layer=-1"),
    ],
)
def test_feature_maps_that_are_not_available_are_rejected(
    name, parameters, message, picture
):
    """The message contains a remedy."""
    with pytest.raises(ValueError, match=message):
        make_untrained(name, **parameters).feature_maps([picture])


def test_an_unknown_grid_of_tokens_is_known_for_a_stage(picture):
    """The error message suggests this remedy."""
    embedder = make_untrained("levit_128s", model_kwargs=SMALL_LEVIT, layer=-1)

    assert embedder.feature_maps([picture]).shape == (1, 4, 4, 32)


def test_a_network_that_returns_embeddings_has_no_feature_map(picture):
    """It can be used for `transform` with `pooling=None`."""
    module = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    embedder = ImageEmbedder(module, pooling=None, image_size=32, device="cpu")

    with pytest.raises(ValueError, match=r"returns embeddings instead.*; set layer"):
        embedder.feature_maps([picture])
