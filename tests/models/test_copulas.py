"""The Gaussian copula's log ratio is the exact one when the data are Gaussian."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from infobound import data
from infobound.benchmark import tasks
from infobound.bounds import tiled
from infobound.bounds.variational import BOUNDS
from infobound.models.copulas import (
    ContaminatedCopula,
    GaussianCopula,
    StudentCopula,
    _Moments,
    _student_scatter,
    canonical_directions,
)
from infobound.models.densities import COARSE, ContingencyTable, MixtureModel


def test_log_ratio_equals_the_task_at_its_own_parameters():
    task = tasks.make("gaussian", d=3, rho=0.6)
    x, y = task.sample(5, torch.Generator().manual_seed(0))
    eye = torch.eye(3, dtype=torch.float64)
    exact = GaussianCopula(eye, eye, torch.full((3,), 0.6, dtype=torch.float64))
    torch.testing.assert_close(exact(x, y), task.log_ratio(x, y))
    assert abs(exact.mi - task.mi) < 1e-12


def test_fit_recovers_mi_and_ignores_linear_maps():
    task = tasks.make("gaussian", d=3, rho=0.6)
    x, y = task.sample(20_000, torch.Generator().manual_seed(1))
    mixing = torch.tensor([[1.0, 2, 0], [0, 1, -1], [0.5, 0, 2]], dtype=torch.float64)
    plain, mixed = GaussianCopula.fit(x, y), GaussianCopula.fit(x @ mixing, y)
    assert abs(plain.mi - task.mi) < 0.03
    assert abs(plain.mi - mixed.mi) < 1e-9
    torch.testing.assert_close(plain(x[:9], y[:9]), mixed((x @ mixing)[:9], y[:9]))


def normals(p, q, n, rho, rng):
    """Normal rows whose first min(p, q) columns are correlated in pairs, and their MI."""
    x, y = rng.normal(size=(n, p)), rng.normal(size=(n, q))
    k = min(p, q)
    y[:, :k] = rho * x[:, :k] + math.sqrt(1 - rho**2) * y[:, :k]
    return torch.from_numpy(x), torch.from_numpy(y), -k / 2 * math.log1p(-(rho**2))


def plain_mi(x, y):
    """The MI of normals with the sample's covariance, nats, too high on average."""
    whole, p = np.cov(torch.cat([x, y], 1).numpy().T), x.shape[1]
    parts = whole[:p, :p], whole[p:, p:], whole
    log_dets = [np.linalg.slogdet(part)[1] for part in parts]
    return (log_dets[0] + log_dets[1] - log_dets[2]) / 2


@pytest.mark.parametrize(
    ("p", "q", "n", "rho"), [(3, 3, 40, 0.0), (3, 3, 40, 0.6), (1, 1, 8, 0.6), (2, 4, 12, 0.0)]
)
def test_mi_is_unbiased_on_normal_rows_at_every_n(p, q, n, rho):
    rng = np.random.default_rng([p, q, n])
    off, plain = [], []
    for _ in range(300):
        x, y, truth = normals(p, q, n, rho, rng)
        off.append(GaussianCopula.fit(x, y).mi - truth)
        plain.append(plain_mi(x, y) - truth)
    error = np.std(off) / math.sqrt(len(off))
    assert abs(np.mean(off)) < 3 * error
    assert np.mean(plain) > 5 * error  # the negative control


@pytest.mark.parametrize(
    ("p", "q", "n"), [(1, 1, 4), (1, 3, 9), (3, 3, 40), (4, 2, 8), (10, 6, 30)]
)
def test_the_correction_of_mi_is_the_exact_mean_under_independence(p, q, n):
    """The ratio of determinants is a product of beta variables (Wilks' lambda)."""
    x, y, _ = normals(p, q, n, 0.5, np.random.default_rng(0))
    betas = [stats.beta((n - 1 - q - i) / 2, q / 2) for i in range(p)]
    exact = -sum(beta.expect(np.log) for beta in betas) / 2
    assert plain_mi(x, y) - GaussianCopula.fit(x, y).mi == pytest.approx(exact, abs=1e-6)


def test_scores_use_correlations_without_what_noise_adds():
    """(r^2 - a) / (1 - a), a = (p + q) / n; one column with one needs no such thing."""
    rng = np.random.default_rng(4)
    for p, q, n, noise in [(2, 3, 50, 0.1), (1, 2, 50, 0.06), (1, 1, 50, 0.0)]:
        x, y, _ = normals(p, q, n, 0.8, rng)
        sides = [np.linalg.qr((v - v.mean(0)).numpy())[0] for v in (x, y)]
        r = np.linalg.svd(sides[0].T @ sides[1])[1]
        expected = np.sqrt(np.maximum((r**2 - noise) / (1 - noise), 0))
        np.testing.assert_allclose(GaussianCopula.fit(x, y).correlations, expected, atol=1e-9)


def test_a_copula_rehearses_on_rows_of_its_own():
    r = torch.tensor([0.9, 0.5])
    copula = GaussianCopula(torch.eye(3)[:, :2], torch.eye(2), r)
    x, y, again = copula.simulate(5000, 20_000, seed=0)
    assert (x.shape, y.shape) == ((20_000, 3), (20_000, 2))
    covariance = np.cov(torch.cat([x, y], 1).numpy().T)
    expected = np.eye(5)
    expected[[0, 1], [3, 4]] = expected[[3, 4], [0, 1]] = r
    np.testing.assert_allclose(covariance, expected, atol=0.04)  # four standard errors
    np.testing.assert_allclose(again.correlations, r, atol=0.04)
    few = [copula.simulate(30, 1, seed=seed)[2].mi for seed in range(20)]
    assert np.std(few) > 5 * abs(again.mi - copula.mi)  # of thirty rows, not of five thousand


def test_a_contaminated_copulas_ratio_is_the_mixtures():
    rng = np.random.default_rng(5)
    x, y, _ = normals(2, 2, 3000, 0.9, rng)
    alone = torch.from_numpy(rng.random(3000) < 0.3)
    y = torch.where(alone[:, None], torch.from_numpy(rng.normal(size=(3000, 2))), y)
    copula = ContaminatedCopula.fit(x, y)
    assert copula.share == pytest.approx(0.3, abs=0.04)
    np.testing.assert_allclose(copula.gaussian.correlations, 0.9, atol=0.02)
    inside = copula.gaussian(x[:9], y[:9]).exp()
    expected = ((1 - copula.share) * inside + copula.share).log()
    torch.testing.assert_close(copula(x[:9], y[:9]), expected)


def test_a_student_copulas_ratio_is_that_of_the_densities():
    scatter, degrees = np.array([[1.0, 0.3, 0.5], [0.3, 2.0, 0.4], [0.5, 0.4, 0.8]]), 3.0
    copula = StudentCopula(torch.from_numpy(scatter), 2, degrees)
    scores = np.random.default_rng(6).normal(size=(40, 3))
    scores[:6] = [[4.2, 0, 0], [-4.2, 1, 0], [0, 4.2, 1], [1, -4.2, 0], [0, 1, 4.2], [0, 0, -4.2]]
    z = stats.t(degrees).ppf(stats.norm.cdf(scores))
    parts = [slice(0, 3), slice(0, 2), slice(2, 3)]
    joint, of_x, of_y = (
        stats.multivariate_t(shape=scatter[part, part], df=degrees).logpdf(z[:, part])
        for part in parts
    )
    x, y = torch.from_numpy(scores[:, :2]), torch.from_numpy(scores[:, 2:])
    np.testing.assert_allclose(copula(x, y).diagonal(), joint - of_x - of_y, atol=1e-3)


@pytest.mark.parametrize("degrees", [2.0, 6.0])
def test_a_student_copula_finds_degrees_and_scatter(degrees):
    rng = np.random.default_rng(7)
    normal = rng.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], size=4000)
    z = normal / np.sqrt(rng.chisquare(degrees, size=(4000, 1)) / degrees)
    scores = torch.from_numpy(stats.norm.ppf(stats.t(degrees).cdf(z)))
    copula = StudentCopula.fit(scores[:, :1], scores[:, 1:])
    assert copula.degrees == degrees
    scatter = torch.linalg.inv(copula.precision)
    np.testing.assert_allclose(scatter, [[1, 0.6], [0.6, 1]], atol=0.1)
    assert (1 - copula.precision_x * scatter[0, 0]).abs() < 1e-6
    far = torch.full((1, 1), 9.0, dtype=torch.float64)  # beyond the reach of the table
    assert copula(far, far) == copula(far / 2, far / 2)


def test_student_scatter_is_a_maximum_of_the_likelihood_that_it_states():
    z = np.random.default_rng(8).standard_t(4, size=(500, 2))
    z[:, 1] += z[:, 0]
    rows = torch.from_numpy(z)
    scatter, likelihood = _student_scatter(rows, 4.0, torch.eye(z.shape[1]).to(rows))

    def stated(shape):
        joint = stats.multivariate_t(shape=shape, df=4.0).logpdf(z).mean()
        return joint - stats.t(4.0).logpdf(z).sum(1).mean()

    assert likelihood == pytest.approx(stated(scatter.numpy()), abs=1e-9)
    for change in (np.diag([0.1, 0]), np.diag([0, 0.1]), np.full((2, 2), 0.05)):
        assert stated(scatter.numpy() + change) < likelihood
        assert stated(scatter.numpy() - change) < likelihood


def test_a_contaminated_copula_of_few_rows_is_finite():
    """Fifty rows of ten columns can be fitted nearly exactly, by a few of them."""
    for seed in range(30, 400, 8):
        x, noise = torch.randn(2, 60, 5, generator=torch.Generator().manual_seed(seed))
        sides = [data.Transform.fit(v.numpy()).normal_scores(v.numpy()) for v in (x, x**2 + noise)]
        x, y = map(torch.from_numpy, sides)
        assert ContaminatedCopula.fit(x, y)(x, y).isfinite().all()


def test_degenerate_columns_are_left_out():
    x = torch.randn(300, 2, generator=torch.Generator().manual_seed(0))
    doubled = torch.cat([x, x[:, :1], torch.zeros(300, 1)], dim=1)
    y = x + torch.randn(300, 2, generator=torch.Generator().manual_seed(1))
    assert abs(GaussianCopula.fit(doubled, y).mi - GaussianCopula.fit(x, y).mi) < 1e-3


def test_canonical_directions_are_as_many_as_go_together():
    """60 and 40 columns share three sources; independent rows share none."""
    rng = torch.Generator().manual_seed(2)
    shared = torch.randn(2000, 3, generator=rng)
    x = shared @ torch.randn(3, 60, generator=rng) + torch.randn(2000, 60, generator=rng)
    y = shared @ torch.randn(3, 40, generator=rng) + torch.randn(2000, 40, generator=rng)
    left, right = canonical_directions(x, y)
    assert (left.shape, right.shape) == ((60, 3), (40, 3))
    sides = zip((x @ left).T, (y @ right).T, strict=True)
    together = [float(torch.corrcoef(torch.stack(pair))[0, 1]) for pair in sides]
    assert min(together) > 0.9
    # Unit variance where the mean eigenvalue, times the ridge, is added to every one.
    cov = torch.cov(x.T, correction=0)
    raised = cov + 0.1 * cov.trace() / 60 * torch.eye(60)
    torch.testing.assert_close(left.T @ raised @ left, torch.eye(3), atol=1e-3, rtol=0)
    independent = [
        canonical_directions(x, y[torch.randperm(2000, generator=rng)]) for _ in range(20)
    ]
    assert sum(left.shape[1] for left, _ in independent) <= 2


def test_canonical_directions_need_more_rows_than_columns():
    x = torch.randn(50, 40, generator=torch.Generator().manual_seed(3))
    assert canonical_directions(x, x)[0].shape == (40, 0)


def inputs(kind, n=1500):
    """Dependent x (n, 2) and y (n, 1), in margins whose mean may not be their median."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(n, 2))
    y = x.sum(1, keepdims=True) + 0.5 * rng.normal(size=(n, 1))
    if kind == "skewed":
        x = np.exp(x)
        y = x.sum(1, keepdims=True) + 0.1 * rng.exponential(size=(n, 1))
    if kind == "tied":
        x = np.floor(np.exp(x))
        y = np.floor(np.exp(y))
    return x, y


@pytest.mark.parametrize("kind", ["normal", "skewed", "tied"])
@pytest.mark.parametrize("scale", ["normal_scores", "robust"])
def test_the_mean_log_ratio_of_a_gaussian_copula_is_its_mi(kind, scale):
    """On the rows that it was fitted to, but for the shrinkage of r^2 and the bias that is removed.

    Was: means that `fit` had subtracted were left in the rows that are scored.
    """
    x, y = (
        torch.from_numpy(getattr(data.Transform.fit(side), scale)(side)) for side in inputs(kind)
    )
    copula = GaussianCopula.fit(x, y)
    assert float(copula(x, y).diagonal().mean()) == pytest.approx(copula.mi, abs=0.005)


@pytest.mark.parametrize(
    "fit",
    [
        GaussianCopula.fit,
        GaussianCopula.fit_shrunk,
        ContaminatedCopula.fit,
        lambda x, y: MixtureModel.fit(x, y, COARSE),
        ContingencyTable.fit,
    ],
    ids=["gaussian", "shrunk", "contaminated", "mixture", "table"],
)
def test_closed_forms_do_not_depend_on_where_zero_is(fit):
    x, y = (torch.from_numpy(side) for side in inputs("tied"))
    moved = fit(x + 7.0, y - 30.0)(x[:50] + 7.0, y[:50] - 30.0)
    torch.testing.assert_close(moved, fit(x, y)(x[:50], y[:50]), atol=1e-6, rtol=1e-6)


def test_the_mean_log_ratio_of_a_student_copula_is_its_likelihood():
    """Fitted to tied normal scores, which must be centred: the copula has no location."""
    x, y = (
        torch.from_numpy(data.Transform.fit(side).normal_scores(side)) for side in inputs("tied")
    )
    assert x.mean(0).abs().max() < 1e-12
    copula = StudentCopula.fit(x, y)
    assert float(copula(x, y).diagonal().mean()) == pytest.approx(
        GaussianCopula.fit(x, y).mi, abs=0.1
    )


def wide(seed, n=160, p=120, q=3, signal=0.0):
    """Rows of which `signal` of the variance of each column of y is three columns of x."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, p, generator=generator)
    noise = torch.randn(n, q, generator=generator)
    return x, math.sqrt(signal) * x[:, :q] + math.sqrt(1 - signal) * noise


def held_out(copula, x, y):
    return float(tiled.value(copula, BOUNDS["infonce_over_y"], x, y))


def test_a_shrunk_copula_of_independent_rows_finds_nothing_and_does_no_harm():
    found = []
    for seed in range(12):
        x, y = wide(seed)
        found.append(held_out(GaussianCopula.fit_shrunk(x[:100], y[:100]), x[100:], y[100:]))
    assert -0.05 < np.mean(found) < 0.02
    assert min(found) > -0.2
    plain = held_out(GaussianCopula.fit(x[:100], y[:100]), x[100:], y[100:])
    assert plain < -5  # the control: covariances as they are


def test_a_shrunk_copula_finds_what_wide_rows_share():
    for seed in range(3):
        x, y = wide(seed, signal=0.9)
        copula = GaussianCopula.fit_shrunk(x[:100], y[:100])
        assert held_out(copula, x[100:], y[100:]) > 0.3
        truth = -1.5 * math.log(0.1)
        assert 0 < copula.mi < truth


def test_a_shrunk_copula_of_a_constant_side_is_zero():
    x, y = wide(0)
    for sides in ((x, 0 * y), (0 * x, y), (0 * x, 0 * y)):
        copula = GaussianCopula.fit_shrunk(*sides)
        assert copula.mi == 0
        assert copula(*sides).abs().max() == 0


def test_a_shrunk_copula_does_not_depend_on_the_axes():
    x, y = wide(0, signal=0.9)
    turn = torch.linalg.qr(torch.randn(120, 120, generator=torch.Generator().manual_seed(1)))[0]
    plain, turned = GaussianCopula.fit_shrunk(x, y), GaussianCopula.fit_shrunk(x @ turn, y)
    torch.testing.assert_close(turned(x @ turn, y), plain(x, y), atol=1e-3, rtol=1e-3)


def test_correlations_below_what_noise_shows_are_zero_and_scores_finite():
    x, y, _ = normals(3, 3, 60, 0.0, np.random.default_rng(9))
    copula = GaussianCopula.fit(x, y)
    assert (copula.correlations == 0).any()
    assert copula(x, y).isfinite().all()


@pytest.mark.parametrize(("p", "q"), [(3, 2), (2, 3), (4, 1)])
def test_mi_of_fewer_rows_than_the_correction_needs_is_finite(p, q):
    """With four degrees of freedom the log determinant of five columns has no mean."""
    x, y, _ = normals(p, q, 5, 0.0, np.random.default_rng(10))
    assert math.isfinite(GaussianCopula.fit(x, y).mi)


def test_a_contaminated_copula_agrees_with_the_rows_that_it_takes_for_its_own():
    """At the end of expectation and maximisation, with margins that differ among the others."""
    rng = np.random.default_rng(11)
    x, y, _ = normals(2, 2, 1200, 0.95, rng)
    y[:, 1] = 0.8 * x[:, 1] + 0.6 * torch.from_numpy(rng.normal(size=1200))
    alone = torch.from_numpy(rng.random(1200) < 0.3)[:, None]
    others = torch.from_numpy(rng.normal(size=(2, 1200, 2)))
    x, y = torch.where(alone, 1.4 * others[0], x), torch.where(alone, 0.8 * others[1], y)
    copula = ContaminatedCopula.fit(x, y)
    assert 0.2 < copula.share < 0.4
    inside = (1 - copula.share) * copula.gaussian(x, y).diagonal().exp()
    belongs = inside / (inside + copula.share)
    assert 1 - float(belongs.mean()) == pytest.approx(copula.share, abs=1e-3)
    u = (x - copula.gaussian.mean_x) @ copula.gaussian.left
    v = (y - copula.gaussian.mean_y) @ copula.gaussian.right
    cross, own_u, own_v = (
        (a * belongs[:, None]).T @ b / len(x) for a, b in ((u, v), (u, u), (v, v))
    )
    r = cross.diagonal() / (own_u.diagonal() * own_v.diagonal()).sqrt()
    torch.testing.assert_close(copula.gaussian.correlations, r, atol=1e-3, rtol=0)
    assert abs(cross[0, 1]) < 1e-3
    assert abs(cross[1, 0]) < 1e-3


def test_a_shrunk_copulas_correlation_is_that_of_ridge_regression_on_rows_left_out():
    """One column of y: the canonical direction is that of a ridge regression."""
    rng = np.random.default_rng(12)
    n, p = 60, 12
    x = rng.normal(size=(n, p)) * np.linspace(0.5, 2, p)
    y = x[:, 0] + 0.3 * x[:, 5] + 0.7 * rng.normal(size=n)

    def shown(ridge):
        u, v = np.empty(n), np.empty(n)
        for k in range(5):
            out = np.arange(n) % 5 == k
            mean, mean_y = x[~out].mean(0), y[~out].mean()
            a, b = x[~out] - mean, y[~out] - mean_y
            raised = a.T @ a / len(a)
            raised += ridge * np.trace(raised) / p * np.eye(p)
            slopes = np.linalg.solve(raised, a.T @ b)
            u[out] = (x[out] - mean) @ slopes / math.sqrt(slopes @ raised @ slopes)
            v[out] = (y[out] - mean_y) / b.std()
        return float((u * v).mean() / math.sqrt((u**2).mean() * (v**2).mean()))

    ridges = np.array([0.1, 1.0, 10.0])
    weights = np.array([(1 - shown(ridge) ** 2) ** (-n / 2) for ridge in ridges])  # e^(n MI)
    ridge = math.exp(weights @ np.log(ridges) / weights.sum())
    copula = GaussianCopula.fit_shrunk(torch.from_numpy(x), torch.from_numpy(y[:, None]))
    assert copula.correlations.item() == pytest.approx(shown(ridge), abs=1e-6)


def test_more_columns_than_rows_have_the_same_canonical_correlations():
    """Those of the whole covariance, whose other eigenvalues are zero."""
    rng = torch.Generator().manual_seed(3)
    a, b = torch.randn(30, 80, generator=rng).double(), torch.randn(30, 4, generator=rng).double()
    a[:, :2] += 2 * b[:, :2]
    a, b = a - a.mean(0), b - b.mean(0)
    spectra = [tuple(torch.linalg.eigh(side.T @ side / 30)) for side in (a, b)]
    whole = _Moments(a.T @ b / 30, *spectra).canonical(0.1)
    found = _Moments.of(a, b).canonical(0.1)
    assert found.ranks == whole.ranks == (29, 4)
    torch.testing.assert_close(found.correlations, whole.correlations)
    agree = (a @ found.left * (a @ whole.left)).mean(0).abs()  # up to signs
    torch.testing.assert_close(agree, (a @ whole.left).square().mean(0))
