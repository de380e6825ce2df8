"""Rotations that depend on the norm are found and undone, and none is found where there is none."""

import math

import numpy as np
import pytest
import torch
from scipy.special import ndtr

from infobound.models import unwinding
from infobound.models.copulas import GaussianCopula
from infobound.models.unwinding import BehindError, UnwoundCopula, UnwoundMixture

RHO = 0.8
TRUTH = -math.log(1 - RHO**2)  # of two pairs of columns: 1.022 nats
ANGLES = {"norm": lambda r: 2 * r, "square": lambda r: r**2, "sine": lambda r: 3 * np.sin(1.5 * r)}


def normal_pairs(n, d, seed):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(2, n, d))
    y[:, :2] = RHO * x[:, :2] + math.sqrt(1 - RHO**2) * y[:, :2]
    return x, y


def wound(rows, angle, seed, centre=0.0):
    """Rows turned in a random plane by an angle that depends on the distance from a centre."""
    d = rows.shape[1]
    plane = np.linalg.qr(np.random.default_rng(seed).normal(size=(d, d)))[0][:, :2]
    u, v = ((rows - centre) @ plane).T
    a = angle(np.linalg.norm(rows - centre, axis=1) / math.sqrt(d))
    moved = np.stack([np.cos(a) * u - np.sin(a) * v - u, np.sin(a) * u + np.cos(a) * v - v], 1)
    return rows + moved @ plane.T


def tensors(*sides):
    return [torch.from_numpy(side).float() for side in sides]


def log_ratio(model, x, y):
    return float(model(x, y).diagonal().mean())


@pytest.mark.parametrize("d", [2, 4])
@pytest.mark.parametrize("name", [*ANGLES])
def test_rotations_by_several_functions_of_the_norm_are_undone(name, d):
    gaps = []
    for seed in range(2):
        x, y = normal_pairs(3000, d, seed)
        x, y = tensors(wound(x, ANGLES[name], 7), wound(y, lambda r: -ANGLES[name](r), 8))
        model = UnwoundCopula.fit(x[:1000], y[:1000])
        gaps.append(log_ratio(model, x[1000:], y[1000:]) - TRUTH)  # on fresh rows
        plain = GaussianCopula.fit(x[:1000], y[:1000])
        assert log_ratio(plain, x[1000:], y[1000:]) < TRUTH - 0.15
    assert abs(np.mean(gaps)) < 0.1  # the standard error of two means over 2,000 rows is 0.02


@pytest.mark.parametrize("side", ["x", "y"])
def test_one_side_may_be_wound_alone(side):
    x, y = normal_pairs(3000, 3, 0)
    x, y = tensors(wound(x, ANGLES["square"], 1) if side == "x" else x, y if side == "x" else
                   wound(y, ANGLES["square"], 1))  # fmt: skip
    model = UnwoundCopula.fit(x[:1000], y[:1000])
    assert abs(log_ratio(model, x[1000:], y[1000:]) - TRUTH) < 0.1


@pytest.mark.parametrize("margins", ["normal", "uniform"])
def test_the_centre_may_be_far_from_the_mean(margins):
    """Such rotations have products of columns; with other margins they need scores after them."""
    gaps = []
    for seed in range(2):
        x, y = normal_pairs(4500, 3, seed)
        if margins == "uniform":
            x, y = 3 * ndtr(x), 3 * ndtr(y)
        first, second = ([2.0, -1.0, 1.0], [-1.0, 0.0, 2.0]) if margins == "normal" else (0.0, 3.0)
        x, y = tensors(
            wound(x, ANGLES["norm"], 7, np.array(first)),
            wound(y, lambda r: 0.3 * r**2, 8, np.array(second)),
        )
        model = UnwoundCopula.fit(x[:1500], y[:1500])
        gaps.append(log_ratio(model, x[1500:], y[1500:]) - TRUTH)
        plain = GaussianCopula.fit(x[:1500], y[:1500])
        assert log_ratio(plain, x[1500:], y[1500:]) < TRUTH - 0.15
    assert abs(np.mean(gaps)) < 0.1


def test_columns_may_have_turned_in_other_units(monkeypatch):
    """The control keeps the scales that it is given, in which circles are ellipses."""
    gains = []
    for seed in range(2):
        x, y = (3 * ndtr(side) for side in normal_pairs(6000, 3, seed))
        units = np.array([1.0, 1.4, 0.8])
        x = wound(x, ANGLES["norm"], 7, 0.0) * units
        y = wound(y, lambda r: 0.3 * r**2, 8, np.array([3.0, 3.0, 3.0])) / units
        x, y = tensors(x, y)
        found = []
        for most in (unwinding.MOST_SCALE, 0.0):
            with monkeypatch.context() as changed:
                changed.setattr(unwinding, "MOST_SCALE", most)
                found.append(UnwoundCopula.fit(x[:2000], y[:2000]))
        assert max(float(turn.scales.abs().max()) for turn in found[1].rotations) == 0
        gains.append(np.diff([log_ratio(model, x[2000:], y[2000:]) for model in found[::-1]]))
    assert np.mean(gains) > 0.02


def test_scales_are_not_sought_of_few_rows_for_each_column():
    x, y = normal_pairs(250, 3, 1)
    x, y = tensors(wound(x, ANGLES["square"], 5), wound(y, ANGLES["square"], 6))
    model = UnwoundCopula.fit(x, y)
    assert isinstance(model, UnwoundCopula)
    assert not any(turn.scales.any() for turn in model.rotations)


def test_a_search_ends_early_where_another_model_has_far_more():
    x, y = normal_pairs(1000, 3, 0)
    x, y = tensors(wound(x, ANGLES["norm"], 1), y)
    mi = UnwoundCopula.fit(x, y).copula.mi
    assert UnwoundCopula.fit(x, y, least=mi).copula.mi == mi  # one that is as good is no reason
    with pytest.raises(BehindError):
        UnwoundCopula.fit(x, y, least=2.5 * mi)


def test_without_rotations_it_is_the_gaussian_copula():
    found = 0
    for seed in range(10):
        x, y = tensors(*normal_pairs(500, 3, seed))
        model, plain = UnwoundCopula.fit(x, y), GaussianCopula.fit(x, y)
        found += isinstance(model, UnwoundCopula)
        if isinstance(model, GaussianCopula):
            assert torch.equal(model(x, y), plain(x, y))  # so that the bank's order decides
    assert found <= 1  # of ten, where the test for rotations errs


def test_of_independent_rows_it_shows_nothing_on_fresh_ones():
    rng = np.random.default_rng(0)
    x, y = tensors(*rng.normal(size=(2, 4000, 3)))
    model = UnwoundCopula.fit(x[:1000], y[:1000])
    assert abs(log_ratio(model, x[1000:], y[1000:])) < 0.02


def test_rotations_keep_norms_and_one_column_has_none():
    x, y = normal_pairs(1500, 3, 2)
    x, y = tensors(wound(x, ANGLES["square"], 3), y[:, :1])
    model = UnwoundCopula.fit(x, y)
    turn, none = model.rotations
    assert none is None
    identity = turn.frame.T @ turn.frame
    assert torch.allclose(identity, torch.eye(len(identity), dtype=identity.dtype), atol=1e-9)


def test_what_rotations_still_add_shows_an_incomplete_fit():
    for seed in range(3):
        x, y = normal_pairs(1000, 3, seed)
        x, y = tensors(wound(x, ANGLES["square"], 5), wound(y, ANGLES["square"], 6))
        model = UnwoundCopula.fit(x, y)
        halves = tuple(turn._replace(angles=turn.angles / 2) for turn in model.rotations)
        means, knots = (model.mean_x, model.mean_y), (model.knots_x, model.knots_y)
        half = UnwoundCopula(model.copula, halves, means, knots)
        assert model.missed(x, y) < 0.05  # the error of the test is about 0.015
        assert half.missed(x, y) > 0.2
        assert model.missed(x[:20], y[:20]) == 0  # too few rows to tell


def test_a_sought_centre_leaves_doubt():
    x, y = normal_pairs(1000, 3, 0)
    x, y = 3 * ndtr(x), 3 * ndtr(y)
    x, y = tensors(wound(x, ANGLES["norm"], 7), wound(y, lambda r: 0.3 * r**2, 8, 3.0))
    model, plain = UnwoundCopula.fit(x, y), GaussianCopula.fit(x, y)
    added = model.copula.mi - plain.mi
    assert added > 0.2
    assert model.missed(x, y) > 0.35 * added
    assert unwinding.suspected_mi(x, y) > 0.2


def test_without_rotations_hardly_any_are_suspected():
    found = [unwinding.suspected_mi(*tensors(*normal_pairs(1000, 3, seed))) for seed in range(20)]
    assert sum(value > 0 for value in found) <= 8
    assert np.mean(found) < 0.01


def test_a_refit_starts_where_the_earlier_fit_ended():
    x, y = normal_pairs(3000, 3, 4)
    x, y = tensors(wound(x, ANGLES["square"], 5), wound(y, ANGLES["square"], 5))
    first = UnwoundCopula.fit(x[:1000], y[:1000])
    again = UnwoundCopula.fit(x[1000:], y[1000:], start=first)
    fresh = UnwoundCopula.fit(x[1000:], y[1000:])
    assert again.copula.mi == pytest.approx(fresh.copula.mi, abs=0.05)


@pytest.mark.parametrize("d", [3, 10])
def test_a_search_that_goes_on_never_ends_below_its_start(d):
    """Orthonormal frames had other signs in the next search, and planes turned the other way."""
    x, y = normal_pairs(1000, d, 3)
    a, b = (
        torch.from_numpy(wound(side, ANGLES["square"], seed)) for side, seed in ((x, 1), (y, 2))
    )
    start = tuple(unwinding._start(d, 0.5, torch.manual_seed(0), a) for _ in range(2))
    values = []
    for _ in range(8):
        value, start = unwinding._climbed(a, b, start, 4)
        values.append(value)
    assert np.diff(values).min() > -1e-9
    assert values[-1] > values[0] + 0.05


@pytest.mark.parametrize(("d", "planes"), [(2, 1), (3, 1), (6, 2)])
def test_the_gradient_of_the_mi_is_its_slope(d, planes):
    """Compared with differences of the MI, for free frames that are not orthonormal."""
    rng = np.random.default_rng(d)
    rows, other = rng.normal(size=(d, 50)), rng.normal(size=(2, 50))
    other[0] += rows[0]
    shapes = (d, 2 * planes), (planes, 4), d, d
    free = tuple(rng.normal(size=shape) for shape in shapes)

    def mi(*free):
        turn = unwinding._Turn.of(rows, *free)
        found, slope = unwinding._mi_and_slope(np.concatenate([turn.rows, other]), d)
        return found, turn.slopes(slope[:d])

    slopes, step = mi(*free)[1], 1e-6
    for k, part in enumerate(free):
        for at in np.ndindex(part.shape):
            moved = [[each.copy() for each in free] for _ in range(2)]
            moved[0][k][at] += step
            moved[1][k][at] -= step
            difference = (mi(*moved[0])[0] - mi(*moved[1])[0]) / (2 * step)
            assert slopes[k][at] == pytest.approx(difference, rel=1e-5, abs=1e-7)


def test_margins_alone_are_no_rotation():
    """Cubes of normals are a Gaussian copula; their directions add MI to the rows."""
    x, y = normal_pairs(2000, 3, 4)
    cubes = [torch.from_numpy(side**3) for side in (x, y)]
    assert unwinding._twist(*cubes) is None


@pytest.mark.parametrize(
    ("centre", "sign", "least"), [(0.0, "directions", 7), ([2.0, 0.0, 1.0], "products", 11)]
)
def test_products_show_a_centre_far_from_the_mean(centre, sign, least):
    """At the mean, products add something too: they are clear in about 3 of 10 samples."""
    found = []
    for seed in range(12):
        x, y = normal_pairs(2000, 3, seed)
        turned = wound(x, ANGLES["norm"], 1, np.array(centre))
        found.append(unwinding._twist(torch.from_numpy(turned), torch.from_numpy(y)))
    assert found.count(sign) >= least


def galaxy(seed, distance=4.0):
    """Two populations whose first two columns are turned by the squared norm; the third is y."""
    rng = np.random.default_rng(seed)
    which = rng.integers(2, size=(3000, 1))
    rows = distance * (which - 0.5) + rng.normal(size=(3000, 3))
    return tensors(wound(rows[:, :2], ANGLES["square"], 7), rows[:, 2:]) + tensors(rows)


def test_populations_that_were_turned_together_are_found():
    gaps, gains = [], []
    for seed in range(3):
        x, y, rows = galaxy(seed)
        # The exact log ratio of the two populations, of rows that were not fitted.
        at = rows[1000:].double()
        logs = torch.stack([-0.5 * (at - 2 * sign).square() for sign in (-1, 1)])  # (2, n, 3)
        parts = (logs.sum(2), logs[..., :2].sum(2), logs[..., 2])
        both, own_x, own_y = (part.logsumexp(0) - math.log(2) for part in parts)
        truth = float((both - own_x - own_y).mean())
        model = UnwoundMixture.fit(x[:1000], y[:1000])
        assert isinstance(model, UnwoundMixture)
        gaps.append(log_ratio(model, x[1000:], y[1000:]) - truth)
        plain = UnwoundCopula.fit(x[:1000], y[:1000])
        gains.append(gaps[-1] + truth - log_ratio(plain, x[1000:], y[1000:]))
        again = UnwoundMixture.fit(x[1000:], y[1000:], start=model)
        assert len(again.mixture.weights) == len(model.mixture.weights)
    assert -0.1 < np.mean(gaps) < 0.02
    assert np.mean(gains) > 0.1  # than a copula of the turned rows


def test_one_turned_population_has_a_copula():
    for seed in range(3):
        x, y = normal_pairs(1000, 3, seed)
        x, y = tensors(wound(x, ANGLES["square"], 7), y)
        model = UnwoundMixture.fit(x, y)
        assert isinstance(model, UnwoundCopula)
        assert isinstance(UnwoundMixture.fit(x, y, start=model), UnwoundCopula)
