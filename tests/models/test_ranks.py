"""Histograms of ranks, and the copula that the trained network makes of them."""

import math

import numpy as np
import pytest
import torch

from infobound.models.rank_network import GRIDS, RankNetwork, log_uniform_margins
from infobound.models.ranks import (
    FINE_FROM,
    RankCopula,
    Ranks,
    grid_of,
    log_ratios,
    median_mi,
    network,
)


def codes(values):
    return np.unique(values, return_inverse=True)[1]


def ranks(values, grid=None):
    return Ranks.of(codes(values), grid or grid_of(len(values)))


def pairs(draw, n, repeats):
    """Ranks of several samples that `draw` makes from a generator."""
    samples = (draw(n, np.random.default_rng(seed)) for seed in range(repeats))
    return [tuple(map(ranks, sample)) for sample in samples]


def normal(n, rng, rho=0.6):
    x, noise = rng.normal(size=(2, n))
    return x, rho * x + np.sqrt(1 - rho**2) * noise


def ring(n, rng):
    angle, noise = rng.uniform(0, 2 * np.pi, n), 0.1 * rng.normal(size=(2, n))
    return np.cos(angle) + noise[0], np.sin(angle) + noise[1]


@pytest.mark.parametrize("n", [50, 999, 3000])
@pytest.mark.parametrize("values", ["continuous", "tied", "two"])
def test_histograms_have_uniform_margins(n, values):
    x, y = np.random.default_rng(n).normal(size=(2, n))
    if values != "continuous":
        x = np.round(x, 1) if values == "tied" else x > 1
    found = ranks(x).shares(ranks(y))
    grid = grid_of(n)
    np.testing.assert_allclose(found.sum(0), 1 / grid)
    np.testing.assert_allclose(found.sum(1), 1 / grid)
    assert found.min() >= 0


def test_a_table_of_counts_is_spread_over_blocks():
    x, y = np.repeat([0, 0, 1, 1], [4, 2, 1, 5]), np.repeat([0, 1, 0, 1], [4, 2, 1, 5])
    found = ranks(x, 12).shares(ranks(y, 12))
    assert found[:6, :5].sum() == pytest.approx(4 / 12)
    assert found[6:, 5:].sum() == pytest.approx(5 / 12)
    np.testing.assert_allclose(found[:6, :5], 4 / 12 / 30)


def test_ties_are_counted_in_the_cells_that_they_cover():
    found = ranks(np.repeat([0, 1, 2, 3, 4], [4, 1, 1, 1, 1]), 8).ties
    np.testing.assert_allclose(found, [2, 2, 2, 2, 0, 0, 0, 0])


@pytest.mark.parametrize("n", [1000, 4000])
def test_log_ratios_have_uniform_margins_and_no_mi_if_independent(n):
    found = pairs(lambda n, rng: rng.normal(size=(2, n)), n, 20)
    _, ratios, quantiles = log_ratios(found)
    np.testing.assert_allclose(ratios.exp().mean(1), 1, atol=0.02)
    np.testing.assert_allclose(ratios.exp().mean(2), 1, atol=0.02)
    assert abs(float(quantiles[:, 2].mean())) < 0.003
    assert (quantiles.diff(dim=1) > 0).all()
    # A control: as many dependent pairs are not taken for independent ones.
    dependent = log_ratios(pairs(normal, n, 20))[2][:, 2]
    assert float(dependent.mean()) > 0.15


@pytest.mark.parametrize(("draw", "mi"), [(normal, 0.223), (ring, 0.99)])
@pytest.mark.parametrize(("n", "error"), [(1000, 0.06), (10_000, 0.02)])
def test_the_mi_of_samples_from_other_distributions(draw, mi, n, error):
    if draw is ring:
        mi = ring_mi()
    found = log_ratios(pairs(draw, n, 8))[2]
    assert float((found[:, 2] - mi).abs().mean()) < error
    covered = (found[:, 0] < mi) & (mi < found[:, 4])
    assert covered.float().mean() >= 0.6


def ring_mi(n=200_000, cells=256):
    """The MI of `ring`, from the counts of many rows, less their bias (Miller and Madow)."""
    x, y = ring(n * 20, np.random.default_rng(99))
    counts = np.histogram2d(x, y, cells)[0]
    shares = counts / counts.sum()
    ratio = shares / np.maximum(shares.sum(0) * shares.sum(1)[:, None], 1e-300)
    occupied = (counts > 0).sum() - (counts.sum(0) > 0).sum() - (counts.sum(1) > 0).sum() + 1
    return float((shares * np.log(np.where(shares > 0, ratio, 1))).sum()) - occupied / (40 * n)


def test_the_median_misses_less_behind_hard_edges_than_the_rows_show():
    """Uniform noise on uniform values: the density that is found is smoother than the true one."""
    truth, medians, shown = math.log(5) + 0.1, [], []
    for seed in range(8):
        x, noise = np.random.default_rng(seed).uniform(-0.5, 0.5, size=(2, 1000))
        y = x + 0.2 * noise
        medians.append(median_mi(x, y) - truth)
        sides = [torch.from_numpy(side)[:, None] for side in (x, y)]
        critic = RankCopula.fit(*(side[:750] for side in sides))
        own, new = (
            float(critic(*(side[rows] for side in sides)).diagonal().mean())
            for rows in (slice(750), slice(750, None))
        )
        shown.append((own + new) / 2 - truth)
    assert -0.09 < np.mean(medians) < -0.03  # the standard error is .006
    assert np.mean(shown) < np.mean(medians) - 0.02
    assert np.std(medians) < 0.03


def test_an_increasing_transform_changes_no_bit():
    x, y = map(torch.from_numpy, normal(500, np.random.default_rng(1)))
    here = RankCopula.fit(x[:, None], y[:, None])
    there = RankCopula.fit(x[:, None].exp(), y[:, None] ** 3)
    assert torch.equal(here.density, there.density)
    assert torch.equal(here(x[:5, None], y[:5, None]), there(x[:5, None].exp(), y[:5, None] ** 3))


def test_rows_that_were_not_fitted_bound_the_mi_from_below():
    values = []
    for seed in range(10):
        x, y = (
            torch.from_numpy(each)[:, None] for each in normal(1200, np.random.default_rng(seed))
        )
        scores = RankCopula.fit(x[:600], y[:600])(x[600:], y[600:])
        values.append(float(scores.diagonal().mean() - scores.exp().mean().log()))
    error = np.std(values) / np.sqrt(len(values))
    assert 0.15 < np.mean(values) < 0.2231 + 2 * error


def test_new_values_are_placed_among_those_of_the_fit():
    x, y = (torch.from_numpy(each)[:, None] for each in normal(300, np.random.default_rng(0)))
    critic = RankCopula.fit(x, y)
    far = torch.tensor([[-1e9], [0.1234], [1e9]], dtype=torch.float64)
    found = critic(far, far)
    assert found.isfinite().all()
    assert found[0, 0] > found[0, 2]
    assert found[2, 2] > found[2, 0]


def test_classes_are_averaged_over_their_blocks():
    rng = np.random.default_rng(0)
    x = rng.integers(2, size=(4000, 1)).astype(float)
    y = np.where(rng.random((4000, 1)) < 0.1, 1 - x, x)
    critic = RankCopula.fit(torch.from_numpy(x), torch.from_numpy(y))
    both = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    np.testing.assert_allclose(critic(both, both).exp(), [[1.8, 0.2], [0.2, 1.8]], atol=0.1)


def test_the_grid_follows_the_number_of_rows():
    assert (grid_of(FINE_FROM - 1), grid_of(FINE_FROM)) == GRIDS[::-1]


def test_the_network_that_is_shipped_differs_from_an_untrained_one():
    torch.manual_seed(0)
    untrained = RankNetwork().eval()
    shares = torch.full((1, 64, 64), 1 / 64**2, dtype=torch.float32)
    inputs = (shares, torch.zeros(1, 64), torch.zeros(1, 64), 500)
    assert abs(float(network()(*inputs)[1][0, 2])) < 0.01
    assert not torch.equal(untrained(*inputs)[1], network()(*inputs)[1])


def test_sinkhorn_takes_extreme_tables():
    table = log_uniform_margins(torch.tensor([[[40.0, -40.0], [-40.0, 40.0]]]))
    assert table.isfinite().all()
