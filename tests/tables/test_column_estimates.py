"""The fast estimate of one column and another."""

import dataclasses

import numpy as np
import pytest
import torch

from infobound.data.columns import columns
from infobound.tables.estimates import estimates, prepare_pair
from infobound.tables.rank_combination import Parts, RankCombination, combination


def found(x, y, **options):
    return estimates([tuple(columns({"x": x, "y": y}))], **options)[0]


def normals(n, rng, rho):
    x, noise = rng.normal(size=(2, n))
    return x, rho * x + np.sqrt(1 - rho**2) * noise


def inflated(n, rng):
    """Zeros on both sides; a normal copula where neither is zero. The MI is exact."""
    both = np.array([[0.45, 0.15], [0.1, 0.3]])
    cell = rng.choice(4, p=both.ravel(), size=n)
    x, y = normals(n, rng, 0.8)
    ratio = both / (both.sum(0) * both.sum(1)[:, None])
    mi = (both * np.log(ratio)).sum() - both[1, 1] * np.log(1 - 0.8**2) / 2
    return np.where(cell // 2, np.exp(x), 0), np.where(cell % 2, np.exp(y), 0), mi


@pytest.mark.parametrize("rho", [0.0, 0.4, 0.9])
@pytest.mark.parametrize(("n", "error"), [(500, 0.06), (5000, 0.02)])
def test_a_normal_pair(rho, n, error):
    mi = -0.5 * np.log(1 - rho**2)
    several = [found(*normals(n, np.random.default_rng(seed), rho)) for seed in range(8)]
    values = np.array([one.mi for one in several])
    assert np.abs(values - mi).mean() < error
    assert np.mean([one.low <= mi <= one.high for one in several]) >= 0.6
    spread = np.mean([one.standard_error for one in several])
    assert values.std() / 3 < spread + 1e-3


def test_piles_of_zeros_are_no_ties_to_be_broken():
    errors = []
    for seed in range(8):
        x, y, mi = inflated(2000, np.random.default_rng(seed))
        errors.append(found(x, y).mi - mi)
    assert np.abs(errors).mean() < 0.03


def test_a_class_and_a_quantity_in_either_order():
    rng = np.random.default_rng(0)
    k = rng.integers(3, size=3000)
    y = 4 * k + rng.normal(size=3000)  # nearly log 3
    names = np.array(["a", "b", "c"])[k]
    here, there = found(names, y), found(y, names)
    assert here.mi == pytest.approx(np.log(3), abs=0.08)
    assert there.mi == pytest.approx(here.mi, abs=0.03)
    assert max(here.high, there.high) <= np.log(3) + 1e-3  # no more than the entropy of the class


def test_two_columns_of_few_values_are_counted():
    x = np.random.default_rng(0).integers(4, size=2000)
    one = found(x, x % 2)
    assert one.method == "counts"
    assert one.mi == pytest.approx(np.log(2), abs=0.02)


def test_rows_without_a_value_are_left_out_for_their_pair():
    x, y = normals(600, np.random.default_rng(0), 0.7)
    gaps, rest = x.copy(), np.arange(600) >= 100
    gaps[:100] = np.nan
    one, other = found(gaps, y), found(x[rest], y[rest])
    assert one == other
    assert one.n == 500
    few = found(np.where(np.arange(600) < 5, x, np.nan), y)
    assert few.method == "none"
    assert np.isnan(few.mi)


def test_a_pair_is_estimated_alike_alone_and_among_others():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 9))
    x[:, 1] += x[:, 0]
    table = columns(x)
    pairs = [(table[i], table[j]) for i in range(9) for j in range(i)]
    together, alone = estimates(pairs), [estimates([pair])[0] for pair in pairs]
    for one, other in zip(together, alone, strict=True):
        assert one.mi == pytest.approx(other.mi, abs=one.standard_error / 20)
    assert max(together, key=lambda one: one.mi) is together[0]


SIDES = {
    "normal": lambda rng, n: rng.normal(size=n),
    "counts": lambda rng, n: rng.poisson(2.0, size=n),
    "piles": lambda rng, n: np.maximum(rng.normal(size=n), 0),
    "names": lambda rng, n: np.array(["a", "b", "c", "d"])[rng.integers(4, size=n)],
    "gaps": lambda rng, n: np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n)),
}


@pytest.mark.parametrize("first", SIDES)
@pytest.mark.parametrize("second", SIDES)
def test_either_order_gives_the_same(first, second):
    rng = np.random.default_rng(0)
    x, y = SIDES[first](rng, 300), SIDES[second](rng, 300)
    assert found(x, y) == found(y, x)


def test_a_copy_of_a_column_is_near_the_limit_of_its_rows():
    x = np.random.default_rng(0).normal(size=1000)
    one = found(x, x.copy())
    assert one.mi > 3
    assert np.isfinite(dataclasses.astuple(one)[:4]).all()


@pytest.mark.parametrize("rho", [0.0, 0.7])
def test_the_held_out_value_is_no_more_than_the_truth(rho):
    mi = -0.5 * np.log(1 - rho**2)
    samples = (normals(800, np.random.default_rng(seed), rho) for seed in range(10))
    values = np.array([found(*sample, held_out=True).held_out for sample in samples])
    assert values.mean() < mi + 2 * values.std() / np.sqrt(len(values))
    assert values.mean() > mi - 0.1
    assert found(*normals(100, np.random.default_rng(0), 0)).held_out is None


def test_equal_values_get_their_order_from_the_seed():
    x = np.random.default_rng(0).poisson(3, size=800)
    y = x + np.random.default_rng(1).normal(size=800)
    assert found(x, y) == found(x, y)
    assert found(x, y).mi == pytest.approx(found(x, y, seed=7).mi, abs=0.02)
    ranked = prepare_pair(x, x)
    assert not np.array_equal(ranked.x.scores, ranked.y.scores)  # else ties would be a relation


def parts(**values):
    known = {
        "quantiles": torch.tensor([[0.1, 0.15, 0.2, 0.25, 0.3]]),
        "implied": torch.tensor([0.2]),
        "observed": torch.tensor([0.22]),
        "spread": torch.tensor([0.5]),
        "near": torch.tensor([[0.3, 0.25]]),
        "log_n": torch.tensor([7.0]),
        "ties": torch.zeros(1, 2),
        "step": torch.zeros(1),
    }
    return Parts(**{**known, **values})


@pytest.mark.parametrize("network", [RankCombination(), combination()])
def test_the_estimate_lies_between_its_parts(network):
    with torch.no_grad():
        found = network(parts())[0]
    assert 0.2 <= found[2] <= 0.3
    assert (found.diff() > 0).all()


def test_the_trained_weights_differ_with_what_is_known():
    with torch.no_grad():
        near, far = (
            combination()(parts(near=torch.tensor([[value, value]])))[0] for value in (0.21, 0.6)
        )
    assert far[4] - far[0] > near[4] - near[0]  # disagreement widens the interval
