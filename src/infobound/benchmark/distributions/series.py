"""Pairs of series whose transfer entropy is known.

Each is a `ConditionalTask`: x is the past of one series, y the present of another and z the past of
the other, so that `mi`, I(X;Y|Z), is the transfer entropy. `sample` draws rows in the order of
time, which are not independent, and `series` the two series themselves. Truths are determinants of
covariances, sums over states, or quadrature of the stationary density.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Protocol

import numpy as np
import torch
from scipy.linalg import solve_discrete_lyapunov
from torch import Tensor

from infobound._system import arguments
from infobound.benchmark.distributions.joint import at_least_one, positive
from infobound.errors import InputError

__all__ = [
    "COUPLINGS",
    "WARPS",
    "CoupledAutoregression",
    "CoupledMarkovChains",
    "NonlinearCoupling",
    "SeriesTask",
]

STEP, REACH = 0.25, 5.5  # of grids, in standard deviations of the noise and of x
ROUNDS = 400  # most steps to the stationary density
BURN_IN = 200  # rows before the first one that is used
CHUNK = 256  # rows whose log ratios are computed at once


class SeriesTask(Protocol):
    """A task whose rows are the past and the present of two series."""

    @property
    def mi(self) -> float:
        """The transfer entropy from the first series to the second, in nats."""

    def series(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw both series, (n, 1) each, float64."""


WARPS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "none": (lambda v: v, lambda v: v),
    "cubic": (lambda v: v**3, lambda v: v.sign() * v.abs() ** (1 / 3)),
    "exponential": (lambda v: torch.exp(v / 2), lambda v: 2 * torch.log(v)),
}  # increasing maps of both series, and their inverses


def _rows(x: Tensor, y: Tensor, history: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the past of x, the present of y and the past of y, of each row that has them."""
    n = len(y)
    pasts = [[v[history - k : n - k] for k in range(1, history + 1)] for v in (x, y)]
    return torch.cat(pasts[0], 1), y[history:], torch.cat(pasts[1], 1)


@dataclass(frozen=True)
class CoupledAutoregression:
    """Two autoregressive series; x drives y.

    x_t = phi x_{t-1} + feedback y_{t-1} + noise and y_t = phi y_{t-1} + coupling x_{t-lag} + noise,
    with standard normal noise.

    Args:
        phi: the autocorrelation of each series alone.
        coupling: the effect of x on y.
        feedback: the effect of y on x.
        lag: how many rows later x acts on y.
        history: how many values of the past of x and of y the transfer entropy is about.
        warp: a key of `WARPS`, an increasing map of both series.

    Raises:
        InputError: If the series are not stationary, or a parameter is out of range.

    Example:
        >>> round(CoupledAutoregression().mi, 4)
        0.2856
        >>> abs(round(CoupledAutoregression(coupling=0.0, feedback=0.5).mi, 12))
        0.0
    """

    phi: float = 0.9
    coupling: float = 0.5
    feedback: float = 0.0
    lag: int = 1
    history: int = 1
    warp: str = "none"
    name: str = "coupled_autoregression"
    dim_y: ClassVar[int] = 1
    mi_error: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        """Check the parameters."""
        at_least_one(lag=self.lag, history=self.history)
        arguments.choice("warp", self.warp, WARPS)
        if np.abs(np.linalg.eigvals(self._companion)).max() >= 1:
            raise InputError(
                f"Expected stationary series; got phi = {self.phi}, coupling = {self.coupling} and "
                f"feedback = {self.feedback}. Make one smaller."
            )

    @property
    def dim_x(self) -> int:
        """The number of columns of the past of x."""
        return self.history

    @property
    def dim_given(self) -> int:
        """The number of columns of the past of y."""
        return self.history

    @cached_property
    def _companion(self) -> np.ndarray:
        """The matrix (2 lag, 2 lag) that takes the last rows of (x, y) to the next ones."""
        found = np.eye(2 * self.lag, k=-2)
        found[:2] = 0
        found[0, :2] = self.phi, self.feedback
        found[1, 1] = self.phi
        found[1, 2 * self.lag - 2] += self.coupling
        return found

    @cached_property
    def _stationary(self) -> np.ndarray:
        """The covariance (2 lag, 2 lag) of the last rows of (x, y)."""
        noise = np.zeros_like(self._companion)
        noise[0, 0] = noise[1, 1] = 1
        return np.asarray(solve_discrete_lyapunov(self._companion, noise))

    @cached_property
    def covariance(self) -> np.ndarray:
        """The block-Toeplitz covariance of (x_t, y_t, x_{t-1}, y_{t-1}, ...), `history` rows back.

        It has the shape (2 history + 2, 2 history + 2), before the warp.
        """
        power, blocks = np.eye(len(self._companion)), []
        for _ in range(self.history + 1):
            blocks.append((power @ self._stationary)[:2, :2])  # of row t with row t - k
            power = self._companion @ power
        size = range(self.history + 1)
        return np.block(
            [[blocks[j - i] if j >= i else blocks[i - j].T for j in size] for i in size]
        )

    @property
    def _places(self) -> tuple[list[int], list[int], list[int]]:
        """The places in the covariance of the past of x, of y, and of the past of y."""
        past = range(1, self.history + 1)
        return [2 * k for k in past], [1], [2 * k + 1 for k in past]

    @cached_property
    def mi(self) -> float:
        """The transfer entropy from x to y: a sum of log determinants, in nats."""
        x, y, z = self._places

        def log_determinant(places: Sequence[int]) -> float:
            return float(np.linalg.slogdet(self.covariance[np.ix_(places, places)])[1])

        without = log_determinant([*y, *z]) - log_determinant(z)
        return (without - log_determinant([*x, *y, *z]) + log_determinant([*x, *z])) / 2

    def series(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw both series, (n, 1) each, from the stationary distribution on."""
        size = len(self._companion)
        first = torch.randn(size, generator=generator, dtype=torch.float64).numpy()
        noise = torch.randn(n, 2, generator=generator, dtype=torch.float64).numpy()
        state = np.linalg.cholesky(self._stationary) @ first
        found, steps = np.empty((n, 2)), self._companion[:2]
        for t in range(n):
            found[t] = steps @ state + noise[t]
            state = np.r_[found[t], state[:-2]]
        warp = WARPS[self.warp][0]
        both = warp(torch.as_tensor(found, dtype=torch.float64))
        return both[:, :1], both[:, 1:]

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Draw n rows in the order of time: the past of x, the present of y, the past of y."""
        return _rows(*self.series(n + self.history, generator), self.history)

    def log_ratio_of(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """Return log p(y | x, z) / p(y | z), (n,)."""
        back = WARPS[self.warp][1]
        u, v, w = back(x), back(y), back(z)
        places_x, _, places_z = self._places
        return self._log_density(v, torch.cat([u, w], 1), [*places_x, *places_z]) - (
            self._log_density(v, w, places_z)
        )

    def _log_density(self, y: Tensor, known: Tensor, places: Sequence[int]) -> Tensor:
        cross = self.covariance[np.ix_([1], places)]
        slopes = np.linalg.solve(self.covariance[np.ix_(places, places)], cross.T)
        variance = self.covariance[1, 1] - (cross @ slopes).item()
        gap = y[:, 0] - known @ torch.as_tensor(slopes[:, 0], dtype=known.dtype)
        return -(gap**2) / (2 * variance) - math.log(2 * math.pi * variance) / 2


# Functions of the last x and y, of which `strength` times is added to the next y.
COUPLINGS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "sine": lambda x, y: torch.sin(2 * x),
    "square": lambda x, y: x**2 / 2,
    "product": lambda x, y: torch.tanh(x * y),
    "map": lambda x, y: torch.sin(2 * x + y),
}


@dataclass(frozen=True)
class NonlinearCoupling:
    """An autoregressive series that drives another one by a nonlinear function.

    x_t = phi x_{t-1} + noise and y_t = own y_{t-1} + strength f(x_{t-1}, y_{t-1}) + noise, with
    standard normal noise. The transfer entropy given y_{t-1} is by quadrature of the stationary
    density of (x, y).

    Args:
        function: a key of `COUPLINGS`.
        phi: the autocorrelation of x.
        own: the effect of y on itself.
        strength: the factor of f.

    Raises:
        InputError: If a parameter is out of range.

    Example:
        >>> 0.1 < NonlinearCoupling().mi < 0.3
        True
    """

    function: str = "sine"
    phi: float = 0.5
    own: float = 0.5
    strength: float = 1.0
    name: str = "nonlinear_coupling"
    dim_x: ClassVar[int] = 1
    dim_y: ClassVar[int] = 1
    dim_given: ClassVar[int] = 1
    mi_error: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        """Check the parameters."""
        arguments.choice("function", self.function, COUPLINGS)
        arguments.real("phi", self.phi, "(-1, 1)")
        arguments.real("own", self.own, "(-1, 1)")
        positive(strength=self.strength)

    def _mean(self, x: Tensor, y: Tensor) -> Tensor:
        return self.own * y + self.strength * COUPLINGS[self.function](x, y)

    @cached_property
    def _grid(self) -> tuple[Tensor, Tensor]:
        """Values of x and of y that carry all of the stationary density."""
        end = REACH / math.sqrt(1 - self.phi**2)
        x = torch.arange(-end, end + STEP / 2, STEP, dtype=torch.float64)
        value = COUPLINGS[self.function](x[:, None], torch.linspace(-9, 9, 91, dtype=x.dtype))
        least, most = (float(v) * self.strength for v in (value.min(), value.max()))
        rest = REACH / math.sqrt(1 - self.own**2)
        low, high = (v / (1 - abs(self.own)) for v in (min(least, 0.0), max(most, 0.0)))
        return x, torch.arange(low - rest, high + rest, STEP, dtype=torch.float64)

    @cached_property
    def _density(self) -> Tensor:
        """The stationary density of (x, y) on the grid."""
        x, y = self._grid
        moves = self._moves
        kernel = _normal(y - self._mean(x[:, None], y)[:, :, None])  # x, y, next y
        found = torch.ones(len(x), len(y), dtype=torch.float64)
        found *= _normal(x * math.sqrt(1 - self.phi**2))[:, None] * _normal(y)
        found /= found.sum() * STEP**2
        for _ in range(ROUNDS):
            last = found
            found = moves @ torch.bmm(found[:, None, :], kernel)[:, 0] * STEP**2
            found /= found.sum() * STEP**2
            if (found - last).abs().max() < 1e-13:
                break
        return found

    @property
    def _moves(self) -> Tensor:
        """The density of the next x, in rows, given x."""
        x = self._grid[0]
        return _normal(x[:, None] - self.phi * x)

    @cached_property
    def mi(self) -> float:
        """The transfer entropy from x to y given the last y, in nats."""
        x, y = self._grid
        kernel = _normal(y - self._mean(x[:, None], y)[:, :, None])
        joint = (self._density[:, :, None] * kernel).sum(0) * STEP  # y, next y
        joint /= joint.sum() * STEP**2
        given = joint / joint.sum(1, keepdim=True).clamp(min=1e-300) / STEP
        entropy = -(joint * given.clamp(min=1e-300).log()).sum() * STEP**2
        return float(entropy) - math.log(2 * math.pi * math.e) / 2

    def series(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw both series, (n, 1) each."""
        noise = torch.randn(n + BURN_IN, 2, generator=generator, dtype=torch.float64)
        found = torch.zeros(n + BURN_IN, 2, dtype=torch.float64)
        for t in range(1, n + BURN_IN):
            x, y = found[t - 1]
            found[t, 0] = self.phi * x + noise[t, 0]
            found[t, 1] = self._mean(x, y) + noise[t, 1]
        return found[BURN_IN:, :1], found[BURN_IN:, 1:]

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Draw n rows in the order of time: the last x, y, and the last y."""
        return _rows(*self.series(n + 1, generator), 1)

    def log_ratio_of(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """Return log p(y | x, z) / p(y | z), (n,)."""
        parts = zip(x.split(CHUNK), y.split(CHUNK), z.split(CHUNK), strict=True)
        return torch.cat([self._log_ratio(*part) for part in parts])

    def _log_ratio(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        levels, values = (side.to(z.dtype) for side in self._grid)
        # The density of x at this value of the last y, by one more step from the grid.
        arrivals = _normal(z[:, :, None] - self._mean(levels[:, None], values))
        weights = (arrivals * self._density.to(z.dtype)).sum(2) @ self._moves.T.to(z.dtype)
        weights /= weights.sum(1, keepdim=True)
        without = (weights * _normal(y - self._mean(levels, z))).sum(1).log()
        return _normal(y - self._mean(x, z))[:, 0].log() - without


def _normal(gap: Tensor) -> Tensor:
    return torch.exp(-(gap**2) / 2) / math.sqrt(2 * math.pi)


@dataclass(frozen=True)
class CoupledMarkovChains:
    """Two Markov chains of k values; the second one reads the first.

    x keeps its value with probability `stay` and else takes any value. y_t is x_{t-1}, or with
    `mixed` the sum of x_{t-1} and y_{t-1} modulo k; with probability `noise` it is any value
    instead.

    Args:
        k: the number of values.
        stay: the probability that x keeps its value.
        noise: the probability that y takes any value.
        mixed: whether y adds its own last value.

    Raises:
        InputError: If a parameter is out of range.

    Example:
        >>> round(CoupledMarkovChains(k=2, stay=0.0, noise=0.0).mi, 4)
        0.6931
    """

    k: int = 3
    stay: float = 0.7
    noise: float = 0.3
    mixed: bool = False
    name: str = "coupled_markov_chains"
    categorical: ClassVar[tuple[str, ...]] = ("x", "y", "given")
    dim_x: ClassVar[int] = 1
    dim_y: ClassVar[int] = 1
    dim_given: ClassVar[int] = 1
    mi_error: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        """Check the parameters."""
        arguments.integer("k", self.k, least=2, most=50)
        arguments.real("stay", self.stay, "[0, 1)")
        arguments.real("noise", self.noise, "[0, 1]")

    @cached_property
    def _next(self) -> np.ndarray:
        """The probabilities of the next y, (k, k, k), given x and y."""
        levels = np.arange(self.k)
        wanted = (levels[:, None] + self.mixed * levels) % self.k
        return (1 - self.noise) * np.eye(self.k)[wanted] + self.noise / self.k

    @cached_property
    def _stationary(self) -> np.ndarray:
        """The stationary probabilities (k, k) of x and y."""
        move = self.stay * np.eye(self.k) + (1 - self.stay) / self.k
        step = np.einsum("xu,xyv->xyuv", move, self._next).reshape(self.k**2, self.k**2)
        system = np.vstack([step.T - np.eye(self.k**2), np.ones(self.k**2)])
        found = np.linalg.lstsq(system, np.r_[np.zeros(self.k**2), 1.0])[0]
        return np.asarray(found.reshape(self.k, self.k))

    @cached_property
    def _ratios(self) -> np.ndarray:
        """The log of p(y' | x, y) / p(y' | y), (k, k, k)."""
        joint = self._stationary[:, :, None] * self._next
        without = joint.sum(0) / joint.sum((0, 2))[:, None]
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(self._next) - np.log(without))

    @cached_property
    def mi(self) -> float:
        """The transfer entropy from x to y given the last y: a sum over states, in nats."""
        joint = self._stationary[:, :, None] * self._next
        return float((joint[joint > 0] * self._ratios[joint > 0]).sum())

    def series(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw both series, (n, 1) each, of whole numbers from 0."""
        rows = n + BURN_IN
        chance = torch.rand(rows, 2, generator=generator, dtype=torch.float64).numpy()
        drawn = torch.randint(self.k, (rows, 2), generator=generator, dtype=torch.int64).numpy()
        found = drawn.copy()
        for t in range(1, rows):
            if chance[t, 0] < self.stay:
                found[t, 0] = found[t - 1, 0]
            if chance[t, 1] >= self.noise:
                found[t, 1] = (found[t - 1, 0] + self.mixed * found[t - 1, 1]) % self.k
        both = torch.as_tensor(found[BURN_IN:], dtype=torch.float64)
        return both[:, :1], both[:, 1:]

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Draw n rows in the order of time: the last x, y, and the last y."""
        return _rows(*self.series(n + 1, generator), 1)

    def log_ratio_of(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """Return log p(y | x, z) / p(y | z), (n,)."""
        places = [side[:, 0].long().numpy() for side in (x, z, y)]
        return torch.as_tensor(self._ratios[tuple(places)], dtype=torch.float64)
