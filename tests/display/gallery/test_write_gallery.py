"""Tests of the gallery page by the content of the file, without a browser."""

import base64
import hashlib
import io
import json
import os
import sys
from html.parser import HTMLParser
from types import SimpleNamespace
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image
from scipy.sparse import csr_array
from scipy.spatial.distance import cdist
from sklearn.metrics import pairwise_distances

from imgsim import SimilarityIndex
from imgsim.display import write_gallery

EVIL = "</script><img src=x onerror=alert(1)>'\"&<!--"


class _Parser(HTMLParser):
    """Collects elements and the text of scripts and styles."""

    def __init__(self):
        super().__init__()
        self.elements, self.texts, self.text = [], {}, ""
        self.is_code = False

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.is_code = tag in ("script", "style")

    def handle_endtag(self, tag):
        self.is_code = False

    def handle_data(self, text):
        self.text += text
        if self.is_code:
            n = len(self.elements) - 1
            self.texts[n] = self.texts.get(n, "") + text


def _read(path):
    """Return the data, the addresses of images, the elements and the code of a page."""
    parser = _Parser()
    parser.feed(path.read_bytes().decode("utf-8"))
    by_id = {
        parser.elements[n][1].get("id", n): text for n, text in parser.texts.items()
    }
    blocks = [json.loads(by_id[k]) for k in by_id if str(k).startswith("block-")]
    return SimpleNamespace(
        data=json.loads(by_id["data"]),
        addresses=[address for block in blocks for address in block],
        elements=parser.elements,
        code=[
            (parser.elements[n][0], text)
            for n, text in parser.texts.items()
            if parser.elements[n][0] == "style" or not parser.elements[n][1]
        ],
        text=parser.text,
    )


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a page and reads it."""

    def write(images, *args, **kwargs):
        return _read(write_gallery(tmp_path / "page.html", images, *args, **kwargs))

    return write


@pytest.fixture
def files(pictures, tmp_path):
    """Return the paths of twelve pictures."""
    paths = [tmp_path / f"{i:02}.png" for i in range(len(pictures))]
    for path, picture in zip(paths, pictures, strict=True):
        Image.fromarray(picture).save(path)
    return paths


@pytest.fixture
def rows():
    """Return twelve embeddings of width 5."""
    return np.random.default_rng(0).normal(size=(12, 5)).astype(np.float32)


def test_images_have_their_file_names_or_a_number(write, files, pictures):
    """Images in memory have no file names."""
    page = write([files[0], str(files[1]), pictures[2]])

    assert page.data["names"] == ["00.png", "01.png", "image 2"]
    assert (
        page.data["neighbors"] is page.data["clusters"] is page.data["queries"] is None
    )


def test_folders_are_relative_to_the_common_folder(write, tmp_path):
    """A page shows the path of an image, but does not reveal where the images were."""
    (tmp_path / "b/2023").mkdir(parents=True)
    sources = [tmp_path / "b/2023/x.png", str(tmp_path / "a.png"), tmp_path / "b/y.png"]

    page = write([*sources, np.zeros((4, 4), np.uint8)], thumbnails="embed")

    assert page.data["folders"] == ["", "b", "b/2023"]
    assert page.data["folderOf"] == [2, 0, 1, 0]
    assert tmp_path.name not in page.text
    assert write(sources[1:2]).data["folders"] is None
    assert write([np.zeros((4, 4), np.uint8)]).data["folders"] is None


def test_thumbnails_are_embedded_in_order(write, pictures):
    """Neither side of a thumbnail exceeds the requested size."""
    page = write(pictures, thumbnail_size=32)

    for address, picture in zip(page.addresses, pictures, strict=True):
        content = base64.b64decode(address.removeprefix("data:image/webp;base64,"))
        with Image.open(io.BytesIO(content)) as image:
            thumbnail = np.asarray(image.convert("RGB"))
        assert max(thumbnail.shape) == min(32, max(picture.shape))
        assert np.abs(thumbnail.mean((0, 1)) - picture.mean((0, 1))).max() < 12


def test_addresses_are_in_blocks(write, pictures):
    """The page parses a block only when one of its images comes into view."""
    page = write([pictures[0][:8, :8]] * 130)

    ids = [attributes.get("id") for _, attributes in page.elements]
    assert {"block-0", "block-1", "block-2"} < set(ids)
    assert len(page.addresses) == 130
    assert page.data["blockSize"] == 64


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "manhattan"])
def test_neighbors_are_the_nearest_other_images(metric, write, pictures, rows):
    """The reference is a brute-force search over all pairs of distances."""
    page = write(pictures, rows, n_neighbors=3, metric=metric)

    distances = pairwise_distances(rows.astype(float), metric=metric)
    np.fill_diagonal(distances, np.inf)
    for i, (neighbors, to_neighbors) in enumerate(page.data["neighbors"]):
        assert neighbors == np.argsort(distances[i])[:3].tolist()
        np.testing.assert_allclose(to_neighbors, np.sort(distances[i])[:3], rtol=1e-4)


def test_neighbors_are_within_max_distance(write, pictures, rows):
    """An image may have no neighbors at all."""
    page = write(pictures, rows, max_distance=0.3)

    distances = pairwise_distances(rows, metric="cosine")
    expected = (distances <= 0.3).sum(axis=1) - 1
    assert [len(near) for near, _ in page.data["neighbors"]] == expected.tolist()


def test_an_index_replaces_embeddings(write, pictures, rows):
    """Neighbors are rows of the index, whatever its ids are."""
    index = SimilarityIndex(n_neighbors=2).fit(rows, ids=[f"id {i}" for i in range(12)])

    by_index = write(pictures, index=index)
    assert by_index.data["neighbors"] == write(pictures, rows).data["neighbors"]


def test_rows_of_nan_are_not_searched(write, pictures, rows):
    """An unreadable image has no neighbors, and is not a neighbor."""
    rows[3] = np.nan

    page = write(pictures, rows, labels=np.zeros(12, int))
    assert page.data["neighbors"][3] is page.data["centerDistances"][3] is None
    assert not any(3 in near for near, _ in filter(None, page.data["neighbors"]))


def test_all_images_may_be_unreadable(write, pictures, rows):
    """The page then shows each image as not searched."""
    page = write(pictures, np.full_like(rows, np.nan))

    assert page.data["neighbors"] == [None] * 12


def test_one_image_is_enough(write, pictures):
    """A collection of one image has no neighbors and no extent on the map."""
    page = write(pictures[:1], [[1.0, 2.0]], labels=[0], positions=[[3.0, 4.0]])

    assert page.data["neighbors"] == [[[], []]]
    assert page.data["positions"] == [[0.5, 0.5]]
    assert page.data["centerDistances"] == [pytest.approx(0, abs=1e-12)]


@pytest.mark.parametrize("names", [{2: "two"}, np.array(["", "", "two"])])
def test_clusters_are_in_the_order_of_their_labels(names, write, pictures):
    """Noise comes last. Clusters without a name are numbered."""
    page = write(pictures[:5], labels=[7, -1, 2, 7, 10], label_names=names)

    assert page.data["clusters"] == ["two", "cluster 7", "cluster 10", "noise"]
    assert page.data["clusterOf"] == [1, 3, 0, 1, 2]
    assert page.data["noise"] == 3


def test_all_negative_labels_mean_noise(write, pictures):
    """Some clusterers use -2 with the meaning of -1, as on the map."""
    page = write(pictures[:4], labels=[0, -1, -7, 3])

    assert page.data["clusters"] == ["cluster 0", "cluster 3", "noise"]
    assert page.data["clusterOf"] == [0, 2, 2, 1]
    assert page.data["noise"] == 2


@pytest.mark.parametrize("dtype", ["Int64", "UInt8", "int32", object])
def test_integers_of_pandas_are_labels(dtype, write, pictures):
    """scikit-learn would convert the nullable types to floats."""
    pandas = pytest.importorskip("pandas", reason="needs pandas")

    page = write(pictures[:3], labels=pandas.Series([4, 2, 4], dtype=dtype))

    assert page.data["clusters"] == ["cluster 2", "cluster 4"]
    assert page.data["clusterOf"] == [1, 0, 1]


def test_missing_labels_are_refused(write, pictures):
    """A missing label is neither a cluster nor noise."""
    pandas = pytest.importorskip("pandas", reason="needs pandas")

    with pytest.raises(ValueError, match="got dtype Int64 with missing values"):
        write(pictures[:2], labels=pandas.Series([1, None], dtype="Int64"))


@pytest.mark.parametrize("dtype", [str, object])
def test_labels_may_be_names(dtype, write, pictures):
    """No string means noise."""
    page = write(pictures[:3], labels=np.array(["cat", "ant", "cat"], dtype=dtype))

    assert page.data["clusters"] == ["ant", "cat"]
    assert page.data["clusterOf"] == [1, 0, 1]
    assert page.data["noise"] is None


def test_center_distances_are_distances_to_the_mean_of_the_cluster(
    write, pictures, rows
):
    """For cosine, the mean is the mean of the unit vectors."""
    labels = np.repeat([0, 1, -1], 4)

    page = write(pictures, rows, labels=labels)

    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    expected = np.concatenate(
        [
            cdist(rows[labels == g], unit[labels == g].mean(0)[None], "cosine").ravel()
            for g in (0, 1, -1)
        ]
    )
    np.testing.assert_allclose(page.data["centerDistances"], expected, rtol=1e-3)


def test_sets_have_no_mean(write, pictures, rows):
    """The page must not show meaningless distances."""
    page = write(pictures, rows > 0, labels=np.zeros(12, int), metric="jaccard")

    assert page.data["centerDistances"] is None


def test_the_map_keeps_proportions(write, pictures):
    """Positions are scaled into a square, and an image at NaN is left out."""
    page = write(pictures[:4], positions=[[0, 0], [8, 2], [4, 1], [np.nan, 0]])

    assert page.data["positions"] == [[0, 0.375], [1, 0.625], [0.5, 0.5], None]


def test_queries_have_results(write, pictures, rows):
    """A result may be empty, and an unreadable query has no result."""
    queries = np.array([rows[4], -rows.mean(0) * 50, rows[0] * np.nan])

    page = write(
        pictures, rows, queries=queries, query_images=pictures[:3], max_distance=1e-3
    )

    (near, distances), empty, unreadable = page.data["queries"]["results"]
    assert (near, distances[0]) == ([4], pytest.approx(0, abs=1e-6))
    assert empty == [[], []]
    assert unreadable is None
    assert page.data["queries"]["names"] == ["query 0", "query 1", "query 2"]
    assert page.addresses[12:] == page.addresses[:3]


def test_unreadable_images_have_a_reason(write, pictures, tmp_path):
    """One unreadable image does not prevent the page."""
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")

    page = write([pictures[0], broken, "missing.jpg"])

    assert [address is None for address in page.addresses] == [False, True, True]
    assert page.data["reasons"]["2"] == "no such file."
    assert set(page.data["reasons"]) == {"1", "2"}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows reports a missing file")
@pytest.mark.parametrize("name", ["photo.jpg", "it's.jpg", 'a "b".jpg', "'\".jpg"])
def test_reasons_hold_no_paths(name, write, tmp_path, monkeypatch):
    """A page with embedded thumbnails does not reveal where the images were."""
    (tmp_path / "file.jpg").write_bytes(b"")
    monkeypatch.chdir(tmp_path)

    page = write([tmp_path / "file.jpg" / name, f"./file.jpg/{name}"])

    reasons = list(page.data["reasons"].values())
    assert len(reasons) == 2
    assert all(reason.endswith("Not a directory") for reason in reasons)


def test_names_and_labels_are_text(write):
    """A file name must not be able to run a script in the page."""
    page = write([f"{EVIL}.jpg"], labels=[EVIL], title=EVIL)

    plain = write(["plain.jpg"], labels=["plain"], title="plain")
    tags = [tag for tag, _ in page.elements]
    assert tags == [tag for tag, _ in plain.elements]
    assert page.data["names"] == [f"{EVIL}.jpg".rpartition("/")[2]]
    assert page.data["clusters"] == [EVIL]
    assert page.text.count(EVIL) >= 2  # title and heading


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ﬂügel 🦋.jpg", "ﬂügel 🦋.jpg"),
        ("two\nlines\u2028.jpg", "two lines .jpg"),
        ("latin\udce9.jpg", "latin\\udce9.jpg"),
    ],
)
def test_any_name_can_be_written(name, expected, write):
    """Bytes of a name that are not valid UTF-8 are escaped."""
    page = write([name, name], labels=[name, name], title=name)

    assert page.data["names"] == [expected, expected]
    assert page.data["clusters"] == [expected]
    assert expected in page.text


@pytest.mark.parametrize("name", ["\ud800.jpg", "a\0.jpg"], ids=ascii)
def test_a_name_that_no_file_can_have_is_a_gray_card(name, write):
    """Other images of the page are shown all the same."""
    page = write([name, name])

    assert list(page.data["reasons"]) == ["0", "1"]


@pytest.mark.skipif(os.name != "posix", reason="such a file may exist on Windows")
def test_a_name_that_no_file_can_have_is_not_linked(write):
    """The message names the image."""
    with pytest.raises(ValueError, match=r"images\[0\]='\\ud800.jpg' contains"):
        write(["\ud800.jpg"], thumbnails="link")


def test_the_page_allows_only_its_own_scripts(write, pictures):
    """The policy lists their hashes, and forbids all requests."""
    page = write(pictures)

    (policy,) = [
        attributes["content"]
        for _, attributes in page.elements
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    for kind, text in page.code:
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src " in policy
        assert f"'sha256-{digest}'" in policy
    assert {kind for kind, _ in page.code} == {"style", "script"}
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert not [a for _, a in page.elements if "src" in a or "style" in a]


def test_links_are_relative_addresses_of_the_files(files, tmp_path):
    """Special characters in file names are percent-encoded."""
    (tmp_path / "pages").mkdir()
    odd = tmp_path / "a folder" / "50% #1? ü.png"
    odd.parent.mkdir()
    files[1].rename(odd)

    page = _read(
        write_gallery(
            tmp_path / "pages/page.html", [files[0], str(odd)], thumbnails="link"
        )
    )

    assert page.addresses[0] == "../00.png"
    assert page.addresses[1].isascii()
    assert not set(page.addresses[1]) & set(" #?")
    target = tmp_path / "pages" / unquote(page.addresses[1])
    assert os.path.samefile(target, odd)


@pytest.mark.skipif(sys.platform != "linux", reason="names are any bytes on Linux only")
def test_links_keep_the_bytes_of_a_name(write, tmp_path):
    """A file name that is not valid UTF-8 has a valid address."""
    page = write([tmp_path / "\udce9.png"], thumbnails="link")

    assert page.addresses == ["%E9.png"]


def test_only_paths_can_be_linked(write, files, pictures):
    """The message names the image and the alternative."""
    with pytest.raises(ValueError, match=r"images\[1\] is of type ndarray.*'embed'"):
        write([files[0], pictures[1]], thumbnails="link")


def test_the_same_images_give_the_same_file(pictures, rows, tmp_path):
    """Pages can be compared with older versions."""
    pages = [
        write_gallery(tmp_path / name, pictures, rows) for name in ("1.html", "2.HTM")
    ]

    assert pages == [tmp_path / "1.html", tmp_path / "2.HTM"]
    assert pages[0].read_bytes() == pages[1].read_bytes()


def test_a_failure_leaves_the_old_page(pictures, tmp_path, monkeypatch):
    """No temporary file remains either."""
    page = tmp_path / "page.html"
    page.write_text("old")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_gallery(page, pictures)

    assert page.read_text() == "old"
    assert list(tmp_path.iterdir()) == [page]


@pytest.mark.skipif(
    sys.platform == "win32", reason="symbolic links need privileges on Windows"
)
def test_a_symbolic_link_stays_a_link(pictures, tmp_path):
    """The file that the link points to is replaced."""
    (tmp_path / "pages").mkdir()
    old, link = tmp_path / "pages" / "old.html", tmp_path / "page.html"
    old.write_text("old")
    link.symlink_to(old)

    assert write_gallery(link, pictures[:1]) == link
    assert link.is_symlink()
    assert old.read_text().startswith("<!doctype html>")
    assert list(old.parent.iterdir()) == [old]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no file modes")
@pytest.mark.parametrize("mode", [0o600, 0o664])
def test_a_replaced_page_keeps_its_permissions(mode, pictures, tmp_path):
    """A private page stays private."""
    page = tmp_path / "page.html"
    page.write_text("old")
    page.chmod(mode)

    write_gallery(page, pictures[:1])

    assert page.stat().st_mode & 0o777 == mode


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        (
            {"X": np.ones((3, 2))},
            "images has length 12, but the number of rows of X is 3",
        ),
        ({"labels": [0, 1]}, "images has length 12, but the number of labels is 2"),
        (
            {"labels": np.ones(12)},
            "labels must be integers or strings; got dtype float",
        ),
        ({"label_names": ["a"]}, "label_names is given without labels"),
        ({"X": np.ones(12)}, "Expected 2D array, got 1D array"),
        (
            {"X": np.eye(12), "queries": np.ones(12), "query_images": ["a.jpg"]},
            "Expected 2D array, got 1D array",
        ),
        ({"max_distance": "a"}, "'max_distance' parameter"),
        ({"max_distance": 0.5}, "max_distance=0.5 needs X or index"),
        ({"labels": ["a"] * 12, "label_names": ["b"]}, "label_names is for integer"),
        ({"positions": np.ones((12, 3))}, r"must have shape \(n_images, 2\)"),
        (
            {"positions": np.ones((3, 2))},
            "images has length 12, but the number of positions is 3",
        ),
        ({"queries": np.ones((1, 2))}, "queries and query_images must be given tog"),
        ({"query_images": ["a.jpg"]}, "queries and query_images must be given tog"),
        (
            {"queries": np.ones((1, 2)), "query_images": ["a.jpg"]},
            "queries needs X or index",
        ),
        (
            {"X": np.ones((12, 2)), "queries": [[1, 2]], "query_images": ["a"] * 2},
            "query_images has length 2, but the number of queries is 1",
        ),
        (
            {"index": SimilarityIndex().fit(np.ones((3, 2)))},
            "the number of rows of the index is 3",
        ),
        (
            {"index": SimilarityIndex().fit(np.eye(12)), "X": np.eye(12)},
            "X and index are both given",
        ),
        ({"thumbnails": "none"}, "'thumbnails' parameter"),
        ({"thumbnail_size": 4}, "'thumbnail_size' parameter"),
        ({"n_neighbors": 0}, "'n_neighbors' parameter"),
    ],
)
def test_invalid_arguments_are_refused(kwargs, message, write, pictures):
    """The message names the argument, before anything is written."""
    with pytest.raises(ValueError, match=message):
        write(pictures, **kwargs)


@pytest.mark.parametrize("name", ["X", "queries"])
def test_sparse_rows_are_refused(name, write, pictures):
    """NumPy would convert a sparse array to a single object."""
    dense = {"X": np.eye(12), "queries": np.eye(12), "query_images": pictures}

    with pytest.raises(TypeError, match=f"Sparse data was passed for {name}.*toarray"):
        write(pictures, **{**dense, name: csr_array(np.eye(12))})


def test_the_path_must_be_an_html_file_in_a_folder(pictures, tmp_path):
    """Browsers recognize a page by its extension."""
    (tmp_path / "folder.html").mkdir()

    with pytest.raises(ValueError, match=r"must end in '.html' or '.htm'"):
        write_gallery(tmp_path / "page.txt", pictures)
    with pytest.raises(FileNotFoundError, match="create it first"):
        write_gallery(tmp_path / "missing/page.html", pictures)
    with pytest.raises(OSError, match="not a regular file"):
        write_gallery(tmp_path / "folder.html", pictures)
