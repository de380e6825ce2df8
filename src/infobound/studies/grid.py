"""Grids of estimates with known truth: tasks x estimators x sizes x seeds, as one table on disk.

Studies of the benchmark and the calibration of `rehearse` are such tables. This module defines a
cell; `runner` computes cells in parallel and resumes them.
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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from infobound import __version__
from infobound._system import files, schemas, torch_state
from infobound._system.calls import Call, running
from infobound._system.versions import versions
from infobound.config import Config
from infobound.data.pair import as_pair
from infobound.errors import InputError
from infobound.estimation import estimate
from infobound.pages.page import Page
from infobound.pages.presentable import Presentable
from infobound.runner import compute, dask_cluster
from infobound.runner.compute import Progress, Work
from infobound.runner.store import Store
from infobound.studies import accuracy, study_page
from infobound.studies.accuracy import Row, Summary
from infobound.training import loop

__all__ = [
    "CALIBRATION",
    "PAGES",
    "ConfiguredEstimator",
    "Estimator",
    "EstimatorError",
    "Planned",
    "Progress",
    "Study",
    "Unsuitable",
    "read_study",
    "ready",
    "run_grid",
    "sample",
    "stable_hash",
]

TABLE = ("study.csv", "study.parquet")  # written by `run_grid` besides cells and `study.json`
PAGES = ("summary.md", "truth.png", "truth.svg", "error.png", "error.svg")  # written by `study`
CALIBRATION = ("rehearse.json", "rehearsal.png", "rehearsal.svg")  # written by `rehearse`
FILES = (*TABLE, *PAGES, *CALIBRATION)

# A planned sample: label, task, its MI with its standard error in nats, and the number of rows.
Planned = tuple[str, Any, tuple[float, float], int]


class Unsuitable(Exception):
    """An estimator does not suit these rows, for the reason in the message; the cell is skipped."""


class EstimatorError(Exception):
    """An estimator failed; the message is a sentence."""


class Estimator(Protocol):
    """An estimator of a grid. It must be picklable, since it is sent to other processes."""

    def settings(self) -> Mapping[str, Any]:
        """Return the settings that must be unchanged for an estimate on disk to be reused."""

    def requirement(self) -> Callable[[], Mapping[str, str]]:
        """Return a hashable function that lists what a machine needs, by name and version."""

    def columns(
        self,
        name: str,
        x: np.ndarray,
        y: np.ndarray,
        seed: int,
        categorical: Sequence[str],
        given: np.ndarray | None,
    ) -> Mapping[str, Any]:
        """Estimate from x (n, p) and y (n, q), and return the fields of a `Row`, in nats.

        The sides in `categorical`, "x", "y" or "given", and columns such as "given[1]", hold codes
        of categories. If z, `given` (n, r), is not None, the estimate is one of I(X;Y|Z).
        """


@dataclass(frozen=True)
class _Device:
    name: str

    def __call__(self) -> Mapping[str, str]:
        found = loop.device(Config.from_dict({"device": self.name, "critic": "joint"}))
        return {f"device {self.name}": found.type}


@dataclass(frozen=True)
class ConfiguredEstimator:
    """The estimator of this package with the settings of a `Config`; the seed is the cell's.

    Attributes:
        config: the settings.
        groups: the group of each row of all samples, if rows are in groups.
    """

    config: Config
    groups: tuple[int, ...] | None = None

    def settings(self) -> Mapping[str, Any]:
        """Return the configuration without its seed."""
        return {k: v for k, v in self.config.as_dict().items() if k != "seed"}

    def requirement(self) -> Callable[[], Mapping[str, str]]:
        """Return a function that names the device."""
        return _Device(self.config.device)

    def columns(
        self,
        name: str,
        x: np.ndarray,
        y: np.ndarray,
        seed: int,
        categorical: Sequence[str],
        given: np.ndarray | None,
    ) -> Mapping[str, Any]:
        """Estimate from x (n, p), y (n, q) and z, with interval and findings, in nats."""
        pair = as_pair(x, y, given=given, groups=self.groups, categorical=categorical)
        result = estimate.estimate(pair, config=self.config.with_(seed=seed), progress=False)
        names = ("mi", "held_out", "held_out_error", "training", "kept", "seconds")
        low, high = result.interval
        codes = " ".join(finding.code for finding in result.findings)
        own = {name: getattr(result, name) for name in names}
        return {**own, "low": low, "high": high, "findings": codes}


@dataclass(frozen=True, repr=False)
class Study(Presentable):
    """The table of a study and its summary.

    Attributes:
        path: the directory of the files.
        rows: the cells.
        summaries: the summary of the cells.
        call: the call that made it, if it is known.
    """

    path: Path
    rows: tuple[Row, ...]
    summaries: tuple[Summary, ...]
    call: Call = field(default_factory=running, compare=False)

    @property
    def failures(self) -> tuple[Row, ...]:
        """The failed cells; running the study again computes them again."""
        return tuple(filter(accuracy.failed, self.rows))

    def __str__(self) -> str:
        """Describe the study in one line."""
        failed = f", {len(self.failures):,} failed" if self.failures else ""
        return f"{len(self.rows):,} estimates in {self.path}{failed}"

    def page(self, units: str = "nats") -> Page:
        """Describe the accuracy of the estimators.

        Args:
            units: "nats" or "bits".

        Raises:
            InputError: If the units are neither.
        """
        return study_page.page_of(self, units)

    def as_dict(self, units: str = "nats") -> dict[str, Any]:
        """Return the path and the summary as plain values; `units` is "nats" or "bits"."""
        return {"unit": units, "path": str(self.path), "summary": self.records(units)}

    def records(self, units: str = "nats") -> list[dict[str, Any]]:
        """Return the rows of the summary as plain values; `units` is "nats" or "bits"."""
        return [each.as_dict(units) for each in self.summaries]


@dataclass(frozen=True)
class _Cell:
    """An estimate to compute: the row without its outcome, the task, and the estimator.

    A task whose sides or columns hold codes of categories names them in its attribute
    `categorical`.
    """

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
    """Run every estimator on every planned sample, and write the results as a table to `out`.

    The caller must hold the lock of `out` (`locks`).

    Args:
        suite: a name for the table.
        plan: the samples; a sample depends on the label, the number of rows and the seed.
        estimators: the estimators by their name in the table.
        out: the directory; cells that are there already are not computed again.
        seeds: the number of samples of each task; their seeds count up from `first_seed`.
        first_seed: the first seed.
        order: names of estimators in the order of the table; others follow by name.
        jobs: the number of parallel cells, each in its own process; by default one per core, and
            never more than there are cells or four per core.
        dask: the address of a Dask scheduler whose workers compute instead of `jobs`.
        overwrite: whether to delete an earlier table in `out`.
        pages: names of files that the caller will write to `out`, among `PAGES` and `CALIBRATION`.
        watch: called with a `Progress` after each cell.

    Returns:
        The table and its summary.

    Raises:
        InputError: If there is no seed or no job, cells in `out` have other settings, rows or
            versions, or a cluster cannot be used.
    """
    if seeds < 1:
        raise InputError(f"Expected seeds of one or more; got {seeds}.")
    for label, _, (truth, _), _ in plan:
        if not math.isfinite(truth):
            raise InputError(f"Expected a finite mi of {label}; got {truth}.")
    path = Path(out)
    cells = [
        _Cell(Row(suite, accuracy.group_of(label), label, name, n, seed, *truth), task, by)
        # Seeds are the outermost loop, so that a partial table has every task.
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
        about = {"versions": versions(), "call": dataclasses.asdict(running())}
        store.write_label({**about, "last": last, "files": names})
        compute.run(WORK, {_file_name(c.row): c for c in cells}, store, by, watch=watch)
    return _tabled(store, order)


def ready(estimators: Mapping[str, Estimator], *, jobs: int | None, dask: str | None) -> None:
    """Check that `run_grid` can compute, before anything that takes time.

    Raises:
        InputError: If there is no job, or a cluster cannot be used.
    """
    with compute.executor(jobs=jobs, dask=dask, needs=_needs(estimators)):
        pass


def _needs(estimators: Mapping[str, Estimator]) -> Callable[[], Mapping[str, str]]:
    """Return a function that lists what every worker must have in common with this process."""
    asked = dict.fromkeys(one.requirement() for one in estimators.values())
    return functools.partial(dask_cluster.about, tuple(sorted(asked, key=repr)))


def sample(label: str, task: Any, *, n: int, seed: int) -> tuple[np.ndarray, ...]:
    """Draw n rows of a task; the sample depends on label, n and seed alone.

    Args:
        label: the label of the task.
        task: an object with `sample(n, generator)`, or with `draw(n, rng)` if it has its own rows.
        n: the number of rows.
        seed: the seed.

    Returns:
        x (n, p) and y (n, q); and z (n, r) if the task has a third variable.

    Raises:
        InputError: If n exceeds the number of rows of the task.

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
        drawn: tuple[np.ndarray, ...] = task.draw(n, np.random.default_rng(source))
        return drawn
    number = int(source.generate_state(1, np.uint64)[0] >> np.uint64(1))
    sides = task.sample(n, torch.Generator().manual_seed(number))
    return tuple(side.numpy().reshape(n, -1) for side in sides)


@dataclass(frozen=True, eq=False)
class Drawn:
    """A sample of a task, as `sample` returns it, for a process without access to its file."""

    sides: tuple[np.ndarray, ...]

    def draw(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        """Return the sample; the arguments are ignored."""
        return self.sides


def stable_hash(key: Sequence[str | int]) -> str:
    """Return the SHA-256 of words and numbers in hexadecimal, equal in all processes.

    Example:
        >>> stable_hash(["gaussian", 100, 0])[:8]
        '17cb8e3a'
    """
    return hashlib.sha256(json.dumps(list(key)).encode()).hexdigest()


def _identity(cell: _Cell) -> dict[str, Any]:
    """Return the settings that must be unchanged for an outcome on disk to be reused."""
    rows, truth = getattr(cell.task, "digest", "drawn"), cell.row.truth
    return {"infobound": __version__, "rows": rows, "truth": truth, **cell.estimator.settings()}


def _problem(identity: Mapping[str, Any], row: Row) -> str:
    """Describe a value that no cell computed here can have; empty if there is none."""
    if not isinstance(identity.get("infobound"), str):
        return "identity.infobound is missing"
    if row.n < 1 or row.seed < 0 or not math.isfinite(row.truth):
        return "row: expected n of 1 or more, seed of 0 or more and a finite truth"
    if (row.mi is None or not math.isfinite(row.mi)) != bool(row.error):
        return "row: expected either a finite mi or an error"
    return ""


def _file_name(row: Row) -> str:
    """Return the file name of a cell, with a hash because labels may contain any characters."""
    key: list[str | int] = [row.suite, row.task, row.estimator, row.n, row.seed]
    words = re.sub(r"[^\w.+-]+", "_", "_".join(map(str, key)))[:120]
    return f"{words}_{stable_hash(key)[:8]}.json"


def _check_compatible(
    cells: Sequence[_Cell], stored: Mapping[str, tuple[dict[str, Any], Row]]
) -> None:
    """Check that stored cells have the settings, versions and rows of this table.

    Raises:
        InputError: If they differ.
    """
    ours = {cell.row.estimator: _identity(cell) for cell in cells}
    exact = {_file_name(cell.row): _identity(cell) for cell in cells}
    for name, (theirs, row) in stored.items():
        about = exact.get(name)
        if about is None:  # not planned now: rows may differ, but settings must agree
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
    """Compute a cell; a failure becomes its `error`."""
    start, row = time.perf_counter(), cell.row
    try:
        x, y, *more = sample(row.task, cell.task, n=row.n, seed=row.seed)
        codes, given = getattr(cell.task, "categorical", ()), more[0] if more else None
        found = cell.estimator.columns(row.estimator, x, y, row.seed, codes, given)
        if not math.isfinite(found["mi"]):
            found = {"error": f"Expected a finite value; got {found['mi']}."}
    except Unsuitable as reason:
        found = {"error": f"{accuracy.SKIPPED}{reason}."}
    except (InputError, EstimatorError) as error:
        found = {"error": str(error)}
    except Exception as error:  # a task or an external estimator may raise anything
        found = {"error": f"{type(error).__name__}: {error}"}
    return dataclasses.replace(row, **{"seconds": time.perf_counter() - start, **found})


def _lost(cell: _Cell, why: str) -> Row:
    return dataclasses.replace(cell.row, error=why)


def _portable(cell: _Cell) -> _Cell:
    """Return a cell with its rows, for a worker without access to local files."""
    if not hasattr(cell.task, "draw"):
        return cell
    row = cell.row
    try:
        task = Drawn(sample(row.task, cell.task, n=row.n, seed=row.seed))
    except (InputError, OSError):  # too few rows, or no file: the worker reports the same error
        return cell
    return dataclasses.replace(cell, task=task)


WORK: Work[_Cell, Row] = Work(_row, _identity, accuracy.failed, _lost, _portable)


def read_study(path: Path) -> Study:
    """Read the table of a study from its directory.

    Raises:
        InputError: If the table is missing or damaged.
    """
    import pandas as pd

    try:
        frame = pd.read_parquet(io.BytesIO(files.read_bytes(path / TABLE[1])))
        plain = frame.astype(object).where(frame.notna(), None).to_dict("records")
        rows = schemas.parse(tuple[Row, ...], plain)
        label = files.read_json(path / "study.json")
        call = schemas.parse(Call, {"versions": label.get("versions", {}), **label.get("call", {})})
    except (OSError, ValueError) as error:  # pyarrow's errors are such
        raise InputError(
            f"Expected the table of a study in {path / TABLE[1]}; it cannot be read ({error}). Run "
            "the study again: finished cells are kept."
        ) from error
    return Study(path, rows, tuple(accuracy.summarise(rows)), call)


def _tabled(store: Store[Row], order: Sequence[str]) -> Study:
    """Write all cells on disk as a table."""
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
