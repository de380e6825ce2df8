"""Selection of columns on ten synthetic problems whose relevant columns are known.

    python benchmarks/feature_selection.py --seeds 10 --rows 1000
    python benchmarks/feature_selection.py --seeds 0 --null 200

Each selector is told the number of relevant groups, and selects as many columns. Found is the share
of groups of which it selected at least one column: two copies of one column count once. SelectKBest
ranks by scikit-learn's mutual information; mRMR subtracts from it the mean mutual information with
the columns selected before. The default of `MutualInfoSelector` is told nothing; the last columns
of the table are the share of groups that it finds, and how many irrelevant columns it selects.

`--null` counts how often the default selects anything where the target is independent of all
columns, and where all that is left depends on selected columns alone.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from common import GREYS, finish, parser, table
from sklearn.feature_selection import mutual_info_classif, mutual_info_regression
from threadpoolctl import threadpool_limits

from infobound.data.columns import Column
from infobound.sklearn import MutualInfoSelector
from infobound.tables.features import Remainder, select

NOISE = 30  # irrelevant columns of a problem


class Problem(NamedTuple):
    """Columns (n, p), a target (n,) and the groups of relevant columns that carry the same."""

    x: np.ndarray
    y: np.ndarray
    groups: list[list[int]]
    discrete: tuple[int, ...] = ()  # columns of categories
    classes: bool = False


def finished(
    rng: np.random.Generator,
    groups: Sequence[Sequence[np.ndarray]],
    y: np.ndarray,
    *,
    noise: np.ndarray | None = None,
    categories: Sequence[int] = (),
    classes: bool = False,
) -> Problem:
    """Add irrelevant columns and shuffle them; `categories` are places among the relevant ones."""
    relevant = [column for group in groups for column in group]
    noise = rng.normal(size=(len(y), NOISE)) if noise is None else noise
    x = np.column_stack([*relevant, noise])
    order = rng.permutation(x.shape[1])
    place = np.argsort(order)  # of each old column
    ends = np.cumsum([0, *map(len, groups)])
    found = [place[a:b].tolist() for a, b in pairwise(ends)]
    return Problem(x[:, order], y, found, tuple(int(place[k]) for k in categories), classes)


def copies(rng: np.random.Generator, n: int) -> Problem:
    """Five effects of decreasing size; each column has three noisy copies."""
    z = rng.normal(size=(5, n))
    y = np.array([1.0, 0.8, 0.6, 0.5, 0.4]) @ z + rng.normal(size=n)
    groups = [[c, *(c + 0.2 * rng.normal(size=(3, n)))] for c in z]
    return finished(rng, groups, y)


def groups(rng: np.random.Generator, n: int) -> Problem:
    """Four correlated causes, each measured by five columns with errors."""
    z = np.sqrt(0.8) * rng.normal(size=(4, n)) + np.sqrt(0.2) * rng.normal(size=n)
    y = np.array([1.0, 0.8, 0.7, 0.6]) @ z + rng.normal(size=n)
    return finished(rng, [list(c + 0.5 * rng.normal(size=(5, n))) for c in z], y)


def interactions(rng: np.random.Generator, n: int) -> Problem:
    """Two products of two columns, and one effect of its own."""
    a, b, c, d, e = z = rng.normal(size=(5, n))
    y = a * b + 0.7 * c * d + 0.5 * e + 0.5 * rng.normal(size=n)
    return finished(rng, [[column] for column in z], y)


def xor(rng: np.random.Generator, n: int) -> Problem:
    """Whether two columns have the same sign, wrong in one row of five."""
    a, b = rng.normal(size=(2, n))
    y = (a * b > 0) ^ (rng.random(n) < 0.2)
    return finished(rng, [[a], [b]], y.astype(int), classes=True)


def product(rng: np.random.Generator, n: int) -> Problem:
    """A product of three columns and noise."""
    z = rng.normal(size=(3, n))
    return finished(rng, [[c] for c in z], z.prod(axis=0) + 0.7 * rng.normal(size=n))


def non_monotone(rng: np.random.Generator, n: int) -> Problem:
    """Waves, a fold and a bump, none of which is a trend."""
    z = rng.uniform(-1, 1, size=(5, n))
    y = np.cos(2 * np.pi * z[0]) + 1.5 * np.abs(z[1]) + np.exp(-((3 * z[2]) ** 2))
    y += 0.6 * np.sin(3 * np.pi * z[3]) + 0.5 * np.sin(2 * np.pi * z[4])
    return finished(rng, [[c] for c in z], y + 0.7 * rng.normal(size=n))


def heteroscedastic(rng: np.random.Generator, n: int) -> Problem:
    """Three columns change the spread of the target, a fourth its mean."""
    z = rng.normal(size=(4, n))
    y = 0.4 * z[3] + np.exp(0.5 * z[0] + 0.4 * z[1] + 0.3 * z[2]) * rng.normal(size=n)
    return finished(rng, [[c] for c in z], y)


def classes(rng: np.random.Generator, n: int) -> Problem:
    """Five classes with means in six columns; each column has two noisy copies."""
    y = rng.integers(5, size=n)
    means = rng.normal(size=(5, 6)) * np.array([1.2, 1.0, 0.8, 0.6, 0.5, 0.4])
    z = (means[y] + rng.normal(size=(n, 6))).T
    groups = [[c, *(c + 0.3 * rng.normal(size=(2, n)))] for c in z]
    return finished(rng, groups, y, classes=True)


def mixed(rng: np.random.Generator, n: int) -> Problem:
    """A category, a binary one, a count, a column that is often zero and a quantity."""
    category, switch = rng.integers(6, size=n), rng.integers(2, size=n)
    count = rng.poisson(2.0, size=n)
    often_zero = np.where(rng.random(n) < 0.7, 0.0, rng.exponential(size=n))
    quantity = rng.normal(size=n)
    y = np.array([0.0, 0.8, -0.5, 0.4, -0.8, 0.3])[category] + 0.5 * switch * quantity
    y += 0.2 * count + 0.6 * often_zero + rng.normal(size=n)
    noise = [rng.normal(size=(10, n)), rng.integers(6, size=(10, n)), rng.poisson(2.0, (10, n))]
    relevant = [category, switch, count, often_zero, quantity]
    noise = np.concatenate(noise).T
    return finished(rng, [[c] for c in relevant], y, noise=noise, categories=(0, 1))


def weak(rng: np.random.Generator, n: int) -> Problem:
    """Twelve small effects of equal size."""
    z = rng.normal(size=(12, n))
    return finished(rng, [[c] for c in z], 0.17 * z.sum(axis=0) + rng.normal(size=n))


PROBLEMS: dict[str, Callable[[np.random.Generator, int], Problem]] = {
    "redundant copies": copies,
    "correlated groups": groups,
    "interactions": interactions,
    "XOR of two": xor,
    "product of three": product,
    "non-monotone": non_monotone,
    "heteroscedastic": heteroscedastic,
    "five classes": classes,
    "mixed types": mixed,
    "many weak": weak,
}


def relevance(problem: Problem, x: np.ndarray, y: np.ndarray, *, classes: bool) -> np.ndarray:
    """Scikit-learn's mutual information of each column of x with y."""
    estimator = mutual_info_classif if classes else mutual_info_regression
    mask = np.isin(np.arange(x.shape[1]), problem.discrete)
    return estimator(x, y, discrete_features=mask, random_state=0)


def k_best(problem: Problem, k: int) -> list[int]:
    """The columns with the most mutual information, as of SelectKBest."""
    scores = relevance(problem, problem.x, problem.y, classes=problem.classes)
    return np.argsort(-scores, kind="stable")[:k].tolist()


def mrmr(problem: Problem, k: int) -> list[int]:
    """The most relevance less mean redundancy, one column after the other."""
    scores = relevance(problem, problem.x, problem.y, classes=problem.classes)
    redundancy, selected = np.zeros(len(scores)), []
    for step in range(k):
        value = scores - redundancy / max(step, 1)
        value[selected] = -np.inf
        selected.append(int(np.argmax(value)))
        last = selected[-1]
        column, kind = problem.x[:, last], last in problem.discrete
        redundancy += relevance(problem, problem.x, column, classes=kind)
    return selected


def ours(problem: Problem, k: int | None) -> list[int]:
    """The columns that `MutualInfoSelector` selects; how many it finds out itself if k is None."""
    selector = MutualInfoSelector(k, discrete_target=problem.classes, categorical=problem.discrete)
    return selector.fit(problem.x, problem.y).order_.tolist()


SELECTORS: dict[str, Callable[[Problem, int], list[int]]] = {
    "infobound": ours,
    "SelectKBest": k_best,
    "mRMR": mrmr,
}


def found(problem: Problem, selected: Sequence[int]) -> float:
    """The share of groups with a selected column."""
    return float(np.mean([bool(set(group) & set(selected)) for group in problem.groups]))


def compared(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """What the selectors find in one problem over seeds."""
    shares: dict[str, list[float]] = {each: [] for each in [*SELECTORS, "default"]}
    seconds: dict[str, list[float]] = {each: [] for each in SELECTORS}
    false = []
    for seed in range(options.first, options.first + options.seeds):
        problem = PROBLEMS[name](np.random.default_rng(seed), options.rows)
        for selector, run in SELECTORS.items():
            start = time.perf_counter()
            shares[selector].append(found(problem, run(problem, len(problem.groups))))
            seconds[selector].append(time.perf_counter() - start)
        selected = ours(problem, None)
        shares["default"].append(found(problem, selected))
        false.append(len(set(selected) - {k for group in problem.groups for k in group}))
    return {
        "problem": name,
        "groups": len(problem.groups),
        "found": {each: mean_and_error(values) for each, values in shares.items()},
        "seconds": {each: float(np.median(values)) for each, values in seconds.items()},
        "false": mean_and_error(false),
    }


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """The mean and its standard error."""
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return float(np.mean(values)), spread / len(values) ** 0.5


def coded(values: np.ndarray, *, categorical: bool = False) -> Column:
    """A column as codes."""
    distinct, codes = np.unique(values, return_inverse=True)
    return Column("", codes, len(distinct), categorical)


def coded_all(x: np.ndarray) -> list[Column]:
    return [coded(column) for column in x.T]


def nothing(kind: str, rng: np.random.Generator, n: int) -> bool:
    """Whether anything is selected of thirty columns that say nothing about the target."""
    x, y, classes = rng.normal(size=(n, 30)), rng.normal(size=n), kind == "three classes"
    if classes:
        y = rng.integers(3, size=n)
    elif kind == "correlated columns":
        x = 0.6 * x + 0.8 * rng.normal(size=(n, 1))
    elif kind == "columns and target often zero":
        x, y = x * (rng.random(x.shape) < 0.2), np.maximum(y, 0)
    elif kind == "whole numbers":
        x = rng.integers(6, size=x.shape)
    return bool(select(coded_all(x), coded(y, categorical=classes)).order)


def nothing_more(kind: str, rng: np.random.Generator, n: int) -> bool:
    """Whether any of eight effects of a selected column, or of eight others, is found to add."""
    s, e, more = rng.normal(size=n), rng.normal(size=n), rng.normal(size=(n, 8))
    effect, y, classes = {
        "line": (s[:, None] + 0.2 * more, s + 0.5 * e, False),
        "fold": (s[:, None] + 0.2 * more, np.abs(s) + 0.3 * e, False),
        "waves": (np.sin(3 * s[:, None]) + 0.3 * more, np.sin(3 * s) + 0.3 * e, False),
        "spreads": (np.exp(s[:, None]) * more, np.exp(s) * e, False),
        "classes": (s[:, None] + 0.2 * more, np.digitize(s + 0.3 * e, [-1, 0.5]), True),
    }[kind]
    x = np.column_stack([s, effect, rng.normal(size=(n, 8))])
    after = Remainder(coded_all(x), coded(y, categorical=classes))
    after.add(0)
    return bool(after.added().log_p.min() + np.log(16) <= np.log(0.05))


NULLS: dict[str, tuple[Callable[[str, np.random.Generator, int], bool], str]] = {
    "independent: numbers": (nothing, "numbers"),
    "independent: three classes": (nothing, "three classes"),
    "independent: correlated columns": (nothing, "correlated columns"),
    "independent: columns and target often zero": (nothing, "columns and target often zero"),
    "independent: whole numbers": (nothing, "whole numbers"),
    "effects of a selected column: line": (nothing_more, "line"),
    "effects of a selected column: fold": (nothing_more, "fold"),
    "effects of a selected column: waves": (nothing_more, "waves"),
    "effects of a selected column: spreads": (nothing_more, "spreads"),
    "effects of a selected column: classes": (nothing_more, "classes"),
}


def sizes(options: argparse.Namespace) -> list[dict[str, Any]]:
    """How often something is selected where nothing adds."""
    rows = []
    for name, (run, kind) in NULLS.items():
        seeds = ([seed, 1] for seed in range(options.first, options.first + options.null))
        hits = [run(kind, np.random.default_rng(seed), options.rows) for seed in seeds]
        rows.append({"null": name, "selected": mean_and_error(np.array(hits, dtype=float))})
    return rows


def shown(value: Sequence[float]) -> str:
    return f"{value[0]:.3f} ± {value[1]:.3f}"


def main(arguments: Sequence[str] | None = None) -> None:
    options_of = parser(__doc__)
    options_of.add_argument("--seeds", type=int, default=10)
    options_of.add_argument("--first", type=int, default=1000, help="the first seed")
    options_of.add_argument("--rows", type=int, default=1000)
    options_of.add_argument("--null", type=int, default=0, help="runs of each null")
    options_of.add_argument("--problems", nargs="*", choices=PROBLEMS, default=[*PROBLEMS])
    options = options_of.parse_args(arguments)
    with threadpool_limits(options.threads):
        rows = [compared(name, options) for name in options.problems if options.seeds]
        null = sizes(options) if options.null else []
    if rows:
        headings = ["problem", "groups", *SELECTORS, "default", "irrelevant in default"]
        lines = [
            [r["problem"], r["groups"], *map(shown, r["found"].values()), shown(r["false"])]
            for r in rows
        ]
        table(headings, lines)
        print()
        table(
            ["seconds, median", *SELECTORS],
            [[r["problem"], *(f"{s:.2f}" for s in r["seconds"].values())] for r in rows],
        )
    if null:
        table(["nothing adds", "share of runs"], [[r["null"], shown(r["selected"])] for r in null])
    finish(options, rows, draw, null=null)


def draw(figure: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    """The share found of each problem, with standard errors."""
    axes = figure.subplots()
    places = np.arange(len(rows))
    for k, (name, grey) in enumerate(zip(SELECTORS, GREYS, strict=False)):
        values, errors = np.array([r["found"][name] for r in rows]).reshape(-1, 2).T
        axes.barh(places + 0.27 * k, values, 0.25, xerr=errors, color=grey, label=name)
    axes.set_yticks(places + 0.27, [r["problem"] for r in rows])
    axes.invert_yaxis()
    axes.set_xlabel("share of relevant groups found")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    axes.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    main()
