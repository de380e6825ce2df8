"""The tasks of the BMI benchmark and of its second suite, by the benchmark's own names.

`BMI` has the 40 tasks of "Beyond Normal" (Czyż et al. 2023, https://arxiv.org/abs/2306.11078),
`BMI2` the 13 of "The Mixtures and the Neural Critics" (https://arxiv.org/abs/2310.10240), each as a
function that builds it. They are implemented from their definitions; a name fixes all parameters.
Every MI is a closed form or quadrature, where the benchmark's second suite uses Monte Carlo.

The docstring of a task is shown in listings beside its name, so it must be short.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from infobound.benchmark.distributions import channels, elliptical, mixtures, transforms
from infobound.benchmark.distributions.joint import Map, Task

__all__ = ["BMI", "BMI2"]


def _make(name: str) -> Task:
    """Build a task that another one is derived from."""
    return BMI[name]()


def _pair(name: str, rho: float) -> Task:
    """Two correlated normals."""
    return elliptical.Normal(elliptical.dense(2, rho=rho), 1, name)


def _dense(name: str, d: int) -> Task:
    """All columns correlated by 0.5."""
    return elliptical.Normal(elliptical.dense(2 * d, rho=0.5), d, name)


def _sparse(name: str, d: int) -> Task:
    """Two pairs correlated by 0.8."""
    return elliptical.Normal(elliptical.sparse(d, d, pairs=2, strength=2.0), d, name)


def _student(name: str, d: int, df: int) -> Task:
    """Student-t with a common scale."""
    return elliptical.Student(torch.eye(2 * d, dtype=torch.float64), d, df, name)


def _additive(name: str, epsilon: float) -> Task:
    """Uniform plus uniform noise."""
    return channels.UniformNoise(epsilon, name)


def _bimodal(name: str, base: str) -> Task:
    """Bimodal margins on both sides."""
    x = transforms.Quantiles(weights=(0.3, 0.7), means=(0.0, 5.0))
    y = transforms.Quantiles(weights=(0.5, 0.5), means=(-1.0, 3.0))
    first = transforms.NORMAL_CDF
    return transforms.Mapped(
        _make(base), transforms.Chain((first, x)), transforms.Chain((first, y)), name
    )


def _wiggly(name: str, base: str) -> Task:
    """Sums of sines added to each side."""
    x = transforms.Wiggle(((0.4, 1.0, 0.0), (0.2, 1.7, 1.0), (0.03, 3.3, -2.5)))
    y = transforms.Wiggle(((-0.4, 0.4, 0.0), (0.17, 1.3, 3.5), (0.02, 4.3, -2.5)))
    return transforms.Mapped(_make(base), x, y, name)


def _swiss_roll(name: str, base: str) -> Task:
    """x rolled up in the plane."""
    return transforms.Mapped(_make(base), transforms.SwissRoll(), transforms.IDENTITY, name)


def _through(name: str, base: str, step: Map) -> Task:
    """A function applied to each value."""
    return transforms.Mapped(_make(base), step, step, name)


def _spiral(name: str, base: str) -> Task:
    """Rotated by the length of the row."""
    task = _make(base)
    x = transforms.Spiral(columns=(0, 1), speed=1 / task.dim_x)
    y = transforms.Spiral(columns=(1, 2), speed=1 / task.dim_y)
    return transforms.Mapped(task, x, y, name)


_BMI: dict[str, tuple[Any, ...]] = {
    "1v1-additive-0.1": (_additive, 0.1),
    "1v1-additive-0.75": (_additive, 0.75),
    "1v1-bimodal-0.75": (_bimodal, "1v1-normal-0.75"),
    "1v1-normal-0.75": (_pair, 0.75),
    "asinh-student-identity-1-1-1": (_through, "student-identity-1-1-1", transforms.ASINH),
    "asinh-student-identity-2-2-1": (_through, "student-identity-2-2-1", transforms.ASINH),
    "asinh-student-identity-3-3-2": (_through, "student-identity-3-3-2", transforms.ASINH),
    "asinh-student-identity-5-5-2": (_through, "student-identity-5-5-2", transforms.ASINH),
    "half_cube-1v1-normal-0.75": (_through, "1v1-normal-0.75", transforms.HALF_CUBE),
    **{
        f"half_cube-multinormal-sparse-{d}-{d}-2-2.0": (
            _through,
            f"multinormal-sparse-{d}-{d}-2-2.0",
            transforms.HALF_CUBE,
        )
        for d in (3, 5, 25)
    },
    **{f"multinormal-dense-{d}-{d}-0.5": (_dense, d) for d in (2, 3, 5, 25, 50)},
    **{f"multinormal-sparse-{d}-{d}-2-2.0": (_sparse, d) for d in (2, 3, 5, 25)},
    "normal_cdf-1v1-normal-0.75": (_through, "1v1-normal-0.75", transforms.NORMAL_CDF),
    **{
        f"normal_cdf-multinormal-sparse-{d}-{d}-2-2.0": (
            _through,
            f"multinormal-sparse-{d}-{d}-2-2.0",
            transforms.NORMAL_CDF,
        )
        for d in (3, 5, 25)
    },
    **{
        f"spiral-{base}": (_spiral, base)
        for base in (
            f"{before}multinormal-sparse-{d}-{d}-2-2.0"
            for before in ("", "normal_cdf-")
            for d in (3, 5, 25)
        )
    },
    **{
        f"student-identity-{d}-{d}-{df}": (_student, d, df)
        for d, df in ((1, 1), (2, 1), (2, 2), (3, 2), (3, 3), (5, 2), (5, 3))
    },
    "swissroll_x-normal_cdf-1v1-normal-0.75": (_swiss_roll, "normal_cdf-1v1-normal-0.75"),
    "wiggly-1v1-normal-0.75": (_wiggly, "1v1-normal-0.75"),
}


def _letters(name: str) -> Task:
    """Six normals that draw an A and an I."""
    return mixtures.letters(name=name)


def _cross(name: str, rho: float) -> Task:
    """Two crossing normals, the letter X."""
    return mixtures.cross(rho=rho, name=name)


def _concentric(name: str, d: int, n: int) -> Task:
    """Normals of growing radius; y is the index."""
    return mixtures.concentric(d=d, n=n, name=name)


def _galaxy(name: str, speed: float, distance: float) -> Task:
    """Two normals twisted into spiral arms."""
    arms = transforms.Spiral(columns=(0, 1), speed=speed)
    return transforms.Mapped(mixtures.balls(distance=distance), arms, transforms.IDENTITY, name)


def _waves(name: str, n: int, amplitude: float, frequency: float) -> Task:
    """Stripes bent by a sine; y has four levels."""
    bend = transforms.Shear(amplitude, frequency, scale=(0.1, 0.5), shift=(-0.8, 0.0))
    return transforms.Mapped(mixtures.stripes(n=n), bend, transforms.IDENTITY, name)


def _inliers(name: str, d: int, fraction: float) -> Task:
    """Sparse normal, some rows independent."""
    return mixtures.inliers(dim_x=d, dim_y=d, pairs=2, rho=0.8, fraction=fraction, name=name)


_BMI2: dict[str, tuple[Any, ...]] = {
    "1v1-AI": (_letters,),
    "1v1-X-0.9": (_cross, 0.9),
    **{
        f"{d}v1-concentric_gaussians-{n}": (_concentric, d, n)
        for d, n in ((3, 5), (3, 10), (5, 5), (5, 10), (25, 5))
    },
    "2v1-galaxy-0.5-3.0": (_galaxy, 0.5, 3.0),
    "2v1-waves-12-5.0-3.0": (_waves, 12, 5.0, 3.0),
    **{
        f"mult-sparse-w-inliers-{d}-{d}-2-2.0-{fraction}": (_inliers, d, fraction)
        for d in (5, 25)
        for fraction in (0.2, 0.5)
    },
}


def _fixed(name: str, build: Callable[..., Task], *arguments: Any) -> Callable[[], Task]:
    """Return a function that builds a task, whose name fixes all parameters."""

    def factory() -> Task:
        return build(name, *arguments)

    factory.__doc__ = build.__doc__
    return factory


BMI: dict[str, Callable[[], Task]] = {name: _fixed(name, *line) for name, line in _BMI.items()}
BMI2: dict[str, Callable[[], Task]] = {name: _fixed(name, *line) for name, line in _BMI2.items()}
