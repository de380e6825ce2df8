"""The contract of critics: encode each row once, then score all pairs of encoded rows.

Any module that maps x (n, p) and y (m, q) to scores (n, m) is a critic. A `Critic` additionally
separates the work per row from the work per pair, so that all pairs can be scored in tiles
(`bounds.tiled`) without encoding rows again in every tile.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from infobound.errors import InputError

__all__ = [
    "Critic",
    "Product",
    "Rows",
    "checked",
    "encode",
    "is_double",
    "is_random",
    "leaves",
    "like",
    "pair",
    "product",
    "scaled",
    "split",
    "width",
]

TILE = 1 << 19  # numbers per tile of pairs: 2 MiB, so that a tile stays in the cache
ON_DEVICE = 64  # times as many on a CUDA device, where starting kernels for a tile takes longest

Rows: TypeAlias = Any  # encoded rows: a tensor (n, ...), or a tuple of encoded rows


class Critic(nn.Module):
    """A critic that scores in two steps: `encode` for rows and `pair` for pairs.

    Attributes:
        width: how many numbers a pair takes while it is scored, so that tiles fit the cache.
        is_random: whether scoring may draw random numbers, as dropout does.
    """

    width = 1
    is_random = True

    def encode(self, x: Tensor, y: Tensor) -> tuple[Rows, Rows]:
        """Encode the rows of x (n, p) and of y (m, q)."""
        raise NotImplementedError

    def pair(self, a: Rows, b: Rows) -> Tensor:
        """Score n encoded rows of x against m encoded rows of y: (n, m)."""
        raise NotImplementedError

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Score x (n, p) against y (m, q): (n, m). Without gradients, works in blocks of rows."""
        a, b = self.encode(x, y)
        most = scaled(TILE, x)
        step = len(x) if torch.is_grad_enabled() else max(1, most // max(1, len(y) * self.width))
        if step >= len(x):
            return self.pair(a, b)
        return torch.cat([self.pair(block, b) for block in split(a, step)])


def scaled(numbers: int, like: Tensor) -> int:
    """Return how many numbers to compute at once on the device of a tensor, from that on a CPU.

    Example:
        >>> scaled(100, torch.zeros(1)), scaled(100, torch.zeros(1, device="meta"))
        (100, 6400)
    """
    return numbers if like.device.type == "cpu" else ON_DEVICE * numbers


class Product(Critic):
    """A critic whose scores are inner products: `encode` returns tensors (n, k) and (m, k)."""

    def pair(self, a: Rows, b: Rows) -> Tensor:
        """Score all pairs with one matrix product: (n, m)."""
        found: Tensor = a[0] @ b[0].T
        return found


def product(g: Tensor, h: Tensor, own_x: Tensor, own_y: Tensor) -> tuple[Rows, Rows]:
    """Encode rows of a `Product` whose scores are g . h + own_x + own_y.

    Args:
        g: (n, k), the vectors of x.
        h: (m, k), the vectors of y.
        own_x: (n,), a function of x alone.
        own_y: (m,), a function of y alone.

    Returns:
        Encoded rows (n, k + 2) and (m, k + 2).

    Example:
        >>> (left,), (right,) = product(*torch.ones(2, 1, 2), *torch.tensor([[0.5], [0.25]]))
        >>> left @ right.T
        tensor([[2.7500]])
    """
    left = torch.cat([g, torch.stack([own_x, torch.ones_like(own_x)], 1)], 1)
    right = torch.cat([h, torch.stack([torch.ones_like(own_y), own_y], 1)], 1)
    return (left,), (right,)


def encode(critic: nn.Module, x: Tensor, y: Tensor) -> tuple[Rows, Rows]:
    """Encode the rows of x (n, p) and y (m, q); a module that is no `Critic` keeps them unchanged.

    Example:
        >>> [len(rows) for rows in encode(nn.Identity(), torch.zeros(4, 1), torch.zeros(5, 1))]
        [1, 1]
    """
    return critic.encode(x, y) if isinstance(critic, Critic) else ((x,), (y,))


def pair(critic: nn.Module, a: Rows, b: Rows) -> Tensor:
    """Score rows that `encode` has encoded: (n, m).

    Raises:
        InputError: If a user's module returns something else, or scores without gradients where
            gradients are enabled.
    """
    if isinstance(critic, Critic):
        return critic.pair(a, b)
    scores = checked(critic(*a, *b), len(a[0]), len(b[0]))
    if torch.is_grad_enabled() and not scores.requires_grad:
        raise InputError(
            f"Expected scores with gradients from {type(critic).__name__}; got scores without. "
            "Leave out .detach(), .numpy() and torch.no_grad() in its forward, and let the scores "
            "depend on its parameters."
        )
    return scores


def checked(scores: object, n: int, m: int) -> Tensor:
    """Check that a user's critic returned a floating-point tensor (n, m), and return it.

    Raises:
        InputError: If it returned anything else.

    Example:
        >>> checked(None, 2, 3)
        Traceback (most recent call last):
        ...
        infobound.errors.InputError: Expected scores of shape (2, 3) from the critic; got None...
    """
    if not isinstance(scores, Tensor):
        found = type(scores).__name__
    elif not scores.is_floating_point():
        found = str(scores.dtype)
    elif scores.is_meta:
        found = "a tensor without values, on the meta device"
    elif scores.shape != (n, m):
        found = str(tuple(scores.shape))
    else:
        return scores
    raise InputError(
        f"Expected scores of shape {(n, m)} from the critic; got {found}. A critic takes x (n, p) "
        "and y (m, q) and gives one score for each pair, a tensor of floating-point numbers (n, m)."
    )


def width(critic: nn.Module) -> int:
    """Return how many numbers a pair takes while it is scored; 1 if the module is no `Critic`."""
    return critic.width if isinstance(critic, Critic) else 1


def is_double(critic: nn.Module) -> bool:
    """Return whether all parameters are float64, so that the rows must be float64 too.

    Example:
        >>> is_double(nn.Linear(1, 1).double())
        True
    """
    return {parameter.dtype for parameter in critic.parameters()} == {torch.float64}


def is_random(critic: nn.Module) -> bool:
    """Return whether scoring may draw random numbers; true for a module that is no `Critic`."""
    return critic.is_random if isinstance(critic, Critic) else True


def split(rows: Rows, size: int) -> Sequence[Rows]:
    """Split encoded rows into blocks of `size`, the last of which may be smaller.

    Example:
        >>> [len(block[0]) for block in split((torch.zeros(5, 2),), 3)]
        [3, 2]
    """
    if isinstance(rows, Tensor):
        found: Sequence[Any] = rows.split(size)
        return found
    return list(zip(*(split(part, size) for part in rows), strict=True))


def leaves(rows: Rows) -> list[Tensor]:
    """Flatten encoded rows to a list of tensors.

    Example:
        >>> [len(leaf) for leaf in leaves(((torch.zeros(3), torch.zeros(3, 2)),))]
        [3, 3]
    """
    if isinstance(rows, Tensor):
        return [rows]
    return [leaf for part in rows for leaf in leaves(part)]


def like(rows: Rows, tensors: Iterator[Tensor]) -> Rows:
    """Build encoded rows with the structure of `rows` from tensors; the inverse of `leaves`."""
    if isinstance(rows, Tensor):
        return next(tensors)
    return tuple(like(part, tensors) for part in rows)
