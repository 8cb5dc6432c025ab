"""Tests of folders of groups: what is written, and what is left alone."""

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
    """Make files that hold their own names, and return their paths."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name, encoding="utf-8")
    return [root / name for name in names]


def _contents(folder):
    """Return what stands in a folder: the bytes of files, by path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _names(paths, folder):
    return [path.relative_to(folder).as_posix() for path in paths]


@pytest.fixture
def home(tmp_path):
    """Return the folder of the originals; groups go beside it."""
    return tmp_path / "home"


@pytest.fixture
def groups(tmp_path):
    """Return a folder that does not exist yet."""
    return tmp_path / "groups"


@pytest.fixture
def make_link(tmp_path):
    """Return a function that makes a symbolic link, or skip."""
    try:
        (tmp_path / "try").symlink_to(tmp_path)
    except OSError:
        pytest.skip("this system lets no ordinary user make links")
    (tmp_path / "try").unlink()
    return lambda path, target: path.symlink_to(target)


def test_copies_each_image_into_the_folder_of_its_group(home, groups):
    """Row i of the answer is image i, and the originals stay."""
    paths = _make(home, "d.jpg", "a/c.jpg", "b.jpg", "a.jpg")
    before = _contents(home)

    written = copy_to_folders(paths, [1, 0, -1, 1], groups, mode="copy")

    expected = ["group_01/d.jpg", "group_00/c.jpg", "no_group/b.jpg", "group_01/a.jpg"]
    assert _names(written, groups) == expected
    assert [p.read_bytes() for p in written] == [p.read_bytes() for p in paths]
    assert _contents(home) == before
    assert len(_contents(groups)) == 4


def test_takes_what_a_clusterer_says(blobs, home, groups):
    """The labels are used as they are."""
    clusterer = ImageClusterer(3, random_state=0).fit(blobs[0])
    paths = _make(home, *(f"{row}.jpg" for row in range(60)))

    copy_to_folders(paths, clusterer.labels_, groups)

    sizes = [len(os.listdir(groups / f"group_{label:02}")) for label in range(3)]
    assert sizes == clusterer.cluster_sizes_.tolist()


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([0, 5], ["group_00", "group_05"]),
        ([7, 100], ["group_007", "group_100"]),
        ([-1, -1], ["no_group"]),
    ],
)
def test_folders_sort_by_label(labels, expected, home, groups):
    """A file manager sorts names, not numbers."""
    copy_to_folders(_make(home, "a.jpg", "b.jpg"), labels, groups)

    assert sorted(os.listdir(groups)) == expected


def test_equal_names_get_numbers(home, groups):
    """Every camera counts from IMG_001."""
    names = ["a/1.jpg", "b/1.jpg", "c/1-2.jpg", "d/1.jpg", "e/1.jpg", "f/1", "g/1"]
    paths = [*_make(home, *names), home / "a/1.jpg"]

    written = copy_to_folders(paths, [0, 0, 0, 0, 1, 0, 0, 0], groups)

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
def test_equal_names_are_not_tried_again_and_again(home, groups, monkeypatch):
    """Ten thousand "image.jpg" must not take fifty million tries."""
    link, tries = os.symlink, []

    def count(source, target):
        tries.append(target)
        link(source, target)

    monkeypatch.setattr(os, "symlink", count)
    paths = _make(home, *(f"{row}/image.jpg" for row in range(30)))

    written = copy_to_folders(paths, [0] * 30, groups, mode="link")

    assert tries == written
    assert len(os.listdir(groups / "group_00")) == 30


@pytest.mark.parametrize(
    "name", ["x" * 251 + ".jpg", "é" * 125 + ".jpg", "x" * 255, "x." + "y" * 253]
)
def test_long_names_are_shortened_for_a_number(name, home, groups):
    """255 bytes are the limit, and an end of four is the format."""
    paths = _make(home, f"a/{name}", f"b/{name}")

    first, second = copy_to_folders(paths, [0, 0], groups)

    assert first.name == name
    assert len(os.fsencode(second.name)) <= 255
    assert second.read_bytes() == paths[1].read_bytes()
    assert second.suffix == ".jpg" or not name.endswith(".jpg")


def test_names_in_any_script_are_kept(home, groups):
    """So are spaces, quotes and a dash at the start."""
    names = ["ähre 中文.jpg", "-rf.jpg", "it's $HOME.jpg", "e\u0301.jpg", ".hidden.jpg"]
    paths = _make(home, *names)

    written = copy_to_folders(paths, [0] * 5, groups)

    assert [path.name for path in written] == names


@pytest.mark.skipif(sys.platform != "linux", reason="other systems want Unicode names")
def test_names_that_are_no_unicode_are_kept(home, groups):
    """Old archives hold names in old encodings."""
    home.mkdir()
    path = os.fsdecode(os.fsencode(home) + b"/caf\xe9.jpg")
    Path(path).touch()

    written = copy_to_folders([path, path], [0, 0], groups)

    names = [os.fsencode(path.name) for path in written]
    assert names == [b"caf\xe9.jpg", b"caf\xe9-2.jpg"]


def test_names_that_differ_in_case_are_both_kept(home, groups):
    """On some systems they are one name."""
    paths = _make(home, "a/x.jpg", "b/X.JPG")

    written = copy_to_folders(paths, [0, 0], groups)

    assert sorted(_contents(groups).values()) == [b"a/x.jpg", b"b/X.JPG"]
    assert [path.read_bytes() for path in written] == [b"a/x.jpg", b"b/X.JPG"]


def test_relative_paths_are_those_of_the_caller(home, monkeypatch):
    """Path by path as spelled; what leads there does not matter, only the last name."""
    _make(home, "sub/a.jpg")
    monkeypatch.chdir(home)

    written = copy_to_folders(["sub/../sub/a.jpg"], [0], "new/deep/groups")

    assert written == [Path("new/deep/groups/group_00/a.jpg")]
    assert (home / written[0]).read_bytes() == b"sub/a.jpg"


def test_a_copy_keeps_its_time(home, groups):
    """Viewers sort by it."""
    (path,) = _make(home, "a.jpg")
    os.utime(path, ns=(10**18, 123_456_789_000_000_000))

    (written,) = copy_to_folders([path], [0], groups)

    assert written.stat().st_mtime_ns == path.stat().st_mtime_ns


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such permissions")
@pytest.mark.parametrize(
    ("mode", "expected"),
    [(0o600, 0o600), (0o444, 0o644), (0o4755, 0o755), (0o666, 0o644)],
)
def test_a_copy_is_as_private_as_its_original(mode, expected, home, groups):
    """But not more powerful, and its owner can edit it."""
    (path,) = _make(home, "a.jpg")
    path.chmod(mode)
    umask = os.umask(0o022)

    try:
        (written,) = copy_to_folders([path], [0], groups)
    finally:
        os.umask(umask)

    assert stat.S_IMODE(written.stat().st_mode) == expected


def test_no_images_are_no_error(groups):
    """A filter may leave none."""
    assert copy_to_folders([], [], groups) == []
    assert os.listdir(groups) == []


@pytest.mark.parametrize("kind", [dict, list, tuple, np.array])
def test_groups_may_have_names(kind, home, groups):
    """Who has looked at them knows what they are."""
    given = {0: "cats", 1: "big dogs"} if kind is dict else kind(["cats", "big dogs"])
    paths = _make(home, "a.jpg", "b.jpg", "c.jpg", "d.jpg")

    written = copy_to_folders(paths, [0, 1, 2, -1], groups, names=given)

    folders = [path.parent.name for path in written]
    assert folders == ["cats", "big dogs", "group_02", "no_group"]


def test_no_group_may_have_a_name(home, groups):
    """By its label; the last of a list is not it."""
    paths = _make(home, "a.jpg")

    copy_to_folders(paths, [-1], groups, names={-1: "übrige"})

    assert os.listdir(groups) == ["übrige"]


@pytest.mark.parametrize("name", IMPOSSIBLE_NAMES)
def test_a_name_is_that_of_one_folder_anywhere(name, home, groups):
    """No name leads out of the folder, or fails on the next machine."""
    paths = _make(home, "a.jpg", "b.jpg")

    with pytest.raises(ValueError, match=r"names\[1\]=.* must be a plain name"):
        copy_to_folders(paths, [0, 1], groups, names={1: name})
    assert not groups.exists()


@pytest.mark.parametrize("names", [["Cats", "cats"], {1: "GROUP_00"}, ["é", "e\u0301"]])
def test_groups_do_not_share_a_folder(names, home, groups):
    """On some systems these are one name."""
    paths = _make(home, "a.jpg", "b.jpg")

    with pytest.raises(ValueError, match=r"same folder.* labels 0 and 1; to join"):
        copy_to_folders(paths, [0, 1], groups, names=names)


@pytest.mark.parametrize(
    ("names", "error", "words"),
    [
        ({"0": "cats"}, TypeError, "names has the key '0'"),
        ([1], TypeError, r"names\[0\]=1 must be a str"),
        ("cats", ValueError, "'names' parameter"),
        ({"cats"}, ValueError, "'names' parameter"),
    ],
)
def test_names_are_by_label(names, error, words, home, groups):
    """Labels read from JSON are str, and would match none."""
    with pytest.raises(error, match=words):
        copy_to_folders(_make(home, "a.jpg"), [0], groups, names=names)


def test_a_second_run_is_refused(home, groups):
    """Two groupings in one folder, or every image twice, is what nobody wants."""
    paths = _make(home, "a.jpg", "b.jpg")
    copy_to_folders(paths, [0, 1], groups)
    before = _contents(groups)

    with pytest.raises(FileExistsError, match=r"already has 'group_00'"):
        copy_to_folders(paths, [1, 0], groups)
    assert _contents(groups) == before


def test_what_else_the_folder_holds_is_left_alone(home):
    """Results often lie beside each other, or beside the originals."""
    paths = _make(home, "a.jpg", "sub/b.jpg")
    before = _contents(home)

    copy_to_folders(paths, [0, 1], home)

    after = _contents(home)
    assert {name: after[name] for name in before} == before
    assert len(after) == len(before) + 2


def test_what_file_managers_hide_is_left_alone(home, groups):
    """Who has opened an empty folder on a Mac has made it hold something."""
    paths = _make(home, "a.jpg")
    _make(groups, ".DS_Store")

    copy_to_folders(paths, [0], groups)

    assert _contents(groups) == {".DS_Store": b".DS_Store", "group_00/a.jpg": b"a.jpg"}


def test_an_output_may_be_the_next_input(home, groups):
    """Groups of a group, beside it."""
    written = copy_to_folders(_make(home, "a.jpg", "b.jpg"), [0, 0], groups)

    again = copy_to_folders(written, [0, 1], groups / "group_00/parts")

    assert [path.read_bytes() for path in again] == [b"a.jpg", b"b.jpg"]
    assert [path.read_bytes() for path in written] == [b"a.jpg", b"b.jpg"]


def test_a_link_to_nowhere_is_no_folder(home):
    """Nothing is made where it points to."""
    (path,) = _make(home, "a.jpg")
    link = home / "link"
    link.symlink_to(home / "nowhere")

    with pytest.raises(NotADirectoryError, match="link' is a link to nowhere"):
        copy_to_folders([path], [0], link)
    assert not (home / "nowhere").exists()


def test_a_file_is_no_folder(home):
    """It stays what it is."""
    (path,) = _make(home, "a.jpg")

    with pytest.raises(NotADirectoryError, match=r"a\.jpg' is a file"):
        copy_to_folders([path], [0], path)
    assert path.read_bytes() == b"a.jpg"


def test_links_within_the_folder_are_not_followed(home, groups, tmp_path, make_link):
    """Who can write there must not decide where else we write."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    groups.mkdir()
    make_link(groups / "group_00", elsewhere)

    with pytest.raises(FileExistsError, match=r"has 'group_00'"):
        copy_to_folders(_make(home, "a.jpg"), [0], groups)
    assert os.listdir(elsewhere) == []


def test_links_made_at_the_last_moment_are_not_followed(
    home, groups, tmp_path, make_link, monkeypatch
):
    """The folder of a group is made, or it is not ours."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    groups.mkdir()
    make_link(groups / "group_00", elsewhere)
    monkeypatch.setattr(os.path, "lexists", lambda path: False)

    with pytest.raises(FileExistsError, match=r"another program made .*group_00"):
        copy_to_folders(_make(home, "a.jpg"), [0], groups)
    monkeypatch.undo()
    assert os.listdir(elsewhere) == []


def test_a_file_made_meanwhile_is_kept(home, groups, make_link, monkeypatch):
    """Also one that is a link to nothing, which plain opening would write through."""
    paths = _make(home, "first.jpg", "a.jpg", "b.jpg")
    copy = shutil.copyfileobj

    def copy_and_plant(*args):
        if not (groups / "group_00/a.jpg").exists():
            _make(groups, "group_00/a.jpg")
            make_link(groups / "group_00/b.jpg", home / "nothing.jpg")
        copy(*args)

    monkeypatch.setattr(shutil, "copyfileobj", copy_and_plant)
    written = copy_to_folders(paths, [0, 0, 0], groups)

    assert [path.name for path in written] == ["first.jpg", "a-2.jpg", "b-2.jpg"]
    assert (groups / "group_00/a.jpg").read_bytes() == b"group_00/a.jpg"
    assert not (home / "nothing.jpg").exists()


def test_of_two_runs_at_once_no_file_is_lost(home, groups):
    """Each is whole, or says that the folder is taken."""
    names = [f"{row}/{row % 7}.jpg" for row in range(100)]
    paths = _make(home, *names)
    start = threading.Barrier(2)
    outcomes = []

    def run():
        start.wait()
        try:
            outcomes.append(copy_to_folders(paths, [0] * 100, groups))
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
    assert len(_contents(groups)) == 100


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("gone.jpg", FileNotFoundError, "does not exist"),
        ("folder.jpg", ValueError, "must be a regular file"),
        ("a.jpg/", ValueError, "must end with the name of a file"),
        ("folder.jpg/..", ValueError, "must end with the name of a file"),
        ("folder.jpg/.", ValueError, "must end with the name of a file"),
        ("a\0.jpg", ValueError, "must end with the name of a file"),
    ],
)
def test_all_originals_are_looked_at_first(name, error, words, home, groups):
    """Half an export of a wrong list helps nobody."""
    _make(home, "a.jpg", "folder.jpg/b.jpg")
    paths = [home / "a.jpg", f"{home}/{name}"]

    with pytest.raises(error, match=rf"paths\[1\]=.*{words}"):
        copy_to_folders(paths, [0, 1], groups)
    assert not groups.exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
def test_pipes_are_not_waited_for(home, groups):
    """Nor are devices read, some of which never end."""
    home.mkdir()
    os.mkfifo(home / "pipe.jpg")

    for path in [home / "pipe.jpg", "/dev/zero"]:
        with pytest.raises(ValueError, match=r"a pipe or a device"):
            copy_to_folders([path], [0], groups)


def test_labels_and_paths_are_checked_first(home, groups):
    """As for a table of them."""
    (path,) = _make(home, "a.jpg")

    with pytest.raises(ValueError, match=r"paths has 1 entries and labels has 2"):
        copy_to_folders([path], [0, 1], groups)
    with pytest.raises(TypeError, match=r"labels must be integers"):
        copy_to_folders([path], [0.5], groups)
    with pytest.raises(TypeError, match=r"paths\[0\] must be a str or path-like"):
        copy_to_folders([b"\xff\xd8"], [0], groups)
    with pytest.raises(ValueError, match=r"'mode' parameter.*'copy', 'link'|'move'"):
        copy_to_folders([path], [0], groups, mode="move")
    assert not groups.exists()


@pytest.fixture
def fail_within(monkeypatch):
    """Return a function that lets copying fail within the file of a given name."""
    copy = shutil.copyfileobj

    def arrange(name, error):
        def copy_half(original, target, length):
            if original.name.endswith(name):
                target.write(original.read(1))
                raise error
            copy(original, target, length)

        monkeypatch.setattr(shutil, "copyfileobj", copy_half)

    return arrange


def test_a_file_that_cannot_be_read_leaves_nothing(home, groups, fail_within):
    """What was whole before stays, and both files are named."""
    paths = _make(home, "a.jpg", "b.jpg", "c.jpg")
    fail_within("b.jpg", OSError(errno.EIO, "broken disk"))

    with pytest.raises(OSError, match=r"broken disk: .*b\.jpg' -> .*b\.jpg'"):
        copy_to_folders(paths, [0, 0, 0], groups)
    assert _contents(groups) == {"group_00/a.jpg": b"a.jpg"}


def test_an_interrupt_leaves_nothing_half_written(home, groups, fail_within):
    """Who presses Ctrl-C may keep what is there."""
    paths = _make(home, "a.jpg", "b.jpg")
    fail_within("b.jpg", KeyboardInterrupt())

    with pytest.raises(KeyboardInterrupt):
        copy_to_folders(paths, [0, 0], groups)
    assert _contents(groups) == {"group_00/a.jpg": b"a.jpg"}


def test_an_original_that_vanishes_is_named(home, groups, monkeypatch):
    """It may do so while others are copied."""
    paths = _make(home, "a.jpg", "b.jpg")
    copy = shutil.copyfileobj

    def copy_and_delete(*args):
        copy(*args)
        paths[1].unlink()

    monkeypatch.setattr(shutil, "copyfileobj", copy_and_delete)
    with pytest.raises(FileNotFoundError, match=r"b\.jpg' -> .*b\.jpg'"):
        copy_to_folders(paths, [0, 0], groups)
    assert _contents(groups) == {"group_00/a.jpg": b"a.jpg"}


@pytest.mark.skipif(
    os.name != "posix" or os.geteuid() == 0, reason="root may write and read all"
)
def test_a_folder_that_cannot_be_written_is_named(home, tmp_path):
    """By the error of the system, which says why."""
    paths = _make(home, "a.jpg")
    (tmp_path / "closed").mkdir(mode=0o500)

    with pytest.raises(PermissionError, match="closed"):
        copy_to_folders(paths, [0], tmp_path / "closed/groups")


@pytest.mark.usefixtures("make_link")
def test_links_lead_to_the_originals(home, groups, monkeypatch):
    """From wherever one comes."""
    paths = _make(home, "a/1.jpg", "b/1.jpg")
    monkeypatch.chdir(home)

    written = copy_to_folders(["a/1.jpg", "b/1.jpg"], [0, 0], groups, mode="link")

    assert _names(written, groups) == ["group_00/1.jpg", "group_00/1-2.jpg"]
    assert [Path(os.readlink(path)) for path in written] == paths


def test_a_linked_original_is_copied(home, groups, make_link):
    """A collection of links becomes one of files."""
    (path,) = _make(home, "a.jpg")
    make_link(home / "b.jpg", path)

    (written,) = copy_to_folders([home / "b.jpg"], [0], groups)

    assert written.name == "b.jpg"
    assert not written.is_symlink()
    assert written.read_bytes() == b"a.jpg"


def test_without_links_copies_are_the_way_out(home, groups, monkeypatch):
    """Windows wants a privilege, and memory cards know none."""

    def refuse(source, target):
        raise OSError(errno.EPERM, "not permitted")

    monkeypatch.setattr(os, "symlink", refuse)
    with pytest.raises(PermissionError, match=r"mode='copy'.*a\.jpg"):
        copy_to_folders(_make(home, "a.jpg"), [0], groups, mode="link")
