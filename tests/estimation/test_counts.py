"""Counts: known entropies, tables of many cells, and coverage."""

import math

import numpy as np
import pytest
import torch

from infobound import estimate
from infobound.benchmark import tasks
from infobound.data import as_pair
from infobound.estimation import counts as module
from infobound.estimation.counts import counted, entropy_of_counts


def drawn(table, n, rng):
    """Rows of a table of probabilities, and its MI in nats."""
    margins = np.outer(table.sum(1), table.sum(0))
    truth = float((table * np.log(np.where(table > 0, table / margins, 1))).sum())
    return *np.divmod(rng.choice(table.size, size=n, p=table.ravel()), table.shape[1]), truth


def test_the_entropy_of_few_rows_of_many_values_is_hardly_biased():
    rng, shares = np.random.default_rng(0), np.random.default_rng(1).dirichlet(np.ones(50))
    truth = float(-(shares * np.log(shares)).sum())
    found = [entropy_of_counts(rng.multinomial(100, shares)) for _ in range(300)]
    plain = rng.multinomial(100, shares, size=300) / 100
    plug_in = float(-(plain * np.log(np.where(plain > 0, plain, 1))).sum(1).mean())
    assert abs(np.mean(found) - truth) < 0.05
    assert plug_in < truth - 0.2


def test_independent_rows_of_thirty_by_thirty_values_have_no_information():
    rng, found = np.random.default_rng(0), []
    for _ in range(20):
        table = np.outer(*rng.dirichlet(np.ones(30), size=2))
        x, y, _ = drawn(table, 1000, rng)
        found.append(counted(as_pair(x, y)).mi)
    assert np.mean(np.abs(found)) < 0.02
    assert abs(np.mean(found)) < 0.01


@pytest.mark.parametrize(("k", "n", "most"), [(10, 300, 0.08), (30, 1000, 0.08), (4, 400, 0.05)])
def test_dense_tables(k, n, most):
    rng, errors, covered = np.random.default_rng(k), [], 0
    for _ in range(30):
        x, y, truth = drawn(rng.dirichlet(np.ones(k * k)).reshape(k, k), n, rng)
        found = counted(as_pair(x, y))
        errors.append(abs(found.mi - truth))
        spread = math.hypot(found.terms.std() / math.sqrt(n), found.error)
        covered += errors[-1] < 1.96 * spread
    assert np.mean(errors) < most
    assert covered >= 24


def test_small_tables_are_drawn_as_permuted_rows_give_them():
    rng, values = np.random.default_rng(0), {}
    i, j = (
        rng.integers(3, size=300) ** 2 // 2,
        rng.integers(5, size=300),
    )  # codes 0, 2: one is absent
    for way, cells in (("drawn", i), ("permuted", i * 200)):  # the second has too many codes
        tables = module._permuted(cells, j, (np.bincount(cells), np.bincount(j)))
        values[way] = [module.observed_entropy(table) for table in tables]
        assert len(values[way]) == module.PERMUTED
    error = math.hypot(*(np.std(each) / math.sqrt(module.PERMUTED) for each in values.values()))
    assert np.mean(values["drawn"]) == pytest.approx(np.mean(values["permuted"]), abs=4 * error)
    assert 0.5 < np.std(values["drawn"]) / np.std(values["permuted"]) < 2


def test_a_table_that_is_one_to_one_has_its_entropy():
    x = np.random.default_rng(0).integers(40, size=400)
    assert counted(as_pair(x, 39 - x)).mi == pytest.approx(math.log(40), abs=0.06)


def test_an_estimate_of_two_texts_comes_from_their_counts():
    rng = np.random.default_rng(3)
    x, y, truth = drawn(rng.dirichlet(np.full(144, 0.3)).reshape(12, 12), 600, rng)
    found = estimate([f"a{v}" for v in x], [f"b{v}" for v in y], critic="none")
    assert found.method == "table"
    assert found.mi == pytest.approx(truth, abs=0.08)
    assert found.interval[0] < truth < found.interval[1]
    assert found.held_out < truth
    assert found.certified <= found.held_out
    assert found.certified > 0.2
    assert truth < found.upper <= math.log(12)
    numbers = estimate(x * 1.0, y * 1.0, critic="none")
    assert numbers.mi == pytest.approx(found.mi, abs=1e-9)


@pytest.mark.parametrize("law", ["dirichlet", "zipf", "independent"])
def test_categories_with_few_rows_each_are_counted(law):
    """Networks of a hundred one-hot columns found nothing in 500 rows."""
    task = tasks.make("alphabet", law=law, k=100)
    x, y = task.sample(500, torch.Generator().manual_seed(0))
    found = estimate(x, y, categorical=("x", "y"), certify=False)
    assert found.method == "table"
    assert found.interval[0] <= task.mi <= found.interval[1]
    assert abs(found.mi - task.mi) < 0.4
