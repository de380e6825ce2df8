"""Tests of greedy selection: what is found, what is left out, and the size of its tests."""

import numpy as np
import pytest

from infobound.data.columns import Column
from infobound.errors import InputError
from infobound.tables.features import CRITERIA, Remainder, select

N = 500


def column(values, *, categorical=False):
    codes = np.unique(values, return_inverse=True)[1]
    return Column("", codes, int(codes.max()) + 1, categorical)


def columns(x, *, categorical=False):
    return [column(each, categorical=categorical) for each in x.T]


def copies(rng):
    """Two causes in columns 0 and 3, each with two noisy copies after it; four other columns."""
    a, b, *noise = rng.normal(size=(6, N))
    near = 0.2 * rng.normal(size=(4, N))
    x = np.stack([a, a + near[0], a + near[1], b, b + near[2], b + near[3], *noise], axis=1)
    return x, a + 0.5 * b + 0.7 * rng.normal(size=N)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_copies_are_passed_over_by_all_but_relevance(criterion):
    x, y = copies(np.random.default_rng(0))
    found = select(columns(x), column(y), count=2, criterion=criterion)
    groups = {k // 3 for k in found.order}
    assert groups == ({0} if criterion == "relevance" else {0, 1})
    assert sorted(found.ranking) == list(range(1, 11))
    assert [found.ranking[k] for k in found.order] == [1, 2]


@pytest.mark.parametrize("classes", [False, True])
def test_selection_stops_where_nothing_is_added(classes):
    x, y = copies(np.random.default_rng(1))
    target = column(y > 0, categorical=True) if classes else column(y)
    found = select(columns(x), target)
    assert {k // 3 for k in found.order} == {0, 1}
    assert len(found.order) == 2
    assert max(found.p_values) < 0.05
    assert min(found.information) > 0.02


def test_monotone_copies_are_nothing_new():
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(2, N))
    x = np.stack([a, np.exp(a), -(a**3), b], axis=1)
    found = select(columns(x), column(a + b + rng.normal(size=N)), count=3)
    assert set(found.order[:2]) in ({0, 3}, {1, 3}, {2, 3})
    assert found.p_values[2] == 1


def test_partners_are_found_and_their_product_is_known_after():
    rng = np.random.default_rng([0, 3])
    a, b, c, d, e = rng.normal(size=(5, N))
    copy = a * b + 0.2 * rng.normal(size=N)
    x = np.stack([c, a, d, b, e], axis=1)
    found = select(columns(x), column((a * b > 0) ^ (rng.random(N) < 0.1), categorical=True))
    assert sorted(found.order) == [1, 3]
    assert sorted(found.partners) == [1, 3]
    after = Remainder(columns(np.stack([a, b, copy], axis=1)), column(a * b))
    after.add(0)
    after.add(1)
    assert after.added().log_p[2] > np.log(0.001)


NULL = {  # a selected column, and how columns and a target depend on it alone
    "linear": (lambda s, e: s + 0.2 * e, lambda s, e: s + 0.5 * e, False),
    "fold": (lambda s, e: s + 0.2 * e, lambda s, e: np.abs(s) + 0.3 * e, False),
    "wave": (lambda s, e: np.sin(3 * s) + 0.3 * e, lambda s, e: np.sin(3 * s) + 0.3 * e, False),
    "spread": (lambda s, e: np.exp(s) * e, lambda s, e: np.exp(s) * e, False),
    "classes": (lambda s, e: s + 0.2 * e, lambda s, e: np.digitize(s + e / 3, [-1, 0.5]), True),
    "binary": (lambda s, e: (s > 0) ^ (e > 1.3), lambda s, e: (s > 0) ^ (e > 1.3), True),
}


@pytest.mark.parametrize("kind", NULL)
def test_nothing_is_added_by_effects_of_a_selected_column(kind):
    effect, target, classes = NULL[kind]
    rejected, repeats = 0, 30
    for seed in range(repeats):
        rng = np.random.default_rng([seed, 5])
        s = rng.normal(size=N)
        others = effect(s[:, None], rng.normal(size=(N, 5)))
        cause = s > 0 if kind == "binary" else s
        y = column(target(s, rng.normal(size=N)), categorical=classes)
        after = Remainder(columns(np.column_stack([cause, others])), y)
        if seed == 0:  # before it is selected they say something
            assert after.added().log_p[1:].max() < np.log(1e-4)
        after.add(0)
        rejected += after.added().log_p.min() + np.log(5) <= np.log(0.05)
    assert rejected / repeats <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / repeats)


def test_what_is_selected_is_regressed_out_by_uncorrelated_functions():
    rng = np.random.default_rng(12)
    category, count = rng.integers(6, size=N), rng.poisson(2, size=N)
    often_zero = np.where(rng.random(N) < 0.7, 0, rng.exponential(size=N))
    x = columns(np.stack([category, often_zero, count, rng.normal(size=N)], axis=1))
    x[0] = column(category, categorical=True)
    after = Remainder(
        x, column(category % 3 + 0.3 * count + 0.6 * often_zero + 0.5 * x[3].codes / N)
    )
    for k in range(4):
        after.add(k)
    basis = after._basis
    np.testing.assert_allclose(basis.T @ basis, np.eye(basis.shape[1]), atol=1e-9)
    assert 10 < basis.shape[1] < N / 4


@pytest.mark.parametrize("classes", [False, True])
def test_what_is_added_is_found_beside_a_strong_column(classes):
    rng = np.random.default_rng(6)
    s, weak, *noise = rng.normal(size=(6, N))
    y = 3 * s + weak + 0.5 * rng.normal(size=N)
    x = np.stack([s, s + weak, *noise], axis=1)
    after = Remainder(columns(x), column(y > 0, categorical=True) if classes else column(y))
    after.add(0)
    found = after.added()
    assert found.log_p.argmin() == 1
    assert found.log_p[1] < np.log(1e-8)
    assert found.log_p[0] == 0


def test_nothing_is_selected_where_nothing_is_relevant():
    selected, repeats = 0, 40
    for seed in range(repeats):
        rng = np.random.default_rng([seed, 7])
        x = columns(rng.normal(size=(200, 12)))
        selected += bool(select(x, column(rng.normal(size=200))).order)
    assert selected / repeats <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / repeats)


def test_all_columns_can_be_asked_for_copies_and_constants_too():
    rng = np.random.default_rng(10)
    b, c = rng.integers(2, size=(2, 60))
    x = np.stack([b, b, 1 - b, np.zeros(60), c, rng.normal(size=60)], axis=1)
    for criterion in CRITERIA:
        found = select(columns(x), column(b + rng.normal(size=60)), count=6, criterion=criterion)
        assert sorted(found.order) == list(range(6))
        assert max(found.p_values) == 1


def test_a_target_may_have_many_classes():
    rng = np.random.default_rng(11)
    x = rng.normal(size=(N, 5))
    y = np.digitize(x[:, 2] + 0.1 * rng.normal(size=N), np.linspace(-2, 2, 40))
    assert select(columns(x), column(y, categorical=True)).order == (2,)


def test_candidates_limit_the_selection():
    x, y = copies(np.random.default_rng(8))
    assert select(columns(x), column(y), candidates=[4, 9]).order == (4,)
    assert select(columns(x), column(y), candidates=[], count=2).order == ()


def test_input_that_cannot_be_used_is_refused():
    x, y = copies(np.random.default_rng(9))
    good, target = columns(x), column(y)
    missing = Column("gap", np.where(np.arange(N) < 3, -1, good[0].codes), N, False)
    with pytest.raises(InputError, match="no missing values"):
        select([*good, missing], target)
    with pytest.raises(InputError, match="a target that varies"):
        select(good, column(np.zeros(N)))
    with pytest.raises(InputError, match="criterion"):
        select(good, target, criterion="mrmr")
