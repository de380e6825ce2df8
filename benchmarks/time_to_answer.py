"""Time to an answer on the notebook's pair: ours, against training its critic its way.

    python benchmarks/time_to_answer.py [--seeds 5] [--threads 1] [--whole]

400 rows, d = 6, rho = 0.9, truth 4.982. Ours is the whole process, `infobound estimate pair.npz`,
from spawn to the printed result, on a fresh sample for each seed; how many come within --near of
the truth is said.

The notebook (https://github.com/ccha23/miml, page `infonce`) trains on batches of 100 rows without
replacement (Adam, 1e-4, betas .5 and .999) and evaluates all 400 x 400 pairs at every step. Its
answer cannot be better than at the step of its best held-out value, on 400 fresh rows. That step is
found by training its critic here in the fast form, evaluated every 100 steps, to --steps; it is
multiplied by the seconds of an iteration in its own form, measured in turn with ours. Two ways: as
it is, and with an evaluation every 100 steps only. --whole runs its form to that step literally,
as it is. The last column is the same to within 0.1 nats of that best held-out value.
Words after `--` are handed to our command.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import Spread, bars, finish, in_turns, parser, table, timed
from notebook import Concatenated, evaluate, optimiser, rows_of, step

from infobound.benchmark import notebook
from infobound.benchmark.tasks import make
from infobound.config import Config
from infobound.critics.networks import Joint
from infobound.training.loop import Progress

TASK = make("gaussian", d=6, rho=0.9)
EVERY = 100  # steps between two evaluations, where it is not each step
CLOSE = 0.1  # nats from the best held-out value


def answer(seed: int, options: Any) -> dict[str, Any]:
    """Our whole process on one sample."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pair.npz"
        x, y = notebook.sample(TASK, options.rows, seed)
        np.savez(file, x=x.numpy(), y=y.numpy())
        words = ["estimate", str(file), "--x", "x", "--y", "y", "--json", *options.words]
        command = [sys.executable, "-m", "infobound", *words]
        start = time.perf_counter()
        environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads)}
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        seconds = time.perf_counter() - start
    found = json.loads(done.stdout)
    near = abs(found["mi"] - TASK.mi) <= options.near
    return {"seed": seed, "seconds": seconds, "mi": found["mi"], "near": near}


def learning(options: Any) -> dict[str, Any]:
    """The notebook's critic trained in the fast form: its best step, one close to it, seconds."""
    start, history = time.perf_counter(), []

    def watch(progress: Progress) -> None:
        history.append((progress.iteration, progress.validation, time.perf_counter() - start))

    config = Config.notebook().with_(n_iters=options.steps, eval_every=min(EVERY, options.steps))
    notebook.reproduce(config, sample_size=options.rows, watch=watch)
    best = max(history, key=lambda record: record[1])
    close = next(record for record in history if record[1] >= best[1] - CLOSE)
    return {
        "best step": best[0],
        "best held-out": best[1],
        "close step": close[0],
        "seconds": best[2],
        "close seconds": close[2],
    }


def form(critic: torch.nn.Module, rows: int, *, evaluated: bool) -> Any:
    """One iteration of a form on its own rows, with full evaluation or without."""
    rng = torch.Generator().manual_seed(0)
    x, y = rows_of(rows, rng)
    adam = optimiser(critic)

    def iteration() -> None:
        step(critic, adam, x, y, rng)
        if evaluated:
            evaluate(critic, x, y)

    return iteration


def iterations(options: Any) -> dict[str, float]:
    """Median seconds of an iteration, all forms in turn."""
    forms = {
        name: form(make_critic(), options.rows, evaluated=evaluated)
        for name, make_critic, evaluated in (
            ("evaluated", lambda: Concatenated(Joint(6, 6, init_std=0.02)), True),
            ("step", lambda: Concatenated(Joint(6, 6, init_std=0.02)), False),
            ("ours, evaluated", lambda: Joint(6, 6, init_std=0.02), True),
            ("ours, step", lambda: Joint(6, 6, init_std=0.02), False),
        )
    }
    times = in_turns(forms, repeats=options.repeats)
    return {name: statistics.median(taken) for name, taken in times.items()}


def draw(figure: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    names = [row["form"] for row in rows]
    spreads = [Spread(*row["seconds"]) for row in rows]
    label = "seconds to the answer (ours: median and range)"
    bars(figure.subplots(), names, spreads, label, digits=1, log=True)


def main(arguments: Sequence[str] | None = None) -> None:
    options_of = parser(__doc__)
    options_of.add_argument("--seeds", type=int, default=5)
    options_of.add_argument("--rows", type=int, default=400)
    options_of.add_argument("--near", type=float, default=0.2, help="nats from the truth")
    options_of.add_argument("--steps", type=int, default=10_000, help="searched for the best one")
    options_of.add_argument("--repeats", type=int, default=50)
    options_of.add_argument("--whole", action="store_true", help="run the notebook's form to it")
    options_of.add_argument("words", nargs="*", help="more options of our command, after --")
    options = options_of.parse_args(arguments)
    torch.set_num_threads(options.threads)
    ours = [answer(seed, options) for seed in range(options.seeds)]
    each = iterations(options)
    learnt = learning(options)
    rows: list[dict[str, Any]] = [
        {"form": "ours, whole process", "seconds": Spread.of([a["seconds"] for a in ours])}
    ]

    def add(name: str, seconds: float, close: float) -> None:
        rows.append({"form": name, "seconds": Spread.of([seconds]), "close": close})

    steps, close = learnt["best step"], learnt["close step"]
    kinder = each["step"] + (each["evaluated"] - each["step"]) / EVERY
    add("its critic, our form", learnt["seconds"], learnt["close seconds"])
    add(f"notebook, evaluated every {EVERY} steps", kinder * steps, kinder * close)
    add("notebook as it is", each["evaluated"] * steps, each["evaluated"] * close)
    if options.whole:
        critic = Concatenated(Joint(6, 6, init_std=0.02))
        run = form(critic, options.rows, evaluated=True)
        add("notebook, run to that step", timed(lambda: [run() for _ in range(steps)]), np.nan)
    first = rows[0]["seconds"].median
    cells = [
        [
            row["form"],
            row["seconds"].text(1) if k == 0 else f"{row['seconds'].median:.1f}",
            f"{row['seconds'].median / first:.1f}",
            f"{row['close']:.1f}" if np.isfinite(row.get("close", np.nan)) else "-",
        ]
        for k, row in enumerate(rows)
    ]
    table(["to the answer", "s", "of ours", f"s to within {CLOSE} of the best held-out"], cells)
    within = sum(a["near"] for a in ours)
    print(f"ours: {within} of {len(ours)} within {options.near} of the truth")
    print(
        f"the notebook's critic is best on fresh rows at step {steps:,}: "
        f"{learnt['best held-out']:.3f} nats, {learnt['best held-out'] - TASK.mi:+.3f} from the "
        f"truth; within {CLOSE} of its best from step {close:,} on"
    )
    print("ms an iteration: " + ", ".join(f"{name} {1e3 * s:.1f}" for name, s in each.items()))
    finish(options, rows, draw, ours=ours, learning=learnt, iterations=each)


if __name__ == "__main__":
    main()
