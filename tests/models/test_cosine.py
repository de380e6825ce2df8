"""The cosine series: its features, and dependence that it shows."""

import numpy as np

from infobound.data import Transform
from infobound.models.cosine import ORDERS, Cosines, Witness, _raw_cosines


def test_the_recurrence_gives_cosines_of_each_order():
    rows = np.random.default_rng(0).uniform(size=(400, 3))
    transform = Transform.fit(rows)
    ranks = np.argsort(np.argsort(rows, axis=0), axis=0) / 400 + 1 / 800
    exact = np.concatenate([np.cos(np.pi * k * ranks) for k in ORDERS], axis=1)
    found = _raw_cosines(rows, transform)
    assert np.corrcoef(found.ravel(), exact.ravel())[0, 1] > 0.999
    first = found[:, :3].clip(-1, 1)
    assert (
        np.abs(found - np.concatenate([np.cos(k * np.arccos(first)) for k in ORDERS], 1)).max()
        < 1e-12
    )


def test_features_are_standardised_and_constant_columns_are_zero():
    rows = np.column_stack([np.random.default_rng(1).normal(size=300), np.ones(300)])
    fitted, features = Cosines.fit(rows, Transform.fit(rows))
    assert np.array_equal(features, fitted(rows))
    assert np.allclose(features[:, ::2].mean(0), 0)
    assert np.allclose(features[:, ::2].std(0), 1)
    assert not features[:, 1::2].any()


def test_only_dependent_rows_have_higher_scores():
    gains = []
    for seed in range(20):
        x, noise = np.random.default_rng(seed).normal(size=(2, 300, 1))
        for y in (x**2 + noise, noise):
            scores = Witness.fit(x[:200], y[:200])(x[200:], y[200:])
            gains.append(np.diagonal(scores).mean() - scores.mean())
    dependent, independent = np.array(gains).reshape(20, 2).T
    assert dependent.min() > 0.2
    assert abs(independent.mean()) < 4 * independent.std() / 20**0.5
