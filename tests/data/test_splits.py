"""Folds: every row is tested once, by what did not see it."""

import numpy as np
import pytest

from infobound import data
from infobound.config import Config
from infobound.data import Layout
from infobound.errors import InputError


@pytest.mark.parametrize(("n", "k"), [(40, 4), (43, 4), (1000, 7), (50, 5)])
def test_every_row_is_tested_once_and_never_trained_on_then(n, k):
    folds = data.split(n, k, seed=3)
    assert len(folds) == k
    tests = np.concatenate([test for _, test in folds])
    assert np.array_equal(np.sort(tests), np.arange(n))
    for training, test in folds:
        assert not set(training) & set(test)
        assert len(training) + len(test) == n
    rest, held = data.train_validation_split(folds[0][0], 0.2, seed=1)
    assert np.array_equal(np.sort(np.concatenate([rest, held])), folds[0][0])
    assert not np.array_equal(folds[0][1], data.split(n, k, seed=4)[0][1])


@pytest.mark.parametrize(
    ("n", "k", "message"), [(39, 4, "40 rows for 4"), (60, 9, "90 .*--folds 6")]
)
def test_too_few_rows(n, k, message):
    with pytest.raises(InputError, match=message):
        data.split(n, k, seed=0)


def test_a_gap_keeps_training_rows_of_a_series_away_from_test_rows():
    for training, test in data.split(200, 4, seed=0, series=True, gap=5):
        assert np.abs(training[:, None] - test).min() == 6
        assert len(training) >= 150 - 10
        rest, held = data.train_validation_split(training, 0.2, seed=0, series=True, gap=5)
        assert held.min() - rest.max() >= 6
        assert held.max() == training.max()
    few, held = data.train_validation_split(np.arange(6), 0.5, seed=0, series=True, gap=9)
    assert (list(few), list(held)) == ([0, 1, 2], [3, 4, 5])  # nothing would be left


def test_groups_are_whole_and_folds_about_equal():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(30), rng.integers(1, 30, size=30))
    groups = groups[rng.permutation(len(groups))]
    folds = data.split(len(groups), 4, seed=1, groups=groups)
    assert np.array_equal(np.sort(np.concatenate([t for _, t in folds])), np.arange(len(groups)))
    for training, test in folds:
        assert not set(groups[training]) & set(groups[test])
        assert abs(len(test) - len(groups) / 4) < 10
        rest, held = data.train_validation_split(training, 0.2, seed=1, groups=groups)
        assert not set(groups[rest]) & set(groups[held])
        assert np.array_equal(np.sort(np.concatenate([rest, held])), training)
        assert 0.1 < len(held) / len(training) < 0.3
    other = data.split(len(groups), 4, seed=2, groups=groups)
    assert not np.array_equal(folds[0][1], other[0][1])


def test_rows_of_one_group_are_divided_among_themselves():
    rest, held = data.train_validation_split(np.arange(20), 0.2, seed=0, groups=np.zeros(20, int))
    assert (len(rest), len(held)) == (16, 4)


def test_a_layout_is_that_of_the_pair_and_the_settings():
    rng = np.random.default_rng(1)
    walk = rng.normal(size=(400, 2)).cumsum(axis=0)
    pair = data.as_pair(walk[:, 0], walk[:, 1])
    assert Layout.of(pair, Config()).independent
    assert Layout.of(pair, Config(series=True)).gap == 10  # a tenth of a fold
    assert Layout.of(pair, Config(series=True, folds=2)).gap == 20
    noise = data.as_pair(walk[:, 0], rng.normal(size=400))
    assert Layout.of(noise, Config(series=True)).gap <= 2
    groups = np.repeat(np.arange(40), 10)
    grouped = Layout.of(data.with_groups(pair, groups), Config(series=True))
    assert (grouped.gap, grouped.series) == (0, True)
    one = grouped.one_of_each(np.arange(100), seed=0)
    assert np.array_equal(groups[one], np.arange(10))
    assert not np.array_equal(one, grouped.one_of_each(np.arange(100), seed=1))


@pytest.mark.parametrize("kind", ["series", "groups"])
def test_parts_without_what_depends_on_them(kind):
    groups = np.arange(120) % 12 if kind == "groups" else None
    layout = Layout(kind == "series", 3 if kind == "series" else 0, groups)
    parts = layout.apart(120)
    assert np.array_equal(np.sort(np.concatenate([own for _, own in parts])), np.arange(120))
    for others, own in parts:
        if kind == "series":
            assert np.abs(others[:, None] - own).min() == 4
        else:
            assert not set(groups[others]) & set(groups[own])
    halves = layout.halves(120, 3, seed=0)
    assert np.array_equal(np.sort(np.concatenate(halves)), np.arange(120))
    if kind == "series":
        assert all((np.diff(half) == 1).all() for half in halves)
    else:
        assert all(
            not set(groups[a]) & set(groups[b])
            for a, b in zip(halves[1:-1:2], halves[2::2], strict=True)
        )
