"""Results in the terminal. (Progress bars are in `pages.bars`.)

Only this module, `listings`, `cli.session` and `cli.main` print. Results go to standard output;
progress and messages go to standard error.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from infobound.analyses.compare import Comparison
from infobound.analyses.interaction import Interaction
from infobound.analyses.invariance import Check
from infobound.analyses.probes import Probe, Probes
from infobound.benchmark.notebook import Demo, Reproduction
from infobound.diagnostics.findings import CHECKS, Finding, worst
from infobound.pages.numbers import columns, maybe, number, p_value, signed
from infobound.results.estimate import Estimate
from infobound.results.page import made_of, not_certified, rows_of, tested
from infobound.series.transfer import Direction, Transfer

__all__ = ["show_checks", "show_comparison", "show_demo", "show_estimate", "show_interaction"]
__all__ += ["show_next", "show_probes", "show_reproduction", "show_transfer"]


def show_estimate(result: Estimate, *, units: str, title: str = "") -> None:
    """Print an estimate, its held-out bound, and the findings with their remedies."""
    console = Console(highlight=False)
    n = f"{result.n:,} rows, x has {columns(result.dim_x)}, y has {columns(result.dim_y)}"
    given = result.dim_given > 0
    n += f", z has {columns(result.dim_given)}" if given else ""
    low, high = (number(end, units) for end in result.interval)
    level = f"{100 * result.config['level']:.4g} %"
    table = Table.grid(padding=(0, 2))
    table.add_row(
        "Estimate I(X;Y|Z)" if given else "Estimate I(X;Y)",
        f"[bold]{number(result.mi, units)}[/] {units}",
        f"{level}: {low} to {high}",
    )
    table.add_row("", "", f"[dim]{made_of(result)}[/]")
    if result.effective_n is not None or result.group_count is not None:
        table.add_row("", "", f"[dim]{rows_of(result)}[/]")
    what = "held-out lower bound" if not _warned(result, "not_a_bound") else "held-out value"
    scored = "each row scored by a critic not fitted to it"
    if given:
        what, scored = "held-out difference", "I(X,Z;Y) - I(Z;Y) on held-out rows; no bound"
    if result.held_out is not None:
        error = maybe(result.held_out_error, units)
        table.add_row(
            what.capitalize(),
            f"{number(result.held_out, units)} {units}",
            f"+- {error} (standard error); {scored}",
        )
    if result.exchanged is not None:
        table.add_row(
            "", f"{number(result.exchanged, units)} {units}", "I(Y,Z;X) - I(Z;X) on held-out rows"
        )
    if result.certified is not None:
        of = "rows" if result.group_count is None else "groups, from one row of each"
        table.add_row(
            "Certified",
            f"{number(result.certified, units)} {units}",
            f"lower confidence bound at {level}, valid for any distribution of i.i.d. {of}",
        )
    elif reason := not_certified(result):
        table.add_row("Certified", "-", f"[dim]{reason}[/]")
    if result.upper is not None:
        table.add_row(
            "At most",
            f"{number(result.upper, units)} {units}",
            f"upper confidence bound at {level}: the entropy of a side that takes few values",
        )
    if result.p_value is not None:
        what = "Independence given Z" if given else "Independence"
        table.add_row(what, p_value(result.p_value), tested(result))
    if result.projection_p is not None:
        what = "Independence given Z" if result.p_value is None else ""
        table.add_row(what, p_value(result.projection_p), "test by projections of the residuals")
    if result.training is not None:
        table.add_row(
            "Training rows",
            f"{number(result.training, units)} {units}",
            "[dim]biased upwards; do not report[/]",
        )
    if result.ksg is not None and result.method != "ksg":
        table.add_row(
            "Second opinion",
            f"{number(result.ksg, units)} {units}",
            "[dim]nearest neighbours (KSG)[/]",
        )
    if result.ceiling is not None:
        table.add_row(
            "Ceiling log K",
            f"{number(result.ceiling, units)} {units}",
            f"[dim]upper limit of the bound, K = {math.exp(result.ceiling):,.0f} rows[/]",
        )
    heading = escape(title or "Mutual information")
    console.print(Panel(table, title=heading, subtitle=f"[dim]{n}[/]", title_align="left"))
    _show_findings(console, result, units)


def _show_findings(console: Console, result: Estimate, units: str) -> None:
    """Print the notes, the findings and the verdict of an estimate."""
    for note in result.notes:
        console.print(Text.assemble(("note  ", "dim"), note))
    for finding in result.findings:
        label = f"{finding.severity}: {finding.code}".replace("_", " ")
        console.print(Text.assemble((label, _style(finding)), "  ", finding.text(units)))
    console.print(_verdict(result))


def _style(finding: Finding) -> str:
    return {"warning": "bold yellow", "note": "bold cyan"}.get(finding.severity, "dim")


def _verdict(result: Estimate) -> Text:
    """One line: the most severe finding, or that there is none."""
    finding = worst(result.findings)
    if finding is None:
        return Text("verdict: ok - no problems found", "green")
    code = result.verdict.replace("_", " ")
    headline = CHECKS[finding.code].headline
    return Text.assemble((f"verdict: {code}", _style(finding)), f" - {headline}")


def _warned(result: Estimate, code: str) -> bool:
    return any(finding.code == code for finding in result.findings)


def show_demo(result: Demo, *, units: str) -> None:
    """The true MI, the notebook's value, the held-out value and the estimate."""
    console = Console(highlight=False)
    ours = result.estimate
    low, high = (number(end, units) for end in ours.interval)
    table = Table(
        title=f"{result.n} rows of the notebook's pair: d = 6, rho = 0.9", title_justify="left"
    )
    table.add_column("")
    table.add_column(units, justify="right")
    table.add_column("what it is", overflow="fold")
    table.add_row("truth", number(result.truth, units), "-3 log(1 - 0.81), exact")
    table.add_row(
        "notebook, training rows",
        f"[red]{number(result.notebook_training, units)}[/]",
        f"its critic on its own training rows, after {result.notebook_iterations:,} "
        f"iterations at lr {result.notebook_lr:g}",
    )
    table.add_row(
        "notebook, fresh rows",
        f"[red]{number(result.notebook_fresh, units)}[/]",
        "the same critic on rows that it was not trained on",
    )
    table.add_row(
        "held-out lower bound",
        maybe(ours.held_out, units),
        f"+- {maybe(ours.held_out_error, units)}; cross-fitted, each row tested once; its "
        f"ceiling is log K = {number(ours.ceiling or math.nan, units, 2)}",
    )
    table.add_row(
        "[bold]estimate[/]", f"[bold green]{number(ours.mi, units)}[/]", f"95 %: {low} to {high}"
    )
    console.print(table)
    console.print(
        "Why they differ: the notebook evaluates its critic on the training rows, which the critic "
        f"memorises, so the value rises to log {result.n} = {number(math.log(result.n), units, 2)} "
        f"{units} whatever the truth. On fresh rows the same critic fails. The held-out bound uses "
        "rows that the critic was not fitted to; it is biased downwards (few negatives, few "
        "training rows). The estimate starts from a closed-form model, adds a network only if "
        "that improves the bound on held-out rows, and corrects the first-order bias.",
    )
    console.print(
        "[dim]Next:[/] infobound estimate FILE --x COLUMNS --y COLUMNS   "
        "[dim]or the notebook's experiment in full:[/] infobound reproduce"
    )


def show_reproduction(result: Reproduction, *, units: str) -> None:
    """Print the notebook's value beside the held-out one."""
    console = Console(highlight=False)
    table = Table.grid(padding=(0, 2))
    table.add_row("Truth", f"{number(result.truth, units)} {units}", result.task)
    limit = ""
    if result.ceiling is not None:
        limit = f"; ceiling log {result.n:,} = {number(result.ceiling, units)}"
    table.add_row(
        "Training rows",
        f"{number(result.training, units)} {units}",
        f"the notebook's number, {result.iterations:,} iterations{limit}",
    )
    table.add_row(
        "Held-out",
        f"[bold]{number(result.held_out, units)}[/] {units}",
        f"the same critic on {result.n:,} fresh rows",
    )
    table.add_row(
        "Held-out, best",
        f"{number(result.peak, units)} {units}",
        f"at iteration {result.peak_iteration:,}; after that the critic overfitted",
    )
    reached = "never" if result.reached is None else f"iteration {result.reached:,}"
    table.add_row("80 % of the truth", reached, "first reached by the smoothed training curve")
    console.print(Panel(table, title="The notebook's experiment, reproduced", title_align="left"))


def show_transfer(result: Transfer, *, units: str, given: str = "") -> None:
    """Print both directions, their difference, and what was tested."""
    console = Console(highlight=False)
    both = result.forward, result.backward
    table = Table.grid(padding=(0, 2))
    for one in both:
        low, high = (number(end, units) for end in one.interval)
        name = f"{one.source} -> {one.target}"
        value = f"{number(one.mi, units)} {units}"
        table.add_row(escape(name), value, f"{low} to {high}", p_value(one.p_value))
    last = result.difference
    low, high = (number(end, units) for end in last.interval)
    difference = f"[bold]{signed(last.mi, units)}[/] {units}"
    table.add_row("difference", difference, f"{low} to {high}", p_value(last.p_value))
    level = f"{100 * result.forward.estimate.config['level']:.4g} %"
    title = "Transfer entropy per row" + (f", given {given}" if given else "")
    below = f"[dim]intervals at {level}, {result.forward.n:,} rows with a past[/]"
    panel = Panel(table, title=escape(title), subtitle=below, title_align="left")
    console.print(panel)
    sentences = Table.grid(padding=(0, 1))
    for one in both:
        sentences.add_row("-", escape(_transferred(one)))
    least = 1 / (1 + result.forward.estimate.config["permutations"])
    sentences.add_row("-", f"Smallest possible p: about {max(least, 1 / result.forward.n):.1g}.")
    sentences.add_row("-", "A common cause that is not given looks like a transfer.")
    console.print(sentences)
    _show_warnings(console, [one.estimate for one in both], units)


def _show_warnings(console: Console, results: Sequence[Estimate], units: str) -> None:
    """Print the warnings of several estimates, each once."""
    found = (each for one in results for each in one.findings)
    for code, message in dict.fromkeys(
        (f.code, f.text(units)) for f in found if f.severity == "warning"
    ):
        console.print(Text.assemble((code.replace("_", " "), "bold yellow"), "  ", message))


def _transferred(one: Direction) -> str:
    """Describe the lags and both tests of a direction."""
    lags, own = (", ".join(map(str, each)) for each in (one.lags, one.history))
    said = f"{one.source} -> {one.target}: lag {lags} of {one.source}, given lag {own} of "
    said += f"{one.target}"
    if one.scan:
        said += f"; of {len(one.scan)} lags, with p adjusted for all"
    rotated, left = (p_value(p) for p in (one.rotation_p, one.residual_p))
    return f"{said}. Rotated in time: {rotated}; residuals: {left}."


def show_next(commands: Mapping[str, str]) -> None:
    """Suggested next commands; those longer than a line are continued with a backslash."""
    console = Console(highlight=False)
    for k, (command, what) in enumerate(commands.items()):
        head = "Next: " if k == 0 else "      "
        if len(f"{head}{command}   {what}") <= console.width:
            console.print(Text.assemble((head, "dim"), command, (f"   {what}", "dim")))
            continue
        console.print(Text(f"{head}{what}:", "dim"), soft_wrap=True)
        options = re.split(r" (?=--\w)", command)  # a shell reads lines that end in \ as one
        lines = textwrap.wrap(
            " ".join(option.replace(" ", "\0") for option in options),
            max(20, console.width - 10),
            break_long_words=False,
            break_on_hyphens=False,
        )
        text = " \\\n          ".join(lines).replace("\0", " ")
        console.print(Text(f"      {text}"), soft_wrap=True)


def show_comparison(result: Comparison, *, units: str, x1: str, x2: str, y: str) -> None:
    """Print both estimates and their difference."""
    table = _difference(result, {x1: result.first, x2: result.second}, units)
    _show_difference(table, [result.first, result.second], f"Information about {y}", units)


def show_interaction(result: Interaction, *, units: str, x: str, y: str, given: str) -> None:
    """Print I(X;Y|Z), I(X;Y), their difference and what its sign means."""
    rows = {"I(X;Y|Z)": result.conditional, "I(X;Y)": result.unconditional}
    table = _difference(result, rows, units)
    low, high = result.interval
    sign = "the interval contains 0: it is open whether z adds or explains"
    if low > 0:
        sign = "positive: z adds to the information of x about y"
    elif high < 0:
        sign = "negative: z explains all or part"
    table.add_row("", "", f"[dim]{sign}[/]")
    both = [result.conditional, result.unconditional]
    _show_difference(table, both, f"x: {x}   y: {y}   z: {given}", units)


def _difference(
    result: Comparison | Interaction, rows: Mapping[str, Estimate], units: str
) -> Table:
    """Return a table of two estimates and their difference."""
    table = Table.grid(padding=(0, 2))
    for name, one in rows.items():
        low, high = (number(end, units) for end in one.interval)
        value = f"{number(one.mi, units)} {units}"
        table.add_row(escape(name), value, f"{low} to {high}", one.verdict.replace("_", " "))
    low, high = (number(end, units) for end in result.interval)
    difference = f"[bold]{signed(result.difference, units)}[/] {units}"
    table.add_row("difference", difference, f"{low} to {high}", p_value(result.p_value))
    return table


def _show_difference(table: Table, both: Sequence[Estimate], title: str, units: str) -> None:
    """Print the table, with what both estimates have in common, and their warnings."""
    console, one = Console(highlight=False), both[0]
    level = f"{100 * one.config['level']:.4g} %"
    below = f"[dim]intervals at {level}, {one.n:,} rows, the same for both[/]"
    panel = Panel(table, title=escape(title), subtitle=below, title_align="left")
    console.print(panel)
    for note in dict.fromkeys(note for each in both for note in each.notes):
        console.print(Text.assemble(("note  ", "dim"), note))
    _show_warnings(console, both, units)


def show_probes(result: Probes, *, units: str, title: str) -> None:
    """Print the estimate of a representation's information about labels, and of each probe."""
    console, found = Console(highlight=False), result.estimate
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("probe", "held-out", "± s.e.", "of H(Y)", "training", "y permuted"):
        table.add_column(name, justify="left" if name == "probe" else "right", no_wrap=True)
    lines: list[tuple[str, Estimate | Probe, str]] = [
        (one.kind, one, signed(one.permuted, units)) for one in result.probes
    ]
    for kind, one, permuted in [*lines, ("all", found, "–")]:
        table.add_row(
            kind,
            maybe(one.held_out, units),
            maybe(one.held_out_error, units),
            "–" if one.held_out is None else f"{100 * one.held_out / result.entropy:.0f} %",
            maybe(one.training, units),
            permuted,
        )
    low, high = (number(end, units) for end in found.interval)
    head = f"I(Z;Y) = [bold]{number(found.mi, units)}[/] {units}, {low} to {high}"
    if found.certified is not None:
        head += (
            f"; certified at {100 * found.config['level']:.4g} %: {number(found.certified, units)}"
        )
    console.print(Text(f"Information about labels, {units}: {title}", "italic"))
    console.print(head)
    console.print(
        f"H(Y) = {number(result.entropy, units)} {units}, {result.classes:,} labels, "
        f"{found.n:,} rows"
    )
    console.print(table)
    console.print(
        "[dim]held-out: what a probe can use, on rows that it has not seen. all: the probes and "
        "other classifiers together. Do not report training values.[/]"
    )
    _show_findings(console, found, units)


def show_checks(checks: Sequence[Check], *, units: str) -> None:
    """Properties that every MI estimate should have, and whether this one has them."""
    console = Console(highlight=False)
    table = Table(title=f"Checks on these rows, {units}", title_justify="left", box=SIMPLE_HEAD)
    for name in ("", "estimate", "before", "change", "allowed", ""):
        numeric = name != ""
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for each in checks:
        sign = "±" if each.relation == "same" else "+"
        before = "0" if each.relation == "zero" else number(each.own, units)
        table.add_row(
            each.title,
            number(each.value, units),
            before,
            signed(each.difference, units),
            sign + number(each.allowed, units),
            "[green]pass[/]" if each.passed else "[bold red]FAIL[/]",
        )
    console.print(table)
    for each in checks:
        if not each.passed:
            console.print(Text.assemble((f"{each.name}  ", "bold red"), each.message))
