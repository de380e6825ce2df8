"""The page of a difference of two estimates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from infobound._system.calls import Call
from infobound._system.units import scale
from infobound.diagnostics.findings import worst
from infobound.pages.numbers import number, p_value, percent, signed, span
from infobound.pages.page import Answer, Measure, Number, Page, Picture, Verdict
from infobound.plotting.dependence_figures import comparison_figure
from infobound.results.estimate import Estimate
from infobound.results.methods import changed, paragraphs, references
from infobound.results.page import remarks, title, verdict

__all__ = ["difference_rows", "page_of"]

PAIRED = "https://doi.org/10.1016/S0140-6736(86)90837-8"


def page_of(
    estimates: Mapping[str, Estimate],
    difference: float,
    interval: tuple[float, float],
    p: float,
    *,
    kind: str,
    name: str,
    meaning: str,
    call: Call,
    units: str,
    cited: Sequence[str] = (),
) -> Page:
    """Describe the difference of two estimates from the same rows.

    Args:
        estimates: both estimates by their names.
        difference: the first less the second, in nats.
        interval: its interval, in nats.
        p: the p-value of no difference.
        kind: the kind of result.
        name: the formula of the difference.
        meaning: what its sign means.
        call: the call that made it.
        units: "nats" or "bits".
        cited: addresses of further papers.
    """
    first, second = estimates.values()
    level = percent(first.config["level"])
    both = [
        Number(
            one,
            number(each.mi, units),
            units,
            f"{level}: {span(each.interval, units)}",
            title(each),
            f"Quote it with its own verdict: {each.verdict.replace('_', ' ')}.",
        )
        for one, each in estimates.items()
    ]
    values = np.array([first.mi, second.mi, difference])
    ends = np.array([first.interval, second.interval, interval])
    draw = partial(
        comparison_figure,
        [*estimates, "difference"],
        values,
        ends,
        title=f"{name}, {first.n:,} rows",
        unit=units,
    )
    found = {
        one.message: remark
        for label, each in estimates.items()
        for one, remark in zip(each.findings, remarks(each, units, label), strict=True)
    }
    return Page(
        kind=kind,
        title=f"{title(first)} - {title(second)}, {first.n:,} rows",
        headline=f"{signed(difference, units)} {units}, {level} interval {span(interval, units)}, "
        f"{p_value(p)}",
        units=units,
        verdict=_verdict(estimates, p),
        numbers=(
            Number(
                f"Difference {name}",
                signed(difference, units),
                units,
                f"{level}: {span(interval, units)}",
                meaning,
                "Quote it with its interval; the estimates' own intervals do not give it.",
            ),
            Number(
                "No difference",
                p_value(p),
                what="two-sided, paired",
                use="Claim a difference if it is small.",
            ),
            *both,
        ),
        measures=(Measure(name, difference, *interval),),
        pictures=(Picture("difference", "Both estimates and their difference.", draw),),
        remarks=tuple(found.values()),
        notes=tuple(dict.fromkeys((*first.notes, *second.notes))),
        methods=(
            f"{name} was estimated from {first.n:,} rows, with the same folds for both. Its "
            f"{level} interval and p-value use the standard error of the rows' differences, and "
            "what else each estimate is uncertain about, in quadrature.",
            *dict.fromkeys(text for each in estimates.values() for text in paragraphs(each, units)),
        ),
        checklist=(
            Answer("Which estimator and settings?", "In the methods paragraphs and the settings."),
            Answer("How many rows?", f"{first.n:,}, the same for both."),
            Answer("Which unit?", f"{units.capitalize()}."),
            Answer("What kind of interval?", "Paired: of the rows' differences."),
            Answer("Which null hypothesis, and how many tests?", "'No difference', one test."),
            Answer("Are negative values kept?", "Yes, nothing is set to zero."),
            Answer("Versions, seed, code, references?", "Below."),
        ),
        settings={
            "seed": str(first.seed),
            **{
                key: str(value)
                for key, value in changed(first.config).items()
                if key != "pointwise"  # asked by the difference itself
            },
            **call.shown,
        },
        versions={**first.versions},
        repeat=call.repeat,
        references=(
            *references(first),
            *references(second),
            PAIRED,
            *cited,
        ),
    )


def _verdict(estimates: Mapping[str, Estimate], p: float) -> Verdict:
    """Return the first warning about either estimate, or else whether there is a difference."""
    for name, each in estimates.items():
        found = worst(each.findings)
        if found is not None and found.severity == "warning":
            judged = verdict(found)
            return replace(judged, text=f"{name}: {judged.text}")
    if p <= 1 - next(iter(estimates.values())).config["level"]:
        return Verdict("different", "ok", "the difference is clearly not zero")
    text = "no difference was found; more rows may find a smaller one"
    return Verdict("no_difference_found", "note", text)


def difference_rows(
    estimates: Mapping[str, Estimate],
    difference: float,
    interval: tuple[float, float],
    p: float,
    units: str,
) -> list[dict[str, Any]]:
    """Return a row for each estimate and one for the difference, in a unit."""
    lines = [(name, one.mi, one.interval, one.p_value) for name, one in estimates.items()]
    lines.append(("difference", difference, interval, p))
    divisor = scale(units)
    return [
        {
            "quantity": name,
            "mi": value / divisor,
            "low": low / divisor,
            "high": high / divisor,
            "p_value": tested,
            "unit": units,
        }
        for name, value, (low, high), tested in lines
    ]
