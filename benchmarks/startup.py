"""What passes before an estimate computes: seconds of fresh processes, and the imports' share.

    python benchmarks/startup.py [--repeats 5] [--threads 1]

Each line is a new Python, from spawn to its end, in turn with the others; median and range. What
imports take within the last one is Python's own count of each module (`-X importtime`), which is
itself somewhat slower than running without it. The estimate has 40 rows in an npz file; once as it
comes, once with closed forms alone.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import Spread, bars, finish, in_turns, parser, table

ROWS = "the file"
ESTIMATE = ["-m", "infobound", "estimate", ROWS, "--x", "x", "--y", "y", "--json"]
PROCESSES = {
    "python alone": ["-c", "pass"],
    "import infobound": ["-c", "import infobound"],
    "infobound --help": ["-m", "infobound", "--help"],
    "import torch": ["-c", "import torch"],
    "estimate, closed forms": [*ESTIMATE, "--critic", "none"],
    "estimate": ESTIMATE,
}
LINE = re.compile(r"^import time: +(\d+) \| +\d+ \| *([\w.]+)", re.MULTILINE)


def spawn(words: Sequence[str], threads: int) -> str:
    """Run Python with these words; what it wrote to standard error."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} failed:\n{done.stderr}")
    return done.stderr


def importing(listing: str) -> dict[str, float]:
    """Seconds in modules by package, from a listing of -X importtime: each module's own time."""
    found: dict[str, float] = {}
    for own, name in re.findall(
        r"^import time: +(\d+) \| +\d+ \| *([\w.]+)", listing, re.MULTILINE
    ):
        package = name.split(".")[0]
        found[package] = found.get(package, 0) + int(own) / 1e6
    return found


def draw(figure: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    names = [row["process"] for row in rows]
    spreads = [Spread(*row["seconds"]) for row in rows]
    bars(figure.subplots(), names, spreads, "seconds from spawn to end (median and range)")


def main(arguments: Sequence[str] | None = None) -> None:
    options_of = parser(__doc__)
    options_of.add_argument("--repeats", type=int, default=5)
    options_of.add_argument("--warm", type=int, default=1, help="turns left out at the start")
    options_of.add_argument(
        "--processes", nargs="+", choices=PROCESSES, default=list(PROCESSES), metavar="NAME"
    )
    options = options_of.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "rows.npz")
        x, noise = np.random.default_rng(0).normal(size=(2, 40, 2))
        np.savez(file, x=x, y=x + noise)
        words = {
            name: [file if word is ROWS else word for word in PROCESSES[name]]
            for name in options.processes
        }
        forms = {
            name: (lambda mine=mine: spawn(mine, options.threads)) for name, mine in words.items()
        }
        times = in_turns(forms, repeats=options.repeats, warm=options.warm)
        last = words[options.processes[-1]]
        parts = importing(spawn(["-X", "importtime", *last], options.threads))
    rows = [{"process": name, "seconds": Spread.of(taken)} for name, taken in times.items()]
    table(["process", "s"], [[row["process"], row["seconds"].text()] for row in rows])
    total = sum(parts.values())
    whole = rows[-1]["seconds"].median
    largest = sorted(parts.items(), key=lambda part: -part[1])[:6]
    said = ", ".join(f"{name} {seconds:.2f}" for name, seconds in largest)
    share = f"{total:.2f} s ({total / whole:.0%})"
    print(f"imports in {rows[-1]['process']}: {share}; own time by package: {said}")
    finish(options, rows, draw, imports=parts)


if __name__ == "__main__":
    main()
