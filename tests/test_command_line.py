"""The command line gives the answers of the library, and never changes a folder."""

import json
import subprocess
import sys

import numpy as np
import polars
import pytest
from embedders import assert_embeddings_close
from PIL import Image

from imgsim import ImageEmbedder, SimilarityIndex
from imgsim.__main__ import main


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    """Keep the cache of each test in a folder of its own."""
    folder = tmp_path / "cache"
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA", "HOME"):
        monkeypatch.setenv(name, str(folder))
    return folder


@pytest.fixture
def folder(tmp_path, pictures):
    """Return a folder with twelve images, a copy of one and a file that is broken."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for i, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"{i:02}.png")
    (folder / "more/copy.png").write_bytes((folder / "03.png").read_bytes())
    (folder / "broken.jpg").write_bytes(b"no image")
    return folder


def _run(capsys, *arguments):
    status = main([str(argument) for argument in arguments])
    return status, *capsys.readouterr()


def _contents(folder):
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path: path.read_bytes() for path in files}


def test_similar_images_are_those_of_the_index(folder, capsys):
    """The command is a thin layer over the library."""
    paths = sorted(folder.glob("*.png"))
    X = ImageEmbedder("tf_efficientnet_lite0").fit_transform(paths)
    distances, ids = SimilarityIndex().fit(X[1:], ids=paths[1:]).search(X[:1], 3)
    (folder / "more/copy.png").unlink()

    status, output, _ = _run(
        capsys, "similar", paths[0], "--in", folder, "-k", 3, "--json"
    )

    assert status == 0
    (result,) = json.loads(output)["results"]
    assert [near["path"] for near in result["similar"]] == [str(i) for i in ids[0]]
    np.testing.assert_allclose(
        [near["distance"] for near in result["similar"]], distances[0], atol=1e-4
    )


def test_no_similar_image_has_a_status_of_its_own(folder, capsys):
    """Scripts distinguish an empty answer from an error."""
    query = folder / "00.png"

    status, output, _ = _run(
        capsys, "similar", query, "--in", folder, "--max-distance", 0
    )

    assert status == 1
    assert "no similar images" in output


def test_copies_are_listed_and_nothing_is_changed(folder, capsys):
    """The owner of the photographs decides what is deleted."""
    before = _contents(folder)

    status, output, errors = _run(
        capsys, "duplicates", folder, "--max-distance", 1e-4, "--json"
    )

    assert status == 0
    (group,) = json.loads(output)["groups"]
    assert group["kept"] == str(folder / "03.png")
    assert group["copies"] == [str(folder / "more/copy.png")]
    assert "No file was changed" in errors
    assert _contents(folder) == before


def test_against_lists_only_copies_of_another_folder(folder, tmp_path, capsys):
    """New photographs are compared with those that are kept."""
    new = tmp_path / "new"
    new.mkdir()
    (new / "again.png").write_bytes((folder / "05.png").read_bytes())
    (new / "unknown.png").write_bytes((folder / "more/copy.png").read_bytes()[::-1])

    status, output, _ = _run(
        capsys, "duplicates", new, "--against", folder, "--max-distance", 1e-4, "--json"
    )

    assert status == 0
    (group,) = json.loads(output)["groups"]
    assert (group["kept"], group["copies"]) == (
        str(folder / "05.png"),
        [str(new / "again.png")],
    )


def test_the_largest_file_is_kept(folder, capsys):
    """A recompressed or smaller copy is not the one to keep."""
    large = folder / "large.png"
    with Image.open(folder / "07.png") as image:
        image.save(large, compress_level=0)

    _, output, _ = _run(capsys, "duplicates", folder, "--max-distance", 1e-4, "--json")

    groups = json.loads(output)["groups"]
    assert {"kept": str(large), "copies": [str(folder / "07.png")]} in [
        {name: group[name] for name in ("kept", "copies")} for group in groups
    ]


def test_groups_contain_every_image_once(folder, tmp_path, capsys):
    """Copies of the groups are the only files that are written."""
    before = _contents(folder)

    status, output, _ = _run(
        capsys, "groups", folder, "-k", 2, "--copy-to", tmp_path / "sorted", "--json"
    )

    assert status == 0
    answer = json.loads(output)
    listed = [path for group in answer["groups"] for path in group["paths"]]
    assert sorted(listed + answer["noise"]) == sorted(map(str, folder.rglob("*.png")))
    assert len(list((tmp_path / "sorted").rglob("*.png"))) == 13
    assert _contents(folder) == before


@pytest.mark.parametrize("k", [1, 3, 7])
def test_the_number_of_groups_is_the_one_asked_for(k, folder, capsys):
    """The graph of neighbors of a few images does not have any number of clusters."""
    status, output, _ = _run(capsys, "groups", folder, "-k", k, "--json")

    assert status == 0
    assert len(json.loads(output)["groups"]) == k


def test_the_gallery_is_written(folder, tmp_path, capsys):
    """The page shows the images, also those of a folder with one image."""
    single = tmp_path / "single"
    single.mkdir()
    (single / "only.png").write_bytes((folder / "05.png").read_bytes())
    for images in (folder, single):
        page = tmp_path / "photos.html"

        status, output, _ = _run(capsys, "gallery", images, "-o", page)

        assert status == 0
        assert str(page) in output
        assert "</html>" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("suffix", [".npy", ".csv", ".parquet"])
def test_embeddings_are_written_with_their_paths(suffix, folder, tmp_path, capsys):
    """Rows without the images that they belong to would be useless."""
    file = tmp_path / f"rows{suffix}"
    paths = [str(path) for path in sorted(folder.rglob("*.png"))]
    expected = ImageEmbedder("tf_efficientnet_lite0").fit_transform(paths)

    status, output, _ = _run(capsys, "embed", folder, "-o", file, "--json")

    assert status == 0
    assert json.loads(output)["paths"] == paths
    if suffix == ".npy":
        X, names = np.load(file), json.loads((tmp_path / "rows.paths.json").read_text())
    elif suffix == ".csv":
        frame = polars.read_csv(file)
        X, names = frame.drop("path").to_numpy(), frame["path"].to_list()
    else:
        frame = polars.read_parquet(file)
        X, names = frame["embedding"].to_numpy(), frame["path"].to_list()
    assert names == paths
    assert_embeddings_close(X, expected)


def test_paths_are_not_shortened(folder, capsys):
    """A path that is cut in the middle cannot be opened."""
    deep = folder / ("a long name " * 12) / "image.png"
    deep.parent.mkdir()
    (folder / "03.png").rename(deep)

    _, output, _ = _run(capsys, "similar", folder / "04.png", "--in", folder, "-k", 50)

    assert str(deep) in output


def test_copies_are_not_made_among_the_photographs(folder, capsys):
    """The next command would find each photograph twice."""
    before = _contents(folder)

    status, _, errors = _run(capsys, "groups", folder, "--copy-to", folder / "new")

    assert status == 2
    assert "outside" in errors
    assert _contents(folder) == before


def test_a_folder_is_compared_with_the_one_that_contains_it(folder, capsys):
    """An image is not a copy of itself."""
    status, output, _ = _run(
        capsys, "duplicates", folder, "--against", folder / "more", "--json"
    )
    same, _, errors = _run(capsys, "duplicates", folder, "--against", folder)

    assert status == 0
    (group,) = json.loads(output)["groups"]
    assert group["kept"] == str(folder / "more/copy.png")
    assert same == 2
    assert "every image" in errors


def test_a_single_image_has_no_group(tmp_path, folder, capsys):
    """The status is that of a command that found nothing."""
    single = tmp_path / "single"
    single.mkdir()
    (single / "only.png").write_bytes((folder / "05.png").read_bytes())

    assert _run(capsys, "groups", single)[0] == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["groups", ".", "-k", "0"],
        ["similar", "a.png", "--in", ".", "-k", "two"],
        ["similar", "a.png", "--in", ".", "--max-distance", "nan"],
        ["duplicates", ".", "--max-distance", "3"],
    ],
)
def test_invalid_numbers_are_refused_at_once(arguments, capsys):
    """The message names the option and its range."""
    with pytest.raises(SystemExit) as exit_:
        main(arguments)

    assert exit_.value.code == 2
    assert f"argument {arguments[-2]}: {arguments[-1]!r} must be" in (
        capsys.readouterr().err
    )


def test_unreadable_images_are_listed(folder, capsys):
    """A broken file must not hide the answer for the others."""
    _, output, errors = _run(capsys, "groups", folder, "--json")

    (failure,) = json.loads(output)["unreadable"]
    assert failure["path"] == str(folder / "broken.jpg")
    assert failure["reason"] in errors
    assert "1 of 14 images" in errors


def test_the_second_run_uses_the_cache(folder, cache_folder, capsys, caplog):
    """A command that is repeated must not embed the images again."""
    _run(capsys, "groups", folder, "--no-cache")
    assert not cache_folder.exists()

    _run(capsys, "groups", folder)
    with caplog.at_level("INFO", "imgsim"):
        _run(capsys, "groups", folder)

    assert "13 from the cache" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["groups", "missing"], "folder='missing' does not exist"),
        (["embed", ".", "-o", "rows.xyz"], "must end in .parquet, .csv, .npy"),
        (["embed", ".", "-o", "missing/rows.npy"], "missing"),
        (["similar", "missing.jpg", "--in", "."], "contains no images"),
        (["gallery", ".", "--model", "resnet_50"], "contains no images"),
    ],
)
def test_errors_are_one_line(arguments, message, tmp_path, monkeypatch, capsys):
    """A traceback helps nobody who types a command."""
    monkeypatch.chdir(tmp_path)

    status, output, errors = _run(capsys, *arguments)

    assert status == 2
    assert output == ""
    assert message in errors
    assert errors.startswith("imgsim: error: ")
    assert errors.count("\n") == 1


def test_an_interrupt_leaves_no_traceback(folder, monkeypatch, capsys):
    """Ctrl-C is an ordinary way to end a command."""

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("imgsim.__main__.SimilarityIndex.search", interrupt)

    status, _, errors = _run(capsys, "similar", folder / "00.png", "--in", folder)

    assert status == 130
    assert "interrupted" in errors


@pytest.mark.parametrize(
    "command", ["similar", "duplicates", "groups", "gallery", "embed"]
)
def test_the_help_of_each_command_shows_an_example(command, capsys):
    """An example is read before the list of options."""
    with pytest.raises(SystemExit) as exit_:
        main([command, "--help"])

    assert exit_.value.code == 0
    assert f"Example: imgsim {command} " in capsys.readouterr().out


def test_the_module_runs_as_a_program():
    """`python -m imgsim` is the same as the command."""
    command = [sys.executable, "-m", "imgsim", "--version"]

    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert output.strip()
