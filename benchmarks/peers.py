"""Seconds and error of ours and of other people's estimators on the same rows.

    python benchmarks/peers.py bmi/ [--tasks NAME ...] [--sizes 1000 10000] [--seeds 1]
        [--bmi-python PATH] [--torch-mist-python PATH] [--neuralmi PATH]

The folder holds npz files (x, y, mi), as `infobound study --files` reads them; of each the first N
rows of a permutation that the seed chooses are taken, the same for all. Each estimator is on one
thread, its seconds without imports; those of JAX include compilation, since every size needs it.
Each estimate is said on standard error as it is made; what is not there, and what does not take
several columns, is said below the table. How to have a peer: docs/commands.md, under "Study".
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import GREYS, MARKS, finish, parser, table

import infobound
from infobound.benchmark import external
from infobound.errors import InputError
from infobound.studies.grid import EstimatorError, Unsuitable

TASKS = ("1v1-normal-0.75", "multinormal-dense-5-5-0.5", "spiral-multinormal-sparse-5-5-2-2.0")
TASKS += ("student-identity-5-5-2",)
OURS = {"infobound": {}, "infobound, closed forms": {"critic": "none"}}


def ask(
    name: str, x: np.ndarray, y: np.ndarray, seed: int, where: external.PeerPaths
) -> tuple[float, float]:
    """Nats and seconds of one estimator."""
    if name not in OURS:
        return external.estimate(name, x, y, seed=seed, where=where)
    start = time.perf_counter()
    found = infobound.estimate(x, y, seed=seed, **OURS[name])
    return found.mi, time.perf_counter() - start


def absent(name: str, where: external.PeerPaths) -> str | None:
    """Why a peer cannot run here."""
    try:
        return None if name in OURS else (external.PEERS[name].version(where), None)[1]
    except InputError as error:
        return str(error)


def row(name: str, task: str, n: int, seed: int, options: Any, where: external.PeerPaths) -> dict:
    """One estimator on one sample."""
    found: dict[str, Any] = {"estimator": name, "task": task, "n": n, "seed": seed}
    with np.load(options.folder / f"{task}.npz") as rows:
        order = np.random.default_rng(seed).permutation(len(rows["x"]))[:n]
        x, y, truth = rows["x"][order], rows["y"][order], float(rows["mi"])
    if len(x) < n:
        return {**found, "why": f"the file has {len(x)} rows"}
    try:
        mi, seconds = ask(name, x, y, seed, where)
    except (Unsuitable, EstimatorError) as error:
        return {**found, "why": str(error)}
    return {**found, "mi": mi, "error": mi - truth, "seconds": seconds}


def summary(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Over tasks and seeds: mean and largest absolute error, median seconds."""
    cells = []
    for name, n in dict.fromkeys((row["estimator"], row["n"]) for row in rows):
        mine = [row for row in rows if (row["estimator"], row["n"]) == (name, n)]
        done = [row for row in mine if "mi" in row]
        values = ["-", "-", "-"]
        if done:
            errors = np.abs([row["error"] for row in done])
            seconds = np.median([row["seconds"] for row in done])
            values = [f"{errors.mean():.3f}", f"{errors.max():.3f}", f"{seconds:.2f}"]
        cells.append([name, f"{n:,}", f"{len(done)} of {len(mine)}", *values])
    return cells


def draw(figure: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    axes = figure.subplots()
    sizes = sorted({row["n"] for row in rows})
    cells = {(row["task"], row["seed"]) for row in rows}
    for k, name in enumerate(dict.fromkeys(row["estimator"] for row in rows)):
        points, whole = [], True
        for n in sizes:
            mine = [r for r in rows if (r["estimator"], r["n"]) == (name, n) and "mi" in r]
            whole = whole and len(mine) == len(cells)
            if mine:
                seconds = np.median([row["seconds"] for row in mine])
                points.append((seconds, np.mean([abs(row["error"]) for row in mine])))
        if points:
            grey = GREYS[k % 3]
            style = {"color": grey, "marker": MARKS[k % len(MARKS)], "linewidth": 0.8}
            face = grey if whole else "white"
            axes.plot(*zip(*points, strict=True), label=name, markerfacecolor=face, **style)
    said = ", ".join(f"{n:,}" for n in sizes)
    axes.set_title(f"N = {said}; hollow: not all tasks", fontsize=9)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("seconds for one estimate (median over tasks)")
    axes.set_ylabel("mean absolute error, nats")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right upper", frameon=False)


def main(arguments: Sequence[str] | None = None) -> None:
    options_of = parser(__doc__)
    options_of.add_argument("folder", type=Path)
    options_of.add_argument("--tasks", nargs="+", default=list(TASKS), help="files without .npz")
    options_of.add_argument("--sizes", nargs="+", type=int, default=[1000, 10_000])
    options_of.add_argument("--seeds", type=int, default=1)
    every = [*OURS, *external.PEERS]
    options_of.add_argument("--estimators", nargs="+", choices=every, default=every)
    for name in ("bmi-python", "torch-mist-python", "neuralmi"):
        options_of.add_argument(f"--{name}", type=Path)
    options = options_of.parse_args(arguments)
    torch.set_num_threads(options.threads)
    where = external.PeerPaths(options.bmi_python, options.neuralmi, options.torch_mist_python)
    missing = {name: absent(name, where) for name in options.estimators}
    rows = []
    for name in options.estimators:
        for n in options.sizes if missing[name] is None else ():
            for task in options.tasks:
                for seed in range(options.seeds):
                    rows.append(row(name, task, n, seed, options, where))
                    print(*rows[-1].values(), sep=", ", file=sys.stderr, flush=True)
    cells = summary(rows)
    cells += [[name, "-", "not there", "-", "-", "-"] for name, why in missing.items() if why]
    headings = ["estimator", "N", "estimates", "mean error, nats", "largest", "s (median)"]
    table(headings, cells)
    reasons = {(r["estimator"], r["why"]) for r in rows if "why" in r}
    for name, why in [*sorted(reasons), *((k, v) for k, v in missing.items() if v)]:
        print(f"{name}: {why}")
    finish(options, rows, draw, missing=missing)


if __name__ == "__main__":
    main()
