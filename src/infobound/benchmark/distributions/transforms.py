"""Invertible maps of the rows of one side, and tasks that apply them to another task.

Mutual information is invariant under injective maps of x and of y, and the log ratio of a mapped
pair is that of the original pair: `Mapped` inverts the maps and calls its base. `Padded` adds
columns of noise, which change neither.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from infobound.benchmark.distributions.joint import Map, Task
from infobound.errors import InputError

__all__ = [
    "ASINH",
    "CUBE",
    "EXP",
    "HALF_CUBE",
    "IDENTITY",
    "NORMAL_CDF",
    "Chain",
    "Columnwise",
    "Mapped",
    "Padded",
    "Quantiles",
    "Rotation",
    "Shear",
    "Spiral",
    "SwissRoll",
    "Wiggle",
]


def _normal_cdf(z: Tensor) -> Tensor:
    return torch.special.ndtr(z)


def _normal_quantile(u: Tensor) -> Tensor:
    """Return normal quantiles, finite even if rounding has produced 0 or 1."""
    edge = torch.finfo(u.dtype).eps / 2
    return torch.special.ndtri(u.clamp(edge, 1 - edge))


def _bisect(increasing: Callable[[Tensor], Tensor], low: Tensor, high: Tensor) -> Tensor:
    """Find the zero of an increasing function between low and high to machine precision."""
    for _ in range(64):
        middle = 0.5 * (low + high)
        below = increasing(middle) < 0
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return 0.5 * (low + high)


@dataclass(frozen=True)
class Columnwise:
    """An increasing function applied to every number, with its inverse.

    Example:
        >>> CUBE(torch.tensor([[2.0]])).item(), CUBE.inverse(torch.tensor([[-8.0]])).item()
        (8.0, -2.0)
    """

    forward: Callable[[Tensor], Tensor]
    backward: Callable[[Tensor], Tensor]

    def __call__(self, rows: Tensor) -> Tensor:
        """Map rows (n, d) to (n, d)."""
        return self.forward(rows)

    def inverse(self, rows: Tensor) -> Tensor:
        """Map rows (n, d) back to (n, d)."""
        return self.backward(rows)

    def width(self, d: int) -> int:
        """Return d: the number of columns stays the same."""
        return d


def _power(exponent: float) -> Callable[[Tensor], Tensor]:
    return lambda rows: rows.sign() * rows.abs() ** exponent


IDENTITY = Columnwise(lambda rows: rows, lambda rows: rows)
NORMAL_CDF = Columnwise(_normal_cdf, _normal_quantile)
ASINH = Columnwise(torch.asinh, torch.sinh)
EXP = Columnwise(torch.exp, torch.log)
HALF_CUBE = Columnwise(_power(1.5), _power(1 / 1.5))
CUBE = Columnwise(_power(3.0), _power(1 / 3))


@dataclass(frozen=True)
class Wiggle:
    """The map t + sum of a sin(b t + c), whose sines are so small that it is increasing.

    Raises:
        InputError: If the function may not be increasing.

    Example:
        >>> wiggle = Wiggle(((0.4, 1.0, 0.0),))
        >>> round(wiggle.inverse(wiggle(torch.tensor([[2.0]]))).item(), 4)
        2.0
    """

    terms: tuple[tuple[float, float, float], ...]

    def __post_init__(self) -> None:
        """Check the ranges of the parameters."""
        slope = sum(abs(a * b) for a, b, _ in self.terms)
        if slope >= 1:
            raise InputError(f"Expected sum of |a b| below 1; got {slope:g}. Use smaller waves.")

    def __call__(self, rows: Tensor) -> Tensor:
        """Map rows (n, d) to (n, d)."""
        return rows + sum(a * torch.sin(b * rows + c) for a, b, c in self.terms)

    def inverse(self, rows: Tensor) -> Tensor:
        """Map rows (n, d) back to (n, d), by bisection."""
        reach = sum(abs(a) for a, _, _ in self.terms)
        return _bisect(lambda t: self(t) - rows, rows - reach, rows + reach)

    def width(self, d: int) -> int:
        """Return d: the number of columns stays the same."""
        return d


@dataclass(frozen=True)
class Quantiles:
    """The quantile function of a mixture of unit normals, which maps uniform numbers to it.

    Example:
        >>> two = Quantiles(weights=(0.5, 0.5), means=(-1.0, 3.0))
        >>> round(two(torch.tensor([[0.5]], dtype=torch.float64)).item(), 3)
        1.0
    """

    weights: tuple[float, ...]
    means: tuple[float, ...]

    def __call__(self, rows: Tensor) -> Tensor:
        """Map rows (n, d) in (0, 1) to (n, d), by bisection."""
        low = torch.full_like(rows, min(self.means) - 12)
        high = torch.full_like(rows, max(self.means) + 12)
        return _bisect(lambda t: self.inverse(t) - rows, low, high)

    def inverse(self, rows: Tensor) -> Tensor:
        """Map rows (n, d) back to (0, 1) by the mixture's distribution function."""
        parts = zip(self.weights, self.means, strict=True)
        return torch.stack([w * _normal_cdf(rows - mean) for w, mean in parts]).sum(0)

    def width(self, d: int) -> int:
        """Return d: the number of columns stays the same."""
        return d


@dataclass(frozen=True)
class Spiral:
    """Rotation of two columns by an angle proportional to the squared length of the row.

    The length does not change, so the inverse is the rotation by the negative angle.

    Example:
        >>> turn = Spiral(columns=(0, 1), speed=math.pi / 2)
        >>> (turn(torch.tensor([[1.0, 0.0]])) + 0.0).round(decimals=4).abs().tolist()
        [[0.0, 1.0]]
    """

    columns: tuple[int, int]
    speed: float

    def _turn(self, rows: Tensor, speed: float) -> Tensor:
        i, j = self.columns
        angle = speed * rows.square().sum(1)
        sides = list(rows.unbind(1))
        cos, sin = angle.cos(), angle.sin()
        sides[i], sides[j] = cos * sides[i] - sin * sides[j], sin * sides[i] + cos * sides[j]
        return torch.stack(sides, 1)

    def __call__(self, rows: Tensor) -> Tensor:
        """Map rows (n, d) to (n, d)."""
        return self._turn(rows, self.speed)

    def inverse(self, rows: Tensor) -> Tensor:
        """Map rows (n, d) back to (n, d)."""
        return self._turn(rows, -self.speed)

    def width(self, d: int) -> int:
        """Return d: the number of columns stays the same."""
        return d


@dataclass(frozen=True)
class SwissRoll:
    """The Swiss roll: maps a number between 0 and 1 to a spiral in the plane.

    Example:
        >>> roll = SwissRoll()
        >>> round(roll.inverse(roll(torch.tensor([[0.25]]))).item(), 4)
        0.25
    """

    def __call__(self, rows: Tensor) -> Tensor:
        """Map rows (n, 1) to (n, 2)."""
        t = 1.5 * math.pi * (1 + 2 * rows)
        return torch.cat([t * t.cos(), t * t.sin()], 1) / 21

    def inverse(self, rows: Tensor) -> Tensor:
        """Map rows (n, 2) back to (n, 1), by the distance from the centre."""
        t = 21 * rows.square().sum(1, keepdim=True).sqrt()
        return (t / (1.5 * math.pi) - 1) / 2

    def width(self, d: int) -> int:
        """Return 2."""
        return 2


@dataclass(frozen=True)
class Shear:
    """Shift of the first of two columns by a sine of the second; then both are scaled and shifted.

    Example:
        >>> shear = Shear(amplitude=5.0, frequency=3.0, scale=(0.1, 0.5), shift=(-0.8, 0.0))
        >>> shear(torch.zeros(1, 2, dtype=torch.float64)).tolist()
        [[-0.8, 0.0]]
    """

    amplitude: float
    frequency: float
    scale: tuple[float, float] = (1.0, 1.0)
    shift: tuple[float, float] = (0.0, 0.0)

    def __call__(self, rows: Tensor) -> Tensor:
        """Map rows (n, 2) to (n, 2)."""
        first = rows[:, 0] + self.amplitude * torch.sin(self.frequency * rows[:, 1])
        return torch.stack([first, rows[:, 1]], 1) * rows.new_tensor(self.scale) + rows.new_tensor(
            self.shift
        )

    def inverse(self, rows: Tensor) -> Tensor:
        """Map rows (n, 2) back to (n, 2)."""
        rows = (rows - rows.new_tensor(self.shift)) / rows.new_tensor(self.scale)
        first = rows[:, 0] - self.amplitude * torch.sin(self.frequency * rows[:, 1])
        return torch.stack([first, rows[:, 1]], 1)

    def width(self, d: int) -> int:
        """Return d: the number of columns stays the same."""
        return d


@dataclass(frozen=True)
class Rotation:
    """A random orthogonal matrix applied to d columns, reproducible by its seed.

    Example:
        >>> round(Rotation(d=3, seed=1)(torch.ones(1, 3)).square().sum().item(), 4)
        3.0
    """

    d: int
    seed: int = 0

    @cached_property
    def matrix(self) -> Tensor:
        """The orthogonal matrix (d, d)."""
        generator = torch.Generator().manual_seed(self.seed)
        noise = torch.randn(self.d, self.d, generator=generator, dtype=torch.float64)
        return torch.linalg.qr(noise).Q

    def __call__(self, rows: Tensor) -> Tensor:
        """Map rows (n, d) to (n, d)."""
        return rows @ self.matrix.T.to(rows)

    def inverse(self, rows: Tensor) -> Tensor:
        """Map rows (n, d) back to (n, d)."""
        return rows @ self.matrix.to(rows)

    def width(self, d: int) -> int:
        """Return d: the number of columns stays the same."""
        return d


@dataclass(frozen=True)
class Chain:
    """The composition of several maps, applied in order.

    Example:
        >>> Chain((EXP, CUBE))(torch.zeros(1, 1)).item()
        1.0
    """

    maps: tuple[Map, ...]

    def __call__(self, rows: Tensor) -> Tensor:
        """Map rows (n, d) to (n, width(d))."""
        for step in self.maps:
            rows = step(rows)
        return rows

    def inverse(self, rows: Tensor) -> Tensor:
        """Map rows (n, width(d)) back to (n, d)."""
        for step in reversed(self.maps):
            rows = step.inverse(rows)
        return rows

    def width(self, d: int) -> int:
        """Return the number of columns after the last map."""
        for step in self.maps:
            d = step.width(d)
        return d


@dataclass(frozen=True)
class Mapped:
    """A task with injective maps applied to x and y; its MI is that of the base.

    Example:
        >>> from infobound.benchmark.distributions.gaussian import Gaussian
        >>> task = Mapped(Gaussian(d=1, rho=0.75), NORMAL_CDF, CUBE, name="warped")
        >>> round(task.mi, 4)
        0.4133
    """

    base: Task
    map_x: Map = IDENTITY
    map_y: Map = IDENTITY
    name: str = "mapped"

    @property
    def dim_x(self) -> int:
        """The number of columns of x after its map."""
        return self.map_x.width(self.base.dim_x)

    @property
    def dim_y(self) -> int:
        """The number of columns of y after its map."""
        return self.map_y.width(self.base.dim_y)

    @property
    def mi(self) -> float:
        """That of the base, in nats."""
        return self.base.mi

    @property
    def mi_error(self) -> float:
        """That of the base, in nats."""
        return self.base.mi_error

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw x (n, dim_x) and y (n, dim_y)."""
        x, y = self.base.sample(n, generator)
        return self.map_x(x), self.map_y(y)

    def log_ratio(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the exact log ratio (n, m), in nats, of rows in the range of the maps."""
        return self.base.log_ratio(self.map_x.inverse(x), self.map_y.inverse(y))


@dataclass(frozen=True)
class Padded:
    """A task with additional columns of independent standard normals.

    Example:
        >>> from infobound.benchmark.distributions.gaussian import Gaussian
        >>> Padded(Gaussian(d=2), more_x=98, more_y=0, name="wide").dim_x
        100
    """

    base: Task
    more_x: int
    more_y: int
    name: str = "padded"

    def __post_init__(self) -> None:
        """Check the ranges of the parameters."""
        if min(self.more_x, self.more_y) < 0:
            raise InputError(
                f"Expected zero or more columns of noise; got {self.more_x} and {self.more_y}."
            )

    @property
    def dim_x(self) -> int:
        """The number of columns of x, including noise."""
        return self.base.dim_x + self.more_x

    @property
    def dim_y(self) -> int:
        """The number of columns of y, including noise."""
        return self.base.dim_y + self.more_y

    @property
    def mi(self) -> float:
        """That of the base, in nats."""
        return self.base.mi

    @property
    def mi_error(self) -> float:
        """That of the base, in nats."""
        return self.base.mi_error

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw x (n, dim_x) and y (n, dim_y)."""
        x, y = self.base.sample(n, generator)
        more = (
            torch.randn(n, count, generator=generator, dtype=torch.float64)
            for count in (self.more_x, self.more_y)
        )
        return torch.cat([x, next(more)], 1), torch.cat([y, next(more)], 1)

    def log_ratio(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the exact log ratio (n, m), in nats; it does not depend on the noise."""
        return self.base.log_ratio(x[:, : self.base.dim_x], y[:, : self.base.dim_y])
