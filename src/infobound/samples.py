"""The rows of a study: which tasks take part, and the sample of each, drawn or read from files.

A sample is determined by the task's label, n and the seed alone: the same for every estimator, on
every machine and in every order.
"""

from __future__ import annotations

import difflib
import fnmatch
import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from infobound import tasks
from infobound.errors import InputError
from infobound.npy import Archive
from infobound.places import place

__all__ = ["Drawn", "FileTask", "chosen", "portable", "sample", "stable_hash"]


@dataclass(frozen=True)
class FileTask:
    """Rows from an npz file with x (n, p), y (n, q) and the exact `mi` in nats; `mi_error` besides.

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

    @classmethod
    def open(cls, path: Path) -> FileTask:
        """The task in a file.

        Raises:
            InputError: the file cannot be read, or lacks x, y or mi.
        """
        place(path).size()  # a pipe would be waited for
        try:
            archive = Archive(path)
            whole = {n: _number(archive, n) for n in ("mi", "mi_error") if n in archive.arrays}
            x, y, mi = archive.header("x"), archive.header("y"), whole["mi"]
            with open(path, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except InputError:
            raise
        except Exception as error:  # of zipfile, of its codecs, of NumPy: each has its own
            raise InputError(
                f"Expected x, y and mi (a number, nats) in {path}; got {error}. Save it with "
                "np.savez(path, x=x, y=y, mi=mi)."
            ) from error
        if not x.shape or not y.shape or x.rows != y.rows:
            raise InputError(
                f"Expected as many rows of x as of y in {path}; got shapes {x.shape} and {y.shape}."
            )
        return cls(path, mi, whole.get("mi_error", 0.0), x.rows, digest)

    def draw(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """n of the file's rows, each at most once: x (n, p) and y (n, q)."""
        if n > self.rows:
            raise InputError(f"Expected at most {self.rows:,} rows, all of {self.path}; got {n:,}.")
        archive = Archive(self.path)
        x, y = archive.read("x"), archive.read("y")
        drawn = rng.permutation(self.rows)[:n]
        return x[drawn].reshape(n, -1), y[drawn].reshape(n, -1)


def _number(archive: Archive, name: str) -> float:
    """An array of one number."""
    shape = archive.header(name).shape
    if math.prod(shape) != 1:
        raise ValueError(f"{name} of shape {shape}")
    return float(archive.read(name).item())


@dataclass(frozen=True, eq=False)
class Drawn:
    """One sample of a task, for a process that lacks the task's file: x (n, p) and y (n, q)."""

    x: np.ndarray
    y: np.ndarray


def portable(label: str, task: Any, *, n: int, seed: int) -> Any:
    """What `sample` draws the same rows from where this machine's files are not.

    Example:
        >>> task = tasks.make("gaussian", d=2)
        >>> portable("pair", task, n=5, seed=0) is task
        True
    """
    if not isinstance(task, FileTask):
        return task
    try:
        return Drawn(*sample(label, task, n=n, seed=seed))
    except (InputError, OSError):  # too few rows, or no file: `sample` says it there as here
        return task


def sample(label: str, task: Any, *, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """n rows of a task: x (n, p) and y (n, q); by label, n and seed alone.

    Raises:
        InputError: more rows than a file has.

    Example:
        >>> x, y = sample("pair", tasks.make("gaussian", d=2), n=5, seed=0)
        >>> x.shape, y.shape
        ((5, 2), (5, 2))
    """
    source = np.random.SeedSequence(int(stable_hash([label, n, seed]), 16))
    if isinstance(task, Drawn):
        return task.x, task.y
    if isinstance(task, FileTask):
        return task.draw(n, np.random.default_rng(source))
    number = int(source.generate_state(1, np.uint64)[0] >> np.uint64(1))
    x, y = task.sample(n, torch.Generator().manual_seed(number))
    return x.numpy().reshape(n, -1), y.numpy().reshape(n, -1)


def stable_hash(key: Sequence[str | int]) -> str:
    """SHA-256 of words and numbers, in hexadecimal: the same everywhere, unlike Python's own.

    Example:
        >>> stable_hash(["gaussian", 100, 0])[:8]
        '17cb8e3a'
    """
    return hashlib.sha256(json.dumps(list(key)).encode()).hexdigest()


def chosen(
    suite: str, patterns: Sequence[str], files: str | Path | None
) -> list[tuple[str, Any, tuple[float, float]]]:
    """Label, task, and truth with its error in nats, for each task that takes part.

    Args:
        suite: the suite's name; with `files` only a word for messages.
        patterns: a task takes part if its label matches one of them.
        files: a directory of npz files to take instead of the suite.

    Raises:
        InputError: an unknown suite, no task that matches, or a file that is none.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.savez(f"{folder}/pair.npz", x=np.zeros(9), y=np.ones(9), mi=0.0)
        ...     [(label, truth) for label, _, truth in chosen("mine", ["p*"], folder)]
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
