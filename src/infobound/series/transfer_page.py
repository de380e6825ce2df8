"""The pages of transfer entropies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from infobound.diagnostics.findings import worst
from infobound.pages.numbers import number, p_value, percent, signed, small, span
from infobound.pages.page import Answer, Measure, Number, Page, Picture, Remark, Table, Verdict
from infobound.pages.references import SOFTWARE
from infobound.plotting.dependence_figures import comparison_figure
from infobound.plotting.figures import FOUND
from infobound.results.methods import changed, paragraphs, references
from infobound.results.page import remarks, verdict

if TYPE_CHECKING:
    from infobound.results.estimate import Estimate
    from infobound.series.transfer import Direction, Storage, Transfer
    from infobound.series.transfer_network import TransferNetwork

__all__ = ["network_page", "storage_page", "transfer_page"]

TRANSFER = "https://doi.org/10.1103/PhysRevLett.85.461"
RESIDUALS = "https://arxiv.org/abs/1804.07203"
STORAGE = "https://doi.org/10.1016/j.ins.2012.04.016"
FALSE_DISCOVERIES = "https://doi.org/10.1111/j.2517-6161.1995.tb02031.x"
SHOWN = 200  # pairs of a table
CAUSES = Answer(
    "Does it show a cause?",
    "No: a common cause that is not given, or a series between, looks like a transfer.",
    False,
)


def transfer_page(result: Transfer, units: str) -> Page:
    """Describe both directions and their difference."""
    both = result.forward, result.backward
    first, difference = result.forward, result.difference
    level = percent(first.estimate.config["level"])
    names = [f"{one.source} -> {one.target}" for one in both]
    return Page(
        kind="Transfer entropy of two series",
        title=f"{first.source} and {first.target}, {first.n:,} rows with a past",
        headline="; ".join(
            f"{name}: {number(one.mi, units)} {units}, {p_value(one.p_value)}"
            for name, one in zip(names, both, strict=True)
        ),
        units=units,
        verdict=_verdict(names, both),
        numbers=(
            *(_direction(name, one, level, units) for name, one in zip(names, both, strict=True)),
            Number(
                "Difference",
                signed(difference.mi, units),
                units,
                f"{level}: {span(difference.interval, units)}; {p_value(difference.p_value)}",
                "forward less backward, row by row",
                "Claim that one direction is stronger, if the p-value is small.",
            ),
        ),
        measures=tuple(
            Measure(name, one.mi, *one.interval) for name, one in zip(names, both, strict=True)
        ),
        pictures=(
            Picture(
                "directions",
                "Both directions and their difference, with intervals.",
                lambda: result.figure(units=units),
            ),
        ),
        remarks=tuple(
            remark
            for name, one in zip(names, both, strict=True)
            for remark in _remarks(name, one, units)
        ),
        methods=(
            "The transfer entropy is the information of the source's past about the target, given "
            "the target's own past. Its p-value is the larger one of two tests: rotations of the "
            "source in time, and residuals given the target's past.",
            *dict.fromkeys(text for one in both for text in paragraphs(one.estimate, units)),
        ),
        checklist=(
            Answer("How many rows?", f"{first.n:,} with a past, in the order of time."),
            Answer("Which unit?", f"{units.capitalize()} per row."),
            Answer(
                "Which lags?",
                "; ".join(
                    f"{name}: {_listed(one.lags)} of the source, {_listed(one.history)} of the "
                    "target"
                    for name, one in zip(names, both, strict=True)
                )
                + ".",
            ),
            CAUSES,
        ),
        settings={**_settings(first.estimate), **result.call.shown},
        versions={**first.estimate.versions},
        repeat=result.call.repeat,
        references=(*(r for one in both for r in references(one.estimate)), TRANSFER, RESIDUALS),
    )


def _verdict(names: Sequence[str], both: Sequence[Direction]) -> Verdict:
    """Return the first warning about either direction, or else which transfers are found."""
    for name, one in zip(names, both, strict=True):
        found = worst(one.estimate.findings)
        if found is not None and found.severity == "warning":
            judged = verdict(found)
            return replace(judged, text=f"{name}: {judged.text}")
    shown = [name for name, one in zip(names, both, strict=True) if one.p_value <= FOUND]
    if shown:
        return Verdict("transfer_found", "ok", "; ".join(shown))
    text = "no transfer was found; more rows may find a weaker one"
    return Verdict("no_transfer_found", "note", text)


def _remarks(name: str, one: Direction, units: str) -> Iterator[Remark]:
    """Return the findings of a direction; those about a missing test are about this one's test."""
    for remark in remarks(one.estimate, units, name):
        if remark.code != "zero":
            yield remark
        elif one.p_value > FOUND:
            yield replace(
                remark,
                text=f"{name}: The held-out value does not clearly exceed zero, and the tests find "
                f"no transfer ({p_value(one.p_value)}). Report 'no transfer found', not the "
                "estimate; more rows may find a weaker one.",
            )
        else:
            yield Remark(
                "unmeasured",
                "note",
                f"{name}: The tests find a transfer ({p_value(one.p_value)}), but there are too "
                "few rows to measure how much. Report the p-value, not the estimate.",
            )


def _direction(name: str, one: Direction, level: str, units: str) -> Number:
    return Number(
        name,
        number(one.mi, units),
        units,
        f"{level}: {span(one.interval, units)}; {p_value(one.p_value)}",
        f"lag {_listed(one.lags)} of {one.source}, given lag {_listed(one.history)} of "
        f"{one.target}; rotated {p_value(one.rotation_p)}, residuals {p_value(one.residual_p)}",
        "Quote it with both lags and the p-value; it does not show a cause.",
    )


def _pictures(result: TransferNetwork, units: str, found: int) -> Iterator[Picture]:
    """Return the figure of what is found, if anything is, and that of all pairs."""
    if found:
        yield Picture(
            "network",
            f"Arrows where q <= {FOUND:g}; wider ones have more transfer.",
            lambda: result.figure("network", units=units),
        )
    yield Picture(
        "matrix",
        "From sources in rows to targets in columns.",
        lambda: result.figure("matrix", units=units),
    )


def _settings(estimate: Estimate) -> dict[str, str]:
    """Return the seed and the settings of an estimate that are not the defaults."""
    found = {"seed": estimate.seed, **changed(estimate.config)}
    return {name: str(value) for name, value in found.items()}


def _listed(lags: tuple[int, ...]) -> str:
    return ", ".join(map(str, lags)) or "none"


def storage_page(result: Storage, units: str) -> Page:
    """Describe the information of a series about its next value."""
    estimate = result.estimate
    level = percent(estimate.config["level"])
    p = "" if result.p_value is None else f"; {p_value(result.p_value)}"
    return Page(
        kind="Active information storage of a series",
        title=f"I(past; present), lag {_listed(result.history)}, {result.n:,} rows with a past",
        headline=f"{number(result.mi, units)} {units}, {level} interval "
        f"{span(result.interval, units)}{p}",
        units=units,
        verdict=verdict(worst(estimate.findings)),
        numbers=(
            Number(
                "I(past; present)",
                number(result.mi, units),
                units,
                f"{level}: {span(result.interval, units)}{p}",
                f"lag {_listed(result.history)}",
                "Quote it with the lags.",
            ),
        ),
        measures=(Measure("Storage", result.mi, *result.interval),),
        pictures=(
            Picture(
                "storage",
                "The estimate with its interval.",
                lambda: comparison_figure(
                    ["storage"],
                    np.array([result.mi]),
                    np.array([result.interval]),
                    title=f"Active information storage, {result.n:,} rows",
                    unit=units,
                ),
            ),
        ),
        remarks=remarks(estimate, units),
        methods=(
            "The active information storage is the information of a series' past about its "
            "present.",
            *paragraphs(estimate, units),
        ),
        checklist=(
            Answer("How many rows?", f"{result.n:,} with a past, in the order of time."),
            Answer("Which unit?", f"{units.capitalize()} per row."),
            Answer("Which lags?", f"{_listed(result.history)}."),
            Answer(
                "Which null hypothesis, and how many tests?",
                "'Past and present are independent', one test.",
                result.p_value is not None,
            ),
            Answer("Are negative values kept?", "Yes, nothing is set to zero."),
        ),
        settings={**_settings(estimate), **result.call.shown},
        versions={**estimate.versions},
        repeat=result.call.repeat,
        references=(*references(estimate), STORAGE),
    )


def network_page(result: TransferNetwork, units: str) -> Page:
    """Describe the transfers of all ordered pairs of columns."""
    count = len(result.links)
    found = sum(link.q_value <= FOUND for link in result.links)
    heads = ("source", "target", f"TE ({units})", "95 %", "p", "q", "lag")
    cells = tuple(
        (
            *(link.source, link.target, number(link.mi, units)),
            *(span((link.low, link.high), units), small(link.p_value), small(link.q_value)),
            _listed(link.lags),
        )
        for link in result.links[:SHOWN]
    )
    return Page(
        kind="Transfer entropies of all ordered pairs",
        title=result.heading,
        headline=f"{found:,} of {count:,} ordered pairs have q <= {FOUND:g}",
        units=units,
        numbers=(
            Number(
                f"Ordered pairs with q <= {FOUND:g}",
                f"{found:,}",
                "",
                f"of {count:,}",
                f"Benjamini-Hochberg; a pair alone cannot have a q below {result.least_q:.2g}",
                "Call them found: on average at most 5 % of these have no transfer.",
            ),
        ),
        tables=(
            Table("Ordered pairs", heads, cells, (2, 3, 4, 5, 6), "Each interval is for one."),
        ),
        pictures=tuple(_pictures(result, units, found)),
        notes=(*result.left_out.values(), *result.failures.values()),
        methods=(
            f"Transfer entropies of {count:,} ordered pairs of columns were estimated by closed "
            f"forms and tested with {result.permutations:,} draws; q-values are those of Benjamini "
            f"and Hochberg. {result.call.sentence}",
        ),
        checklist=(
            Answer("How many rows?", f"{result.n:,}, in the order of time."),
            Answer("Which unit?", f"{units.capitalize()} per row."),
            Answer(
                "Which null hypothesis, and how many tests?",
                f"'No transfer', {count:,} tests; q controls the share of false findings.",
            ),
            CAUSES,
            Answer("Are negative values kept?", "Yes, nothing is set to zero."),
        ),
        settings={"permutations": f"{result.permutations:,}", **result.call.shown},
        versions=result.call.versions,
        repeat=result.call.repeat,
        references=(SOFTWARE, TRANSFER, RESIDUALS, FALSE_DISCOVERIES),
    )
