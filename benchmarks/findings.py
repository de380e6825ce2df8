"""How often findings are raised: where nothing is wrong, and where something was planted.

python benchmarks/findings.py rows      checks of the rows alone, 3,360 clean data sets
python benchmarks/findings.py clean     whole estimates of 210 clean data sets (critic none)
python benchmarks/findings.py planted   faults planted in 100 data sets each
python benchmarks/findings.py wish      the number of rows that few_rows proposes, tried out
python benchmarks/findings.py seconds   all checks at 10,000 rows, 25 + 25 columns
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable

import numpy as np

from infobound import TASKS, estimate
from infobound.data import Pair, as_pair
from infobound.diagnostics import CHECKS, Evidence
from infobound.experiments import sample

ROWS = ("leakage", "extreme_values", "series", "repeated_rows", "grouped_rows", "sorted_rows")
ROWS += ("tied_values", "coded_columns", "constant_columns", "duplicated_columns")


def normals(rng: np.random.Generator, n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    """x and y (n, d) of a random correlation, .0 to .95 in each pair of columns."""
    rho = rng.choice([0.0, 0.5, 0.95])
    x, noise = rng.normal(size=(2, n, d))
    return x, rho * x + np.sqrt(1 - rho**2) * noise


def mapped(by: Callable[[np.ndarray], np.ndarray], d: int) -> Callable:
    return lambda rng, n: tuple(by(side) for side in normals(rng, n, d))


def labels(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Two labels of five values, equal in a share of the rows."""
    x, other = rng.integers(5, size=(2, n))
    return x, np.where(rng.uniform(size=n) < rng.choice([0.0, 0.7]), x, other)


def mixed(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Normal, Cauchy, rare binary, zero-inflated, rounded and label columns in x; a label in y."""
    x, y = normals(rng, n, 6)
    kinds = [x[:, 0], np.tan(0.9 * np.arctan(x[:, 1]) * 1.7), x[:, 2] > 2, np.maximum(x[:, 3], 0)]
    kinds += [x[:, 4].round(1), np.floor(1.2 * x[:, 5])]
    return np.stack(kinds, axis=1), np.digitize(y[:, 0], [-1, 0, 1])


KINDS: dict[str, Callable] = {
    "normal, 1 + 1": mapped(lambda z: z, 1),
    "normal, 25 + 25": mapped(lambda z: z, 25),
    "Cauchy, 2 + 2": lambda rng, n: tuple(
        side / np.abs(rng.normal(size=side.shape)) for side in normals(rng, n, 2)
    ),
    "Cauchy, 25 + 25": lambda rng, n: tuple(
        side / np.abs(rng.normal(size=side.shape)) for side in normals(rng, n, 25)
    ),
    "lognormal (3), 2 + 2": mapped(lambda z: np.exp(3 * z), 2),
    "uniform, 2 + 2": mapped(lambda z: np.arctan(z) / np.pi, 2),
    "binary, 3 + 3": mapped(lambda z: (z > 1.0).astype(float), 3),
    "rare binary, 25 + 25": mapped(lambda z: (z > 1.8).astype(float), 25),
    "counts, 2 + 2": mapped(lambda z: np.floor(np.exp(z)), 2),
    "log counts, 1 + 1": mapped(lambda z: np.log1p(np.floor(np.exp(3 + 0.5 * z))), 1),
    "rounded (1), 2 + 2": mapped(lambda z: z.round(1), 2),
    "rounded (2), 1 + 1": mapped(lambda z: z.round(2), 1),
    "labels, 1 + 1": labels,
    "mixed, 6 + 1": mixed,
}


def evidence(x: np.ndarray, y: np.ndarray) -> Evidence:
    """Rows, with numbers about the estimate that no check objects to."""
    return Evidence(
        pair=pair(x, y),
        mi=0.3,
        half_width=0.01,
        train=0.31,
        held_out=0.3,
        error=0.01,
        block=500,
        ceiling=6.2,
        is_lower_bound=True,
        bound="infonce",
        late=0.0,
        capped=False,
        ksg=None,
        method="base",
    )


def pair(x: np.ndarray, y: np.ndarray) -> Pair:
    return as_pair(np.asarray(x, dtype=float), np.asarray(y, dtype=float))


def shares(name: str, counts: Counter, total: int, codes: tuple[str, ...]) -> None:
    said = [f"{code} {counts[code] / total:.3f}" for code in codes if counts[code]]
    print(f"{name:24} {total:6,}  {', '.join(said) or 'silent'}", flush=True)


def rows(count: int = 60) -> None:
    """Checks of the rows alone, each kind of rows at four sizes."""
    everything: Counter = Counter()
    for name, draw in KINDS.items():
        counts: Counter = Counter()
        for n in (60, 200, 500, 2000):
            for seed in range(count):
                e = evidence(*draw(np.random.default_rng([seed, n]), n))
                counts.update(code for code in ROWS if CHECKS[code].sentence(e))
        shares(name, counts, 4 * count, ROWS)
        everything += counts
    shares("all", everything, 4 * count * len(KINDS), ROWS)


def clean(count: int = 15) -> None:
    """Whole estimates, 500 rows each."""
    everything: Counter = Counter()
    verdicts: Counter = Counter()
    for name, draw in KINDS.items():
        counts: Counter = Counter()
        for seed in range(count):
            result = estimate(*draw(np.random.default_rng([seed, 1]), 500), critic="none")
            counts.update(finding.code for finding in result.findings)
            verdicts[result.verdict] += 1
        shares(name, counts, count, tuple(CHECKS))
        everything += counts
    shares("all", everything, count * len(KINDS), tuple(CHECKS))
    shares("verdicts", verdicts, count * len(KINDS), ("ok", *CHECKS))


def autoregressive(rng: np.random.Generator, n: int, d: int, phi: float) -> np.ndarray:
    """d series (n, d) in which each value is phi times the last one plus normal noise."""
    series = rng.normal(size=(n + 100, d))
    for t in range(1, n + 100):
        series[t] += phi * series[t - 1]
    return series[100:]


def planted_rows(fault: str, rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a weakly dependent normal pair, 3 + 2 columns, with one fault."""
    x = rng.normal(size=(n, 3))
    y = 0.5 * x[:, :2] + rng.normal(size=(n, 2))
    if fault.startswith("AR"):
        phi = float(fault.split()[1])
        return autoregressive(rng, n, 3, phi), autoregressive(rng, n, 2, phi)
    if fault == "drift of 0.5 sd":
        drift = np.linspace(0, 0.5 * np.sqrt(12), n)[:, None]
        return x + drift, y + drift
    if fault == "copy, rescaled":
        x[:, 2] = 3 - 2 * y[:, 1]
    elif fault == "copy, exp, rounded":
        x[:, 2] = np.exp(y[:, 1]).round(6)
    elif fault == "square":
        y[:, 1] = x[:, 2] ** 2
    elif fault == "sine":
        y[:, 1] = np.sin(2 * x[:, 2])
    elif fault == "-999 in 1 %":
        x[rng.uniform(size=n) < 0.01, 1] = -999
    elif fault == "one cell x 10^8":
        x[rng.integers(n), 1] *= 1e8
    elif fault == "5 % of rows copied":
        x, y = (np.concatenate([side, side[: n // 20]]) for side in (x, y))
    elif fault == "5 rows a subject":
        x = np.repeat(x[: n // 5], 5, axis=0)
    elif fault == "0 in 20 %":
        x[:, 0] = np.where(rng.uniform(size=n) < 0.2, 0, x[:, 0])
    elif fault == "sorted by y":
        order = np.argsort(y[:, 0])
        x, y = x[order], y[order]
    return x, y


FAULTS = {
    "AR 0.2": "series",
    "AR 0.3": "series",
    "AR 0.9": "series",
    "drift of 0.5 sd": "series",
    "sorted by y": "sorted_rows",
    "copy, rescaled": "leakage",
    "copy, exp, rounded": "leakage",
    "square": "leakage",
    "sine": "leakage",
    "-999 in 1 %": "extreme_values",
    "one cell x 10^8": "extreme_values",
    "5 % of rows copied": "repeated_rows",
    "5 rows a subject": "grouped_rows",
    "0 in 20 %": "tied_values",
}


def planted(count: int = 100) -> None:
    """How often each fault is named, and what else is said."""
    for fault, code in FAULTS.items():
        counts: Counter = Counter()
        for seed in range(count):
            n = {"square": 1000, "sine": 2500}.get(fault, 500)
            e = evidence(*planted_rows(fault, np.random.default_rng(seed), n))
            counts.update(code for code in ROWS if CHECKS[code].sentence(e))
        others = tuple(c for c in ROWS if c != code)
        print(f"{fault:20} {code:16} {counts[code] / count:.2f}", end="   ")
        shares("also", counts, count, others)


def wish(count: int = 20) -> None:
    """The half width at the number of rows that few_rows asks for, against the one it promises."""
    for name, settings, n in (
        ("gaussian", {"d": 1, "rho": 0.6}, 100),
        ("gaussian", {"d": 5, "rho": 0.5}, 150),
    ):
        task = TASKS[name](**settings)
        ratios, sizes = [], []
        for seed in range(count):
            first = estimate(*sample(task, n, seed), critic="none", seed=seed)
            said = [f.message for f in first.findings if f.code == "few_rows"]
            if said:
                words = said[0].split("For +-")[1].split()
                promised, more = float(words[0]), int(words[3].replace(",", ""))
                then = estimate(*sample(task, more, 1000 + seed), critic="none", seed=seed)
                low, high = then.interval
                ratios.append((high - low) / 2 / promised)
                sizes.append(more)
        print(f"{name} {settings}, {n} rows: said {len(ratios)} of {count}", end="; ")
        spread = np.percentile(ratios, [0, 50, 100]).round(2)
        print(f"rows {min(sizes):,} to {max(sizes):,}; half width / promised {spread}", flush=True)


def seconds() -> None:
    x, y = normals(np.random.default_rng(0), 10_000, 25)
    times = []
    for _ in range(7):
        e = evidence(x, y)
        start = time.process_time()
        for check in CHECKS.values():
            check.sentence(e)
        times.append(time.process_time() - start)
    low, middle, high = np.percentile(times, [0, 50, 100])
    print(f"all checks, processor time: median {middle:.3f} s, {low:.3f} to {high:.3f}")


if __name__ == "__main__":
    what = {f.__name__: f for f in (rows, clean, planted, wish, seconds)}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=what)
    what[parser.parse_args().what]()
