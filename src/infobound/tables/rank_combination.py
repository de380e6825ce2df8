"""Combination of what the rank network and nearest neighbours find: weights by a small network.

The rank network is the more accurate for most pairs of columns, nearest neighbours for relations
finer than its histogram. The weights are those of a convex combination, so that the estimate lies
between its parts. They were trained on other random distributions than the rank network, by
`tools/train_rank_combination.py`.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from infobound.models.rank_network import QUANTILES

__all__ = ["Parts", "RankCombination", "combination"]

COMBINATION_WEIGHTS = Path(__file__).with_name("rank_combination.safetensors")
INPUTS, HIDDEN = 12, 24
PART_COUNT = 4  # that are combined
START_LOGIT = 3.0  # how much more the logit of the rank network's estimate is before training
EXTRAPOLATED = 2.0  # times the step of an extrapolation: its standard error
DISAGREEMENT = 0.3  # how much of the parts' mean distance is added to the scale of the quantiles


class Parts(NamedTuple):
    """What is known about b pairs of columns; tensors (b,) unless stated, MI in nats.

    Attributes:
        quantiles: (b, 5), of the MI, by the rank network.
        implied: the mean of its log ratio under the density that it implies.
        observed: the mean of its log ratio over the rows.
        spread: the standard deviation of its log ratio over the rows.
        near: (b, 2), by 3 and by 8 nearest neighbours.
        log_n: the logarithm of the number of rows.
        ties: (b, 2), the mean log2 of the number of rows that share a value of x, and of y.
        step: by how much a pair in strips was extrapolated; 0 for others.
    """

    quantiles: Tensor
    implied: Tensor
    observed: Tensor
    spread: Tensor
    near: Tensor
    log_n: Tensor
    ties: Tensor
    step: Tensor


class RankCombination(nn.Module):
    """Weights of the estimates of one pair of columns, and quantiles around their combination.

    Example:
        >>> one = torch.tensor([0.2])
        >>> quantiles = torch.tensor([[0.1, 0.15, 0.2, 0.25, 0.3]])
        >>> near, ties = torch.tensor([[0.2, 0.2]]), torch.zeros(1, 2, dtype=torch.float32)
        >>> parts = Parts(quantiles, one, one, one, near, torch.tensor([7.0]), ties, 0 * one)
        >>> RankCombination()(parts)[0, 2].detach().round(decimals=3)  # all parts agree
        tensor(0.2000)
    """

    def __init__(self) -> None:
        super().__init__()
        last = nn.Linear(HIDDEN, PART_COUNT + 4)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.layers = nn.Sequential(
            nn.Linear(INPUTS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), last
        )

    def forward(self, parts: Parts) -> Tensor:
        """Return the quantiles of the MI, (b, 5), nats; the middle one is the estimate."""
        q, near = parts.quantiles, parts.near
        middle, half = q[:, 2], (q[:, 3] - q[:, 1]) / 2 + 1e-4
        away = [
            ((value - middle) / half).asinh()
            for value in (parts.implied, parts.observed, near[:, 0], near[:, 1])
        ]
        inputs = [
            *away,
            (near[:, 0] - near[:, 1]) / (near[:, 0].abs() + 0.1),
            (parts.log_n - 7) / 3,
            parts.ties[:, 0] / 8,
            parts.ties[:, 1] / 8,
            half.log() + parts.log_n / 2,
            middle.clamp(min=0),
            parts.spread,
            ((q[:, 4] - q[:, 0]) / half).log(),
        ]
        found = self.layers(torch.stack(inputs, 1))
        values = torch.stack([middle, near[:, 0], near[:, 1], parts.observed], 1)
        start = torch.tensor([START_LOGIT, 0, 0, 0], dtype=q.dtype, device=q.device)
        weights = (found[:, :PART_COUNT] + start).softmax(1)
        estimate = (weights * values).sum(1, keepdim=True)
        apart = (weights * (values - middle[:, None]).abs()).sum(1)
        scale = (half + DISAGREEMENT * apart)[:, None]
        steps = functional.softplus(found[:, PART_COUNT:] + 0.54) * scale  # of 1 before training
        outward = torch.cat([steps[:, :2].cumsum(1).flip(1), steps[:, 2:].cumsum(1)], 1)
        deviates = torch.special.ndtri(torch.tensor(QUANTILES, dtype=q.dtype, device=q.device))
        doubt = EXTRAPOLATED * parts.step[:, None] * deviates
        outward = torch.hypot(outward, doubt[:, [0, 1, 3, 4]])
        return torch.cat([estimate - outward[:, :2], estimate, estimate + outward[:, 2:]], 1)


@cache
def combination() -> RankCombination:
    """Return the trained combination."""
    from safetensors.torch import load_file

    found = RankCombination()
    found.load_state_dict(
        {name: value.float() for name, value in load_file(COMBINATION_WEIGHTS).items()}
    )
    return found.eval().requires_grad_(False)
