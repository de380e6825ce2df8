"""Log sums of e^f over the negatives of rows and columns: the sufficient statistics of all bounds.

The contract of scores: `scores[i, j] = f(x_i, y_j)`, (n, m) with n <= m, positives on the diagonal,
every other entry a negative (columns j >= n are further draws of y). The scores may be given as one
matrix (`of`) or in tiles (`of_tile`), whose log sums are merged by `add`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from infobound.errors import InputError

__all__ = [
    *("Extras", "Sums"),
    *("add", "cut", "empty", "influence", "nothing", "of", "of_tile", "stacked"),
]

SPAN = 40.0  # maxima of rows and columns may differ by this many nats and still share one peak

LOG_2 = math.log(2)

# Exponents are clamped here (e^-85 = 1e-37), above float32's denormal numbers
LOWEST_EXPONENT = -85.0

Extras = Callable[[Tensor, Tensor], Sequence[Tensor]]
"""Maps (scores, distance) to further tensors shaped like the scores, whose exponentials are summed
over each row. distance[i, j] = (j - i) mod m is zero for positives."""


class Sums(NamedTuple):
    """The statistics of scores (n, m) that a bound is a function of, in nats.

    Attributes:
        positives: (n,), the scores of the positives.
        rows: (n,), the log of the sum of e^f over the negatives of each row.
        columns: (m,), the log of the sum of e^f over the negatives of each column.
        others: (n,) each, the log of the sum over each row of e^r, for each tensor r of `Extras`.
    """

    positives: Tensor
    rows: Tensor
    columns: Tensor
    others: tuple[Tensor, ...] = ()

    @classmethod
    def made(cls, parts: Sequence[Tensor]) -> Sums:
        """Build sums from a flat sequence: positives, rows, columns, then the others."""
        return cls(parts[0], parts[1], parts[2], tuple(parts[3:]))

    def parts(self) -> list[Tensor]:
        """Return the tensors as a flat list, the inverse of `made`."""
        return [*self[:3], *self.others]


def of(scores: Tensor, extras: Extras | None = None) -> Sums:
    """Compute the sums of a score matrix; differentiable.

    Args:
        scores: (n, m), n <= m, positives on the diagonal, in nats.
        extras: what is summed besides e^f.

    Returns:
        The sums, in nats.

    Raises:
        InputError: If the scores violate the contract.

    Example:
        >>> of(torch.zeros(2, 3)).rows  # log 2 each
        tensor([0.6931, 0.6931])
    """
    shape = tuple(scores.shape)
    if not (len(shape) == 2 and 1 <= shape[0] <= shape[1] >= 2 and scores.is_floating_point()):
        raise InputError(
            "Expected floating-point scores (n, m), 1 <= n <= m and m >= 2; got "
            f"{scores.dtype} of shape {shape}. Rows are x, columns y, and the y of row i is column "
            "i: score every x against every y, transpose, or score more rows at once."
        )
    return Sums(scores.diagonal(), *of_tile(scores, 0, shape[1], extras))


def of_tile(
    tile: Tensor, diagonal: int, m: int, extras: Extras | None = None
) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
    """Compute the log sums of a tile of the score matrix; differentiable.

    Args:
        tile: (a, b), scores in nats.
        diagonal: the offset of the positives, tile[i, i + diagonal], as in `torch.diagonal`.
        m: the number of columns of the whole matrix.
        extras: what is summed besides e^f.

    Returns:
        Log sums over rows (a,), over columns (b,), and the others (a,), in nats.
    """
    negatives = _left_out(tile, diagonal)
    peak = _shared_peak(negatives)
    if peak is None:
        rows, columns = negatives.logsumexp(1), negatives.logsumexp(0)
    else:
        rows, columns = _LogSums.apply(negatives, peak)  # type: ignore[no-untyped-call]
    others = tuple(read.logsumexp(1) for read in _extra_terms(tile, diagonal, m, extras))
    return rows, columns, others


def empty(n: int, m: int, like: Sums) -> Sums:
    """Return empty sums for scores (n, m), with the dtype and the number of others of `like`."""
    lengths = [n, n, m, *(n for _ in like.others)]
    nil = nothing(like.rows)
    return Sums.made([p.new_full((k,), nil) for p, k in zip(like.parts(), lengths, strict=True)])


def add(total: Sums, part: Sums, top: int, left: int, diagonal: int) -> None:
    """Merge in place the sums of a tile that begins at row `top` and column `left`.

    `diagonal` is the offset of the positives in the tile, as for `of_tile`.

    Example:
        >>> part = of(torch.zeros(1, 2))
        >>> total = empty(2, 3, part)
        >>> add(total, part, 0, 0, 0)
        >>> total.rows[0], total.columns[1]  # log 1 each
        (tensor(0.), tensor(0.))
    """
    start = top + max(0, -diagonal)
    total.positives[start : start + len(part.positives)] = part.positives
    here = cut(total, slice(top, top + len(part.rows)), slice(left, left + len(part.columns)))
    for log_sums, more in zip(here.parts()[1:], part.parts()[1:], strict=True):
        torch.logaddexp(log_sums, more, out=log_sums)


def cut(sums: Sums, rows: slice, columns: slice) -> Sums:
    """Slice sums to some rows and columns; a leading dimension is kept."""
    places = [rows, rows, columns, *(rows for _ in sums.others)]
    return Sums.made([part[..., p] for part, p in zip(sums.parts(), places, strict=True)])


def stacked(several: Sequence[Sums]) -> Sums:
    """Stack k sums along a new leading dimension."""
    together = zip(*(sums.parts() for sums in several), strict=True)
    return Sums.made([torch.stack(parts) for parts in together])


@torch.no_grad()
def influence(
    tile: Tensor, diagonal: int, m: int, extras: Extras | None, sums: Sums, weights: Sums
) -> tuple[Tensor, Tensor]:
    """Compute the influence of a tile's rows and columns, as negatives, on functions of the sums.

    Args:
        tile: (a, b), scores in nats.
        diagonal: the offset of the positives, as for `of_tile`.
        m: the number of columns of the whole matrix.
        extras: what is summed besides e^f.
        sums: the sums of the whole matrix, at the tile's rows and columns.
        weights: the derivatives of k values with respect to these sums, (k, a) or (k, b); of one
            value without the dimension k.

    Returns:
        The derivatives (k, a) and (k, b) of the values with respect to the log of a weight given to
        all negatives of a row, and of a column. That of a row includes only its effect through the
        sums of columns.
    """
    negatives = _left_out(tile, diagonal)
    peak = _shared_peak(negatives)
    if peak is None:
        on_columns = weights.rows @ _exp(negatives - sums.rows[:, None])
        on_rows = weights.columns @ _exp(negatives - sums.columns).T
    else:
        e = _exp(negatives - peak)
        on_columns = (weights.rows * (peak - sums.rows).exp()) @ e
        on_rows = (weights.columns * (peak - sums.columns).exp()) @ e.T
    found = _extra_terms(tile, diagonal, m, extras)
    for read, total, weight in zip(found, sums.others, weights.others, strict=True):
        on_columns = on_columns + weight @ _exp(read - total[:, None])
    return on_rows, on_columns


def _left_out(tile: Tensor, diagonal: int) -> Tensor:
    """Mask the positives of a tile, so that they add zero to the sums."""
    a, b = tile.shape
    if not -a < diagonal < b:
        return tile
    count = tile.diagonal(diagonal).shape[0]
    return torch.diagonal_scatter(tile, tile.new_full((count,), nothing(tile)), diagonal)


def nothing(tile: Tensor) -> float:
    """Return a score whose e^f is numerically zero; finite, so that its gradient is zero too."""
    return torch.finfo(tile.dtype).min / 4


def _extra_terms(tile: Tensor, diagonal: int, m: int, extras: Extras | None) -> Sequence[Tensor]:
    if extras is None:
        return ()
    rows, columns = (torch.arange(size, device=tile.device) for size in tile.shape)
    return extras(tile, (columns - rows[:, None] - diagonal) % m)


@torch.no_grad()
def _shared_peak(negatives: Tensor) -> Tensor | None:
    """Return the largest of the scores, or None if one peak for all would underflow."""
    of_rows, of_columns = negatives.amax(1), negatives.amax(0)
    peak = of_rows.max()
    # This synchronises with the device: the branch depends on the scores.
    near = bool(torch.minimum(of_rows.min(), of_columns.min()) > peak - SPAN)
    return peak if near else None


class _LogSums(torch.autograd.Function):
    """Log sums of e^f over rows and columns from one pass of exponentials, kept for the gradient.

    Autograd would go back through each of the steps, which takes longer than a small network.
    """

    @staticmethod
    def forward(ctx: Any, negatives: Tensor, peak: Tensor) -> tuple[Tensor, Tensor]:
        e = _exp(negatives - peak)
        of_rows, of_columns = e.sum(1), e.sum(0)
        ctx.save_for_backward(negatives, e, of_rows, of_columns)
        return of_rows.log() + peak, of_columns.log() + peak

    @staticmethod
    def backward(ctx: Any, on_rows: Tensor, on_columns: Tensor) -> tuple[Tensor, None]:
        negatives, e, of_rows, of_columns = ctx.saved_tensors
        if torch.is_grad_enabled():  # second derivatives are wanted, and e is a constant
            found = on_rows[:, None] * negatives.softmax(1) + on_columns * negatives.softmax(0)
            return found, None
        return e * ((on_rows / of_rows)[:, None] + on_columns / of_columns), None


def _exp(shifted: Tensor) -> Tensor:
    """Compute e^shifted in place, with exponents clamped to `LOWEST_EXPONENT`.

    CPUs take ten times as long for denormal numbers of float32, and three times as long for e^z as
    for 2^z.
    """
    with torch.no_grad():
        shifted.clamp_(min=LOWEST_EXPONENT)
    return shifted.mul_(1 / LOG_2).exp2_()
