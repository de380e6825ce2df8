"""Pairs of standard normals: the notebook's densities and the staircases.

Correlated column by column, signs mixed or not, or pushed through a cube. Each knows its exact
`mi` in nats (closed form, or quadrature to 1e-6) and its exact log ratio. Normals with any
covariance are in `elliptical`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from infobound.errors import InputError

__all__ = [
    "Gaussian",
    "Independent",
    "MixedGaussian",
    "MixedGaussianJoint",
    "StaircaseCubic",
    "StaircaseGaussian",
]


def _check(d: int, rho: float) -> None:
    if d < 1:
        raise InputError(f"Expected at least one dimension; got d = {d}. Use d = 1 or more.")
    if not -1 < rho < 1:
        raise InputError(
            f"Expected rho strictly between -1 and 1; got {rho}. At 1 the MI is infinite."
        )


def _gaussian_log_ratio(x: Tensor, y: Tensor, rho: float) -> Tensor:
    """sum_k of the bivariate normal's log ratio, through one matrix product."""
    rest = 1 - rho**2
    own = 0.5 * rho**2 / rest
    squares = own * ((x**2).sum(1)[:, None] + (y**2).sum(1))
    return (rho / rest) * (x @ y.T) - squares - 0.5 * x.shape[1] * math.log(rest)


def _gaussian_pair(n: int, d: int, rho: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    x, noise = (torch.randn(n, d, generator=generator, dtype=torch.float64) for _ in range(2))
    return x, rho * x + math.sqrt(1 - rho**2) * noise


class _Square:
    """As many columns in x as in y."""

    d: int

    @property
    def dim_x(self) -> int:
        """Columns of x."""
        return self.d

    @property
    def dim_y(self) -> int:
        """Columns of y."""
        return self.d


@dataclass(frozen=True)
class Gaussian(_Square):
    """d independent pairs of standard normals with correlation rho: the notebook's Gaussian.

    Example:
        >>> round(Gaussian(d=6, rho=0.9).mi, 3)
        4.982
    """

    name: ClassVar[str] = "gaussian"
    mi_error: ClassVar[float] = 0.0
    d: int = 6
    rho: float = 0.9

    def __post_init__(self) -> None:
        """Hold the parameters against their ranges."""
        _check(self.d, self.rho)

    @property
    def mi(self) -> float:
        """-d log(1 - rho^2) / 2, nats."""
        return -0.5 * self.d * math.log1p(-(self.rho**2))

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """x and y (n, d)."""
        return _gaussian_pair(n, self.d, self.rho, generator)

    def log_ratio(self, x: Tensor, y: Tensor) -> Tensor:
        """Exact log ratio (n, m)."""
        return _gaussian_log_ratio(x, y, self.rho)


def _mixture_mi(d: int, rho: float) -> float:
    """MI of one half-and-half mixture of d pairs of correlation rho and of -rho, nats.

    The log ratio is that of the rho component plus log((1 + e^-t) / 2), t = 2 rho S / (1 - rho^2)
    and S = sum x_k y_k; by symmetry it suffices to average over the rho component, where S is
    (1 + rho) A / 2 - (1 - rho) B / 2 with A and B independent chi-square with d degrees of freedom.
    """
    if rho == 0:
        return 0.0
    rho = abs(rho)
    from scipy import stats  # late: estimates need none of it, and it is slow to import

    chi = stats.chi2(d)
    scale = rho / (1 - rho**2)

    nodes, weights = np.polynomial.legendre.leggauss(600)
    # In u = sqrt(a) the density of A is smooth at 0 for every d.
    top = math.sqrt(float(chi.isf(1e-16)))
    u = 0.5 * top * (nodes + 1)
    mass = 0.5 * top * weights * chi.pdf(u**2) * 2 * u
    t = scale * ((1 + rho) * u[:, None] ** 2 - (1 - rho) * u[None, :] ** 2)
    correction = float(mass @ np.logaddexp(0.0, -t) @ mass)
    return -0.5 * d * math.log1p(-(rho**2)) + correction - math.log(2)


@dataclass(frozen=True)
class MixedGaussian(_Square):
    """Each dimension its own mixture of correlations rho and -rho: the notebook's code.

    Example:
        >>> round(MixedGaussian(d=6, rho=0.9).mi, 2)
        2.45
    """

    name: ClassVar[str] = "mixed_gaussian"
    mi_error: ClassVar[float] = 0.0
    d: int = 6
    rho: float = 0.9

    def __post_init__(self) -> None:
        """Hold the parameters against their ranges."""
        _check(self.d, self.rho)

    @cached_property
    def mi(self) -> float:
        """d times the MI of one dimension, by quadrature, nats."""
        return self.d * _mixture_mi(1, self.rho)

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """x and y (n, d)."""
        x, y = _gaussian_pair(n, self.d, self.rho, generator)
        signs = 2.0 * torch.randint(2, (n, self.d), generator=generator) - 1
        return x, y * signs

    def log_ratio(self, x: Tensor, y: Tensor) -> Tensor:
        """Exact log ratio (n, m)."""
        total = x.new_zeros(len(x), len(y))
        for k in range(self.d):
            a, b = x[:, k : k + 1], y[:, k : k + 1]
            sides = _gaussian_log_ratio(a, b, self.rho), _gaussian_log_ratio(a, b, -self.rho)
            total = total + torch.logaddexp(*sides) - math.log(2)
        return total


@dataclass(frozen=True)
class MixedGaussianJoint(_Square):
    """One mixture of two d-dimensional products, correlations rho and -rho: the notebook's text.

    Example:
        >>> round(MixedGaussianJoint(d=6, rho=0.9).mi, 2)
        4.29
    """

    name: ClassVar[str] = "mixed_gaussian_joint"
    mi_error: ClassVar[float] = 0.0
    d: int = 6
    rho: float = 0.9

    def __post_init__(self) -> None:
        """Hold the parameters against their ranges."""
        _check(self.d, self.rho)

    @cached_property
    def mi(self) -> float:
        """By quadrature over two chi-square variables, nats."""
        return _mixture_mi(self.d, self.rho)

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """x and y (n, d)."""
        x, y = _gaussian_pair(n, self.d, self.rho, generator)
        signs = 2.0 * torch.randint(2, (n, 1), generator=generator) - 1
        return x, y * signs

    def log_ratio(self, x: Tensor, y: Tensor) -> Tensor:
        """Exact log ratio (n, m)."""
        sides = _gaussian_log_ratio(x, y, self.rho), _gaussian_log_ratio(x, y, -self.rho)
        return torch.logaddexp(*sides) - math.log(2)


@dataclass(frozen=True)
class Independent(_Square):
    """Independent standard normals: MI 0.

    Example:
        >>> Independent(d=3).mi
        0.0
    """

    name: ClassVar[str] = "independent"
    mi_error: ClassVar[float] = 0.0
    d: int = 5

    def __post_init__(self) -> None:
        """Hold the parameters against their ranges."""
        _check(self.d, 0.0)

    @property
    def mi(self) -> float:
        """Zero."""
        return 0.0

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """x and y (n, d)."""
        return _gaussian_pair(n, self.d, 0.0, generator)

    def log_ratio(self, x: Tensor, y: Tensor) -> Tensor:
        """Zeros (n, m)."""
        return x.new_zeros(len(x), len(y))


def _step_rho(d: int, mi: float) -> float:
    """The correlation at which d Gaussian pairs have `mi` nats."""
    _check(d, 0.0)
    if mi < 0:
        raise InputError(f"Expected mi of zero or more nats; got {mi}.")
    return math.sqrt(-math.expm1(-2 * mi / d))


@dataclass(frozen=True)
class StaircaseGaussian(_Square):
    """Poole et al.'s Gaussian staircase: d pairs whose correlation is set by the wished-for MI.

    Source: Poole et al. 2019, https://arxiv.org/abs/1905.06922.

    Example:
        >>> StaircaseGaussian(mi=4.0).mi
        4.0
    """

    name: ClassVar[str] = "staircase_gaussian"
    mi_error: ClassVar[float] = 0.0
    d: int = 20
    mi: float = 2.0

    def __post_init__(self) -> None:
        """Hold the parameters against their ranges."""
        _check(self.d, _step_rho(self.d, self.mi))

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """x and y (n, d)."""
        return _gaussian_pair(n, self.d, _step_rho(self.d, self.mi), generator)

    def log_ratio(self, x: Tensor, y: Tensor) -> Tensor:
        """Exact log ratio (n, m)."""
        return _gaussian_log_ratio(x, y, _step_rho(self.d, self.mi))


@dataclass(frozen=True)
class StaircaseCubic(_Square):
    """Poole et al.'s cubic staircase: y goes through (W y)^3, an invertible map, so MI is kept.

    W is a fixed orthogonal matrix.

    Source: Poole et al. 2019, https://arxiv.org/abs/1905.06922.

    Example:
        >>> StaircaseCubic(mi=10.0).mi
        10.0
    """

    name: ClassVar[str] = "staircase_cubic"
    mi_error: ClassVar[float] = 0.0
    d: int = 20
    mi: float = 2.0

    def __post_init__(self) -> None:
        """Hold the parameters against their ranges."""
        _check(self.d, _step_rho(self.d, self.mi))

    @cached_property
    def mixing(self) -> Tensor:
        """W (d, d), orthogonal, the same for everybody."""
        noise = torch.randn(
            self.d, self.d, generator=torch.Generator().manual_seed(0), dtype=torch.float64
        )
        return torch.linalg.qr(noise).Q

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """x and y (n, d)."""
        x, y = _gaussian_pair(n, self.d, _step_rho(self.d, self.mi), generator)
        return x, (y @ self.mixing.T) ** 3

    def log_ratio(self, x: Tensor, y: Tensor) -> Tensor:
        """Exact log ratio (n, m)."""
        plain = (y.sign() * y.abs() ** (1 / 3)) @ self.mixing.to(y)
        return _gaussian_log_ratio(x, plain, _step_rho(self.d, self.mi))
