"""Mixtures of normals: the densities of the second BMI suite.

A mixture is defined by weights, means and covariances of all columns, x first. Its log ratio is
exact. Its `mi` is a value derived by its factory function (`concentric`, `inliers`), or quadrature
on a grid for up to three columns in all, or otherwise Monte Carlo with its standard error.

Source of the densities: Czyż et al. 2023, "The Mixtures and the Neural Critics",
https://arxiv.org/abs/2310.10240.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from infobound.benchmark.distributions.joint import at_least_one, monte_carlo
from infobound.errors import InputError

__all__ = ["NormalMixture", "balls", "concentric", "cross", "inliers", "letters", "stripes"]

GRID_STEP = 0.3  # grid step in conditional standard deviations of the narrowest component
GRID_COLUMNS = 3  # largest number of columns for quadrature on a grid


@dataclass(frozen=True, eq=False)
class NormalMixture:
    """A mixture of multivariate normals.

    Args:
        means: (k, dim_x + dim_y).
        covariances: (k, dim_x + dim_y, dim_x + dim_y).
        dim_x: the number of columns of x.
        weights: (k,), positive; they are divided by their sum. Equal by default.
        known: the MI in nats, if it was derived by other means.
        name: the name in tables.
        n_monte_carlo: the number of pairs for `mi` if there is neither a known value nor a grid.

    Raises:
        InputError: If shapes disagree, weights are not positive, or a covariance is not positive
            definite.

    Example:
        >>> one = NormalMixture(torch.zeros(1, 2), torch.tensor([[[1.0, 0.75], [0.75, 1.0]]]))
        >>> round(one.mi, 4)
        0.4133
    """

    means: Tensor = field(repr=False)
    covariances: Tensor = field(repr=False)
    dim_x: int = 1
    weights: Tensor | None = field(default=None, repr=False)
    known: float | None = field(default=None, repr=False)
    name: str = "normal_mixture"
    n_monte_carlo: int = field(default=100_000, repr=False)

    def __post_init__(self) -> None:
        """Check the ranges of the parameters."""
        k, d = self.means.shape
        if self.covariances.shape != (k, d, d):
            raise InputError(
                f"Expected covariances of shape {(k, d, d)}, as the means imply; "
                f"got {tuple(self.covariances.shape)}."
            )
        if self.weights is not None and (len(self.weights) != k or bool((self.weights <= 0).any())):
            raise InputError(f"Expected {k} positive weights; got {self.weights.tolist()}.")
        if not 0 < self.dim_x < d:
            raise InputError(f"Expected dim_x between 1 and {d - 1}; got {self.dim_x}.")
        if bool((torch.linalg.cholesky_ex(self.covariances).info > 0).any()):
            raise InputError("Expected positive definite covariances; got one that is not.")

    @property
    def dim_y(self) -> int:
        """The number of columns of y."""
        return self.means.shape[1] - self.dim_x

    @cached_property
    def _log_weights(self) -> Tensor:
        alike = torch.ones(len(self.means), dtype=torch.float64)
        given = alike if self.weights is None else self.weights.double()
        return (given / given.sum()).log()

    def _components(self, columns: slice) -> list[tuple[Tensor, Tensor, float]]:
        """Return mean, inverse covariance and log constant of each component for these columns."""
        blocks = self.covariances.double()[:, columns, columns]
        logs = -0.5 * torch.logdet(2 * math.pi * blocks) + self._log_weights
        parts = zip(self.means, torch.linalg.inv(blocks), logs.tolist(), strict=True)
        return [(mean[columns].double(), inverse, constant) for mean, inverse, constant in parts]

    @cached_property
    def _joint(self) -> list[tuple[Tensor, Tensor, float]]:
        return self._components(slice(None))

    @cached_property
    def _sides(self) -> list[list[tuple[Tensor, Tensor, float]]]:
        return [self._components(slice(0, self.dim_x)), self._components(slice(self.dim_x, None))]

    def _log_side(self, rows: Tensor, side: int) -> Tensor:
        """Return the log density (n,) of x (side 0) or y (side 1)."""
        total = rows.new_full((len(rows),), -math.inf)
        for mean, inverse, constant in self._sides[side]:
            centred = rows - mean.to(rows)
            form = (centred @ inverse.to(rows) * centred).sum(1)
            total = torch.logaddexp(total, constant - 0.5 * form)
        return total

    def _log_joint(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the log density of every pair, (n, m)."""
        k = self.dim_x
        total = x.new_full((len(x), len(y)), -math.inf)
        for mean, exact, constant in self._joint:
            inverse = exact.to(x)
            a, b = x - mean[:k].to(x), y - mean[k:].to(y)
            form = (a @ inverse[:k, :k] * a).sum(1)[:, None] + (b @ inverse[k:, k:] * b).sum(1)
            form = form + 2 * (a @ inverse[:k, k:] @ b.T)
            total = torch.logaddexp(total, constant - 0.5 * form)
        return total

    @cached_property
    def _truth(self) -> tuple[float, float]:
        """The MI and its standard error."""
        if self.known is not None:
            return self.known, 0.0
        if self.means.shape[1] <= GRID_COLUMNS:
            return self._by_grid(GRID_STEP), 0.0
        generator = torch.Generator().manual_seed(0)
        return monte_carlo(self, n=self.n_monte_carlo, generator=generator)

    def _by_grid(self, step: float) -> float:
        """Compute the MI by the trapezoidal rule.

        It converges faster than any power of the step, since the integrand is smooth and vanishes
        at the ends of the grid.
        """
        sides = self.covariances.double().diagonal(dim1=1, dim2=2).sqrt()
        within = torch.linalg.inv(self.covariances.double()).diagonal(dim1=1, dim2=2).rsqrt()
        low, high = (self.means - 9 * sides).amin(0), (self.means + 9 * sides).amax(0)
        steps = step * within.amin(0)
        axes = [
            torch.arange(float(a), float(b) + float(s), float(s), dtype=torch.float64)
            for a, b, s in zip(low, high, steps, strict=True)
        ]
        k = self.dim_x
        x, y = torch.cartesian_prod(*axes[:k]), torch.cartesian_prod(*axes[k:])
        x, y = x.reshape(-1, k), y.reshape(-1, self.dim_y)
        of_x, of_y = self._log_side(x, 0), self._log_side(y, 1)
        total = 0.0
        for rows, own in zip(x.split(4096), of_x.split(4096), strict=True):
            ratio = self._log_joint(rows, y) - own[:, None] - of_y
            total += float((ratio * (ratio + own[:, None] + of_y).exp()).sum())
        return total * float(steps.prod())

    @property
    def mi(self) -> float:
        """The mutual information by derivation, quadrature or Monte Carlo, in nats."""
        return self._truth[0]

    @property
    def mi_error(self) -> float:
        """The standard error of `mi`, in nats; zero except for Monte Carlo."""
        return self._truth[1]

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw x (n, dim_x) and y (n, dim_y)."""
        weights = self._log_weights.exp()
        which = torch.multinomial(weights, max(n, 1), replacement=True, generator=generator)[:n]
        rows = torch.randn(n, self.means.shape[1], generator=generator, dtype=torch.float64)
        roots = torch.linalg.cholesky(self.covariances.double())
        for component, root in enumerate(roots):
            chosen = which == component
            rows[chosen] = rows[chosen] @ root.T + self.means[component].double()
        return rows[:, : self.dim_x], rows[:, self.dim_x :]

    def log_ratio(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the exact log ratio (n, m), in nats."""
        of_x, of_y = self._log_side(x, 0), self._log_side(y, 1)
        return self._log_joint(x, y) - of_x[:, None] - of_y


def _stack(matrices: Sequence[Sequence[Sequence[float]]]) -> Tensor:
    return torch.tensor(matrices, dtype=torch.float64)


def cross(*, rho: float = 0.9, name: str = "cross") -> NormalMixture:
    """Build an equal mixture of two normal pairs with correlations rho and -rho: the letter X.

    Example:
        >>> round(cross(rho=0.9).mi, 4)
        0.4084
    """
    covariances = _stack([[[1, sign * rho], [sign * rho, 1]] for sign in (-1, 1)])
    return NormalMixture(torch.zeros(2, 2, dtype=torch.float64), covariances, name=name)


def letters(*, name: str = "letters") -> NormalMixture:
    """Build a mixture of six normals in the plane that draws the letters A and I.

    Example:
        >>> round(letters().mi, 3)
        0.776
    """
    slant = 0.95 * math.sqrt(0.04 * 0.2)
    parts = [  # mean x, mean y, variance x, variance y, covariance
        (1.0, 0.0, 0.01, 0.2, 0.0),
        (1.0, 1.0, 0.05, 0.001, 0.0),
        (1.0, -1.0, 0.05, 0.001, 0.0),
        (-0.8, -0.2, 0.03, 0.001, 0.0),
        (-1.2, 0.0, 0.04, 0.2, slant),
        (-0.4, 0.0, 0.04, 0.2, -slant),
    ]
    means = torch.tensor([part[:2] for part in parts], dtype=torch.float64)
    covariances = _stack([[[vx, c], [c, vy]] for _, _, vx, vy, c in parts])
    return NormalMixture(means, covariances, name=name)


def balls(*, distance: float = 3.0, name: str = "balls") -> NormalMixture:
    """Build two unit normals, x in the plane and y on the line, that differ in every column.

    Example:
        >>> balls().dim_x, balls().dim_y
        (2, 1)
    """
    means = distance * torch.tensor([[-0.5] * 3, [0.5] * 3], dtype=torch.float64)
    covariances = torch.eye(3, dtype=torch.float64).expand(2, 3, 3)
    return NormalMixture(means, covariances, dim_x=2, name=name)


def stripes(*, n: int = 12, name: str = "stripes") -> NormalMixture:
    """Build n narrow normals side by side in the first column of x; y cycles through four levels.

    Example:
        >>> stripes().dim_x, stripes().dim_y
        (2, 1)
    """
    at_least_one(n=n)
    means = torch.tensor([[1.5 * i, 0.0, 1.5 * (i % 4)] for i in range(n)], dtype=torch.float64)
    covariance = torch.diag(torch.tensor([0.1, 1.0, 0.1], dtype=torch.float64))
    return NormalMixture(means, covariance.expand(n, 3, 3), dim_x=2, name=name)


def _chi_nodes(d: int, points: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Return a quadrature rule for the squared length of d standard normals.

    It is a rule in the length itself, whose density is smooth at 0 for every d.
    """
    from scipy import stats  # imported here because it is slow and estimates do not need it

    chi = stats.chi2(d)
    nodes, weights = np.polynomial.legendre.leggauss(points)
    top = math.sqrt(float(chi.isf(1e-16)))
    u = 0.5 * top * (nodes + 1)
    return u**2, 0.5 * top * weights * chi.pdf(u**2) * 2 * u


def concentric(*, d: int = 3, n: int = 5, name: str = "concentric") -> NormalMixture:
    """Build n normals around zero, the k-th of standard deviation k; y is k plus noise of sd 0.01.

    y determines k without error (neighbours are 100 standard deviations apart), so the MI is that
    of x and k, which depends on x only through its length: quadrature over one variable.

    Example:
        >>> round(concentric(d=3, n=5).mi, 3)
        0.455
    """
    at_least_one(d=d, n=n)
    means = torch.tensor([[0.0] * d + [k] for k in range(1, n + 1)], dtype=torch.float64)
    variances = [[float(k * k)] * d + [1e-4] for k in range(1, n + 1)]
    covariances = torch.diag_embed(torch.tensor(variances, dtype=torch.float64))
    squared, mass = _chi_nodes(d)
    scales = np.arange(1.0, n + 1)
    # Log density of the k-th at lengths of the j-th, up to a common constant: (k, j, q).
    lengths = squared * scales[:, None] ** 2
    logs = -d * np.log(scales)[:, None, None] - 0.5 * lengths / scales[:, None, None] ** 2
    own = np.einsum("jjq->jq", logs)
    ratios = own - np.logaddexp.reduce(logs, axis=0) + math.log(n)
    known = float((ratios @ mass).mean())
    return NormalMixture(means, covariances, dim_x=d, known=known, name=name)


def inliers(
    *,
    dim_x: int = 5,
    dim_y: int = 5,
    pairs: int = 2,
    rho: float = 0.8,
    fraction: float = 0.2,
    name: str = "inliers",
) -> NormalMixture:
    """Build normal columns with correlated pairs, of which a fraction of rows is independent.

    The log ratio is log(fraction + (1 - fraction) e^g), with g that of the normal alone. g depends
    only on the squared lengths of x + y and x - y over the pairs, which are independent multiples
    of chi-square variables in both components: quadrature over two variables.

    Args:
        dim_x: the number of columns of x.
        dim_y: the number of columns of y.
        pairs: the number of correlated pairs of columns.
        rho: their correlation.
        fraction: the fraction of rows in which x and y are independent.
        name: the name in tables.

    Raises:
        InputError: If the fraction is outside (0, 1), there are more pairs than columns, or rho is
            not strictly between -1 and 1.

    Example:
        >>> round(inliers(fraction=0.5).mi, 3)
        0.27
    """
    if not 0 < fraction < 1:
        raise InputError(f"Expected fraction strictly between 0 and 1; got {fraction}.")
    if not 0 < pairs <= min(dim_x, dim_y):
        raise InputError(f"Expected pairs between 1 and {min(dim_x, dim_y)}; got {pairs}.")
    if not -1 < rho < 1:
        raise InputError(f"Expected rho strictly between -1 and 1; got {rho}.")
    signal = torch.eye(dim_x + dim_y, dtype=torch.float64)
    for i in range(pairs):
        signal[i, dim_x + i] = signal[dim_x + i, i] = rho
    squared, mass = _chi_nodes(pairs)
    known = 0.0
    for weight, plus, minus in ((1 - fraction, 1 + rho, 1 - rho), (fraction, 1.0, 1.0)):
        sums, differences = plus * squared[:, None], minus * squared[None, :]
        g = -0.5 * pairs * math.log1p(-(rho**2)) + 0.5 * (
            sums * (1 - 1 / (1 + rho)) + differences * (1 - 1 / (1 - rho))
        )
        ratio = np.logaddexp(math.log(fraction), math.log1p(-fraction) + g)
        known += weight * float(mass @ ratio @ mass)
    return NormalMixture(
        torch.zeros(2, dim_x + dim_y, dtype=torch.float64),
        torch.stack([signal, torch.eye(dim_x + dim_y, dtype=torch.float64)]),
        dim_x=dim_x,
        weights=torch.tensor([1 - fraction, fraction], dtype=torch.float64),
        known=known,
        name=name,
    )
