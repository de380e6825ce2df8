"""The cells of a table of estimates: each computed on its own, in parallel, and on disk at once.

What is in a cell is a task with a known answer, a sample of it, and an estimator. Which cells there
are is `study`'s affair and `rehearsal`'s; what is finished is not done again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import json
import math
import os
import re
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from infobound import __version__, cluster, estimates, files, locks, runs, schemas, torch_state
from infobound import summaries as tables
from infobound.config import Config
from infobound.errors import InputError
from infobound.files import expect_directory, expect_regular
from infobound.peers import PeerError, Unsuitable, Where
from infobound.peers import estimate as estimate_by_peer
from infobound.processes import end_with_parent, one_thread
from infobound.samples import portable, sample, stable_hash
from infobound.summaries import Row, Summary

__all__ = ["PAGES", "REHEARSED", "Planned", "Progress", "Study", "over", "ready"]

PER_CORE = 4  # jobs on a core at most: each is one thread that computes and some 300 MB

FORMAT, VERSION = "infobound-study", 1
TABLE = ("study.csv", "study.parquet")  # what `over` itself writes, beside cells and `study.json`
PAGES = ("summary.md", "truth.png", "truth.svg", "error.png", "error.svg")  # by `study`
REHEARSED = ("rehearse.json", "rehearsal.png", "rehearsal.svg")  # by `rehearsal`
FILES = (*TABLE, *PAGES, *REHEARSED)
CELL = re.compile(r".*_[0-9a-f]{8}\.json", re.DOTALL)  # the name of a cell's file

# What is sampled: a label, a task, its MI with its standard error in nats, and the number of rows.
Planned = tuple[str, Any, tuple[float, float], int]


@dataclass(frozen=True)
class Progress:
    """How far a study is: cells done and in all, failures so far, and the cell that is just done.

    Cells that were on disk before count as done; `row` is None before the first new one; `at_once`
    is how many are computed at once.
    """

    done: int
    total: int
    failed: int
    row: Row | None
    at_once: int = 1


@dataclass(frozen=True)
class Study:
    """A study's table and its summary; `path` holds them as files."""

    path: Path
    rows: tuple[Row, ...]
    summary: tuple[Summary, ...]

    @property
    def failures(self) -> tuple[Row, ...]:
        """The cells that went wrong; running the study again tries them again."""
        return tuple(filter(tables.failed, self.rows))

    def as_rows(self, unit: str = "nats") -> list[dict[str, Any]]:
        """The summary as plain rows, fit for JSON; `unit` is nats or bits."""
        names = ("mae", "mae_error", "bias", "rmse", "spread")
        return [estimates.in_unit(dataclasses.asdict(s), names, unit) for s in self.summary]


@dataclass(frozen=True)
class _Cell:
    """One estimate that is to be made, and all that its process needs for it."""

    folder: Path
    row: Row
    task: Any
    settings: Mapping[str, Any]
    where: Where

    @property
    def file(self) -> Path:
        """Where its outcome goes."""
        return self.folder / _file_name(self.row)

    def identity(self) -> dict[str, Any]:
        """What must not have changed where an outcome is taken from disk."""
        rows, truth = getattr(self.task, "digest", "drawn"), self.row.truth
        return {"infobound": __version__, "rows": rows, "truth": truth, **self.settings}


@dataclass(frozen=True)
class _Stored:
    """What a cell's file holds."""

    identity: dict[str, Any]
    row: Row


@dataclass(frozen=True)
class _Label:
    """What `study.json` holds; `files` are the names that the study uses beside its cells."""

    format: str
    version: int
    files: tuple[str, ...] = FILES


def over(
    suite: str,
    plan: Sequence[Planned],
    settings: Mapping[str, Mapping[str, Any]],
    *,
    out: str | Path,
    seeds: int,
    first_seed: int,
    order: Sequence[str] = (),
    where: Where | None = None,
    jobs: int | None = None,
    dask: str | None = None,
    overwrite: bool = False,
    pages: Sequence[str] = (),
    watch: Callable[[Progress], None] | None = None,
) -> Study:
    """Every estimator on samples of everything planned, as a table in `out`; see `study.study`.

    The caller holds `out` (`locks`).

    Args:
        suite: a name for the table.
        plan: what is sampled; the sample depends on the label, the number of rows and the seed.
        settings: what each estimator computes with, by name, without the seed.
        out: the directory; what is done there already is not done again.
        seeds: samples of each; their seeds count up from `first_seed`.
        first_seed: the first of them.
        order: estimators in the order in which the table has them; others follow by name.
        where: where peers are that have an environment of their own.
        jobs: cells at once, each in a process; one for each core if not given, and never more than
            there are cells or four for each core.
        dask: the address of a Dask scheduler whose workers compute, instead of `jobs`.
        overwrite: forget what `out` holds.
        pages: names of files that the caller will write in `out`, among `PAGES` and `REHEARSED`.
        watch: called with a `Progress` after each cell.

    Raises:
        InputError: no seed, no job, or cells in `out` of other settings, rows or versions; a
            cluster that cannot be used, see `cluster.connected`.
    """
    if seeds < 1:
        raise InputError(f"Expected seeds of one or more; got {seeds}.")
    for label, _, (truth, _), _ in plan:
        if not math.isfinite(truth):
            raise InputError(f"Expected a finite mi of {label}; got {truth}.")
    path = Path(out)
    cells = [
        _Cell(
            path / "cells",
            Row(suite, tables.group_of(label), label, name, n, seed, *truth),
            task,
            how,
            where or Where(),
        )
        # Seeds outermost: an early look sees every task.
        for seed in range(first_seed, first_seed + seeds)
        for label, task, truth, n in plan
        for name, how in settings.items()
    ]
    with _hands(jobs, dask, settings, where or Where()) as (at_once, computed):
        names = _prepare(path, (*TABLE, *pages), overwrite)
        stored = _stored(path)
        _agree(cells, stored)
        record = {"format": FORMAT, "version": VERSION, "versions": runs.versions()}
        _write_json(path / "study.json", {**record, "last": settings, "files": names})
        left = [
            c for c in cells if c.file.name not in stored or tables.failed(stored[c.file.name][1])
        ]
        done, wrong = len(cells) - len(left), 0
        at_once = min(at_once, max(len(left), 1))
        report = watch or (lambda progress: None)
        report(Progress(done, len(cells), wrong, None, at_once))
        for row in computed(left):
            done, wrong = done + 1, wrong + tables.failed(row)
            report(Progress(done, len(cells), wrong, row, at_once))
    return _tabled(path, order)


def ready(settings: Mapping[str, Mapping[str, Any]], *, jobs: int | None, dask: str | None) -> None:
    """See that `over` could compute, before what takes time.

    Raises:
        InputError: no job, or a cluster that cannot be used.
    """
    with _hands(jobs, dask, settings, Where()):
        pass


@contextlib.contextmanager
def _hands(
    jobs: int | None, dask: str | None, settings: Mapping[str, Mapping[str, Any]], where: Where
) -> Iterator[tuple[int, Callable[[list[_Cell]], Iterator[Row]]]]:
    """How many cells are computed at once, and by what: this machine's cores, or a cluster."""
    if jobs is not None and jobs < 1:
        raise InputError(
            f"Expected one job or more; got {jobs}. Leave it out for one job on each core."
        )
    if dask is None:
        import joblib

        cores = joblib.cpu_count()  # those that this process may use, in a container too
        at_once = cores if jobs is None else min(jobs, PER_CORE * cores)
        yield at_once, functools.partial(_computed, jobs=at_once)
        return
    if jobs is not None:
        raise InputError(
            f"Expected --jobs or --dask; got both, {jobs} and {dask}. A cluster computes as many "
            "cells at once as it has workers."
        )
    devices = {how["device"] for how in settings.values() if "peer" not in how}
    peers = sorted(name for name, how in settings.items() if "peer" in how)
    needs = functools.partial(cluster.about, tuple(sorted(devices)), tuple(peers), where)
    with cluster.connected(dask, needs) as workers:
        yield workers.size(), functools.partial(_computed_by, workers)


def _prepare(path: Path, wanted: Sequence[str], overwrite: bool) -> list[str]:
    """Make the study's directory, or see that it is one; the names in it that are the study's.

    Raises:
        InputError: something that is not of the study is in the way; then all of it is left.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        here = [e for e in path.iterdir() if e.name != locks.NAME]
        expect_directory(path / "cells")
        names: Sequence[str] = ()
        if expect_regular(path / "study.json"):
            names = _names(path)
        elif {e.name for e in here if e not in files.temporaries(path)} - {"cells"}:
            raise InputError(
                f"Expected a new or empty directory, or one with a study; {path} holds other "
                "files. Name another --out."
            )
        ours = [path / name for name in names if expect_regular(path / name)]
        for name in wanted:
            if expect_regular(path / name) and name not in names:
                raise InputError(
                    f"Expected no {name} in {path} but the study's own; got somebody else's. Move "
                    "it away, or name another --out."
                )
        if overwrite:
            cells = [path / "cells" / name for name in _stored(path)]
            for file in [*cells, *ours]:
                file.unlink()
            names = ()
        (path / "cells").mkdir(exist_ok=True)
        files.sweep(path)
        files.sweep(path / "cells")
    except OSError as error:
        raise InputError(
            f"Expected to write {path}; it cannot be written ({error.strerror}). Name an --out "
            "that is yours and has room."
        ) from error
    return sorted({*names, *wanted})


def _names(path: Path) -> Sequence[str]:
    """The files that a study has in its directory by their names, as far as they are ours to name.

    A damaged label is written again, if there are cells to show that it was a study's.
    """
    try:
        record = files.read_json(path / "study.json")
    except InputError:
        if not _stored(path):
            raise
        return FILES
    try:
        label = schemas.parse(_Label, record)
    except ValueError:
        label = None
    if label is None or label.format != FORMAT:
        raise InputError(
            f"Expected a study in {path}; its study.json is something else. Name another --out."
        )
    if label.version > VERSION:
        raise InputError(
            f"Expected a study of version {VERSION} or older; {path} has version {label.version}. "
            "Update infobound."
        )
    return [name for name in label.files if name in FILES]


def _stored(path: Path) -> dict[str, tuple[dict[str, Any], Row]]:
    """Every cell on disk by file name: what it was computed with, and its row."""
    found = {}
    for file in sorted((path / "cells").glob("*.json")):
        if CELL.fullmatch(file.name):  # whatever else lies there is not ours
            try:
                cell = files.read_json(file, _Stored)
            except OSError as error:
                raise files.damaged(file, error.strerror) from error
            problem = _problem(cell)
            if problem or file.name != _file_name(cell.row):
                raise files.damaged(file, problem or "its name is that of another cell")
            found[file.name] = (cell.identity, cell.row)
    return found


def _problem(cell: _Stored) -> str:
    """What no cell that was computed here holds."""
    row = cell.row
    if not isinstance(cell.identity.get("infobound"), str):
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


def _agree(cells: list[_Cell], stored: Mapping[str, tuple[dict[str, Any], Row]]) -> None:
    """Refuse to mix cells of other settings, versions or rows into one table."""
    ours = {cell.row.estimator: cell.identity() for cell in cells}
    exact = {cell.file.name: cell.identity() for cell in cells}
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


def _computed(cells: list[_Cell], jobs: int) -> Iterator[Row]:
    """The cells' rows as they come, each written before; no more processes than cells."""
    jobs = min(jobs, len(cells))
    if jobs < 2:
        with one_thread():
            yield from map(_compute, cells)
        return
    import joblib
    from joblib.externals.loky.process_executor import BrokenProcessPool

    with joblib.parallel_config("loky", inner_max_num_threads=1):
        parallel = joblib.Parallel(n_jobs=jobs, batch_size=1, return_as="generator_unordered")
    parent = os.getpid()
    try:
        yield from parallel(joblib.delayed(_compute_elsewhere)(cell, parent) for cell in cells)
    except BrokenProcessPool as error:
        raise InputError(
            f"Expected the study's processes to live; one was ended ({type(error).__name__}), for "
            "want of memory perhaps. What is done is saved: run the command again, with fewer "
            "--jobs."
        ) from error


def _computed_by(workers: cluster.Cluster, cells: list[_Cell]) -> Iterator[Row]:
    """The cells' rows as a cluster gives them, each written here before."""
    for cell, found in workers.done(_row_on_one_thread, cells, packed=_packed):
        if isinstance(found, cluster.Lost):
            found = dataclasses.replace(cell.row, error=found.why)
        yield _saved(cell, found)


def _packed(cell: _Cell) -> _Cell:
    """A cell as a worker needs it that has none of our files."""
    task = portable(cell.row.task, cell.task, n=cell.row.n, seed=cell.row.seed)
    return dataclasses.replace(cell, task=task)


def _row_on_one_thread(cell: _Cell) -> Row:
    with one_thread():
        return _row(cell)


def _compute_elsewhere(cell: _Cell, parent: int) -> Row:
    """`_compute` in a process of its own, where Ctrl-C is the parent's affair."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent(parent)
    torch.set_num_threads(1)
    return _compute(cell)


def _compute(cell: _Cell) -> Row:
    """One cell, on disk when it returns."""
    return _saved(cell, _row(cell))


@torch_state.defaults()
def _row(cell: _Cell) -> Row:
    """One cell; what goes wrong in it is its `error`."""
    start = time.perf_counter()
    try:
        found = _estimated(cell)
        if not math.isfinite(found["mi"]):
            found = {"error": f"Expected a finite value; got {found['mi']}."}
    except Unsuitable as reason:
        found = {"error": f"{tables.SKIPPED}{reason}."}
    except (InputError, PeerError) as error:
        found = {"error": str(error)}
    except Exception as error:  # whatever a task or a peer does, the study goes on and says it
        found = {"error": f"{type(error).__name__}: {error}"}
    return dataclasses.replace(cell.row, **{"seconds": time.perf_counter() - start, **found})


def _saved(cell: _Cell, row: Row) -> Row:
    found = {"identity": cell.identity(), "row": dataclasses.asdict(row)}
    _write_json(cell.file, {"format": "infobound-cell", **found})
    return row


def _estimated(cell: _Cell) -> dict[str, Any]:
    """What a cell's estimator says of its sample, as columns of the table."""
    seed = cell.row.seed
    x, y = sample(cell.row.task, cell.task, n=cell.row.n, seed=seed)
    if "peer" in cell.settings:
        name = cell.row.estimator
        mi, seconds = estimate_by_peer(name, x, y, seed=seed, where=cell.where)
        return {"mi": mi, "seconds": seconds}
    result = estimates.estimate(x, y, config=Config.from_dict({**cell.settings, "seed": seed}))
    names = ("mi", "held_out", "held_out_error", "training", "kept", "seconds")
    low, high = result.interval
    codes = " ".join(finding.code for finding in result.findings)
    return {
        **{name: getattr(result, name) for name in names},
        **{"low": low, "high": high, "findings": codes},
    }


def _tabled(path: Path, order: Sequence[str]) -> Study:
    """Everything on disk as a table."""
    import pandas as pd

    place = {name: k for k, name in enumerate(order)}
    rows = sorted(
        (row for _, row in _stored(path).values()),
        key=lambda r: (r.suite, r.task, r.n, r.seed, place.get(r.estimator, 99), r.estimator),
    )
    frame = pd.DataFrame([dataclasses.asdict(row) for row in rows])
    numbers = [f.name for f in dataclasses.fields(Row) if str(f.type) == "float | None"]
    frame = frame.astype({**dict.fromkeys(numbers, "float64"), "kept": "Int64"})
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    files.write_atomic(path / "study.parquet", buffer.getvalue())
    files.write_atomic(path / "study.csv", frame.to_csv(index=False, lineterminator="\n").encode())
    return Study(path, tuple(rows), tuple(tables.summarise(rows)))


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    files.write_atomic(path, (json.dumps(files.sealed(value), indent=1) + "\n").encode())
