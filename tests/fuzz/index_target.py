"""Damaged and hostile files of a saved index."""

import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np
from messages import check_message
from mutation import mutate_bytes, mutate_value

from imgsim import SimilarityIndex
from imgsim.exceptions import IndexFileError
from imgsim.index.storage import _array_file, _index_file


class IndexTarget:
    """A saved index: damaged, or with valid checksums around hostile content."""

    def __init__(self, folder):
        rng = np.random.default_rng(0)
        self.X = rng.normal(size=(60, 5)).astype(np.float32)
        self.path = Path(folder) / "rows.index"
        self.valid_files, self.expected = [], []
        for options in (
            {},
            {"metric": "euclidean", "algorithm": "pynndescent", "random_state": 0},
            {"metric": "mahalanobis"},
        ):
            index = SimilarityIndex(n_neighbors=3, **options)
            ids = [f"image {i}" for i in range(len(self.X))]
            index.fit(self.X, np.arange(60) % 3, ids=ids if not options else None)
            index.save(self.path)
            self.valid_files.append(self.path.read_bytes())
            self.expected.append(index.search(self.X[:4]))

    def run_valid_files(self):
        """Check that each valid file is accepted."""
        for content, expected in zip(self.valid_files, self.expected, strict=True):
            self._check(content, expected)

    def run(self, rng):
        """Check a file that is damaged at random."""
        i = rng.integers(len(self.valid_files))
        content, expected = self.valid_files[i], self.expected[i]
        if rng.random() < 0.5:
            self._check(mutate_bytes(rng, content, self.valid_files), expected)
        else:
            self._check_hostile(rng, content)

    def _check(self, content, expected):
        """Damage must be found, unless it does not change an answer."""
        self.path.write_bytes(content)
        try:
            index = SimilarityIndex.load(self.path)
        except IndexFileError as error:
            check_message(error, self.path)
            return
        answer = index.search(self.X[:4])
        np.testing.assert_array_equal(answer.distances, expected.distances)
        np.testing.assert_array_equal(answer.ids, expected.ids)

    def _check_hostile(self, rng, content):
        """Content with valid checksums is refused, or the index works in some way."""
        self.path.write_bytes(content)
        kind, version = _index_file._KIND, _index_file.INDEX_FORMAT_VERSION
        arrays, metadata = _array_file.read_arrays(
            self.path, kind=kind, versions=range(version + 1), mapped=False, verify=True
        )
        arrays = dict(arrays)
        if rng.random() < 0.5:
            metadata = mutate_value(rng, metadata)
        else:
            name = list(arrays)[rng.integers(len(arrays))]
            arrays[name] = _mutate_array(rng, arrays[name])
        try:
            _array_file.write_arrays(
                self.path, arrays, metadata, kind=kind, version=version
            )
        except (ValueError, TypeError, OverflowError):
            return  # such content cannot be written
        with suppress(IndexFileError):
            index = SimilarityIndex.load(self.path)
            with (
                suppress(ValueError),
                warnings.catch_warnings(),
                np.errstate(all="ignore"),
            ):
                warnings.simplefilter("ignore")
                index.search(self.X[:4])
                index.kneighbors()
                index.add(self.X[:2] + 1, y=[0, 1], ids=["a", "b"])


def _mutate_array(rng, array):
    content = bytearray(array.tobytes())
    kind = rng.integers(4)
    if kind == 0:
        return array[: int(rng.integers(0, len(array) + 1))].copy()
    if kind == 1:
        return array.astype(rng.choice(["?", "<i4", "<f4", "<f8", "<i8"]))
    if kind == 2:
        return np.full_like(array, rng.choice([0, -1, 1, 127]))
    changed = mutate_bytes(rng, bytes(content), [bytes(content)])[: len(content)]
    changed = changed.ljust(len(content), b"\0")
    return np.frombuffer(changed, dtype=array.dtype).reshape(array.shape).copy()
