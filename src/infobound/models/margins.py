"""Normal scores of columns that a model computes itself, from quantiles of the fitted rows."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["knots_of", "normal_scores"]

KNOT_DISTANCE = 1e-9  # least difference of knots
RISE_BEYOND = 5.0  # distances of the outermost knots up to which scores rise beyond them


def knots_of(rows: Tensor, count: int) -> Tensor:
    """Return at most `count` even quantiles (k, m) of the columns of rows (n, k), ascending.

    Example:
        >>> knots_of(torch.arange(10.0)[:, None], 5).round().tolist()
        [[1.0, 3.0, 5.0, 7.0, 9.0]]
    """
    values, n = rows.T.contiguous().sort(1)[0], len(rows)
    count = min(count, n)
    steps = torch.arange(count, device=rows.device)
    return values[:, ((steps + 0.5) * (n / count)).long()] + KNOT_DISTANCE * steps


def normal_scores(rows: Tensor, knots: Tensor) -> Tensor:
    """Return the normal scores of rows (n, k), linear between knots and beyond the outermost.

    Args:
        rows: (n, k).
        knots: (k, m), as returned by `knots_of` for the fitted rows.

    Example:
        >>> rows = torch.arange(9.0)[:, None].double()
        >>> normal_scores(rows, knots_of(rows, 9))[5:7, 0].round(decimals=2).tolist()
        [0.28, 0.59]
    """
    count = knots.shape[1]
    levels = (torch.arange(count, dtype=rows.dtype, device=rows.device) + 0.5) / count
    values, columns = torch.special.ndtri(levels), rows.T.contiguous()
    index = (torch.searchsorted(knots, columns) - 1).clamp(0, count - 2)
    low, high = knots.gather(1, index), knots.gather(1, index + 1)
    share = ((columns - low) / (high - low)).clamp(-RISE_BEYOND, 1 + RISE_BEYOND)
    return torch.lerp(values[index], values[index + 1], share).T
