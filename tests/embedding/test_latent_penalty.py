"""Tests of penalties on codes, against what torch and algebra say."""

import pytest

torch = pytest.importorskip("torch")

from imgsim.embedding._latent_penalty import (  # noqa: E402  # torch may be missing
    contraction,
    divergence,
    drawn,
)


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
