"""Findings: sentences that say what is wrong with an estimate and what to do about it.

Each check reads the `Evidence` and gives a sentence or None; the table `CHECKS` names them with
their severity. To add a check: one function and one line. Nothing here computes an estimate.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from infobound.data import Pair, constant_columns, duplicated_columns, entropy, repeated_rows

__all__ = ["CHECKS", "Evidence", "Finding", "findings"]


@dataclass(frozen=True)
class Finding:
    """One doubt or remark: `code` for programs, `message` for people, severity note or warning."""

    code: str
    severity: str
    message: str


@dataclass(frozen=True)
class Evidence:
    """What the checks read; all values in nats.

    `train` and `held_out` are the bound on training and on test rows, `error` the standard error
    of `held_out`, `half_width` half the interval around `mi`, `block` the K of the ceiling,
    `late` the share of folds that were still rising at their last iteration, `capped` whether
    the point estimate is under the bound's ceiling too.
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


def _zero(e: Evidence) -> str | None:
    if e.held_out is None or e.error is None or e.held_out > max(1.645 * e.error, 1e-6):
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
    names = constant_columns(e.pair)
    if not names:
        return None
    return (
        f"Constant columns carry no information: {', '.join(names)}. Leave them out of --x and --y."
    )


def _duplicated_columns(e: Evidence) -> str | None:
    pairs = duplicated_columns(e.pair)
    if not pairs:
        return None
    text = ", ".join(pairs[:5]) + (" ..." if len(pairs) > 5 else "")
    return (
        f"Columns that are copies of each other: {text}. A copy within x or within y adds nothing "
        "and can be left out; the same column in x and in y makes the MI infinite."
    )


def _repeated(e: Evidence) -> str | None:
    copies = repeated_rows(e.pair)
    n = len(e.pair.x)
    if copies == 0 or copies > 0.5 * n:  # more than half: a discrete table, copies are its nature
        return None
    return (
        f"{copies:,} of {n:,} rows are exact copies of another row, so some stand both in training "
        "and in test rows, and the held-out value is too high. Unless the columns are discrete, "
        "drop the copies and estimate again."
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


CHECKS: dict[str, tuple[str, Callable[[Evidence], str | None]]] = {
    "zero": ("note", _zero),
    "saturated": ("warning", _saturated),
    "capped": ("warning", _capped),
    "overfit": ("warning", _overfit),
    "not_converged": ("warning", _not_converged),
    "impossible": ("warning", _impossible),
    "few_rows": ("note", _few_rows),
    "second_opinion": ("note", _second_opinion),
    "not_a_bound": ("warning", _no_bound),
    "constant_columns": ("warning", _constant),
    "duplicated_columns": ("warning", _duplicated_columns),
    "repeated_rows": ("warning", _repeated),
}


def findings(evidence: Evidence) -> tuple[Finding, ...]:
    """What the checks say, in the order of `CHECKS`.

    Example:
        >>> list(CHECKS)[:2]
        ['zero', 'saturated']
    """
    said = ((code, severity, check(evidence)) for code, (severity, check) in CHECKS.items())
    return tuple(Finding(code, severity, text) for code, severity, text in said if text)
