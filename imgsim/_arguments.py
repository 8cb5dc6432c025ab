"""The arguments of the command line."""

import argparse
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

__all__ = ["PACKAGED_MODEL", "parse_arguments"]

PACKAGED_MODEL = "tf_efficientnet_lite0"
_MAX_DISTANCE = 2.0  # of cosine

_DESCRIPTION = """\
Find similar images and copies, cluster a folder of photographs, and browse the results.
No command deletes, moves or overwrites an image.
"""
_EPILOG = """\
Exit status: 0 if the command found something, 1 if it found nothing, 2 after an error,
130 after an interrupt. Embeddings in the cache are kept.

Example: imgsim similar holiday.jpg --in ~/Pictures
"""


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options of a command, or leave the program with a message.

    `command` is the name of the command. None for `arguments` means the arguments of
    the process.
    """
    parser = argparse.ArgumentParser(
        "imgsim",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    package = version("scikit-imgsim")
    parser.add_argument("--version", action="version", version=package)
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    _add_similar(commands)
    _add_duplicates(commands)
    _add_groups(commands)
    _add_gallery(commands)
    _add_embed(commands)
    return parser.parse_args(arguments)


def _add_similar(commands: Any) -> None:
    parser = _add_command(
        commands, "similar", "similar holiday.jpg --in ~/Pictures -k 5",
        "find the images of a folder that are most similar to each query",
    )  # fmt: skip
    parser.add_argument("queries", nargs="+", type=Path, metavar="query")
    parser.add_argument(
        "--in", dest="folder", type=Path, required=True, help="folder to search"
    )
    parser.add_argument(
        "-k",
        type=_at_least_one,
        default=10,
        help="number of images for each query, at least 1 (default: 10)",
    )
    parser.add_argument(
        "--max-distance",
        type=_distance,
        help="largest cosine distance, in [0, 2] (default: no limit)",
    )


def _add_duplicates(commands: Any) -> None:
    parser = _add_command(
        commands, "duplicates", "duplicates ~/Pictures",
        "find copies and near copies, and change nothing",
    )  # fmt: skip
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--against",
        type=Path,
        metavar="folder",
        help="list only copies of images in this folder, which are the ones to keep",
    )
    parser.add_argument(
        "--max-distance", type=_distance, help="largest cosine distance (default: 0.21)"
    )


def _add_groups(commands: Any) -> None:
    parser = _add_command(
        commands, "groups", "groups ~/Pictures --copy-to sorted",
        "cluster the images of a folder",
    )  # fmt: skip
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "-k", type=_at_least_one, help="number of groups (default: automatic)"
    )
    parser.add_argument(
        "--copy-to", type=Path, metavar="folder", help="copy each group to a subfolder"
    )


def _add_gallery(commands: Any) -> None:
    parser = _add_command(
        commands, "gallery", "gallery ~/Pictures -o photos.html",
        "write a web page on which the images can be browsed",
    )  # fmt: skip
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("photos.html"),
        help="page to write (default: photos.html)",
    )


def _add_embed(commands: Any) -> None:
    parser = _add_command(
        commands, "embed", "embed ~/Pictures -o rows.parquet",
        "write the embeddings of the images to a file",
    )  # fmt: skip
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="file to write: .parquet, .csv, .npy",
    )


def _at_least_one(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be an integer, at least 1")
    return value


def _distance(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= _MAX_DISTANCE:
        raise argparse.ArgumentTypeError(f"{text!r} must be a number in [0, 2]")
    return value


def _add_command(
    commands: Any, name: str, example: str, description: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=description,
        description=f"{description[0].upper()}{description[1:]}.",
        epilog=f"Example: imgsim {example}",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--model",
        help=f"name of a timm model (default: {PACKAGED_MODEL} if its weights are "
        f"installed, else resnet50)",
    )
    parser.add_argument(
        "--no-cache", action="store_true", help="neither use nor keep embeddings"
    )
    return parser
