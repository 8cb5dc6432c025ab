"""A file of arrays and JSON with checksums, which can be mapped into memory.

The file is a valid safetensors file: the length of the header (8 bytes, little-endian),
the header (JSON, padded with spaces so that the data begin at a multiple of 64 bytes),
and the arrays, little-endian and without gaps. Arrays of the widest dtype come first,
so that all arrays are aligned. The `__metadata__` of the header contains these strings:

- "sha256", the SHA-256 of the header without these 64 digits,
- "kind" and "version" of the content,
- "metadata", any JSON value,
- "checksums", a JSON object with the SHA-256 of each array.
"""

import hashlib
import json
import math
import mmap
import os
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from imgsim._atomic_file import check_target, replace_file
from imgsim.exceptions import IndexFileError

_HEADER_PREFIX = b'{"__metadata__":{"sha256":"'
_NO_CHECKSUM = "0" * 64  # placeholder for a checksum that is not known yet
_ALIGNMENT = 64
_BLOCK_SIZE = 2**24  # bytes written or hashed at once
_MAX_HEADER_SIZE = 100_000_000  # as in safetensors
_MAX_SIZE_TO_VERIFY = 2**28
_MAX_AXES = 32  # as in NumPy 1
_DTYPES = {
    "BOOL": np.dtype("?"),
    **{f"I{8 * n}": np.dtype(f"<i{n}") for n in (1, 2, 4, 8)},
    **{f"U{8 * n}": np.dtype(f"<u{n}") for n in (1, 2, 4, 8)},
    **{f"F{8 * n}": np.dtype(f"<f{n}") for n in (2, 4, 8)},
}
_DTYPE_NAMES = {dtype: name for name, dtype in _DTYPES.items()}

_Arrays = dict[str, NDArray[Any]]


class _ArrayEntry(NamedTuple):
    """Description of an array in the header; offsets are in bytes after the header."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    start: int
    stop: int


class _Header(NamedTuple):
    """Content of a valid header."""

    metadata: Any
    entries: dict[str, _ArrayEntry]
    checksums: dict[str, str]


class _InvalidFileError(Exception):
    """A problem with a file, and the remedy. The caller adds the path of the file."""

    def __init__(
        self, problem: str, remedy: str = "Save it again, or restore a copy"
    ) -> None:
        super().__init__(f"{problem}. {remedy}.")


def write_arrays(
    path: str | os.PathLike[str],
    arrays: Mapping[str, NDArray[Any]],
    metadata: Any,
    *,
    kind: str,
    version: int,
) -> None:
    """Write arrays and metadata to a file, which is replaced as a whole or not at all.

    Parameters
    ----------
    path : str or path-like
        Path of the file. A symbolic link is followed, and the permissions of an
        existing file are kept. A process that is killed may leave a temporary file
        `.<name>.<random>.tmp` in the same folder, which can be deleted.

    arrays : mapping of str to ndarray
        Arrays of bool, of integers of 8 to 64 bits, or of float16, float32 or float64.
        They may be mapped from the same file, except on Windows. Contiguous arrays are
        not copied.

    metadata : object
        A JSON value. When it is read, tuples have become lists, and keys have become
        strings. The header, which contains the metadata, has at most 100 MB.

    kind : str
        Kind of the content.

    version : int
        Version of the layout of this kind of content.

    Raises
    ------
    ValueError
        If an array or the metadata cannot be stored.

    OSError
        If the file cannot be written. An existing file is then unchanged.
    """
    entries = _make_entries(arrays)
    fields = {"kind": kind, "version": str(version), "metadata": _dump_json(metadata)}
    begin = len(_encode_header(fields, dict.fromkeys(arrays, _NO_CHECKSUM), entries))
    check_target(path)
    with replace_file(path) as file, ThreadPoolExecutor(1) as pool:
        # Arrays are hashed while they are written.
        checksums = {name: pool.submit(_hash, array) for name, array in arrays.items()}
        file.seek(begin)
        for name in _sorted_by_offset(entries):
            for block in _blocks(arrays[name]):
                file.write(block)
        sums = {name: checksum.result() for name, checksum in checksums.items()}
        file.seek(0)
        file.write(_encode_header(fields, sums, entries))


def read_arrays(
    path: str | os.PathLike[str],
    *,
    kind: str,
    versions: range,
    mapped: bool,
    verify: bool | None,
) -> tuple[_Arrays, Any]:
    """Read or map the arrays and the metadata of a file that `write_arrays` wrote.

    No code in the file is executed.

    Parameters
    ----------
    path : str or path-like
        Path of the file.

    kind : str
        Kind of the content.

    versions : range
        Versions of the layout that the caller can read.

    mapped : bool
        Whether to map the arrays, which are then read-only and read from the disk when
        they are used. They do not change if `write_arrays` replaces the file. If
        another program truncates the file, access to them ends the process (SIGBUS).

    verify : bool or None
        Whether to compare the checksums of the arrays. None compares them in files of
        up to 256 MiB. The checksum of the header and the sizes of the arrays are
        always compared.

    Returns
    -------
    arrays : dict of str to ndarray
        The arrays, in the order in which they were passed to `write_arrays`.

    metadata : object
        The metadata.

    Raises
    ------
    IndexFileError
        If the file is damaged, or its kind or version is another one.

    OSError
        If the file cannot be read.
    """
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            content = _read_header(file, size)
            header = _decode_header(content, kind, versions)
            begin = 8 + len(content)
            n_bytes = sum(entry.stop - entry.start for entry in header.entries.values())
            _check_size(size, begin + n_bytes)
            read = _map_arrays if mapped else _load_arrays
            arrays = read(file, begin, header.entries)
        if verify or (verify is None and size <= _MAX_SIZE_TO_VERIFY):
            _check_checksums(arrays, header.checksums)
    except _InvalidFileError as error:
        message = f"path={os.fspath(path)!r} cannot be loaded: {error}"
        raise IndexFileError(message) from error
    return arrays, header.metadata


def _make_entries(arrays: Mapping[str, NDArray[Any]]) -> dict[str, _ArrayEntry]:
    entries, stop = {}, 0
    for name in sorted(arrays, key=lambda name: -arrays[name].itemsize):
        array = arrays[name]
        dtype = array.dtype.newbyteorder("<")
        if dtype not in _DTYPE_NAMES or array.ndim > _MAX_AXES:
            raise ValueError(
                f"arrays[{name!r}] has dtype {dtype} and {array.ndim} axes; the dtype "
                f"must be one of {', '.join(map(str, _DTYPE_NAMES))}, and the number "
                f"of axes at most {_MAX_AXES}."
            )
        if name == "__metadata__":
            raise ValueError("arrays must not have the name '__metadata__'.")
        start, stop = stop, stop + array.nbytes
        entries[name] = _ArrayEntry(dtype, array.shape, start, stop)
    return {name: entries[name] for name in arrays}


def _sorted_by_offset(entries: dict[str, _ArrayEntry]) -> list[str]:
    return sorted(entries, key=lambda name: entries[name][2:])


def _dump_json(metadata: Any) -> str:
    try:
        text = json.dumps(metadata, allow_nan=False, separators=(",", ":"))
        _parse_json(text)  # refuses {1: 2, "1": 3}, whose keys would be equal
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"metadata must be a JSON value: {error}.") from error
    return text


def _encode_header(
    fields: Mapping[str, str],
    checksums: dict[str, str],
    entries: dict[str, _ArrayEntry],
) -> bytes:
    """Return the length of the header and the header."""
    tree = {
        "__metadata__": {
            "sha256": _NO_CHECKSUM,
            **fields,
            "checksums": json.dumps(checksums),
        },
        **{
            name: {
                "dtype": _DTYPE_NAMES[entry.dtype],
                "shape": entry.shape,
                "data_offsets": [entry.start, entry.stop],
            }
            for name, entry in entries.items()
        },
    }
    text = json.dumps(tree, separators=(",", ":"), ensure_ascii=False).encode()
    length = math.ceil((8 + len(text)) / _ALIGNMENT) * _ALIGNMENT - 8
    if length > _MAX_HEADER_SIZE:
        raise ValueError(
            f"metadata requires a header of {length} bytes, but a header must have at "
            f"most {_MAX_HEADER_SIZE} bytes: store long values in arrays."
        )
    return length.to_bytes(8, "little") + _with_checksum(text.ljust(length))


def _with_checksum(header: bytes) -> bytes:
    """Return the header with the checksum of its other bytes in its place."""
    begin, end = len(_HEADER_PREFIX), len(_HEADER_PREFIX) + len(_NO_CHECKSUM)
    checksum = hashlib.sha256(header[:begin] + header[end:]).hexdigest()
    return header[:begin] + checksum.encode() + header[end:]


def _blocks(array: NDArray[Any]) -> Iterator[memoryview]:
    """Yield the bytes in C order, little-endian, copied only if necessary."""
    flat: Any = array.reshape(-1) if array.flags.c_contiguous else array.flat
    step = _BLOCK_SIZE // array.itemsize
    dtype = array.dtype.newbyteorder("<")
    for start in range(0, array.size, step):
        values = flat[start : start + step].astype(dtype, copy=False)
        yield cast(memoryview, values.view(np.uint8).data)


def _hash(array: NDArray[Any]) -> str:
    checksum = hashlib.sha256()
    for block in _blocks(array):
        checksum.update(block)
    return checksum.hexdigest()


def _read_header(file: BinaryIO, size: int) -> bytes:
    """Return the header, without its length."""
    length = int.from_bytes(file.read(8), "little")
    if file.read(len(_HEADER_PREFIX)) != _HEADER_PREFIX:
        raise _InvalidFileError(
            f"it is not a file of imgsim, or it is damaged ({size} bytes)"
        )
    if length > _MAX_HEADER_SIZE or (8 + length) % _ALIGNMENT:
        raise _InvalidFileError(f"its header cannot have {length} bytes")
    if size < 8 + length:
        raise _InvalidFileError(
            f"it is truncated: expected {8 + length} bytes, found {size}"
        )
    file.seek(8)
    return file.read(length)


def _decode_header(content: bytes, kind: str, versions: range) -> _Header:
    if _with_checksum(content) != content:
        raise _InvalidFileError("the checksum of its header differs")
    tree = _load_json(content)
    fields = tree.pop("__metadata__")
    _check_fields(fields, kind, versions)
    entries = {name: _decode_entry(name, entry) for name, entry in tree.items()}
    _check_offsets(entries)
    checksums = _load_json(fields["checksums"])
    if not isinstance(checksums, dict) or checksums.keys() != entries.keys():
        raise _InvalidFileError("its header does not have the checksums of all arrays")
    return _Header(_load_json(fields["metadata"]), entries, checksums)


def _load_json(text: str | bytes) -> Any:
    try:
        return _parse_json(text if isinstance(text, str) else text.decode())
    except (ValueError, RecursionError) as error:
        raise _InvalidFileError(f"its header is not valid JSON: {error}") from error


def _parse_json(text: str) -> Any:
    return json.loads(
        text, object_pairs_hook=_unique_keys, parse_constant=_refuse_constant
    )


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(unique := dict(pairs)) != len(pairs):
        raise ValueError("a key occurs twice")
    return unique


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _check_fields(fields: dict[str, Any], kind: str, versions: range) -> None:
    strings = {name: text for name, text in fields.items() if isinstance(text, str)}
    if not {"kind", "version", "metadata"} <= set(strings):
        raise _InvalidFileError(f"its header has only the fields {sorted(strings)}")
    if strings["kind"] != kind:
        raise _InvalidFileError(
            f"its kind is {strings['kind']!r}", f"Pass a file of kind {kind!r}"
        )
    text = strings["version"]
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise _InvalidFileError(f"its version is {text!r}, which is not a number")
    version = int(text)
    if version >= versions.stop:
        raise _InvalidFileError(
            f"it was written by a newer version of imgsim, in layout {version}; this "
            f"version reads layouts up to {versions.stop - 1}",
            "Update imgsim, or save the file again with this version",
        )
    if version < versions.start:
        raise _InvalidFileError(
            f"it was written before the first release, in layout {version}",
            "Fit the index again and save it",
        )
    if "checksums" not in strings:
        raise _InvalidFileError("its header does not have the checksums of all arrays")


def _decode_entry(name: str, entry: Any) -> _ArrayEntry:
    match entry:
        case {"dtype": str(code), "shape": [*shape], "data_offsets": [start, stop]} if (
            code in _DTYPES and _are_sizes([start, stop]) and _are_sizes(shape)
        ):
            decoded = _ArrayEntry(_DTYPES[code], tuple(shape), start, stop)
            # NumPy multiplies the lengths other than 0 even for an empty array.
            extent = math.prod(max(length, 1) for length in shape)
            n_bytes = math.prod(shape) * decoded.dtype.itemsize
            if n_bytes == stop - start and extent <= sys.maxsize // 8:
                return decoded
    raise _InvalidFileError(f"its header has a wrong description of array {name!r}")


def _are_sizes(values: list[Any]) -> bool:
    return len(values) <= _MAX_AXES and all(type(v) is int and v >= 0 for v in values)


def _check_offsets(entries: dict[str, _ArrayEntry]) -> None:
    stop = 0
    for name in _sorted_by_offset(entries):
        entry = entries[name]
        if entry.start != stop or entry.start % entry.dtype.itemsize:
            raise _InvalidFileError(f"its header has a wrong offset of array {name!r}")
        stop = entry.stop


def _check_size(found: int, expected: int) -> None:
    if found != expected:
        problem = "truncated" if found < expected else "too long"
        raise _InvalidFileError(
            f"it is {problem}: expected {expected} bytes, found {found}"
        )


def _map_arrays(file: BinaryIO, begin: int, entries: dict[str, _ArrayEntry]) -> _Arrays:
    # joblib would pass an np.memmap by its file name, and the file may be replaced.
    memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return {
        name: np.ndarray(
            entry.shape, entry.dtype, buffer=memory, offset=begin + entry.start
        )
        for name, entry in entries.items()
    }


def _load_arrays(
    file: BinaryIO, begin: int, entries: dict[str, _ArrayEntry]
) -> _Arrays:
    arrays: _Arrays = {}
    for name, entry in entries.items():
        arrays[name] = array = np.empty(entry.shape, entry.dtype)
        file.seek(begin + entry.start)
        # Typeshed does not declare `BinaryIO.readinto`, which all binary files have.
        n_read = cast(Any, file).readinto(array.reshape(-1).view(np.uint8))
        _check_size(n_read, array.nbytes)
    return arrays


def _check_checksums(arrays: _Arrays, checksums: dict[str, str]) -> None:
    for name, array in arrays.items():
        if _hash(array) != checksums[name]:
            raise _InvalidFileError(f"the checksum of array {name!r} differs")
