"""Permutation tests of many pairs of columns: size, power, and pairs with missing values."""

import numpy as np
import pytest
from scipy import stats

from infobound.data.columns import Column, columns
from infobound.errors import InputError
from infobound.tables import column_tests as module
from infobound.tables.column_scores import scores
from infobound.tables.column_tests import column_tests

KINDS = {
    "normal": lambda rng, n: rng.normal(size=n),
    "rounded": lambda rng, n: np.round(2 * rng.normal(size=n)),
    "zeros": lambda rng, n: np.where(rng.random(n) < 0.8, 0, rng.exponential(size=n)),
    "binary": lambda rng, n: rng.random(n) < 0.4,
    "rare": lambda rng, n: np.arange(n) % 40 == rng.integers(40),
    "counts": lambda rng, n: rng.poisson(0.5, size=n),
    "category": lambda rng, n: rng.choice(5, p=[0.5, 0.3, 0.1, 0.07, 0.03], size=n),
}


def drawn(rng, kind, n, name):
    distinct, codes = np.unique(KINDS[kind](rng, n), return_inverse=True)
    return Column(name, codes, len(distinct), kind in ("category", "binary"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("other", ["normal", "same"])
def test_p_values_are_valid_for_all_kinds_of_columns(kind, other):
    rng, n, p = np.random.default_rng(3), 120, 20
    left = [drawn(rng, kind, n, f"x{k}") for k in range(p)]
    right = [drawn(rng, kind if other == "same" else other, n, f"y{k}") for k in range(p)]
    found = column_tests(left, right, permutations=99, seed=1)
    values = found.p_value.ravel()  # each pair is nearly independent of the others
    for level in (0.01, 0.05, 0.2):
        assert (values <= level).mean() < level + 5 * np.sqrt(level / len(values))
    assert found.adjusted.min() >= values.min()
    if kind == "normal":
        assert stats.kstest(values, "uniform").pvalue > 1e-4


def test_the_size_is_noticed_where_it_is_wrong(monkeypatch):
    monkeypatch.setattr(module, "SLACK", -0.5)  # ties and more count for dependence
    rng = np.random.default_rng(3)
    both = [[drawn(rng, "binary", 120, f"{s}{k}") for k in range(20)] for s in "xy"]
    values = column_tests(*both, permutations=99, seed=1).p_value.ravel()
    assert (values <= 0.2).mean() > 0.2 + 5 * np.sqrt(0.2 / len(values))


SHAPES = {
    "linear": lambda rng, x: 0.5 * x + rng.normal(size=len(x)),
    "parabola": lambda rng, x: x**2 + rng.normal(size=len(x)),
    "wave": lambda rng, x: np.sin(4 * x) + 0.5 * rng.normal(size=len(x)),
    "cross": lambda rng, x: rng.choice([-1, 1], len(x)) * x + 0.3 * rng.normal(size=len(x)),
    "step": lambda rng, x: (x > 0.8) + 0.5 * rng.normal(size=len(x)),
    "scale": lambda rng, x: x * rng.normal(size=len(x)),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_dependence_of_many_shapes_is_found_with_small_p_values(shape):
    rng = np.random.default_rng(0)
    x = rng.normal(size=400)
    found = column_tests(columns(np.stack([x, SHAPES[shape](rng, x)], axis=1)), permutations=199)
    assert found.p_value[0, 1] < 1e-5  # extrapolated
    assert found.adjusted[0, 1] == pytest.approx(1 / 200)


def test_adjusted_p_values_control_the_family_and_know_of_copies():
    rng, n = np.random.default_rng(4), 100
    wrong, copied = 0, []
    for seed in range(40):
        left = columns(rng.normal(size=(n, 12)))
        target = columns(rng.normal(size=(n, 1)))
        wrong += column_tests(left, target, permutations=79, seed=seed).adjusted.min() <= 0.1
        copied.append(column_tests([left[0]] * 12, target, permutations=79, seed=seed))
    assert wrong <= 4 + 3 * np.sqrt(4)
    assert all(np.allclose(one.adjusted, one.p_value, atol=0.02) for one in copied)


def test_rows_with_missing_values_are_left_out_by_pair():
    rng, n = np.random.default_rng(5), 300
    x = rng.normal(size=(n, 4))
    x[:, 1] += x[:, 0]
    x[:60, 1], x[40:90, 2] = np.nan, np.nan
    found = column_tests(columns(x), permutations=99)
    assert found.p_value[0, 1] < 1e-6
    assert np.array_equal(found.p_value, found.p_value.T, equal_nan=True)
    for i, j in ((0, 1), (1, 2), (2, 3)):
        whole = ~np.isnan(x[:, [i, j]]).any(axis=1)
        alone = column_tests(columns(x[whole][:, [i, j]]), permutations=99).p_value[0, 1]
        assert found.p_value[i, j] == pytest.approx(alone, abs=0.2)
    values = [
        column_tests(columns(np.where(rng.random((n, 2)) < 0.2, np.nan, z)), permutations=39)
        for z in rng.normal(size=(150, n, 2))
    ]
    assert np.mean([one.p_value[0, 1] <= 0.1 for one in values]) < 0.1 + 3 * np.sqrt(0.09 / 150)


def test_all_pairs_are_the_pairs_of_both_sides():
    table = columns(np.random.default_rng(6).normal(size=(80, 40)))
    square = column_tests(table, permutations=19)
    sides = column_tests(table[:35], table[35:], permutations=19)
    assert np.allclose(square.p_value[:35, 35:], sides.p_value)
    assert np.isnan(np.diag(square.p_value)).all()


def test_rare_events_that_coincide_have_fishers_p_value():
    both = np.zeros((2_000, 2))
    both[:12], both[12:18, 0], both[18:24, 1] = 1, 1, 1
    found = column_tests(columns(both), permutations=99).p_value[0, 1]
    exact = stats.fisher_exact([[12, 6], [6, 1976]]).pvalue
    assert found == pytest.approx(max(2 * exact, 1e-16), rel=1)


@pytest.mark.parametrize("levels", [1, 2, 3, 7, 500])
@pytest.mark.parametrize("categorical", [True, False])
def test_scores_are_orthonormal_whatever_the_ties(levels, categorical):
    codes = np.random.default_rng(7).integers(levels, size=500) ** 2
    found = scores(codes, categorical=categorical).astype(float)
    count = len(np.unique(codes)) - 1
    assert found.shape[1] == max(1, min(count, 16 if categorical else 6))
    assert np.allclose(found.sum(axis=0), 0, atol=1e-3)
    assert np.allclose(found.T @ found / 500, np.eye(found.shape[1]) * (levels > 1), atol=1e-4)


def test_constant_columns_show_nothing():
    table = columns({"a": [1, 1, 1, 1, 1, 1], "b": [1, 2, 3, 4, 5, 6]})
    assert column_tests(table, permutations=19).p_value[0, 1] == 1


def test_errors_and_steps():
    x = columns(np.random.default_rng(8).normal(size=(30, 2)))
    with pytest.raises(InputError, match="at least one pair"):
        column_tests(x[:1])
    with pytest.raises(InputError, match="permutations"):
        column_tests(x, permutations=5)
    steps = []
    column_tests(x, permutations=19, watch=lambda done, steps_: steps.append((done, steps_)))
    assert steps == [(k, 20) for k in range(1, 21)]
