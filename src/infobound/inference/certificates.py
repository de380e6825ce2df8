"""Certified mutual information: a lower bound that holds with a stated probability.

Held-out scores -> nats, by betting. A certificate assumes rows drawn independently from one
distribution, and nothing about that distribution or the critic; the proof is in
`docs/certificate.md`. Where critics come from is not known here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logsumexp

from infobound._system import arguments
from infobound.data.containers import as_array
from infobound.errors import InputError

__all__ = ["Bet", "Block", "certificate", "choose_bet", "log_wealth"]

PAIRINGS = 64  # random ways of pairing a block's rows, over which the wealth is averaged
REHEARSALS = 4000  # pairs of tuning rows on which a bet is chosen
ROUNDS = 3  # times that a bet is chosen anew for the value that it can reach
CAPS = (0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0)  # where the search for a bet may start, nats
STEPS = (-0.2, 0.3, -0.5, 0.3, 0.5)  # its first ones: slope, shift, floor, cap, log odds of share


@dataclass(frozen=True, eq=False)
class Block:
    """A critic's scores of rows that it had not seen when it was fixed.

    Attributes:
        scores: (n, n), scores[i, j] = f(x_i, y_j), nats; row i of x belongs to row i of y.
        tuning: (k, k), scores of rows of the past, by the same critic or one like it. They choose
            how to bet; nothing is assumed of them but that they know no row of this block or later.

    Raises:
        InputError: scores that are not square, too few, or not numbers (-inf is allowed).

    Example:
        >>> Block(np.eye(3), np.zeros((2, 2))).scores.shape
        (3, 3)
    """

    scores: np.ndarray
    tuning: np.ndarray

    def __post_init__(self) -> None:
        """Check both, and keep them as float64."""
        for name in ("scores", "tuning"):
            object.__setattr__(self, name, _checked(name, getattr(self, name)))


@dataclass(frozen=True)
class Bet:
    """How a score is bent and clipped, and what share of the wealth is at stake.

    With s = slope (f - shift), clipped to [floor, cap], the value of two rows 1 and 2 is
    W = (s_11 + s_22) / 2 - (e^s_12 + e^s_21) / 2 + 1, whose mean is at most I(X;Y): the bound of
    Nguyen, Wainwright and Jordan, https://arxiv.org/abs/0809.0853.

    Example:
        >>> bet = Bet(slope=1.0, shift=0.0, floor=-1.0, cap=1.0, share=0.5)
        >>> bet.values(np.array([9.0, 9.0]), np.array([-9.0, -9.0]))  # 1 - 1/e + 1
        array(1.63212056)
    """

    slope: float  # what a shifted score is multiplied by: below 1 for a critic too sure of itself
    shift: float  # what is subtracted first: near the log of the negatives' mean e^f, nats
    floor: float  # the least that s can be, nats
    cap: float  # the most, nats
    share: float  # of the wealth that is at stake, in [0, 1)

    @property
    def least(self) -> float:
        """The smallest value that a pair of rows can have, nats."""
        return self.floor - math.exp(self.cap) + 1

    def values(self, positives: np.ndarray, negatives: np.ndarray) -> np.ndarray:
        """W of pairs of rows: positives and negatives (..., 2) -> (...), nats."""
        up, down = (
            (self.slope * (f - self.shift)).clip(self.floor, self.cap)
            for f in (positives, negatives)
        )
        gap = up - np.exp(down)
        return np.asarray((gap[..., 0] + gap[..., 1]) / 2 + 1)

    def log_factors(self, values: np.ndarray, mi: float) -> np.ndarray:
        """By what a pair of value W (...) multiplies the wealth if I(X;Y) <= mi, as logs (...).

        The factor 1 - share + share (W - least) / (mi - least) is never negative, falls in mi, and
        its mean is at most 1 if I(X;Y) <= mi.
        """
        return np.log1p(self.share * ((values - self.least) / (mi - self.least) - 1))


def certificate(blocks: Sequence[Block], *, level: float = 0.95, seed: int = 0) -> float:
    """A lower bound on I(X;Y), nats, that is above it in at most a share 1 - level of samples.

    The wealth of a bettor against "I(X;Y) <= m" is multiplied from block to block, and has mean at
    most 1 if that is true; the certificate is the largest m at which it reaches 1 / (1 - level).

    Args:
        blocks: in sequence. Each one's critic and tuning scores may depend on rows of earlier
            blocks and on other rows, never on rows of its own block or of later ones.
        level: the confidence, in (0, 1).
        seed: of the random pairings; fix it beforehand, since the best of many seeds is biased.

    Returns:
        The certificate, nats; 0.0 where nothing can be certified.

    Raises:
        InputError: no blocks, or a level outside (0, 1).

    Source: Waudby-Smith and Ramdas 2024, https://arxiv.org/abs/2010.09686 (means by betting);
    McAllester and Stratos 2020, https://arxiv.org/abs/1811.04251 (no bound is far above log n).

    Example:
        >>> x = np.random.default_rng(0).integers(4, size=300)  # y = x: I(X;Y) = log 4 = 1.386
        >>> scores = np.log(np.where(x[:, None] == x, 4.0, 1e-9))
        >>> round(certificate([Block(scores[100:, 100:], scores[:100, :100])]), 1)
        1.0
    """
    if not 0 < level < 1:
        raise InputError(f"Expected a level between 0 and 1; got {level}. The usual one is 0.95.")
    blocks, seed = arguments.listed("blocks", blocks), arguments.seed("seed", seed)
    goal, generator = -math.log1p(-level), np.random.default_rng(seed)
    played: list[Callable[[float], float]] = []
    highest = 0.0

    def gain(mi: float) -> float:
        return sum(wealth(mi) for wealth in played)

    for k, block in enumerate(blocks):
        rows = sum(len(later.scores) for later in blocks[k:])
        bet = choose_bet(block.tuning, rows, lambda mi: goal - gain(mi), generator)
        played.append(log_wealth(block.scores, bet, generator))
        highest = max(highest, bet.cap + 1)
    return _last(lambda mi: gain(mi) >= goal, highest)


def log_wealth(
    scores: np.ndarray, bet: Bet, generator: np.random.Generator
) -> Callable[[float], float]:
    """The log of the wealth that a bet makes of 1 on a block's scores (n, n), as a function of mi.

    Pairs of rows are independent, so their factors multiply; the products of `PAIRINGS` random
    pairings are averaged.

    Example:
        >>> bet = Bet(slope=1.0, shift=0.0, floor=-1.0, cap=1.0, share=0.5)
        >>> wealth = log_wealth(9 * np.eye(20) - 5, bet, np.random.default_rng(0))
        >>> wealth(0.5) > 0 > wealth(1.8)
        True
    """
    order = generator.random((PAIRINGS, len(scores))).argsort(axis=1)
    half = len(scores) // 2
    values = bet.values(*_pairs(scores, order[:, :half], order[:, half : 2 * half]))

    def at(mi: float) -> float:
        return float(logsumexp(bet.log_factors(values, mi).sum(axis=1)) - math.log(PAIRINGS))

    return at


def choose_bet(
    tuning: np.ndarray,
    rows: int,
    needed: Callable[[float], float],
    generator: np.random.Generator,
) -> Bet:
    """The bet that should certify most on the rows to come, by rehearsal on tuning scores (k, k).

    `rows` are still to come, in this block and later ones, and must yield a log wealth of
    `needed(mi)` to certify mi.

    Example:
        >>> generator = np.random.default_rng(0)
        >>> bet = choose_bet(9 * np.eye(20) - 5, 200, lambda mi: 3.0, generator)
        >>> bet.shift < 0 < bet.share < 1  # the negatives' scores are five too low
        True
    """
    first = generator.integers(len(tuning), size=REHEARSALS)
    second = (first + generator.integers(1, len(tuning), size=REHEARSALS)) % len(tuning)
    caps = [cap for cap in CAPS if cap < 1 + math.log(rows)]
    grid = np.linspace(0, caps[-1] + 1, 33)
    needs = np.array([needed(mi) for mi in grid])
    rehearsal = _Rehearsal(*_pairs(tuning, first, second), rows, grid, needs)
    shift = float(logsumexp(rehearsal.negatives) - math.log(2 * REHEARSALS))
    shift = shift if math.isfinite(shift) else 0.0
    starts = [np.array([1.0, shift, -1.3 * cap, cap, -1.0]) for cap in caps]
    best = max(starts, key=rehearsal.rank)
    for _ in range(ROUNDS):
        best = rehearsal.improve(best)
    return _bet(best)


@dataclass(frozen=True, eq=False)
class _Rehearsal:
    """Pairs of tuning rows (r, 2), the rows to come, and the log wealth that they must yield."""

    positives: np.ndarray
    negatives: np.ndarray
    rows: int
    grid: np.ndarray
    needs: np.ndarray

    def growth(self, bet: Bet, values: np.ndarray, mi: float) -> float:
        """The log wealth to expect against mi; one more pair, the worst possible, is added."""
        logs = bet.log_factors(values, mi).sum() + math.log1p(-bet.share)
        return self.rows / 2 * float(logs) / (len(values) + 1)

    def values(self, bet: Bet) -> np.ndarray:
        return bet.values(self.positives, self.negatives)

    def reach(self, bet: Bet) -> float:
        """The largest mi that the bet can be expected to certify, nats."""
        values = self.values(bet)

        def reached(mi: float) -> bool:
            return bool(self.growth(bet, values, mi) >= np.interp(mi, self.grid, self.needs))

        return _last(reached, self.grid[-1])

    def rank(self, numbers: np.ndarray) -> tuple[float, float]:
        """What a bet can reach, and where that is nothing, how it grows against zero."""
        bet = _bet(numbers)
        return self.reach(bet), self.growth(bet, self.values(bet), 0.0)

    def improve(self, numbers: np.ndarray) -> np.ndarray:
        """The bet of most growth against what these numbers' bet can reach."""
        mi = self.reach(_bet(numbers))

        def loss(candidate: np.ndarray) -> float:
            bet = _bet(candidate)
            return -self.growth(bet, self.values(bet), mi)

        simplex = numbers + np.vstack([np.zeros(len(STEPS)), np.diag(STEPS)])
        options = {"maxiter": 120, "xatol": 0.01, "fatol": 0.003, "initial_simplex": simplex}
        return np.asarray(minimize(loss, numbers, method="Nelder-Mead", options=options).x)


def _bet(numbers: np.ndarray) -> Bet:
    """A bet of any five numbers; the last is the log odds of the share."""
    slope, shift, floor, cap, odds = map(float, numbers)
    cap = min(max(cap, 0.0), 12.0)
    floor = min(max(floor, -30.0), cap - 0.1)
    return Bet(min(max(slope, 0.05), 5.0), shift, floor, cap, min(float(expit(odds)), 0.999))


def _pairs(scores: np.ndarray, i: np.ndarray, j: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positives and negatives (..., 2) of the pairs of rows i and j (...)."""
    own = scores.diagonal()
    pairs = np.stack([own[i], own[j]], -1), np.stack([scores[i, j], scores[j, i]], -1)
    return pairs[0].astype(np.float64), pairs[1].astype(np.float64)


def _last(holds: Callable[[float], bool], high: float) -> float:
    """The largest number in [0, high] where a property holds that, once lost, stays lost."""
    if not holds(0.0):
        return 0.0
    low = 0.0
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def _checked(name: str, scores: np.ndarray) -> np.ndarray:
    scores = as_array(name, scores)
    if scores.ndim != 2 or len(scores) != scores.shape[1] or len(scores) < 2:
        raise InputError(
            f"Expected square {name} (n, n) of two rows or more; got shape {scores.shape}. Score "
            "every x of the block against every y of it."
        )
    bad = np.count_nonzero(np.isnan(scores) | (scores == math.inf))
    if bad:
        raise InputError(
            f"Expected {name} that are finite or -inf; got {bad} that are NaN or inf. Check the "
            "critic's inputs and its training."
        )
    return scores
