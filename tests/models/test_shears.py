"""Folds that slide one column along others of its side are undone, and nothing else is."""

import math

import numpy as np
import pytest
import torch

from infobound.data import Transform
from infobound.models.copulas import GaussianCopula
from infobound.models.densities import FINE, MixtureModel
from infobound.models.shears import ShearedMixture

N = 1000
RHO = 0.9
GAUSSIAN_MI = -0.5 * math.log(1 - RHO**2)


def folded(seed, *, stripes=False, sine=True):
    """x (2000, 2) and y (2000, 1): y shares with the first column, which is folded; and the MI."""
    rng = np.random.default_rng(seed)
    u, other, v, noise = rng.normal(size=(4, 2 * N))
    y, mi = RHO * u + math.sqrt(1 - RHO**2) * v, GAUSSIAN_MI
    if stripes:  # the level determines y up to little noise, and y the parity of the level
        level = rng.integers(4, size=2 * N)
        u, y, mi = 1.5 * level + 0.2 * v, level % 2 + 0.1 * noise, math.log(2)
    bend = 4 * np.sin(3 * other) if sine else 0 * other
    return tensors(np.stack([u + bend, other], 1), y[:, None], mi)


def tensors(x, y, mi):
    scaled = (torch.from_numpy(Transform.fit(side).robust(side)).float() for side in (x, y))
    return *scaled, mi


def log_ratio(model, x, y):
    return float(model(x, y).diagonal().mean())


@pytest.mark.parametrize("stripes", [False, True])
def test_folds_are_undone(stripes):
    gaps, gains = [], []
    for seed in range(3):
        x, y, mi = folded(seed, stripes=stripes)
        model = ShearedMixture.fit(x[:N], y[:N])
        assert isinstance(model, ShearedMixture)
        assert (model.column, model.others) == (0, [1])
        gaps.append(log_ratio(model, x[N:], y[N:]) - mi)
        plain = MixtureModel.fit(x[:N], y[:N], FINE)
        gains.append(gaps[-1] + mi - log_ratio(plain, x[N:], y[N:]))
    # The mean log ratio of 3,000 rows has a standard error of .02. Few rows of thin stripes leave
    # the shear uncertain.
    assert -0.3 * mi < np.mean(gaps) < 0.05
    assert np.mean(gains) > (0.4 if stripes else 0.08)  # than a mixture without a shear


def test_the_sides_may_change_places():
    x, y, mi = folded(3)
    model = ShearedMixture.fit(y[:N], x[:N])
    assert (model.column, model.others) == (1, [2])
    assert abs(log_ratio(model, y[N:], x[N:]) - mi) < 0.2


def test_the_ratio_is_normalised():
    """Its mean over independent pairs is one, which no model with a wrong margin has."""
    x, y, _ = folded(4)
    model = ShearedMixture.fit(x[:N], y[:N])
    ratios = torch.stack([model(x[N:], y[N:].roll(k, 0)).diagonal() for k in range(1, 5)]).exp()
    error = float(ratios.mean(0).std()) / math.sqrt(N)
    assert abs(float(ratios.mean()) - 1) < 4 * error + 0.02


def test_a_refit_goes_on_from_an_earlier_one():
    x, y, _ = folded(5)
    first = ShearedMixture.fit(x[:500], y[:500])
    again = ShearedMixture.fit(x[:N], y[:N], start=first)
    gain = log_ratio(again, x[N:], y[N:]) - log_ratio(first, x[N:], y[N:])
    assert gain > 0
    assert len(again.mixture.weights) == len(first.mixture.weights)
    copula = GaussianCopula.fit(x[:N], y[:N])
    assert isinstance(ShearedMixture.fit(x[:N], y[:N], start=copula), GaussianCopula)


def heavy(rng):
    """Columns of both sides with a common scale."""
    rows = rng.normal(size=(N, 4)) / np.sqrt(rng.chisquare(2, size=(N, 1)) / 2)
    return rows[:, :2], rows[:, 2:]


def curved(rng):
    """y is a parabola of x, whose columns are independent."""
    x = rng.normal(size=(N, 2))
    return x, (x**2).sum(1, keepdims=True) + rng.normal(size=(N, 1))


def linear(rng):
    rows = rng.normal(size=(N, 4)) @ rng.normal(size=(4, 4))
    return rows[:, :2], rows[:, 2:]


@pytest.mark.parametrize("draw", [heavy, curved, linear])
def test_no_shear_is_sought_where_there_is_none(draw):
    found = 0
    for seed in range(20):
        x, y, _ = tensors(*draw(np.random.default_rng(seed)), 0.0)
        found += isinstance(ShearedMixture.fit(x, y), ShearedMixture)
    assert found <= 1


def test_constant_and_copied_columns_have_no_shear():
    x = torch.randn(N, 1, generator=torch.Generator().manual_seed(0))
    for other in (torch.zeros_like(x), x):
        assert isinstance(ShearedMixture.fit(torch.cat([x, other], 1), x), GaussianCopula)
