"""Classes and categories: each MI against another formula, another quadrature or its limits."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from infobound.benchmark.distributions import classes
from infobound.benchmark.distributions.joint import monte_carlo


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def bits(p):
    """The entropy of a coin, in bits, by its definition."""
    return -p * math.log2(p) - (1 - p) * math.log2(1 - p)


@pytest.mark.parametrize("spread", [0.0, 0.4])
def test_the_log_ratio_of_gaussian_classes_is_that_of_the_densities(spread):
    task = classes.GaussianClasses(k=4, d=3, spread=spread, seed=1)
    x, y = task.sample(50, seeded())
    means, scales = (part.numpy() for part in task._laws)
    assert (scales == 1).all() == (spread == 0)
    logs = np.stack(
        [stats.norm(m, s).logpdf(x.numpy()).sum(1) for m, s in zip(means, scales, strict=True)], 1
    )
    exact = logs - np.log(np.exp(logs).mean(1, keepdims=True))
    labels = y[:, 0].long().numpy()
    assert task.log_ratio(x, y).numpy() == pytest.approx(exact[:, labels], abs=1e-9)


def test_two_classes_depend_on_the_distance_of_their_means_alone():
    for d in (1, 2, 60):
        task = classes.GaussianClasses(k=2, d=d, seed=3)
        distance = float((task._laws[0][0] - task._laws[0][1]).norm())

        def integrand(t, distance=distance):
            return stats.norm.pdf(t) * np.logaddexp(0, -distance * (t + distance / 2))

        loss = integrate.quad(integrand, -12, 12, epsabs=1e-10, limit=500)[0]
        assert task.mi == pytest.approx(math.log(2) - loss, abs=1e-8)


def test_the_grid_has_converged_and_agrees_with_monte_carlo(monkeypatch):
    given = [(6, 2, 0.0), (6, 2, 0.4), (3, 40, 0.0)]
    values = [classes.GaussianClasses(k, d, spread=s).mi for k, d, s in given]
    monkeypatch.setattr(classes, "STEP", classes.STEP / 2)
    finer = [classes.GaussianClasses(k, d, spread=s).mi for k, d, s in given]
    assert finer == pytest.approx(values, abs=1e-9)
    monkeypatch.setattr(classes, "INFORMATIVE_COLUMNS", 0)
    for (k, d, spread), value in zip(given, values, strict=True):
        task = classes.GaussianClasses(k, d, spread=spread)
        assert 0 < task.mi_error < 0.003
        assert abs(task.mi - value) <= 4 * task.mi_error


def test_gaussian_classes_from_nothing_to_everything():
    assert classes.GaussianClasses(k=1).mi == 0
    values = [classes.GaussianClasses(k=3, separation=s).mi for s in (0.01, 1.0, 3.0, 50.0)]
    assert values == sorted(values)
    assert values[0] == pytest.approx(0, abs=1e-3)
    assert values[-1] == pytest.approx(math.log(3), abs=1e-6)


@pytest.mark.parametrize(("k", "p"), [(2, 0.1), (5, 0.3), (10, 0.9)])
def test_label_noise_by_the_table_of_classes_and_labels(k, p):
    table = np.full((k, k), p / (k - 1)) + (1 - p - p / (k - 1)) * np.eye(k)
    exact = float((table * np.log(k * table)).sum()) / k
    task = classes.LabelNoise(k=k, d=12, p=p)
    assert task.mi == pytest.approx(exact, abs=1e-12)
    x, y = task.sample(20_000, seeded())
    shares = np.zeros((k, k))
    np.add.at(shares, (x[:, :k].argmax(1).numpy(), y[:, 0].long().numpy()), k / len(x))
    assert shares == pytest.approx(table, abs=5 * math.sqrt(k / len(x)))  # 5 errors of a cell


def test_all_labels_are_equally_frequent_without_information_about_the_class():
    assert classes.LabelNoise(k=4, p=0.75).mi == pytest.approx(0, abs=1e-12)
    assert classes.LabelNoise(k=4, p=0.0).mi == pytest.approx(math.log(4), abs=1e-12)


@pytest.mark.parametrize(("d", "p", "expected"), [(5, 0.17, 1.7), (4, 0.025, 3.3), (5, 0.063, 3.3)])
def test_shared_classes_have_the_information_of_their_channel(d, p, expected):
    value = classes.SharedClass(d=d, p=p).mi / math.log(2)
    assert value == pytest.approx(d * (1 - bits(p)), abs=1e-9)
    assert value == pytest.approx(expected, abs=0.03)


def test_an_image_determines_its_digit_and_is_on_one_side_only():
    halves = [torch.cat(pools) for pools in classes._digits()]
    known = [{tuple(image) for image in images.tolist()} for images in halves]
    assert not known[0] & known[1]
    task = classes.SharedClass(d=1)
    for side, (zeros, ones) in enumerate(classes._digits()):
        assert len(known[side]) == len(zeros) + len(ones)
        for pool, sign in ((zeros, -1), (ones, 1)):
            for rows in (pool, pool.float()):
                assert (task._signs(rows, side) == sign).all()
    x, y = classes.SharedClass(d=3, p=0.2).sample(2000, seeded())
    for side, rows in enumerate((x, y)):
        assert {tuple(image) for image in rows.reshape(-1, 64).tolist()} == known[side]


def test_the_digits_of_the_slots_differ_as_often_as_stated_and_independently():
    task = classes.SharedClass(d=3, p=0.2)
    x, y = task.sample(20_000, seeded())
    a, b = task._signs(x, 0), task._signs(y, 1)
    error = 4 / math.sqrt(len(a))
    assert (a * b).mean(0).numpy() == pytest.approx(np.full(3, 0.6), abs=error)
    between = torch.corrcoef(torch.cat([a, a * b], 1).T) - torch.eye(6, dtype=a.dtype)
    assert between.abs().max() < error


def test_given_the_digits_the_images_are_independent():
    """Pixels of x tell nothing about those of y within a pair of digits: a negative control."""
    task = classes.SharedClass(d=1, p=0.1)
    x, y = task.sample(40_000, seeded())
    both = (task._signs(x, 0)[:, 0] > 0) & (task._signs(y, 1)[:, 0] > 0)
    x, y = ((rows - rows.mean(0)) / rows.std(0).clamp(min=0.1) for rows in (x[both], y[both]))
    assert (x.T @ y / len(x)).abs().max() < 6 / math.sqrt(len(x))


@pytest.mark.parametrize("law", classes.LAWS)
def test_alphabets_draw_their_table(law):
    task = classes.Alphabet(k=10, law=law)
    table = task._table.numpy()
    assert table.sum() == pytest.approx(1, abs=1e-12)
    exact = [stats.entropy(part) for part in (table.sum(0), table.sum(1), table.ravel())]
    assert task.mi == pytest.approx(exact[0] + exact[1] - exact[2], abs=1e-9)
    x, y = task.sample(50_000, seeded())
    counts = np.zeros((10, 10))
    np.add.at(counts, (x[:, 0].long().numpy(), y[:, 0].long().numpy()), 1)
    assert counts[table == 0].sum() == 0
    assert (np.abs(counts - 50_000 * table) <= 5 * np.sqrt(50_000 * table) + 5).all()


def test_the_margins_of_zipf_and_the_extremes_of_alphabets():
    table = classes.Alphabet(k=50, law="zipf")._table
    shares = 1 / np.arange(1, 51)
    for axis in (0, 1):
        assert table.sum(axis).numpy() == pytest.approx(shares / shares.sum(), abs=1e-12)
    assert classes.Alphabet(law="one_to_one", k=7).mi == pytest.approx(math.log(7), abs=1e-12)
    assert classes.Alphabet(law="independent").mi == pytest.approx(0, abs=1e-12)
    assert classes.Alphabet(seed=1).mi != classes.Alphabet(seed=2).mi


@pytest.mark.parametrize(
    "task", [classes.GaussianClasses(k=5, d=10), classes.LabelNoise(), classes.SharedClass()]
)
def test_a_wrong_log_ratio_is_found(task):
    """The negative control of the comparison with Monte Carlo: labels of other rows."""
    x, y = task.sample(4000, seeded())

    class Wrong:
        mi = task.mi

        def sample(self, n, generator):
            return x[:n], y[:n].roll(1, 0)

        log_ratio = staticmethod(task.log_ratio)

    mean, error = monte_carlo(Wrong(), n=4000, generator=seeded())
    assert abs(mean - task.mi) > 10 * error
