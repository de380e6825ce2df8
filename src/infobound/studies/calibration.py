"""Calibration of an estimate on the user's own rows with known mutual information.

Several known values of MI, a ladder, are planted in the user's own rows (`planted`), and each is
estimated a few times with the same settings (`grid`). The result shows how small a dependence is
detected, how far off an estimate of the user's size is, and how many rows a narrower interval
needs.
"""

from __future__ import annotations

import dataclasses
import json
import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np

from infobound import data
from infobound._system import arguments, files, locks, schemas, torch_state, units
from infobound._system.calls import Call, recorded, running
from infobound._system.units import Nats, Result
from infobound.config import Config, configured
from infobound.errors import InputError
from infobound.estimation import estimate
from infobound.pages.page import Page
from infobound.pages.presentable import Presentable
from infobound.pages.progress import counted, expect_progress
from infobound.plotting import accuracy_figures, figures
from infobound.results.estimate import Estimate
from infobound.studies import grid, rehearsal_page
from infobound.studies.accuracy import Row, failed, summarise
from infobound.studies.planted import KINDS, capacity, plant

__all__ = [
    "LADDER",
    "CalibrationPoint",
    "DetectionLimit",
    "Rehearsal",
    "SampleSizeEstimate",
    "rehearse",
]

LADDER = (0.0, 0.02, 0.05, 0.15, 0.5, 1.5)  # nats
NONE = "independent"  # the rung without dependence, which all kinds share
OFTEN = 0.8  # fraction of runs in which a detectable dependence is found (power)


@dataclass(frozen=True)
class CalibrationPoint(Result):
    """The results of all runs at one rung of the ladder, in nats.

    Attributes:
        kind: the form of the dependence.
        n: the number of rows.
        truth: the planted MI.
        runs: the number of runs.
        mean: the mean of the estimates.
        bias: `mean` minus `truth`.
        bias_error: the standard error of `bias`.
        spread: the standard deviation of the estimates.
        coverage: the fraction of intervals that contain the truth.
        half_width: the mean half-width of the intervals.
        found: the fraction of runs that are not consistent with zero.
        held_out: the mean held-out bound.
    """

    kind: str
    n: int
    truth: Nats
    runs: int
    mean: Nats
    bias: Nats
    bias_error: Nats | None
    spread: Nats | None
    coverage: float
    half_width: Nats
    found: float
    held_out: Nats | None


@dataclass(frozen=True)
class DetectionLimit(Result):
    """The detection limit for one kind of dependence, in nats.

    Attributes:
        kind: the form of the dependence.
        detectable: the smallest MI that is found in 80 % of the runs, interpolated between the
            rungs `below` and `above`; None if no rung is.
        below: the largest rung that is not detectable.
        above: the smallest rung from which on all are detectable; None if there is none.
        behind: the truth at which the mean estimate equals the user's own, interpolated between
            rungs; None if that is beyond the ladder.
    """

    kind: str
    detectable: Nats | None
    below: Nats
    above: Nats | None
    behind: Nats | None


@dataclass(frozen=True)
class SampleSizeEstimate(Result):
    """The number of rows that an interval of a given width needs.

    The width is assumed to be proportional to 1 / sqrt(n), which is tested on fewer rows.

    Attributes:
        wished: the requested half-width, in nats.
        now: the half-width of the user's interval, in nats.
        rows: the number of rows needed.
        tried_n: the smaller number of rows of the test; None if there are too few rows for it.
        expected: the half-width expected for `tried_n` rows, in nats.
        measured: the half-width measured for `tried_n` rows, in nats.
    """

    wished: Nats
    now: Nats
    rows: int
    tried_n: int | None
    expected: Nats | None
    measured: Nats | None


@dataclass(frozen=True, repr=False)
class Rehearsal(Presentable):
    """The user's own estimate and its calibration, in nats.

    Attributes:
        own: the estimate of the user's rows.
        lines: one line per kind and rung.
        limits: the detection limit of each kind.
        width: the number of rows for the requested width, if one was requested.
        false_alarms: the fraction of runs without dependence that found one.
        left_out: the rungs that exceed the capacity of the rows, by kind.
        failures: the messages of failed runs.
        path: the output directory, if there is one.
        call: the call that made it, if it is known.
    """

    own: Estimate
    lines: tuple[CalibrationPoint, ...]
    limits: tuple[DetectionLimit, ...]
    width: SampleSizeEstimate | None
    false_alarms: float | None
    left_out: Mapping[str, tuple[float, ...]]
    failures: tuple[str, ...]
    path: Path | None
    call: Call = field(default_factory=running, compare=False)

    def __str__(self) -> str:
        """Format the estimate and the detection limits as one line with their unit."""
        limits = [
            f"{limit.kind} found in 80 % of the runs from {limit.detectable:.3f} nats"
            for limit in self.limits
            if limit.detectable is not None
        ]
        return "; ".join([str(self.own), *limits])

    def page(self, units: str = "nats") -> Page:
        """Describe the estimate and how the method does on rows like these.

        Args:
            units: "nats" or "bits".

        Raises:
            InputError: If the units are neither.
        """
        return rehearsal_page.page_of(self, units)

    def records(self, units: str = "nats") -> list[dict[str, Any]]:
        """Return a row for each rung of the ladder."""
        return [each.as_dict(units) for each in self.lines]

    def as_dict(self, units: str = "nats") -> dict[str, Any]:
        """Return plain values for JSON; `units` is "nats" or "bits"."""
        return {
            "unit": units,
            "own": self.own.as_dict(units),
            "lines": [each.values(units) for each in self.lines],
            "limits": [each.values(units) for each in self.limits],
            "width": None if self.width is None else self.width.values(units),
            "false_alarms": self.false_alarms,
            "left_out_nats": {kind: list(rungs) for kind, rungs in self.left_out.items()},
            "failures": list(self.failures),
            "path": None if self.path is None else str(self.path),
            "call": dataclasses.asdict(self.call),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Rehearsal:
        """Restore a rehearsal from the values of `as_dict`, also after a round trip through JSON.

        Raises:
            ValueError: If the values are those of something else.
        """
        written = schemas.parse(_Written, values)
        unit = {"unit": values.get("unit", "nats")}
        width = values.get("width")
        return cls(
            own=units.restore(Estimate, values["own"]),
            lines=tuple(units.restore(CalibrationPoint, unit | each) for each in values["lines"]),
            limits=tuple(units.restore(DetectionLimit, unit | each) for each in values["limits"]),
            width=None if width is None else units.restore(SampleSizeEstimate, unit | width),
            false_alarms=written.false_alarms,
            left_out=written.left_out_nats,
            failures=written.failures,
            path=None if written.path is None else Path(written.path),
            call=written.call,
        )


@dataclass(frozen=True)
class _Written:
    """The fields of a rehearsal's JSON."""

    own: dict[str, Any]
    lines: tuple[dict[str, Any], ...]
    limits: tuple[dict[str, Any], ...]
    width: dict[str, Any] | None
    false_alarms: float | None
    left_out_nats: dict[str, tuple[float, ...]]
    failures: tuple[str, ...]
    path: str | None = None
    call: Call = field(default_factory=Call)


@recorded("x", "y")
@torch_state.defaults()
def rehearse(
    x: Any,
    y: Any = None,
    *,
    groups: Any = None,
    categorical: Sequence[str] = (),
    numeric: Sequence[str] = (),
    ladder: Sequence[float] | None = None,
    seeds: int = 4,
    kinds: Sequence[str] = tuple(KINDS),
    width: float | None = None,
    out: str | Path | None = None,
    jobs: int | None = None,
    dask: str | None = None,
    overwrite: bool = False,
    config: Config | None = None,
    watch: Callable[[grid.Progress], None] | None = None,
    progress: bool | None = None,
    unit: str = "nats",
    **settings: Any,
) -> Rehearsal:
    """Estimate I(X;Y), and calibrate the estimate on the same rows with known MI.

    Args:
        x: (n, p) or (n,), NumPy, torch or pandas values; row i belongs to row i of y. Or a `Pair`,
            as returned by `readers.read`, without y.
        y: (n, q) or (n,).
        groups: (n,), a label for each row, such as its subject, if rows of a group are not
            independent. Planted samples keep the groups (docs/rehearse.md); with `width`, halves of
            the rows are not drawn.
        categorical: names of columns that are categories, as in `estimate`.
        numeric: names of columns that are quantities, as in `estimate`.
        ladder: the values of MI to plant, in nats; by default `LADDER`, plus the user's own
            estimate if that is larger.
        seeds: the number of runs per rung; their seeds count up from `config.seed`.
        kinds: keys of `planted.KINDS`.
        width: a half-width in nats; the result has the number of rows that such an interval needs.
        out: a directory for the table, the figure and finished runs; the same call resumes there.
        jobs: the number of parallel estimates, each on one thread; one per core by default.
        dask: the address of a Dask scheduler, for example "tcp://host:8786", whose workers compute
            instead of `jobs`.
        overwrite: whether to delete earlier runs in `out`.
        config: the settings; `Config()` by default. Nothing is certified, whatever they are.
        watch: called with a `Progress` after each run.
        progress: whether to show a bar; by default in terminals and notebooks, if there is no
            `watch`.
        unit: "nats" or "bits", the unit of `rehearse.json` and of the figure in `out`. The returned
            values are always in nats.
        **settings: any field of `Config`, by name.

    Returns:
        The estimate and its calibration, in nats.

    Raises:
        InputError: If x or y cannot be used, a rung, kind or setting is out of range, another
            process writes to `out`, or a cluster cannot be used.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x, noise = rng.normal(size=(2, 200))
        >>> found = rehearse(x, x + noise, ladder=[0, 0.5], kinds=["monotone"], seeds=1, jobs=1,
        ...     estimator="gaussian")
        >>> [(line.kind, line.truth, line.runs) for line in found.lines]
        [('independent', 0.0, 1), ('monotone', 0.5, 1)]
    """
    pair = data.as_pair(x, y, groups=groups, categorical=categorical, numeric=numeric)
    config = configured(config, settings)
    if ladder is not None:
        ladder = [
            arguments.real("a rung", rung, "[0, inf)")
            for rung in arguments.numbers("ladder", ladder)
        ]
    kinds = [arguments.choice("kinds", kind, KINDS) for kind in arguments.names("kinds", kinds)]
    arguments.expect(bool(kinds), "kinds", f"some of {', '.join(KINDS)}", kinds)
    width = None if width is None else arguments.real("width", width, "(0, inf)")
    seeds = arguments.integer("seeds", seeds, least=1)
    jobs = None if jobs is None else arguments.integer("jobs", jobs, least=1)
    dask = None if dask is None else arguments.text("dask", dask)
    out = None if out is None else arguments.directory("out", out)
    arguments.function("watch", watch, 1)
    expect_progress(progress)
    units.expect_files("out", out, unit, overwrite)
    config = config.with_(certify=False)
    ids = None if pair.groups is None else tuple(pair.groups.tolist())
    own_way = {"own": grid.ConfiguredEstimator(config, ids)}
    grid.ready(own_way, jobs=jobs, dask=dask)
    with locks.held(out):
        own = estimate.estimate(pair, config=config, progress=False)
        rungs = sorted({*map(float, ladder or LADDER)})
        if ladder is None and own.mi > rungs[-1]:
            rungs.append(float(f"{own.mi:.2g}"))
        limits = {kind: capacity(pair, kind=kind) for kind in dict.fromkeys(kinds)}
        left_out = {k: tuple(r for r in rungs if r > most) for k, most in limits.items()}
        half = width is not None and ids is None  # halves of groups would be other groups
        plan = _plan(pair, config, rungs, limits, own.mi if half else None)
        if not plan:
            raise InputError(
                "Expected a rung that these rows can carry, at most "
                f"{max(limits.values()):.2f} nats; got {', '.join(f'{r:g}' for r in rungs)}."
            )
        with (
            tempfile.TemporaryDirectory() as folder,
            counted(progress, watch, "estimates") as report,
        ):
            found = grid.run_grid(
                "rehearsal",
                plan,
                own_way,
                out=out or folder,
                seeds=seeds,
                first_seed=config.seed,
                jobs=jobs,
                dask=dask,
                overwrite=overwrite,
                pages=grid.CALIBRATION,
                watch=report,
            )
        planned = {(label, n) for label, _, _, n in plan}
        rows = [r for r in found.rows if (r.task, r.n) in planned]  # without an earlier ladder's
        wrong = tuple(dict.fromkeys(row.error for row in rows if failed(row)))
        everything = _calibration_points([row for row in rows if row.mi is not None])
        lines = tuple(line for line in everything if line.n == len(pair.x))
        result = Rehearsal(
            own=own,
            lines=lines,
            limits=tuple(_detection_limit(kind, lines, own) for kind in limits),
            width=None if width is None else _sample_size(width, own, everything),
            false_alarms=next((line.found for line in lines if line.kind == NONE), None),
            left_out={kind: missing for kind, missing in left_out.items() if missing},
            failures=wrong,
            path=None if out is None else Path(out),
        )
        if result.path is not None:
            _write(result, rows, unit)
        return result


def _plan(
    pair: data.Pair,
    config: Config,
    rungs: Sequence[float],
    limits: Mapping[str, float],
    own: float | None,
) -> list[grid.Planned]:
    """Plan the samples; with `own`, the nearest rung is also sampled with half of the rows."""
    n = len(pair.x)
    plan: list[grid.Planned] = []
    for kind, most in limits.items():
        for rung in rungs:
            label = f"{kind}-{rung:g}" if rung else NONE
            if rung <= most and (rung or not any(name == NONE for name, *_ in plan)):
                task = plant(pair, kind=kind, mi=rung)
                plan.append((label, task, (task.mi, task.mi_error), n))
    if own is not None and plan and n // 2 >= max(data.FEWEST, 10 * config.folds):
        first = [entry for entry in plan if entry[0].startswith((NONE, next(iter(limits))))]
        label, task, truth, _ = min(first, key=lambda entry: abs(entry[2][0] - own))
        plan.append((label, task, truth, n // 2))
    return plan


def _calibration_points(rows: Sequence[Row]) -> list[CalibrationPoint]:
    """Summarise the runs of each kind, rung and size, in the order of the ladder."""
    groups: dict[tuple[str, float, int], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.group, row.truth, row.n), []).append(row)
    kinds = [NONE, *KINDS]
    order = sorted(groups, key=lambda key: (kinds.index(key[0]), key[1], key[2]))
    return [_calibration_point(*key, groups[key]) for key in order]


def _calibration_point(kind: str, truth: float, n: int, rows: list[Row]) -> CalibrationPoint:
    summary = summarise(rows)[0]
    values = [row.mi for row in rows if row.mi is not None]
    held = [row.held_out for row in rows if row.held_out is not None]
    spread = stdev(values) if len(values) > 1 else None
    return CalibrationPoint(
        kind=kind,
        n=n,
        truth=truth,
        runs=len(values),
        mean=fmean(values),
        bias=fmean(values) - truth,
        bias_error=None if spread is None else spread / math.sqrt(len(values)),
        spread=spread,
        coverage=float(summary.coverage or 0.0),
        half_width=fmean((row.high or 0.0) - (row.low or 0.0) for row in rows) / 2,
        found=fmean(not _consistent_with_zero(row) for row in rows),
        held_out=fmean(held) if held else None,
    )


def _consistent_with_zero(row: Row) -> bool:
    """Return whether a run has the finding "zero"; without held-out rows, by its interval."""
    if row.held_out is None:
        return row.low is not None and row.low <= 0
    return "zero" in row.findings.split()


def _detection_limit(kind: str, lines: Sequence[CalibrationPoint], own: Estimate) -> DetectionLimit:
    mine = [line for line in lines if line.kind in (NONE, kind)]
    detectable, below, above = _crossing(mine)
    truths = [line.truth for line in mine]
    means = np.maximum.accumulate([line.mean for line in mine])
    behind = None
    if len(mine) > 1 and means[0] <= own.mi <= means[-1]:
        behind = float(np.interp(own.mi, means, truths))
    elif mine and mine[0].kind == NONE and own.mi < means[0]:
        behind = 0.0
    return DetectionLimit(kind, detectable, below, above, behind)


def _crossing(lines: Sequence[CalibrationPoint]) -> tuple[float | None, float, float | None]:
    """Return the MI from which on enough runs find it, and the rungs on either side, in nats."""
    missed = [k for k, line in enumerate(lines) if line.found < OFTEN]
    last = missed[-1] if missed else -1
    low = lines[last] if missed else None
    if last + 1 == len(lines):
        return None, (low.truth if low else 0.0), None
    high = lines[last + 1]
    if low is None:
        return high.truth, 0.0, high.truth
    share = (OFTEN - low.found) / (high.found - low.found)
    return low.truth + share * (high.truth - low.truth), low.truth, high.truth


def _sample_size(
    wished: float, own: Estimate, lines: Sequence[CalibrationPoint]
) -> SampleSizeEstimate:
    now = (own.interval[1] - own.interval[0]) / 2
    rows = math.ceil(own.n * (now / wished) ** 2)
    fewer = next((line for line in lines if line.n != own.n), None)
    full = [x for x in lines if fewer and x.n == own.n]
    full = [x for x in full if fewer and (x.kind, x.truth) == (fewer.kind, fewer.truth)]
    if fewer is None or not full:
        return SampleSizeEstimate(wished, now, rows, None, None, None)
    expected = full[0].half_width * math.sqrt(own.n / fewer.n)
    return SampleSizeEstimate(wished, now, rows, fewer.n, expected, fewer.half_width)


def _write(result: Rehearsal, rows: Sequence[Row], unit: str) -> None:
    """Write the result and its figure to the directory of the table."""
    folder = result.path
    assert folder is not None
    text = json.dumps(result.as_dict(unit), indent=2) + "\n"
    files.write_atomic(folder / "rehearse.json", text.encode())
    order = [NONE, *KINDS]
    here = [row for row in rows if row.n == result.own.n and row.mi is not None]
    here.sort(key=lambda row: order.index(row.group))

    def figure() -> Any:
        return accuracy_figures.rehearsal_figure(
            [dataclasses.asdict(row) for row in here],
            own=result.own.mi,
            interval=result.own.interval,
            title=f"Rehearsal on {result.own.n:,} rows: estimate against planted truth",
            unit=unit,
        )

    figures.draw("rehearsal", figure, lambda name, data: files.write_atomic(folder / name, data))
