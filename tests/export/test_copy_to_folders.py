"""Tests of the export of clusters as folders of files."""

import errno
import os
import shutil
import stat
import sys
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from imgsim import ImageClusterer, copy_to_folders

# fmt: off
IMPOSSIBLE_NAMES = [
    "", ".", "..", "/", "a/b", "/etc", "../up", "a\\b", "C:", "a\0b", "a\nb", "a.",
    "a ", ".git", "NUL", "com1.txt", "LPT²", "what?", "a|b", "\udcff", "x" * 256,
]
# fmt: on


def _make(root, *names):
    """Create files that contain their own names, and return their paths."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name, encoding="utf-8")
    return [root / name for name in names]


def _contents(folder):
    """Return the content of each file of a folder, by path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _names(paths, folder):
    return [path.relative_to(folder).as_posix() for path in paths]


@pytest.fixture
def home(tmp_path):
    """Return the folder of the original files."""
    return tmp_path / "home"


@pytest.fixture
def out(tmp_path):
    """Return the folder to export to, which does not exist yet."""
    return tmp_path / "out"


@pytest.fixture
def make_link(tmp_path):
    """Return a function that creates a symbolic link, or skip."""
    try:
        (tmp_path / "try").symlink_to(tmp_path)
    except OSError:
        pytest.skip("this system does not let ordinary users create symbolic links")
    (tmp_path / "try").unlink()
    return lambda path, target: path.symlink_to(target)


def test_copies_each_image_to_the_folder_of_its_cluster(home, out):
    """The result is in the order of the paths, and the originals are unchanged."""
    paths = _make(home, "d.jpg", "a/c.jpg", "b.jpg", "a.jpg")
    before = _contents(home)

    written = copy_to_folders(paths, [1, 0, -1, 1], out, mode="copy")

    expected = [
        "cluster_01/d.jpg",
        "cluster_00/c.jpg",
        "noise/b.jpg",
        "cluster_01/a.jpg",
    ]
    assert _names(written, out) == expected
    assert [p.read_bytes() for p in written] == [p.read_bytes() for p in paths]
    assert _contents(home) == before
    assert len(_contents(out)) == 4


def test_accepts_the_labels_of_a_clusterer(blobs, home, out):
    """No conversion is needed in between."""
    clusterer = ImageClusterer(3, random_state=0).fit(blobs[0])
    paths = _make(home, *(f"{row}.jpg" for row in range(60)))

    copy_to_folders(paths, clusterer.labels_, out)

    sizes = [len(os.listdir(out / f"cluster_{label:02}")) for label in range(3)]
    assert sizes == clusterer.cluster_sizes_.tolist()


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([0, 5], ["cluster_00", "cluster_05"]),
        ([7, 100], ["cluster_007", "cluster_100"]),
        ([-1, -1], ["noise"]),
    ],
)
def test_folders_sort_by_label(labels, expected, home, out):
    """File managers sort folders by name, so the numbers need leading zeros."""
    copy_to_folders(_make(home, "a.jpg", "b.jpg"), labels, out)

    assert sorted(os.listdir(out)) == expected


def test_equal_names_get_numbers(home, out):
    """Files from several cameras often have the same name."""
    names = ["a/1.jpg", "b/1.jpg", "c/1-2.jpg", "d/1.jpg", "e/1.jpg", "f/1", "g/1"]
    paths = [*_make(home, *names), home / "a/1.jpg"]

    written = copy_to_folders(paths, [0, 0, 0, 0, 1, 0, 0, 0], out)

    assert [path.name for path in written] == [
        "1.jpg",
        "1-2.jpg",
        "1-2-2.jpg",
        "1-3.jpg",
        "1.jpg",
        "1",
        "1-2",
        "1-4.jpg",
    ]
    assert [p.read_bytes() for p in written] == [p.read_bytes() for p in paths]


@pytest.mark.usefixtures("make_link")
def test_many_equal_names_take_one_try_each(home, out, monkeypatch):
    """With a search from 1 for each file, the time would be quadratic."""
    link, tries = os.symlink, []

    def count(source, target):
        tries.append(target)
        link(source, target)

    monkeypatch.setattr(os, "symlink", count)
    paths = _make(home, *(f"{row}/image.jpg" for row in range(30)))

    written = copy_to_folders(paths, [0] * 30, out, mode="symlink")

    assert tries == written
    assert len(os.listdir(out / "cluster_00")) == 30


@pytest.mark.parametrize(
    "name", ["x" * 251 + ".jpg", "é" * 125 + ".jpg", "x" * 255, "x." + "y" * 253]
)
def test_long_names_are_shortened_for_a_number(name, home, out):
    """The limit is 255 bytes, and the extension has to be kept."""
    paths = _make(home, f"a/{name}", f"b/{name}")

    first, second = copy_to_folders(paths, [0, 0], out)

    assert first.name == name
    assert len(os.fsencode(second.name)) <= 255
    assert second.read_bytes() == paths[1].read_bytes()
    assert second.suffix == ".jpg" or not name.endswith(".jpg")


def test_names_in_any_script_are_kept(home, out):
    """Spaces, quotes and a leading dash are valid in file names as well."""
    names = ["ähre 中文.jpg", "-rf.jpg", "it's $HOME.jpg", "e\u0301.jpg", ".hidden.jpg"]
    paths = _make(home, *names)

    written = copy_to_folders(paths, [0] * 5, out)

    assert [path.name for path in written] == names


@pytest.mark.skipif(sys.platform != "linux", reason="other systems need Unicode names")
def test_names_that_are_not_unicode_are_kept(home, out):
    """Archives may contain file names in old encodings."""
    home.mkdir()
    path = os.fsdecode(os.fsencode(home) + b"/caf\xe9.jpg")
    Path(path).touch()

    written = copy_to_folders([path, path], [0, 0], out)

    names = [os.fsencode(path.name) for path in written]
    assert names == [b"caf\xe9.jpg", b"caf\xe9-2.jpg"]


def test_names_that_differ_in_case_are_both_kept(home, out):
    """On some file systems they are the same name."""
    paths = _make(home, "a/x.jpg", "b/X.JPG")

    written = copy_to_folders(paths, [0, 0], out)

    assert sorted(_contents(out).values()) == [b"a/x.jpg", b"b/X.JPG"]
    assert [path.read_bytes() for path in written] == [b"a/x.jpg", b"b/X.JPG"]


def test_relative_paths_are_accepted(home, monkeypatch):
    """The result starts with `folder` as it was passed, and is relative as well."""
    _make(home, "sub/a.jpg")
    monkeypatch.chdir(home)

    written = copy_to_folders(["sub/../sub/a.jpg"], [0], "new/deep/out")

    assert written == [Path("new/deep/out/cluster_00/a.jpg")]
    assert (home / written[0]).read_bytes() == b"sub/a.jpg"


def test_a_copy_keeps_the_modification_time(home, out):
    """Image viewers sort by it."""
    (path,) = _make(home, "a.jpg")
    os.utime(path, ns=(10**18, 123_456_789_000_000_000))

    (written,) = copy_to_folders([path], [0], out)

    assert written.stat().st_mtime_ns == path.stat().st_mtime_ns


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such permissions")
@pytest.mark.parametrize(
    ("mode", "expected"),
    [(0o600, 0o600), (0o444, 0o644), (0o4755, 0o755), (0o666, 0o644)],
)
def test_a_copy_is_as_private_as_its_original(mode, expected, home, out):
    """The setuid bit is dropped, and the owner can always write to the copy."""
    (path,) = _make(home, "a.jpg")
    path.chmod(mode)
    umask = os.umask(0o022)

    try:
        (written,) = copy_to_folders([path], [0], out)
    finally:
        os.umask(umask)

    assert stat.S_IMODE(written.stat().st_mode) == expected


def test_no_images_give_an_empty_folder(out):
    """A filter may have removed all images."""
    assert copy_to_folders([], [], out) == []
    assert os.listdir(out) == []


@pytest.mark.parametrize("kind", [dict, list, tuple, np.array])
def test_folders_may_be_named_by_label(kind, home, out):
    """Labels without a name get the default name."""
    given = {0: "cats", 1: "big dogs"} if kind is dict else kind(["cats", "big dogs"])
    paths = _make(home, "a.jpg", "b.jpg", "c.jpg", "d.jpg")

    written = copy_to_folders(paths, [0, 1, 2, -1], out, label_names=given)

    folders = [path.parent.name for path in written]
    assert folders == ["cats", "big dogs", "cluster_02", "noise"]


def test_no_cluster_may_have_a_name(home, out):
    """The label -1 is a key, not the index of the last name of a list."""
    paths = _make(home, "a.jpg")

    copy_to_folders(paths, [-1], out, label_names={-1: "übrige"})

    assert os.listdir(out) == ["übrige"]


@pytest.mark.parametrize("name", IMPOSSIBLE_NAMES)
def test_names_that_are_invalid_on_any_system_are_refused(name, home, out):
    """A name must not point outside the folder, or fail on another system."""
    paths = _make(home, "a.jpg", "b.jpg")

    with pytest.raises(
        ValueError, match=r"label_names\[1\]=.* must be a valid folder name"
    ):
        copy_to_folders(paths, [0, 1], out, label_names={1: name})
    assert not out.exists()


@pytest.mark.parametrize(
    "names", [["Cats", "cats"], {1: "CLUSTER_00"}, ["é", "e\u0301"]]
)
def test_clusters_do_not_share_a_folder(names, home, out):
    """On some file systems these are the same name."""
    paths = _make(home, "a.jpg", "b.jpg")

    with pytest.raises(
        ValueError, match=r"labels 0 and 1 to the same folder.*To merge"
    ):
        copy_to_folders(paths, [0, 1], out, label_names=names)


@pytest.mark.parametrize(
    ("names", "error", "words"),
    [
        ({"0": "cats"}, TypeError, "label_names has the key '0'"),
        ([1], TypeError, r"label_names\[0\]=1 must be a str"),
        ("cats", ValueError, "'label_names' parameter"),
        ({"cats"}, ValueError, "'label_names' parameter"),
    ],
)
def test_label_names_are_validated(names, error, words, home, out):
    """Keys read from JSON are strings, for example, and would match no label."""
    with pytest.raises(error, match=words):
        copy_to_folders(_make(home, "a.jpg"), [0], out, label_names=names)


def test_a_second_run_is_refused(home, out):
    """It would mix two clusterings, or copy every image twice."""
    paths = _make(home, "a.jpg", "b.jpg")
    copy_to_folders(paths, [0, 1], out)
    before = _contents(out)

    with pytest.raises(FileExistsError, match=r"already contains 'cluster_00'"):
        copy_to_folders(paths, [1, 0], out)
    assert _contents(out) == before


def test_other_files_in_the_folder_are_unchanged(home):
    """Results are often written next to each other, or next to the originals."""
    paths = _make(home, "a.jpg", "sub/b.jpg")
    before = _contents(home)

    copy_to_folders(paths, [0, 1], home)

    after = _contents(home)
    assert {name: after[name] for name in before} == before
    assert len(after) == len(before) + 2


def test_hidden_files_in_the_folder_are_unchanged(home, out):
    """File managers create hidden files in empty folders, such as .DS_Store."""
    paths = _make(home, "a.jpg")
    _make(out, ".DS_Store")

    copy_to_folders(paths, [0], out)

    assert _contents(out) == {
        ".DS_Store": b".DS_Store",
        "cluster_00/a.jpg": b"a.jpg",
    }


def test_an_output_may_be_the_next_input(home, out):
    """A cluster may be clustered again and exported to its own folder."""
    written = copy_to_folders(_make(home, "a.jpg", "b.jpg"), [0, 0], out)

    again = copy_to_folders(written, [0, 1], out / "cluster_00/parts")

    assert [path.read_bytes() for path in again] == [b"a.jpg", b"b.jpg"]
    assert [path.read_bytes() for path in written] == [b"a.jpg", b"b.jpg"]


def test_a_broken_link_is_not_a_folder(home):
    """Nothing is created at the target of the link."""
    (path,) = _make(home, "a.jpg")
    link = home / "link"
    link.symlink_to(home / "nowhere")

    with pytest.raises(
        NotADirectoryError, match="link' must be a folder, but is a broken"
    ):
        copy_to_folders([path], [0], link)
    assert not (home / "nowhere").exists()


def test_a_file_is_not_a_folder(home):
    """The file is left unchanged."""
    (path,) = _make(home, "a.jpg")

    with pytest.raises(
        NotADirectoryError, match=r"a\.jpg' must be a folder, but is a file"
    ):
        copy_to_folders([path], [0], path)
    assert path.read_bytes() == b"a.jpg"


def test_links_within_the_folder_are_not_followed(home, out, tmp_path, make_link):
    """Somebody who can write to the folder must not redirect files elsewhere."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    out.mkdir()
    make_link(out / "cluster_00", elsewhere)

    with pytest.raises(FileExistsError, match=r"contains 'cluster_00'"):
        copy_to_folders(_make(home, "a.jpg"), [0], out)
    assert os.listdir(elsewhere) == []


def test_links_made_at_the_last_moment_are_not_followed(
    home, out, tmp_path, make_link, monkeypatch
):
    """Creating a folder fails if it exists, even after the check."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    out.mkdir()
    make_link(out / "cluster_00", elsewhere)
    monkeypatch.setattr(os.path, "lexists", lambda path: False)

    with pytest.raises(FileExistsError, match=r"another process created .*cluster_00"):
        copy_to_folders(_make(home, "a.jpg"), [0], out)
    monkeypatch.undo()
    assert os.listdir(elsewhere) == []


def test_a_file_made_meanwhile_is_kept(home, out, make_link, monkeypatch):
    """Opening a broken link without care would create its target."""
    paths = _make(home, "first.jpg", "a.jpg", "b.jpg")
    copy = shutil.copyfileobj

    def copy_and_plant(*args):
        if not (out / "cluster_00/a.jpg").exists():
            _make(out, "cluster_00/a.jpg")
            make_link(out / "cluster_00/b.jpg", home / "nothing.jpg")
        copy(*args)

    monkeypatch.setattr(shutil, "copyfileobj", copy_and_plant)
    written = copy_to_folders(paths, [0, 0, 0], out)

    assert [path.name for path in written] == ["first.jpg", "a-2.jpg", "b-2.jpg"]
    assert (out / "cluster_00/a.jpg").read_bytes() == b"cluster_00/a.jpg"
    assert not (home / "nothing.jpg").exists()


def test_of_two_concurrent_runs_one_is_refused(home, out):
    """The other one is complete, and no file is lost."""
    names = [f"{row}/{row % 7}.jpg" for row in range(100)]
    paths = _make(home, *names)
    start = threading.Barrier(2)
    outcomes = []

    def run():
        start.wait()
        try:
            outcomes.append(copy_to_folders(paths, [0] * 100, out))
        except FileExistsError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert Counter(map(type, outcomes)) == {list: 1, FileExistsError: 1}
    (written,) = (outcome for outcome in outcomes if isinstance(outcome, list))
    assert [path.read_text() for path in written] == names
    assert len(_contents(out)) == 100


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("gone.jpg", FileNotFoundError, "does not exist"),
        ("folder.jpg", ValueError, "must be a regular file"),
        ("a.jpg/", ValueError, "must end with a file name"),
        ("folder.jpg/..", ValueError, "must end with a file name"),
        ("folder.jpg/.", ValueError, "must end with a file name"),
        ("a\0.jpg", ValueError, "must end with a file name"),
    ],
)
def test_all_paths_are_validated_first(name, error, words, home, out):
    """One invalid path must not leave half of the files exported."""
    _make(home, "a.jpg", "folder.jpg/b.jpg")
    paths = [home / "a.jpg", f"{home}/{name}"]

    with pytest.raises(error, match=rf"paths\[1\]=.*{words}"):
        copy_to_folders(paths, [0, 1], out)
    assert not out.exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
def test_pipes_and_devices_are_refused(home, out):
    """Reading them may never end."""
    home.mkdir()
    os.mkfifo(home / "pipe.jpg")

    for path in [home / "pipe.jpg", "/dev/zero"]:
        with pytest.raises(ValueError, match=r"a pipe or a device"):
            copy_to_folders([path], [0], out)


def test_labels_and_types_are_validated_first(home, out):
    """Nothing is created if an argument is invalid."""
    (path,) = _make(home, "a.jpg")

    with pytest.raises(ValueError, match=r"paths has 1 entries and labels has 2"):
        copy_to_folders([path], [0, 1], out)
    with pytest.raises(TypeError, match=r"labels must be integers"):
        copy_to_folders([path], [0.5], out)
    with pytest.raises(TypeError, match=r"paths\[0\] must be a str or path-like"):
        copy_to_folders([b"\xff\xd8"], [0], out)
    with pytest.raises(ValueError, match=r"'mode' parameter.*'copy'"):
        copy_to_folders([path], [0], out, mode="move")
    assert not out.exists()


@pytest.fixture
def fail_within(monkeypatch):
    """Return a function that makes copying fail halfway through a given file."""
    copy = shutil.copyfileobj

    def arrange(name, error):
        def copy_half(original, target, length):
            if original.name.endswith(name):
                target.write(original.read(1))
                raise error
            copy(original, target, length)

        monkeypatch.setattr(shutil, "copyfileobj", copy_half)

    return arrange


def test_a_failed_copy_is_deleted(home, out, fail_within):
    """Complete copies are kept, and the message names both files."""
    paths = _make(home, "a.jpg", "b.jpg", "c.jpg")
    fail_within("b.jpg", OSError(errno.EIO, "broken disk"))

    with pytest.raises(OSError, match=r"broken disk: .*b\.jpg' -> .*b\.jpg'"):
        copy_to_folders(paths, [0, 0, 0], out)
    assert _contents(out) == {"cluster_00/a.jpg": b"a.jpg"}


@pytest.mark.parametrize("code", ["ENOSPC", "EDQUOT", "EROFS"])
def test_a_full_disk_is_not_explained_by_links(home, out, monkeypatch, code):
    """Copies need even more space."""
    number = getattr(errno, code)

    def fail(source, target):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "symlink", fail)
    with pytest.raises(OSError, match=r"a\.jpg' -> .*a\.jpg'") as caught:
        copy_to_folders(_make(home, "a.jpg"), [0], out, mode="symlink")

    assert "mode='copy'" not in str(caught.value)


def test_an_error_without_a_number_is_explained(home, out, fail_within):
    """The message is all that is known about it."""
    fail_within("a.jpg", OSError("3 bytes were written"))

    with pytest.raises(OSError, match=r"3 bytes were written: .*a\.jpg' -> "):
        copy_to_folders(_make(home, "a.jpg"), [0], out)


@pytest.mark.parametrize("name", ["\ud800", "a\0b"], ids=ascii)
def test_impossible_names_of_the_folder_are_refused(home, name):
    """The error would otherwise be one of an encoding."""
    with pytest.raises(ValueError, match="contains a character"):
        copy_to_folders(_make(home, "a.jpg"), [0], home / name)


@pytest.mark.skipif(os.name != "posix", reason="such a file may exist on Windows")
def test_a_path_that_cannot_exist_is_named(home, out):
    """The error would otherwise be one of an encoding."""
    with pytest.raises(FileNotFoundError, match=r"paths\[0\]='\\ud800.jpg'"):
        copy_to_folders(["\ud800.jpg"], [0], out)


def test_an_interrupted_copy_is_deleted(home, out, fail_within):
    """Complete copies are kept when the user presses Ctrl-C."""
    paths = _make(home, "a.jpg", "b.jpg")
    fail_within("b.jpg", KeyboardInterrupt())

    with pytest.raises(KeyboardInterrupt):
        copy_to_folders(paths, [0, 0], out)
    assert _contents(out) == {"cluster_00/a.jpg": b"a.jpg"}


def test_an_original_deleted_meanwhile_is_named(home, out, monkeypatch):
    """It may be deleted while other files are copied."""
    paths = _make(home, "a.jpg", "b.jpg")
    copy = shutil.copyfileobj

    def copy_and_delete(*args):
        copy(*args)
        paths[1].unlink()

    monkeypatch.setattr(shutil, "copyfileobj", copy_and_delete)
    with pytest.raises(FileNotFoundError, match=r"b\.jpg' -> .*b\.jpg'"):
        copy_to_folders(paths, [0, 0], out)
    assert _contents(out) == {"cluster_00/a.jpg": b"a.jpg"}


@pytest.mark.skipif(
    os.name != "posix" or os.geteuid() == 0, reason="root can read and write everything"
)
def test_a_folder_that_cannot_be_written_is_named(home, tmp_path):
    """The error of the operating system says why."""
    paths = _make(home, "a.jpg")
    (tmp_path / "closed").mkdir(mode=0o500)

    with pytest.raises(PermissionError, match="closed"):
        copy_to_folders(paths, [0], tmp_path / "closed/out")


@pytest.mark.usefixtures("make_link")
def test_links_point_to_the_originals(home, out, monkeypatch):
    """They are absolute, even if the paths are relative."""
    paths = _make(home, "a/1.jpg", "b/1.jpg")
    monkeypatch.chdir(home)

    written = copy_to_folders(["a/1.jpg", "b/1.jpg"], [0, 0], out, mode="symlink")

    assert _names(written, out) == ["cluster_00/1.jpg", "cluster_00/1-2.jpg"]
    assert [Path(os.readlink(path)) for path in written] == paths


def test_a_linked_original_is_copied(home, out, make_link):
    """Copying a collection of symbolic links gives regular files."""
    (path,) = _make(home, "a.jpg")
    make_link(home / "b.jpg", path)

    (written,) = copy_to_folders([home / "b.jpg"], [0], out)

    assert written.name == "b.jpg"
    assert not written.is_symlink()
    assert written.read_bytes() == b"a.jpg"


def test_the_error_without_links_suggests_copies(home, out, monkeypatch):
    """Windows requires a privilege for links, and some file systems have none."""

    def refuse(source, target):
        raise OSError(errno.EPERM, "not permitted")

    monkeypatch.setattr(os, "symlink", refuse)
    with pytest.raises(PermissionError, match=r"mode='copy'.*a\.jpg"):
        copy_to_folders(_make(home, "a.jpg"), [0], out, mode="symlink")
