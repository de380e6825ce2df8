"""Certificates where one side takes few values: a lower bound on I(X;Y), an upper one on H(Y).

With classes y, the mean of log q(y|x) - log p(y) is at most I(X;Y), whatever the probabilities q
are, if p are the true shares of the classes. These are unknown, so the bettor's wealth is that of
the shares with which it is smallest. No negatives are needed, hence no pairs of rows, and there is
no ceiling of log n. Proofs are in `docs/certificate.md`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.special import log_softmax

from infobound._system import arguments
from infobound.errors import InputError
from infobound.inference.certificates import Wealth, certified, largest

__all__ = [
    "ClassBet",
    "ClassBlock",
    "class_certificate",
    "class_played",
    "entropy_bound",
    "entropy_played",
]

RATIO_SLOPES = (0.5, 0.7, 0.85, 1.0, 1.2)  # multiply the log ratios
UNIFORM_SHARES = (0.01, 0.03, 0.1, 0.3)  # shares of the uniform distribution in q
STAKES = (0.05, 0.1, 0.2, 0.3, 0.45, 0.6, 0.75, 0.9)  # fractions of the largest stake
SHARE_STEPS = 30  # most steps of the search for the least favourable shares
CLOSE = 1e-3  # distance from the smallest log wealth at which it ends


@dataclass(frozen=True, eq=False)
class ClassBlock:
    """Log ratios of rows for every class, by a critic that had not seen them, and their classes.

    Attributes:
        log_ratios: (n, K), log q(k | x_i) - log share_k up to a constant of each row, nats.
        classes: (n,), the classes of the rows, from 0 to K - 1.
        log_shares: (K,), logs of shares of the classes that do not depend on these rows.
        tuning: log ratios (k, K) and classes (k,) of past rows, on which the bet is chosen.

    Raises:
        InputError: If shapes do not fit, or values are not finite.

    Example:
        >>> both = np.zeros((3, 2)), np.array([0, 1, 1])
        >>> ClassBlock(*both, np.log([0.5, 0.5]), both).classes
        array([0, 1, 1])
    """

    log_ratios: np.ndarray
    classes: np.ndarray
    log_shares: np.ndarray
    tuning: tuple[np.ndarray, np.ndarray]

    def __post_init__(self) -> None:
        """Check shapes and values."""
        count = len(self.log_shares)
        for ratios, classes in ((self.log_ratios, self.classes), self.tuning):
            if ratios.shape != (len(classes), count):
                raise InputError(
                    f"Expected log ratios of shape ({len(classes)}, {count}), a row for each of "
                    f"the rows and a column for each class; got {ratios.shape}. Score every row "
                    "for every class."
                )
            if not np.isfinite(ratios).all():
                raise InputError(
                    "Expected finite log ratios; got infinite or missing ones. Clip the critic."
                )


@dataclass(frozen=True)
class ClassBet:
    """How log ratios become probabilities, and what is staked on them.

    q(k | x) is proportional to share_k e^(slope r_k), mixed with the uniform distribution.

    Attributes:
        slope: multiplies the log ratios r.
        mixed: the share of the uniform distribution in q.
        stake: the fraction of the largest stake.

    Example:
        >>> bet = ClassBet(slope=1.0, mixed=0.5, stake=0.1)
        >>> bet.log_q(np.zeros((1, 2)), np.log([0.5, 0.5])).round(3).tolist()
        [[-0.693, -0.693]]
    """

    slope: float
    mixed: float
    stake: float

    def log_q(self, log_ratios: np.ndarray, log_shares: np.ndarray) -> np.ndarray:
        """Return log q (n, K) from log ratios (n, K) and log shares (K,)."""
        q = np.exp(log_softmax(self.slope * log_ratios + log_shares, axis=1))
        return np.asarray(np.log((1 - self.mixed) * q + self.mixed / len(log_shares)))

    def staked(self, mi: float, count: int) -> float:
        """Return the stake t against "I(X;Y) <= mi" with that many classes.

        A row multiplies the wealth by 1 + t (log q(y|x) - log p(y) - mi). The logs of q are at
        least `least`, so t <= 1 / (1 + mi - least) keeps every factor above t, and with it the log
        wealth convex in p.
        """
        least = math.log(self.mixed / count)
        return self.stake / (1 + mi - least)


def class_certificate(blocks: Sequence[ClassBlock], *, level: float = 0.95) -> float:
    """Return a lower bound on I(X;Y), Y a class, that holds with probability `level`.

    The bound exceeds I(X;Y) in at most a fraction 1 - level of samples, if rows are drawn
    independently from one distribution. Nothing is assumed about that distribution or the critic.

    Args:
        blocks: the blocks in sequence, all with the same classes. Log ratios, log shares and tuning
            rows of a block may depend on rows of earlier blocks and on other rows, never on rows of
            its own block or of later ones.
        level: the confidence level, in (0, 1).

    Returns:
        The certificate in nats; 0.0 if nothing can be certified.

    Raises:
        InputError: If there are no blocks, or the level is outside (0, 1).

    Source: Waudby-Smith and Ramdas 2024, https://arxiv.org/abs/2010.09686 (means by betting).

    Example:
        >>> classes = np.random.default_rng(0).integers(4, size=300)  # known from x: log 4 = 1.386
        >>> ratios = 9.0 * np.eye(4)[classes]
        >>> past = ratios[:100], classes[:100]
        >>> block = ClassBlock(ratios[100:], classes[100:], np.log(np.full(4, 0.25)), past)
        >>> round(class_certificate([block]), 1)
        1.2
    """
    return certified([class_played(blocks, level=level)], level=level)


def class_played(blocks: Sequence[ClassBlock], *, level: float) -> Wealth:
    """Bet on the rows of the blocks, in sequence; see `class_certificate`."""
    level = arguments.real("level", level, "(0, 1)")
    if not blocks:
        raise InputError("Expected at least one block; got none.")
    goal, played = -math.log1p(-level), _Played([], [], [])
    for k, block in enumerate(blocks):
        rows = sum(len(later.classes) for later in blocks[k:])
        bet = _chosen(block, rows, goal, played)
        log_q = bet.log_q(block.log_ratios, block.log_shares)
        own = log_q[np.arange(len(log_q)), block.classes]
        played = _Played([*played.bets, bet], [*played.own, own], [*played.classes, block.classes])
    count = len(blocks[0].log_shares)
    return Wealth(lambda mi: played.log_wealth(mi, count), math.log(count))


def entropy_bound(parts: Sequence[np.ndarray], count: int, *, level: float = 0.95) -> float:
    """Return an upper bound on H(Y), and so on I(X;Y), that holds with probability `level`.

    Rows must be drawn independently from one distribution, and no class may exist besides those
    counted. The mean of -log r(y) is at least H(Y), whatever the shares r are; these are the shares
    of the classes in earlier parts. The bettor's wealth against "H(Y) >= h" has mean at most 1.

    Args:
        parts: classes from 0 to `count` - 1, the first part only for shares and stake.
        count: the number of classes.
        level: the confidence level, in (0, 1).

    Returns:
        The bound in nats, at most log `count`.

    Source: Waudby-Smith and Ramdas 2024, https://arxiv.org/abs/2010.09686 (means by betting).

    Example:
        >>> fair = np.arange(400) % 2
        >>> round(entropy_bound([fair[:200], fair[200:]], 2), 3)  # log 2
        0.693
        >>> rare = (np.arange(400) % 20 == 0).astype(int)
        >>> round(entropy_bound([rare[:200], rare[200:]], 2), 2)  # 0.20
        0.36
    """
    goal, most = -math.log1p(-level), math.log(count)
    log_wealth = entropy_played(parts, count, level=level)

    def holds(h: float) -> bool:
        """Return whether "H(Y) >= h" is not rejected."""
        return log_wealth(h) < goal

    return most if holds(most) else largest(holds, most)


def entropy_played(
    parts: Sequence[np.ndarray], count: int, *, level: float
) -> Callable[[float], float]:
    """Bet on the classes of all parts but the first; see `entropy_bound`.

    Returns:
        A function that takes h in nats and returns the log wealth against "H(Y) >= h", which
        increases in h. The wealth has mean at most 1 if that is true.
    """
    goal = -math.log1p(-level)
    played: list[tuple[np.ndarray, float, float]] = []  # losses, their largest value, the stake
    for k in range(1, len(parts)):
        past = np.concatenate(parts[:k])
        shares = (np.bincount(past, minlength=count) + 0.5) / (len(past) + count / 2)
        surprise = -np.log(shares)
        spread = float(np.average((surprise - surprise @ shares) ** 2, weights=shares))
        rows = sum(map(len, parts[k:]))
        stake = math.sqrt(2 * goal / (rows * max(spread, 1e-4)))
        played.append((surprise[parts[k]], float(surprise.max()), stake))

    def log_wealth(h: float) -> float:
        wealth = 0.0
        for losses, highest, stake in played:
            t = min(stake, 0.9 / max(highest - h, 1e-9))
            wealth += float(np.log1p(t * (h - losses)).sum())
        return wealth

    return log_wealth


@dataclass(frozen=True, eq=False)
class _Played:
    """For each block played: its bet, log q of its rows' own classes, and these classes."""

    bets: list[ClassBet]
    own: list[np.ndarray]
    classes: list[np.ndarray]

    def log_wealth(self, mi: float, count: int) -> float:
        """Return a lower bound on the log wealth against mi, whatever the shares p of the classes.

        The log wealth is convex in p. So at any p0, its smallest value is at least that of its
        tangent there. The search makes that bound nearly exact, but it holds at every step.
        """
        if not self.bets:
            return 0.0
        own, classes = np.concatenate(self.own), np.concatenate(self.classes)
        stakes = np.concatenate(
            [np.full(len(o), b.staked(mi, count)) for o, b in zip(self.own, self.bets, strict=True)]
        )
        p = np.bincount(classes, minlength=count) / len(classes)
        best = -math.inf
        for _ in range(SHARE_STEPS):
            factors = 1 + stakes * (own - np.log(p[classes]) - mi)
            pull = np.bincount(classes, stakes / factors, minlength=count)  # -p times the gradient
            with np.errstate(invalid="ignore"):
                steepest = np.nanmax(np.where(p > 0, pull / p, 0))
            total = pull.sum()
            value = float(np.log(factors).sum())
            best = max(best, value + float(total - steepest))
            if steepest - total < CLOSE:
                break
            p = pull / total
        return best

    def expected(self, mi: float, count: int) -> float:
        """Return the log wealth with the observed shares: quick, and no bound."""
        total = 0.0
        for bet, own, classes in zip(self.bets, self.own, self.classes, strict=True):
            shares = np.bincount(classes, minlength=count) / len(classes)
            stake = bet.staked(mi, count)
            total += float(np.log1p(stake * (own - np.log(shares[classes]) - mi)).sum())
        return total


def _chosen(block: ClassBlock, rows: int, goal: float, played: _Played) -> ClassBet:
    """Choose the bet that is expected to certify most, by its growth on the tuning rows.

    One row of the worst kind is added to these. The unknown shares of K classes cost about
    (K - 1) / 2 times the stake.
    """
    ratios, classes = block.tuning
    count = len(block.log_shares)
    grid = np.linspace(0, math.log(count), 41)
    needed = np.array([goal - played.expected(mi, count) for mi in grid])
    best, reached = ClassBet(1.0, UNIFORM_SHARES[0], STAKES[0]), (-1.0, -math.inf)
    for slope, mixed in product(RATIO_SLOPES, UNIFORM_SHARES):
        log_q = ClassBet(slope, mixed, 1.0).log_q(ratios, block.log_shares)
        values = log_q[np.arange(len(log_q)), classes] - block.log_shares[classes]
        values = np.append(values, math.log(mixed / count))
        for stake in STAKES:
            bet = ClassBet(slope, mixed, stake)
            t = np.array([bet.staked(mi, count) for mi in grid])
            logs = np.log1p(t * (values[:, None] - grid)).mean(0)
            spare = rows * logs - t * (count - 1) / 2 - needed
            ahead = int(np.argmin(spare >= 0)) if (spare < 0).any() else len(grid)
            exact = 0.0
            if 0 < ahead < len(grid):
                exact = ahead - 1 + spare[ahead - 1] / (spare[ahead - 1] - spare[ahead])
            found = (exact if ahead < len(grid) else float(ahead), float(spare[0]))
            if found > reached:
                best, reached = bet, found
    return best
