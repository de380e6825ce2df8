"""The model of conditional means: the MI of functions with noise, on rows that it has not seen."""

import functools

import numpy as np
import pytest
import torch
from scipy import signal, stats

from infobound import estimate
from infobound.models.copulas import GaussianCopula
from infobound.models.means import MeanModel

FUNCTIONS = {
    "product": lambda x: x[:, :1] * x[:, 1:2],
    "curves": lambda x: np.sin(2 * x[:, :1]) + 0.5 * x[:, 1:2] ** 2,
    "direction": lambda x: np.sin(x.sum(1, keepdims=True)),
}
NOISE, STEP = 0.3, 0.01


def sample(name, n, seed, d=4):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    return x, FUNCTIONS[name](x) + NOISE * rng.normal(size=(n, 1))


@functools.cache
def exact(name):
    """The entropy of y, whose density is a convolution, less that of the noise, in nats."""
    means = FUNCTIONS[name](np.random.default_rng(0).normal(size=(300_000, 4)))[:, 0]
    shares = np.histogram(means, np.arange(means.min() - 3, means.max() + 3, STEP))[0] / len(means)
    noise = stats.norm.pdf(np.arange(-3, 3 + STEP / 2, STEP) / NOISE) / NOISE
    density = signal.fftconvolve(shares, noise, "same").clip(1e-300)
    return -(density * np.log(density)).sum() * STEP - stats.norm.entropy() - np.log(NOISE)


def tensors(*sides):
    return [torch.from_numpy(side) for side in sides]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_fresh_rows_have_nearly_all_of_the_mi(name):
    fresh = tensors(*sample(name, 2000, 1))
    model = MeanModel.fit(*tensors(*sample(name, 1000, 0)))
    scores = model(*fresh)
    error = float(scores.diagonal().std()) / 2000**0.5
    assert abs(float(scores.diagonal().mean()) - exact(name)) < 0.1 + 2 * error
    assert float(scores.exp().mean()) == pytest.approx(1, abs=0.05)  # a normalised ratio
    # From an earlier fit, in less time.
    again = MeanModel.fit(*tensors(*sample(name, 1000, 2)), start=model)
    assert float((again(*fresh).diagonal() - scores.diagonal()).mean().abs()) < 0.1


def test_either_side_may_be_the_one_with_a_mean():
    x, y = tensors(*sample("product", 800, 0))
    model, other = MeanModel.fit(x, y), MeanModel.fit(y, x)
    assert (model.of_y, other.of_y) == (True, False)
    torch.testing.assert_close(other(y[:50], x[:60]), model(x[:60], y[:50]).T)


def monotone(rng, n):
    x = rng.normal(size=(n, 3))
    return x**3, np.exp(x.sum(1, keepdims=True) + rng.normal(size=(n, 1)))


def independent(rng, n):
    return rng.normal(size=(n, 3)), rng.exponential(size=(n, 1))


@pytest.mark.parametrize("kind", [monotone, independent])
@pytest.mark.parametrize("seed", range(3))
def test_without_curves_it_is_the_copula(kind, seed):
    x, y = tensors(*kind(np.random.default_rng(seed), 600))
    model = MeanModel.fit(x, y)
    assert isinstance(model, GaussianCopula)
    assert isinstance(MeanModel.fit(x, y, start=model), GaussianCopula)
    assert model.mi == GaussianCopula.fit(x, y).mi


def test_the_estimate_of_a_product_of_two_of_four_columns_covers_its_mi():
    settings = {
        "base": "gaussian,mean",
        "critic": "none",
        "folds": 2,
        "certify": False,
        "permutations": 9,
    }
    truth = exact("product")
    found = [estimate(*sample("product", 600, seed), **settings) for seed in range(3)]
    assert {base for each in found for base in each.bases} == {"mean"}
    errors = np.array([each.mi for each in found]) - truth
    assert abs(errors.mean()) < 0.1
    assert sum(low <= truth <= high for low, high in (each.interval for each in found)) >= 2
    assert max(each.held_out - 3 * each.held_out_error for each in found) < truth
