"""Errors on dependence that is hard to see, with known MI: populations, needles, lines, functions.

    python benchmarks/structures.py [--kinds joint needle line function warp fold wide]
        [--seeds 2] [--rows 2000] [--without mean]

* `joint`: the notebook's mixture of correlations 0.9 and -0.9 in 6 + 6 columns (4.292 nats).
* `needle`: a pair of normals (0.8 nats), each made cubic, rotated among 39 columns of noise.
* `line`: the mean of k normal columns and a residual of .05 to .2 of its size, k = 1 to 20.
* `function`: one column that varies around a function of 2 to 10 normal columns: products, curves,
  a sine along a direction, a jump, a radius; with noise of light and heavy tails, and exponentials.
* `warp`: d pairs of normals of correlation 0.6, in y each shifted by the sine of those before it.
* `fold`: a correlation of 0.9, or stripes that y numbers; x slides along a second column by a sine.
* `wide`: columns from half to three times the rows of a fold, independent and dependent, normal and
  heavy-tailed; counts estimates, held-out and certified values outside [-0.5, truth + 0.5].

Each kind has its own sizes unless --rows names some. `--without` leaves closed forms out, such as
"mean", which functions of columns are for.
"""

import functools
import itertools
import time

import numpy as np
import torch
from common import parser
from scipy import signal, stats

from infobound import estimate
from infobound.benchmark import tasks
from infobound.models.closed_forms import BASES

SIZES = {
    "joint": [400, 2000, 10_000],
    "needle": [2000, 10_000],
    "line": [500, 2000, 10_000],
    "function": [300, 1000, 10_000],
    "warp": [1000, 10_000],
    "fold": [1000, 10_000],
    "wide": [100, 300],
}


def joint(n, seed):
    """Both signs of the correlation, in one sample."""
    task = tasks.make("mixed_gaussian_joint", d=6, rho=0.9)
    x, y = task.sample(n, torch.Generator().manual_seed(100 + seed))
    yield "6 + 6", x.numpy(), y.numpy(), task.mi


def turned(rows, rng):
    """Rows (n, d) in axes of a random direction."""
    return rows @ np.linalg.qr(rng.normal(size=(rows.shape[1],) * 2))[0]


def needle(n, seed):
    """One column of each side shares information; its values are cubed."""
    rng = np.random.default_rng([seed, n, 1])
    x, y = rng.normal(size=(2, n, 40))
    rho = np.sqrt(1 - np.exp(-1.6))
    y[:, 0] = rho * x[:, 0] + np.sqrt(1 - rho**2) * y[:, 0]
    for side in (x, y):
        side[:, 0] = side[:, 0] ** 3 / np.sqrt(15)
    yield "40 + 40", turned(x, rng), turned(y, rng), 0.8


def line(n, seed):
    """What least squares sees."""
    for k, size in itertools.product((1, 3, 20), (0.05, 0.2)):
        rng = np.random.default_rng([seed, n, k, 2])
        x = rng.normal(size=(n, k))
        y = x.sum(1) / np.sqrt(k) + size * rng.normal(size=n)
        yield f"{k} + 1, residual {size}", x, y[:, None], 0.5 * np.log1p(size**-2)


def friedman(x):
    """Friedman's function of ten columns, five of which matter (doi.org/10.1214/aos/1176347963)."""
    u = stats.norm.cdf(x)
    curve = 2 * np.sin(np.pi * u[:, 0] * u[:, 1]) + 4 * (u[:, 2] - 0.5) ** 2
    return curve + 2 * u[:, 3] + u[:, 4]


DIRECTION = np.array([1, -1, 0.5, 0.5, -0.5, 1]) / np.sqrt(3.75)
NORMAL, HEAVY = stats.norm, stats.t(3)
FUNCTIONS = {  # columns, function, size and law of the noise; what y is of the sum
    "product": (4, lambda x: x[:, 0] * x[:, 1], 0.3, NORMAL, None),
    "curves": (4, lambda x: np.sin(2 * x[:, 0]) + 0.5 * x[:, 1] ** 2, 0.4, NORMAL, None),
    "sine along a direction": (6, lambda x: np.sin(2 * x @ DIRECTION), 0.3, NORMAL, None),
    "jump": (3, lambda x: np.sign(x[:, 0] * x[:, 1]), 0.6, NORMAL, None),
    "product, heavy tails": (4, lambda x: x[:, 0] * x[:, 1], 0.3, HEAVY, None),
    "Friedman": (10, friedman, 0.4, NORMAL, None),
    "mean": (5, lambda x: x.sum(1) / np.sqrt(5), 0.5, NORMAL, None),
    "exponential": (3, lambda x: x[:, 0] * x[:, 1] + x[:, 2], 0.4, NORMAL, np.exp),
    "radius": (3, lambda x: np.linalg.norm(x, axis=1), 0.2, NORMAL, None),
    "product of three": (5, lambda x: x[:, :3].prod(1), 0.5, NORMAL, None),
}


@functools.cache
def exact(name):
    """The entropy of y, a convolution on a grid, less that of the noise."""
    d, mean, size, law, _ = FUNCTIONS[name]
    means = mean(np.random.default_rng(0).normal(size=(1_000_000, d)))
    step, reach = size / 30, 60 * size
    edges = np.arange(means.min() - reach, means.max() + reach, step)
    shares = np.histogram(means, edges)[0] / len(means)
    noise = law.pdf(np.arange(-reach, reach + step / 2, step) / size) / size
    density = signal.fftconvolve(shares, noise, "same").clip(1e-300)
    return -(density * np.log(density)).sum() * step - law.entropy() - np.log(size)


def function(n, seed):
    """Where the MI is that of y and its mean."""
    for k, (name, (d, mean, size, law, warp)) in enumerate(FUNCTIONS.items()):
        rng = np.random.default_rng([seed, n, k, 5])
        x = rng.normal(size=(n, d))
        y = mean(x) + size * law.rvs(size=n, random_state=rng)
        yield f"{d} + 1, {name}", x, (y if warp is None else warp(y))[:, None], exact(name)


def warp(n, seed):
    """Triangular and volume-preserving, so that the MI of the normals is kept."""
    for d in (5, 7):
        rng = np.random.default_rng([seed, n, d, 3])
        x, y = rng.normal(size=(2, n, d))
        y = 0.6 * x + 0.8 * y
        for k in range(1, d):
            y[:, k] += np.sin(2 * y[:, :k]).sum(1) / np.sqrt(k)
        yield f"{d} + {d}", x, y, -0.5 * d * np.log(1 - 0.36)


def fold(n, seed):
    """Sliding one column of x along the other keeps the MI of both with y."""
    rng = np.random.default_rng([seed, n, 5])
    u, other, v, noise = rng.normal(size=(4, n))
    bend = 4 * np.sin(3 * other)
    y = 0.9 * u + np.sqrt(0.19) * v
    yield "2 + 1, correlation", np.stack([u + bend, other], 1), y[:, None], -0.5 * np.log(0.19)
    level = rng.integers(6, size=n)
    y = level % 3 + 0.05 * noise
    yield "2 + 1, stripes", np.stack([level + 0.1 * u + bend, other], 1), y[:, None], np.log(3)


def wide(n, seed):
    """Columns near and above the rows of a fold, which are three quarters of all."""
    for share, heavy, rho in itertools.product((0.5, 0.9, 1.1, 3), (False, True), (0.0, 0.9)):
        rng = np.random.default_rng([seed, n, int(10 * share), heavy, int(rho > 0), 4])
        d = int(share * 0.75 * n / 2)
        x, y = rng.normal(size=(2, n, d))
        y[:, 0] = rho * x[:, 0] + np.sqrt(1 - rho**2) * y[:, 0]
        if heavy:
            x, y = x**3, y**3
        name = f"{d} + {d}{', cubed' if heavy else ''}, rho {rho}"
        yield name, x, y, -0.5 * np.log(1 - rho**2)


KINDS = {
    "joint": joint,
    "needle": needle,
    "line": line,
    "function": function,
    "warp": warp,
    "fold": fold,
    "wide": wide,
}


def main():
    """The errors of each sample, and their means."""
    options_of = parser(__doc__, saves=False)
    options_of.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    options_of.add_argument("--seeds", type=int, default=2)
    options_of.add_argument("--rows", type=int, nargs="+")
    options_of.add_argument("--without", nargs="+", choices=list(BASES), default=[])
    options = options_of.parse_args()
    torch.set_num_threads(options.threads)
    bases = ",".join(name for name in BASES if name not in options.without)
    settings = {"base": bases} if options.without else {}
    for kind in options.kinds:
        for n in options.rows or SIZES[kind]:
            errors, outside, covered = [], 0, 0
            for seed in range(options.seeds):
                for name, x, y, truth in KINDS[kind](n, seed):
                    begun = time.perf_counter()
                    found = estimate(x, y, **settings)
                    seconds = time.perf_counter() - begun
                    low, high = found.interval
                    errors.append(found.mi - truth)
                    covered += low <= truth <= high
                    shown = (found.mi, found.held_out, found.certified)
                    outside += any(not -0.5 <= value <= truth + 0.5 for value in shown)
                    print(
                        f"{kind} N = {n}, {name}, seed {seed}: {found.mi:.3f} of {truth:.3f}, "
                        f"interval {low:.3f} to {high:.3f}, held out {found.held_out:.3f}, "
                        f"certified {found.certified:.3f}, {found.bases[0]}, {seconds:.1f} s",
                        flush=True,
                    )
            spread = np.std(np.abs(errors)) / np.sqrt(len(errors))
            print(
                f"{kind} N = {n}: mean error {np.mean(np.abs(errors)):.3f} +- {spread:.3f}, "
                f"largest {np.max(np.abs(errors)):.3f}, covered {covered} of {len(errors)}, "
                f"outside {outside}",
                flush=True,
            )


if __name__ == "__main__":
    main()
