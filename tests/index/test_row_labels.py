"""Tests of labels that some conversions would round or wrap."""

import numpy as np
import pytest

from imgsim import SimilarityIndex
from imgsim.display import ClusterDisplay, EmbeddingMapDisplay
from imgsim.export import label_table

LARGE = 2**64 - 1
X = np.random.default_rng(0).normal(size=(4, 3))


@pytest.mark.parametrize(
    ("first", "more"),
    [
        (np.array([LARGE, LARGE - 1, 0, 1], np.uint64), np.array([-1, 5])),
        (np.array([2**53 + 1, 2**53, 0, 1]), np.array([0.5, 2.0])),
        (np.array([0.5, 1, 2, 3]), np.array([2**53 + 1, 2**60 + 1])),
        (np.array([0, 1, 2, 3]), np.array([2**63, LARGE], np.uint64)),
        ([LARGE, LARGE - 1, 0, 1], [2**70, -(2**70)]),
        ([2**63, -1, 0, 1], [True, False]),
    ],
)
def test_labels_are_kept_exactly(first, more, tmp_path):
    """A common dtype of numbers may be a float, which has 53 bits."""
    expected = [*(int(v) if v == int(v) else v for v in [*first, *more])]
    index = SimilarityIndex(1).fit(X, first).add(X[:2], y=more)

    index.save(tmp_path / "index")
    loaded = SimilarityIndex.load(tmp_path / "index")

    assert index.y_.tolist() == expected
    assert loaded.y_.tolist() == expected


@pytest.mark.parametrize("kind", [np.array, list])
def test_a_large_label_equals_only_itself(kind):
    """As floats, all of these labels are equal."""
    labels = kind([LARGE, LARGE - 1, LARGE - 2, LARGE - 3])
    index = SimilarityIndex(1).fit(X, labels)

    assert index.score(X, labels) == 1
    with pytest.warns(UserWarning, match="4 of 4 queries have a label"):
        assert index.score(X, np.array([-1, -2, -3, -4])) == 0


@pytest.mark.parametrize(
    "ids", [[LARGE, 2**70, -(2**70), -1], [2**63, 2**53 + 1, 0, 1]]
)
def test_ids_of_any_size_are_kept_exactly(ids, tmp_path):
    """Hashes of 64 bits are often used as ids."""
    index = SimilarityIndex(1).fit(X, ids=ids)

    index.save(tmp_path / "index")
    loaded = SimilarityIndex.load(tmp_path / "index")

    assert loaded.ids_.tolist() == ids
    assert [found.tolist() for found in loaded.search(X).ids] == [
        [name] for name in ids
    ]
    assert loaded.remove(ids[:1]).ids_.tolist() == ids[1:]


def test_ids_of_unsigned_integers_do_not_wrap():
    """2**64 - 1 is not -1."""
    ids = np.array([LARGE, 0, 1, 2], np.uint64)
    index = SimilarityIndex(4).fit(X, ids=ids)

    index.add(X[:1], [-1])

    assert index.ids_.tolist() == [LARGE, 0, 1, 2, -1]
    assert LARGE not in index.search(X, exclude_ids=ids[:1]).ids[0]


def test_cluster_labels_beyond_64_bits_are_not_noise():
    """Signed, 2**64 - 1 would be -1, the label of noise."""
    labels = np.array([LARGE, LARGE, 0, 0], np.uint64)
    images = np.zeros((4, 8, 8, 3), np.uint8)

    assert list(ClusterDisplay.from_predictions(images, labels).clusters) == [0, LARGE]
    with pytest.raises(ValueError, match=f"labels contains {LARGE}, but must be at"):
        label_table(list("abcd"), labels)
    with pytest.raises(ValueError, match=f"labels contains {2**70}, but must be at"):
        EmbeddingMapDisplay.from_predictions(X, np.array([2**70, 0, 0, 0], object))


SURROGATES = ["\udcff", "a\ud800b", "\udc80.jpg", "\udfff\ud800"]


@pytest.mark.parametrize("dtype", [str, object])
def test_names_with_lone_surrogates_can_be_saved(dtype, tmp_path):
    """File names that are not valid UTF-8 have them."""
    names = np.array(SURROGATES, dtype=dtype)
    index = SimilarityIndex(1).fit(X, names, names)

    index.save(tmp_path / "index")
    loaded = SimilarityIndex.load(tmp_path / "index")
    loaded.save(tmp_path / "again")

    assert loaded.ids_.tolist() == loaded.y_.tolist() == SURROGATES
    assert [str(row[0]) for row in loaded.search(X).ids] == SURROGATES
    assert (tmp_path / "index").read_bytes() == (tmp_path / "again").read_bytes()
