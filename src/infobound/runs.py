"""The run directory: what a run leaves on disk, and how it is read back.

Every file is written whole or not at all (`files`). Arrays and checkpoints are safetensors, the
rest is JSON and CSV; nothing that is read can execute code. What is in a checkpoint is `train`'s
affair.
"""

from __future__ import annotations

import contextlib
import csv
import importlib.metadata
import io
import json
import logging
import platform
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from infobound import distributed, locks
from infobound.errors import FaultWarning, InputError
from infobound.files import (
    damaged,
    digest,
    read_arrays,
    read_header,
    same_arrays,
    sweep,
    unwritable,
    write_arrays,
    write_atomic,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Events", "Run", "versions"]

FORMAT, VERSION = "infobound-run", 1
BEGUN = ("rows.safetensors", ".*.tmp")  # all that there is before a run exists
PICTURES = ("curve.png", "curve.svg", "estimate.png", "estimate.svg")
OURS = (
    *BEGUN,
    *PICTURES,
    "run.json",
    "result.json",
    "checks.json",
    "metrics.csv",
    "checkpoint-*.safetensors",
)


def versions() -> dict[str, str]:
    """Versions of what a result depends on.

    Example:
        >>> "torch" in versions()
        True
    """
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for name in ("infobound", "torch", "numpy", "scipy"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:  # run from a checkout, not installed
            found[name] = "unknown"
    return found


@dataclass(frozen=True)
class Run:
    """A run directory; `record` is what `run.json` says of it.

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
    said: set[str] = field(default_factory=set, init=False, repr=False, compare=False)

    @classmethod
    def create(
        cls,
        path: str | Path,
        *,
        record: Mapping[str, Any],
        rows: Mapping[str, np.ndarray] | None = None,
        overwrite: bool = False,
    ) -> Run:
        """Make the directory, write the rows and, last, `run.json`: with it the run exists.

        The caller holds the directory (`locks`).

        Raises:
            InputError: there is a run already, the folder holds other files, or it cannot be made.
        """
        path = Path(path)
        full = {"format": FORMAT, "version": VERSION, "versions": versions(), **record}
        run = cls(path, json.loads(json.dumps(full)))
        distributed.by_first(lambda: run._begin(rows, overwrite))
        return run

    def _begin(self, rows: Mapping[str, np.ndarray] | None, overwrite: bool) -> None:
        """The directory with nothing in it but what a run begins with."""
        path = self.path
        here = [e for e in path.iterdir() if e.name != locks.NAME] if path.is_dir() else []
        if here:
            if (path / "run.json").is_file():
                found = self.open(path)  # a foreign run.json is no run: say so and delete nothing
                if distributed.restarted() and found.record == self.record and found._holds(rows):
                    return  # the same command once more, after a rank died: it goes on
                if not overwrite:
                    raise InputError(
                        f"Expected a new directory for the run; {path} holds one already. Continue "
                        f"it with `infobound resume {path}`, name another one, or use --overwrite."
                    )
            elif not all(any(file.match(p) for p in BEGUN) for file in here):
                raise InputError(
                    f"Expected a new or empty directory for the run; {path} holds other files. "
                    "Name another directory."
                )
            for pattern in OURS:
                for file in path.glob(pattern):
                    file.unlink()
            shutil.rmtree(path / "tensorboard", ignore_errors=True)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(path, error) from error
        if rows is not None:
            self.save_rows("rows", rows)
        self.write_json("run.json", self.record)

    def _holds(self, rows: Mapping[str, np.ndarray] | None) -> bool:
        return rows is None or same_arrays(self.path / "rows.safetensors", rows)

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """The run in a directory.

        Raises:
            InputError: no directory, no run in it, or one that this version cannot read.
        """
        path = Path(path)
        if not (path / "run.json").is_file():
            what = "no run.json in it" if path.is_dir() else "no such directory"
            raise InputError(
                f"Expected a run directory; {path}: {what}. Name the directory given to --run."
            )
        record = cls(path, {}).read_json("run.json")
        if not isinstance(record, dict) or record.get("format") != FORMAT:
            raise InputError(f"Expected a run of infobound; {path / 'run.json'} is something else.")
        version = record.get("version", 0)
        if not isinstance(version, int) or version > VERSION:
            raise InputError(
                f"Expected a run of version {VERSION} or older; {path} has version "
                f"{version}. Update infobound."
            )
        return cls(path, record)

    @property
    def is_complete(self) -> bool:
        """Whether the run has its result."""
        return (self.path / "result.json").is_file()

    def sweep(self) -> None:
        """Remove what killed processes left half written; the caller holds the directory."""
        if distributed.is_first():
            sweep(self.path)

    def write_bytes(self, name: str, data: bytes, *, previous: str | None = None) -> None:
        """One file of the run, atomically; of several ranks the first writes."""
        if distributed.is_first():
            old = None if previous is None else self.path / previous
            write_atomic(self.path / name, data, previous=old)

    def write_json(self, name: str, value: Any) -> None:
        """A JSON file of the run, atomically; floats round-trip."""
        self.write_bytes(name, (json.dumps(value, indent=2) + "\n").encode())

    def read_json(self, name: str) -> Any:
        """A JSON file of the run.

        Raises:
            InputError: it is missing or not whole.
        """
        data = self._read(name)
        try:
            return json.loads(data)
        except ValueError as error:
            raise damaged(self.path / name, error) from error

    def save_rows(self, name: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Arrays, which may be memory-mapped, as `<name>.safetensors`."""
        write_arrays(self.path / f"{name}.safetensors", arrays)

    def load_rows(self, name: str) -> dict[str, np.ndarray]:
        """The inverse of `save_rows`; arrays that are much of the free memory stay in the file.

        Raises:
            InputError: the file is missing or damaged.
        """
        path = self.path / f"{name}.safetensors"
        try:
            return read_arrays(path)
        except OSError as error:
            raise self._unreadable(path.name, error) from error

    def save_checkpoint(self, name: str, tensors: Mapping[str, Tensor], meta: Mapping) -> None:
        """Tensors and a JSON-able `meta` as one file, `checkpoint-<name>.safetensors`.

        The one before stays as `checkpoint-<name>.previous.safetensors`.
        """
        from safetensors.torch import save

        whole = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
        text = json.dumps(meta)
        checksum = digest(save(whole) + text.encode())
        data = save(whole, metadata={"meta": text, "digest": checksum})
        file, previous = self._checkpoints(name)
        self.write_bytes(file.name, data, previous=previous.name)

    def load_checkpoint(self, name: str) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """The inverse of `save_checkpoint`; None where there is none.

        Where the last one is damaged or gone it is the one before, with a `FaultWarning`.

        Raises:
            InputError: a file is truncated, damaged or something else, and so is the one before.
        """
        file, previous = self._checkpoints(name)
        if file.exists():
            try:
                return self._checkpoint(file)
            except InputError:
                if not previous.exists():
                    raise
        elif not previous.exists():
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
        """Where a checkpoint is, and the one before it."""
        stem = self.path / f"checkpoint-{name}"
        return Path(f"{stem}.safetensors"), Path(f"{stem}.previous.safetensors")

    def _checkpoint(self, file: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """What is in one checkpoint file."""
        from safetensors import SafetensorError
        from safetensors.torch import load, save

        data = self._read(file.name)
        try:
            tensors, metadata = load(data), read_header(file)[1]["__metadata__"]
            text = metadata["meta"]
            whole = metadata["digest"] == digest(save(tensors) + text.encode())
            meta = json.loads(text)
        except (SafetensorError, ValueError, KeyError, TypeError) as error:
            raise damaged(file, error) from error
        if not whole:
            raise damaged(file, "its checksum differs")
        return tensors, meta

    def write_metrics(self, rows: Sequence[Mapping[str, float]]) -> None:
        """`metrics.csv`, atomically; floats by their shortest exact form, nan as an empty cell."""
        text = io.StringIO()
        columns = list(rows[0]) if rows else []
        table = csv.writer(text, lineterminator="\n")
        table.writerow(columns)
        for row in rows:
            values = [row[column] for column in columns]
            table.writerow(["" if value != value else repr(value) for value in map(_plain, values)])
        self.write_bytes("metrics.csv", text.getvalue().encode())

    def tensorboard(self, name: str, *, purge_step: int) -> Events | None:
        """A writer of TensorBoard events for one fit; events from `purge_step` on are dropped.

        None on all ranks but the first.
        """
        if not distributed.is_first():
            return None
        folder = self.path / "tensorboard"
        try:
            folder.mkdir(exist_ok=True)  # not its parents: a run that is gone is not made anew
        except OSError as error:
            raise unwritable(folder, error) from error
        return Events(folder / name, purge_step, self.said)

    def _read(self, name: str) -> bytes:
        try:
            return (self.path / name).read_bytes()
        except OSError as error:
            raise self._unreadable(name, error) from error

    def _unreadable(self, name: str, error: OSError) -> InputError:
        return InputError(
            f"Expected {name} in the run {self.path}; it cannot be read ({error.strerror}). "
            "Start the run again."
        )


class Events:
    """TensorBoard events of one fit; `said` holds the warnings that the run has given already."""

    def __init__(self, folder: Path, purge_step: int, said: set[str]) -> None:
        logging.getLogger("tensorboard").setLevel(logging.ERROR)
        from torch.utils.tensorboard import SummaryWriter

        self.folder, self.said = folder, said
        with self._writing():
            self.writer = SummaryWriter(str(folder), purge_step=purge_step or None)

    def scalars(self, step: int, **values: float) -> None:
        """One value per name at a step."""
        with self._writing():
            for name, value in values.items():
                self.writer.add_scalar(name, value, step)

    def graph(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """The module's graph; a `FaultWarning`, once a run, where it cannot be traced."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the tracer's: that the graph holds for these inputs
            try:
                traced = _traced(module, inputs)  # here, for `add_graph` prints what goes wrong
                with self._writing():
                    self.writer.add_graph(traced, inputs)
                return
            except InputError:
                raise
            except Exception as error:  # a user's module may do what no tracer follows
                why = str(error).strip().partition("\n")[0] or type(error).__name__
        text = (
            f"TensorBoard's events in {self.folder.parent} have no graph of the critic: PyTorch "
            f"cannot trace it ({why}). Everything else is recorded."
        )
        if text not in self.said:
            self.said.add(text)
            warnings.warn(text, FaultWarning, stacklevel=2)

    def flush(self) -> None:
        """Write what is waiting."""
        with self._writing():
            self.writer.flush()

    def close(self) -> None:
        """Write what is left."""
        with self._writing():
            self.writer.close()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """What the disk refuses is said as of any file, also if it met a thread of the writer."""
        try:
            yield
        except OSError as error:
            raise unwritable(self.folder, error) from error


def _traced(module: nn.Module, inputs: tuple[Tensor, ...]) -> Any:
    """The module with its graph.

    Without gradients, as the tracer's own check runs: critics may take another way with.
    """
    import torch

    from infobound import torch_state

    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        if torch_state.draws(lambda: module(*inputs)):
            stack.enter_context(torch_state.seeded_globally(0, inputs[0].device))
        return torch.jit.trace(module, inputs)


def _plain(value: Any) -> Any:
    """A NumPy number as Python's, integers kept."""
    number = value.item() if isinstance(value, np.generic) else value
    return int(number) if isinstance(number, float) and number.is_integer() else number
