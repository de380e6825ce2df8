"""Single columns: each MI against another formula, another quadrature or its limits."""

import math

import numpy as np
import pytest
import torch

from infobound.benchmark.distributions import channels


@pytest.mark.parametrize("epsilon", [0.1, 0.5, 0.75, 3.0])
def test_uniform_noise_by_the_entropy_of_y(epsilon):
    y = torch.linspace(-epsilon, 1 + epsilon, 400_001, dtype=torch.float64)
    overlap = ((y + epsilon).clamp(max=1) - (y - epsilon).clamp(min=0)) / (2 * epsilon)
    entropy = -float(torch.special.xlogy(overlap, overlap).sum()) * float(y[1] - y[0])
    exact = entropy - math.log(2 * epsilon)
    assert channels.UniformNoise(epsilon).mi == pytest.approx(exact, abs=1e-5)


@pytest.mark.parametrize("task", [channels.UniformNoise(0.2), channels.UniformSteps(m=4)])
def test_what_cannot_occur_has_ratio_zero(task):
    x, far = torch.zeros(1, 1), torch.tensor([[3.5]])
    assert task.log_ratio(x, far).item() == -math.inf


def test_uniform_steps_by_counting():
    for m in (1, 2, 5):
        middle = np.arange(0.5, m + 1)  # the density of y is constant between whole numbers
        shares = np.array([sum(k < y < k + 2 for k in range(m)) / (2 * m) for y in middle])
        exact = -(shares * np.log(shares)).sum() - math.log(2)
        assert channels.UniformSteps(m).mi == pytest.approx(exact, abs=1e-12)


@pytest.mark.parametrize("law", ["normal", "laplace"])
def test_labels_from_nothing_to_everything(law):
    assert channels.Labels(n=1, law=law).mi == pytest.approx(0, abs=1e-12)
    assert channels.Labels(n=3, spacing=30.0, law=law).mi == pytest.approx(math.log(3), abs=1e-4)
    steps = [channels.Labels(spacing=s, law=law).mi for s in (0.1, 0.5, 1.0, 2.0, 4.0)]
    assert steps == sorted(steps)
    wide = torch.linspace(-60, 70, 1_300_001, dtype=torch.float64)[:, None]
    task = channels.Labels(law=law)
    ratio = task.log_ratio(wide, torch.arange(5.0)[:, None])
    noise = task._log_noise(wide - 2 * torch.arange(5.0))
    assert float((noise.exp() * ratio).sum()) * 1e-4 / 5 == pytest.approx(task.mi, abs=1e-6)


def test_poissonised_equals_gaos_formula_without_added_zeros_and_is_below_it_with():
    k = np.arange(1, 200)
    formula = 2 * math.log(2) - np.euler_gamma - float((np.log(k) * 0.5**k).sum())
    assert channels.Poissonised(zeros=0.0).mi == pytest.approx(formula, abs=1e-9)
    values = [channels.Poissonised(zeros=p).mi for p in (0.05, 0.15, 0.5, 0.9)]
    for p, value in zip((0.05, 0.15, 0.5, 0.9), values, strict=True):
        assert 0 < value < (1 - p) * formula  # what was put in looks like any other zero
    assert values == sorted(values, reverse=True)


@pytest.mark.parametrize("function", channels.FUNCTIONS)
def test_noisy_functions_quadrature_has_converged(function, monkeypatch):
    task = channels.NoisyFunction(function, k=1.5, noise=0.4)
    value = task.mi
    plain = np.polynomial.legendre.leggauss
    monkeypatch.setattr(np.polynomial.legendre, "leggauss", lambda n: plain(2 * n + 1))
    again = channels.NoisyFunction(function, k=1.5, noise=0.4)
    assert again.mi == pytest.approx(value, abs=1e-6)
    y = torch.linspace(-5, 95, 2001, dtype=torch.float64)
    mass = sum(float(again._log_marginal(part).exp().sum()) for part in y.split(500))
    assert mass * float(y[1] - y[0]) == pytest.approx(1, abs=1e-6)


def test_less_noise_tells_more():
    values = [channels.NoisyFunction("sine", k=3.0, noise=s).mi for s in (2.0, 1.0, 0.5, 0.25)]
    assert values == sorted(values)
