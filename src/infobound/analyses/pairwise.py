"""Mutual information of many pairs of columns: of all pairs of a table, or with targets."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.special import ndtri

from infobound._system import arguments
from infobound.analyses.column_pairs import ColumnPair, Pairwise, Refined
from infobound.config import Config
from infobound.data.columns import Column, ColumnTable, as_table
from infobound.errors import InputError
from infobound.estimation.columns import FEWEST, ColumnEstimate, estimates, takes_few_values
from infobound.estimation.counts import observed_entropy
from infobound.estimation.estimate import estimate
from infobound.inference.added_information import middle_ranks
from infobound.inference.column_tests import column_tests
from infobound.pages.progress import shown

__all__ = ["pairwise"]

CHUNK = 256  # pairs estimated between two calls of `progress`

Progress = Callable[[str, int, int], None]


def pairwise(
    frame: Any,
    target: str | Sequence[str] | None = None,
    *,
    categorical: Sequence[str] = (),
    numeric: Sequence[str] = (),
    missing: str = "pairwise",
    permutations: int | None = None,
    refine: int = 0,
    seed: int = 0,
    jobs: int = 1,
    config: Config | None = None,
    progress: Progress | bool | None = None,
) -> Pairwise:
    """Estimate the mutual information of all pairs of columns, or of each column and a target.

    Columns that cannot be used (times, lists, free text, a single value) are left out; `left_out`
    says why. It is an error if they are a target or named in categorical or numeric.

    Args:
        frame: a table in any container: pandas, polars, pyarrow, a dict of columns, NumPy (n, p);
            or a `ColumnTable`, as returned by `infobound.data.columns.read_table`.
        target: the name of a column, or several; None for the targets of a `ColumnTable`, or all
            pairs of columns.
        categorical: names of columns that are categories, for example numbers that are codes.
        numeric: names of columns that are quantities although they are text or categories.
        missing: what to do with missing values: "pairwise" takes for each pair the rows in which
            both columns have values, "rows" the rows that have values in all columns, "refuse"
            raises an error.
        permutations: of the tests, at least 19; by default from 99 to 1,999, by the size of the
            table.
        refine: the number of strongest pairs that are estimated again by `infobound.estimate`.
        seed: seed of the tests and the estimates.
        jobs: the number of threads that estimate pairs.
        config: settings of the refined estimates; `Config()` by default. Their level is raised so
            that the intervals of all pairs of the table would hold together.
        progress: whether to show a bar; by default in terminals and notebooks. Or a function, which
            is called with what is done, the number of steps done and that of all steps.

    Returns:
        The pairs, the strongest first, with tests; in nats.

    Raises:
        InputError: If the table has fewer than 10 rows, no pair of usable columns, or an argument
            is invalid.

    Source: false discovery rate, Benjamini and Hochberg 1995,
    https://doi.org/10.1111/j.2517-6161.1995.tb02031.x.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> table = {"dose": rng.normal(size=400), "age": rng.integers(20, 60, size=400)}
        >>> table["ill"] = table["dose"] ** 2 + rng.normal(size=400) > 1
        >>> [pair.x for pair in pairwise(table, "ill").pairs if pair.q_value < 0.05]
        ['dose']
    """
    arguments.choice("missing", missing, ("pairwise", "rows", "refuse"))
    refine, jobs = arguments.integer("refine", refine), arguments.integer("jobs", jobs, least=1)
    config = config or Config(seed=arguments.seed("seed", seed))
    given = as_table(frame, categorical=categorical, numeric=numeric)
    asked = (target,) if isinstance(target, str) else given.targets if target is None else target
    targets = tuple(dict.fromkeys(arguments.names("target", asked)))
    table = _usable(given, targets, missing)
    own, wanted = (progress, None) if callable(progress) else (None, progress)
    with shown(wanted, own, stages=True) as bar:
        report = bar or (lambda what, done, total: None)
        return _pairwise(table, targets, permutations, refine, seed, jobs, config, report)


def _pairwise(
    table: ColumnTable,
    targets: tuple[str, ...],
    permutations: int | None,
    refine: int,
    seed: int,
    jobs: int,
    config: Config,
    report: Progress,
) -> Pairwise:
    """Test and estimate all pairs of a table of usable columns."""
    right = [table.column(name) for name in targets]
    left = [column for column in table.columns if column.name not in targets]
    n = len(table.columns[0].codes) if table.columns else 0
    if n < FEWEST or len(left) + len(right) < 2 or not left:
        raise InputError(
            f"Expected at least {FEWEST} rows of two usable columns; got {n} rows of "
            f"{len(left) + len(right)}. {' '.join([*table.left_out.values()][:3])}"
        )
    tests = column_tests(
        left,
        right or None,
        permutations=permutations,
        seed=seed,
        watch=lambda done, total: report("testing", done, total),
    )
    places = np.argwhere(np.isfinite(tests.p_value))
    if not right:
        places = places[places[:, 0] < places[:, 1]]
    columns = [(left[i], (right or left)[j]) for i, j in places]
    found: list[ColumnEstimate] = []
    for part in _estimated(columns, seed, jobs):
        found += part
        report("estimating", len(found), len(columns))
    known = [k for k, one in enumerate(found) if one.n >= FEWEST]
    columns, found = [columns[k] for k in known], [found[k] for k in known]
    p, adjusted = (each[tuple(places[known].T)] for each in (tests.p_value, tests.adjusted))
    pairs = _pairs(columns, found, p, adjusted)
    order = sorted(range(len(pairs)), key=lambda k: -pairs[k].mi)
    refined = []
    for done, k in enumerate(order[:refine], 1):
        refined.append(_refined(*columns[k], config, len(pairs)))
        report("refining", done, min(refine, len(pairs)))
    return Pairwise(
        pairs=tuple(pairs[k] for k in order),
        columns=tuple(column.name for column in left),
        targets=targets,
        n=n,
        permutations=tests.permutations,
        left_out=dict(table.left_out),
        notes=(*table.notes, *_copies(table.columns), *_absent(len(left), len(right), len(pairs))),
        refined=tuple(refined),
    )


def _usable(table: ColumnTable, targets: Sequence[str], missing: str) -> ColumnTable:
    """Treat missing values, and leave out constant columns."""
    columns = [*table.columns]
    whole = np.ones(len(columns[0].codes) if columns else 0, dtype=bool)
    for column in columns:
        whole &= column.codes >= 0
    notes = [*table.notes]
    if not whole.all() and missing == "refuse":
        named = [column.name for column in columns if (column.codes < 0).any()]
        raise InputError(
            f"Expected no missing values; got some in {', '.join(named[:10])}. Fill them, or write "
            'missing="pairwise" or missing="rows".'
        )
    if not whole.all() and missing == "rows":
        notes.append(f"Dropped {(~whole).sum():,} of {len(whole):,} rows with missing values.")
        columns = [_with_rows(column, whole) for column in columns]
    left_out = dict(table.left_out)
    for column in columns:
        if column.levels < 2:
            left_out[column.name] = (
                f"Expected values that differ in column {column.name}; got one value. Leave it out."
            )
    kept = tuple(column for column in columns if column.levels > 1)
    usable = ColumnTable(kept, left_out, tuple(notes))
    for name in targets:
        usable.column(name)
    return usable


def _with_rows(column: Column, rows: np.ndarray) -> Column:
    """Return some rows of a column, coded anew."""
    distinct, codes = np.unique(column.codes[rows], return_inverse=True)
    return replace(column, codes=codes, levels=len(distinct))


def _copies(columns: Sequence[Column]) -> list[str]:
    """Return notes about columns that order the rows in the same way."""
    alike: dict[bytes, list[str]] = {}
    for column in columns:
        alike.setdefault(column.codes.tobytes(), []).append(column.name)
    return [
        f"{', '.join(names)} are copies of each other, or increasing functions: their information "
        "is as large as the rows can show."
        for names in alike.values()
        if len(names) > 1
    ]


def _absent(left: int, right: int, found: int) -> list[str]:
    """Return a note about pairs with too few rows that have values of both columns."""
    count = (left * right or math.comb(left, 2)) - found
    few = f"Left out {count:,} pairs with fewer than {FEWEST} rows that have values of both."
    return [few] if count else []


def _estimated(
    pairs: Sequence[tuple[Column, Column]], seed: int, jobs: int
) -> Iterator[list[ColumnEstimate]]:
    """Yield the estimates of chunks of pairs."""
    chunks = [pairs[k : k + CHUNK] for k in range(0, len(pairs), CHUNK)]
    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(lambda chunk: estimates(chunk, seed=seed), chunks)


def _pairs(
    columns: Sequence[tuple[Column, Column]],
    found: Sequence[ColumnEstimate],
    p: np.ndarray,
    adjusted: np.ndarray,
) -> list[ColumnPair]:
    from scipy.stats import false_discovery_control

    q = false_discovery_control(p)
    entropies = {id(column): _entropy(column) for pair in columns for column in pair}
    return [
        ColumnPair(
            x=x.name,
            y=y.name,
            mi=one.mi,
            low=one.low,
            high=one.high,
            p_value=float(p[k]),
            q_value=float(q[k]),
            n=one.n,
            method=one.method,
            adjusted_p=float(adjusted[k]),
            normalised=_normalised(one.mi, min(entropies[id(x)], entropies[id(y)])),
            standard_error=one.standard_error,
            held_out=one.held_out,
        )
        for k, ((x, y), one) in enumerate(zip(columns, found, strict=True))
    ]


def _entropy(column: Column) -> float:
    """Return the entropy of a column of few values, in nats; infinity for other columns."""
    known = column.codes[column.codes >= 0]
    few = takes_few_values(column, len(known))
    return observed_entropy(np.bincount(known)) if few else math.inf


def _normalised(mi: float, entropy: float) -> float:
    """Return an MI in 0 to 1: as a share of an entropy, or as the correlation of Gaussians."""
    share = math.sqrt(-math.expm1(-2 * max(mi, 0.0))) if entropy == math.inf else mi / entropy
    return min(max(share, 0.0), 1.0)


def _refined(x: Column, y: Column, config: Config, count: int) -> Refined:
    """Estimate a pair with an interval that holds for `count` pairs at once (Bonferroni)."""
    whole = (x.codes >= 0) & (y.codes >= 0)
    sides = [_with_rows(column, whole) for column in (x, y)]
    rows = [one.codes if one.categorical else ndtri(middle_ranks(one.codes)) for one in sides]
    kinds = [side for side, one in zip(("x", "y"), sides, strict=True) if one.categorical]
    level = 1 - (1 - config.level) / count
    config = config.with_(level=level)
    found = estimate(*rows, categorical=kinds, config=config, progress=False)
    return Refined(x.name, y.name, found)
