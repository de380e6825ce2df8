import numpy as np
import torch

from infobound.models.regressed import RegressionModel


def rows(n, seed, slope):
    """x with z, and y whose slope by x depends on z."""
    z, x, noise = np.random.default_rng(seed).normal(size=(3, n, 1))
    r = slope(z)
    y = r * x + np.sqrt(1 - r**2) * noise
    log_ratio = -0.5 * np.log(1 - r**2) + y**2 / 2 - (y - r * x) ** 2 / (2 * (1 - r**2))
    return *(torch.from_numpy(v).float() for v in (np.hstack([x, z]), y)), log_ratio


def test_it_follows_a_slope_that_depends_on_what_is_given():
    x, y, _ = rows(2000, 0, lambda z: 0.9 * np.tanh(2 * z))
    model = RegressionModel.fit(x, y, given=1)
    x, y, truth = rows(1000, 1, lambda z: 0.9 * np.tanh(2 * z))
    scores = model(x, y)
    assert abs(float(scores.diagonal().mean()) - truth.mean()) < 0.05
    assert abs(float(scores.exp().mean()) - 1) < 0.1  # e^f averages to one: it is a log ratio


def test_it_finds_nothing_in_independent_rows_and_is_refitted():
    x, y, _ = rows(1000, 0, np.zeros_like)
    model = RegressionModel.fit(x[:800], y[:800], given=1)
    again = RegressionModel.fit(x, y, given=1, start=model)
    other = rows(1000, 1, np.zeros_like)
    for each in (model, again):
        assert -0.02 < float(each(*other[:2]).diagonal().mean()) < 0.01


def test_a_second_round_follows_only_where_the_first_one_found_something():
    found = RegressionModel.fit(*rows(800, 0, lambda z: 0.9 * np.tanh(2 * z))[:2], given=1)
    none = RegressionModel.fit(*rows(800, 0, np.zeros_like)[:2], given=1)
    assert [stage is None for stage in found.stages] == [False] * 6
    assert [stage is None for stage in none.stages] == [False] * 3 + [True] * 2 + [False]
