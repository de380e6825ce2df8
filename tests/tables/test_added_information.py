"""Tests of what columns add: size, power, information, and the tail of the chi-squared law."""

import numpy as np
import pytest
from scipy.special import gammaincc

from infobound.tables.added_information import (
    Target,
    _log_tail,
    alone,
    in_pairs,
    middle_ranks,
    quantile_codes,
    whitened,
)

N, COLUMNS = 600, 300


def ranks(values):
    return middle_ranks(np.unique(values, return_inverse=True)[1])


def classes(codes):
    """Classes whose codes are in order of frequency."""
    indicators = np.eye(codes.max() + 1)[codes]
    return Target.classes(indicators[:, :-1], np.sort(indicators.mean(axis=0))[::-1])


TARGETS = {
    "quantity": lambda rng: Target.quantity(ranks(rng.normal(size=N))),
    "often zero": lambda rng: Target.quantity(ranks(rng.poisson(0.7, size=N))),
    "three classes": lambda rng: classes(rng.integers(3, size=N)),
    "a rare class": lambda rng: classes((rng.random(N) < 0.1).astype(int)),
}
COLUMN = {
    "quantity": lambda rng, shape: rng.normal(size=shape),
    "binary": lambda rng, shape: rng.integers(2, size=shape),
    "often zero": lambda rng, shape: rng.exponential(size=shape) * (rng.random(shape) < 0.2),
}


def coded(columns):
    return np.stack([quantile_codes(column) for column in columns.T], axis=1)


def evidence(codes, target, *, few=False, pairs=False):
    p = codes.shape[1]
    everything = np.arange(p)
    if pairs:
        return in_pairs(
            codes, target, contexts=codes, free=1.0, among=everything, partners=everything
        )
    basis = np.empty((len(codes), 0))
    return alone(codes, target, basis=basis, few=np.full(p, few), among=everything)


@pytest.mark.parametrize("kind", COLUMN)
@pytest.mark.parametrize("target", TARGETS)
def test_independent_columns_add_nothing(target, kind):
    rng = np.random.default_rng(0)
    codes = coded(COLUMN[kind](rng, (N, COLUMNS)))
    found = evidence(codes, TARGETS[target](rng), few=kind == "binary")
    p_values = np.exp(found.log_p)
    for level in (0.05, 0.01):  # three standard errors
        assert (p_values <= level).mean() < level + 3 * np.sqrt(level * (1 - level) / COLUMNS)
    assert p_values.min() < 0.05  # and is no test that never rejects
    assert abs(found.information.mean()) < 0.003


@pytest.mark.parametrize("target", TARGETS)
def test_independent_pairs_add_nothing(target):
    rng = np.random.default_rng(1)
    smallest = []
    for _ in range(40):
        codes = coded(np.hstack([make(rng, (N, 4)) for make in COLUMN.values()]))
        smallest.append(evidence(codes, TARGETS[target](rng), pairs=True).log_p.min() + np.log(12))
    assert np.mean(np.exp(smallest) <= 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 40)
    assert np.exp(min(smallest)) < 0.5


def test_dependence_of_each_kind_is_found():
    rng = np.random.default_rng(2)
    x = rng.uniform(-1, 1, size=(N, 1))
    noise = 0.5 * rng.normal(size=N)
    for y in (x[:, 0] + noise, x[:, 0] ** 2 + noise / 3, np.sin(9 * x[:, 0]) + noise, noise * x.T):
        (log_p,) = evidence(coded(x), Target.quantity(ranks(np.ravel(y)))).log_p
        assert log_p < np.log(1e-6)


def test_information_is_that_of_normal_columns():
    rng = np.random.default_rng(3)
    z, x = rng.normal(size=(2, 20_000))
    target = Target.quantity(ranks(0.5 * x + np.sqrt(0.75) * z))
    (found,) = evidence(coded(x[:, None]), target).information
    assert found == pytest.approx(-0.5 * np.log(0.75), abs=0.02)


def test_one_row_that_is_rare_twice_is_no_evidence():
    column = np.zeros((N, 1))
    column[:3] = 1
    for few, rare in ((True, 1), (False, 1), (True, 60), (False, 60)):
        codes = np.zeros(N, dtype=int)
        codes[2 : 2 + rare] = 1  # of 60, more than one is expected in 20 rows, and none in 3
        (log_p,) = evidence(coded(column), classes(codes), few=few).log_p
        assert log_p == 0
    codes[:3] = 1
    column[:20] = 1
    assert evidence(coded(column), classes(codes)).log_p[0] < np.log(1e-3)


@pytest.mark.parametrize("pairs", [False, True])
def test_a_pair_shows_what_its_columns_do_not(pairs):
    rng = np.random.default_rng(4)
    x = rng.normal(size=(N, 8))
    target = classes(((x[:, 2] > 0) ^ (x[:, 5] > 0)).astype(int))
    found = evidence(coded(x), target, pairs=pairs)
    known = np.flatnonzero(found.log_p < np.log(1e-4)).tolist()
    assert known == ([2, 5] if pairs else [])
    if pairs:
        assert found.partner[[2, 5]].tolist() == [5, 2]
        assert found.information[2] == pytest.approx(np.log(2) / 2, abs=0.02)  # log(1 + 1) / 2


def test_a_pair_is_not_credited_with_what_one_column_says():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(N, 6))
    x[:, 1] = x[:, 0] + rng.normal(size=N)  # tells nothing beyond column 0
    found = evidence(coded(x), Target.quantity(ranks(x[:, 0] > 0)), pairs=True)
    assert found.log_p[0] < np.log(1e-6)
    assert found.partner[1] != 0


def test_whitened_functions_are_uncorrelated_and_combinations_vanish():
    rng = np.random.default_rng(6)
    a, b = rng.normal(size=(2, 50, 1))
    found, used = whitened(np.hstack([a, a - 7, b, a + 2 * b, np.ones((50, 1))]))
    assert used.tolist() == [True, False, True, False, False]
    np.testing.assert_allclose(found.T @ found / 49, np.diag(used.astype(float)), atol=1e-9)


def test_the_tail_goes_on_where_float64_ends():
    freedom = np.array([1.0, 9.0, 225.0])
    near = np.array([30.0, 50.0, 500.0])
    expected = np.log(gammaincc(freedom / 2, near / 2))
    np.testing.assert_allclose(_log_tail(near, freedom), expected, rtol=1e-9)
    for f in freedom:  # decreasing, without a step where the formulas meet
        x = np.arange(1000.0, 3000.0, 10.0)
        steps = np.diff(_log_tail(x, np.full_like(x, f)))
        assert (steps < 0).all()
    assert _log_tail(np.array([5000.0]), freedom[1:2]) == pytest.approx(-2475.07, abs=0.01)
