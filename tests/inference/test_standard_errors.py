"""Standard errors of dependent rows, and how many independent ones they are worth."""

import math

import numpy as np
import pytest
from scipy.signal import lfilter

from infobound.config import Config
from infobound.inference.standard_errors import (
    effective_size,
    long_run_variance,
    standard_error,
)

SERIES = Config(series=True)


def walk(rng, n, phi):
    noise = rng.normal(size=n)
    noise[1:] *= math.sqrt(1 - phi**2)
    return lfilter([1.0], [1.0, -phi], noise)


def test_independent_rows_keep_the_plain_error():
    values = np.random.default_rng(0).normal(size=400)
    rows = np.arange(400)
    assert standard_error(values, rows, Config()) == float(values.std()) / 20
    assert effective_size(values, rows, Config()) is None


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9, 0.95])
def test_the_mean_of_a_series_is_covered(phi):
    rng = np.random.default_rng(1)
    covered, plain, sizes = [], [], []
    for _ in range(200):
        values, rows = walk(rng, 1000, phi), rng.permutation(1000)
        error = standard_error(values[rows], rows, SERIES)
        covered.append(abs(values.mean()) <= 1.96 * error)
        plain.append(abs(values.mean()) <= 1.96 * standard_error(values, rows, Config()))
        sizes.append(effective_size(values[rows], rows, SERIES))
    assert np.mean(covered) >= 0.9 - 2 * 0.021
    exact = 1000 * (1 - phi) / (1 + phi)
    assert exact / 1.5 < np.median(sizes) < 1.5 * exact
    if phi >= 0.5:  # negative control
        assert np.mean(plain) < 0.85


def test_the_order_of_time_matters_and_not_that_of_the_values():
    values = walk(np.random.default_rng(2), 500, 0.9)
    rows = np.random.default_rng(3).permutation(500)
    in_time = standard_error(values, np.arange(500), SERIES)
    assert standard_error(values[rows], rows, SERIES) == pytest.approx(in_time)
    assert standard_error(values[rows], np.arange(500), SERIES) < 0.6 * in_time


def test_a_long_run_variance_is_never_below_that_of_independent_rows():
    noise = np.random.default_rng(4).normal(size=1000)
    turning = noise[1:] - 0.9 * noise[:-1]  # each row undoes the one before
    assert long_run_variance(turning) == pytest.approx(turning.var())
    assert long_run_variance(np.ones(50)) == 0
    assert standard_error(np.ones(50), np.arange(50), SERIES) == 0
    assert effective_size(np.ones(50), np.arange(50), SERIES) is None


def test_the_mean_of_groups_is_covered():
    rng = np.random.default_rng(5)
    groups, covered, plain = np.repeat(np.arange(15), 20), [], []
    for _ in range(300):
        values = rng.normal(size=15)[groups] + rng.normal(size=300)
        rows = rng.permutation(300)
        error = standard_error(values[rows], rows, Config(), groups=groups)
        covered.append(abs(values.mean()) <= 1.96 * error)
        plain.append(abs(values.mean()) <= 1.96 * standard_error(values, rows, Config()))
    assert np.mean(covered) >= 0.9 - 2 * 0.017
    assert np.mean(plain) < 0.7  # negative control


def test_groups_of_equal_rows_are_worth_one_row_each():
    values = np.random.default_rng(6).normal(size=60)
    groups = np.repeat(np.arange(60), 5)
    found = effective_size(values[groups], np.arange(300), Config(), groups=groups)
    assert found == pytest.approx(60, rel=0.02)
    one = effective_size(values, np.arange(60), Config(), groups=np.zeros(60, dtype=int))
    assert one == 1


def test_few_groups_widen_the_error_by_the_spread_of_t():
    values = np.random.default_rng(7).normal(size=6)
    groups = np.arange(6)
    plain = values.std(ddof=1) / math.sqrt(6)
    found = standard_error(values, np.arange(6), Config(), groups=groups)
    assert found == pytest.approx(plain * math.sqrt(5 / 3), rel=1e-6)
