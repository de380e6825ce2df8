"""The interface of estimates of pairs of columns."""

import math

import numpy as np
import pytest

from infobound.data.columns import columns
from infobound.estimation.columns import estimates

N = 2_000


def pair(kind):
    """A pair of columns, and its mutual information in nats."""
    rng = np.random.default_rng(0)
    x, noise = rng.normal(size=(2, N))
    if kind == "gaussian":
        return columns(np.stack([x, 0.8 * x + 0.6 * noise], axis=1)), -math.log(0.6)
    if kind == "independent":
        return columns(np.stack([x, noise], axis=1)), 0.0
    label = rng.integers(3, size=N)
    if kind == "class":
        found = columns({"a": label, "b": label + rng.uniform(size=N)}, categorical=["a"])
        return found, math.log(3)
    return columns({"a": label, "b": label % 2}), math.log(3) - 2 / 3 * math.log(2)


@pytest.mark.parametrize("kind", ["gaussian", "independent", "class", "codes"])
def test_estimates_are_near_the_truth_and_within_their_intervals(kind):
    found, truth = pair(kind)
    [one] = estimates([(found[0], found[1])])
    assert one.n == N
    assert one.low <= one.mi <= one.high
    assert abs(one.mi - truth) < max(5 * one.standard_error, 0.02)


def test_rows_with_missing_values_are_left_out_by_pair():
    a, b, c = np.random.default_rng(1).normal(size=(3, 200))
    whole = columns({"a": a[20:], "b": b[20:], "c": c[20:]})
    a[:10], b[10:20] = np.nan, np.nan
    holed = columns({"a": a, "b": b, "c": c})
    first, second = estimates([(holed[0], holed[1]), (holed[0], holed[2])])
    assert (first.n, second.n) == (180, 190)
    assert first.mi == pytest.approx(estimates([(whole[0], whole[1])])[0].mi, abs=1e-12)


def test_few_rows_have_no_estimate():
    [one] = estimates([tuple(columns(np.arange(10.0).reshape(5, 2)))])
    assert math.isnan(one.mi)
    assert one.n == 5
