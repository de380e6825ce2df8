"""Class posteriors: near the exact log ratio, calibrated, harmless, the same by any name."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import datasets
from sklearn.covariance import ledoit_wolf
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_info, threadpool_limits

from infobound.data import Transform, split
from infobound.estimation.estimate import estimate
from infobound.models import posteriors
from infobound.models.densities import codes
from infobound.models.posteriors import ClassPosterior

QUICK = {"critic": "none", "certify": False}


def columns(rows):
    """Normal scores and scaled values (n, 2 d), as critics read them."""
    fitted = Transform.fit(rows)
    both = np.concatenate([fitted.normal_scores(rows), fitted.robust(rows)], axis=1)
    return torch.from_numpy(both).float()


def doubled(classes):
    return torch.from_numpy(np.stack([classes, classes], 1)).float()


def gaussian_classes(n, k, d, seed, apart=3.0, spread=0.0):
    """Rows (n, d), their classes (n,), and the exact log ratios (n, K), nats."""
    rng = np.random.default_rng(70 + k + d)
    means = apart / np.sqrt(d) * rng.normal(size=(k, d))
    scales = np.exp(spread * rng.normal(size=(k, d)))
    rng = np.random.default_rng(seed)
    classes = rng.integers(k, size=n)
    rows = means[classes] + scales[classes] * rng.normal(size=(n, d))
    logs = -0.5 * (((rows[:, None] - means) / scales) ** 2).sum(2) - np.log(scales).sum(1)
    return rows, classes, logs - np.log(np.exp(logs).mean(1, keepdims=True))


def exact(k, d, **settings):
    _, classes, ratios = gaussian_classes(50_000, k, d, 999, **settings)
    return ratios[np.arange(len(classes)), classes].mean()


@pytest.mark.parametrize("of_x", [False, True])
@pytest.mark.parametrize(("k", "d", "spread"), [(2, 3, 0.0), (8, 4, 0.5)])
def test_log_ratios_are_near_the_exact_ones(k, d, spread, of_x):
    rows, classes, ratios = gaussian_classes(2000, k, d, 0, spread=spread)
    seen = columns(rows)
    sides = (doubled(classes), seen) if of_x else (seen, doubled(classes))
    critic = ClassPosterior.fit(*(side[:1000] for side in sides))
    assert critic.of_x == of_x
    scores = critic(*(side[1000:] for side in sides))
    own = scores.diagonal().double().numpy()
    right = ratios[np.arange(1000, 2000), classes[1000:]]
    assert abs((own - right).mean()) < 0.05
    table = critic.log_ratios(seen[1000:]).double()
    assert float((table.exp() * critic.log_shares.exp()).sum(1).sub(1).abs().max()) < 1e-4
    place = codes(doubled(classes[1000:]), critic.values)
    np.testing.assert_allclose(own, table[np.arange(1000), place], rtol=1e-5)


def test_independent_rows_have_ratio_one_and_values_not_seen_too():
    rng = np.random.default_rng(0)
    rows, classes = rng.normal(size=(300, 5)), rng.integers(3, size=300)
    critic = ClassPosterior.fit(columns(rows), doubled(classes))
    fresh = critic(columns(rng.normal(size=(300, 5))), doubled(rng.integers(3, size=300)))
    assert -0.03 < float(fresh.diagonal().mean()) < 0.01
    assert critic(columns(rows)[:3], doubled(np.full(4, 7))).abs().max() == 0


def test_a_class_of_two_rows_and_constant_columns_are_finite():
    rng = np.random.default_rng(0)
    rows = np.c_[rng.normal(size=(120, 2)), np.zeros(120)]
    classes = np.r_[np.zeros(80), np.ones(38), 2, 2].astype(int)
    critic = ClassPosterior.fit(columns(rows), doubled(classes))
    assert critic(columns(rows), doubled(classes)).isfinite().all()


def test_bent_and_round_structure_is_found():
    """Classes that no linear rule tells apart: a band, and a ring."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(2000, 2))
    for inside in (np.abs(rows[:, 0]) < 0.67, (rows**2).sum(1) < 1.386):
        critic = ClassPosterior.fit(columns(rows)[:1000], doubled(inside)[:1000])
        fresh = critic(columns(rows)[1000:], doubled(inside)[1000:]).diagonal().mean()
        assert 0.55 < float(fresh) < np.log(2)


def tuned(x, classes):
    """The entropy less the cross-entropy of tuned logistic regression, on the same folds, nats."""
    losses = np.empty(len(x))
    for training, test in split(len(x), 4, seed=0):
        model = LogisticRegressionCV(
            Cs=[0.01, 0.1, 1.0, 10.0], cv=3, scoring="neg_log_loss", max_iter=500
        )
        model = make_pipeline(StandardScaler(), model).fit(x[training], classes[training])
        logs = model.predict_log_proba(x[test])
        losses[test] = -logs[np.arange(len(test)), classes[test]]
    shares = np.bincount(classes) / len(classes)
    return float(-(shares * np.log(shares)).sum() - losses.mean())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["breast_cancer", "wine"])
def test_it_is_no_worse_than_tuned_logistic_regression(name):
    data = getattr(datasets, f"load_{name}")()
    found = estimate(data.data, data.target, **QUICK)
    assert set(found.bases) == {"posterior"}
    assert found.held_out > tuned(data.data, data.target) - 0.01


@pytest.mark.parametrize(("k", "d", "n"), [(3, 2, 500), (5, 30, 500), (20, 10, 900)])
def test_the_mi_of_gaussian_classes(k, d, n):
    truth = exact(k, d)
    errors, covered = [], 0
    for seed in range(2):
        x, y, _ = gaussian_classes(n, k, d, seed)
        found = estimate(x, y, folds=2, **QUICK)
        errors.append(abs(found.mi - truth))
        covered += found.interval[0] < truth < found.interval[1]
    assert np.mean(errors) < 0.06
    assert covered >= 1


@pytest.mark.usefixtures("few_steps")
def test_the_kind_of_the_labels_does_not_matter():
    data = datasets.load_digits()
    rows = np.random.default_rng(0).permutation(len(data.data))[:300]
    x, y = data.data[rows], data.target[rows]
    found = [
        estimate(x, labels, folds=2, **QUICK)
        for labels in (y, [f"digit {k}" for k in y], pd.Categorical(y), 9.0 - y)
    ]
    values = [(each.mi, each.held_out) for each in found]
    np.testing.assert_allclose(values, np.tile(values[0], (4, 1)), atol=2e-3)
    assert found[0].held_out > 1.85


def test_the_gradient_of_the_networks_is_that_of_their_cross_entropy():
    """Three networks at once, against PyTorch's own derivative."""
    rng = torch.Generator().manual_seed(5)
    shapes = [(3, 4, 6), (3, 1, 6), (3, 6, 6), (3, 1, 6), (3, 6, 5), (3, 1, 5)]
    values = [torch.randn(s, generator=rng, dtype=torch.float64) for s in shapes]
    rows = torch.randn(3, 7, 4, generator=rng, dtype=torch.float64)
    classes = torch.randint(5, (3, 7), generator=rng)
    log_shares = torch.randn(5, generator=rng, dtype=torch.float64).log_softmax(0)
    slopes = [torch.empty_like(value) for value in values]
    targets = torch.nn.functional.one_hot(classes, 5).double()
    posteriors._gradient(rows, targets, log_shares, values, slopes)
    for value in values:
        value.requires_grad_()
    hidden = (rows @ values[0] + values[1]).relu()
    logits = (hidden @ values[2] + values[3]).relu() @ values[4] + values[5] + log_shares
    losses = torch.nn.functional.cross_entropy(logits.flatten(0, 1), classes.flatten())
    (3 * losses).backward()
    for value, slope in zip(values, slopes, strict=True):
        assert torch.allclose(slope, value.grad, atol=1e-12)


def test_a_start_gives_its_weights_and_only_they_are_fitted():
    rows, classes, _ = gaussian_classes(900, 3, 2, seed=3)
    x, y = columns(rows), doubled(classes)
    first = ClassPosterior.fit(x, y)
    again = ClassPosterior.fit(x[:600], y[:600], start=first)
    assert list(again.classifiers) == list(first.classifiers)
    assert torch.equal(again.weights, first.weights)
    whole = ClassPosterior.fit(x[:600], y[:600])
    assert (again(x, y) - whole(x, y)).diagonal().abs().mean() < 0.05


@pytest.mark.usefixtures("few_steps")
def test_classes_of_rows_with_more_columns_than_rows_have_a_posterior():
    rows, classes, logs = gaussian_classes(160, 4, 200, seed=4, apart=6.0)
    found = estimate(rows, classes, **QUICK, categorical=("y",))
    assert set(found.bases) == {"posterior"}
    exact = float(logs[np.arange(160), classes].mean())
    assert found.interval[0] <= exact <= found.interval[1] + 1e-6
    assert found.held_out > 0.5
    unrelated = np.random.default_rng(5).permutation(classes)
    nothing = estimate(rows, unrelated, **QUICK, categorical=("y",), folds=2)
    assert nothing.interval[0] <= 0 <= nothing.interval[1]
    assert nothing.held_out < 0.03


@pytest.mark.parametrize(("n", "d"), [(60, 8), (6, 40), (40, 1)])
def test_the_pooled_covariance_is_shrunk_as_by_scikit_learn(n, d):
    rest = torch.from_numpy(np.random.default_rng(d).normal(size=(n, d)).cumsum(1))
    expected, _ = ledoit_wolf(rest.numpy(), assume_centered=True)
    found = posteriors._pooled(rest, d).numpy()
    least = 1e-6 * np.diagonal(expected).mean()
    np.testing.assert_allclose(found, expected + least * np.eye(d), rtol=1e-9, atol=1e-12)
    assert posteriors._pooled(torch.zeros_like(rest), d).isfinite().all()


def test_gaussians_of_more_columns_than_rows_are_those_of_the_span_of_the_rows():
    """A rotation into as many columns as there are rows changes nothing, and takes less time."""
    rng = np.random.default_rng(4)
    classes = rng.integers(3, size=60)
    rows = 0.5 * rng.normal(size=(3, 200))[classes] + rng.normal(size=(60, 200))
    basis = np.linalg.qr(rng.normal(size=(200, 200)))[0]
    ratios = []
    for seen in (rows, rows @ basis):
        both = torch.from_numpy(np.concatenate([seen, seen], axis=1))
        task = posteriors._Task(both[:50], torch.from_numpy(classes[:50]), torch.zeros(3).double())
        found = posteriors._Gaussian.fit(task, ["gaussian"])["gaussian"]
        assert found.whiteners.shape == (1, 200, 50)
        ratios.append(found(both[50:]).log_softmax(1).numpy())
        own = ratios[-1][np.arange(10), classes[50:]]
        assert own.mean() > -0.7  # -log 3 = -1.1
    assert np.abs(ratios[0] - ratios[1]).max() < 0.5


def test_logistic_regression_takes_one_thread_of_blas(monkeypatch):
    """Also of more rows than an estimate on one thread has."""
    seen, fit = [], LogisticRegression.fit

    def recorded(self, *rows):
        seen.extend(p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas")
        return fit(self, *rows)

    monkeypatch.setattr(LogisticRegression, "fit", recorded)
    rows, classes, _ = gaussian_classes(120, 3, 2, seed=0)
    with threadpool_limits(2, user_api="blas"):
        ClassPosterior.fit(doubled(classes), columns(rows), kinds=["linear"])
    assert set(seen) == {1}
