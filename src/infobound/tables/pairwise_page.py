"""The page of a table of pairs of columns, and its figure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from infobound.errors import InputError
from infobound.pages.numbers import number, percent, small, span
from infobound.pages.page import Answer, Measure, Number, Page, Picture, Table
from infobound.pages.references import SOFTWARE
from infobound.plotting import column_figures
from infobound.plotting.figures import FOUND
from infobound.results.methods import references

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from infobound.tables.column_pairs import ColumnPair, Pairwise

__all__ = ["FOUND", "expect_drawable", "figure", "page_of"]

AMORTISED, NEIGHBOURS = "https://arxiv.org/abs/2402.10158", "https://arxiv.org/abs/cond-mat/0305641"
COUNTS = "https://arxiv.org/abs/physics/0307138"
PERMUTATION = "https://arxiv.org/abs/1603.05766"
FALSE_DISCOVERIES = "https://doi.org/10.1111/j.2517-6161.1995.tb02031.x"
WAYS = {
    "counts": "by the counts of the values, where both columns take few",
    "screen": "by the counts of at most 64 x 64 groups of values, where these show no dependence",
    "ranks": "by the ranks of the values, with a network that was trained once and with nearest "
    "neighbours",
}
BARS = 60  # columns of a bar chart
SHOWN = 200  # pairs of a table
COMPARED = 10  # pairs that are compared with other results


def page_of(result: Pairwise, units: str) -> Page:
    """Describe the pairs."""
    count, first = len(result.pairs), result.pairs[0]
    found = sum(pair.q_value <= FOUND for pair in result.pairs)
    sure = sum(pair.adjusted_p <= FOUND for pair in result.pairs)
    return Page(
        kind="Mutual information of pairs of columns",
        title=result.heading,
        headline=f"{found:,} of {count:,} pairs are found; strongest: {first.x} and {first.y}, "
        f"{number(first.mi, units)} {units}",
        units=units,
        numbers=(
            Number(
                f"Pairs with q <= {FOUND:g}",
                f"{found:,}",
                "",
                f"of {count:,}",
                f"{result.permutations:,} permutations, Benjamini-Hochberg",
                f"Call them found: on average at most {percent(FOUND)} of these are independent.",
            ),
            Number(
                f"Found at {FOUND:g} after adjustment for all pairs",
                f"{sure:,}",
                "",
                f"of {count:,}",
                "maximum over all pairs (max-T)",
                "Claim each of them: in 19 of 20 tables, none of these is independent.",
            ),
        ),
        measures=tuple(
            Measure(f"I({pair.x}; {pair.y})", pair.mi, pair.low, pair.high)
            for pair in result.pairs[:COMPARED]
        ),
        tables=(_table(result, units),),
        pictures=tuple(_pictures(result, units)),
        notes=(*result.notes, *result.left_out.values()),
        methods=tuple(_methods(result)),
        checklist=(
            Answer("Which estimator?", "In the methods paragraph; the table has it for each pair."),
            Answer("How many rows?", f"{result.n:,}; the table has those of each pair."),
            Answer("Which unit?", f"{units.capitalize()}."),
            Answer(
                "Which null hypothesis, and how many tests?",
                f"'Both columns are independent', {count:,} tests; q controls the share of false "
                "findings, the adjusted p-value that of any.",
            ),
            Answer(
                "Are the strongest values selected?",
                "Yes: estimate them on new rows, or use refine=10, whose intervals hold for all "
                "pairs at once.",
                bool(result.refined),
            ),
            Answer("Are negative values kept?", "Yes, nothing is set to zero."),
        ),
        settings={"permutations": f"{result.permutations:,}", **result.call.shown},
        versions=result.call.versions,
        repeat=result.call.repeat,
        references=tuple(_references(result)),
    )


def _methods(result: Pairwise) -> Iterator[str]:
    """Return the methods paragraph."""
    ways = {pair.method for pair in result.pairs}
    said = " and ".join(text for name, text in WAYS.items() if name in ways)
    yield (
        f"The mutual information of {len(result.pairs):,} pairs of columns was estimated from "
        f"{result.n:,} rows {said}. Independence was tested by {result.permutations:,} "
        "permutations, the same for all pairs; q-values are those of Benjamini and Hochberg, and "
        f"adjusted p-values those of the maximum over all pairs. {result.call.sentence}"
    )
    if result.refined:
        yield f"The {len(result.refined):,} strongest pairs were estimated again by cross-fitting."


def _references(result: Pairwise) -> Iterator[str]:
    """Return the addresses of the papers of exactly the methods that were used."""
    yield SOFTWARE
    if any(pair.method == "ranks" for pair in result.pairs):
        yield from (AMORTISED, NEIGHBOURS)
    if any(pair.method == "counts" for pair in result.pairs):
        yield COUNTS
    yield from (PERMUTATION, FALSE_DISCOVERIES)
    for one in result.refined:
        yield from references(one.estimate)


def _table(result: Pairwise, units: str) -> Table:
    """Return the strongest pairs as a table."""
    refined = {(one.x, one.y): one.estimate for one in result.refined}
    heads = ("x", "y", f"MI ({units})", "95 %", "normalised", "q", "rows", "method")
    again = (f"refined ({units})",) if refined else ()

    def cells(pair: ColumnPair) -> tuple[str, ...]:
        own = (
            *(pair.x, pair.y, number(pair.mi, units), span((pair.low, pair.high), units)),
            *(f"{pair.normalised:.2f}", small(pair.q_value), f"{pair.n:,}", pair.method),
        )
        if not refined:
            return own
        found = refined.get((pair.x, pair.y))
        text = "" if found is None else f"{number(found.mi, units)}, {span(found.interval, units)}"
        return (*own, text)

    shown = result.pairs[:SHOWN]
    note = "Each interval is for one pair; the strongest of many are too high on average."
    if refined:
        note += " Those of the refined estimates hold for all pairs at once."
    if len(shown) < len(result.pairs):
        note += f" The {SHOWN} strongest of {len(result.pairs):,} pairs; to_frame() has all."
    return Table("Pairs", heads + again, tuple(map(cells, shown)), (2, 3, 4, 5, 6, 8), note)


def _pictures(result: Pairwise, units: str) -> Iterator[Picture]:
    """Return the figure, which needs one target or none."""
    if len(result.targets) > 1:
        return
    caption = "All pairs; similar columns are beside each other. 0: independent, 1: a function."
    if result.targets:
        caption = f"Information about {result.targets[0]}, {units}, with 95 % intervals."
    yield Picture("pairs", caption, lambda: figure(result, units=units))


def figure(result: Pairwise, *, title: str = "", units: str = "nats") -> Figure:
    """Draw all pairs as a clustered heat map, or the columns of one target as bars with intervals.

    Args:
        result: the pairs.
        title: a title, to which is added what was compared.
        units: "nats" or "bits".

    Raises:
        InputError: If there are several targets, or the units are unknown.
    """
    expect_drawable(result.targets)
    title = f"{title}: " if title else ""
    if not result.targets:
        table = result.matrix("normalised").to_numpy()
        title = f"{title}{len(result.columns):,} columns, {result.n:,} rows"
        return column_figures.heat_map(table, names=result.columns, title=title)
    pairs = result.pairs[:BARS]
    title = f"{title}information about {result.targets[0]}"
    if len(pairs) < len(result.pairs):
        title += f", the first {BARS} of {len(result.pairs):,} columns"
    return column_figures.bar_chart(
        np.array([pair.mi for pair in pairs]),
        np.array([(pair.low, pair.high) for pair in pairs]),
        names=[pair.x for pair in pairs],
        found=np.array([pair.q_value <= FOUND for pair in pairs]),
        title=title,
        unit=units,
    )


def expect_drawable(targets: Sequence[str]) -> None:
    """Check that there is one target or none, as a figure needs.

    Raises:
        InputError: If there are several.
    """
    if len(targets) > 1:
        raise InputError(
            f"Expected one target or none for a figure; got {len(targets)}. Draw one for each."
        )
