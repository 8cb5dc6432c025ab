"""Checks of the saved state of a training run, before the run resumes from it."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

_MAX_SEED = 2**31 - 1
_FIELDS = {
    "seed",
    "network",
    "optimizer",
    "best_weights",
    "best_epoch",
    "loss_curve",
    "validation_loss_curve",
}


def check_seed(state: Any) -> None:
    """Raise ValueError unless the fields of a state are complete and its seed valid."""
    if type(state) is not dict or state.keys() != _FIELDS:
        raise ValueError(f"it is not a dict of {', '.join(sorted(_FIELDS))}")
    seed: Any = state["seed"]
    _require(type(seed) is int and 0 <= seed <= _MAX_SEED, "seed is out of range")


def check_state(
    state: dict[str, Any],
    *,
    weights: Mapping[str, "Tensor"],
    parameters: Sequence["Tensor"],
    max_epochs: int,
    has_validation: bool,
) -> None:
    """Raise ValueError unless a training run can continue from a state.

    Parameters
    ----------
    state : dict
        The state, whose seed was checked by `check_seed`.

    weights : mapping of str to Tensor
        State dict of the network.

    parameters : sequence of Tensor
        Parameters of the network in the order of the optimizer.

    max_epochs : int
        Largest number of epochs that may be finished.

    has_validation : bool
        Whether there are validation images.
    """
    for name in ("network", "best_weights"):
        _check_tensors(name, state[name], weights)
    _check_optimizer(state["optimizer"], parameters)
    curve = _check_curve(state, "loss_curve")
    _require(1 <= len(curve) <= max_epochs, "loss_curve has a wrong length")
    validation_curve = _check_curve(state, "validation_loss_curve")
    n_expected = len(curve) if has_validation else 0
    is_complete = len(validation_curve) == n_expected
    _require(is_complete, "validation_loss_curve has a wrong length")
    best: Any = state["best_epoch"]
    losses = validation_curve or curve
    is_best = type(best) is int and best == losses.index(min(losses))
    _require(is_best, "best_epoch is not the epoch with the smallest loss")


def _check_optimizer(optimizer: Any, parameters: Sequence["Tensor"]) -> None:
    import torch

    _require(type(optimizer) is dict and "state" in optimizer, "optimizer is not valid")
    moments = optimizer["state"]
    _check_keys("optimizer", moments, range(len(parameters)))
    for number, parameter in enumerate(parameters):
        name = f"optimizer.{number}"
        expected = {
            "step": torch.zeros((), device="cpu"),
            "exp_avg": parameter,
            "exp_avg_sq": parameter,
        }
        _check_tensors(name, moments[number], expected)
        _require(moments[number]["step"] >= 1, f"{name}.step is not positive")
        variance = moments[number]["exp_avg_sq"]
        _require(bool((variance >= 0).all()), f"{name}.exp_avg_sq is negative")


def _check_tensors(name: str, tensors: Any, expected: Mapping[str, "Tensor"]) -> None:
    _check_keys(name, tensors, expected)
    for key, like in expected.items():
        problem = _find_problem(tensors[key], like)
        _require(problem is None, f"{name}.{key} {problem}")


def _find_problem(tensor: Any, like: "Tensor") -> str | None:
    """Return what is wrong with a tensor that should have the type of another one."""
    import torch

    if type(tensor) is not torch.Tensor or tensor.layout != torch.strided:
        return "is not a dense tensor"
    if tensor.device.type != "cpu" or tensor.is_nested:
        return "has no values"
    if tensor.dtype != like.dtype or tensor.shape != like.shape:
        return (
            f"is {tensor.dtype} {tuple(tensor.shape)} instead of {like.dtype} "
            f"{tuple(like.shape)}"
        )
    return None if bool(torch.isfinite(tensor).all()) else "is not finite"


def _check_keys(name: str, mapping: Any, expected: Any) -> None:
    is_same = type(mapping) is dict and mapping.keys() == set(expected)
    _require(is_same, f"{name} does not have the expected keys")


def _check_curve(state: dict[str, Any], name: str) -> list[float]:
    curve: list[float] = state[name]
    is_valid = type(curve) is list and all(
        type(loss) is float and math.isfinite(loss) for loss in curve
    )
    _require(is_valid, f"{name} is not a list of finite numbers")
    return curve


def _require(condition: bool, problem: str) -> None:
    if not condition:
        raise ValueError(problem)
