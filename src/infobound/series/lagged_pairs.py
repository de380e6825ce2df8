"""The best lag of all pairs of channels, with tests for all lags and all pairs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from infobound._system import arguments
from infobound._system.calls import Recorded, recorded
from infobound._system.units import Nats, Result
from infobound.data.columns import as_table
from infobound.errors import InputError
from infobound.estimation.point import z_quantile
from infobound.pages.page import Page
from infobound.pages.presentable import Presentable
from infobound.series import lags_page
from infobound.series.lag_tests import Windows, expect_lags, lag_tests, whiten
from infobound.series.lags import group_numbers, inflation_of, take
from infobound.tables.column_pairs import save_table
from infobound.tables.estimates import LEVEL, estimates

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LaggedPair", "LaggedPairs", "lagged_pairs"]

FOUND = 0.05  # q-values up to this are called found

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class LaggedPair(Result):
    """Two channels at the lag with the strongest evidence of dependence; values in nats.

    Attributes:
        x: the name of a channel.
        y: the name of another.
        lag: the steps from x to y; x leads if positive.
        mi: the estimate at this lag.
        low: the lower end of its 95 % interval, which allows for autocorrelation.
        high: the upper end.
        adjusted_p: the p-value of independence, adjusted for all lags.
        q_value: the smallest false discovery rate at which the pair is found (Benjamini-Hochberg).
        n: the number of pairs of rows in which both have values.
        effective_n: the number of independent rows that would be as informative.
    """

    x: str
    y: str
    lag: int
    mi: Nats
    low: Nats
    high: Nats
    adjusted_p: float
    q_value: float
    n: int
    effective_n: float


@dataclass(frozen=True, repr=False)
class LaggedPairs(Recorded, Presentable):
    """All pairs of channels, those with the strongest evidence first; values in nats.

    Attributes:
        pairs: the pairs.
        columns: the names of the channels.
        max_lag: the largest lag.
        n: the number of rows.
        groups: the number of groups, whose borders no lag crosses.
        left_out: by name, why columns could not be used.
        notes: how the table was read.
    """

    pairs: tuple[LaggedPair, ...]
    columns: tuple[str, ...]
    max_lag: int
    n: int
    groups: int
    left_out: dict[str, str]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        """Describe the result in one line."""
        first, found = self.pairs[0], sum(pair.q_value <= FOUND for pair in self.pairs)
        return (
            f"{len(self.pairs):,} pairs of {len(self.columns):,} channels, lags up to "
            f"{self.max_lag:,}, {self.n:,} rows; {found:,} with q <= {FOUND:g}. First: {first.x} "
            f"and {first.y} at lag {first.lag}, {first.mi:.3f} nats."
        )

    def page(self, units: str = "nats") -> Page:
        """Describe everything about the result that can be shown."""
        return lags_page.pairs_page(self, units)

    def to_frame(self, units: str = "nats") -> pd.DataFrame:
        """Return the pairs as a frame with values in "nats" or "bits".

        Raises:
            InputError: If the unit is neither.
        """
        import pandas as pd

        return pd.DataFrame([pair.values(units) for pair in self.pairs])

    def matrix(self, value: str = "mi", *, units: str = "nats") -> pd.DataFrame:
        """Return a value of each pair as a table of channels by channels, nan on the diagonal.

        Args:
            value: "mi" or another number of `LaggedPair`. Lags are those from the row to the
                column: positive where the row leads.
            units: "nats" or "bits".

        Raises:
            InputError: If there is no such value or unit.
        """
        import pandas as pd

        frame = self.to_frame(units)
        arguments.choice("value", value, [name for name in frame if name not in ("x", "y")])
        found = pd.DataFrame(np.nan, index=[*self.columns], columns=[*self.columns])
        back = -1 if value == "lag" else 1
        for x, y, cell in zip(frame["x"], frame["y"], frame[value], strict=True):
            found.loc[x, y], found.loc[y, x] = cell, back * cell
        return found

    def save(self, path: str | Path, *, units: str = "nats") -> None:
        """Write all values as .json, or the pairs as .csv or .parquet.

        Raises:
            InputError: If the ending or the unit is another, or the file cannot be written.
        """
        save_table(self, self.to_frame, path, units)


@recorded("frame")
def lagged_pairs(
    frame: Any,
    max_lag: int = 50,
    *,
    groups: Any = None,
    categorical: Sequence[str] = (),
    numeric: Sequence[str] = (),
    seed: int = 0,
    progress: Progress | None = None,
) -> LaggedPairs:
    """Find the best lag of each pair of channels, and test all pairs at all lags.

    Each pair is tested as by `infobound.lags`, and estimated at the lag with the strongest
    evidence. The estimates are for ranking: the largest of many lags is too large on average, and
    what autocorrelation adds by chance is not subtracted.

    Args:
        frame: a table whose rows follow each other in time, in any container.
        max_lag: the largest lag, in both directions; at most a quarter of the rows.
        groups: (n,), to which trial or subject each row belongs; lags never cross a border.
        categorical: names of columns that are categories.
        numeric: names of columns that are quantities although they are text or categories.
        seed: seed of the estimates and of shifts within groups.
        progress: called with what is done, the number of steps done and that of all steps.

    Returns:
        The pairs, those with the strongest evidence first.

    Raises:
        InputError: If there are fewer than two usable columns, too few rows for `max_lag`, or an
            argument is invalid.

    Source: Benjamini and Hochberg 1995, https://doi.org/10.1111/j.2517-6161.1995.tb02031.x.

    Example:
        >>> from infobound import lagged_pairs
        >>> table = np.random.default_rng(0).normal(size=(400, 3))
        >>> table[5:, 2] += table[:-5, 0]
        >>> found = lagged_pairs(table, max_lag=10)
        >>> [(pair.x, pair.y, pair.lag) for pair in found.pairs if pair.q_value < 0.05]
        [('0', '2', 5)]
    """
    from scipy.stats import false_discovery_control

    seed = arguments.seed("seed", seed)
    report: Progress = progress or (lambda what, done, total: None)
    table = as_table(frame, categorical=categorical, numeric=numeric)
    left_out = dict(table.left_out)
    channels = [column for column in table.columns if column.levels > 1]
    constant = (column.name for column in table.columns if column.levels < 2)
    left_out |= {name: f"Column {name} has one value." for name in constant}
    if len(channels) < 2:
        raise InputError(
            f"Expected at least two usable columns; got {len(channels)}. "
            f"{' '.join([*left_out.values()][:3])}"
        )
    n = len(channels[0].codes)
    windows = Windows.of(n, group_numbers(groups, n))
    max_lag = expect_lags(max_lag, windows)
    sides = [whiten(column, windows) for column in channels]
    both = [*itertools.combinations(range(len(channels)), 2)]
    lags, adjusted, strength = [], [], []
    for done, (i, j) in enumerate(both, 1):
        tests = lag_tests(sides[i], sides[j], max_lag, windows=windows, seed=seed)
        best = int(tests.statistic.argmax())
        lags.append(int(tests.lags[best]))
        adjusted.append(float(tests.adjusted[best]))
        strength.append(float(tests.statistic[best]))
        report("testing", done, len(both))
    q = false_discovery_control(adjusted)
    pairs = []
    for done, k in enumerate(sorted(range(len(both)), key=lambda k: -strength[k]), 1):
        i, j = both[k]
        earlier, later = windows.pairs(lags[k])
        found = estimates([(take(channels[i], earlier), take(channels[j], later))], seed=seed)[0]
        inflation = max(inflation_of(sides[i], sides[j], windows, lags[k]), 1.0)
        half = z_quantile(LEVEL) * math.sqrt(inflation) * found.standard_error
        pairs.append(
            LaggedPair(
                x=channels[i].name,
                y=channels[j].name,
                lag=lags[k],
                mi=found.mi,
                low=found.mi - half,
                high=found.mi + half,
                adjusted_p=adjusted[k],
                q_value=float(q[k]),
                n=found.n,
                effective_n=found.n / inflation,
            )
        )
        report("estimating", done, len(both))
    names = tuple(column.name for column in channels)
    count = len(windows.lengths)
    return LaggedPairs(tuple(pairs), names, max_lag, n, count, left_out, table.notes)
