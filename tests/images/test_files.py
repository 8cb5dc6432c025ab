"""Tests of listing folders."""

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
    """The order must not depend on locale, file system or path separator."""
    _touch(tmp_path, "b.png", "B.png", "a/z.png", "a-b/a.png", "é.png", "a.png")

    found = _names(list_images(tmp_path), tmp_path)

    expected = ["B.png", "a/z.png", "a-b/a.png", "a.png", "b.png", "é.png"]
    assert found == expected


def test_leaves_out_hidden_and_other_files(tmp_path):
    """Thumbnail caches and notes are not part of a collection."""
    _touch(tmp_path, "a.JPG", ".b.jpg", ".cache/c.jpg", "notes.txt", "no_extension")
    (tmp_path / "folder.jpg").mkdir()

    assert _names(list_images(tmp_path), tmp_path) == ["a.JPG"]


def test_stays_in_the_folder_if_not_recursive(tmp_path):
    """A person may want the top level alone."""
    _touch(tmp_path, "a.png", "sub/b.png")

    assert _names(list_images(tmp_path, recursive=False), tmp_path) == ["a.png"]


@pytest.mark.parametrize("extensions", [["xyz"], {".XYZ"}, ("XyZ", "none")])
def test_keeps_the_extensions_asked_for(tmp_path, extensions):
    """With or without a dot, in any case."""
    _touch(tmp_path, "a.xyz", "b.XYZ", "c.png")

    assert _names(list_images(tmp_path, extensions=extensions), tmp_path) == [
        "a.xyz",
        "b.XYZ",
    ]


def test_keeps_files_without_extension_if_asked(tmp_path):
    """Some collections name files by hash alone."""
    _touch(tmp_path, "abc", "b.png")

    assert _names(list_images(tmp_path, extensions=[""]), tmp_path) == ["abc"]


def test_refuses_a_string_of_extensions(tmp_path):
    """A string is a collection of letters, which nobody means."""
    with pytest.raises(TypeError, match=r"pass \['jpg'\]"):
        list_images(tmp_path, extensions="jpg")


def test_empty_folder_is_an_empty_list(tmp_path):
    """As documented: it is for the caller to say whether that is wrong."""
    assert list_images(tmp_path) == []


def test_missing_folder_and_file_are_named(tmp_path):
    """The two mistakes have different remedies."""
    _touch(tmp_path, "a.png")

    with pytest.raises(FileNotFoundError, match=r"nowhere.*does not exist"):
        list_images(tmp_path / "nowhere")
    with pytest.raises(NotADirectoryError, match=r"a\.png.*is a file"):
        list_images(str(tmp_path / "a.png"))


@pytest.fixture
def linked(tmp_path):
    """Return a folder with a linked folder, a loop, a linked and a dangling file."""
    root = tmp_path / "root"
    _touch(root, "a.png")
    _touch(tmp_path, "elsewhere/b.png")
    try:
        (root / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    except OSError:
        pytest.skip("this system lets no ordinary user make links")
    (root / "loop").symlink_to(root, target_is_directory=True)
    (root / "linked.png").symlink_to(tmp_path / "elsewhere/b.png")
    (root / "missing.png").symlink_to(tmp_path / "gone.png")
    return root


def test_linked_folders_are_entered_only_if_asked(linked):
    """Files are listed, even dangling ones, so that reading them can tell."""
    files = ["a.png", "linked.png", "missing.png"]

    assert _names(list_images(linked), linked) == files
    followed = list_images(linked, follow_symlinks=True)
    assert _names(followed, linked) == ["a.png", "link/b.png", *files[1:]]


def test_takes_the_folder_in_any_spelling(tmp_path, monkeypatch):
    """Paths begin with the folder as it was given."""
    _touch(tmp_path, "sub/a.png")
    monkeypatch.chdir(tmp_path)

    assert list_images("sub") == [Path("sub/a.png")]
    assert list_images(os.fspath(tmp_path / "sub")) == [tmp_path / "sub/a.png"]


def test_subfolders_are_classes(tmp_path):
    """The layout of ImageFolder and load_files; deeper folders count for the first."""
    _touch(tmp_path, "zebra/1.jpg", "lion/x/2.jpg", "lion/1.jpg", "empty/notes.txt")

    data = load_image_folder(tmp_path)

    assert _names(data.paths, tmp_path) == ["lion/1.jpg", "lion/x/2.jpg", "zebra/1.jpg"]
    np.testing.assert_array_equal(data.target, [0, 0, 1])
    assert data.target_names == ["lion", "zebra"]


def test_images_without_class_are_reported(tmp_path):
    """Leaving them out silently would lose them."""
    _touch(tmp_path, "stray.jpg", "lion/1.jpg")

    with pytest.warns(UserWarning, match="1 images lie directly in"):
        data = load_image_folder(tmp_path)

    assert len(data.paths) == 1


def test_a_folder_without_classes_is_an_error(tmp_path):
    """The remedy is the other function."""
    _touch(tmp_path, "a.jpg")

    with pytest.raises(ValueError, match="one subfolder of images for each class"):
        load_image_folder(tmp_path)
