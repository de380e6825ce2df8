"""Whether planted dependence is as hard as a real sample's: `python benchmarks/rehearsal.py`.

Rows of normal columns, so that a fresh sample with the same margins and the same MI exists; the
mean estimates on planted and on fresh samples must agree. One thread, some minutes.
"""

import math

import numpy as np
import torch

import infobound
from infobound.data import as_pair
from infobound.studies.planted import plant

N, SEEDS = 442, 30


def fresh(kind, mi, seed):
    """A fresh sample: two independent columns of x, the first coupled with y."""
    rng = np.random.default_rng([seed, 1])
    x, noise = rng.normal(size=(N, 2)), rng.normal(size=N)
    rho = math.sqrt(-math.expm1(-2 * mi))
    u = x.sum(axis=1) / math.sqrt(2)
    if kind == "folded":
        from scipy.special import ndtr, ndtri

        u = ndtri(np.abs(2 * ndtr(u) - 1))
    return x, rho * u + math.sqrt(1 - rho**2) * noise


def planted(kind, mi, seed):
    """The same couplings planted in rows of their own."""
    rng = np.random.default_rng([seed, 2])
    x, y = rng.normal(size=(N, 2)), rng.normal(size=N)
    task = plant(as_pair(x, y), kind=kind, mi=mi)
    return task.sample(N, torch.Generator().manual_seed(seed))


def main():
    """Mean estimates, their standard errors and spreads, for both."""
    torch.set_num_threads(1)
    print("kind, MI: planted mean +- s.e. (spread) | fresh mean +- s.e. (spread) | difference")
    for kind in ("monotone", "folded"):
        for mi in (0.05, 0.5, 1.5):
            found = {}
            for name, draw in (("planted", planted), ("fresh", fresh)):
                found[name] = np.array(
                    [
                        infobound.estimate(*draw(kind, mi, s), critic="none", seed=s).mi
                        for s in range(SEEDS)
                    ]
                )
            (a, b) = found.values()
            parts = [
                f"{v.mean():.4f} +- {v.std(ddof=1) / SEEDS**0.5:.4f} ({v.std(ddof=1):.4f})"
                for v in (a, b)
            ]
            error = math.hypot(a.std(ddof=1), b.std(ddof=1)) / SEEDS**0.5
            gap = f"{a.mean() - b.mean():+.4f} +- {error:.4f}"
            print(f"{kind}, {mi:g}: {' | '.join(parts)} | {gap}", flush=True)


if __name__ == "__main__":
    main()
