"""Tests of independence: permutation p-values, time shifts of a series, e-values of a stream.

Nothing is fitted here: the critic is an argument and must have been fixed before the rows that it
scores were seen. The proofs of validity are in `docs/independence.md`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.special import chdtrc, logsumexp

from infobound._system import arguments, distributed
from infobound.data.containers import as_array
from infobound.errors import InputError

__all__ = ["TEMPERATURES", "Wealth", "double_center", "log_e_values", "permutation_p"]

CHUNK = 1 << 18  # scores gathered at once
REACH = 5  # the largest time shift is the length of a block divided by this
TEMPERATURES = (0.0, 0.25, 0.5, 1.0)  # multiply the scores in a bet; 0 ignores them
SAME = 1e-6  # a standard deviation of scores below this counts as zero
GROUP = 6  # largest group whose orders are enumerated: 6! = 720


def permutation_p(
    blocks: Sequence[np.ndarray], *, permutations: int = 999, seed: int, shifts: bool = False
) -> float:
    """Return the p-value of independence from critics that saw only rows of earlier blocks.

    In each block the mean score of the positives is compared with its value after permuting y;
    ties count against dependence. Given the past, each block's p-value is super-uniform, so
    Fisher's method combines them: the result is valid if rows are exchangeable. Parts of the score
    that depend on x alone or on y alone cancel. InfoNCE in place of the mean would give the same
    p-value, since the difference between the two is invariant under permutations.

    With `shifts`, for time series, y is shifted against x instead, in all blocks at once, by up to
    a fifth of the shortest block in either direction. Then p = (number of shifts, including zero,
    that score as high) / (1 + number of shifts in one direction). That is valid if y is stationary
    and the critics are independent of it; critics fitted to earlier rows of the same series make it
    approximate.

    Args:
        blocks: score matrices (n, n) with positives on the diagonal, in the order of their rows; n
            may differ between blocks. With `shifts`, rows are in the order of time.
        permutations: the number of permutations of each block. A single block gives no p-value
            below 1 / (1 + permutations).
        seed: seed of the permutations; shifts are not random.
        shifts: whether rows depend on the rows before them.

    Returns:
        The p-value, in (0, 1]; 1 if the scores do not distinguish between pairs.

    Raises:
        InputError: If there are no blocks or no permutations, or a block is not square, has fewer
            than two rows (five with `shifts`) or contains a score that is not finite.

    Source: Phipson and Smyth 2010, https://arxiv.org/abs/1603.05766 (p is never 0); Harris 2020,
    https://arxiv.org/abs/2012.06862 (time shifts).

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
        distributed.map_over_ranks(
            lambda k: _permuted_p(tables[k], permutations, rngs[k]), len(tables)
        )
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
    """Return (1 + number of permutations that score as high) / (1 + permutations) of one block."""
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
    """Return the rank of the unshifted sum among all shifts, over 1 + the shifts in one direction.

    Only rows of x that have a partner at every shift count. Columns are centred because parts of
    the score that depend on y alone would otherwise enter and leave the sum at its ends.
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
    """Bound the rounding error of a sum of n scores; sums closer than this are ties."""
    return float(len(table) * np.finfo(table.dtype).eps * np.abs(table).max())


def log_e_values(scores: np.ndarray, *, temperatures: Sequence[float] = TEMPERATURES) -> np.ndarray:
    """Return log e-values of groups of rows against all orders of their y.

    The e-value of a group is exp(t s) / mean of exp(t s') over all orders of its y, where s is the
    sum of the positives' scores and s' the same sum in another order. Under independence all orders
    are equally likely, so the expectation is 1 given the past, whatever the critic. Two rows give
    the swapped-pair bet 1 + tanh(t h / 2), h = f(x1, y1) + f(x2, y2) - f(x1, y2) - f(x2, y1). If
    the scores are the log ratio, t = 1 is the bet whose wealth grows fastest.

    Args:
        scores: (groups, m, m), positives on the diagonals, m from 2 to 6.
        temperatures: (k,), one bet each.

    Returns:
        (groups, k), natural logarithms.

    Raises:
        InputError: If the shape is different or scores are not finite.

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
    orders = np.array(list(itertools.permutations(rows)))  # the first is the identity
    sums = table[:, rows, orders].sum(axis=2)
    bets = np.multiply.outer(np.asarray(temperatures, dtype=np.float64), sums)
    log_e: np.ndarray = bets[:, :, 0] - logsumexp(bets, axis=2) + math.log(len(orders))
    return log_e.T


@dataclass(frozen=True)
class Wealth:
    """Wealth of a bettor against independence who starts with 1, split among several bets.

    Under independence the wealth is a non-negative martingale, so the probability that it ever
    reaches 1 / a is at most a (Ville's inequality): `p_value` is valid at any time, also under
    optional stopping.

    Attributes:
        log_stakes: the log wealth of each bet, one per temperature.
        log_peak: the log of the highest total wealth so far, at least 0.

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
        """Natural logarithm of the total wealth."""
        return float(logsumexp(self.log_stakes))

    @property
    def p_value(self) -> float:
        """The anytime-valid p-value: 1 / the highest wealth so far, in (0, 1]."""
        return math.exp(-self.log_peak)

    def bet(self, log_e: np.ndarray) -> Wealth:
        """Return the wealth after betting on groups of rows in sequence.

        Args:
            log_e: (groups, k), log e-values, with k the number of stakes.
        """
        if not len(log_e):
            return self
        paths = np.array(self.log_stakes) + np.cumsum(log_e, axis=0)
        peak = max(self.log_peak, float(logsumexp(paths, axis=1).max()))
        return Wealth(tuple(map(float, paths[-1])), peak)

    def share(self) -> Wealth:
        """Divide the total wealth equally among the bets, as a new critic starts with all of it."""
        count = len(self.log_stakes)
        return replace(self, log_stakes=(self.log_wealth - math.log(count),) * count)


def double_center(scores: np.ndarray) -> np.ndarray:
    """Return double-centred scores (n, n) with standard deviation one; zeros if they are constant.

    Row and column means are subtracted, and with them the parts of the score that depend on x alone
    or on y alone. The standard deviation is invariant under permutations of y, so it may be
    computed from the block itself.

    Example:
        >>> double_center(np.array([[3.0, 1.0], [1.0, 3.0]])).tolist()
        [[1.0, -1.0], [-1.0, 1.0]]
    """
    found = torch.from_numpy(scores.astype(np.float32))  # its means are faster than those of NumPy
    found -= found.mean(0)
    found -= found.mean(1, keepdim=True)
    spread = float(torch.linalg.vector_norm(found)) / math.sqrt(found.numel())
    found *= 1 / spread if spread > SAME else 0
    return found.numpy()
