"""Tests of the listing of image files."""

import errno
import os
import random
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from imgsim import list_images, load_image_folder
from imgsim.images.listing._files import is_image_path

posix_only = pytest.mark.skipif(os.name != "posix", reason="needs a POSIX system")


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
    with pytest.raises(TypeError, match=r"extensions='jpg' .* Pass \['jpg'\]"):
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
    assert _names(followed, linked) == ["a.png", "link/b.png", "missing.png"]


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


def _link(target, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.symlink_to(target)
    except OSError:
        pytest.skip("this system does not let ordinary users create symbolic links")


@pytest.mark.parametrize("link", ["0.png", "a/9.png", "z.png"])
@pytest.mark.parametrize("file", ["5.png", "a/5.png", "z/5.png"])
def test_a_file_is_listed_instead_of_links_to_it(tmp_path, file, link):
    """One file is one image, wherever the file and the link are."""
    _touch(tmp_path, file)
    _link(tmp_path / file, tmp_path / link)
    _link(tmp_path / link, tmp_path / "chain.png")

    assert _names(list_images(tmp_path), tmp_path) == [file]


def test_links_to_a_file_outside_the_folder_are_listed_once(tmp_path):
    """Folders of links are a common way to select images."""
    _touch(tmp_path, "pool/1.png", "pool/2.png")
    for name, target in [("b.png", "1"), ("a.png", "1"), ("c.png", "2")]:
        _link(tmp_path / f"pool/{target}.png", tmp_path / "root" / name)

    found = list_images(tmp_path / "root")

    assert _names(found, tmp_path) == ["root/a.png", "root/c.png"]


def test_of_hard_links_the_first_is_listed(tmp_path):
    """Neither of them is the original."""
    _touch(tmp_path, "b.png", "d.png")
    os.link(tmp_path / "b.png", tmp_path / "c.png")
    os.link(tmp_path / "b.png", tmp_path / "a.PNG")

    assert _names(list_images(tmp_path), tmp_path) == ["a.PNG", "d.png"]


def test_a_link_is_listed_if_the_name_of_its_file_is_excluded(tmp_path):
    """The extension or the name of the file may say nothing about its content."""
    _touch(tmp_path, "content.bin", ".hidden.png")
    _link(tmp_path / "content.bin", tmp_path / "a.png")
    _link(tmp_path / ".hidden.png", tmp_path / "b.png")

    assert _names(list_images(tmp_path), tmp_path) == ["a.png", "b.png"]


def test_a_folder_is_entered_instead_of_links_to_it(tmp_path):
    """Sorted first, the link would otherwise replace the folder."""
    _touch(tmp_path, "root/z/1.png", "elsewhere/z/2.png")
    _link(tmp_path / "root/z", tmp_path / "root/a")
    _link(tmp_path / "elsewhere", tmp_path / "root/b")
    _link(tmp_path / "elsewhere/z", tmp_path / "root/z/c")

    found = list_images(tmp_path / "root", follow_symlinks=True)

    assert _names(found, tmp_path / "root") == ["b/z/2.png", "z/1.png"]


def _paths_of_files(folder, n_links=0, above=frozenset()):
    """Yield all paths below a folder that end at a file, with their links."""
    above |= {os.path.realpath(folder)}
    for path in folder.iterdir():
        n = n_links + path.is_symlink()
        if path.is_file():
            yield n, path
        elif os.path.realpath(path) not in above:
            yield from _paths_of_files(path, n, above)


@posix_only
@pytest.mark.parametrize("seed", range(20))
def test_every_file_is_listed_once_by_its_shortest_way(tmp_path, seed):
    """Files, hard links and links to files and folders are mixed at random."""
    rng, root = random.Random(seed), tmp_path / "root"
    folders = [root, root / "a", root / "b/c", tmp_path / "elsewhere/d"]
    _touch(tmp_path, *(str(f.relative_to(tmp_path) / f"{f.name}.png") for f in folders))
    files = [folder / f"{folder.name}.png" for folder in folders]
    for i in range(12):
        new = rng.choice(folders) / f"{rng.randrange(10)}-{i}.png"
        match rng.randrange(3):
            case 0:
                os.link(os.path.realpath(rng.choice(files)), new)
                files.append(new)
            case 1:
                new.symlink_to(rng.choice(files))
                files.append(new)
            case 2:
                new.symlink_to(rng.choice(folders))

    found = list_images(root, follow_symlinks=True)

    links_of = {}
    for n_links, path in _paths_of_files(root):
        links_of.setdefault(path.stat().st_ino, {})[path] = n_links
    assert len(found) == len(links_of)
    for path in found:
        ways = links_of.pop(path.stat().st_ino)
        assert ways[path] == min(ways.values())


def test_a_file_system_without_numbers_of_files_is_accepted(tmp_path, monkeypatch):
    """All files would otherwise be one image."""
    _touch(tmp_path, "a.png", "b.png", "sub/c.png")
    _link(tmp_path / "a.png", tmp_path / "link.png")
    stat = os.stat

    def stat_without_number(path, **kwargs):
        status = list(stat(path, **kwargs))
        status[1] = 0
        return os.stat_result(status)

    monkeypatch.setattr(os, "stat", stat_without_number)

    assert _names(list_images(tmp_path), tmp_path) == ["a.png", "b.png", "sub/c.png"]


@posix_only
def test_a_link_to_itself_is_listed_like_one_without_target(tmp_path):
    """Reading it is an error, which the embedder reports."""
    _link("a.png", tmp_path / "a.png")
    _link("loop", tmp_path / "loop")

    assert _names(list_images(tmp_path, follow_symlinks=True), tmp_path) == ["a.png"]


_LIST_WITHOUT_PERMISSION = """
import os, sys, tempfile, warnings
from pathlib import Path
from PIL import Image
from imgsim import list_images, load_image_folder

Image.init()  # the modules of its formats may be readable by root only
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
with tempfile.TemporaryDirectory() as home:
    root = Path(home)
    for name in ["open/1.png", "closed/2.png", "names/3.png", "deep/closed/4.png"]:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    (root / "open/link.png").symlink_to(root / "closed/2.png")
    closed = {"closed": 0, "deep/closed": 0, "names": 0o400}
    for name, mode in closed.items():
        (root / name).chmod(mode)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = [path.relative_to(root).as_posix() for path in list_images(root)]
        data = load_image_folder(root)
    assert found == ["open/1.png"], found
    assert data.target_names == ["open"], data
    message, again = (str(warning.message).replace(home, "") for warning in caught)
    assert message == again
    assert message.startswith("4 folders or files in folder='' could not be"), message
    assert "'/closed' (Permission denied), '/deep/closed' (Permission" in message
    assert "and others" in message, message
    for call in (list_images, load_image_folder):
        try:
            call(root, on_error="raise")
        except PermissionError as error:
            assert "closed" in str(error) or "3.png" in str(error), error
        else:
            raise AssertionError("no error")
    try:
        list_images(root / "closed")
    except PermissionError as error:
        assert error.filename == str(root / "closed")
    else:
        raise AssertionError("no error")
    for name in closed:
        (root / name).chmod(0o700)
"""


@posix_only
def test_a_folder_without_permission_costs_one_warning():
    """The images of all other folders are listed."""
    done = subprocess.run(
        [sys.executable, "-c", _LIST_WITHOUT_PERMISSION],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr


@pytest.fixture
def break_folder(monkeypatch):
    """Return a function that makes the listing of folders of this name fail."""
    scan = os.scandir

    def arrange(name, code):
        def scan_or_fail(path):
            if Path(path).name == name:
                raise OSError(code, os.strerror(code), str(path))
            return scan(path)

        monkeypatch.setattr(os, "scandir", scan_or_fail)

    return arrange


@pytest.mark.parametrize("code", ["EIO", "ENOENT", "ENAMETOOLONG", "ESTALE"])
def test_a_folder_that_fails_is_named(tmp_path, break_folder, code):
    """It may be on a broken disk, or deleted meanwhile."""
    _touch(tmp_path, "a.png", "bad/b.png", "good/c.png")
    break_folder("bad", getattr(errno, code))

    with pytest.warns(UserWarning, match=r"1 folders or files .*bad' \(") as caught:
        found = list_images(tmp_path)

    assert _names(found, tmp_path) == ["a.png", "good/c.png"]
    assert len(caught) == 1
    assert caught[0].filename == __file__
    with pytest.raises(OSError, match="bad"):
        list_images(tmp_path, on_error="raise")


def test_a_folder_that_fails_is_an_error_if_nothing_else_is_listed(
    tmp_path, break_folder
):
    """An empty list would look like an empty folder."""
    _touch(tmp_path, "root/a.png")
    break_folder("root", errno.EIO)

    with pytest.raises(OSError, match="root"):
        list_images(tmp_path / "root")


def test_the_policy_for_errors_is_validated(tmp_path):
    """A policy of embedders is not one of listings."""
    with pytest.raises(ValueError, match=r"'on_error' parameter.*'raise'.*'nan'"):
        list_images(tmp_path, on_error="nan")


@pytest.mark.parametrize("name", ["a.HEIC", "a.heif", "a.Hif"])
def test_formats_of_a_registered_plugin_are_listed(tmp_path, name):
    """Photographs of phones are HEIC files."""
    pytest.importorskip("pillow_heif").register_heif_opener()
    _touch(tmp_path, name, "b.png")

    assert _names(list_images(tmp_path), tmp_path) == [name, "b.png"]
    assert is_image_path(name)


def test_a_format_registered_later_is_listed(tmp_path, monkeypatch):
    """The formats are not fixed when imgsim is imported."""
    from PIL import Image

    Image.init()
    for name in ("ID", "OPEN", "EXTENSION"):
        monkeypatch.setattr(Image, name, getattr(Image, name).copy())
    _touch(tmp_path, "a.xyz")
    assert list_images(tmp_path) == []

    Image.register_open("XYZ", lambda file, name: None)
    Image.register_extension("XYZ", ".xyz")

    assert _names(list_images(tmp_path), tmp_path) == ["a.xyz"]


@pytest.mark.parametrize("name", ["a.eps", "a.pdf", "a.mpg", "a.wmf", "a.txt", "a.svg"])
def test_documents_and_videos_are_skipped_without_a_warning(tmp_path, name):
    """Nobody expects them among photographs."""
    _touch(tmp_path, name)

    assert list_images(tmp_path) == []
    assert not is_image_path(name)


@pytest.fixture
def without_heif(monkeypatch):
    """Make the formats those of Pillow without plugins."""
    from imgsim.images.decoding import _formats
    from imgsim.images.listing import _image_files

    extensions = _formats.allowed_extensions() - {".heic", ".heif", ".hif", ".heics"}
    monkeypatch.setattr(_image_files, "allowed_extensions", lambda: extensions)


@pytest.mark.usefixtures("without_heif")
def test_photographs_that_cannot_be_opened_are_counted(tmp_path):
    """They would otherwise be missing without a word."""
    names = ["1.cr2", "2.CR2", "a/3.cr2", "1.heic", "2.HEIC", "1.jxl"]
    _touch(tmp_path, "a.png", *names, ".4.cr2", "@eaDir/5.cr2")
    os.link(tmp_path / "1.jxl", tmp_path / "2.jxl")

    with pytest.warns(UserWarning, match="look like photographs") as caught:
        found = list_images(tmp_path)

    assert _names(found, tmp_path) == ["a.png"]
    (warning,) = caught
    message = str(warning.message)
    assert message.startswith(f"6 files in folder={str(tmp_path)!r}")
    for words in (
        "3 .cr2, 2 .heic, 1 .jxl",
        "pip install 'scikit-imgsim[heif]'",
        "Convert raw files",
        "plugin of Pillow",
        "['*.cr2', '*.heic', '*.jxl']",
    ):
        assert words in message


@pytest.mark.parametrize("extension", ["nef", "arw", "dng", "orf", "raf", "3fr", "rw2"])
def test_remedies_are_those_of_the_formats(tmp_path, extension):
    """A plugin for HEIC does not help with raw files."""
    _touch(tmp_path, f"a.{extension}")

    with pytest.warns(UserWarning, match=rf"1 \.{extension}\. Convert raw") as caught:
        list_images(tmp_path)

    assert "HEIC" not in str(caught[0].message)


@pytest.mark.parametrize(
    "options", [{"extensions": ["png"]}, {"exclude": ["*.NEF"]}], ids=str
)
def test_a_choice_of_files_is_not_warned_of(tmp_path, options):
    """The user has decided."""
    _touch(tmp_path, "a.nef", "b.png")

    assert _names(list_images(tmp_path, **options), tmp_path) == ["b.png"]


def test_raw_files_may_be_listed_by_their_extension(tmp_path):
    """Another program may read them."""
    _touch(tmp_path, "a.NEF", "b.png")

    assert _names(list_images(tmp_path, extensions=["nef"]), tmp_path) == ["a.NEF"]


SKIPPED = [
    "@eaDir/a.jpg/SYNOPHOTO_THUMB_XL.jpg",
    "x/@EADIR/a.jpg",
    "#recycle/a.jpg",
    "@Recycle/a.jpg",
    "$RECYCLE.BIN/S-1-5-21/$R1.jpg",
    "$Recycle.Bin/a.jpg",
    "System Volume Information/a.jpg",
    "x/.thumbnails/normal/a.jpg",
    ".Trash-1000/files/a.jpg",
    "__MACOSX/x/a.jpg",
    "__MACOSX/._a.jpg",
    "._a.jpg",
    "Lightroom/Catalog Previews.lrdata/A/a.jpg",
    "Pictures/Photos.photoslibrary/resources/derivatives/a.jpg",
]


@pytest.mark.parametrize("name", SKIPPED)
def test_thumbnails_and_bins_are_skipped(tmp_path, name):
    """They are no photographs of the user, unless everything is asked for."""
    _touch(tmp_path, name, "a.jpg")

    assert _names(list_images(tmp_path), tmp_path) == ["a.jpg"]
    everything = list_images(tmp_path, exclude=())
    assert set(_names(everything, tmp_path)) == {name, "a.jpg"}


@pytest.mark.parametrize(
    "name", ["recycle/a.jpg", "thumbs/a.jpg", "lrdata/a.jpg", "a.trash.jpg", "_a.jpg"]
)
def test_similar_names_are_not_skipped(tmp_path, name):
    """A class of a data set may have such a name."""
    _touch(tmp_path, name)

    assert _names(list_images(tmp_path), tmp_path) == [name]


def test_the_folder_itself_is_never_excluded(tmp_path):
    """Only what is below it is compared with the patterns."""
    _touch(tmp_path, ".cache/@eaDir/a.jpg")

    found = list_images(tmp_path / ".cache/@eaDir", exclude=[".*", "@*", "*.cache*"])

    assert _names(found, tmp_path) == [".cache/@eaDir/a.jpg"]


PATTERNS = {
    "RAW": ["2023/edit/2.jpg", "2023/é.jpg", "3_small.jpg"],
    "raw/": ["2023/edit/2.jpg", "2023/é.jpg", "3_small.jpg"],
    "*_SMALL.*": ["2023/edit/2.jpg", "2023/raw/1.jpg", "2023/é.jpg", "raw/4.jpg"],
    "2023/raw": ["2023/edit/2.jpg", "2023/é.jpg", "3_small.jpg", "raw/4.jpg"],
    "/raw": ["2023/edit/2.jpg", "2023/raw/1.jpg", "2023/é.jpg", "3_small.jpg"],
    "2023/*.jpg": ["3_small.jpg", "raw/4.jpg"],
    "[0-2]*": ["3_small.jpg", "raw/4.jpg"],
    "E\N{COMBINING ACUTE ACCENT}.*": [
        "2023/edit/2.jpg",
        "2023/raw/1.jpg",
        "3_small.jpg",
        "raw/4.jpg",
    ],
    "?": None,
    "": None,
    "202": None,
}


@pytest.mark.parametrize("pattern", PATTERNS, ids=ascii)
def test_patterns_exclude_files_and_folders(tmp_path, pattern):
    """A pattern with a slash is compared with the path, any other with the name."""
    names = ["2023/edit/2.jpg", "2023/raw/1.jpg", "2023/é.jpg", "3_small.jpg"]
    _touch(tmp_path, *names, "raw/4.jpg")

    found = _names(list_images(tmp_path, exclude=["other", pattern]), tmp_path)

    expected = PATTERNS[pattern]
    assert found == ([*names, "raw/4.jpg"] if expected is None else expected)


@pytest.mark.parametrize("name", ["extensions", "exclude"])
@pytest.mark.parametrize("value", ["jpg", b"jpg", [b"jpg"], [None], 3], ids=repr)
def test_patterns_and_extensions_are_collections_of_strings(tmp_path, name, value):
    """The message names the value."""
    with pytest.raises(TypeError, match=rf"{name}.*(jpg|None|3).* must be a"):
        list_images(tmp_path, **{name: value})


def test_patterns_and_extensions_may_come_from_an_iterator(tmp_path):
    """They are read more than once."""
    _touch(tmp_path, "a.jpg", "b.png", "c.jpg")

    found = list_images(tmp_path, extensions=iter(["jpg"]), exclude=iter(["c.*"]))

    assert _names(found, tmp_path) == ["a.jpg"]


def test_an_image_in_two_classes_is_listed_in_one_of_them(tmp_path):
    """Otherwise it could be in the training set and in the test set."""
    _touch(tmp_path, "zebra/1.jpg", "lion/2.jpg", "pool/3.jpg")
    _link(tmp_path / "zebra/1.jpg", tmp_path / "lion/1.jpg")
    _link(tmp_path / "lion/2.jpg", tmp_path / "lion/again.jpg")
    os.link(tmp_path / "pool/3.jpg", tmp_path / "zebra/3.jpg")

    with pytest.warns(UserWarning, match=r"2 images are in several classes") as caught:
        data = load_image_folder(tmp_path)

    assert _names(data.paths, tmp_path) == ["lion/2.jpg", "pool/3.jpg", "zebra/1.jpg"]
    assert data.target_names == ["lion", "pool", "zebra"]
    message = str(caught[0].message).replace(os.sep, "/")
    assert "zebra/1.jpg', which is the same file as" in message
    assert "lion/1.jpg'. Remove" in message


def test_links_in_a_class_to_files_without_one_are_classified(tmp_path):
    """Classes may be made by links to files that are left where they are."""
    _touch(tmp_path, "1.jpg", "2.jpg")
    _link(tmp_path / "1.jpg", tmp_path / "lion/1.jpg")

    with pytest.warns(UserWarning, match="1 images directly in folder="):
        data = load_image_folder(tmp_path)

    assert _names(data.paths, tmp_path) == ["lion/1.jpg"]


def test_files_may_be_excluded_from_classes(tmp_path):
    """The options are those of the listing."""
    _touch(tmp_path, "lion/1.jpg", "lion/1_small.jpg", ".cache/2.jpg")

    data = load_image_folder(tmp_path, exclude=["*_small.*"])

    assert _names(data.paths, tmp_path) == [".cache/2.jpg", "lion/1.jpg"]


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are Unicode")
def test_names_that_are_not_unicode_are_listed(tmp_path):
    """They come from old disks and from archives."""
    for name in (b"\xff.jpg", b"a\xe9/\xfe.jpg", b"b.jpg"):
        path = tmp_path / os.fsdecode(name)
        path.parent.mkdir(exist_ok=True)
        path.touch()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = list_images(tmp_path, exclude=["*\udcf0*"])

    names = [os.fsencode(path.relative_to(tmp_path)) for path in found]
    assert names == [b"a\xe9/\xfe.jpg", b"b.jpg", b"\xff.jpg"]


@pytest.mark.parametrize("name", ["\ud800", "a\0b"], ids=ascii)
def test_impossible_names_of_folders_do_not_exist(name):
    """The error would otherwise be one of an encoding."""
    with pytest.raises(FileNotFoundError, match="does not exist"):
        list_images(name)
