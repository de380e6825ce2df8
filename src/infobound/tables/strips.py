"""Pairs whose density changes within few cells of a histogram: one column divided into strips.

With the strip S of a row a function of x, I(X;Y) = I(S;Y) + I(X;Y|S). The last term is the mean of
the strips' mutual information, each read from a histogram of the strip's own ranks, which is as
many times finer as there are strips.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from infobound.models.rank_network import QUANTILES
from infobound.models.ranks import Ranks, grid_of, log_ratios

__all__ = ["MIDDLE", "STRIPS", "histogram_values", "in_strips", "rough_sides"]

STRIPS = 5
FEWEST_ROWS = 2_500  # of a pair that is divided: 500 a strip
ROUGH = 45.0  # change of the log ratio per unit of rank from which a pair is divided
MOST_TIES = 1.0  # mean log2 of the number of rows that share a value of the divided column
MIDDLE = len(QUANTILES) // 2


def rough_sides(ratios: Tensor, ties: Tensor, n: int) -> list[int | None]:
    """Return for each pair which column is to be divided: 0, 1, or None for neither.

    It is the one along which the log ratio changes the most from cell to cell, on average under the
    density that it implies, if this is much and the column has few ties.

    Args:
        ratios: (b, g, g), log ratios.
        ties: (b, 2), the mean log2 of the number of rows that share a value of each column.
        n: the number of rows.

    Example:
        >>> g = torch.linspace(0, 1, 64, dtype=torch.float64)
        >>> waves = 2 * torch.sin(60 * g[:, None] + 3 * g)
        >>> few = torch.zeros(2, 2, dtype=torch.float64)
        >>> rough_sides(torch.stack([waves, waves.T]), few, n=3000)
        [0, 1]
        >>> rough_sides(torch.stack([0.1 * waves, waves]), few + 2, n=3000)
        [None, None]
    """
    if n < FEWEST_ROWS:
        return [None] * len(ratios)
    density, grid = ratios.exp(), ratios.shape[-1]
    changes = [
        grid * (ratios.diff(dim=dim).abs() * mean).mean((1, 2))
        for dim, mean in (
            (1, (density[:, 1:] + density[:, :-1]) / 2),
            (2, (density[:, :, 1:] + density[:, :, :-1]) / 2),
        )
    ]
    most, side = torch.stack(changes, 1).max(1)
    fast = (most > ROUGH) & (ties.gather(1, side[:, None])[:, 0] < MOST_TIES)
    return [int(k) if divide else None for k, divide in zip(side, fast.tolist(), strict=True)]


def histogram_values(shares: Tensor, ratios: Tensor, quantiles: Tensor) -> Tensor:
    """Return what histograms say of b pairs, for what `log_ratios` returned.

    Returns:
        (b, 7): the quantiles of the MI, and the means of the log ratio under the density that it
        implies, and over the rows.
    """
    implied, observed = (ratios.exp() * ratios).mean((1, 2)), (shares * ratios).sum((1, 2))
    return torch.cat([quantiles, implied[:, None], observed[:, None]], 1)


def in_strips(
    ranks: Sequence[Ranks], order: np.ndarray, ratios: Tensor, whole: Tensor, *, side: int
) -> Tensor:
    """Estimate a pair with one column divided into strips of equally many rows.

    I(S;Y) is that of the density which the undivided histogram implies, summed over the strips.

    Args:
        ranks: those of both columns.
        order: (n,), the rows in the order of the divided column's values.
        ratios: (g, g), the log ratios of the undivided histogram.
        whole: (7,), what it says (`histogram_values`).
        side: the place of the divided column, 0 or 1.

    Returns:
        (7,), the same, extrapolated to thin strips: as if errors were proportional to their width.
        The step of the extrapolation is also a standard error in the quantiles.

    Source: Richardson 1911, https://doi.org/10.1098/rsta.1911.0009.

    Example:
        >>> x = np.random.default_rng(0).permutation(2000)
        >>> codes = x, np.argsort(np.argsort(np.sin(x / 40)))
        >>> ranks = [Ranks.of(each, 64) for each in codes]
        >>> shares, ratios, quantiles = log_ratios([(ranks[0], ranks[1])])
        >>> whole = histogram_values(shares, ratios, quantiles)[0]
        >>> bool(in_strips(ranks, np.argsort(x), ratios[0], whole, side=0)[2] > whole[2] + 0.3)
        True
    """
    n, (grid, _) = len(order), ratios.shape
    strip, strips = np.empty(n, dtype=np.int64), np.array_split(order, STRIPS)
    for k, rows in enumerate(strips):
        strip[rows] = k
    cover = torch.from_numpy(Ranks.of(strip, grid).cover.toarray()).to(ratios.dtype)
    density = cover @ (ratios if side == 0 else ratios.T).exp()
    between = (density * density.log()).mean()
    inner = grid_of(n // STRIPS)
    pairs = [[_ranks(one.codes[rows], inner) for one in ranks] for rows in strips]
    within = histogram_values(*log_ratios([(x, y) for x, y in pairs]))
    found = between + within.mean(0)
    step = (found - whole) / (STRIPS - 1)
    away = within[:, : len(QUANTILES)] - within[:, MIDDLE, None]
    deviates = torch.special.ndtri(torch.tensor(QUANTILES, dtype=found.dtype))
    spread = ((away / STRIPS).square().sum(0) + (deviates * step[MIDDLE]).square()).sqrt()
    found = found + step
    return torch.cat([found[MIDDLE] + deviates.sign() * spread, found[len(QUANTILES) :]])


def _ranks(codes: np.ndarray, grid: int) -> Ranks:
    return Ranks.of(np.unique(codes, return_inverse=True)[1], grid)
