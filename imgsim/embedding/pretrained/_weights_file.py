"""Loading of weights from a file, without executing code that it may contain."""

import hashlib
import inspect
import os
import pickle
import threading
import warnings
import zipfile
from argparse import Namespace
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, Self

from imgsim._atomic_file import check_characters

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

_N_SHOWN_KEYS = 5
# Counters of batch normalization, which do not affect embeddings.
_COUNTER = ".num_batches_tracked"

_lock = threading.Lock()


class WeightsFile(NamedTuple):
    """A file of weights, identified by its path, size and time of modification."""

    path: str
    n_bytes: int
    modified_ns: int

    @classmethod
    def from_path(cls, path: str | os.PathLike[str]) -> Self:
        """Look up the size and the modification time of the file at `path`."""
        name = os.fspath(path)
        if not isinstance(name, str):
            raise TypeError(f"checkpoint_path={path!r} must be a str or path-like.")
        check_characters(name)
        if not os.path.isfile(name):
            raise FileNotFoundError(f"checkpoint_path={name!r} is not a file.")
        status = os.stat(name)
        return cls(name, status.st_size, status.st_mtime_ns)


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
    failure: Exception | None = None
    if mismatches and convert is not None:
        # timm converts published weights, and weights for another image size. It may
        # raise any error for weights of another model.
        try:
            state = _check_tensors(convert(dict(state), module), path)
            mismatches = _find_mismatches(module, state)
        except Exception as error:
            failure = error
    if mismatches:
        raise ValueError(
            f"checkpoint_path={path!r} does not fit model={model!r}: "
            f"{'; '.join(mismatches)}. Check model, image_size and model_kwargs."
        ) from failure
    shared = module.state_dict().keys() & state.keys()
    weights = {name: state[name] for name in shared if not name.endswith(_COUNTER)}
    module.load_state_dict(weights, strict=False)


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
    common = [key for key in expected if key in state and not key.endswith(_COUNTER)]
    is_alike = {
        key: _is_convertible(state[key].dtype, expected[key].dtype) for key in common
    }
    keys_by_kind = {
        "missing": [
            key for key in expected if key not in state and not key.endswith(_COUNTER)
        ],
        "unexpected": [
            key for key in state if key not in expected and not key.startswith(ignored)
        ],
        "of a different shape": [
            f"{key} {tuple(state[key].shape)} instead of {tuple(expected[key].shape)}"
            for key in common
            if state[key].shape != expected[key].shape
        ],
        "of a different type": [
            f"{key} {state[key].dtype} instead of {expected[key].dtype}"
            for key in common
            if not is_alike[key]
        ],
        "not finite": [
            key
            for key in common
            if is_alike[key]
            and not bool(state[key].to(expected[key].dtype).isfinite().all())
        ],
    }
    return [_describe_keys(kind, keys) for kind, keys in keys_by_kind.items() if keys]


def _is_convertible(dtype: "torch.dtype", wanted: "torch.dtype") -> bool:
    """Return whether numbers of one dtype can be weights of another one."""
    import torch

    floats = {torch.float16, torch.bfloat16, torch.float32, torch.float64}
    if wanted in floats:
        return dtype in floats
    is_integer = not (dtype.is_floating_point or dtype.is_complex)
    return is_integer and (dtype == torch.bool) == (wanted == torch.bool)


def _read_state(path: str) -> "dict[str, Tensor]":
    """Read a state dict without executing code in the file."""
    from safetensors.torch import load_file

    state: Any
    try:
        if path.lower().endswith(".safetensors"):
            state = load_file(path)
        else:
            state = _load_pickle(path)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"checkpoint_path={path!r} contains more than tensors, and loading it "
            f"would execute code. Save the weights with safetensors.torch.save_file."
        ) from error
    except OSError as error:
        message = f"checkpoint_path={path!r} cannot be read: {error}"
        raise ValueError(message) from error
    except Exception as error:
        raise ValueError(
            f"checkpoint_path={path!r} is damaged or is not a file of weights: {error}"
        ) from error
    return _extract_weights(state, path)


def _load_pickle(path: str) -> Any:
    """Load a file that torch saved."""
    import torch

    with open(path, "rb") as file, warnings.catch_warnings(), _namespace_allowed():
        _check_unpacked_size(file)
        # torch warns about old pickles. Unsafe pickles raise an error.
        warnings.simplefilter("ignore")
        return torch.load(file, map_location="cpu", weights_only=True)


def _check_unpacked_size(file: BinaryIO) -> None:
    """Raise ValueError if the file is an archive that is larger when it is unpacked.

    torch does not compress archives, and a small file must not fill the memory.
    """
    n_bytes = os.fstat(file.fileno()).st_size
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            n_unpacked = sum(entry.file_size for entry in archive.infolist())
        if n_unpacked > n_bytes:
            raise ValueError(f"its {n_bytes} bytes are {n_unpacked} bytes of data")
    file.seek(0)


@contextmanager
def _namespace_allowed() -> Iterator[None]:
    """Allow torch to load `argparse.Namespace`, which holds values and has no code.

    The training script of timm saves its arguments as a namespace. torch has a single
    list of allowed classes for all threads.
    """
    from torch import serialization

    with _lock:
        before = serialization.get_safe_globals()
        if Namespace in before:
            yield
        elif hasattr(serialization, "safe_globals"):
            with serialization.safe_globals([Namespace]):
                yield
        else:  # torch 2.4 can only replace the whole list.
            serialization.add_safe_globals([Namespace])
            try:
                yield
            finally:
                serialization.clear_safe_globals()
                serialization.add_safe_globals(before)


def _extract_weights(state: Any, path: str) -> "dict[str, Tensor]":
    """Return the weights by name, without the containers and prefixes of trainers."""
    for wrapper in ("state_dict_ema", "model_ema", "state_dict", "model"):
        if isinstance(state, Mapping) and isinstance(state.get(wrapper), Mapping):
            state = state[wrapper]
    weights = _check_tensors(state, path)
    # DataParallel, torch.compile and Lightning add a common prefix to all names.
    while _has_common_prefix(weights):
        weights = {key.partition(".")[2]: value for key, value in weights.items()}
    return weights


def _has_common_prefix(names: Iterable[str]) -> bool:
    parts = [name.partition(".") for name in names]
    return len({prefix for prefix, _, _ in parts}) == 1 and all(
        rest for _, _, rest in parts
    )


def _check_tensors(state: Any, path: str) -> "dict[str, Tensor]":
    """Return a state dict, or raise ValueError unless its values are weights."""
    import torch

    by_name = isinstance(state, Mapping) and all(
        isinstance(key, str) and isinstance(value, torch.Tensor)
        for key, value in state.items()
    )
    if not by_name or not state:
        raise ValueError(
            f"checkpoint_path={path!r} does not contain a state dict, which is a dict "
            f"of tensors by name."
        )
    for name, tensor in state.items():
        problem = _find_problem(tensor)
        if problem is not None:
            raise ValueError(
                f"checkpoint_path={path!r} contains {name!r}, which {problem} and "
                f"cannot be loaded. Save the weights as dense tensors of floats."
            )
    return dict(state)


def _find_problem(tensor: "Tensor") -> str | None:
    """Return why a tensor cannot be copied to a weight, or None if it can."""
    import torch

    if type(tensor) not in (torch.Tensor, torch.nn.Parameter):
        return f"is a {type(tensor).__name__}"
    if tensor.is_nested or tensor.layout != torch.strided:
        return "is a sparse or nested tensor"
    if tensor.is_quantized:
        return "is a quantized tensor"
    if tensor.device.type != "cpu":
        return f"has no data (its device is {tensor.device.type!r})"
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        return "repeats its data"
    return None


def _classifier_prefixes(module: "nn.Module") -> tuple[str, ...]:
    names = getattr(module, "pretrained_cfg", {}).get("classifier") or ()
    return tuple(f"{n}." for n in ((names,) if isinstance(names, str) else names))


def _describe_keys(kind: str, keys: list[str]) -> str:
    shown = ", ".join(keys[:_N_SHOWN_KEYS])
    n_more = len(keys) - _N_SHOWN_KEYS
    more = f" and {n_more} more" if n_more > 0 else ""
    return f"{len(keys)} keys {kind} ({shown}{more})"
