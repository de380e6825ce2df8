"""How often sound estimates fail their own checks: `python benchmarks/checks.py base` (or default).

Twenty samples of ten kinds, 200 to 1,500 rows, dependent and not; each failure is printed. One
thread, some minutes; with `default`, which trains networks, two samples.
"""

import sys

import numpy as np
import torch

from infobound.analyses.invariance import check
from infobound.config import Config
from infobound.data import as_pair


def sample(k):
    """x and y of sample k: its kind is k modulo 10."""
    rng, n = np.random.default_rng(100 + k), (200, 400, 800, 1500)[k % 4]
    e, w = rng.normal(size=(n, 6)), np.sqrt(rng.chisquare(2, (n, 1)))
    x = e[:, :1]
    return (
        lambda: (e[:, :3], e[:, 3:]),
        lambda: (x, 0.6 * x + 0.8 * e[:, 1:2]),
        lambda: (e[:, :3], 0.9 * e[:, :3] + 0.44 * e[:, 3:]),
        lambda: (x, x + 0.7 * e[:, 1:2] > 0),
        lambda: (e[:, :2] / w, e[:, 2:4] ** 3),
        lambda: (e[:, :2] / w, (0.5 * e[:, :2] + 0.8 * e[:, 2:4]) / w),
        lambda: (x, np.sin(2 * x) + 0.3 * e[:, 1:2]),
        lambda: (rng.integers(0, 4, (n, 2)), rng.poisson(2, (n, 1))),
        lambda: (np.exp(e[:, :5]), x + e[:, 1:2] + 1.5 * e[:, 5:]),
        lambda: (np.tanh(x), np.tanh(x) ** 2 + 0.2 * e[:, 1:2]),
    )[k % 10]()


def main(name):
    """Each sample's estimate, and which of its checks fail."""
    torch.set_num_threads(1)
    config = {"base": Config(critic="none"), "default": Config()}[name]
    failed = made = 0
    for k in range(20) if name == "base" else (1, 6):
        pair, mine = as_pair(*sample(k)), config.with_(seed=k)
        result, checks = check(pair, config=mine)
        wrong = [
            f"{c.name} {c.difference:+.3f} (+-{c.allowed:.3f})" for c in checks if not c.passed
        ]
        failed, made = failed + len(wrong), made + len(checks)
        print(f"{k:2} {result}: {', '.join(wrong) or 'all pass'}", flush=True)
    print(f"{failed} of {made} checks failed")


if __name__ == "__main__":
    main(sys.argv[1])
