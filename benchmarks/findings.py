"""How often findings are raised: where nothing is wrong, and where something was planted.

python benchmarks/findings.py rows      checks of the rows alone, 3,360 clean data sets
python benchmarks/findings.py discrete  checks of the rows alone, 600 discrete, tied and mixed sets
python benchmarks/findings.py real      six data sets of scikit-learn against their targets
python benchmarks/findings.py codes     whole numbers: quantities (clean) and codes (planted)
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
from infobound.benchmark.notebook import sample
from infobound.data import Pair, as_pair
from infobound.diagnostics.findings import CHECKS, Evidence

ROWS = ("leakage", "extreme_values", "series", "repeated_rows", "grouped_rows", "sorted_rows")
ROWS += ("unordered_codes", "tied_values", "coded_columns", "constant_columns")
ROWS += ("duplicated_columns",)
NEVER = ("leakage", "impossible", "series", "repeated_rows")  # on clean discrete and tied rows


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


def digits(z: np.ndarray, count: int) -> np.ndarray:
    """Rounded to so many significant digits."""
    size = 10.0 ** (count - 1 - np.floor(np.log10(np.maximum(np.abs(z), 1e-300))))
    return np.round(z * size) / size


# Margins (n,) of standard normal z; all of them repeat values.
MARGINS: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "Bernoulli": lambda z, rng: z > rng.uniform(-1, 1),
    "Poisson (1)": lambda z, rng: rng.poisson(np.exp(0.5 * z)),
    "Poisson (40)": lambda z, rng: rng.poisson(40 * np.exp(0.2 * z)),
    "overdispersed counts": lambda z, rng: rng.poisson(np.exp(1.2 * z + 1)),
    "log counts": lambda z, rng: np.log1p(rng.poisson(np.exp(z + 4))),
    "1 decimal": lambda z, rng: z.round(1),
    "2 decimals": lambda z, rng: z.round(2),
    "3 decimals": lambda z, rng: z.round(3),
    "4 digits": lambda z, rng: digits(np.exp(z), 4),
    "standardised": lambda z, rng: (z.round(2) - z.mean()) / z.std(),
    "zero-inflated": lambda z, rng: np.maximum(z, 0),
    "zero-inflated, 2 decimals": lambda z, rng: np.maximum(z, 0).round(2),
    "censored": lambda z, rng: z.clip(-1, 1),
    "category of 4": lambda z, rng: np.digitize(z, [-1, 0, 1]),
    "category of 15, any order": lambda z, rng: rng.permutation(15)[
        np.floor(15 * (np.arctan(z) / np.pi + 0.5)).astype(int)
    ],
    "shares of few": lambda z, rng: rng.binomial(20, 1 / (1 + np.exp(-z))) / 20,
    "half rounded": lambda z, rng: np.where(rng.random(len(z)) < 0.5, z, z.round(1)),
    "float16": lambda z, rng: z.astype(np.float16),
    "normal": lambda z, rng: z,
    "group means": lambda z, rng: rng.normal(size=60)[
        np.floor(60 * (np.arctan(z) / np.pi + 0.5)).astype(int)
    ],
}


def discrete_rows(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """One to three columns a side of any margins, independent, correlated .5 or .95."""
    names = list(MARGINS)
    p, q = rng.integers(1, 4, size=2)
    rho = rng.choice([0.0, 0.5, 0.95])
    common = rng.normal(size=(n, 1))
    sides = []
    for d in (p, q):
        z = np.sqrt(rho) * common + np.sqrt(1 - rho) * rng.normal(size=(n, d))
        margins = rng.choice(names, size=d)
        sides.append(np.stack([MARGINS[m](z[:, k], rng) for k, m in enumerate(margins)], axis=1))
    return sides[0].astype(float), sides[1].astype(float)


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


def discrete(count: int = 200) -> None:
    """Checks of the rows alone on discrete, tied and mixed sets; whole estimates of some."""
    everything: Counter = Counter()
    for n in (100, 400, 2000):
        counts: Counter = Counter()
        for seed in range(count):
            e = evidence(*discrete_rows(np.random.default_rng([seed, n]), n))
            counts.update(code for code in ROWS if CHECKS[code].sentence(e))
        shares(f"{n} rows", counts, count, ROWS)
        everything += counts
    shares("all", everything, 3 * count, ROWS)
    counts = Counter()
    for seed in range(count):
        x, y = discrete_rows(np.random.default_rng([seed, 7]), 300)
        result = estimate(x, y, critic="none", certify=False)
        counts.update(finding.code for finding in result.findings)
    shares("estimates, 300 rows", counts, count, tuple(CHECKS))
    print("of", ", ".join(f"{code} {counts[code]}" for code in NEVER))


def real() -> None:
    """Each column, and all of them, against each target; rows shuffled, and as they come."""
    from sklearn import datasets

    for order in ("shuffled", "as they come"):
        for name in ("breast_cancer", "wine", "iris", "digits", "diabetes", "linnerud"):
            x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
            y = y.reshape(len(y), -1)
            if order == "shuffled":
                rows = np.random.default_rng(0).permutation(len(x))
                x, y = x[rows], y[rows]
            counts: Counter = Counter()
            chosen = [*(slice(k, k + 1) for k in range(x.shape[1])), slice(None)]
            for columns in chosen:
                for target in y.T:
                    e = evidence(x[:, columns], target)
                    counts.update(code for code in ROWS if CHECKS[code].sentence(e))
                    if len(x) >= 40 and order == "shuffled":
                        result = estimate(x[:, columns], target, critic="none", certify=False)
                        counts["impossible"] += "impossible" in {f.code for f in result.findings}
            said = ", ".join(f"{code} {counts[code]}" for code in CHECKS if counts[code])
            print(
                f"{order:13} {name:14} {len(x):5,} rows, {len(chosen) * y.shape[1]:3} pairs: ",
                end="",
            )
            print(said or "silent", flush=True)


WHOLE: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "Poisson (5)": lambda z, rng: rng.poisson(np.exp(0.6 * z + 1.6)),
    "Poisson (40)": lambda z, rng: rng.poisson(40 * np.exp(0.2 * z)),
    "ages": lambda z, rng: np.clip(np.round(40 + 15 * z), 18, 90),
    "years": lambda z, rng: np.round(1990 + 10 * z),
    "overdispersed": lambda z, rng: rng.poisson(np.exp(1.2 * z + 1)),
    "rounded lognormal": lambda z, rng: np.round(10 * np.exp(1.5 * z)),
    "uniform, 0 to 99": lambda z, rng: np.floor(100 * (np.arctan(z) / np.pi + 0.5)),
}
CURVES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "independent": lambda u, e: e,
    "line": lambda u, e: u + 0.5 * e,
    "line, no noise": lambda u, e: u,
    "weak line": lambda u, e: 0.3 * u + e,
    "square": lambda u, e: u**2 + 0.3 * e,
    "absolute": lambda u, e: np.abs(u) + 0.1 * e,
    "sine": lambda u, e: np.sin(2 * u) + 0.3 * e,
    "step": lambda u, e: (u > 0.3) + 0.3 * e,
    "class": lambda u, e: (u + e > 0).astype(float),
    "scale": lambda u, e: np.exp(u) * e,
}


def codes(count: int = 10) -> None:
    """How often whole numbers are said to be codes: quantities, and groups numbered at random."""
    for n in (200, 500, 2000, 10_000):
        said = total = 0
        for name, draw in WHOLE.items():
            for curve in CURVES.values():
                for seed in range(count):
                    rng = np.random.default_rng([seed, n])
                    z, noise = rng.normal(size=(2, n))
                    x = np.asarray(draw(z, rng), dtype=float)
                    u = np.log1p(x) if name in ("overdispersed", "rounded lognormal") else x
                    e = evidence(x, curve((u - u.mean()) / u.std(), noise))
                    said += bool(CHECKS["unordered_codes"].sentence(e))
                    total += 1
        print(f"quantities {n:6,} rows: {said} of {total}", flush=True)
    for n in (300, 800, 2000):
        for groups in (25, 60, 150):
            if groups > n / 5:
                continue
            shares = []
            for spread in (0.5, 1, 2):
                hits = 0
                for seed in range(20):
                    rng = np.random.default_rng([seed, n])
                    g, means = rng.integers(groups, size=n), rng.normal(size=groups)
                    e = evidence(g, means[g] + spread * rng.normal(size=n))
                    hits += bool(CHECKS["unordered_codes"].sentence(e))
                shares.append(hits / 20)
            print(f"codes {n:6,} rows, {groups:3} groups, noise .5, 1, 2: {shares}", flush=True)


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
    elif fault == "2 % of rows copied":
        x, y = (np.concatenate([side, side[: n // 50]]) for side in (x, y))
    elif fault == "2 % copied, mixed":
        x = np.stack([x[:, 0], x[:, 1].round(1), x[:, 2] > 0], axis=1).astype(float)
        y = np.digitize(y[:, :1], [-1, 0, 1]).astype(float)
        x, y = (np.concatenate([side, side[: n // 50]]) for side in (x, y))
    elif fault == "drawn again":
        rows = rng.integers(n, size=n)
        x, y = x[rows], y[rows] > 0
    elif fault == "recoded":
        x[:, 2] = np.digitize(x[:, 2], [-1, 0, 1])
        y[:, 1] = np.array([2, 0, 3, 1])[x[:, 2].astype(int)]
    elif fault == "codes of 30":
        x[:, 2] = rng.integers(30, size=n)
        y[:, 1] += rng.normal(size=30)[x[:, 2].astype(int)]
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
    "2 % of rows copied": "repeated_rows",
    "2 % copied, mixed": "repeated_rows",
    "drawn again": "repeated_rows",
    "recoded": "leakage",
    "codes of 30": "unordered_codes",
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
                promised, more = float(words[0]), int(words[4].replace(",", ""))
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
    what = {f.__name__: f for f in (rows, discrete, real, codes, clean, planted, wish, seconds)}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=what)
    what[parser.parse_args().what]()
