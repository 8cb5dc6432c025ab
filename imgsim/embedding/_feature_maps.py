"""Feature maps: what a network computes at each place, before it is pooled."""

from abc import abstractmethod
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from imgsim._typing import EmbeddingArray, PixelArray
from imgsim.embedding._base import BaseImageEmbedder
from imgsim.embedding.pretrained._forward_passes import open_passes
from imgsim.embedding.pretrained._network import Network
from imgsim.embedding.pretrained._pooling import last_features, stage_features
from imgsim.images import ImageFailure
from imgsim.images._warn_of_failures import warn_of_failures

if TYPE_CHECKING:
    from torch import Tensor, nn

_NO_MAPS = np.empty((0, 0, 0, 0), dtype=np.float32)


@dataclass(frozen=True)
class MapNetwork(Network):
    """A network that keeps the places apart."""

    @classmethod
    def of(cls, network: Network) -> Self:
        """Return the network with its last maps as its answer, never compiled."""
        values = {field.name: getattr(network, field.name) for field in fields(network)}
        return cls(**{**values, "flip": False, "compile": False})

    def _rows(self, x: "Tensor") -> "Tensor":
        """Turn pixels into maps of (n_images, height, width, n_features)."""
        if self.stages is not None:
            [(maps, _)] = stage_features(self.module, x, list(self.stages))
            return maps.permute(0, 2, 3, 1)
        features, prefix = last_features(
            self.module, x, otherwise="set layer, or take a model with one"
        )
        if prefix is None:
            return features.permute(0, 2, 3, 1)
        n_images, n_places, n_features = features.shape
        grid = _grid(self.module, n_places, tuple(x.shape[2:]))
        return features.reshape(n_images, *grid, n_features)


class MappedBatch(NamedTuple):
    """Positions of images in the collection, what was embedded, and their maps."""

    indices: NDArray[np.int64]
    pixels: list[PixelArray]
    maps: EmbeddingArray


class FeatureMaps(BaseImageEmbedder):
    """Base class of an embedder whose rows are pooled from maps it can show."""

    layer: int | str | Sequence[int | str] | None
    preprocessing_: dict[str, Any]
    _n_images_in_pass: int

    @abstractmethod
    def _network(self) -> Network:
        """Return the network as the parameters are now."""

    def feature_maps(self, X: Any) -> EmbeddingArray:
        """Compute the maps that `transform` pools to rows.

        Parameters
        ----------
        X : sequence of image sources of length n_images
            As for `transform`.

        Returns
        -------
        maps : ndarray of shape (n_images, height, width, n_features), dtype float32
            What the network computes last, or at the stage `layer`, from top to
            bottom and from left to right; of a transformer, its patch tokens. With
            `on_error="nan"` the map of an unreadable image is NaN, and `failures_`
            says why.

        Raises
        ------
        ImageReadError
            If an image cannot be read and `on_error="raise"`.

        TypeError, ValueError
            If X is a single image, no sequence, or empty; if `layer` names several
            stages, or the network has no map or does not tell how its tokens stand.

        Warns
        -----
        ImageReadWarning
            Once, if images could not be read and `on_error="nan"`.

        Notes
        -----
        All maps are held in memory, 4 bytes a number: 0.4 MB an image for a resnet50 of
        224 pixels, and far more for an early `layer`. `pooling`, `flip` and `normalize`
        change nothing, `cache` keeps no maps, and nothing is compiled.
        """
        sources, failures = self._checked_sources(X)
        shape = (len(sources), *self._map_shape())
        maps = np.full(shape, np.nan, dtype=np.float32)
        for batch in self._mapped(sources, failures):
            if batch.pixels:
                maps[batch.indices] = batch.maps
        warn_of_failures(failures, len(sources), "their maps are NaN")
        return maps

    def _mapped(
        self, sources: Sequence[Any], failures: list[ImageFailure]
    ) -> Generator[MappedBatch, None, None]:
        """Yield what becomes of the readable images, batch by batch."""
        stream = self._stream(
            sources, loader=self._reader(), transform=self._preparation()
        )
        with (
            open_passes(self._map_network(), self._n_images_in_pass) as start,
            closing(iter(stream)) as batches,
        ):
            for batch in batches:
                maps = start(batch.images)() if batch.images else _NO_MAPS
                finite = np.isfinite(maps).all(axis=(1, 2, 3))
                found = [
                    self._without_numbers(index, sources[index])
                    for index in batch.rows[~finite].tolist()
                ]
                failures += sorted([*batch.failures, *found])
                kept = np.flatnonzero(finite).tolist()
                pixels = [batch.images[i] for i in kept]
                yield MappedBatch(batch.rows[finite], pixels, maps[finite])

    def _map_shape(self) -> tuple[int, ...]:
        """Read height, width and number of features off a pass."""
        import torch

        network = self._map_network()
        shape = (1, *self.preprocessing_["input_size"][1:], 3)
        blank = torch.zeros(shape, dtype=torch.uint8, device=network.device)
        return tuple(network(blank).shape[1:])

    def _map_network(self) -> MapNetwork:
        network = self._network()
        if network.stages is not None and len(network.stages) != 1:
            raise ValueError(
                f"layer={self.layer!r} names {len(network.stages)} stages, whose maps "
                f"differ in size; name one."
            )
        return MapNetwork.of(network)

    def _pooled(self, pixels: list[PixelArray]) -> EmbeddingArray:
        """Embed prepared images as `transform` does, before `normalize`."""
        network = replace(self._network(), compile=False)
        with open_passes(network, self._n_images_in_pass) as start:
            return start(pixels)()


def _grid(
    module: "nn.Module", n_places: int, sides: tuple[int, ...]
) -> tuple[int, int]:
    """Return the (height, width) in which tokens stand, row by row."""
    patch: Any = getattr(getattr(module, "patch_embed", None), "patch_size", None)
    if patch is not None:
        across = patch if isinstance(patch, tuple | list) else (patch, patch)
        height, width = (side // step for side, step in zip(sides, across, strict=True))
        if height * width == n_places:
            return int(height), int(width)
    raise ValueError(
        f"the model does not tell in which grid its {n_places} tokens stand; "
        f"set layer=-1, for whose map timm tells it."
    )
