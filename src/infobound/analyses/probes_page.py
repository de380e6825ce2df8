"""The page of probes of a representation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infobound.pages.numbers import maybe, number, percent, signed, span
from infobound.pages.page import Page, Table
from infobound.results import page as estimate_page

if TYPE_CHECKING:
    from infobound.analyses.probes import Probes

__all__ = ["page_of"]

USABLE = "https://arxiv.org/abs/2002.10689"


def page_of(result: Probes, units: str) -> Page:
    """Describe the estimate of I(Z;Y), and what each probe can use of it."""
    own, entropy = result.estimate, result.entropy
    page = estimate_page.page_of(own, units)
    rows = [
        (
            each.kind,
            number(each.held_out, units),
            number(each.held_out_error, units),
            f"{100 * each.held_out / entropy:.0f} %",
            number(each.training, units),
            signed(each.permuted, units),
        )
        for each in result.probes
    ]
    share = "–" if own.held_out is None else f"{100 * own.held_out / entropy:.0f} %"
    rows.append(
        (
            *("all", maybe(own.held_out, units), maybe(own.held_out_error, units), share),
            *(maybe(own.training, units), "–"),
        )
    )
    table = Table(
        f"What probes can use ({units})",
        ("probe", "held-out", "± s.e.", "of H(Y)", "training", "y permuted"),
        tuple(rows),
        (1, 2, 3, 4, 5),
        "Quote held-out values as what a classifier of this kind can use; do not report training "
        "values. 'y permuted' is zero or below, unless something is wrong with the folds. all: the "
        "probes and other classifiers together.",
    )
    return Page(
        kind="Information about labels",
        title=page.title,
        headline=f"{number(own.mi, units)} of {number(entropy, units)} {units}, "
        f"{percent(own.config['level'])} interval {span(own.interval, units)}; "
        f"{result.classes:,} labels",
        units=units,
        verdict=page.verdict,
        numbers=page.numbers,
        measures=page.measures,
        tables=(table,),
        pictures=page.pictures,
        remarks=page.remarks,
        notes=(f"H(Y) = {number(entropy, units)} {units}, the entropy of the labels.", *page.notes),
        methods=(
            "Probes of the representation (logistic regression and a network of two hidden layers) "
            "were fitted and scored on the same folds; their value is the entropy of the labels "
            "less their held-out cross-entropy.",
            *page.methods,
        ),
        checklist=page.checklist,
        settings={**page.settings, **result.call.shown},
        versions=page.versions,
        repeat=result.call.repeat,
        references=(*page.references, USABLE),
    )
