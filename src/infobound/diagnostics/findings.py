"""Findings: sentences that describe a problem of an estimate and its remedy.

Each check reads the `Evidence` and returns a sentence or None. The table `CHECKS` lists them with
their severity, the most severe first; a new check is a function and an entry there. `data_checks`
examines the rows; nothing here computes an estimate. docs/findings.md describes all findings.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from infobound._system.memory import row_ids
from infobound._system.sentences import bare, nats, worded
from infobound._system.units import Result
from infobound.data import Pair
from infobound.diagnostics import data_checks
from infobound.inference.conditional_independence import untestable
from infobound.inference.dependent_rows import needed_rows

__all__ = ["CHECKS", "OK", "Check", "Evidence", "Finding", "findings", "worst"]

OK = "ok"  # the verdict without warnings and notes
SHOWN = 5  # largest number of columns that a sentence names
DOMINANT = 0.5  # largest fraction of the squared standard error that may come from one row
PULL = 0.02  # largest change of the held-out value by one row, in nats
RELATIVE_PULL = 0.1  # largest change of the held-out value by one row, as a fraction of it
STRONG = 0.01  # largest p-value for which evidence is not called weak
EXCESS = 0.02  # excess over an entropy that is ignored, in nats
FEW_GROUPS = 10  # groups from which on the variance among them is known to some degree
DETERMINED = 1e-3  # part of a variance that is left, below which nothing can depend on it
STRATA = 20  # a column of at most this many values is one of strata
PER_STRATUM = 20  # rows per value from which dependence within it can be seen
REACH = 100  # more rows than this many times the present ones are not asked for
MILLION = 1_000_000  # more rows than this are not asked for, unless there are many already


@dataclass(frozen=True)
class Finding(Result):
    """A problem of the data or the estimate, or a remark about them.

    Attributes:
        code: a key of `CHECKS`, for programs.
        severity: "warning" if a number is wrong or misleading, "note" if it is less informative
            than it could be, or "remark" about the treatment of rows, which does not change the
            verdict.
        message: the problem and its remedy in sentences, with values in nats.
        template: the same with the values in full, for other units; empty if there are none.

    Example:
        >>> found = Finding("capped", "warning", template=f"The ceiling is {nats(0.6931)}.")
        >>> found.message, found.text("bits")
        ('The ceiling is 0.69 nats.', 'The ceiling is 1.00 bits.')
    """

    code: str
    severity: str
    message: str = ""
    template: str = ""

    def __post_init__(self) -> None:
        """Write the message in nats, also if it was read in another unit."""
        if self.template:
            object.__setattr__(self, "message", self.text("nats"))

    def text(self, units: str) -> str:
        """Return the message with its values in "nats" or "bits".

        A finding of an older file has no template, and stays in nats.

        Raises:
            InputError: If the units are neither.
        """
        return worded(self.template or self.message, units)

    def values(self, units: str = "nats") -> dict[str, Any]:
        """Return plain values for JSON, with the message in a unit."""
        return {**super().values(units), "message": self.text(units)}


@dataclass(frozen=True)
class Evidence:
    """The values that the checks read, in nats.

    Attributes:
        pair: the rows that are examined.
        mi: the point estimate, before an entropy limits it.
        half_width: half of the interval's width.
        train: the bound on training rows.
        held_out: the bound on test rows.
        error: the standard error of `held_out`.
        block: the number K of rows scored together.
        ceiling: the largest value of the bound.
        is_lower_bound: whether the bound is a lower bound in expectation.
        bound: the name of the bound.
        late: the fraction of folds whose validation value still rose at the last iterations.
        capped: whether the point estimate is limited by the ceiling of the bound too.
        ksg: the estimate of nearest neighbours.
        method: "critic", "base", "table" or "ksg".
        fold: (n,), the fold in which each row of `pair` was tested.
        terms: the contribution to `held_out` of each row of the whole sample, in order.
        blocks: whether the folds are those of a series.
        p_value: the p-value of independence.
        alpha: the significance level of the p-value.
        bases: the base of each fold.
        projection_p: the p-value of the projection test, if something is given.
        exchanged: `held_out` with x and y exchanged, if something is given.
        left: the parts of the variances of x and y that what is given does not explain.
        groups: (n,), the group of each row of the whole sample, if rows are in groups.
        test: how the p-value was computed, for rows that are not independent.
        smallest_p: the smallest p-value that this test can give.
        as_categories: estimates the MI with some columns, by name, taken as categories; it returns
            None where that would take long. It is called only for a finding.
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
    bases: tuple[str, ...] = ()
    projection_p: float | None = None
    exchanged: float | None = None
    left: tuple[float, float] | None = None
    groups: np.ndarray | None = None
    test: str | None = None
    smallest_p: float | None = None
    as_categories: Callable[[Sequence[str]], float | None] = lambda names: None

    @cached_property
    def columns(self) -> tuple[data_checks.Column, ...]:
        """The distinct values of each column, cached because several checks read them."""
        return data_checks.columns(self.pair)

    @cached_property
    def leaks(self) -> tuple[data_checks.Leak, ...]:
        """Columns of x and y that determine each other, cached for several checks."""
        return data_checks.leaks(self.pair, self.columns)

    @cached_property
    def untestable(self) -> bool:
        """Whether no test of conditional independence holds its level."""
        return self.pair.given is not None and untestable(self.pair.given)

    @property
    def z(self) -> str:
        """What a sentence about dependence adds if something is given."""
        return "" if self.pair.given is None else " given z"

    @property
    def shown(self) -> str:
        """What to report of the held-out value."""
        if self.pair.given is None:
            return "the held-out value as 'at least'"
        return "the held-out difference, which is no bound, beside the estimate"

    def is_at_entropy(self, value: float) -> bool:
        """Return whether a value is near the entropy of a side, the upper limit of the MI."""
        limit = self.pair.limit
        return limit is not None and value >= 0.9 * limit[1].value


def _listed(parts: Sequence[str]) -> str:
    return ", ".join(parts[:SHOWN]) + (f" and {len(parts) - SHOWN} more" * (len(parts) > SHOWN))


INFINITE = (
    " If one side is computed from the other without noise, as a layer of a network is from its "
    "input, I(X;Y) is infinite and no estimate of it has a meaning: add the noise that matters to "
    "you."
)


def _saturated(e: Evidence) -> str | None:
    if e.ceiling is None or e.held_out is None or e.ceiling - e.held_out > 1.0:
        return None
    if e.is_at_entropy(e.held_out):
        return None
    rest = "" if e.capped else " The estimate does not have this ceiling."
    what, report = "bound", " Report the bound as 'at least'."
    if e.pair.given is not None:
        what, report = "difference", ""
    return (
        f"The held-out {what}, {nats(e.held_out)}, is within {nats(1, '.3g')} of its ceiling "
        f"log K, {nats(e.ceiling)} for K = {e.block:,}, and cannot show more.{rest}{report} "
        "More rows raise the ceiling; folds=2 (--folds 2) doubles the rows scored "
        f"together.{INFINITE}"
    )


def _capped(e: Evidence) -> str | None:
    if not e.capped or e.ceiling is None or e.ceiling - e.mi > 2.5 or e.is_at_entropy(e.mi):
        return None
    return (
        f"The estimate itself has the ceiling {nats(e.ceiling)}, because there are too few rows "
        "to normalise the critic, and it is close to it; it is probably too low. Take more rows, "
        f"or compare with the closed-form base alone: critic='none' (--critic none).{INFINITE}"
    )


def _overfit(e: Evidence) -> str | None:
    if e.train is None or e.held_out is None or e.error is None:
        return None
    if e.method in ("base", "table"):  # a closed form memorises no row, and its gap is corrected
        return None
    gap = e.train - e.held_out
    if gap < max(0.1, 0.5 * abs(e.mi), 4 * e.error):
        return None
    return (
        f"The training rows give {nats(e.train)} and the held-out rows {nats(e.held_out)}: the "
        "critic has memorised its training rows. Do not report the training value; use more rows, "
        "fewer columns, a smaller hidden_dim or a larger weight_decay."
    )


def _not_converged(e: Evidence) -> str | None:
    if e.late < 0.5:
        return None
    return (
        "The validation value was still rising when the iterations ran out, so more dependence "
        "may be found. Raise n_iters (twice as many is a good next try)."
    )


def _few_rows(e: Evidence) -> str | None:
    n, most = len(e.pair.x), math.log(len(e.pair.x))
    if e.half_width <= (0.02 if n < 200 else max(0.1, 0.5 * abs(e.mi))):
        return None
    if e.half_width > most:
        return (
            f"The interval, +-{nats(e.half_width, '.3g')}, is wider than anything that {n:,} rows "
            f"can show (log n = {nats(most, '.1f')}), so the estimate has no meaning. Use fewer "
            "columns."
        )
    wish = max(0.05, 0.1 * abs(e.mi))
    if e.half_width <= wish:
        return (
            f"{n:,} rows are few: the interval, +-{nats(e.half_width)}, is itself only roughly "
            "known. Collect 200 rows or more."
        )
    said = f"{n:,} rows leave the estimate uncertain by +-{nats(e.half_width)}. "
    rows = max(2 * n, math.ceil(n * (e.half_width / wish) ** 2))
    if rows > REACH * n or rows > max(MILLION, 10 * n):
        return (
            f"{said}+-{nats(wish)} is out of reach by collecting rows (it would take more than "
            f"{min(REACH * n, max(MILLION, 10 * n)):,}). Use fewer columns, or coarser ones."
        )
    rows = round(rows, 1 - len(str(rows)))
    return f"{said}For +-{nats(wish)} collect about {rows:,} rows, or use fewer columns."


def _shows_nothing(e: Evidence) -> bool:
    """Return whether the held-out value does not exceed zero clearly."""
    known = e.held_out is not None and e.error is not None
    return known and e.held_out <= max(1.645 * e.error, 1e-6)  # type: ignore[operator]


def _near_zero(e: Evidence) -> bool:
    """Return whether the held-out value is near zero, or else the estimate.

    Two rare events that never meet have nearly the same contribution in each row, so a small error.
    """
    if _shows_nothing(e) or e.held_out is None or e.pair.given is not None:
        return _shows_nothing(e)
    kept = e.p_value is not None and e.p_value > e.alpha >= (e.smallest_p or 0.0)
    return e.mi <= (e.half_width if kept else 0.0)


def _measured(e: Evidence) -> str:
    """Return the held-out value with its standard error; both exist where it is near zero."""
    return f"{bare(e.held_out or 0.0, 'z.3f')} +- {nats(e.error or 0.0, '.3f')}"


def _told(e: Evidence) -> bool:
    return e.p_value is not None and e.p_value <= e.alpha


def _unmeasured(e: Evidence) -> str | None:
    if not _near_zero(e) or not _told(e):
        return None
    known = f"the held-out value is {_measured(e)}"
    if e.p_value > STRONG:  # type: ignore[operator]
        return (
            f"There is weak evidence that x and y depend on each other{e.z}: p = {e.p_value:.2g}, "
            f"which is below {e.alpha:.2g}, but independent rows reach this once in "
            f"{1 / e.p_value:.0f} samples, "  # type: ignore[operator]
            f"and {known}. Report the p-value, and repeat the test on new rows."
        )
    return (
        f"The p-value, {e.p_value:.2g}, shows that x and y are dependent{e.z}, but there are too "
        f"few rows to measure how much: {known}. Report the p-value, not the estimate; more rows, "
        "or fewer columns, would measure it."
    )


def _zero(e: Evidence) -> str | None:
    if not _near_zero(e) or _told(e):
        return None
    known = f"The held-out value, {_measured(e)}, does not exceed zero"
    if not _shows_nothing(e):
        known = f"The estimate, {bare(e.mi, 'z.3f')} +- {nats(e.half_width, '.3g')}, does not "
        known += "exceed zero"
    if e.p_value is not None:
        return (
            f"{known} clearly, and the test of independence does not reject (p = {e.p_value:.2g}). "
            f"Report 'no dependence{e.z} found', not the estimate. It is no proof of independence: "
            "more rows may find a weaker dependence."
        )
    if e.untestable:
        return (
            f"{known} clearly, and so few rows allow no test of independence given z. Do not "
            "report that there is none."
        )
    if _is_wide(e):
        return (
            f"{known}: so few rows a column do not allow a critic to be fitted that could show "
            "dependence, and independence was not tested. Do not report that there is none; use "
            "fewer columns, or the test of independence: certify=True (without --no-certify)."
        )
    return (
        f"{known} clearly: the fitted critic shows no dependence. Independence was not tested; use "
        "certify=True (leave out --no-certify) for its p-value."
    )


def _no_bound(e: Evidence) -> str | None:
    if e.is_lower_bound or e.held_out is None:
        return None
    return (
        f"The bound '{e.bound}' is not a lower bound, so held_out may exceed the truth. "
        "Use bound='infonce' (--bound infonce) for a value that can be reported as 'at least'."
    )


def _constant(e: Evidence) -> str | None:
    names = data_checks.constant_columns(e.columns)
    if not names:
        return None
    for side in ("x", "y"):
        if all(c.name in names for c in e.columns if c.side == side):
            return f"All columns of {side} are constant, so the mutual information is zero."
    return f"Constant columns carry no information: {_listed(names)}. Leave them out."


def _duplicated_columns(e: Evidence) -> str | None:
    names = data_checks.duplicated_columns(e.pair)
    if not names:
        return None
    return f"Columns that are copies of each other: {_listed(names)}. Leave the copies out."


def _leakage(e: Evidence) -> str | None:
    found = e.leaks
    if not found:
        return None
    said = f"x and y share a column: {_listed([leak.what for leak in found])}. "
    limits = [leak.entropy for leak in found if leak.entropy is not None]
    if len(limits) == len(found):
        return (
            f"{said}The MI of discrete columns that determine each other is their entropy, here "
            f"{nats(max(limits))} at least. If one was computed from the other, leave it out; "
            "if not, report that they determine each other."
        )
    return (
        f"{said}The MI of continuous columns that determine each other is infinite, and rounding "
        "or the number of rows decides what is shown. If one was computed from the other, leave it "
        "out; if not, report that they determine each other, not the number."
    )


def _series(e: Evidence) -> str | None:
    found = None if e.blocks or e.groups is not None else data_checks.serial(e.pair)
    if found is None or data_checks.sorted_by(e.pair, e.columns) is not None:
        return None
    return (
        f"The order of the rows is informative: {found[0]} and {found[1]} are correlated. If rows "
        "were recorded one after another (in time, along a path), interval and p-value, which take "
        "rows for independent, are too optimistic: use series=True (--series), or keep every k-th "
        "row only. If the file was merely sorted or merged from parts, and rows are independent "
        "cases, the numbers hold: shuffle the rows, and this finding goes away. Shuffling a series "
        "would only hide the problem."
    )


def _sorted_rows(e: Evidence) -> str | None:
    name = data_checks.sorted_by(e.pair, e.columns)
    if name is None or e.blocks or e.groups is not None or data_checks.serial(e.pair) is None:
        return None
    return (
        f"The rows are sorted by {name}, so their order does not show whether they are a time "
        "series. If they are independent cases, this is harmless; if they follow each other in "
        "time, use series=True (--series)."
    )


def _repeated(e: Evidence) -> str | None:
    rows = data_checks.copied_rows(e.pair, e.columns)
    if not len(rows):
        return None
    copied = replace(e.pair, x=e.pair.x[rows], y=e.pair.y[rows])
    across = ""
    if e.fold is not None:
        count = data_checks.copies_across(copied, e.fold[rows])
        across = f"; {count:,} rows were tested by a critic that was trained on their copy"
    return (
        f"{data_checks.repeated_rows(copied):,} of {len(e.pair.x):,} rows are exact copies of an "
        f"earlier row{across}. That is more than rounding explains. If they are the same "
        "observation (a file read twice, rows drawn with replacement), the held-out value is too "
        "high and the interval too narrow: keep one row of each and estimate again."
    )


def _grouped(e: Evidence) -> str | None:
    found = None if e.groups is not None else data_checks.grouped_rows(e.pair, e.columns)
    if found is None:
        return None
    other = "y" if found.side == "x" else "x"
    return (
        f"Rows come in groups: {found.rows:,} of {len(e.pair.x):,} rows share their {found.side} "
        f"with others ({found.count:,} groups) and differ in {other}. The folds part groups, so "
        f"held-out rows are not new, and the interval is too narrow. Name what the rows of a group "
        f"share, such as the subject, in groups= (--group COLUMN); without such a column, "
        f"{found.side} itself can be named. If these values of {found.side} are all there are, "
        "code them as categories."
    )


def _few_groups(e: Evidence) -> str | None:
    if e.groups is None:
        return None
    sizes = np.bincount(e.groups)
    count = len(sizes)
    if count >= FEW_GROUPS:
        return None
    within = ""
    if e.test == "rows_in_groups":
        within = (
            " The test permutes rows within groups: it sees no dependence between groups, and it "
            "takes rows of a group for exchangeable (for rows in time add series=True)."
        )
    return (
        f"The rows come from {count} groups, so how groups differ is hardly known: the interval is "
        f"only roughly right, and likely too narrow. Collect {FEW_GROUPS} groups or more.{within}"
    )


def _few_moves(e: Evidence) -> str | None:
    if e.smallest_p is None or e.smallest_p <= e.alpha:
        return None
    said = f"The test cannot give a p-value below {e.smallest_p:.2g} here, so it cannot find "
    said += f"dependence at {e.alpha:.2g}: "
    if e.test == "surrogates":
        return f"{said}give {math.ceil(1 / e.alpha - 1 - 1e-9):,} surrogates or more."
    if e.test in ("moves", "moves_in_groups"):
        rows = needed_rows(e.alpha)
        which = "rows" if e.test == "moves" else "rows in most of the groups, or five groups"
        return (
            f"{said}y can be moved in time by a sixth of the series only. Collect {rows:,} {which}."
        )
    return f"{said}there are too few orders of the groups. Collect five groups or more."


def _tied(e: Evidence) -> str | None:
    tied = data_checks.tied_columns(e.columns, e.mi)
    if not tied or e.is_at_entropy(e.mi):  # rounding hides no more than is missing to the entropy
        return None
    names = [f"{name} ({share:.0%} of rows)" for name, share in tied]
    return (
        f"Values repeat in columns of many: {_listed(names)}. They are rounded too coarsely for "
        "this much dependence, or pile up at one value. Give unrounded values; where one value "
        "stands for 'none', give that as a column of its own."
    )


def _unordered(e: Evidence) -> str | None:
    if e.bases and set(e.bases) <= {"classwise", "posterior", "table"}:
        return None  # these take each number as a category
    found = data_checks.unordered_columns(e.pair, e.columns)
    if not found:
        return None
    names = [c.name for c in found]
    value = e.as_categories(names)
    if value is not None and value <= e.mi + e.half_width:
        return None  # as categories they are not more informative
    named = [f"{c.name} ({c.count:,} values; see the means of {c.other})" for c in found]
    both = "If they are codes, the estimate is too low"
    if value is not None:
        both = f"As categories the estimate is about {nats(value)} (now {bare(e.mi)}): "
        both += "if they are codes"
    return (
        f"Whole numbers that look like codes: {_listed(named)}. Neighbouring numbers are hardly "
        f"more alike than others, but they were taken as quantities. {both}, name them in "
        f"categorical= (--categorical {' '.join(names[:SHOWN])}), which one-hot encodes them. If "
        "they are quantities, rows of one number may share something else, such as a subject."
    )


def _coded(e: Evidence) -> str | None:
    names = data_checks.coded_columns(e.pair, e.columns)
    if set(e.bases) == {"posterior"}:  # the classes of one side, whose values have no order
        names = tuple(name for name in names if name not in _side_of_classes(e.pair))
    if not names:
        return None
    value = e.as_categories(names) if len(names) <= SHOWN else None
    both = "" if value is None else f" As categories: about {nats(value)} (now {bare(e.mi)})."
    return (
        f"Few whole numbers were taken as quantities, in their order: {_listed(names)}. If they "
        "are codes of categories, name them in categorical= (--categorical), which one-hot encodes "
        f"them.{both}"
    )


def _side_of_classes(pair: Pair) -> Sequence[str]:
    """Return the names of the side that takes fewer values."""
    sides = (pair.x, pair.x_names), (pair.y, pair.y_names)
    return min(sides, key=lambda side: data_checks.n_distinct(side[0]))[1]


def _extreme(e: Evidence) -> str | None:
    found = data_checks.outlier_columns((*e.columns, *data_checks.given_columns(e.pair)))
    if not found:
        return None
    listed = _listed([f"{name} ({what})" for name, what in found])
    return (
        f"Values far from all others: {listed}. They look like codes for missing values or errors "
        "of unit. Correct them, or leave these rows out (empty cells with --drop-missing)."
    )


def _dominant(e: Evidence) -> str | None:
    if e.terms is None:
        return None
    pulls = (e.terms - e.terms.mean()) / len(e.terms)
    row = int(np.abs(pulls).argmax())
    if abs(pulls[row]) < max(PULL, RELATIVE_PULL * abs(e.terms.mean())):
        return None
    if pulls[row] ** 2 < DOMINANT * (pulls**2).sum():
        return None
    # If columns determine each other, or the critic smooths edges so that nearest neighbours find
    # more, scores have long tails, and a large term is no fault of its row.
    if e.method == "ksg" or e.leaks:
        return None
    return (
        f"Row {row + 1:,} alone moves the held-out value by {nats(pulls[row], '+.2f')} and makes "
        "most of its standard error. Check that row: correct or remove it if it is an error. If it "
        "is genuine, keep it, and report the estimate with and without it."
    )


def _is_wide(e: Evidence) -> bool:
    return len(e.pair.x) < 10 * len(e.columns)


def _wide(e: Evidence) -> str | None:
    n, width = len(e.pair.x), len(e.columns)
    if not _is_wide(e):
        return None
    return (
        f"{width} columns are many for {n:,} rows (fewer than ten rows a column): dependence that "
        "is spread over them is easily missed, and the estimate tends to be too low. Choose "
        "columns or reduce them (principal components of each side), or collect "
        f"{10 * width:,} rows or more."
    )


def _second_opinion(e: Evidence) -> str | None:
    if e.ksg is None or e.held_out is None:
        return None
    if e.method == "ksg":
        return (
            f"Nearest neighbours (KSG) find {nats(e.ksg, '.3f')}, more than the critic can show on "
            f"held-out rows ({nats(e.held_out, '.3f')}): the dependence has edges or folds that "
            f"the critic smooths. The estimate is that of nearest neighbours; report {e.shown}."
        )
    if abs(e.ksg - e.mi) < max(0.05, 0.2 * abs(e.mi), 2 * e.half_width):
        return None
    if e.ksg < e.mi and (e.blocks or e.groups is not None):
        return None  # neighbours from other groups, or other times, are few: they err low
    return (
        f"Nearest neighbours (KSG) disagree: they find {nats(e.ksg, '.3f')}, the estimate "
        f"is {nats(e.mi, '.3f')}. Strong tails or clusters do this; look at a scatter plot, and "
        f"report {e.shown}."
    )


def _impossible(e: Evidence) -> str | None:
    if e.pair.limit is None:
        return None
    side, limit = e.pair.limit[0], e.pair.limit[1].value
    if e.mi - limit <= max(e.half_width, EXCESS, 0.02 * limit):
        return None
    return (
        f"The estimate, {nats(e.mi, '.3f')}, and its whole interval are above the entropy of "
        f"{side}, {nats(limit, '.3f')}, which no mutual information exceeds. Do not report it: the "
        f"truth is at most {nats(limit)}."
    )


def _determined(e: Evidence) -> str | None:
    if e.pair.given is None:
        return None
    names = (*e.pair.x_names, *e.pair.y_names)
    both = Pair(np.hstack([e.pair.x, e.pair.y]), e.pair.given, names, e.pair.given_names)
    found = data_checks.leaks(both, data_checks.columns(both))
    said = "; ".join(leak.what for leak in found[:SHOWN])
    if not found:
        known = [side for side, left in zip("xy", e.left or (), strict=False) if left < DETERMINED]
        if not known:
            return None
        said = f"of the variance of {' and '.join(known)} less than {DETERMINED:.1%} is left"
    return (
        f"What is given determines x or y, or nearly so: {said}. Then nothing is left of it that "
        "could depend on the other side, and the estimate is that of the noise. Leave these "
        "columns out of what is given, or use I(X;Y)."
    )


def _few_per_stratum(e: Evidence) -> str | None:
    if e.pair.given is None:
        return None
    if e.untestable:
        n = len(e.pair.given)
        return (
            f"The columns of few values that are given have too many means for {n:,} rows: a "
            "common cause that acts through them cannot be told from dependence. The estimate may "
            "be too high, and there are no p-values. Merge rare values, or give fewer columns."
        )
    coded = all(
        "=" in name or len(np.unique(column)) <= STRATA
        for name, column in zip(e.pair.given_names, e.pair.given.T, strict=True)
    )
    ids = row_ids(e.pair.given)
    count, n = int(ids.max()) + 1, len(ids)
    if not coded or n >= PER_STRATUM * count:
        return None
    return (
        f"What is given takes {count:,} values in {n:,} rows, fewer than {PER_STRATUM} rows a "
        "value: most of what depends on x and y within a value cannot be seen, and the estimate "
        "relies on values being alike. Merge rare values, or give fewer columns."
    )


def _orders(e: Evidence) -> str | None:
    if e.exchanged is None or e.held_out is None or e.error is None:
        return None
    if min(e.left or (1.0,)) < DETERMINED:  # both are estimates of noise
        return None
    if abs(e.exchanged - e.held_out) <= max(0.05, 4 * e.error, 0.25 * abs(e.held_out)):
        return None
    return (
        f"The two orders disagree: I(X,Z;Y) - I(Z;Y) is {nats(e.held_out, '.3f')} on held-out "
        f"rows, I(Y,Z;X) - I(Z;X) is {nats(e.exchanged, '.3f')}. One of x and y is described "
        "badly given z. Report both, use more rows, or give fewer columns of z."
    )


def _tests(e: Evidence) -> str | None:
    if e.p_value is None or e.projection_p is None:
        return None
    low, high = sorted((e.p_value, e.projection_p))
    if low > e.alpha / 5 or high <= 2 * e.alpha:
        return None
    said = f"local permutations give p = {e.p_value:.2g}, projections p = {e.projection_p:.2g}"
    if e.p_value < e.projection_p:
        why = (
            "Dependence that no single projection shows does this, and so does a law of x and y "
            "that changes within a neighbourhood of z"
        )
    else:
        why = "Errors of the regressions on z do this, and neighbourhoods too wide to show it"
    return (
        f"The two tests of conditional independence disagree: {said}. {why}. See the assumption of "
        "each in docs/conditional.md, and repeat them on more rows."
    )


class Check(NamedTuple):
    """The severity and headline of a check, and the function that returns its sentence or None."""

    severity: str
    headline: str
    sentence: Callable[[Evidence], str | None]


# In order of precedence: problems that make the number meaningless, that make it or its error
# wrong, and that limit it; then properties of the number and the treatment of rows.
CHECKS: dict[str, Check] = {
    "leakage": Check("warning", "x and y share a column", _leakage),
    "determined": Check("warning", "what is given determines x or y", _determined),
    "impossible": Check("warning", "the estimate exceeds an entropy", _impossible),
    "extreme_values": Check("warning", "codes or errors among the values", _extreme),
    "series": Check("warning", "the order of the rows is informative", _series),
    "repeated_rows": Check("warning", "rows are copies of each other", _repeated),
    "grouped_rows": Check("warning", "rows come in groups", _grouped),
    "few_groups": Check("warning", "rows come from few groups", _few_groups),
    "overfit": Check("warning", "the critic has memorised its training rows", _overfit),
    "dominant_row": Check("warning", "one row dominates the held-out value", _dominant),
    "not_a_bound": Check("warning", "held_out is no lower bound", _no_bound),
    "unordered_codes": Check("warning", "codes were taken as quantities", _unordered),
    "few_per_stratum": Check(
        "warning", "too few rows per value of what is given", _few_per_stratum
    ),
    "orders": Check("warning", "the two orders of the chain rule disagree", _orders),
    "capped": Check("warning", "the estimate is probably too low", _capped),
    "not_converged": Check("warning", "more iterations would find more", _not_converged),
    "unmeasured": Check("note", "dependent, but too few rows to measure how much", _unmeasured),
    "few_moves": Check("note", "the test cannot give a small p-value", _few_moves),
    "tests": Check("note", "the two tests of conditional independence disagree", _tests),
    "zero": Check("note", "the held-out value is not clearly above zero", _zero),
    "saturated": Check("note", "the held-out bound is near its upper limit", _saturated),
    "second_opinion": Check("note", "nearest neighbours disagree", _second_opinion),
    "few_rows": Check("note", "too few rows for a precise estimate", _few_rows),
    "wide": Check("note", "many columns for the number of rows", _wide),
    "sorted_rows": Check("note", "the rows are sorted, or a time series", _sorted_rows),
    "tied_values": Check("remark", "many values repeat", _tied),
    "coded_columns": Check("remark", "whole numbers taken as quantities", _coded),
    "constant_columns": Check("remark", "columns without information", _constant),
    "duplicated_columns": Check("remark", "columns given twice", _duplicated_columns),
}


def findings(evidence: Evidence) -> tuple[Finding, ...]:
    """Run all checks and return their findings in the order of `CHECKS`.

    Example:
        >>> list(CHECKS)[:2]
        ['leakage', 'determined']
    """
    found = ((code, check.severity, check.sentence(evidence)) for code, check in CHECKS.items())
    return tuple(
        Finding(code, severity, text, text if worded(text, "nats") != text else "")
        for code, severity, text in found
        if text
    )


def worst(found: Sequence[Finding]) -> Finding | None:
    """Return the first warning, or the first note if there is none; remarks do not count.

    Example:
        >>> worst([Finding("zero", "note", "..."), Finding("series", "warning", "...")]).code
        'series'
    """
    for severity in ("warning", "note"):
        for finding in found:
            if finding.severity == severity:
                return finding
    return None
