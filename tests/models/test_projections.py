"""The directions that share information are found among many columns, and their bends undone."""

import math

import numpy as np
import pytest
import torch

from infobound.models.copulas import GaussianCopula
from infobound.models.densities import MixtureModel
from infobound.models.projections import ProjectedModel

TRUTH = 0.8
RHO = math.sqrt(1 - math.exp(-2 * TRUTH))
BENDS = {
    "cube": lambda u: u**3 / math.sqrt(15),
    "exponential": lambda u: (np.exp(u) - math.exp(0.5)) / 2.16,
}


def needle(n, d, seed, bend, *, shared=True):
    """One column of each side shares information, bent and turned among d - 1 columns of noise."""
    rng = np.random.default_rng([seed, d])
    x, y = rng.normal(size=(2, n, d))
    if shared:
        y[:, 0] = RHO * x[:, 0] + math.sqrt(1 - RHO**2) * y[:, 0]
    for side in (x, y):
        side[:, 0] = bend(side[:, 0])
    turns = [np.linalg.qr(rng.normal(size=(d, d)))[0] for _ in range(2)]
    return tuple(
        torch.from_numpy(side @ turn).float() for side, turn in zip((x, y), turns, strict=True)
    )


def log_ratio(model, x, y):
    return float(model(x, y).diagonal().mean())


@pytest.mark.parametrize("bend", [*BENDS])
def test_a_bent_direction_among_many_columns_is_found(bend):
    gaps, gains = [], []
    for seed in range(3):
        x, y = needle(4000, 30, seed, BENDS[bend])
        model = ProjectedModel.fit(x[:1500], y[:1500])
        assert model.left.shape == (30, 1)
        gaps.append(log_ratio(model, x[1500:], y[1500:]) - TRUTH)
        plain = GaussianCopula.fit(x[:1500], y[:1500])
        gains.append(gaps[-1] + TRUTH - log_ratio(plain, x[1500:], y[1500:]))
    # Three means over 2,500 rows have a standard error of .01; directions of 30 columns cost .02.
    assert -0.08 < np.mean(gaps) < 0.03
    assert np.mean(gains) > 0.1  # than a copula of all columns


def test_a_refit_goes_on_from_an_earlier_one():
    x, y = needle(4000, 30, 0, BENDS["cube"])
    first = ProjectedModel.fit(x[:1000], y[:1000])
    again = ProjectedModel.fit(x[:2000], y[:2000], start=first)
    gain = log_ratio(again, x[2000:], y[2000:]) - log_ratio(first, x[2000:], y[2000:])
    assert gain > 0
    assert again.left.shape == (30, 1)


def test_where_no_direction_is_clear_or_bent_it_is_the_gaussian_copula():
    x, y = needle(500, 20, 0, BENDS["cube"], shared=False)
    model = ProjectedModel.fit(x, y)
    assert isinstance(model, GaussianCopula)
    assert isinstance(ProjectedModel.fit(x, y, start=model), GaussianCopula)
    assert isinstance(ProjectedModel.fit(*needle(1500, 20, 0, lambda u: u)), GaussianCopula)


def test_normals_in_few_columns_need_no_search():
    """All directions are clear, and their scores tell no more than their values."""
    rng = np.random.default_rng(0)
    x, noise = rng.normal(size=(2, 1000, 3))
    sides = [torch.from_numpy(side) for side in (x, 0.8 * x + 0.6 * noise)]
    assert isinstance(ProjectedModel.fit(*sides), GaussianCopula)
    cubes = [side**3 for side in sides]
    assert isinstance(ProjectedModel.fit(*cubes), ProjectedModel)


def test_on_fresh_independent_rows_it_shows_nothing():
    x, y = needle(3000, 5, 0, BENDS["cube"])
    model = ProjectedModel.fit(x[:1000], y[:1000])
    scores = model(x[1000:2000], y[2000:])
    assert float(scores.diagonal().mean()) < 0
    assert float(scores.exp().mean()) == pytest.approx(1, abs=0.15)
    assert isinstance(model.inner, MixtureModel | GaussianCopula)


def test_columns_of_few_values_and_constant_ones_are_finite():
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.integers(0, 2, size=(400, 6))).float()
    y = x.clone()
    y[:, 3:] = 0
    for sides in ((x, y), (x, 0 * y)):
        assert ProjectedModel.fit(*sides)(*sides).isfinite().all()
