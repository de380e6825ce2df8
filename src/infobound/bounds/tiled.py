"""Tiled evaluation of a critic over all pairs of rows, without an (n, m) matrix in memory.

The pairs of a tile fit the cache; only the log sums of its scores over rows and columns are kept
(`log_sums`). With gradients, each tile is scored again in the backward pass, so that batches of any
size can be trained. Rows are encoded once (`critics.contract`). The order of tiles is fixed: the
same rows and the same number of threads give bitwise identical results.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from infobound._system import distributed, torch_state
from infobound.bounds import log_sums as sums
from infobound.bounds.log_sums import Extras, Sums
from infobound.bounds.variational import Bound
from infobound.critics import contract
from infobound.critics.contract import Rows
from infobound.errors import InputError

__all__ = ["all_pairs", "is_shared", "scores", "seeded", "terms", "undrawn", "value", "values"]

SHARED_WORK = 1 << 25  # multiplications above which sharing the work outweighs communication
EVALUATED = 0  # seed of a random critic in evaluation
DENSE = 1 << 24  # numbers above which pairs with gradients are scored in tiles


def is_shared(critic: nn.Module, n: int, m: int) -> bool:
    """Return whether n x m pairs are divided among ranks, which is so if it saves time.

    Each rank then has the gradients of its own pairs only, and they must be summed over ranks
    (`distributed`).
    """
    if distributed.ranks()[1] == 1:
        return False
    size = sum(parameter.numel() for parameter in critic.parameters())
    work = n * m * contract.width(critic) ** 2 + (n + m) * size
    return work > SHARED_WORK and n >= distributed.ranks()[1]


class Tile(NamedTuple):
    """Encoded rows of x starting at the rank's row `top`, and of y starting at row `left`."""

    top: int
    left: int
    a: Rows
    b: Rows


@dataclass(frozen=True)
class _Pairs:
    """The pairs of this rank: its slice `own` of the n encoded rows of x with all m of y."""

    critic: nn.Module
    a: Rows
    b: Rows
    n: int
    m: int
    own: slice

    @classmethod
    def encoded(cls, critic: nn.Module, x: Tensor, y: Tensor) -> _Pairs:
        n, m = len(x), len(y)
        if not (1 <= n <= m and m >= 2):
            raise InputError(
                f"Expected at least as many rows of y as of x, and two; got {n} and {m}. The y of "
                "row i of x is row i: score more rows at once, or exchange x and y."
            )
        if not is_shared(critic, n, m):
            return cls(critic, *contract.encode(critic, x, y), n, m, slice(0, n))
        own = distributed.own_slice(n)
        a, b = contract.encode(critic, x[own], y[distributed.own_slice(m)])
        every = (distributed.gather_rows(leaf, m) for leaf in contract.leaves(b))
        return cls(critic, a, contract.like(b, every), n, m, own)

    def together(self, part: Sums) -> Sums:
        """Combine the sums of this rank with those of all others."""
        if self.own == slice(0, self.n):
            return part
        rows = torch.stack([part.positives, part.rows, *part.others], 1)
        columns = (part.columns[None], distributed.ranks()[1])
        by_rows, by_ranks = distributed.gather_replicated((rows, self.n), columns)
        positives, rows, *others = by_rows.unbind(1)
        return Sums(positives, rows, by_ranks.logsumexp(0), tuple(others))

    def tiles(self, size: tuple[int, int] | None) -> Iterator[Tile]:
        """Iterate over tiles row by row; squares that fit the cache if no size is given."""
        most = contract.scaled(contract.TILE, contract.leaves(self.a)[0])
        side = math.isqrt(most // contract.width(self.critic)) or 1
        height, breadth = size or (side, side)
        for i, a in enumerate(contract.split(self.a, height)):
            for j, b in enumerate(contract.split(self.b, breadth)):
                yield Tile(i * height, j * breadth, a, b)

    def scores(self, tile: Tile) -> Tensor:
        scores = contract.pair(self.critic, tile.a, tile.b)
        n, m = (len(contract.leaves(side)[0]) for side in (tile.a, tile.b))
        return contract.checked(scores, n, m)

    def part(self, tile: Tile, extras: Extras | None) -> Sums:
        """Return the scores of the positives in a tile and its log sums over rows and columns."""
        scores, diagonal = self.scores(tile), self.diagonal(tile)
        positives = scores.diagonal(diagonal).clone()  # a view would keep the tile in memory
        return Sums(positives, *sums.of_tile(scores, diagonal, self.m, extras))

    def diagonal(self, tile: Tile) -> int:
        """Return the offset of the positives in a tile, as in `torch.diagonal`."""
        found: int = self.own.start + tile.top - tile.left
        return found

    def sums(self, extras: Extras | None, size: tuple[int, int] | None) -> Sums:
        """Merge the sums of all tiles, without gradients; the scores of a tile are discarded."""
        totals: Sums | None = None
        for tile in self.tiles(size):
            part = self.part(tile, extras)
            if totals is None:
                totals = sums.empty(len(contract.leaves(self.a)[0]), self.m, part)
            sums.add(totals, part, tile.top, tile.left, self.diagonal(tile))
        assert totals is not None
        return totals


class _Recomputed(torch.autograd.Function):
    """The sums of all tiles; the backward pass scores each tile again, with gradients."""

    @staticmethod
    def forward(
        ctx: Any,
        every: _Pairs,
        extras: Extras | None,
        size: tuple[int, int] | None,
        *tensors: Tensor,
    ) -> tuple[Tensor, ...]:
        ctx.every, ctx.extras, ctx.size = every, extras, size
        ctx.seed = 0
        if contract.is_random(every.critic):  # the backward pass needs the same dropout masks
            ctx.seed = int(torch.randint(1 << 62, ()))
        with seeded(every.critic, ctx.seed):
            found = every.sums(extras, size)
        ctx.save_for_backward(*found.parts())
        return tuple(found.parts())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        every: _Pairs = ctx.every
        whole, slope = Sums.made(ctx.saved_tensors), Sums.made(slopes)
        weights = [p for p in every.critic.parameters() if p.requires_grad]
        encoded = [*contract.leaves(every.a), *contract.leaves(every.b)]
        totals = [torch.zeros_like(tensor) for tensor in (*encoded, *weights)]
        with seeded(every.critic, ctx.seed):
            for tile in every.tiles(ctx.size):
                for (place, gradient), total in zip(
                    _gradients(every, tile, ctx.extras, whole, slope, weights), totals, strict=True
                ):
                    if gradient is not None:
                        total[place] += gradient
        needed = ctx.needs_input_grad[3:]
        return None, None, None, *(t if n else None for t, n in zip(totals, needed, strict=True))


def _gradients(
    every: _Pairs,
    tile: Tile,
    extras: Extras | None,
    whole: Sums,
    slope: Sums,
    weights: Sequence[Tensor],
) -> Iterator[tuple[slice, Tensor | None]]:
    """Yield where and what one tile adds to the gradients of encoded rows and of weights.

    This is the chain rule through the merged log sums `whole`, whose gradients are `slope`.
    """
    own = [
        [leaf.detach().requires_grad_() for leaf in contract.leaves(s)] for s in (tile.a, tile.b)
    ]
    a, b = (contract.like(s, iter(leaves)) for s, leaves in zip((tile.a, tile.b), own, strict=True))
    with torch.enable_grad():
        part = every.part(Tile(tile.top, tile.left, a, b), extras)
    i = slice(tile.top, tile.top + len(part.rows))
    j = slice(tile.left, tile.left + len(part.columns))
    start = tile.top + max(0, -every.diagonal(tile))
    through = [slope.positives[start : start + len(part.positives)]]
    here = (sums.cut(whole, i, j).parts(), sums.cut(slope, i, j).parts())
    for log_sums, total, steep in list(zip(part.parts(), *here, strict=True))[1:]:
        through.append(steep * (log_sums.detach() - total).exp())
    inputs = [*own[0], *own[1], *weights]
    found = torch.autograd.grad(part.parts(), inputs, through, allow_unused=True)
    places = [i] * len(own[0]) + [j] * len(own[1]) + [slice(None)] * len(weights)
    return zip(places, found, strict=True)


def seeded(critic: nn.Module, seed: int = EVALUATED) -> contextlib.AbstractContextManager[Any]:
    """Context in which a random critic draws from this seed; see `torch_state.seeded`.

    It does nothing for a critic that draws no random numbers.

    Example:
        >>> layer = nn.Dropout(0.5)
        >>> with seeded(layer, 1):
        ...     one = layer(torch.ones(50))
        >>> with seeded(layer, 1):
        ...     bool((layer(torch.ones(50)) == one).all())
        True
    """
    if contract.is_random(critic):
        return torch_state.seeded(seed)
    return contextlib.nullcontext()


def undrawn(critic: nn.Module) -> contextlib.AbstractContextManager[Any]:
    """Context in which a critic may draw no random numbers; see `torch_state.nothing_drawn`."""
    return torch_state.nothing_drawn() if contract.is_random(critic) else contextlib.nullcontext()


def all_pairs(
    critic: nn.Module,
    x: Tensor,
    y: Tensor,
    extras: Extras | None = None,
    *,
    tile: tuple[int, int] | None = None,
) -> Sums:
    """Compute the sums of the scores of all pairs; differentiable.

    Args:
        critic: maps x (n, p) and y (m, q) to scores (n, m).
        x: (n, p).
        y: (m, q), n <= m; row i of y belongs to row i of x.
        extras: what is summed besides e^f: `Bound.extras` or `Bound.objective_extras`.
        tile: rows and columns scored at once. By default as many as fit the cache or, with
            gradients and few pairs, all of them.

    Returns:
        The sums, in nats.

    Raises:
        InputError: If the scores have another shape than (n, m), or n > m.

    Source: Chen et al. 2016, https://arxiv.org/abs/1604.06174 (recomputation); the log sums are
    merged as in Milakov and Gimelshein 2018, https://arxiv.org/abs/1805.02867.

    Example:
        >>> from infobound.critics.networks import Bilinear
        >>> x = torch.ones(1000, 1)
        >>> all_pairs(Bilinear(1, 1), x, x, tile=(100, 300)).rows[0]  # log 999
        tensor(6.9068, grad_fn=<SelectBackward0>)
    """
    every = _Pairs.encoded(critic, x, y)
    if not torch.is_grad_enabled():
        return every.together(every.sums(extras, tile))
    if tile is None and every.n * every.m * contract.width(critic) <= DENSE:
        return every.together(every.part(Tile(0, 0, every.a, every.b), extras))
    weights = [p for p in critic.parameters() if p.requires_grad]
    tensors = [*contract.leaves(every.a), *contract.leaves(every.b), *weights]
    return every.together(Sums.made(_Recomputed.apply(every, extras, tile, *tensors)))  # type: ignore[no-untyped-call]


def values(critic: nn.Module, bound: Bound, x: Tensor, y: Tensor) -> Tensor:
    """Evaluate a bound over all pairs; differentiable.

    Args:
        critic: maps x (n, p) and y (m, q) to scores (n, m).
        bound: the bound.
        x: (n, p).
        y: (m, q), n <= m.

    Returns:
        The values (n,) of the rows of x, whose mean is the bound, in nats.

    Example:
        >>> from infobound.bounds.variational import BOUNDS
        >>> from infobound.critics.networks import Bilinear
        >>> values(Bilinear(1, 1), BOUNDS["infonce"], torch.ones(3, 1), torch.ones(3, 1)).detach()
        tensor([0., 0., 0.])
    """
    with seeded(critic):
        found = all_pairs(critic, x, y, bound.extras)
    return bound.of(found)


def value(critic: nn.Module, bound: Bound, x: Tensor, y: Tensor) -> Tensor:
    """Evaluate a bound over all pairs, a scalar in nats: the mean of `values`."""
    return values(critic, bound, x, y).mean()


@torch.no_grad()
def scores(critic: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Compute the score matrix of all pairs, without gradients.

    Args:
        critic: maps x (n, p) and y (m, q) to scores (n, m).
        x: (n, p).
        y: (m, q).

    Returns:
        (n, m), in nats.

    Example:
        >>> from infobound.critics.networks import Bilinear
        >>> scores(Bilinear(1, 1), torch.ones(2, 1), torch.ones(3, 1)).shape
        torch.Size([2, 3])
    """
    n = len(x)
    with seeded(critic):
        if not is_shared(critic, n, len(y)):
            found: Tensor = critic(x, y)
            return found
        return distributed.gather_replicated((critic(x[distributed.own_slice(n)], y), n))[0]


@torch.no_grad()
def terms(
    critic: nn.Module, bounds: Sequence[Bound], x: Tensor, y: Tensor
) -> tuple[Tensor, list[Tensor]]:
    """Compute the terms of several bounds over all pairs, as `Bound.terms` does.

    All pairs are scored twice, because the influence of a row as a negative depends on the sums of
    all pairs. At most one of the bounds may read more than e^f.

    Args:
        critic: maps x (n, p) and y (m, q) to scores (n, m).
        bounds: the bounds.
        x: (n, p).
        y: (m, q), n <= m; row i of y belongs to row i of x.

    Returns:
        The scores of the positives (n,), and the terms (n,) of each bound, in nats.

    Example:
        >>> from infobound.bounds.variational import BOUNDS
        >>> from infobound.critics.networks import Bilinear
        >>> x = torch.ones(9, 1)
        >>> positives, (found,) = terms(Bilinear(1, 1), [BOUNDS["infonce"]], x, x)
        >>> found.shape
        torch.Size([9])
    """
    extras = next((bound.extras for bound in bounds if bound.extras is not None), None)
    with seeded(critic):
        every = _Pairs.encoded(critic, x, y)
    with seeded(critic):
        found = every.together(every.sums(extras, None))
    weights = [bound.weights(found) for bound in bounds]
    mine = sums.cut(found, every.own, slice(None))
    slopes = sums.cut(sums.stacked(weights), every.own, slice(None))
    rows, columns = torch.zeros_like(slopes.rows), torch.zeros_like(slopes.columns)
    with seeded(critic):  # the same random numbers as in the first pass
        for tile in every.tiles(None):
            scores = every.scores(tile)
            i = slice(tile.top, tile.top + scores.shape[0])
            j = slice(tile.left, tile.left + scores.shape[1])
            here = (sums.cut(mine, i, j), sums.cut(slopes, i, j))
            more = sums.influence(scores, every.diagonal(tile), every.m, extras, *here)
            rows[:, i] += more[0]
            columns[:, j] += more[1]
    on_rows, on_columns = rows, columns
    if every.own != slice(0, every.n):
        on_rows, on_columns = (
            distributed.gather_replicated((rows.T, every.n))[0].T,
            distributed.sum_over_ranks(columns),
        )
    both = zip(bounds, weights, on_rows, on_columns, strict=True)
    return found.positives, [b.of(found) + b.shared(w, *on) for b, w, *on in both]
