"""Tasks: exact means exact, held against Monte Carlo and against independent quadrature."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate

from infobound import gaussians, tasks
from infobound.bounds import BOUNDS
from infobound.errors import InputError

SMALL = [
    ("gaussian", {"d": 2, "rho": 0.5}),
    ("mixed_gaussian", {"d": 2, "rho": 0.6}),
    ("mixed_gaussian_joint", {"d": 2, "rho": -0.6}),
    ("independent", {"d": 2}),
    ("staircase_gaussian", {"d": 4, "mi": 0.5}),
    ("staircase_cubic", {"d": 4, "mi": 0.5}),
]


def rows(task, n, seed=0):
    return task.sample(n, torch.Generator().manual_seed(seed))


def positives(task, x, y, chunk=500):
    """The diagonal of the log ratio, chunk by chunk."""
    parts = zip(x.split(chunk), y.split(chunk), strict=True)
    return torch.cat([task.log_ratio(a, b).diagonal() for a, b in parts])


@pytest.mark.parametrize("name", tasks.TASKS)
def test_mi_is_the_mean_of_the_log_ratio(name):
    task = tasks.make(name)
    values = positives(task, *rows(task, 20_000))
    assert abs(values.mean() - task.mi) <= 4 * values.std() / math.sqrt(len(values))


@pytest.mark.parametrize("level", [2, 4, 6, 8, 10])
@pytest.mark.parametrize("name", ["staircase_gaussian", "staircase_cubic"])
def test_the_staircase_climbs_to_its_levels(name, level):
    task = tasks.make(name, mi=level)
    values = positives(task, *rows(task, 4_000))
    assert abs(values.mean() - level) <= 4 * values.std() / math.sqrt(len(values))


@pytest.mark.parametrize(("name", "settings"), SMALL)
def test_the_log_ratio_is_normalised(name, settings):
    task = tasks.make(name, **settings)
    x, y = rows(task, 2000)
    shuffled = y[torch.randperm(2000, generator=torch.Generator().manual_seed(1))]
    ratios = positives(task, x, shuffled).exp()
    assert abs(ratios.mean() - 1) <= 4 * ratios.std() / math.sqrt(len(ratios)) + 1e-12


@pytest.mark.parametrize(("name", "settings"), SMALL)
def test_the_log_ratio_is_the_best_critic(name, settings):
    task = tasks.make(name, **settings)
    scores = task.log_ratio(*rows(task, 1500))
    value = BOUNDS["infonce"].estimate(scores)
    assert value <= math.log(1500)
    terms = scores.diagonal()
    assert abs(value - task.mi) < 4 * terms.std() / math.sqrt(1500) + 0.01
    assert BOUNDS["infonce"].estimate(scores.roll(1, 0)) <= 1e-12  # another pairing: no positives


def test_the_two_readings_of_the_mixed_gaussian():
    per_dimension = tasks.make("mixed_gaussian", d=6, rho=0.9).mi
    assert abs(per_dimension - 2.450) < 1e-3
    assert abs(tasks.make("mixed_gaussian_joint", d=6, rho=0.9).mi - 4.292) < 1e-3
    one = [tasks.make(name, d=1, rho=0.9).mi for name in ("mixed_gaussian", "mixed_gaussian_joint")]
    assert one[0] == one[1] == pytest.approx(per_dimension / 6, abs=1e-12)


@pytest.mark.parametrize("rho", [0.3, 0.9, 0.97])
def test_one_dimension_against_quadrature_over_the_plane(rho):
    task = tasks.make("mixed_gaussian", d=1, rho=rho)

    def integrand(y, x):
        ratio = task.log_ratio(torch.tensor([[x]]), torch.tensor([[y]])).item()
        return math.exp(ratio - (x * x + y * y) / 2) / (2 * math.pi) * ratio

    def grid(points):
        nodes, weights = np.polynomial.legendre.leggauss(points)
        x = torch.from_numpy(9 * nodes)[:, None]
        ratio = task.log_ratio(x, x)
        density = torch.exp(ratio - (x**2 + x.T**2) / 2) / (2 * math.pi)
        w = torch.from_numpy(9 * weights)
        return float(w @ (density * ratio) @ w)

    assert grid(900) == pytest.approx(task.mi, abs=1e-6)
    if rho == 0.3:  # and once by scipy's adaptive rule
        value, _ = integrate.dblquad(integrand, -8, 8, -8, 8, epsabs=1e-5, epsrel=1e-5)
        assert value == pytest.approx(task.mi, abs=2e-5)


@pytest.mark.parametrize("d", [1, 2, 6, 40])
def test_the_mixtures_quadrature_has_converged(d, monkeypatch):
    value = gaussians._mixture_mi(d, 0.9)
    plain = np.polynomial.legendre.leggauss
    monkeypatch.setattr(np.polynomial.legendre, "leggauss", lambda n: plain(2 * n + 1))
    assert gaussians._mixture_mi(d, 0.9) == pytest.approx(value, abs=1e-7)
    assert gaussians._mixture_mi(d, -0.9) == pytest.approx(value, abs=1e-7)


@pytest.mark.parametrize("name", tasks.TASKS)
def test_samples_follow_the_generator_and_have_the_stated_shape(name):
    task = tasks.make(name)
    (x, y), (again, _), (other, _) = rows(task, 9), rows(task, 9), rows(task, 9, seed=1)
    assert x.shape == (9, task.dim_x)
    assert y.shape == (9, task.dim_y)
    assert x.dtype == torch.float64
    assert torch.equal(x, again)
    assert not torch.equal(x, other)
    assert task.log_ratio(x.float(), y.float()[:5]).shape == (9, 5)
    assert task.name == name


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("gaussian", {"rho": 1.0}, "strictly between -1 and 1; got 1.0"),
        ("gaussian", {"d": 0}, "at least one dimension; got d = 0"),
        ("gauss", {}, "Nearest: gaussian"),
        ("gaussian", {"sigma": 1}, r"parameters of gaussian \(d, rho\); got sigma"),
        ("staircase_cubic", {"mi": -1.0}, "zero or more nats"),
    ],
)
def test_errors(name, settings, message):
    with pytest.raises(InputError, match=message):
        tasks.make(name, **settings)
