"""Paths that users pass are checked before they are used."""

import os
from pathlib import Path

import pytest

from imgsim._paths import check_path


@pytest.mark.parametrize("path", ["", "a/b", "ä %?#", Path("a"), "a" * 10_000])
def test_a_path_is_returned_as_text(path):
    """Whether there is such a file is not checked."""
    assert check_path("cache", path) == os.fspath(path)


@pytest.mark.skipif(os.name != "posix", reason="other systems have names of text")
def test_a_name_that_is_not_valid_text_is_accepted():
    """Python represents its bytes by surrogates."""
    assert check_path("cache", os.fsdecode(b"\xff")) == "\udcff"


@pytest.mark.parametrize("path", ["a\0b", "\0", "\ud800", "a/\udfff"])
def test_a_name_that_no_file_can_have_is_an_error(path):
    """The message names the parameter and can be printed."""
    with pytest.raises(ValueError, match=r"cache='.*' contains a character") as caught:
        check_path("cache", path)

    str(caught.value).encode()


class _BytesPath(os.PathLike):
    def __fspath__(self):
        return b"a"


@pytest.mark.parametrize("path", [None, 3, b"a", ["a"], _BytesPath()])
def test_a_path_of_another_type_is_an_error(path):
    """The message names the parameter."""
    with pytest.raises(
        TypeError, match=r"cache=.* must be a str or a path-like object"
    ):
        check_path("cache", path)
