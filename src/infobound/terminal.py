"""What a person sees in the terminal: the results in words. (Bars are in `bars`.)

Besides this only `session` and `cli` print. Results go to standard output; the bar and messages go
to standard error.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from infobound.cells import Study
from infobound.diagnostics import CHECKS, Finding, worst
from infobound.estimates import Estimate
from infobound.experiments import Demo, Reproduction
from infobound.rehearsal import Limit, Rehearsal, Width
from infobound.sanity import Check
from infobound.summaries import skipped

__all__ = ["show_demo", "show_estimate", "show_reproduction", "show_study"]
__all__ += ["show_checks", "show_next", "show_rehearsal", "show_suites", "show_table"]


def _number(nats: float, units: str, digits: int = 3) -> str:
    value = nats / math.log(2) if units == "bits" else nats
    text = f"{value:.{digits}f}"
    return text[1:] if text.startswith("-") and float(text) == 0 else text


def show_estimate(result: Estimate, *, units: str, title: str = "") -> None:
    """The estimate, the held-out bound, and the findings with their remedies."""
    console = Console(highlight=False)
    n = f"{result.n:,} rows, x has {_columns(result.dim_x)}, y has {_columns(result.dim_y)}"
    low, high = (_number(end, units) for end in result.interval)
    level = f"{100 * result.config['level']:.4g} %"
    table = Table.grid(padding=(0, 2))
    table.add_row(
        "Estimate I(X;Y)",
        f"[bold]{_number(result.mi, units)}[/] {units}",
        f"{level}: {low} to {high}",
    )
    table.add_row("", "", f"[dim]{_made_of(result)}[/]")
    what = "held-out lower bound" if not _warned(result, "not_a_bound") else "held-out value"
    if result.held_out is not None:
        error = _maybe(result.held_out_error, units)
        table.add_row(
            what.capitalize(),
            f"{_number(result.held_out, units)} {units}",
            f"+- {error} (standard error), rows that no critic had seen",
        )
    if result.certified is not None:
        table.add_row(
            "Certified",
            f"{_number(result.certified, units)} {units}",
            f"at least this, at {level}, for any distribution of independent rows",
        )
    if result.p_value is not None:
        table.add_row("p-value", _p_value(result.p_value), "of no dependence at all")
    if result.training is not None:
        table.add_row(
            "Training rows",
            f"{_number(result.training, units)} {units}",
            "[dim]too high by nature; not to be quoted[/]",
        )
    if result.ksg is not None and result.method != "ksg":
        table.add_row(
            "Second opinion",
            f"{_number(result.ksg, units)} {units}",
            "[dim]nearest neighbours (KSG)[/]",
        )
    if result.ceiling is not None:
        table.add_row(
            "Ceiling log K",
            f"{_number(result.ceiling, units)} {units}",
            "[dim]the bound's limit[/]",
        )
    heading = escape(title or "Mutual information")
    console.print(Panel(table, title=heading, subtitle=f"[dim]{n}[/]", title_align="left"))
    for note in result.notes:
        console.print(Text.assemble(("note  ", "dim"), note))
    for finding in result.findings:
        label = f"{finding.severity}: {finding.code}".replace("_", " ")
        console.print(Text.assemble((label, _style(finding)), "  ", finding.message))
    console.print(_verdict(result))


def _p_value(value: float) -> str:
    return f"{value:.2g}" if value >= 0.001 else "< 0.001"


def _style(finding: Finding) -> str:
    return {"warning": "bold yellow", "note": "bold cyan"}.get(finding.severity, "dim")


def _verdict(result: Estimate) -> Text:
    """One line: whether something speaks against the number, and what most."""
    finding = worst(result.findings)
    if finding is None:
        return Text("verdict: ok - nothing speaks against the number", "green")
    code = result.verdict.replace("_", " ")
    headline = CHECKS[finding.code].headline
    return Text.assemble((f"verdict: {code}", _style(finding)), f" - {headline}")


def _made_of(result: Estimate) -> str:
    """What made the estimate, in words."""
    if result.method == "ksg":
        return "from nearest neighbours (KSG)"
    folds, bases = len(result.bases), ", ".join(dict.fromkeys(result.bases))
    if result.method == "base":
        network = result.config["estimator"] == "default" and result.config["critic"] != "none"
        rest = "; no network gained on it" if network else ""
        return f"from a closed-form model ({bases.replace('_', ' ')}){rest}"
    return f"from a critic; its network was kept in {result.kept} of {folds} folds"


def _columns(count: int) -> str:
    return f"{count} column" + ("" if count == 1 else "s")


def _warned(result: Estimate, code: str) -> bool:
    return any(finding.code == code for finding in result.findings)


def show_demo(result: Demo, *, units: str) -> None:
    """Truth, the notebook's way, the held-out value and the estimate, and why they differ."""
    console = Console(highlight=False)
    ours = result.estimate
    low, high = (_number(end, units) for end in ours.interval)
    table = Table(
        title=f"{result.n} rows of the notebook's pair: d = 6, rho = 0.9", title_justify="left"
    )
    table.add_column("")
    table.add_column(units, justify="right")
    table.add_column("what it is", overflow="fold")
    table.add_row("truth", _number(result.truth, units), "-3 log(1 - 0.81), exact")
    table.add_row(
        "notebook, training rows",
        f"[red]{_number(result.notebook_training, units)}[/]",
        f"its critic scored on the rows that it learnt from, after {result.notebook_iterations:,} "
        f"iterations at lr {result.notebook_lr:g}",
    )
    table.add_row(
        "notebook, fresh rows",
        f"[red]{_number(result.notebook_fresh, units)}[/]",
        "the same critic on rows that it has never seen",
    )
    table.add_row(
        "held-out lower bound",
        _maybe(ours.held_out, units),
        f"+- {_maybe(ours.held_out_error, units)}; cross-fitted, every row tested once; its "
        f"ceiling is log K = {_number(ours.ceiling or math.nan, units, 2)}",
    )
    table.add_row(
        "[bold]estimate[/]", f"[bold green]{_number(ours.mi, units)}[/]", f"95 %: {low} to {high}"
    )
    console.print(table)
    console.print(
        "Why they differ: the notebook evaluates on its own training rows, so its critic memorises "
        f"them and climbs to log {result.n} = {_number(math.log(result.n), units, 2)} {units} "
        "whatever the truth; on fresh rows the same critic falls apart. The held-out bound uses "
        "rows that the critic never saw, so it is honest, but it errs low (few negatives, few "
        "training rows). The estimate starts from a closed-form model, adds a network only where "
        "that gains on held-out rows, and removes the first-order bias.",
    )
    console.print(
        "[dim]Next:[/] infobound estimate FILE --x COLUMNS --y COLUMNS   "
        "[dim]and the long way round:[/] infobound reproduce"
    )


def show_reproduction(result: Reproduction, *, units: str) -> None:
    """The notebook's number beside the held-out one."""
    console = Console(highlight=False)
    table = Table.grid(padding=(0, 2))
    table.add_row("Truth", f"{_number(result.truth, units)} {units}", result.task)
    limit = ""
    if result.ceiling is not None:
        limit = f"; ceiling log {result.n:,} = {_number(result.ceiling, units)}"
    table.add_row(
        "Training rows",
        f"{_number(result.training, units)} {units}",
        f"the notebook's number, {result.iterations:,} iterations{limit}",
    )
    table.add_row(
        "Held-out",
        f"[bold]{_number(result.held_out, units)}[/] {units}",
        f"the same critic on {result.n:,} fresh rows",
    )
    table.add_row(
        "Held-out, best",
        f"{_number(result.peak, units)} {units}",
        f"at iteration {result.peak_iteration:,}; everything after it was memorising",
    )
    reached = "never" if result.reached is None else f"iteration {result.reached:,}"
    table.add_row("80 % of the truth", reached, "first reached by the smoothed training-row curve")
    console.print(Panel(table, title="The notebook's experiment, reproduced", title_align="left"))


def show_table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """A plain table; `infobound bounds`."""
    table = Table(title=title, title_justify="left")
    for index, column in enumerate(columns):
        table.add_column(column, no_wrap=index == 0, overflow="fold")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    Console(highlight=False).print(table)


def show_suites(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """A table for each value of the first column, without the columns that say nothing there.

    The last column is left empty where it repeats the row above.
    """
    for suite, group in itertools.groupby(rows, lambda row: row[0]):
        lines = list(group)
        used = [i for i in range(1, len(columns)) if any(line[i] for line in lines)]
        above = [""] + [line[-1] for line in lines]
        for line, before in zip(lines, above, strict=False):
            line[-1] = "" if line[-1] == before else line[-1]
        show_table(
            f"{suite}: {len(lines)} tasks, {title}",
            [columns[i] for i in used],
            [[line[i] for i in used] for line in lines],
        )


def show_study(result: Study, *, units: str) -> None:
    """The summary over all tasks, what failed, and where the files are."""
    console = Console(highlight=False)
    columns = ("N", "tasks", "error", "± s.e.", "bias", "spread", "coverage", "± s.e.", "s")
    for suite in dict.fromkeys(s.suite for s in result.summary):
        title = f"{suite}: mean absolute error and bias, {units}; median seconds"
        table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=0)
        table.add_column("estimator", no_wrap=True)
        for name in columns:
            table.add_column(name, justify="right")
        for s in result.summary:
            if (s.suite, s.group) == (suite, "all"):
                values = (_maybe(value, units) for value in (s.mae, s.mae_error, s.bias, s.spread))
                shares = (_maybe(value, "nats") for value in (s.coverage, s.coverage_error))
                counts = f"{s.n:,}", str(s.tasks)
                seconds = "–" if s.seconds is None else f"{s.seconds:.3g}"
                table.add_row(escape(s.estimator), *counts, *values, *shares, seconds)
        console.print(table)
    reasons = {(row.estimator, row.error): row for row in reversed(result.failures)}
    if reasons:
        console.print(Text(f"{len(result.failures)} cells failed:", "bold red"))
    for row in list(reasons.values())[-5:]:
        cell = f"{row.task}, {row.estimator}, N = {row.n:,}, seed {row.seed}"
        console.print(Text.assemble((cell, "bold"), f"  {row.error}"))
    passed = sum(map(skipped, result.rows))
    if passed:
        console.print(f"{passed} cells skipped: peers that are not made for the task.")
    console.print(f"{len(result.rows):,} cells in {escape(str(result.path))}:", soft_wrap=True)
    console.print(
        "  summary.md (by group and task), study.csv, study.parquet, truth.png, error.png"
    )


def show_next(commands: Mapping[str, str]) -> None:
    """What to type next, and what for."""
    console = Console(highlight=False)
    for k, (command, what) in enumerate(commands.items()):
        head = ("Next: " if k == 0 else "      ", "dim")
        console.print(Text.assemble(head, command, (f"   {what}", "dim")), soft_wrap=True)


def show_checks(checks: Sequence[Check], *, units: str) -> None:
    """What must hold of any estimate, and whether it does."""
    console = Console(highlight=False)
    table = Table(title=f"Checks on these rows, {units}", title_justify="left", box=SIMPLE_HEAD)
    for name in ("", "estimate", "before", "change", "allowed", ""):
        numeric = name != ""
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for each in checks:
        sign = "±" if each.relation == "same" else "+"
        before = "0" if each.relation == "zero" else _number(each.own, units)
        table.add_row(
            each.title,
            _number(each.value, units),
            before,
            _signed(each.difference, units),
            sign + _number(each.allowed, units),
            "[green]pass[/]" if each.passed else "[bold red]FAIL[/]",
        )
    console.print(table)
    for each in checks:
        if not each.passed:
            console.print(Text.assemble((f"{each.name}  ", "bold red"), each.message))


def show_rehearsal(result: Rehearsal, *, units: str, title: str) -> None:
    """The ladder, and what follows from it for the user's own estimate."""
    console = Console(highlight=False)
    console.print(Text(f"Rehearsal on your rows, {units}: {title}", "italic"))
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("planted", no_wrap=True)
    for name in ("truth", "estimate", "bias", "± s.e.", "spread", "covers", "found", "held-out"):
        table.add_column(name, justify="right", no_wrap=True)
    kind = ""
    for line in result.lines:
        bias = _signed(line.bias, units)
        numbers = (_maybe(value, units) for value in (line.bias_error, line.spread))
        counts = (
            f"{round(share * line.runs)}/{line.runs}" for share in (line.coverage, line.found)
        )
        table.add_row(
            "" if line.kind == kind else line.kind,
            _number(line.truth, units),
            _number(line.mean, units),
            bias,
            *numbers,
            *counts,
            _maybe(line.held_out, units),
        )
        kind = line.kind
    console.print(table)
    console.print("[dim]covers: intervals that hold the truth; found: not consistent with zero[/]")
    sentences = Table.grid(padding=(0, 1))
    for sentence in _rehearsed(result, units):
        sentences.add_row("-", sentence)
    console.print(sentences)
    if result.path is not None:
        files = "rehearsal.png, rehearse.json, study.csv, study.parquet"
        console.print(f"[dim]In {escape(str(result.path))}:[/] {files}", soft_wrap=True)


def _rehearsed(result: Rehearsal, units: str) -> list[str]:
    """What the ladder says, in sentences."""
    own, low, high = (_number(v, units) for v in (result.own.mi, *result.own.interval))
    said = [f"Your own estimate: [bold]{own}[/] {units}, {low} to {high}."]
    for limit in result.limits:
        said.append(
            f"{limit.kind.capitalize()}: {_found(limit, units)} {_behind(limit, own, units)}"
        )
    if result.false_alarms is not None:
        said.append(
            f"Where nothing was planted, {100 * result.false_alarms:.0f} % found something."
        )
    if result.width is not None:
        said.append(_rows_wanted(result.width, result.own.n, units))
    for kind, rungs in result.left_out.items():
        rest = ", ".join(_number(rung, units, 2) for rung in rungs)
        said.append(
            f"{kind.capitalize()}: left out {rest} {units}, more than these rows can carry."
        )
    said += [f"[red]Runs went wrong:[/] {escape(reason)}" for reason in result.failures[:3]]
    return said


def _found(limit: Limit, units: str) -> str:
    """How small a dependence is found."""
    if limit.detectable is None:
        most = _number(limit.below, units)
        return f"no rung is found in 80 % of the runs, up to {most} {units}."
    value, below = (_number(v, units) for v in (limit.detectable, limit.below))
    if limit.detectable == limit.above:
        return f"even {value} {units}, the lowest rung, is found in 80 % of the runs."
    return (
        f"from about {value} {units} on it is found in 80 % of the runs (tried: {below} and "
        f"{_number(limit.above or 0.0, units)})."
    )


def _behind(limit: Limit, own: str, units: str) -> str:
    """What truth an estimate like the user's stands for."""
    if limit.behind is None:
        return "Estimates like yours are beyond the ladder."
    return (
        f"Estimates like yours ({own}) came out where {_number(limit.behind, units)} was planted."
    )


def _rows_wanted(width: Width, n: int, units: str) -> str:
    """How many rows a narrower interval needs, and how well the rule held where it was tried."""
    wished, now = _number(width.wished, units), _number(width.now, units)
    said = (
        f"For +- {wished} {units} instead of +- {now}: about {width.rows:,} rows (you have {n:,})"
    )
    if width.tried_n is None or width.expected is None or width.measured is None:
        return f"{said}; the rule, 1 / sqrt(rows), could not be tried on fewer."
    expected, measured = (_number(v, units) for v in (width.expected, width.measured))
    return (
        f"{said}, by 1 / sqrt(rows); tried on {width.tried_n:,} rows: +- {measured}, by the rule "
        f"{expected}."
    )


def _signed(nats: float, units: str) -> str:
    text = _number(nats, units)
    return text if text.startswith("-") or float(text) == 0 else f"+{text}"


def _maybe(nats: float | None, units: str) -> str:
    return "–" if nats is None else _number(nats, units)
