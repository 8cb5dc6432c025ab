"""Tests of what is pooled, against plain timm and against the rows."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from sklearn.base import clone

from imgsim import ImageEmbedder, ImageReadError
from imgsim.exceptions import ImageReadWarning

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")


def _embedder(name="resnet18", **kwargs):
    return ImageEmbedder(name, pretrained=False, device="cpu", **kwargs)


def _model_and_pixels(name, picture):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = timm.create_model(name, num_classes=0).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
    return model, transform(Image.fromarray(picture))[None]


@pytest.mark.parametrize("layer", [None, "layer3"])
def test_a_map_is_what_timm_computes(layer, picture):
    """Rows and columns first, features last."""
    model, pixels = _model_and_pixels("resnet18", picture)
    with torch.inference_mode():
        if layer is None:
            expected = model.forward_features(pixels)
        else:
            expected = model.forward_intermediates(pixels, intermediates_only=True)[3]

    maps = _embedder(layer=layer, decoder="pillow").feature_maps([picture])

    expected = expected.permute(0, 2, 3, 1).numpy()
    assert maps.dtype == np.float32
    assert maps.shape == expected.shape
    assert_allclose(maps, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("size", [(224, 224), (64, 96)])
def test_tokens_stand_in_the_grid_of_their_patches(size, picture):
    """Row by row, without those that are no place."""
    name = "vit_tiny_patch16_224"
    embedder = _embedder(name, image_size=size)

    maps = embedder.feature_maps([picture])

    height, width = size[0] // 16, size[1] // 16
    flat = _embedder(name, image_size=size, pooling="flatten").fit_transform([picture])
    assert maps.shape == (1, height, width, 192)
    assert_allclose(maps.ravel(), flat.ravel(), atol=1e-5)


def test_a_map_is_upright():
    """A change of the lower left of a picture changes the lower left of its map."""
    grey = np.full((64, 64, 3), 128, dtype=np.uint8)
    changed = grey.copy()
    changed[48:, :16] = (255, 0, 0)

    for name, layer in (("resnet18", 1), ("swin_tiny_patch4_window7_224", 0)):
        embedder = _embedder(name, layer=layer, image_size=64, crop_pct=1.0)
        maps = embedder.feature_maps([grey, changed])
        change = np.abs(maps[1] - maps[0]).sum(axis=2)
        height, width = change.shape
        row, column = np.unravel_index(change.argmax(), change.shape)
        assert row >= 0.7 * height
        assert column <= 0.3 * width


@pytest.mark.parametrize(
    ("name", "pooling"),
    [
        ("resnet18", "avg"),
        ("resnet18", "max"),
        ("mobilenetv2_100", "avg"),
        ("vit_tiny_patch16_224", "token_avg"),
        ("swin_tiny_patch4_window7_224", "avg"),
    ],
)
def test_pooled_maps_are_the_rows(name, pooling, pictures):
    """Of networks that do nothing else to them."""
    embedder = _embedder(name, pooling=pooling)
    rows = embedder.fit_transform(pictures[:2])

    maps = embedder.feature_maps(pictures[:2])

    pooled = maps.max(axis=(1, 2)) if pooling == "max" else maps.mean(axis=(1, 2))
    assert_allclose(pooled, rows, atol=1e-5 * np.abs(rows).max())


@pytest.mark.parametrize(
    "parameters",
    [
        {"pooling": "gem"},
        {"pooling": None},
        {"flip": True},
        {"normalize": "l2"},
    ],
    ids=str,
)
def test_what_comes_after_the_map_changes_nothing(parameters, pictures):
    """It is the map before all that."""
    maps = _embedder(image_size=64, **parameters).feature_maps(pictures[:2])

    assert_array_equal(maps, _embedder(image_size=64).feature_maps(pictures[:2]))


def test_a_map_does_not_depend_on_its_batch(pictures):
    """As rows do not."""
    together = _embedder(image_size=64).feature_maps(pictures)

    for batch_size in (1, 5):
        embedder = _embedder(image_size=64, batch_size=batch_size)
        maps = embedder.feature_maps(pictures)
        assert_allclose(maps, together, atol=1e-5 * together.max())
    alone = _embedder(image_size=64).feature_maps(pictures[3:4])
    assert_allclose(alone[0], together[3], atol=1e-5 * together.max())


def test_an_unreadable_image_leaves_a_map_of_nan(pictures):
    """One warning for all, and the reasons as for rows."""
    embedder = _embedder(image_size=64, on_error="nan", batch_size=2)
    sources = [pictures[0], "missing.jpg", pictures[1], "gone.jpg"]

    with pytest.warns(ImageReadWarning, match="2 of 4.*their maps are NaN") as caught:
        maps = embedder.feature_maps(sources)

    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert [failure.row for failure in embedder.failures_] == [1, 3]
    assert np.isnan(maps[[1, 3]]).all()
    assert_allclose(
        maps[[0, 2]], embedder.feature_maps(pictures[:2]), atol=1e-5 * np.nanmax(maps)
    )
    with pytest.warns(ImageReadWarning):
        assert np.isnan(embedder.feature_maps(["missing.jpg"])).all()


def test_an_unreadable_image_raises_by_default(pictures):
    """And says which."""
    with pytest.raises(ImageReadError, match=r"missing\.jpg"):
        _embedder(image_size=64).feature_maps([pictures[0], "missing.jpg"])


def test_a_map_that_is_not_finite_counts_as_unreadable():
    """As a row does."""

    class NoNumberIfBright(torch.nn.Module):
        def forward(self, x):
            return torch.where(x > 1, torch.nan, x)[:, :, ::8, ::8]

    dark, bright = (np.full((32, 32, 3), grey, dtype=np.uint8) for grey in (9, 255))
    embedder = ImageEmbedder(
        NoNumberIfBright(), device="cpu", image_size=32, on_error="nan"
    )

    with pytest.warns(ImageReadWarning, match="not finite"):
        maps = embedder.feature_maps([dark, bright])

    assert_array_equal(np.isnan(maps).all(axis=(1, 2, 3)), [False, True])
    embedder.set_params(on_error="raise")
    with pytest.raises(ImageReadError, match="not finite"):
        embedder.feature_maps([bright])


@pytest.mark.parametrize(
    ("name", "layer", "message"),
    [
        ("resnet18", [1, 2], r"layer=\[1, 2\] names 2 stages.*name one"),
        ("resnet18", 9, "layer=9 is no stage"),
        ("levit_128s", None, "in which grid its 16 tokens.*layer=-1"),
    ],
)
def test_maps_that_cannot_be_had_are_refused(name, layer, message, picture):
    """With the way out."""
    with pytest.raises(ValueError, match=message):
        _embedder(name, layer=layer).feature_maps([picture])


def test_tokens_of_an_odd_grid_are_had_as_a_stage(picture):
    """As the refusal advises."""
    maps = _embedder("levit_128s", layer=-1).feature_maps([picture])

    assert maps.shape == (1, 4, 4, 384)


def test_a_network_of_rows_has_no_maps(picture):
    """Its rows are had without pooling."""
    rows = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    embedder = ImageEmbedder(rows, pooling=None, image_size=32, device="cpu")

    with pytest.raises(ValueError, match="returns rows by itself; set layer"):
        embedder.feature_maps([picture])


def test_maps_leave_the_cache_alone(tmp_path, picture):
    """It holds rows."""
    embedder = _embedder(image_size=64, cache=tmp_path / "rows.sqlite")
    rows = embedder.fit_transform([picture])

    maps = embedder.feature_maps([picture])

    assert_allclose(maps.mean(axis=(1, 2)), rows, atol=1e-5 * rows.max())
    assert_array_equal(embedder.transform([picture]), rows)


def test_maps_survive_cloning_and_pickling(picture):
    """They need nothing that a fit keeps."""
    embedder = _embedder(image_size=64)
    maps = embedder.feature_maps([picture])

    for copy in (clone(embedder), pickle.loads(pickle.dumps(embedder))):
        assert_array_equal(copy.feature_maps([picture]), maps)


def test_maps_of_low_precision_are_near(picture):
    """They come as float32 anyway."""
    exact = _embedder(image_size=64).feature_maps([picture])

    maps = _embedder(image_size=64, precision="bfloat16").feature_maps([picture])

    assert maps.dtype == np.float32
    assert_allclose(maps, exact, atol=0.1 * exact.max())
