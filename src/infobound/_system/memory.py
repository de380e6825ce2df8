"""Operations on rows that may not fit in memory: selection, sampling, comparison, iteration.

Arrays may be memory-mapped with any real dtype; rows taken from them are float64 in memory.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from infobound.errors import InputError

__all__ = [
    "assemble_rows",
    "concatenate_rows",
    "fits_in_memory",
    "free_memory",
    "row_ids",
    "row_slices",
    "strided_subsample",
    "subsample",
    "take_rows",
]

MIXERS = tuple(map(np.uint64, (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53)))
MEMORY_SHARE = 0.25  # largest fraction of the free memory for rows; larger arrays are kept on disk
PIECE = 2_000_000  # largest number of values in a piece


def take_rows(values: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Return rows of values (n, d) in the order of `index`, float64; reads them in ascending order.

    Example:
        >>> take_rows(np.arange(6, dtype=np.float32).reshape(3, 2), np.array([2, 0]))
        array([[4., 5.],
               [0., 1.]])
    """
    order = np.argsort(index)
    rows = np.empty((len(index), values.shape[1]))
    rows[order] = values[index[order]]
    return rows


def subsample(index: np.ndarray, most: int, *, seed: int) -> np.ndarray:
    """Return a sorted random sample of at most `most` row indices; all of them if there are fewer.

    Example:
        >>> subsample(np.array([5, 3]), 2, seed=0), len(subsample(np.arange(9), 4, seed=0))
        (array([5, 3]), 4)
    """
    if len(index) <= most:
        return index
    return np.sort(np.random.default_rng(seed).choice(index, most, replace=False))


def row_ids(*sides: np.ndarray) -> np.ndarray:
    """Return an id (n,) for each row of sides (n, d) side by side; exact copies have the same id.

    Rows are compared by a 64-bit hash, the final steps of MurmurHash3 for each column. With a
    million different rows, the probability that two have the same id is 3e-8.

    Example:
        >>> len(set(row_ids(np.array([[1.0, 0.0], [2.0, 0.0], [1.0, -0.0]])).tolist()))
        2
    """
    mixed = np.zeros(len(sides[0]), dtype=np.uint64)
    for side in sides:
        for column in side.T:
            mixed ^= np.asarray(column + 0.0, dtype=np.float64).view(np.uint64)
            for factor in MIXERS:
                mixed ^= mixed >> np.uint64(33)
                mixed *= factor
            mixed ^= mixed >> np.uint64(33)
    return np.unique(mixed, return_inverse=True)[1].ravel()


def strided_subsample(n: int, most: int) -> np.ndarray:
    """Return the indices of n rows, or of about `most` rows in a hundred evenly spaced blocks.

    Neighbouring rows stay together, and a file on disk is read in blocks.

    Example:
        >>> strided_subsample(1_000, 300)[:5]
        array([ 0,  1,  2, 10, 11])
    """
    if n <= most:
        return np.arange(n)
    starts = np.linspace(0, n - max(1, most // 100), 100).astype(np.int64)
    return np.unique(starts[:, None] + np.arange(max(1, most // 100)))


def row_slices(n: int, width: int) -> Iterator[slice]:
    """Divide n rows of `width` columns into contiguous slices of limited size.

    Example:
        >>> list(row_slices(3, 1_000_000))
        [slice(0, 2, None), slice(2, 3, None)]
    """
    step = max(1, PIECE // width if width else n)  # rows without columns need no memory
    return (slice(start, min(start + step, n)) for start in range(0, n, step))


def concatenate_rows(parts: Iterable[np.ndarray], n: int, width: int) -> np.ndarray:
    """Concatenate parts (k, width) to one array (n, width), in memory or memory-mapped.

    Raises:
        InputError: If there is no room for the temporary file.

    Example:
        >>> concatenate_rows(iter([np.ones((2, 3)), np.zeros((1, 3))]), 3, 3)[:, 0].tolist()
        [1.0, 1.0, 0.0]
    """

    def numbered() -> Iterator[tuple[int, np.ndarray]]:
        start = 0
        for part in parts:
            yield start, part
            start += len(part)

    return assemble_rows(numbered(), n, width)


def assemble_rows(parts: Iterable[tuple[int, np.ndarray]], n: int, width: int) -> np.ndarray:
    """Assemble parts (k, width), each with the index of its first row, to one array (n, width).

    An array that exceeds a quarter of the free memory is memory-mapped, read-only, from an unnamed
    temporary file, which is deleted when it is no longer used.

    Raises:
        InputError: If there is no room for the temporary file.

    Example:
        >>> assemble_rows([(1, np.ones((2, 1))), (0, np.zeros((1, 1)))], 3, 1).ravel().tolist()
        [0.0, 1.0, 1.0]
    """
    if fits_in_memory(n, width):
        rows = np.empty((n, width))
        for start, part in parts:
            rows[start : start + len(part)] = part
        return rows
    try:
        if 8 * n * width > shutil.disk_usage(tempfile.gettempdir()).free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with tempfile.TemporaryFile() as file:
            for start, part in parts:
                file.seek(8 * width * start)
                file.write(np.ascontiguousarray(part, dtype=np.float64).data)
            file.flush()
            return np.asarray(np.memmap(file, np.float64, "r", shape=(n, width)))
    except OSError as error:
        raise InputError(
            f"Expected room for {8e-9 * n * width:.1f} GB in {tempfile.gettempdir()}, since the "
            f"rows are more than memory holds; it cannot be written ({error.strerror}). Name "
            "another directory in the environment variable TMPDIR, or select fewer columns."
        ) from error


def fits_in_memory(n: int, width: int) -> bool:
    """Return whether n rows of `width` columns, float64, may be kept in memory.

    Example:
        >>> fits_in_memory(100, 3), fits_in_memory(10**12, 10**6)
        (True, False)
    """
    return 8 * n * width <= MEMORY_SHARE * free_memory()


def free_memory() -> int:
    """Return the number of bytes of available memory, as reported by the system.

    Example:
        >>> free_memory() > 0
        True
    """
    found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")] if _HAS_SYSCONF else []
    for file, word in (("/proc/meminfo", "MemAvailable:"), ("/sys/fs/cgroup/memory.max", "")):
        try:
            lines = Path(file).read_text(encoding="ascii").splitlines()
        except OSError:
            continue
        for line in lines:
            number = line.removeprefix(word).split()[0] if line.startswith(word) else ""
            if number.isdigit():
                found.append(int(number) * (1024 if word else 1))
    return min(found, default=4 * 2**30)


_HAS_SYSCONF = "SC_PHYS_PAGES" in getattr(os, "sysconf_names", {})
