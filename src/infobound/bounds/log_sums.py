"""What bounds read of all pairs: log sums of e^f over the negatives of rows and of columns.

The contract of scores: `scores[i, j] = f(x_i, y_j)`, (n, m) with n <= m, positives on the diagonal,
every other entry a negative (columns j >= n are further draws of y). The scores may be at hand as
one matrix (`of`) or come in tiles (`of_tile`), whose log sums are put together by `add`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from infobound.errors import InputError

__all__ = [
    *("Reads", "Sums"),
    *("add", "cut", "empty", "influence", "nothing", "of", "of_tile", "stacked"),
]

SPAN = 40.0  # nats by which peaks of rows and columns may differ and still share one exponential

LOG_2 = math.log(2)

LOWEST = -85.0  # below it e^f is not taken at its word: 1e-37

Reads = Callable[[Tensor, Tensor], Sequence[Tensor]]
"""(scores, distance) -> what else is summed over the negatives of each row: as many tensors like
the scores; distance[i, j] = (j - i) mod m is zero for positives."""


class Sums(NamedTuple):
    """All that a bound needs to know of scores (n, m), nats."""

    positives: Tensor  # (n,) their scores
    rows: Tensor  # (n,) log of the sum of e^f over a row's negatives
    columns: Tensor  # (m,) log of the sum of e^f over a column's negatives
    others: tuple[Tensor, ...] = ()  # (n,) log of the sum of e^r over a row, for each of the reads

    @classmethod
    def made(cls, parts: Sequence[Tensor]) -> Sums:
        """From positives, rows, columns and the others, one after the other."""
        return cls(parts[0], parts[1], parts[2], tuple(parts[3:]))

    def parts(self) -> list[Tensor]:
        """The inverse of `made`."""
        return [*self[:3], *self.others]


def of(scores: Tensor, reads: Reads | None = None) -> Sums:
    """The sums of scores (n, m), differentiable.

    Raises:
        InputError: scores that do not keep the contract.

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
    return Sums(scores.diagonal(), *of_tile(scores, 0, shape[1], reads))


def of_tile(
    tile: Tensor, diagonal: int, m: int, reads: Reads | None = None
) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
    """Log sums over rows (a,), columns (b,), and others (a,) of a tile (a, b), differentiable.

    `diagonal` says where the positives are, as in `torch.diagonal`: at tile[i, i + diagonal]; m is
    the number of columns of the whole matrix.
    """
    negatives = _left_out(tile, diagonal)
    shared = _exponentials(negatives)
    if shared is None:
        rows, columns = negatives.logsumexp(1), negatives.logsumexp(0)
    else:
        e, peak = shared
        rows, columns = e.sum(1).log() + peak, e.sum(0).log() + peak
    others = tuple(read.logsumexp(1) for read in _read(tile, diagonal, m, reads))
    return rows, columns, others


def empty(n: int, m: int, like: Sums) -> Sums:
    """Sums over nothing, for scores (n, m); of the kind and with as many others as `like`."""
    lengths = [n, n, m, *(n for _ in like.others)]
    nil = nothing(like.rows)
    return Sums.made([p.new_full((k,), nil) for p, k in zip(like.parts(), lengths, strict=True)])


def add(total: Sums, part: Sums, top: int, left: int, diagonal: int) -> None:
    """Add in place the sums of a tile that begins at row `top` and column `left`.

    `diagonal` says where in the tile the positives are, as for `of_tile`.

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
    """What belongs to some rows and columns; a leading dimension is kept."""
    places = [rows, rows, columns, *(rows for _ in sums.others)]
    return Sums.made([part[..., p] for part, p in zip(sums.parts(), places, strict=True)])


def stacked(several: Sequence[Sums]) -> Sums:
    """k sums as one, with a leading dimension k."""
    together = zip(*(sums.parts() for sums in several), strict=True)
    return Sums.made([torch.stack(parts) for parts in together])


@torch.no_grad()
def influence(
    tile: Tensor, diagonal: int, m: int, reads: Reads | None, sums: Sums, weights: Sums
) -> tuple[Tensor, Tensor]:
    """What the tile's rows (k, a) and columns (k, b) do as negatives, given how sums matter.

    `sums` are those of the whole matrix at the tile's rows and columns; `weights` hold in the same
    places the derivatives of k values by them, (k, a) or (k, b), or of one value, without the k.
    Returned are the derivatives by the log of a weight that all negatives of a row, or of a column,
    are given; of a row's only what goes by way of the columns.
    """
    negatives = _left_out(tile, diagonal)
    shared = _exponentials(negatives)
    if shared is None:
        on_columns = weights.rows @ _exp(negatives - sums.rows[:, None])
        on_rows = weights.columns @ _exp(negatives - sums.columns).T
    else:
        e, peak = shared
        on_columns = (weights.rows * (peak - sums.rows).exp()) @ e
        on_rows = (weights.columns * (peak - sums.columns).exp()) @ e.T
    found = _read(tile, diagonal, m, reads)
    for read, total, weight in zip(found, sums.others, weights.others, strict=True):
        on_columns = on_columns + weight @ _exp(read - total[:, None])
    return on_rows, on_columns


def _left_out(tile: Tensor, diagonal: int) -> Tensor:
    """The tile with as good as nothing, e^-huge, in place of the positives."""
    a, b = tile.shape
    if not -a < diagonal < b:
        return tile
    count = tile.diagonal(diagonal).shape[0]
    return torch.diagonal_scatter(tile, tile.new_full((count,), nothing(tile)), diagonal)


def nothing(tile: Tensor) -> float:
    """A score whose e^f is zero next to any other; finite, so that its gradient is zero too."""
    return torch.finfo(tile.dtype).min / 4


def _read(tile: Tensor, diagonal: int, m: int, reads: Reads | None) -> Sequence[Tensor]:
    if reads is None:
        return ()
    rows, columns = (torch.arange(size, device=tile.device) for size in tile.shape)
    return reads(tile, (columns - rows[:, None] - diagonal) % m)


def _exponentials(negatives: Tensor) -> tuple[Tensor, Tensor] | None:
    """e^(f - peak) and the peak, where rows and columns can share them without loss."""
    with torch.no_grad():
        of_rows, of_columns = negatives.amax(1), negatives.amax(0)
        peak = of_rows.max()
        # Here the processor waits for the device: which of two ways to go depends on the scores.
        if not bool(torch.minimum(of_rows.min(), of_columns.min()) > peak - SPAN):
            return None
    return _exp(negatives - peak), peak


def _exp(shifted: Tensor) -> Tensor:
    """e^shifted, in place; as good as zero for what is too far below.

    Processors take ten times as long for numbers that float32 can hardly hold, and three times as
    long for e^z as for 2^z.
    """
    with torch.no_grad():
        shifted.clamp_(min=LOWEST)
    return shifted.mul_(1 / LOG_2).exp2_()
