"""Size, power and time of the permutation tests of pairs of columns; the tables of docs/columns.md.

python benchmarks/column_tests.py size     how often p <= .05 and p <= .001 without dependence
python benchmarks/column_tests.py power    against distance correlation and Hoeffding's D of ranks
python benchmarks/column_tests.py speed    seconds for all pairs of a table

--rows sets the numbers of rows, --pairs the pairs of a kind, --permutations their number.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

from infobound.data.columns import Column
from infobound.tables.column_tests import column_tests

Sample = Callable[[np.random.Generator, int], np.ndarray]
Pair = tuple[np.ndarray, np.ndarray]

KINDS: dict[str, Sample] = {
    "normal": lambda rng, n: rng.normal(size=n),
    "rounded": lambda rng, n: np.round(2 * rng.normal(size=n)),
    "five values": lambda rng, n: rng.integers(5, size=n),
    "80 % zeros": lambda rng, n: np.where(rng.random(n) < 0.8, 0, rng.exponential(size=n)),
    "97 % zeros": lambda rng, n: np.where(rng.random(n) < 0.97, 0, rng.exponential(size=n)),
    "counts": lambda rng, n: rng.poisson(0.5, size=n),
    "binary": lambda rng, n: rng.random(n) < 0.5,
    "rare": lambda rng, n: rng.permutation(n) < 0.03 * n,
    "category of 4": lambda rng, n: rng.choice(4, p=[0.6, 0.3, 0.08, 0.02], size=n),
    "category of 30": lambda rng, n: rng.integers(30, size=n),
}
PARTNERS = ("normal", "80 % zeros", "rare", "category of 4")
SIDE = 10  # columns of a table on each side: pairs of one table are nearly independent


def linear(rng: np.random.Generator, n: int) -> Pair:
    x, noise = rng.normal(size=(2, n))
    return x, 0.2 * x + noise


def parabola(rng: np.random.Generator, n: int) -> Pair:
    x, noise = rng.normal(size=(2, n))
    return x, 0.2 * x**2 + noise


def circle(rng: np.random.Generator, n: int) -> Pair:
    angle, noise = rng.uniform(0, 2 * np.pi, n), 0.4 * rng.normal(size=(2, n))
    return np.cos(angle) + noise[0], np.sin(angle) + noise[1]


def sine(rng: np.random.Generator, n: int) -> Pair:
    x = rng.uniform(-1, 1, n)
    return x, 0.5 * np.sin(2 * np.pi * x) + rng.normal(size=n)


def waves(rng: np.random.Generator, n: int) -> Pair:
    x = rng.uniform(-1, 1, n)
    return x, 0.7 * np.sin(3 * np.pi * x) + rng.normal(size=n)


def cross(rng: np.random.Generator, n: int) -> Pair:
    x, noise = rng.normal(size=(2, n))
    return x, rng.choice([-1.0, 1.0], n) * x + noise


def step(rng: np.random.Generator, n: int) -> Pair:
    x = rng.uniform(size=n)
    return x, 0.5 * (x > 0.7) + rng.normal(size=n)


def checkers(rng: np.random.Generator, n: int) -> Pair:
    column, row = rng.integers(0, 4, (2, n))
    white = (column + row) % 2 == 1
    row = np.where(white & (rng.uniform(size=n) < 0.5), (row + 1) % 4, row)
    return column + rng.uniform(size=n), row + rng.uniform(size=n)


def scale(rng: np.random.Generator, n: int) -> Pair:
    x, noise = rng.normal(size=(2, n))
    return x, (0.4 * np.abs(x) + 0.7) * noise


def corner(rng: np.random.Generator, n: int) -> Pair:
    x, y = rng.uniform(size=(2, n))
    inside = rng.uniform(size=n) < 0.05
    x[inside] *= 0.1
    y[inside] *= 0.1
    return x, y


SHAPES = (linear, parabola, circle, sine, waves, cross, step, checkers, scale, corner)


def coded(values: np.ndarray, *, categorical: bool = False) -> Column:
    distinct, codes = np.unique(values, return_inverse=True)
    return Column("", codes, len(distinct), categorical)


def size(rows: list[int], pairs: int, permutations: int) -> None:
    """Print how often independent columns of each kind are called dependent."""
    print(f"{'x':15} {'y':15} {'rows':>6} {'p <= .05':>9} {'p <= .001':>9} {'adjusted <= .05':>15}")
    for n in rows:
        for kind in KINDS:
            for other in dict.fromkeys((kind, *PARTNERS)):
                rng = np.random.default_rng(0)
                found, family = [], []
                for table in range(-(-pairs // SIDE**2)):
                    left, right = (
                        [
                            coded(KINDS[one](rng, n), categorical=one.startswith("category"))
                            for _ in range(SIDE)
                        ]
                        for one in (kind, other)
                    )
                    tests = column_tests(left, right, permutations=permutations, seed=table)
                    found.append(tests.p_value.ravel())
                    family.append(tests.adjusted.min() <= 0.05)
                p = np.concatenate(found)
                shares = f"{(p <= 0.05).mean():9.3f} {(p <= 0.001).mean():9.4f}"
                print(f"{kind:15} {other:15} {n:6,} {shares} {np.mean(family):15.2f}", flush=True)


def ranks(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.argsort(np.argsort(values, axis=-1), axis=-1))


def distances(n: int) -> np.ndarray:
    """Return the centred distances (n, n) of the ranks 0 to n - 1, divided by n."""
    found = np.abs(np.subtract.outer(np.arange(n), np.arange(n))) / n
    centred: np.ndarray = found - found.mean(0) - found.mean(1)[:, None] + found.mean()
    return centred


def peers(x: np.ndarray, y: np.ndarray, centred: np.ndarray) -> tuple[float, float]:
    """Return distance covariance and Hoeffding's D of the ranks of a pair."""
    n, a, b = len(x), ranks(x), ranks(y)
    distance = float((centred[np.ix_(a, a)] * centred[np.ix_(b, b)]).sum())
    below = (a[:, None] <= a) & (b[:, None] <= b)
    return distance, float(((below.mean(0) - (a + 1) * (b + 1) / n**2) ** 2).sum())


def power(rows: list[int], pairs: int, permutations: int) -> None:
    """Print how often dependence is found at level .05; one null serves all pairs of ranks."""
    print(f"{'shape':10} {'rows':>6} {'here':>6} {'distance':>9} {'Hoeffding':>10}")
    for n in rows:
        rng, centred = np.random.default_rng(0), distances(n)
        null = [peers(*rng.normal(size=(2, n)), centred) for _ in range(2_000)]
        bars = np.quantile(null, 0.95, axis=0)
        for shape in SHAPES:
            samples = [shape(rng, n) for _ in range(pairs)]
            own = [
                column_tests([coded(x)], [coded(y)], permutations=permutations, seed=k).p_value
                for k, (x, y) in enumerate(samples)
            ]
            others = np.array([peers(x, y, centred) for x, y in samples]) > bars
            distance, hoeffding = others.mean(axis=0)
            here = np.mean(np.ravel(own) <= 0.05)
            print(
                f"{shape.__name__:10} {n:6,} {here:6.2f} {distance:9.2f} {hoeffding:10.2f}",
                flush=True,
            )


def speed(rows: list[int], pairs: int, permutations: int) -> None:
    """Print the seconds of a processor for all pairs of 100 columns."""
    for n in rows:
        rng = np.random.default_rng(0)
        table = [coded(rng.normal(size=n)) for _ in range(100)]
        started = time.process_time()
        tests = column_tests(table)
        seconds = time.process_time() - started
        print(f"100 columns of {n:,} rows: {seconds:.1f} s, {tests.permutations} permutations")


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("what", choices=["size", "power", "speed"])
    parser.add_argument("--rows", type=int, nargs="+", default=[200, 1_000])
    parser.add_argument("--pairs", type=int, default=1_000)
    parser.add_argument("--permutations", type=int, default=199)
    asked = parser.parse_args(words)
    {"size": size, "power": power, "speed": speed}[asked.what](
        asked.rows, asked.pairs, asked.permutations
    )


if __name__ == "__main__":
    main()
