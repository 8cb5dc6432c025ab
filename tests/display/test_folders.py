"""Tests of the folders of images relative to their common folder."""

from pathlib import Path

import numpy as np
import pytest

from imgsim.display._folders import relative_folders


@pytest.mark.parametrize("kind", [str, Path], ids=["str", "Path"])
def test_folders_are_relative_to_the_common_one(kind):
    """The common folder is the same for every image, so it says nothing."""
    paths = map(kind, ["/p/a/1.jpg", "/p/a/b/2.jpg", "/p/c/3.jpg"])

    assert relative_folders([*paths]) == ["a", "a/b", "c"]


def test_files_in_one_folder_have_no_relative_folder():
    """A name like another folder is another folder."""
    assert relative_folders(["/p/a/1.jpg", "/p/a/2.jpg"]) == ["", ""]
    assert relative_folders(["/p/a/1.jpg", "/p/ab/2.jpg"]) == ["a", "ab"]


def test_relative_paths_are_below_the_working_directory(tmp_path, monkeypatch):
    """Relative and absolute paths may be mixed."""
    monkeypatch.chdir(tmp_path)

    folders = relative_folders(["a/1.jpg", tmp_path / "b" / "2.jpg", "3.jpg"])

    assert folders == ["a", "b", ""]


def test_images_in_memory_have_no_folder():
    """Other images keep theirs."""
    image = np.zeros((2, 2))

    assert relative_folders([image, "/p/a/1.jpg", b"x", "/p/b/1.jpg"]) == [
        "",
        "a",
        "",
        "b",
    ]
    assert relative_folders([image]) == [""]
