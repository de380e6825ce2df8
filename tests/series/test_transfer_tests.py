"""Tests of transfer: size without transfer, power with it, adjustment for candidates."""

import numpy as np
import pytest
from scipy.signal import lfilter

from infobound.series.transfer_tests import (
    Sources,
    Target,
    residual_p,
    rotation_p,
    surrogate_p,
)

SEEDS = 150


def wandering(n, phi, rng):
    return lfilter([1], [1, -phi], rng.normal(size=n + 300))[300:]


def p_values(x, y, lengths=None):
    """Both p-values of the last x about y given the last y, by linear regressions."""
    n = len(y) - 1
    known = np.column_stack([np.ones(n), y[:-1]])
    past, now = ((v - known @ np.linalg.lstsq(known, v)[0])[:, None] for v in (x[:-1], y[1:]))
    given = ((y[:-1] - y.mean()) / y.std())[:, None]
    target = Target.of(now, given, np.array([False]), lengths or [n])
    rotated = rotation_p(Sources.of([x[:-1, None]]), target, rotations=199, seed=0)[0]
    return rotated[0], residual_p(Sources.of([past]), target, permutations=199, seed=0)[0]


def rejected(draw, n, seeds=SEEDS):
    """The share of samples in which each, and both, are at most .05."""
    found = np.array([p_values(*draw(n, np.random.default_rng(s))) for s in range(seeds)]) <= 0.05
    return (*found.mean(axis=0), found.all(axis=1).mean())


@pytest.mark.parametrize("phi", [0.0, 0.9, 0.99])
def test_independent_series_are_rarely_found(phi):
    rotated, _, both = rejected(lambda n, r: (wandering(n, phi, r), wandering(n, phi, r)), 300)
    bound = 0.05 + 3 * np.sqrt(0.05 * 0.95 / SEEDS)
    assert rotated <= bound
    assert both <= bound


def feedback(n, rng, phi=0.9, own=0.5):
    y = wandering(n + 1, phi, rng)
    return lfilter([1], [1, -own], rng.normal(size=n) + y[:-1]), y[1:]


def test_feedback_alone_is_rarely_found():
    assert rejected(feedback, 400)[2] <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / SEEDS)


def test_residuals_allow_for_slow_series_with_feedback():
    """Without earlier values that are given too, residuals alone reject four times as often."""
    _, residual, both = rejected(lambda n, r: feedback(n, r, phi=0.99, own=0.99), 300)
    assert residual <= 0.06 + 3 * np.sqrt(0.06 * 0.94 / SEEDS)
    assert both <= 0.05


def test_the_wrong_direction_of_the_same_series_is_found():
    assert rejected(lambda n, r: feedback(n, r)[::-1], 400, seeds=20)[2] == 1


@pytest.mark.parametrize("function", [np.abs, np.square, lambda v: np.sin(3 * v)])
def test_curved_couplings_are_found(function):
    def draw(n, rng):
        x, y = rng.normal(size=(2, n))
        y[1:] += function(x[:-1])
        return x, y

    assert rejected(draw, 400, seeds=20)[2] >= 0.9


def test_p_values_are_adjusted_for_candidates():
    rng = np.random.default_rng(1)
    least = []
    for _ in range(SEEDS):
        y, *pasts = rng.normal(size=(11, 120, 1))
        target = Target.of(y, rng.normal(size=(120, 1)), np.array([False]), [120])
        sources = Sources.of(pasts)
        least.append(
            [
                rotation_p(sources, target, seed=0)[0].min(),
                residual_p(sources, target, permutations=199, seed=0).min(),
            ]
        )
    shares = (np.array(least) <= 0.05).mean(axis=0)
    assert (shares <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / SEEDS)).all()
    assert (shares > 0).all()


def test_rotations_are_those_of_the_rows():
    """All rotations at once are what rolling the rows one by one gives."""
    rng = np.random.default_rng(0)
    x, y, z = rng.normal(size=(3, 40, 1))
    target = Target.of(y + np.roll(x, 3), z, np.array([False]), [40])
    p, statistics = rotation_p(Sources.of([x]), target, seed=0)
    others = [Sources.of([np.roll(x, k, axis=0)]) for k in range(1, 40)]
    assert surrogate_p(Sources.of([x]), others, target)[0] == pytest.approx(p[0])
    assert statistics[0] > 0


def test_trials_are_rotated_each_on_its_own():
    rng = np.random.default_rng(0)
    x, y, z = rng.normal(size=(3, 200, 1))
    shared = np.repeat(rng.normal(size=20), 10)[:, None]  # rotating within trials leaves this
    for plus, found in ((shared, False), (0, False)):
        target = Target.of(y + plus, z, np.array([False]), [10] * 20)
        p = rotation_p(Sources.of([x + plus]), target, rotations=199, seed=0)[0][0]
        assert (p < 0.01) == found
    target = Target.of(y + x, z, np.array([False]), [10] * 20)
    assert rotation_p(Sources.of([x]), target, rotations=199, seed=0)[0][0] == 1 / 200


def test_constant_columns_are_never_found():
    y, z = np.random.default_rng(0).normal(size=(2, 100, 1))
    target = Target.of(y, z, np.array([False]), [100])
    sources = Sources.of([np.ones((100, 1))])
    assert rotation_p(sources, target, seed=0)[0][0] == 1
    assert residual_p(sources, target, permutations=99, seed=0)[0] == 1
