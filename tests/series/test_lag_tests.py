"""Tests of series at many lags: size under autocorrelation, power, groups, gaps, surrogates."""

import numpy as np
import pytest
from scipy.signal import lfilter

from infobound.data.columns import Column, columns
from infobound.errors import InputError
from infobound.series.lag_tests import Windows, _squares, lag_tests, whiten
from infobound.tables.column_tests import column_tests


def slow(rng, n, phi):
    """Return an autoregression of variance 1, in which phi correlates a row and the next."""
    return lfilter([1], [1, -phi], rng.normal(size=n + 1_000))[1_000:] * np.sqrt(1 - phi**2)


def chain(rng, n, stay):
    """Return a Markov chain of three states, as text."""
    change = (rng.random(n) > stay) * rng.integers(1, 3, size=n)
    return np.array(["a", "b", "c"])[np.cumsum(change) % 3]


def coded(*series):
    return columns({str(k): values for k, values in enumerate(series)})


def share_found(draw, n, max_lag, runs, **options):
    """Return how often independent series are called dependent at .05, at any lag."""
    rng = np.random.default_rng(0)
    p = [
        lag_tests(*coded(draw(rng, n), draw(rng, n)), max_lag, **options).adjusted.min()
        for _ in range(runs)
    ]
    return np.mean(np.array(p) <= 0.05)


@pytest.mark.parametrize("phi", [0.0, 0.95])
def test_independent_series_are_rarely_found_at_any_lag(phi):
    found = share_found(lambda rng, n: slow(rng, n, phi), n=300, max_lag=10, runs=60)
    assert found < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 60)


def test_permutations_of_the_rows_would_find_them():
    rng, found = np.random.default_rng(0), []
    for _ in range(60):
        pair = coded(slow(rng, 300, 0.9), slow(rng, 300, 0.9))
        found.append(column_tests(pair, permutations=39).p_value[0, 1] <= 0.05)
    assert np.mean(found) > 0.05 + 5 * np.sqrt(0.05 * 0.95 / 60)


def test_without_whitening_they_would_be_found(monkeypatch):
    monkeypatch.setattr("infobound.series.lag_tests.ORDER", 0)
    monkeypatch.setattr("infobound.series.lag_tests._tail", lambda null, values: 0 * values)
    found = share_found(lambda rng, n: slow(rng, n, 0.9), n=300, max_lag=5, runs=40)
    assert found > 0.05 + 5 * np.sqrt(0.05 * 0.95 / 40)


def test_independent_chains_of_states_are_rarely_found():
    found = share_found(lambda rng, n: chain(rng, n, 0.9), n=500, max_lag=5, runs=50)
    assert found < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 50)


@pytest.mark.parametrize("shape", [lambda x: x, lambda x: x**2, lambda x: np.sin(2 * x)])
@pytest.mark.parametrize("phi", [0.0, 0.95])
def test_dependence_of_any_shape_is_found_at_its_lag(shape, phi):
    rng = np.random.default_rng(1)
    x, noise = slow(rng, 1_000, phi), slow(rng, 1_000, phi)
    y = np.concatenate([rng.normal(size=7), shape(x)[:-7]]) + 0.7 * noise
    one, other = coded(x, y)
    found, back = lag_tests(one, other, 20), lag_tests(other, one, 20)
    assert found.lags[found.adjusted.argmin()] == 7
    assert found.adjusted.min() < 1e-4
    assert back.lags[back.adjusted.argmin()] == -7
    assert np.allclose(back.statistic, found.statistic[::-1])


def test_increasing_transforms_change_nothing():
    rng = np.random.default_rng(2)
    x, y = slow(rng, 400, 0.9), slow(rng, 400, 0.9)
    first, second = lag_tests(*coded(x, y), 5), lag_tests(*coded(np.exp(3 * x), y**3), 5)
    assert np.allclose(first.statistic, second.statistic)


def test_how_small_a_counted_p_value_can_be():
    rng = np.random.default_rng(3)
    x = rng.normal(size=440)
    found = lag_tests(*coded(x, np.roll(x, 2)), 10)
    assert found.smallest_p == pytest.approx(1 / (440 // 21))
    assert found.counted_p == found.smallest_p
    assert found.adjusted.min() < 1e-12


def test_groups_keep_lags_inside():
    rng = np.random.default_rng(4)
    groups = np.repeat(np.arange(30), 40)
    x = rng.normal(size=1_200)
    y = np.roll(x, 45)  # always another group's
    apart = lag_tests(*coded(x, y), 50)
    inside = lag_tests(*coded(x, y), 15, windows=Windows.of(1_200, groups))
    assert apart.lags[apart.adjusted.argmin()] == 45
    assert inside.adjusted.min() > 0.05
    inside = lag_tests(*coded(x, np.roll(x, 3)), 15, windows=Windows.of(1_200, groups))
    assert inside.lags[inside.adjusted.argmin()] == 3
    assert inside.counted_p == inside.smallest_p == 1 / 200


def test_groups_of_different_levels_are_no_dependence():
    rng = np.random.default_rng(5)
    groups = np.repeat(np.arange(20), 50)
    p = []
    for _ in range(20):
        level = 3 * rng.normal(size=20)[groups]
        pair = coded(level + rng.normal(size=1_000), level + rng.normal(size=1_000))
        p.append(lag_tests(*pair, 10, windows=Windows.of(1_000, groups)).adjusted.min())
    assert np.mean(np.array(p) <= 0.05) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 20)


def test_interleaved_groups_are_sorted():
    rng = np.random.default_rng(6)
    x, groups = rng.normal(size=400), np.tile([0, 1], 200)
    y = np.roll(x, 2)
    found = lag_tests(*coded(x, y), 5, windows=Windows.of(400, groups))
    assert found.lags[found.adjusted.argmin()] == 1


def test_gaps_stay_where_they_are_in_time():
    rng = np.random.default_rng(7)
    x = slow(rng, 1_000, 0.8)
    y = np.roll(x, 4) + 0.5 * rng.normal(size=1_000)
    x[300:420], y[rng.random(1_000) < 0.1] = np.nan, np.nan
    found = lag_tests(*coded(x, y), 10)
    assert found.lags[found.adjusted.argmin()] == 4
    assert found.adjusted.min() < 1e-6


def test_independent_series_with_gaps_are_rarely_found():
    def draw(rng, n):
        values = slow(rng, n, 0.95)
        values[rng.random(n) < 0.1] = np.nan
        return values

    found = share_found(draw, n=400, max_lag=10, runs=40)
    assert found < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 40)


@pytest.mark.parametrize("back", [False, True])
def test_transforms_give_the_sums_over_pairs_of_rows(back):
    rng = np.random.default_rng(10)
    windows = Windows.of(65, np.repeat([0, 1, 2], [50, 3, 12]))
    one, other, lags = rng.normal(size=(65, 2)), rng.normal(size=(65, 3)), np.arange(-8, 9)
    found = [*_squares(one, other, windows, lags, None, back)]
    for place, lag in enumerate(lags):
        i, j = windows.pairs(-lag if back else lag)
        products = one[i][:, :, None] * other[j][:, None]
        expected = products.sum(axis=0) ** 2 / (products**2).sum(axis=0)
        assert np.allclose(np.stack(found, axis=-1)[place], expected)


def test_surrogates_take_the_place_of_the_model():
    rng = np.random.default_rng(8)
    x, y = slow(rng, 300, 0.9), slow(rng, 300, 0.9)
    drawn = coded(*(slow(rng, 300, 0.9) for _ in range(39)))
    found = lag_tests(*coded(x, y), 5, surrogates=drawn)
    assert found.smallest_p == 1 / 40
    assert found.adjusted.min() == found.counted_p
    assert (found.adjusted >= found.p_value).all()
    related = lag_tests(*coded(x, x + 0.1 * y), 5, surrogates=drawn)
    assert related.adjusted.min() == 1 / 40


def test_what_cannot_be_tested_is_said():
    pair = coded(*np.random.default_rng(0).normal(size=(2, 100)))
    with pytest.raises(InputError, match="max_lag of at most 20 for 100 rows; got 21"):
        lag_tests(*pair, 21)
    short = Windows.of(100, np.arange(100) // 10)
    assert len(lag_tests(*pair, 8, windows=short).lags) == 17
    with pytest.raises(InputError, match="at most 8 for groups of up to 10 rows; got 9"):
        lag_tests(*pair, 9, windows=short)
    constant = Column("k", np.zeros(100, dtype=int), 1, False)
    with pytest.raises(InputError, match="differ in series k"):
        whiten(constant, Windows.of(100))


@pytest.mark.parametrize(
    "values",
    [
        np.arange(200.0),
        np.sin(np.arange(200) / 5),
        np.repeat([0.0, 1.0], 100),
        np.where(np.arange(200) == 60, 1.0, 0.0),
        np.where(np.arange(200) < 190, np.nan, np.arange(200) % 3),
    ],
)
def test_series_without_innovations_are_no_evidence(values):
    noise = np.random.default_rng(9).normal(size=200)
    for pair in (coded(values, noise), coded(noise, values), coded(values, values)):
        found = lag_tests(*pair, 10)
        assert np.isfinite(found.statistic).all()
        assert ((found.p_value > 0) & (found.p_value <= found.adjusted)).all()
    assert lag_tests(*coded(values, noise), 10).adjusted.min() > 0.01
