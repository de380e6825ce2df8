"""Tests of series, groups and surrogates hold their level and see dependence."""

import math

import numpy as np
import pytest
from scipy.signal import lfilter

from infobound.errors import InputError
from infobound.inference import dependent_rows
from infobound.inference.dependent_rows import (
    Moves,
    Waves,
    group_p,
    needed_rows,
    series_p,
    smallest_by_moves,
    surrogate_p,
)


def walk(rng, n, phi):
    noise = rng.normal(size=n)
    noise[1:] *= math.sqrt(1 - phi**2)
    return lfilter([1.0], [1.0, -phi], noise)[:, None]


@pytest.mark.parametrize("phi", [0.5, 0.99])
def test_moves_hold_the_level(phi):
    rng = np.random.default_rng(0)
    found = [series_p(walk(rng, 150, phi), walk(rng, 150, phi)).p_value for _ in range(150)]
    assert np.mean(np.array(found) <= 0.05) <= 0.05 + 2 * 0.018
    permuted = []
    for _ in range(40):  # negative control: rows in groups of one, that is permuted
        x, y = walk(rng, 150, phi), walk(rng, 150, phi)
        permuted.append(group_p(x, y, np.arange(150), permutations=99, seed=0).p_value <= 0.05)
    assert np.mean(permuted) > (0.06 if phi == 0.5 else 0.5)


def test_moves_see_dependence_that_is_not_linear():
    rng = np.random.default_rng(1)
    for function in (lambda x: x, lambda x: x**2, np.cos):
        found = []
        for _ in range(10):
            x = walk(rng, 300, 0.5)
            found.append(series_p(x, function(x) + 0.5 * walk(rng, 300, 0.5)).p_value <= 0.05)
        assert np.mean(found) >= 0.9


def test_the_smallest_p_is_said_and_reached():
    x = walk(np.random.default_rng(2), 120, 0.0)
    found = series_p(x, x)
    assert found.p_value == found.smallest == 1 / 21
    assert smallest_by_moves([needed_rows(0.05)]) <= 0.05 < smallest_by_moves([113])
    assert Moves.of([10_000]).count == 416  # of four rows
    assert Moves.of([10_000]).step == 4


def test_moves_stay_within_their_series():
    moves = Moves.of([60, 20, 60])
    assert (moves.count, moves.step) == (10, 1)
    partners = moves.rows[:, None] + np.arange(-10, 11)
    owner = np.repeat([0, 1, 2], [60, 20, 60])
    assert (owner[partners] == owner[moves.rows][:, None]).all()
    assert set(owner[moves.rows]) == {0, 2}  # the short one is left out
    with pytest.raises(InputError, match="at least 12 rows"):
        Moves.of([11, 5])


def test_series_of_groups_are_found_wherever_their_rows_stand():
    rng = np.random.default_rng(3)
    x, groups = walk(rng, 300, 0.5), np.repeat(np.arange(3), 100)
    y, mixed = x + walk(rng, 300, 0.5), rng.permutation(300)
    mixed = mixed[np.argsort(mixed % 100, kind="stable")]  # groups interleaved, each in its order
    one, other = (series_p(x[r], y[r], groups[r]) for r in (np.arange(300), mixed))
    assert one == other
    assert one.test == "moves_in_groups"
    assert one.p_value <= 0.1


def subjects(rng, count, rows, between=0.0, within=0.0, share=0.5):
    own, sides = np.repeat(np.arange(count), rows), np.zeros((2, count * rows))
    for part, rho, index in ((share, between, own), (1 - share, within, np.arange(count * rows))):
        left, right = rng.normal(size=(2, index.max() + 1))
        sides += (
            math.sqrt(part) * np.stack([left, rho * left + math.sqrt(1 - rho**2) * right])[:, index]
        )
    return sides[0][:, None], sides[1][:, None], own


@pytest.mark.parametrize("count", [3, 12])
def test_exchanging_groups_holds_the_level_where_rows_do_not(count):
    rng, found, plain = np.random.default_rng(4), [], []
    for seed in range(120):
        x, y, own = subjects(rng, count, 12)
        found.append(group_p(x, y, own, permutations=39, seed=seed).p_value <= 0.05)
        if seed < 40:
            rows = np.arange(len(x))
            plain.append(group_p(x, y, rows, permutations=39, seed=seed).p_value <= 0.05)
    assert np.mean(found) <= 0.05 + 2 * 0.02
    assert np.mean(plain) > 0.15  # negative control


def test_dependence_between_and_within_groups_is_found():
    rng = np.random.default_rng(5)
    for kind in ({"between": 0.95}, {"within": 0.9}):
        x, y, own = subjects(rng, 30, 10, **kind)
        found = group_p(x, y, own, permutations=199, seed=0)
        assert (found.test, found.p_value <= 0.02) == ("whole_groups", True)
    x, y, own = subjects(rng, 3, 60, within=0.7)
    found = group_p(x, y, own, permutations=199, seed=0)
    assert (found.test, found.p_value) == ("rows_in_groups", 1 / 200)


def test_short_series_of_few_groups_are_exchanged_in_their_order():
    rng = np.random.default_rng(9)
    x, y = rng.normal(size=(2, 44, 1))
    found = group_p(x, y, np.arange(44) // 11, permutations=99, seed=0, series=True)
    assert (found.test, found.smallest) == ("whole_groups", pytest.approx(1 / 24))


def test_few_groups_of_a_constant_side_are_exchanged_and_cannot_reject():
    rng = np.random.default_rng(6)
    own = np.repeat(np.arange(3), 30)
    found = group_p(
        rng.normal(size=(90, 1)), rng.normal(size=3)[own, None], own, permutations=99, seed=0
    )
    assert (found.test, found.smallest) == ("whole_groups", pytest.approx(1 / 6))
    assert found.p_value > 0.05


def test_groups_of_unequal_sizes_count_with_equally_many_rows():
    groups = np.repeat(np.arange(6), [5, 20, 20, 30, 20, 20])
    blocks = dependent_rows._equal_blocks(groups, np.random.default_rng(0))
    assert blocks.shape == (5, 20)
    assert (groups[blocks] == [[1], [2], [3], [4], [5]]).all()
    assert (np.diff(blocks, axis=1) > 0).all()
    one = np.minimum(np.arange(240) // 2, 40)  # 40 groups of two rows, and a large one
    assert dependent_rows._equal_blocks(one, np.random.default_rng(0)).shape == (41, 2)


def test_surrogates_are_the_users_own_null():
    rng, found = np.random.default_rng(7), []
    for _ in range(100):
        x, y = walk(rng, 200, 0.9), walk(rng, 200, 0.9)
        found.append(surrogate_p(x, y, (walk(rng, 200, 0.9) for _ in range(19))).p_value)
    assert set(found) <= {k / 20 for k in range(1, 21)}
    assert np.mean(np.array(found) <= 0.1) <= 0.1 + 2 * 0.03
    assert surrogate_p(x, x, [walk(rng, 200, 0.9) for _ in range(19)]).p_value == 0.05


def test_many_columns_are_reduced_and_parts_of_one_side_alone_do_not_count():
    rng = np.random.default_rng(8)
    x, y = rng.normal(size=(2, 200, 30))
    waves = Waves.of(x, y)
    assert waves.x.shape == (200, dependent_rows.WIDE * dependent_rows.WAVES)
    rows = np.arange(200)
    order = rng.permutation(200)
    assert waves.exchanged(rows, [order])[0] == pytest.approx(waves.values(rows, [order])[0])
    one, more = Waves.of(x[:, :1], y[:, :1]), Waves.of(x[:, :1], np.zeros((200, 1)))
    assert one.values(rows, [rows])[0] > 0
    assert more.values(rows, [rows])[0] == 0
