"""A file is replaced as a whole, or not at all."""

import errno
import os
import stat
import subprocess
import sys

import pytest

from imgsim._atomic_file import check_characters, check_target, replace_file

posix_only = pytest.mark.skipif(os.name != "posix", reason="needs a POSIX system")


def _write(path, content=b"new"):
    with replace_file(path) as file:
        file.write(content)


@pytest.fixture
def target(tmp_path):
    """Return the path of an existing file, the only one in its folder."""
    path = tmp_path / "target"
    path.write_bytes(b"old")
    return path


def test_the_file_is_replaced_when_the_block_ends(target):
    """Until then, readers see the old content."""
    with replace_file(target) as file:
        file.write(b"new")
        file.flush()
        assert target.read_bytes() == b"old"

    assert target.read_bytes() == b"new"
    assert os.listdir(target.parent) == ["target"]


def test_a_file_may_be_new(tmp_path):
    """There is nothing to replace at the first save."""
    _write(tmp_path / "target")

    assert (tmp_path / "target").read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["target"]


@posix_only
def test_a_link_can_be_replaced_instead_of_followed(target):
    """In a shared folder, it may have been created by another user."""
    link = target.with_name("link")
    link.symlink_to(target)
    target.chmod(0o777)

    with replace_file(link, follow_link=False) as file:
        file.write(b"new")

    assert target.read_bytes() == b"old"
    assert link.read_bytes() == b"new"
    assert not link.is_symlink()
    assert stat.S_IMODE(link.stat().st_mode) != 0o777


def test_the_file_may_be_written_in_any_order(target):
    """A header may be written last, when the checksums are known."""
    with replace_file(target) as file:
        file.seek(3)
        file.write(b"data")
        file.seek(0)
        file.write(b"abc")

    assert target.read_bytes() == b"abcdata"


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()], ids=repr)
def test_an_error_in_the_block_keeps_the_old_file(target, error):
    """Neither a full disk nor an interrupt may cost the old file."""

    def fail():
        with replace_file(target) as file:
            file.write(b"half of the")
            raise error

    with pytest.raises(type(error)):
        fail()

    assert target.read_bytes() == b"old"
    assert os.listdir(target.parent) == ["target"]


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_an_error_after_the_block_keeps_the_old_file(target, monkeypatch, step, error):
    """The disk may be full when the content is flushed."""

    def fail(*args):
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(os, step, fail)
        with pytest.raises(type(error)):
            _write(target)

    assert target.read_bytes() == b"old"
    assert os.listdir(target.parent) == ["target"]


def test_a_failed_first_save_leaves_no_file(tmp_path):
    """The next program must not find half a file."""
    with pytest.raises(OSError, match="disk full"), replace_file(tmp_path / "target"):
        raise OSError("disk full")

    assert os.listdir(tmp_path) == []


def test_content_is_on_the_disk_before_the_file_is_replaced(target, monkeypatch):
    """After a power failure, the file must not be empty."""
    steps = []
    for step in ("fsync", "replace"):
        call = getattr(os, step)
        monkeypatch.setattr(
            os, step, lambda *args, s=step, c=call: steps.append(s) or c(*args)
        )

    _write(target)

    assert steps[:2] == ["fsync", "replace"]


def test_a_folder_that_cannot_be_synced_is_accepted(target, monkeypatch):
    """Some file systems do not support it, and the file has been replaced by then."""
    fsync = os.fsync

    def sync_files_only(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError("not supported")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", sync_files_only)

    _write(target)

    assert target.read_bytes() == b"new"


@posix_only
def test_a_new_file_has_the_permissions_of_the_umask(tmp_path):
    """Other programs create files in the same way."""
    old = os.umask(0o027)
    try:
        _write(tmp_path / "target")
    finally:
        os.umask(old)

    assert stat.S_IMODE((tmp_path / "target").stat().st_mode) == 0o640


@posix_only
@pytest.mark.parametrize("mode", [0o600, 0o666])
def test_permissions_are_kept(target, mode):
    """A private file must stay private, and a shared one shared."""
    target.chmod(mode)

    with replace_file(target) as file:
        (temporary,) = target.parent.glob(".target.*")
        assert stat.S_IMODE(temporary.stat().st_mode) == mode
        file.write(b"new")

    assert stat.S_IMODE(target.stat().st_mode) == mode


@posix_only
@pytest.mark.parametrize("exists", [True, False])
def test_a_symbolic_link_is_followed(tmp_path, exists):
    """The link stays, and the file that it points to is replaced."""
    (tmp_path / "data").mkdir()
    file, link = tmp_path / "data" / "file", tmp_path / "link"
    if exists:
        file.write_bytes(b"old")
    link.symlink_to(file)

    _write(link)

    assert link.is_symlink()
    assert file.read_bytes() == b"new"
    assert os.listdir(file.parent) == ["file"]


def test_temporary_names_are_random(target):
    """A name that can be guessed could be taken by another user."""
    names = set()
    for _ in range(3):
        with replace_file(target):
            names |= {path.name for path in target.parent.glob(".target.*.tmp")}

    assert len(names) == 3


@posix_only
def test_a_link_at_the_temporary_name_is_not_followed(target, tmp_path, monkeypatch):
    """Another user could otherwise choose which file is overwritten."""
    monkeypatch.setattr("secrets.token_hex", lambda n: "0" * 2 * n)
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    planted = tmp_path / f".target.{'0' * 16}.tmp"
    planted.symlink_to(victim)

    with pytest.raises(FileExistsError):
        _write(target)

    assert victim.read_bytes() == b"precious"
    assert target.read_bytes() == b"old"
    assert planted.is_symlink()


@pytest.mark.parametrize("name", ["target", "t" * 255, "é" * 127])
def test_names_may_be_relative_and_long(tmp_path, monkeypatch, name):
    """The temporary name must not exceed the limit of the file system."""
    monkeypatch.chdir(tmp_path)

    _write(name)

    assert (tmp_path / name).read_bytes() == b"new"


def test_two_writers_do_not_mix_their_content(target):
    """The file that is completed last wins."""
    with replace_file(target) as first:
        first.write(b"first")
        _write(target, b"second")
        assert target.read_bytes() == b"second"

    assert target.read_bytes() == b"first"
    assert os.listdir(target.parent) == ["target"]


def test_a_target_in_a_missing_folder_is_refused(tmp_path):
    """The error is raised before the content is computed."""
    with pytest.raises(FileNotFoundError, match=r"create it first: .*none"):
        check_target(tmp_path / "none" / "target")


def test_a_folder_is_not_a_target(tmp_path):
    """The error is raised before the content is computed."""
    with pytest.raises(IsADirectoryError, match="not a regular file"):
        check_target(tmp_path)


@posix_only
def test_a_device_is_not_a_target():
    """Replacing `/dev/null` by a file would break other programs."""
    with pytest.raises(OSError, match="not a regular file"):
        check_target("/dev/null")


def test_a_file_and_a_new_name_are_targets(target):
    """Both may be written."""
    check_target(target)
    check_target(target.parent / "new")


@pytest.mark.parametrize(
    "code", ["ENOSPC", "EDQUOT", "EFBIG", "EIO", "EROFS", "ENAMETOOLONG", "EACCES"]
)
@pytest.mark.parametrize("step", ["open", "block", "fsync", "replace"])
def test_the_error_names_the_target(target, monkeypatch, step, code):
    """The system names the temporary file, or no file at all."""
    number = getattr(errno, code)

    def fail(*args):
        files = {"open": args[:1], "replace": (args[0], None, args[-1])} if args else {}
        raise OSError(number, os.strerror(number), *files.get(step, ()))

    def write():
        with replace_file(target) as file:
            file.write(b"new")
            if step == "block":
                fail()

    with monkeypatch.context() as patched:
        if step == "open":
            patched.setattr("builtins.open", fail)
        elif step != "block":
            patched.setattr(os, step, fail)
        with pytest.raises(OSError, match="target") as caught:
            write()

    assert caught.value.errno == number
    assert caught.value.filename == os.fspath(target)
    assert caught.value.filename2 is None
    assert str(caught.value).endswith(f"{os.strerror(number)}: {str(target)!r}")
    assert target.read_bytes() == b"old"
    assert os.listdir(target.parent) == ["target"]


def test_an_error_without_a_number_names_the_target(target):
    """NumPy raises such an error if it cannot write an array."""
    message = r"^9 requested and 3 written: '.*target'$"

    with pytest.raises(OSError, match=message), replace_file(target):
        raise OSError("9 requested and 3 written")


def test_an_error_of_another_file_keeps_its_name(target):
    """The content may be read from a file that is missing."""
    missing = target.parent / "missing"

    with pytest.raises(FileNotFoundError) as caught, replace_file(target):
        missing.read_bytes()

    assert caught.value.filename == str(missing)


def test_the_error_names_the_link_as_it_was_passed(tmp_path, monkeypatch):
    """The user knows the link, and may not know its target."""
    link = tmp_path / "link"
    try:
        link.symlink_to(tmp_path / "none" / "file")
    except OSError:
        pytest.skip("this system does not let ordinary users create symbolic links")
    monkeypatch.chdir(tmp_path)

    with pytest.raises(FileNotFoundError) as caught:
        _write("link")

    assert caught.value.filename == "link"


@pytest.mark.parametrize("name", ["\ud800", "a\0b"], ids=ascii)
@pytest.mark.parametrize("check", [check_characters, check_target, _write])
def test_impossible_names_are_refused(name, check):
    """The error would otherwise be one of an encoding."""
    with pytest.raises(ValueError, match=r"the path '.*' contains a character"):
        check(name)


_WRITE_TOO_MUCH = """
import errno, os, resource, tempfile
from pathlib import Path
import numpy as np
from imgsim import SimilarityIndex, copy_to_folders
from imgsim.display import write_gallery
from imgsim.export import Table

with tempfile.TemporaryDirectory() as home:
    folder = Path(home)
    (folder / "1.jpg").write_bytes(b"small")
    (folder / "2.jpg").write_bytes(bytes(50_000))
    noise = np.random.default_rng(0).integers(0, 256, (100, 99, 3), dtype=np.uint8)
    writers = {
        "table.csv": Table(row=np.arange(10_000)).to_csv,
        "page.html": lambda path: write_gallery(path, [noise] * 9),
        "index.imgsim": SimilarityIndex().fit(np.ones((1000, 16))).save,
    }
    for name in writers:
        (folder / name).write_text("old")
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    for name, write in writers.items():
        try:
            write(folder / name)
        except OSError as error:
            assert error.errno == errno.EFBIG, error
            assert error.filename == str(folder / name), error
            assert str(error).endswith(f"{name}'"), error
        else:
            raise AssertionError(f"{name} was written")
        assert (folder / name).read_text() == "old"
    images = [folder / "1.jpg", folder / "2.jpg"]
    try:
        copy_to_folders(images, [0, 0], folder / "out")
    except OSError as error:
        assert error.errno == errno.EFBIG, error
        assert error.filename2.endswith("2.jpg"), error
    else:
        raise AssertionError("the image was copied")
    assert os.listdir(folder / "out/cluster_00") == ["1.jpg"]
    assert len(os.listdir(folder)) == len(writers) + 3
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of files are of Linux")
def test_every_writer_names_the_file_that_does_not_fit():
    """No writer may leave half a file or damage the old one."""
    done = subprocess.run(
        [sys.executable, "-c", _WRITE_TOO_MUCH],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
