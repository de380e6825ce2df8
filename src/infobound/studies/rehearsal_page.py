"""The page of a rehearsal: sentences, a table and its figure."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from infobound.pages.numbers import maybe, number, signed, span
from infobound.pages.page import Measure, Number, Page, Picture, Table
from infobound.plotting import accuracy_figures
from infobound.results import page as estimate_page
from infobound.results.methods import changed, references

if TYPE_CHECKING:
    from infobound.studies.calibration import DetectionLimit, Rehearsal, SampleSizeEstimate

__all__ = ["page_of", "sentences"]

COPULA = "https://doi.org/10.1016/S1007-0214(11)70008-6"


def page_of(result: Rehearsal, units: str) -> Page:
    """Describe the user's own estimate and how the method does on rows like these."""
    own, title = result.own, estimate_page.title(result.own)
    detectable = [limit for limit in result.limits if limit.detectable is not None]
    numbers = [next(estimate_page.numbers(own, units))]
    numbers += [
        Number(
            f"Detection limit, {limit.kind}",
            number(limit.detectable or 0.0, units),
            units,
            "",
            "found in 80 % of the runs",
            "Say that a smaller dependence of this form may be missed.",
        )
        for limit in detectable
    ]
    if result.false_alarms is not None:
        numbers.append(
            Number(
                "False alarms",
                f"{100 * result.false_alarms:.0f} %",
                "",
                "",
                "runs without dependence that found one",
                "It should be near the level of the test.",
            )
        )
    heads = ("planted", "truth", "estimate", "bias", "± s.e.", "spread", "covers", "found")
    rows = tuple(
        (
            *(line.kind, number(line.truth, units), number(line.mean, units)),
            *(signed(line.bias, units), maybe(line.bias_error, units), maybe(line.spread, units)),
            f"{round(line.coverage * line.runs)}/{line.runs}",
            f"{round(line.found * line.runs)}/{line.runs}",
        )
        for line in result.lines
    )
    table = Table(
        f"Planted and estimated ({units})",
        heads,
        rows,
        tuple(range(1, len(heads))),
        "covers: intervals that contain the truth; found: estimates clearly above zero.",
    )
    return Page(
        kind="Rehearsal",
        title=f"Rehearsal of {title} on {own.n:,} rows",
        headline=" ".join(sentences(result, units)[:2]),
        units=units,
        verdict=estimate_page.page_of(own, units).verdict,
        numbers=tuple(numbers),
        measures=(Measure(f"{title}, rehearsed", own.mi, *own.interval),),
        tables=(table,),
        pictures=tuple(_pictures(result, units)),
        remarks=estimate_page.remarks(own, units),
        notes=tuple(sentences(result, units)),
        methods=(
            f"Known values of mutual information were planted in the same {own.n:,} rows, by "
            "pairing rows of x and of y through a copula of known information, so that the margins "
            "stayed as they are. Each was estimated with the settings of the estimate.",
            *estimate_page.page_of(own, units).methods,
        ),
        settings={
            "seed": str(own.seed),
            **{name: str(value) for name, value in changed(own.config).items()},
            **result.call.shown,
        },
        versions={**own.versions},
        repeat=result.call.repeat,
        references=(*references(own), COPULA),
    )


def _pictures(result: Rehearsal, units: str) -> Iterator[Picture]:
    """Return the figure of the ladder."""
    lines = [line for line in result.lines if line.n == result.own.n]
    if not lines:
        return
    records = [
        {
            "group": line.kind,
            "truth": line.truth,
            "mi": line.mean,
            "low": line.mean - line.half_width,
            "high": line.mean + line.half_width,
        }
        for line in lines
    ]
    yield Picture(
        "rehearsal",
        "Mean estimates with their mean intervals against the planted truth; on the diagonal they "
        "are right. The band is the own estimate.",
        partial(
            accuracy_figures.rehearsal_figure,
            records,
            own=result.own.mi,
            interval=result.own.interval,
            title=f"Rehearsal on {result.own.n:,} rows: estimate against planted truth",
            unit=units,
            point="mean of the runs",
        ),
    )


def sentences(result: Rehearsal, units: str) -> list[str]:
    """Describe the results of the ladder in sentences."""
    own = number(result.own.mi, units)
    said = [f"Your own estimate: {own} {units}, {span(result.own.interval, units)}."]
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
    return said + [f"Runs went wrong: {reason}" for reason in result.failures[:3]]


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
