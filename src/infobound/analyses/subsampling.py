"""Dependence of an estimate on the number of rows: the same estimate on parts of the rows.

The rows are divided into 1, 2, 3, ... parts, and each part is estimated. Without bias, the means do
not depend on the size of the parts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean, stdev
from typing import Any

import numpy as np

from infobound import data
from infobound._system import arguments
from infobound._system.calls import Recorded, recorded
from infobound._system.units import Nats, Result
from infobound.config import Config, configured
from infobound.errors import InputError
from infobound.estimation.estimate import estimate
from infobound.pages.numbers import number, percent, signed, span
from infobound.pages.page import Measure, Number, Page, Picture, Table, Verdict
from infobound.pages.presentable import Presentable
from infobound.plotting.accuracy_figures import subsampling_figure
from infobound.results.estimate import Estimate
from infobound.results.methods import changed, references
from infobound.results.page import title
from infobound.results.pictures import take
from infobound.training import loop

__all__ = ["SubsampleLine", "Subsampling", "subsample"]

PARTS = (1, 2, 3, 4)
FEWEST = 50  # rows of a part
SOURCE = "https://doi.org/10.1103/PhysRevE.100.022404"


@dataclass(frozen=True)
class SubsampleLine(Result):
    """The estimates of all parts of one size, in nats.

    Attributes:
        parts: the number of parts that the rows were divided into.
        n: the number of rows of a part.
        mean: the mean of the estimates.
        spread: their standard deviation; None for a single one.
        held_out: the mean held-out bound.
    """

    parts: int
    n: int
    mean: Nats
    spread: Nats | None
    held_out: Nats | None


@dataclass(frozen=True, repr=False)
class Subsampling(Recorded, Presentable):
    """An estimate and those of parts of its rows, in nats.

    Attributes:
        own: the estimate of all rows.
        lines: a line for each number of parts, all rows first.
        drift: the estimate of all rows less the mean of those of halves.
        limit: the estimate extrapolated to infinitely many rows, by a line in 1 / n.

    Example:
        >>> x = np.random.default_rng(0).normal(size=400)
        >>> y = x + np.random.default_rng(1).normal(size=400)
        >>> found = subsample(x, y, estimator="gaussian", certify=False)
        >>> [line.n for line in found.lines], abs(found.drift) < 0.05
        ([400, 200, 133, 100], True)
    """

    own: Estimate
    lines: tuple[SubsampleLine, ...]
    drift: Nats
    limit: Nats

    @property
    def is_stable(self) -> bool:
        """Whether halving the rows changes the estimate by less than half of its interval."""
        return abs(self.drift) < self.own.half_width

    def __str__(self) -> str:
        """Format the estimate and its drift as one line with their unit."""
        return f"{self.own}; {self.drift:+.3f} nats from half of the rows"

    def page(self, units: str = "nats") -> Page:
        """Describe how the estimate depends on the number of rows.

        Args:
            units: "nats" or "bits".

        Raises:
            InputError: If the units are neither.
        """
        own, level = self.own, percent(self.own.config["level"])
        text = "halving the rows changes the estimate by less than half of its interval"
        if not self.is_stable:
            text = (
                "the estimate still depends on the number of rows: collect more, or report the "
                "held-out value as 'at least'"
            )
        figure = partial(
            subsampling_figure,
            np.array([line.n for line in self.lines]),
            np.array([line.mean for line in self.lines]),
            spreads=np.array([line.spread or 0.0 for line in self.lines]),
            interval=own.interval,
            limit=self.limit,
            title=f"{title(own)}, estimates of parts of the rows",
            unit=units,
        )
        return Page(
            kind="Subsampling",
            title=f"{title(own)} on parts of {own.n:,} rows",
            headline=f"{signed(self.drift, units)} {units} from half of the rows to all",
            units=units,
            verdict=Verdict(
                *(("stable", "ok") if self.is_stable else ("depends on n", "warning")), text
            ),
            numbers=(
                Number(
                    "Estimate of all rows",
                    number(own.mi, units),
                    units,
                    f"{level}: {span(own.interval, units)}",
                    "",
                    "Quote it if it does not depend on N.",
                ),
                Number(
                    "All rows less halves",
                    signed(self.drift, units),
                    units,
                    use="Quote it as the dependence on N.",
                ),
                Number(
                    "Extrapolated in 1/N",
                    number(self.limit, units),
                    units,
                    what="a line through the means",
                    use="Compare it with the estimate; do not report it alone.",
                    report=False,
                ),
            ),
            measures=(Measure(f"{title(own)}, all rows", own.mi, *own.interval),),
            tables=(self._table(units),),
            pictures=(
                Picture(
                    "subsampling",
                    "Mean estimates of disjoint parts of the rows against 1/N, with the standard "
                    "deviation between parts. The band is the interval of all rows. A flat line "
                    "means no bias that depends on N.",
                    figure,
                ),
            ),
            methods=(
                f"The {own.n:,} rows were divided into "
                f"{', '.join(str(line.parts) for line in self.lines)} disjoint parts, and each "
                "part was estimated with the same settings.",
            ),
            settings={
                "seed": str(own.seed),
                **{name: str(value) for name, value in changed(own.config).items()},
                **self.call.shown,
            },
            versions={**own.versions},
            repeat=self.call.repeat,
            references=(*references(own), SOURCE),
        )

    def _table(self, units: str) -> Table:
        rows = tuple(
            (
                *(f"{line.parts}", f"{line.n:,}", number(line.mean, units)),
                "–" if line.spread is None else number(line.spread, units),
                "–" if line.held_out is None else number(line.held_out, units),
            )
            for line in self.lines
        )
        heads = ("parts", "rows of each", f"mean ({units})", "spread", "held-out")
        return Table("Estimates of parts", heads, rows, (0, 1, 2, 3, 4))

    def records(self, units: str = "nats") -> list[dict[str, Any]]:
        """Return a row for each number of parts."""
        return [line.as_dict(units) for line in self.lines]


@recorded("x", "y")
def subsample(
    x: Any,
    y: Any = None,
    *,
    given: Any = None,
    parts: Sequence[int] = PARTS,
    own: Estimate | None = None,
    categorical: Sequence[str] = (),
    numeric: Sequence[str] = (),
    config: Config | None = None,
    watch: Callable[[loop.Progress], None] | None = None,
    stop: Callable[[], bool] | None = None,
    **settings: Any,
) -> Subsampling:
    """Estimate the mutual information of all rows and of parts of them.

    Args:
        x: (n, p) or (n,), or a `Pair`, as for `estimate`.
        y: (n, q) or (n,).
        given: (n, r) or (n,), for I(X;Y|Z).
        parts: numbers of parts. 1 is always among them; parts of fewer than 50 rows are left out.
        own: the estimate of all rows, if it is known; its settings are used.
        categorical: names of columns that are categories, as for `estimate`.
        numeric: names of columns that are quantities.
        config: the settings; `Config()` by default.
        watch: called with a `loop.Progress` after each evaluation.
        stop: called between iterations; if it returns True, `Interrupted` is raised.
        **settings: any field of `Config`, by name.

    Returns:
        The estimates by the size of the parts, in nats.

    Raises:
        InputError: If rows cannot be used, there are too few to divide, or a setting is unknown.
        Interrupted: If `stop` returned True.

    Source: Holmes and Nemenman 2019, https://doi.org/10.1103/PhysRevE.100.022404.

    Example:
        >>> x = np.random.default_rng(0).normal(size=200)
        >>> subsample(x, x + np.random.default_rng(1).normal(size=200), parts=[2],
        ...     estimator="gaussian").lines[1].n
        100
    """
    config = Config.from_dict(own.config) if own is not None else config
    config = configured(config, settings)
    wanted = [arguments.integer("a number of parts", k, least=1) for k in parts]
    pair = data.as_pair(x, y, given=given, categorical=categorical, numeric=numeric)
    n = len(pair.x)
    counts = sorted({1, *(k for k in wanted if n // k >= FEWEST)})
    if len(counts) == 1:
        raise InputError(
            f"Expected at least {2 * FEWEST} rows to divide; got {n:,}, or no number of parts "
            f"whose parts have {FEWEST}. Give parts=[2]."
        )
    hooks = {"watch": watch, "stop": stop}
    own = estimate(pair, config=config, **hooks) if own is None else own  # type: ignore[arg-type]
    simple = config.with_(certify=False, pointwise=False)
    order = np.arange(n)
    if not config.series:
        order = np.random.default_rng([config.seed, 2]).permutation(n)
    lines = [SubsampleLine(1, n, own.mi, None, own.held_out)]
    for k in counts[1:]:
        found = [
            estimate(take(pair, np.sort(rows)), config=simple, **hooks)  # type: ignore[arg-type]
            for rows in np.array_split(order[: n // k * k], k)
        ]
        values = [each.mi for each in found]
        held = [each.held_out for each in found if each.held_out is not None]
        lines.append(
            SubsampleLine(k, n // k, fmean(values), stdev(values), fmean(held) if held else None)
        )
    half = next((line for line in lines if line.parts == 2), lines[1])
    return Subsampling(own, tuple(lines), own.mi - half.mean, _extrapolated(lines))


def _extrapolated(lines: Sequence[SubsampleLine]) -> float:
    """Return the value at 1/n = 0 of the least-squares line through the means."""
    slope, value = np.polyfit([1 / line.n for line in lines], [line.mean for line in lines], 1)
    return float(value) if math.isfinite(slope) else lines[0].mean
