"""NumPy's files, npy and npz: their headers are read first, and then only the arrays asked for.

A header can claim anything. It is held against the bytes that are there before memory is taken for
it, and no array is read that could run code.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from infobound._system.memory import fits
from infobound.errors import InputError

__all__ = ["Archive", "Header", "read_header"]

LONGEST = 10_000  # characters of a header, NumPy's own limit
READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


@dataclass(frozen=True)
class Header:
    """What an npy file says of its array."""

    shape: tuple[int, ...]
    dtype: np.dtype
    fortran: bool

    @property
    def rows(self) -> int:
        """How many rows; 1 of a single number."""
        return self.shape[0] if self.shape else 1

    @property
    def width(self) -> int:
        """How many values a row has."""
        return math.prod(self.shape[1:])

    @property
    def nbytes(self) -> int:
        """How many bytes the values take."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_header(file: IO[bytes], size: int) -> Header:
    """The header of an npy file of `size` bytes; `file` then stands where the values begin.

    Raises:
        ValueError: it is no such file, it is shorter than its header says, or it holds objects or
            structures.

    Example:
        >>> import io
        >>> file = io.BytesIO()
        >>> np.save(file, np.zeros((3, 2)))
        >>> size = file.tell(), file.seek(0)
        >>> read_header(file, size[0]).shape
        (3, 2)
    """
    version = np.lib.format.read_magic(file)
    if version not in READERS:
        raise ValueError(f"npy version {version} holds structures, not plain values")
    shape, fortran, dtype = READERS[version](file, max_header_size=LONGEST)
    if dtype.hasobject:
        raise ValueError("it holds Python objects, and reading those could run code")
    if dtype.kind == "V":
        raise ValueError("it holds structures, not plain values")
    found = Header(tuple(map(int, shape)), dtype, bool(fortran))
    left = size - file.tell()
    if min(found.shape, default=0) < 0 or found.nbytes > left:
        raise ValueError(
            f"shape {found.shape} of {dtype} needs {found.nbytes:,} bytes, and {left:,} are there"
        )
    return found


class Archive:
    """An npz file of which the headers are read; `arrays` says what each array is.

    Where an array cannot be read, the reason stands in place of its header; the others can be.

    Args:
        path: the file, which is held open.
        label: what to call it in messages.

    Raises:
        zipfile.BadZipFile: it is no npz file.
        OSError: it cannot be read.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.savez(f"{folder}/a.npz", x=np.eye(3), names=np.array([{}], dtype=object))
        ...     archive = Archive(Path(folder) / "a.npz")
        ...     archive.arrays["x"].shape, archive.arrays["names"], archive.read("x")[2]
        ((3, 3), 'it holds Python objects, and reading those could run code', array([0., 0., 1.]))
    """

    def __init__(self, path: Path, *, label: str = "") -> None:
        self.label = label or str(path)
        self._zip = zipfile.ZipFile(path)
        self._members: dict[str, zipfile.ZipInfo] = {}
        self.arrays: dict[str, Header | str] = {}
        for member in self._zip.infolist():
            name = member.filename.removesuffix(".npy")
            twice = name in self.arrays
            self._members[name] = member
            try:
                with self._zip.open(member) as file:
                    self.arrays[name] = read_header(file, member.file_size)
            except Exception as error:  # of zipfile, of its codecs, of NumPy: each has its own
                self.arrays[name] = str(error) or type(error).__name__
            if twice:
                self.arrays[name] = "there are several of this name"

    def header(self, name: str) -> Header:
        """What an array is.

        Raises:
            KeyError: there is none of this name.
            InputError: it cannot be read.
        """
        found = self.arrays[name]
        if isinstance(found, str):
            raise InputError(
                f"Expected a readable array {name} in {self.label}; {found}. Save it again as "
                "numbers or as text: array.astype(float), array.astype(str)."
            )
        return found

    def read(self, name: str) -> np.ndarray:
        """The whole array.

        Raises:
            InputError: it cannot be read, or is more than memory holds.
            zipfile.BadZipFile, zlib.error, ...: it is damaged.
        """
        header = self.header(name)
        if not fits(header.nbytes // 8, 1):
            raise InputError(
                f"Expected arrays that memory holds; {name} in {self.label} takes "
                f"{header.nbytes / 1e9:.1f} GB. Save rows of numbers in C order, as npy or as "
                "Parquet: of these only what is selected is read."
            )
        with self._zip.open(self._members[name]) as file:
            array: np.ndarray = np.lib.format.read_array(
                file, allow_pickle=False, max_header_size=LONGEST
            )
        return array

    def rows(
        self, name: str, columns: Sequence[int], pieces: Iterable[slice]
    ) -> Iterator[np.ndarray]:
        """Some columns of consecutive pieces of rows, (k, len(columns)); each row counts as flat.

        One piece is in memory at a time.

        Raises:
            InputError: as `read`; of its size only where it is in Fortran's order.
        """
        header = self.header(name)
        if header.fortran and len(header.shape) > 1:
            flat = self.read(name).reshape(header.rows, header.width)
            yield from (flat[at, columns] for at in pieces)
            return
        member = self._members[name]
        with self._zip.open(member) as file:
            read_header(file, member.file_size)
            for at in pieces:
                count = at.stop - at.start
                data = file.read(count * header.width * header.dtype.itemsize)
                rows = np.frombuffer(data, header.dtype).reshape(count, header.width)
                yield rows[:, columns]
