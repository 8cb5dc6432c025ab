"""Tests of losses, against their formulas in numpy."""

import numpy as np
import pytest
from scipy.ndimage import uniform_filter

torch = pytest.importorskip("torch")

from imgsim.embedding.autoencoder._losses import (  # noqa: E402  # torch may be missing
    contraction,
    divergence,
    drawn,
    reconstruction_loss,
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


def test_differences_are_in_standard_deviations(pair):
    """Squared or absolute."""
    difference = (pair[0] - pair[1]) / 0.5

    assert _loss("mse", pair) == pytest.approx(np.square(difference).mean())
    assert _loss("l1", pair) == pytest.approx(np.abs(difference).mean())


def test_ssim_is_that_of_wang_et_al(pair):
    """Windows of 7 by 7, each pixel counting alike, within the picture."""

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


def test_an_image_is_entirely_similar_to_itself(pair):
    """Also a tiny or a plain one."""
    for image in (torch.from_numpy(pair[0]), torch.zeros(1, 1, 9, 9)):
        assert ssim(image, image).tolist() == pytest.approx([1.0] * len(image))
        small = image[..., :4, :3]
        assert ssim(small, small).tolist() == pytest.approx([1.0] * len(image))


def _random():
    return torch.Generator().manual_seed(0)


def test_divergence_is_that_of_normal_distributions():
    """From the unit normal, summed over numbers and averaged over images."""
    codes = torch.randn(7, 8, generator=_random())
    mean, deviation = codes[:, :4], torch.exp(codes[:, 4:] / 2)
    normal = torch.distributions.Normal
    each = torch.distributions.kl_divergence(normal(mean, deviation), normal(0.0, 1.0))

    assert divergence(codes).item() == pytest.approx(each.sum(1).mean().item())


def test_rows_are_drawn_with_mean_and_deviation():
    """Of the distribution that codes describe."""
    codes = torch.tensor([[2.0, -1.0, 0.0, 2.0]]).expand(20_000, 4)

    rows = drawn(codes, _random())

    assert rows.mean(0).tolist() == pytest.approx([2, -1], abs=0.05)
    assert rows.std(0).tolist() == pytest.approx([1, 2.718], rel=0.03)


def test_contraction_is_the_squared_norm_of_the_jacobian():
    """Of a linear map, exactly known; over the number and variance of codes."""
    matrix = torch.randn(12, 3, generator=_random())
    x = torch.randn(4000, 12, generator=_random())

    found = contraction(lambda x: x @ matrix, x, x @ matrix, _random())

    variance = (x @ matrix - (x @ matrix).mean(0)).square().mean()
    expected = matrix.square().sum() / 3 / variance
    assert found.item() == pytest.approx(expected.item(), rel=0.05)


def test_one_image_has_no_contraction():
    """Its code has no variance to compare with."""
    x = torch.ones(1, 12)

    assert contraction(lambda x: x, x, x, _random()).item() == 0
