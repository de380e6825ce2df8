"""The run directory: the files of a run and how they are written and read.

Files are written atomically (`files`). Arrays and checkpoints are safetensors, the rest is JSON and
CSV, so reading a run cannot execute code. `checkpoints` defines the contents of a checkpoint.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import logging
import os
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from infobound._system import distributed, locks, schemas
from infobound._system.files import (
    damaged,
    digest,
    expect_directory,
    expect_regular,
    is_regular,
    make_directory,
    parse_json,
    read_arrays,
    read_bytes,
    read_header,
    read_json,
    same_arrays,
    sealed,
    sweep,
    temporaries,
    unwritable,
    write_arrays,
    write_atomic,
)
from infobound._system.versions import versions
from infobound.config import Config
from infobound.errors import FaultWarning, InputError

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Events", "Run"]

T = TypeVar("T")
FORMAT, VERSION = "infobound-run", 1
ROWS, CHECKS, EVENTS = "rows.safetensors", "checks.json", ".infobound"
CURVE = ("curve.png", "curve.svg", "metrics.csv", "result.json")
FILES = {  # files with fixed names that each kind of run writes
    "reproduce": CURVE,
    "estimate": (*CURVE, ROWS, CHECKS, "estimate.png", "estimate.svg"),
}
EVERY_FILE = FILES["estimate"]


@dataclass(frozen=True)
class Run:
    """A run directory.

    Attributes:
        path: the directory.
        record: the contents of `run.json`.
        warned: the warnings that the run has given already.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     run = Run.create(Path(folder) / "run", record={"kind": "estimate"})
        ...     run.write_json("result.json", {"mi": 0.5})
        ...     Run.open(run.path).read_json("result.json")
        {'mi': 0.5}
    """

    path: Path
    record: Mapping[str, Any]
    warned: set[str] = field(default_factory=set, init=False, repr=False, compare=False)

    @classmethod
    def create(
        cls,
        path: str | Path,
        *,
        record: Mapping[str, Any],
        rows: Mapping[str, np.ndarray] | None = None,
        overwrite: bool = False,
    ) -> Run:
        """Create a run: make the directory, write the rows and, last, `run.json`.

        The run exists once `run.json` does. The caller must hold the lock of the directory
        (`locks`).

        Args:
            path: the directory, new or empty.
            record: the contents of `run.json` besides format and versions.
            rows: arrays to save as the rows of the run.
            overwrite: whether to replace an existing run.

        Returns:
            The run.

        Raises:
            InputError: If there is a run already, the directory contains other files, or it cannot
                be created.
        """
        path = Path(path)
        full = {"format": FORMAT, "version": VERSION, "versions": versions(), **record}
        run = cls(path, json.loads(json.dumps(full)))
        distributed.run_on_first(lambda: run._begin(rows, overwrite))
        return run

    def _begin(self, rows: Mapping[str, np.ndarray] | None, overwrite: bool) -> None:
        """Clear the directory of an earlier run, and write the rows and `run.json`."""
        path = self.path
        try:
            make_directory(path)
            here = [entry for entry in path.iterdir() if entry.name != locks.NAME]
        except OSError as error:
            raise unwritable(path, error) from error
        if expect_regular(path / "run.json"):
            found = self.open(path)  # raises for a foreign run.json, before anything is deleted
            if distributed.restarted() and found.record == self.record and found._holds(rows):
                return  # the same command was restarted after a rank died: continue the run
            if not overwrite:
                raise InputError(
                    f"Expected a new directory for the run; {path} holds one already. Continue "
                    f"it with `infobound resume {path}`, name another one, or use --overwrite."
                )
            found._remove(FILES.get(str(self.record.get("kind")), EVERY_FILE))
        elif all(_is_rows(file) for file in {*here} - {*temporaries(path)}):
            for file in here:  # a run that was killed before it wrote run.json
                file.unlink()
        else:
            raise InputError(
                f"Expected a new or empty directory for the run; {path} holds other files. "
                "Name another directory."
            )
        if rows is not None:
            self.save_rows("rows", rows)
        self.write_json("run.json", sealed(self.record))

    def _remove(self, wanted: Sequence[str]) -> None:
        """Remove the run, and nothing else, so that a run that writes `wanted` can replace it.

        Files with fixed names belong to the run because `run.json` marks the directory as a run;
        other files are recognised by their contents. `run.json` is removed last, so that the
        directory stays marked until then.

        Raises:
            InputError: If a file that does not belong to the run is in the way; then nothing is
                removed.
        """
        names = FILES.get(str(self.record.get("kind")), EVERY_FILE)
        ours = [self.path / name for name in names if expect_regular(self.path / name)]
        others = [self.path / name for name in wanted if name not in names]
        strange = [file for file in others if expect_regular(file)]
        strange += [file for file in ours if file.name == CHECKS and not _is_checks(file)]
        fits = set()
        for file in sorted(self.path.glob("checkpoint-*.safetensors")):
            fits.add(file.name.removeprefix("checkpoint-").split(".")[0])
            (ours if _is_checkpoint(file) else strange).append(file)
        if strange:
            raise InputError(
                f"Expected files of the run alone under the names that a run uses in {self.path}; "
                f"got {strange[0].name}, which is damaged or somebody else's. Move it away, "
                "or name another directory."
            )
        folders = self._folders()
        ours += [
            file
            for folder in folders
            for file in folder.glob("events.out.tfevents.*")
            if is_regular(file) and (file.suffix == EVENTS or folder.name in fits)
        ]
        for file in [*ours, *temporaries(self.path), self.path / "run.json"]:
            file.unlink()
        for folder in [*folders, self.path / "tensorboard"]:
            with contextlib.suppress(OSError):  # it contains files of others
                folder.rmdir()

    def _folders(self) -> list[Path]:
        """Return the directories of TensorBoard events."""
        events = self.path / "tensorboard"
        if not expect_directory(events):
            return []
        return [f for f in events.iterdir() if f.is_dir() and not f.is_symlink()]

    def _holds(self, rows: Mapping[str, np.ndarray] | None) -> bool:
        return rows is None or same_arrays(self.path / "rows.safetensors", rows)

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """Open the run in a directory.

        Raises:
            InputError: If there is no such directory, no run in it, or a run that this version
                cannot read.
        """
        path = Path(path)
        try:
            record = read_json(path / "run.json")
        except OSError as error:
            what = "no run.json in it" if os.path.isdir(path) else "no such directory"
            if not isinstance(error, FileNotFoundError | NotADirectoryError):
                what = f"its run.json cannot be read ({error.strerror})"
            raise InputError(
                f"Expected a run directory; {path}: {what}. Name the directory given to --run."
            ) from error
        if not isinstance(record, dict) or record.get("format") != FORMAT:
            raise InputError(f"Expected a run of infobound; {path / 'run.json'} is something else.")
        version = record.get("version", 0)
        if not isinstance(version, int) or version > VERSION:
            raise InputError(
                f"Expected a run of version {VERSION} or older; {path} has version "
                f"{version}. Update infobound."
            )
        return cls(path, record)

    def settings(self, kind: type[T]) -> T:
        """Return the contents of `run.json` as a dataclass (`schemas`).

        Raises:
            InputError: If a field is missing or has another type.
        """
        try:
            found: T = schemas.parse(kind, self.record)
        except ValueError as error:
            raise damaged(self.path / "run.json", error) from error
        return found

    def config(self, settings: Mapping[str, Any]) -> Config:
        """Build the configuration from the settings in `run.json`.

        Raises:
            InputError: If a setting is unknown or out of range.
        """
        try:
            return Config.from_dict(settings)
        except (InputError, TypeError, OverflowError) as error:
            raise damaged(self.path / "run.json", error) from error

    @property
    def is_complete(self) -> bool:
        """Whether the run has its result."""
        return (self.path / "result.json").is_file()

    def sweep(self) -> None:
        """Remove temporary files of killed processes; the caller must hold the directory's lock."""
        if distributed.is_first():
            sweep(self.path)

    def write_bytes(self, name: str, data: bytes, *, previous: str | None = None) -> None:
        """Write a file of the run atomically, on rank 0 only.

        With `previous`, an existing file is kept under that name.
        """
        if distributed.is_first():
            old = None if previous is None else self.path / previous
            write_atomic(self.path / name, data, previous=old)

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON file of the run atomically; floats round-trip."""
        self.write_bytes(name, (json.dumps(value, indent=2) + "\n").encode())

    def read_json(self, name: str) -> Any:
        """Read a JSON file of the run.

        Raises:
            InputError: If the file is missing or incomplete.
        """
        try:
            return read_json(self.path / name)
        except OSError as error:
            raise self._unreadable(name, error) from error

    def save_rows(self, name: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Write arrays, which may be memory-mapped, to `<name>.safetensors`."""
        write_arrays(self.path / f"{name}.safetensors", arrays)

    def load_rows(self, name: str) -> dict[str, np.ndarray]:
        """Read the arrays of `save_rows`; large ones are memory-mapped.

        Raises:
            InputError: If the file is missing or damaged.
        """
        path = self.path / f"{name}.safetensors"
        try:
            return read_arrays(path)
        except OSError as error:
            raise self._unreadable(path.name, error) from error

    def save_checkpoint(self, name: str, tensors: Mapping[str, Tensor], meta: Mapping) -> None:
        """Write tensors and JSON-serialisable `meta` to `checkpoint-<name>.safetensors`.

        The checkpoint before it is kept as `checkpoint-<name>.previous.safetensors`.
        """
        from safetensors.torch import save

        whole = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
        text = json.dumps(meta)
        checksum = digest(save(whole) + text.encode())
        data = save(whole, metadata={"meta": text, "digest": checksum})
        file, previous = self._checkpoints(name)
        self.write_bytes(file.name, data, previous=previous.name)

    def load_checkpoint(self, name: str) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Read the checkpoint of `save_checkpoint`; None if there is none.

        If the last one is damaged or missing, the one before it is used, with a `FaultWarning`.

        Raises:
            InputError: If a file is truncated, damaged or no checkpoint, and so is the one before
                it.
        """
        file, previous = self._checkpoints(name)
        if expect_regular(file):
            try:
                return self._checkpoint(file)
            except InputError:
                if not expect_regular(previous):
                    raise
        elif not expect_regular(previous):
            return None
        found = self._checkpoint(previous)
        warnings.warn(
            f"{file} is damaged or gone; the one before it is used, and what came after that is "
            "computed again.",
            FaultWarning,
            stacklevel=2,
        )
        return found

    def _checkpoints(self, name: str) -> tuple[Path, Path]:
        """Return the paths of a checkpoint and of the one before it."""
        stem = self.path / f"checkpoint-{name}"
        return Path(f"{stem}.safetensors"), Path(f"{stem}.previous.safetensors")

    def _checkpoint(self, file: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Read and verify one checkpoint file."""
        from safetensors import SafetensorError
        from safetensors.torch import load, save

        try:
            metadata, tensors = read_header(file)[1], load(read_bytes(file))
            text = metadata["meta"]
            whole = metadata["digest"] == digest(save(tensors) + text.encode())
            meta = parse_json(text)
        except OSError as error:
            raise self._unreadable(file.name, error) from error
        except (SafetensorError, RuntimeError, ValueError, LookupError, TypeError) as error:
            raise error if isinstance(error, InputError) else damaged(file, error) from error
        if not whole:
            raise damaged(file, "its checksum differs")
        return tensors, meta

    def write_metrics(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Write `metrics.csv` atomically; floats in shortest exact form, nan as an empty cell."""
        text = io.StringIO()
        columns = list(rows[0]) if rows else []
        table = csv.writer(text, lineterminator="\n")
        table.writerow(columns)
        for row in rows:
            values = [row[column] for column in columns]
            table.writerow(["" if value != value else repr(value) for value in map(_plain, values)])
        self.write_bytes("metrics.csv", text.getvalue().encode())

    def tensorboard(self, name: str, *, purge_step: int) -> Events | None:
        """Open a writer of TensorBoard events for one fit; events from `purge_step` on are dropped.

        Returns:
            The writer; None on all ranks but rank 0.
        """
        if not distributed.is_first():
            return None
        folder = self.path / "tensorboard"
        try:
            for each in (folder, folder / name):
                if not expect_directory(each):  # a link would lead out of the run
                    each.mkdir()  # without parents: a run that was deleted is not created again
        except OSError as error:
            raise unwritable(folder, error) from error
        return Events(folder / name, purge_step, self.warned)

    def _unreadable(self, name: str, error: OSError) -> InputError:
        return InputError(
            f"Expected {name} in the run {self.path}; it cannot be read ({error.strerror}). "
            "Start the run again."
        )


def _await_next_second(folder: Path) -> None:
    """Wait until a new events file sorts after those that `folder` has.

    TensorBoard reads files in the order of their names, which hold the second of their creation and
    then numbers without leading zeros: within one second, the tenth would come before the ninth.
    """
    seconds = {path.name.split(".")[3] for path in folder.glob("events.out.tfevents.*")}
    while f"{int(time.time()):010d}" in seconds:
        time.sleep(0.05)


class Events:
    """Writes the TensorBoard events of one fit.

    Args:
        folder: the directory of the events.
        purge_step: events from this step on are dropped.
        warned: the warnings that the run has given already.
    """

    def __init__(self, folder: Path, purge_step: int, warned: set[str]) -> None:
        logging.getLogger("tensorboard").setLevel(logging.ERROR)
        from torch.utils.tensorboard import SummaryWriter

        self.folder, self.warned = folder, warned
        with self._writing():
            _await_next_second(folder)
            self.writer = SummaryWriter(
                str(folder), purge_step=purge_step or None, filename_suffix=EVENTS
            )

    def scalars(self, step: int, **values: float) -> None:
        """Write one value per name at a step."""
        with self._writing():
            for name, value in values.items():
                self.writer.add_scalar(name, value, step)

    def graph(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """Write the graph of a module; warn once per run with `FaultWarning` if tracing fails."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the tracer warns that the graph depends on the inputs
            try:
                traced = _traced(module, inputs)  # traced here because `add_graph` prints errors
                with self._writing():
                    self.writer.add_graph(traced, inputs)
                return
            except InputError:
                raise
            except Exception as error:  # a user's module may be impossible to trace
                why = str(error).strip().partition("\n")[0] or type(error).__name__
        text = (
            f"TensorBoard's events in {self.folder.parent} have no graph of the critic: PyTorch "
            f"cannot trace it ({why}). Everything else is recorded."
        )
        if text not in self.warned:
            self.warned.add(text)
            warnings.warn(text, FaultWarning, stacklevel=2)

    def flush(self) -> None:
        """Write buffered events to disk."""
        with self._writing():
            self.writer.flush()

    def close(self) -> None:
        """Write buffered events to disk and close the file."""
        with self._writing():
            self.writer.close()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Convert errors of the disk, also those of the writer's thread, to `InputError`."""
        try:
            yield
        except OSError as error:
            raise unwritable(self.folder, error) from error


def _traced(module: nn.Module, inputs: tuple[Tensor, ...]) -> Any:
    """Trace a module.

    Gradients are disabled, as in the tracer's own check: critics may compute differently with them.
    """
    import torch

    from infobound._system import torch_state

    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        if torch_state.draws(lambda: module(*inputs)):
            stack.enter_context(torch_state.seeded_globally(0, inputs[0].device))
        return torch.jit.trace(module, inputs)


def _plain(value: Any) -> Any:
    """Convert a NumPy number to Python's; whole numbers become integers."""
    number = value.item() if isinstance(value, np.generic) else value
    return int(number) if isinstance(number, float) and number.is_integer() else number


def _is_rows(file: Path) -> bool:
    """Return whether a file contains the complete rows of a run."""
    try:
        return file.name == ROWS and bool(read_arrays(file))
    except (OSError, InputError):
        return False


def _is_checkpoint(file: Path) -> bool:
    """Return whether a file is a checkpoint of a run, by its header."""
    try:
        return {"meta", "digest"} <= read_header(file)[1].keys()
    except OSError:
        return False
    except InputError:
        if is_regular(file):
            return False
        raise


def _is_checks(file: Path) -> bool:
    """Return whether a file was written by `--check`.

    It is checked because few runs write this file, so that another program's file may have its
    name.
    """
    try:
        return bool(read_json(file, tuple[_Check, ...]))
    except (OSError, InputError):
        return False


@dataclass(frozen=True)
class _Check:
    """The fields by which a check of `analyses.invariance` is recognised."""

    name: str
    relation: str
    passed: bool
