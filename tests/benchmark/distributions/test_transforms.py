"""Maps: the inverse leads back, in value and in type; tasks keep their MI through them."""

import pytest
import torch

from infobound.benchmark.distributions import gaussian, images, transforms
from infobound.errors import InputError

UNIFORM = {"SwissRoll", "Quantiles", "Plates", "Rectangles"}  # they take numbers in (0, 1)
MAPS = [  # map, columns before it
    (transforms.IDENTITY, 2),
    (transforms.NORMAL_CDF, 2),
    (transforms.ASINH, 2),
    (transforms.EXP, 2),
    (transforms.HALF_CUBE, 2),
    (transforms.CUBE, 2),
    (transforms.Wiggle(((0.4, 1.0, 0.0), (0.2, 1.7, 1.0))), 1),
    (transforms.Quantiles(weights=(0.3, 0.7), means=(0.0, 5.0)), 1),
    (transforms.Spiral(columns=(0, 1), speed=0.2), 3),
    (transforms.SwissRoll(), 1),
    (transforms.Shear(5.0, 3.0, scale=(0.1, 0.5), shift=(-0.8, 0.0)), 2),
    (transforms.Rotation(5, seed=3), 5),
    (
        transforms.Chain((transforms.Rotation(2), transforms.CUBE, transforms.Rotation(2, seed=1))),
        2,
    ),
    (images.Plates(size=8), 2),
    (images.Rectangles(size=16), 4),
    (images.Rectangles(size=8), 4),
]


@pytest.mark.parametrize(("step", "d"), MAPS, ids=lambda value: type(value).__name__)
def test_the_inverse_leads_back(step, d):
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(2000, d, generator=generator, dtype=torch.float64)
    if type(step).__name__ in UNIFORM:
        rows = torch.special.ndtr(rows)
    there = step(rows)
    assert there.shape == (2000, step.width(d))
    assert torch.allclose(step.inverse(there), rows, atol=1e-8)
    assert step.inverse(there.float()).dtype == torch.float32
    assert len(torch.unique(there, dim=0)) == 2000


def test_the_spiral_is_the_matrix_exponential():
    turn = torch.zeros(3, 3, dtype=torch.float64)
    turn[1, 2], turn[2, 1] = -1, 1
    row = torch.tensor([[0.3, -1.0, 2.0]], dtype=torch.float64)
    exact = torch.linalg.matrix_exp(0.4 * turn * row.square().sum()) @ row[0]
    assert torch.allclose(transforms.Spiral((1, 2), 0.4)(row)[0], exact)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_normal_quantile_is_finite_where_rounding_reached_the_edge(dtype):
    edges = torch.tensor([[0.0, 1.0]], dtype=dtype)
    assert transforms.NORMAL_CDF.inverse(edges).isfinite().all()


def test_mapped_and_padded_ask_their_base():
    base = gaussian.Gaussian(d=2, rho=0.8)
    task = transforms.Mapped(transforms.Padded(base, 3, 1), transforms.Rotation(5), transforms.CUBE)
    x, y = task.sample(50, torch.Generator().manual_seed(0))
    assert (task.dim_x, task.dim_y, task.mi, task.mi_error) == (5, 3, base.mi, 0.0)
    plain = base.log_ratio(
        transforms.Rotation(5).inverse(x)[:, :2], transforms.CUBE.inverse(y)[:, :2]
    )
    assert torch.allclose(task.log_ratio(x, y), plain)


def test_errors():
    with pytest.raises(InputError, match=r"below 1; got 1\.2"):
        transforms.Wiggle(((0.4, 3.0, 0.0),))
    with pytest.raises(InputError, match="zero or more columns"):
        transforms.Padded(gaussian.Gaussian(), -1, 0)
