"""Certified mutual information: a lower bound that holds with a stated probability.

Held-out scores are turned into a lower bound in nats by betting. A certificate assumes that rows
are drawn independently from one distribution, and nothing about that distribution or the critic;
the proof is in `docs/certificate.md`. This module does not depend on how critics are trained.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import expit, logsumexp

from infobound._system import arguments
from infobound.data.containers import as_array
from infobound.errors import InputError

__all__ = [
    "TUNING_PAIRS",
    "Bet",
    "Bettable",
    "Block",
    "Wealth",
    "average",
    "best_bet",
    "certificate",
    "certified",
    "choose_bet",
    "finite_scores",
    "largest",
    "log_wealth",
    "mixed_values",
    "paired",
    "played",
    "square_scores",
]

PAIRINGS = 64  # random pairings of a block's rows, over which the wealth is averaged
TUNING_PAIRS = 4000  # pairs of tuning rows on which a bet is chosen
BET_ROUNDS = 3  # number of optimisations of a bet, each for the MI that the last one can certify
BET_STEPS = {"maxiter": 40, "ftol": 1e-4}  # of L-BFGS-B in each
CAPS = (0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0)  # caps from which the search may start, nats
# Of slope, shift, clipping below and above it (of scores, in nats), log odds of share.
LIMITS = ((0.05, 5.0), (None, None), (0.1, 60.0), (0.0, 60.0), (-12.0, 6.9))


class Bettable(Protocol):
    """Scores of a block of rows on which `played` can bet.

    The mean of the wealth must be at most 1 against a true hypothesis, whatever the bet is.
    """

    def __len__(self) -> int:
        """Return the number of rows."""

    def choose(
        self, rows: int, needed: Callable[[float], float], generator: np.random.Generator
    ) -> Bet:
        """Choose a bet without the scores of the block; arguments as in `choose_bet`."""

    def log_wealth(self, bet: Bet, generator: np.random.Generator) -> Callable[[float], float]:
        """Return the log wealth of the bet as a decreasing function of the MI bet against."""


@dataclass(frozen=True, eq=False)
class Block:
    """A critic's scores of rows that it had not seen when it was fixed.

    Attributes:
        scores: (n, n), scores[i, j] = f(x_i, y_j) in nats. Row i of x belongs to row i of y.
        tuning: (k, k), scores of past rows by the same critic or a similar one, in nats. The bet is
            chosen on them. The only assumption is that they do not depend on any row of this block
            or of later ones.

    Raises:
        InputError: If either matrix is not square, has fewer than two rows, or contains NaN or inf
            (-inf is allowed).

    Example:
        >>> Block(np.eye(3), np.zeros((2, 2))).scores.shape
        (3, 3)
    """

    scores: np.ndarray
    tuning: np.ndarray

    def __post_init__(self) -> None:
        """Validate both matrices and store them as arrays."""
        for name in ("scores", "tuning"):
            object.__setattr__(self, name, square_scores(name, getattr(self, name)))

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.scores)

    def choose(
        self, rows: int, needed: Callable[[float], float], generator: np.random.Generator
    ) -> Bet:
        """Choose a bet on the tuning scores; see `choose_bet`."""
        return choose_bet(self.tuning, rows, needed, generator)

    def log_wealth(self, bet: Bet, generator: np.random.Generator) -> Callable[[float], float]:
        """Bet on pairs of rows of the block; see the function `log_wealth`."""
        return log_wealth(self.scores, bet, generator)


@dataclass(frozen=True)
class Bet:
    """Affine map, clipping range and stake of a bet.

    With s = slope (f - shift), clipped to [floor, cap], the value of two rows 1 and 2 is
    W = (s_11 + s_22) / 2 - (e^s_12 + e^s_21) / 2 + 1, whose mean is at most I(X;Y): the bound of
    Nguyen, Wainwright and Jordan, https://arxiv.org/abs/0809.0853.

    Attributes:
        slope: multiplies the shifted score; below 1 for an overconfident critic.
        shift: subtracted from the score; near the log mean of e^f over negatives, in nats.
        floor: the smallest value of s, in nats.
        cap: the largest value of s, in nats.
        share: the fraction of the wealth that is staked, in [0, 1).
        mixed: the share of the draws' own mean in the normaliser of values whose negatives are
            draws from one distribution, in [0, 1]; 0 for pairs of rows. See `mixed_values`.

    Example:
        >>> bet = Bet(slope=1.0, shift=0.0, floor=-1.0, cap=1.0, share=0.5)
        >>> bet.values(np.array([9.0, 9.0]), np.array([-9.0, -9.0]))  # 1 - 1/e + 1
        array(1.63212056)
    """

    slope: float
    shift: float
    floor: float
    cap: float
    share: float
    mixed: float = 0.0

    @property
    def least(self) -> float:
        """A value that W is never below, in nats; with `mixed` = 0 the smallest possible one."""
        most = math.exp(self.cap)
        norm = 1 - self.mixed + self.mixed * most
        return self.floor - math.log(norm) - most / norm + 1

    def values(self, positives: np.ndarray, negatives: np.ndarray) -> np.ndarray:
        """Return the values W: the means of s over positives minus e^s over negatives, plus 1.

        Args:
            positives: (..., k), for a pair of rows the scores f_11 and f_22.
            negatives: (..., m), for a pair of rows the scores f_12 and f_21. k is m or 1.

        Returns:
            (...), in nats.
        """
        up, down = self._clipped(positives), self._clipped(negatives)
        if self.mixed:
            return mixed_values(up[..., 0], down, self.mixed)
        gap = up - torch.from_numpy(down).exp_().numpy()  # twice as fast as NumPy on AVX2
        count = gap.shape[-1]
        return np.asarray(gap @ np.full(count, 1 / count) + 1)  # a mean along short rows, but fast

    def _clipped(self, scores: np.ndarray) -> np.ndarray:
        """Return s for scores f, of the same shape."""
        found: np.ndarray = np.subtract(scores, self.shift, dtype=np.float64)
        found *= self.slope
        np.maximum(found, self.floor, out=found)
        np.minimum(found, self.cap, out=found)
        return found

    def log_factors(self, values: np.ndarray, mi: float) -> np.ndarray:
        """Return the log factors by which pairs multiply the wealth against "I(X;Y) <= mi".

        The factor 1 - share + share (W - least) / (mi - least) is never negative, decreases in mi,
        and its mean is at most 1 if I(X;Y) <= mi.

        Args:
            values: (...), the values W of the pairs, in nats.
            mi: the hypothesis bet against, in nats.

        Returns:
            (...), the logs of the factors.
        """
        least = self.least
        stake = self.share / (mi - least)
        factors = stake * values
        factors += 1 - self.share - stake * least
        return np.asarray(np.log(factors))  # each is at least 1 - share, and log1p is slower


def certificate(blocks: Sequence[Block], *, level: float = 0.95, seed: int = 0) -> float:
    """Return a lower bound on I(X;Y) that holds with probability `level`.

    The bound exceeds I(X;Y) in at most a fraction 1 - level of samples. The wealth of a bettor
    against "I(X;Y) <= m" is multiplied from block to block and has mean at most 1 if the hypothesis
    is true. The certificate is the largest m at which the wealth reaches 1 / (1 - level).

    Args:
        blocks: the blocks in sequence. The critic and the tuning scores of a block may depend on
            rows of earlier blocks and on other rows, never on rows of its own block or of later
            ones.
        level: the confidence level, in (0, 1).
        seed: seed of the random pairings. Fix it beforehand: the best of many seeds is biased.

    Returns:
        The certificate in nats; 0.0 if nothing can be certified.

    Raises:
        InputError: If there are no blocks, or the level is outside (0, 1).

    Source: Waudby-Smith and Ramdas 2024, https://arxiv.org/abs/2010.09686 (means by betting);
    McAllester and Stratos 2020, https://arxiv.org/abs/1811.04251 (no bound is far above log n).

    Example:
        >>> x = np.random.default_rng(0).integers(4, size=300)  # y = x: I(X;Y) = log 4 = 1.386
        >>> scores = np.log(np.where(x[:, None] == x, 4.0, 1e-9))
        >>> round(certificate([Block(scores[100:, 100:], scores[:100, :100])]), 1)
        1.0
    """
    return certified([played(blocks, level=level, seed=seed)], level=level)


class Wealth(NamedTuple):
    """The wealth of a bettor against "the MI is at most mi", with mean at most 1 if that is true.

    Attributes:
        log_wealth: maps mi in nats to the log of the wealth, or to a lower bound on it.
        highest: an upper limit of what can be certified, in nats.
    """

    log_wealth: Callable[[float], float]
    highest: float


def certified(wealths: Sequence[Wealth], *, level: float) -> float:
    """Return the largest MI against which the average wealth of several bettors is 1 / (1 - level).

    Each wealth has mean at most 1 if the hypothesis is true, and so has their average.

    Example:
        >>> round(certified([Wealth(lambda mi: 4 - mi, 9.0)], level=0.95), 3)  # 4 - log 20
        1.004
    """
    goal, count = -math.log1p(-level), math.log(len(wealths))

    def holds(mi: float) -> bool:
        logs = [wealth.log_wealth(mi) for wealth in wealths]
        return bool(np.logaddexp.reduce(logs) - count >= goal)

    return largest(holds, max(wealth.highest for wealth in wealths))


def played(blocks: Sequence[Bettable], *, level: float, seed: int) -> Wealth:
    """Bet on the rows of the blocks, in sequence; see `certificate`."""
    level = arguments.real("level", level, "(0, 1)")
    blocks, seed = arguments.listed("blocks", blocks), arguments.seed("seed", seed)
    goal, generator = -math.log1p(-level), np.random.default_rng(seed)
    wealths: list[Callable[[float], float]] = []
    highest = 0.0

    def gain(mi: float) -> float:
        return sum(wealth(mi) for wealth in wealths)

    for k, block in enumerate(blocks):
        rows = sum(map(len, blocks[k:]))
        bet = block.choose(rows, lambda mi: goal - gain(mi), generator)
        wealths.append(block.log_wealth(bet, generator))
        highest = max(highest, bet.cap + 1)
    return Wealth(gain, highest)


def log_wealth(
    scores: np.ndarray, bet: Bet, generator: np.random.Generator
) -> Callable[[float], float]:
    """Return the log wealth of a bet on one block as a function of the MI that is bet against.

    The wealth starts at 1. Disjoint pairs of rows are independent, so their factors multiply; the
    products are averaged over `PAIRINGS` random pairings.

    Args:
        scores: (n, n), the scores of the block, in nats.
        bet: the bet, chosen without these scores.
        generator: draws the pairings.

    Returns:
        A function that takes an MI in nats and returns the log wealth.

    Example:
        >>> bet = Bet(slope=1.0, shift=0.0, floor=-1.0, cap=1.0, share=0.5)
        >>> wealth = log_wealth(9 * np.eye(20) - 5, bet, np.random.default_rng(0))
        >>> wealth(0.5) > 0 > wealth(1.8)
        True
    """
    order = generator.random((PAIRINGS, len(scores))).argsort(axis=1)
    half = len(scores) // 2
    values = bet.values(*paired(scores, order[:, :half], order[:, half : 2 * half]))

    return lambda mi: average(bet.log_factors(values, mi).sum(axis=1))


def average(logs: np.ndarray) -> float:
    """Return the log of the average wealth, from the log wealths (p,) of p pairings.

    Example:
        >>> round(average(np.log([1.0, 3.0])), 3)  # log 2
        0.693
    """
    return float(np.logaddexp.reduce(logs) - math.log(len(logs)))


def choose_bet(
    tuning: np.ndarray,
    rows: int,
    needed: Callable[[float], float],
    generator: np.random.Generator,
) -> Bet:
    """Choose the bet that is expected to certify the largest MI, by simulation on tuning scores.

    Args:
        tuning: (k, k), scores of past rows, in nats.
        rows: the number of rows still to come, in this block and later ones.
        needed: the log wealth that these rows must yield to certify an MI, as a function of it.
        generator: draws the pairs of tuning rows.

    Returns:
        The bet.

    Example:
        >>> generator = np.random.default_rng(0)
        >>> bet = choose_bet(9 * np.eye(20) - 5, 200, lambda mi: 3.0, generator)
        >>> bet.floor < 0 < bet.cap, 0.9 < bet.share < 1  # the critic is certain, and never wrong
        (True, True)
    """
    first = generator.integers(len(tuning), size=TUNING_PAIRS)
    second = (first + generator.integers(1, len(tuning), size=TUNING_PAIRS)) % len(tuning)
    return best_bet(*paired(tuning, first, second), bets=rows / 2, needed=needed)


def best_bet(
    positives: np.ndarray,
    negatives: np.ndarray,
    *,
    bets: float,
    needed: Callable[[float], float],
    mixed: Sequence[float] = (0.0,),
) -> Bet:
    """Choose the bet that is expected to certify the largest MI, from a sample of past values.

    Args:
        positives: (r, k), the scores of each value, in nats, as in `Bet.values`.
        negatives: (r, m), in nats.
        bets: the number of values still to come.
        needed: the log wealth that these must yield to certify an MI, as a function of it.
        mixed: the choices of `Bet.mixed`.

    Returns:
        The bet.

    Example:
        >>> bet = best_bet(np.ones((9, 1)), np.full((9, 4), -5.0), bets=200, needed=lambda mi: 3.0)
        >>> bet.cap > 1 > bet.floor
        True
    """
    caps = [cap for cap in CAPS if cap < 1 + math.log(2 * bets)]
    grid = np.linspace(0, caps[-1] + 1, 33)
    needs = np.array([needed(mi) for mi in grid])
    shift = float(logsumexp(negatives) - math.log(negatives.size))
    shift = shift if math.isfinite(shift) else 0.0
    starts = [np.array([1.0, shift, 1.3 * cap, cap, -1.0]) for cap in caps]
    found: list[tuple[tuple[float, float], Bet]] = []
    for share in mixed:
        rehearsal = _BetSearch(positives, negatives, bets, grid, needs, share)
        best = max(starts, key=rehearsal.rank)
        for _ in range(BET_ROUNDS):
            best = rehearsal.improve(best)
        found.append((rehearsal.rank(best), _bet(best, share)))
    return max(found, key=lambda ranked: ranked[0])[1]


def mixed_values(positives: np.ndarray, negatives: np.ndarray, mixed: float) -> np.ndarray:
    """Return values whose scores are normalised by the mean of e^s over draws and a constant.

    With D(u) = 1 - mixed + mixed u, the value is s - log D(a) - b / D(b) + 1: b is the mean of e^s
    over the m draws, a that over the positive and all draws but the last. Its mean is at most the
    MI. At `mixed` = 0 it is the bound of Nguyen, Wainwright and Jordan, at 1 that of InfoNCE.

    Args:
        positives: (...), the scores s, in nats.
        negatives: (..., m), scores of m draws from the distribution of x that they have in common.
        mixed: the share of the mean in the normaliser.

    Returns:
        (...), in nats.

    Source: Poole et al. 2019, https://arxiv.org/abs/1905.06922 (interpolated bounds).

    Example:
        >>> mixed_values(np.array([1.0]), np.zeros((1, 4)), 1.0).round(3)  # 1 - log((e + 3) / 4)
        array([0.643])
    """
    ratios = np.exp(negatives)
    b = ratios.mean(-1)
    a = b + (np.exp(positives) - ratios[..., -1]) / ratios.shape[-1]
    own, other = (1 - mixed + mixed * mean for mean in (a, b))
    return np.asarray(positives - np.log(own) - b / other + 1)


def largest(holds: Callable[[float], bool], high: float) -> float:
    """Bisect [0, high] for the largest number at which a monotone property still holds.

    Example:
        >>> round(largest(lambda x: x * x <= 2, 2.0), 3)
        1.414
    """
    if not holds(0.0):
        return 0.0
    low = 0.0
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def paired(scores: np.ndarray, i: np.ndarray, j: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return positives and negatives (..., 2) of the pairs of rows i and j (...).

    Example:
        >>> scores = np.array([[0.0, 1.0], [2.0, 3.0]])
        >>> [side.tolist() for side in paired(scores, np.array([0]), np.array([1]))]
        [[[0.0, 3.0]], [[1.0, 2.0]]]
    """
    own = scores.diagonal()
    pairs = np.stack([own[i], own[j]], -1), np.stack([scores[i, j], scores[j, i]], -1)
    return pairs[0].astype(np.float64), pairs[1].astype(np.float64)


def square_scores(name: str, scores: Any) -> np.ndarray:
    """Check scores of all pairs of two rows or more, (n, n); see `finite_scores`."""
    scores = as_array(name, scores)
    if scores.ndim != 2 or len(scores) != scores.shape[1] or len(scores) < 2:
        raise InputError(
            f"Expected square {name} (n, n) of two rows or more; got shape {scores.shape}. Score "
            "every x of the block against every y of it."
        )
    return finite_scores(name, scores)


def finite_scores(name: str, scores: Any) -> np.ndarray:
    """Convert scores to an array without NaN or inf; -inf is allowed.

    Raises:
        InputError: If there are others, or values that are not real numbers.

    Example:
        >>> finite_scores("scores", [0.5, -math.inf])
        array([ 0.5, -inf])
    """
    found = as_array(name, scores)
    bad = np.count_nonzero(np.isnan(found) | (found == math.inf))
    if bad:
        raise InputError(
            f"Expected {name} that are finite or -inf; got {bad} that are NaN or inf. Check the "
            "critic's inputs and its training."
        )
    return found


@dataclass(frozen=True, eq=False)
class _BetSearch:
    """Scores of past values (r, k) and (r, m), the number of bets to come, and the wealth needed.

    `needs` holds the log wealth that certifies each MI of `grid`.
    """

    positives: np.ndarray
    negatives: np.ndarray
    bets: float
    grid: np.ndarray
    needs: np.ndarray
    mixed: float

    def growth(self, bet: Bet, values: np.ndarray, mi: float) -> float:
        """Return the expected log wealth against mi; one worst-case value is added."""
        logs = bet.log_factors(values, mi).sum() + math.log1p(-bet.share)
        return self.bets * float(logs) / (len(values) + 1)

    def values(self, bet: Bet) -> np.ndarray:
        return bet.values(self.positives, self.negatives)

    def reach(self, bet: Bet, values: np.ndarray) -> float:
        """Return the largest MI that the bet with these values is expected to certify, in nats."""

        def reached(mi: float) -> bool:
            return bool(self.growth(bet, values, mi) >= np.interp(mi, self.grid, self.needs))

        return largest(reached, self.grid[-1])

    def rank(self, numbers: np.ndarray) -> tuple[float, float]:
        """Sort key of a bet: the MI it can certify, then its growth against zero MI."""
        bet = _bet(numbers, self.mixed)
        values = self.values(bet)
        return self.reach(bet, values), self.growth(bet, values, 0.0)

    def improve(self, numbers: np.ndarray) -> np.ndarray:
        """Maximise the growth against the MI that the bet of these parameters can certify."""
        bet = _bet(numbers, self.mixed)
        mi = self.reach(bet, self.values(bet))
        scores = np.concatenate([self.positives.T, self.negatives.T])  # contiguous scores of a row

        def loss(candidate: np.ndarray) -> tuple[float, np.ndarray]:
            return self.loss(candidate, mi, scores)

        found = minimize(
            loss, numbers, jac=True, method="L-BFGS-B", bounds=LIMITS, options=BET_STEPS
        )
        return np.asarray(found.x)

    def loss(self, numbers: np.ndarray, mi: float, scores: np.ndarray) -> tuple[float, np.ndarray]:
        """Return minus the growth against mi, and its derivatives by the parameters of `_bet`.

        Args:
            numbers: (5,), the parameters.
            mi: the hypothesis bet against, in nats.
            scores: (k + m, r), positives, then negatives, in nats.
        """
        bet = _bet(numbers, self.mixed)
        clipped = scores - bet.shift
        clipped *= bet.slope
        clipped.clip(bet.floor, bet.cap, out=clipped)
        values, slopes = _differentiated(clipped, self.positives.shape[1], bet.mixed)
        room = mi - bet.least
        stake = bet.share / room
        factors = 1 - bet.share + stake * (values - bet.least)
        growth = np.log(factors).sum() + math.log1p(-bet.share)
        slopes *= stake / factors
        capped, floored = (np.vdot(slopes, clipped == end) for end in (bet.cap, bet.floor))
        surplus = ((values - mi) / factors).sum() / room
        most = math.exp(bet.cap)
        norm = 1 - bet.mixed + bet.mixed * most
        by_floor = stake * surplus  # of the least value, and below of all
        by_cap = -by_floor * most / norm * (bet.mixed + (1 - bet.mixed) / norm)
        by_scale = np.vdot(slopes, clipped) + by_floor * bet.floor + by_cap * bet.cap
        derivatives = [
            by_scale / bet.slope,
            -bet.slope * (slopes.sum() - capped - floored),
            -bet.slope * (floored + by_floor),
            bet.slope * (capped + by_cap),
            (surplus - 1 / (1 - bet.share)) * bet.share * (1 - bet.share),
        ]
        weight = -self.bets / (len(values) + 1)
        return weight * float(growth), weight * np.array(derivatives)


def _differentiated(clipped: np.ndarray, k: int, mixed: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the values W (r,) of clipped scores (k + m, r), and their derivatives by these."""
    slopes = clipped.copy()
    (up, down), m = (slopes[:k], slopes[k:]), len(slopes) - k
    torch.from_numpy(down).exp_()  # faster than NumPy's
    other = np.full(m, 1 / m) @ down
    if not mixed:
        values = np.full(k, 1 / k) @ up - other + 1
        up[:], down[:] = 1 / k, down / -m
        return values, slopes
    ratio, last = np.exp(up[0]) * mixed / m, down[-1] * mixed / m
    norm = 1 - mixed + mixed * other
    own = norm + ratio - last
    values = up[0] - np.log(own) - other / norm + 1
    up[:] = 1 - ratio / own
    down *= (-mixed / own - (1 - mixed) / norm**2) / m
    down[-1] += last / own  # the last draw is not in the first normaliser
    return values, slopes


def _bet(numbers: np.ndarray, mixed: float) -> Bet:
    """Map five parameters within `LIMITS` to a bet."""
    slope, shift, below, above, odds = map(float, numbers)
    return Bet(slope, shift, -slope * below, slope * above, float(expit(odds)), mixed)
