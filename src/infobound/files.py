"""Files that are whole or not there: temporary file, fsync, rename; arrays as safetensors.

Nothing that is read can execute code.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from infobound.errors import InputError
from infobound.storage import fits, pieces

__all__ = [
    "damaged",
    "digest",
    "read_arrays",
    "read_header",
    "same_arrays",
    "sweep",
    "unwritable",
    "write_arrays",
    "write_atomic",
]

KINDS, SIZES = {"f": "F", "i": "I", "u": "U"}, (1, 2, 4, 8)  # NumPy's types and safetensors'


def write_atomic(path: str | Path, data: bytes, *, previous: Path | None = None) -> None:
    """Write a file so that a reader sees the old bytes or the new ones, never a part.

    The old file becomes `previous`, if that is given.

    Raises:
        InputError: the file cannot be written; what was there before is untouched.

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
    """`write_atomic` of bytes that come in parts."""
    temporary: str | None = None
    try:
        temporary = str(path.parent / f".{path.name}.{os.getpid()}.tmp")
        with open(temporary, "wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        if previous is not None and path.exists():
            os.replace(path, previous)
        os.replace(temporary, path)
        temporary = None
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)


def sweep(folder: Path) -> None:
    """Remove the temporary files of processes that were killed; the caller holds the folder."""
    for file in folder.glob(".*.tmp"):
        file.unlink(missing_ok=True)


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Arrays (n, d), which may be memory-mapped, as one safetensors file with a checksum."""
    whole = _in_order(arrays)
    header = _header(whole, {"digest": _checksum(whole)})
    _write_parts(path, itertools.chain([header], _bytes(whole)))


def same_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> bool:
    """Whether the file holds just these arrays."""
    try:
        header = read_header(path)[1]
    except (OSError, ValueError):
        return False
    return bool(header.get("__metadata__") == {"digest": _checksum(_in_order(arrays))})


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The inverse of `write_arrays`; arrays that are much of the free memory stay in the file.

    Raises:
        InputError: the file is damaged.
        OSError: it cannot be read.
    """
    try:
        start, header = read_header(path)
        expected = header.pop("__metadata__")["digest"]
        arrays = {
            key: _mapped(path, start, **entry)
            for key, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"])
        }
        whole = expected == _checksum(arrays)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(path, error) from error
    if not whole:
        raise damaged(path, "its checksum differs")
    return {k: np.array(a) if fits(len(a), a[:1].size) else a for k, a in arrays.items()}


def read_header(path: Path) -> tuple[int, dict[str, Any]]:
    """Where the arrays of a safetensors file begin, and its header."""
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if size > path.stat().st_size:
            raise ValueError("its header is cut off")
        return 8 + size, json.loads(file.read(size))


def digest(data: bytes) -> str:
    """A checksum."""
    return hashlib.sha256(data).hexdigest()


def damaged(path: Path, error: object) -> InputError:
    """What to say of a file that is not as it was written."""
    if path.name.startswith("checkpoint-"):
        remedy = "Restore it from a copy, or delete it: what it held is computed again."
    else:  # the settings or the rows: nothing can compute those again
        remedy = "Restore it from a copy, or start the run again in another directory."
    return InputError(
        f"Expected a whole {path.name} as infobound writes it; {path} is truncated, damaged or "
        f"something else ({error}). {remedy}"
    )


def unwritable(path: Path, error: OSError) -> InputError:
    """What to say of a file that cannot be written."""
    return InputError(
        f"Expected to write {path}; it cannot be written ({error.strerror or error}). Name a "
        "directory that exists, is yours and has room. What was written before is whole."
    )


def _in_order(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """As safetensors puts them."""
    return {key: arrays[key] for key in sorted(arrays, key=lambda k: (-arrays[k].itemsize, k))}


def _checksum(arrays: Mapping[str, np.ndarray]) -> str:
    total = hashlib.sha256()
    for part in itertools.chain([_header(arrays)], _bytes(arrays)):
        total.update(part)
    return total.hexdigest()


def _header(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None) -> bytes:
    """What a safetensors file of these arrays begins with: a length, and where each array is."""
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
    """The arrays' bytes, some megabytes at a time."""
    for array in arrays.values():
        for at in pieces(len(array), array[:1].size):
            yield np.ascontiguousarray(array[at]).tobytes()


def _mapped(
    path: Path, start: int, dtype: str, shape: Sequence[int], data_offsets: Sequence[int]
) -> np.ndarray:
    """One array of a safetensors file, memory-mapped."""
    kinds = {f"{word}{8 * size}": (kind, size) for kind, word in KINDS.items() for size in SIZES}
    kind, size = kinds[dtype]
    offset = start + data_offsets[0]
    return np.asarray(np.memmap(path, f"<{kind}{size}", "r", offset=offset, shape=tuple(shape)))
