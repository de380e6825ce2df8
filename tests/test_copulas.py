"""The Gaussian copula's log ratio is the exact one when the data are Gaussian."""

import torch

from infobound import data, tasks
from infobound.copulas import ContaminatedCopula, GaussianCopula, canonical_directions


def test_log_ratio_equals_the_task_at_its_own_parameters():
    task = tasks.make("gaussian", d=3, rho=0.6)
    x, y = task.sample(5, torch.Generator().manual_seed(0))
    eye = torch.eye(3, dtype=torch.float64)
    exact = GaussianCopula(eye, eye, torch.full((3,), 0.6, dtype=torch.float64))
    torch.testing.assert_close(exact(x, y), task.log_ratio(x, y))
    assert abs(exact.mi - task.mi) < 1e-12


def test_fit_recovers_mi_and_ignores_linear_maps():
    task = tasks.make("gaussian", d=3, rho=0.6)
    x, y = task.sample(20_000, torch.Generator().manual_seed(1))
    mixing = torch.tensor([[1.0, 2, 0], [0, 1, -1], [0.5, 0, 2]], dtype=torch.float64)
    plain, mixed = GaussianCopula.fit(x, y), GaussianCopula.fit(x @ mixing, y)
    assert abs(plain.mi - task.mi) < 0.03
    assert abs(plain.mi - mixed.mi) < 1e-9
    torch.testing.assert_close(plain(x[:9], y[:9]), mixed((x @ mixing)[:9], y[:9]))


def test_a_contaminated_copula_of_few_rows_is_finite():
    """Fifty rows of ten columns can be fitted nearly exactly, by a few of them."""
    for seed in range(30, 400, 8):
        x, noise = torch.randn(2, 60, 5, generator=torch.Generator().manual_seed(seed))
        sides = [data.Transform.fit(v.numpy()).normal_scores(v.numpy()) for v in (x, x**2 + noise)]
        x, y = map(torch.from_numpy, sides)
        assert ContaminatedCopula.fit(x, y)(x, y).isfinite().all()


def test_degenerate_columns_are_left_out():
    x = torch.randn(300, 2, generator=torch.Generator().manual_seed(0))
    doubled = torch.cat([x, x[:, :1], torch.zeros(300, 1)], dim=1)
    y = x + torch.randn(300, 2, generator=torch.Generator().manual_seed(1))
    assert abs(GaussianCopula.fit(doubled, y).mi - GaussianCopula.fit(x, y).mi) < 1e-3


def test_canonical_directions_are_as_many_as_go_together():
    """60 and 40 columns share three sources; independent rows share none."""
    rng = torch.Generator().manual_seed(2)
    shared = torch.randn(2000, 3, generator=rng)
    x = shared @ torch.randn(3, 60, generator=rng) + torch.randn(2000, 60, generator=rng)
    y = shared @ torch.randn(3, 40, generator=rng) + torch.randn(2000, 40, generator=rng)
    left, right = canonical_directions(x, y)
    assert (left.shape, right.shape) == ((60, 3), (40, 3))
    sides = zip((x @ left).T, (y @ right).T, strict=True)
    together = [float(torch.corrcoef(torch.stack(pair))[0, 1]) for pair in sides]
    assert min(together) > 0.9
    independent = [
        canonical_directions(x, y[torch.randperm(2000, generator=rng)]) for _ in range(20)
    ]
    assert sum(left.shape[1] for left, _ in independent) <= 2


def test_canonical_directions_need_more_rows_than_columns():
    x = torch.randn(50, 40, generator=torch.Generator().manual_seed(3))
    assert canonical_directions(x, x)[0].shape == (40, 0)
