"""Smooth functions of one side take the place of its columns where they explain more than lines."""

import math

import numpy as np
import pytest
import torch

from infobound.data import Transform
from infobound.models.copulas import GaussianCopula
from infobound.models.curved import CurvedCopula

N, D, RHO = 1500, 4, 0.8


def warped(seed, n=2 * N):
    """Normal x, and y whose columns are shifted by sines of those before them; and the MI."""
    rng = np.random.default_rng(seed)
    x, noise = rng.normal(size=(2, n, D))
    y = RHO * x + math.sqrt(1 - RHO**2) * noise
    for k in range(1, D):
        y[:, k] += np.sin(2 * y[:, :k]).sum(1)
    return *scores(x, y), -0.5 * D * math.log(1 - RHO**2)


def scores(*sides):
    return [torch.from_numpy(Transform.fit(side).normal_scores(side)).float() for side in sides]


def log_ratio(model, x, y):
    return float(model(x, y).diagonal().mean())


@pytest.mark.parametrize("swapped", [False, True])
def test_warps_are_undone_from_either_side(swapped):
    gaps, gains = [], []
    for seed in range(3):
        x, y, mi = warped(seed)
        sides = (y, x) if swapped else (x, y)
        known, new = [s[:N] for s in sides], [s[N:] for s in sides]
        model = CurvedCopula.fit(*known)
        assert isinstance(model, CurvedCopula)
        assert model.of_y == swapped  # x is regressed on the warped y
        gaps.append(log_ratio(model, *new) - mi)
        gains.append(gaps[-1] + mi - log_ratio(GaussianCopula.fit(*known), *new))
    # Three means over 1,500 rows have a standard error of .02.
    assert -0.2 < np.mean(gaps) < 0.05
    assert np.mean(gains) > 0.5  # than lines


def test_a_refit_keeps_the_side():
    x, y, _ = warped(3)
    first = CurvedCopula.fit(x[:500], y[:500])
    again = CurvedCopula.fit(x[:N], y[:N], start=first)
    assert again.of_y == first.of_y
    assert log_ratio(again, x[N:], y[N:]) > log_ratio(first, x[N:], y[N:])
    copula = GaussianCopula.fit(x[:N], y[:N])
    assert isinstance(CurvedCopula.fit(x[:N], y[:N], start=copula), GaussianCopula)


def linear(rng):
    x, y = rng.normal(size=(2, N, D))
    return x, 0.7 * x + y


def common_scale(rng):
    """Without any correlation: the variance of each column depends on the others."""
    rows = rng.normal(size=(N, 2 * D)) / np.sqrt(rng.chisquare(1, size=(N, 1)))
    return rows[:, :D], rows[:, D:]


@pytest.mark.parametrize("draw", [linear, common_scale])
def test_lines_stay_lines(draw):
    for seed in range(20):
        x, y = scores(*draw(np.random.default_rng(seed)))
        assert isinstance(CurvedCopula.fit(x, y), GaussianCopula)
