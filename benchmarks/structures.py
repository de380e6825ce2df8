"""Errors on dependence that is hard to see, with known MI: populations, needles, lines and warps.

    python benchmarks/structures.py [--kinds joint needle line warp fold wide] [--seeds 2]

* `joint`: the notebook's mixture of correlations 0.9 and -0.9 in 6 + 6 columns (4.292 nats).
* `needle`: a pair of normals (0.8 nats), each made cubic, rotated among 39 columns of noise.
* `line`: the mean of k normal columns and a residual of .05 to .2 of its size, k = 1 to 20.
* `warp`: d pairs of normals of correlation 0.6, in y each shifted by the sine of those before it.
* `fold`: a correlation of 0.9, or stripes that y numbers; x slides along a second column by a sine.
* `wide`: columns from half to three times the rows of a fold, independent and dependent, normal and
  heavy-tailed; counts estimates, held-out and certified values outside [-0.5, truth + 0.5].

Each kind has its own sizes unless --rows names some.
"""

import itertools
import time

import numpy as np
import torch
from common import parser

from infobound import estimate
from infobound.benchmark import tasks

SIZES = {
    "joint": [400, 2000, 10_000],
    "needle": [2000, 10_000],
    "line": [500, 2000, 10_000],
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


KINDS = {"joint": joint, "needle": needle, "line": line, "warp": warp, "fold": fold, "wide": wide}


def main():
    """The errors of each sample, and their means."""
    options_of = parser(__doc__, saves=False)
    options_of.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    options_of.add_argument("--seeds", type=int, default=2)
    options_of.add_argument("--rows", type=int, nargs="+")
    options = options_of.parse_args()
    torch.set_num_threads(options.threads)
    for kind in options.kinds:
        for n in options.rows or SIZES[kind]:
            errors, outside, covered = [], 0, 0
            for seed in range(options.seeds):
                for name, x, y, truth in KINDS[kind](n, seed):
                    begun = time.perf_counter()
                    found = estimate(x, y)
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
