"""Compressed files, as one stream of bytes: gzip, bzip2, xz, Zstandard, and zip with one file."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, cast

from infobound.errors import InputError

__all__ = ["OPENERS", "member", "open_binary"]


def member(path: Path) -> str:
    """Return the name of the only file in a zip archive.

    Raises:
        InputError: If there is none, or there are several.
        zipfile.BadZipFile: If it is no zip archive.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with zipfile.ZipFile(f"{folder}/rows.zip", "w") as archive:
        ...         archive.writestr("rows.csv", "a,b")
        ...     member(Path(folder) / "rows.zip")
        'rows.csv'
    """
    with zipfile.ZipFile(path) as archive:
        names = [
            name
            for name in archive.namelist()
            if not name.endswith("/") and not name.startswith("__MACOSX/")
        ]
    if len(names) != 1:
        said = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        remedy = f"Name one of them: zip://{names[0]}::{path}" if names else "Write it again"
        raise InputError(
            f"Expected one file in {path.name}; got {said or 'an empty archive'}. {remedy}."
        )
    return names[0]


def _zip(path: Path) -> IO[bytes]:
    return zipfile.ZipFile(path).open(member(path))


def _zstd(path: Path) -> IO[bytes]:
    import pyarrow as pa

    return cast("IO[bytes]", pa.input_stream(str(path), compression="zstd"))


OPENERS: dict[str, Callable[[Path], Any]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
    ".zst": _zstd,
    ".zip": _zip,
}


def open_binary(path: Path) -> IO[bytes]:
    """Open a file for reading as bytes, unpacked if its ending names a kind of compression.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with gzip.open(f"{folder}/rows.csv.gz", "wb") as file:
        ...         _ = file.write(b"a,b")
        ...     with open_binary(Path(folder) / "rows.csv.gz") as file:
        ...         file.read()
        b'a,b'
    """
    opener = OPENERS.get(path.suffix.lower())
    return cast("IO[bytes]", open(path, "rb") if opener is None else opener(path))
