"""Truths of series: determinants, sums and quadrature against simulation and other quadrature."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from infobound.benchmark.distributions import series
from infobound.benchmark.distributions.series import (
    CoupledAutoregression,
    CoupledMarkovChains,
    NonlinearCoupling,
)
from infobound.errors import InputError


def drawn(task, n, seed=0):
    both = task.series(n, torch.Generator().manual_seed(seed))
    return (side[:, 0].numpy() for side in both)


def regressed(y, columns):
    """The variance of what least squares leave of y."""
    design = np.column_stack([np.ones(len(y)), *columns])
    return np.var(y - design @ np.linalg.lstsq(design, y)[0])


@pytest.mark.parametrize(
    "task",
    [
        CoupledAutoregression(phi=0.5),
        CoupledAutoregression(history=3),
        CoupledAutoregression(phi=0.5, lag=3, history=2),
        CoupledAutoregression(phi=0.3, lag=2, history=2, feedback=0.3),
    ],
)
def test_determinants_are_those_of_long_series(task):
    x, y = drawn(task, 60_000)
    past = range(1, task.history + 1)
    lagged = [[v[task.history - k : -k] for k in past] for v in (x, y)]
    now = y[task.history :]
    ratio = regressed(now, lagged[1]) / regressed(now, lagged[0] + lagged[1])
    # The ratio's logarithm over two; its standard error is about sqrt(2 * mi / n).
    assert abs(math.log(ratio) / 2 - task.mi) < 4 * math.sqrt(2 * task.mi / len(now)) + 1e-4


def test_the_covariance_is_a_sum_over_the_past_shocks():
    task = CoupledAutoregression(phi=0.6, coupling=0.4, feedback=0.2, history=2)
    step = np.array([[0.6, 0.2], [0.4, 0.6]])
    powers = [np.linalg.matrix_power(step, k) for k in range(200)]
    for back in range(3):
        wanted = sum(powers[k + back] @ powers[k].T for k in range(150))
        assert task.covariance[:2, 2 * back : 2 * back + 2] == pytest.approx(wanted, abs=1e-9)


def test_no_transfer_from_what_only_listens():
    listens = CoupledAutoregression(coupling=0.0, feedback=0.5)
    assert listens.mi == pytest.approx(0, abs=1e-12)
    assert (
        CoupledAutoregression(phi=0.5, lag=3, history=1).mi
        < CoupledAutoregression(phi=0.5, lag=3, history=3).mi
    )


@pytest.mark.parametrize("warp", series.WARPS)
def test_increasing_maps_change_no_information(warp):
    plain, warped = CoupledAutoregression(phi=0.5), CoupledAutoregression(phi=0.5, warp=warp)
    assert warped.mi == plain.mi
    rows = [task.sample(50, torch.Generator().manual_seed(0)) for task in (plain, warped)]
    assert warped.log_ratio_of(*rows[1]) == pytest.approx(plain.log_ratio_of(*rows[0]), abs=1e-6)


@pytest.mark.parametrize("function", ["sine", "square"])
def test_quadrature_of_white_series_is_that_of_one_variable(function):
    """Without memory of x, p(y' | y) is a mixture over x alone."""
    task = NonlinearCoupling(function, phi=0.0, own=0.4)

    x = np.linspace(-8, 8, 1601)
    means = task._mean(torch.as_tensor(x), torch.tensor(0.0)).numpy()
    values = np.linspace(-8, 30, 761)
    found = integrate.trapezoid(
        stats.norm.pdf(x) * stats.norm.pdf(values[:, None] - means), x, axis=1
    )
    entropy = -integrate.trapezoid(found * np.log(np.maximum(found, 1e-300)), values)
    assert task.mi == pytest.approx(entropy - math.log(2 * math.pi * math.e) / 2, abs=1e-4)


@pytest.mark.parametrize("function", ["sine", "product", "map"])
def test_a_finer_grid_changes_nothing(function, monkeypatch):
    coarse = NonlinearCoupling(function).mi
    monkeypatch.setattr(series, "STEP", 0.2)
    assert NonlinearCoupling(function).mi == pytest.approx(coarse, abs=1e-5)


@pytest.mark.parametrize("task", [CoupledMarkovChains(), CoupledMarkovChains(k=2, mixed=True)])
def test_sums_over_states_are_those_of_counts(task):
    x, y = (side.astype(int) for side in drawn(task, 60_000))
    counts = np.zeros((task.k,) * 3)
    np.add.at(counts, (x[:-1], y[:-1], y[1:]), 1)
    joint = counts / counts.sum()
    ratio = joint * joint.sum((0, 2))[:, None] / (joint.sum(2)[:, :, None] * joint.sum(0))
    assert (joint * np.log(ratio)).sum() == pytest.approx(task.mi, abs=0.01)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: CoupledAutoregression(phi=1.0), "Expected stationary series"),
        (lambda: CoupledAutoregression(warp="tan"), "Expected warp"),
        (lambda: NonlinearCoupling("cosine"), "Expected function"),
        (lambda: NonlinearCoupling(phi=1.0), "Expected phi"),
        (lambda: CoupledMarkovChains(k=1), "Expected k"),
    ],
)
def test_what_is_refused(make, sentence):
    with pytest.raises(InputError, match=sentence):
        make()
