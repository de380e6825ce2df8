"""NumPy's npy and npz files: headers are read first, and then only the requested arrays.

A header can claim any size, so it is compared with the size of the file before memory is allocated.
Arrays of Python objects, which could execute code, are not read.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from infobound._system.memory import fits_in_memory
from infobound.errors import InputError

__all__ = ["Archive", "Header", "read_header"]

LONGEST = 10_000  # largest number of characters of a header, NumPy's own limit
READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


@dataclass(frozen=True)
class Header:
    """The header of an npy file.

    Attributes:
        shape: the shape of the array.
        dtype: its dtype.
        fortran: whether it is stored in Fortran order.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    fortran: bool

    @property
    def rows(self) -> int:
        """The number of rows; 1 for a scalar."""
        return self.shape[0] if self.shape else 1

    @property
    def width(self) -> int:
        """The number of values of a row."""
        return math.prod(self.shape[1:])

    @property
    def nbytes(self) -> int:
        """The number of bytes of the values."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_header(file: IO[bytes], size: int) -> Header:
    """Read the header of an npy file; afterwards `file` is positioned at the values.

    Args:
        file: the file, at its start.
        size: its size in bytes.

    Raises:
        ValueError: If it is no npy file, is shorter than its header claims, or contains Python
            objects or structured values.

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
    """An npz file whose headers have been read.

    `arrays` maps each name to its header or, if the array cannot be read, to the reason as text.

    Args:
        path: the file, which is kept open.
        label: its name in messages; the path by default.

    Raises:
        zipfile.BadZipFile: If it is no npz file.
        OSError: If it cannot be read.

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
            except Exception as error:  # zipfile, its codecs and NumPy each raise their own types
                self.arrays[name] = str(error) or type(error).__name__
            if twice:
                self.arrays[name] = "there are several of this name"

    def header(self, name: str) -> Header:
        """Return the header of an array.

        Raises:
            KeyError: If there is no array of this name.
            InputError: If the array cannot be read.
        """
        found = self.arrays[name]
        if isinstance(found, str):
            raise InputError(
                f"Expected a readable array {name} in {self.label}; {found}. Save it again as "
                "numbers or as text: array.astype(float), array.astype(str)."
            )
        return found

    def read(self, name: str) -> np.ndarray:
        """Read a whole array.

        Raises:
            InputError: If the array cannot be read or does not fit in memory.
            zipfile.BadZipFile, zlib.error, ...: If it is damaged.
        """
        header = self.header(name)
        if not fits_in_memory(header.nbytes // 8, 1):
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
        """Iterate over consecutive pieces of rows, with one piece in memory at a time.

        Args:
            name: the name of the array.
            columns: indices of values in a flattened row.
            pieces: slices of rows, in order and without gaps.

        Yields:
            Arrays (k, len(columns)).

        Raises:
            InputError: If the array cannot be read, or is in Fortran order and does not fit in
                memory.
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
