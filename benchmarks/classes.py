"""Errors, coverage and guarantees where classes or categories decide, with known MI.

    python benchmarks/classes.py [--kinds gaussian wide tables shared data] [--seeds 2]
        [--no-certify]

* `gaussian`: K classes, a normal for each in d columns, in every second cell with own scales.
* `wide`: ten classes in 10,000 rows of 768 columns in float32, as embeddings are.
* `tables`: two sides of few values, declared as categories.
* `shared`: pairs of rows of d images, whose digits are joined through a binary symmetric channel.
* `data`: scikit-learn's digits, breast cancer, wine, iris, whose MI is not known. `tuned` is what
  tuned logistic regression shows on the same folds: entropy less held-out cross-entropy.

The tasks are those of the suite `classes` (`infobound tasks`). Values are in nats, and `error %` is
that of the mean absolute error in the truth. `kept` counts the folds that kept a network, and
`base` names the closed form of the first fold. `ratio` is the time relative to scikit-learn's
nearest neighbours on 20 pairs of columns of 10,000 rows, just before.
"""

import itertools
import resource
import time
import warnings

import numpy as np
import torch
from common import parser, yardstick
from sklearn import datasets
from sklearn.linear_model import LogisticRegressionCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from infobound import estimate
from infobound.benchmark import tasks
from infobound.benchmark.notebook import sample
from infobound.data import split

GAUSSIAN = [(2, 2, 500), (5, 10, 500), (20, 20, 500), (5, 100, 500), (20, 100, 500)]
GAUSSIAN += [(2, 10, 2000), (10, 30, 2000), (20, 100, 2000), (5, 10, 10_000), (20, 50, 10_000)]
TABLES = [("dirichlet", 30, 1000), ("dirichlet", 10, 300), ("sparse", 50, 2000), ("band", 20, 500)]
TABLES += [("long_tails", 30, 1000), ("zipf", 100, 1000), ("diagonal", 30, 1000)]
TABLES += [("one_to_one", 40, 400), ("blocks", 30, 600)]
TABLES += [("independent", 30, 1000), ("independent", 10, 300)]
SHARED = [(2, 0.022), (5, 0.17), (4, 0.025), (5, 0.063)]  # 1.7, 1.7, 3.3 and 3.3 bits
SHARED_ROWS = [2000, 10_000]


def gaussian(seeds):
    """Classes with other means, and in every second cell other scales too."""
    for place, (k, d, n) in enumerate(GAUSSIAN):
        spread = 0.3 * (place % 2)
        for seed in range(seeds):
            task = tasks.make("gaussian_classes", k=k, d=d, spread=spread, seed=place)
            yield f"{k} classes, {d} columns" + ", own scales" * (place % 2), n, seed, task


def wide(seeds):
    """Normal embeddings of classes."""
    for seed in range(seeds):
        yield "10 classes, 768 columns", 10_000, seed, tasks.make("gaussian_classes", k=10, d=768)


def tables(seeds):
    """Dense, sparse, banded, long-tailed and independent tables; another one for each seed."""
    for law, k, n in TABLES:
        for seed in range(seeds):
            task = tasks.make("alphabet", law=law, k=k, seed=seed)
            yield f"{law}, {k} x {k}", n, seed, task


def shared(seeds):
    """Images whose digits agree."""
    for n, (d, p) in itertools.product(SHARED_ROWS, SHARED):
        for seed in range(seeds):
            yield f"{d} + {d} images, p = {p}", n, seed, tasks.make("shared_class", d=d, p=p)


TASKS = {"gaussian": gaussian, "wide": wide, "tables": tables, "shared": shared}


def cells(kind, seeds):
    """Yield name, x, y, the sides of categories, and the known value of each cell."""
    if kind == "data":
        for name in ("digits", "breast_cancer", "wine", "iris"):
            found = getattr(datasets, f"load_{name}")()
            yield name, found.data, found.target, (), tuned(found.data, found.target)
        return
    for name, n, seed, task in TASKS[kind](seeds):
        x, y = sample(task, n, seed)
        x = x.float() if kind == "wide" else x
        yield name, x, y, getattr(task, "categorical", ()), task.mi


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
    """A table for each kind; a line is the mean over seeds."""
    p = parser(__doc__, saves=False)
    p.add_argument("--kinds", nargs="+", choices=[*TASKS, "data"], default=[*TASKS, "data"])
    p.add_argument("--seeds", type=int, default=2)
    p.add_argument("--no-certify", action="store_true")
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    warnings.simplefilter("ignore", FutureWarning)  # scikit-learn's, of its own defaults
    for kind in args.kinds:
        print(f"\n## {kind}\n")
        known = "tuned" if kind == "data" else "truth"
        numbers = f"N | {known} | mi | error | error % | covers | held-out | training | certified"
        print(f"| task | {numbers} | upper | base | kept | CPU s | ratio |")
        print("|---|" + "--:|" * 10 + "---|--:|--:|--:|")
        errors, covered, too_high, count = [], 0, 0, 0
        groups = itertools.groupby(
            cells(kind, args.seeds), key=lambda cell: (cell[0], len(cell[1]))
        )
        for (name, n), group in groups:
            rows, kept, bases = [], [], {}
            for _, x, y, categorical, truth in group:
                whole, _ = yardstick()
                start, begun = time.process_time(), time.perf_counter()
                found = estimate(x, y, categorical=categorical, certify=not args.no_certify)
                seconds = time.process_time() - start
                ratio = (time.perf_counter() - begun) / whole
                low, high = found.interval
                sure = (found.certified or 0.0, found.upper or np.inf)
                rows.append([truth, found.mi, abs(found.mi - truth), low <= truth <= high + 1e-9])
                rows[-1] += [found.held_out, found.training, *sure, seconds, ratio]
                too_high += sure[0] > truth
                kept.append(found.kept)
                bases |= dict.fromkeys(found.bases[:1] if found.method != "ksg" else ["ksg"])
            mean, hits = np.mean(rows, axis=0), sum(row[3] for row in rows)
            share = f"{100 * mean[2] / mean[0]:.1f}" if mean[0] > 1e-9 else "–"
            values = [f"{v:.3f}" for v in mean[:3]] + [share, f"{hits} of {len(rows)}"]
            if kind == "data":  # the truth is not known
                values[2:] = "–" * 3
            values += [f"{v:.3f}" for v in mean[4:8]]
            values += [", ".join(bases), ", ".join(map(str, kept)), f"{mean[8]:.1f}"]
            values += [f"{mean[9]:.1f}"]
            print(f"| {name} | {n:,} | " + " | ".join(values) + " |", flush=True)
            errors, covered = [*errors, mean[2]], covered + hits
            count += len(rows)
        if kind == "data":
            continue
        print(
            f"\n{kind}: mean error {np.mean(errors):.3f}, covered {covered} of {count}, "
            f"certified above the truth {too_high}",
            flush=True,
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\nPeak memory {peak:,.0f} MiB (Linux's unit)")


if __name__ == "__main__":
    main()
