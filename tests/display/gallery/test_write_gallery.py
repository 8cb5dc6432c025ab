"""Tests of the page of pictures, by what stands in the file; no browser is needed."""

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
    """Collect elements and the text of scripts and styles, as a browser would."""

    def __init__(self):
        super().__init__()
        self.elements, self.texts, self.text = [], {}, ""
        self.is_inside = False

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.is_inside = tag in ("script", "style")

    def handle_endtag(self, tag):
        self.is_inside = False

    def handle_data(self, text):
        self.text += text
        if self.is_inside:
            n = len(self.elements) - 1
            self.texts[n] = self.texts.get(n, "") + text


def _read(path):
    """Return what a page holds: data, addresses of pictures, elements, scripts."""
    parser = _Parser()
    parser.feed(path.read_bytes().decode("utf-8"))
    of_id = {
        parser.elements[n][1].get("id", n): text for n, text in parser.texts.items()
    }
    blocks = [json.loads(of_id[k]) for k in of_id if str(k).startswith("block-")]
    return SimpleNamespace(
        data=json.loads(of_id["data"]),
        pictures=[address for block in blocks for address in block],
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
    """Return twelve rows of width 5."""
    return np.random.default_rng(0).normal(size=(12, 5)).astype(np.float32)


def test_images_bear_their_file_names_or_a_number(write, files, pictures):
    """Images in memory have no names."""
    page = write([files[0], str(files[1]), pictures[2]])

    assert page.data["names"] == ["00.png", "01.png", "image 2"]
    assert page.data["neighbors"] is page.data["groups"] is page.data["queries"] is None


def test_pictures_are_in_the_page(write, pictures):
    """Each at its place, none larger than asked for."""
    page = write(pictures, thumbnail_size=32)

    for address, picture in zip(page.pictures, pictures, strict=True):
        content = base64.b64decode(address.removeprefix("data:image/webp;base64,"))
        with Image.open(io.BytesIO(content)) as image:
            shown = np.asarray(image.convert("RGB"))
        assert max(shown.shape) == min(32, max(picture.shape))
        assert np.abs(shown.mean((0, 1)) - picture.mean((0, 1))).max() < 12


def test_many_pictures_stand_in_blocks(write, pictures):
    """The page decodes a block when it is looked at."""
    page = write([pictures[0][:8, :8]] * 130)

    sizes = [attributes.get("id") for _, attributes in page.elements]
    assert {"block-0", "block-1", "block-2"} < set(sizes)
    assert len(page.pictures) == 130
    assert page.data["blockSize"] == 64


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "manhattan"])
def test_neighbours_are_the_nearest_others(metric, write, pictures, rows):
    """As brute force finds them, in order, with their distances."""
    page = write(pictures, rows, n_neighbors=3, metric=metric)

    distances = pairwise_distances(rows.astype(float), metric=metric)
    np.fill_diagonal(distances, np.inf)
    for i, (found, near) in enumerate(page.data["neighbors"]):
        assert found == np.argsort(distances[i])[:3].tolist()
        np.testing.assert_allclose(near, np.sort(distances[i])[:3], rtol=1e-4)


def test_neighbours_are_within_the_limit(write, pictures, rows):
    """Perhaps there are none."""
    page = write(pictures, rows, max_distance=0.3)

    distances = pairwise_distances(rows, metric="cosine")
    expected = (distances <= 0.3).sum(axis=1) - 1
    assert [len(found) for found, _ in page.data["neighbors"]] == expected.tolist()


def test_an_index_serves_in_place_of_rows(write, pictures, rows):
    """Whatever it calls them."""
    index = SimilarityIndex(n_neighbors=2).fit(rows, ids=[f"id {i}" for i in range(12)])

    given = write(pictures, index=index)
    assert given.data["neighbors"] == write(pictures, rows).data["neighbors"]


def test_rows_of_nan_are_not_searched(write, pictures, rows):
    """An unreadable image has no neighbours, and is none."""
    rows[3] = np.nan

    page = write(pictures, rows, labels=np.zeros(12, int))
    assert page.data["neighbors"][3] is page.data["centers"][3] is None
    assert not any(3 in found for found, _ in filter(None, page.data["neighbors"]))


def test_no_row_at_all_may_be_readable(write, pictures, rows):
    """The page then says of each image that it was not searched."""
    page = write(pictures, np.full_like(rows, np.nan))

    assert page.data["neighbors"] == [None] * 12


def test_one_image_is_enough(write, pictures):
    """It has no others beside it."""
    page = write(pictures[:1], [[1.0, 2.0]], labels=[0], positions=[[3.0, 4.0]])

    assert page.data["neighbors"] == [[[], []]]
    assert page.data["positions"] == [[0.5, 0.5]]
    assert page.data["centers"] == [pytest.approx(0, abs=1e-12)]


@pytest.mark.parametrize("names", [{2: "two"}, np.array(["", "", "two"])])
def test_groups_are_in_the_order_of_their_labels(names, write, pictures):
    """And images in no group come last; those without a name have a number."""
    page = write(pictures[:5], labels=[7, -1, 2, 7, 10], label_names=names)

    assert page.data["groups"] == ["two", "group 7", "group 10", "no group"]
    assert page.data["groupOf"] == [1, 3, 0, 1, 2]
    assert page.data["outside"] == 3


def test_all_labels_below_zero_are_no_group(write, pictures):
    """As on the map; -2 of one clusterer means what -1 of another does."""
    page = write(pictures[:4], labels=[0, -1, -7, 3])

    assert page.data["groups"] == ["group 0", "group 3", "no group"]
    assert page.data["groupOf"] == [0, 2, 2, 1]
    assert page.data["outside"] == 2


@pytest.mark.parametrize("dtype", ["Int64", "UInt8", "int32", object])
def test_integers_of_a_table_are_labels(dtype, write, pictures):
    """Also those of pandas' own types, of which scikit-learn makes floats."""
    pandas = pytest.importorskip("pandas", reason="needs pandas")

    page = write(pictures[:3], labels=pandas.Series([4, 2, 4], dtype=dtype))

    assert page.data["groups"] == ["group 2", "group 4"]
    assert page.data["groupOf"] == [1, 0, 1]


def test_missing_labels_are_refused(write, pictures):
    """A missing label is not a group, and not surely none."""
    pandas = pytest.importorskip("pandas", reason="needs pandas")

    with pytest.raises(ValueError, match="got dtype Int64 with missing values"):
        write(pictures[:2], labels=pandas.Series([1, None], dtype="Int64"))


@pytest.mark.parametrize("dtype", [str, object])
def test_labels_may_be_names(dtype, write, pictures):
    """None of them stands for no group."""
    page = write(pictures[:3], labels=np.array(["cat", "ant", "cat"], dtype=dtype))

    assert page.data["groups"] == ["ant", "cat"]
    assert page.data["groupOf"] == [1, 0, 1]
    assert page.data["outside"] is None


def test_distances_from_the_centre_are_from_the_mean_of_the_group(
    write, pictures, rows
):
    """For cosine that of unit rows."""
    labels = np.repeat([0, 1, -1], 4)

    page = write(pictures, rows, labels=labels)

    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    expected = np.concatenate(
        [
            cdist(rows[labels == g], unit[labels == g].mean(0)[None], "cosine").ravel()
            for g in (0, 1, -1)
        ]
    )
    np.testing.assert_allclose(page.data["centers"], expected, rtol=1e-3)


def test_sets_have_no_mean(write, pictures, rows):
    """No distances are better than false ones."""
    page = write(pictures, rows > 0, labels=np.zeros(12, int), metric="jaccard")

    assert page.data["centers"] is None


def test_the_map_keeps_proportions(write, pictures):
    """And fits into a square; an image at NaN is left out."""
    page = write(pictures[:4], positions=[[0, 0], [8, 2], [4, 1], [np.nan, 0]])

    assert page.data["positions"] == [[0, 0.375], [1, 0.625], [0.5, 0.5], None]


def test_queries_are_answered(write, pictures, rows):
    """With the nearest images; with none, or not at all where unreadable."""
    queries = np.array([rows[4], -rows.mean(0) * 50, rows[0] * np.nan])

    page = write(
        pictures, rows, queries=queries, query_images=pictures[:3], max_distance=1e-3
    )

    (found, near), nothing, unreadable = page.data["queries"]["answers"]
    assert (found, near[0]) == ([4], pytest.approx(0, abs=1e-6))
    assert nothing == [[], []]
    assert unreadable is None
    assert page.data["queries"]["names"] == ["query 0", "query 1", "query 2"]
    assert page.pictures[12:] == page.pictures[:3]


def test_unreadable_images_say_why(write, pictures, tmp_path):
    """And stop nothing."""
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")

    page = write([pictures[0], broken, "missing.jpg"])

    assert [address is None for address in page.pictures] == [False, True, True]
    assert page.data["reasons"]["2"] == "no such file."
    assert set(page.data["reasons"]) == {"1", "2"}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows finds no such file")
@pytest.mark.parametrize("name", ["photo.jpg", "it's.jpg", 'a "b".jpg', "'\".jpg"])
def test_reasons_hold_no_paths(name, write, tmp_path, monkeypatch):
    """A page of copies tells nobody where the images were."""
    (tmp_path / "file.jpg").write_bytes(b"")
    monkeypatch.chdir(tmp_path)

    page = write([tmp_path / "file.jpg" / name, f"./file.jpg/{name}"])

    reasons = list(page.data["reasons"].values())
    assert len(reasons) == 2
    assert all(reason.endswith("Not a directory") for reason in reasons)


def test_names_and_labels_are_text(write):
    """Whoever names a file runs no script in the page."""
    page = write([f"{EVIL}.jpg"], labels=[EVIL], title=EVIL)

    plain = write(["plain.jpg"], labels=["plain"], title="plain")
    tags = [tag for tag, _ in page.elements]
    assert tags == [tag for tag, _ in plain.elements]
    assert page.data["names"] == [f"{EVIL}.jpg".rpartition("/")[2]]
    assert page.data["groups"] == [EVIL]
    assert page.text.count(EVIL) >= 2  # the title, twice


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("ﬂügel 🦋.jpg", "ﬂügel 🦋.jpg"),
        ("two\nlines\u2028.jpg", "two lines .jpg"),
        ("latin\udce9.jpg", "latin\\udce9.jpg"),
    ],
)
def test_any_name_can_be_written(name, shown, write):
    """Files that are no UTF-8 keep a name that can be told."""
    page = write([name, name], labels=[name, name], title=name)

    assert page.data["names"] == [shown, shown]
    assert page.data["groups"] == [shown]
    assert shown in page.text


def test_the_page_allows_its_own_scripts_only(write, pictures):
    """By their digests, so that nothing else runs, and nothing is fetched."""
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


def test_links_lead_to_the_files(files, tmp_path):
    """From the folder of the page, whatever the files are called."""
    (tmp_path / "pages").mkdir()
    odd = tmp_path / "a folder" / "50% #1? ü.png"
    odd.parent.mkdir()
    files[1].rename(odd)

    page = _read(
        write_gallery(
            tmp_path / "pages/page.html", [files[0], str(odd)], thumbnails="link"
        )
    )

    assert page.pictures[0] == "../00.png"
    assert page.pictures[1].isascii()
    assert not set(page.pictures[1]) & set(" #?")
    target = tmp_path / "pages" / unquote(page.pictures[1])
    assert os.path.samefile(target, odd)


@pytest.mark.skipif(sys.platform != "linux", reason="names are any bytes on Linux only")
def test_links_keep_the_bytes_of_a_name(write, tmp_path):
    """A name that is no UTF-8 has an address all the same."""
    page = write([tmp_path / "\udce9.png"], thumbnails="link")

    assert page.pictures == ["%E9.png"]


def test_only_files_can_be_linked_to(write, files, pictures):
    """The message says which image is none, and what to do."""
    with pytest.raises(ValueError, match=r"images\[1\] is of type ndarray.*'embed'"):
        write([files[0], pictures[1]], thumbnails="link")


def test_the_same_images_give_the_same_file(pictures, rows, tmp_path):
    """So that a page can be compared with an older one."""
    pages = [
        write_gallery(tmp_path / name, pictures, rows) for name in ("1.html", "2.HTM")
    ]

    assert pages == [tmp_path / "1.html", tmp_path / "2.HTM"]
    assert pages[0].read_bytes() == pages[1].read_bytes()


def test_a_failure_leaves_the_old_page(pictures, tmp_path, monkeypatch):
    """And nothing beside it."""
    page = tmp_path / "page.html"
    page.write_text("old")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_gallery(page, pictures)

    assert page.read_text() == "old"
    assert list(tmp_path.iterdir()) == [page]


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_a_link_stays_a_link(pictures, tmp_path):
    """What it points to is replaced."""
    (tmp_path / "pages").mkdir()
    old, link = tmp_path / "pages" / "old.html", tmp_path / "page.html"
    old.write_text("old")
    link.symlink_to(old)

    assert write_gallery(link, pictures[:1]) == link
    assert link.is_symlink()
    assert old.read_text().startswith("<!doctype html>")
    assert list(old.parent.iterdir()) == [old]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such rights")
@pytest.mark.parametrize("mode", [0o600, 0o664])
def test_a_page_that_is_replaced_keeps_its_rights(mode, pictures, tmp_path):
    """A private page stays private."""
    page = tmp_path / "page.html"
    page.write_text("old")
    page.chmod(mode)

    write_gallery(page, pictures[:1])

    assert page.stat().st_mode & 0o777 == mode


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"X": np.ones((3, 2))}, "images holds 12 images for 3 rows of X"),
        ({"labels": [0, 1]}, "images holds 12 images for 2 labels"),
        (
            {"labels": np.ones(12)},
            "labels must be integers or strings; got dtype float",
        ),
        ({"label_names": ["a"]}, "label_names name labels; pass labels"),
        ({"X": np.ones(12)}, "Expected 2D array, got 1D array"),
        (
            {"X": np.eye(12), "queries": np.ones(12), "query_images": ["a.jpg"]},
            "Expected 2D array, got 1D array",
        ),
        ({"max_distance": "a"}, "'max_distance' parameter"),
        ({"max_distance": 0.5}, "max_distance is of neighbours in X or index"),
        ({"labels": ["a"] * 12, "label_names": ["b"]}, "label_names are for integers"),
        ({"positions": np.ones((12, 3))}, r"must have the shape \(n_images, 2\)"),
        ({"positions": np.ones((3, 2))}, "images holds 12 images for 3 positions"),
        ({"queries": np.ones((1, 2))}, "queries and query_images must be given tog"),
        ({"query_images": ["a.jpg"]}, "queries and query_images must be given tog"),
        (
            {"queries": np.ones((1, 2)), "query_images": ["a.jpg"]},
            "looked up in X or index",
        ),
        (
            {"X": np.ones((12, 2)), "queries": [[1, 2]], "query_images": ["a"] * 2},
            "query_images holds 2 images for 1 queries",
        ),
        ({"index": SimilarityIndex().fit(np.ones((3, 2)))}, "3 rows of the index"),
        (
            {"index": SimilarityIndex().fit(np.eye(12)), "X": np.eye(12)},
            "X and index are both given",
        ),
        ({"thumbnails": "none"}, "'thumbnails' parameter"),
        ({"thumbnail_size": 4}, "'thumbnail_size' parameter"),
        ({"n_neighbors": 0}, "'n_neighbors' parameter"),
    ],
)
def test_what_does_not_fit_is_refused(kwargs, message, write, pictures):
    """Before anything is written, in words that tell what to do."""
    with pytest.raises(ValueError, match=message):
        write(pictures, **kwargs)


@pytest.mark.parametrize("name", ["X", "queries"])
def test_sparse_rows_are_refused(name, write, pictures):
    """Which NumPy would take for one object; the message says how to convert them."""
    given = {"X": np.eye(12), "queries": np.eye(12), "query_images": pictures}

    with pytest.raises(TypeError, match=f"Sparse data was passed for {name}.*toarray"):
        write(pictures, **{**given, name: csr_array(np.eye(12))})


def test_the_file_has_to_be_a_page_in_a_folder(pictures, tmp_path):
    """A browser goes by the ending."""
    (tmp_path / "folder.html").mkdir()

    with pytest.raises(ValueError, match=r"must end in '.html' or '.htm'"):
        write_gallery(tmp_path / "page.txt", pictures)
    with pytest.raises(FileNotFoundError, match="make it first"):
        write_gallery(tmp_path / "missing/page.html", pictures)
    with pytest.raises(OSError, match="not a regular file"):
        write_gallery(tmp_path / "folder.html", pictures)
