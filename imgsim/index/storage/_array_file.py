"""Arrays and JSON in one checked file, which may be mapped and which safetensors reads.

It is a safetensors file: the length of the header (8 bytes, little-endian), the header
(JSON, padded with spaces to begin the data at a multiple of 64 bytes), and the arrays,
little-endian and without holes, those of the largest numbers first to be aligned. Its
`__metadata__` holds "sha256", the digest of the header without these 64 digits; "kind";
"version"; "metadata", any JSON; and "blocks", for each array the digests of its blocks
of 16 MiB.
"""

import hashlib
import json
import math
import mmap
import os
import sys
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from imgsim._atomic_file import check_target, replace_file
from imgsim.exceptions import IndexFileError

_PREFIX = b'{"__metadata__":{"sha256":"'
_BLANK = "0" * 64
_ALIGNMENT = 64
_BLOCK = 2**24
_MAX_HEADER = 100_000_000  # as in safetensors
_MAX_CHECKED_WHOLE = 2**28
_MAX_AXES = 32  # as in numpy 1
_N_THREADS = 2
_DTYPES = {
    "BOOL": np.dtype("?"),
    **{f"I{8 * n}": np.dtype(f"<i{n}") for n in (1, 2, 4, 8)},
    **{f"U{8 * n}": np.dtype(f"<u{n}") for n in (1, 2, 4, 8)},
    **{f"F{8 * n}": np.dtype(f"<f{n}") for n in (2, 4, 8)},
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


class _Place(NamedTuple):
    """Where one array lies, in bytes after the header."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    start: int
    stop: int


_Arrays = dict[str, NDArray[Any]]
_Places = dict[str, _Place]
_Sums = dict[str, list[Any]]


class _RefusedError(Exception):
    """What is wrong with a file whose name the caller knows."""

    def __init__(self, what: str, do: str = "Save it again, or restore a copy") -> None:
        super().__init__(f"{what}. {do}.")


def write_arrays(
    path: str | os.PathLike[str],
    arrays: Mapping[str, NDArray[Any]],
    metadata: Any,
    *,
    kind: str,
    version: int,
) -> None:
    """Write arrays and metadata to a file, which is replaced whole or not at all.

    Arrays are of bool, of integers of 8 to 64 bits, or of float16, 32 or 64. They may
    be mapped from the very file, though not on Windows. Those that are contiguous are
    not copied, others by 16 MiB at a time. Metadata come back as JSON has them: tuples
    as lists, keys as str. The header that holds them may have 100 MB.

    The bytes go to `.<name>.<random>.tmp` beside the file, which takes its place, and
    its permissions, once it is on the disk. Only a process that is killed leaves it
    behind; it may then be deleted. Links are followed.

    Raises ValueError for what cannot be stored, and OSError, FileNotFoundError without
    a folder, where the file cannot be written; then the old one is as it was.
    """
    places = _places(arrays)
    fields = {"kind": kind, "version": str(version), "metadata": _dumps(metadata)}
    blank = {name: [_BLANK] * _n_blocks(a.nbytes) for name, a in arrays.items()}
    begin = len(_encode(fields, blank, places))
    check_target(path)
    with replace_file(path) as file:
        # The length of the header is known now, the digests once all is written.
        file.seek(begin)
        sums = {name: _write_array(file, arrays[name]) for name in _by_start(places)}
        file.seek(0)
        file.write(_encode(fields, sums, places))


def read_arrays(
    path: str | os.PathLike[str],
    *,
    kind: str,
    max_version: int,
    mapped: bool,
    verify: bool | None,
) -> tuple[dict[str, NDArray[Any]], Any, int]:
    """Read or map the arrays, metadata and version that `write_arrays` wrote.

    Nothing in the file is executed. Arrays come in the order in which they were given.
    Mapped ones are read-only and left on the disk until they are used; they stay as
    they are when `write_arrays` replaces the file, but a file that another program
    shortens takes the process down (SIGBUS).

    The header's checksum is always compared. With `verify=True` so are those of the
    arrays, and with False none; with None all if the file has at most 256 MiB, and in
    a larger one those of the first and the last 16 MiB of every array.

    Raises IndexFileError if the file holds anything but arrays of this `kind`, of a
    version up to `max_version`, and OSError if it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            body = _read_body(file, size)
            fields, places, sums, metadata = _decode(body, kind, max_version)
            begin = 8 + len(body)
            _check_size(size, begin + sum(p.stop - p.start for p in places.values()))
            load = _map_arrays if mapped else _load_arrays
            arrays = load(file, begin, places)
        if verify is not False:
            _check_blocks(arrays, sums, verify or size <= _MAX_CHECKED_WHOLE)
    except _RefusedError as error:
        message = f"path={os.fspath(path)!r} cannot be loaded: {error}"
        raise IndexFileError(message) from error
    return arrays, metadata, int(fields["version"])


def _places(arrays: Mapping[str, NDArray[Any]]) -> _Places:
    places, stop = {}, 0
    for name in sorted(arrays, key=lambda name: -arrays[name].itemsize):
        array = arrays[name]
        dtype = array.dtype.newbyteorder("<")
        if dtype not in _NAMES or array.ndim > _MAX_AXES or name == "__metadata__":
            raise ValueError(
                f"arrays[{name!r}] is {dtype} with {array.ndim} axes; it must be one "
                f"of {', '.join(map(str, _NAMES))}, have at most {_MAX_AXES} axes, and "
                f"not be named '__metadata__'."
            )
        start, stop = stop, stop + array.nbytes
        places[name] = _Place(dtype, array.shape, start, stop)
    return {name: places[name] for name in arrays}


def _by_start(places: _Places) -> list[str]:
    return sorted(places, key=lambda name: places[name][2:])


def _dumps(metadata: Any) -> str:
    try:
        text = json.dumps(metadata, allow_nan=False, separators=(",", ":"))
        _parse(text)  # {1: 2, "1": 3} would never be read again
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"metadata must be a JSON value: {error}.") from error
    return text


def _encode(fields: Mapping[str, str], sums: _Sums, places: _Places) -> bytes:
    """Return the header with its length before it."""
    about = {"sha256": _BLANK, **fields, "blocks": json.dumps(sums)}
    entries = {
        name: {"dtype": _NAMES[p.dtype], "shape": p.shape, "data_offsets": p[2:]}
        for name, p in places.items()
    }
    tree = {"__metadata__": about, **entries}
    text = json.dumps(tree, separators=(",", ":"), ensure_ascii=False).encode()
    length = math.ceil((8 + len(text)) / _ALIGNMENT) * _ALIGNMENT - 8
    if length > _MAX_HEADER:
        raise ValueError(
            f"metadata makes a header of {length} bytes, which must be at most "
            f"{_MAX_HEADER}: put what is long into arrays."
        )
    return length.to_bytes(8, "little") + _stamped(text.ljust(length))


def _stamped(body: bytes) -> bytes:
    """Put the digest of all the rest where it belongs."""
    head, tail = body[: len(_PREFIX)], body[len(_PREFIX) + len(_BLANK) :]
    return head + hashlib.sha256(head + tail).hexdigest().encode() + tail


def _n_blocks(n_bytes: int) -> int:
    return math.ceil(n_bytes / _BLOCK)


def _block(array: NDArray[Any], number: int) -> memoryview:
    """Return the bytes of one block in C order, copied only if they must be."""
    flat: Any = array.reshape(-1) if array.flags.c_contiguous else array.flat
    step = _BLOCK // array.itemsize
    values = flat[number * step : (number + 1) * step]
    little = values.astype(array.dtype.newbyteorder("<"), copy=False)
    return cast(memoryview, little.view(np.uint8).data)


def _digest(block: memoryview) -> str:
    return hashlib.sha256(block).hexdigest()


def _write_array(file: BinaryIO, array: NDArray[Any]) -> list[str]:
    hashes: list[Future[str]] = []
    with ThreadPoolExecutor(_N_THREADS) as pool:
        for number in range(_n_blocks(array.nbytes)):
            block = _block(array, number)
            hashes.append(pool.submit(_digest, block))
            file.write(block)
            # Copies would pile up if hashing is slower than writing.
            hashes[-_N_THREADS:][0].result()
    return [digest.result() for digest in hashes]


def _read_body(file: BinaryIO, size: int) -> bytes:
    """Return the header without its length."""
    length = int.from_bytes(file.read(8), "little")
    if file.read(len(_PREFIX)) != _PREFIX:
        raise _RefusedError(f"it is no file of imgsim, or damaged ({size} bytes)")
    if length > _MAX_HEADER or (8 + length) % _ALIGNMENT:
        raise _RefusedError(f"its header cannot have {length} bytes")
    if size < 8 + length:
        raise _RefusedError(f"truncated: expected {8 + length} bytes, found {size}")
    file.seek(8)
    return file.read(length)


def _decode(body: bytes, kind: str, newest: int) -> tuple[Any, _Places, _Sums, Any]:
    """Return the fields, the places, the digests, and the metadata."""
    if _stamped(body) != body:
        raise _RefusedError("the checksum of its header differs")
    tree = _loads(body)
    fields = tree.pop("__metadata__")
    _check_fields(fields, kind, newest)
    places = {name: _place(name, entry) for name, entry in tree.items()}
    _check_places(places)
    sums = _loads(fields["blocks"])
    _check_sums(sums, places)
    return fields, places, sums, _loads(fields["metadata"])


def _loads(text: str | bytes) -> Any:
    try:
        return _parse(text if isinstance(text, str) else text.decode())
    except (ValueError, RecursionError) as error:
        raise _RefusedError(f"its header is no JSON: {error}") from error


def _parse(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(unique := dict(pairs)) != len(pairs):
        raise ValueError("a key occurs twice")
    return unique


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is none of its numbers")


def _check_fields(fields: dict[str, Any], kind: str, max_version: int) -> None:
    strings = {name for name, value in fields.items() if isinstance(value, str)}
    if not {"kind", "version", "metadata", "blocks"} <= strings:
        raise _RefusedError(f"its header has only the fields {sorted(strings)}")
    if fields["kind"] != kind:
        raise _RefusedError(
            f"it is of kind {fields['kind']!r}", f"Take one of {kind!r}"
        )
    version = fields["version"]
    if not (version.isascii() and version.isdecimal() and len(version) < 10):
        raise _RefusedError(f"its version is {version!r}, no number")
    if int(version) > max_version:
        raise _RefusedError(
            f"a newer version of imgsim made it, with layout {version}; this one reads "
            f"at most {max_version}",
            "Update imgsim, or save it again with this one",
        )


def _place(name: str, entry: Any) -> _Place:
    match entry:
        case {"dtype": str(code), "shape": [*shape], "data_offsets": [start, stop]} if (
            code in _DTYPES and _are_sizes([start, stop]) and _are_sizes(shape)
        ):
            place = _Place(_DTYPES[code], tuple(shape), start, stop)
            # Numpy forms the product without zeros even of an empty array.
            extent = math.prod(max(length, 1) for length in shape)
            n_bytes = math.prod(shape) * place.dtype.itemsize
            if n_bytes == stop - start and extent <= sys.maxsize // 8:
                return place
    raise _RefusedError(f"its header describes array {name!r} wrongly")


def _are_sizes(values: list[Any]) -> bool:
    return len(values) <= _MAX_AXES and all(type(v) is int and v >= 0 for v in values)


def _check_places(places: _Places) -> None:
    stop = 0
    for name in _by_start(places):
        place = places[name]
        if place.start != stop or place.start % place.dtype.itemsize:
            raise _RefusedError(f"its header puts array {name!r} in a wrong place")
        stop = place.stop


def _check_sums(sums: Any, places: _Places) -> None:
    pairs = sums.items() if isinstance(sums, dict) else [("", None)]
    found = {name: len(d) if isinstance(d, list) else None for name, d in pairs}
    if found != {name: _n_blocks(p.stop - p.start) for name, p in places.items()}:
        raise _RefusedError("its header does not have the checksums of all arrays")


def _check_size(found: int, expected: int) -> None:
    if found != expected:
        state = "truncated" if found < expected else "too long"
        raise _RefusedError(f"{state}: expected {expected} bytes, found {found}")


def _map_arrays(file: BinaryIO, begin: int, places: _Places) -> _Arrays:
    # Not np.memmap: joblib sends that by file name, where another file may be by now.
    memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return {
        name: np.ndarray(p.shape, p.dtype, buffer=memory, offset=begin + p.start)
        for name, p in places.items()
    }


def _load_arrays(file: BinaryIO, begin: int, places: _Places) -> _Arrays:
    arrays: _Arrays = {n: np.empty(p.shape, p.dtype) for n, p in places.items()}
    for name, array in arrays.items():
        file.seek(begin + places[name].start)
        # Typeshed gives BinaryIO no readinto, which every binary file has.
        n_read = cast(Any, file).readinto(array.reshape(-1).view(np.uint8))
        _check_size(n_read, array.nbytes)
    return arrays


def _check_blocks(arrays: _Arrays, sums: _Sums, whole: bool) -> None:
    chosen = [
        (name, number)
        for name in arrays
        for number in range(len(sums[name]))
        if whole or number in (0, len(sums[name]) - 1)
    ]
    with ThreadPoolExecutor(_N_THREADS) as pool:
        found = pool.map(lambda one: _digest(_block(arrays[one[0]], one[1])), chosen)
        for (name, number), digest in zip(chosen, found, strict=True):
            if digest != sums[name][number]:
                raise _RefusedError(f"the checksum of array {name!r} differs")
