"""Tests of initializing networks independently of the caller's settings."""

from concurrent.futures import ThreadPoolExecutor

import pytest

torch = pytest.importorskip("torch")

from imgsim._compute.torch_random import gradients_enabled, seeded_initialization  # noqa: E402  # torch may be missing


def test_weights_do_not_depend_on_the_settings_of_the_program():
    """The program may have drawn random numbers and set another default dtype."""
    with seeded_initialization(seed=3):
        expected = torch.nn.Linear(4, 4).weight
    torch.set_default_dtype(torch.float64)
    try:
        torch.rand(7)
        with seeded_initialization(seed=3):
            found = torch.nn.Linear(4, 4).weight
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)

    assert torch.equal(found, expected)


def test_the_random_state_of_the_program_is_restored():
    """Building a network must not change the random numbers of the caller."""
    state = torch.get_rng_state()

    with seeded_initialization(seed=0):
        torch.rand(3)

    assert torch.equal(torch.get_rng_state(), state)


def test_threads_wait_for_each_other():
    """Without a lock, a thread would draw random numbers of another one."""
    with seeded_initialization(seed=0):
        expected = torch.nn.Linear(300, 300).weight

    def build(_):
        with seeded_initialization(seed=0):
            return torch.nn.Linear(300, 300).weight

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(build, range(40)))

    assert all(torch.equal(each, expected) for each in found)


def test_gradients_are_computed_in_inference_mode():
    """A program may call `fit` with gradients disabled."""
    with torch.inference_mode(), gradients_enabled():
        weight = torch.ones(2, requires_grad=True)
        (weight * 3).sum().backward()

    assert weight.grad.tolist() == [3, 3]
