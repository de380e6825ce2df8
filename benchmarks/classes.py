"""Errors, coverage and guarantees where classes or categories decide, with known MI.

    python benchmarks/classes.py [--kinds gaussian five wide embeddings views tables shared data]
        [--seeds 2] [--no-certify]
    python benchmarks/classes.py --kinds null [--runs 200]

* `gaussian`: K classes, a normal for each in d columns, in every second cell with own scales.
* `five`: the same with five columns.
* `wide`: ten classes in 10,000 rows of 768 columns in float32, as embeddings are.
* `embeddings`: ten classes in 500 rows of 4,096 columns, and in 100,000 rows of 256, in float32.
* `views`: two embeddings of 256 columns, float32, of 1.7 and 3.3 bits: rotated normals with some
  correlated directions, or classes that are joined through a symmetric channel.
* `tables`: two sides of few values, declared as categories.
* `shared`: pairs of rows of d images, whose digits are joined through a binary symmetric channel.
* `data`: scikit-learn's digits, breast cancer, wine, iris, whose MI is not known. `tuned` is what
  tuned logistic regression shows on the same folds: entropy less held-out cross-entropy.

The tasks are those of the suite `classes` (`infobound tasks`), except `views`. Values are in nats,
and `error %` is that of the mean absolute error in the truth. `kept` counts the folds that kept a
network, and `base` names the closed form of the first fold. `ratio` is the processor time relative
to that of scikit-learn's nearest neighbours on 20 pairs of columns of 10,000 rows, just before.

* `null`: labels that are independent of x in five columns. `rejected` is the number of p-values of
  .05 or less, `certified` the number of certificates above zero.
"""

import itertools
import math
import resource
import time
import warnings
from dataclasses import dataclass

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
FIVE = list(itertools.product((2, 5, 10, 20), (5,), (500, 2000, 10_000)))
WIDE = [(10, 768, 10_000)]
EMBEDDINGS = [(10, 4096, 500), (10, 256, 100_000)]
NULL = [(2, 200), (5, 200), (10, 500)]  # classes and rows
VIEWS = 256  # columns of each of two views
TABLES = [("dirichlet", 30, 1000), ("dirichlet", 10, 300), ("sparse", 50, 2000), ("band", 20, 500)]
TABLES += [("long_tails", 30, 1000), ("zipf", 100, 1000), ("diagonal", 30, 1000)]
TABLES += [("one_to_one", 40, 400), ("blocks", 30, 600)]
TABLES += [("independent", 30, 1000), ("independent", 10, 300)]
SHARED = [(2, 0.022), (5, 0.17), (4, 0.025), (5, 0.063)]  # 1.7, 1.7, 3.3 and 3.3 bits
SHARED_ROWS = [2000, 10_000]


@dataclass(frozen=True)
class Directions:
    """Two rotated normals, of which k directions are correlated, with this MI in nats."""

    k: int
    mi: float

    def sample(self, n, generator):
        """Draw x and y, (n, 256) each."""
        rho = math.sqrt(1 - math.exp(-2 * self.mi / self.k))
        sides = torch.randn(2, n, VIEWS, generator=generator, dtype=torch.float64)
        sides[1, :, : self.k] *= math.sqrt(1 - rho**2)
        sides[1, :, : self.k] += rho * sides[0, :, : self.k]
        own = torch.Generator().manual_seed(0)
        turns = torch.randn(2, VIEWS, VIEWS, generator=own, dtype=torch.float64)
        return tuple(sides @ torch.linalg.qr(turns)[0])


@dataclass(frozen=True)
class Channel:
    """Two embeddings of one of k classes, which y has wrong with probability p.

    The classes are so far apart that an embedding determines its own.
    """

    k: int
    p: float

    @property
    def mi(self):
        """The MI of a symmetric channel, nats."""
        p = self.p
        return math.log(self.k) + (1 - p) * math.log(1 - p) + p * math.log(p / (self.k - 1))

    def sample(self, n, generator):
        """Draw x and y, (n, 256) each."""
        of_x = torch.randint(self.k, (n,), generator=generator)
        wrong = torch.rand(n, generator=generator) < self.p
        of_y = (of_x + wrong * torch.randint(1, self.k, (n,), generator=generator)) % self.k
        noise = torch.randn(2, n, VIEWS, generator=generator, dtype=torch.float64)
        own = torch.Generator().manual_seed(0)
        means = torch.randn(2, self.k, VIEWS, generator=own, dtype=torch.float64) / 2
        return means[0, of_x] + noise[0], means[1, of_y] + noise[1]


def gaussian(seeds, cells=GAUSSIAN):
    """Classes with other means, and in every second cell other scales too."""
    for place, (k, d, n) in enumerate(cells):
        spread = 0.3 * (place % 2)
        for seed in range(seeds):
            task = tasks.make("gaussian_classes", k=k, d=d, spread=spread, seed=place)
            yield f"{k} classes, {d} columns" + ", own scales" * (place % 2), n, seed, task


def five(seeds):
    """Few columns."""
    return gaussian(seeds, FIVE)


def wide(seeds, cells=WIDE):
    """Normal embeddings of classes."""
    for k, d, n in cells:
        for seed in range(seeds):
            task = tasks.make("gaussian_classes", k=k, d=d)
            yield f"{k} classes, {d:,} columns", n, seed, task


def embeddings(seeds):
    """Few rows of many columns, and very many rows."""
    return wide(seeds, EMBEDDINGS)


def views(seeds):
    """Two embeddings of the same things."""
    known = [Directions(4, 1.178), Directions(8, 2.287), Channel(10, 0.25), Channel(32, 0.2)]
    for n, task in itertools.product((2000, 10_000), known):
        for seed in range(seeds):
            yield str(task), n, seed, task


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


TASKS = {"gaussian": gaussian, "five": five, "wide": wide, "embeddings": embeddings}
TASKS |= {"views": views, "tables": tables, "shared": shared}
FLOATS = {"wide", "embeddings", "views"}  # in float32


def cells(kind, seeds):
    """Yield name, x, y, the sides of categories, and the known value of each cell."""
    if kind == "data":
        for name in ("digits", "breast_cancer", "wine", "iris"):
            found = getattr(datasets, f"load_{name}")()
            yield name, found.data, found.target, (), tuned(found.data, found.target)
        return
    for name, n, seed, task in TASKS[kind](seeds):
        x, y = sample(task, n, seed)
        if kind in FLOATS:
            x, y = x.float(), y.float()
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


def null(runs):
    """Print how often independent labels are taken for dependent ones."""
    print("| classes | N | runs | rejected | certified | covers zero | mean mi | mean held-out |")
    print("|--:|--:|--:|--:|--:|--:|--:|--:|")
    for k, n in NULL:
        found = []
        for run in range(runs):
            rng = np.random.default_rng([run, k, n])
            labels = rng.integers(k, size=n).astype(str)
            e = estimate(rng.normal(size=(n, 5)), labels, seed=run)
            covers = e.interval[0] <= 0
            found.append([e.p_value <= 0.05, e.certified > 0, covers, e.mi, e.held_out])
        counts, means = np.sum(found, axis=0)[:3], np.mean(found, axis=0)[3:]
        values = [f"{v:.0f}" for v in counts] + [f"{v:.4f}" for v in means]
        print(f"| {k} | {n} | {runs} | " + " | ".join(values) + " |", flush=True)


def main():
    """A table for each kind; a line is the mean over seeds."""
    p = parser(__doc__, saves=False)
    known = [*TASKS, "data"]
    p.add_argument("--kinds", nargs="+", choices=[*known, "null"], default=known)
    p.add_argument("--seeds", type=int, default=2)
    p.add_argument("--runs", type=int, default=200, help="of each cell of null")
    p.add_argument("--no-certify", action="store_true")
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    warnings.simplefilter("ignore", FutureWarning)  # scikit-learn's, of its own defaults
    for kind in args.kinds:
        print(f"\n## {kind}\n")
        if kind == "null":
            null(args.runs)
            continue
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
                _, whole = yardstick()
                start = time.process_time()
                found = estimate(x, y, categorical=categorical, certify=not args.no_certify)
                seconds = time.process_time() - start
                low, high = found.interval
                sure = (found.certified or 0.0, found.upper or np.inf)
                rows.append([truth, found.mi, abs(found.mi - truth), low <= truth <= high + 1e-9])
                rows[-1] += [found.held_out, found.training, *sure, seconds, seconds / whole]
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
