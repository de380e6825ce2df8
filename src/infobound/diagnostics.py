"""Findings: sentences that say what is wrong with an estimate and what to do about it.

Each check reads the `Evidence` and gives a sentence or None; the table `CHECKS` names them with
their severity, the gravest first. To add a check: one function and one line. What the rows look
like is found in `screening`; nothing here computes an estimate. All of them: docs/findings.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from infobound import screening
from infobound.data import Pair, entropy

__all__ = ["CHECKS", "OK", "Check", "Evidence", "Finding", "findings", "worst"]

OK = "ok"  # the verdict where nothing speaks against the number
SHOWN = 5  # columns that a sentence names
DOMINANT = 0.5  # share of the squared standard error that one row may hold
PULL = 0.02  # nats by which one row may move the held-out value


@dataclass(frozen=True)
class Finding:
    """One doubt or remark: `code` for programs, `message` for people.

    Severity: a warning says that a number is not what it seems, a note that it says less than one
    may wish; a remark, how rows were treated, and leaves the verdict alone.
    """

    code: str
    severity: str
    message: str


@dataclass(frozen=True)
class Evidence:
    """What the checks read; all values in nats.

    `train` and `held_out` are the bound on training and on test rows, `error` the standard error
    of `held_out`, `half_width` half the interval around `mi`, `block` the K of the ceiling,
    `late` the share of folds that were still rising at their last iteration, `capped` whether
    the point estimate is under the bound's ceiling too. `fold` (n,) numbers the fold in which a
    row was tested and `terms` (n,) are the rows' parts of `held_out`, both in the rows' order;
    `blocks` says that the folds were made for a series; `p_value` is that of independence, and
    `alpha` what it must not exceed to tell.
    """

    pair: Pair
    mi: float
    half_width: float
    train: float | None
    held_out: float | None
    error: float | None
    block: int | None
    ceiling: float | None
    is_lower_bound: bool
    bound: str
    late: float
    capped: bool
    ksg: float | None
    method: str
    fold: np.ndarray | None = None
    terms: np.ndarray | None = None
    blocks: bool = False
    p_value: float | None = None
    alpha: float = 0.05

    @cached_property
    def columns(self) -> tuple[screening.Column, ...]:
        """The values that each column takes; several checks read them."""
        return screening.columns(self.pair)


def _listed(parts: Sequence[str]) -> str:
    return ", ".join(parts[:SHOWN]) + (f" and {len(parts) - SHOWN} more" * (len(parts) > SHOWN))


def _saturated(e: Evidence) -> str | None:
    if e.ceiling is None or e.held_out is None or e.ceiling - e.held_out > 1.0:
        return None
    rest = "" if e.capped else " The estimate does not have this ceiling."
    return (
        f"The held-out bound, {e.held_out:.2f} nats, is within 1 nat of its ceiling "
        f"log K = log {e.block:,} = {e.ceiling:.2f} and cannot show more.{rest} Quote the bound as "
        "'at least'; more rows raise the ceiling, and --folds 2 doubles the rows scored together."
    )


def _capped(e: Evidence) -> str | None:
    if not e.capped or e.ceiling is None or e.ceiling - e.mi > 2.5:
        return None
    return (
        f"The estimate itself stands under the ceiling {e.ceiling:.2f} nats, since these rows are "
        "too few to fix the critic's normaliser; it is likely too low. Take more rows, or compare "
        "with --critic none, the closed-form base alone."
    )


def _overfit(e: Evidence) -> str | None:
    if e.train is None or e.held_out is None or e.error is None:
        return None
    if e.method == "base":  # a closed form learns no row by heart, and its gap is corrected
        return None
    gap = e.train - e.held_out
    if gap < max(0.1, 0.5 * abs(e.mi), 4 * e.error):
        return None
    return (
        f"The training rows give {e.train:.2f} nats and the held-out rows {e.held_out:.2f}: the "
        "critic has learnt its own rows by heart. Never quote the training value; use more rows, "
        "fewer columns, a smaller --hidden-dim or a larger --weight-decay."
    )


def _not_converged(e: Evidence) -> str | None:
    if e.late < 0.5:
        return None
    return (
        "The validation value was still rising when the iterations ran out, so more dependence "
        "may be found. Raise --n-iters (twice as many is a good next try)."
    )


def _few_rows(e: Evidence) -> str | None:
    n = len(e.pair.x)
    if n >= 200 and e.half_width <= max(0.1, 0.5 * abs(e.mi)):
        return None
    if e.half_width <= 0.02:
        return None
    wish = max(0.05, 0.1 * abs(e.mi))
    rows = max(2 * n, math.ceil(n * (e.half_width / wish) ** 2))
    rows = round(rows, 1 - len(str(rows)))
    return (
        f"{n:,} rows leave the estimate uncertain by +-{e.half_width:.2f} nats. "
        f"For +-{wish:.2f} collect about {rows:,} rows, or use fewer columns."
    )


def _near_zero(e: Evidence) -> bool:
    known = e.held_out is not None and e.error is not None
    return known and e.held_out <= max(1.645 * e.error, 1e-6)  # type: ignore[operator]


def _told(e: Evidence) -> bool:
    return e.p_value is not None and e.p_value <= e.alpha


def _unmeasured(e: Evidence) -> str | None:
    if not _near_zero(e) or not _told(e):
        return None
    return (
        f"x and y depend on each other (p = {e.p_value:.2g}), but so many rows are too few to say "
        f"how much: the held-out value is {e.held_out:z.3f} +- {e.error:.3f} nats. Report the "
        "p-value, not the estimate; more rows, or fewer columns, would measure it."
    )


def _zero(e: Evidence) -> str | None:
    if not _near_zero(e) or _told(e):
        return None
    return (
        f"Consistent with zero: the held-out value {e.held_out:z.3f} +- {e.error:.3f} nats does "
        "not show that x and y depend on each other at all. Report 'no dependence found', not the "
        "estimate; more rows would find a weaker dependence."
    )


def _no_bound(e: Evidence) -> str | None:
    if e.is_lower_bound or e.held_out is None:
        return None
    return (
        f"The bound '{e.bound}' is not a lower bound, so held_out may exceed the truth. "
        "Use --bound infonce for a value that can be quoted as 'at least'."
    )


def _constant(e: Evidence) -> str | None:
    names = screening.constant_columns(e.columns)
    if not names:
        return None
    return f"Constant columns carry no information: {_listed(names)}. Leave them out."


def _duplicated_columns(e: Evidence) -> str | None:
    names = screening.duplicated_columns(e.pair)
    if not names:
        return None
    return f"Columns that are copies of each other: {_listed(names)}. Leave the copies out."


def _leakage(e: Evidence) -> str | None:
    found = screening.leaks(e.pair, e.columns)
    if not found:
        return None
    return (
        f"x and y share a column: {_listed(found)}. The MI of continuous columns that determine "
        "each other is infinite, and rounding or the number of rows decides what is shown. If one "
        "was computed from the other leave it out; if not, report 'determined', not the number."
    )


def _series(e: Evidence) -> str | None:
    found = None if e.blocks else screening.serial(e.pair)
    if found is None or screening.sorted_by(e.pair, e.columns) is not None:
        return None
    return (
        f"The rows look like a series: ranks go together in {found[0]} and in {found[1]}. Interval "
        "and p-value take rows for independent and are too sure of themselves. Use --series, keep "
        "every k-th row only, or estimate on what each row's past does not predict."
    )


def _sorted_rows(e: Evidence) -> str | None:
    name = screening.sorted_by(e.pair, e.columns)
    if name is None or e.blocks or screening.serial(e.pair) is None:
        return None
    return (
        f"The rows are sorted by {name}, so a series could not be told from a sorted file. If "
        f"{name} is no time, this is harmless; if rows follow each other in time, use --series."
    )


def _repeated(e: Evidence) -> str | None:
    n, copies = len(e.pair.x), screening.repeated_rows(e.pair)
    # Where every column takes few values, rows meet again by chance.
    continuous = any(len(c.values) >= screening.DISTINCT * (n - copies) for c in e.columns)
    if copies < max(2, n / 100) or not continuous:
        return None
    across = ""
    if e.fold is not None:
        count = screening.copies_across(e.pair, e.fold)
        across = f"; {count:,} rows were tested by a critic that had learnt their copy"
    return (
        f"{copies:,} of {n:,} rows are exact copies of an earlier row{across}, so the held-out "
        "value is too high and the interval too narrow. Drop the copies and estimate again."
    )


def _grouped(e: Evidence) -> str | None:
    found = screening.grouped_rows(e.pair, e.columns)
    if found is None:
        return None
    other = "y" if found.side == "x" else "x"
    return (
        f"Rows come in groups: {found.rows:,} of {len(e.pair.x):,} rows share their {found.side} "
        f"with others ({found.count:,} groups) and differ in {other}. The folds part groups, so "
        f"held-out rows are not new, and the interval is too narrow. Take one row of each group "
        f"or its mean; if these values of {found.side} are all there are, code them as categories."
    )


def _tied(e: Evidence) -> str | None:
    tied = screening.tied_columns(e.columns, e.mi)
    if not tied:
        return None
    names = [f"{name} ({share:.0%} of rows)" for name, share in tied]
    return (
        f"Values repeat in columns of many: {_listed(names)}. They are rounded too coarsely for "
        "this much dependence, or pile up at one value. Give unrounded values; where one value "
        "stands for 'none', give that as a column of its own."
    )


def _coded(e: Evidence) -> str | None:
    names = screening.coded_columns(e.pair, e.columns)
    if not names:
        return None
    return (
        f"Few whole numbers were taken as quantities, in their order: {_listed(names)}. If they "
        "are codes of categories, give them as text or as a category, which is one-hot encoded."
    )


def _extreme(e: Evidence) -> str | None:
    found = screening.strays(e.columns)
    if not found:
        return None
    listed = _listed([f"{name} ({what})" for name, what in found])
    return (
        f"Values far from all others: {listed}. They look like codes for missing values or errors "
        "of unit. Correct them, or leave these cells empty and use --drop-missing."
    )


def _dominant(e: Evidence) -> str | None:
    if e.terms is None:
        return None
    pulls = (e.terms - e.terms.mean()) / len(e.terms)
    row = int(np.abs(pulls).argmax())
    if abs(pulls[row]) < PULL or pulls[row] ** 2 < DOMINANT * (pulls**2).sum():
        return None
    return (
        f"Row {row + 1:,} alone moves the held-out value by {pulls[row]:+.2f} nats and makes most "
        "of its standard error, so neither can be trusted. Look at that row, and estimate again "
        "without it."
    )


def _wide(e: Evidence) -> str | None:
    n, width = len(e.pair.x), len(e.columns)
    if n >= 10 * width:
        return None
    return (
        f"{width} columns are many for {n:,} rows (fewer than ten rows a column): dependence that "
        "is spread over them is hardly found, and the estimate errs low. Choose columns or reduce "
        f"them (principal components of each side), or collect {10 * width:,} rows or more."
    )


def _second_opinion(e: Evidence) -> str | None:
    if e.ksg is None or e.held_out is None:
        return None
    if e.method == "ksg":
        return (
            f"Nearest neighbours (KSG) find {e.ksg:.3f} nats, more than the critic can show on "
            f"held-out rows ({e.held_out:.3f}): the dependence has edges or folds that the critic "
            "smooths. The estimate is theirs; quote the held-out value as 'at least'."
        )
    if abs(e.ksg - e.mi) < max(0.05, 0.2 * abs(e.mi), 2 * e.half_width):
        return None
    return (
        f"A second opinion disagrees: nearest neighbours (KSG) find {e.ksg:.3f} nats, the estimate "
        f"is {e.mi:.3f}. Strong tails or clusters do this; look at a scatter plot, and quote the "
        "held-out value as 'at least'."
    )


def _impossible(e: Evidence) -> str | None:
    for side, rows in (("x", e.pair.x), ("y", e.pair.y)):
        limit = entropy(rows)
        if limit is not None and e.mi > limit + 1e-9:
            return (
                f"The estimate, {e.mi:.3f} nats, is more than the entropy of {side}, {limit:.3f} "
                f"nats, which no mutual information exceeds: {side} takes few values, and x and y "
                f"determine each other almost. Quote 'about {limit:.2f}', or take more rows."
            )
    return None


class Check(NamedTuple):
    """A check's severity, its headline, and what gives the sentence or None."""

    severity: str
    headline: str
    sentence: Callable[[Evidence], str | None]


# The order is that of precedence: what makes the number meaningless, what makes it or its error
# wrong, what limits it; then what it is and how the rows were treated.
CHECKS: dict[str, Check] = {
    "leakage": Check("warning", "x and y share a column", _leakage),
    "impossible": Check("warning", "more than an entropy allows", _impossible),
    "extreme_values": Check("warning", "codes or errors among the values", _extreme),
    "series": Check("warning", "the rows are not independent", _series),
    "repeated_rows": Check("warning", "test rows were learnt as copies", _repeated),
    "grouped_rows": Check("warning", "test rows have kin among the learnt ones", _grouped),
    "overfit": Check("warning", "the critic has learnt its rows by heart", _overfit),
    "dominant_row": Check("warning", "one row decides the held-out value", _dominant),
    "not_a_bound": Check("warning", "held_out is no lower bound", _no_bound),
    "capped": Check("warning", "the estimate is likely too low", _capped),
    "not_converged": Check("warning", "more iterations would find more", _not_converged),
    "unmeasured": Check("note", "dependence, but too little is seen to measure it", _unmeasured),
    "zero": Check("note", "no dependence found", _zero),
    "saturated": Check("note", "the held-out bound cannot show more", _saturated),
    "second_opinion": Check("note", "nearest neighbours disagree", _second_opinion),
    "few_rows": Check("note", "too few rows for a sure number", _few_rows),
    "wide": Check("note", "many columns for so few rows", _wide),
    "sorted_rows": Check("note", "the file is sorted, or a series", _sorted_rows),
    "tied_values": Check("remark", "many values repeat", _tied),
    "coded_columns": Check("remark", "whole numbers taken as quantities", _coded),
    "constant_columns": Check("remark", "columns without information", _constant),
    "duplicated_columns": Check("remark", "columns given twice", _duplicated_columns),
}


def findings(evidence: Evidence) -> tuple[Finding, ...]:
    """What the checks say, in the order of `CHECKS`.

    Example:
        >>> list(CHECKS)[:2]
        ['leakage', 'impossible']
    """
    said = ((code, check.severity, check.sentence(evidence)) for code, check in CHECKS.items())
    return tuple(Finding(code, severity, text) for code, severity, text in said if text)


def worst(found: Sequence[Finding]) -> Finding | None:
    """The first warning, or the first note where there is none; remarks do not count.

    Example:
        >>> worst([Finding("zero", "note", "..."), Finding("series", "warning", "...")]).code
        'series'
    """
    for severity in ("warning", "note"):
        for finding in found:
            if finding.severity == severity:
                return finding
    return None
