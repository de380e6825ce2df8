"""Transfer entropy: error, coverage, size, power and time; the tables of docs/transfer.md.

python benchmarks/transfer.py error      against exact truths, with nearest neighbours and Gaussians
python benchmarks/transfer.py coverage   of intervals, by autocorrelation
python benchmarks/transfer.py size       how often p <= .05 without transfer, also with feedback
python benchmarks/transfer.py power      against neighbours with rotated and shuffled sources
python benchmarks/transfer.py time       of both directions, as a ratio to a yardstick

--rows sets the numbers of rows, --seeds the number of samples of a kind, --cases some of the kinds.

"neighbours" is the estimator of Frenzel and Pompe with k = 4 and the maximum norm on standardised
columns, with the source permuted (`shuffled`) or rotated (`rotated`) 100 times: the settings that
JIDT (https://doi.org/10.3389/frobt.2014.00011) has by default or recommends.
"""

from __future__ import annotations

import argparse
import functools
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from scipy.signal import lfilter
from scipy.spatial import cKDTree
from scipy.special import digamma

from infobound import transfer_entropy
from infobound.benchmark.distributions.series import (
    CoupledAutoregression,
    NonlinearCoupling,
    SeriesTask,
)
from infobound.data.lagged import as_trials
from infobound.series.transfer import (
    DEFAULT,
    DirectionTests,
    Embedded,
    Past,
    in_one_direction,
)

NEIGHBOURS = 4
SURROGATES = 100
JITTER = 1e-8  # noise that JIDT adds to standardised columns

Series = tuple[np.ndarray, np.ndarray]
Draw = Callable[[int, np.random.Generator], Series]

TASKS: dict[str, SeriesTask] = {
    "linear": CoupledAutoregression(),
    "linear, 3 lags": CoupledAutoregression(history=3),
    "warped": CoupledAutoregression(warp="cubic"),
    "sine": NonlinearCoupling("sine"),
    "square": NonlinearCoupling("square"),
    "product": NonlinearCoupling("product"),
}


def drawn(task: SeriesTask, n: int, seed: int) -> Series:
    x, y = task.series(n, torch.Generator().manual_seed(seed))
    return x[:, 0].numpy(), y[:, 0].numpy()


def embedded(x: np.ndarray, y: np.ndarray, history: int) -> tuple[np.ndarray, ...]:
    """The past of x, the present of y, and the past of y, standardised, with a little noise."""
    n, rng = len(y), np.random.default_rng(0)
    lags = range(1, history + 1)
    pasts = [np.stack([v[history - k : n - k] for k in lags], axis=1) for v in (x, y)]
    sides = pasts[0], y[history:, None], pasts[1]
    return tuple((s - s.mean(0)) / s.std(0) + JITTER * rng.normal(size=s.shape) for s in sides)


def neighbours(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> float:
    """I(X;Y|Z) by nearest neighbours."""
    everything = np.hstack([x, y, z])
    distance = cKDTree(everything).query(everything, k=[NEIGHBOURS + 1], p=np.inf)[0][:, 0]
    radius = np.nextafter(distance, 0)
    total = np.full(len(x), digamma(NEIGHBOURS))
    for sign, side in ((-1, np.hstack([x, z])), (-1, np.hstack([y, z])), (1, z)):
        count = cKDTree(side).query_ball_point(side, radius, p=np.inf, return_length=True)
        total += sign * digamma(count)
    return float(total.mean())


def gaussian(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> float:
    """I(X;Y|Z) of a normal distribution."""

    def left(known: np.ndarray) -> float:
        design = np.column_stack([np.ones(len(y)), known])
        return float(np.var(y - design @ np.linalg.lstsq(design, y)[0]))

    return float(np.log(left(z) / left(np.hstack([x, z]))) / 2)


def neighbours_p(x: np.ndarray, y: np.ndarray, z: np.ndarray, seed: int, *, rotate: bool) -> float:
    """A p-value from sources that are rotated or shuffled against the others."""
    rng = np.random.default_rng(seed)
    value, as_large = neighbours(x, y, z), 0
    for _ in range(SURROGATES):
        order = rng.permutation(len(x))
        if rotate:
            order = np.roll(np.arange(len(x)), rng.integers(1, len(x)))
        as_large += neighbours(x[order], y, z) >= value
    return (1 + as_large) / (1 + SURROGATES)


def forward(x: np.ndarray, y: np.ndarray, history: int, seed: int) -> float:
    """The transfer entropy from x to y, as `transfer_entropy` estimates it."""
    past = Past.of(1, history)
    sides = x[:, None], y[:, None], np.empty((len(x), 0))
    found = in_one_direction(
        *sides,
        as_trials(None, len(x)).after(past.longest),
        past,
        names=("x", "y"),
        permutations=19,
        config=DEFAULT.with_(seed=seed),
    )
    return found.mi


def ours_p(
    x: np.ndarray, y: np.ndarray, seed: int, *, lags: int = 1, history: int | str = 1
) -> tuple[float, float]:
    """Both p-values of the transfer from x to y, as `transfer_entropy` has them."""
    past = Past.of(range(1, lags + 1), history, history)
    trials = as_trials(None, len(x)).after(past.longest)
    sides = x[:, None], y[:, None], np.empty((len(x), 0))
    rows = Embedded.of(*sides, trials, past, seed=seed)
    tests = DirectionTests.of(rows, permutations=999, seed=seed)
    return float(tests.rotation[tests.best]), float(tests.residual[tests.best])


def standard_error(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")


def error(rows: list[int], seeds: int, cases: list[str]) -> None:
    """Print mean absolute errors, with standard errors."""
    print(
        f"{'series':15} {'rows':>6} {'truth':>6} {'infobound':>16} {'neighbours':>16} "
        f"{'Gaussian':>16}"
    )
    for n in rows:
        for name in cases or TASKS:
            task, found = TASKS[name], []
            history = getattr(task, "history", 1)
            for seed in range(seeds):
                x, y = drawn(task, n + history, seed)
                own = forward(x, y, history, seed)
                sides = embedded(x, y, history)
                found.append([own, neighbours(*sides), gaussian(*sides)])
            misses = np.abs(np.array(found) - task.mi)
            cells = [f"{m.mean():.4f} +- {standard_error(m):.4f}" for m in misses.T]
            print(
                f"{name:15} {n:>6} {task.mi:>6.3f} {' '.join(f'{c:>16}' for c in cells)}",
                flush=True,
            )


def coverage(rows: list[int], seeds: int, cases: list[str]) -> None:
    """Print how often intervals contain the truth, forward and of the difference."""
    print(f"{'phi':>5} {'rows':>6} {'covers':>14} {'difference':>14} {'half width':>11}")
    for n in rows:
        for phi in map(float, cases or ("0", "0.5", "0.9", "0.95")):
            task, held, widths = CoupledAutoregression(phi=phi), [], []
            for seed in range(seeds):
                found = transfer_entropy(*drawn(task, n + 1, seed), permutations=19)
                intervals = found.forward.interval, found.difference.interval
                held.append([low <= task.mi <= high for low, high in intervals])
                widths.append((intervals[0][1] - intervals[0][0]) / 2)
            shares = np.mean(held, axis=0)
            cells = [f"{p:.3f} +- {np.sqrt(p * (1 - p) / seeds):.3f}" for p in shares]
            print(
                f"{phi:>5} {n:>6} {cells[0]:>14} {cells[1]:>14} {np.mean(widths):>11.3f}",
                flush=True,
            )


def wandering(n: int, phi: float, rng: np.random.Generator) -> np.ndarray:
    return np.asarray(lfilter([1], [1, -phi], rng.normal(size=n + 600))[600:])


def independent(n: int, rng: np.random.Generator, *, phi: float) -> Series:
    return wandering(n, phi, rng), wandering(n, phi, rng)


def feedback(
    n: int,
    rng: np.random.Generator,
    *,
    phi: float,
    strength: float = 0.5,
    shape: Callable[[np.ndarray], np.ndarray] = np.asarray,
) -> Series:
    """y drives x, and x says nothing about y."""
    y = wandering(n + 600, phi, rng)
    noise = rng.normal(size=n + 600)
    noise[1:] += strength * shape(y[:-1])
    return np.asarray(lfilter([1], [1, -phi], noise)[600:]), y[600:]


def curved_feedback(n: int, rng: np.random.Generator) -> Series:
    y = wandering(n + 1, 0.9, rng)
    return rng.normal(size=n) + np.abs(y[:-1]), y[1:]


NULLS: dict[str, Draw] = {
    **{
        f"independent {p}": functools.partial(independent, phi=p)
        for p in (0.0, 0.5, 0.9, 0.95, 0.99)
    },
    **{f"feedback {p}": functools.partial(feedback, phi=p) for p in (0.5, 0.9, 0.95, 0.99)},
    "strong feedback 0.99": functools.partial(feedback, phi=0.99, strength=2.0),
    "curved feedback 0.99": functools.partial(feedback, phi=0.99, shape=np.abs),
    "feedback |y|": curved_feedback,
}


def size(
    rows: list[int],
    seeds: int,
    cases: list[str],
    *,
    lags: int = 1,
    history: int | str = 1,
    first: int = 0,
) -> None:
    """Print how often p is at most .05 without transfer."""
    print(f"{'series':20} {'rows':>6} {'p_value':>14} {'rotation_p':>10} {'residual_p':>10}")
    for n in rows:
        for name in cases or NULLS:
            found = [
                ours_p(
                    *NULLS[name](n, np.random.default_rng(seed)), seed, lags=lags, history=history
                )
                for seed in range(first, first + seeds)
            ]
            both = np.array(found) <= 0.05
            share = both.all(axis=1).mean()
            cell = f"{share:.3f} +- {np.sqrt(share * (1 - share) / seeds):.3f}"
            rotation, residual = both.mean(axis=0)
            print(f"{name:20} {n:>6} {cell:>14} {rotation:>10.3f} {residual:>10.3f}", flush=True)


WEAK: dict[str, SeriesTask] = {
    "linear .5": CoupledAutoregression(phi=0.5, coupling=0.15),
    "linear .9": CoupledAutoregression(phi=0.9, coupling=0.1),
    "sine": NonlinearCoupling("sine", strength=0.35),
    "square": NonlinearCoupling("square", strength=0.2),
    "product": NonlinearCoupling("product", strength=0.5),
    "map": NonlinearCoupling("map", strength=0.35),
}


def power(rows: list[int], seeds: int, cases: list[str]) -> None:
    """Print how often a weak transfer is found at .05."""
    print(
        f"{'series':12} {'rows':>6} {'truth':>6} {'infobound':>14} {'rotated':>14} {'shuffled':>14}"
    )
    for n in rows:
        for name in cases or WEAK:
            task, found = WEAK[name], []
            for seed in range(seeds):
                x, y = drawn(task, n, seed)
                sides = embedded(x, y, 1)
                theirs = [neighbours_p(*sides, seed, rotate=each) for each in (True, False)]
                found.append([max(ours_p(x, y, seed)), *theirs])
            shares = (np.array(found) <= 0.05).mean(axis=0)
            cells = [f"{p:.2f} +- {np.sqrt(p * (1 - p) / seeds):.2f}" for p in shares]
            print(
                f"{name:12} {n:>6} {task.mi:>6.3f} {' '.join(f'{c:>14}' for c in cells)}",
                flush=True,
            )


def yardstick() -> float:
    """Processor seconds of scikit-learn's nearest neighbours of 20 pairs of 10,000 rows."""
    from sklearn.feature_selection import mutual_info_regression

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(10_000, 20)), rng.normal(size=10_000)
    start = time.process_time()
    mutual_info_regression(x, y, random_state=0)
    return time.process_time() - start


def timing(rows: list[int], seeds: int, cases: list[str]) -> None:
    """Print processor seconds of both directions, and their ratio to the yardstick."""
    print(f"{'series':15} {'rows':>6} {'seconds':>8} {'ratio':>6}")
    for n in rows:
        for name in cases or ("linear", "sine"):
            for seed in range(seeds):
                x, y = drawn(TASKS[name], n, seed)
                before = yardstick()
                start = time.process_time()
                transfer_entropy(x, y)
                took = time.process_time() - start
                ratio = took / ((before + yardstick()) / 2)
                print(f"{name:15} {n:>6} {took:>8.1f} {ratio:>6.1f}", flush=True)


COMMANDS = {
    "error": (error, [1000, 10_000], 10),
    "coverage": (coverage, [1000], 60),
    "size": (size, [300, 1000, 3000], 400),
    "power": (power, [300, 1000], 100),
    "time": (timing, [12_000], 1),
}


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("--rows", type=int, nargs="+")
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--first-seed", type=int, default=0, help="size: where seeds start")
    parser.add_argument("--cases", nargs="+", default=[])
    parser.add_argument("--lags", type=int, default=1, help="size: lags that are scanned")
    parser.add_argument("--history", default="1", help='size: the past, a number or "auto"')
    given = parser.parse_args(words)
    run, rows, seeds = COMMANDS[given.command]
    if given.command == "size":
        past = given.history if given.history == "auto" else int(given.history)
        run = functools.partial(size, lags=given.lags, history=past, first=given.first_seed)
    run(given.rows or rows, given.seeds or seeds, given.cases)


if __name__ == "__main__":
    main()
