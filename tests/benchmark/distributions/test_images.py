"""Images: what was drawn can be read off, and what is only consistent is drawn as promised."""

import pytest
import torch

from infobound.benchmark import tasks
from infobound.benchmark.distributions import images
from infobound.benchmark.distributions.joint import pointwise
from infobound.errors import InputError


def draw(pairs, n=6, seed=0):
    return pairs.sample(n, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", ["plates", "rectangles"])
def test_images_are_small_shades(name):
    x, y = draw(tasks.make(name, size=12), 200)
    assert x.shape == y.shape == (200, 144)
    for side in (x, y):
        assert float(side.min()) >= 0
        assert float(side.max()) <= 1
        assert float(side.amax(1).min()) > 0.5  # every image shows something


def test_a_rectangles_area_is_exact():
    numbers = torch.rand(500, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    sides = 16 * (0.25 + 0.5 * numbers[:, [0, 2]])
    assert torch.allclose(images.Rectangles(16)(numbers).sum(1), sides.prod(1))


def test_more_rows_hold_fewer():
    few, more = (draw(images.ImageRows(rows=rows, size=8)) for rows in (3, 5))
    assert torch.equal(few[0], more[0])
    assert torch.equal(few[1], more[1][:, :24])
    assert few[1].shape == (6, 24)


def test_repeated_holds_a_part_of_itself():
    base = images.ImageRows(rows=3, size=8)
    x, y = draw(images.Repeated(base, kept=8))
    assert torch.equal(x[:, :64], x[:, 64:])
    assert torch.equal(y[:, :8], y[:, 24:])
    assert torch.equal(y[:, :24], draw(base)[1])


def test_doubled_holds_two_independent_pairs():
    x, y = draw(images.Doubled(images.ImageRows(rows=8, size=8)), 400)
    assert not torch.equal(x[:, :64], x[:, 64:])
    joined = torch.corrcoef(torch.stack([side.sum(1) for side in (*x.chunk(2, 1), *y.chunk(2, 1))]))
    assert joined[0, 2] > 0.8 < joined[1, 3]  # x1 with y1, x2 with y2
    assert max(joined[0, 1].abs(), joined[0, 3].abs(), joined[1, 2].abs()) < 0.2


@pytest.mark.parametrize("name", tasks.CONSISTENCY)
def test_consistency_pairs_are_drawn(name):
    for pairs in tasks.CONSISTENCY[name][:2]:
        x, y = draw(pairs)
        assert (x.shape, y.shape) == ((6, pairs.dim_x), (6, pairs.dim_y))
        assert x.dtype == y.dtype == torch.float64
        assert torch.equal(x, draw(pairs)[0])
        assert not torch.equal(x, draw(pairs, seed=1)[0])


def test_doubled_normal_pairs_tell_twice_as_much():
    base = tasks.make("gaussian", d=2, rho=0.6)
    x, y = draw(images.Doubled(base), 4000)
    halves = zip(x.split(2, 1), y.split(2, 1), strict=True)
    values = sum(pointwise(base, *half) for half in halves)
    error = float(values.std()) / len(x) ** 0.5
    assert abs(float(values.mean()) - tasks.CONSISTENCY["additivity"].ratio * base.mi) <= 4 * error


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: images.ImageRows(rows=17), "rows between 1 and 16; got 17"),
        (lambda: images.ImageRows(noise=0.0), "noise greater than zero"),
        (lambda: images.Repeated(images.ImageRows(), kept=0), "kept between 1 and 128"),
        (lambda: images.Plates(size=1), "size"),
        (lambda: images.Plates(spread=0.0), "spread greater than zero"),
    ],
)
def test_errors(make, message):
    with pytest.raises(InputError, match=message):
        make()
