"""The directory of a table: a file for each cell, a label, and what the table's owner writes.

Files that are not the table's own are neither read, replaced nor deleted.
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
    """What `study.json` holds; `files` are the names that the table uses beside its cells."""

    format: str
    version: int
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class Store(Generic[Record]):
    """Records on disk, each beside its identity: the settings that it was computed with.

    `kind` is the dataclass of a record, `file_name` gives the name of its cell, and `problem` says
    what no record that was computed here would hold. `files` are all names that a table may ever
    use in its directory.
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
        """Make the directory, or see that it is a table's; the names in it that are the table's.

        Raises:
            InputError: something that is not the table's is in the way; then all of it is left.
        """
        path = self.path
        try:
            path.mkdir(parents=True, exist_ok=True)
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
        """The files that the label says are the table's.

        A damaged label is written again if there are cells to show that it was a table's.
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
        """Every cell on disk by file name: its identity and its record.

        Raises:
            InputError: a cell that is damaged.
        """
        stored = dataclasses.make_dataclass(
            "Stored", [("identity", dict[str, Any]), ("row", self.kind)], frozen=True
        )
        found = {}
        for file in sorted(self.cells.glob("*.json")):
            if CELL.fullmatch(file.name):  # whatever else lies there is not ours
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
        """Write a record's cell; the record."""
        row = dataclasses.asdict(record)  # type: ignore[call-overload]
        cell: dict[str, Any] = {"format": "infobound-cell", "identity": identity, "row": row}
        write_json(self.cells / self.file_name(record), cell)
        return record


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write JSON with its digest, atomically."""
    files.write_atomic(path, (json.dumps(files.sealed(value), indent=1) + "\n").encode())
