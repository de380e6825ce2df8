"""Closed-form models of dependence; each is also a critic with an exact log ratio.

A model reads either normal scores (columns that are standard normal, one by one) or robustly
scaled values; the table `BASES` says which, and from how many rows and columns it can be fitted.
Floor 0: nothing here is trained by gradients.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from scipy import special, stats
from torch import Tensor, nn

__all__ = [
    "BASES",
    "Base",
    "ContaminatedCopula",
    "GaussianCopula",
    "MixtureModel",
    "StudentCopula",
]

DEGREES = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 10.0, 20.0)  # of freedom that a Student copula may have
FINE, COARSE = (64, 10), (32, 20)  # a mixture's components at most, and rows a parameter at least
MIXED = 4  # columns of x and y together, up to which a mixture is fitted
LOWEST = -80.0  # of a mixture's log ratio: what float32 can hold


class GaussianCopula(nn.Module):
    """The Gaussian copula's log ratio, in canonical coordinates.

    With u = A'x and v = B'y the canonical variables and r_k their correlations,
    log p(x, y) / (p(x) p(y)) = sum_k (r u v - r^2 (u^2 + v^2) / 2) / (1 - r^2) - log(1 - r^2) / 2.

    `mi` is its MI corrected for the optimism of fitted correlations: under normality the mean of
    the log determinant of a sample covariance is known exactly (a sum of digamma functions), so
    the correction is exact at every n. The scores use correlations shrunk towards zero.

    Source: Kay 1992, https://doi.org/10.1109/78.142236 (MI through canonical correlations);
    Misra et al. 2005, https://doi.org/10.1016/j.jmva.2003.10.003 (the log determinant's bias).

    Example:
        >>> x = torch.randn(5000, 1, generator=torch.Generator().manual_seed(0))
        >>> y = 0.6 * x + 0.8 * torch.randn(5000, 1, generator=torch.Generator().manual_seed(1))
        >>> round(GaussianCopula.fit(x, y).mi, 2)  # -log(1 - 0.36) / 2 = 0.22
        0.22
    """

    left: Tensor
    right: Tensor
    correlations: Tensor

    def __init__(
        self, left: Tensor, right: Tensor, correlations: Tensor, mi: float | None = None
    ) -> None:
        super().__init__()
        self.register_buffer("left", left)
        self.register_buffer("right", right)
        self.register_buffer("correlations", correlations)
        self.mi = _gaussian_mi(correlations) if mi is None else mi

    @classmethod
    def fit(cls, x: Tensor, y: Tensor) -> GaussianCopula:
        """Canonical correlations of x (n, dim_x) and y (n, dim_y), computed in float64."""
        a, b = (side.double() - side.double().mean(0) for side in (x, y))
        whiten_x, whiten_y = _whitener(a.T @ a / len(a)), _whitener(b.T @ b / len(b))
        u, r, vt = torch.linalg.svd(whiten_x.T @ (a.T @ b / len(a)) @ whiten_y, full_matrices=False)
        left, right, r = whiten_x @ u, whiten_y @ vt.T, r.clamp(0, 1 - 1e-6)
        p, q, n = whiten_x.shape[1], whiten_y.shape[1], len(a)
        noise = min((p + q) / n, 0.9)  # what r^2 shows, on average, where there is nothing
        shrunk = ((r**2 - noise) / (1 - noise)).clamp_min(0).sqrt() if p + q > 2 else r
        mi = _gaussian_mi(r) - _optimism(p, q, n)
        return cls(left.to(x.dtype), right.to(x.dtype), shrunk.to(x.dtype), mi)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Log ratios (n, m) of x (n, dim_x) against y (m, dim_y), nats."""
        u, v = x @ self.left, y @ self.right
        r = self.correlations
        rest = 1 - r**2
        own = 0.5 * r**2 / rest
        constant = -0.5 * torch.log(rest).sum()
        return (u * (r / rest)) @ v.T - (u**2 @ own)[:, None] - v**2 @ own + constant


class ContaminatedCopula(nn.Module):
    """A Gaussian copula for a share of the rows and independence for the others.

    The ratio is (1 - share) e^g + share, g the Gaussian copula's log ratio: a mixture of copulas
    with the same margins. Fitted by expectation and maximisation.

    Example:
        >>> rng = torch.Generator().manual_seed(0)
        >>> x, noise = torch.randn(2, 4000, 1, generator=rng)
        >>> y = torch.where(torch.rand(4000, 1, generator=rng) < 0.5, x, noise)
        >>> round(ContaminatedCopula.fit(x, y).share, 1)
        0.5
    """

    def __init__(self, gaussian: GaussianCopula, share: float) -> None:
        super().__init__()
        self.gaussian = gaussian
        self.share = share

    @classmethod
    def fit(cls, x: Tensor, y: Tensor) -> ContaminatedCopula:
        """x (n, dim_x) and y (n, dim_y): normal scores."""
        a, b = (side.double() - side.double().mean(0) for side in (x, y))
        whiten_x, whiten_y = _whitener(a.T @ a / len(a)), _whitener(b.T @ b / len(b))
        a, b = a @ whiten_x, b @ whiten_y
        belongs, share = torch.ones(len(a), dtype=a.dtype, device=a.device), 0.3
        for _ in range(40):
            weighted = a * belongs[:, None]
            u, _, vt = torch.linalg.svd(weighted.T @ b / len(a), full_matrices=False)
            left, right = a @ u, b @ vt.T
            # Correlations of the weighted rows, whose variances may drift from 1 on the way.
            cross, own_x, own_y = (
                (belongs[:, None] * product).sum(0) for product in (left * right, left**2, right**2)
            )
            r = (cross / (own_x * own_y).sqrt()).clamp(0, 1 - 1e-4)
            rest = 1 - r**2
            log_ratio = (
                (r * left * right - 0.5 * r**2 * (left**2 + right**2)) / rest
                - 0.5 * torch.log(rest)
            ).sum(1)
            ratio = (1 - share) * log_ratio.exp()
            belongs = ratio / (ratio + share)
            share = float(1 - belongs.mean())
            share = min(max(share, 1e-4), 1 - 1e-4)
        parts = (whiten_x @ u, whiten_y @ vt.T, r)
        return cls(GaussianCopula(*(part.to(x.dtype) for part in parts)), share)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Log ratios (n, m) of x (n, dim_x) against y (m, dim_y), nats."""
        own = self.gaussian(x, y) + math.log1p(-self.share)
        return torch.logaddexp(own, own.new_tensor(math.log(self.share)))


class StudentCopula(nn.Module):
    """The Student-t copula's log ratio: dependence in the tails besides the correlations.

    Source: Demarta and McNeil 2005, https://doi.org/10.1111/j.1751-5823.2005.tb00254.x.

    Example:
        >>> x = torch.randn(4000, 1, generator=torch.Generator().manual_seed(0))
        >>> y = torch.randn(4000, 1, generator=torch.Generator().manual_seed(1))
        >>> StudentCopula.fit(x, y).degrees  # the most that there are: no common tails
        20.0
    """

    table: Tensor
    precision: Tensor
    precision_x: Tensor
    precision_y: Tensor
    reach = 4.5  # normal scores beyond it are taken to be there

    def __init__(self, scatter: Tensor, dim_x: int, degrees: float) -> None:
        super().__init__()
        self.dim_x, self.degrees = dim_x, degrees
        dim, dim_y = len(scatter), len(scatter) - dim_x
        parts = scatter, scatter[:dim_x, :dim_x], scatter[dim_x:, dim_x:]
        for name, part in zip(("precision", "precision_x", "precision_y"), parts, strict=True):
            self.register_buffer(name, torch.linalg.inv(part.double()))
        self.register_buffer("table", self._quantiles(degrees))
        log_dets = [float(torch.linalg.slogdet(part.double())[1]) for part in parts]
        self.constant = (
            _student_constant(degrees, dim)
            - _student_constant(degrees, dim_x)
            - _student_constant(degrees, dim_y)
            - 0.5 * (log_dets[0] - log_dets[1] - log_dets[2])
        )

    @classmethod
    def _quantiles(cls, degrees: float) -> Tensor:
        grid = torch.linspace(-cls.reach, cls.reach, 1801, dtype=torch.float64)
        return torch.from_numpy(stats.t.ppf(special.ndtr(grid.numpy()), degrees))

    @classmethod
    def _spread(cls, scores: Tensor, table: Tensor) -> Tensor:
        """Normal scores as Student quantiles, by linear interpolation in a table."""
        step = 2 * cls.reach / (len(table) - 1)
        place = (scores.clamp(-cls.reach, cls.reach) + cls.reach) / step
        low = place.floor().clamp(max=len(table) - 2)
        left = table[low.long()]
        return left + (place - low) * (table[low.long() + 1] - left)

    @classmethod
    def fit(cls, x: Tensor, y: Tensor) -> StudentCopula:
        """x (n, dim_x) and y (n, dim_y), normal scores: the most likely of `DEGREES`."""
        scores = torch.cat([x, y], dim=1).double()
        best: tuple[float, float, Tensor] | None = None
        for degrees in DEGREES:
            z = cls._spread(scores, cls._quantiles(degrees).to(scores.device))
            scatter, likelihood = _student_scatter(z, degrees)
            if best is None or likelihood > best[0]:
                best = (likelihood, degrees, scatter)
        assert best is not None
        return cls(best[2], x.shape[1], best[1]).to(x.device)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Log ratios (n, m) of x (n, dim_x) against y (m, dim_y), nats."""
        a, b = (self._spread(side.double(), self.table) for side in (x, y))
        p, df = self.dim_x, self.degrees
        own_x, own_y = ((a @ self.precision_x) * a).sum(1), ((b @ self.precision_y) * b).sum(1)
        part_x = ((a @ self.precision[:p, :p]) * a).sum(1)
        part_y = ((b @ self.precision[p:, p:]) * b).sum(1)
        cross = (2 * a @ self.precision[:p, p:]).to(x.dtype) @ b.to(x.dtype).T
        joint = cross + part_x[:, None].to(x.dtype) + part_y.to(x.dtype)
        alone_x = 0.5 * (df + p) * torch.log1p(own_x / df)
        alone_y = 0.5 * (df + b.shape[1]) * torch.log1p(own_y / df)
        both = 0.5 * (df + p + b.shape[1]) * torch.log1p(joint.clamp_min(0) / df)
        return (self.constant + alone_x)[:, None].to(x.dtype) + alone_y.to(x.dtype) - both


class MixtureModel(nn.Module):
    """A mixture of Gaussians on (x, y), whose margins are mixtures too: the ratio is closed form.

    Fitted by scikit-learn, with as many components as the rows are enough for.

    Example:
        >>> rng = torch.Generator().manual_seed(0)
        >>> x = torch.randn(2000, 1, generator=rng)
        >>> y = x**2 + 0.5 * torch.randn(2000, 1, generator=rng)
        >>> bool(MixtureModel.fit(x, y, COARSE)(x, y).diagonal().mean() > 0.6)
        True
    """

    weights: Tensor
    means: Tensor
    covariances: Tensor

    def __init__(self, weights: Tensor, means: Tensor, covariances: Tensor, dim_x: int) -> None:
        super().__init__()
        self.dim_x = dim_x
        self.register_buffer("weights", weights)
        self.register_buffer("means", means)
        self.register_buffer("covariances", covariances)

    @classmethod
    def fit(cls, x: Tensor, y: Tensor, size: tuple[int, int]) -> MixtureModel:
        """x (n, dim_x) and y (n, dim_y): robustly scaled values; size: see `components`."""
        import warnings

        from sklearn.mixture import GaussianMixture

        rows = torch.cat([x, y], dim=1).double().cpu().numpy()
        model = GaussianMixture(
            components(len(rows), rows.shape[1], size),
            init_params="k-means++",
            reg_covar=1e-4,
            max_iter=60,
            random_state=0,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it could have converged further is no matter
            model.fit(rows)
        weights, means = torch.from_numpy(model.weights_), torch.from_numpy(model.means_)
        return cls(weights, means, torch.from_numpy(model.covariances_), x.shape[1]).to(x.device)

    def _log_parts(self, rows: Tensor, start: int, stop: int) -> Tensor:
        """log w_k N_k of some columns, (n, components)."""
        centred = rows.double()[:, None] - self.means[:, start:stop]
        factor = torch.linalg.cholesky(self.covariances[:, start:stop, start:stop])
        solved = torch.linalg.solve_triangular(factor, centred.permute(1, 2, 0), upper=False)
        log_det = factor.diagonal(dim1=1, dim2=2).log().sum(1)
        dim = stop - start
        log_norm = self.weights.log() - log_det - 0.5 * dim * math.log(2 * math.pi)
        return log_norm - 0.5 * (solved**2).sum(1).T

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Log ratios (n, m) of x (n, dim_x) against y (m, dim_y), nats."""
        p, d = self.dim_x, self.means.shape[1]
        log_x, log_y = self._log_parts(x, 0, p), self._log_parts(y, p, d)
        alone_x, alone_y = log_x.logsumexp(1, keepdim=True), log_y.logsumexp(1, keepdim=True)
        a = x.double()[:, None] - self.means[:, :p]
        # log N(y | x, k) = constant - |L^-1 (y - m - B (x - m))|^2 / 2, one product a component
        c_xx, c_yx = self.covariances[:, :p, :p], self.covariances[:, p:, :p]
        slope = torch.linalg.solve(c_xx, c_yx.transpose(1, 2)).transpose(1, 2)
        rest = self.covariances[:, p:, p:] - slope @ c_yx.transpose(1, 2)
        factor = torch.linalg.cholesky(rest)
        log_det = factor.diagonal(dim1=1, dim2=2).log().sum(1)
        constant = -log_det - 0.5 * (d - p) * math.log(2 * math.pi)
        total = torch.zeros(len(x), len(y), dtype=x.dtype, device=x.device)
        for k in range(len(self.weights)):
            mean = self.means[k, p:] + a[:, k] @ slope[k].T
            whiten = torch.linalg.inv(factor[k]).T
            u, v = mean @ whiten, y.double() @ whiten
            left = torch.stack(
                [
                    log_x[:, k] - alone_x[:, 0] - 0.5 * (u**2).sum(1) + constant[k],
                    torch.ones(len(x), dtype=u.dtype, device=u.device),
                ],
                1,
            )
            right = torch.stack(
                [
                    torch.ones(len(y), dtype=u.dtype, device=u.device),
                    -0.5 * (v**2).sum(1) - alone_y[:, 0],
                ],
                1,
            )
            log_part = torch.cat([u, left], 1).to(x.dtype) @ torch.cat([v, right], 1).to(x.dtype).T
            total += log_part.clamp_(LOWEST, -LOWEST).exp_()  # no denormal numbers: they are slow
        return total.clamp_min(math.exp(LOWEST)).log_()


def components(n: int, dim: int, size: tuple[int, int]) -> int:
    """How many components n rows of `dim` columns are enough for.

    `size` is the largest number of components, and the fewest rows for each of their parameters.

    Example:
        >>> components(7500, 2, COARSE), components(750, 3, FINE), components(750, 50, FINE)
        (32, 7, 0)
    """
    most, rows = size
    return min(most, n // (rows * (1 + dim + dim * (dim + 1) // 2)))


@dataclass(frozen=True)
class Base:
    """A closed-form model: how it is fitted, on which columns, and from what on it can be."""

    fit: Callable[[Tensor, Tensor], nn.Module]
    inputs: Literal["scores", "robust"]
    possible: Callable[[int, int], bool]  # (rows, columns) -> bool
    can_start: bool = True  # whether a network can be trained on it: its scores must be cheap


BASES: dict[str, Base] = {
    "gaussian": Base(GaussianCopula.fit, "scores", lambda n, d: True),
    "gaussian_raw": Base(GaussianCopula.fit, "robust", lambda n, d: True),
    "student": Base(StudentCopula.fit, "scores", lambda n, d: n > 5 * d),
    "contaminated": Base(ContaminatedCopula.fit, "scores", lambda n, d: n > 5 * d),
    "mixture": Base(
        partial(MixtureModel.fit, size=COARSE),
        "robust",
        lambda n, d: d <= MIXED and components(n, d, COARSE) >= 2,
        can_start=False,
    ),
    "fine_mixture": Base(
        partial(MixtureModel.fit, size=FINE),
        "robust",
        lambda n, d: d <= MIXED and components(n, d, FINE) >= 2,
        can_start=False,
    ),
}


def _gaussian_mi(correlations: Tensor) -> float:
    return float(-0.5 * torch.log1p(-(correlations.double() ** 2)).sum())


def _optimism(p: int, q: int, n: int) -> float:
    """How much the MI of n rows' sample correlations is too high, on average, nats."""
    freedom = n - 1
    if freedom <= p + q:
        return 0.0

    def log_det(d: int) -> float:
        terms = special.digamma((freedom - torch.arange(d).numpy()) / 2)
        return float(terms.sum()) + d * math.log(2 / freedom)

    return 0.5 * (log_det(p) + log_det(q) - log_det(p + q))


def _student_constant(degrees: float, dim: int) -> float:
    """The log of the multivariate Student density's constant without the determinant."""
    gap = special.gammaln((degrees + dim) / 2) - special.gammaln(degrees / 2)
    return float(gap) - 0.5 * dim * math.log(degrees * math.pi)


def _student_scatter(z: Tensor, degrees: float) -> tuple[Tensor, float]:
    """The most likely scatter matrix of rows z (n, d) and the copula's mean log likelihood."""
    n, d = z.shape
    scatter = torch.eye(d, dtype=z.dtype, device=z.device)
    for _ in range(15):
        distance = (z @ torch.linalg.inv(scatter) * z).sum(1)
        weights = (degrees + d) / (degrees + distance)
        scatter = (z * weights[:, None]).T @ z / n
        scatter = scatter + 1e-6 * scatter.diagonal().mean() * torch.eye(
            d, dtype=z.dtype, device=z.device
        )
    distance = (z @ torch.linalg.inv(scatter) * z).sum(1)
    joint = -0.5 * torch.linalg.slogdet(scatter)[1] + _student_constant(degrees, d)
    joint -= 0.5 * (degrees + d) * torch.log1p(distance / degrees).mean()
    alone = -0.5 * (degrees + 1) * torch.log1p(z**2 / degrees).sum(1).mean()
    return scatter, float(joint - alone) - d * _student_constant(degrees, 1)


def _whitener(covariance: Tensor) -> Tensor:
    """W with W' C W = 1 on the range of C; directions without variance are left out."""
    values, vectors = torch.linalg.eigh(covariance)
    keep = values > 1e-6 * values.max().clamp_min(1e-12)
    return vectors[:, keep] / values[keep].sqrt()
