"""Images of the rows of an index, and captions that tell what is known about them."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self, get_args

from numpy.typing import NDArray

from imgsim.display._checks import check_length
from imgsim.display._folders import is_path, relative_folders
from imgsim.display._text import source_name
from imgsim.images._sources import check_image_sources
from imgsim.images.listing._files import is_image_path
from imgsim.index import SimilarityIndex

CaptionKind = Literal["name", "label", "folder", "id"]
KINDS: tuple[CaptionKind, ...] = get_args(CaptionKind)
Matches = list[bool | None]


class CaptionedImages(NamedTuple):
    """Images with ids and labels, as far as these are known."""

    images: Any
    ids: NDArray[Any] | None = None
    labels: NDArray[Any] | None = None

    @classmethod
    def of_index(
        cls, index: SimilarityIndex, images: Any, drawn: Sequence[int]
    ) -> Self:
        """Return the images of an index. Without `images`, its ids must be paths."""
        if images is None:
            _check_some_are_files(index.ids_, drawn)
            return cls(index.ids_, index.ids_, index.y_)
        images = check_image_sources(images, "images")
        check_length("images", images, index.n_samples_fit_, "rows of the index")
        return cls(images, index.ids_, index.y_)

    def captions(self, kind: CaptionKind, rows: Sequence[int]) -> dict[int, str]:
        """Return the caption of each of some rows; empty if nothing is known."""
        if kind == "label":
            return {row: _as_line(self.label(row)) for row in rows}
        if kind == "name":
            return {row: source_name(self.images[row]) for row in rows}
        if kind == "folder":
            paths = [self._path(row) for row in rows]
            folders = zip(paths, relative_folders(paths), strict=True)
            texts = [folder or _parent(path) for path, folder in folders]
        elif self.ids is None:
            texts = [source_name(self.images[row]) for row in rows]
        else:
            texts = _id_texts([self.ids[row] for row in rows])
        return dict(zip(rows, texts, strict=True))

    def label(self, row: int) -> Any:
        """Return the label of a row, or None if it is unknown."""
        label = None if self.labels is None else self.labels[row]
        is_known = label == label  # unlike NaN
        return label if is_known else None

    def matches(self, label: Any, rows: Sequence[int]) -> Matches:
        """Return whether rows have a label; None if it or theirs is unknown."""
        others = [self.label(row) for row in rows]
        return [
            None if None in (label, other) else bool(other == label) for other in others
        ]

    def _path(self, row: int) -> Any:
        """Return the path of an image, which may be its id, or None."""
        if is_path(self.images[row]):
            return self.images[row]
        return None if self.ids is None else _image_path(self.ids[row])


def _id_texts(ids: Sequence[Any]) -> list[str]:
    """Return ids as texts, paths of images relative to their common folder."""
    folders = relative_folders([_image_path(some) for some in ids])
    return [
        _as_line(some)
        if _image_path(some) is None
        else f"{folder}/{source_name(some)}".removeprefix("/")
        for some, folder in zip(ids, folders, strict=True)
    ]


def _image_path(some_id: Any) -> Any:
    return some_id if is_image_path(some_id) else None


def _check_some_are_files(ids: NDArray[Any], drawn: Sequence[int]) -> None:
    """Raise ValueError if no id is the path of a file. Some files may be missing."""
    if not drawn or any(is_path(ids[i]) and os.path.isfile(ids[i]) for i in drawn):
        return
    row = drawn[0]
    raise ValueError(
        f"images=None requires ids that are paths of image files, but "
        f"ids[{row}]={ids[row]!r} is not the path of a file. Pass images with one "
        f"image for each row of the index."
    )


def _parent(path: Any) -> str:
    return "" if path is None else Path(os.path.abspath(path)).parent.name


def _as_line(value: Any) -> str:
    return "" if value is None else " ".join(str(value).split("\n"))
