"""Planted dependence: the user's rows as they are, and an MI that is what it says."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from infobound.benchmark.distributions.joint import pointwise
from infobound.data import as_pair
from infobound.errors import InputError
from infobound.studies.planted import (
    FEWEST_PER_CELL,
    KINDS,
    MOST_MI,
    Grouped,
    Planted,
    Side,
    capacity,
    plant,
)


def rows(name, n=1000):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(n, 2)) @ [[1, 0.7], [0, 0.5]], rng.standard_cauchy(size=(n, 2))
    return {
        "wide": (x, y),
        "labels": (x, rng.integers(0, 3, n)),
        "table": (rng.integers(0, 4, n), rng.integers(0, 3, n)),
        "clumped": (np.maximum(x[:, 0], 0), np.round(y[:, 0], 1)),
    }[name]


def draw(task, n, seed):
    return task.sample(n, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["wide", "labels", "table", "clumped"])
def test_the_exact_log_ratio_averages_to_the_planted_mi(name, kind):
    task = plant(as_pair(*rows(name)), kind=kind, mi=0.3)
    assert task.mi == pytest.approx(0.3, abs=0.01)
    means = [float(pointwise(task, *draw(task, 1000, seed)).mean()) for seed in range(5)]
    error = math.hypot(np.std(means, ddof=1) / math.sqrt(5), task.mi_error)
    assert abs(np.mean(means) - task.mi) < 4 * error + 0.003  # the ranks of 1,000 rows are coarse
    x, y = draw(task, 1000, 0)
    again = y[torch.randperm(1000, generator=torch.Generator().manual_seed(1))]
    ratio = torch.exp(pointwise(task, x, again))  # its mean over independent pairs is 1
    assert abs(float(ratio.mean()) - 1) < 5 * float(ratio.std()) / math.sqrt(1000)


@pytest.mark.parametrize("kind", KINDS)
def test_both_margins_are_the_users_rows(kind):
    x, y = rows("labels")
    task = plant(as_pair(x, y), kind=kind, mi=0.2)
    a, b = draw(task, 1000, 3)
    assert sorted(map(tuple, a.tolist())) == sorted(map(tuple, x.tolist()))
    assert sorted(b[:, 0].tolist()) == sorted(y.tolist())
    fewer = draw(task, 400, 3)
    assert {*map(tuple, fewer[0].tolist())} <= {*map(tuple, x.tolist())}
    assert len({*map(tuple, fewer[0].tolist())}) == 400


def test_a_table_has_the_mi_of_its_cells():
    # The cells of a Gaussian copula, by SciPy's distribution function.
    x, y = rows("table")
    task = Planted("monotone", 0.6, Side.of(x[:, None].astype(float)), Side.of(y[:, None] * 1.0))
    rho = math.sqrt(1 - math.exp(-1.2))
    ends = [np.clip(stats.norm.ppf(side.edges), -9, 9) for side in (task.x, task.y)]
    grid = np.stack(np.meshgrid(*ends, indexing="ij"), axis=-1)
    below = stats.multivariate_normal([0, 0], [[1, rho], [rho, 1]]).cdf(grid)
    cells = np.diff(np.diff(below, axis=0), axis=1)
    alone = np.outer(cells.sum(1), cells.sum(0))
    exact = float((cells * np.log(cells / alone)).sum())
    assert abs(task.mi - exact) < 4 * task.mi_error + 2e-4
    ratio = task.log_ratio(*(torch.from_numpy(side.rows) for side in (task.x, task.y))).numpy()
    assert ratio == pytest.approx(np.log(cells / alone), abs=1e-4)


def test_ranks_have_the_law_of_any_sample_of_that_copula():
    # One column each: Spearman's correlation, its mean and its spread, against fresh normal pairs.
    x, y = np.exp(np.random.default_rng(1).normal(size=(2, 200)))
    task, rho = plant(as_pair(x, y), mi=0.5), math.sqrt(1 - math.exp(-1))
    ours = [stats.spearmanr(*(side[:, 0] for side in draw(task, 200, s)))[0] for s in range(300)]
    z, noise = np.random.default_rng(2).normal(size=(2, 300, 200))
    pairs = zip(z, rho * z + math.sqrt(1 - rho**2) * noise, strict=True)
    theirs = [stats.spearmanr(*pair)[0] for pair in pairs]
    assert stats.ks_2samp(ours, theirs).pvalue > 1e-3


def test_a_folded_coupling_has_no_correlation():
    x, y = rows("wide")
    task = plant(as_pair(x[:, 0], y[:, 0]), kind="folded", mi=0.5)
    found = [stats.spearmanr(*(side[:, 0] for side in draw(task, 1000, s)))[0] for s in range(20)]
    assert abs(np.mean(found)) < 4 * np.std(found, ddof=1) / math.sqrt(20)


def test_what_the_rows_cannot_carry_is_said():
    labels = as_pair(*rows("labels"))
    assert capacity(labels) <= math.log(3)
    assert capacity(as_pair(*rows("wide"))) == 0.5 * math.log(1000 / FEWEST_PER_CELL) < MOST_MI
    with pytest.raises(InputError, match="can carry; got 2"):
        plant(labels, mi=2.0)
    with pytest.raises(InputError, match="monotone, folded; got 'wavy'"):
        plant(labels, kind="wavy", mi=0.1)
    with pytest.raises(InputError, match="at most 1,000 rows"):
        draw(plant(labels, mi=0.1), 1001, 0)
    with pytest.raises(InputError, match="another one"):
        plant(labels, mi=0.1).log_ratio(torch.zeros(1, 2).double(), torch.zeros(1, 1).double())


@pytest.mark.parametrize("kind", [*KINDS])
def test_rows_of_a_group_stay_together_and_share_what_they_shared(kind):
    """x is left in place; the MI of rows is planted, and y is as alike within groups as before."""
    rng = np.random.default_rng(0)
    who = np.repeat(np.arange(400), 5)
    x, y = (rng.normal(size=400)[who] + rng.normal(size=2000) for _ in "xy")
    pair = as_pair(x, y, groups=who)

    def alike(v):
        return Grouped.of(as_pair(x, v, groups=who), Side.of(v)).shared

    assert alike(pair.y) == pytest.approx(0.5, abs=0.06)  # three standard errors
    none, some = (plant(pair, kind=kind, mi=mi) for mi in (0.0, 0.5))
    assert none.digest != plant(as_pair(x, y), kind=kind, mi=0).digest
    for task in (none, some):
        drawn, found = draw(task, 2000, 0)
        assert (drawn[:, 0].numpy() == x).all()
        assert (np.sort(found[:, 0]) == np.sort(y)).all()
        ratio = pointwise(task, drawn, found)
        assert float(ratio.mean()) == pytest.approx(task.mi, abs=0.08)
    assert alike(draw(none, 2000, 0)[1].numpy()) == pytest.approx(0.5, abs=0.06)
    with pytest.raises(InputError, match="all 2,000 rows, which are in groups"):
        draw(none, 1000, 0)
