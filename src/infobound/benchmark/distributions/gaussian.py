"""Pairs of standard normals: the densities of the notebook and the staircases.

Columns are correlated in pairs, with or without random signs, or mapped by a cube. Each task has
its exact `mi` in nats (closed form, or quadrature to 1e-6) and its exact log ratio. Normals with
any covariance are in `elliptical`.
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
    """Return the log ratio of d bivariate normals, summed over columns, by one matrix product."""
    rest = 1 - rho**2
    own = 0.5 * rho**2 / rest
    squares = own * ((x**2).sum(1)[:, None] + (y**2).sum(1))
    return (rho / rest) * (x @ y.T) - squares - 0.5 * x.shape[1] * math.log(rest)


def _gaussian_pair(n: int, d: int, rho: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    x, noise = (torch.randn(n, d, generator=generator, dtype=torch.float64) for _ in range(2))
    return x, rho * x + math.sqrt(1 - rho**2) * noise


class _Square:
    """A task with equally many columns in x and y."""

    d: int

    @property
    def dim_x(self) -> int:
        """The number of columns of x."""
        return self.d

    @property
    def dim_y(self) -> int:
        """The number of columns of y."""
        return self.d


@dataclass(frozen=True)
class Gaussian(_Square):
    """d independent pairs of standard normals with correlation rho: the notebook's Gaussian.

    Args:
        d: the number of columns of x and of y.
        rho: the correlation of each pair.

    Example:
        >>> round(Gaussian(d=6, rho=0.9).mi, 3)
        4.982
    """

    name: ClassVar[str] = "gaussian"
    mi_error: ClassVar[float] = 0.0
    d: int = 6
    rho: float = 0.9

    def __post_init__(self) -> None:
        """Check the ranges of the parameters."""
        _check(self.d, self.rho)

    @property
    def mi(self) -> float:
        """The mutual information -d log(1 - rho^2) / 2, in nats."""
        return -0.5 * self.d * math.log1p(-(self.rho**2))

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw x and y, (n, d) each."""
        return _gaussian_pair(n, self.d, self.rho, generator)

    def log_ratio(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the exact log ratio (n, m), in nats."""
        return _gaussian_log_ratio(x, y, self.rho)


def _mixture_mi(d: int, rho: float) -> float:
    """Return the MI of an equal mixture of d pairs with correlation rho and -rho, in nats.

    The log ratio is that of the rho component plus log((1 + e^-t) / 2), t = 2 rho S / (1 - rho^2)
    and S = sum x_k y_k. By symmetry it suffices to average over the rho component, where S is
    (1 + rho) A / 2 - (1 - rho) B / 2 with A and B independent chi-square with d degrees of freedom.
    """
    if rho == 0:
        return 0.0
    rho = abs(rho)
    from scipy import stats  # imported here because it is slow and estimates do not need it

    chi = stats.chi2(d)
    scale = rho / (1 - rho**2)

    nodes, weights = np.polynomial.legendre.leggauss(600)
    # As a function of u = sqrt(a), the density of A is smooth at 0 for every d.
    top = math.sqrt(float(chi.isf(1e-16)))
    u = 0.5 * top * (nodes + 1)
    mass = 0.5 * top * weights * chi.pdf(u**2) * 2 * u
    t = scale * ((1 + rho) * u[:, None] ** 2 - (1 - rho) * u[None, :] ** 2)
    correction = float(mass @ np.logaddexp(0.0, -t) @ mass)
    return -0.5 * d * math.log1p(-(rho**2)) + correction - math.log(2)


@dataclass(frozen=True)
class MixedGaussian(_Square):
    """Independent mixtures of correlations rho and -rho per dimension: the notebook's code.

    Args:
        d: the number of columns of x and of y.
        rho: the absolute correlation of each pair.

    Example:
        >>> round(MixedGaussian(d=6, rho=0.9).mi, 2)
        2.45
    """

    name: ClassVar[str] = "mixed_gaussian"
    mi_error: ClassVar[float] = 0.0
    d: int = 6
    rho: float = 0.9

    def __post_init__(self) -> None:
        """Check the ranges of the parameters."""
        _check(self.d, self.rho)

    @cached_property
    def mi(self) -> float:
        """The mutual information, d times that of one dimension, by quadrature, in nats."""
        return self.d * _mixture_mi(1, self.rho)

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw x and y, (n, d) each."""
        x, y = _gaussian_pair(n, self.d, self.rho, generator)
        signs = 2.0 * torch.randint(2, (n, self.d), generator=generator) - 1
        return x, y * signs

    def log_ratio(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the exact log ratio (n, m), in nats."""
        total = x.new_zeros(len(x), len(y))
        for k in range(self.d):
            a, b = x[:, k : k + 1], y[:, k : k + 1]
            sides = _gaussian_log_ratio(a, b, self.rho), _gaussian_log_ratio(a, b, -self.rho)
            total = total + torch.logaddexp(*sides) - math.log(2)
        return total


@dataclass(frozen=True)
class MixedGaussianJoint(_Square):
    """One mixture of two d-dimensional products, correlations rho and -rho: the notebook's text.

    Args:
        d: the number of columns of x and of y.
        rho: the absolute correlation of each pair.

    Example:
        >>> round(MixedGaussianJoint(d=6, rho=0.9).mi, 2)
        4.29
    """

    name: ClassVar[str] = "mixed_gaussian_joint"
    mi_error: ClassVar[float] = 0.0
    d: int = 6
    rho: float = 0.9

    def __post_init__(self) -> None:
        """Check the ranges of the parameters."""
        _check(self.d, self.rho)

    @cached_property
    def mi(self) -> float:
        """The mutual information by quadrature over two chi-square variables, in nats."""
        return _mixture_mi(self.d, self.rho)

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw x and y, (n, d) each."""
        x, y = _gaussian_pair(n, self.d, self.rho, generator)
        signs = 2.0 * torch.randint(2, (n, 1), generator=generator) - 1
        return x, y * signs

    def log_ratio(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the exact log ratio (n, m), in nats."""
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
        """Check the ranges of the parameters."""
        _check(self.d, 0.0)

    @property
    def mi(self) -> float:
        """The mutual information: zero."""
        return 0.0

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw x and y, (n, d) each."""
        return _gaussian_pair(n, self.d, 0.0, generator)

    def log_ratio(self, x: Tensor, y: Tensor) -> Tensor:
        """Return zeros (n, m)."""
        return x.new_zeros(len(x), len(y))


def _step_rho(d: int, mi: float) -> float:
    """Return the correlation at which d Gaussian pairs have `mi` nats."""
    _check(d, 0.0)
    if mi < 0:
        raise InputError(f"Expected mi of zero or more nats; got {mi}.")
    return math.sqrt(-math.expm1(-2 * mi / d))


@dataclass(frozen=True)
class StaircaseGaussian(_Square):
    """Poole et al.'s Gaussian staircase: d pairs whose correlation is set by the requested MI.

    Args:
        d: the number of columns of x and of y.
        mi: the mutual information, in nats.

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
        """Check the ranges of the parameters."""
        _check(self.d, _step_rho(self.d, self.mi))

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw x and y, (n, d) each."""
        return _gaussian_pair(n, self.d, _step_rho(self.d, self.mi), generator)

    def log_ratio(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the exact log ratio (n, m), in nats."""
        return _gaussian_log_ratio(x, y, _step_rho(self.d, self.mi))


@dataclass(frozen=True)
class StaircaseCubic(_Square):
    """Poole et al.'s cubic staircase: y is mapped to (W y)^3, which keeps the MI.

    The map is invertible; W is a fixed orthogonal matrix.

    Args:
        d: the number of columns of x and of y.
        mi: the mutual information, in nats.

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
        """Check the ranges of the parameters."""
        _check(self.d, _step_rho(self.d, self.mi))

    @cached_property
    def mixing(self) -> Tensor:
        """The orthogonal matrix W (d, d), from a fixed seed."""
        noise = torch.randn(
            self.d, self.d, generator=torch.Generator().manual_seed(0), dtype=torch.float64
        )
        return torch.linalg.qr(noise).Q

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw x and y, (n, d) each."""
        x, y = _gaussian_pair(n, self.d, _step_rho(self.d, self.mi), generator)
        return x, (y @ self.mixing.T) ** 3

    def log_ratio(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the exact log ratio (n, m), in nats."""
        plain = (y.sign() * y.abs() ** (1 / 3)) @ self.mixing.to(y)
        return _gaussian_log_ratio(x, plain, _step_rho(self.d, self.mi))
