"""A model of the few directions in which two sides with many columns are clearly correlated."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from infobound.critics import contract
from infobound.critics.contract import Critic, Rows
from infobound.models.copulas import GaussianCopula, canonical_directions
from infobound.models.densities import MixtureModel
from infobound.models.margins import knots_of, normal_scores
from infobound.models.unwinding import copula_mi

__all__ = ["ProjectedModel"]

MOST_DIRECTIONS = 12  # directions per side
KNOTS, COARSE = 400, 20  # of the normal scores of a direction in the model, and in the search
ROUNDS, STEPS = 3, 6  # of the search: updates of the knots, and steps of L-BFGS for each
NOISE = 1.0  # nats by which scores must exceed values on one row; on n rows, NOISE / sqrt(n)
TRIAL_ROWS = 1_500  # rows on which the first directions are tried

Sides: TypeAlias = tuple[Tensor, Tensor]  # of x and of y


class ProjectedModel(Critic):
    """Up to four Gaussians on the normal scores of the clear canonical directions.

    With many columns, a covariance of all of them fits much noise. The directions whose correlation
    exceeds the largest one of independent rows have little of it. The directions are then moved to
    maximise the MI of a Gaussian copula of their scores, because canonical directions are those of
    the largest correlation only where dependence is linear, and are far off with heavy tails.

    Args:
        inner: the model of the scores.
        left: (p, k), the directions of x.
        right: (q, k), the directions of y.
        knots_x: (k, m), quantiles of the rows along each direction of x.
        knots_y: (k, m), of y.

    Example:
        >>> x, noise = torch.randn(2, 1000, 30, generator=torch.Generator().manual_seed(0))
        >>> y = noise.clone()
        >>> y[:, 0] = (0.9 * x[:, 0] + 0.436 * noise[:, 0]) ** 3  # 0.83 nats
        >>> model = ProjectedModel.fit(x, y)
        >>> model.left.shape, bool(0.7 < model(x, y).diagonal().mean() < 1.1)
        (torch.Size([30, 1]), True)
    """

    left: Tensor
    right: Tensor
    knots_x: Tensor
    knots_y: Tensor

    def __init__(
        self,
        inner: MixtureModel | GaussianCopula,
        left: Tensor,
        right: Tensor,
        knots_x: Tensor,
        knots_y: Tensor,
    ) -> None:
        super().__init__()
        self.inner = inner
        self.width = inner.width
        self.register_buffer("left", left)
        self.register_buffer("right", right)
        self.register_buffer("knots_x", knots_x)
        self.register_buffer("knots_y", knots_y)

    @classmethod
    def fit(
        cls, x: Tensor, y: Tensor, start: ProjectedModel | GaussianCopula | None = None
    ) -> ProjectedModel | GaussianCopula:
        """Fit to x (n, dim_x) and y (n, dim_y).

        Args:
            x: (n, dim_x).
            y: (n, dim_y).
            start: a model of other rows; the search takes one round from its directions.

        Returns:
            The model; the Gaussian copula of all columns if no direction is clear, or if the scores
            along them are no more dependent than the values.
        """
        if isinstance(start, GaussianCopula):
            return GaussianCopula.fit(x, y)
        sides = x.double(), y.double()
        if start is None:
            left, right = canonical_directions(*sides)
            found = left[:, :MOST_DIRECTIONS], right[:, :MOST_DIRECTIONS]
            if not found[0].shape[1] or not _gains(sides, found):
                return GaussianCopula.fit(x, y)
            found = _searched(sides, found, ROUNDS)
        else:
            found = _searched(sides, (start.left.double(), start.right.double()), 1)
        moved = [side @ part for side, part in zip(sides, found, strict=True)]
        knots = [knots_of(rows, KNOTS) for rows in moved]
        scores = [normal_scores(rows, known) for rows, known in zip(moved, knots, strict=True)]
        inner = MixtureModel.fit_few(scores[0].to(x.dtype), scores[1].to(x.dtype))
        return cls(inner, found[0].to(x.dtype), found[1].to(x.dtype), knots[0], knots[1])

    def encode(self, x: Tensor, y: Tensor) -> tuple[Rows, Rows]:
        """What the inner model encodes of the scores along the directions."""
        u = normal_scores((x @ self.left).double(), self.knots_x).to(x.dtype)
        v = normal_scores((y @ self.right).double(), self.knots_y).to(y.dtype)
        return contract.encode(self.inner, u, v)

    def pair(self, a: Rows, b: Rows) -> Tensor:
        """Log ratios (n, m), nats."""
        return self.inner.pair(a, b)


def _gains(sides: Sides, directions: Sides) -> bool:
    """Whether the scores along the first directions may be clearly more dependent than the values.

    That is after one round of search on some rows, which in normal rows gains half a nat for each
    of its parameters on one row.
    """
    few = sides[0][:TRIAL_ROWS], sides[1][:TRIAL_ROWS]
    first = directions[0][:, :1], directions[1][:, :1]
    values = [side @ part for side, part in zip(few, first, strict=True)]
    found = [side @ part for side, part in zip(few, _searched(few, first, 1), strict=True)]
    more = float(copula_mi(*(normal_scores(rows, knots_of(rows, KNOTS)) for rows in found)))
    n, parameters = len(few[0]), sum(len(part) for part in first)
    return more - float(copula_mi(*values)) > 0.5 * parameters / n + NOISE / math.sqrt(n)


def _searched(sides: Sides, start: Sides, rounds: int) -> Sides:
    """Move directions (p, k) and (q, k) so that the MI of their scores rises."""
    from scipy.optimize import minimize

    sizes = [part.numel() for part in start]
    found = start
    for _ in range(rounds):
        knots = [knots_of(side @ part, COARSE) for side, part in zip(sides, found, strict=True)]

        def placed(flat: Tensor) -> Sides:
            pieces = zip(flat.split(sizes), start, strict=True)
            first, second = (piece.view_as(part) for piece, part in pieces)
            return first, second

        def loss(values: np.ndarray, knots: list[Tensor] = knots) -> tuple[float, np.ndarray]:
            flat = torch.from_numpy(values).to(start[0].device).requires_grad_()
            with torch.enable_grad():
                moved = [side @ part for side, part in zip(sides, placed(flat), strict=True)]
                mi = -copula_mi(*(normal_scores(*both) for both in zip(moved, knots, strict=True)))
                (slope,) = torch.autograd.grad(mi, flat)
            return float(mi.detach()), slope.cpu().numpy()

        begun = torch.cat([part.reshape(-1) for part in found]).cpu().numpy()
        best = minimize(loss, begun, jac=True, method="L-BFGS-B", options={"maxiter": STEPS})
        found = placed(torch.from_numpy(best.x).to(start[0].device))
    return found
