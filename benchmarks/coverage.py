"""What certificates are worth, and whether they hold, where MI is known.

    python benchmarks/coverage.py oracle     the exact critic on the notebook's pair
    python benchmarks/coverage.py notebook   copulas fitted to past rows, the notebook's pair
    python benchmarks/coverage.py cells      how often a certificate is above the truth
    python benchmarks/coverage.py classes    the same with classes, 1,000 runs a cell
    python benchmarks/coverage.py controls   the same where a rule is broken: it must fail

Each prints a table, some minutes on one core; `--json FILE` writes it too, `--runs SHARE` scales
the number of repetitions.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy.special import logsumexp, ndtr

from infobound.data import Transform
from infobound.inference.certificates import Block, certificate
from infobound.inference.class_certificates import ClassBlock, class_certificate
from infobound.models.copulas import GaussianCopula

Rows = tuple[np.ndarray, np.ndarray]
Critic = Callable[[np.ndarray, np.ndarray], np.ndarray]
MOST = 2500  # rows of a block
NOTEBOOK = -3 * math.log(1 - 0.81)


def normals(rng: np.random.Generator, n: int, *, d: int = 6, rho: float = 0.9) -> Rows:
    x = rng.normal(size=(n, d))
    return x, rho * x + math.sqrt(1 - rho**2) * rng.normal(size=(n, d))


def exact(x: np.ndarray, y: np.ndarray, *, rho: float = 0.9) -> np.ndarray:
    """The exact log ratio of `normals`, (n, m)."""
    own = (x**2).sum(1)[:, None] + (y**2).sum(1)
    rest = 1 - rho**2
    return (rho * x @ y.T - rho**2 * own / 2) / rest - x.shape[1] / 2 * math.log(rest)


def copula(x: np.ndarray, y: np.ndarray) -> Critic:
    """The Gaussian copula fitted to rows, as a critic of other rows."""
    left, right = Transform.fit(x), Transform.fit(y)

    def scores(t: Transform, rows: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(t.normal_scores(rows))

    fitted = GaussianCopula.fit(scores(left, x), scores(right, y))
    return lambda a, b: fitted(scores(left, a), scores(right, b)).numpy()


def cross_fitted(x: np.ndarray, y: np.ndarray, folds: int = 5) -> np.ndarray:
    """Scores of all pairs of past rows, row by row from a copula that had not seen the row."""
    fold, scores = np.arange(len(x)) % folds, np.empty((len(x), len(x)))
    for k in range(folds):
        scores[fold == k] = copula(x[fold != k], y[fold != k])(x[fold == k], y)
    return scores


def learnt(x: np.ndarray, y: np.ndarray, cuts: tuple[float, ...]) -> list[Block]:
    """Blocks between the cuts; each one's critic is a copula fitted to all rows before it."""
    places = [round(cut * len(x)) for cut in (*cuts, 1.0)]
    blocks = []
    for start, stop in itertools.pairwise(places):
        critic, past = copula(x[:start], y[:start]), slice(max(0, start - 1000), start)
        tuning = cross_fitted(x[past], y[past])
        for part in np.array_split(np.arange(start, stop), math.ceil((stop - start) / MOST)):
            blocks.append(Block(critic(x[part], y[part]), tuning))
    return blocks


def known(x: np.ndarray, y: np.ndarray, critic: Critic, first: int) -> list[Block]:
    """Blocks of a critic that needs no fitting; the first rows choose the bets."""
    tuning = critic(x[: min(first, MOST)], y[: min(first, MOST)])
    parts = np.array_split(np.arange(first, len(x)), math.ceil((len(x) - first) / MOST))
    return [Block(critic(x[part], y[part]), tuning) for part in parts]


class Cell(NamedTuple):
    """Samples of known MI, how their blocks are made, and the bound that these give."""

    mi: Callable[[int], float]
    blocks: Callable[[np.random.Generator, int], list]
    bound: Callable[[list, int], float] = lambda blocks, seed: certificate(blocks, seed=seed)


def flips(n: int) -> float:
    """The rate of events that one block of n / 2 rows in twenty does not show."""
    return 1 - 0.05 ** (2 / n)


def bits(rng: np.random.Generator, n: int, bits: int) -> Rows:
    """y is x, one of 2^bits values, but for rare rows where y is drawn anew."""
    x = rng.integers(2**bits, size=(n, 1))
    anew = rng.uniform(size=(n, 1)) < flips(n)
    return x, np.where(anew, rng.integers(2**bits, size=(n, 1)), x)


def bits_mi(n: int, bits: int) -> float:
    values = 2**bits
    wrong = flips(n) / values
    right = 1 - flips(n) + wrong
    return math.log(values) + right * math.log(right) + (values - 1) * wrong * math.log(wrong)


def bits_critic(n: int, bits: int) -> Critic:
    values, wrong = 2**bits, flips(n) / 2**bits
    right = 1 - flips(n) + wrong
    return lambda x, y: np.log(values * np.where(x == y.T, right, wrong))


def halves(draw: Callable, critic: Callable[[int], Critic], mi: Callable[[int], float]) -> Cell:
    """A fixed critic; half of the rows choose the bets, half are the block."""
    return Cell(mi, lambda rng, n: known(*draw(rng, n), critic(n), n // 2))


def memorised(rng: np.random.Generator, n: int) -> list[Block]:
    """Copulas of 2 x 15 independent columns, whose bets are chosen on their training rows."""
    x, y = rng.normal(size=(2, n, 15))
    half = n // 2
    critic = copula(x[:half], y[:half])
    return [Block(critic(x[half:], y[half:]), critic(x[:half], y[:half]))]


def cauchy(rng: np.random.Generator, n: int) -> Rows:
    """Normals of correlation 0.6 with Cauchy margins: tan of pi (rank - 1/2)."""
    return tuple(np.tan(np.pi * (ndtr(z) - 0.5)) for z in normals(rng, n, d=1, rho=0.6))


CELLS: dict[str, Cell] = {
    "exact, d = 6, rho = .9": halves(normals, lambda n: exact, lambda n: NOTEBOOK),
    "exact, d = 1, rho = .3": halves(
        lambda rng, n: normals(rng, n, d=1, rho=0.3),
        lambda n: lambda x, y: exact(x, y, rho=0.3),
        lambda n: -0.5 * math.log(1 - 0.09),
    ),
    "1 bit, rare errors": halves(
        lambda rng, n: bits(rng, n, 1), lambda n: bits_critic(n, 1), lambda n: bits_mi(n, 1)
    ),
    "3 bits, rare errors": halves(
        lambda rng, n: bits(rng, n, 3), lambda n: bits_critic(n, 3), lambda n: bits_mi(n, 3)
    ),
    "constant critic": halves(
        normals, lambda n: lambda x, y: np.ones((len(x), len(y))), lambda n: NOTEBOOK
    ),
    "critic of the wrong sign": halves(
        normals, lambda n: lambda x, y: -exact(x, y), lambda n: NOTEBOOK
    ),
    "exact critic of other rows": halves(  # the critic for rho = .9, where there is nothing
        lambda rng, n: normals(rng, n, d=2, rho=0.0), lambda n: exact, lambda n: 0.0
    ),
    "memorised, independent": Cell(lambda n: 0.0, memorised),
    "Cauchy margins, critic x y": halves(
        cauchy, lambda n: lambda x, y: x @ y.T, lambda n: -0.5 * math.log(1 - 0.36)
    ),
    "copulas, d = 2, rho = .5": Cell(
        lambda n: -math.log(1 - 0.25),
        lambda rng, n: learnt(*normals(rng, n, d=2, rho=0.5), (0.25, 0.5, 0.75)),
    ),
}


def classes(k: int, apart: float, error: float, *, honest: bool = True) -> Cell:
    """k classes of unequal shares, normals `apart` from each other in one column.

    The critic is the exact log ratio plus a normal error of its own for each class. A quarter of
    the rows chooses the bets and tells the shares. Not honest: the critic has seen the classes.
    """
    shares = np.random.default_rng(k).dirichlet(np.full(k, 2.0))

    def draw(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        own = rng.choice(k, size=n, p=shares)
        return own, apart * own + rng.normal(size=n)

    def logs(x: np.ndarray) -> np.ndarray:
        return -0.5 * (x[:, None] - apart * np.arange(k)) ** 2

    def mi(_: int) -> float:
        own, x = draw(np.random.default_rng(0), 200_000)
        known = logs(x)
        return float((known[np.arange(len(own)), own] - logsumexp(known, axis=1, b=shares)).mean())

    def blocks(rng: np.random.Generator, n: int) -> list[ClassBlock]:
        own, x = draw(rng, n)
        ratios, first = logs(x) + error * rng.normal(size=k), n // 4
        past = np.log((np.bincount(own[:first], minlength=k) + 0.5) / (first + k / 2))
        if not honest:  # the critic knows the class
            ratios[np.arange(n), own] += 1.0
        tuning = ratios[:first], own[:first]
        return [ClassBlock(ratios[first:], own[first:], past, tuning)]

    return Cell(mi, blocks, lambda blocks, _: class_certificate(blocks))


CLASSES = {
    "2 classes": (classes(2, 1.0, 0.0), 100),
    "2 classes, independent": (classes(2, 0.0, 0.0), 100),
    "3 classes, far apart": (classes(3, 6.0, 0.0), 100),
    "5 classes": (classes(5, 2.0, 0.0), 200),
    "5 classes, wrong critic": (classes(5, 2.0, 0.5), 200),
    "10 classes": (classes(10, 3.0, 0.0), 400),
}


def own_rows(rng: np.random.Generator, n: int) -> list[Block]:
    """Broken: the critic was fitted to the block's own rows."""
    x, y = rng.normal(size=(2, n, 15))
    scores = copula(x, y)(x, y)
    return [Block(scores, scores)]


def repeated(rng: np.random.Generator, n: int) -> list[Block]:
    """Broken: rows are not independent; each of n / 5 rows stands in the sample some five times."""
    x, y = rng.normal(size=(2, n // 5, 15))
    drawn = rng.integers(n // 5, size=n)
    return learnt(x[drawn], y[drawn], (0.5,))


def seeds(name: str, count: int) -> list[np.random.Generator]:
    words = list(name.encode())
    return [np.random.default_rng([seed, *words]) for seed in range(count)]


def measure(name: str, n: int, count: int, cell: Cell) -> dict[str, object]:
    start = time.perf_counter()
    values = np.array(
        [cell.bound(cell.blocks(rng, n), s) for s, rng in enumerate(seeds(name, count))]
    )
    truth = cell.mi(n)
    above = float((values > truth).mean())
    row = {"cell": name, "n": n, "runs": count, "truth": truth, "mean": float(values.mean())}
    row |= {"sd": float(values.std(ddof=1)), "most": float(values.max()), "above": above}
    row |= {"limit": 0.05 + 2 * math.sqrt(0.05 * 0.95 / count)}
    row |= {"seconds": (time.perf_counter() - start) / count}
    print(
        f"{name:27} {n:6} {count:5} {truth:7.3f} {row['mean']:8.3f} {row['sd']:7.3f} "
        f"{row['most']:7.3f} {100 * above:6.1f} %  {100 * row['limit']:5.1f} %",
        flush=True,
    )
    return row


def oracle(n: int) -> Cell:
    """The exact critic; 200 more rows choose the bets, n are the blocks."""
    return Cell(lambda _: NOTEBOOK, lambda rng, n: known(*normals(rng, n + 200), exact, first=200))


def fitted(*cuts: float) -> Cell:
    return Cell(lambda n: NOTEBOOK, lambda rng, n: learnt(*normals(rng, n), cuts))


STUDIES: dict[str, list[tuple[str, int, int, Cell]]] = {
    "oracle": [
        ("exact critic", n, count, oracle(n))
        for n, count in ((200, 100), (400, 100), (1000, 50), (5000, 10), (50_000, 2))
    ],
    "notebook": [
        (name, n, count, fitted(*cuts))
        for name, cuts in {"quarters": (0.25, 0.5, 0.75), "growing": (0.15, 0.3, 0.6)}.items()
        for n, count in ((400, 200), (2000, 40), (20_000, 4))
    ],
    "cells": [
        (name, n, count, cell)
        for name, cell in CELLS.items()
        for n, count in ((50, 100), (200, 100), (1000, 60), (5000, 12))
    ],
    "controls": [
        (name, n, 40, Cell(lambda n: 0.0, blocks))
        for name, blocks in (("own rows", own_rows), ("every row five times", repeated))
        for n in (50, 200)
    ]
    + [("classes that were seen", 200, 40, classes(3, 0.5, 0.0, honest=False))],
    "classes": [(name, n, 1000, cell) for name, (cell, n) in CLASSES.items()],
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("study", choices=STUDIES)
    parser.add_argument("--runs", type=float, default=1.0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(
        "cell                          rows  runs   truth     mean      sd    most    above  limit"
    )
    rows = [
        measure(name, n, max(2, round(options.runs * count)), cell)
        for name, n, count, cell in STUDIES[options.study]
    ]
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
