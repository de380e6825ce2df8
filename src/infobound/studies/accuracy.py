"""Summaries of a study: error, bias, spread, coverage and time, also as Markdown.

Input and output are plain rows in nats. Nothing here estimates, draws or writes files.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, median, stdev
from typing import Any

from infobound._system.units import Nats, Result

__all__ = ["Row", "Summary", "by_task", "failed", "group_of", "markdown", "skipped", "summarise"]

SKIPPED = "skipped: "  # prefix of an error that is no failure: the estimator does not suit the task
ALL = "all"
MI_ROUNDING = 1e-6  # nats; critics compute in float32


@dataclass(frozen=True)
class Row:
    """One cell of a study: one estimator on one sample; in nats, missing values are None.

    Attributes:
        suite: the suite of tasks.
        group: the group of the task.
        task: the label of the task.
        estimator: the name of the estimator.
        n: the number of rows.
        seed: the seed of the sample and the estimator.
        truth: the true MI.
        truth_error: the standard error of `truth`.
        mi: the estimate.
        low: the lower end of its interval.
        high: the upper end of its interval.
        held_out: the bound on held-out rows.
        held_out_error: the standard error of `held_out`.
        training: the bound on training rows.
        kept: the number of folds that kept a network.
        findings: the codes of the findings, separated by spaces.
        seconds: the time of the estimate.
        error: why there is no value; empty if there is one.
    """

    suite: str
    group: str
    task: str
    estimator: str
    n: int
    seed: int
    truth: float
    truth_error: float
    mi: float | None = None
    low: float | None = None
    high: float | None = None
    held_out: float | None = None
    held_out_error: float | None = None
    training: float | None = None
    kept: int | None = None
    findings: str = ""
    seconds: float | None = None
    error: str = ""


@dataclass(frozen=True)
class Summary(Result):
    """The accuracy of one estimator at one size, over the tasks of one group.

    Errors are in nats. Tasks have equal weight, however many seeds they have.

    Attributes:
        suite: the suite of tasks.
        group: the group of tasks, or "all".
        estimator: the name of the estimator.
        n: the number of rows.
        tasks: the number of tasks.
        cells: the number of estimates.
        mae: the mean absolute error.
        mae_error: the standard error of `mae` over tasks; over seeds if there is a single task.
        bias: the mean error.
        rmse: the root of the mean squared error.
        spread: the standard deviation over seeds, pooled over tasks.
        coverage: the fraction of intervals that contain the truth, within its standard error.
        coverage_error: the binomial standard error of `coverage`.
        seconds: the median time of an estimate, in seconds.
        failed: the number of failed cells.
        skipped: the number of skipped cells.
    """

    suite: str
    group: str
    estimator: str
    n: int
    tasks: int
    cells: int
    mae: Nats | None
    mae_error: Nats | None
    bias: Nats | None
    rmse: Nats | None
    spread: Nats | None
    coverage: float | None
    coverage_error: float | None
    seconds: float | None
    failed: int
    skipped: int


def group_of(label: str) -> str:
    """Return the group of a task: its label up to the first hyphen, without a shape such as 1v1.

    Parameters in parentheses are left out.

    Example:
        >>> [group_of(label) for label in ("1v1-normal-0.75", "spiral-1v1-normal-0.75", "gaussian")]
        ['normal', 'spiral', 'gaussian']
    """
    return re.sub(r"^\d+v\d+-", "", label.split(" (")[0]).split("-")[0]


def failed(row: Row) -> bool:
    """Return whether a cell failed; a skipped one did not."""
    return bool(row.error) and not skipped(row)


def skipped(row: Row) -> bool:
    """Return whether a cell was skipped because the estimator does not suit the task."""
    return row.error.startswith(SKIPPED)


def summarise(rows: Sequence[Row]) -> list[Summary]:
    """Summarise cells: for each suite, estimator and size, all tasks together and then each group.

    Example:
        >>> common = dict(suite="s", group="g", estimator="e", n=100, truth=1.0, truth_error=0.0)
        >>> rows = [Row(task="a", seed=k, mi=m, **common) for k, m in enumerate((1.1, 1.3))]
        >>> summary = summarise(rows)[0]
        >>> round(summary.mae, 3), round(summary.bias, 3), round(summary.spread, 3)
        (0.2, 0.2, 0.141)
    """
    found = []
    for suite, n, estimator in _keys(rows, lambda r: (r.suite, r.n, r.estimator)):
        cells = [r for r in rows if (r.suite, r.n, r.estimator) == (suite, n, estimator)]
        found.append(_summary(cells, ALL))
        groups = sorted(_keys(cells, lambda r: r.group))
        if len(groups) > 1:
            found += [_summary([r for r in cells if r.group == g], g) for g in groups]
    return found


def _summary(cells: list[Row], group: str) -> Summary:
    """Summarise the cells of one suite, estimator and size."""
    errors: dict[str, list[float]] = {}
    for row in cells:
        if row.mi is not None:
            errors.setdefault(row.task, []).append(row.mi - row.truth)
    absolute = [fmean(map(abs, task)) for task in errors.values()]
    single = [abs(e) for task in errors.values() for e in task]
    hits = [hit for hit in map(_holds, cells) if hit is not None]
    share = _mean(hits)
    seconds = [r.seconds for r in cells if r.seconds is not None and not r.error]
    squares = [fmean(e * e for e in task) for task in errors.values()]
    variances = [stdev(task) ** 2 for task in errors.values() if len(task) > 1]
    return Summary(
        suite=cells[0].suite,
        group=group,
        estimator=cells[0].estimator,
        n=cells[0].n,
        tasks=len(errors),
        cells=len(single),
        mae=_mean(absolute),
        mae_error=_mean_error(absolute if len(absolute) > 1 else single),
        bias=_mean([fmean(task) for task in errors.values()]),
        rmse=math.sqrt(fmean(squares)) if squares else None,
        spread=math.sqrt(fmean(variances)) if variances else None,
        coverage=share,
        coverage_error=None if share is None else math.sqrt(share * (1 - share) / len(hits)),
        seconds=median(seconds) if seconds else None,
        failed=sum(map(failed, cells)),
        skipped=sum(map(skipped, cells)),
    )


def _holds(row: Row) -> bool | None:
    """Return whether the interval contains the truth, within its standard error and rounding."""
    if row.low is None or row.high is None:
        return None
    slack = max(row.truth_error, MI_ROUNDING)
    return row.low - slack <= row.truth <= row.high + slack


def by_task(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return mean estimate and interval over seeds of each task, size and estimator, in nats."""
    found = []
    for key in _keys(rows, lambda r: (r.suite, r.task, r.n, r.estimator)):
        cells = [r for r in rows if (r.suite, r.task, r.n, r.estimator) == key and not r.error]
        if cells:
            values = [r.mi for r in cells if r.mi is not None]
            found.append(
                {
                    **dict(zip(("suite", "task", "n", "estimator"), key, strict=True)),
                    "group": cells[0].group,
                    "seeds": len(cells),
                    "truth": cells[0].truth,
                    "mi": fmean(values),
                    "low": _mean([r.low for r in cells if r.low is not None]),
                    "high": _mean([r.high for r in cells if r.high is not None]),
                    "spread": stdev(values) if len(values) > 1 else None,
                }
            )
    return found


def markdown(rows: Sequence[Row], title: str) -> str:
    """Format summary, groups, tasks and failures as one Markdown page, in nats."""
    summary = summarise(rows)
    parts = [f"# {title}", _counts(rows)]
    parts.append(_table(SUMMARY_COLUMNS, [_summary_cells(s) for s in summary if s.group == ALL]))
    groups = [_summary_cells(s) for s in summary if s.group != ALL]
    if groups:
        parts += ["## By group", _table(SUMMARY_COLUMNS, sorted(groups, key=lambda r: r[1]))]
    parts.append("## By task")
    parts.append("Mean estimate over seeds, its error in brackets; nats.")
    tasks = by_task(rows)
    names = _keys(rows, lambda r: r.estimator)
    for suite, n in _keys(rows, lambda r: (r.suite, r.n)):
        here = [t for t in tasks if (t["suite"], t["n"]) == (suite, n)]
        if here:
            parts += [f"### {suite}, N = {n:,}", _task_table(here, names)]
    parts += _said("Failed cells", filter(failed, rows), "again on the next run of the command")
    parts += _said("Skipped cells", filter(skipped, rows), "no failures")
    parts += ["## How to read it", READING]
    return "\n\n".join(parts) + "\n"


SUMMARY_COLUMNS = ["suite", "group", "estimator", "N", "tasks", "mean abs. error", "bias", "RMSE"]
SUMMARY_COLUMNS += ["spread", "coverage", "median s", "failed", "skipped"]

READING = (
    "Tasks weigh the same. *Mean abs. error*: with its standard error over tasks, or over seeds "
    "where there is one task. *Bias*: mean of estimate minus truth. *Spread*: standard deviation "
    "over seeds, pooled over tasks. *Coverage*: share of intervals that hold the truth, with its "
    "binomial standard error (0 where all or none do). A group is a task's label up to its first "
    "hyphen, a shape such as 1v1 left out. All values in nats; the rows are in `study.csv` and "
    "`study.parquet`."
)


def _counts(rows: Sequence[Row]) -> str:
    """Describe the numbers of cells, failures and skipped cells."""
    wrong, passed = sum(map(failed, rows)), sum(map(skipped, rows))
    tasks = len(_keys(rows, lambda r: (r.suite, r.task)))
    sizes = ", ".join(f"{n:,}" for n in sorted(_keys(rows, lambda r: r.n)))
    seeds = len(_keys(rows, lambda r: r.seed))
    return (
        f"{len(rows):,} cells: {tasks} tasks, N = {sizes}, {seeds} seeds; {wrong} failed, "
        f"{passed} skipped. Values in nats."
    )


def _summary_cells(s: Summary) -> list[str]:
    """Format a summary as the cells of a table."""
    coverage = "–" if s.coverage is None else f"{s.coverage:.2f} ± {s.coverage_error:.2f}"
    error = "–" if s.mae is None else f"{s.mae:.3f}"
    error += "" if s.mae_error is None else f" ± {s.mae_error:.3f}"
    numbers = [error, _said_as(s.bias, "+.3f"), _said_as(s.rmse, ".3f"), _said_as(s.spread, ".3f")]
    counts = [coverage, _said_as(s.seconds, ".3g"), str(s.failed), str(s.skipped)]
    return [s.suite, s.group, s.estimator, f"{s.n:,}", str(s.tasks), *numbers, *counts]


def _task_table(tasks: list[dict[str, Any]], names: Sequence[str]) -> str:
    """Format a table with one line per task and one column per estimator."""
    lines = []
    for label in _keys(tasks, lambda t: t["task"]):
        here = {t["estimator"]: t for t in tasks if t["task"] == label}
        truth = next(iter(here.values()))["truth"]
        line = [label, f"{truth:.3f}"]
        for name in names:
            t = here.get(name)
            line.append("–" if t is None else _error(t["mi"], truth))
        lines.append(line)
    return _table(["task", "truth", *names], lines)


def _error(mi: float, truth: float) -> str:
    return f"{_said_as(mi, '.3f')} ({_said_as(mi - truth, '+.3f')})"


def _table(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Format a Markdown table with numbers aligned to the right."""
    words = ("suite", "group", "estimator", "task")
    rule = ["---" if column in words else "--:" for column in columns]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in (columns, rule, *lines))


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _said(title: str, rows: Iterable[Row], what: str) -> list[str]:
    """Format a section of cells without a value, grouped by reason."""
    reasons: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        reasons.setdefault((row.estimator, row.error.removeprefix(SKIPPED)), []).append(row)
    lines = []
    for (estimator, reason), cells in reasons.items():
        first = f"{cells[0].task}, N = {cells[0].n:,}, seed {cells[0].seed}"
        more = f" and {len(cells) - 1} more" if len(cells) > 1 else ""
        lines.append(f"- **{estimator}** ({first}{more}): {_cell(reason)}")
    return [f"## {title}", f"({what})", "\n".join(lines)] if lines else []


def _said_as(value: float | None, form: str) -> str:
    """Format a number; None is a dash, and zero has no sign."""
    text = "–" if value is None else format(value, form)
    return re.sub(r"^[+-](?=0\.?0*$)", "", text)


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None


def _mean_error(values: Sequence[float]) -> float | None:
    return stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None


def _keys(rows: Iterable[Any], key: Callable[[Any], Any]) -> list[Any]:
    """Return the distinct keys in the order of their first occurrence."""
    return list(dict.fromkeys(map(key, rows)))
