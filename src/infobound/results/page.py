"""The page of an estimate: its numbers, what each may be used for, methods and figures."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from infobound._system.sentences import nats, worded
from infobound.data.pair import Pair
from infobound.diagnostics.findings import CHECKS, Finding, worst
from infobound.inference.dependent_rows import CERTIFIED_GROUPS, TESTS
from infobound.pages.numbers import maybe, number, p_value, percent, span
from infobound.pages.page import Measure, Number, Page, Picture, Remark, Verdict
from infobound.plotting.dependence_figures import comparison_figure
from infobound.plotting.figures import estimate_figure, listed
from infobound.results import methods
from infobound.results.pictures import data_pictures

if TYPE_CHECKING:
    from infobound.results.estimate import Estimate

__all__ = [
    "made_of",
    "not_certified",
    "numbers",
    "page_of",
    "remarks",
    "rows_of",
    "tested",
    "title",
    "verdict",
]

SETTINGS = ("seed", "estimator", "base", "critic", "bound", "folds", "level", "series", "certify")


def page_of(result: Estimate, units: str, pair: Pair | None = None) -> Page:
    """Describe an estimate; with its rows, also by figures of them."""
    found = worst(result.findings)
    of_rows = () if pair is None else data_pictures(result, pair, title(result), units)
    return Page(
        kind="Estimate of conditional mutual information"
        if result.dim_given
        else "Estimate of mutual information",
        title=f"{title(result)}, {rows_of(result)}",
        headline=f"{number(result.mi, units)} {units}, {percent(result.config['level'])} interval "
        f"{span(result.interval, units)}",
        units=units,
        verdict=verdict(found),
        numbers=tuple(numbers(result, units)),
        measures=(Measure(title(result), result.mi, *result.interval),),
        pictures=(*of_rows, *_pictures(result, units)),
        remarks=remarks(result, units),
        notes=result.notes,
        methods=tuple(methods.paragraphs(result, units)),
        checklist=tuple(methods.checklist(result, units)),
        settings=_settings(result.config),
        versions={**result.versions},
        repeat={"In Python, with the same x and y:": methods.code(result)},
        references=tuple(methods.references(result)),
    )


def title(result: Estimate) -> str:
    """Name the quantity with its columns: "I(a; b | c)"."""
    x, y, z = (
        listed(names) or letter
        for names, letter in (
            (methods.shown_names(result.x_names), "X"),
            (methods.shown_names(result.y_names), "Y"),
            (methods.shown_names(result.given_names), "Z"),
        )
    )
    return f"I({x}; {y} | {z})" if result.dim_given else f"I({x}; {y})"


def verdict(finding: Finding | None) -> Verdict:
    """Return the judgement by the most severe finding."""
    if finding is None:
        return Verdict("ok", "ok", "no problems found")
    return Verdict(finding.code, finding.severity, CHECKS[finding.code].headline)


def remarks(result: Estimate, units: str, label: str = "") -> tuple[Remark, ...]:
    """Return the findings of an estimate for a page, with what they are about before them."""
    before = f"{label}: " if label else ""
    return tuple(
        Remark(one.code, one.severity, f"{before}{one.text(units)}") for one in result.findings
    )


def numbers(result: Estimate, units: str) -> Iterator[Number]:
    """Return the numbers of an estimate, with what each may be used for."""
    level, given = percent(result.config["level"]), result.dim_given > 0
    quantity = "I(X;Y|Z)" if given else "I(X;Y)"
    yield Number(
        f"Estimate {quantity}",
        number(result.mi, units),
        units,
        f"{level}: {span(result.interval, units)}",
        made_of(result),
        "Quote it, with its interval and the verdict.",
    )
    if result.held_out is not None:
        bound = not given and all(one.code != "not_a_bound" for one in result.findings)
        name = "Held-out lower bound" if bound else "Held-out value"
        use = "Quote it as 'at least', on average over samples."
        what = "each row scored by a critic not fitted to it"
        if given:
            name, what = "Held-out difference", "I(X,Z;Y) - I(Z;Y) on held-out rows"
        if not bound:
            use = "Compare it with the estimate; it is no bound."
        error = f"± {maybe(result.held_out_error, units)} (standard error)"
        yield Number(name, number(result.held_out, units), units, error, what, use)
    if result.exchanged is not None:
        yield Number(
            "Held-out, exchanged",
            number(result.exchanged, units),
            units,
            what="I(Y,Z;X) - I(Z;X) on held-out rows",
            use="Compare it with the held-out difference: if they differ, a regression failed.",
            report=False,
        )
    if result.certified is not None:
        yield Number(
            "Certified",
            number(result.certified, units),
            units,
            f"lower confidence bound at {level}",
            "valid for any distribution of independent rows",
            "Claim 'at least' with this confidence.",
        )
    if result.upper is not None:
        yield Number(
            "At most",
            number(result.upper, units),
            units,
            f"upper confidence bound at {level}",
            "the entropy of a side that takes few values",
            "Claim 'at most', if no other values exist.",
        )
    if result.p_value is not None:
        yield Number(
            "Independence given Z" if given else "Independence",
            p_value(result.p_value),
            what=tested(result),
            use="Claim dependence if it is small; else report that none was found.",
        )
    if result.projection_p is not None:
        yield Number(
            "Independence given Z, by projections",
            p_value(result.projection_p),
            what="test by projections of the residuals",
            use="Compare it with the test above; it assumes good regressions.",
        )
    if result.training is not None:
        yield Number(
            "Training rows",
            number(result.training, units),
            units,
            what="biased upwards",
            use="Do not report it.",
            report=False,
        )
    if result.ksg is not None and result.method != "ksg":
        yield Number(
            "Second opinion",
            number(result.ksg, units),
            units,
            what="nearest neighbours (KSG)",
            use="Compare it with the estimate.",
            report=False,
        )
    if result.ceiling is not None:
        yield Number(
            "Ceiling log K",
            number(result.ceiling, units),
            units,
            what=f"upper limit of the bound, K = {math.exp(result.ceiling):,.0f} rows",
            use=worded(
                f"A bound within {nats(1, '.3g')} of it is limited by it, not by the data.", units
            ),
            report=False,
        )


def made_of(result: Estimate) -> str:
    """Describe what the estimate comes from."""
    if result.method == "ksg":
        return "from nearest neighbours (KSG)"
    if result.method == "table":
        return "from the counts of the values, corrected for dependence by chance"
    folds, bases = len(result.bases), [*dict.fromkeys(result.bases)]
    if result.method == "base":
        rest = "; a network did not improve on it" if methods.tried_network(result) else ""
        models = "a closed-form model" if len(bases) == 1 else "closed-form models"
        return f"from {models} ({', '.join(bases)}){rest}"
    return f"from a critic whose network was kept in {result.kept} of {folds} folds"


def tested(result: Estimate) -> str:
    """Describe how the p-value was computed."""
    if result.dim_given:
        return "test by permuting y within neighbourhoods of z"
    if result.test is None:
        return "test of independence by permuting y"
    least = "" if result.smallest_p is None else f"; p is at least {result.smallest_p:.2g}"
    return f"test of independence by {TESTS[result.test]}{least}"


def rows_of(result: Estimate) -> str:
    """Describe how many rows there are, and how many independent ones they are worth."""
    found = f"{result.n:,} rows"
    if result.group_count is not None:
        found += f" in {result.group_count:,} groups"
    if result.effective_n is not None:
        size = result.effective_n
        found += f", about {round(size, 2 - len(str(int(size)))):,.0f} independent"
    return found


def not_certified(result: Estimate) -> str | None:
    """Describe why nothing is certified, where that was asked for."""
    if not result.config["certify"] or result.held_out is None:
        return None
    if result.config["series"] and result.group_count is None:
        return "needs independent rows, or groups of them"
    if result.group_count is not None:
        return (
            f"needs {CERTIFIED_GROUPS} groups or more"
            if not result.dim_given
            else "needs i.i.d. rows"
        )
    return "needs z of few values, or a known p(x|z)" if result.dim_given else None


def _settings(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the settings that are read most often, and all that are not the defaults."""
    often = {name: config[name] for name in SETTINGS if name in config}
    return {name: str(value) for name, value in {**often, **methods.changed(config)}.items()}


def _pictures(result: Estimate, units: str) -> Iterator[Picture]:
    """Return the figures that need no data."""
    name = f"{title(result)}, {rows_of(result)}"
    if result.held_out is None or result.training is None:
        values, ends = np.array([result.mi]), np.array([result.interval])
        draw = partial(comparison_figure, ["estimate"], values, ends, title=name, unit=units)
        yield Picture("estimate", "The estimate with its interval.", draw)
        return
    held_out, training, z = result.held_out, result.training, result.dim_given
    yield Picture(
        "estimate",
        "The estimate with its interval, beside the values on held-out and on training rows.",
        lambda: estimate_figure(
            title=name,
            mi=result.mi,
            interval=result.interval,
            held_out=held_out,
            held_out_error=result.held_out_error or 0.0,
            training=training,
            certified=result.certified,
            ceiling=result.ceiling,
            level=result.config["level"],
            held_name="held-out difference" if z else "held-out lower bound",
            unit=units,
        ),
    )
