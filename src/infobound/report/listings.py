"""Tables in the terminal: listings, studies, calibrations. (One estimate is in `console`.)"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Literal

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from infobound.files.description import ColumnDescription, FileDescription
from infobound.pages.numbers import maybe, number, signed, small, span
from infobound.plotting.figures import FOUND
from infobound.series.lagged_pairs import LaggedPairs
from infobound.series.lags import Lag, Lags
from infobound.series.transfer_network import TransferNetwork
from infobound.studies import rehearsal_page
from infobound.studies.accuracy import skipped
from infobound.studies.calibration import Rehearsal
from infobound.studies.grid import Study
from infobound.tables.column_pairs import ColumnPair, Pairwise

__all__ = [
    "show_description",
    "show_lagged_pairs",
    "show_lags",
    "show_network",
    "show_pairwise",
    "show_rehearsal",
    "show_study",
    "show_suites",
    "show_table",
]

WIDE = 76  # letters of a line from which there are bars
NAMED = 8  # letters of a column's name on one line at least
VALUES = 24  # letters of a line for the values of a described column, at least
BAR, SHORT_BAR = 16, 4  # cells of the longest bar, and the fewest that are drawn
LONG_NAME = 20  # letters of a column's name for which bars leave room
REASONS = 8  # columns that are left out and named with the reason
LINES = 21  # lines of a curve


def show_table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Print a plain table, for example of `infobound bounds`."""
    console = Console(highlight=False)
    lines = [
        [line for cell in cells for line in cell.splitlines()]
        for cells in zip(columns, *rows, strict=True)
    ]
    widths = [max(map(len, column), default=0) for column in lines]
    widest = max(range(len(widths)), key=lambda k: widths[k])
    room = console.width - 3 * len(widths) - 1 - sum(widths) + widths[widest]
    if room < max(len(word) for line in lines[widest] for word in line.split()):
        _show_records(console, title, columns, rows)
        return
    widths[widest] = min(room, widths[widest])
    table = Table(title=escape(title), title_justify="left")
    for column, width in zip(columns, widths, strict=True):
        table.add_column(column, width=width, overflow="fold")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    console.print(table)


def _show_records(console: Console, title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Print each row on lines of its own, since a narrow table would break words."""
    console.print(Text(title, "italic"))
    for first, *others in rows:
        console.print(Text(first, "bold"))
        for column, cell in zip(columns[1:], others, strict=True):
            name = " ".join(column.split())
            text = Text.assemble((f"{name}: ", "dim"), cell) if cell else None
            if text is not None:
                console.print(Padding(text, (0, 0, 0, 2)))


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


def show_description(result: FileDescription, *, title: str) -> None:
    """Print the columns of a file: a table, or two lines each where their names need the room."""
    console = Console(highlight=False)
    console.print(Text(f"{title}: {result.rows:,} rows, {len(result.columns):,} columns", "italic"))
    names = ("column", "type", "missing", "distinct", "read as")
    rows = [
        (each.name, each.kind, f"{each.missing:,}", f"{each.distinct:,}", each.use)
        for each in result.columns
    ]
    widths = [max(map(len, cells)) for cells in zip(names, *rows, strict=True)]
    if sum(widths) + VALUES <= console.width:
        table = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
        for name, width in zip(names, widths, strict=True):
            justify: Literal["left", "right"] = (
                "right" if name in ("missing", "distinct") else "left"
            )
            table.add_column(name, justify=justify, no_wrap=True, min_width=width)
        table.add_column("values")
        for row, each in zip(rows, result.columns, strict=True):
            table.add_row(*map(escape, row), escape(_values(each)))
        console.print(table)
    else:
        for each in result.columns:
            console.print(Text(each.name, "bold"), soft_wrap=True)
            use = "refused, see below" if each.reason else f"read as {each.use}"
            said = f"{each.kind}, {each.missing:,} missing, {each.distinct:,} distinct, {use}"
            said += f": {_values(each)}" if _values(each) else ""
            console.print(Padding(escape(said), (0, 0, 0, 2)))
    console.print()
    for note in result.notes:
        console.print(Text.assemble(("note  ", "dim"), note))
    for each in result.columns:
        if each.reason is not None:
            console.print(Text.assemble((f"{each.name}  ", "yellow"), each.reason))


def _values(column: ColumnDescription) -> str:
    """Return the range of a column, or examples."""
    if column.low is None or column.high is None:
        return ", ".join(column.examples)
    low, high = (f"{v:.4g}" if v % 1 else f"{v:.15g}" for v in (column.low, column.high))
    return low if low == high else f"{low} to {high}"


def show_study(result: Study, *, units: str) -> None:
    """Print the summary over all tasks, the failures, and the location of the files."""
    console = Console(highlight=False)
    columns = ("N", "tasks", "error", "± s.e.", "bias", "spread", "coverage", "± s.e.", "s")
    for suite in dict.fromkeys(s.suite for s in result.summaries):
        title = f"{escape(suite)}: mean absolute error and bias, {units}; median seconds"
        table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=0)
        table.add_column("estimator", no_wrap=True)
        for name in columns:
            table.add_column(name, justify="right")
        for s in result.summaries:
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
        cells += [number(link.mi, units), span((link.low, link.high), units), small(link.q_value)]
        cells += [" ".join(map(str, link.lags))] * scanned
        table.add_row(*cells, style="" if link.q_value <= FOUND else "dim")
    console.print(table)
    count = sum(link.q_value <= FOUND for link in result.links)
    said = [
        _counted(count, len(result.links), "ordered pairs", "have no transfer"),
        "A common cause that is not given, or a series between, looks like a transfer.",
    ]
    if result.least_q > FOUND:
        said.append(
            f"A pair alone cannot have a q below {result.least_q:.2g}: it is {len(result.links):,} "
            f"times the smallest p, 1 / rows or 1 / (1 + permutations) ({result.permutations:,})."
        )
    if len(shown) < len(result.links):
        said.append(f"{len(shown):,} pairs are shown: --top for more, --table FILE for all.")
    said += _left_out(result.left_out)
    said += [
        f"[red]{escape(pair)}:[/] {escape(why)}" for pair, why in [*result.failures.items()][:3]
    ]
    sentences = Table.grid(padding=(0, 1))
    for sentence in said:
        sentences.add_row("-", sentence)
    console.print(sentences)


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
    for sentence in rehearsal_page.sentences(result, units):
        sentences.add_row("-", escape(sentence))
    console.print(sentences)
    if result.path is not None:
        files = "rehearsal.png, rehearse.json, study.csv, study.parquet"
        console.print(f"[dim]In {escape(str(result.path))}:[/] {files}", soft_wrap=True)


def show_pairwise(result: Pairwise, *, units: str, title: str, top: int) -> None:
    """Print the strongest pairs with bars, and what was left out."""
    console = Console(highlight=False)
    shown, single = result.pairs[: max(top, 1)], len(result.targets) == 1
    console.print(Text(f"{title}, {units}", "italic"))
    rows = len({pair.n for pair in shown}) > 1
    refined = {(one.x, one.y): one.estimate for one in result.refined}
    plain, again = (["norm."], []) if not refined else ([], ["refined"])
    heads = ["mi", "95 %", *plain, "q", *(["rows"] * rows), *again]
    lines = []
    for pair in shown:
        cells = [number(pair.mi, units), span((pair.low, pair.high), units)]
        cells += [*([f"{pair.normalised:.2f}"] if not refined else []), small(pair.q_value)]
        cells += [f"{pair.n:,}"] * rows
        if refined:
            found = refined.get((pair.x, pair.y))
            ends = "" if found is None else span(found.interval, units)
            cells.append("" if found is None else f"{number(found.mi, units)}, {ends}")
        lines.append(cells)
    names = [(pair.x,) if single else (pair.x, pair.y) for pair in shown]
    named = [min(max(map(len, own)), LONG_NAME) for own in zip(*names, strict=True)]
    widths = [max(map(len, own)) for own in zip(heads, *lines, strict=True)]
    taken = sum(max(width, NAMED) for width in named) + sum(widths)
    room = min(BAR, console.width - taken - 2 * (len(named) + len(heads) + 1) - 1)
    bars = not refined and room >= SHORT_BAR
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("column",) if single else ("x", "y"):
        table.add_column(name, overflow="fold", min_width=NAMED)
    if bars:
        table.add_column("", no_wrap=True)
    for name in heads:
        table.add_column(name, justify="right", no_wrap=name != "refined")
    largest = max(*(pair.mi for pair in shown), 1e-9)
    for pair, own, line in zip(shown, names, lines, strict=True):
        bar = [f"[blue]{'━' * round(room * max(pair.mi, 0) / largest)}[/]"] if bars else []
        cells = [*map(escape, own), *bar, *line]
        table.add_row(*cells, style="" if pair.q_value <= FOUND else "dim")
    console.print(table)
    sentences = Table.grid(padding=(0, 1))
    for sentence in _screened(result, len(shown)):
        sentences.add_row("-", sentence)
    console.print(sentences)


def _counted(found: int, count: int, what: str, wrong: str) -> str:
    """Say how many are found, and how many of these are `wrong`."""
    if not found:
        return f"None of {count:,} {what} has a q of {FOUND:g} or less."
    return (
        f"{found:,} of {count:,} {what} have q <= {FOUND:g}: on average at most "
        f"{100 * FOUND:g} % of these {wrong}."
    )


def _left_out(reasons: Mapping[str, str]) -> list[str]:
    """Name the columns that are left out: one with its reason, or several with brief reasons."""
    if len(reasons) < 2:
        return [f"Left out: {escape(name)}. {escape(why)}" for name, why in reasons.items()]
    brief = [
        f"{name} ({why.partition('; ')[2].removeprefix('got ').partition('. ')[0]})"
        for name, why in [*reasons.items()][:REASONS]
    ]
    more = [f"{len(reasons) - REASONS:,} more"] if len(reasons) > REASONS else []
    return [f"Left out: {escape('; '.join([*brief, *more]))}. --json has the remedies."]


def _screened(result: Pairwise, shown: int) -> list[str]:
    """Describe how many pairs are found, what the numbers are for, and what was left out."""
    pairs, count = result.pairs, len(result.pairs)

    def found(value: Callable[[ColumnPair], float]) -> int:
        return sum(value(pair) <= FOUND for pair in pairs)

    likely, sure = found(lambda pair: pair.q_value), found(lambda pair: pair.adjusted_p)
    said = [_counted(likely, count, "pairs", "are independent")]
    if sure:
        said[0] += (
            f" {sure:,} are found at {FOUND:g} after adjustment for all pairs: on average in 19 of "
            "20 tables, none of these is independent."
        )
    elif likely:
        said[0] += f" None is found at {FOUND:g} after adjustment for all pairs."
    if shown < count:
        said.append(f"{shown:,} pairs are shown: --top for more, --table FILE for all.")
    chosen = "Each interval is for one pair; the strongest of many are too high on average."
    if result.refined:
        chosen += f" Those of the refined estimates hold for all {count:,} pairs at once."
    said.append(chosen)
    said += map(escape, result.notes)
    said += _left_out(result.left_out)
    return said


def show_lagged_pairs(result: LaggedPairs, *, units: str, title: str, top: int) -> None:
    """Print the pairs of channels with the strongest evidence, and what was left out."""
    console = Console(highlight=False)
    console.print(Text(f"{title}, {units}", "italic"))
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("x", "y"):
        table.add_column(name, overflow="fold", min_width=NAMED)
    bars = console.width >= WIDE
    if bars:
        table.add_column("", no_wrap=True)
    for name in ("lag", "mi", "95 %", "q"):
        table.add_column(name, justify="right", no_wrap=True)
    shown = result.pairs[: max(top, 1)]
    largest = max(*(pair.mi for pair in shown), 1e-9)
    for pair in shown:
        cells = [escape(pair.x), escape(pair.y)]
        if bars:
            cells.append(f"[blue]{'━' * round(BAR * max(pair.mi, 0) / largest)}[/]")
        cells += [str(pair.lag), number(pair.mi, units), span((pair.low, pair.high), units)]
        table.add_row(*cells, small(pair.q_value), style="" if pair.q_value <= FOUND else "dim")
    console.print(table)
    count = sum(pair.q_value <= FOUND for pair in result.pairs)
    said = [
        _counted(count, len(result.pairs), "pairs", "are independent series")
        + " x leads at positive lags.",
        "Each lag is the one with the strongest evidence of many, so its value is too large on "
        "average.",
    ]
    if len(shown) < len(result.pairs):
        said.append(f"{len(shown):,} pairs are shown: --top for more, --table FILE for all.")
    said += _left_out(result.left_out)
    sentences = Table.grid(padding=(0, 1))
    for sentence in said:
        sentences.add_row("-", sentence)
    console.print(sentences)


def show_lags(result: Lags, *, units: str, title: str) -> None:
    """Print the curve as bars, the peak, the band, and how small a p-value can be."""
    console = Console(highlight=False)
    heading = f"{title}, {len(result.curve):,} lags, {result.n:,} rows, {units}"
    console.print(Text(heading, "italic"))
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("lag", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for name in ("mi", "95 %", "adj. p"):
        table.add_column(name, justify="right", no_wrap=True)
    room = BAR * (2 if console.width >= WIDE else 1)
    largest = max(*(each.mi for each in result.curve), result.band, 1e-9)
    each_line = -(-len(result.curve) // LINES)
    for line in _lines(result.curve, each_line):
        filled = round(room * max(line.mi, 0) / largest)
        bar = f"[blue]{'━' * filled}[/]"
        ends, p = span((line.low, line.high), units), small(line.adjusted_p)
        style = "" if line.adjusted_p <= FOUND else "dim"
        table.add_row(f"{line.lag}", bar, number(line.mi, units), ends, p, style=style)
    console.print(table)
    sentences = Table.grid(padding=(0, 1))
    for sentence in _curve_sentences(result, units, each_line):
        sentences.add_row("-", sentence)
    console.print(sentences)


def _lines(curve: tuple[Lag, ...], each_line: int) -> list[Lag]:
    """Return the lag with the strongest evidence of every `each_line` lags, lag 0 in the middle."""
    groups: dict[int, list[Lag]] = {}
    for each in curve:
        groups.setdefault(round(each.lag / each_line), []).append(each)
    return [min(group, key=lambda e: (e.adjusted_p, -e.mi)) for group in groups.values()]


def _curve_sentences(result: Lags, units: str, each_line: int) -> list[str]:
    """Describe the peak, the band, the p-values and what was shown."""
    peak, x, y = result.peak, escape(result.x), escape(result.y)
    who = (
        f"{x} leads by {peak.lag}"
        if peak.lag > 0
        else f"{y} leads by {-peak.lag}"
        if peak.lag
        else "neither leads"
    )
    value = f"[bold]{number(peak.mi, units)}[/] {units}, {span((peak.low, peak.high), units)}"
    if result.found:
        said = [f"Peak at lag {peak.lag} ({who}): {value}; adjusted p {_equal(peak.adjusted_p)}."]
    else:
        least = _equal(min(each.adjusted_p for each in result.curve))
        said = [
            f"No lag is found dependent: the smallest adjusted p {least}. The largest estimate "
            f"is at lag {peak.lag}: {value}."
        ]
    if result.refined is not None:
        full = f"{number(result.refined.mi, units)}, {span(result.refined.interval, units)}"
        said.append(f"Full estimate at lag {peak.lag}: {full}, an interval for all lags at once.")
    said.append(
        f"Independent series stay below {number(result.band, units)} at all lags with 95 %. At lag "
        f"{peak.lag}, {peak.n:,} rows are worth {peak.effective_n:,.0f} independent ones."
    )
    what = f"{result.surrogates:,} surrogates" if result.surrogates else "shifts of y"
    counting = f"Counting {what} alone: p {_equal(result.counted_p)}"
    counting += f", which cannot be below {small(result.smallest_p)}"
    rows = result.rows_for_counting
    counting += f" here ({FOUND:g} takes {rows:,} rows)." if rows else "."
    said.append(counting)
    if each_line > 1:
        said.append(f"Of every {each_line} lags one is shown: --table FILE for all.")
    return [*said, *map(escape, result.notes)]


def _equal(p: float) -> str:
    """Format a p-value with the sign before it."""
    text = small(p)
    return f"< {text[1:]}" if text.startswith("<") else f"= {text}"
