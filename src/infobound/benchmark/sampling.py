"""Selection of the tasks of a study, from a suite or from npz files."""

from __future__ import annotations

import difflib
import fnmatch
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from infobound.benchmark import tasks
from infobound.data.pair import GIVEN
from infobound.errors import InputError
from infobound.files.formats.npy import Archive
from infobound.files.locations import place

__all__ = ["FileTask", "choose_tasks"]


@dataclass(frozen=True)
class FileTask:
    """A task whose rows come from an npz file.

    The file has x (n, p), y (n, q), the exact `mi` in nats and, optionally, its standard error
    `mi_error`. With a third variable `given` (n, r), `mi` is the conditional MI I(X;Y|Z).

    Attributes:
        path: the file.
        mi: the exact MI, in nats.
        mi_error: its standard error, in nats.
        rows: the number of rows.
        digest: a hash of the file.
        sides: the names of the arrays of rows: x, y and, perhaps, given.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "pair.npz"
        ...     np.savez(path, x=np.zeros((9, 2)), y=np.ones(9), mi=0.5)
        ...     task = FileTask.open(path)
        >>> task.mi, task.rows
        (0.5, 9)
    """

    path: Path
    mi: float
    mi_error: float
    rows: int
    digest: str
    sides: tuple[str, ...] = ("x", "y")

    @classmethod
    def open(cls, path: Path) -> FileTask:
        """Open the task in a file.

        Raises:
            InputError: If the file cannot be read, lacks x, y or mi, or x, y and given have
                different numbers of rows.
        """
        place(path).size()  # rejects a pipe, which would block
        try:
            archive = Archive(path)
            whole = {n: _number(archive, n) for n in ("mi", "mi_error") if n in archive.arrays}
            sides = ("x", "y", *([GIVEN] if GIVEN in archive.arrays else []))
            headers, mi = [archive.header(side) for side in sides], whole["mi"]
            with open(path, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except InputError:
            raise
        except Exception as error:  # zipfile, its codecs and NumPy each raise their own types
            raise InputError(
                f"Expected x, y and mi (a number, nats) in {path}; got {error}. Save it with "
                "np.savez(path, x=x, y=y, mi=mi)."
            ) from error
        shapes = [header.shape for header in headers]
        if not all(shapes) or len({shape[0] for shape in shapes}) > 1:
            raise InputError(
                f"Expected equally many rows of {' and '.join(sides)} in {path}; got shapes "
                f"{', '.join(map(str, shapes))}."
            )
        return cls(path, mi, whole.get("mi_error", 0.0), headers[0].rows, digest, sides)

    def draw(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        """Draw n of the file's rows without replacement: x (n, p), y (n, q) and given, if any.

        Raises:
            InputError: If n exceeds the number of rows.
        """
        if n > self.rows:
            raise InputError(f"Expected at most {self.rows:,} rows, all of {self.path}; got {n:,}.")
        archive = Archive(self.path)
        drawn = rng.permutation(self.rows)[:n]
        return tuple(archive.read(side)[drawn].reshape(n, -1) for side in self.sides)


def _number(archive: Archive, name: str) -> float:
    """Read an array of one number."""
    shape = archive.header(name).shape
    if math.prod(shape) != 1:
        raise ValueError(f"{name} of shape {shape}")
    return float(archive.read(name).item())


def choose_tasks(
    suite: str, patterns: Sequence[str], files: str | Path | None
) -> list[tuple[str, Any, tuple[float, float]]]:
    """Select the tasks of a study.

    Args:
        suite: the name of the suite; with `files` only a word for messages.
        patterns: a task is selected if its label matches one of them.
        files: a directory of npz files to use instead of the suite.

    Returns:
        Label, task, and MI with its standard error in nats, for each selected task.

    Raises:
        InputError: If the suite is unknown, no task matches, or a file is no task.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.savez(f"{folder}/pair.npz", x=np.zeros(9), y=np.ones(9), mi=0.0)
        ...     [(label, truth) for label, _, truth in choose_tasks("mine", ["p*"], folder)]
        [('pair', (0.0, 0.0))]
    """
    labelled: list[tuple[str, Any]]
    if files is None:
        labelled = list(tasks.suite(suite))
    else:
        found = sorted(Path(files).glob("*.npz"))
        if not found:
            raise InputError(f"Expected npz files with x, y and mi in {files}; got none.")
        labelled = [(path.stem, path) for path in found]
    taking = [pair for pair in labelled if any(fnmatch.fnmatchcase(pair[0], p) for p in patterns)]
    if not taking:
        labels = [label for label, _ in labelled]
        near = [n for p in patterns for n in difflib.get_close_matches(p, labels, 3)] or labels[:5]
        raise InputError(
            f"Expected patterns that match tasks of {suite}; got {' '.join(patterns)}. There are "
            f"{len(labels)}, such as {', '.join(near)}."
        )
    if files is not None:
        taking = [(label, FileTask.open(path)) for label, path in taking]
    return [(name, t, (float(t.mi), float(getattr(t, "mi_error", 0.0)))) for name, t in taking]
