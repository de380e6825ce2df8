"""Is there any dependence at all? Permutation p-values, moves of a series, bets on a stream.

Nothing is fitted here: a critic comes from outside and was fixed before the rows that it scores
were seen. Why the numbers can be believed is shown in `docs/independence.md`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import chdtrc, logsumexp

from infobound._system import arguments, distributed
from infobound.data.containers import as_array
from infobound.errors import InputError

__all__ = ["TEMPERATURES", "Wealth", "double_center", "log_e_values", "permutation_p"]

CHUNK = 1 << 18  # scores gathered at once
REACH = 5  # a series moves by up to a block's length over this
TEMPERATURES = (0.0, 0.25, 0.5, 1.0)  # how far a bet believes the scores; 0: not at all
SAME = 1e-6  # spread of scores, below which they tell no pair from another
GROUP = 6  # rows whose orders are listed at most: 720


def permutation_p(
    blocks: Sequence[np.ndarray], *, permutations: int = 999, seed: int, shifts: bool = False
) -> float:
    """The p-value of independence, from critics that saw only rows of earlier blocks.

    In each block the mean score of the positives is compared with its value after y was permuted;
    ties count against dependence. Given the past, each block's p-value is super-uniform, so
    Fisher's method combines them: the result is exact if rows are exchangeable. What scores owe to
    x alone or to y alone cancels. InfoNCE in place of the mean would give the same p-value, since
    the two differ by what no permutation changes.

    With `shifts`, for series, y is moved against x instead, in all blocks at once, by up to a fifth
    of the shortest block to either side. p = (moves that do as well, none included) / (1 + moves to
    one side). That is exact if y is stationary and the critics are independent of it; critics
    learnt from earlier rows of the same series make it approximate.

    Args:
        blocks: score matrices (n, n), positives on the diagonal, in the order of their rows; n may
            differ. With `shifts` rows are in the order of time.
        permutations: of each block; one block alone gives no p below 1 / (1 + permutations).
        seed: of the permutations; moves are not random.
        shifts: whether rows depend on the rows before them.

    Returns:
        p in (0, 1]; 1 where scores tell no pair from another.

    Raises:
        InputError: no blocks or permutations; a block that is not square, has fewer than two rows
            (five with `shifts`) or a score that is not finite.

    Source: Phipson and Smyth 2010, https://arxiv.org/abs/1603.05766 (p is never 0); Harris 2020,
    https://arxiv.org/abs/2012.06862 (moves).

    Example:
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 200))
        >>> round(permutation_p([np.outer(x, x + noise)], seed=0), 4)
        0.001
        >>> permutation_p([np.outer(x, noise)], seed=0) > 0.05
        True
    """
    blocks, seed = arguments.listed("blocks", blocks), arguments.seed("seed", seed)
    if permutations < 1:
        raise InputError(f"Expected at least one permutation; got {permutations}. Use 999.")
    tables = [_checked(block, REACH if shifts else 2) for block in blocks]
    if shifts:
        return _moved_p(tables)
    rngs = np.random.default_rng(seed).spawn(len(tables))
    p_values = np.array(
        distributed.shared_out(lambda k: _permuted_p(tables[k], permutations, rngs[k]), len(tables))
    )
    return float(chdtrc(2 * len(p_values), -2 * np.log(p_values).sum()))  # Fisher's


def _checked(block: np.ndarray, fewest: int) -> np.ndarray:
    table = as_array("scores", block)
    if table.ndim != 2 or table.shape[0] != table.shape[1] or len(table) < fewest:
        raise InputError(
            f"Expected square blocks of at least {fewest} rows; got shape {table.shape}. Score "
            "every x of a block against every y of it; make fewer blocks of few rows."
        )
    if not np.isfinite(table).all():
        raise InputError("Expected finite scores; got infinite or missing ones. Clip the critic.")
    return table


def _permuted_p(table: np.ndarray, permutations: int, rng: np.random.Generator) -> float:
    """(1 + permutations that do as well) / (1 + permutations), of one block."""
    n = len(table)
    starts, flat = np.arange(n) * n, table.ravel()
    bar = np.trace(table, dtype=np.float64) - _slack(table)
    as_well, step = 0, max(1, CHUNK // n)
    for done in range(0, permutations, step):
        count = min(step, permutations - done)
        orders = rng.permuted(np.tile(np.arange(n), (count, 1)), axis=1)
        sums = flat[starts + orders].sum(axis=1, dtype=np.float64)
        as_well += int((sums >= bar).sum())
    return (1 + as_well) / (1 + permutations)


def _moved_p(tables: list[np.ndarray]) -> float:
    """The rank of the unmoved sum among all moves, against the moves to one side.

    Only rows that have a partner at every move count. Columns are centred: what scores owe to y
    alone would enter and leave at the ends.
    """
    reach = min(len(table) for table in tables) // REACH
    moves = range(-reach, reach + 1)
    sums = np.zeros(len(moves))
    for table in tables:
        centred = table - table.mean(axis=0, dtype=np.float64)
        inner = centred[reach : len(table) - reach]
        sums += [np.trace(inner[:, reach + move :]) for move in moves]
    bar = sums[reach] - sum(map(_slack, tables))
    return min(1.0, float((sums >= bar).sum()) / (1 + reach))


def _slack(table: np.ndarray) -> float:
    """What rounding of the scores can do to a sum of n: nearer sums are ties."""
    return float(len(table) * np.finfo(table.dtype).eps * np.abs(table).max())


def log_e_values(scores: np.ndarray, *, temperatures: Sequence[float] = TEMPERATURES) -> np.ndarray:
    """Log e-values of groups of rows: was each y drawn with its x, or in any other order?

    A group's e-value is exp(t s) / mean of exp(t s') over all orders of its y, s being the sum of
    the positives' scores and s' that in another order. Under independence all orders are equally
    likely, so its expectation is 1 given the past, whatever the critic. Two rows make the
    swapped-pair bet 1 + tanh(t h / 2), h = f(x1, y1) + f(x2, y2) - f(x1, y2) - f(x2, y1); if the
    scores are the log ratio, t = 1 is the bet whose wealth grows fastest.

    Args:
        scores: (groups, m, m), positives on the diagonals, m from 2 to 6.
        temperatures: (k,), one bet each.

    Returns:
        (groups, k), nats.

    Raises:
        InputError: another shape, or scores that are not finite.

    Source: Podkopaev et al. 2023, https://arxiv.org/abs/2212.07383 (pairs).

    Example:
        >>> e = np.exp(log_e_values(np.array([[[2.0, 0.0], [0.0, 0.0]]]), temperatures=[1.0]))
        >>> round(float(e[0, 0] - 1), 4), round(math.tanh(1), 4)
        (0.7616, 0.7616)
    """
    table = as_array("scores", scores).astype(np.float64, copy=False)
    if table.ndim != 3 or table.shape[1] != table.shape[2] or not 2 <= table.shape[1] <= GROUP:
        raise InputError(
            f"Expected scores of shape (groups, m, m), m from 2 to {GROUP}; got {table.shape}. "
            "Score the rows of a group against each other."
        )
    if not np.isfinite(table).all():
        raise InputError("Expected finite scores; got infinite or missing ones. Clip the critic.")
    rows = np.arange(table.shape[1])
    orders = np.array(list(itertools.permutations(rows)))  # the first is the order as it is
    sums = table[:, rows, orders].sum(axis=2)
    bets = np.multiply.outer(np.asarray(temperatures, dtype=np.float64), sums)
    log_e: np.ndarray = bets[:, :, 0] - logsumexp(bets, axis=2) + math.log(len(orders))
    return log_e.T


@dataclass(frozen=True)
class Wealth:
    """What betting against independence has made of one unit; the stakes are parted among bets.

    Under independence wealth is a non-negative martingale, so it ever reaches 1 / a with a chance
    of at most a (Ville): `p_value` holds at any time, also where one peeks and stops.

    Example:
        >>> wealth = Wealth().bet(np.log([[1.0, 1.5, 2.0, 4.0], [1.0, 1.5, 2.0, 4.0]]))
        >>> round(math.exp(wealth.log_wealth), 4)  # (1 + 2.25 + 4 + 16) / 4
        5.8125
        >>> round(wealth.p_value, 4)  # 1 / 5.8125
        0.172
    """

    log_stakes: tuple[float, ...] = (-math.log(len(TEMPERATURES)),) * len(TEMPERATURES)
    log_peak: float = 0.0

    @property
    def log_wealth(self) -> float:
        """Nats."""
        return float(logsumexp(self.log_stakes))

    @property
    def p_value(self) -> float:
        """1 / the highest wealth so far, in (0, 1]."""
        return math.exp(-self.log_peak)

    def bet(self, log_e: np.ndarray) -> Wealth:
        """After these bets (groups, k), one group after the other, k as many as stakes."""
        if not len(log_e):
            return self
        paths = np.array(self.log_stakes) + np.cumsum(log_e, axis=0)
        peak = max(self.log_peak, float(logsumexp(paths, axis=1).max()))
        return Wealth(tuple(map(float, paths[-1])), peak)

    def share(self) -> Wealth:
        """The same wealth in equal stakes: a new critic starts with all of it."""
        count = len(self.log_stakes)
        return replace(self, log_stakes=(self.log_wealth - math.log(count),) * count)


def double_center(scores: np.ndarray) -> np.ndarray:
    """Double-centred scores (n, n) with standard deviation one; zeros if they are constant.

    What scores owe to x alone or to y alone is subtracted. No permutation of y changes the standard
    deviation, so it may be taken from the block itself.

    Example:
        >>> double_center(np.array([[3.0, 1.0], [1.0, 3.0]])).tolist()
        [[1.0, -1.0], [-1.0, 1.0]]
    """
    scores = scores.astype(np.float32)
    scores -= scores.mean(0, dtype=np.float64).astype(np.float32)
    scores -= scores.mean(1, keepdims=True, dtype=np.float64).astype(np.float32)
    spread = float(np.sqrt(np.square(scores).mean(dtype=np.float64)))
    scores *= 1 / spread if spread > SAME else 0
    return scores
