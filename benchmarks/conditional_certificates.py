"""Certificates of I(X;Y|Z) where it is known: how often they are above it, and what they are worth.

    python benchmarks/conditional_certificates.py coverage   how often they are above the truth
    python benchmarks/conditional_certificates.py controls   the same where a rule is broken
    python benchmarks/conditional_certificates.py strata     the exact critic, by number of strata
    python benchmarks/conditional_certificates.py sampler    the exact critic, by number of draws

Each prints a table; `--runs SHARE` scales the number of repetitions, and `--cells PREFIX` selects
cells.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from infobound.inference.certificates import Block, certificate, certified, played
from infobound.inference.class_certificates import entropy_played
from infobound.inference.conditional_certificates import (
    SampledBlock,
    StratifiedBlock,
    conditional_certificate,
    less_entropy,
    sampled_scores,
)

Critic = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
MOST = 2500  # rows of a block


class Rows(NamedTuple):
    """Rows of x (n, d), y (n, d) and z (n,)."""

    x: np.ndarray
    y: np.ndarray
    z: np.ndarray

    def of(self, part: slice | np.ndarray) -> Rows:
        return Rows(self.x[part], self.y[part], self.z[part])


class World(NamedTuple):
    """Normals of correlation rho within a stratum; both means are `apart` times the stratum.

    Attributes:
        shares: the probabilities of the strata.
        rho: the correlations of the strata.
        apart: the distance of the means of neighbouring strata.
        d: the columns of x and of y.
    """

    shares: np.ndarray
    rho: np.ndarray
    apart: float = 4.0
    d: int = 1

    @property
    def mi(self) -> float:
        return abs(float(self.shares @ np.log(1 - self.rho**2)) * self.d / 2)

    def draw(self, rng: np.random.Generator, n: int) -> Rows:
        z = rng.choice(len(self.shares), size=n, p=self.shares)
        x, noise = rng.normal(size=(2, n, self.d))
        rho = self.rho[z][:, None]
        y, mean = rho * x + np.sqrt(1 - rho**2) * noise, self.apart * z[:, None]
        return Rows(x + mean, y + mean, z)

    def given(self, z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return self.apart * z[:, None] + rng.normal(size=(len(z), self.d))

    def exact(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """The exact log ratio p(y | x, z) / p(y | z); x (..., d) and y (..., d) broadcast."""
        mean, rho = self.apart * z[..., None], self.rho[z]
        a, b = x - mean, y - mean
        own = (a**2).sum(-1) + (b**2).sum(-1)
        rest = 1 - rho**2
        return (rho * (a * b).sum(-1) - rho**2 * own / 2) / rest - self.d / 2 * np.log(rest)

    def confounded(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """A critic that tells whether x and y are of one stratum: right about I(X;Y) alone."""
        return -((x - y) ** 2).sum(-1) / 4 + 2.0


class Bits(NamedTuple):
    """y is x + z modulo 8, but for errors so rare that a block in twenty shows none: y is anew."""

    rate: float
    shares: np.ndarray = np.full(4, 0.25)

    @property
    def hits(self) -> tuple[float, float]:
        """The probability of the right y, and of each wrong one."""
        return 1 - self.rate * 7 / 8, self.rate / 8

    @property
    def mi(self) -> float:
        right, wrong = self.hits
        return math.log(8) + right * math.log(right) + 7 * wrong * math.log(wrong)

    def draw(self, rng: np.random.Generator, n: int) -> Rows:
        z, x, other = rng.integers([[4], [8], [8]], size=(3, n))
        y = np.where(rng.uniform(size=n) < self.rate, other, (x + z) % 8)
        return Rows(x[:, None], y[:, None], z)

    def given(self, z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return rng.integers(8, size=(len(z), 1))

    def exact(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        return np.log(8 * np.where((x[..., 0] + z - y[..., 0]) % 8 == 0, *self.hits))


def even(strata: int, mi: float, **others: float) -> World:
    """A world of equally likely strata, each with this MI in one column."""
    rho = math.sqrt(1 - math.exp(-2 * mi))
    return World(np.full(strata, 1 / strata), np.full(strata, rho), **others)


def stratified(critic: Critic, rows: Rows, first: int) -> list[StratifiedBlock]:
    """Blocks of strata; the first rows choose the bets."""

    def scores(part: slice | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x, y, z = rows.of(part)
        return critic(x[:, None], y[None], z[:, None]), z

    tuning = scores(slice(first))
    parts = np.array_split(np.arange(first, len(rows.z)), -(-(len(rows.z) - first) // MOST))
    return [StratifiedBlock(*scores(part), tuning) for part in parts]


def sampled(
    critic: Critic,
    rows: Rows,
    first: int,
    *,
    given: Callable[[np.ndarray, np.random.Generator], np.ndarray],
    draws: int,
    seed: int,
) -> list[SampledBlock]:
    """A block whose negatives are drawn; the first rows choose the bet."""
    x, y, z = rows
    ups, downs = sampled_scores(critic, given, x=x, y=y, z=z, negatives=draws, seed=seed)
    return [SampledBlock(ups[first:], downs[first:], (ups[:first], downs[:first]))]


def fitted(rows: Rows) -> Critic:
    """A linear map from x to y, less their means: in many columns it memorises its rows."""
    mean = WIDE.apart * rows.z[:, None]
    weights = np.linalg.lstsq(rows.x - mean, rows.y - mean, rcond=None)[0]

    def critic(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        mean = WIDE.apart * z[..., None]
        return 3 * (((x - mean) @ weights) * (y - mean)).sum(-1)

    return critic


Draw = Callable[[np.random.Generator, int, int], float]  # a generator, rows, a seed: a certificate


def by_strata(world: World | Bits, critic: Critic) -> Draw:
    """Half of the rows choose the bets."""
    return lambda rng, n, seed: conditional_certificate(
        stratified(critic, world.draw(rng, n), n // 2), seed=seed
    )


def by_draws(world: World | Bits, critic: Critic, draws: int) -> Draw:
    return lambda rng, n, seed: conditional_certificate(
        sampled(critic, world.draw(rng, n), n // 2, given=world.given, draws=draws, seed=seed)
    )


def learnt(world: World, *, draws: int = 0, honest: bool = True) -> Draw:
    """The first half of the rows fits the critic; then as above. Not honest: fitted to all."""

    def draw(rng: np.random.Generator, n: int, seed: int) -> float:
        rows = world.draw(rng, n)
        critic = fitted(rows.of(slice(n // 2)) if honest else rows)
        later = rows.of(slice(n // 2, None))
        if draws:
            blocks = sampled(critic, later, n // 8, given=world.given, draws=draws, seed=seed)
            return conditional_certificate(blocks)
        return conditional_certificate(stratified(critic, later, n // 8), seed=seed)

    return draw


def both(world: World) -> Draw:
    """Strata and I((X,Z);Y) - H(Z), averaged, with the exact critic of each."""

    def joint(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        strata = np.arange(len(world.shares))
        y = y[..., None, :]
        density = np.exp(-((y - world.apart * strata[:, None]) ** 2).sum(-1) / 2) @ world.shares
        own = np.exp(-((y[..., 0, :] - world.apart * z[..., None]) ** 2).sum(-1) / 2)
        return world.exact(x, y[..., 0, :], z) + np.log(own) - np.log(density)

    def draw(rng: np.random.Generator, n: int, seed: int) -> float:
        rows, half = world.draw(rng, n), n // 2
        blocks = stratified(world.exact, rows, half)
        x, y, z = rows
        scores = [
            joint(x[p][:, None], y[p][None], z[p][:, None])
            for p in (slice(half, None), slice(half))
        ]
        count = len(world.shares)
        entropy = entropy_played([z[:half], z[half:]], count, level=0.95)
        of_all = played([Block(*scores)], level=0.95, seed=seed)
        less = less_entropy(of_all, entropy, math.log(count))
        return certified([played(blocks, level=0.95, seed=seed), less], level=0.95)

    return draw


NOTHING = even(4, 0.0)
WIDE = even(4, 0.0, d=15)
MIXED = World(np.array([0.05, 0.45, 0.45, 0.05]), np.array([0.99, 0.0, 0.3, 0.9]))
RARE = World(np.array([0.98, 0.02]), np.array([0.0, 0.999]))
COMMON = World(np.array([0.97, 0.03]), np.array([0.95, 0.95]))
MANY = World(np.full(60, 1 / 60), np.linspace(0, 0.95, 60))
BITS = Bits(1 - 0.05 ** (2 / 200))


def offset(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """The exact critic, wrong by a function of z and by its scale."""
    return 1.5 * MIXED.exact(x, y, z) + np.array([-1.0, 0.5, 2.0, 0.0])[z]


def partly_wrong(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """The exact critic of half of the strata; of the others, the wrong sign."""
    return np.where(z % 2, 1, -1) * MANY.exact(x, y, z)


def ignored(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """The critic of a world with dependence where there is none."""
    return even(4, 1.0).exact(x, y, z)


Cell = tuple[str, World | Bits, Draw, int]  # a name, what is drawn, how it is certified, rows
COVERAGE: list[Cell] = [
    ("strata: none, confounded critic", NOTHING, by_strata(NOTHING, NOTHING.confounded), 200),
    ("strata: none, critic of dependence", NOTHING, by_strata(NOTHING, ignored), 200),
    ("strata: none, overfitted, d = 15", WIDE, learnt(WIDE), 200),
    ("strata: unequal, exact", MIXED, by_strata(MIXED, MIXED.exact), 1000),
    ("strata: unequal, wrong offsets", MIXED, by_strata(MIXED, offset), 1000),
    ("strata: all in a rare one, exact", RARE, by_strata(RARE, RARE.exact), 1000),
    ("strata: 60, many lone rows", MANY, by_strata(MANY, MANY.exact), 400),
    ("strata: 60, wrong in half", MANY, by_strata(MANY, partly_wrong), 400),
    ("strata: rare errors", BITS, by_strata(BITS, BITS.exact), 200),
    ("strata, and less entropy", COMMON, both(COMMON), 400),
    ("sampler: none, confounded critic", NOTHING, by_draws(NOTHING, NOTHING.confounded, 10), 200),
    ("sampler: none, overfitted, d = 15", WIDE, learnt(WIDE, draws=10), 200),
    ("sampler: unequal, exact, 1 draw", MIXED, by_draws(MIXED, MIXED.exact, 1), 1000),
    ("sampler: unequal, exact, 10 draws", MIXED, by_draws(MIXED, MIXED.exact, 10), 1000),
    ("sampler: unequal, wrong offsets", MIXED, by_draws(MIXED, offset, 10), 1000),
    ("sampler: all in a rare one, exact", RARE, by_draws(RARE, RARE.exact, 10), 1000),
    ("sampler: rare errors", BITS, by_draws(BITS, BITS.exact, 10), 200),
]


def unconditional(rng: np.random.Generator, n: int, seed: int) -> float:
    """Broken: strata are ignored."""
    x, y, z = NOTHING.draw(rng, n)
    scores = NOTHING.confounded(x[:, None], y[None], z[:, None])
    half = n // 2
    return certificate([Block(scores[half:, half:], scores[:half, :half])], seed=seed)


def misdrawn(rng: np.random.Generator, n: int, seed: int) -> float:
    """Broken: x is drawn from p(x), not from p(x|z)."""

    def given(z: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        return NOTHING.given(generator.integers(4, size=len(z)), generator)

    rows = NOTHING.draw(rng, n)
    blocks = sampled(NOTHING.confounded, rows, n // 2, given=given, draws=10, seed=seed)
    return conditional_certificate(blocks)


CONTROLS: list[Cell] = [
    ("the strata are ignored", NOTHING, unconditional, 200),
    ("strata: the critic was fitted to its rows", WIDE, learnt(WIDE, honest=False), 200),
    ("sampler: x is drawn from p(x)", NOTHING, misdrawn, 200),
    ("sampler: the critic was fitted to its rows", WIDE, learnt(WIDE, draws=10, honest=False), 200),
]


def strata_power(world: World, rng: np.random.Generator, n: int, seed: int) -> float:
    """The exact critic; 200 more rows choose the bets."""
    blocks = stratified(world.exact, world.draw(rng, n + 200), 200)
    return conditional_certificate(blocks, seed=seed)


def sampler_power(
    world: World, rng: np.random.Generator, n: int, seed: int, *, draws: int
) -> float:
    rows = world.draw(rng, n + 200)
    blocks = sampled(world.exact, rows, 200, given=world.given, draws=draws, seed=seed)
    return conditional_certificate(blocks)


STUDIES: dict[str, tuple[list[Cell], int]] = {
    "coverage": (COVERAGE, 300),
    "controls": (CONTROLS, 40),
    "strata": (
        [
            (f"{k} strata", even(k, mi), partial(strata_power, even(k, mi)), n)
            for k in (2, 4, 10, 100)
            for n in (1000, 5000)
            for mi in (0.5, 1.0)
        ],
        20,
    ),
    "sampler": (
        [
            (f"{m} draws", even(4, mi), partial(sampler_power, even(4, mi), draws=m), n)
            for m in (1, 10, 100)
            for n in (1000, 5000)
            for mi in (0.5, 1.0, 3.0)
        ],
        20,
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("study", choices=STUDIES)
    parser.add_argument("--runs", type=float, default=1.0)
    parser.add_argument("--cells", default="", help="how the names of the cells begin")
    options = parser.parse_args()
    cells, count = STUDIES[options.study]
    runs = max(2, round(options.runs * count))
    print("| cell | rows | runs | truth | mean | of the truth | sd | largest | above the truth |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    for name, world, draw, n in cells:
        if not name.startswith(options.cells):
            continue
        seeds = [np.random.default_rng([seed, n, *name.encode()]) for seed in range(runs)]
        values = np.array([draw(rng, n, seed) for seed, rng in enumerate(seeds)])
        truth, mean = world.mi, float(values.mean())
        share = f"{100 * mean / truth:.0f} %" if truth else ""
        print(
            f"| {name} | {n:,} | {runs} | {truth:.3f} | {mean:.3f} | {share} | "
            f"{values.std(ddof=1):.3f} | {values.max():.3f} | "
            f"{100 * (values > truth).mean():.1f} % |",
            flush=True,
        )


if __name__ == "__main__":
    main()
