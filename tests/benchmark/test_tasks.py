"""Tasks: exact means exact, held against Monte Carlo and against independent quadrature."""

import functools
import inspect
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import integrate

from infobound.benchmark import tasks
from infobound.benchmark.distributions import gaussian
from infobound.benchmark.distributions.joint import monte_carlo, pointwise
from infobound.bounds.variational import BOUNDS
from infobound.errors import InputError

CLASSES = list(dict.fromkeys(entry.task for entry in tasks.SUITES["classes"]))
NOTEBOOK = [entry.task for entry in tasks.SUITES["notebook"]]
PAIRS = [name for name in tasks.TASKS if not hasattr(tasks.make(name), "dim_given")]
TRIPLES = [name for name in tasks.TASKS if name not in PAIRS]
ENTRIES = {f"{suite}: {e.label}": e for suite, all_ in tasks.SUITES.items() for e in all_}

# All other truths in the tables are closed forms or quadrature.
MONTE_CARLO = [
    "classes: gaussian_classes (k = 5, d = 10)",
    "classes: gaussian_classes (k = 10, d = 30, spread = 0.3)",
    "classes: gaussian_classes (k = 20, d = 100)",
]

SMALL = [
    ("gaussian", {"d": 2, "rho": 0.5}),
    ("mixed_gaussian", {"d": 2, "rho": 0.6}),
    ("mixed_gaussian_joint", {"d": 2, "rho": -0.6}),
    ("independent", {"d": 2}),
    ("staircase_gaussian", {"d": 4, "mi": 0.5}),
    ("staircase_cubic", {"d": 4, "mi": 0.5}),
]


def rows(task, n, seed=0):
    return task.sample(n, torch.Generator().manual_seed(seed))


@functools.lru_cache(maxsize=1)
def drawn(label, n=2000):
    """The task of an entry, its rows and their log ratios."""
    entry = ENTRIES[label]
    task = tasks.make(entry.task, **entry.parameters)
    sides = rows(task, n)
    return task, sides, pointwise(task, *sides)


def close(values, value, bound=4.0):
    """Whether a mean agrees with a number, by its standard error."""
    return abs(float(values.mean()) - value) <= bound * float(values.std()) / len(values) ** 0.5


@pytest.mark.parametrize("name", NOTEBOOK)
def test_mi_is_the_mean_of_the_log_ratio(name):
    task = tasks.make(name)
    assert close(pointwise(task, *rows(task, 20_000)), task.mi)


# The tests of one entry follow each other, so that its rows are drawn once.
@pytest.mark.parametrize(
    ("label", "property_"),
    [
        (label, each)
        for label, entry in ENTRIES.items()
        for each in ("rows", "mi", "swap")
        if each != "swap" or entry.task in PAIRS  # nobody draws y anew given z
    ],
)
def test_every_entry(label, property_):
    task, sides, values = drawn(label)
    if property_ == "rows":
        columns = (task.dim_x, task.dim_y, getattr(task, "dim_given", 0))
        assert [side.shape for side in sides] == [(len(values), d) for d in columns if d]
        assert {side.dtype for side in sides} == {torch.float64}
        assert all(side.isfinite().all() for side in sides)
        assert values.isfinite().all()  # no pair that was drawn is impossible
    elif property_ == "mi":
        assert (task.mi_error > 0) == (label in MONTE_CARLO)
        error = math.hypot(float(values.std()) / math.sqrt(len(values)), task.mi_error)
        assert abs(float(values.mean()) - task.mi) <= 4 * error + 1e-12
    else:
        # With r = p(x, y) / (p(x) p(y)): the mean of r / (1 + r) over independent pairs is that of
        # 1 / (1 + r) over pairs that belong together. Both are bounded, unlike r itself.
        x, y = sides
        apart = torch.sigmoid(pointwise(task, x, y.roll(1, 0)))
        together = torch.sigmoid(-values)
        error = math.sqrt((apart.var() + together.var()) / len(x))
        assert abs(apart.mean() - together.mean()) <= 4 * error + 1e-12


# Where r has a moderate second moment, which is the mean of r over pairs that belong together.
MILD = [
    *("1v1-additive-0.75", "1v1-normal-0.75", "multinormal-dense-3-3-0.5", "1v1-X-0.9"),
    *("5v1-concentric_gaussians-5", "2v1-galaxy-0.5-3.0", "2v1-waves-12-5.0-3.0"),
    *("mult-sparse-w-inliers-5-5-2-2.0-0.5", "swissroll_x-normal_cdf-1v1-normal-0.75"),
    *("labels", "uniform_steps", "poissonised", "wiggly-1v1-normal-0.75"),
    *("gaussian_classes", "label_noise", "shared_class", "alphabet"),
]


@pytest.mark.parametrize("name", MILD)
def test_the_mean_ratio_of_independent_pairs_is_one(name):
    task = tasks.make(name)
    x, y = rows(task, 5_000)
    assert close(pointwise(task, x, y.roll(1, 0)).exp(), 1.0)


@pytest.mark.parametrize(("name", "settings"), SMALL)
def test_the_log_ratio_is_normalised(name, settings):
    task = tasks.make(name, **settings)
    x, y = rows(task, 2000)
    shuffled = y[torch.randperm(2000, generator=torch.Generator().manual_seed(1))]
    ratios = pointwise(task, x, shuffled).exp()
    assert abs(ratios.mean() - 1) <= 4 * ratios.std() / math.sqrt(len(ratios)) + 1e-12


@pytest.mark.parametrize(("name", "settings"), SMALL)
def test_the_log_ratio_is_the_best_critic(name, settings):
    task = tasks.make(name, **settings)
    scores = task.log_ratio(*rows(task, 1500))
    value = BOUNDS["infonce"].estimate(scores)
    assert value <= math.log(1500)
    terms = scores.diagonal()
    assert abs(value - task.mi) < 4 * terms.std() / math.sqrt(1500) + 0.01
    assert BOUNDS["infonce"].estimate(scores.roll(1, 0)) <= 1e-12  # another pairing: no positives


def test_the_two_readings_of_the_mixed_gaussian():
    per_dimension = tasks.make("mixed_gaussian", d=6, rho=0.9).mi
    assert abs(per_dimension - 2.450) < 1e-3
    assert abs(tasks.make("mixed_gaussian_joint", d=6, rho=0.9).mi - 4.292) < 1e-3
    one = [tasks.make(name, d=1, rho=0.9).mi for name in ("mixed_gaussian", "mixed_gaussian_joint")]
    assert one[0] == one[1] == pytest.approx(per_dimension / 6, abs=1e-12)


@pytest.mark.parametrize("rho", [0.3, 0.9, 0.97])
def test_one_dimension_against_quadrature_over_the_plane(rho):
    task = tasks.make("mixed_gaussian", d=1, rho=rho)

    def integrand(y, x):
        ratio = task.log_ratio(torch.tensor([[x]]), torch.tensor([[y]])).item()
        return math.exp(ratio - (x * x + y * y) / 2) / (2 * math.pi) * ratio

    def grid(points):
        nodes, weights = np.polynomial.legendre.leggauss(points)
        x = torch.from_numpy(9 * nodes)[:, None]
        ratio = task.log_ratio(x, x)
        density = torch.exp(ratio - (x**2 + x.T**2) / 2) / (2 * math.pi)
        w = torch.from_numpy(9 * weights)
        return float(w @ (density * ratio) @ w)

    assert grid(900) == pytest.approx(task.mi, abs=1e-6)
    if rho == 0.3:  # and once by scipy's adaptive rule
        value, _ = integrate.dblquad(integrand, -8, 8, -8, 8, epsabs=1e-5, epsrel=1e-5)
        assert value == pytest.approx(task.mi, abs=2e-5)


@pytest.mark.parametrize("d", [1, 2, 6, 40])
def test_the_mixtures_quadrature_has_converged(d, monkeypatch):
    value = gaussian._mixture_mi(d, 0.9)
    plain = np.polynomial.legendre.leggauss
    monkeypatch.setattr(np.polynomial.legendre, "leggauss", lambda n: plain(2 * n + 1))
    assert gaussian._mixture_mi(d, 0.9) == pytest.approx(value, abs=1e-7)
    assert gaussian._mixture_mi(d, -0.9) == pytest.approx(value, abs=1e-7)


@pytest.mark.parametrize("name", PAIRS)
def test_samples_follow_the_generator_and_have_the_stated_shape(name):
    task = tasks.make(name)
    (x, y), (again, _), (other, _) = rows(task, 9), rows(task, 9), rows(task, 9, seed=1)
    assert x.shape == (9, task.dim_x)
    assert y.shape == (9, task.dim_y)
    assert x.dtype == torch.float64
    assert torch.equal(x, again)
    assert not torch.equal(x, other)
    assert task.log_ratio(x.float(), y.float()[:5]).shape == (9, 5)
    assert task.name == name


@pytest.mark.parametrize("name", TRIPLES)
def test_samples_of_triples_do_too(name):
    task = tasks.make(name)
    first, again, other = rows(task, 9), rows(task, 9), rows(task, 9, seed=1)
    columns = (task.dim_x, task.dim_y, task.dim_given)
    for side, same, another, d in zip(first, again, other, columns, strict=True):
        assert side.shape == (9, d)
        assert side.dtype == torch.float64
        assert torch.equal(side, same)
        assert not torch.equal(side, another)
    single = task.log_ratio_of(*(side.float() for side in first))
    assert single.shape == (9,)
    assert torch.allclose(single.double(), task.log_ratio_of(*first), atol=1e-3)
    assert task.name == name


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("gaussian", {"rho": 1.0}, "strictly between -1 and 1; got 1.0"),
        ("gaussian", {"d": 0}, "at least one dimension; got d = 0"),
        ("gauss", {}, "Nearest: gaussian"),
        ("gaussian", {"sigma": 1}, r"parameters of gaussian \(d, rho\); got sigma"),
        ("staircase_cubic", {"mi": -1.0}, "zero or more nats"),
        ("hidden_pair", {"d": 1}, "two columns or more"),
        ("multiplicative", {"noise": 0.0}, "noise greater than zero; got 0.0"),
        ("multiplicative", {"d": 0}, "d of 1 or more; got 0"),
        ("labels", {"law": "cauchy"}, "'normal' or 'laplace'; got 'cauchy'"),
        ("labels", {"n": 0}, "n of 1 or more"),
        ("uniform_steps", {"m": 0}, "m of 1 or more"),
        ("poissonised", {"zeros": 1.0}, "below 1; got 1.0"),
        ("noisy_function", {"function": "cube"}, "square, absolute, sine; got 'cube'"),
        ("noisy_function", {"noise": -1.0}, "noise greater than zero"),
        ("rectangles", {"size": 4}, "size of 8 or more; got 4"),
        ("gaussian_classes", {"k": 0}, "k of 1 or more; got 0"),
        ("gaussian_classes", {"separation": 0.0}, "separation greater than zero; got 0.0"),
        ("gaussian_classes", {"spread": -1.0}, "spread of zero or more; got -1.0"),
        ("label_noise", {"k": 1}, "k of 2 or more; got 1"),
        ("label_noise", {"p": 1.5}, "p between 0 and 1; got 1.5"),
        ("label_noise", {"d": 9}, "d of 10 or more, a column a class; got 9"),
        ("shared_class", {"d": 0}, "d of 1 or more; got 0"),
        ("shared_class", {"p": -0.1}, "p between 0 and 1; got -0.1"),
        ("alphabet", {"k": 1}, "k of 2 or more; got 1"),
        ("alphabet", {"k": 2000}, "k of at most 1,000; got 2,000"),
        ("alphabet", {"law": "uniform"}, "one of dirichlet, .*; got 'uniform'"),
        ("confounded", {"dz": 0}, "dz of 1 or more; got 0"),
        ("confounded", {"strength": 0.0}, "strength greater than zero; got 0.0"),
        ("confounded", {"location": "cosine"}, "Expected a known location; got 'cosine'"),
        ("confounded", {"scale": "sine"}, "Expected a known scale; got 'sine'"),
        ("confounded", {"location": "product"}, "dz of 2 or more for a product; got 1"),
        ("confounded", {"pair": "alphabet"}, "a pair of quantities; got alphabet"),
        ("confounded", {"pair": "strata"}, "a task of pairs; got strata, which has a third"),
        ("confounded", {"pair": "gaussain"}, "Nearest: gaussian"),
        ("common_cause", {"noise": "cauchy"}, "Expected a known noise; got 'cauchy'"),
        ("common_cause", {"d": 0}, "at least one dimension; got d = 0"),
        ("varying_correlation", {"d": 0}, "d of 1 or more; got 0"),
        ("varying_correlation", {"strength": -1.0}, "strength greater than zero; got -1.0"),
        ("varying_correlation", {"strength": 8.0}, "strength of at most 3; got 8.0"),
        ("noisy_xor", {"p": 0.0}, "p strictly between 0 and 1; got 0.0"),
        ("strata", {"k": 1}, "k of 2 or more; got 1"),
        ("strata", {"numbers": -1}, "numbers to be zero or more; got -1"),
        ("strata", {"rho": 1.0}, "rho of at least 0 and below 1; got 1.0"),
        ("gaussian_graph", {"kind": "fork"}, "Expected a known graph; got 'fork'"),
        ("gaussian_graph", {"noise": 0.0}, "noise greater than zero; got 0.0"),
        ("normal_given", {"dz": 0}, "dz of 1 or more; got 0"),
        ("ccmi_linear", {"model": 3}, "model 1 or 2; got 3"),
        ("classes_given", {"k": 1}, "k between 2 and 50; got 1"),
        ("classes_given", {"separation": 1e7}, "separation of at most 20; got 1"),
        ("classes_given", {"separation": 0.0}, "separation greater than zero"),
        ("high_mi", {"d": 0}, "at least one dimension; got d = 0"),
        ("gaussian", {"d": None}, "d to be of type int; got None"),
        ("gaussian", {"d": 10**7}, "d to be 10,000 or less"),
        ("gaussian", {"rho": "0.9"}, "rho to be of type float; got '0.9'"),
        ("hidden_pair", {"signs": "no"}, "signs to be of type bool; got 'no'"),
    ],
)
def test_errors(name, settings, message):
    with pytest.raises(InputError, match=message):
        tasks.make(name, **settings)


@pytest.mark.parametrize("name", ["gaussian", "5v1-concentric_gaussians-5", *CLASSES, *TRIPLES])
def test_no_rows_are_a_sample_too(name):
    assert not any(map(len, tasks.make(name).sample(0, torch.Generator())))


def test_every_task_is_in_a_suite_and_every_entry_can_be_made():
    assert {entry.task for entry in ENTRIES.values()} == set(tasks.TASKS)
    assert {suite: len(tasks.suite(suite)) for suite in tasks.SUITES} == {
        **{"notebook": 6, "staircase": 10, "bmi": 40, "bmi2": 13, "hard": 12, "images": 6},
        **{"classes": 17, "conditional": 35, "series": 15},
    }
    for entries in tasks.SUITES.values():
        assert len({entry.label for entry in entries}) == len(entries)
    with pytest.raises(InputError, match=r"Expected a known suite; got 'bmi3'\. Nearest: bmi"):
        tasks.suite("bmi3")


@pytest.mark.parametrize("name", tasks.TASKS)
def test_a_name_says_what_it_is_and_which_parameters_it_takes(name):
    assert tasks.description(name).endswith(".")
    parameters = tasks.parameters(name)
    assert inspect.Parameter.empty not in parameters.values()
    assert tasks.make(name, **parameters).mi == tasks.make(name).mi
    with pytest.raises(InputError, match="got colour"):
        tasks.make(name, colour=1)


def test_a_benchmarks_name_fixes_its_parameters():
    with pytest.raises(InputError, match=r"parameters of 1v1-normal-0.75 \(none\); got rho"):
        tasks.make("1v1-normal-0.75", rho=0.5)


@pytest.mark.parametrize("name", ["gaussian", "high_mi", "2v1-galaxy-0.5-3.0", "labels", "strata"])
def test_monte_carlo_recomputes_a_truth(name):
    task = tasks.make(name)
    mean, error = monte_carlo(task, n=2000, generator=torch.Generator().manual_seed(5))
    assert 0 < error < 0.1
    assert abs(mean - task.mi) <= 4 * error


@pytest.mark.parametrize("level", [10.0, 20.0])
def test_high_mi_is_not_plain(level):
    x, _ = rows(tasks.make("high_mi", mi=level), 5000)
    flat = (x - x.mean(0)) / x.std(0)
    assert (flat**4).mean(0).sub(3).abs().max() > 0.2  # no longer normal


def test_the_hidden_pair_with_signs_shows_no_correlation():
    x, y = rows(tasks.make("hidden_pair"), 5000)
    signed = torch.corrcoef(torch.cat([x, y], 1).T)[:100, 100:].abs().max()
    x, y = rows(tasks.make("hidden_pair", signs=False), 5000)
    plain = torch.corrcoef(torch.cat([x, y], 1).T)[:100, 100:].abs().max()
    assert signed < 5 / math.sqrt(5000)
    assert plain > 5 / math.sqrt(5000)


def page(suite):
    """The lines of a suite's table in docs/tasks.md."""
    for label, task in tasks.suite(suite):
        error = f" ± {task.mi_error:.4f}" if task.mi_error else ""
        columns = f"{task.dim_x}, {task.dim_y}"
        columns += f", {task.dim_given}" if hasattr(task, "dim_given") else ""
        yield f"| `{label}` | {columns} | {task.mi:.4f}{error} |"


def test_the_documented_tables_are_these():
    text = (Path(__file__).resolve().parents[2] / "docs" / "tasks.md").read_text(encoding="utf-8")
    assert re.findall(r"^## `(\w+)`", text, flags=re.MULTILINE) == list(tasks.SUITES)
    expected = [line for suite in tasks.SUITES for line in page(suite)]
    assert re.findall(r"^\| `.*\|$", text, flags=re.MULTILINE) == expected
    assert all(f"`{name}`" in text for name in tasks.CONSISTENCY)
