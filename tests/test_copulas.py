"""The Gaussian copula's log ratio is the exact one when the data are Gaussian."""

import math

import numpy as np
import pytest
import torch

from infobound import data, scoring, tasks
from infobound.bounds import BOUNDS
from infobound.copulas import (
    ContaminatedCopula,
    GaussianCopula,
    StudentCopula,
    canonical_directions,
)
from infobound.densities import COARSE, ContingencyTable, MixtureModel


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
    return float(scoring.value(copula, BOUNDS["infonce_over_y"], x, y))


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


def test_a_shrunk_copula_does_not_depend_on_the_axes():
    x, y = wide(0, signal=0.9)
    turn = torch.linalg.qr(torch.randn(120, 120, generator=torch.Generator().manual_seed(1)))[0]
    plain, turned = GaussianCopula.fit_shrunk(x, y), GaussianCopula.fit_shrunk(x @ turn, y)
    torch.testing.assert_close(turned(x @ turn, y), plain(x, y), atol=1e-3, rtol=1e-3)
