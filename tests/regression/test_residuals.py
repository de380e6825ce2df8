import numpy as np
import pytest
from scipy import stats

from infobound.regression import features, pursuit
from infobound.regression import residuals as residual_module
from infobound.regression.residuals import Origin, refitted, residuals
from infobound.regression.smoothers import Design, Regression


def standardised(z):
    return (z - z.mean(axis=0)) / z.std(axis=0)


CAUSES = {
    "sine": lambda z: np.sin(2 * z.sum(axis=1) / np.sqrt(z.shape[1])),
    "square": lambda z: (z.sum(axis=1) / np.sqrt(z.shape[1])) ** 2,
    "product": lambda z: z[:, 0] * z[:, -1],
    "additive": lambda z: np.cos(2 * z[:, 0]) + np.abs(z[:, -1]),
}


@pytest.mark.parametrize("cause", CAUSES)
def test_what_the_given_columns_say_of_the_location_is_taken_out(cause):
    rng = np.random.default_rng(0)
    z = standardised(rng.normal(size=(1500, 4)))
    noise = rng.normal(size=(1500, 2))
    found = residuals(z, 3 * CAUSES[cause](z)[:, None] + noise)
    correlations = [np.corrcoef(found.values[:, k], noise[:, k])[0, 1] for k in (0, 1)]
    assert min(correlations) > 0.95
    # What is left of two columns with one cause is as correlated as their noises are.
    left, own = (np.corrcoef(v.T)[0, 1] for v in (found.values, noise))
    assert abs(left - own) < 0.07


def test_what_they_say_of_the_scale_is_taken_out():
    rng = np.random.default_rng(0)
    z, noise = rng.normal(size=(2, 2000, 1))
    found = residuals(z, np.exp(0.7 * z) * noise)
    assert abs(np.corrcoef(np.abs(found.values[:, 0]), z[:, 0])[0, 1]) < 0.06  # .42 at first
    assert np.corrcoef(found.values[:, 0], noise[:, 0])[0, 1] > 0.98


def test_a_nearly_deterministic_relation_survives_errors_of_regressions():
    rng = np.random.default_rng(0)
    z, u = rng.normal(size=(400, 20)), rng.normal(size=400)
    x, y = z @ rng.normal(size=20) + u, z @ rng.normal(size=20) + u + 0.05 * rng.normal(size=400)
    found = residuals(z, np.column_stack([x, y]))
    assert np.corrcoef(found.values.T)[0, 1] > 0.998  # 1 / sqrt(1 + .05^2) = .9988
    apart = [residuals(z, column[:, None]).values[:, 0] for column in (x, y)]
    assert np.corrcoef(*apart)[0, 1] == pytest.approx(np.corrcoef(found.values.T)[0, 1], abs=2e-3)


def test_a_relation_of_columns_survives_many_given_columns():
    # y is x, which z does not say, and much of z, which hides little noise.
    rng = np.random.default_rng(0)
    z, x = standardised(rng.normal(size=(300, 30))), rng.normal(size=300)
    columns = np.column_stack([x, x + z.mean(axis=1) * np.sqrt(30) + 0.1 * rng.normal(size=300)])
    design, mix = Design(z), np.array([[2.0, -1.9], [1.0, 1.0]])
    left = columns - design.linear(columns)
    correlation = np.corrcoef(left.T)[0, 1]
    assert -np.log(1 - correlation**2) / 2 > np.log(101) / 2 - 0.15  # 1.3 less by variances
    np.testing.assert_allclose(design.linear(columns @ mix), design.linear(columns) @ mix)


def test_more_columns_than_rows_lose_what_the_given_ones_say():
    rng = np.random.default_rng(0)
    z = standardised(rng.normal(size=(60, 3)))
    columns = 3 * z @ rng.normal(size=(3, 80)) + rng.normal(size=(60, 80))
    left = columns - Design(z).linear(columns)
    assert left.var() < 1.5 < 0.1 * columns.var()


def test_columns_that_do_not_depend_on_them_stay_as_they_are():
    rng = np.random.default_rng(0)
    z, noise = rng.normal(size=(1000, 5)), rng.normal(size=(1000, 2))
    found = residuals(z, noise)
    assert min(np.corrcoef(found.values[:, k], noise[:, k])[0, 1] for k in (0, 1)) > 0.99
    assert found.unexplained.min() > 0.97
    assert found.errors.max() < 0.01


def test_errors_are_those_that_another_sample_shows():
    rng = np.random.default_rng(0)
    z, noise = rng.normal(size=(1000, 3)), rng.normal(size=(1000, 1))
    found = residuals(z, 2 * CAUSES["sine"](z)[:, None] + noise)
    lost = 1 - np.corrcoef(found.values[:, 0], noise[:, 0])[0, 1] ** 2
    assert lost / 4 < found.errors[0, 0] < 4 * lost


def test_errors_of_scales_are_those_that_another_sample_shows():
    rng = np.random.default_rng(0)
    z, noise = rng.normal(size=(1000, 5)), rng.normal(size=(1000, 3))
    found = residuals(z, np.exp(z.sum(axis=1, keepdims=True) / 4) * noise)
    large = np.abs(noise) > 1  # where errors of the location are small
    apart = np.log(np.abs(found.values / noise)[large]).var()
    assert apart / 3 < found.scale_errors.mean() < 3 * apart
    assert found.errors.max() < 0.01


def test_what_determines_a_column_leaves_nothing():
    z = np.random.default_rng(0).normal(size=(500, 1))
    assert residuals(z, 2 * z).unexplained[0] < 1e-6
    assert np.isfinite(residuals(z, np.zeros((500, 1))).values).all()


def test_a_refit_keeps_weights_and_directions():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(800, 4))
    wanted = CAUSES["sine"](z)[:, None] + 0.2 * rng.normal(size=(800, 1))
    first = Regression.fit(Design(z[:600]), wanted[:600])
    again = Regression.fit(Design(z), wanted, start=first)
    assert np.array_equal(first.shares[0], again.shares[0])
    assert abs(again(z) - wanted).mean() < 0.2
    other = rng.normal(size=(300, 4))
    assert np.corrcoef(again(other)[:, 0], CAUSES["sine"](other))[0, 1] > 0.95


def test_products_of_two_columns_are_found_in_few_rows(monkeypatch):
    def left(seed):
        rng = np.random.default_rng(seed)
        z, noise = standardised(rng.normal(size=(200, 5))), rng.normal(size=(200, 2))
        return np.corrcoef(residuals(z, 2 * CAUSES["product"](z)[:, None] + noise).values.T)[0, 1]

    with_products = np.mean([left(seed) for seed in range(3)])
    monkeypatch.setattr(features, "MULTIPLIED", 0)
    assert with_products < 0.12
    assert np.mean([left(seed) for seed in range(3)]) > with_products + 0.03


def test_a_column_of_few_values_has_a_mean_for_each(monkeypatch):
    """Columns that share rough functions of it. The control has smooth functions only."""
    shared = np.zeros((6, 2))
    for seed in range(6):
        rng = np.random.default_rng(seed)
        z, means = rng.integers(8, size=(200, 5)), rng.normal(size=8)
        columns = means[z].sum(axis=1, keepdims=True) / 2 + rng.normal(size=(200, 2))
        for control in (0, 1):
            with monkeypatch.context() as changed:
                changed.setattr(features, "MOST_LEVELS", 0 if control else features.MOST_LEVELS)
                scaled = (z - z.mean(axis=0)) / z.std(axis=0)
                found = residuals(scaled, columns)
                left = refitted(scaled, found.values, found.origin).values
            shared[seed, control] = np.corrcoef(left.T)[0, 1]
    assert abs(shared[:, 0].mean()) < 0.08
    assert shared[:, 1].mean() > 0.2


def test_functions_that_columns_share_are_found_with_few_rows():
    before, after, count = np.zeros((3, 4))
    for seed in range(4):
        rng = np.random.default_rng(seed)
        z, noise = rng.normal(size=(200, 20)), rng.normal(size=(200, 2))
        found = residuals(z, 3 * np.sin(z.sum(axis=1, keepdims=True) / 2.5) + noise)
        fitted = refitted(z, found.values, found.origin)
        count[seed] = fitted.functions.shape[1]
        before[seed], after[seed] = (np.corrcoef(e.T)[0, 1] for e in (found.values, fitted.values))
    assert before.mean() > 0.2
    assert abs(after).mean() < 0.12
    assert (count >= 30).all()  # one, the columns, and the functions along one direction or more


def test_odd_functions_of_many_columns_are_found_by_third_moments(monkeypatch):
    found = np.zeros(2, dtype=int)
    for seed in range(25):
        rng = np.random.default_rng(seed)
        z, noise = rng.normal(size=(200, 20)), rng.normal(size=(200, 2))
        columns = 2 * np.sin(2 * z.sum(axis=1, keepdims=True) / np.sqrt(20)) + noise
        for control in (0, 1):
            with monkeypatch.context() as changed:
                if control:
                    changed.setattr(pursuit, "_odd_too", lambda z, left, moments: moments)
                found[control] += len(pursuit.shared_directions(z, columns)) > 0
    assert found[0] >= found[1] + 2
    assert found[0] >= 22


def test_a_direction_that_is_a_little_wrong_leaves_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    z, noise = rng.normal(size=(1000, 5)), rng.normal(size=(1000, 2))
    columns = 3 * np.sin(2 * z[:, :1]) + noise
    way = np.array([0.98, np.sqrt(1 - 0.98**2), 0, 0, 0])
    monkeypatch.setattr(residual_module, "shared_directions", lambda z, columns: [way])
    origin = Origin(columns, np.zeros_like(columns), np.ones_like(columns))
    turning = refitted(z, columns, origin).values
    monkeypatch.setattr(residual_module, "_turns", lambda z, column, ways: [])
    fixed = refitted(z, columns, origin).values
    assert abs(np.corrcoef(turning.T)[0, 1]) < 0.1 < 0.3 < np.corrcoef(fixed.T)[0, 1]


def test_dependence_remains_when_all_rows_are_fitted():
    rng = np.random.default_rng(0)
    z, u, v = rng.normal(size=(200, 20)), *rng.normal(size=(2, 200, 1))
    cause = z.sum(axis=1, keepdims=True)
    found = residuals(z, np.hstack([cause + u, cause + u + v]))
    fitted = refitted(z, found.values, found.origin)
    assert abs(np.corrcoef(fitted.values.T)[0, 1] - np.sqrt(0.5)) < 0.15


def test_too_many_columns_for_the_rows_leave_residuals_as_they_were():
    rng = np.random.default_rng(0)
    z, rest = rng.normal(size=(60, 30)), rng.normal(size=(60, 2))
    origin = Origin(rest, np.zeros((60, 2)), np.ones((60, 2)))
    fitted = refitted(z, rest, origin)
    assert fitted.functions.shape == (60, 0)
    assert fitted.values is rest


def test_a_column_with_values_far_out_is_fitted_as_it_is():
    rng = np.random.default_rng(0)
    far = np.exp(2 * rng.normal(size=(300, 1)))
    z = np.log(far)
    rest = far + 0.1 * rng.normal(size=(300, 1))
    origin = Origin(rest, np.zeros((300, 1)), np.ones((300, 1)))
    with_it, without = (refitted(z, rest, origin, far=v)[0].std() for v in (far, None))
    assert with_it < 0.12 < 3 * with_it < without


def test_noise_with_long_tails_does_not_blur_the_fit():
    """The control is least squares, even of fewer functions."""
    errors = np.zeros((8, 2))
    for seed in range(8):
        rng = np.random.default_rng(seed)
        z, noise = rng.normal(size=(300, 5)), rng.normal(size=(300, 1)) ** 3
        origin = Origin(noise, np.zeros((300, 1)), np.ones((300, 1)))
        functions = np.hstack([np.ones((300, 1)), z])
        fits = (
            refitted(z, noise, origin)[0] - noise,
            functions @ np.linalg.lstsq(functions, noise)[0],
        )
        errors[seed] = [np.median(np.abs(fit - np.median(fit))) for fit in fits]
    assert errors[:, 0].mean() < 0.5 * errors[:, 1].mean()


@pytest.mark.parametrize(("n", "dz", "chance"), [(200, 5, True), (500, 1, True), (500, 1, False)])
def test_noise_whose_skewness_follows_z_is_fitted_by_its_mean(n, dz, chance, monkeypatch):
    """That of a class does. Huber's estimate, the control, is nearer to the median."""
    errors = np.zeros((8, 2))
    for seed in range(8):
        rng = np.random.default_rng(seed)
        z, noise = rng.normal(size=(n, dz)), rng.normal(size=(n, 1))
        cause = 1.5 * z.sum(axis=1, keepdims=True) / np.sqrt(dz)
        x, mean = (cause + noise > 0).astype(float), stats.norm.cdf(cause)
        origin = Origin(x, np.zeros((n, 1)), np.ones((n, 1)))
        found = refitted(z, x, origin, bounded=np.array([True]) if chance else None)
        with monkeypatch.context() as control:
            control.setattr(residual_module, "LEFT", np.inf)
            huber = refitted(z, x, origin)
        errors[seed] = [((x - each.values - mean) ** 2).mean() for each in (found, huber)]
    assert errors[:, 0].mean() < 0.6 * errors[:, 1].mean()


def test_residuals_of_skewed_noise_with_long_tails_have_mean_zero():
    """Their products would otherwise look like a dependence, in more rows all the more."""
    rng = np.random.default_rng(0)
    z, noise = rng.normal(size=(1000, 1)), np.exp(rng.normal(size=(1000, 1)))
    origin = Origin(noise, np.zeros((1000, 1)), np.ones((1000, 1)))
    found = refitted(z, noise, origin)
    least_squares = refitted(z, noise, origin, bounded=np.array([True]))
    assert np.abs(found.values - least_squares.values).max() > 0.1  # it is Huber's fit
    assert abs(found.values.mean()) < 1e-9


def test_a_direction_for_several_columns_is_that_of_the_same_column():
    rng = np.random.default_rng(0)
    z, start = rng.normal(size=(300, 4)), rng.normal(size=4)
    column, weights = np.sin(z[:, 0] + z[:, 1]), np.ones(300)
    one = pursuit._direction(z, column, weights, start, 6)
    two = pursuit._direction(z, np.stack([column, column]), weights, start, 6)
    np.testing.assert_allclose(two[0], one[0], atol=1e-6)
    np.testing.assert_allclose(two[1], np.stack([one[1]] * 2), atol=1e-6)
    assert two[2] == pytest.approx(2 * one[2])
