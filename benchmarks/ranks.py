"""Pairs per second of one estimate on several ranks, and a model of it that is checked here.

    python benchmarks/ranks.py [--ranks 1 2 4] [--repeats 3] [--batch 512] [--rows 1500]
    python benchmarks/ranks.py --plan [--gpus 64] [--total 1000000000]

Each rank is a process with one thread, started by `torchrun`; counts take turns (1 2 4 1 2 4 ...).
The joint critic, 6 + 6 columns: a training step on --batch rows, and an evaluation of all pairs of
--rows rows. The model takes one rank's seconds and the measured time of a message: what is shared
out is divided by the ranks (or by the cores, if these are fewer), the rest is not, and messages
are added. --plan applies it to machines that are described by four numbers (--flops, --bytes,
--latency, --fixed) instead of measured; memory is that of weights and rows, without what an encoder
keeps for its backward pass.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from common import Spread, bars, finish, parser, ratio, table, timed
from notebook import optimiser, rows_of

from infobound._system import distributed
from infobound.bounds import tiled
from infobound.bounds.variational import BOUNDS
from infobound.critics.networks import Joint

BOUND = BOUNDS["infonce"]
LARGE = 1 << 20  # numbers in a large message


def work(options: Any) -> dict[str, float]:
    """What a rank does, timed: seconds of a step, an evaluation, and of messages."""
    rng = torch.Generator().manual_seed(0)
    critic = Joint(6, 6, init_std=0.02, generator=rng)
    adam = optimiser(critic)
    x, y = rows_of(max(options.rows, options.batch), rng)

    def step(n: int) -> None:
        adam.zero_grad()
        (-tiled.value(critic, BOUND, x[:n], y[:n])).backward()
        if tiled.is_shared(critic, n, n):
            distributed.sum_gradients(critic.parameters())
        adam.step()

    @torch.no_grad()
    def evaluate() -> None:
        float(tiled.value(critic, BOUND, x[: options.rows], y[: options.rows]))

    def median(form: Any, times: int) -> float:
        form()
        return statistics.median(timed(form) for _ in range(times))

    return {
        "step": median(lambda: step(options.batch), options.steps),
        "evaluation": median(evaluate, max(3, options.steps // 4)),
        "fixed": median(lambda: step(2), 20),  # of a step: nothing that can be shared out
        "message": median(lambda: distributed.sum_over_ranks(torch.zeros(1)), 50),
        "large": median(lambda: distributed.sum_over_ranks(torch.zeros(LARGE)), 10),
    }


def started(count: int, options: Any) -> dict[str, float]:
    """`work` on so many ranks."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "seconds.json"
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command += ["--nproc-per-node", str(count), __file__, "--worker", str(file)]
        for name in ("batch", "rows", "steps"):
            command += [f"--{name}", str(getattr(options, name))]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{count} ranks failed:\n{done.stderr}")
        found: dict[str, float] = json.loads(file.read_text())
        return found


class Step(NamedTuple):
    """What a step of n x n pairs moves between ranks and what is shared out."""

    messages: int
    bytes: float  # that each message's sum is of, together
    seconds: float  # of one rank, shared out
    fixed: float  # of every rank


def traffic(n: int, width: int, parameters: int, ranks: int, *, learns: bool) -> tuple[int, float]:
    """Messages and bytes of one pass over n x n pairs: encoded y, log sums, and gradients."""
    sums = n * (2 + ranks)
    if not learns:
        return 2, 4.0 * (n * width + sums)
    return 4, 4.0 * (2 * n * width + sums + parameters)


def predicted(step: Step, ranks: int, cores: int, latency: float, per_byte: float) -> float:
    """Seconds of a step on so many ranks."""
    if ranks == 1:
        return step.fixed + step.seconds
    shared = step.seconds / min(ranks, cores)
    return step.fixed + shared + step.messages * latency + step.bytes * per_byte


def compared(options: Any) -> list[dict[str, Any]]:
    """Each count of ranks: measured, of one rank's, and predicted."""
    turns: dict[int, list[dict[str, float]]] = {count: [] for count in options.ranks}
    for turn in range(options.repeats):
        for count in options.ranks:
            turns[count].append(started(count, options))
            print(f"turn {turn + 1}, {count} ranks", file=sys.stderr)

    def column(count: int, what: str) -> list[float]:
        return [found[what] for found in turns[count]]

    width, parameters = 100, sum(p.numel() for p in Joint(6, 6).parameters())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    rows = []
    for what, n in (("step", options.batch), ("evaluation", options.rows)):
        one = statistics.median(column(1, what))
        fixed = statistics.median(column(1, "fixed")) if what == "step" else 0.0
        for count in options.ranks:
            latency, large = (statistics.median(column(count, k)) for k in ("message", "large"))
            per_byte = max(0.0, large - latency) / (4 * LARGE)
            moved = traffic(n, width, parameters, count, learns=what == "step")
            model = predicted(
                Step(*moved, one - fixed, fixed), count, cores or 1, latency, per_byte
            )
            rows.append(
                {
                    "what": what,
                    "ranks": count,
                    "seconds": Spread.of(column(count, what)),
                    "faster": ratio(column(1, what), column(count, what)),
                    "pairs": n * n / statistics.median(column(count, what)),
                    "predicted": model,
                    "message": latency,
                    "bytes_per_second": 1 / per_byte if per_byte else math.inf,
                }
            )
    return rows


def plan(options: Any) -> list[list[str]]:
    """What one pass over --total rows would take on --gpus ranks, by the same model."""
    found = []
    encoder = 2 * options.encoder  # multiplications and additions of a row, forward
    for name, width, pair, row, parameters in (
        ("joint, width 100", 100, 2 * 100**2, 0.0, 11_501),
        ("separable, 64", 66, 2 * 66, 2 * 50_000.0, 50_000),
        ("encoder and separable", 66, 2 * 66, float(encoder), options.encoder),
    ):
        for batch in options.batches:
            shared = 3 * (batch**2 * pair + 2 * batch * row) / options.flops
            messages, size = traffic(batch, width, parameters, options.gpus, learns=True)
            once = 2 * (options.gpus - 1) / options.gpus  # a sum in a ring passes each byte twice
            talk = messages * options.latency * math.log2(options.gpus)
            sent = once * size / options.bytes
            seconds = shared / options.gpus + talk + sent + options.fixed
            share = (shared / options.gpus) / seconds
            passes = seconds * options.total / batch / 3600
            # weights, gradient, two moments, average, best; encoded y and its gradient
            memory = 4.0 * (6 * parameters + 2 * batch * width) + 4 * (1 << 19) * 4
            cells = [name, f"{batch:,}", f"{math.log(batch):.1f}", f"{1e3 * seconds:.2f}"]
            cells += [f"{share:.0%}", f"{size / 2**20:.1f}", f"{memory / 2**30:.2f}"]
            found.append([*cells, f"{passes:,.2f}"])
    return found


def draw(figure: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    label = "times as fast as one rank (median and range)"
    names = [f"{row['what']}, {row['ranks']} ranks" for row in rows]
    bars(figure.subplots(), names, [Spread(*row["faster"]) for row in rows], label)


def main(arguments: Sequence[str] | None = None) -> None:
    options_of = parser(__doc__)
    options_of.add_argument("--ranks", type=int, nargs="+", default=[1, 2, 4])
    options_of.add_argument("--repeats", type=int, default=3, help="turns")
    options_of.add_argument("--steps", type=int, default=20, help="timed in each turn")
    options_of.add_argument("--batch", type=int, default=512)
    options_of.add_argument("--rows", type=int, default=1500)
    options_of.add_argument("--worker", type=Path, help="be a rank: write seconds to this file")
    options_of.add_argument("--plan", action="store_true", help="predict, measure nothing")
    options_of.add_argument("--gpus", type=int, default=64)
    options_of.add_argument("--total", type=float, default=1e9, help="rows")
    options_of.add_argument("--batches", type=int, nargs="+", default=[4096, 32768])
    options_of.add_argument("--encoder", type=int, default=25_000_000, help="its parameters")
    options_of.add_argument("--flops", type=float, default=50e12, help="a GPU's, each second")
    options_of.add_argument("--bytes", type=float, default=20e9, help="between ranks, a second")
    options_of.add_argument("--latency", type=float, default=20e-6, help="s of a message's hop")
    options_of.add_argument("--fixed", type=float, default=2e-3, help="s of a step, not shared")
    options = options_of.parse_args(arguments)
    if options.plan:
        headings = ["critic", "global batch", "log K", "ms a step", "of it computing"]
        headings += ["MiB summed a step", "GiB a rank", f"hours, {options.total:.0e} rows once"]
        return table(headings, plan(options))
    if options.worker is not None:
        torch.set_num_threads(1)
        with distributed.world():
            found = work(options)
            if distributed.is_first():
                options.worker.write_text(json.dumps(found))
        return None
    if 1 not in options.ranks:
        raise SystemExit("Expected one rank among --ranks: the others are compared with it.")
    options.threads = 1
    rows = compared(options)
    cells = [
        (
            row["what"],
            row["ranks"],
            Spread(*(1e3 * s for s in row["seconds"])).text(1),
            f"{row['pairs'] / 1e6:.2f}",
            row["faster"].text(),
            f"{1e3 * row['predicted']:.1f}",
        )
        for row in rows
    ]
    table(["joint critic", "ranks", "ms", "million pairs/s", "times as fast", "model, ms"], cells)
    for row in rows[1 : len(options.ranks)]:
        speed = row["bytes_per_second"] / 2**20
        print(f"{row['ranks']} ranks: {1e3 * row['message']:.2f} ms a message, {speed:,.0f} MiB/s")
    finish(options, rows, draw)
    return None


if __name__ == "__main__":
    main()
