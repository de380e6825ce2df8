"""Errors, coverage and guarantees where one side or both are classes, with known MI.

    python benchmarks/classes.py [--kinds gaussian tables data] [--seeds 2] [--no-certify]

* `gaussian`: K classes, a normal for each in d columns; MI by Monte Carlo from the exact posterior.
* `tables`: two sides of few values, given as text; MI of the table from which rows are drawn.
* `data`: scikit-learn's digits, breast cancer, wine, iris, whose MI is not known. `tuned` is what
  tuned logistic regression shows on the same folds: entropy less held-out cross-entropy.
"""

import itertools
import time
import warnings

import numpy as np
import torch
from common import parser
from sklearn import datasets
from sklearn.linear_model import LogisticRegressionCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from infobound import estimate
from infobound.data import split

MONTE_CARLO = 20_000  # rows from which the MI of Gaussian classes is computed
GRID = [(2, 2, 500), (5, 10, 500), (20, 20, 500), (5, 100, 500), (20, 100, 500)]
GRID += [(2, 10, 2000), (10, 30, 2000), (20, 100, 2000), (5, 10, 10_000), (20, 50, 10_000)]


def gaussian(seeds):
    """Classes with other means, and in every second cell other scales too."""
    for place, (k, d, n) in enumerate(GRID):
        rng = np.random.default_rng([place, 11])
        means = 2.5 / np.sqrt(d) * rng.normal(size=(k, d))
        scales = np.exp(0.3 * (place % 2) * rng.normal(size=(k, d)))

        def draw(n, rng, means=means, scales=scales, k=k, d=d):
            classes = rng.integers(k, size=n)
            return means[classes] + scales[classes] * rng.normal(size=(n, d)), classes

        x, classes = draw(MONTE_CARLO, np.random.default_rng(12))
        logs = np.stack(
            [
                -0.5 * (((x - m) / s) ** 2).sum(1) - np.log(s).sum()
                for m, s in zip(means, scales, strict=True)
            ],
            1,
        )
        ratios = logs - np.log(np.exp(logs - logs.max(1, keepdims=True)).mean(1, keepdims=True))
        ratios -= logs.max(1, keepdims=True)
        truth = ratios[np.arange(len(x)), classes].mean()
        for seed in range(seeds):
            yield f"{k} classes, {d} columns", *draw(n, np.random.default_rng([seed, 13])), truth


def tables(seeds):
    """Dense, sparse, banded, long-tailed and independent tables."""
    for place, (name, k, n) in enumerate(
        [
            ("Dirichlet(1)", 30, 1000),
            ("Dirichlet(1)", 10, 300),
            ("Dirichlet(.2)", 50, 2000),
            ("band", 20, 500),
            ("long tails", 30, 1000),
            ("diagonal and noise", 30, 1000),
            ("one to one", 40, 400),
            ("blocks", 30, 600),
            ("independent", 30, 1000),
            ("independent", 10, 300),
        ]
    ):
        for seed in range(seeds):
            rng = np.random.default_rng([place, seed, 14])
            table = made(name, k, rng)
            margins = np.outer(table.sum(1), table.sum(0))
            truth = float((table * np.log(np.where(table > 0, table / margins, 1))).sum())
            x, y = np.divmod(rng.choice(k * k, size=n, p=table.ravel()), k)
            yield f"{name}, {k} x {k}", [f"x{v}" for v in x], [f"y{v}" for v in y], truth


def made(name, k, rng):
    """Return a table of probabilities (k, k)."""
    tails = 1 / np.arange(1, k + 1)
    near = np.abs(np.subtract.outer(np.arange(k), np.arange(k)))
    table = {
        "Dirichlet(1)": lambda: rng.dirichlet(np.ones(k * k)).reshape(k, k),
        "Dirichlet(.2)": lambda: rng.dirichlet(np.full(k * k, 0.2)).reshape(k, k),
        "band": lambda: np.exp(-0.5 * (near / 1.5) ** 2),
        "long tails": lambda: tails[:, None] * rng.dirichlet(np.full(k, 0.3), size=k),
        "diagonal and noise": lambda: 0.5 * np.eye(k) / k + 0.5 / k**2,
        "one to one": lambda: np.eye(k),
        "blocks": lambda: np.kron(np.eye(k // 5), np.ones((5, 5))),
        "independent": lambda: np.outer(*rng.dirichlet(np.ones(k), size=2)),
    }[name]()
    return table / table.sum()


def data(seeds):
    """Data of scikit-learn with their classes."""
    for name in ("digits", "breast_cancer", "wine", "iris"):
        found = getattr(datasets, f"load_{name}")()
        yield name, found.data, found.target, tuned(found.data, found.target)


def tuned(x, classes):
    """Return what logistic regression shows on the folds of an estimate, in nats."""
    losses = np.empty(len(x))
    for training, test in split(len(x), 4, seed=0):
        model = LogisticRegressionCV(Cs=6, cv=4, scoring="neg_log_loss", max_iter=500)
        model = make_pipeline(StandardScaler(), model).fit(x[training], classes[training])
        losses[test] = -model.predict_log_proba(x[test])[np.arange(len(test)), classes[test]]
    shares = np.bincount(classes) / len(classes)
    return float(-(shares * np.log(shares)).sum() - losses.mean())


def main():
    p = parser(__doc__)
    p.add_argument("--kinds", nargs="+", default=["gaussian", "tables", "data"])
    p.add_argument("--seeds", type=int, default=2)
    p.add_argument("--no-certify", action="store_true")
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    warnings.simplefilter("ignore", FutureWarning)  # scikit-learn's, of its own defaults
    for kind in args.kinds:
        print(f"\n## {kind}\n")
        known = "tuned" if kind == "data" else "truth"
        print(f"| task | N | {known} | mi | error | covers | held-out | certified | upper | s |")
        print("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
        errors, covered, too_high, count = [], 0, 0, 0
        for name, cells in itertools.groupby(globals()[kind](args.seeds), key=lambda c: c[0]):
            rows = []
            for _, x, y, truth in cells:
                start = time.perf_counter()
                found = estimate(x, y, certify=not args.no_certify)
                low, high = found.interval
                sure = (found.certified or 0.0, found.upper or np.inf)
                rows.append([truth, found.mi, abs(found.mi - truth), low <= truth <= high + 1e-9])
                rows[-1] += [found.held_out, *sure, time.perf_counter() - start]
                too_high += sure[0] > truth
            mean = np.mean(rows, axis=0)
            values = [f"{v:.3f}" for v in mean[:3]] + [f"{sum(r[3] for r in rows)} of {len(rows)}"]
            values += [f"{v:.3f}" for v in mean[4:7]] + [f"{mean[7]:.1f}"]
            print(f"| {name} | {len(x):,} | " + " | ".join(values) + " |", flush=True)
            errors, covered = [*errors, mean[2]], covered + sum(r[3] for r in rows)
            count += len(rows)
        if kind == "data":  # the truth is not known
            continue
        print(
            f"\n{kind}: mean error {np.mean(errors):.3f}, covered {covered} of {count}, "
            f"certified above the truth {too_high}",
            flush=True,
        )


if __name__ == "__main__":
    main()
