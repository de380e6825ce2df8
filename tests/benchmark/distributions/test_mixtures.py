"""Normal, Student's t and mixtures: closed forms and quadrature against another way."""

import math

import pytest
import torch
from scipy import stats

from infobound.benchmark.distributions import elliptical, gaussian, mixtures
from infobound.benchmark.distributions.joint import monte_carlo
from infobound.errors import InputError


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_one_pair_of_normals_by_its_correlation():
    task = elliptical.Normal(elliptical.dense(2, rho=0.9), 1)
    assert task.mi == pytest.approx(gaussian.Gaussian(d=1, rho=0.9).mi, abs=1e-12)
    x, y = torch.randn(2, 7, 1, dtype=torch.float64, generator=seeded())
    exact = gaussian.Gaussian(d=1, rho=0.9).log_ratio(x, y)
    assert torch.allclose(task.log_ratio(x, y), exact)


@pytest.mark.parametrize("df", [1, 2, 5])
def test_students_log_ratio_is_that_of_the_densities(df):
    shape = torch.tensor([[2.0, 0.6, 0.3], [0.6, 1.0, 0.2], [0.3, 0.2, 1.5]], dtype=torch.float64)
    task = elliptical.Student(shape, 2, df)
    x, y = task.sample(20, seeded())
    parts = torch.cat([x, y], 1), x, y
    blocks = shape, shape[:2, :2], shape[2:, 2:]
    joint, of_x, of_y = (
        stats.multivariate_t(shape=b.numpy(), df=df).logpdf(rows.numpy())
        for rows, b in zip(parts, blocks, strict=True)
    )
    assert task.log_ratio(x, y).diagonal().numpy() == pytest.approx(joint - of_x - of_y, abs=1e-9)


def test_students_mi_nears_the_normals():
    dispersion = elliptical.sparse(3, 2, pairs=1, strength=1.0)
    many = elliptical.Student(dispersion, 3, 100_000).mi
    assert many == pytest.approx(elliptical.Normal(dispersion, 3).mi, abs=1e-4)


@pytest.mark.parametrize(
    "task", [mixtures.cross(), mixtures.letters(), mixtures.balls(), mixtures.stripes(n=4)]
)
def test_the_grid_has_converged(task):
    assert task._by_grid(0.5 * mixtures.GRID_STEP) == pytest.approx(task.mi, abs=1e-6)


def test_the_grid_against_a_closed_form_and_another_quadrature():
    covariance = elliptical.dense(3, rho=0.5)
    one = mixtures.NormalMixture(torch.zeros(1, 3), covariance[None], dim_x=2)
    assert one.mi == pytest.approx(elliptical.Normal(covariance, 2).mi, abs=1e-9)
    both = mixtures.cross(rho=0.9), gaussian.MixedGaussianJoint(d=1, rho=0.9)
    assert both[0].mi == pytest.approx(both[1].mi, abs=1e-6)


@pytest.mark.parametrize(
    "task",
    [
        mixtures.concentric(d=1, n=3),
        mixtures.concentric(d=10, n=4),
        mixtures.inliers(dim_x=2, dim_y=3, pairs=1, fraction=0.1),
        mixtures.inliers(dim_x=3, dim_y=3, pairs=3, rho=0.5, fraction=0.7),
    ],
)
def test_a_derived_value_against_monte_carlo(task):
    mean, error = monte_carlo(task, n=20_000, generator=seeded())
    assert abs(mean - task.mi) <= 4 * error
    assert task.mi_error == 0.0


def test_a_derived_value_against_the_grid():
    task = mixtures.inliers(dim_x=1, dim_y=1, pairs=1, fraction=0.3)
    assert task._by_grid(0.1) == pytest.approx(task.mi, abs=1e-6)
    task = mixtures.concentric(d=1, n=2)
    assert task._by_grid(0.3) == pytest.approx(task.mi, abs=1e-6)


def test_monte_carlo_states_its_error():
    covariances = torch.stack([elliptical.dense(4, rho=rho) for rho in (0.0, 0.8)])
    means = torch.tensor([[0.0] * 4, [2.0] * 4])
    small, large = (
        mixtures.NormalMixture(means, covariances, dim_x=2, n_monte_carlo=n) for n in (1000, 16_000)
    )
    assert small.mi_error / large.mi_error == pytest.approx(4, rel=0.3)
    assert 0 < large.mi_error < 0.02
    assert abs(small.mi - large.mi) <= 4 * math.hypot(small.mi_error, large.mi_error)


def test_weights_are_shares():
    means = torch.tensor([[-9.0, -9.0], [9.0, 9.0]])
    task = mixtures.NormalMixture(
        means, torch.eye(2).expand(2, 2, 2), weights=torch.tensor([1.0, 3.0])
    )
    assert task.mi == pytest.approx(stats.entropy([0.25, 0.75]), abs=1e-9)
    x, _ = task.sample(10_000, seeded())
    assert abs(float((x > 0).double().mean()) - 0.75) < 0.02


SQUARE = torch.eye(2).expand(1, 2, 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: elliptical.Normal(torch.ones(2, 2), 1), "positive definite"),
        (lambda: elliptical.Normal(torch.eye(2), 2), "dim_x between 1 and 1, so"),
        (lambda: elliptical.Normal(torch.ones(2, 3), 1), "symmetric matrix"),
        (lambda: elliptical.Student(torch.eye(2), 1, 0), "df of 1 or more; got 0"),
        (lambda: elliptical.sparse(2, 3, pairs=3), "pairs between 0 and 2"),
        (lambda: mixtures.NormalMixture(torch.zeros(2, 2), SQUARE), r"shape \(2, 2, 2\)"),
        (lambda: mixtures.NormalMixture(torch.zeros(1, 2), -SQUARE), "positive definite"),
        (lambda: mixtures.NormalMixture(torch.zeros(1, 2), SQUARE, dim_x=2), "dim_x between 1"),
        (
            lambda: mixtures.NormalMixture(torch.zeros(1, 2), SQUARE, weights=torch.zeros(1)),
            "1 positive weights",
        ),
        (lambda: mixtures.inliers(fraction=1.0), "strictly between 0 and 1; got 1.0"),
        (lambda: mixtures.inliers(pairs=6), "pairs between 1 and 5"),
    ],
)
def test_errors(make, message):
    with pytest.raises(InputError, match=message):
        make()
