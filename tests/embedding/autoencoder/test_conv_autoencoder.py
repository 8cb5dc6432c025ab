"""Tests of the network itself."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.decomposition import PCA

torch = pytest.importorskip("torch")

from imgsim.embedding.autoencoder._conv_autoencoder import (  # noqa: E402  # torch may be missing
    Architecture,
    ConvAutoencoder,
)


def _network(**kwargs):
    torch.manual_seed(0)
    architecture = {
        "image_size": 16,
        "n_colors": 3,
        "latent_dim": 5,
        "channels": (4, 8),
        "n_blocks": 1,
        "is_variational": False,
        **kwargs,
    }
    return ConvAutoencoder(Architecture(**architecture)).eval()


@pytest.mark.parametrize("image_size", [8, 15, 31, 70])
@pytest.mark.parametrize("channels", [(4,), (4, 8, 12)])
@pytest.mark.parametrize("has_linear_path", [False, True])
def test_what_goes_in_comes_out_in_its_shape(image_size, channels, has_linear_path):
    """Also where sides are halved to a fraction."""
    network = _network(
        image_size=image_size, channels=channels, has_linear_path=has_linear_path
    )
    pixels = torch.randint(0, 256, (2, image_size, image_size, 3), dtype=torch.uint8)

    with torch.inference_mode():
        rows = network.rows(pixels)
        images = network.images(rows)

    assert rows.shape == (2, 5)
    assert images.shape == pixels.shape
    assert 0 <= float(images.min()) <= float(images.max()) <= 1


@pytest.mark.parametrize("image_size", [16, 48])
def test_the_linear_path_begins_as_principal_components(image_size):
    """Of what it sees: pictures, reduced to 32 pixels a side if they are larger."""
    rng = np.random.default_rng(0)
    coarse = rng.normal(size=(40, 3, 4, 4)).astype(np.float32)
    x = torch.from_numpy(coarse.repeat(image_size // 4, 2).repeat(image_size // 4, 3))
    network = _network(image_size=image_size, has_linear_path=True)
    seen = torch.nn.functional.adaptive_avg_pool2d(x, min(image_size, 32))
    pca = PCA(5).fit(seen.flatten(1).numpy())

    network.start_linear_path(
        torch.from_numpy(pca.mean_), torch.from_numpy(pca.components_), scale=2.0
    )
    with torch.inference_mode():
        codes = network.encode(x)
        back = network.decode(codes)

    expected = pca.transform(seen.flatten(1).numpy())
    assert_allclose(codes.numpy() * 2, expected, rtol=1e-5, atol=1e-4)
    if image_size <= 32:
        back_by_pca = pca.inverse_transform(expected).reshape(x.shape)
        assert_allclose(back.numpy(), back_by_pca, rtol=1e-5, atol=1e-4)


def test_enlarging_is_linear_interpolation():
    """As torch has it, whose own is not deterministic on CUDA when differentiated."""
    network = _network(image_size=48, has_linear_path=True)
    coarse = torch.randn(2, 3, 32, 32)

    found = network.enlarging @ coarse @ network.enlarging.T

    expected = torch.nn.functional.interpolate(coarse, size=48, mode="bilinear")
    assert_allclose(found.numpy(), expected.numpy(), atol=1e-5)


def test_rows_are_codes_on_other_axes():
    """And decode to the same image."""
    network = _network()
    pixels = torch.randint(0, 256, (3, 16, 16, 3), dtype=torch.uint8)
    axes = torch.randn(5, 5)

    with torch.inference_mode():
        before, images = network.rows(pixels), network.images(network.rows(pixels))
        network.set_axes(axes, torch.linalg.inv(axes))
        rows = network.rows(pixels)

        assert_allclose(rows.numpy(), (before @ axes).numpy(), atol=1e-5)
        assert_allclose(network.images(rows).numpy(), images.numpy(), atol=1e-4)


def test_a_row_does_not_depend_on_the_batch():
    """Nothing is normalised across images."""
    network = _network(n_blocks=2)
    pixels = torch.randint(0, 256, (9, 16, 16, 3), dtype=torch.uint8)

    with torch.inference_mode():
        together = network.rows(pixels)
        alone = torch.cat([network.rows(pixels[i : i + 1]) for i in range(9)])

    assert_allclose(alone.numpy(), together.numpy(), atol=1e-6)


def test_depth_and_width_are_what_was_asked_for():
    """Two residual blocks of two convolutions at each width, both ways."""
    network = _network(channels=(4, 8, 16), n_blocks=2)

    convolutions = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)]

    within_blocks = [c for c in convolutions if c.in_channels == c.out_channels]
    assert len(within_blocks) == 2 * 3 * 2 * 2
    assert {c.out_channels for c in within_blocks} == {4, 8, 16}
