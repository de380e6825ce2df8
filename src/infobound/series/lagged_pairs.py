"""The best lag of all pairs of channels, with tests for all lags and all pairs."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from infobound import __version__
from infobound._system import arguments, torch_state
from infobound._system.calls import Recorded, recorded
from infobound._system.units import Nats, Result, expect_files, scale
from infobound.data.columns import Column, as_table
from infobound.errors import InputError
from infobound.estimation.point import z_quantile
from infobound.pages.page import Page
from infobound.pages.presentable import Presentable
from infobound.pages.progress import Stages, staged
from infobound.plotting import lag_figures
from infobound.plotting.figures import FOUND
from infobound.runner.compute import Work
from infobound.runner.table import computed
from infobound.series import lags_page
from infobound.series.lag_tests import Whitened, Windows, expect_lags, lag_tests, whiten
from infobound.series.lags import inflation_of, take
from infobound.tables.column_pairs import save_table
from infobound.tables.estimates import LEVEL, estimates

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["PICTURES", "LaggedPair", "LaggedPairs", "lagged_pairs"]

PICTURES = ("network", "matrix")


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

    @property
    def heading(self) -> str:
        """What was compared, in a few words."""
        return (
            f"{len(self.pairs):,} pairs of {len(self.columns):,} channels, lags up to "
            f"{self.max_lag:,}, {self.n:,} rows"
        )

    def __str__(self) -> str:
        """Describe the result in one line."""
        first, found = self.pairs[0], sum(pair.q_value <= FOUND for pair in self.pairs)
        return (
            f"{self.heading}; {found:,} with q <= {FOUND:g}. First: {first.x} "
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

    def figure(self, kind: str = "matrix", *, title: str = "", units: str = "nats") -> Figure:
        """Return a picture: "matrix", or "network" with an arrow from the channel that leads.

        Args:
            kind: the picture. Pairs with q > 0.05 have no arrow, those at lag 0 a line.
            title: the title, to which is added what was compared.
            units: "nats" or "bits".

        Raises:
            InputError: If there is no such kind or unit.
        """
        kind = arguments.choice("kind", kind, PICTURES)
        title = f"{title or 'Best lags'}: {self.heading}"
        if kind == "matrix":
            return lag_figures.lag_matrix(
                self.matrix().to_numpy(),
                self.matrix("lag").to_numpy(),
                self.matrix("q_value").to_numpy() <= FOUND,
                names=self.columns,
                title=title,
                unit=units,
            )
        scale(units)
        links = [
            lag_figures.Link(pair.x, pair.y, pair.lag, pair.mi)
            for pair in self.pairs
            if pair.q_value <= FOUND
        ]
        return lag_figures.lag_network(links, names=self.columns, title=title)

    def save(self, path: str | Path, *, units: str = "nats") -> None:
        """Write all values as .json, or the pairs as .csv or .parquet.

        Raises:
            InputError: If the ending or the unit is another, or the file cannot be written.
        """
        save_table(self, self.to_frame, path, units)


@recorded("frame")
@torch_state.defaults()
def lagged_pairs(
    frame: Any,
    max_lag: int = 50,
    *,
    groups: Any = None,
    categorical: Sequence[str] = (),
    numeric: Sequence[str] = (),
    seed: int = 0,
    out: str | Path | None = None,
    jobs: int | None = None,
    dask: str | None = None,
    overwrite: bool = False,
    progress: Stages | bool | None = None,
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
        out: a directory for the finished pairs; the same call resumes there, and one with more
            columns extends it.
        jobs: the number of processes that compute pairs; by default this one.
        dask: the address of a Dask scheduler, for example "tcp://host:8786", whose workers compute
            instead of `jobs`.
        overwrite: whether to delete earlier pairs in `out`.
        progress: whether to show a bar; by default in terminals and notebooks. Or a function, which
            is called with what is done, the number of steps done and that of all steps.

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
    jobs = None if jobs is None else arguments.integer("jobs", jobs, least=1)
    out = None if out is None else arguments.directory("out", out)
    expect_files("out", out, "nats", overwrite)
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
    windows = Windows.of(n, groups)
    max_lag = expect_lags(max_lag, windows)
    both = [*itertools.combinations(channels, 2)]
    keys = [_Key(x, y, windows, max_lag, seed) for x, y in both]
    with staged(progress) as report:
        if out is None and dask is None and jobs in (None, 1):
            white = {column.name: whiten(column, windows) for column in channels}
            rows = []
            for done, key in enumerate(keys, 1):
                rows.append(_row(key, white[key.x.name], white[key.y.name]))
                report("pairs", done, len(keys))
        else:
            found = computed(
                WORK,
                {_file_name(_Row(key.x.name, key.y.name)): key for key in keys},
                _Row,
                _file_name,
                problem=_problem,
                described=lambda row: f"{row.x} and {row.y}",
                out=out,
                jobs=1 if jobs is None and dask is None else jobs,
                dask=dask,
                overwrite=overwrite,
                watch=lambda step: report("pairs", step.done, step.total),
            )
            rows = [*found.values()]
    for row in rows:
        if row.error:
            raise InputError(row.error)
    q = false_discovery_control([row.adjusted_p for row in rows])
    order = sorted(range(len(rows)), key=lambda k: -rows[k].statistic)
    return LaggedPairs(
        tuple(_pair(rows[k], float(q[k])) for k in order),
        tuple(column.name for column in channels),
        max_lag,
        n,
        len(windows.lengths),
        left_out,
        table.notes,
    )


@dataclass(frozen=True, eq=False)
class _Key:
    """A pair to compute, with its rows."""

    x: Column
    y: Column
    windows: Windows
    max_lag: int
    seed: int


@dataclass(frozen=True)
class _Row:
    """What is found of a pair; without an estimate if there are too few rows at its lag."""

    x: str
    y: str
    lag: int = 0
    adjusted_p: float = 1.0
    statistic: float = 0.0
    mi: float | None = None
    standard_error: float | None = None
    inflation: float = 1.0
    n: int = 0
    error: str = ""


def _row(key: _Key, x: Whitened, y: Whitened) -> _Row:
    """Test a pair at all lags and estimate it at the best."""
    windows = key.windows
    tests = lag_tests(x, y, key.max_lag, windows=windows, seed=key.seed)
    best = int(tests.statistic.argmax())
    lag = int(tests.lags[best])
    earlier, later = windows.pairs(lag)
    (found,) = estimates([(take(key.x, earlier), take(key.y, later))], seed=key.seed)
    few = math.isnan(found.mi)
    return _Row(
        x=key.x.name,
        y=key.y.name,
        lag=lag,
        adjusted_p=float(tests.adjusted[best]),
        statistic=float(tests.statistic[best]),
        mi=None if few else found.mi,
        standard_error=None if few else found.standard_error,
        inflation=max(inflation_of(x, y, windows, lag), 1.0),
        n=found.n,
    )


def _pair(row: _Row, q: float) -> LaggedPair:
    mi, error = (math.nan if v is None else v for v in (row.mi, row.standard_error))
    half = z_quantile(LEVEL) * math.sqrt(row.inflation) * error
    return LaggedPair(
        x=row.x,
        y=row.y,
        lag=row.lag,
        mi=mi,
        low=mi - half,
        high=mi + half,
        adjusted_p=row.adjusted_p,
        q_value=q,
        n=row.n,
        effective_n=row.n / row.inflation,
    )


@torch_state.defaults()
def _compute(key: _Key) -> _Row:
    """Compute a pair on its own."""
    return _row(key, whiten(key.x, key.windows), whiten(key.y, key.windows))


def _identity(key: _Key) -> dict[str, Any]:
    """Return what must be unchanged for a pair on disk to be reused."""
    rows = hashlib.sha256(repr(key.windows.lengths).encode())
    rows.update(key.windows.order.tobytes())
    for column in (key.x, key.y):
        rows.update(f"{column.name}\0{column.categorical}\0".encode())
        rows.update(column.codes.tobytes())
    asked = {"max_lag": key.max_lag, "seed": key.seed}
    return {"infobound": __version__, "rows": rows.hexdigest()[:16], **asked}


def _problem(identity: Mapping[str, Any], row: _Row) -> str:
    """Describe a value that no pair computed here can have; empty if there is none."""
    return "" if isinstance(identity.get("max_lag"), int) else "identity.max_lag is missing"


def _file_name(row: _Row) -> str:
    """Return the file name of a pair, with a hash because names may contain any characters."""
    words = re.sub(r"[^\w.+-]+", "_", f"{row.x}_{row.y}")[:120]
    digest = hashlib.sha256(json.dumps(["lags", row.x, row.y]).encode()).hexdigest()
    return f"{words}_{digest[:8]}.json"


def _lost(key: _Key, why: str) -> _Row:
    return _Row(key.x.name, key.y.name, error=why)


WORK: Work[_Key, _Row] = Work(
    _compute, _identity, lambda row: bool(row.error), _lost, lambda key: key
)
