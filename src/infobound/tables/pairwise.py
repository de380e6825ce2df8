"""Mutual information of many pairs of columns: of all pairs of a table, or with targets."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np

from infobound._system import arguments, units
from infobound._system.calls import recorded
from infobound.config import Config
from infobound.data.columns import Column, ColumnTable, as_table
from infobound.errors import InputError
from infobound.estimation.counts import observed_entropy
from infobound.pages.progress import Stages, staged
from infobound.plotting.figures import FOUND
from infobound.tables.column_pairs import ColumnPair, Pairwise, Refined
from infobound.tables.column_tests import column_tests
from infobound.tables.estimates import FEWEST_ROWS, estimates, takes_few_values
from infobound.tables.pair_parts import PairValues, estimate_columns, in_parts, with_rows

__all__ = ["pairwise"]

SCREENED_PAIRS = 20_000  # more pairs than these are screened by default


@recorded("frame")
def pairwise(
    frame: Any,
    target: str | int | Sequence[Any] | None = None,
    *,
    given: str | Sequence[str] | None = None,
    categorical: Sequence[str] = (),
    numeric: Sequence[str] = (),
    missing: str = "pairwise",
    permutations: int | None = None,
    screen: bool | None = None,
    refine: int = 0,
    seed: int = 0,
    jobs: int = 1,
    out: str | Path | None = None,
    dask: str | None = None,
    overwrite: bool = False,
    config: Config | None = None,
    progress: Stages | bool | None = None,
) -> Pairwise:
    """Estimate the mutual information of all pairs of columns, or of each column and a target.

    With `given`, it is the conditional mutual information: each pair is estimated in full, by
    `infobound.estimate(x, y, given=...)`, which takes seconds, and tested for conditional
    independence.

    Columns that cannot be used (times, lists, free text, a single value) are left out; `left_out`
    says why. It is an error if they are a target or named in categorical or numeric.

    Args:
        frame: a table in any container: pandas, polars, pyarrow, a dict of columns, NumPy (n, p);
            or a `ColumnTable`, as returned by `infobound.files.tables.read_table`.
        target: the name of a column, or several; None for the targets of a `ColumnTable`, or all
            pairs of columns.
        given: the name of a column that is given, or of several; None for those of a
            `ColumnTable`.
        categorical: names of columns that are categories, for example numbers that are codes.
        numeric: names of columns that are quantities although they are text or categories.
        missing: what to do with missing values: "pairwise" takes for each pair the rows in which
            both columns have values, "rows" the rows that have values in all columns, "refuse"
            raises an error.
        permutations: of the tests, at least 19; by default from 99 to 1,999, by the size of the
            table.
        screen: whether pairs in which no dependence shows at a quick look (q > 0.05, and no band of
            frequencies is larger than by chance) get its estimate and interval, with the method
            "screen", in a hundredth of the time; by default if there are more than 20,000 pairs.
        refine: the number of strongest pairs that are estimated again by `infobound.estimate`.
        seed: seed of the tests and the estimates.
        jobs: the number of threads that estimate pairs; of processes with `out` or `given`.
        out: a directory for the estimates of finished pairs; the same call resumes there.
        dask: the address of a Dask scheduler, for example "tcp://host:8786", whose workers compute
            instead of `jobs`.
        overwrite: whether to delete earlier estimates in `out`.
        config: settings of the refined estimates, and of those with `given`; `Config()` by default.
            The level of refined ones is raised so that the intervals of all pairs of the table
            would hold together.
        progress: whether to show a bar; by default in terminals and notebooks. Or a function, which
            is called with what is done, the number of steps done and that of all steps.

    Returns:
        The pairs, the strongest first, with tests; in nats.

    Raises:
        InputError: If the table has fewer than 10 rows, no pair of usable columns, an argument is
            invalid, `out` holds other estimates, or a cluster cannot be used.

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
    out = None if out is None else arguments.directory("out", out)
    dask = None if dask is None else arguments.text("dask", dask)
    units.expect_files("out", out, "nats", overwrite)
    whole = as_table(frame, categorical=categorical, numeric=numeric)
    targets = _names("target", target, whole.targets)
    conditions = _names("given", given, whole.given)
    _expect_apart(targets, conditions, plain=not (refine or screen) and permutations is None)
    table = _usable(whole, (*targets, *conditions), missing)
    asked = _Asked(
        targets=targets,
        given=conditions,
        permutations=permutations,
        screen=screen,
        refine=refine,
        seed=seed,
        jobs=None if dask else jobs,
        out=out,
        dask=dask,
        overwrite=overwrite,
        config=config,
    )
    with staged(progress) as report:
        return _pairwise(table, asked, report)


@dataclass(frozen=True)
class _Asked:
    """What is asked for of a table of usable columns; see `pairwise`."""

    targets: tuple[str, ...]
    given: tuple[str, ...]
    permutations: int | None
    screen: bool | None
    refine: int
    seed: int
    jobs: int | None
    out: str | Path | None
    dask: str | None
    overwrite: bool
    config: Config


def _pairwise(table: ColumnTable, asked: _Asked, report: Stages) -> Pairwise:
    """Test and estimate all pairs of a table of usable columns."""
    targets, conditions, config, seed = asked.targets, asked.given, asked.config, asked.seed
    right = [table.column(name) for name in targets]
    fixed = [table.column(name) for name in conditions]
    left = [column for column in table.columns if column.name not in (*targets, *conditions)]
    n = len(table.columns[0].codes) if table.columns else 0
    if n < FEWEST_ROWS or len(left) + len(right) < 2 or not left:
        raise InputError(
            f"Expected at least {FEWEST_ROWS} rows of two usable columns; got {n} rows of "
            f"{len(left) + len(right)}. {' '.join([*table.left_out.values()][:3])}"
        )
    places = _places(len(left), len(right))
    columns = [(left[i], (right or left)[j]) for i, j in places]
    parts = functools.partial(
        in_parts,
        columns,
        given=fixed,
        seed=seed,
        config=config.with_(certify=True),  # for the tests
        out=asked.out,
        jobs=asked.jobs,
        dask=asked.dask,
        overwrite=asked.overwrite,
        watch=lambda done: report("estimating", done.done, done.total),
    )
    if fixed:
        found = parts()
        known_p = [math.nan if one is None else one.p_value for one in found]
        p = np.array(known_p, dtype=np.float64)
        adjusted, count = _holm(p), config.permutations
    else:
        tests = column_tests(
            left,
            right or None,
            permutations=asked.permutations,
            seed=seed,
            watch=lambda done, total: report("testing", done, total),
        )
        p, adjusted = (each[tuple(places.T)] for each in (tests.p_value, tests.adjusted))
        count = tests.permutations
        screened = asked.screen if asked.screen is not None else len(columns) > SCREENED_PAIRS
        quick = (_q_values(p) > FOUND).tolist() if screened else []
        distant = asked.out is not None or asked.dask is not None
        found = parts(quick=quick) if distant else _at_once(columns, quick, asked, report)
    known = [k for k in range(len(found)) if found[k] is not None and np.isfinite(p[k])]
    columns, values = [columns[k] for k in known], [one for k in known if (one := found[k])]
    if not known and fixed and any(one is not None for one in found):
        raise InputError(
            "Expected rows enough for the means of the values of the given columns; got so few "
            "that there is no test of independence. Merge rare values, or give fewer columns."
        )
    if not known:
        raise InputError(
            f"Expected pairs of columns with values in the same {FEWEST_ROWS} rows or more; got "
            "none. Leave out columns that are mostly missing."
        )
    pairs = _pairs(columns, values, p[known], adjusted[known])
    order = sorted(range(len(pairs)), key=lambda k: -pairs[k].mi)
    refined = []
    for done, k in enumerate(order[: asked.refine], 1):
        x, y = columns[k]
        level = 1 - (1 - config.level) / len(pairs)  # Bonferroni
        full = estimate_columns(x, y, config=config.with_(level=level))
        refined.append(Refined(x.name, y.name, full))
        pairs[k] = dataclasses.replace(pairs[k], held_out=full.held_out)
        report("refining", done, min(asked.refine, len(pairs)))
    return Pairwise(
        pairs=tuple(pairs[k] for k in order),
        columns=tuple(column.name for column in left),
        targets=targets,
        n=n,
        permutations=count,
        given=conditions,
        left_out=dict(table.left_out),
        notes=(
            *table.notes,
            *_copies(table.columns),
            *_absent(len(left), len(right), len(pairs)),
            *_screened(pairs),
        ),
        refined=tuple(refined),
    )


def _names(
    name: str, asked: str | int | Sequence[Any] | None, otherwise: Sequence[str]
) -> tuple[str, ...]:
    """Return names of columns, each once."""
    asked = (asked,) if isinstance(asked, str | Integral) else otherwise if asked is None else asked
    return tuple(dict.fromkeys(arguments.labels(name, asked)))


def _expect_apart(targets: Sequence[str], given: Sequence[str], *, plain: bool) -> None:
    """Check the arguments that exclude each other.

    Raises:
        InputError: If a column is both, or an argument has no effect with given columns.
    """
    both = [name for name in targets if name in given]
    if both:
        raise InputError(
            f"Expected each column in target or in given; got {', '.join(both)} in both. Name it "
            "in one of them."
        )
    if given and not plain:
        raise InputError(
            "Expected neither refine nor permutations nor screen with given, whose pairs are all "
            "estimated in full; got one of them. Leave it out; Config(permutations=...) is used."
        )


def _places(left: int, right: int) -> np.ndarray:
    """Return the places (m, 2) of the columns of all pairs; all pairs of the left ones for 0."""
    return np.argwhere(np.ones((left, right)) if right else np.triu(np.ones((left, left)), 1))


def _at_once(
    columns: Sequence[tuple[Column, Column]], quick: Sequence[bool], asked: _Asked, report: Stages
) -> list[PairValues | None]:
    """Estimate pairs in threads of this process."""
    found = estimates(
        columns,
        asked.seed,
        quick=quick,
        jobs=asked.jobs or 1,
        progress=lambda done: report("estimating", done, len(columns)),
    )
    return [PairValues.of(one) for one in found]


def _q_values(p: np.ndarray) -> np.ndarray:
    """Return the q-values of p-values (m,); nan stays."""
    from scipy.stats import false_discovery_control

    found, known = np.full(len(p), np.nan), np.isfinite(p)
    found[known] = false_discovery_control(p[known])
    return found


def _holm(p: np.ndarray) -> np.ndarray:
    """Return p-values (m,) adjusted by Holm's step-down method; nan stays.

    Example:
        >>> _holm(np.array([0.01, 0.04, 0.02])).round(2).tolist()
        [0.03, 0.04, 0.04]
    """
    order = np.argsort(p)  # nan comes last
    tested = np.isfinite(p).sum()
    raised = p[order] * np.maximum(tested - np.arange(len(p)), 1)
    found = np.empty(len(p))
    found[order] = np.minimum(np.maximum.accumulate(raised), 1)
    return found


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
        columns = [with_rows(column, whole) for column in columns]
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


def _copies(columns: Sequence[Column]) -> list[str]:
    """Return notes about columns that determine each other."""
    alike: dict[bytes, list[str]] = {}
    for column in columns:
        alike.setdefault(_form(column).tobytes(), []).append(column.name)
    return [
        f"{', '.join(names)} are copies of each other, or increasing or decreasing functions, or "
        "other names of the same classes: their information is as large as the rows can show."
        for names in alike.values()
        if len(names) > 1
    ]


def _form(column: Column) -> np.ndarray:
    """Return codes that are the same for all columns that determine each other.

    Of few values, these are the columns with the same classes; of others, those in the same order,
    or in the opposite one.
    """
    known = column.codes >= 0
    if takes_few_values(column, int(known.sum())):
        first, codes = np.unique(column.codes[known], return_index=True, return_inverse=True)[1:]
        numbers = np.argsort(np.argsort(first))[codes]
    else:
        codes = column.codes[known]
        numbers = min(codes, column.levels - 1 - codes, key=np.ndarray.tobytes)
    found = np.full(len(known), -1, dtype=np.int64)
    found[known] = numbers
    return found


def _absent(left: int, right: int, found: int) -> list[str]:
    """Return a note about pairs with too few rows that have values of both columns."""
    count = (left * right or math.comb(left, 2)) - found
    few = f"Left out {count:,} pairs with fewer than {FEWEST_ROWS} rows that have values of both."
    return [few] if count else []


def _screened(pairs: Sequence[ColumnPair]) -> list[str]:
    """Return a note about pairs that were not estimated in full."""
    count = sum(pair.method == "screen" for pair in pairs)
    said = (
        f"{count:,} of {len(pairs):,} pairs show no dependence at a quick look, which gave their "
        'estimates and intervals (method "screen"). screen=False (--screen no) estimates all in '
        "full."
    )
    return [said] if count else []


def _pairs(
    columns: Sequence[tuple[Column, Column]],
    found: Sequence[PairValues],
    p: np.ndarray,
    adjusted: np.ndarray,
) -> list[ColumnPair]:
    q = _q_values(p)
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
