"""Tests of conditional independence and estimates of I(X;Y|Z), where the truth is known.

    python benchmarks/conditional.py size     how often p <= .05 under conditional independence
    python benchmarks/conditional.py power    the same where I(X;Y|Z) = .1 (`--mi`), beside peers
    python benchmarks/conditional.py bias     errors and coverage on the suite `conditional`
    python benchmarks/conditional.py shapes   the same where z decides the shape of the noise
    python benchmarks/conditional.py time     seconds of an estimate with its defaults

`local` is the local permutation test (`p_value` of an estimate with `given`), `projection` the one
of residuals (`projection_p`). Both also read the scores of the estimate's critics. `--critics`
chooses these:

* `without`, the default of `size` and `power`: none. Nothing is fitted but the regressions, so a
  test takes a second or two, and what is tested is the tests themselves.
* `none`: those of the estimate without networks, `estimate(..., critic="none")`.
* `all`: those of the estimate with its defaults. This is the default of `bias` and
  `shapes`.

`--peers` of `power` are the generalised covariance measure with kernel ridge regression (`gcm`)
and, with `--tigramite-python PATH`, three tests of tigramite: partial correlation (`parcorr`),
distance correlation of the residuals of Gaussian processes (`gpdc`), and nearest neighbours with a
local permutation test (`cmiknn`). PATH is the Python of an environment of its own:

    python -m venv tigramite-env && tigramite-env/bin/python -m pip install tigramite numba dcor

`time` divides the seconds of `estimate(x, y, given=z)` by those of a yardstick in the same
process, scikit-learn's nearest neighbours on 20 pairs of 10,000 rows: elapsed time, and processor
time, which other programs disturb less. `--threads` sets the threads of torch.

In all subcommands `--runs` sets the repetitions of a cell (of `bias`, the seeds; not of `time`),
`--first` the first seed, `--sizes` and `--dz` what N and how many columns of z, `--only` the kinds
whose names contain one of these words. With `--sequential`, a cell of `size` ends after 50, 100 or
150 runs if a rate above .08 is out of the question by then (97.5 % confidence). `cmiknn` and `gpdc`
are slow and have at most `--slow-runs` runs.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import chain, product
from pathlib import Path

import numpy as np
import torch
from common import yardstick
from joblib import Parallel, delayed
from scipy import stats
from scipy.optimize import brentq
from scipy.special import rel_entr
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import GridSearchCV, cross_val_predict

from infobound import data, estimate
from infobound.benchmark import tasks
from infobound.benchmark.distributions import conditional as models
from infobound.benchmark.distributions.joint import ConditionalTask
from infobound.config import Config
from infobound.estimation.conditional import Sides, p_values

LEVEL = 0.05
LARGEST = 0.08  # rate of p <= .05 that no cell may exceed
BATCH = 50  # runs after which it is seen whether a rate is clear
Triple = tuple[np.ndarray, np.ndarray, np.ndarray]
Draw = Callable[[np.random.Generator, int], Triple]


def of_task(name: str, **parameters: object) -> Draw:
    """Rows of a task of `infobound tasks`."""
    task = tasks.make(name, **parameters)

    def draw(rng: np.random.Generator, n: int) -> Triple:
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        x, y, z = (side.numpy() for side in task.sample(n, generator))
        return x, y, z

    return draw


def along(z: np.ndarray) -> np.ndarray:
    """The sum of the columns over sqrt(dz), (n, 1)."""
    return z.sum(1, keepdims=True) / math.sqrt(z.shape[1])


def causes(rng: np.random.Generator, n: int, dz: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Normal z (n, dz), its projection (n, 1), and the noise of x and y (2, n, 1)."""
    z = rng.normal(size=(n, dz))
    return z, along(z), rng.normal(size=(2, n, 1))


def student(rng: np.random.Generator, n: int, *, dz: int) -> Triple:
    """Noise of infinite variance: Student's t with two degrees of freedom."""
    z, t, _ = causes(rng, n, dz)
    x, y = 2 * t + rng.standard_t(2, size=(2, n, 1))
    return x, y, z


def long_tails(rng: np.random.Generator, n: int, *, dz: int) -> Triple:
    """z is log-normal, so a few rows have much leverage."""
    z, _, noise = causes(rng, n, dz)
    x, y = along(np.exp(z)) + noise
    return x, y, np.exp(z)


def skewness(rng: np.random.Generator, n: int, *, dz: int) -> Triple:
    """The sign of the skewness of both noises is that of t: no location or scale shows it."""
    z, t, _ = causes(rng, n, dz)
    x, y = 2 * t + np.sign(t) * (rng.exponential(size=(2, n, 1)) - 1)
    return x, y, z


def classes(rng: np.random.Generator, n: int, *, dz: int) -> Triple:
    """x is one of two classes, y a number."""
    z, t, (u, v) = causes(rng, n, dz)
    return (1.5 * t + u > 0).astype(float), 1.5 * t + v, z


def two_classes(rng: np.random.Generator, n: int, *, dz: int) -> Triple:
    """x and y are one of two classes."""
    z, t, noise = causes(rng, n, dz)
    x, y = (1.5 * t + noise > 0).astype(float)
    return x, y, z


def counts(rng: np.random.Generator, n: int, *, dz: int) -> Triple:
    """x and y are Poisson with the same mean, exp(t)."""
    z, t, _ = causes(rng, n, dz)
    x, y = rng.poisson(np.exp(t), size=(2, n, 1)).astype(float)
    return x, y, z


def levels(rng: np.random.Generator, n: int, *, dz: int) -> Triple:
    """z is a number from 1 to 12 in each column; x and y have a mean of their own for each."""
    z = rng.integers(1, 13, size=(n, dz))
    means = np.random.default_rng(0).normal(size=12)
    x, y = along(means[z - 1]) + rng.normal(size=(2, n, 1))
    return x, y, z.astype(float)


def nulls(dz: int) -> dict[str, Draw]:
    """Kinds of confounding: those of the suite `conditional`, with dz columns, and more."""
    cause = partial(of_task, "common_cause", dz=dz)
    found = {name: cause(location=name) for name in ("linear", "sine", "cubic", "square")}
    if dz > 1:
        found["product"] = cause(location="product")
    found |= {
        "scale": cause(location="none", scale="exp"),
        "sine, scale": cause(location="sine", scale="exp"),
        "log-normal noise": cause(noise="skewed"),
        "cubed noise": cause(noise="heavy"),
        "3 + 3 columns, square, scale": cause(d=3, location="square", scale="exp"),
        "chain": of_task("gaussian_graph", kind="chain", dz=dz),
    }
    if dz == 1:
        found["5 categories"] = of_task("strata", k=5, rho=0.0)
    else:
        found["3 categories and numbers"] = of_task("strata", k=3, numbers=dz - 1, rho=0.0)
    own = {"t(2) noise": student, "log-normal z": long_tails, "skewness": skewness}
    own |= {"classes": classes, "two classes": two_classes, "counts": counts, "12 levels": levels}
    return found | {name: partial(draw, dz=dz) for name, draw in own.items()}


def information(centres: np.ndarray, scales: np.ndarray, weights: np.ndarray) -> float:
    """I(U;V) for V = centre(u) + scale(u) noise, from 4,000 bins of V, narrow about zero."""
    edges = np.sinh(np.linspace(-12, 12, 4_001)) / 100
    given = np.diff(stats.norm.cdf((edges - centres[:, None]) / scales[:, None]), axis=1)
    every = np.broadcast_to(weights @ given, given.shape)
    return float(weights @ rel_entr(given, every).sum(axis=1))


def strength(centre: Callable, scale: Callable, mi: float) -> float:
    """The factor a at which V = centre(a, u) + scale(a, u) noise has this information."""
    u = np.linspace(-5, 5, 201)
    weights = stats.norm.pdf(u) / stats.norm.pdf(u).sum()
    return float(
        brentq(lambda a: information(centre(a, u), scale(a, u), weights) - mi, 0.01, 1.5, xtol=1e-4)
    )


# v given u and the strength: its centre and its scale.
SHAPES: dict[str, tuple[Callable, Callable]] = {
    "linear": (lambda a, u: a * u, lambda a, u: np.ones_like(u)),
    "monotone": (lambda a, u: a * np.exp(u), lambda a, u: np.ones_like(u)),
    "quadratic": (lambda a, u: a * u**2, lambda a, u: np.ones_like(u)),
    "heteroscedastic": (lambda a, u: np.zeros_like(u), lambda a, u: np.exp(a * u)),
}


def dependent(
    rng: np.random.Generator, n: int, *, dz: int, location: str, shape: str, factor: float
) -> Triple:
    """x = m(z) + u and y = m(z) + v.

    If the sign varies, the correlation of u and v is `factor` times the sign of t.
    """
    z, t, (u, noise) = causes(rng, n, dz)
    if shape == "sign of z":
        v = factor * np.sign(t) * u + math.sqrt(1 - factor**2) * noise
    else:
        centre, scale = SHAPES[shape]
        v = centre(factor, u) + scale(factor, u) * noise
    m = 2 * models.LOCATIONS[location](torch.from_numpy(z)).numpy()
    return m + u, m + v, z


def dependences(dz: int, location: str, mi: float) -> dict[str, Draw]:
    """Shapes of dependence with this I(X;Y|Z)."""
    factors = {shape: strength(*functions, mi) for shape, functions in SHAPES.items()}
    factors["sign of z"] = math.sqrt(1 - math.exp(-2 * mi))
    return {
        shape: partial(dependent, dz=dz, location=location, shape=shape, factor=factor)
        for shape, factor in factors.items()
    }


# The noise of y: increasing in v, with a shape that depends on t. So it changes no I(X;Y|Z).
NOISES: dict[str, Callable] = {
    "skewness": lambda v, t: np.expm1(0.8 * np.tanh(t) * v) / (0.8 * np.tanh(t)),
    "tails": lambda v, t: np.sinh(np.exp(0.5 * np.tanh(t)) * v),
    "peaks": lambda v, t: v - 0.45 / (1 + np.exp(-3 * t)) * np.sin(2 * v),
}


def shaped(
    rng: np.random.Generator, n: int, *, dz: int, noise: str, both: bool, mi: float
) -> Triple:
    """x = t + u and y = t + noise(v), with the MI of normal u and v; with `both`, x as y."""
    z, t, (u, other) = causes(rng, n, dz)
    rest = math.exp(-mi)
    v = math.sqrt(1 - rest**2) * u + rest * other
    return t + (NOISES[noise](u, t) if both else u), t + NOISES[noise](v, t), z


def drawn(draw: Draw, name: str, n: int, seed: int) -> Triple:
    return draw(np.random.default_rng([seed, n, *name.encode()]), n)


def ours(draw: Draw, name: str, n: int, seed: int, *, critics: str) -> tuple[float, float]:
    """The p-values of both tests; 1 where there is none, which rejects nothing."""
    torch.set_num_threads(1)
    x, y, z = drawn(draw, name, n, seed)
    if critics == "without":
        pair, config = data.as_pair(x, y, given=z), Config(critic="none", seed=seed)
        both = p_values(pair, Sides.of(pair, config), config, [])
    else:
        settings = {"critic": "none"} if critics == "none" else {}
        found = estimate(x, y, given=z, seed=seed, **settings)
        both = found.p_value, found.projection_p
    local, projection = (1.0 if p is None else p for p in both)
    return local, projection


def gcm(draw: Draw, name: str, n: int, seed: int) -> tuple[float]:
    """The generalised covariance measure, with kernel ridge regression on other folds.

    Source: Shah and Peters 2020, https://arxiv.org/abs/1804.07203.
    """
    x, y, z = drawn(draw, name, n, seed)
    z = (z - z.mean(0)) / z.std(0)
    grid = {"alpha": np.logspace(-3, 1, 5), "gamma": np.array([0.03, 0.1, 0.3, 1]) / z.shape[1]}
    left = []
    for side in (x[:, 0], y[:, 0]):
        side = (side - side.mean()) / side.std()
        chosen = GridSearchCV(KernelRidge(kernel="rbf"), grid, cv=3).fit(z, side).best_estimator_
        left.append(side - cross_val_predict(chosen, z, side, cv=5))
    terms = left[0] * left[1]
    return (float(2 * stats.norm.sf(abs(math.sqrt(n) * terms.mean() / terms.std()))),)


TIGRAMITE = """
import json, sys
import numpy as np
kind, rows = sys.argv[1], np.load("rows.npz")
if kind == "parcorr":
    from tigramite.independence_tests.parcorr import ParCorr
    test = ParCorr(significance="analytic")
elif kind == "gpdc":
    from tigramite.independence_tests.gpdc import GPDC
    test = GPDC(significance="analytic")
else:
    from tigramite.independence_tests.cmiknn import CMIknn
    test = CMIknn(significance="shuffle_test", sig_samples=99, workers=1)
found = [test.run_test_raw(x, y, z)[1] for x, y, z in zip(rows["x"], rows["y"], rows["z"])]
with open("values.json", "w") as file:
    json.dump([float(p) for p in found], file)
"""


def tigramite(
    python: Path, kind: str, draw: Draw, name: str, n: int, seeds: range
) -> list[tuple[float]]:
    """The p-values of a test of tigramite, run in its own environment."""
    sides = zip(*(drawn(draw, name, n, seed) for seed in seeds), strict=True)
    single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder) / "rows.npz", **dict(zip("xyz", map(np.stack, sides), strict=True)))
        subprocess.run(
            [str(python.absolute()), "-c", TIGRAMITE, kind],
            cwd=folder,
            env={**os.environ, **single, "PYTHONPATH": ""},
            check=True,
            stdout=subprocess.DEVNULL,
        )
        return [(p,) for p in json.loads((Path(folder) / "values.json").read_text())]


def share(values: np.ndarray) -> str:
    """The share of p <= .05 with its standard error."""
    rate = (values <= LEVEL).mean()
    return f"{rate:.2f} ± {math.sqrt(rate * (1 - rate) / len(values)):.2f}"


def wanted(options: argparse.Namespace, name: str) -> bool:
    return not options.only or any(word in name for word in options.only)


def line(*cells: object) -> None:
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def is_clear(values: np.ndarray) -> bool:
    """Whether each column's rate of p <= .05 is at most `LARGEST` with 97.5 % confidence."""
    counts = (values <= LEVEL).sum(axis=0)
    return bool((stats.beta.ppf(0.975, counts + 1, len(values) - counts) <= LARGEST).all())


def size(options: argparse.Namespace, pool: Parallel) -> None:
    """Rejection rates under conditional independence."""
    line("confounding", "dz", "N", "runs", "local", "projection")
    print("|---|--:|--:|--:|--:|--:|")
    last = options.first + options.runs
    worst: list[np.ndarray] = []
    for n in options.sizes:
        for dz in options.dz:
            for name, draw in nulls(dz).items():
                if not wanted(options, name):
                    continue
                one = delayed(partial(ours, critics=options.critics))
                values = np.empty((0, 2))
                for start in range(options.first, last, BATCH):
                    seeds = range(start, min(start + BATCH, last))
                    values = np.vstack([values, pool(one(draw, name, n, seed) for seed in seeds)])
                    if options.sequential and is_clear(values):
                        break
                line(name, dz, f"{n:,}", len(values), *map(share, values.T))
                worst.append((values <= LEVEL).mean(axis=0))
    means = np.mean(worst, axis=0)
    print(f"\nMean over {len(worst)} cells: local {means[0]:.3f}, projection {means[1]:.3f}")


def power(options: argparse.Namespace, pool: Parallel) -> None:
    """Rejection rates where I(X;Y|Z) > 0, beside peers."""
    peers = [peer for peer in options.peers if peer in FAST or options.tigramite_python is not None]
    line("dependence", "dz", "N", "local", "projection", *peers)
    print("|---|--:|--:|" + "--:|" * (2 + len(peers)))
    seeds = range(options.first, options.first + options.runs)
    for n in options.sizes:
        for dz in options.dz:
            for name, draw in dependences(dz, options.location, options.mi).items():
                if not wanted(options, name):
                    continue
                one = delayed(partial(ours, critics=options.critics))
                values = np.array(pool(one(draw, name, n, seed) for seed in seeds))
                cells = [share(column) for column in values.T]
                for peer in peers:
                    if peer in FAST:
                        found = pool(delayed(FAST[peer])(draw, name, n, seed) for seed in seeds)
                    else:
                        some = seeds if peer == "parcorr" else seeds[: options.slow_runs]
                        parts = [some[k :: options.jobs] for k in range(options.jobs)]
                        there = delayed(partial(tigramite, options.tigramite_python, peer))
                        lists = pool(there(draw, name, n, part) for part in parts if part)
                        found = list(chain.from_iterable(lists))
                    cells.append(share(np.array(found)[:, 0]))
                line(name, dz, f"{n:,}", *cells)


def made(entry: tasks.Entry) -> ConditionalTask:
    return tasks.make(entry.task, **entry.parameters)


def estimated(label: str, n: int, seed: int, *, critics: str) -> tuple[float, float, bool]:
    """The truth, the estimate, and whether its interval covers the truth."""
    task = next(made(entry) for entry in tasks.SUITES["conditional"] if entry.label == label)
    rows = task.sample(n, torch.Generator().manual_seed(seed))
    categorical = getattr(task, "categorical", ())
    return judged(task.mi, rows, seed, critics=critics, categorical=categorical)


def estimated_shape(
    draw: Draw, name: str, mi: float, n: int, seed: int, *, critics: str
) -> tuple[float, float, bool]:
    """The same for rows of `shaped`."""
    return judged(mi, drawn(draw, name, n, seed), seed, critics=critics)


def judged(
    mi: float, rows: Triple, seed: int, *, critics: str, **settings: object
) -> tuple[float, float, bool]:
    """The truth, the estimate from rows of x, y and z, and whether its interval covers."""
    torch.set_num_threads(1)
    x, y, z = rows
    settings |= {"critic": "none"} if critics == "none" else {}
    found = estimate(x, y, given=z, certify=False, seed=seed, **settings)
    low, high = found.interval
    return mi, found.mi, bool(low <= mi <= high + 1e-9)


def bias(options: argparse.Namespace, pool: Parallel) -> None:
    """Mean, mean absolute error and coverage for each task, and for groups of tasks."""
    head = ("N", "truth", "mean", "mean absolute error", "covered")
    line("task", *head)
    print("|---|" + "--:|" * len(head))
    groups: dict[tuple[int, str, str], list[np.ndarray]] = {}
    seeds = range(options.first, options.first + options.runs)
    for n in options.sizes:
        for entry in tasks.SUITES["conditional"]:
            if not wanted(options, entry.label):
                continue
            one = delayed(partial(estimated, critics=options.critics))
            values = np.array(pool(one(entry.label, n, seed) for seed in seeds))
            line(entry.label, f"{n:,}", f"{values[0, 0]:.3f}", *summary(values))
            dz = made(entry).dim_given
            group = "dz <= 5" if dz <= 5 else "dz 10 to 20" if dz <= 20 else "dz 50"
            zero = "zero" if values[0, 0] < 1e-9 else "not zero"
            groups.setdefault((n, group, zero), []).append(values)
    print()
    line("tasks", "N", "truth", "runs", "mean error", "mean absolute error", "covered")
    print("|---|--:|" + "---|" + "--:|" * 4)
    for (n, group, zero), members in groups.items():
        values = np.concatenate(members)
        errors = values.copy()
        errors[:, 1] -= errors[:, 0]
        errors[:, 0] = 0.0
        line(group, f"{n:,}", zero, len(values), *summary(errors))


def shapes(options: argparse.Namespace, pool: Parallel) -> None:
    """Mean, mean absolute error and coverage where z decides the shape of the noise."""
    line("noise", "dz", "N", "truth", "mean", "mean absolute error", "covered")
    print("|---|" + "--:|" * 6)
    every: dict[int, list[np.ndarray]] = {}
    seeds = range(options.first, options.first + options.runs)
    kinds = [(noise, both) for noise in NOISES for both in (False, True)]
    for n, dz in product(options.sizes, options.dz):
        for (noise, both), mi in product(kinds, (0.0, 0.05, 0.4)):
            name = f"{noise} of x and y" if both else f"{noise} of y"
            if not wanted(options, name):
                continue
            draw = partial(shaped, dz=dz, noise=noise, both=both, mi=mi)
            one = delayed(partial(estimated_shape, draw, name, mi, critics=options.critics))
            values = np.array(pool(one(n, seed) for seed in seeds))
            line(name, dz, f"{n:,}", mi, *summary(values))
            every.setdefault(n, []).append(values)
    for n, members in every.items():
        values = np.concatenate(members)
        line("all", "", f"{n:,}", "", *summary(values))


def timed(options: argparse.Namespace, pool: Parallel) -> None:
    """Seconds of an estimate relative to the yardstick, and the median of the kinds."""
    torch.set_num_threads(options.threads)
    line("kind", "dz", "N", "seconds", "elapsed ratio", "processor ratio", "mi")
    print("|---|" + "--:|" * 6)
    for n in options.sizes:
        for dz in options.dz:
            found, before = [], yardstick()
            for name, draw in timed_kinds(dz).items():
                if not wanted(options, name):
                    continue
                x, y, z = drawn(draw, name, n, options.first)
                wall, cpu = time.perf_counter(), time.process_time()
                mi = estimate(x, y, given=z).mi
                found.append((name, time.perf_counter() - wall, time.process_time() - cpu, mi))
            whole = np.mean([before, yardstick()], axis=0)
            every = np.array([(wall, *(wall, cpu) / whole) for _, wall, cpu, _ in found])
            for (name, *_, mi), row in zip(found, every, strict=True):
                line(name, dz, f"{n:,}", *(f"{value:.1f}" for value in row), f"{mi:.3f}")
            medians = np.median(every, axis=0)
            line("median", dz, f"{n:,}", *(f"{value:.1f}" for value in medians), "")


def timed_kinds(dz: int) -> dict[str, Draw]:
    """Two kinds of confounding, and two of dependence."""
    return {
        "linear": of_task("common_cause", dz=dz),
        "sine, scale": of_task("common_cause", dz=dz, location="sine", scale="exp"),
        "confounded, square": of_task("confounded", dz=dz, location="square"),
        "collider": of_task("gaussian_graph", kind="collider", dz=dz),
    }


def summary(values: np.ndarray) -> list[str]:
    """The mean value, the mean absolute error and the share of covered truths."""
    truth, found, covered = values.T
    root = math.sqrt(len(values))
    both = [
        (found.mean(), found.std()),
        (np.abs(found - truth).mean(), np.abs(found - truth).std()),
    ]
    cells = [f"{mean:.3f} ± {spread / root:.3f}" for mean, spread in both]
    return [*cells, f"{covered.mean():.2f} ± {covered.std() / root:.2f}"]


FAST = {"gcm": gcm}
STUDIES = {"size": size, "power": power, "bias": bias, "shapes": shapes, "time": timed}
SIZES = {"size": [200, 500, 2000], "power": [500], "bias": [500, 2000]}
SIZES |= {"shapes": [500], "time": [2000, 10_000]}
COLUMNS = {"size": [1, 5, 20], "power": [1, 5], "bias": [], "shapes": [1], "time": [5]}
RUNS = {"size": 200, "power": 200, "bias": 5, "shapes": 20, "time": 1}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("study", choices=STUDIES)
    parser.add_argument("--runs", "--seeds", type=int)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--sizes", type=int, nargs="+")
    parser.add_argument("--dz", type=int, nargs="+")
    parser.add_argument("--only", nargs="+")
    parser.add_argument("--critics", choices=("without", "none", "all"))
    parser.add_argument("--location", choices=models.LOCATIONS, default="linear")
    parser.add_argument("--mi", type=float, default=0.1)
    parser.add_argument("--peers", nargs="*", default=["gcm", "parcorr", "gpdc", "cmiknn"])
    parser.add_argument("--sequential", action="store_true")
    parser.add_argument("--slow-runs", type=int, default=40)
    parser.add_argument("--tigramite-python", type=Path)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    study = options.study
    options.runs = options.runs or RUNS[study]
    options.sizes = options.sizes or SIZES[study]
    options.dz = options.dz or COLUMNS[study]
    options.critics = options.critics or ("all" if study in ("bias", "shapes") else "without")
    with Parallel(n_jobs=options.jobs) as pool:
        STUDIES[study](options, pool)


if __name__ == "__main__":
    main()
