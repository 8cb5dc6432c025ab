"""Loading of weights from a file, without executing code that it may contain."""

import hashlib
import inspect
import os
import pickle
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Self

if TYPE_CHECKING:
    from torch import Tensor, nn

_N_SHOWN_KEYS = 5


class WeightsFile(NamedTuple):
    """A file of weights, identified by its path, size and time of modification."""

    path: str
    n_bytes: int
    modified_ns: int

    @classmethod
    def from_path(cls, path: str | os.PathLike[str]) -> Self:
        """Look up the size and the modification time of the file at `path`."""
        if not os.path.isfile(path):
            raise FileNotFoundError(f"checkpoint_path={str(path)!r} is not a file.")
        status = os.stat(path)
        return cls(os.fspath(path), status.st_size, status.st_mtime_ns)


def load_weights(
    module: "nn.Module",
    path: str,
    *,
    model: str,
    names: Mapping[str, str] | None = None,
) -> None:
    """Load weights by name. Weights of the removed classifier are ignored.

    `names` gives the name of each layer of the module for its name in the file.
    """
    state = _read_state(path)
    if names is not None:
        state = {_rename(key, names): value for key, value in state.items()}
    mismatches = _find_mismatches(module, state)
    convert = getattr(inspect.getmodule(type(module)), "checkpoint_filter_fn", None)
    if mismatches and convert is not None:
        # timm converts published weights, and weights for another image size.
        state = convert(state, module)
        mismatches = _find_mismatches(module, state)
    if mismatches:
        raise ValueError(
            f"checkpoint_path={path!r} does not fit model={model!r}: "
            f"{'; '.join(mismatches)}. Check model, image_size and model_kwargs."
        )
    names = module.state_dict().keys() & state.keys()
    module.load_state_dict({name: state[name] for name in names}, strict=False)


def _rename(key: str, names: Mapping[str, str]) -> str:
    layer, _, parameter = key.rpartition(".")
    return f"{names.get(layer, layer)}.{parameter}"


def hash_weights(module: "nn.Module") -> str:
    """Return a digest of all weights, independent of their source."""
    import torch

    digest = hashlib.blake2b(digest_size=16)
    # Buffers that are not in the state dict may also affect embeddings.
    tensors = dict([*module.named_parameters(), *module.named_buffers()])
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        content = tensor.detach().cpu().contiguous().flatten().view(torch.uint8)
        digest.update(content.numpy().data)
    return digest.hexdigest()


def _find_mismatches(module: "nn.Module", state: Mapping[str, "Tensor"]) -> list[str]:
    """Describe the keys that are missing, unexpected, or of a different shape."""
    expected = module.state_dict()
    ignored = (*_classifier_prefixes(module), "AuxLogits.")
    keys_by_kind = {
        "missing": [
            key
            for key in expected
            if key not in state and not key.endswith(".num_batches_tracked")
        ],
        "unexpected": [
            key for key in state if key not in expected and not key.startswith(ignored)
        ],
        "of a different shape": [
            f"{key} {tuple(state[key].shape)} instead of {tuple(expected[key].shape)}"
            for key in expected
            if key in state and state[key].shape != expected[key].shape
        ],
    }
    return [_describe_keys(kind, keys) for kind, keys in keys_by_kind.items() if keys]


def _read_state(path: str) -> "dict[str, Tensor]":
    """Read a state dict without executing code in the file."""
    import torch
    from safetensors.torch import load_file

    state: Any
    try:
        if path.lower().endswith(".safetensors"):
            state = load_file(path)
        else:
            with warnings.catch_warnings():
                # torch warns about old pickles. Unsafe pickles raise an error below.
                warnings.simplefilter("ignore")
                state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"checkpoint_path={path!r} contains more than tensors, and loading it "
            f"would execute code. Save the weights with safetensors.torch.save_file."
        ) from error
    except Exception as error:
        raise ValueError(
            f"checkpoint_path={path!r} is damaged or is not a file of weights: {error}"
        ) from error
    return _extract_weights(state, path)


def _extract_weights(state: Any, path: str) -> "dict[str, Tensor]":
    """Return the weights by name, without the containers and prefixes of trainers."""
    import torch

    for wrapper in ("state_dict_ema", "model_ema", "state_dict", "model"):
        if isinstance(state, Mapping) and isinstance(state.get(wrapper), Mapping):
            state = state[wrapper]
    by_name = isinstance(state, Mapping) and all(
        isinstance(key, str) and isinstance(value, torch.Tensor)
        for key, value in state.items()
    )
    if not by_name or not state:
        raise ValueError(
            f"checkpoint_path={path!r} does not contain a state dict, which is a dict "
            f"of tensors by name."
        )
    # DataParallel, torch.compile and Lightning add a common prefix to all names.
    while len({key.partition(".")[0] for key in state}) == 1:
        state = {key.partition(".")[2]: value for key, value in state.items()}
    return dict(state)


def _classifier_prefixes(module: "nn.Module") -> tuple[str, ...]:
    names = getattr(module, "pretrained_cfg", {}).get("classifier") or ()
    return tuple(f"{n}." for n in ((names,) if isinstance(names, str) else names))


def _describe_keys(kind: str, keys: list[str]) -> str:
    shown = ", ".join(keys[:_N_SHOWN_KEYS])
    n_more = len(keys) - _N_SHOWN_KEYS
    more = f" and {n_more} more" if n_more > 0 else ""
    return f"{len(keys)} keys {kind} ({shown}{more})"
