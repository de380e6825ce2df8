"""Certificates of conditional dependence: lower bounds on I(X;Y|Z) that hold with a probability.

If Z is continuous and nothing is known, such a bound is above zero no more often than it is wrong
(Shah and Peters, https://arxiv.org/abs/1804.07203). So either Z takes few values
(`StratifiedBlock`), or the distribution of x given z is known (`SampledBlock`). Nothing is assumed
about the critic. Proofs are in `docs/certificate.md`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import logsumexp

from infobound._system import arguments
from infobound.errors import InputError
from infobound.inference.certificates import (
    PAIRINGS,
    TUNING_PAIRS,
    Bet,
    Wealth,
    average,
    best_bet,
    certified,
    finite_scores,
    largest,
    paired,
    played,
    square_scores,
)

__all__ = [
    "SampledBlock",
    "StratifiedBlock",
    "conditional_certificate",
    "less_entropy",
    "sampled_scores",
]

MIXED_SHARES = (0.0, 0.2, 1.0)  # choices of `Bet.mixed`
TUNING_ROWS = 8  # tuning rows from which a stratum has a shift of its own
NO_BET = Bet(slope=1.0, shift=0.0, floor=-1.0, cap=0.0, share=0.0)  # the wealth stays at 1


@dataclass(frozen=True, eq=False)
class StratifiedBlock:
    """A critic's scores of rows that it had not seen, where Z takes few values: the strata.

    Rows are paired within strata. A row that is left over has the value zero.

    Attributes:
        scores: (n, n), scores[i, j] = f((x_i, z_i), y_j) in nats. Only those of two rows of one
            stratum are used.
        strata: (n,), the stratum of each row, a whole number.
        tuning: scores (k, k) and strata (k,) of past rows, on which the bet is chosen. The only
            assumption is that they do not depend on any row of this block or of later ones.

    Raises:
        InputError: If the scores are not square or contain NaN or inf (-inf is allowed), or strata
            are not whole numbers, one for each row.

    Example:
        >>> past = np.zeros((2, 2)), np.zeros(2, int)
        >>> len(StratifiedBlock(np.eye(3), np.array([0, 0, 1]), past))
        3
    """

    scores: np.ndarray
    strata: np.ndarray
    tuning: tuple[np.ndarray, np.ndarray]

    def __post_init__(self) -> None:
        """Validate scores and strata and store them as arrays."""
        scores, strata = _stratified("scores", self.scores, self.strata)
        object.__setattr__(self, "scores", scores)
        object.__setattr__(self, "strata", strata)
        object.__setattr__(self, "tuning", _stratified("tuning scores", *self.tuning))

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.scores)

    def choose(
        self, rows: int, needed: Callable[[float], float], generator: np.random.Generator
    ) -> Bet:
        """Choose a bet on pairs of tuning rows of one stratum; no bet where there are none."""
        scores, strata = self.tuning
        order = strata.argsort(kind="stable")
        start, size = _runs(strata[order])
        usable = np.flatnonzero(size > 1)
        if not len(usable):
            return NO_BET
        first = generator.choice(usable, size=TUNING_PAIRS)
        step = generator.integers(1, size[first])
        second = start[first] + (first - start[first] + step) % size[first]
        pairs = self._pairs(scores, strata, order[first], order[second])
        return best_bet(*pairs, bets=rows / 2 * len(usable) / len(strata), needed=needed)

    def log_wealth(self, bet: Bet, generator: np.random.Generator) -> Callable[[float], float]:
        """Bet on random pairs of rows of one stratum; the wealth is averaged over pairings."""
        ids = np.unique(self.strata, return_inverse=True)[1]
        order = (ids + generator.random((PAIRINGS, len(ids)))).argsort(axis=1)
        start, size = _runs(np.sort(ids))
        place = np.arange(len(ids)) - start
        first = np.flatnonzero((place % 2 == 0) & (place + 1 < size))
        pairs = self._pairs(self.scores, self.strata, order[:, first], order[:, first + 1])
        values = bet.values(*pairs)
        alone = (len(ids) - 2 * len(first)) / 2

        def at(mi: float) -> float:
            nothing = float(bet.log_factors(np.zeros(()), mi))
            return average(bet.log_factors(values, mi).sum(axis=1)) + alone * nothing

        return at

    def _pairs(
        self, scores: np.ndarray, strata: np.ndarray, i: np.ndarray, j: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return positives and negatives of the pairs of rows i and j, less their stratum's shift.

        The shift is the log mean of e^f over the tuning negatives of the stratum, or over all of
        them if the stratum has few: a critic may be right up to a function of z.
        """
        past_scores, past = self.tuning
        negatives = {
            int(stratum): past_scores[np.ix_(rows, rows)][~np.eye(len(rows), dtype=bool)]
            for stratum in np.unique(past)
            for rows in [np.flatnonzero(past == stratum)]
        }
        shared = _log_mean(np.concatenate([*negatives.values()]))
        own = {
            stratum: _log_mean(found)
            for stratum, found in negatives.items()
            if len(found) >= TUNING_ROWS * (TUNING_ROWS - 1)
        }
        kinds, ids = np.unique(strata, return_inverse=True)
        shifts = np.array([own.get(kind, shared) for kind in kinds.tolist()])[ids[i], None]
        ups, downs = paired(scores, i, j)
        return ups - shifts, downs - shifts


@dataclass(frozen=True, eq=False)
class SampledBlock:
    """A critic's scores of rows, and of the same rows with x drawn anew from p(x|z).

    That distribution is known: of a randomised experiment, or of a simulator. `sampled_scores`
    computes such scores.

    Attributes:
        positives: (n,), f(x_i, y_i, z_i) in nats.
        negatives: (n, m), f(x_ij, y_i, z_i), with x_ij drawn from p(x|z_i) independently.
        tuning: positives (k,) and negatives (k, l) of past rows, on which the bet is chosen. The
            only assumption is that they do not depend on any row of this block or of later ones.

    Raises:
        InputError: If shapes do not fit, or scores contain NaN or inf (-inf is allowed).

    Example:
        >>> len(SampledBlock(np.ones(3), np.zeros((3, 5)), (np.ones(2), np.zeros((2, 5)))))
        3
    """

    positives: np.ndarray
    negatives: np.ndarray
    tuning: tuple[np.ndarray, np.ndarray]

    def __post_init__(self) -> None:
        """Validate scores and store them as arrays."""
        positives, negatives = _sampled("", self.positives, self.negatives)
        object.__setattr__(self, "positives", positives)
        object.__setattr__(self, "negatives", negatives)
        object.__setattr__(self, "tuning", _sampled("tuning ", *self.tuning))

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.positives)

    def choose(
        self, rows: int, needed: Callable[[float], float], generator: np.random.Generator
    ) -> Bet:
        """Choose a bet on the tuning rows, or on a random part of many."""
        positives, negatives = self.tuning
        if len(positives) > TUNING_PAIRS:
            some = generator.choice(len(positives), size=TUNING_PAIRS, replace=False)
            positives, negatives = positives[some], negatives[some]
        return best_bet(positives[:, None], negatives, bets=rows, needed=needed, mixed=MIXED_SHARES)

    def log_wealth(self, bet: Bet, generator: np.random.Generator) -> Callable[[float], float]:
        """Bet on each row; nothing is random."""
        values = bet.values(self.positives[:, None], self.negatives)
        return lambda mi: float(bet.log_factors(values, mi).sum())


def conditional_certificate(
    blocks: Sequence[StratifiedBlock] | Sequence[SampledBlock],
    *,
    level: float = 0.95,
    seed: int = 0,
) -> float:
    """Return a lower bound on I(X;Y|Z) that holds with probability `level`.

    The bound exceeds I(X;Y|Z) in at most a fraction 1 - level of samples, if rows are drawn
    independently from one distribution. For the wealth, call `certificates.played`.

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
    Nguyen, Wainwright and Jordan, https://arxiv.org/abs/0809.0853 (the bound of a pair).

    Example:
        >>> generator = np.random.default_rng(0)
        >>> z, x = generator.integers(2, size=300), generator.integers(4, size=300)
        >>> y = x + 4 * z  # I(X;Y|Z) = log 4 = 1.386
        >>> scores = np.log(np.where((x + 4 * z)[:, None] == y, 4.0, 1e-9))
        >>> past = scores[:100, :100], z[:100]
        >>> block = StratifiedBlock(scores[100:, 100:], z[100:], past)
        >>> round(conditional_certificate([block]), 1)
        1.1
    """
    return certified([played(blocks, level=level, seed=seed)], level=level)


def less_entropy(joint: Wealth, entropy: Callable[[float], float], most: float) -> Wealth:
    """Return a wealth against "I(X;Y|Z) <= mi" from one against I((X,Z);Y) and one for H(Z).

    I(X;Y|Z) is at least I((X,Z);Y) - H(Z). Its certificate is that of I((X,Z);Y) at half of the
    error probability, less the upper bound on H(Z) at the other half. `certificates.certified`
    averages it with the wealth of strata, at one level for both.

    Args:
        joint: the wealth against "I((X,Z);Y) <= mi"; one against I(X;Y), which is less, will do.
        entropy: the log wealth against "H(Z) >= h", from `class_certificates.entropy_played`.
        most: an upper limit of H(Z): the log of the number of values that Z can take, in nats.

    Returns:
        The wealth.

    Example:
        >>> joint = Wealth(lambda mi: 100 * (2 - mi), 3.0)  # certifies 2 - log(40) / 100 = 1.963
        >>> wealth = less_entropy(joint, lambda h: 100 * (h - 0.5), 1.0)  # H(Z) <= 0.537
        >>> round(certified([wealth], level=0.95), 2)
        1.43
    """
    step = most / 2**20  # more than the error of `largest`

    def at(mi: float) -> float:
        ahead = largest(lambda h: joint.log_wealth(mi + h) > entropy(h), most)
        return joint.log_wealth(mi + ahead + step) - math.log(2)

    return Wealth(at, joint.highest)


def sampled_scores(
    critic: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray],
    given_sampler: Callable[[np.ndarray, np.random.Generator], np.ndarray],
    *,
    x: np.ndarray,
    y: np.ndarray,
    z: np.ndarray,
    negatives: int = 10,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Score rows, and the same rows with x drawn anew from p(x|z), for a `SampledBlock`.

    Args:
        critic: maps x (n, ...), y (n, ...) and z (n, ...) to scores (n,) in nats.
        given_sampler: draws an x for each z with a generator: (n, ...) to (n, ...).
        x: (n, ...), the rows of x.
        y: (n, ...), the rows of y.
        z: (n, ...), the rows of z.
        negatives: the number of draws for each row.
        seed: seed of the draws, another one for each block. Fix it beforehand.

    Returns:
        Positives (n,) and negatives (n, `negatives`), in nats.

    Raises:
        InputError: If the rows do not match, or the scores have another shape.

    Example:
        >>> generator = np.random.default_rng(0)
        >>> z = generator.normal(size=50)
        >>> x = z + generator.normal(size=50)
        >>> def draw(z, generator):
        ...     return z + generator.normal(size=z.shape)
        >>> found = sampled_scores(lambda x, y, z: (x - z) * y, draw, x=x, y=x - z, z=z)
        >>> [side.shape for side in found]
        [(50,), (50, 10)]
    """
    count = arguments.integer("negatives", negatives, least=1)
    generator = np.random.default_rng(arguments.seed("seed", seed))
    if not len(x) == len(y) == len(z):
        raise InputError(
            f"Expected equal lengths for x, y and z; got {len(x)}, {len(y)} and {len(z)}. Give a "
            "row of each for every observation."
        )
    drawn = [critic(given_sampler(z, generator), y, z) for _ in range(count)]
    return _sampled("", critic(x, y, z), np.stack(drawn, axis=1))


def _stratified(name: str, scores: Any, strata: Any) -> tuple[np.ndarray, np.ndarray]:
    """Check scores (n, n) and strata (n,)."""
    scores, strata = square_scores(name, scores), np.asarray(strata)
    if strata.shape != (len(scores),) or strata.dtype.kind not in "iu":
        raise InputError(
            f"Expected strata of {name} as {len(scores)} whole numbers, one for each row; got "
            f"{strata.dtype} of shape {strata.shape}. Number the values of z."
        )
    return scores, strata


def _sampled(name: str, positives: Any, negatives: Any) -> tuple[np.ndarray, np.ndarray]:
    """Check positives (n,) and negatives (n, m)."""
    positives = finite_scores(f"{name}positives", positives)
    negatives = finite_scores(f"{name}negatives", negatives)
    if positives.ndim != 1 or negatives.ndim != 2 or len(positives) != len(negatives):
        raise InputError(
            f"Expected {name}positives (n,) and {name}negatives (n, m); got shapes "
            f"{positives.shape} and {negatives.shape}. Score every row once and with m draws of x."
        )
    if not negatives.size:
        raise InputError(
            f"Expected {name}negatives of one row and one draw or more; got shape "
            f"{negatives.shape}. Add rows or draws."
        )
    return positives.astype(np.float64), negatives.astype(np.float64)


def _runs(ordered: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for each of sorted values where its run starts, and how long this is."""
    start = np.searchsorted(ordered, ordered)
    return start, np.searchsorted(ordered, ordered, side="right") - start


def _log_mean(scores: np.ndarray) -> float:
    """Return the log mean of e^f, or zero if that is not finite."""
    found = float(logsumexp(scores) - math.log(scores.size)) if scores.size else 0.0
    return found if math.isfinite(found) else 0.0
