"""Tests of building networks alike in any program."""

import pytest

torch = pytest.importorskip("torch")

from imgsim.embedding._building import building  # noqa: E402  # torch may be missing


def test_weights_are_the_same_whatever_the_program_has_set():
    """Its random numbers, and its default dtype."""
    with building(seed=3):
        expected = torch.nn.Linear(4, 4).weight
    torch.set_default_dtype(torch.float64)
    try:
        torch.rand(7)
        with building(seed=3):
            found = torch.nn.Linear(4, 4).weight
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)

    assert torch.equal(found, expected)


def test_the_program_draws_on_as_before():
    """Nothing tells that a network was built."""
    state = torch.get_rng_state()

    with building(seed=0):
        torch.rand(3)

    assert torch.equal(torch.get_rng_state(), state)
