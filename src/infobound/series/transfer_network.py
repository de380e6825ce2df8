"""Transfer entropy of all ordered pairs of the columns of a table: a directed graph with q-values.

Each ordered pair is computed on its own by `runner`, so a table that was interrupted is continued,
on local processes or a Dask cluster.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from infobound import __version__, data
from infobound._system import arguments, torch_state
from infobound._system.calls import Recorded, recorded
from infobound._system.units import Nats, Result, convert, expect_files, scale
from infobound.config import Config, configured
from infobound.data.containers import as_rows
from infobound.data.lagged import Trials, as_trials
from infobound.errors import InputError
from infobound.pages.page import Page
from infobound.pages.presentable import Presentable
from infobound.pages.progress import counted, expect_progress
from infobound.plotting import transfer_figures
from infobound.plotting.figures import FOUND
from infobound.runner.compute import Progress, Work
from infobound.runner.table import computed
from infobound.series import transfer_page
from infobound.series.transfer import FEWEST, Past, in_one_direction
from infobound.tables.column_pairs import save_table

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["PICTURES", "QUICK", "Link", "TransferNetwork", "transfer_network"]

QUICK = Config(critic="none", base="gaussian,regression")  # a third of the time of all closed forms
PICTURES = ("network", "matrix")
FILES = ("transfer.csv",)
FIRST = ["source", "target", "mi", "low", "high", "p_value", "q_value", "n"]


@dataclass(frozen=True)
class Link(Result):
    """The transfer entropy of one ordered pair of columns; values in nats.

    Attributes:
        source: the name of the source.
        target: the name of the target.
        mi: the estimate, in nats per row.
        low: the lower end of its interval, which is for this pair alone.
        high: the upper end.
        p_value: of "no transfer": the larger one of the next two.
        q_value: the smallest false discovery rate at which the pair is found (Benjamini-Hochberg).
        rotation_p: of "the source is independent of all else".
        residual_p: of "given the target's past, the source's past adds no information".
        lags: the lags of the source.
        history: the lags of the target and of what is given.
        n: the number of rows with a past.
    """

    source: str
    target: str
    mi: Nats
    low: Nats
    high: Nats
    p_value: float
    q_value: float
    rotation_p: float
    residual_p: float
    lags: tuple[int, ...]
    history: tuple[int, ...]
    n: int


@dataclass(frozen=True, repr=False)
class TransferNetwork(Recorded, Presentable):
    """The transfer entropies of all ordered pairs of columns; values in nats.

    Attributes:
        links: the ordered pairs, the largest first.
        columns: the names of the columns that were used.
        given: the names of the columns whose past was given in all pairs.
        n: the number of rows of the table.
        permutations: the number of draws of each test.
        left_out: by name, why columns could not be used.
        failures: by ordered pair, why it could not be computed.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=400)
        >>> table = {"a": x[1:], "b": x[:-1] + 0.5 * rng.normal(size=399)}
        >>> transfer_network(table, jobs=1)
        TransferNetwork: 2 ordered pairs of 2 columns, 399 rows; 1 with q <= 0.05. Largest: a ...
    """

    links: tuple[Link, ...]
    columns: tuple[str, ...]
    given: tuple[str, ...]
    n: int
    permutations: int
    left_out: Mapping[str, str]
    failures: Mapping[str, str]

    @property
    def heading(self) -> str:
        """What was compared, in a few words."""
        given = f" given {', '.join(self.given)}" if self.given else ""
        pairs = f"{len(self.links):,} ordered pairs of {len(self.columns):,} columns"
        return f"{pairs}{given}, {self.n:,} rows"

    @property
    def least_q(self) -> float:
        """The smallest q-value that a pair alone can have, from its smallest p-value."""
        rows = min(link.n for link in self.links)
        return min(1.0, len(self.links) / min(rows, 1 + self.permutations))

    def __str__(self) -> str:
        """Describe the result in one line."""
        count = sum(link.q_value <= FOUND for link in self.links)
        said = f"{self.heading}; {count:,} with q <= {FOUND:g}."
        if not self.links:
            return said
        first = self.links[0]
        return f"{said} Largest: {first.source} -> {first.target}, {first.mi:.3f} nats."

    def page(self, units: str = "nats") -> Page:
        """Describe everything about the result that can be shown."""
        return transfer_page.network_page(self, units)

    def to_frame(self, units: str = "nats") -> pd.DataFrame:
        """Return one row for each ordered pair, the largest first, in "nats" or "bits".

        The first columns are source, target, mi, low, high, p_value, q_value and n.

        Raises:
            InputError: If the unit is neither.
        """
        import pandas as pd

        names = [field.name for field in dataclasses.fields(Link)]
        values = {name: [getattr(link, name) for link in self.links] for name in names}
        frame = pd.DataFrame(convert(Link, values, scale(units)))
        return frame[[*FIRST, *(name for name in frame if name not in FIRST)]]

    def matrix(self, value: str = "mi", *, units: str = "nats") -> pd.DataFrame:
        """Return a value of each pair as a table, from sources in rows to targets in columns.

        Args:
            value: "mi" or another number of `Link`, such as "q_value".
            units: "nats" or "bits".

        Raises:
            InputError: If there is no such value or unit.
        """
        import pandas as pd

        frame = self.to_frame(units)
        numbers = [name for name in frame if name not in ("source", "target", "lags", "history")]
        found = frame[arguments.choice("value", value, numbers)]
        table = pd.DataFrame(np.nan, index=[*self.columns], columns=[*self.columns])
        for link, cell in zip(self.links, found, strict=True):
            table.loc[link.source, link.target] = cell
        return table

    def figure(self, kind: str = "network", *, title: str = "", units: str = "nats") -> Figure:
        """Return a picture: "network", arrows with q <= 0.05 on a circle, or "matrix".

        Raises:
            InputError: If there is no such kind or unit.
        """
        kind = arguments.choice("kind", kind, PICTURES)
        title = f"{title or 'Transfer entropy'}: {self.heading}"
        if kind == "matrix":
            found = self.matrix("q_value").to_numpy() <= FOUND
            values = self.matrix().to_numpy()
            return transfer_figures.matrix(
                values, found, names=self.columns, title=title, unit=units
            )
        scale(units)
        arrows = [
            transfer_figures.Arrow(link.source, link.target, link.mi, link.q_value <= FOUND)
            for link in self.links
        ]
        return transfer_figures.network(arrows, names=self.columns, title=title)

    def save(self, path: str | Path, *, units: str = "nats") -> None:
        """Write all values as .json, or the pairs as .csv or .parquet.

        Raises:
            InputError: If the ending or the unit is another, or the file cannot be written.
        """
        save_table(self, self._flat, path, units)

    def _flat(self, units: str) -> pd.DataFrame:
        """Return `to_frame` with lags as text, which every format holds."""
        frame = self.to_frame(units)
        for name in ("lags", "history"):
            frame[name] = [" ".join(map(str, lags)) for lags in frame[name]]
        return frame


@recorded("frame")
@torch_state.defaults()
def transfer_network(
    frame: Any,
    *,
    lag: int | Sequence[int] = 1,
    history: int | Literal["auto"] = 1,
    source_history: int | Literal["auto"] | None = None,
    given: Sequence[str] = (),
    groups: Any = None,
    permutations: int | None = None,
    categorical: Sequence[str] = (),
    numeric: Sequence[str] = (),
    seed: int = 0,
    out: str | Path | None = None,
    jobs: int | None = None,
    dask: str | None = None,
    overwrite: bool = False,
    config: Config | None = None,
    watch: Callable[[Progress], None] | None = None,
    progress: bool | None = None,
) -> TransferNetwork:
    """Estimate the transfer entropy of all ordered pairs of columns of a table of series.

    By default the estimates use two kinds of closed forms (`QUICK`), which take a third of the time
    of `transfer_entropy`'s. The tests are the same.

    Args:
        frame: a table in any container, rows in the order of time. Columns that cannot be used, for
            example times, are left out with a reason.
        lag: as in `transfer_entropy`; of several, each pair uses its best, and its test is adjusted
            for all of them.
        history: as in `transfer_entropy`.
        source_history: as in `transfer_entropy`.
        given: names of columns whose past is given in all pairs, such as a common cause. They are
            neither sources nor targets.
        groups: (n,), labels of trials or subjects, or the name of a column of the table.
        permutations: the number of draws of each test, at least 19; by default that of `config`,
            999.
        categorical: names of columns that are categories.
        numeric: names of columns that are quantities although they are text or categories.
        seed: seed of tests and estimates, unless there is a `config`, which has its own.
        out: a directory for the finished pairs; the same call resumes there, and one with more
            columns extends it.
        jobs: the number of parallel pairs, each on one thread; one per core by default.
        dask: the address of a Dask scheduler, for example "tcp://host:8786", whose workers compute
            instead of `jobs`.
        overwrite: whether to delete earlier pairs in `out`.
        config: the settings of the estimates.
        watch: called with a `Progress` after each pair.
        progress: whether to show a bar; by default in terminals and notebooks, if there is no
            `watch`.

    Returns:
        All ordered pairs, in nats. The q-values are those of Benjamini and Hochberg, for all pairs.

    Raises:
        InputError: If there are fewer than two usable columns, no pair can be computed, or an
            argument is invalid.

    Source: false discovery rate, Benjamini and Hochberg 1995,
    https://doi.org/10.1111/j.2517-6161.1995.tb02031.x.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=400)
        >>> table = {"a": x[1:], "b": x[:-1] + 0.5 * rng.normal(size=399)}
        >>> q = transfer_network(table, jobs=1).matrix("q_value")
        >>> bool(q.loc["a", "b"] < 0.05 < q.loc["b", "a"])
        True
    """
    past = Past.of(lag, history, source_history)
    config = configured(config, {"pointwise": False}, QUICK.with_(seed=seed))
    permutations = config.permutations if permutations is None else permutations
    permutations = arguments.integer("permutations", permutations, least=FEWEST)
    jobs = None if jobs is None else arguments.integer("jobs", jobs, least=1)
    out = None if out is None else arguments.directory("out", out)
    expect_files("out", out, "nats", overwrite)
    expect_progress(progress)
    table = _Table.of(frame, groups, arguments.labels("given", given), categorical, numeric)
    trials = as_trials(table.groups, table.n).after(past.longest)
    settings = _Settings(past, permutations, config)
    names = [name for name in table.columns if name not in given]
    known = [table.columns[name] for name in given]
    third = np.hstack([np.empty((table.n, 0)), *known])
    keys = [
        _Key(a, b, table.columns[a], table.columns[b], third, trials, settings)
        for a in names
        for b in names
        if a != b
    ]
    if not keys:
        raise InputError(
            f"Expected two or more columns that can be used; got {len(names)}. "
            f"{' '.join([*table.left_out.values()][:3])}"
        )
    with counted(progress, watch, "pairs") as report:
        rows = computed(
            WORK,
            {_file_name(_row_of(key)): key for key in keys},
            _Row,
            _file_name,
            files=FILES,
            problem=_problem,
            described=_arrow,
            out=out,
            jobs=jobs,
            dask=dask,
            overwrite=overwrite,
            watch=report,
        )
    result = _result([*rows.values()], table, tuple(names), tuple(given), permutations)
    if out is not None:
        result.save(Path(out) / FILES[0])
    return result


@dataclass(frozen=True, eq=False)
class _Table:
    """The usable columns of a table by name, (n, d) each."""

    columns: Mapping[str, np.ndarray]
    n: int
    groups: Any
    left_out: Mapping[str, str]

    @classmethod
    def of(
        cls,
        frame: Any,
        groups: Any,
        given: Sequence[str],
        categorical: Sequence[str],
        numeric: Sequence[str],
    ) -> _Table:
        """Encode each column on its own; what cannot be used is left out unless it is named."""
        import pandas as pd

        rows, _ = as_rows("table", frame)
        if isinstance(rows, np.ndarray):
            kind = object if rows.dtype.kind in "UO" else None
            rows = pd.DataFrame(rows, columns=[str(k) for k in range(rows.shape[1])], dtype=kind)
        kinds = (arguments.labels("categorical", categorical), arguments.labels("numeric", numeric))
        for name in (*given, *kinds[0], *kinds[1]):
            arguments.lookup("column", name, dict.fromkeys(rows.columns))
        if isinstance(groups, str):
            name = arguments.lookup("column", groups, {each: each for each in rows.columns})
            groups, rows = rows[name].to_numpy(), rows.drop(columns=name)
        columns, left_out = {}, {}
        for name in rows.columns:
            one = rows[[name]]
            asked = [[name] if name in kind else [] for kind in kinds]
            try:
                pair = data.as_pair(one, one, categorical=asked[0], numeric=asked[1])
                values = np.asarray(pair.x)
                if (values == values[0]).all():
                    raise InputError(
                        f"Expected values that differ in column {name}; got one value. Leave it "
                        "out."
                    )
                columns[str(name)] = values
            except InputError as error:
                if name in given or any(asked):
                    raise
                left_out[str(name)] = str(error)
        return cls(columns, len(rows), groups, left_out)


@dataclass(frozen=True)
class _Settings:
    """What all pairs have in common."""

    past: Past
    permutations: int
    config: Config


@dataclass(frozen=True, eq=False)
class _Key:
    """An ordered pair to compute, with its rows."""

    source: str
    target: str
    x: np.ndarray
    y: np.ndarray
    given: np.ndarray
    trials: Trials
    settings: _Settings

    @functools.cached_property
    def digest(self) -> str:
        """A hash of the rows."""
        found = hashlib.sha256()
        for rows in (self.x, self.y, self.given, *self.trials.rows):
            found.update(np.ascontiguousarray(rows).tobytes())
        return found.hexdigest()[:16]


@dataclass(frozen=True)
class _Row:
    """The stored outcome of an ordered pair; with an error, the numbers are None."""

    source: str
    target: str
    mi: float | None = None
    low: float | None = None
    high: float | None = None
    rotation_p: float | None = None
    residual_p: float | None = None
    lags: tuple[int, ...] = ()
    history: tuple[int, ...] = ()
    n: int = 0
    seconds: float = 0.0
    error: str = ""


def _row_of(key: _Key) -> _Row:
    return _Row(key.source, key.target)


def _arrow(row: _Row) -> str:
    return f"{row.source} -> {row.target}"


@torch_state.defaults()
def _compute(key: _Key) -> _Row:
    """Compute an ordered pair; a failure becomes its `error`."""
    start = time.perf_counter()
    try:
        found = in_one_direction(
            key.x,
            key.y,
            key.given,
            key.trials,
            key.settings.past,
            names=(key.source, key.target),
            permutations=key.settings.permutations,
            config=key.settings.config,
            progress=False,
        )
    except InputError as error:
        return dataclasses.replace(_row_of(key), error=str(error))
    return _Row(
        *(key.source, key.target, found.mi, *found.interval, found.rotation_p, found.residual_p),
        *(found.lags, found.history, found.n, time.perf_counter() - start),
    )


def _identity(key: _Key) -> dict[str, Any]:
    """Return what must be unchanged for a pair on disk to be reused."""
    asked = dataclasses.asdict(key.settings)
    return {"infobound": __version__, "rows": key.digest, "settings": json.loads(json.dumps(asked))}


def _failed(row: _Row) -> bool:
    return bool(row.error)


def _lost(key: _Key, why: str) -> _Row:
    return dataclasses.replace(_row_of(key), error=why)


def _portable(key: _Key) -> _Key:
    return key


WORK: Work[_Key, _Row] = Work(_compute, _identity, _failed, _lost, _portable)


def _problem(identity: Mapping[str, Any], row: _Row) -> str:
    """Describe a value that no pair computed here can have; empty if there is none."""
    if not isinstance(identity.get("rows"), str):
        return "identity.rows is missing"
    if (row.mi is None or not math.isfinite(row.mi)) != bool(row.error):
        return "row: expected either a finite mi or an error"
    return ""


def _file_name(row: _Row) -> str:
    """Return the file name of a pair, with a hash because names may contain any characters."""
    words = re.sub(r"[^\w.+-]+", "_", f"{row.source}_{row.target}")[:120]
    key = json.dumps([row.source, row.target]).encode()
    return f"{words}_{hashlib.sha256(key).hexdigest()[:8]}.json"


def _result(
    rows: Sequence[_Row],
    table: _Table,
    names: tuple[str, ...],
    given: tuple[str, ...],
    permutations: int,
) -> TransferNetwork:
    """Add q-values to the pairs that were computed."""
    from scipy.stats import false_discovery_control

    failures = {_arrow(row): row.error for row in rows if row.error}
    found = [dataclasses.asdict(row) for row in rows if not row.error]
    if not found:
        raise InputError(next(iter(failures.values())))
    p = np.array([max(row["rotation_p"], row["residual_p"]) for row in found])
    links = []
    for row, p_value, q_value in zip(found, p, false_discovery_control(p), strict=True):
        kept = {name: row[name] for name in row if name not in ("seconds", "error")}
        links.append(Link(**kept, p_value=float(p_value), q_value=float(q_value)))
    links.sort(key=lambda link: -link.mi)
    return TransferNetwork(
        tuple(links), names, given, table.n, permutations, table.left_out, failures
    )
