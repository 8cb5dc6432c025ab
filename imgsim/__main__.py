"""The command line `imgsim`, which calls the public functions of the library."""

import argparse
import json
import os
import sys
import textwrap
import warnings
from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np
from numpy.typing import NDArray

from imgsim._arguments import PACKAGED_MODEL, parse_arguments
from imgsim._atomic_file import check_target, replace_file
from imgsim._optional import import_optional
from imgsim._typing import EmbeddingArray
from imgsim.cluster import ImageClusterer
from imgsim.display import write_gallery
from imgsim.duplicates import find_duplicates
from imgsim.embedding import ImageEmbedder
from imgsim.embedding.cache._sqlite_file import CACHE_FORMAT_VERSION
from imgsim.embedding.pretrained._packaged_weights import find_packaged_weights
from imgsim.exceptions import ImageReadWarning, ImgsimError, WeakClustersWarning
from imgsim.export import Table, copy_to_folders
from imgsim.images import list_images
from imgsim.images._read import describe_source
from imgsim.images.listing._file_identity import identify_source
from imgsim.index import SimilarityIndex

FOUND, NOT_FOUND, FAILED, INTERRUPTED = 0, 1, 2, 130
_MIN_IMAGES_TO_CLUSTER = 3


class _NothingFoundError(Exception):
    """The command found nothing, for the reason that the message states."""


class _Collection(NamedTuple):
    """The readable images, their embeddings, and the images that cannot be read."""

    paths: list[str]
    X: EmbeddingArray
    unreadable: list[dict[str, str]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, and return the exit status.

    Parameters
    ----------
    arguments : sequence of str, default=None
        Arguments after the name of the program. None means those of the process.

    Returns
    -------
    status : int
        0 if something was found, 1 if nothing was found, 2 after an error, and 130
        after an interrupt.
    """
    for stream in (sys.stdout, sys.stderr):
        # Names of files may contain characters that a terminal cannot show.
        with suppress(AttributeError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    options = parse_arguments(arguments)
    try:
        with _warnings_on_one_line():
            status = _COMMANDS[options.command](options)
            sys.stdout.flush()
            return status
    except KeyboardInterrupt:
        kept = "" if options.no_cache else " The next run uses the cached embeddings."
        _tell(f"interrupted.{kept}")
        if arguments is None:
            # Native threads of torch that are still running may abort a normal exit.
            os._exit(INTERRUPTED)
        return INTERRUPTED
    except _NothingFoundError as error:
        _tell(str(error))
        return NOT_FOUND
    except BrokenPipeError:
        # The reader, such as `head`, closed the pipe. Python flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FOUND
    except (ImgsimError, OSError, ValueError, ImportError, MemoryError) as error:
        _tell(f"error: {error or type(error).__name__}")
        return FAILED


def _run_similar(options: argparse.Namespace) -> int:
    in_folder = _list_folder(options.folder)
    # A query that cannot be read ends the command before the folder is embedded.
    queries = _embed([str(query) for query in options.queries], options)
    collection = _embed(in_folder, options)
    index = SimilarityIndex().fit(collection.X, ids=collection.paths)
    # A query that lies in the folder is not similar to itself.
    ids_of_file = defaultdict(list)
    for path in collection.paths:
        ids_of_file[_identify(path)].append(path)
    same = [ids_of_file[_identify(query)] for query in queries.paths]
    distances, ids = index.search(
        queries.X, options.k, options.max_distance, exclude_ids=same
    )
    if options.json:
        results = [
            {"query": query, "similar": _as_records(path=paths, distance=near)}
            for query, near, paths in zip(queries.paths, distances, ids, strict=True)
        ]
        unreadable = collection.unreadable + queries.unreadable
        _print_json(results=results, unreadable=unreadable)
    else:
        for query, near, paths in zip(queries.paths, distances, ids, strict=True):
            n_similar = _count(paths.tolist(), "similar image", "similar images")
            print(f"{query}: {n_similar}")
            _print_table(distance=near, path=paths)
    return FOUND if any(map(len, ids)) else NOT_FOUND


def _run_duplicates(options: argparse.Namespace) -> int:
    known = [] if options.against is None else _list_folder(options.against)
    known_files = {_identify(path) for path in known}
    in_folder = _list_folder(options.folder)
    own = [path for path in in_folder if _identify(path) not in known_files]
    if not own:
        raise ValueError(
            f"every image of {str(options.folder)!r} is also in "
            f"{str(options.against)!r}: pass another folder with --against."
        )
    collection = _embed(known + own, options)
    paths = collection.paths
    reference = set(known)
    # The largest file of a group is kept. Files of the other folder come first.
    sizes = np.array([os.path.getsize(path) for path in paths], dtype=np.float64)
    sizes[[path in reference for path in paths]] += sizes.max() + 1
    groups = find_duplicates(
        collection.X, options.max_distance, ids=paths, images=paths, keep=sizes
    )
    if options.against is not None:
        groups = [g for g in groups if 0 < len(reference.intersection(g.ids)) < len(g)]
    if options.json:
        records = [
            {"kept": group.kept, "copies": group.extra, "max_distance": group.distance}
            for group in groups
        ]
        _print_json(groups=records, unreadable=collection.unreadable)
    else:
        for group in groups:
            n_copies = _count(group.extra, "copy", "copies")
            print(f"{group.kept}: {n_copies}, distances up to {group.distance:.3f}")
            print(textwrap.indent("\n".join(group.extra), "  "))
    _tell(f"{_count(groups, 'group', 'groups')} of copies. No file was changed.")
    return FOUND if groups else NOT_FOUND


def _run_groups(options: argparse.Namespace) -> int:
    if options.copy_to is not None:
        _check_is_outside(options.copy_to, options.folder)
    collection = _embed_folder(options.folder, options)
    paths = np.array(collection.paths, dtype=object)
    if len(paths) == 1:
        raise _NothingFoundError("there is only one image, which cannot be grouped.")
    clusterer = _cluster(collection.X, options.k)
    if options.copy_to is not None:
        copy_to_folders(collection.paths, clusterer.labels_, options.copy_to)
        _tell(f"copied the images to folders in {options.copy_to}")
    typical = paths[clusterer.medoid_indices_]
    if options.json:
        groups = [
            {"typical": medoid, "paths": paths[clusterer.labels_ == label].tolist()}
            for label, medoid in enumerate(typical)
        ]
        noise = paths[clusterer.labels_ < 0].tolist()
        _print_json(groups=groups, noise=noise, unreadable=collection.unreadable)
    else:
        report = clusterer.report()
        columns = {name: report[name] for name in ("size", "silhouette")}
        _print_table(group=report["cluster"], **columns, typical=typical)
    return FOUND if clusterer.n_clusters_ else NOT_FOUND


def _check_is_outside(new: Path, folder: Path) -> None:
    if new.resolve().is_relative_to(folder.resolve()):
        raise ValueError(
            f"--copy-to={str(new)!r} must be outside of {str(folder)!r}. "
            f"Otherwise, the copies would be treated as photographs of this folder."
        )


def _run_gallery(options: argparse.Namespace) -> int:
    if options.output.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"--output={str(options.output)!r} must end in .html.")
    check_target(options.output)
    collection = _embed_folder(options.folder, options)
    is_large = len(collection.paths) >= _MIN_IMAGES_TO_CLUSTER
    path = write_gallery(
        options.output,
        collection.paths,
        collection.X,
        labels=_cluster(collection.X).labels_ if is_large else None,
        title=options.folder.resolve().name or "Images",
    )
    return _print_output(path, collection, options)


def _run_embed(options: argparse.Namespace) -> int:
    write = _WRITERS.get(options.output.suffix.lower())
    if write is None:
        raise ValueError(
            f"--output={str(options.output)!r} must end in {', '.join(_WRITERS)}."
        )
    check_target(options.output)
    collection = _embed_folder(options.folder, options)
    write(options.output, collection)
    return _print_output(options.output, collection, options)


def _write_npy(path: Path, collection: _Collection) -> None:
    with replace_file(path) as file:
        np.save(file, collection.X)
    with replace_file(path.with_suffix(".paths.json")) as file:
        file.write(json.dumps(collection.paths, indent=1).encode())


def _write_csv(path: Path, collection: _Collection) -> None:
    columns = {f"embedding{i}": column for i, column in enumerate(collection.X.T)}
    Table(path=np.array(collection.paths, dtype=object), **columns).to_csv(path)


def _write_parquet(path: Path, collection: _Collection) -> None:
    polars = import_optional("polars", caller="imgsim embed --output=*.parquet")
    names = [describe_source(path) for path in collection.paths]
    with replace_file(path) as file:
        polars.DataFrame({"path": names, "embedding": collection.X}).write_parquet(file)


_WRITERS = {".parquet": _write_parquet, ".csv": _write_csv, ".npy": _write_npy}


def _list_folder(folder: Path) -> list[str]:
    paths = [str(path) for path in list_images(folder)]
    if not paths:
        raise ValueError(f"the folder {str(folder)!r} contains no images.")
    return paths


def _embed_folder(folder: Path, options: argparse.Namespace) -> _Collection:
    return _embed(_list_folder(folder), options)


def _embed(paths: list[str], options: argparse.Namespace) -> _Collection:
    """Embed images, and list the unreadable ones on the standard error stream."""
    model = options.model or _default_model()
    cache = None if options.no_cache else _cache_path()
    embedder = ImageEmbedder(
        model,
        cache=cache,
        on_error="nan",
        verbose=int(sys.stderr.isatty()),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImageReadWarning)
        X = embedder.fit_transform(paths)
    for failure in embedder.failures_:
        _tell(f"cannot read {failure.source}: {failure.reason}")
    if embedder.failures_:
        _tell(f"{len(embedder.failures_)} of {len(paths)} images cannot be read.")
    readable = ~np.isnan(X).any(axis=1)
    if not readable.any():
        raise ValueError("none of the images can be read.")
    kept = [path for path, is_kept in zip(paths, readable, strict=True) if is_kept]
    unreadable = [
        {"path": failure.source, "reason": failure.reason}
        for failure in embedder.failures_
    ]
    return _Collection(kept, X[readable], unreadable)


def _cluster(X: EmbeddingArray, n_clusters: int | None = None) -> ImageClusterer:
    """Cluster by Leiden, or by k-means if Leiden finds a different number."""
    clusterer = ImageClusterer(
        "auto" if n_clusters is None else n_clusters,
        algorithm="leiden",
        n_components="auto",
        random_state=0,
    )
    if n_clusters is None:
        return clusterer.fit(X)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WeakClustersWarning)
        clusterer.fit(X)
    if clusterer.n_clusters_ == n_clusters:
        return clusterer
    return clusterer.set_params(algorithm="kmeans").fit(X)


def _default_model() -> str:
    return PACKAGED_MODEL if find_packaged_weights(PACKAGED_MODEL) else "resnet50"


def _cache_path() -> Path:
    """Return the path of the cache of embeddings in the user's cache folder."""
    if sys.platform == "win32":
        folder = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local")
    elif sys.platform == "darwin":
        folder = Path.home() / "Library/Caches"
    else:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = folder / "imgsim"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"embeddings-v{CACHE_FORMAT_VERSION}.sqlite"


def _identify(path: str) -> Hashable:
    """Return what all paths of a file share; a link without a target is its path."""
    return identify_source(path) or path


def _as_records(**columns: NDArray[Any]) -> list[dict[str, Any]]:
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _print_json(**content: Any) -> None:
    print(json.dumps(content, indent=2))


def _print_table(**columns: NDArray[Any]) -> None:
    """Print columns with their names. The last one, of paths, is not shortened."""
    *names, last = columns
    cells = [[name, *map(_format, columns[name].tolist())] for name in names]
    widths = [max(map(len, column)) for column in cells]
    for *values, path in zip(*cells, [last, *columns[last].tolist()], strict=True):
        aligned = (v.rjust(width) for v, width in zip(values, widths, strict=True))
        print("  ", "  ".join([*aligned, path]), sep="")


def _format(value: float) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _print_output(
    path: Path, collection: _Collection, options: argparse.Namespace
) -> int:
    if options.json:
        _print_json(
            output=str(path), paths=collection.paths, unreadable=collection.unreadable
        )
    else:
        print(f"{path}: {_count(collection.paths, 'image', 'images')}")
    return FOUND


def _count(items: Sequence[Any], singular: str, plural: str) -> str:
    return f"{len(items) or 'no'} {singular if len(items) == 1 else plural}"


def _tell(message: str) -> None:
    print(f"imgsim: {message}", file=sys.stderr)


@contextmanager
def _warnings_on_one_line() -> Iterator[None]:
    """Show warnings without the line of code that caused them."""

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        _tell(f"warning: {message}")

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


_COMMANDS = {
    "similar": _run_similar,
    "duplicates": _run_duplicates,
    "groups": _run_groups,
    "gallery": _run_gallery,
    "embed": _run_embed,
}


if __name__ == "__main__":
    sys.exit(main())
