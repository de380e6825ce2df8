"""BMI's tasks against the benchmark's own files: truths, rows, and that a wrong task is seen."""

import functools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from infobound.benchmark import tasks
from infobound.benchmark.distributions import elliptical, mixtures, transforms
from infobound.benchmark.distributions.joint import pointwise

SHARED = Path(__file__).resolve().parents[3] / "shared"
LEVEL = 1e-4  # of one two-sample test, all its features together
NAMES = [*tasks.BMI, *tasks.BMI2]
FILE_PAIRS = 100_000  # in the benchmark's Monte Carlo for the truths of the second suite

pytestmark = pytest.mark.skipif(
    not (SHARED / "bmi").is_dir(), reason="the benchmark's files are not beside the repository"
)


@functools.lru_cache(maxsize=4)
def file(name):
    folder = "bmi" if name in tasks.BMI else "bmi_v2"
    with np.load(SHARED / folder / f"{name}.npz") as arrays:
        x, y = (torch.from_numpy(arrays[side].astype(np.float64)) for side in "xy")
        return x, y, float(arrays["mi"])


def features(x, y, seed=0):
    """Columns, products, lengths and projections of the rows, (n, features)."""
    generator = np.random.default_rng(seed)

    def some(count, top):
        return generator.choice(count, min(count, top), replace=False)

    z = np.concatenate([x, y], 1)
    middle, spread = np.median(z, 0), np.subtract(*np.quantile(z, [0.75, 0.25], axis=0))
    z = (z - middle) / spread
    x, y = z[:, : x.shape[1]], z[:, x.shape[1] :]
    columns = [z[:, i] for i in some(z.shape[1], 12)]
    pairs = [(i, i) for i in range(min(x.shape[1], y.shape[1], 3))]
    pairs += [(generator.integers(x.shape[1]), generator.integers(y.shape[1])) for _ in range(6)]
    products = [x[:, i] * y[:, j] for i, j in pairs]
    products += [np.abs(x[:, i]) * np.abs(y[:, j]) for i, j in pairs[:3]]
    sizes = [np.linalg.norm(side, axis=1) for side in (x, y)]
    projections = list((z @ generator.standard_normal((z.shape[1], 6))).T)
    return np.stack([*columns, *products, *sizes, sizes[0] * sizes[1], *projections], 1)


def p_value(one, other):
    """Kolmogorov-Smirnov on every feature, the smallest p-value times their number."""
    n = len(one[0])
    f = features(*(np.concatenate(sides) for sides in zip(one, other, strict=True)))
    steps = np.where(np.argsort(f, axis=0) < n, 1.0, -1.0)
    gap = np.abs(steps.cumsum(0)).max(0) / n
    return float(stats.kstwobign.sf(gap * math.sqrt(n / 2)).min() * f.shape[1])


def against_file(name, task):
    x, y, _ = file(name)
    ours = task.sample(len(x), torch.Generator().manual_seed(7))
    return p_value((x.numpy(), y.numpy()), tuple(side.numpy() for side in ours))


def test_the_suites_are_the_files():
    assert len(tasks.BMI) == 40
    assert len(tasks.BMI2) == 13
    assert sorted(tasks.BMI) == sorted(path.stem for path in (SHARED / "bmi").glob("*.npz"))
    assert sorted(tasks.BMI2) == sorted(path.stem for path in (SHARED / "bmi_v2").glob("*.npz"))


@pytest.mark.parametrize("name", NAMES)
def test_against_the_file(name):
    task = tasks.make(name)
    x, y, mi = file(name)
    assert (task.dim_x, task.dim_y) == (x.shape[1], y.shape[1])
    values = pointwise(task, x, y)
    spread = float(values.std())
    assert abs(float(values.mean()) - task.mi) <= 4 * spread / math.sqrt(len(x))
    # The first suite has closed forms (some in single precision), the second Monte Carlo.
    assert abs(task.mi - mi) <= (1e-7 if name in tasks.BMI else 4 * spread / FILE_PAIRS**0.5)
    assert against_file(name, task) > LEVEL


MAPPED = [name for name in tasks.BMI if isinstance(tasks.make(name), transforms.Mapped)]


@pytest.mark.parametrize("name", MAPPED)
def test_the_maps_lead_from_one_file_to_the_other(name):
    """The benchmark drew with one seed, so its files are images of each other, row by row."""
    task = tasks.make(name)
    base = file(task.base.name)[:2]
    # Single precision; the benchmark's matrix exponential of large angles loses more.
    bound = 5e-3 if name == "spiral-multinormal-sparse-3-3-2-2.0" else 2e-4
    for step, before, after in zip((task.map_x, task.map_y), base, file(name)[:2], strict=True):
        assert float((step(before) - after).abs().max()) < bound


def _shuffled(name):
    """The right sides, but independent."""

    class Shuffled:
        def sample(self, n, generator):
            x, y = tasks.make(name).sample(n, generator)
            return x, y[torch.randperm(n, generator=generator)]

    return Shuffled()


def _spiral(speed):
    turn = transforms.Spiral((0, 1), speed), transforms.Spiral((1, 2), speed)
    return transforms.Mapped(tasks.make("multinormal-sparse-5-5-2-2.0"), *turn)


WRONG = [
    ("1v1-X-0.9", _shuffled("1v1-X-0.9")),
    ("mult-sparse-w-inliers-25-25-2-2.0-0.2", _shuffled("mult-sparse-w-inliers-25-25-2-2.0-0.2")),
    ("5v1-concentric_gaussians-5", _shuffled("5v1-concentric_gaussians-5")),
    ("1v1-normal-0.75", elliptical.Normal(elliptical.dense(2, rho=0.6), 1)),
    ("multinormal-dense-25-25-0.5", tasks.make("multinormal-sparse-25-25-2-2.0")),
    ("student-identity-5-5-3", tasks.make("student-identity-5-5-2")),
    ("spiral-multinormal-sparse-5-5-2-2.0", _spiral(0.3)),  # it is 0.2
    ("spiral-multinormal-sparse-5-5-2-2.0", _spiral(-0.2)),
    ("wiggly-1v1-normal-0.75", tasks.make("1v1-normal-0.75")),
    ("mult-sparse-w-inliers-5-5-2-2.0-0.5", mixtures.inliers(fraction=0.3)),
]


@pytest.mark.parametrize(("name", "wrong"), WRONG, ids=[name for name, _ in WRONG])
def test_a_wrong_task_is_seen(name, wrong):
    assert against_file(name, wrong) < LEVEL
