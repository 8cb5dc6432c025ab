"""Tests of losses and penalties against their formulas in numpy and torch."""

import numpy as np
import pytest
from scipy.ndimage import uniform_filter

torch = pytest.importorskip("torch")

from imgsim.embedding.autoencoder._losses import (  # noqa: E402  # torch may be missing
    contractive_penalty,
    kl_divergence,
    reconstruction_loss,
    sample_latent,
    ssim,
)


@pytest.fixture
def pair():
    """Return two batches of images, the second a noisy copy of the first."""
    rng = np.random.default_rng(0)
    x = rng.random((3, 2, 16, 20)).cumsum(axis=3) / 20
    return x, (x + rng.normal(size=x.shape) * 0.1).clip(0, 1)


def _loss(name, pair, std=0.5):
    x, y = (torch.from_numpy(images) for images in pair)
    return reconstruction_loss(name, x, y, torch.tensor(std)).item()


def _generator():
    return torch.Generator().manual_seed(0)


def test_differences_are_divided_by_the_standard_deviation(pair):
    """Losses of different collections can then be compared."""
    difference = (pair[0] - pair[1]) / 0.5

    assert _loss("mse", pair) == pytest.approx(np.square(difference).mean())
    assert _loss("l1", pair) == pytest.approx(np.abs(difference).mean())


def test_ssim_follows_the_formula_of_wang_et_al(pair):
    """Windows are uniform, have 7 x 7 pixels and lie within the image."""

    def mean(values):
        filtered = uniform_filter(values, size=(0, 0, 7, 7))
        return filtered[:, :, 3:-3, 3:-3]

    x, y = pair
    var_x, var_y = mean(x * x) - mean(x) ** 2, mean(y * y) - mean(y) ** 2
    covariance = mean(x * y) - mean(x) * mean(y)
    expected = (
        (2 * mean(x) * mean(y) + 1e-4)
        * (2 * covariance + 9e-4)
        / ((mean(x) ** 2 + mean(y) ** 2 + 1e-4) * (var_x + var_y + 9e-4))
    ).mean(axis=(1, 2, 3))

    found = ssim(torch.from_numpy(x), torch.from_numpy(y))

    assert found.tolist() == pytest.approx(expected.tolist())
    mixed = 0.85 * (1 - expected.mean()) + 0.15 * _loss("l1", pair)
    assert _loss("ssim+l1", pair) == pytest.approx(mixed)


def test_the_ssim_of_an_image_with_itself_is_one(pair):
    """Constant images and images smaller than the window are no exception."""
    for image in (torch.from_numpy(pair[0]), torch.zeros(1, 1, 9, 9)):
        assert ssim(image, image).tolist() == pytest.approx([1.0] * len(image))
        small = image[..., :4, :3]
        assert ssim(small, small).tolist() == pytest.approx([1.0] * len(image))


def test_kl_divergence_equals_that_of_torch():
    """It is summed over latent dimensions and averaged over images."""
    parameters = torch.randn(7, 8, generator=_generator())
    mean, std = parameters[:, :4], torch.exp(parameters[:, 4:] / 2)
    normal = torch.distributions.Normal
    expected = torch.distributions.kl_divergence(normal(mean, std), normal(0.0, 1.0))

    found = kl_divergence(parameters).item()

    assert found == pytest.approx(expected.sum(1).mean().item())


def test_latent_vectors_are_sampled_with_mean_and_variance():
    """The parameters are means, followed by log variances."""
    parameters = torch.tensor([[2.0, -1.0, 0.0, 2.0]]).expand(20_000, 4)

    latent = sample_latent(parameters, _generator())

    assert latent.mean(0).tolist() == pytest.approx([2, -1], abs=0.05)
    assert latent.std(0).tolist() == pytest.approx([1, 2.718], rel=0.03)


def test_the_contractive_penalty_is_the_squared_norm_of_the_jacobian():
    """The Jacobian of a linear map is its matrix."""
    matrix = torch.randn(12, 3, generator=_generator())
    x = torch.randn(4000, 12, generator=_generator())

    found = contractive_penalty(lambda x: x @ matrix, x, x @ matrix, _generator())

    variance = (x @ matrix - (x @ matrix).mean(0)).square().mean()
    expected = matrix.square().sum() / 3 / variance
    assert found.item() == pytest.approx(expected.item(), rel=0.05)


def test_one_image_has_no_contractive_penalty():
    """The variance of its latent vector is 0 and must not be a divisor."""
    x = torch.ones(1, 12)

    assert contractive_penalty(lambda x: x, x, x, _generator()).item() == 0
