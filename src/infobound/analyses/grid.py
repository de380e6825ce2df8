"""Estimates whose truth is known: tasks x estimators x sizes x seeds, as one table on disk.

Studies of the benchmark and the calibration of `rehearse` are such tables. How cells are computed
in parallel and resumed is in `runner`; this module says what a cell is.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import io
import json
import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from infobound import __version__
from infobound._system import files, torch_state
from infobound.analyses import accuracy
from infobound.analyses.accuracy import Row, Summary
from infobound.config import Config
from infobound.errors import InputError
from infobound.estimation import estimate
from infobound.runner import compute, dask_cluster
from infobound.runner.compute import Progress, Work
from infobound.runner.store import Store
from infobound.training import loop, run_directory

__all__ = [
    "CALIBRATION",
    "PAGES",
    "Estimator",
    "EstimatorError",
    "Own",
    "Planned",
    "Progress",
    "Study",
    "Unsuitable",
    "ready",
    "run_grid",
    "sample",
    "stable_hash",
]

TABLE = ("study.csv", "study.parquet")  # what `run_grid` writes beside cells and `study.json`
PAGES = ("summary.md", "truth.png", "truth.svg", "error.png", "error.svg")  # by `study`
CALIBRATION = ("rehearse.json", "rehearsal.png", "rehearsal.svg")  # by `rehearse`
FILES = (*TABLE, *PAGES, *CALIBRATION)

# What is sampled: a label, a task, its MI with its standard error in nats, and the number of rows.
Planned = tuple[str, Any, tuple[float, float], int]


class Unsuitable(Exception):
    """An estimator is not made for these rows; the message says why. The cell is skipped."""


class EstimatorError(Exception):
    """An estimator failed; the message is a sentence."""


class Estimator(Protocol):
    """What estimates in a cell. It goes to other processes by value."""

    def settings(self) -> Mapping[str, Any]:
        """What must not have changed where an estimate is taken from disk."""

    def requirement(self) -> Callable[[], Mapping[str, str]]:
        """Says what a machine needs for it, by name and version; hashable."""

    def columns(self, name: str, x: np.ndarray, y: np.ndarray, seed: int) -> Mapping[str, Any]:
        """The fields of a `Row` that it gives for x (n, p) and y (n, q)."""


@dataclass(frozen=True)
class _Device:
    name: str

    def __call__(self) -> Mapping[str, str]:
        found = loop.device(Config.from_dict({"device": self.name}))
        return {f"device {self.name}": found.type}


@dataclass(frozen=True)
class Own:
    """The estimate of this package with the settings of a `Config`; the seed is the cell's."""

    config: Config

    def settings(self) -> Mapping[str, Any]:
        """The configuration without its seed."""
        return {k: v for k, v in self.config.as_dict().items() if k != "seed"}

    def requirement(self) -> Callable[[], Mapping[str, str]]:
        """The device."""
        return _Device(self.config.device)

    def columns(self, name: str, x: np.ndarray, y: np.ndarray, seed: int) -> Mapping[str, Any]:
        """The estimate, its interval and its findings."""
        result = estimate.estimate(x, y, config=self.config.with_(seed=seed))
        names = ("mi", "held_out", "held_out_error", "training", "kept", "seconds")
        low, high = result.interval
        codes = " ".join(finding.code for finding in result.findings)
        own = {name: getattr(result, name) for name in names}
        return {**own, "low": low, "high": high, "findings": codes}


@dataclass(frozen=True)
class Study:
    """A study's table and its summary; `path` holds them as files."""

    path: Path
    rows: tuple[Row, ...]
    summary: tuple[Summary, ...]

    @property
    def failures(self) -> tuple[Row, ...]:
        """The cells that went wrong; running the study again tries them again."""
        return tuple(filter(accuracy.failed, self.rows))

    def as_rows(self, unit: str = "nats") -> list[dict[str, Any]]:
        """The summary as plain rows, fit for JSON; `unit` is nats or bits."""
        return [each.as_dict(unit) for each in self.summary]


@dataclass(frozen=True)
class _Cell:
    """One estimate that is to be made: the row without its outcome, the task, the estimator."""

    row: Row
    task: Any
    estimator: Estimator


def run_grid(
    suite: str,
    plan: Sequence[Planned],
    estimators: Mapping[str, Estimator],
    *,
    out: str | Path,
    seeds: int,
    first_seed: int,
    order: Sequence[str] = (),
    jobs: int | None = None,
    dask: str | None = None,
    overwrite: bool = False,
    pages: Sequence[str] = (),
    watch: Callable[[Progress], None] | None = None,
) -> Study:
    """Every estimator on samples of everything planned, as a table in `out`.

    The caller holds the lock of `out` (`locks`).

    Args:
        suite: a name for the table.
        plan: what is sampled; the sample depends on the label, the number of rows and the seed.
        estimators: by the name that the table has.
        out: the directory; what is done there already is not done again.
        seeds: samples of each; their seeds count up from `first_seed`.
        first_seed: the first of them.
        order: estimators in the order in which the table has them; others follow by name.
        jobs: cells at once, each in a process; one for each core if not given, and never more than
            there are cells or four for each core.
        dask: the address of a Dask scheduler whose workers compute, instead of `jobs`.
        overwrite: delete what `out` holds of an earlier table.
        pages: names of files that the caller will write in `out`, among `PAGES` and `CALIBRATION`.
        watch: called with a `Progress` after each cell.

    Raises:
        InputError: no seed, no job, or cells in `out` of other settings, rows or versions; a
            cluster that cannot be used.
    """
    if seeds < 1:
        raise InputError(f"Expected seeds of one or more; got {seeds}.")
    for label, _, (truth, _), _ in plan:
        if not math.isfinite(truth):
            raise InputError(f"Expected a finite mi of {label}; got {truth}.")
    path = Path(out)
    cells = [
        _Cell(Row(suite, accuracy.group_of(label), label, name, n, seed, *truth), task, by)
        # Seeds outermost: an early look sees every task.
        for seed in range(first_seed, first_seed + seeds)
        for label, task, truth, n in plan
        for name, by in estimators.items()
    ]
    store = Store(path, Row, _file_name, _problem, FILES)
    needs = _needs(estimators)
    with compute.executor(jobs=jobs, dask=dask, needs=needs) as by:
        names = store.prepare((*TABLE, *pages), overwrite=overwrite)
        _check_compatible(cells, store.records())
        last = {name: one.settings() for name, one in estimators.items()}
        store.write_label({"versions": run_directory.versions(), "last": last, "files": names})
        compute.run(WORK, {_file_name(c.row): c for c in cells}, store, by, watch=watch)
    return _tabled(store, order)


def ready(estimators: Mapping[str, Estimator], *, jobs: int | None, dask: str | None) -> None:
    """See that `run_grid` could compute, before what takes time.

    Raises:
        InputError: no job, or a cluster that cannot be used.
    """
    with compute.executor(jobs=jobs, dask=dask, needs=_needs(estimators)):
        pass


def _needs(estimators: Mapping[str, Estimator]) -> Callable[[], Mapping[str, str]]:
    """What every worker of a cluster must have, as this process has it."""
    asked = dict.fromkeys(one.requirement() for one in estimators.values())
    return functools.partial(dask_cluster.about, tuple(sorted(asked, key=repr)))


def sample(label: str, task: Any, *, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """n rows of a task: x (n, p) and y (n, q); by label, n and seed alone.

    A task draws with `sample(n, generator)`, or with `draw(n, rng)` where it holds rows itself.

    Raises:
        InputError: more rows than a task holds.

    Example:
        >>> class Pair:
        ...     def sample(self, n, generator):
        ...         return torch.randn(2, n, 1, generator=generator)
        >>> x, y = sample("pair", Pair(), n=5, seed=0)
        >>> x.shape, y.shape
        ((5, 1), (5, 1))
    """
    source = np.random.SeedSequence(int(stable_hash([label, n, seed]), 16))
    if hasattr(task, "draw"):
        drawn: tuple[np.ndarray, np.ndarray] = task.draw(n, np.random.default_rng(source))
        return drawn
    number = int(source.generate_state(1, np.uint64)[0] >> np.uint64(1))
    x, y = task.sample(n, torch.Generator().manual_seed(number))
    return x.numpy().reshape(n, -1), y.numpy().reshape(n, -1)


@dataclass(frozen=True, eq=False)
class Drawn:
    """One sample of a task, for a process that lacks the task's file: x (n, p) and y (n, q)."""

    x: np.ndarray
    y: np.ndarray

    def draw(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """The sample."""
        return self.x, self.y


def stable_hash(key: Sequence[str | int]) -> str:
    """SHA-256 of words and numbers, in hexadecimal: the same everywhere, unlike Python's own.

    Example:
        >>> stable_hash(["gaussian", 100, 0])[:8]
        '17cb8e3a'
    """
    return hashlib.sha256(json.dumps(list(key)).encode()).hexdigest()


def _identity(cell: _Cell) -> dict[str, Any]:
    """What must not have changed where an outcome is taken from disk."""
    rows, truth = getattr(cell.task, "digest", "drawn"), cell.row.truth
    return {"infobound": __version__, "rows": rows, "truth": truth, **cell.estimator.settings()}


def _problem(identity: Mapping[str, Any], row: Row) -> str:
    """What no cell that was computed here holds."""
    if not isinstance(identity.get("infobound"), str):
        return "identity.infobound is missing"
    if row.n < 1 or row.seed < 0 or not math.isfinite(row.truth):
        return "row: expected n of 1 or more, seed of 0 or more and a finite truth"
    if (row.mi is None or not math.isfinite(row.mi)) != bool(row.error):
        return "row: expected either a finite mi or an error"
    return ""


def _file_name(row: Row) -> str:
    """The file of a cell; told apart by a hash, since labels may hold anything."""
    key: list[str | int] = [row.suite, row.task, row.estimator, row.n, row.seed]
    words = re.sub(r"[^\w.+-]+", "_", "_".join(map(str, key)))[:120]
    return f"{words}_{stable_hash(key)[:8]}.json"


def _check_compatible(
    cells: Sequence[_Cell], stored: Mapping[str, tuple[dict[str, Any], Row]]
) -> None:
    """Refuse to mix cells of other settings, versions or rows into one table."""
    ours = {cell.row.estimator: _identity(cell) for cell in cells}
    exact = {_file_name(cell.row): _identity(cell) for cell in cells}
    for name, (theirs, row) in stored.items():
        about = exact.get(name)
        if about is None:  # not planned now: its rows may differ, the way of estimating may not
            about = {**ours.get(row.estimator, {"infobound": __version__})}
            about |= {k: theirs.get(k) for k in ("rows", "truth")}
            theirs = theirs if row.estimator in ours else {k: theirs.get(k) for k in about}
        different = [k for k in {**about, **theirs} if about.get(k) != theirs.get(k)]
        if different:
            key = different[0]
            raise InputError(
                f"Expected the cells on disk to agree with this study; got {key} = "
                f"{theirs.get(key)!r} there and {about.get(key)!r} now ({row.estimator}, "
                f"{row.task}). Name another --out, or compute all anew with --overwrite."
            )


@torch_state.defaults()
def _row(cell: _Cell) -> Row:
    """One cell; what goes wrong in it is its `error`."""
    start, row = time.perf_counter(), cell.row
    try:
        x, y = sample(row.task, cell.task, n=row.n, seed=row.seed)
        found = cell.estimator.columns(row.estimator, x, y, row.seed)
        if not math.isfinite(found["mi"]):
            found = {"error": f"Expected a finite value; got {found['mi']}."}
    except Unsuitable as reason:
        found = {"error": f"{accuracy.SKIPPED}{reason}."}
    except (InputError, EstimatorError) as error:
        found = {"error": str(error)}
    except Exception as error:  # whatever a task or a peer does, the study goes on and says it
        found = {"error": f"{type(error).__name__}: {error}"}
    return dataclasses.replace(row, **{"seconds": time.perf_counter() - start, **found})


def _lost(cell: _Cell, why: str) -> Row:
    return dataclasses.replace(cell.row, error=why)


def _portable(cell: _Cell) -> _Cell:
    """A cell as a worker needs it that has none of our files."""
    if not hasattr(cell.task, "draw"):
        return cell
    row = cell.row
    try:
        task = Drawn(*sample(row.task, cell.task, n=row.n, seed=row.seed))
    except (InputError, OSError):  # too few rows, or no file: the worker says it as we would
        return cell
    return dataclasses.replace(cell, task=task)


WORK: Work[_Cell, Row] = Work(_row, _identity, accuracy.failed, _lost, _portable)


def _tabled(store: Store[Row], order: Sequence[str]) -> Study:
    """Everything on disk as a table."""
    import pandas as pd

    place = {name: k for k, name in enumerate(order)}
    rows = sorted(
        (row for _, row in store.records().values()),
        key=lambda r: (r.suite, r.task, r.n, r.seed, place.get(r.estimator, 99), r.estimator),
    )
    frame = pd.DataFrame([dataclasses.asdict(row) for row in rows])
    numbers = [f.name for f in dataclasses.fields(Row) if str(f.type) == "float | None"]
    frame = frame.astype({**dict.fromkeys(numbers, "float64"), "kept": "Int64"})
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    path = store.path
    files.write_atomic(path / "study.parquet", buffer.getvalue())
    files.write_atomic(path / "study.csv", frame.to_csv(index=False, lineterminator="\n").encode())
    return Study(path, tuple(rows), tuple(accuracy.summarise(rows)))
