"""Seconds of an estimate with its defaults, beside scikit-learn's in the same process.

    python benchmarks/defaults.py --sizes 1000 10000

Six kinds of rows: one, 5 and 25 pairs of normal columns, cubes of three, a sine of one column, and
four columns bent by another. The yardstick is scikit-learn's nearest-neighbour estimate of 20 pairs
of columns of 10,000 rows. Machines differ by a factor of three; ratios to it differ by less.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from common import Spread, bars, finish, parser, table, timed, yardstick

from infobound import estimate

Rows = tuple[np.ndarray, np.ndarray]
Draw = Callable[[np.random.Generator, int], Rows]


def normals(d: int, rho: float, shape: Callable[[np.ndarray], np.ndarray] = lambda y: y) -> Draw:
    """d pairs of normal columns, and a function of y."""

    def draw(rng: np.random.Generator, n: int) -> Rows:
        x, noise = rng.normal(size=(2, n, d))
        return x, shape(rho * x + np.sqrt(1 - rho**2) * noise)

    return draw


def sine(rng: np.random.Generator, n: int) -> Rows:
    """A sine with noise."""
    x = rng.uniform(-2, 2, size=(n, 1))
    return x, np.sin(4 * x) + 0.3 * rng.normal(size=(n, 1))


def bent(y: np.ndarray) -> np.ndarray:
    """Shift all columns but the first by a sine of the first."""
    return np.hstack([y[:, :1], y[:, 1:] + np.sin(2 * y[:, :1])])


KINDS: dict[str, Draw] = {
    "1 pair": normals(1, 0.75),
    "5 pairs": normals(5, 0.5),
    "cubes of 3": normals(3, 0.6, lambda y: y**3),
    "25 pairs": normals(25, 0.3),
    "sine": sine,
    "4 bent": normals(4, 0.8, bent),
}


def main(words: Sequence[str] | None = None) -> None:
    """Time the estimates of each size and print them as a table."""
    arguments = parser(__doc__)
    arguments.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000])
    arguments.add_argument("--seed", type=int, default=1)
    options = arguments.parse_args(words)
    torch.set_num_threads(options.threads)
    found = []
    for n in options.sizes:
        unit, seconds = yardstick()[0], {}
        for kind, draw in KINDS.items():
            x, y = draw(np.random.default_rng(options.seed), n)
            seconds[kind] = timed(lambda x=x, y=y: estimate(x, y))
        unit = (unit + yardstick()[0]) / 2
        ratios = {kind: each / unit for kind, each in seconds.items()}
        found.append({"n": n, "yardstick": unit, "seconds": seconds, "ratios": ratios})
    table(
        ["N", *KINDS, "yardstick, s", "median ratio", "largest ratio"],
        [
            [
                f"{row['n']:,}",
                *(f"{each:.1f} s" for each in row["seconds"].values()),
                f"{row['yardstick']:.2f}",
                f"{statistics.median(row['ratios'].values()):.1f}",
                f"{max(row['ratios'].values()):.1f}",
            ]
            for row in found
        ],
    )
    finish(options, found, picture)


def picture(figure: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    """Draw the ratio of each kind of rows, a group of bars per size."""
    names = [f"{kind}, N = {row['n']:,}" for row in rows for kind in row["ratios"]]
    spreads = [Spread.of([each]) for row in rows for each in row["ratios"].values()]
    bars(figure.add_subplot(), names, spreads, "seconds, relative to the yardstick")


if __name__ == "__main__":
    main()
