"""Tests of conditional independence where x and y are classes, or z takes few values."""

import numpy as np

from infobound import data
from infobound.config import Config
from infobound.estimation.conditional import Sides, p_values
from infobound.inference.conditional_independence import projection_p, within

RUNS = 12


def both(x, y, z):
    pair, config = data.as_pair(x, y, given=z), Config()
    return p_values(pair, Sides.of(pair, config), config, [])


def rejected(values):
    return (np.array(values) <= 0.05).sum(axis=0)


def test_classes_with_a_common_cause_are_independent_given_it():
    tested, raw = [], []
    for seed in range(RUNS):
        z, *noise = np.random.default_rng(seed).normal(size=(3, 200, 1))
        x, y = ((1.5 * z + e > 0).astype(float) for e in noise)
        tested.append(both(x, y, z))
        raw.append(projection_p(x - x.mean(), y - y.mean(), []))
    assert rejected(raw) == RUNS  # z is not taken out
    assert (rejected(tested) <= 3).all()  # more by chance: .2 %, if the tests are exact


def test_dependent_classes_are_found():
    tested = []
    for seed in range(RUNS):
        rng = np.random.default_rng(seed)
        z, noise = rng.normal(size=(2, 200, 1))
        x = (z + noise > 0).astype(float)
        tested.append(both(x, np.where(rng.uniform(size=x.shape) < 0.25, 1 - x, x), z))
    assert (rejected(tested) >= RUNS - 2).all()


def test_means_of_levels_that_no_smooth_function_has_are_taken_out():
    tested = []
    for seed in range(RUNS // 2):
        rng = np.random.default_rng(seed)
        z = rng.integers(30, size=(200, 1))
        x, y = 3 * (z * 7 % 5) + rng.normal(size=(2, 200, 1))
        tested.append(both(x, y, z))
    assert (rejected(tested) <= 2).all()


def test_rows_of_large_leverage_and_variance_count_fully():
    """The control knows the mean leverage only, and rows of large variance have larger ones."""
    rng, groups = np.random.default_rng(0), np.r_[np.repeat(np.arange(20), 3), np.full(200, 20)]
    leverages, scale = 1 / np.bincount(groups)[groups], np.where(groups < 20, 5.0, 1.0)[:, None]
    rejected = np.zeros(2)
    for _ in range(2000):
        means = np.zeros((21, 2))
        sides = scale * rng.normal(size=(len(groups), 2))
        np.add.at(means, groups, sides * leverages[:, None])
        x, y = np.split(sides - means[groups], 2, axis=1)
        for k, known in enumerate((leverages, np.full(len(groups), leverages.mean()))):
            rejected[k] += projection_p(x, y, [], leverages=known) <= 0.05
    error = np.sqrt(0.05 * 0.95 / 2000)
    assert rejected[0] / 2000 < 0.05 + 4 * error < rejected[1] / 2000


def test_products_within_small_groups_count_as_fewer_rows():
    rng, groups = np.random.default_rng(0), np.repeat(np.arange(60), 3)
    pairs = [[within(side, groups) for side in rng.normal(size=(2, 180, 1))] for _ in range(2000)]
    rates = [
        np.mean(
            [
                projection_p(x, y, [], leverages=np.full(len(x), means / len(x))) <= 0.05
                for x, y in pairs
            ]
        )
        for means in (60, 0)
    ]
    error = np.sqrt(0.05 * 0.95 / 2000)
    assert rates[0] < 0.05 + 4 * error < rates[1]
