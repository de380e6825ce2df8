import numpy as np
import pytest

from infobound.data.clusters import clusters
from infobound.regression.joint_locations import FEWEST, MOST, _Density, refined
from infobound.regression.residuals import residuals


def confounded(seed, curve, noise, n=700, d=1):
    """z (n, d), the noises u and v of x and y, which share a sine of z, and their residuals."""
    rng = np.random.default_rng(seed)
    z, u = rng.normal(size=(n, d)), rng.normal(size=n)
    v = curve(u) + noise * rng.normal(size=n)
    cause = 2 * np.sin(2 * z.sum(axis=1) / np.sqrt(d))
    return z, np.column_stack([u, v]), residuals(z, np.column_stack([cause + u, cause + v]))


def after(z, rest, seed=0):
    return refined(z, rest.values, rest.origin, errors=rest.errors, seed=seed)


def errors(found, noises):
    """The parts of the variances of residuals that are not the noises."""
    pairs = zip(found.T, noises.T, strict=True)
    return np.array([1 - np.corrcoef(each, noise)[0, 1] ** 2 for each, noise in pairs])


NARROW = {"wave": (lambda u: np.sin(3 * u), 0.2), "zigzag": (lambda u: np.abs(u % 2 - 1), 0.1)}
NOT_NARROW = {"line": (lambda u: 0.7 * u, 1.0), "none": (lambda u: 0 * u, 1.0)}


@pytest.mark.parametrize("shape", NARROW)
def test_a_narrow_dependence_shows_the_errors_of_locations(shape):
    left = []
    for seed in range(2):
        z, noises, rest = confounded(seed, *NARROW[shape])
        found = after(z, rest)
        assert found is not None
        left.append((errors(found.values, noises), errors(rest.values, noises)))
        # What is said to be left is neither far too much nor far too little.
        ratio = (found.noise**2).mean() / left[-1][0].mean()
        assert 0.02 < ratio < 3
    now, before = np.mean(left, axis=(0, 2))
    assert now < before * 2 / 3


@pytest.mark.parametrize("shape", NOT_NARROW)
@pytest.mark.parametrize("d", [1, 4])
def test_other_residuals_stay_as_they_are(shape, d):
    cases = (confounded(seed, *NOT_NARROW[shape], d=d) for seed in range(2))
    assert sum(after(z, rest) is not None for z, _, rest in cases) <= 1


def test_linear_locations_in_several_columns_are_refined():
    rng = np.random.default_rng(0)
    z, u, noise = rng.normal(size=(600, 5)), rng.normal(size=600), rng.normal(size=600)
    noises = np.column_stack([u, np.sin(3 * u) + 0.2 * noise])
    rest = residuals(z, z.sum(axis=1, keepdims=True) + noises)
    assert errors(after(z, rest).values, noises).mean() < errors(rest.values, noises).mean() / 4


def test_too_few_and_too_many_rows_are_left_alone():
    z, _, rest = confounded(0, *NARROW["wave"], n=FEWEST - 1)
    assert after(z, rest) is None
    z, _, rest = confounded(0, *NARROW["wave"], n=MOST + 1)
    assert after(z, rest) is None


def test_the_gradient_is_that_of_the_log_density():
    rows = np.random.default_rng(0).normal(size=(300, 2))
    rows[:, 1] += rows[:, 0] ** 2
    density = _Density.fit(rows, clusters(rows, 6).T, 20)
    step = 1e-5
    for j in range(2):
        ahead = step * np.eye(2)[j]
        slope = (density(rows + ahead) - density(rows - ahead)) / (2 * step)
        assert density.gradient(rows)[:, j] == pytest.approx(slope, abs=1e-6)
    grid = np.stack(np.meshgrid(*[np.linspace(-9, 20, 400)] * 2), axis=-1).reshape(-1, 2)
    assert np.exp(density(grid)).sum() * (29 / 399) ** 2 == pytest.approx(1, abs=0.01)
