"""The pages of a curve of lags, and of a table of channels at their best lags."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from infobound.pages.numbers import number, p_value, small, span
from infobound.pages.page import Answer, Measure, Number, Page, Picture, Table
from infobound.pages.references import SOFTWARE
from infobound.plotting.column_figures import heat_map
from infobound.plotting.figures import FOUND

if TYPE_CHECKING:
    from infobound.series.lagged_pairs import LaggedPairs
    from infobound.series.lags import Lags

__all__ = ["curve_page", "pairs_page"]

WHITE = "https://doi.org/10.2307/1912934"
WHITENED = "haugh1976independence"
AMORTISED = "https://arxiv.org/abs/2402.10158"
FALSE_DISCOVERIES = "https://doi.org/10.1111/j.2517-6161.1995.tb02031.x"
SHOWN = 200  # lags or pairs of a table
NULL = "the whole series are independent"
CAUSES = Answer(
    "Could a common cause, season or trend explain it?",
    "The numbers cannot show it: remove known ones, or use estimate(x, y, given=z).",
    False,
)


def curve_page(result: Lags, units: str) -> Page:
    """Describe the curve, its peak and its band."""
    peak, count = result.peak, len(result.curve)
    ends = span((peak.low, peak.high), units)
    leads = f"{result.x if peak.lag > 0 else result.y} leads" if peak.lag else "no lead"
    rows = [each for each in result.curve if each.adjusted_p <= FOUND or abs(each.lag) <= SHOWN / 2]
    numbers = [
        Number(
            f"Peak at lag {peak.lag}",
            number(peak.mi, units),
            units,
            f"95 %: {ends}",
            f"{leads}; about {peak.effective_n:,.0f} independent rows",
            "Chosen among many lags, so too large on average; "
            + (
                "refine=True gives one to quote."
                if result.refined is None
                else "quote the full one."
            ),
            report=False,
        ),
        Number(
            "Independence",
            p_value(peak.adjusted_p),
            what=f"at the peak, adjusted for {count:,} lags",
            use=f"Claim that the series depend on each other; the null is that {NULL}.",
        ),
        Number(
            "Independence, by counting",
            p_value(result.counted_p),
            error=f"at least {result.smallest_p:.2g}",
            what="shifts of y alone" if not result.surrogates else "surrogates of y",
            use="The same, where only stationarity is to be assumed.",
        ),
        Number(
            "Band of independent series",
            number(result.band, units),
            units,
            what="the whole curve stays below it with 95 %",
            use="See which parts of the curve exceed chance.",
        ),
    ]
    if result.refined is not None:
        full = result.refined
        numbers.insert(
            0,
            Number(
                f"Full estimate at lag {peak.lag}",
                number(full.mi, units),
                units,
                f"simultaneous interval: {span(full.interval, units)}",
                "cross-fitted, as a series",
                "Quote it: its interval allows for the choice of the lag.",
            ),
        )
    table = Table(
        "Lags",
        ("lag", f"MI ({units})", "95 %", "adjusted p", "rows"),
        tuple(
            (
                *(str(each.lag), number(each.mi, units), span((each.low, each.high), units)),
                *(small(each.adjusted_p), f"{each.n:,}"),
            )
            for each in rows
        ),
        (0, 1, 2, 3, 4),
        f"{result.x} leads at positive lags. Each interval is for one lag.",
    )
    return Page(
        kind="Mutual information of two series by lag",
        title=f"{result.x} and {result.y}, {count:,} lags, {result.n:,} rows",
        headline=f"peak at lag {peak.lag}: {number(peak.mi, units)} {units}, "
        f"adjusted {p_value(peak.adjusted_p)}",
        units=units,
        numbers=tuple(numbers),
        measures=(Measure(f"Peak of {result.x} and {result.y}", peak.mi, peak.low, peak.high),),
        tables=(table,),
        pictures=(
            Picture(
                "curve",
                "The estimate at each lag with 95 % intervals; filled where it is found after "
                "adjustment for all lags. Shaded: the band of independent series.",
                lambda: result.figure(units=units),
            ),
        ),
        notes=result.notes,
        methods=(
            f"The mutual information of {result.x} and {result.y} was estimated at {count:,} lags "
            f"by the ranks of the values, less the mean at shifts of {result.y}. Independence was "
            "tested with whitened series and heteroscedasticity-consistent errors, adjusted for "
            "all lags (Bonferroni); intervals allow for autocorrelation."
            if not result.surrogates
            else f"The mutual information of {result.x} and {result.y} was estimated at {count:,} "
            f"lags by the ranks of the values. Independence was tested by {result.surrogates:,} "
            "surrogates of the caller, with the maximum over the lags.",
            *filter(None, [result.call.sentence]),
        ),
        checklist=(
            Answer("How many rows?", f"{result.n:,}; N_eff = {peak.effective_n:,.0f} at the peak."),
            Answer("Which unit?", f"{units.capitalize()} per row."),
            Answer("Which null hypothesis, and how many tests?", f"'{NULL}', {count:,} lags."),
            CAUSES,
            Answer("Are negative values kept?", "Yes, nothing is set to zero."),
        ),
        settings={"max_lag": str(result.max_lag), **result.call.shown},
        versions=result.call.versions,
        repeat=result.call.repeat,
        references=(SOFTWARE, AMORTISED, *(() if result.surrogates else (WHITE, WHITENED))),
    )


def pairs_page(result: LaggedPairs, units: str) -> Page:
    """Describe all pairs of channels at their best lags."""
    count, first = len(result.pairs), result.pairs[0]
    found = sum(pair.q_value <= FOUND for pair in result.pairs)
    heads = ("x", "y", "lag", f"MI ({units})", "95 %", "adjusted p", "q")
    cells = tuple(
        (
            *(pair.x, pair.y, str(pair.lag), number(pair.mi, units)),
            *(span((pair.low, pair.high), units), small(pair.adjusted_p), small(pair.q_value)),
        )
        for pair in result.pairs[:SHOWN]
    )
    return Page(
        kind="Pairs of series at their best lags",
        title=f"{count:,} pairs of {len(result.columns):,} channels, {result.n:,} rows",
        headline=f"{found:,} of {count:,} pairs are found; first: {first.x} and {first.y} at lag "
        f"{first.lag}, {number(first.mi, units)} {units}",
        units=units,
        numbers=(
            Number(
                f"Pairs with q <= {FOUND:g}",
                f"{found:,}",
                "",
                f"of {count:,}",
                f"lags up to {result.max_lag:,}, Benjamini-Hochberg",
                "Call them found: on average at most 5 % of these are independent.",
            ),
        ),
        tables=(Table("Pairs", heads, cells, (2, 3, 4, 5, 6), "x leads at positive lags."),),
        pictures=(
            Picture(
                "pairs",
                "All pairs, each at its best lag; similar channels are beside each other. The "
                "colour is the correlation of Gaussian series with this MI: 0 is independent, 1 a "
                "function.",
                lambda: heat_map(
                    np.sqrt(-np.expm1(-2 * np.maximum(result.matrix().to_numpy(), 0))),
                    names=result.columns,
                    title=f"{len(result.columns):,} channels at their best lags",
                ),
            ),
        ),
        notes=(*result.notes, *result.left_out.values()),
        methods=(
            f"Each of {count:,} pairs was tested at all lags up to {result.max_lag:,} with "
            "whitened series, adjusted for the lags; q-values are those of Benjamini and Hochberg. "
            + result.call.sentence,
        ),
        checklist=(
            Answer("How many rows?", f"{result.n:,}, in the order of time."),
            Answer("Which unit?", f"{units.capitalize()} per row."),
            Answer(
                "Which null hypothesis, and how many tests?",
                f"'{NULL}', {count:,} pairs at {2 * result.max_lag + 1:,} lags; q controls the "
                "share of false findings.",
            ),
            Answer(
                "Are the strongest values selected?",
                "Yes, among pairs and lags: estimate them on new rows.",
                False,
            ),
            CAUSES,
            Answer("Are negative values kept?", "Yes, nothing is set to zero."),
        ),
        settings={"max_lag": str(result.max_lag), **result.call.shown},
        versions=result.call.versions,
        repeat=result.call.repeat,
        references=(SOFTWARE, AMORTISED, WHITE, WHITENED, FALSE_DISCOVERIES),
    )
