"""Triples (x, y, z) whose conditional mutual information I(X;Y|Z) is known.

Given z, x and y may be mapped by any bijections that depend on z: this changes neither I(X;Y|Z) nor
the conditional log ratio. So every pair of known MI becomes a task in which z confounds x and y
(`Confounded`), with the MI of the pair, however strong the confounding is. In the other classes the
dependence itself varies with z (`VaryingCorrelation`, `Strata`, `ClassesGiven`), or z is a cause or
an effect (`NormalGiven`, `NoisyXor`). All are `ConditionalTask`s (`joint`); no truth here is a
Monte Carlo value, unless that of a pair is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from infobound._system import arguments
from infobound.benchmark.distributions import elliptical
from infobound.benchmark.distributions.joint import Task, at_least_one, pointwise, positive
from infobound.errors import InputError

__all__ = [
    "GRAPHS",
    "LOCATIONS",
    "SCALES",
    "CcmiLinear",
    "ClassesGiven",
    "Confounded",
    "NoisyXor",
    "NormalGiven",
    "Strata",
    "VaryingCorrelation",
    "graph",
]

MOST_SLOPE = 3.0  # largest factor of t, whose correlation tanh(3 t) rounds to 1 at t = 6.4
MOST_CLASSES, FARTHEST = 50, 20.0  # of `ClassesGiven`, whose grid of x covers all means
STEP, REACH = 0.05, 10.0  # step and half-width of the grids of quadrature, in standard deviations


def _normal(n: int, d: int, generator: torch.Generator) -> Tensor:
    return torch.randn(n, d, generator=generator, dtype=torch.float64)


def _projection(z: Tensor) -> Tensor:
    """Return the sum of the columns over sqrt(dz), (n, 1); standard normal if they are."""
    return z.sum(1, keepdim=True) / math.sqrt(z.shape[1])


def _grid(low: float, high: float) -> Tensor:
    return torch.arange(low - REACH, high + REACH + STEP / 2, STEP, dtype=torch.float64)


def _log_normal(gap: Tensor, scale: float | Tensor = 1.0) -> Tensor:
    """Return the log density of a normal at this distance from its mean."""
    logs = torch.as_tensor(scale, dtype=gap.dtype).log()
    return -0.5 * (gap / scale) ** 2 - logs - 0.5 * math.log(2 * math.pi)


def _log_ratio(u: Tensor, v: Tensor, rho: Tensor) -> Tensor:
    """Return the log ratio (n,) of standard normals u and v, (n, d), with correlations (n, 1)."""
    rest = 1 - rho**2
    terms = (rho * u * v - 0.5 * rho**2 * (u**2 + v**2)) / rest - 0.5 * rest.log()
    return terms.sum(1)


def _correlated(u: Tensor, noise: Tensor, rho: Tensor) -> Tensor:
    return rho * u + (1 - rho**2).sqrt() * noise


def _product(z: Tensor) -> Tensor:
    return z[:, :1] * z[:, 1:2]


# Functions of z (n, dz) to (n, 1), with mean zero and variance one: of the projection t, the sum of
# the columns over sqrt(dz), or of the first two columns. The sine has a period of pi, so it is far
# from linear and can still be learned from a thousand rows.
LOCATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda z: torch.zeros_like(z[:, :1]),
    "linear": _projection,
    "sine": lambda z: torch.sin(2 * _projection(z)) * math.sqrt(2 / -math.expm1(-8)),
    "cubic": lambda z: _projection(z) ** 3 / math.sqrt(15),
    "square": lambda z: (_projection(z) ** 2 - 1) / math.sqrt(2),
    "product": _product,
}

# Functions of z (n, dz) to the logarithm (n, 1) of a scale.
SCALES: dict[str, Callable[[Tensor], Tensor]] = {
    "none": LOCATIONS["none"],
    "exp": lambda z: _projection(z) / 4,
}


class _Columns:
    """A task with dz columns of z."""

    mi_error: ClassVar[float] = 0.0
    dz: int

    @property
    def dim_given(self) -> int:
        """The number of columns of z."""
        return self.dz


@dataclass(frozen=True)
class Confounded:
    """x = m(z) + s(z) u and y = m(z) + s(z) v, for a pair (u, v) of known MI.

    Given z, x and y determine u and v, which are independent of z. So I(X;Y|Z) = I(U;V), whatever m
    and s are. The columns of z are standard normal. m is `strength` times a function of mean zero
    and variance one; log s is `strength` times a function.

    Args:
        pair: the task that (u, v) is drawn from.
        dz: the number of columns of z.
        location: a key of `LOCATIONS`. "product" is that of the first two columns of z; the others
            are functions of the sum of all columns over sqrt(dz).
        scale: a key of `SCALES`: "none" or "exp", with log s = `strength` t / 4.
        strength: the factor of both.
        name: the name in tables.

    Raises:
        InputError: If a function is unknown, a parameter is out of range, or a side of the pair is
            one of categories, which cannot be shifted.

    Example:
        >>> from infobound.benchmark.distributions.gaussian import Gaussian
        >>> round(Confounded(Gaussian(d=1, rho=0.75), dz=5, location="sine").mi, 4)
        0.4133
    """

    pair: Task
    dz: int = 1
    location: str = "linear"
    scale: str = "none"
    strength: float = 2.0
    name: str = "confounded"

    def __post_init__(self) -> None:
        """Check the ranges of the parameters."""
        at_least_one(dz=self.dz)
        positive(strength=self.strength)
        arguments.lookup("location", self.location, LOCATIONS)
        arguments.lookup("scale", self.scale, SCALES)
        if self.location == "product" and self.dz < 2:
            raise InputError(f"Expected dz of 2 or more for a product; got {self.dz}.")
        if getattr(self.pair, "categorical", ()):
            raise InputError(
                f"Expected a pair of quantities; got {self.pair.name}, which has categories."
            )

    @property
    def dim_x(self) -> int:
        """The number of columns of x."""
        return self.pair.dim_x

    @property
    def dim_y(self) -> int:
        """The number of columns of y."""
        return self.pair.dim_y

    @property
    def dim_given(self) -> int:
        """The number of columns of z."""
        return self.dz

    @property
    def mi(self) -> float:
        """The conditional mutual information, that of the pair, in nats."""
        return self.pair.mi

    @property
    def mi_error(self) -> float:
        """The standard error of `mi`, in nats."""
        return self.pair.mi_error

    def _moments(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return m(z) and s(z), (n, 1) each."""
        location, log_scale = LOCATIONS[self.location](z), SCALES[self.scale](z)
        return self.strength * location, (self.strength * log_scale).exp()

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Draw x (n, dim_x), y (n, dim_y) and z (n, dz)."""
        z = _normal(n, self.dz, generator)
        u, v = self.pair.sample(n, generator)
        location, scale = self._moments(z)
        return location + scale * u, location + scale * v, z

    def log_ratio_of(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """Return the exact conditional log ratio (n,), in nats: that of (u, v)."""
        location, scale = self._moments(z)
        return pointwise(self.pair, (x - location) / scale, (y - location) / scale)


@dataclass(frozen=True)
class VaryingCorrelation(_Columns):
    """Normal pairs whose correlation depends on z.

    x and y have d standard normal columns each. The correlation is tanh(`strength` t), where t is
    the sum of the columns of z over sqrt(dz), and z is standard normal. It is zero on average, so
    x and y are uncorrelated, with and without z.

    Args:
        d: the number of columns of x and of y.
        dz: the number of columns of z.
        strength: the factor of t, at most 3; beyond, correlations would round to 1.
        name: the name in tables.

    Raises:
        InputError: If a parameter is out of range.

    Example:
        >>> round(VaryingCorrelation(strength=1.0).mi, 4)
        0.3746
    """

    d: int = 1
    dz: int = 1
    strength: float = 1.0
    name: str = "varying_correlation"

    def __post_init__(self) -> None:
        """Check the ranges of the parameters."""
        at_least_one(d=self.d, dz=self.dz)
        positive(strength=self.strength)
        if self.strength > MOST_SLOPE:
            raise InputError(f"Expected strength of at most {MOST_SLOPE:g}; got {self.strength}.")

    @property
    def dim_x(self) -> int:
        """The number of columns of x."""
        return self.d

    @property
    def dim_y(self) -> int:
        """The number of columns of y."""
        return self.d

    @cached_property
    def mi(self) -> float:
        """The conditional MI in nats, d times the mean of -log(1 - rho^2) / 2, by quadrature."""
        t = _grid(0.0, 0.0)
        size = (self.strength * t).abs()
        values = size + torch.log1p((-2 * size).exp()) - math.log(2)  # log cosh
        return self.d * float(_log_normal(t).exp() @ values) * STEP

    def _rho(self, z: Tensor) -> Tensor:
        return torch.tanh(self.strength * _projection(z))

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Draw x and y, (n, d) each, and z (n, dz)."""
        z, x, noise = (_normal(n, k, generator) for k in (self.dz, self.d, self.d))
        return x, _correlated(x, noise, self._rho(z)), z

    def log_ratio_of(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """Return the exact conditional log ratio (n,), in nats."""
        return _log_ratio(x, y, self._rho(z))


@dataclass(frozen=True)
class NoisyXor:
    """Three bits: y = x xor z, flipped with probability p.

    Any two of them are independent. Given z, y is x or its opposite, but for the noise.

    Args:
        p: the probability that y is flipped.
        name: the name in tables.

    Raises:
        InputError: If p is not strictly between 0 and 1.

    Example:
        >>> round(NoisyXor(p=0.1).mi, 4)
        0.3681
    """

    p: float = 0.1
    name: str = "noisy_xor"
    dim_x: ClassVar[int] = 1
    dim_y: ClassVar[int] = 1
    dim_given: ClassVar[int] = 1
    mi_error: ClassVar[float] = 0.0
    categorical: ClassVar[tuple[str, ...]] = ("x", "y", "given")

    def __post_init__(self) -> None:
        """Check the ranges of the parameters."""
        if not 0 < self.p < 1:
            raise InputError(f"Expected p strictly between 0 and 1; got {self.p}.")

    @property
    def mi(self) -> float:
        """The conditional mutual information, log 2 minus the entropy of the noise, in nats."""
        p, q = self.p, 1 - self.p
        return math.log(2) + p * math.log(p) + q * math.log(q)

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Draw x, y and z, (n, 1) each."""
        x, z = (torch.randint(2, (n, 1), generator=generator) for _ in range(2))
        flipped = torch.rand(n, 1, generator=generator, dtype=torch.float64) < self.p
        return x.double(), (x ^ z ^ flipped.long()).double(), z.double()

    def log_ratio_of(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """Return the exact conditional log ratio (n,), in nats."""
        flipped = (x + y + z)[:, 0] % 2
        return (2 * torch.where(flipped == 1, self.p, 1 - self.p)).log().to(x)


@dataclass(frozen=True)
class Strata:
    """Normal pairs with a law of their own in each category of z.

    Each category has its own correlation, means and scales. The k categories are equally frequent,
    and their correlations are evenly spaced from -rho to rho, so that with rho = 0 x and y are
    independent given z. With `numbers`, z also has that many standard normal columns, before the
    code of the category; x and y are then linear in their sum over sqrt(`numbers`), with slopes
    that depend on the category.

    Args:
        k: the number of categories.
        numbers: the number of further columns of z.
        rho: the largest correlation.
        seed: the seed of means, scales and slopes.
        name: the name in tables.

    Raises:
        InputError: If a parameter is out of range.

    Example:
        >>> task = Strata(k=2, rho=0.75, numbers=3)
        >>> round(task.mi, 4), task.categorical
        (0.4133, ('given[3]',))
    """

    k: int = 5
    numbers: int = 0
    rho: float = 0.9
    seed: int = 0
    name: str = "strata"
    dim_x: ClassVar[int] = 1
    dim_y: ClassVar[int] = 1
    mi_error: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        """Check the ranges of the parameters."""
        if self.k < 2:
            raise InputError(f"Expected k of 2 or more; got {self.k}.")
        if self.numbers < 0:
            raise InputError(f"Expected numbers of zero or more; got {self.numbers}.")
        if not 0 <= self.rho < 1:
            raise InputError(f"Expected rho of at least 0 and below 1; got {self.rho}.")

    @property
    def dim_given(self) -> int:
        """The number of columns of z."""
        return self.numbers + 1

    @property
    def categorical(self) -> tuple[str, ...]:
        """The name of the column of categories."""
        return (f"given[{self.numbers}]",)

    @cached_property
    def _laws(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Correlations (k, 1), and means, scales and slopes of x and y (k, 2)."""
        normals = np.random.default_rng(self.seed).normal(size=(3, self.k, 2))
        means, logs, slopes = torch.from_numpy(normals)
        rho = torch.linspace(-self.rho, self.rho, self.k, dtype=torch.float64)
        return rho[:, None], 2 * means, (0.5 * logs).exp(), slopes

    @property
    def mi(self) -> float:
        """The conditional mutual information, the mean over the categories, in nats."""
        return 0.5 * float((1 / (1 - self._laws[0] ** 2)).log().mean())

    def _of(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the correlations (n, 1), and the locations and scales of x and y (n, 2)."""
        level = z[:, -1].long()
        rho, means, scales, slopes = (part.to(z)[level] for part in self._laws)
        t = _projection(z[:, :-1]) if self.numbers else torch.zeros_like(z)
        return rho, means + slopes * t, scales

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Draw x and y, (n, 1) each, and z (n, numbers + 1)."""
        level = torch.randint(self.k, (n, 1), generator=generator).double()
        z = torch.cat([_normal(n, self.numbers, generator), level], 1)
        u, noise = (_normal(n, 1, generator) for _ in range(2))
        rho, locations, scales = self._of(z)
        rows = locations + scales * torch.cat([u, _correlated(u, noise, rho)], 1)
        return rows[:, :1], rows[:, 1:], z

    def log_ratio_of(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """Return the exact conditional log ratio (n,), in nats."""
        rho, locations, scales = self._of(z)
        rows = (torch.cat([x, y], 1) - locations) / scales
        return _log_ratio(rows[:, :1], rows[:, 1:], rho)


@dataclass(frozen=True, eq=False)
class NormalGiven:
    """x, y and z jointly normal, with mean zero and this covariance.

    Given z, x and y are normal with a covariance that is the same for all z, and I(X;Y|Z) is half
    of log det(S_xz) det(S_yz) / (det(S_z) det(S)).

    Args:
        covariance: the covariance of the columns of x, then of y, then of z.
        dim_x: the number of columns of x.
        dim_y: the number of columns of y.
        name: the name in tables.

    Raises:
        InputError: If the matrix is no covariance, or a side has no columns.

    Example:
        >>> task = NormalGiven(graph("collider"), dim_x=1, dim_y=1)
        >>> round(task.mi, 4)
        0.1438
    """

    mi_error: ClassVar[float] = 0.0
    covariance: Tensor = field(repr=False)
    dim_x: int
    dim_y: int
    name: str = "normal_given"

    def __post_init__(self) -> None:
        """Check the ranges of the parameters."""
        elliptical.Normal(self.covariance, self.dim_x + self.dim_y)  # raises if z has no columns
        elliptical.Normal(self.covariance, self.dim_x)

    @property
    def dim_given(self) -> int:
        """The number of columns of z."""
        return len(self.covariance) - self.dim_x - self.dim_y

    @cached_property
    def _given(self) -> tuple[Tensor, elliptical.Normal]:
        """The coefficients (dim_x + dim_y, dim_given) of z, and the pair of the residuals."""
        whole, k = self.covariance.to(torch.float64), self.dim_x + self.dim_y
        slopes = torch.linalg.solve(whole[k:, k:], whole[k:, :k]).T
        residual = whole[:k, :k] - slopes @ whole[k:, :k]
        return slopes, elliptical.Normal((residual + residual.T) / 2, self.dim_x)

    @property
    def mi(self) -> float:
        """The conditional mutual information in closed form, in nats."""
        return max(self._given[1].mi, 0.0)

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Draw x (n, dim_x), y (n, dim_y) and z (n, dim_given)."""
        root = torch.linalg.cholesky(self.covariance.to(torch.float64))
        rows = _normal(n, len(root), generator) @ root.T
        x, y, z = rows.split([self.dim_x, self.dim_y, self.dim_given], 1)
        return x, y, z

    def log_ratio_of(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """Return the exact conditional log ratio (n,), in nats."""
        slopes, pair = self._given
        location = z @ slopes.to(z).T
        return pointwise(pair, x - location[:, : self.dim_x], y - location[:, self.dim_x :])


# Linear models of x, y and the dz columns of z: a pair of coefficients (of each column of z on x,
# of y on the mean of z, of each column of z on y, of y on x). The noise of x and y is standard.
GRAPHS: dict[str, tuple[float, float, float, float]] = {
    "chain": (1.0, 1.0, 0.0, 0.0),  # x -> z -> y: I(X;Y|Z) = 0
    "mediator": (1.0, 1.0, 0.0, 1.0),  # x -> z -> y and x -> y
    "collider": (1.0, 0.0, 1.0, 0.0),  # x -> z <- y: I(X;Y) = 0 and I(X;Y|Z) > 0
}


def graph(kind: str = "chain", *, dz: int = 1, noise: float = 1.0) -> Tensor:
    """Return the covariance of x, y and z in a linear model.

    In a "chain", z = x + e and y = mean(z) + e; a "mediator" adds x to y; in a "collider",
    z = x + y + e. Each column of z has its own e, with standard deviation `noise`.

    Args:
        kind: a key of `GRAPHS`.
        dz: the number of columns of z.
        noise: the standard deviation of the noise of z.

    Returns:
        (2 + dz, 2 + dz).

    Raises:
        InputError: If the kind is unknown, or a parameter is out of range.

    Example:
        >>> graph("chain").tolist()
        [[1.0, 1.0, 1.0], [1.0, 3.0, 2.0], [1.0, 2.0, 2.0]]
    """
    at_least_one(dz=dz)
    positive(noise=noise)
    arrows = arguments.lookup("graph", kind, GRAPHS)
    effects = torch.zeros(2 + dz, 2 + dz, dtype=torch.float64)
    effects[2:, 0], effects[1, 2:], effects[2:, 1], effects[1, 0] = arrows
    effects[1, 2:] /= dz
    scales = torch.tensor([1.0, 1.0, *[noise] * dz], dtype=torch.float64)
    root = torch.linalg.inv(torch.eye(2 + dz, dtype=torch.float64) - effects) * scales
    covariance = root @ root.T
    return (covariance + covariance.T) / 2


@dataclass(frozen=True)
class CcmiLinear(_Columns):
    """CCMI's linear models: y = x + m(z) + noise.

    x is standard normal. The noise has standard deviation 0.1, so I(X;Y|Z) = log(101) / 2 for any
    m. In model 1, m is the first column of z, and all are uniform on (-1/2, 1/2). In model 2, m is
    z w for a random vector w of length one, and z is standard normal. In both, I(X;Y) is smaller.

    Args:
        model: 1 or 2.
        dz: the number of columns of z.
        seed: the seed of w.
        name: the name in tables.

    Raises:
        InputError: If there is no such model, or no column of z.

    Source: Mukherjee, Asnani and Kannan 2019, https://arxiv.org/abs/1906.01824. The authors'
    generator (https://github.com/sudiptodip15/CCMI, categories F and G) draws w, with uniform
    entries before it is normalised, anew for each data set; here it is fixed.

    Example:
        >>> round(CcmiLinear(model=2, dz=50).mi, 4)
        2.3076
    """

    model: int = 1
    dz: int = 20
    seed: int = 0
    name: str = "ccmi_linear"
    dim_x: ClassVar[int] = 1
    dim_y: ClassVar[int] = 1
    noise: ClassVar[float] = 0.1

    def __post_init__(self) -> None:
        """Check the ranges of the parameters."""
        at_least_one(dz=self.dz)
        if self.model not in (1, 2):
            raise InputError(f"Expected model 1 or 2; got {self.model}.")

    @property
    def mi(self) -> float:
        """The conditional mutual information, log(101) / 2, in nats."""
        return 0.5 * math.log1p(self.noise**-2)

    @cached_property
    def _weights(self) -> Tensor:
        weights = np.random.default_rng(self.seed).uniform(-1, 1, size=(self.dz, 1))
        if self.model == 1:
            weights = np.eye(self.dz, 1)
        return torch.from_numpy(weights / np.linalg.norm(weights))

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Draw x and y, (n, 1) each, and z (n, dz)."""
        if self.model == 1:
            z = torch.rand(n, self.dz, generator=generator, dtype=torch.float64) - 0.5
        else:
            z = _normal(n, self.dz, generator)
        x, noise = (_normal(n, 1, generator) for _ in range(2))
        return x, x + z @ self._weights + self.noise * noise, z

    def log_ratio_of(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """Return the exact conditional log ratio (n,), in nats."""
        rest = y - z @ self._weights.to(z)
        marginal = _log_normal(rest, math.hypot(1.0, self.noise))
        return (_log_normal(rest - x, self.noise) - marginal)[:, 0]


@dataclass(frozen=True)
class ClassesGiven(_Columns):
    """y one of k classes, x a number; z affects both.

    x = separation y + strength t + noise, where t is the sum of the columns of z over sqrt(dz), and
    z is standard normal. The probabilities of the classes given z are proportional to
    exp(strength c t), with c evenly spaced from -1 to 1.

    Args:
        k: the number of classes, at most 50.
        dz: the number of columns of z.
        separation: the distance of neighbouring means, in standard deviations of the noise; at
            most 20.
        strength: the effect of z on x and y.
        name: the name in tables.

    Raises:
        InputError: If a parameter is out of range.

    Example:
        >>> round(ClassesGiven(k=2, separation=20.0, strength=1e-9).mi, 4)  # log 2
        0.6931
    """

    k: int = 3
    dz: int = 1
    separation: float = 2.0
    strength: float = 1.0
    name: str = "classes_given"
    dim_x: ClassVar[int] = 1
    dim_y: ClassVar[int] = 1
    categorical: ClassVar[tuple[str, ...]] = ("y",)

    def __post_init__(self) -> None:
        """Check the ranges of the parameters."""
        at_least_one(dz=self.dz)
        positive(separation=self.separation, strength=self.strength)
        if not 2 <= self.k <= MOST_CLASSES:
            raise InputError(f"Expected k between 2 and {MOST_CLASSES}; got {self.k}.")
        if self.separation > FARTHEST:
            raise InputError(f"Expected separation of at most {FARTHEST:g}; got {self.separation}.")

    def _log_shares(self, t: Tensor) -> Tensor:
        """Return the log probabilities (n, k) of the classes, for t (n, 1)."""
        slopes = torch.linspace(-1, 1, self.k, dtype=torch.float64).to(t)
        return (self.strength * t * slopes).log_softmax(1)

    def _log_densities(self, noise: Tensor) -> Tensor:
        """Return the log densities (n, k) of x - strength t (n, 1) in each class."""
        return _log_normal(noise - self.separation * torch.arange(self.k).to(noise))

    @cached_property
    def mi(self) -> float:
        """The conditional mutual information by quadrature over t and x, in nats."""
        noise = self._log_densities(_grid(0.0, self.separation * (self.k - 1))[:, None])
        t = _grid(0.0, 0.0)
        shares = self._log_shares(t[:, None])
        own = (noise.exp() * noise).sum(0) * STEP  # of x given class and z; the integral of p log p
        given = [
            float(row.exp() @ own)
            - STEP * float((mixed := (noise + row).logsumexp(1)).exp() @ mixed)
            for row in shares
        ]
        return STEP * float(_log_normal(t).exp() @ torch.tensor(given, dtype=torch.float64))

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Draw x (n, 1), y (n, 1), the class, and z (n, dz)."""
        z, noise = _normal(n, self.dz, generator), _normal(n, 1, generator)
        t = _projection(z)
        places = torch.rand(n, 1, generator=generator, dtype=torch.float64)
        edges = self._log_shares(t).exp().cumsum(1)[:, :-1]
        y = (places > edges).sum(1, keepdim=True).double()
        return self.separation * y + self.strength * t + noise, y, z

    def log_ratio_of(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """Return the exact conditional log ratio (n,), in nats: of p(x | y, z) and p(x | z)."""
        t = _projection(z)
        own = self._log_densities(x - self.strength * t)
        mixed = (own + self._log_shares(t)).logsumexp(1)
        return own.gather(1, y.long())[:, 0] - mixed
