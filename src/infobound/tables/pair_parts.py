"""Pairs of columns in parts that processes or a cluster compute, and that may be resumed."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import ndtri

from infobound import __version__
from infobound._system import torch_state
from infobound.config import Config
from infobound.data.columns import Column
from infobound.errors import InputError
from infobound.estimation.estimate import estimate
from infobound.estimation.point import z_quantile
from infobound.results.estimate import Estimate
from infobound.runner.compute import Progress, Work
from infobound.runner.table import computed
from infobound.tables.added_information import middle_ranks
from infobound.tables.estimates import FEWEST_ROWS, ColumnEstimate, estimates

__all__ = ["PairValues", "estimate_columns", "in_parts", "with_rows"]

PART = 256  # pairs of a part


@dataclass(frozen=True)
class PairValues:
    """What was estimated for a pair, in nats.

    Attributes:
        mi: the estimate.
        low: the lower end of its interval.
        high: the upper end.
        standard_error: its standard error.
        held_out: the estimate on rows to which nothing was fitted, if there is one.
        n: the number of rows in which all columns have values.
        method: how it was estimated.
        p_value: of independence given other columns; None if there are none.
    """

    mi: float
    low: float
    high: float
    standard_error: float
    held_out: float | None
    n: int
    method: str
    p_value: float | None = None

    @classmethod
    def of(cls, found: ColumnEstimate) -> PairValues | None:
        """Return the values of an estimate of two columns; None if there are too few rows."""
        return None if math.isnan(found.mi) else cls(**dataclasses.asdict(found))


@dataclass(frozen=True)
class PartRecord:
    """The pairs of a part.

    Attributes:
        part: its name.
        pairs: the values of its pairs, in order; None for pairs with too few rows.
        error: why it could not be computed; empty if it was.
    """

    part: str
    pairs: tuple[PairValues | None, ...] = ()
    error: str = ""


@dataclass(frozen=True, eq=False)
class _Part:
    """Pairs to estimate.

    Attributes:
        name: the name of the part.
        columns: the columns that its pairs need.
        pairs: the places of both columns of each pair.
        quick: for each pair, whether a quick look may be enough; empty if it is for none.
        given: the columns that are given.
        seed: of the estimates of columns.
        config: the settings of the estimates with given columns.
    """

    name: str
    columns: tuple[Column, ...]
    pairs: tuple[tuple[int, int], ...]
    quick: tuple[bool, ...]
    given: tuple[Column, ...]
    seed: int
    config: Config


def in_parts(
    pairs: Sequence[tuple[Column, Column]],
    *,
    quick: Sequence[bool] = (),
    given: Sequence[Column] = (),
    seed: int,
    config: Config,
    out: str | Path | None = None,
    jobs: int | None = None,
    dask: str | None = None,
    overwrite: bool = False,
    watch: Callable[[Progress], None] | None = None,
) -> list[PairValues | None]:
    """Estimate pairs of columns, given others if there are any.

    Args:
        pairs: the pairs, with equally many rows each.
        quick: for each pair, whether a quick look may be enough, as for `estimates`.
        given: the columns that are given.
        seed: of the estimates of columns.
        config: the settings of the estimates with given columns.
        out: the directory of what is finished; see `runner.table.computed`, also for the others.
        jobs: the number of processes.
        dask: the address of a Dask scheduler.
        overwrite: whether to delete an earlier table in `out`.
        watch: called with a `Progress` after each part.

    Returns:
        The values, in the order of the pairs; None for pairs with too few rows.

    Raises:
        InputError: As `computed`, or if a pair cannot be estimated.
    """
    size = 1 if given else PART
    keys = {}
    for k in range(0, len(pairs), size):
        some = pairs[k : k + size]
        places = {id(column): column for pair in some for column in pair}
        at = {key: place for place, key in enumerate(places)}
        name = f"pairs_{k}"
        keys[_file_name(name)] = _Part(
            name=name,
            columns=tuple(places.values()),
            pairs=tuple((at[id(x)], at[id(y)]) for x, y in some),
            quick=tuple(quick[k : k + size]),
            given=tuple(given),
            seed=seed,
            config=config,
        )
    found = computed(
        WORK,
        keys,
        PartRecord,
        lambda record: _file_name(record.part),
        out=out,
        jobs=jobs,
        dask=dask,
        overwrite=overwrite,
        watch=watch,
    )
    for record in found.values():
        if record.error:
            raise InputError(record.error)
    return [values for record in found.values() for values in record.pairs]


def estimate_columns(
    x: Column, y: Column, *, given: Sequence[Column] = (), config: Config
) -> Estimate:
    """Estimate the MI of two columns in full, in the rows in which all columns have values."""
    kept = _whole((x, y, *given))
    sides = [with_rows(column, kept) for column in (x, y, *given)]
    rows = [one.codes if one.categorical else ndtri(middle_ranks(one.codes)) for one in sides]
    names = ["x", "y", *(f"given[{k}]" for k in range(len(given)))]
    return estimate(
        *rows[:2],
        given=np.stack(rows[2:], axis=1) if given else None,
        categorical=[name for name, one in zip(names, sides, strict=True) if one.categorical],
        config=config,
        progress=False,
    )


def with_rows(column: Column, rows: np.ndarray) -> Column:
    """Return some rows of a column, coded anew."""
    distinct, codes = np.unique(column.codes[rows], return_inverse=True)
    return replace(column, codes=codes, levels=len(distinct))


def _whole(columns: Sequence[Column]) -> np.ndarray:
    """Return in which rows all columns have values."""
    return np.asarray(np.all([column.codes >= 0 for column in columns], axis=0))


def _file_name(part: str) -> str:
    return f"{part}_{hashlib.sha256(part.encode()).hexdigest()[:8]}.json"


def _identity(part: _Part) -> dict[str, Any]:
    """Return what must be unchanged for values on disk to be reused."""
    rows = hashlib.sha256(repr(part.pairs).encode())
    for column in (*part.columns, *part.given):
        rows.update(f"{column.name}\0{column.categorical}\0".encode())
        rows.update(column.codes.tobytes())
    settings: dict[str, Any] = part.config.as_dict() if part.given else {"seed": part.seed}
    if any(part.quick):
        settings["screen"] = hashlib.sha256(repr(part.quick).encode()).hexdigest()
    given = [column.name for column in part.given]
    return {"infobound": __version__, "rows": rows.hexdigest(), "given": given, **settings}


@torch_state.defaults()
def _compute(part: _Part) -> PartRecord:
    pairs = [(part.columns[i], part.columns[j]) for i, j in part.pairs]
    if not part.given:
        found = [PairValues.of(one) for one in estimates(pairs, part.seed, quick=part.quick)]
        return PartRecord(part.name, tuple(found))
    return PartRecord(part.name, tuple(_given(x, y, part) for x, y in pairs))


def _given(x: Column, y: Column, part: _Part) -> PairValues | None:
    """Estimate a pair given other columns; None if there are too few rows."""
    kept = _whole((x, y, *part.given))
    n = int(kept.sum())
    if n < FEWEST_ROWS or min(with_rows(column, kept).levels for column in (x, y)) < 2:
        return None
    found = estimate_columns(x, y, given=part.given, config=part.config)
    low, high = found.interval
    error = (high - low) / 2 / z_quantile(part.config.level)
    return PairValues(found.mi, low, high, error, found.held_out, n, "given", found.p_value)


def _lost(part: _Part, why: str) -> PartRecord:
    return PartRecord(part.name, error=why)


WORK: Work[_Part, PartRecord] = Work(
    _compute, _identity, lambda record: bool(record.error), _lost, lambda part: part
)
