"""Coverage, bias and size for rows that follow each other in time or come in groups.

    python benchmarks/series.py coverage     y = a x + noise, both autoregressions; MI is known
    python benchmarks/series.py size         p <= .05 for independent autoregressions
    python benchmarks/series.py power        p <= .05 where y depends on x
    python benchmarks/series.py groups       subjects with effects on both sides; MI is known

Each prints a table with standard errors; `--runs` sets the repetitions of a cell, `--json FILE`
writes the rows too. Sample k of a cell has the seed k, whatever the other cells are.
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import common
import numpy as np
import torch
from scipy.signal import lfilter

from infobound import estimate
from infobound.inference.dependent_rows import group_p, series_p

FAST = {"estimator": "gaussian", "certify": False}
Row = dict[str, Any]


def walk(rng: np.random.Generator, n: int, phi: float) -> np.ndarray:
    """A stationary autoregression (n,) of variance one."""
    noise = rng.normal(size=n)
    noise[1:] *= math.sqrt(1 - phi**2)
    return np.asarray(lfilter([1.0], [1.0, -phi], noise))


def dependent(
    rng: np.random.Generator, n: int, phi: float, rho: float
) -> tuple[np.ndarray, np.ndarray]:
    """Two series of correlation rho in each row: I(X_t;Y_t) = -log(1 - rho^2) / 2."""
    x = walk(rng, n, phi)
    return x, rho * x + math.sqrt(1 - rho**2) * walk(rng, n, phi)


def subjects(
    rng: np.random.Generator, count: int, rows: int, share: float, rho: float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of subjects: effects of the subject make up a share of the variances of x and y."""
    own = np.repeat(np.arange(count), rows)
    sides = []
    for n, part in ((count, share), (count * rows, 1 - share)):
        left, right = rng.normal(size=(2, n))
        both = left, rho * left + math.sqrt(1 - rho**2) * right
        sides.append([math.sqrt(part) * (side[own] if n == count else side) for side in both])
    return sides[0][0] + sides[1][0], sides[0][1] + sides[1][1], own


def share(hits: Sequence[bool]) -> tuple[float, float]:
    """A share and its standard error."""
    p = float(np.mean(hits))
    return p, math.sqrt(p * (1 - p) / len(hits))


def shown(found: tuple[float, float]) -> str:
    return f"{found[0]:.3f} +- {found[1]:.3f}"


def covered(x: np.ndarray, y: np.ndarray, truth: float, **settings: Any) -> tuple[bool, float, Any]:
    found = estimate(x, y, **settings)
    return found.interval[0] <= truth <= found.interval[1], found.mi - truth, found


def coverage(options: argparse.Namespace) -> Iterator[Row]:
    for name in options.estimators:
        more = {**FAST, "estimator": name} if name != "default" else {"certify": False}
        for rho in options.rho:
            truth = -math.log1p(-(rho**2)) / 2
            for n in options.rows:
                for phi in options.phi:
                    hits, errors, sizes, halves = [], [], [], []
                    for seed in range(options.runs):
                        x, y = dependent(np.random.default_rng(seed), n, phi, rho)
                        hit, error, found = covered(x, y, truth, series=not options.plain, **more)
                        hits.append(hit)
                        errors.append(error)
                        sizes.append(found.effective_n or n)
                        halves.append(found.half_width)
                    p = share(hits)
                    yield {
                        "what": f"{name}, rho {rho:g}, phi {phi:g}, N = {n:,}",
                        "share": p,
                        "cells": [
                            shown(p),
                            f"{np.mean(errors):+.4f} +- {np.std(errors) / len(errors) ** 0.5:.4f}",
                            f"{np.std(errors):.4f}",
                            f"{np.median(halves):.3f}",
                            f"{np.median(sizes):.0f}",
                        ],
                    }


def tested(options: argparse.Namespace, rhos: Sequence[float]) -> Iterator[Row]:
    for rho in rhos:
        for n in options.rows:
            for phi in options.phi:
                found = []
                for seed in range(options.runs):
                    x, y = dependent(np.random.default_rng(seed), n, phi, rho)
                    found.append(series_p(x[:, None], y[:, None]))
                p = share([each.p_value <= 0.05 for each in found])
                yield {
                    "what": f"rho {rho:g}, phi {phi:g}, N = {n:,}",
                    "share": p,
                    "cells": [shown(p), f"{found[0].smallest:.4f}"],
                }


def grouped(options: argparse.Namespace) -> Iterator[Row]:
    for rho, (count, rows), part in itertools.product(options.rho, options.groups, options.share):
        truth = -math.log1p(-(rho**2)) / 2
        kinds: dict[str, list[tuple[bool, bool]]] = {"rows": [], "groups": []}
        for seed in range(options.runs):
            x, y, own = subjects(np.random.default_rng(seed), count, rows, part, rho)
            for kind, labels in (("rows", None), ("groups", own)):
                units = np.arange(len(x)) if labels is None else labels
                tested = group_p(x[:, None], y[:, None], units, permutations=199, seed=10**6 + seed)
                hit, _, _ = covered(x, y, truth, groups=labels, **FAST)
                kinds[kind].append((tested.p_value <= 0.05, hit))
        for kind, found in kinds.items():
            rejected, hits = (share([each[k] for each in found]) for k in (0, 1))
            yield {
                "what": f"rho {rho:g}, {count} subjects of {rows} rows, effects {part:g}, {kind}",
                "share": rejected,
                "cells": [shown(rejected), shown(hits)],
            }


HEADINGS = {
    "coverage": ("intervals that cover", "bias", "s.d.", "half width", "effective rows"),
    "size": ("p <= .05", "smallest p"),
    "power": ("p <= .05", "smallest p"),
    "groups": ("p <= .05", "intervals that cover"),
}


def draw(figure: Any, rows: Sequence[Row]) -> None:
    axes = figure.subplots()
    spreads = [
        common.Spread(row["share"][0], *(row["share"][0] + s * row["share"][1] for s in (-1, 1)))
        for row in rows
    ]
    common.bars(axes, [row["what"] for row in rows], spreads, "share of samples")


def main(words: Sequence[str] | None = None) -> None:
    options = common.parser(__doc__)
    options.add_argument("what", choices=tuple(HEADINGS))
    options.add_argument("--runs", type=int, default=200, help="samples of a cell")
    options.add_argument("--rows", type=int, nargs="+", default=[1000, 3000])
    options.add_argument("--phi", type=float, nargs="+", default=[0.0, 0.5, 0.9, 0.95])
    options.add_argument("--rho", type=float, nargs="+", default=[0.0, 0.5])
    options.add_argument("--estimators", nargs="+", default=["gaussian"])
    options.add_argument("--share", type=float, nargs="+", default=[0.0, 0.3, 0.6])
    options.add_argument("--plain", action="store_true", help="coverage without series=True")
    options.add_argument(
        "--groups",
        type=lambda text: tuple(map(int, text.split("x"))),
        nargs="+",
        default=[(10, 30), (40, 10)],
        metavar="GROUPSxROWS",
    )
    found = options.parse_args(words)
    torch.set_num_threads(found.threads)
    kinds = {
        "coverage": lambda: coverage(found),
        "size": lambda: tested(found, [0.0]),
        "power": lambda: tested(found, [rho for rho in found.rho if rho]),
        "groups": lambda: grouped(found),
    }
    rows = []
    for row in kinds[found.what]():
        rows.append(row)
        print("| " + " | ".join([row["what"], *row["cells"]]) + " |", flush=True)
    print()
    common.table(("cell", *HEADINGS[found.what]), [[r["what"], *r["cells"]] for r in rows])
    common.finish(found, rows, draw)


if __name__ == "__main__":
    main()
