"""Closed-form copulas; each is also a critic with an exact log ratio.

The inputs are normal scores or robustly scaled values. The Gaussian and the contaminated copula
subtract the means of the rows that they were fitted to. Nothing here is trained by gradients.
Densities of values are in `densities`.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import torch
from scipy import special
from torch import Tensor

from infobound.critics import contract
from infobound.critics.contract import Critic, Product, Rows

__all__ = ["ContaminatedCopula", "GaussianCopula", "StudentCopula", "canonical_directions"]

DEGREES = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 10.0, 20.0)  # degrees of freedom of a Student-t copula
SCORE_REACH = 4.5  # normal scores of a Student-t copula are clipped to +-SCORE_REACH
SETTLED = 1e-4  # relative change of a scatter matrix at which its iteration ends
EM_GAIN = 1e-4  # gain of EM per row, nats, at which it ends
RIDGES = (0.1, 1.0, 10.0)  # times the mean eigenvalue of a covariance
SHRINKAGE_FOLDS = 5  # cross-validation folds for the correlations of a shrunk copula


class GaussianCopula(Product):
    """The log ratio of the Gaussian copula, in canonical coordinates.

    With u = A'(x - mean x) and v = B'(y - mean y) the canonical variables and r_k their
    correlations,
    log p(x, y) / (p(x) p(y)) = sum_k (r u v - r^2 (u^2 + v^2) / 2) / (1 - r^2) - log(1 - r^2) / 2.

    `mi` is its MI in nats. `fit` corrects it for the optimism of fitted correlations: under
    normality the mean of the log determinant of a sample covariance is known exactly (a sum of
    digamma functions), so the correction is exact for every n. With more than two columns in all,
    the scores use correlations that are shrunk towards zero.

    Args:
        left: A, (p, k), the canonical directions of x.
        right: B, (q, k), the canonical directions of y.
        correlations: r, (k,), the canonical correlations.
        means: the means of x (p,) and of y (q,), subtracted from the rows; zero by default.
        mi: the MI in nats; by default that of the correlations.

    Source: Kay 1992, https://ieeexplore.ieee.org/document/227286 (MI through canonical
    correlations); Cai, Liang and Zhou 2015, https://doi.org/10.1016/j.jmva.2015.02.003 (the log
    determinant's bias).

    Example:
        >>> x = torch.randn(5000, 1, generator=torch.Generator().manual_seed(0))
        >>> y = 0.6 * x + 0.8 * torch.randn(5000, 1, generator=torch.Generator().manual_seed(1))
        >>> round(GaussianCopula.fit(x, y).mi, 2)  # -log(1 - 0.36) / 2 = 0.22
        0.22
    """

    left: Tensor
    right: Tensor
    correlations: Tensor
    mean_x: Tensor
    mean_y: Tensor

    def __init__(
        self,
        left: Tensor,
        right: Tensor,
        correlations: Tensor,
        *,
        means: tuple[Tensor, Tensor] | None = None,
        mi: float | None = None,
    ) -> None:
        super().__init__()
        mean_x, mean_y = means or (left.new_zeros(len(left)), right.new_zeros(len(right)))
        self.register_buffer("left", left)
        self.register_buffer("right", right)
        self.register_buffer("correlations", correlations)
        self.register_buffer("mean_x", mean_x)
        self.register_buffer("mean_y", mean_y)
        self.mi = _gaussian_mi(correlations) if mi is None else mi

    def simulate(self, n: int, count: int, seed: int) -> tuple[Tensor, Tensor, GaussianCopula]:
        """Simulate this model: draw `count` pairs, and fit a copula to n other pairs.

        Returns:
            x (count, p) and y (count, q) in this model's canonical coordinates, and the copula
            fitted to the n other pairs.
        """
        generator = torch.Generator().manual_seed(seed)
        p, q, r = len(self.left), len(self.right), self.correlations.cpu()
        x = torch.randn(n + count, p, generator=generator, dtype=torch.float32)
        y = torch.randn(n + count, q, generator=generator, dtype=torch.float32)
        k = len(r)
        y[:, :k] = r * x[:, :k] + (1 - r**2).sqrt() * y[:, :k]
        x, y = x.to(self.left), y.to(self.left)
        return x[n:], y[n:], GaussianCopula.fit(x[:n], y[:n])

    @classmethod
    def fit(cls, x: Tensor, y: Tensor) -> GaussianCopula:
        """Fit canonical correlations to x (n, dim_x) and y (n, dim_y), in float64.

        It needs n well above dim_x + dim_y; see `fit_shrunk` for more columns.
        """
        means = x.double().mean(0), y.double().mean(0)
        left, right, r, (p, q) = _canonical(x.double() - means[0], y.double() - means[1])
        r, n = r.clamp(0, 1 - 1e-6), len(x)
        noise = min((p + q) / n, 0.9)  # about the mean of r^2 under independence
        shrunk = ((r**2 - noise) / (1 - noise)).clamp_min(0).sqrt() if p + q > 2 else r
        mi = _gaussian_mi(r) - _optimism(p, q, n)
        parts = (part.to(x.dtype) for part in (left, right, shrunk))
        return cls(*parts, means=(means[0].to(x.dtype), means[1].to(x.dtype)), mi=mi)

    @classmethod
    def fit_shrunk(cls, x: Tensor, y: Tensor) -> GaussianCopula:
        """Fit to x (n, dim_x) and y (n, dim_y) with nearly n columns or more, in float64.

        Both covariances are shrunk towards a multiple of the identity (a ridge). Correlations and
        variances of the canonical variables are estimated by cross-validation on left-out rows, so
        that columns without information add nothing. The ridge is a weighted geometric mean of
        `RIDGES`, with weights exp(n MI) of the cross-validated correlations.

        Source: Vinod 1976, https://doi.org/10.1016/0304-4076(76)90010-5 (the ridge); Ledoit and
        Wolf 2004, https://doi.org/10.1016/S0047-259X(03)00096-4 (shrinkage to the identity).

        Example:
            >>> x, noise = torch.randn(2, 100, 200, generator=torch.Generator().manual_seed(0))
            >>> bool(GaussianCopula.fit_shrunk(x, noise[:, :1]).mi < 0.05)  # independent: 0
            True
        """
        means = x.double().mean(0), y.double().mean(0)
        (a, basis_a), (b, basis_b) = (
            _components(side.double() - mean) for side, mean in zip((x, y), means, strict=True)
        )
        left_out = _parts_left_out(a, b)
        shown = [_gaussian_mi(_left_out(a, b, left_out, ridge)[0]) for ridge in RIDGES]
        weights = torch.softmax(len(a) * torch.tensor(shown, dtype=torch.float64), 0)
        logs = torch.tensor(RIDGES, dtype=torch.float64).log()
        ridge = math.exp(float(weights @ logs))
        r, spread_x, spread_y = _left_out(a, b, left_out, ridge)
        found = _canonical(a, b, ridge)
        k = min(len(r), len(found.correlations))
        left = basis_a @ (found.left[:, :k] / spread_x[:k])
        right = basis_b @ (found.right[:, :k] / spread_y[:k])
        parts = (part.to(x.dtype) for part in (left, right, r[:k]))
        return cls(*parts, means=(means[0].to(x.dtype), means[1].to(x.dtype)))

    def encode(self, x: Tensor, y: Tensor) -> tuple[Rows, Rows]:
        """Compute the canonical variables and the terms that depend on one row alone."""
        u, v = (x - self.mean_x) @ self.left, (y - self.mean_y) @ self.right
        r = self.correlations
        rest = 1 - r**2
        own = 0.5 * r**2 / rest
        constant = -0.5 * torch.log(rest).sum()
        return contract.product(u * (r / rest), v, -(u**2 @ own), constant - v**2 @ own)


class ContaminatedCopula(Critic):
    """A mixture of a Gaussian copula and the independence copula, which has weight `share`.

    The density ratio is (1 - share) e^g + share, with g the log ratio of the Gaussian copula. The
    model is fitted by expectation-maximisation (EM).

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
    def fit(
        cls, x: Tensor, y: Tensor, *, start: ContaminatedCopula | None = None
    ) -> ContaminatedCopula:
        """Fit by EM to normal scores x (n, dim_x) and y (n, dim_y), in float64.

        Args:
            x: (n, dim_x).
            y: (n, dim_y).
            start: a model of other rows, at which EM starts.
        """
        means = x.double().mean(0), y.double().mean(0)
        a, b = x.double() - means[0], y.double() - means[1]
        whiten_x, whiten_y = (_whitener(*torch.linalg.eigh(s.T @ s / len(s))) for s in (a, b))
        a, b = a @ whiten_x, b @ whiten_y
        belongs, share = torch.ones(len(a), dtype=a.dtype, device=a.device), 0.3
        if start is not None:
            share = start.share
            (left,), (right,) = start.gaussian.encode(x, y)
            log_ratio = (left * right).sum(1).double()
            belongs = torch.sigmoid(log_ratio + math.log((1 - share) / share))
        shown = -math.inf
        for _ in range(40):
            weighted = a * belongs[:, None]
            u, _, vt = torch.linalg.svd(weighted.T @ b / len(a), full_matrices=False)
            left, right = a @ u, b @ vt.T
            # Divide by the variances of the weighted rows, which drift from 1 over the iterations.
            cross, own_x, own_y = (
                (belongs[:, None] * product).sum(0) for product in (left * right, left**2, right**2)
            )
            r = (cross / (own_x * own_y).clamp_min(1e-12).sqrt()).clamp(0, 1 - 1e-4)
            rest = 1 - r**2
            log_ratio = (
                (r * left * right - 0.5 * r**2 * (left**2 + right**2)) / rest
                - 0.5 * torch.log(rest)
            ).sum(1)
            odds = log_ratio + math.log((1 - share) / share)
            belongs = torch.sigmoid(odds)
            earlier = shown
            shown = float(torch.nn.functional.softplus(odds).mean()) + math.log(share)
            if abs(shown - earlier) < EM_GAIN:
                break
            share = float(1 - belongs.mean())
            share = min(max(share, 1e-4), 1 - 1e-4)
        parts = (part.to(x.dtype) for part in (whiten_x @ u, whiten_y @ vt.T, r))
        centres = means[0].to(x.dtype), means[1].to(x.dtype)
        return cls(GaussianCopula(*parts, means=centres), share)

    def encode(self, x: Tensor, y: Tensor) -> tuple[Rows, Rows]:
        """Encode the rows with the Gaussian copula."""
        return self.gaussian.encode(x, y)

    def pair(self, a: Rows, b: Rows) -> Tensor:
        """Log ratios (n, m), nats."""
        own = self.gaussian.pair(a, b) + math.log1p(-self.share)
        return torch.logaddexp(own, own.new_tensor(math.log(self.share)))


class StudentCopula(Critic):
    """The log ratio of the Student-t copula, which adds tail dependence to the correlations.

    Args:
        scatter: (p + q, p + q), the scatter matrix of the Student-t quantiles.
        dim_x: p, the number of columns of x.
        degrees: the degrees of freedom.

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

    def __init__(self, scatter: Tensor, dim_x: int, degrees: float) -> None:
        super().__init__()
        self.dim_x, self.degrees = dim_x, degrees
        dim, dim_y = len(scatter), len(scatter) - dim_x
        parts = scatter, scatter[:dim_x, :dim_x], scatter[dim_x:, dim_x:]
        for name, part in zip(("precision", "precision_x", "precision_y"), parts, strict=True):
            self.register_buffer(name, torch.linalg.inv(part.double()))
        self.register_buffer("table", _quantiles(degrees).clone())
        log_dets = [float(torch.linalg.slogdet(part.double())[1]) for part in parts]
        self.constant = (
            _student_constant(degrees, dim)
            - _student_constant(degrees, dim_x)
            - _student_constant(degrees, dim_y)
            - 0.5 * (log_dets[0] - log_dets[1] - log_dets[2])
        )

    @staticmethod
    def _spread(scores: Tensor, table: Tensor) -> Tensor:
        """Map normal scores to Student-t quantiles by linear interpolation in a table."""
        step = 2 * SCORE_REACH / (len(table) - 1)
        place = (scores.clamp(-SCORE_REACH, SCORE_REACH) + SCORE_REACH) / step
        low = place.floor().clamp(max=len(table) - 2)
        left = table[low.long()]
        return left + (place - low) * (table[low.long() + 1] - left)

    @classmethod
    def fit(cls, x: Tensor, y: Tensor) -> StudentCopula:
        """Fit to normal scores x (n, dim_x) and y (n, dim_y); `DEGREES` by maximum likelihood.

        The likelihood rises with the degrees up to one maximum, so the search goes down from the
        most degrees and ends where it has fallen twice.
        """
        scores = torch.cat([x, y], dim=1).double()
        best: tuple[float, float, Tensor] | None = None
        scatter = _ridged(scores.T @ scores / len(scores))
        for degrees in reversed(DEGREES):
            z = cls._spread(scores, _quantiles(degrees).to(scores.device))
            scatter, likelihood = _student_scatter(z, degrees, scatter)
            if best is None or likelihood > best[0]:
                best = (likelihood, degrees, scatter)
            elif degrees < DEGREES[DEGREES.index(best[1]) - 1]:
                break
        assert best is not None
        return cls(best[2], x.shape[1], best[1]).to(x.device)

    def encode(self, x: Tensor, y: Tensor) -> tuple[Rows, Rows]:
        """Compute the parts of the joint density's quadratic form, and the marginal densities."""
        a, b = (self._spread(side.double(), self.table) for side in (x, y))
        p, df, kind = self.dim_x, self.degrees, x.dtype
        own_x, own_y = ((a @ self.precision_x) * a).sum(1), ((b @ self.precision_y) * b).sum(1)
        part_x = ((a @ self.precision[:p, :p]) * a).sum(1)
        part_y = ((b @ self.precision[p:, p:]) * b).sum(1)
        (left,), (right,) = contract.product(
            (2 * a @ self.precision[:p, p:]).to(kind), b.to(kind), part_x.to(kind), part_y.to(kind)
        )
        alone_x = self.constant + 0.5 * (df + p) * torch.log1p(own_x / df)
        alone_y = 0.5 * (df + b.shape[1]) * torch.log1p(own_y / df)
        return (left, alone_x.to(kind)), (right, alone_y.to(kind))

    def pair(self, a: Rows, b: Rows) -> Tensor:
        """Log ratios (n, m), nats."""
        joint = a[0] @ b[0].T
        both = 0.5 * (self.degrees + len(self.precision))
        joint.clamp_min_(0).div_(self.degrees).log1p_().mul_(-both)
        found: Tensor = joint.add_(a[1][:, None]).add_(b[1])
        return found


def _gaussian_mi(correlations: Tensor) -> float:
    return float(-0.5 * torch.log1p(-(correlations.double() ** 2)).sum())


def _optimism(p: int, q: int, n: int) -> float:
    """Return the bias of the MI of sample correlations of n rows, in nats; 0 if n is too small."""
    freedom = n - 1
    if freedom <= p + q:
        return 0.0

    def log_det(d: int) -> float:
        terms = special.digamma((freedom - torch.arange(d).numpy()) / 2)
        return float(terms.sum()) + d * math.log(2 / freedom)

    return 0.5 * (log_det(p) + log_det(q) - log_det(p + q))


def _student_constant(degrees: float, dim: int) -> float:
    """Return the log normalising constant of a multivariate Student-t without the determinant."""
    gap = special.gammaln((degrees + dim) / 2) - special.gammaln(degrees / 2)
    return float(gap) - 0.5 * dim * math.log(degrees * math.pi)


@functools.cache
def _quantiles(degrees: float) -> Tensor:
    """The Student-t quantiles of a grid of normal scores from -SCORE_REACH to SCORE_REACH."""
    grid = torch.linspace(-SCORE_REACH, SCORE_REACH, 1801, dtype=torch.float64)
    return torch.from_numpy(special.stdtrit(degrees, special.ndtr(grid.numpy())))


def _ridged(scatter: Tensor) -> Tensor:
    """A scatter matrix (d, d) that is not singular; all columns may be constant."""
    ridge = (1e-6 * scatter.diagonal().mean()).clamp_min(1e-12)
    return scatter + ridge * torch.eye(len(scatter), dtype=scatter.dtype, device=scatter.device)


def _student_scatter(z: Tensor, degrees: float, start: Tensor) -> tuple[Tensor, float]:
    """Fit the scatter of rows z (n, d) by fixed-point iteration from `start`.

    At the solution the weights average 1 + c / degrees with c columns of zeros. Dividing by what
    their sum implies for n, rather than by n, leads there in far fewer iterations.

    Returns:
        The scatter (d, d), and the copula's mean log likelihood.

    Source: Kent, Tyler and Vardi 1994, https://doi.org/10.1080/03610919408813180.
    """
    d = z.shape[1]
    mean = 1 + int((z == 0).all(dim=0).sum()) / degrees
    scatter = start
    for _ in range(15):
        earlier = scatter
        distance = (z @ torch.linalg.inv(scatter) * z).sum(1)
        weights = (degrees + d) / (degrees + distance)
        scatter = _ridged((z * weights[:, None]).T @ z * (mean / weights.sum()))
        if (scatter - earlier).abs().max() < SETTLED * scatter.abs().max():
            break
    distance = (z @ torch.linalg.inv(scatter) * z).sum(1)
    joint = -0.5 * torch.linalg.slogdet(scatter)[1] + _student_constant(degrees, d)
    joint -= 0.5 * (degrees + d) * torch.log1p(distance / degrees).mean()
    alone = -0.5 * (degrees + 1) * torch.log1p(z**2 / degrees).sum(1).mean()
    return scatter, float(joint - alone) - d * _student_constant(degrees, 1)


def canonical_directions(x: Tensor, y: Tensor, *, ridge: float = 0.1) -> tuple[Tensor, Tensor]:
    """Find the canonical directions in which x and y are clearly correlated.

    The eigenvalues of both covariances are raised by `ridge` times their mean, so that directions
    of little variance do not fit noise. Directions are kept if their correlation exceeds the
    largest one that independent rows would show.

    Args:
        x: (n, dim_x).
        y: (n, dim_y).
        ridge: a multiple of the mean eigenvalue.

    Returns:
        The k directions of x, (dim_x, k), and of y, (dim_y, k); k may be 0, and is 0 if the ranks
        of both covariances add up to n or more. The largest number of each direction of x is
        positive, so that the signs are the same on each device.

    Source: Vinod 1976, https://doi.org/10.1016/0304-4076(76)90010-5 (the ridge); Wachter 1980,
    https://doi.org/10.1214/aos/1176345134 (the edge of the correlations of independent rows).

    Example:
        >>> x, noise = torch.randn(2, 500, 9, generator=torch.Generator().manual_seed(0))
        >>> left, right = canonical_directions(x, x[:, :2] + noise[:, :2])
        >>> left.shape, right.shape
        (torch.Size([9, 2]), torch.Size([2, 2]))
    """
    a, b = (side.double() - side.double().mean(0) for side in (x, y))
    n = len(a)
    left, right, r, ranks = _canonical(a, b, ridge)
    p, q = (min(1.0, rank / n) for rank in ranks)
    edge = math.sqrt(p * (1 - q)) + math.sqrt(q * (1 - p))
    k = int((r > edge).sum()) if p + q < 1 else 0
    left, right = left[:, :k], right[:, :k]
    signs = left.gather(0, left.abs().argmax(0, keepdim=True)).sign()
    return (left * signs).to(x.dtype), (right * signs).to(y.dtype)


class _Canonical(NamedTuple):
    """Directions (p, k) and (q, k), their correlations (k,), and the ranks of both covariances."""

    left: Tensor
    right: Tensor
    correlations: Tensor
    ranks: tuple[int, int]


class _Moments(NamedTuple):
    """Cross-covariance (p, q) of centred rows, and the spectra of both covariances."""

    cross: Tensor
    spectrum_a: tuple[Tensor, Tensor]
    spectrum_b: tuple[Tensor, Tensor]

    @classmethod
    def of(cls, a: Tensor, b: Tensor) -> _Moments:
        n = len(a)
        return cls(a.T @ b / n, _spectrum(a), _spectrum(b))

    def canonical(self, ridge: float) -> _Canonical:
        """Compute canonical correlations with eigenvalues raised by `ridge` times their mean."""
        whiten_a, whiten_b = _whitener(*self.spectrum_a, ridge), _whitener(*self.spectrum_b, ridge)
        u, r, vt = torch.linalg.svd(whiten_a.T @ self.cross @ whiten_b, full_matrices=False)
        return _Canonical(whiten_a @ u, whiten_b @ vt.T, r, (whiten_a.shape[1], whiten_b.shape[1]))


def _canonical(a: Tensor, b: Tensor, ridge: float = 0.0) -> _Canonical:
    """Compute canonical correlations of centred a (n, p) and b (n, q), in descending order."""
    return _Moments.of(a, b).canonical(ridge)


def _components(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return centred rows (n, d) in k <= min(n, d) orthogonal coordinates, and their basis (d, k).

    Anything that depends only on inner products of rows is unchanged in these coordinates.
    """
    _, values, vt = torch.linalg.svd(rows, full_matrices=False)
    kept = values > 1e-6 * values[:1].clamp_min(1e-12)
    return rows @ vt[kept].T, vt[kept].T


class _LeftOut(NamedTuple):
    """A mask (n,) of the rows left out of a fit, and the means and moments of the other rows."""

    rows: Tensor
    mean_a: Tensor
    mean_b: Tensor
    moments: _Moments


def _parts_left_out(a: Tensor, b: Tensor) -> list[_LeftOut]:
    """Split a (n, p) and b (n, q) into interleaved folds, with the moments of the rest."""
    parts = []
    for k in range(SHRINKAGE_FOLDS):
        rest = torch.arange(len(a), device=a.device) % SHRINKAGE_FOLDS == k
        mean_a, mean_b = a[~rest].mean(0), b[~rest].mean(0)
        moments = _Moments.of(a[~rest] - mean_a, b[~rest] - mean_b)
        parts.append(_LeftOut(rest, mean_a, mean_b, moments))
    return parts


def _left_out(
    a: Tensor, b: Tensor, parts: list[_LeftOut], ridge: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return correlations and standard deviations (k,) of canonical variables on left-out rows."""
    u = a.new_zeros(len(a), min(a.shape[1], b.shape[1]))
    v = torch.zeros_like(u)
    for rows, mean_a, mean_b, moments in parts:
        found = moments.canonical(ridge)
        u[rows, : found.left.shape[1]] = (a[rows] - mean_a) @ found.left
        v[rows, : found.right.shape[1]] = (b[rows] - mean_b) @ found.right
    spread_u, spread_v = ((w**2).mean(0).sqrt().clamp_min(1e-9) for w in (u, v))
    r = (u * v).mean(0) / (spread_u * spread_v)
    return r.clamp(0, 1 - 1e-6), spread_u, spread_v


def _spectrum(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return eigenvalues (k,) and eigenvectors (d, k) of the covariance of centred rows (n, d).

    With more columns than rows, they are those of the directions in which the rows lie.
    """
    n, d = rows.shape
    if d <= n:
        values, vectors = torch.linalg.eigh(rows.T @ rows / n)
        return values, vectors
    _, lengths, vt = torch.linalg.svd(rows, full_matrices=False)
    return lengths**2 / n, vt.T


def _whitener(values: Tensor, vectors: Tensor, ridge: float = 0.0) -> Tensor:
    """Return W with W' C W = 1 from the spectrum of C (d, d), without directions of no variance."""
    keep = values > 1e-6 * values.amax().clamp_min(1e-12) if len(values) else values > 0
    return vectors[:, keep] / (values[keep] + ridge * values.sum() / len(vectors)).sqrt()
