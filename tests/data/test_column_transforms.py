"""Transforms: finite, monotone, and independent of units."""

import numpy as np
import pytest

from infobound import data

RNG = np.random.default_rng(0)
HARD = {
    "normal": RNG.normal(size=500),
    "cauchy": RNG.standard_cauchy(size=500) * 1e6,
    "huge": np.r_[RNG.normal(size=499), 1e300],
    "ties": RNG.integers(0, 4, size=500).astype(float),
    "binary": (RNG.random(500) < 0.1).astype(float),
    "constant": np.full(500, 3.0),
    "skewed": np.exp(3 * RNG.normal(size=500)),
}
TINY = 2.0**-1040  # times a normal number: subnormal, with a few digits left


@pytest.mark.parametrize("name", HARD)
def test_transforms_are_finite_monotone_and_scaled(name):
    rows = HARD[name][:, None]
    fitted = data.Transform.fit(rows)
    scores, robust = fitted.normal_scores(rows), fitted.robust(rows)
    assert np.isfinite(scores).all()
    assert np.isfinite(robust).all()
    assert np.abs(robust).max() <= 20
    order = np.argsort(rows[:, 0], kind="stable")
    assert (np.diff(scores[order, 0]) >= 0).all()
    assert (np.diff(robust[order, 0]) >= 0).all()
    if name != "constant":
        assert scores.std() == pytest.approx(1, abs=0.02)
    beyond = fitted.normal_scores(np.array([[-1e301], [1e301]]))
    assert beyond[0, 0] == scores.min()
    assert beyond[1, 0] == scores.max()


def test_subnormal_columns_are_seen_as_their_scaled_version():
    rows = np.round(HARD["normal"], 6)[:, None]
    rare = np.where(RNG.random(500) < 0.1, HARD["normal"], 0)[:, None]  # no quartiles' range
    for values in (rows, rare):
        small = values * TINY
        known = data.Transform.fit(small[:250] / TINY).every(small / TINY)
        with np.errstate(all="raise", under="ignore"):
            found = data.Transform.fit(small[:250]).every(small)
        np.testing.assert_allclose(found, known, atol=1e-3)


def test_knots_too_close_for_a_slope_give_scores_between_theirs():
    rows = np.array([[0.0], [1e-310], [3e-310], [1.0], [2.0]])
    fitted = data.Transform.fit(rows)
    ours = fitted.normal_scores(rows)[:, 0]
    between = fitted.normal_scores(np.array([[2e-310]])).item()
    assert between == pytest.approx((ours[1] + ours[2]) / 2)


def test_normal_scores_ignore_monotone_maps():
    rows = HARD["normal"][:, None]
    mapped = np.exp(2 * rows)
    ours = data.Transform.fit(rows).normal_scores(rows)
    np.testing.assert_array_equal(ours, data.Transform.fit(mapped).normal_scores(mapped))


def test_equal_values_get_equal_middle_scores():
    scores = data.Transform.fit(HARD["ties"][:, None]).normal_scores(np.arange(4.0)[:, None])
    assert len(np.unique(scores)) == 4
    share = (HARD["ties"] == 0).mean()
    assert scores[0, 0] < 0 < scores[3, 0]
    assert 0.1 < share < 0.4


def test_a_column_as_wide_as_float64_is_scaled_without_overflow():
    """Was NaN: the distance between its quartiles is beyond the largest float64."""
    column = np.linspace(-1, 1, 40)[:, None]
    small, huge = (
        data.Transform.fit(size * column).robust(size * column) for size in (1.0, 1.7e308)
    )
    np.testing.assert_allclose(huge, small, rtol=1e-12)


def test_columns_are_fitted_side_by_side_as_one_by_one_and_stay_as_they_are():
    """One sort serves all columns: with ties, without, constant, in both memory orders."""
    rng = np.random.default_rng(5)
    rows = np.c_[rng.normal(size=(200, 2)), rng.integers(3, size=200), np.zeros(200), np.ones(200)]
    rows[:10, 3] = rng.normal(size=10)
    for order in "CF":
        given = rows.copy(order=order)
        whole = data.Transform.fit(given)
        assert np.array_equal(given, rows)
        scores, robust = whole.normal_scores(rows), whole.robust(rows)
        for k, column in enumerate(rows.T):
            low, centre, high = np.percentile(column, [25, 50, 75])
            scale = (high - low) / 1.349 or column.std() or 1.0
            np.testing.assert_allclose(whole.scale[k], scale, rtol=1e-12)
            assert whole.centre[k] == centre
            alone = data.Transform.fit(column[:, None])
            assert np.array_equal(scores[:, k], alone.normal_scores(column[:, None])[:, 0])
            assert np.array_equal(robust[:, k], alone.robust(column[:, None])[:, 0])
