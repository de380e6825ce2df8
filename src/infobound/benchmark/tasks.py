"""The tables of tasks: every joint distribution by name, and the suites they belong to.

`TASKS` maps a name to a function that builds the task, `make` calls it, and `SUITES` lists tasks
that are run together. The distributions are in `distributions` (`gaussian`, `elliptical`,
`mixtures`, `transforms`, `channels`, `images`, `classes`, `conditional`, `series`); those of the
BMI benchmark in `bmi`. Every task draws pairs, has its `mi` in nats with the standard error
`mi_error` (0.0 for a closed form or quadrature), and an exact `log_ratio`, the optimal critic.
Tasks of the suites `conditional` and `series` draw triples (x, y, z); their `mi` is I(X;Y|Z), and
they have the conditional log ratio of given rows, `log_ratio_of`. `CONSISTENCY` has pairs of which
only ratios of MI are known, without `mi` and `log_ratio`.

The first line of a task's docstring is shown in listings beside its name, so it must be short.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import torch

from infobound._system import arguments
from infobound.benchmark.bmi import BMI, BMI2
from infobound.benchmark.distributions import (
    channels,
    classes,
    conditional,
    elliptical,
    gaussian,
    images,
    joint,
    series,
    transforms,
)
from infobound.benchmark.distributions.joint import AnyTask, ConditionalTask, Task
from infobound.errors import InputError

__all__ = [
    "CONSISTENCY",
    "SUITES",
    "TASKS",
    "AnyTask",
    "ConditionalTask",
    "Consistency",
    "Entry",
    "Task",
    "description",
    "make",
    "parameters",
    "staircase",
    "suite",
]

MOST_PARAMETER = 10_000  # largest integer parameter, since some tasks have matrices of that size
Builder = Callable[..., AnyTask]


def high_mi(*, d: int = 5, mi: float = 10.0) -> Task:
    """Normal pairs of high MI, mixed and transformed.

    Both sides are rotated, transformed column by column and rotated again, so that no single column
    of x corresponds to a single column of y, and none is normal.

    Args:
        d: the number of columns of x and of y.
        mi: the mutual information, in nats.

    Example:
        >>> high_mi(mi=20.0).mi
        20.0
    """
    x = transforms.Chain((transforms.Rotation(d, 1), transforms.ASINH, transforms.Rotation(d, 2)))
    y = transforms.Chain(
        (transforms.Rotation(d, 3), transforms.HALF_CUBE, transforms.Rotation(d, 4))
    )
    return transforms.Mapped(gaussian.StaircaseGaussian(d, mi), x, y, "high_mi")


def hidden_pair(*, d: int = 100, rho: float = 0.9, signs: bool = True) -> Task:
    """Two dependent pairs of columns, rotated among d.

    With `signs`, the correlation of the pairs is rho or -rho at random, so that no column of x
    correlates with a column of y; without, all columns are normal.

    Args:
        d: the number of columns of x and of y.
        rho: the correlation of the dependent pairs.
        signs: whether the correlation has random signs.

    Raises:
        InputError: If there are fewer than two columns.

    Example:
        >>> hidden_pair(signs=False).dim_x
        100
    """
    if d < 2:
        raise InputError(f"Expected two columns or more, which depend; got d = {d}.")
    kind = gaussian.MixedGaussianJoint if signs else gaussian.Gaussian
    wide = transforms.Padded(kind(2, rho), d - 2, d - 2)
    return transforms.Mapped(
        wide, transforms.Rotation(d, 1), transforms.Rotation(d, 2), "hidden_pair"
    )


def multiplicative(*, d: int = 2, spread: float = 1.5, noise: float = 0.5) -> Task:
    """y = x exp(noise), x log-normal: multiplicative noise, heavy tails.

    log x and log y = log x + noise are normal, so each column has an MI of
    log(1 + (spread / noise)^2) / 2 nats.

    Args:
        d: the number of columns of x and of y.
        spread: the standard deviation of log x.
        noise: the standard deviation of the noise.

    Example:
        >>> round(multiplicative(d=1, spread=1.0, noise=1.0).mi, 4)
        0.3466
    """
    joint.at_least_one(d=d)
    joint.positive(spread=spread, noise=noise)
    identity = torch.eye(d, dtype=torch.float64)
    own, extra = spread**2 * identity, noise**2 * identity
    covariance = torch.cat([torch.cat([own, own], 1), torch.cat([own, own + extra], 1)])
    logs = elliptical.Normal(covariance, d)
    return transforms.Mapped(logs, transforms.EXP, transforms.EXP, "multiplicative")


def plates(*, size: int = 16, mi: float = 2.0) -> Task:
    """Two images of a round spot with dependent centres.

    The centres are normal pairs with this `mi`, two columns each, mapped by the normal distribution
    function. The map to the image is injective, so the images have the same MI.

    Args:
        size: the number of pixels across.
        mi: the mutual information, in nats.

    Example:
        >>> plates(mi=5.0).mi
        5.0
    """
    draw = transforms.Chain((transforms.NORMAL_CDF, images.Plates(size)))
    return transforms.Mapped(gaussian.StaircaseGaussian(2, mi), draw, draw, "plates")


def rectangles(*, size: int = 16, mi: float = 2.0) -> Task:
    """Two images of a rectangle, dependent in size and place.

    The construction is that of `plates`, with four columns on each side.

    Args:
        size: the number of pixels across.
        mi: the mutual information, in nats.

    Example:
        >>> rectangles(mi=5.0).dim_x
        256
    """
    draw = transforms.Chain((transforms.NORMAL_CDF, images.Rectangles(size)))
    return transforms.Mapped(gaussian.StaircaseGaussian(4, mi), draw, draw, "rectangles")


def confounded(
    *,
    pair: str = "1v1-normal-0.75",
    dz: int = 1,
    location: str = "linear",
    scale: str = "none",
    strength: float = 2.0,
) -> conditional.Confounded:
    """A pair of known MI, shifted and scaled by z.

    I(X;Y|Z) is the MI of the pair, for any location and scale (`conditional.Confounded`).

    Args:
        pair: the name of a task of pairs, with its defaults.
        dz: the number of columns of z.
        location: a key of `conditional.LOCATIONS`.
        scale: a key of `conditional.SCALES`.
        strength: the factor of both.

    Raises:
        InputError: If the pair is no task of pairs of quantities, or a parameter is out of range.

    Example:
        >>> task = confounded(pair="multinormal-dense-5-5-0.5", dz=3, location="square")
        >>> task.mi == make("multinormal-dense-5-5-0.5").mi
        True
    """
    base = make(pair)
    if getattr(base, "dim_given", 0):
        raise InputError(f"Expected a task of pairs; got {pair}, which has a third variable.")
    return conditional.Confounded(cast(Task, base), dz, location, scale, strength)


NOISES: dict[str, transforms.Columnwise] = {
    "normal": transforms.IDENTITY,
    "skewed": transforms.EXP,
    "heavy": transforms.CUBE,
}


def common_cause(
    *,
    d: int = 1,
    dz: int = 1,
    location: str = "linear",
    scale: str = "none",
    noise: str = "normal",
    strength: float = 2.0,
) -> conditional.Confounded:
    """x and y depend on z alone: independent given z.

    x = m(z) + s(z) u and y = m(z) + s(z) v with independent u and v, as in `confounded`.

    Args:
        d: the number of columns of x and of y.
        dz: the number of columns of z.
        location: a key of `conditional.LOCATIONS`.
        scale: a key of `conditional.SCALES`.
        noise: the distribution of u and v: "normal", "skewed" (log-normal) or "heavy" (the cube of
            a normal).
        strength: the factor of location and scale.

    Raises:
        InputError: If a parameter is unknown or out of range.

    Example:
        >>> common_cause(dz=5, location="sine").mi
        0.0
    """
    law = arguments.lookup("noise", noise, NOISES)
    pair = transforms.Mapped(gaussian.Independent(d), law, law, "independent")
    return conditional.Confounded(pair, dz, location, scale, strength, "common_cause")


def gaussian_graph(
    *, kind: str = "chain", dz: int = 1, noise: float = 1.0
) -> conditional.NormalGiven:
    """Linear normal chain, mediator or collider.

    Args:
        kind: a key of `conditional.GRAPHS`: "chain" (x to z to y), "mediator" (also x to y) or
            "collider" (x and y to z).
        dz: the number of columns of z.
        noise: the standard deviation of the noise of z.

    Example:
        >>> [round(gaussian_graph(kind=kind).mi, 4) for kind in ("chain", "mediator", "collider")]
        [0.0, 0.2027, 0.1438]
    """
    return conditional.NormalGiven(
        conditional.graph(kind, dz=dz, noise=noise), dim_x=1, dim_y=1, name="gaussian_graph"
    )


def normal_given(
    *, dim_x: int = 3, dim_y: int = 3, dz: int = 5, seed: int = 0
) -> conditional.NormalGiven:
    """x, y and z normal, with a random covariance.

    The covariance is A A', where A is square with standard normal entries, plus the identity.

    Args:
        dim_x: the number of columns of x.
        dim_y: the number of columns of y.
        dz: the number of columns of z.
        seed: the seed of the covariance.

    Example:
        >>> normal_given(dz=50).dim_given
        50
    """
    joint.at_least_one(dim_x=dim_x, dim_y=dim_y, dz=dz)
    d = dim_x + dim_y + dz
    root = torch.from_numpy(np.random.default_rng(seed).normal(size=(d, d)))
    covariance = root @ root.T + torch.eye(d, dtype=torch.float64)
    return conditional.NormalGiven((covariance + covariance.T) / 2, dim_x, dim_y)


TASKS: dict[str, Builder] = {
    "gaussian": gaussian.Gaussian,
    "mixed_gaussian": gaussian.MixedGaussian,
    "mixed_gaussian_joint": gaussian.MixedGaussianJoint,
    "independent": gaussian.Independent,
    "staircase_gaussian": gaussian.StaircaseGaussian,
    "staircase_cubic": gaussian.StaircaseCubic,
    **BMI,
    **BMI2,
    "high_mi": high_mi,
    "hidden_pair": hidden_pair,
    "multiplicative": multiplicative,
    "noisy_function": channels.NoisyFunction,
    "labels": channels.Labels,
    "uniform_steps": channels.UniformSteps,
    "poissonised": channels.Poissonised,
    "plates": plates,
    "rectangles": rectangles,
    "gaussian_classes": classes.GaussianClasses,
    "label_noise": classes.LabelNoise,
    "shared_class": classes.SharedClass,
    "alphabet": classes.Alphabet,
    "common_cause": common_cause,
    "confounded": confounded,
    "varying_correlation": conditional.VaryingCorrelation,
    "noisy_xor": conditional.NoisyXor,
    "strata": conditional.Strata,
    "gaussian_graph": gaussian_graph,
    "normal_given": normal_given,
    "ccmi_linear": conditional.CcmiLinear,
    "classes_given": conditional.ClassesGiven,
    "coupled_autoregression": series.CoupledAutoregression,
    "nonlinear_coupling": series.NonlinearCoupling,
    "coupled_markov_chains": series.CoupledMarkovChains,
}


class Entry(NamedTuple):
    """An entry of a suite: its label, the name of the task and its parameters."""

    label: str
    task: str
    parameters: Mapping[str, Any]


def _entry(task: str, **given: Any) -> Entry:
    words = ", ".join(f"{key} = {value}" for key, value in given.items())
    return Entry(f"{task} ({words})" if words else task, task, given)


SUITES: dict[str, tuple[Entry, ...]] = {
    "notebook": tuple(_entry(name) for name in list(TASKS)[:6]),
    "staircase": tuple(
        _entry(name, mi=float(level))
        for name in ("staircase_gaussian", "staircase_cubic")
        for level in (2, 4, 6, 8, 10)
    ),
    "bmi": tuple(_entry(name) for name in BMI),
    "bmi2": tuple(_entry(name) for name in BMI2),
    "hard": (
        _entry("high_mi", mi=10.0),
        _entry("high_mi", mi=20.0),
        _entry("hidden_pair", signs=True),
        _entry("hidden_pair", signs=False),
        _entry("multiplicative"),
        _entry("noisy_function", function="square"),
        _entry("noisy_function", function="absolute"),
        _entry("noisy_function", function="sine", k=3.0),
        _entry("labels", law="normal"),
        _entry("labels", law="laplace"),
        _entry("uniform_steps"),
        _entry("poissonised"),
    ),
    "images": tuple(
        _entry(name, mi=float(level)) for name in ("plates", "rectangles") for level in (1, 3, 5)
    ),
    "classes": (
        _entry("gaussian_classes", k=5, d=2),
        _entry("gaussian_classes", k=2, d=100),
        _entry("gaussian_classes", k=5, d=10),
        _entry("gaussian_classes", k=10, d=30, spread=0.3),
        _entry("gaussian_classes", k=20, d=100),
        _entry("label_noise", p=0.1),
        _entry("label_noise", p=0.4),
        _entry("shared_class", d=2, p=0.022),
        _entry("shared_class", d=5, p=0.17),
        _entry("shared_class", d=4, p=0.025),
        _entry("shared_class", d=5, p=0.063),
        _entry("alphabet", k=10, law="dirichlet"),
        _entry("alphabet", k=30, law="dirichlet"),
        _entry("alphabet", k=100, law="dirichlet"),
        _entry("alphabet", k=30, law="zipf"),
        _entry("alphabet", k=100, law="zipf"),
        _entry("alphabet", k=30, law="independent"),
    ),
    "conditional": (
        *(_entry("common_cause", location=f) for f in ("linear", "sine", "cubic", "square")),
        _entry("common_cause", dz=2, location="product"),
        _entry("common_cause", location="none", scale="exp"),
        _entry("common_cause", location="sine", scale="exp"),
        _entry("common_cause", location="linear", noise="skewed"),
        _entry("common_cause", location="linear", noise="heavy"),
        *(_entry("common_cause", dz=5, location=f) for f in ("linear", "sine")),
        _entry("common_cause", d=3, dz=5, location="square", scale="exp"),
        *(_entry("common_cause", dz=20, location=f) for f in ("linear", "cubic")),
        _entry("gaussian_graph", kind="chain", dz=3),
        _entry("strata", k=5, rho=0.0),
        _entry("confounded", location="sine"),
        _entry("confounded", dz=5, location="square"),
        _entry("confounded", dz=20, scale="exp"),
        _entry("confounded", pair="student-identity-2-2-1", dz=3),
        _entry("confounded", pair="1v1-X-0.9", dz=2, location="product"),
        _entry("confounded", pair="multinormal-sparse-5-5-2-2.0", dz=5, scale="exp"),
        _entry("confounded", pair="noisy_function", dz=1, location="cubic"),
        _entry("varying_correlation", dz=1),
        _entry("varying_correlation", d=2, dz=5),
        _entry("noisy_xor"),
        _entry("strata", k=5),
        _entry("strata", k=3, numbers=2),
        _entry("gaussian_graph", kind="mediator", dz=10, noise=3.0),
        _entry("gaussian_graph", kind="collider", dz=5),
        _entry("normal_given", dz=5),
        _entry("ccmi_linear", model=1, dz=20),
        _entry("ccmi_linear", model=2, dz=50),
        _entry("classes_given", k=3, dz=1),
        _entry("classes_given", k=5, dz=3),
    ),
    "series": (
        *(_entry("coupled_autoregression", phi=phi) for phi in (0.0, 0.5, 0.9, 0.95)),
        _entry("coupled_autoregression", phi=0.9, history=3),
        _entry("coupled_autoregression", phi=0.5, lag=3, history=3),
        _entry("coupled_autoregression", phi=0.9, coupling=0.0, feedback=0.5),
        _entry("coupled_autoregression", phi=0.9, warp="cubic"),
        _entry("coupled_autoregression", phi=0.5, warp="exponential"),
        *(_entry("nonlinear_coupling", function=each) for each in series.COUPLINGS),
        _entry("coupled_markov_chains"),
        _entry("coupled_markov_chains", k=2, stay=0.0, noise=0.4, mixed=True),
    ),
}


class Consistency(NamedTuple):
    """Two kinds of pairs with a known relation: MI of `of` = `ratio` x MI of `to`.

    A ratio of None means that it is at least 1.
    """

    of: images.Pairs
    to: images.Pairs
    ratio: float | None


_HALF = images.ImageRows(rows=8)
CONSISTENCY: dict[str, Consistency] = {
    "more_rows": Consistency(_HALF, images.ImageRows(rows=4), None),
    "data_processing": Consistency(images.Repeated(_HALF, kept=64), _HALF, 1.0),
    "additivity": Consistency(images.Doubled(_HALF), _HALF, 2.0),
}


def parameters(name: str) -> dict[str, Any]:
    """Return the parameters of a task with their defaults; a task of the BMI benchmark has none.

    Raises:
        InputError: If the name is unknown.

    Example:
        >>> parameters("gaussian")
        {'d': 6, 'rho': 0.9}
    """
    signature = inspect.signature(arguments.lookup("task", name, TASKS))
    return {key: value.default for key, value in signature.parameters.items() if key != "name"}


def description(name: str) -> str:
    """Return the description of a task in one line.

    Raises:
        InputError: If the name is unknown.

    Example:
        >>> description("1v1-AI")
        'Six normals that draw an A and an I.'
    """
    return (arguments.lookup("task", name, TASKS).__doc__ or "").split("\n")[0]


def make(name: str, **given: Any) -> AnyTask:
    """Build a task by name.

    Args:
        name: a key of `TASKS`.
        **given: parameters of the task; the others have their defaults.

    Returns:
        The task.

    Raises:
        InputError: If the name or a parameter is unknown, or a value is out of range.

    Example:
        >>> make("gaussian", d=1, rho=0.5).dim_x
        1
    """
    known = parameters(name)
    for parameter, value in given.items():
        if parameter not in known:
            raise InputError(
                f"Expected parameters of {name} ({', '.join(known) or 'none'}); got {parameter}."
            )
        _expect_like(parameter, value, known[parameter])
    return TASKS[name](**given)


def _expect_like(name: str, value: Any, default: Any) -> None:
    """Check that the value of a parameter has the type of its default.

    Raises:
        InputError: If it has another type.
    """
    if isinstance(default, bool):
        arguments.boolean(name, value)
    elif isinstance(default, int):
        arguments.integer(name, value, most=MOST_PARAMETER)
    elif isinstance(default, float):
        arguments.real(name, value)


def suite(name: str) -> list[tuple[str, AnyTask]]:
    """Build the tasks of a suite, each with its label.

    Raises:
        InputError: If the name is unknown.

    Example:
        >>> len(suite("bmi")), len(suite("bmi2"))
        (40, 13)
        >>> suite("staircase")[0][0]
        'staircase_gaussian (mi = 2.0)'
    """
    entries: tuple[Entry, ...] = arguments.lookup("suite", name, SUITES)
    return [(entry.label, make(entry.task, **entry.parameters)) for entry in entries]


def staircase(name: str, levels: Sequence[float] = (2, 4, 6, 8, 10)) -> list[AnyTask]:
    """Build the tasks of a staircase, one per MI in `levels`, in nats.

    Example:
        >>> [task.mi for task in staircase("staircase_cubic")]
        [2, 4, 6, 8, 10]
    """
    return [make(name, mi=level) for level in levels]
