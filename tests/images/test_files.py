"""Tests of the listing of image files."""

import os
from pathlib import Path

import numpy as np
import pytest

from imgsim import list_images, load_image_folder


def _touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def _names(paths, root):
    return [path.relative_to(root).as_posix() for path in paths]


def test_sorts_folder_by_folder_by_code_point(tmp_path):
    """The order does not depend on locale, file system or path separator."""
    _touch(tmp_path, "b.png", "B.png", "a/z.png", "a-b/a.png", "é.png", "a.png")

    found = _names(list_images(tmp_path), tmp_path)

    expected = ["B.png", "a/z.png", "a-b/a.png", "a.png", "b.png", "é.png"]
    assert found == expected


def test_skips_hidden_and_other_files(tmp_path):
    """Caches of thumbnails and text files are not part of a collection."""
    _touch(tmp_path, "a.JPG", ".b.jpg", ".cache/c.jpg", "notes.txt", "no_extension")
    (tmp_path / "folder.jpg").mkdir()

    assert _names(list_images(tmp_path), tmp_path) == ["a.JPG"]


def test_skips_subfolders_if_not_recursive(tmp_path):
    """A user may want only the files of the top level."""
    _touch(tmp_path, "a.png", "sub/b.png")

    assert _names(list_images(tmp_path, recursive=False), tmp_path) == ["a.png"]


@pytest.mark.parametrize("extensions", [["xyz"], {".XYZ"}, ("XyZ", "none")])
def test_extensions_select_files(tmp_path, extensions):
    """Extensions are given with or without a dot, in upper or lower case."""
    _touch(tmp_path, "a.xyz", "b.XYZ", "c.png")

    assert _names(list_images(tmp_path, extensions=extensions), tmp_path) == [
        "a.xyz",
        "b.XYZ",
    ]


def test_an_empty_extension_selects_files_without_extension(tmp_path):
    """In some collections, the name of a file is its hash."""
    _touch(tmp_path, "abc", "b.png")

    assert _names(list_images(tmp_path, extensions=[""]), tmp_path) == ["abc"]


def test_refuses_a_string_of_extensions(tmp_path):
    """A string would be interpreted as a collection of characters."""
    with pytest.raises(TypeError, match=r"Pass \['jpg'\]"):
        list_images(tmp_path, extensions="jpg")


def test_an_empty_folder_gives_an_empty_list(tmp_path):
    """Whether this is an error depends on the caller."""
    assert list_images(tmp_path) == []


def test_missing_folder_and_file_are_named(tmp_path):
    """The two mistakes have different remedies, so the messages differ."""
    _touch(tmp_path, "a.png")

    with pytest.raises(FileNotFoundError, match=r"nowhere.*does not exist"):
        list_images(tmp_path / "nowhere")
    with pytest.raises(NotADirectoryError, match=r"a\.png.*but is a file"):
        list_images(str(tmp_path / "a.png"))


@pytest.fixture
def linked(tmp_path):
    """Return a folder with links to a folder, itself, a file and a missing file."""
    root = tmp_path / "root"
    _touch(root, "a.png")
    _touch(tmp_path, "elsewhere/b.png")
    try:
        (root / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    except OSError:
        pytest.skip("this system does not let ordinary users create symbolic links")
    (root / "loop").symlink_to(root, target_is_directory=True)
    (root / "linked.png").symlink_to(tmp_path / "elsewhere/b.png")
    (root / "missing.png").symlink_to(tmp_path / "gone.png")
    return root


def test_linked_folders_are_listed_only_on_request(linked):
    """Links to files are always listed, even if they are broken."""
    files = ["a.png", "linked.png", "missing.png"]

    assert _names(list_images(linked), linked) == files
    followed = list_images(linked, follow_symlinks=True)
    assert _names(followed, linked) == ["a.png", "link/b.png", *files[1:]]


def test_paths_start_with_the_folder_as_passed(tmp_path, monkeypatch):
    """A relative folder gives relative paths."""
    _touch(tmp_path, "sub/a.png")
    monkeypatch.chdir(tmp_path)

    assert list_images("sub") == [Path("sub/a.png")]
    assert list_images(os.fspath(tmp_path / "sub")) == [tmp_path / "sub/a.png"]


def test_subfolders_are_classes(tmp_path):
    """Only the first level of subfolders defines classes, as in ImageFolder."""
    _touch(tmp_path, "zebra/1.jpg", "lion/x/2.jpg", "lion/1.jpg", "empty/notes.txt")

    data = load_image_folder(tmp_path)

    assert _names(data.paths, tmp_path) == ["lion/1.jpg", "lion/x/2.jpg", "zebra/1.jpg"]
    np.testing.assert_array_equal(data.target, [0, 0, 1])
    assert data.target_names == ["lion", "zebra"]


def test_images_without_class_are_reported(tmp_path):
    """Without the warning, nobody would notice that they are skipped."""
    _touch(tmp_path, "stray.jpg", "lion/1.jpg")

    with pytest.warns(UserWarning, match="1 images directly in folder="):
        data = load_image_folder(tmp_path)

    assert len(data.paths) == 1


def test_a_folder_without_classes_is_an_error(tmp_path):
    """The message suggests list_images."""
    _touch(tmp_path, "a.jpg")

    with pytest.raises(ValueError, match="Use list_images for images without classes"):
        load_image_folder(tmp_path)
