"""A mixture of Gaussians after one column has been shifted back by a function of others.

Waves, and other folds that slide one column along the others of its side, keep volumes. The inverse
has the same form, is a bijection, and leaves mutual information as it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from infobound.critics.contract import Critic, Rows
from infobound.models.copulas import GaussianCopula
from infobound.models.densities import MixtureModel, clustered, components, em, membership

__all__ = ["SIZE", "ShearedMixture"]

SIZE = (64, 5)  # largest number of components, and smallest number of rows per parameter
FUNCTIONS = 16  # bumps along each of the other columns
INNER = 0.02, 0.98  # quantiles of a column between which they are placed
WIDTH = 1.2  # of a bump, in distances between them
RIDGE = 1e-4  # penalty on squared heights of the bumps, as a share of the weight of the rows
FIRST = 1_500  # rows on which columns and shears are compared
ROUNDS, STEPS = (12, 4), 3  # updates of the shear, of a new and a known one; EM between two
LAST = 20  # iterations of EM with the final shear
FAR = 3.0  # robust standard deviations at which values are cut off in the comparison with lines
DETERMINED = 1e-6  # variance below which others determine a column
CLEAR = 4.0  # standard deviations of chi-squared by which functions must explain more than lines
LEAST = 0.02  # nats that they must explain
FEWEST = 8  # components from which BIC ends the search: fewer may gain nothing by themselves


class Shear(NamedTuple):
    """What is subtracted from one column: bumps along the others of its side, times heights.

    Attributes:
        column: the column among those of both sides.
        others: the other columns of its side.
        centres: (others, functions), of the bumps.
        widths: (others, 1).
        heights: (others * functions,).
    """

    column: int
    others: list[int]
    centres: Tensor
    widths: Tensor
    heights: Tensor

    @classmethod
    def flat(cls, rows: Tensor, column: int, others: list[int]) -> Shear:
        """Place the bumps by rows (n, d); heights are zero."""
        ends = rows[:, others].quantile(rows.new_tensor(INNER), dim=0)
        steps = torch.linspace(0, 1, FUNCTIONS, dtype=rows.dtype, device=rows.device)
        centres = torch.lerp(ends[0][:, None], ends[1][:, None], steps)
        widths = WIDTH * (ends[1] - ends[0])[:, None] / (FUNCTIONS - 1) + 1e-9
        return cls(column, others, centres, widths, rows.new_zeros(centres.numel()))

    def functions(self, rows: Tensor) -> Tensor:
        """Return the bumps at rows (n, d): (n, others * functions)."""
        away = (rows[:, self.others, None] - self.centres) / self.widths
        return (-0.5 * away.square()).exp().flatten(1)

    def undone(self, rows: Tensor, functions: Tensor | None = None) -> Tensor:
        """Return rows (n, d) with the column shifted back."""
        functions = self.functions(rows) if functions is None else functions
        moved = rows.clone()
        moved[:, self.column] -= functions @ self.heights
        return moved


class _Found(NamedTuple):
    """A shear with the mixture after it, and the mean log likelihood less BIC's price, nats."""

    shear: Shear
    mixture: MixtureModel
    value: float


class ShearedMixture(Critic):
    """A mixture of Gaussians on (x, y) after a shear of one column by others of the same side.

    The shear is a sum of functions of the other columns. Shear and mixture are fitted together by
    expectation-maximisation: given the components, the best functions are a weighted regression.
    BIC chooses the column and the number of components. A shear is sought only if functions of the
    other columns explain clearly more of a column and of the other side than lines do.

    Source: Schwarz 1978, https://doi.org/10.1214/aos/1176344136 (BIC); additive functions, Hastie
    and Tibshirani 1986, https://doi.org/10.1214/ss/1177013604.

    Example:
        >>> rng = torch.Generator().manual_seed(0)
        >>> u, other, noise = torch.randn(3, 1000, 1, generator=rng)
        >>> y = 0.9 * u + 0.436 * noise  # 0.83 nats
        >>> x = torch.cat([u + 3 * torch.sin(3 * other), other], 1)
        >>> GaussianCopula.fit(x, y).mi < 0.2
        True
        >>> bool(ShearedMixture.fit(x, y)(x, y).diagonal().mean() > 0.7)
        True
    """

    def __init__(self, mixture: MixtureModel, shear: Shear) -> None:
        super().__init__()
        self.mixture = mixture
        self.width = mixture.width
        self.column, self.others = shear.column, shear.others
        for name in ("centres", "widths", "heights"):
            self.register_buffer(name, getattr(shear, name))

    @property
    def shear(self) -> Shear:
        """The shear that is undone."""
        parts = (getattr(self, name) for name in ("centres", "widths", "heights"))
        return Shear(self.column, self.others, *parts)

    @classmethod
    def fit(
        cls, x: Tensor, y: Tensor, *, start: ShearedMixture | GaussianCopula | None = None
    ) -> ShearedMixture | GaussianCopula:
        """Fit to robustly scaled values x (n, dim_x) and y (n, dim_y), in float64.

        Args:
            x: (n, dim_x).
            y: (n, dim_y).
            start: a model of other rows; the search starts there, and if it has no shear, none is
                sought.

        Returns:
            The model; the Gaussian copula if no shear is found.
        """
        rows, p = torch.cat([x, y], 1).double(), x.shape[1]
        if isinstance(start, ShearedMixture):
            found = _fitted(rows, p, start.shear, mixture=start.mixture)
            return cls(found.mixture, found.shear)
        first = None if isinstance(start, GaussianCopula) else _best(rows[:FIRST], p)
        if first is None:
            return GaussianCopula.fit(x, y)
        found = _laddered(rows, p, first.shear)
        return cls(found.mixture, found.shear)

    def encode(self, x: Tensor, y: Tensor) -> tuple[Rows, Rows]:
        """What the mixture encodes of the rows with the column shifted back."""
        x, y = x.double(), y.double()
        shear, p = self.shear, self.mixture.dim_x
        if shear.column < p:
            x = shear.undone(x)
        else:
            own = shear._replace(column=shear.column - p, others=[k - p for k in shear.others])
            y = own.undone(y)
        return self.mixture.encode(x, y)

    def pair(self, a: Rows, b: Rows) -> Tensor:
        """Log ratios (n, m), nats."""
        return self.mixture.pair(a, b)


def _best(rows: Tensor, p: int) -> _Found | None:
    """The best mixture of rows (n, d) after a shear; None if none is better than without one."""
    starts = list(_clear(rows, p))
    if not starts:
        return None
    plain = _laddered(rows, p, starts[0], moves=False)
    best = max((_laddered(rows, p, shear) for shear in starts), key=lambda found: found.value)
    return best if best.value > plain.value else None


def _clear(rows: Tensor, p: int) -> Iterator[Shear]:
    """Flat shears of the columns that functions explain clearly better than lines do.

    The functions of the other columns of its side are added to a regression of the column, without
    its tails, on all others. Their F statistic is chi-squared over its freedom if they add nothing.
    """
    n, d = rows.shape
    for own in (range(p), range(p, d)):
        for column in own if len(own) > 1 else ():
            shear = Shear.flat(rows, column, [k for k in own if k != column])
            wanted = rows[:, [column]].clamp(-FAR, FAR)
            lines = rows.clone()
            lines[:, column] = 1.0
            curves = torch.cat([lines, shear.functions(rows)], 1)
            less, more = (_unexplained(wanted, design) for design in (lines, curves))
            if more < DETERMINED * n:  # constant, or a copy of another column
                continue
            freedom = curves.shape[1] - d
            ratio = (n - curves.shape[1]) * (less / more - 1)
            clear = ratio - freedom > CLEAR * math.sqrt(2 * freedom)
            if clear and ratio - freedom > 2 * n * LEAST:
                yield shear


def _unexplained(values: Tensor, design: Tensor) -> float:
    """The sum of squares of what a regression of values (n, 1) leaves."""
    gram = design.T @ design
    gram.diagonal().add_(1e-8 * len(design))
    left = values - design @ torch.linalg.solve(gram, design.T @ values)
    return float(left.square().sum())


def _laddered(rows: Tensor, p: int, shear: Shear, *, moves: bool = True) -> _Found:
    """Fit one component, then twice as many, until BIC prefers fewer."""
    best, count = _fitted(rows, p, shear, count=1, moves=moves), 2
    most = components(len(rows), rows.shape[1], SIZE)
    while count <= most:
        found = _fitted(rows, p, best.shear, count=count, moves=moves)
        if found.value <= best.value and count >= FEWEST:
            break
        best = max(best, found, key=lambda each: each.value)
        count *= 2
    return best


def _fitted(
    rows: Tensor,
    p: int,
    shear: Shear,
    *,
    count: int = 1,
    mixture: MixtureModel | None = None,
    moves: bool = True,
) -> _Found:
    """Fit the shear and a mixture of `count` components to rows (n, d), or of those of a mixture.

    The value is the mean log likelihood less BIC's price, in nats.
    """
    n, d = rows.shape
    functions = shear.functions(rows)
    moved = shear.undone(rows, functions)
    if mixture is None:
        belongs = clustered((moved - moved.mean(0)) / moved.std(0), count)
    else:
        belongs = membership(mixture, moved)
    for _ in range(ROUNDS[mixture is not None] if moves else 0):
        found = em(moved, belongs, rounds=STEPS)
        belongs = membership(found, moved)
        # Given the components, the heights solve a regression of what each row is off its
        # component, with the precisions of the column there as weights.
        precisions = torch.linalg.inv(found.covariances)[:, shear.column]  # (K, d)
        weights = belongs.T @ precisions[:, shear.column]
        pull = (belongs.T @ precisions * rows).sum(1) - belongs.T @ (precisions * found.means).sum(
            1
        )
        gram = functions.T @ (weights[:, None] * functions)
        gram.diagonal().add_(RIDGE * weights.sum())
        shear = shear._replace(heights=torch.linalg.solve(gram, functions.T @ pull))
        moved = shear.undone(rows, functions)
    found = em(moved, belongs, rounds=LAST)
    parameters = len(found.weights) * (1 + d + d * (d + 1) // 2) + len(shear.heights) * moves
    price = 0.5 * math.log(n) / n * parameters
    return _Found(shear, MixtureModel(*found[:3], p), float(found.likelihood) - price)
