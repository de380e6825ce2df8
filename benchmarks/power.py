"""Size and power of the tests of independence; the tables of docs/independence.md.

python benchmarks/power.py size      how often p <= .05 without dependence
python benchmarks/power.py folds     the same where folds learn from each other (it must not be)
python benchmarks/power.py power     against distance correlation and HSIC: pip install dcor hyppo
python benchmarks/power.py fresh     the same, of shapes that no choice was made on
python benchmarks/power.py choices   which statistic, and how blocks are combined
python benchmarks/power.py series    autoregressive series: permutations, circular shifts, moves
python benchmarks/power.py streams   false alarms, and rows until dependence is found
python benchmarks/power.py speed     one block of 2,500 rows

--runs N sets the repetitions of a cell, --first the seed of the first.
"""

from __future__ import annotations

import argparse
import math
import time
import warnings
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from scipy import stats
from scipy.signal import lfilter

from infobound import data
from infobound.bounds.variational import BOUNDS
from infobound.inference import streams
from infobound.inference.permutation import permutation_p
from infobound.models.closed_forms import BASES, Shape
from infobound.models.cosine import Witness

LEVEL = 0.05
PERMUTATIONS = 199
Rows = tuple[np.ndarray, np.ndarray]
Fit = Callable[[np.ndarray, np.ndarray], Callable[[np.ndarray, np.ndarray], np.ndarray]]


def linear(rng: np.random.Generator, shape: tuple[int, int]) -> Rows:
    x, noise = rng.normal(size=(2, *shape))
    return x, 0.35 * x + math.sqrt(1 - 0.35**2) * noise


def quadratic(rng: np.random.Generator, shape: tuple[int, int]) -> Rows:
    x, noise = rng.normal(size=(2, *shape))
    return x, 0.5 * x**2 + noise


def circle(rng: np.random.Generator, shape: tuple[int, int]) -> Rows:
    angle, noise = rng.uniform(0, 2 * np.pi, shape), 0.35 * rng.normal(size=(2, *shape))
    return np.cos(angle) + noise[0], np.sin(angle) + noise[1]


def sine(rng: np.random.Generator, shape: tuple[int, int]) -> Rows:
    x = rng.uniform(-1, 1, shape)
    return x, np.sin(3 * np.pi * x) + rng.normal(size=shape)


def multiplicative(rng: np.random.Generator, shape: tuple[int, int]) -> Rows:
    x, noise = rng.normal(size=(2, *shape))
    return x, x * noise


def cross(rng: np.random.Generator, shape: tuple[int, int]) -> Rows:
    x, noise = rng.normal(size=(2, *shape))
    return x, rng.choice([-1.0, 1.0], shape) * x + noise


def checkers(rng: np.random.Generator, shape: tuple[int, int]) -> Rows:
    """Four by four squares, of which the black ones are taken by three rows in four."""
    column, row = rng.integers(0, 4, (2, *shape))
    white = (column + row) % 2 == 1
    row = np.where(white & (rng.uniform(size=shape) < 0.5), (row + 1) % 4, row)
    return column + rng.uniform(size=shape), row + rng.uniform(size=shape)


def heavy(rng: np.random.Generator, shape: tuple[int, int]) -> Rows:
    x, noise = rng.standard_cauchy((2, *shape))
    return x, 0.2 * x + noise


def step(rng: np.random.Generator, shape: tuple[int, int]) -> Rows:
    x, noise = rng.normal(size=(2, *shape))
    return x, 1.0 * (x > 1) + noise


SHAPES = {f.__name__: f for f in (linear, quadratic, circle, sine, multiplicative)}
FRESH = {f.__name__: f for f in (cross, checkers, heavy, step)}
MARGINS = {
    "Cauchy, 1 + 1": lambda rng, n: rng.standard_cauchy((n, 1)),
    "three values, 1 + 1": lambda rng, n: rng.integers(0, 3, (n, 1)).astype(float),
    "normal, 25 + 25": lambda rng, n: rng.normal(size=(n, 25)),
}


def base(name: str) -> Fit:
    """A closed form of the bank, with the inputs that it reads."""

    def fit(x: np.ndarray, y: np.ndarray) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        sides = data.Transform.fit(x), data.Transform.fit(y)
        scores = BASES[name].inputs == "scores"

        def read(side: data.Transform, rows: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(side.normal_scores(rows) if scores else side.robust(rows))

        model = BASES[name].fit(read(sides[0], x), read(sides[1], y))
        return lambda u, v: model(read(sides[0], u), read(sides[1], v)).numpy()

    return fit


def best_base(x: np.ndarray, y: np.ndarray) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """The bank's best by InfoNCE on three rows in ten held out: the cheap ones, no Student copula.

    As in the estimate, held-out rows are compared with all rows.
    """
    fitted, held = data.train_validation_split(np.arange(len(x)), 0.3, seed=0)
    shape = Shape(
        len(fitted), x.shape[1] + y.shape[1], data.n_distinct(x[fitted]), data.n_distinct(y[fitted])
    )
    others = np.concatenate([held, fitted])
    value = {}
    for name in ("gaussian", "gaussian_raw", "mixture", "fine_mixture", "table"):
        if not BASES[name].possible(shape):
            continue
        scores = base(name)(x[fitted], y[fitted])(x[held], y[others])
        value[name] = float(BOUNDS["infonce"].terms(torch.from_numpy(scores)).mean())
    return base(max(value, key=lambda name: value[name]))(x, y)


def in_sequence(fit: Fit, x: np.ndarray, y: np.ndarray, parts: int = 4) -> list[np.ndarray]:
    """Blocks of scores: each part's critic is fitted to the parts before it."""
    cuts = np.linspace(0, len(x), parts + 1).astype(int)
    blocks = []
    for start, stop in pairwise(cuts[1:]):
        blocks.append(fit(x[:start], y[:start])(x[start:stop], y[start:stop]))
    return blocks


def p_of(fit: Fit, x: np.ndarray, y: np.ndarray, seed: int) -> float:
    return permutation_p(in_sequence(fit, x, y), permutations=PERMUTATIONS, seed=seed)


def shown(hits: list[bool]) -> str:
    return f"{np.mean(hits):.3f}"


def seeds(args: argparse.Namespace, default: int) -> range:
    runs = args.runs or default
    print(f"runs a cell: {runs}; standard error at .05: {math.sqrt(0.05 * 0.95 / runs):.3f}")
    return range(args.first, args.first + runs)


def size(args: argparse.Namespace) -> None:
    critics = {
        "Cauchy, 1 + 1": ("gaussian", "student", "witness"),
        "three values, 1 + 1": ("table", "witness"),
        "normal, 25 + 25": ("gaussian", "witness"),
    }
    chosen = seeds(args, 500)
    print("| rows | critic | N = 60 | 200 | 2,000 |\n|---|---|--:|--:|--:|")
    for margin, names in critics.items():
        for name in names:
            fit = Witness.fit if name == "witness" else base(name)
            cells = []
            for n in (60, 200, 2000):
                slow = name == "student" or (n == 2000 and "25" in margin)  # a fifth of the runs
                runs = chosen[: max(1, len(chosen) // 5)] if slow else chosen
                hits = []
                for seed in runs:
                    rng = np.random.default_rng([seed, n])
                    x, y = MARGINS[margin](rng, n), MARGINS[margin](rng, n)
                    hits.append(p_of(fit, x, y, seed) <= LEVEL)
                cells.append(shown(hits))
            print(f"| {margin} | {name} | {' | '.join(cells)} |", flush=True)


def folds(args: argparse.Namespace) -> None:
    """Critics from all other folds, against critics from earlier parts; linear, 4 + 4 columns."""

    def fit(x: np.ndarray, y: np.ndarray) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        slope = (x - x.mean(0)).T @ (y - y.mean(0))
        return lambda u, v: u @ slope @ v.T

    print("| folds or parts | folds, Fisher | folds, normal scores | sequence, Fisher |")
    print("|--:|--:|--:|--:|")
    chosen = seeds(args, 2000)
    for k in (2, 4, 10):
        hits: list[list[bool]] = [[], [], []]
        for seed in chosen:
            x, y = np.random.default_rng([seed, k]).normal(size=(2, 200, 4))
            parts = np.array_split(np.arange(200), k)
            crossed = []
            for part in parts:
                rest = np.setdiff1d(np.arange(200), part)
                crossed.append(fit(x[rest], y[rest])(x[part], y[part]))
            alone = [
                permutation_p([b], permutations=PERMUTATIONS, seed=seed + 7919 * i)
                for i, b in enumerate(crossed)
            ]
            hits[0].append(stats.combine_pvalues(alone, "fisher").pvalue <= LEVEL)
            hits[1].append(normal_scores(alone) <= LEVEL)
            blocks = in_sequence(fit, x, y, k)
            hits[2].append(permutation_p(blocks, permutations=PERMUTATIONS, seed=seed) <= LEVEL)
        print(f"| {k} | {' | '.join(map(shown, hits))} |", flush=True)


def normal_scores(p_values: list[float]) -> float:
    """Stouffer's combination; p = 1 is taken as the last step before it."""
    held = np.minimum(p_values, 1 - 0.5 / (1 + PERMUTATIONS))
    return float(stats.combine_pvalues(held, "stouffer").pvalue)


def power(args: argparse.Namespace) -> None:
    compare(args, SHAPES)


def fresh(args: argparse.Namespace) -> None:
    compare(args, FRESH)


def compare(args: argparse.Namespace, shapes: dict[str, Callable[..., Rows]]) -> None:
    import dcor
    from hyppo.independence import Hsic

    def distance(x: np.ndarray, y: np.ndarray, seed: int) -> float:
        test = dcor.independence.distance_covariance_test
        return float(test(x, y, num_resamples=PERMUTATIONS, random_state=seed).pvalue)

    def hsic(x: np.ndarray, y: np.ndarray, seed: int) -> float:
        return float(Hsic().test(x, y, auto=True)[1])

    tests = {
        "witness": lambda x, y, seed: p_of(Witness.fit, x, y, seed),
        "best base": lambda x, y, seed: p_of(best_base, x, y, seed),
        "distance": distance,
        "HSIC": hsic,
    }
    chosen = seeds(args, 100)
    print(f"| dependence | columns | N | {' | '.join(tests)} |\n|---|--:|--:|--:|--:|--:|--:|")
    for d in (1, 5):
        for n in (100, 400):
            for name, draw in shapes.items():
                hits: dict[str, list[bool]] = {test: [] for test in tests}
                for seed in chosen:
                    x, y = draw(np.random.default_rng([seed, n, d]), (n, d))
                    for test, p in tests.items():
                        if test != "best base" or seed % 2 == 0:  # the slow one: every second
                            hits[test].append(p(x, y, seed) <= LEVEL)
                cells = " | ".join(f"{np.mean(h):.2f}" for h in hits.values())
                print(f"| {name} | {d} + {d} | {n} | {cells} |", flush=True)


def statistic(name: str, table: np.ndarray) -> np.ndarray:
    """The scores whose diagonal is averaged: as they are, cut off, or ranks by row and column."""
    if name == "mean":
        return table
    if name == "ranks":
        return stats.rankdata(table, axis=0) + stats.rankdata(table, axis=1)
    centred = table - table.mean(0) - table.mean(1, keepdims=True) + table.mean()
    return np.clip(centred / (centred.std() or 1.0), -2.5, 2.5)


def choices(args: argparse.Namespace) -> None:
    columns = [(s, c) for s in ("mean", "cut off", "ranks") for c in ("Fisher", "normal")]
    chosen = seeds(args, 200)
    print("| dependence, N = 100, 1 + 1 | " + " | ".join(", ".join(c) for c in columns) + " |")
    print("|---|" + "--:|" * len(columns))
    for name, draw in SHAPES.items():
        hits: dict[tuple[str, str], list[bool]] = {column: [] for column in columns}
        for seed in chosen:
            blocks = in_sequence(Witness.fit, *draw(np.random.default_rng([seed, 9]), (100, 1)))
            for kind in ("mean", "cut off", "ranks"):
                alone = [
                    permutation_p([statistic(kind, b)], permutations=PERMUTATIONS, seed=seed)
                    for b in blocks
                ]
                fisher = stats.combine_pvalues(alone, "fisher").pvalue
                hits[kind, "Fisher"].append(fisher <= LEVEL)
                hits[kind, "normal"].append(normal_scores(alone) <= LEVEL)
        cells = " | ".join(f"{np.mean(h):.2f}" for h in hits.values())
        print(f"| {name} | {cells} |", flush=True)


def autoregressive(rng: np.random.Generator, n: int, phi: float) -> np.ndarray:
    noise = rng.normal(size=n) * math.sqrt(1 - phi**2)
    noise[0] /= math.sqrt(1 - phi**2)
    return np.asarray(lfilter([1.0], [1.0, -phi], noise))[:, None]


def circular(blocks: list[np.ndarray]) -> float:
    """Every circular shift of y by a twentieth of the block or more; blocks by Fisher."""
    p_values = []
    for block in blocks:
        n = len(block)
        rows, least = np.arange(n), max(1, n // 20)
        shifts = np.arange(least, n - least + 1)[:, None]
        sums = block[rows, (rows + shifts) % n].sum(1)
        p_values.append((1 + (sums >= np.trace(block)).sum()) / (1 + len(shifts)))
    return float(stats.combine_pvalues(p_values, "fisher").pvalue)


def series(args: argparse.Namespace) -> None:
    chosen = seeds(args, 200)
    print("| N | phi | permuted | circular | moved | moved, b = .25 | moved, b = .5 |")
    print("|--:|--:|--:|--:|--:|--:|--:|")
    for n in (400, 2000):
        for phi in (0.5, 0.9, 0.99):
            hits: list[list[bool]] = [[], [], [], [], []]
            for seed in chosen:
                rng = np.random.default_rng([seed, n, int(100 * phi)])
                x, own = autoregressive(rng, n, phi), autoregressive(rng, n, phi)
                blocks = in_sequence(base("gaussian"), x, own)
                hits[0].append(permutation_p(blocks, permutations=PERMUTATIONS, seed=seed) <= LEVEL)
                hits[1].append(circular(blocks) <= LEVEL)
                hits[2].append(permutation_p(blocks, seed=seed, shifts=True) <= LEVEL)
                for k, b in enumerate((0.25, 0.5)):
                    y = b * x + math.sqrt(1 - b**2) * own
                    blocks = in_sequence(base("gaussian"), x, y)
                    hits[3 + k].append(permutation_p(blocks, seed=seed, shifts=True) <= LEVEL)
            print(f"| {n:,} | {phi} | {' | '.join(map(shown, hits))} |", flush=True)


def rows_until_found(
    draw: Callable[[np.random.Generator, tuple[int, int]], Rows],
    seed: int,
    *,
    columns: int,
    step: int,
    most: int,
) -> float:
    """Rows until it is seen that the level was crossed, looking every `step` rows."""
    rng, stream = np.random.default_rng(seed), streams.IndependenceStream(level=LEVEL)
    while not (state := stream.state()).decided:
        if state.rows >= most:
            return math.inf
        stream.update(*draw(rng, (step, columns)))
    return state.rows


def cauchy_pair(rng: np.random.Generator, shape: tuple[int, int]) -> Rows:
    return rng.standard_cauchy(shape), rng.standard_cauchy(shape)


def three_values(rng: np.random.Generator, shape: tuple[int, int]) -> Rows:
    return rng.integers(0, 3, shape), rng.integers(0, 3, shape)


def normal_pair(rng: np.random.Generator, shape: tuple[int, int]) -> Rows:
    return rng.normal(size=shape), rng.normal(size=shape)


def bets(args: argparse.Namespace) -> None:
    chosen = seeds(args, 400)
    print("| without dependence | ever decided in 2,000 rows |\n|---|--:|")
    for draw, d in ((cauchy_pair, 1), (three_values, 1), (normal_pair, 2)):
        found = [rows_until_found(draw, seed, columns=d, step=500, most=2000) for seed in chosen]
        print(f"| {draw.__name__}, {d} + {d} | {np.mean(np.isfinite(found)):.3f} |", flush=True)
    print("\n| dependence | columns | fives: median rows (quartiles) | pairs |\n|---|--:|--:|--:|")
    for d in (1, 5):
        for name, draw in SHAPES.items():
            cells = []
            for streams.BET_ROWS in (5, 2):
                found = [
                    rows_until_found(draw, seed, columns=d, step=10, most=3000)
                    for seed in chosen[: max(1, len(chosen) // 8)]
                ]
                low, middle, high = np.quantile(found, [0.25, 0.5, 0.75], method="nearest")
                cells.append(f"{middle:.0f} ({low:.0f} to {high:.0f})")
            print(f"| {name} | {d} + {d} | {' | '.join(cells)} |", flush=True)


def speed(args: argparse.Namespace) -> None:
    table = np.random.default_rng(0).normal(size=(2500, 2500)).astype(np.float32)
    for shifts in (False, True):
        seconds = []
        for seed in range(args.runs or 10):
            start = time.perf_counter()
            permutation_p([table], seed=seed, shifts=shifts)
            seconds.append(time.perf_counter() - start)
        kind = "moves" if shifts else "999 permutations"
        print(f"{kind}: median {np.median(seconds):.3f} s, best {min(seconds):.3f} s")


PARTS = {f.__name__: f for f in (size, folds, power, fresh, choices, series, speed)} | {
    "streams": bets
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--runs", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parsed = parser.parse_args()
    warnings.simplefilter("ignore")  # other people's, in the comparison
    PARTS[parsed.part](parsed)
