"""Weights from a file, checked against the network, and never executed."""

import hashlib
import inspect
import os
import pickle
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor, nn

_N_LISTED_KEYS = 5


class Checkpoint(NamedTuple):
    """A file of weights, told apart from another put in its place later."""

    path: str
    n_bytes: int
    modified_ns: int

    @classmethod
    def at(cls, path: str | os.PathLike[str]) -> "Checkpoint":
        """Look up the file at `path`."""
        if not os.path.isfile(path):
            raise FileNotFoundError(f"checkpoint_path={str(path)!r} is not a file.")
        status = os.stat(path)
        return cls(os.fspath(path), status.st_size, status.st_mtime_ns)


def load_checkpoint(module: "nn.Module", path: str, *, model: str) -> None:
    """Load weights by name; those of the classifier that was cut off may be left."""
    state = _read_state(path)
    misfits = _misfits(module, state)
    remap = getattr(inspect.getmodule(type(module)), "checkpoint_filter_fn", None)
    if misfits and remap is not None:
        # timm's own way from weights as published, or for another image size.
        state = remap(state, module)
        misfits = _misfits(module, state)
    if misfits:
        raise ValueError(
            f"checkpoint_path={path!r} does not fit model={model!r}: "
            f"{'; '.join(misfits)}. Check model, image_size and model_kwargs."
        )
    names = module.state_dict().keys() & state.keys()
    module.load_state_dict({name: state[name] for name in names}, strict=False)


def fingerprint(module: "nn.Module") -> str:
    """Return a hash of all weights, the same wherever and however they were loaded."""
    import torch

    digest = hashlib.blake2b(digest_size=16)
    # Buffers that a state dict leaves out may change rows, too.
    tensors = dict([*module.named_parameters(), *module.named_buffers()])
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        content = tensor.detach().cpu().contiguous().flatten().view(torch.uint8)
        digest.update(content.numpy().data)
    return digest.hexdigest()


def _misfits(model: "nn.Module", state: Mapping[str, "Tensor"]) -> list[str]:
    """Say which keys are missing, unexpected, or of another shape."""
    expected = model.state_dict()
    ignorable = (*_classifier_prefixes(model), "AuxLogits.")
    groups = {
        "missing": [
            key
            for key in expected
            if key not in state and not key.endswith(".num_batches_tracked")
        ],
        "unexpected": [
            key
            for key in state
            if key not in expected and not key.startswith(ignorable)
        ],
        "of another shape": [
            f"{key} {tuple(state[key].shape)} instead of {tuple(expected[key].shape)}"
            for key in expected
            if key in state and state[key].shape != expected[key].shape
        ],
    }
    return [_listed(what, keys) for what, keys in groups.items() if keys]


def _read_state(path: str) -> "dict[str, Tensor]":
    """Read a state dict without executing anything the file holds."""
    import torch
    from safetensors.torch import load_file

    state: Any
    try:
        if path.lower().endswith(".safetensors"):
            state = load_file(path)
        else:
            with warnings.catch_warnings():
                # torch warns about old pickles, and refuses them below where need be.
                warnings.simplefilter("ignore")
                state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"checkpoint_path={path!r} holds more than tensors: to load it would "
            f"execute code, which is refused. Save the weights with "
            f"safetensors.torch.save_file."
        ) from error
    except Exception as error:
        raise ValueError(
            f"checkpoint_path={path!r} is damaged, or no file of weights: {error}"
        ) from error
    return _weights_by_name(state, path)


def _weights_by_name(state: Any, path: str) -> "dict[str, Tensor]":
    """Take the weights out of what trainers wrap around them."""
    import torch

    for wrapper in ("state_dict_ema", "model_ema", "state_dict", "model"):
        if isinstance(state, Mapping) and isinstance(state.get(wrapper), Mapping):
            state = state[wrapper]
    by_name = isinstance(state, Mapping) and all(
        isinstance(key, str) and isinstance(value, torch.Tensor)
        for key, value in state.items()
    )
    if not by_name or not state:
        raise ValueError(f"checkpoint_path={path!r} holds no weights by name.")
    # DataParallel, torch.compile and Lightning put one word before all names.
    while len({key.partition(".")[0] for key in state}) == 1:
        state = {key.partition(".")[2]: value for key, value in state.items()}
    return dict(state)


def _classifier_prefixes(model: "nn.Module") -> tuple[str, ...]:
    names = getattr(model, "pretrained_cfg", {}).get("classifier") or ()
    return tuple(f"{n}." for n in ((names,) if isinstance(names, str) else names))


def _listed(what: str, keys: list[str]) -> str:
    shown = ", ".join(keys[:_N_LISTED_KEYS])
    n_more = len(keys) - _N_LISTED_KEYS
    more = f" and {n_more} more" if n_more > 0 else ""
    return f"{len(keys)} keys {what} ({shown}{more})"
