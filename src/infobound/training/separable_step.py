"""The gradient of the default critic's objective, written out: InfoNCE of a separable network.

Automatic differentiation of so small a network takes as long for bookkeeping as for arithmetic, and
passes over all scores twice as often. The base of the critic is encoded once, not in every step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from infobound.bounds.variational import BOUNDS, Bound
from infobound.critics import contract
from infobound.critics.contract import Rows
from infobound.critics.networks import Composite, Separable

__all__ = ["SeparableStep", "infonce_and_slope"]

ENCODED = 1 << 24  # most numbers of encoded rows that are kept
LOG_2 = math.log(2)
LOWEST_EXPONENT = -85.0  # e^-85 is above float32's denormal numbers, which are slow
LOWEST_SUM = 1e-17  # of e^(f - peak) over a row or a column, where float32 is still exact


@dataclass(frozen=True)
class SeparableStep:
    """Sets the gradients of a separable network on a base to those of minus InfoNCE of a batch.

    Attributes:
        network: the network.
        base: the critic that it is added to, if there is one.
        x: (n, p), the columns of x that the network reads.
        y: (n, q), the columns of y that it reads.
        encoded: the rows of both sides as the base encodes them.
    """

    network: Separable
    base: nn.Module | None
    x: Tensor
    y: Tensor
    encoded: tuple[Rows, Rows]

    @classmethod
    def of(
        cls, critic: nn.Module, bound: Bound, train: tuple[Tensor, Tensor]
    ) -> SeparableStep | None:
        """Prepare steps on training rows x (n, p) and y (n, q).

        Returns:
            The step; None for other critics and bounds, or if the encoded rows take much memory.
        """
        if not isinstance(critic, Composite) or critic.gamma or bound is not BOUNDS["infonce"]:
            return None
        network, reads = critic.network, critic.network_reads
        if not isinstance(network, Separable) or not network.is_silu:
            return None
        encoded: tuple[Rows, Rows] = ((), ())
        if critic.base is not None:
            sides = train[0][:, critic.base_reads.x], train[1][:, critic.base_reads.y]
            with torch.no_grad():
                one = contract.encode(critic.base, *(side[:1] for side in sides))
                if len(sides[0]) * sum(leaf.numel() for leaf in contract.leaves(one)) > ENCODED:
                    return None
                encoded = contract.encode(critic.base, *sides)
        x, y = train[0][:, reads.x].contiguous(), train[1][:, reads.y].contiguous()
        return cls(network, critic.base, x, y, encoded)

    @torch.no_grad()
    def __call__(self, rows: Tensor) -> float:
        """Set the gradients for the batch of these rows (b,), and return its InfoNCE, nats."""
        towers = _Tower(self.network.x, self.x[rows]), _Tower(self.network.y, self.y[rows])
        g, h = (tower.outputs for tower in towers)
        one = torch.ones_like(g[:, :1])
        # g . h + a(x) + b(y), as one product: a is the last column of g, b that of h.
        left, right = torch.cat([g, one], 1), torch.cat([h[:, :-1], one, h[:, -1:]], 1)
        scores = left @ right.T
        if self.base is not None:
            sides = (
                contract.like(side, (leaf[rows] for leaf in contract.leaves(side)))
                for side in self.encoded
            )
            scores += contract.pair(self.base, *sides)
        value, slope = infonce_and_slope(scores)
        slope.neg_()
        towers[0].backward(slope @ right[:, :-1])
        on_right = slope.T @ left
        towers[1].backward(torch.cat([on_right[:, :-2], on_right[:, -1:]], 1))
        return value


class _Tower:
    """The layers of a tower for a batch, kept for the gradient."""

    def __init__(self, tower: nn.Sequential, rows: Tensor) -> None:
        self.layers = [layer for layer in tower if isinstance(layer, nn.Linear)]
        self.inputs, self.sums = [rows], []
        for layer in self.layers[:-1]:
            self.sums.append(F.linear(self.inputs[-1], layer.weight, layer.bias))
            self.inputs.append(F.silu(self.sums[-1]))
        last = self.layers[-1]
        self.outputs = F.linear(self.inputs[-1], last.weight, last.bias)

    def backward(self, slope: Tensor) -> None:
        """Set the gradients of the weights, given that of the outputs (b, k)."""
        for k in range(len(self.layers) - 1, -1, -1):
            layer = self.layers[k]
            layer.weight.grad, layer.bias.grad = slope.T @ self.inputs[k], slope.sum(0)
            if k:
                slope = torch.ops.aten.silu_backward(slope @ layer.weight, self.sums[k - 1])


def infonce_and_slope(scores: Tensor) -> tuple[float, Tensor]:
    """Return InfoNCE over both directions, nats, and its derivative by the scores (n, n).

    The value is that of `BOUNDS["infonce"]`. One exponential serves both directions, unless the
    sums of a row or a column would underflow.

    Example:
        >>> value, slope = infonce_and_slope(torch.zeros(2, 2, dtype=torch.float32))
        >>> abs(value) < 1e-6, slope
        (True, tensor([[ 0.2500, -0.2500],
                [-0.2500,  0.2500]]))
    """
    n, own, peak = len(scores), scores.diagonal().mean(), scores.max()
    e = torch.sub(scores, peak).clamp_(min=LOWEST_EXPONENT).mul_(1 / LOG_2).exp2_()
    of_rows, of_columns = e.sum(1), e.sum(0)
    if float(torch.minimum(of_rows.min(), of_columns.min())) > LOWEST_SUM:
        logs = of_rows.log() + of_columns.log() + 2 * peak
        slope = e.mul_((-0.5 / n / of_rows)[:, None] - 0.5 / n / of_columns)
    else:
        logs = scores.logsumexp(1) + scores.logsumexp(0)
        slope = (scores.softmax(1) + scores.softmax(0)).mul_(-0.5 / n)
    slope.diagonal().add_(1 / n)
    return float(own - 0.5 * logs.mean()) + math.log(n), slope
