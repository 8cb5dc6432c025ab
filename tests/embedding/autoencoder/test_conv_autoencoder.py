"""Tests of the network of the autoencoder."""

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
def test_reconstructions_have_the_shape_of_the_images(
    image_size, channels, has_linear_path
):
    """The image size need not be divisible by a power of two."""
    network = _network(
        image_size=image_size, channels=channels, has_linear_path=has_linear_path
    )
    pixels = torch.randint(0, 256, (2, image_size, image_size, 3), dtype=torch.uint8)

    with torch.inference_mode():
        embeddings = network.embed(pixels)
        images = network.decode_embeddings(embeddings)

    assert embeddings.shape == (2, 5)
    assert images.shape == pixels.shape
    assert 0 <= float(images.min()) <= float(images.max()) <= 1


@pytest.mark.parametrize("image_size", [16, 48])
def test_the_linear_path_is_initialized_with_pca(image_size):
    """Images larger than 32 pixels are downsampled for it."""
    rng = np.random.default_rng(0)
    coarse = rng.normal(size=(40, 3, 4, 4)).astype(np.float32)
    x = torch.from_numpy(coarse.repeat(image_size // 4, 2).repeat(image_size // 4, 3))
    network = _network(image_size=image_size, has_linear_path=True)
    small = torch.nn.functional.adaptive_avg_pool2d(x, min(image_size, 32))
    rows = small.flatten(1).numpy()
    pca = PCA(5).fit(rows)

    network.init_linear_path(
        torch.from_numpy(pca.mean_), torch.from_numpy(pca.components_), scale=2.0
    )
    with torch.inference_mode():
        latent = network.encode(x)
        decoded = network.decode(latent)

    expected = pca.transform(rows)
    assert_allclose(latent.numpy() * 2, expected, rtol=1e-5, atol=1e-4)
    if image_size <= 32:
        by_pca = pca.inverse_transform(expected).reshape(x.shape)
        assert_allclose(decoded.numpy(), by_pca, rtol=1e-5, atol=1e-4)


def test_upsampling_is_linear_interpolation():
    """The gradient of the interpolation in torch is not deterministic on CUDA."""
    network = _network(image_size=48, has_linear_path=True)
    coarse = torch.randn(2, 3, 32, 32)

    found = network.upsampling @ coarse @ network.upsampling.T

    expected = torch.nn.functional.interpolate(coarse, size=48, mode="bilinear")
    assert_allclose(found.numpy(), expected.numpy(), atol=1e-5)


def test_other_axes_change_embeddings_but_not_images():
    """The inverse of the axes is applied before decoding."""
    network = _network()
    pixels = torch.randint(0, 256, (3, 16, 16, 3), dtype=torch.uint8)
    axes = torch.randn(5, 5)

    with torch.inference_mode():
        before = network.embed(pixels)
        images = network.decode_embeddings(before)
        network.set_axes(axes, torch.linalg.inv(axes))
        embeddings = network.embed(pixels)
        decoded = network.decode_embeddings(embeddings)

    assert_allclose(embeddings.numpy(), (before @ axes).numpy(), atol=1e-5)
    assert_allclose(decoded.numpy(), images.numpy(), atol=1e-4)


def test_an_embedding_does_not_depend_on_the_batch():
    """Features are normalized within each image."""
    network = _network(n_blocks=2)
    pixels = torch.randint(0, 256, (9, 16, 16, 3), dtype=torch.uint8)

    with torch.inference_mode():
        together = network.embed(pixels)
        alone = torch.cat([network.embed(pixels[i : i + 1]) for i in range(9)])

    assert_allclose(alone.numpy(), together.numpy(), atol=1e-6)


def test_the_network_has_the_requested_depth_and_width():
    """Two blocks of two convolutions at each width, in the encoder and the decoder."""
    network = _network(channels=(4, 8, 16), n_blocks=2)

    convolutions = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)]

    within_blocks = [c for c in convolutions if c.in_channels == c.out_channels]
    assert len(within_blocks) == 2 * 3 * 2 * 2
    assert {c.out_channels for c in within_blocks} == {4, 8, 16}
