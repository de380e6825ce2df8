"""Tables in the terminal: listings, studies, calibrations. (One estimate is in `console`.)"""

from __future__ import annotations

import itertools
from collections.abc import Callable

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from infobound.analyses.accuracy import skipped
from infobound.analyses.calibration import DetectionLimit, Rehearsal, SampleSizeEstimate
from infobound.analyses.column_pairs import ColumnPair, Pairwise
from infobound.analyses.grid import Study
from infobound.analyses.transfer_network import TransferNetwork
from infobound.report.console import maybe, number, signed

__all__ = ["show_network", "show_pairwise", "show_rehearsal", "show_study", "show_suites"]
__all__ += ["show_table"]

WIDE = 76  # letters of a line from which there are bars
NAMED = 8  # letters of a column's name on one line at least
BAR = 16  # cells of the longest bar
FOUND = 0.05  # q-values up to this are called found


def show_table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Print a plain table, for example of `infobound bounds`."""
    table = Table(title=escape(title), title_justify="left")
    for index, column in enumerate(columns):
        table.add_column(column, no_wrap=index == 0, overflow="fold")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    Console(highlight=False).print(table)


def show_suites(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Print a table for each value of the first column, without the columns that are empty there.

    A cell of the last column is left empty if it repeats the row above.
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
    """Print the summary over all tasks, the failures, and the location of the files."""
    console = Console(highlight=False)
    columns = ("N", "tasks", "error", "± s.e.", "bias", "spread", "coverage", "± s.e.", "s")
    for suite in dict.fromkeys(s.suite for s in result.summary):
        title = f"{escape(suite)}: mean absolute error and bias, {units}; median seconds"
        table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=0)
        table.add_column("estimator", no_wrap=True)
        for name in columns:
            table.add_column(name, justify="right")
        for s in result.summary:
            if (s.suite, s.group) == (suite, "all"):
                values = (maybe(value, units) for value in (s.mae, s.mae_error, s.bias, s.spread))
                shares = (maybe(value, "nats") for value in (s.coverage, s.coverage_error))
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
        console.print(f"{passed} cells skipped: external estimators that do not apply to the task.")
    console.print(f"{len(result.rows):,} cells in {escape(str(result.path))}:", soft_wrap=True)
    console.print(
        "  summary.md (by group and task), study.csv, study.parquet, truth.png, error.png"
    )


def show_rehearsal(result: Rehearsal, *, units: str, title: str) -> None:
    """Print the results of the ladder and their implications for the user's own estimate."""
    console = Console(highlight=False)
    console.print(Text(f"Rehearsal on your rows, {units}: {title}", "italic"))
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("planted", no_wrap=True)
    for name in ("truth", "estimate", "bias", "± s.e.", "spread", "covers", "found", "held-out"):
        table.add_column(name, justify="right", no_wrap=True)
    kind = ""
    for line in result.lines:
        bias = signed(line.bias, units)
        numbers = (maybe(value, units) for value in (line.bias_error, line.spread))
        counts = (
            f"{round(share * line.runs)}/{line.runs}" for share in (line.coverage, line.found)
        )
        table.add_row(
            "" if line.kind == kind else line.kind,
            number(line.truth, units),
            number(line.mean, units),
            bias,
            *numbers,
            *counts,
            maybe(line.held_out, units),
        )
        kind = line.kind
    console.print(table)
    console.print(
        "[dim]covers: intervals that contain the truth; found: estimates clearly above zero[/]"
    )
    sentences = Table.grid(padding=(0, 1))
    for sentence in _calibration_sentences(result, units):
        sentences.add_row("-", sentence)
    console.print(sentences)
    if result.path is not None:
        files = "rehearsal.png, rehearse.json, study.csv, study.parquet"
        console.print(f"[dim]In {escape(str(result.path))}:[/] {files}", soft_wrap=True)


def show_pairwise(result: Pairwise, *, units: str, title: str, top: int) -> None:
    """Print the strongest pairs with bars, and what was left out."""
    console = Console(highlight=False)
    shown, single = result.pairs[: max(top, 1)], len(result.targets) == 1
    console.print(Text(f"{title}, {units}", "italic"))
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("column",) if single else ("x", "y"):
        table.add_column(name, overflow="fold", min_width=NAMED)
    rows = len({pair.n for pair in shown}) > 1
    refined = {(one.x, one.y): one.estimate for one in result.refined}
    bars = not refined and console.width >= WIDE  # else the names would have no room
    if bars:
        table.add_column("", no_wrap=True)
    plain, again = (["norm."], []) if not refined else ([], ["refined"])
    heads = ("mi", "95 %", *plain, "q", *(["rows"] * rows), *again)
    for name in heads:
        table.add_column(name, justify="right", no_wrap=name != "refined")
    largest = max(*(pair.mi for pair in shown), 1e-9)
    for pair in shown:
        cells = [escape(pair.x)] if single else [escape(pair.x), escape(pair.y)]
        if bars:
            cells.append(f"[blue]{'━' * round(BAR * max(pair.mi, 0) / largest)}[/]")
        cells += [number(pair.mi, units), _span(pair.low, pair.high, units)]
        cells += [*([f"{pair.normalised:.2f}"] if not refined else []), _small(pair.q_value)]
        cells += [f"{pair.n:,}"] * rows
        if refined:
            found = refined.get((pair.x, pair.y))
            ends = "" if found is None else _span(*found.interval, units)
            cells.append("" if found is None else f"{number(found.mi, units)}, {ends}")
        table.add_row(*cells, style="" if pair.q_value <= FOUND else "dim")
    console.print(table)
    sentences = Table.grid(padding=(0, 1))
    for sentence in _screened(result, len(shown)):
        sentences.add_row("-", sentence)
    console.print(sentences)


def show_network(result: TransferNetwork, *, units: str, title: str, top: int) -> None:
    """Print the largest transfers of all ordered pairs, and what was left out."""
    console = Console(highlight=False)
    console.print(Text(f"{title}, {units} per row", "italic"))
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("source", "target"):
        table.add_column(name, overflow="fold", min_width=NAMED)
    shown = result.links[: max(top, 1)]
    scanned = len({link.lags for link in result.links}) > 1
    bars = console.width >= WIDE
    if bars:
        table.add_column("", no_wrap=True)
    for name in ("mi", "95 %", "q", *(["lag"] * scanned)):
        table.add_column(name, justify="right", no_wrap=True)
    largest = max(*(link.mi for link in shown), 1e-9)
    for link in shown:
        cells = [escape(link.source), escape(link.target)]
        if bars:
            cells.append(f"[blue]{'━' * round(BAR * max(link.mi, 0) / largest)}[/]")
        cells += [number(link.mi, units), _span(link.low, link.high, units), _small(link.q_value)]
        cells += [" ".join(map(str, link.lags))] * scanned
        table.add_row(*cells, style="" if link.q_value <= FOUND else "dim")
    console.print(table)
    count = sum(link.q_value <= FOUND for link in result.links)
    said = [
        f"{count:,} of {len(result.links):,} ordered pairs have q <= {FOUND:g}: on average at most "
        f"{100 * FOUND:g} % of these have no transfer.",
        "A common cause that is not given, or a series between, looks like a transfer.",
    ]
    if result.least_q > FOUND:
        said.append(
            f"A pair alone cannot have a q below {result.least_q:.2g}: it is {len(result.links):,} "
            f"times the smallest p, 1 / rows or 1 / (1 + permutations) ({result.permutations:,})."
        )
    if len(shown) < len(result.links):
        said.append(f"{len(shown):,} pairs are shown: --top for more, --table FILE for all.")
    if result.left_out:
        named = ", ".join([*result.left_out][:8]) + (", ..." if len(result.left_out) > 8 else "")
        said.append(f"Left out: {escape(named)}. {escape(next(iter(result.left_out.values())))}")
    said += [
        f"[red]{escape(pair)}:[/] {escape(why)}" for pair, why in [*result.failures.items()][:3]
    ]
    sentences = Table.grid(padding=(0, 1))
    for sentence in said:
        sentences.add_row("-", sentence)
    console.print(sentences)


def _screened(result: Pairwise, shown: int) -> list[str]:
    """Describe how many pairs are found, what the numbers are for, and what was left out."""
    pairs, count = result.pairs, len(result.pairs)

    def found(value: Callable[[ColumnPair], float]) -> int:
        return sum(value(pair) <= FOUND for pair in pairs)

    said = [
        f"{found(lambda pair: pair.q_value):,} of {count:,} pairs have q <= {FOUND:g}: on average "
        f"at most {100 * FOUND:g} % of these are independent. "
        f"{found(lambda pair: pair.adjusted_p):,} are found at {FOUND:g} after adjustment for all "
        "pairs: on average in 19 of 20 tables, none of these is independent."
    ]
    if shown < count:
        said.append(f"{shown:,} pairs are shown: --top for more, --table FILE for all.")
    chosen = "Each interval is for one pair; the strongest of many are too high on average."
    if result.refined:
        chosen += f" Those of the refined estimates hold for all {count:,} pairs at once."
    said.append(chosen)
    said += map(escape, result.notes)
    if result.left_out:
        named = ", ".join([*result.left_out][:8]) + (", ..." if len(result.left_out) > 8 else "")
        said.append(f"Left out: {escape(named)}. {escape(next(iter(result.left_out.values())))}")
    return said


def _span(low: float, high: float, units: str) -> str:
    return f"{number(low, units)} to {number(high, units)}"


def _small(p: float) -> str:
    """Format a p-value or q-value."""
    return f"{p:.3f}" if p >= 0.001 else f"{p:.0e}" if p >= 1e-15 else "<1e-15"


def _calibration_sentences(result: Rehearsal, units: str) -> list[str]:
    """Describe the results of the ladder in sentences."""
    own, low, high = (number(v, units) for v in (result.own.mi, *result.own.interval))
    said = [f"Your own estimate: [bold]{own}[/] {units}, {low} to {high}."]
    for limit in result.limits:
        detected, truth = _detection_sentence(limit, units), _truth_sentence(limit, own, units)
        said.append(f"{limit.kind.capitalize()}: {detected} {truth}")
    if result.false_alarms is not None:
        said.append(
            f"Where nothing was planted, {100 * result.false_alarms:.0f} % found something."
        )
    if result.width is not None:
        said.append(_sample_size_sentence(result.width, result.own.n, units))
    for kind, rungs in result.left_out.items():
        rest = ", ".join(number(rung, units, 2) for rung in rungs)
        said.append(
            f"{kind.capitalize()}: left out {rest} {units}, more than these rows can carry."
        )
    said += [f"[red]Runs went wrong:[/] {escape(reason)}" for reason in result.failures[:3]]
    return said


def _detection_sentence(limit: DetectionLimit, units: str) -> str:
    """Describe how small a dependence is detected."""
    if limit.detectable is None:
        most = number(limit.below, units)
        return f"no rung is found in 80 % of the runs, up to {most} {units}."
    value, below = (number(v, units) for v in (limit.detectable, limit.below))
    if limit.detectable == limit.above:
        return f"even {value} {units}, the lowest rung, is found in 80 % of the runs."
    return (
        f"from about {value} {units} on it is found in 80 % of the runs (tried: {below} and "
        f"{number(limit.above or 0.0, units)})."
    )


def _truth_sentence(limit: DetectionLimit, own: str, units: str) -> str:
    """Describe for which truth estimates like the user's own occur."""
    if limit.behind is None:
        return "Estimates like yours are beyond the ladder."
    return f"Estimates like yours ({own}) came out where {number(limit.behind, units)} was planted."


def _sample_size_sentence(width: SampleSizeEstimate, n: int, units: str) -> str:
    """Describe how many rows a narrower interval needs, and how well the rule held in the test."""
    wished, now = number(width.wished, units), number(width.now, units)
    said = (
        f"For +- {wished} {units} instead of +- {now}: about {width.rows:,} rows (you have {n:,})"
    )
    if width.tried_n is None or width.expected is None or width.measured is None:
        return f"{said}; the rule, 1 / sqrt(rows), could not be tried on fewer."
    expected, measured = (number(v, units) for v in (width.expected, width.measured))
    return (
        f"{said}, by 1 / sqrt(rows); tried on {width.tried_n:,} rows: +- {measured}, by the rule "
        f"{expected}."
    )
