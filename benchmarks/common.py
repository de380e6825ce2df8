"""What the benchmarks share: options, the machine, timing in turns, the table, JSON and the figure.

Nothing here is run by itself. Timings are taken in turns (A B A B ...), so that a busy moment hits
all forms alike; what is reported is the median and the range of the ratio within a turn.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

GREYS = ("0.15", "0.45", "0.7", "0.85")
MARKS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">")


class Spread(NamedTuple):
    """A median and its range over repeats."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values))

    def text(self, digits: int = 2) -> str:
        return f"{self.median:.{digits}f} ({self.least:.{digits}f} to {self.most:.{digits}f})"


def parser(doc: str | None, *, device: bool = False, saves: bool = True) -> argparse.ArgumentParser:
    """Return a parser with --threads, and if asked --device, --json and --figure (`finish`)."""
    found = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    found.add_argument("--threads", type=int, default=torch.get_num_threads())
    if saves:
        found.add_argument("--json", type=Path, help="write the rows and the machine to this file")
        found.add_argument("--figure", type=Path, help="draw the rows to this PNG file")
    if device:
        found.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    return found


def processor() -> str:
    """The processor's name as the system says it."""
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text().splitlines() if listing.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def machine(options: argparse.Namespace) -> dict[str, Any]:
    """What the numbers were taken on: no paths, no host name."""
    found: dict[str, Any] = {
        "processor": processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "threads": options.threads,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    if getattr(options, "device", "cpu") == "cuda":
        found["gpu"] = torch.cuda.get_device_name()
    return found


def in_turns(
    forms: Mapping[str, Callable[[], object]], *, repeats: int, warm: int = 2, device: str = "cpu"
) -> dict[str, list[float]]:
    """Seconds of each form in each turn, the first `warm` turns left out."""
    times: dict[str, list[float]] = {name: [] for name in forms}
    for turn in range(warm + repeats):
        for name, form in forms.items():
            seconds = timed(form, device=device)
            if turn >= warm:
                times[name].append(seconds)
    return times


def timed(form: Callable[[], object], *, device: str = "cpu") -> float:
    """Seconds of one call, with what it started on the device."""
    _wait(device)
    start = time.perf_counter()
    form()
    _wait(device)
    return time.perf_counter() - start


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def yardstick() -> tuple[float, float]:
    """Wall and CPU seconds of scikit-learn's nearest neighbours on 20 pairs of 10,000 rows.

    Machines differ by a factor of three; times relative to these seconds differ by less.
    """
    from sklearn.feature_selection import mutual_info_regression

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(10_000, 20)), rng.normal(size=10_000)
    wall, cpu = time.perf_counter(), time.process_time()
    mutual_info_regression(x, y, random_state=0)
    return time.perf_counter() - wall, time.process_time() - cpu


def ratio(upper: Sequence[float], lower: Sequence[float]) -> Spread:
    """Upper over lower, turn by turn."""
    return Spread.of([a / b for a, b in zip(upper, lower, strict=True)])


def slope(sizes: Sequence[float], values: Sequence[float]) -> float | None:
    """The power of N that values grow with: least squares on log axes; None below two sizes."""
    if len(set(sizes)) < 2:
        return None
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a Markdown table, as it stands in docs/performance.md; numbers to the right."""
    cells = [[str(cell) for cell in row] for row in [headings, *rows]]
    widths = [max(len(row[k]) for row in cells) for k in range(len(headings))]
    cells.insert(1, ["-" * w for w in widths])
    for row in cells:
        padded = [row[0].ljust(widths[0])]
        padded += [cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True)]
        print("| " + " | ".join(padded) + " |", flush=True)


def finish(
    options: argparse.Namespace,
    rows: Sequence[Mapping[str, Any]],
    draw: Callable[[Any, Sequence[Mapping[str, Any]]], None],
    **more: Any,
) -> None:
    """Say the machine, write --json, draw --figure; `draw(figure, rows)` fills a figure."""
    found = machine(options)
    print("\n" + ", ".join(f"{name} {value}" for name, value in found.items()))
    if options.json:
        settings = {k: v for k, v in vars(options).items() if not isinstance(v, Path | None)}
        result = {"machine": found, "settings": settings, **more, "rows": list(rows)}
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    if options.figure:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7.5, 4.2), layout="constrained")
        draw(figure, rows)
        figure.savefig(options.figure, format="png", dpi=150)


class Child(NamedTuple):
    """A finished process: from spawn to its end, its peak of resident memory, what it printed."""

    seconds: float
    bytes: int
    printed: str


# VmHWM begins anew with the program; the system's ru_maxrss would count the parent's memory too.
PEAK = r"""
import pathlib, re, resource, runpy, sys
file, module, *words = sys.argv[1:]
sys.argv = [module, *words]
try:
    if module.endswith(".py"):
        sys.path.insert(0, str(pathlib.Path(module).parent))
        runpy.run_path(module, run_name="__main__")
    else:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
finally:
    listing = pathlib.Path("/proc/self/status")
    found = re.search(r"VmHWM:\s+(\d+)", listing.read_text()) if listing.exists() else None
    kib = int(found[1]) if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pathlib.Path(file).write_text(str(1024 * kib))
"""


def child(module: str, *words: object, threads: int) -> Child:
    """Run a module (`infobound`) or a script (`name.py`) in a fresh Python."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    with tempfile.TemporaryDirectory() as folder:
        peak = Path(folder) / "peak"
        command = [sys.executable, "-c", PEAK, str(peak), module, *map(str, words)]
        start = time.perf_counter()
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        seconds = time.perf_counter() - start
        if done.returncode:
            raise SystemExit(f"{module} {' '.join(map(str, words))} failed:\n{done.stderr}")
        return Child(seconds, int(peak.read_text()), done.stdout)


def bars(
    axes: Any,
    names: Sequence[str],
    spreads: Sequence[Spread],
    label: str,
    *,
    digits: int = 2,
    log: bool = False,
) -> None:
    """Horizontal bars of medians, the range as a line, the median beside it; points if `log`."""
    places = range(len(names))
    medians = [s.median for s in spreads]
    reach = [[s.median - s.least for s in spreads], [s.most - s.median for s in spreads]]
    if log:
        axes.errorbar(medians, places, xerr=reach, fmt="o", color=GREYS[0], capsize=3)
        axes.set_xscale("log")
        axes.grid(axis="x", color=GREYS[3], linewidth=0.6)
    else:
        axes.barh(places, medians, xerr=reach, color=GREYS[2], edgecolor=GREYS[0], capsize=3)
    for place, spread in zip(places, spreads, strict=True):
        axes.text(spread.most, place, f"   {spread.median:.{digits}f}", va="center")
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.margins(x=0.15, y=0.15)
    axes.set_xlabel(label)
    axes.spines[["top", "right"]].set_visible(False)
