"""What learning rate, batch and patience cost and give: seconds, held-out value, error.

    python benchmarks/learning.py [--seeds 3] [--rows 1000] [--threads 1] [--only "lr 0.004" ...]

Each setting estimates the same samples in turn (A B C A B C ...): the notebook's pair, and tasks
that closed forms do not settle. Held-out values and errors are paired with the default's on the
same sample, with the standard error over samples. `s to near` ends each network's training, in
thought, at its first evaluation within --near nats of the validation value that it keeps; all else
that an estimate does is in it.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from common import Spread, bars, finish, parser, table

from infobound import estimate
from infobound.benchmark import notebook, tasks
from infobound.training.loop import Progress

TASKS = (
    ("notebook", "gaussian"),
    ("bmi", "spiral-multinormal-sparse-3-3-2-2.0"),
    ("bmi", "student-identity-5-5-2"),
    ("bmi", "swissroll_x-normal_cdf-1v1-normal-0.75"),
    ("bmi2", "3v1-concentric_gaussians-5"),
    ("hard", "noisy_function (function = sine, k = 3.0)"),
)
DEFAULT = "as it is"
SETTINGS: dict[str, dict[str, Any]] = {
    DEFAULT: {},
    "lr 0.0005": {"lr": 5e-4},
    "lr 0.001": {"lr": 1e-3},
    "lr 0.004": {"lr": 4e-3},
    "lr 0.008": {"lr": 8e-3},
    "batch 128": {"batch_size": 128},
    "batch 512": {"batch_size": 512},
    "patience 3": {"patience": 3},
    "patience 12": {"patience": 12},
    "lr 0.004, patience 4": {"lr": 4e-3, "patience": 4},
}


def one(task: Any, rows: int, seed: int, settings: Mapping[str, Any], near: float) -> dict:
    """An estimate: what it found, its seconds, and what they were had training ended near."""
    x, y = notebook.sample(task, rows, seed)
    curves: dict[str, list[tuple[float, float]]] = {}

    def watch(progress: Progress) -> None:
        record = (time.perf_counter(), progress.validation)
        curves.setdefault(progress.name, []).append(record)

    start = time.perf_counter()
    found = estimate(x, y, seed=seed, watch=watch, **settings)
    seconds = time.perf_counter() - start
    spared = 0.0
    for curve in curves.values():
        kept = max(value for _, value in curve)
        spared += curve[-1][0] - next(t for t, value in curve if value >= kept - near)
    return {
        "seconds": seconds,
        "near": seconds - spared,
        "held_out": found.held_out,
        "certified": math.nan if found.certified is None else found.certified,
        "error": abs(found.mi - task.mi),
    }


def paired(values: Sequence[float], first: Sequence[float]) -> tuple[float, float]:
    """The mean difference and its standard error."""
    differences = [v - f for v, f in zip(values, first, strict=True)]
    spread = statistics.stdev(differences) if len(differences) > 1 else math.nan
    return statistics.mean(differences), spread / len(differences) ** 0.5


def draw(figure: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    names = [row["setting"] for row in rows]
    label = "seconds of an estimate, of the default's (median and range)"
    bars(figure.subplots(), names, [Spread(*row["ratio"]) for row in rows], label)


def main(arguments: Sequence[str] | None = None) -> None:
    options_of = parser(__doc__)
    options_of.add_argument("--seeds", type=int, default=3)
    options_of.add_argument("--rows", type=int, default=1000)
    options_of.add_argument("--near", type=float, default=0.1, help="nats from the value kept")
    options_of.add_argument("--only", nargs="+", choices=list(SETTINGS)[1:], metavar="SETTING")
    options_of.add_argument("--tasks", type=int, default=len(TASKS), help="the first few only")
    options = options_of.parse_args(arguments)
    torch.set_num_threads(options.threads)
    settings = {k: v for k, v in SETTINGS.items() if k in (DEFAULT, *(options.only or SETTINGS))}
    found: dict[str, list[dict]] = {name: [] for name in settings}
    for suite, task in TASKS[: options.tasks]:
        for seed in range(options.seeds):
            for name, words in settings.items():
                record = one(
                    dict(tasks.suite(suite))[task], options.rows, seed, words, options.near
                )
                found[name].append({"task": task, "seed": seed, **record})

    def column(name: str, what: str) -> list[float]:
        return [record[what] for record in found[name]]

    rows = []
    for name in settings:
        taken, first = column(name, "seconds"), column(DEFAULT, "seconds")
        rows.append(
            {
                "setting": name,
                "seconds": Spread.of(taken),
                "ratio": Spread.of([t / f for t, f in zip(taken, first, strict=True)]),
                "near": statistics.median(column(name, "near")),
                "error": statistics.mean(column(name, "error")),
                **{
                    what: paired(column(name, what), column(DEFAULT, what))
                    for what in ("held_out", "certified")
                },
            }
        )
    headings = ["setting", "s", "of the default's", f"s to within {options.near:g}"]
    headings += ["held out, nats", "certified, nats", "mean error, nats"]
    cells = [
        (
            row["setting"],
            f"{row['seconds'].median:.2f}",
            row["ratio"].text(),
            f"{row['near']:.2f}",
            "{:+.3f} ± {:.3f}".format(*row["held_out"]),
            "{:+.3f} ± {:.3f}".format(*row["certified"]),
            f"{row['error']:.3f}",
        )
        for row in rows
    ]
    table(headings, cells)
    finish(options, rows, draw, estimates=found)


if __name__ == "__main__":
    main()
