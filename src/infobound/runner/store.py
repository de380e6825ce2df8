"""The directory of a table: one file per cell, a label, and files of the table's owner.

Files that do not belong to the table are neither read, replaced nor deleted.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from infobound._system import files, locks, schemas
from infobound._system.files import expect_directory, expect_regular
from infobound.errors import InputError

__all__ = ["Store"]

Record = TypeVar("Record")

FORMAT, VERSION = "infobound-study", 1
CELL = re.compile(r".*_[0-9a-f]{8}\.json", re.DOTALL)  # the name of a cell's file


@dataclass(frozen=True)
class _Label:
    """The contents of `study.json`; `files` are the names that the table uses besides cells."""

    format: str
    version: int
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class Store(Generic[Record]):
    """Records on disk, each with its identity: the settings that it was computed with.

    Attributes:
        path: the directory.
        kind: the dataclass of a record.
        file_name: returns the file name of a record's cell.
        problem: describes a value that no record computed here can have; empty if there is none.
        files: all names that a table may use in its directory.
    """

    path: Path
    kind: type[Record]
    file_name: Callable[[Record], str]
    problem: Callable[[Mapping[str, Any], Record], str]
    files: tuple[str, ...] = ()

    @property
    def cells(self) -> Path:
        """The directory of the cells."""
        return self.path / "cells"

    def prepare(self, wanted: Sequence[str], *, overwrite: bool) -> list[str]:
        """Create the directory, or check that it contains a table.

        Args:
            wanted: the names of files that the table will write.
            overwrite: whether to delete an earlier table.

        Returns:
            The names of all files that belong to the table.

        Raises:
            InputError: If files that do not belong to the table are in the way; then nothing is
                deleted.
        """
        path = self.path
        try:
            files.make_directory(path)
            here = [e for e in path.iterdir() if e.name != locks.NAME]
            expect_directory(self.cells)
            names: Sequence[str] = ()
            if expect_regular(path / "study.json"):
                names = self._names()
            elif {e.name for e in here if e not in files.temporaries(path)} - {"cells"}:
                raise InputError(
                    f"Expected a new or empty directory, or one with a study; {path} holds other "
                    "files. Name another --out."
                )
            ours = [path / name for name in names if expect_regular(path / name)]
            for name in wanted:
                if expect_regular(path / name) and name not in names:
                    raise InputError(
                        f"Expected no {name} in {path} but the study's own; got somebody else's. "
                        "Move it away, or name another --out."
                    )
            if overwrite:
                for file in [*(self.cells / name for name in self.records()), *ours]:
                    file.unlink()
                names = ()
            self.cells.mkdir(exist_ok=True)
            files.sweep(path)
            files.sweep(self.cells)
        except OSError as error:
            raise InputError(
                f"Expected to write {path}; it cannot be written ({error.strerror}). Name an --out "
                "that is yours and has room."
            ) from error
        return sorted({*names, *wanted})

    def _names(self) -> Sequence[str]:
        """Return the names of the table's files according to its label.

        A damaged label is replaced if there are cells, which show that the directory has a table.
        """
        try:
            record = files.read_json(self.path / "study.json")
        except InputError:
            if not self.records():
                raise
            return self.files
        try:
            label = schemas.parse(_Label, {"files": self.files, **record})
        except (ValueError, TypeError):
            label = None
        if label is None or label.format != FORMAT:
            raise InputError(
                f"Expected a study in {self.path}; its study.json is something else. Name another "
                "--out."
            )
        if label.version > VERSION:
            raise InputError(
                f"Expected a study of version {VERSION} or older; {self.path} has version "
                f"{label.version}. Update infobound."
            )
        return [name for name in label.files if name in self.files]

    def write_label(self, record: Mapping[str, Any]) -> None:
        """Write `study.json`."""
        write_json(self.path / "study.json", {"format": FORMAT, "version": VERSION, **record})

    def records(self) -> dict[str, tuple[dict[str, Any], Record]]:
        """Return the identity and the record of every cell on disk, by file name.

        Raises:
            InputError: If a cell is damaged.
        """
        stored = dataclasses.make_dataclass(
            "Stored", [("identity", dict[str, Any]), ("row", self.kind)], frozen=True
        )
        found = {}
        for file in sorted(self.cells.glob("*.json")):
            if CELL.fullmatch(file.name):  # other files do not belong to the table
                try:
                    cell: Any = files.read_json(file, stored)
                except OSError as error:
                    raise files.damaged(file, error.strerror) from error
                problem = self.problem(cell.identity, cell.row)
                if problem or file.name != self.file_name(cell.row):
                    raise files.damaged(file, problem or "its name is that of another cell")
                found[file.name] = (cell.identity, cell.row)
        return found

    def save(self, identity: Mapping[str, Any], record: Record) -> Record:
        """Write the cell of a record and return the record."""
        row = dataclasses.asdict(record)  # type: ignore[call-overload]
        cell: dict[str, Any] = {"format": "infobound-cell", "identity": identity, "row": row}
        write_json(self.cells / self.file_name(record), cell)
        return record


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write JSON with its digest atomically."""
    files.write_atomic(path, (json.dumps(files.sealed(value), indent=1) + "\n").encode())
