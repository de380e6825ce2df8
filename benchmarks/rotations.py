"""Error where both sides are turned by angles that depend on the norm, with and without `unwound`.

    python benchmarks/rotations.py [--seeds 2] [--rows 1000] [--columns 3 5 10] [--kinds corner ...]

x and y are standard normal, with two pairs of columns of correlation 0.8 (1.022 nats). Each side is
turned by exp(A a(|x|)) for a random skew-symmetric A of norm sqrt(d) and an angle a that is
proportional to |x|, to its square or to its sine, with |x| in units of sqrt(d) for the first two.
In "corner" columns are uniform on (0, 1.5) before, and turn about 0 as in "square". "control" has
no rotation.
"""

import itertools

import numpy as np
import torch
from common import parser
from scipy.special import ndtr

from infobound import estimate
from infobound.models.closed_forms import BASES

TRUTH = -np.log(1 - 0.8**2)
ANGLES = {
    "norm": lambda norm, d: 1.5 * norm / np.sqrt(d),
    "square": lambda norm, d: norm**2 / d,
    "sine": lambda norm, d: 2 * np.sin(norm),
    "corner": lambda norm, d: norm**2 / d,
    "control": lambda norm, d: 0 * norm,
}


def turned(rows, angle, rng):
    """Rows (n, d) turned by exp(A angle), each by its own angle."""
    d = rows.shape[1]
    skew = rng.normal(size=(d, d))
    skew -= skew.T
    values, vectors = np.linalg.eig(skew / np.linalg.norm(skew) * np.sqrt(d))
    angles = np.exp(angle(np.linalg.norm(rows, axis=1), d)[:, None] * values)
    return np.real((rows @ np.linalg.inv(vectors).T * angles) @ vectors.T)


def sample(n, d, name, seed):
    """x and y of n rows and d columns each."""
    rng = np.random.default_rng([seed, d, list(ANGLES).index(name)])
    x, y = rng.normal(size=(2, n, d))
    y[:, :2] = 0.8 * x[:, :2] + 0.6 * y[:, :2]
    if name == "corner":
        x, y = 1.5 * ndtr(x), 1.5 * ndtr(y)
    return turned(x, ANGLES[name], rng), turned(y, ANGLES[name], rng)


def main():
    """The errors of each sample, and their means."""
    options_of = parser(__doc__, saves=False)
    options_of.add_argument("--seeds", type=int, default=2)
    options_of.add_argument("--rows", type=int, default=1000)
    options_of.add_argument("--columns", type=int, nargs="+", default=[3, 5, 10])
    options_of.add_argument("--kinds", nargs="+", choices=[*ANGLES], default=[*ANGLES])
    options = options_of.parse_args()
    torch.set_num_threads(options.threads)
    others = ",".join(name for name in BASES if name != "unwound")
    errors = {"with": {}, "without": {}}
    for name, d, seed in itertools.product(options.kinds, options.columns, range(options.seeds)):
        x, y = sample(options.rows, d, name, seed)
        line = [f"{name:8} {d:2} columns, seed {seed}:"]
        for variant, base in (("with", "auto"), ("without", others)):
            result = estimate(x, y, base=base, certify=False, seed=seed)
            errors[variant].setdefault(name, []).append(result.mi - TRUTH)
            line.append(f"{variant} {result.mi:.3f} ({'/'.join(sorted(set(result.bases)))})")
        print(*line, flush=True)
    print(f"\n{options.rows:,} rows; mean absolute error, nats, its standard error")
    for variant, found in errors.items():
        cells = []
        for name, values in found.items():
            sizes = np.abs(values)
            error = sizes.std(ddof=1) / np.sqrt(len(sizes)) if len(sizes) > 1 else float("nan")
            cells.append(f"{name} {sizes.mean():.3f} +- {error:.3f}")
        print(f"{variant:8}", *cells, sep="  ")


if __name__ == "__main__":
    main()
