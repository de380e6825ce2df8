"""Fast relations: columns divided into strips."""

import numpy as np
import pytest
import torch

from infobound.data.columns import columns
from infobound.models.ranks import Ranks, log_ratios
from infobound.tables import strips
from infobound.tables.estimates import estimates
from infobound.tables.strips import STRIPS, histogram_values, in_strips, rough_sides

N = 3000


def sine(seed, n=N):
    """Six periods and normal noise."""
    rng = np.random.default_rng(seed)
    t = rng.random(n)
    return t, np.sin(12 * np.pi * t) + 0.2 * rng.normal(size=n)


def teeth(seed, n=N):
    """Five teeth and uniform noise."""
    rng = np.random.default_rng(seed)
    t = rng.random(n)
    return t, 5 * t % 1 + rng.uniform(-0.15, 0.15, size=n)


def helix(seed, n=N):
    """Seven turns and normal noise, modulo 1."""
    rng = np.random.default_rng(seed)
    t = rng.random(n)
    return t, (7 * t + 0.05 * rng.normal(size=n)) % 1


# In nats. Of teeth: the entropy of y, .15 (a trapezoid), less that of the noise, log .3
MI = {
    sine: 1.1542,
    teeth: 0.15 - np.log(0.3),
    helix: -np.log(0.05) - 0.5 * np.log(2 * np.pi * np.e),
}


@pytest.mark.parametrize("draw", MI)
def test_fast_relations_lose_half_of_their_error(draw, monkeypatch):
    pairs = [tuple(columns(dict(zip("xy", draw(seed), strict=True)))) for seed in range(4)]
    pairs += [pair[::-1] for pair in pairs]
    divided = estimates(pairs)
    monkeypatch.setattr(strips, "ROUGH", np.inf)
    errors = [
        np.mean([abs(one.mi - MI[draw]) for one in found]) for found in (divided, estimates(pairs))
    ]
    assert errors[0] < min(0.06, errors[1] / 2)
    assert np.mean([one.low <= MI[draw] <= one.high for one in divided]) >= 0.75


def test_intervals_cover_where_the_extrapolation_goes_far():
    pairs = [tuple(columns(dict(zip("xy", helix(seed, n=2500), strict=True)))) for seed in range(8)]
    found = estimates(pairs)
    assert np.mean([one.low <= MI[helix] <= one.high for one in found]) >= 0.75
    assert np.mean([one.high - one.low for one in found]) < 0.5


def test_other_pairs_are_not_divided():
    rng = np.random.default_rng(0)
    x, noise = rng.normal(size=(2, N))
    pile = np.where(rng.random(N) < 0.7, 0, sine(0)[0])
    pairs = {
        "normal": (x, x + 0.3 * noise, None),
        "independent": (x, noise, None),
        "ring": (np.cos(x) + 0.1 * noise, np.sin(x) + 0.1 * rng.normal(size=N), None),
        "sine": (*sine(0), 0),
        "turned": (*sine(0)[::-1], 1),
        "tied": (np.round(sine(0)[0], 2), sine(0)[1], None),
        "pile": (pile, np.sin(40 * pile) + 0.2 * noise, None),
    }
    for name, (x, y, expected) in pairs.items():
        ranks = [Ranks.of(np.unique(side, return_inverse=True)[1], 128) for side in (x, y)]
        _, ratios, _ = log_ratios([(ranks[0], ranks[1])])
        ties = torch.tensor([[side.ties.mean() for side in ranks]], dtype=torch.float32)
        assert rough_sides(ratios, ties, N) == [expected], name
        assert rough_sides(ratios, ties, 2000) == [None]


def test_strips_of_independent_columns_say_nothing_and_keep_the_order_of_quantiles():
    rng = np.random.default_rng(0)
    x, y = rng.permutation(N), rng.permutation(N)
    ranks = [Ranks.of(each, 128) for each in (x, y)]
    shares, ratios, quantiles = log_ratios([(ranks[0], ranks[1])])
    whole = histogram_values(shares, ratios, quantiles)[0]
    for side, codes in enumerate((x, y)):
        found = in_strips(ranks, np.argsort(codes), ratios[0], whole, side=side)
        assert abs(found[2]) < 0.01
        assert (found[:5].diff() > 0).all()
    assert STRIPS * 500 <= strips.FEWEST_ROWS
