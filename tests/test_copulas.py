"""The Gaussian copula's log ratio is the exact one when the data are Gaussian."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from infobound import data, tasks
from infobound.copulas import ContaminatedCopula, GaussianCopula, canonical_directions


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
    independent = [
        canonical_directions(x, y[torch.randperm(2000, generator=rng)]) for _ in range(20)
    ]
    assert sum(left.shape[1] for left, _ in independent) <= 2


def test_canonical_directions_need_more_rows_than_columns():
    x = torch.randn(50, 40, generator=torch.Generator().manual_seed(3))
    assert canonical_directions(x, x)[0].shape == (40, 0)
