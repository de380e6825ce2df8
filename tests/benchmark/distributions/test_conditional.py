"""Conditional tasks: each log ratio and truth against densities and formulae written out here."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from scipy.stats import multivariate_normal, norm

from infobound.benchmark import tasks
from infobound.benchmark.distributions import conditional, gaussian, transforms
from infobound.benchmark.distributions.joint import monte_carlo
from infobound.errors import InputError


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def drawn(task, n, seed=0):
    """Rows of a task as arrays, and their log ratios."""
    sides = task.sample(n, seeded(seed))
    return *(side.numpy() for side in sides), task.log_ratio_of(*sides).numpy()


def of_densities(rows, means, covariances):
    """The log ratio of two columns that are normal given z, from scipy's densities."""
    found = []
    for row, mean, cov in zip(rows, means, covariances, strict=True):
        sides = norm(mean, np.sqrt(np.diag(cov))).logpdf(row).sum()
        found.append(multivariate_normal(mean, cov).logpdf(row) - sides)
    return np.array(found)


def covariance(scale_x, scale_y, rho):
    return [[scale_x**2, rho * scale_x * scale_y], [rho * scale_x * scale_y, scale_y**2]]


# Confounding. The functions of z are written out once more, for t ~ N(0, 1).

T = {
    "none": lambda t: 0 * t,
    "linear": lambda t: t,
    "sine": lambda t: np.sin(2 * t) / np.sqrt((1 - np.exp(-8)) / 2),
    "cubic": lambda t: t**3 / np.sqrt(15),
    "square": lambda t: (t**2 - 1) / np.sqrt(2),
}


@pytest.mark.parametrize("scale", conditional.SCALES)
@pytest.mark.parametrize("location", conditional.LOCATIONS)
def test_confounding_changes_rows_but_neither_the_mi_nor_the_log_ratio(location, scale):
    pair = gaussian.Gaussian(d=1, rho=0.6)
    task = conditional.Confounded(pair, 3, location, scale, strength=1.5)
    x, y, z, values = drawn(task, 200)
    t = z.sum(1) / math.sqrt(3)
    at = 1.5 * (z[:, 0] * z[:, 1] if location == "product" else T[location](t))
    size = np.exp(1.5 * t / 4) if scale == "exp" else np.ones_like(t)
    rows, means = np.hstack([x, y]), np.stack([at, at], 1)
    assert values == pytest.approx(
        of_densities(rows, means, [covariance(s, s, 0.6) for s in size]), abs=1e-9
    )
    assert task.mi == pytest.approx(-0.5 * math.log(1 - 0.36))
    mean, error = monte_carlo(task, n=20_000, generator=seeded(1))
    assert abs(mean - task.mi) <= 4 * error
    assert abs(mean - pair.mi - 0.1) > 4 * error  # a value that is wrong by 0.1 would be seen


@pytest.mark.parametrize("location", [name for name in conditional.LOCATIONS if name != "none"])
def test_locations_have_mean_zero_and_variance_one(location):
    z = torch.randn(200_000, 4, generator=seeded(), dtype=torch.float64)
    values = conditional.LOCATIONS[location](z)
    kurtosis = float((values**4).mean())
    assert abs(float(values.mean())) < 4 / math.sqrt(len(z))
    assert abs(float(values.var()) - 1) < 4 * math.sqrt(kurtosis / len(z))


def squares(rows):
    """The correlation of the squared residuals of the columns, at their own ranks."""
    ranks = stats.rankdata(np.abs(rows), axis=0)
    return np.corrcoef(ranks.T)[0, 1]


@pytest.mark.parametrize(
    ("entry", "task"),
    [
        (label, task)
        for label, task in tasks.suite("conditional")
        if label.startswith("common_cause")
    ],
)
def test_a_common_cause_makes_x_and_y_dependent_and_the_residuals_independent(entry, task):
    x, y, z = (side.numpy() for side in task.sample(4000, seeded()))
    location, scale = (part.numpy() for part in task._moments(torch.from_numpy(z)))
    raw = np.stack([x[:, 0], y[:, 0]], 1)
    residual = (raw - location) / scale

    def dependence(rows):
        return max(abs(stats.spearmanr(rows).statistic), abs(squares(rows - np.median(rows, 0))))

    assert task.mi == 0.0
    assert dependence(raw) > 5 / math.sqrt(4000)
    assert dependence(residual) < 4.5 / math.sqrt(4000)


def test_the_mi_of_any_pair_is_kept():
    for pair in ("1v1-bimodal-0.75", "student-identity-2-2-1", "labels", "2v1-waves-12-5.0-3.0"):
        base, task = tasks.make(pair), tasks.make("confounded", pair=pair, dz=2, scale="exp")
        assert (task.mi, task.mi_error) == (base.mi, base.mi_error)
        assert (task.dim_x, task.dim_y) == (base.dim_x, base.dim_y)
    noisy = transforms.Mapped(gaussian.Gaussian(2, 0.5))
    assert conditional.Confounded(noisy).mi == gaussian.Gaussian(2, 0.5).mi
    with pytest.raises(InputError, match="pair of quantities"):
        conditional.Confounded(tasks.make("gaussian_classes"))


# Dependence that varies with z


def test_a_varying_correlation_is_that_of_the_densities_and_of_adaptive_quadrature():
    task = conditional.VaryingCorrelation(d=1, dz=4, strength=1.3)
    x, y, z, values = drawn(task, 100)
    rho = np.tanh(1.3 * z.sum(1) / 2)
    rows = np.hstack([x, y])
    expected = of_densities(rows, np.zeros_like(rows), [covariance(1, 1, r) for r in rho])
    assert values == pytest.approx(expected, abs=1e-8)
    for strength in (0.2, 1.3, 3.0):

        def integrand(t, strength=strength):
            return -norm.pdf(t) * math.log1p(-(math.tanh(strength * t) ** 2))

        exact = integrate.quad(integrand, 0, 5.5, epsabs=1e-10)[0]  # beyond, 2e-7 of the mass
        found = conditional.VaryingCorrelation(d=3, strength=strength).mi
        assert found == pytest.approx(3 * exact, abs=4e-6)
    x, y, _, _ = drawn(conditional.VaryingCorrelation(strength=2.0), 20_000)
    assert abs(np.corrcoef(x[:, 0], y[:, 0])[0, 1]) < 5 * math.sqrt(2 / 20_000)


def test_any_two_bits_of_the_xor_are_independent_and_three_are_not():
    task = conditional.NoisyXor(p=0.2)
    x, y, z, values = drawn(task, 20_000)
    for a, b in ((x, y), (x, z), (y, z)):
        assert abs(np.corrcoef(a[:, 0], b[:, 0])[0, 1]) < 4 / math.sqrt(20_000)
    same = (x != z)[:, 0] == (y == 1)[:, 0]
    assert abs(same.mean() - 0.8) < 4 * 0.4 / math.sqrt(20_000)
    assert values == pytest.approx(np.log(np.where(same, 1.6, 0.4)))
    assert task.mi == pytest.approx(0.8 * math.log(1.6) + 0.2 * math.log(0.4))


@pytest.mark.parametrize("numbers", [0, 2])
def test_strata_have_the_densities_of_their_category(numbers):
    task = conditional.Strata(k=3, numbers=numbers, rho=0.8, seed=4)
    x, y, z, values = drawn(task, 150)
    _, means, scales, slopes = (part.numpy() for part in task._laws)
    level = z[:, -1].astype(int)
    t = z[:, :-1].sum(1, keepdims=True) / math.sqrt(max(numbers, 1))
    rho = np.array([-0.8, 0.0, 0.8])[level]
    expected = of_densities(
        np.hstack([x, y]),
        means[level] + slopes[level] * t,
        [covariance(*scales[k], r) for k, r in zip(level, rho, strict=True)],
    )
    assert values == pytest.approx(expected, abs=1e-9)
    assert task.mi == pytest.approx(-math.log(1 - 0.64) / 3)
    assert task.categorical == (f"given[{numbers}]",)
    assert set(level) == {0, 1, 2}


def test_strata_are_drawn_with_their_moments():
    task = conditional.Strata(k=2, rho=0.7, seed=2)
    x, y, z, _ = drawn(task, 40_000)
    _, means, scales, _ = (part.numpy() for part in task._laws)
    for level, rho in enumerate((-0.7, 0.7)):
        rows = np.hstack([x, y])[z[:, 0] == level]
        error = scales[level] / math.sqrt(len(rows))
        assert (np.abs(rows.mean(0) - means[level]) < 4 * error).all()
        assert abs(np.corrcoef(rows.T)[0, 1] - rho) < 4 * (1 - rho**2) / math.sqrt(len(rows))


# Normal graphs


def log_densities(rows, matrix, columns):
    part = matrix[np.ix_(columns, columns)]
    return multivariate_normal(np.zeros(len(columns)), part).logpdf(rows[:, columns])


@pytest.mark.parametrize(
    "settings",
    [
        *({"kind": kind, "dz": 3, "noise": 0.7} for kind in conditional.GRAPHS),
        {"dim_x": 2, "dim_y": 3, "dz": 4},
    ],
)
def test_normal_triples_against_densities_and_determinants(settings):
    task = tasks.make("gaussian_graph" if "kind" in settings else "normal_given", **settings)
    x, y, z, values = drawn(task, 300)
    rows, matrix = np.hstack([x, y, z]), task.covariance.numpy()
    parts = np.split(np.arange(len(matrix)), [task.dim_x, task.dim_x + task.dim_y])
    own_x, own_y, given = map(list, parts)
    sides = [own_x + own_y + given, given], [own_x + given, own_y + given]
    expected = sum(log_densities(rows, matrix, c) for c in sides[0])
    expected = expected - sum(log_densities(rows, matrix, c) for c in sides[1])
    assert values == pytest.approx(expected, abs=1e-8)
    log_det = [
        sum(np.linalg.slogdet(matrix[np.ix_(c, c)])[1] for c in columns) for columns in sides
    ]
    assert task.mi == pytest.approx(0.5 * (log_det[1] - log_det[0]), abs=1e-10)


def test_graphs_have_the_independences_of_their_arrows():
    n, bound = 20_000, 4 / math.sqrt(20_000)
    partial, plain = {}, {}
    for kind in conditional.GRAPHS:
        x, y, z, _ = drawn(tasks.make("gaussian_graph", kind=kind, dz=2), n)
        rest = [side - z @ np.linalg.lstsq(z, side, rcond=None)[0] for side in (x, y)]
        partial[kind] = np.corrcoef(rest[0][:, 0], rest[1][:, 0])[0, 1]
        plain[kind] = np.corrcoef(x[:, 0], y[:, 0])[0, 1]
        mi = tasks.make("gaussian_graph", kind=kind, dz=2).mi
        assert -0.5 * math.log1p(-(partial[kind] ** 2)) == pytest.approx(mi, abs=4 * bound)
    assert abs(partial["chain"]) < bound < plain["chain"]
    assert abs(plain["collider"]) < bound < -partial["collider"]
    assert min(plain["mediator"], partial["mediator"]) > bound
    # A collider's columns of z are x + y with noise: the mean has variance noise^2 / dz.
    rho = 1 / (1 + 0.5**2 / 4)
    found = tasks.make("gaussian_graph", kind="collider", dz=4, noise=0.5).mi
    assert found == pytest.approx(-0.5 * math.log1p(-(rho**2)))
    with pytest.raises(InputError, match="both sides have columns"):
        conditional.NormalGiven(torch.eye(2), 1, 1)


@pytest.mark.parametrize(("model", "dz"), [(1, 1), (1, 20), (2, 50)])
def test_ccmis_linear_models(model, dz):
    task = conditional.CcmiLinear(model=model, dz=dz)
    x, y, z, values = drawn(task, 20_000)
    assert task.mi == pytest.approx(0.5 * math.log(101))
    weights = task._weights.numpy()[:, 0]
    assert weights @ weights == pytest.approx(1)
    assert (np.count_nonzero(weights) == 1) == (model == 1)
    rest = np.hstack([x, y - z @ weights[:, None]])
    expected = of_densities(rest[:100], np.zeros((100, 2)), [[[1, 1], [1, 1.01]]] * 100)
    assert values[:100] == pytest.approx(expected, abs=1e-7)
    assert np.cov(rest.T) == pytest.approx(np.array([[1, 1], [1, 1.01]]), abs=0.05)
    variance = 1 / 12 if model == 1 else 1.0
    assert z.var(0) == pytest.approx(np.full(dz, variance), abs=6 * variance * 0.0143)
    assert (np.abs(z).max() <= 0.5) == (model == 1)


# A class and numbers


def test_classes_given_numbers_against_densities_and_adaptive_quadrature():
    task = conditional.ClassesGiven(k=3, dz=2, separation=1.5, strength=0.8)
    x, y, z, values = drawn(task, 30_000)
    t = z.sum(1) / math.sqrt(2)
    shares = np.exp(0.8 * np.outer(t, [-1, 0, 1]))
    shares /= shares.sum(1, keepdims=True)
    own = norm.pdf(x - 1.5 * np.arange(3) - 0.8 * t[:, None])
    codes = y[:, 0].astype(int)
    picked = own[np.arange(len(x)), codes]
    assert values == pytest.approx(np.log(picked / (own * shares).sum(1)), abs=1e-9)
    for k in range(3):
        error = math.sqrt(shares[:, k].var() / len(x) + 0.25 / len(x))
        assert abs((codes == k).mean() - shares[:, k].mean()) < 4 * error
    residual = x[:, 0] - 1.5 * codes - 0.8 * t
    assert abs(residual.mean()) < 4 / math.sqrt(len(x))
    assert abs(residual.var() - 1) < 4 * math.sqrt(2 / len(x))

    def entropy(t):
        weights = np.exp(0.8 * t * np.array([-1, 0, 1]))
        weights /= weights.sum()

        def integrand(u):
            p = float(weights @ norm.pdf(u - 1.5 * np.arange(3)))
            return -p * math.log(p) if p > 0 else 0.0

        return integrate.quad(integrand, -8, 11, epsabs=1e-8)[0]

    nodes, weights = np.polynomial.hermite_e.hermegauss(24)
    mean = float(weights @ [entropy(node) for node in nodes]) / math.sqrt(2 * math.pi)
    assert task.mi == pytest.approx(mean - 0.5 * math.log(2 * math.pi * math.e), abs=1e-5)


@pytest.mark.parametrize("strength", [0.3, 3.0])
def test_the_grids_have_converged(strength, monkeypatch):
    def values():
        some = [conditional.ClassesGiven(k=k, strength=strength) for k in (2, 4)]
        return [task.mi for task in [*some, conditional.VaryingCorrelation(strength=strength)]]

    before = values()
    monkeypatch.setattr(conditional, "STEP", conditional.STEP / 3)
    assert values() == pytest.approx(before, abs=1e-9)


def test_a_wrong_truth_or_log_ratio_is_found():
    """The negative control of the comparisons with Monte Carlo in `test_tasks`."""
    task = conditional.Confounded(gaussian.Gaussian(1, 0.75), 1, "sine")
    x, y, z = task.sample(4000, seeded())
    for wrong in (
        conditional.Confounded(gaussian.Gaussian(1, 0.75), 1, "sine", strength=1.5),
        conditional.Confounded(gaussian.Gaussian(1, 0.75), 1, "linear"),
        conditional.Confounded(gaussian.Gaussian(1, 0.6), 1, "sine"),
    ):
        values = wrong.log_ratio_of(x, y, z)
        assert abs(float(values.mean()) - task.mi) > 4 * float(values.std()) / math.sqrt(4000)
