"""Tests of the search for groups of duplicates."""

import io
import os
import random
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from scipy.spatial.distance import cdist
from sklearn import config_context

from imgsim import SimilarityIndex, find_duplicates, list_images
from imgsim.exceptions import ImageReadError


@pytest.fixture
def clouds():
    """Return 120 shuffled rows around 30 centers, some of them equal."""
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(30, 6))
    rows = centers.repeat(4, axis=0) + 0.15 * rng.normal(size=(120, 6))
    rows[5::40] = rows[4::40]
    return rng.permutation(rows).astype(np.float32)


def _line(*points):
    return np.array(points, dtype=float)[:, np.newaxis]


def _rows_of(groups):
    return [group.rows.tolist() for group in groups]


METRICS = {
    "cosine": 0.05,
    "euclidean": 0.6,
    "manhattan": 1.2,
    "correlation": 0.05,
    "canberra": 1.0,
}


@pytest.mark.parametrize(("metric", "limit"), METRICS.items())
def test_every_pair_of_a_group_is_near(clouds, metric, limit):
    """The limit holds for all pairs, and the farthest pair has the largest distance."""
    name = {"manhattan": "cityblock"}.get(metric, metric)
    distances = cdist(clouds.astype(float), clouds.astype(float), name)

    groups = find_duplicates(clouds, limit, metric=metric)

    assert len(groups) > 10
    for group in groups:
        inside = distances[np.ix_(group.rows, group.rows)]
        assert inside.max() <= limit
        assert_allclose(group.distance, inside.max(), atol=1e-7)
        assert_allclose(distances[group.farthest_pair], inside.max(), atol=1e-7)


def test_no_two_groups_can_be_merged(clouds):
    """Otherwise a copy would be missing from its group."""
    distances = cdist(clouds, clouds)

    groups = find_duplicates(clouds, 0.6, metric="euclidean")

    found = np.concatenate([group.rows for group in groups])
    alone = np.setdiff1d(np.arange(len(clouds)), found)
    parts = [*(group.rows for group in groups), *alone[:, np.newaxis]]
    for k, part in enumerate(parts):
        for other in parts[:k]:
            assert distances[np.ix_(part, other)].max() > 0.6


def test_a_chain_is_not_a_group():
    """Each point is near the next one, but the first is far from the last."""
    X = _line(0, 1, 2.1, 3.3, 4.6)

    groups = find_duplicates(X, 2.2, metric="euclidean")

    assert _rows_of(groups) == [[0, 1], [2, 3]]


def test_groups_are_sorted_by_size_and_maximum_distance():
    """The first groups are the ones to inspect first."""
    X = _line(0, 0.3, 10, 10.1, 20, 20.1, 20.2, 30, 30.3)

    groups = find_duplicates(X, 0.4, metric="euclidean")

    assert _rows_of(groups) == [[4, 5, 6], [2, 3], [0, 1], [7, 8]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_order_of_rows_does_not_matter(clouds, dtype):
    """The duplicates do not depend on how the collection is listed."""
    order = np.random.default_rng(1).permutation(len(clouds))
    X = clouds.astype(dtype)

    groups = find_duplicates(X, 0.05)
    shuffled = find_duplicates(X[order], 0.05, ids=order.tolist())

    assert {frozenset(g.ids) for g in groups} == {frozenset(g.ids) for g in shuffled}


def test_blocks_give_the_same_groups(clouds):
    """The result does not depend on the amount of memory."""
    expected = _rows_of(find_duplicates(clouds, 0.05))

    with config_context(working_memory=0.05):
        groups = find_duplicates(clouds, 0.05)

    assert _rows_of(groups) == expected


def test_ids_are_in_the_order_of_rows():
    """Users delete files by these ids."""
    X = _line(0, 5, 0.1, 5.1, 0.2)

    group, _ = find_duplicates(X, 0.3, metric="euclidean", ids=list("abcde"))

    assert group.ids == ["a", "c", "e"]
    assert_array_equal(group.rows, [0, 2, 4])
    assert group.farthest_pair == ("a", "e")
    assert (group.kept, group.extra) == ("a", ["c", "e"])
    assert len(group) == 3


KEPT = {
    "first": 0,
    "medoid": 1,
    (3, 5, 5, 9): 1,
    (np.nan, 1, 2, 9): 2,
    (np.nan, np.nan, np.nan, 9): 0,
}


@pytest.mark.parametrize(("keep", "kept"), KEPT.items())
def test_keep_selects_the_image_to_keep(keep, kept):
    """The first image is kept in case of ties, and NaN is the smallest value."""
    X = _line(0, 0.5, 1, 9)

    (group,) = find_duplicates(X, 1, metric="euclidean", keep=keep)

    assert group.kept == kept


def test_exact_copies_count_for_the_medoid():
    """The medoid of 0, 0.4, 1, 1, 1 is 1."""
    X = _line(0, 0.4, 1, 1, 1)

    (group,) = find_duplicates(X, 1, metric="euclidean", keep="medoid")

    assert group.kept == 2


def test_unreadable_rows_are_in_no_group():
    """Rows of NaN are not copies, and the numbers of other rows do not change."""
    X = _line(np.nan, 1, np.nan, 1.01, 7)
    keep = [9, 1, 9, 2, 9]

    (group,) = find_duplicates(X, 0.1, metric="euclidean", keep=keep, ids=list("abcde"))

    assert_array_equal(group.rows, [1, 3])
    assert group.kept == "d"


def test_nothing_near_gives_no_groups():
    """A collection may contain no duplicates at all."""
    assert find_duplicates(np.eye(4), 0.5) == []


def test_exact_copies_are_not_compared():
    """Comparing 30,000 copies of a row would give 450 million pairs."""
    X = np.zeros((30_000, 2))
    X[:, 0] = 1
    X[-1] = 0.99, 0.1

    (group,) = find_duplicates(X, 0.1)

    assert len(group) == len(X)
    assert group.farthest_pair == (0, len(X) - 1)
    assert_array_equal(group.exact_copies, [range(len(X) - 1)])


def test_a_group_of_exact_copies_has_distance_zero():
    """Rounding has no effect, because exact copies are not compared."""
    X = np.array([[0.1, 0.7], [3.0, 0.2], [0.1, 0.7]])

    (group,) = find_duplicates(X, 0)

    assert group.rows.tolist() == [0, 2]
    assert (group.farthest_pair, group.distance) == ((0, 2), 0.0)
    assert group.exact_copies == [[0, 2]]


@pytest.mark.parametrize("kind", ["path", "bytes", "array"])
def test_images_of_equal_content_are_copies(tmp_path, picture, kind):
    """Embeddings of equal images may differ slightly, for example across batches."""
    images = [picture, 255 - picture, picture.copy(), picture[:, ::-1]]
    if kind != "array":
        images = [_encoded(image) for image in images]
    if kind == "path":
        images = [_written(tmp_path / f"{k}.png", b) for k, b in enumerate(images)]
    X = _line(0, 10, 5, 10.5)

    groups = find_duplicates(X, 1, metric="euclidean", images=images)

    assert _rows_of(groups) == [[0, 2], [1, 3]]
    assert [group.exact_copies for group in groups] == [[[0, 2]], []]
    assert [group.distance for group in groups] == [0.0, 0.5]


def _encoded(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "png")
    return file.getvalue()


def _written(path, content):
    path.write_bytes(content)
    return path


def test_copies_of_copies_are_copies(picture):
    """One pair has equal rows, and another pair has equal images."""
    X = _line(0, 0, 5)

    images = [255 - picture, picture, picture]
    (group,) = find_duplicates(X, 1, metric="euclidean", images=images)

    assert group.exact_copies == [[0, 1, 2]]


def test_images_without_embedding_are_not_read(tmp_path, picture):
    """An image that cannot be read is an error only if it has an embedding."""
    images = [tmp_path / "missing.png", picture, picture]

    groups = find_duplicates(_line(np.nan, 1, 2), images=images)

    assert _rows_of(groups) == [[1, 2]]
    with pytest.raises(ImageReadError, match=r"missing\.png"):
        find_duplicates(_line(3, 1, 2), images=images)


def test_the_ids_and_the_metric_of_an_index_are_used(clouds):
    """The user does not have to pass them again."""
    names = [f"image {row}" for row in range(len(clouds))]
    index = SimilarityIndex(metric="euclidean").fit(clouds, ids=names)

    groups = find_duplicates(index, 0.6)

    expected = find_duplicates(clouds, 0.6, metric="euclidean", ids=names)
    assert [group.ids for group in groups] == [group.ids for group in expected]


@pytest.mark.parametrize(
    "parameters", [{"metric": "cosine"}, {"ids": list(range(120))}]
)
def test_metric_and_ids_are_refused_for_an_index(clouds, parameters):
    """Silently ignoring a parameter would be misleading."""
    index = SimilarityIndex().fit(clouds)

    with pytest.raises(ValueError, match="must be None if X is an index"):
        find_duplicates(index, **parameters)


def test_an_index_with_changed_embeddings_is_refused(clouds):
    """Augmented embeddings are nearer to each other than the original ones."""
    index = SimilarityIndex(database_augmentation=2).fit(clouds)

    with pytest.raises(ValueError, match="Pass the original embeddings"):
        find_duplicates(index)


def test_rows_removed_from_an_index_are_not_compared(clouds):
    """Row numbers are the ones of the rows that are left."""
    index = SimilarityIndex().fit(clouds).remove(range(50))

    groups = find_duplicates(index, 0.05)

    expected = find_duplicates(clouds[50:], 0.05)
    assert _rows_of(groups) == _rows_of(expected)
    assert [group.ids for group in groups] == [
        [row + 50 for row in group.ids] for group in expected
    ]


WRONG = {
    "max_distance": ({"max_distance": -0.1}, "max_distance"),
    "not a number": ({"max_distance": np.nan}, "max_distance"),
    "no default": (
        {"metric": "euclidean"},
        "max_distance=None is allowed for metric='cos",
    ),
    "inner_product": ({"metric": "inner_product"}, "Use metric='cosine'"),
    "keep": ({"keep": "last"}, "keep"),
    "numbers": ({"keep": [1, 2]}, "keep has 2 entries and X has 4 rows"),
    "ids": ({"ids": ["a"]}, "ids .* 4"),
    "images": ({"images": [b"", b""]}, "images has 2 entries and X has 4 rows"),
}


@pytest.mark.parametrize(("parameters", "message"), WRONG.values(), ids=WRONG)
def test_invalid_parameters_are_named(parameters, message):
    """The message says what is expected instead."""
    with pytest.raises(ValueError, match=message):
        find_duplicates(np.eye(4), **parameters)


def test_too_many_pairs_are_an_error(clouds):
    """A limit that is too large would fill the memory."""
    with (
        config_context(working_memory=0.1),
        pytest.raises(ValueError, match=r"max_distance=2.0 .* 117 .*working_memory"),
    ):
        find_duplicates(clouds, 2)


def test_default_finds_variants_of_photographs(test_data, make_mobilenet):
    """Almost all pairs found are correct, and most correct pairs are found."""
    folders = sorted((test_data / "data/neardup").iterdir())[::2]
    paths = [path for folder in folders for path in list_images(folder)]
    names = np.array([path.parent.name for path in paths])
    X = make_mobilenet().fit_transform(paths)

    groups = find_duplicates(X, images=paths)

    pairs = [names[g.rows][:, None] == names[g.rows] for g in groups]
    n_right = sum(np.triu(same, 1).sum() for same in pairs)
    n_found = sum(len(group) * (len(group) - 1) // 2 for group in groups)
    n_expected = sum(n * (n - 1) // 2 for n in np.unique(names, return_counts=True)[1])
    assert n_right / n_found > 0.99
    assert n_right / n_expected > 0.65


def test_zero_vectors_are_not_copies():
    """The cosine distance of a zero vector to any vector is 1."""
    X = np.eye(4)[[0, 1, 2, 3, 0, 1]]
    X[[2, 3]] = 0

    assert _rows_of(find_duplicates(X)) == [[0, 4], [1, 5]]
    assert find_duplicates(np.zeros((3, 4))) == []


@pytest.mark.parametrize(
    ("metric", "row"), [("cosine", [0, 0, 0]), ("correlation", [2, 2, 2])]
)
@pytest.mark.parametrize("keep", ["first", "medoid", [0, 1, 0, 0]], ids=str)
def test_equal_images_without_a_direction_are_copies(picture, metric, row, keep):
    """The embedding of a black image may be a row of zeros."""
    X = np.array([row] * 4, dtype=np.float32)
    images = [_encoded(picture), picture, _encoded(picture), 255 - picture]

    (group,) = find_duplicates(X, 0.5, metric=metric, images=images, keep=keep)

    assert group.exact_copies == [[0, 2]]
    assert (group.ids, group.kept, group.distance) == ([0, 2], 0, 0.0)
    assert group.farthest_pair == (0, 2)


def test_the_copy_with_a_direction_is_compared(picture):
    """Rows of equal images may differ, and one of them may be zero."""
    X = np.array([[0, 0], [1, 0], [1, 0.1], [0, 0]])
    images = [picture, picture, 255 - picture, picture[::-1]]

    (group,) = find_duplicates(X, 0.1, images=images)

    assert group.ids == [0, 1, 2]
    assert group.exact_copies == [[0, 1]]
    assert group.farthest_pair == (1, 2)


def test_unreadable_rows_are_in_no_group_even_if_files_are_equal(picture):
    """The file is not read, because the embedder could not read it."""
    X = np.array([[np.nan, 0], [np.nan, 0], [0, 0], [0, 0]])

    (group,) = find_duplicates(X, images=[picture] * 4)

    assert group.ids == [2, 3]


@pytest.fixture
def paths(tmp_path):
    """Return a file, a symbolic link and a hard link to it, and two copies."""
    file, copy, other = (
        _written(tmp_path / name, b"content") for name in ["b", "d", "e"]
    )
    symbolic, hard = tmp_path / "a", tmp_path / "c"
    try:
        symbolic.symlink_to(file)
    except OSError:
        pytest.skip("this system does not let ordinary users create symbolic links")
    os.link(file, hard)
    return [symbolic, file, hard, copy, other]


@pytest.mark.parametrize("value", [0, 1], ids=["zero", "one"])
@pytest.mark.parametrize("kind", ["path", "str", "file", "bytes"])
def test_links_are_not_copies(paths, kind, value):
    """Whoever deletes the extra copies would otherwise delete the only file."""
    X = np.full((5, 3), value, dtype=np.float32)
    convert = {
        "path": Path,
        "str": str,
        "file": lambda path: io.FileIO(path),
        "bytes": Path.read_bytes,
    }[kind]
    images = [convert(path) for path in paths]

    of_links = find_duplicates(X[:3], ids=paths[:3], images=images[:3])
    with_copies = find_duplicates(X, ids=paths, images=images)
    for image in images if kind == "file" else ():
        image.close()

    assert of_links == []
    assert _names_of(with_copies) == [["b", "d", "e"]]


@pytest.mark.parametrize("kind", [Path, str])
def test_ids_of_the_same_file_are_not_copies(paths, kind):
    """Without images, the ids are the only hint that a file may be lost."""
    X, ids = np.ones((5, 3)), list(map(kind, paths))

    index = SimilarityIndex().fit(X, ids=ids)

    assert find_duplicates(X[:3], ids=ids[:3]) == []
    assert _names_of(find_duplicates(X, ids=ids)) == [["b", "d", "e"]]
    assert _names_of(find_duplicates(index)) == [["b", "d", "e"]]


def test_open_files_identify_images_without_paths(paths):
    """The rows have numbers as ids."""
    with paths[0].open("rb") as link, paths[1].open("rb") as file:
        assert find_duplicates(np.ones((2, 2)), images=[link, file]) == []


def _names_of(groups):
    return [[os.path.basename(path) for path in group.ids] for group in groups]


@pytest.mark.parametrize("spelling", ["{0}/b", "{0}/./b", "{0}/../{1}/b"])
def test_a_repeated_path_is_one_image(paths, spelling):
    """A list of paths may be made of several lists."""
    folder = paths[0].parent
    again = spelling.format(folder, folder.name)

    assert find_duplicates(np.ones((2, 2)), images=[paths[1], again]) == []


def test_a_relative_path_is_the_same_file_as_an_absolute_one(paths, monkeypatch):
    """One list of paths may be relative to the working folder."""
    monkeypatch.chdir(paths[0].parent)

    assert find_duplicates(np.ones((2, 2)), ids=["b", str(paths[1])]) == []


def test_a_file_in_a_linked_folder_is_one_image(paths, tmp_path):
    """Two paths may lead to one folder."""
    (tmp_path / "linked").symlink_to(tmp_path)

    images = [tmp_path / "linked/b", paths[1]]

    assert find_duplicates(np.ones((2, 2)), images=images) == []


@pytest.mark.parametrize(
    ("keep", "kept"),
    [
        ("first", "b"),
        ("medoid", "b"),
        ([9, 1, 2, 3, 4], "e"),
        ([9, 1, 8, 3, 4], "c"),
        ([9, 5, 1, 3, 4], "b"),
        ([0, 0, 0, 0, 0], "b"),
        ([1, np.nan, np.nan, np.nan, np.nan], "b"),
    ],
    ids=str,
)
def test_a_file_is_kept_and_not_a_link_to_it(paths, keep, kept):
    """Of a file and its hard links, the one with the largest value is preferred."""
    (group,) = find_duplicates(np.ones((5, 2)), ids=paths, images=paths, keep=keep)

    assert Path(group.kept).name == kept
    assert len(group) == 3


def test_a_link_stands_for_a_file_that_is_not_given(paths):
    """The link is deleted, and the file to which it leads is not."""
    chosen = [paths[0], paths[3]]

    (group,) = find_duplicates(np.ones((2, 2)), ids=chosen, images=chosen)

    assert (group.kept, group.extra) == (paths[0], [paths[3]])


def test_near_copies_of_a_file_are_grouped_with_it_once(paths):
    """The number of links to an image does not change the medoid."""
    X = _line(1, 1, 1, 0, 0.6)

    (group,) = find_duplicates(X, 1, metric="euclidean", ids=paths, keep="medoid")

    assert [path.name for path in group.ids] == ["b", "d", "e"]
    assert group.kept.name == "e"


@pytest.mark.skipif(os.name != "posix", reason="makes symbolic links")
@pytest.mark.parametrize("seed", range(40))
def test_no_content_is_lost_if_all_extra_copies_are_deleted(tmp_path, seed):
    """Files, copies, links and repeated paths are mixed at random."""
    rng = random.Random(seed)
    paths = _random_files(tmp_path, rng)
    contents = [path.read_bytes() for path in paths]
    X = np.eye(4)[[int(content) for content in contents]]
    X[seed % 4] *= seed % 3  # may be zero
    ids = [os.fspath(path) if rng.random() < 0.5 else path for path in paths]
    keep = rng.choice(["first", "medoid", [rng.randrange(3) for _ in paths]])

    groups = find_duplicates(X, 0, ids=ids, images=paths, keep=keep)
    n_files = {}
    for path, content in zip(paths, contents, strict=True):
        n_files.setdefault(content, set()).add(path.stat().st_ino)
    for group in groups:
        for name in group.extra:
            os.unlink(name)

    assert {path.read_bytes() for path in paths if path.exists()} == set(contents)
    expected = sorted(len(files) for files in n_files.values() if len(files) > 1)
    assert sorted(map(len, groups)) == expected


def _random_files(folder, rng):
    """Return different paths of files in a folder, at least one of which is a file."""
    (folder / "sub").mkdir()
    (folder / "linked").symlink_to("sub")
    paths = [_written(folder / "sub/0", b"0")]
    for i in range(1, 10):
        new, old = folder / rng.choice(["", "sub"]) / str(i), rng.choice(paths)
        match rng.choice(["file", "copy", "hard", "symbolic", "again"]):
            case "file":
                paths.append(_written(new, b"%d" % rng.randrange(4)))
            case "copy":
                paths.append(_written(new, old.read_bytes()))
            case "hard":
                os.link(os.path.realpath(old), new)
                paths.append(new)
            case "symbolic":
                new.symlink_to(old)
                paths.append(new)
            case "again" if old.parent.name == "sub":
                paths.append(folder / "linked" / old.name)
    rng.shuffle(paths)
    return list(dict.fromkeys(paths))
