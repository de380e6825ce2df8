"""Fused forward and backward pass of the joint ELU critic over all pairs of encoded rows.

Each exponential is computed once, cheap activations are recomputed instead of stored, and blocks of
pairs stay in the cache.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from infobound.critics import contract

__all__ = ["EluPairs", "elu_pairs"]

# Numbers per block of pairs in training: 1 MiB, so that a block stays in the cache
BLOCK_NUMBERS = 1 << 18
LOG_2 = math.log(2)
STEEP = 40.0  # largest |a| and |b| for which e^a e^b cannot overflow in float32


class EluPairs(torch.autograd.Function):
    """`elu_pairs` with its gradient, computed in blocks of pairs that stay in the cache.

    The backward pass needs no exponentials: the derivative of ELU is ELU + 1, clipped at 1. Hidden
    layers are stored from the second on; recomputing the first takes less time than storing it.
    """

    @staticmethod
    def forward(ctx: Any, precision: torch.dtype, a: Tensor, b: Tensor, *weights: Tensor) -> Tensor:
        """Score a (n, width) against b (m, width): (n, m). Hidden layers are stored."""
        ctx.precision, ctx.rows = precision, max(1, contract.scaled(BLOCK_NUMBERS, b) // b.numel())
        kept: list[list[Tensor]] = [[] for _ in range(0, len(a), ctx.rows)]
        blocks = zip(a.split(ctx.rows), kept, strict=True)
        scores = [elu_pairs(precision, block, b, weights, layers) for block, layers in blocks]
        ctx.save_for_backward(a, b, *weights, *(layer for layers in kept for layer in layers))
        return torch.cat(scores)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        """Backpropagate; layers hold ELU + 1, which is corrected in the weights' gradients."""
        count = len(ctx.needs_input_grad) - 3
        a, b, *weights = ctx.saved_tensors[: 2 + count]
        kept = iter(ctx.saved_tensors[2 + count :])
        low = ctx.precision is not torch.float32
        on_a, on_b = torch.empty_like(a), torch.zeros_like(b)
        totals = [torch.zeros_like(weight) for weight in weights]
        for block, out, flat in zip(*(t.split(ctx.rows) for t in (a, on_a, slope)), strict=True):
            first, through, spare = (_scratch(i, a, len(block), *b.shape) for i in range(3))
            hidden = [_first(block, b, first, spare), *(next(kept) for _ in weights[:-2:2])]
            flat, through, spare = (
                t.view(flat.numel(), -1) for t in (flat.contiguous(), through, spare)
            )
            totals[-2] += flat.T @ hidden[-1]
            torch.clamp(hidden[-1], max=1, out=through).mul_(weights[-2]).mul_(flat)
            for k in range(len(hidden) - 1, 0, -1):
                weight, on_weight, on_bias = weights[2 * k - 2], *totals[2 * k - 2 : 2 * k]
                on_bias += through.sum(0)
                on_weight.addmm_(through.T, hidden[k - 1])
                if low:
                    spare.copy_(through.to(ctx.precision) @ weight.to(ctx.precision))
                else:
                    torch.mm(through, weight, out=spare)
                torch.clamp(hidden[k - 1], max=1, out=through)
                through, spare = spare.mul_(through), through
            through = through.view(len(block), *b.shape)
            torch.sum(through, 1, out=out)
            on_b += through.sum(0)
        totals[-1] += slope.sum()
        for on_weight, on_bias in zip(totals[::2], totals[1::2], strict=True):
            on_weight -= on_bias[:, None]
        return None, on_a, on_b, *totals


class _Kept(threading.local):
    """Scratch memory of each thread, reused for every tile."""

    def __init__(self) -> None:
        self.buffers: dict[tuple[int, torch.dtype], Tensor] = {}


_KEPT = _Kept()


def _scratch(number: int, like: Tensor, *shape: int) -> Tensor:
    """Return scratch memory for the current tile; each `number` has a buffer of its own.

    Freed memory goes back to the operating system, which would map it again for each tile page by
    page; that takes half as long as the computation. Devices have a caching allocator.
    """
    size = math.prod(shape)
    if like.device.type != "cpu" or size > contract.TILE:
        return like.new_empty(shape)
    buffer = _KEPT.buffers.get((number, like.dtype))
    if buffer is None or len(buffer) < size:
        with torch.inference_mode(False):  # so that it can be written outside of that mode too
            buffer = _KEPT.buffers[number, like.dtype] = like.new_empty(size)
    return buffer[:size].view(shape)


def _first(a: Tensor, b: Tensor, hidden: Tensor, spare: Tensor) -> Tensor:
    """Compute the first hidden layer of all pairs plus one, (n m, width).

    ELU(z) + 1 = max(z + 1, min(e^z, 1)). The exponential of a sum a_i + b_j is a product of
    exponentials that are computed once per row.
    """
    torch.add((a + 1).unsqueeze(1), b, out=hidden)
    if bool(torch.maximum(a.abs().amax(), b.abs().amax()) < STEEP):  # synchronises with the device
        e = torch.mul(a.exp().unsqueeze(1), b.exp(), out=spare)
    else:
        e = torch.exp(hidden - 1, out=spare)
    return torch.maximum(hidden, e.clamp_(max=1), out=hidden).view(-1, a.shape[1])


def elu_pairs(
    precision: torch.dtype,
    a: Tensor,
    b: Tensor,
    weights: Sequence[Tensor],
    kept: list[Tensor] | None = None,
) -> Tensor:
    """Score all pairs with a joint ELU network.

    Hidden layers are stored as ELU(z) + 1, whose derivative is its own value clipped at 1; the
    offset is subtracted in the bias of the next layer. Layers are divided by log 2, because CPUs
    take a third of the time for 2^z that they take for e^z.

    Args:
        precision: dtype of the matrix products of hidden layers.
        a: (n, width), the part of the first layer that depends on x.
        b: (m, width), the part of the first layer that depends on y.
        weights: weight and bias of each further layer in turn.
        kept: a list to which hidden layers from the second on are appended, for the gradient.

    Returns:
        Scores (n, m).
    """
    n, m, width = len(a), len(b), a.shape[1]
    shape = (n, m, width)
    hidden = _scratch(0, a, *shape) if kept is None else a.new_empty(shape)
    spare = _scratch(1, a, *shape)
    hidden, spare = _first(a, b, hidden, spare), spare.view(-1, width)
    for weight, bias in zip(weights[:-2:2], weights[1:-2:2], strict=True):
        z, e = spare, torch.empty_like(hidden) if kept else hidden  # do not overwrite stored layers
        layer = (bias - weight.sum(1)) / LOG_2, hidden, weight.T / LOG_2
        if precision is torch.float32:  # or float64, as the rows are
            torch.addmm(*layer, out=z)
        else:
            z.copy_(torch.addmm(*(part.to(precision) for part in layer)))
        torch.exp2(z, out=e)
        hidden, spare = e.clamp_(max=1).add_(z.clamp_(min=0), alpha=LOG_2), z
        if kept is not None:
            kept.append(hidden)
    last, bias = weights[-2:]
    return torch.addmv(bias - last.sum(), hidden, last[0]).view(n, m)
