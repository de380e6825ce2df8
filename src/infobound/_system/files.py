"""Atomic files: temporary file, fsync, rename; arrays as safetensors.

Reading cannot execute code.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import json
import os
import secrets
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, TypeVar, overload

import numpy as np

from infobound._system import schemas
from infobound._system.memory import fits_in_memory, row_slices
from infobound.errors import InputError

__all__ = [
    "damaged",
    "digest",
    "expect_directory",
    "expect_regular",
    "is_regular",
    "make_directory",
    "parse_json",
    "read_arrays",
    "read_bytes",
    "read_header",
    "read_json",
    "remove_empty",
    "same_arrays",
    "sealed",
    "sweep",
    "temporaries",
    "unwritable",
    "write_arrays",
    "write_atomic",
]

T = TypeVar("T")
TEMPORARY = ".infobound-*.tmp"
ROOM = 100  # bytes that a directory's path must leave for the files in it
MOST_JSON = 2**28  # largest JSON file in bytes; those that are written have a few kilobytes
KINDS_OF_FILE = {
    stat.S_IFREG: "a file",
    stat.S_IFDIR: "a directory",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}

KINDS, SIZES = {"f": "F", "i": "I", "u": "U"}, (1, 2, 4, 8)  # types of NumPy and of safetensors


def read_bytes(path: Path, *, most: int | None = None) -> bytes:
    """Read a regular file; anything else is not opened.

    Args:
        path: the file.
        most: the largest size in bytes.

    Raises:
        InputError: If it is no regular file, or has more than `most` bytes.
        OSError: If it cannot be read.

    Example:
        >>> read_bytes(Path("/dev/null"))
        Traceback (most recent call last):
        ...
        infobound.errors.InputError: Expected a regular file at /dev/null; got a device. ...
    """
    with _opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        if most is not None and size > most:
            raise damaged(path, f"it has {size:,} bytes")
        return file.read()


@overload
def read_json(path: Path) -> Any: ...
@overload
def read_json(path: Path, kind: type[T]) -> T: ...
def read_json(path: Path, kind: Any = Any) -> Any:
    """Read a JSON file, check its digest (`sealed`), and convert it to `kind` by `schemas`.

    Raises:
        InputError: If it is no regular file, is damaged or changed, or does not fit `kind`.
        OSError: If it cannot be read.
    """
    data = read_bytes(path, most=MOST_JSON)
    try:
        value = parse_json(data)
        if isinstance(value, dict) and "digest" in value:
            expected = value.pop("digest")
            if expected != _digest_of(value):
                raise ValueError("its digest is that of other content")
        return schemas.parse(kind, value)
    except (ValueError, RecursionError) as error:
        raise damaged(path, error) from error


def parse_json(data: bytes | str) -> Any:
    """Parse a JSON text.

    Raises:
        ValueError: If it is no JSON, has a duplicate name, or is nested too deeply.

    Example:
        >>> parse_json('{"a": 1, "a": 2}')
        Traceback (most recent call last):
        ...
        ValueError: 'a' is given twice
    """
    try:
        return json.loads(data, object_pairs_hook=_without_doubles)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{max(names, key=names.count)!r} is given twice")
    return found


def sealed(value: Mapping[str, Any]) -> dict[str, Any]:
    """Add a digest, which `read_json` checks, to an object for a JSON file.

    Example:
        >>> sealed({"a": 1})["digest"][:8]
        'f9d86028'
    """
    return {**value, "digest": _digest_of(value)}


def _digest_of(value: Mapping[str, Any]) -> str:
    return digest(json.dumps(value, sort_keys=True).encode())


def expect_regular(path: Path) -> bool:
    """Return whether there is a file at this path, without following links; it must be regular.

    Raises:
        InputError: If it is a link, a directory, a pipe, a socket or a device.
    """
    return _expect_kind(path, stat.S_IFREG, "a regular file")


def expect_directory(path: Path) -> bool:
    """Return whether there is a directory at this path, without following links.

    Raises:
        InputError: If it is anything else, including a link to a directory.
    """
    return _expect_kind(path, stat.S_IFDIR, "a directory")


def _expect_kind(path: Path, kind: int, expected: str) -> bool:
    try:
        found = stat.S_IFMT(path.lstat().st_mode)
    except FileNotFoundError:
        return False
    if found != kind:
        raise InputError(
            f"Expected {expected} at {path}; got {KINDS_OF_FILE.get(found, 'something else')}. "
            "Move it away, or name another directory."
        )
    return True


def make_directory(path: Path) -> list[Path]:
    """Create a directory and the absent ones above it, one after another; all or none.

    `Path.mkdir(parents=True)` recurses, also into directories that exist, and leaves the first ones
    where a later one fails.

    Args:
        path: the directory; an existing one is left as it is.

    Returns:
        Those that were absent, the innermost first, for `remove_empty`.

    Raises:
        OSError: If one cannot be created, or the path is too long for files in the directory.

    Example:
        >>> make_directory(Path("/dev/null/run"))
        Traceback (most recent call last):
        ...
        NotADirectoryError: [Errno 20] Not a directory: '/dev/null/run/...
    """
    with contextlib.suppress(FileNotFoundError):
        (path / ("x" * ROOM)).lstat()
    absent = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        for folder in reversed(absent):
            folder.mkdir(exist_ok=True)
    except OSError:
        remove_empty(absent)
        raise
    return absent


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove those of these directories that are empty, in this order."""
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


def is_regular(path: Path) -> bool:
    """Return whether there is a regular file at this path, without following links.

    Example:
        >>> is_regular(Path("/dev/null"))
        False
    """
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _opened(path: Path) -> IO[bytes]:
    """Open a regular file for reading, after checking its type, since opening a device can do harm.

    If it is replaced in between, no link is followed and no pipe blocks.
    """
    if not expect_regular(path):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    names = ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY", "O_CLOEXEC")
    flags = sum(getattr(os, name, 0) for name in names)
    file = os.fdopen(os.open(path, os.O_RDONLY | flags), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise damaged(path, "it is no regular file")
    return file


def write_atomic(path: str | Path, data: bytes, *, previous: Path | None = None) -> None:
    """Write a file so that a reader sees the old or the new contents, never a part.

    Args:
        path: the file.
        data: its contents.
        previous: if given, the old file is renamed to it.

    Raises:
        InputError: If the file cannot be written, or there is something else than a regular file;
            the existing file is unchanged.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_atomic(Path(folder) / "a.txt", b"whole")
        ...     (Path(folder) / "a.txt").read_bytes()
        b'whole'
    """
    _write_parts(Path(path), [data], previous)


def _write_parts(
    path: Path, parts: Iterable[bytes | memoryview], previous: Path | None = None
) -> None:
    """Write a file atomically from bytes in parts."""
    temporary = path.parent / TEMPORARY.replace("*", secrets.token_hex(8))
    begun = False
    try:
        for target in (path, previous):
            if target is not None:
                expect_regular(target)
        with open(temporary, "xb") as file:  # x never opens an existing file or link
            begun = True
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        if previous is not None and path.exists():
            os.replace(path, previous)
        os.replace(temporary, path)
        begun = False
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        if begun:
            temporary.unlink(missing_ok=True)


def temporaries(folder: Path) -> list[Path]:
    """Return the temporary files of killed processes."""
    return [file for file in folder.glob(TEMPORARY) if is_regular(file)]


def sweep(folder: Path) -> None:
    """Remove the temporary files of killed processes; the caller must hold the folder's lock."""
    for file in temporaries(folder):
        file.unlink(missing_ok=True)


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays (n, d), which may be memory-mapped, to one safetensors file with a checksum."""
    whole = _in_order(arrays)
    header = _header(whole, {"digest": _checksum(whole)})
    _write_parts(path, itertools.chain([header], _bytes(whole)))


def same_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> bool:
    """Return whether a file contains exactly these arrays."""
    try:
        metadata = read_header(path)[1]
    except (OSError, InputError):
        return False
    return metadata == {"digest": _checksum(_in_order(arrays))}


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read the arrays of `write_arrays`; large ones are memory-mapped.

    Raises:
        InputError: If the file is damaged, or no file of `write_arrays`.
        OSError: If it cannot be read.
    """
    start, metadata, entries = read_header(path)
    try:
        with _opened(path) as file:
            arrays = {key: _mapped(file, start, **entry) for key, entry in entries.items()}
        whole = metadata.get("digest") == _checksum(arrays)
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise damaged(path, error) from error
    if not whole:
        raise damaged(path, "its checksum differs")
    return {k: np.array(a) if fits_in_memory(len(a), a[:1].size) else a for k, a in arrays.items()}


def read_header(path: Path) -> tuple[int, dict[str, str], dict[str, dict[str, Any]]]:
    """Read the header of a safetensors file.

    safetensors itself checks that types, shapes and offsets agree with the size of the file.

    Returns:
        The offset of the arrays in bytes, the metadata, and the entries of the arrays in order.

    Raises:
        InputError: If the file is damaged, or no safetensors file.
        OSError: If it cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    with _opened(path) as file:
        try:
            with safe_open(path, framework="np"):  # type: ignore[no-untyped-call]
                pass
            size = int.from_bytes(file.read(8), "little")
            header = parse_json(file.read(size))
        except (SafetensorError, ValueError, OSError) as error:
            raise damaged(path, error) from error
    metadata = header.pop("__metadata__", None) or {}
    entries = sorted(header.items(), key=lambda item: item[1]["data_offsets"])
    return 8 + size, metadata, dict(entries)


def digest(data: bytes) -> str:
    """Return the SHA-256 of bytes in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def damaged(path: Path, error: object) -> InputError:
    """Return the error for a file that is not as it was written."""
    if path.name.startswith("checkpoint-") or path.parent.name == "cells":
        remedy = "Restore it from a copy, or delete it: what it held is computed again."
    else:  # the settings or the rows, which cannot be computed again
        remedy = "Restore it from a copy, or start the run again in another directory."
    return InputError(
        f"Expected a whole {path.name} as infobound writes it; {path} is truncated, damaged or "
        f"something else ({error}). {remedy}"
    )


def unwritable(path: Path, error: OSError) -> InputError:
    """Return the error for a file that cannot be written."""
    return InputError(
        f"Expected to write {path}; it cannot be written ({error.strerror or error}). Name a "
        "directory that exists, is yours and has room. What was written before is whole."
    )


def _in_order(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Order arrays as safetensors does."""
    return {key: arrays[key] for key in sorted(arrays, key=lambda k: (-arrays[k].itemsize, k))}


def _checksum(arrays: Mapping[str, np.ndarray]) -> str:
    total = hashlib.sha256()
    for part in itertools.chain([_header(arrays)], _bytes(arrays)):
        total.update(part)
    return total.hexdigest()


def _header(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None) -> bytes:
    """Return the header of a safetensors file: its length, and the position of each array."""
    entries: dict[str, Any] = {} if metadata is None else {"__metadata__": metadata}
    start = 0
    for key, array in arrays.items():
        place = [start, start + array.nbytes]
        kind = f"{KINDS[array.dtype.kind]}{8 * array.itemsize}"
        entries[key] = {"dtype": kind, "shape": array.shape, "data_offsets": place}
        start = place[1]
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _bytes(arrays: Mapping[str, np.ndarray]) -> Iterator[bytes]:
    """Yield the bytes of arrays, a few megabytes at a time."""
    for array in arrays.values():
        for at in row_slices(len(array), array[:1].size):
            yield np.ascontiguousarray(array[at]).tobytes()


def _mapped(
    file: IO[bytes], start: int, dtype: str, shape: Sequence[int], data_offsets: Sequence[int]
) -> np.ndarray:
    """Memory-map one array of a safetensors file."""
    kinds = {f"{word}{8 * size}": (kind, size) for kind, word in KINDS.items() for size in SIZES}
    kind, size = kinds[dtype]
    offset = start + data_offsets[0]
    return np.asarray(np.memmap(file, f"<{kind}{size}", "r", offset=offset, shape=tuple(shape)))
