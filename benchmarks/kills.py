"""Processes killed at random moments and continued: is anything lost, changed or left behind?

    python benchmarks/kills.py [--kills 50] [--seed 0] [--rows 400] [--threads 1]

Whole commands in processes of their own, in three phases: `training` (an estimate whose time goes
into a network), `certificate` (closed forms, evaluation, certificate and p-value) and `study` (two
cells at once). Each is hit one to three times, at moments drawn uniformly from the time that the
undisturbed one takes once its directory exists: by SIGKILL, a third of the times (`--terms`) by
SIGTERM, which may save and must end soon. After the last hit it is continued to the end. Then
everything but the seconds must be as in the undisturbed one, no cell or step that was on disk may
be missing, and neither a temporary file nor a process may be left.

`ended` is the time from SIGTERM to the end of the process; `children` the longest time for which
any child of a killed process was still there. A kill that came after the end is none.
"""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from common import GREYS, Spread, finish, parser, table

from infobound.training.run_directory import Run

LINGER = 10.0  # seconds that a child of a killed process may take to notice
WAIT = 600.0  # seconds for anything at all
NETWORK = ["--base", "none", "--no-certify", "--n-iters", "300", "--checkpoint-every", "10"]
NETWORK += ["--eval-every", "25", "--patience", "0"]
CLOSED = ["--critic", "none", "--permutations", "4999"]
STUDY = ["--estimators", "base_only", "no_base", "--seeds", "3", "--jobs", "2"]
STUDY += ["--n-iters", "60", "--folds", "2"]


@dataclass(frozen=True)
class Phase:
    """A command on some rows, what continues it, and what it leaves."""

    name: str
    rows: Path

    def words(self, folder: Path, *, again: bool) -> list[str]:
        """The command that begins or continues."""
        if self.name == "study":
            files = ["--files", str(self.rows.parent), "--sizes", str(len(np.load(self.rows)["x"]))]
            return ["study", "kills", *files, "--out", str(folder), *STUDY]
        if again:
            return ["resume", str(folder)]
        more = NETWORK if self.name == "training" else CLOSED
        return ["estimate", str(self.rows), "--x", "x", "--y", "y", "--run", str(folder), *more]

    def mark(self, folder: Path) -> Path:
        """The file with which its directory begins to be worth something."""
        return folder / ("study.json" if self.name == "study" else "run.json")

    def result(self, folder: Path) -> Any:
        """All that it found, but for the seconds."""
        if self.name != "study":
            found = json.loads((folder / "result.json").read_text())
            return {key: value for key, value in found.items() if key != "seconds"}
        with open(folder / "study.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]

    def kept(self, folder: Path) -> dict[str, Any]:
        """What is on disk and must not be lost: cells to the byte, the steps of checkpoints."""
        if self.name == "study":
            return {file.name: file.read_bytes() for file in (folder / "cells").glob("*.json")}
        if not self.mark(folder).exists():
            return {}
        names = {file.name.split(".")[0] for file in folder.glob("checkpoint-*.safetensors")}
        found = {name: Run.open(folder).load_checkpoint(name[11:]) for name in sorted(names)}
        return {name: pair[1]["step"] for name, pair in found.items() if pair is not None}


@dataclass
class Tally:
    """What came of the kills of one phase."""

    phase: str
    kills: int = 0
    terms: int = 0
    chains: int = 0
    resumed: int = 0
    equal: int = 0
    lost: int = 0
    left: int = 0
    orphans: int = 0
    ended: list[float] = field(default_factory=list)
    children: list[float] = field(default_factory=list)


def spawn(words: Sequence[str], threads: int, log: Path) -> subprocess.Popen[bytes]:
    """The command in a session of its own, so that its children can be told from others."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, "-m", "infobound", *words, "--quiet"]
    with open(log, "wb") as file:
        return subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=file,
            start_new_session=True,
        )


def living(group: int) -> list[int]:
    """Processes of a group that are not dead and waiting to be forgotten."""
    listing = subprocess.run(
        ["ps", "-A", "-o", "pid=,pgid=,stat="], capture_output=True, text=True, check=True
    ).stdout
    lines = [line.split() for line in listing.splitlines()]
    return [int(pid) for pid, its, state in lines if int(its) == group and state[0] != "Z"]


def until(condition: Any, seconds: float) -> bool:
    """Whether it came true in that time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


class Whole(NamedTuple):
    """An undisturbed command: its result, seconds until its directory exists, and from then on."""

    result: Any
    start: float
    work: float


def undisturbed(phase: Phase, folder: Path, threads: int) -> Whole:
    """What all others must come to."""
    log = folder.with_suffix(".log")
    spawned = time.monotonic()
    process = spawn(phase.words(folder, again=False), threads, log)
    until(lambda: phase.mark(folder).exists() or process.poll() is not None, WAIT)
    start = time.monotonic()
    if process.wait(WAIT):
        raise SystemExit(f"{phase.name} failed:\n{log.read_text()}")
    return Whole(phase.result(folder), start - spawned, time.monotonic() - start)


def hit(
    phase: Phase, folder: Path, whole: Whole, dice: random.Random, tally: Tally, options: Any
) -> bool:
    """Begin or continue, and kill at a random moment; False where it was done before that."""
    number = signal.SIGTERM if dice.random() < options.terms else signal.SIGKILL
    begun = phase.mark(folder).exists()
    words = phase.words(folder, again=begun)
    process = spawn(words, options.threads, folder.with_suffix(".log"))
    if not begun:
        until(lambda: phase.mark(folder).exists() or process.poll() is not None, WAIT)
    moment = begun * whole.start + dice.uniform(0, whole.work)
    until(lambda: process.poll() is not None, moment)
    if process.poll() is not None:
        return False
    start = time.monotonic()
    process.send_signal(number)
    process.wait(WAIT)
    taken = time.monotonic() - start
    gone = until(lambda: not living(process.pid), LINGER)
    tally.children.append(time.monotonic() - start - taken)
    for orphan in [] if gone else living(process.pid):
        tally.orphans += 1
        os.kill(orphan, signal.SIGKILL)
    if number == signal.SIGTERM:
        tally.terms += 1
        tally.ended.append(taken)
    tally.kills += 1
    return process.returncode != 0  # after SIGTERM it may have been done before it looked


def chain(
    phase: Phase, folder: Path, whole: Whole, dice: random.Random, options: Any,
    tally: Tally, most: int,
) -> None:  # fmt: skip
    """One command, hit up to `most` times, continued to its end and looked at."""
    before: dict[str, Any] = {}
    for _ in range(most):
        if not hit(phase, folder, whole, dice, tally, options):
            break
        tally.lost += missing(before, phase.kept(folder))
        before = phase.kept(folder)
    tally.chains += 1
    words = phase.words(folder, again=phase.mark(folder).exists())
    log = folder.with_suffix(".log")
    if spawn(words, options.threads, log).wait(WAIT):
        print(f"{phase.name}: {' '.join(words)} failed:\n{log.read_text()}", file=sys.stderr)
        return
    tally.resumed += 1
    tally.equal += phase.result(folder) == whole.result
    tally.lost += missing(before, phase.kept(folder))
    tally.left += len([*folder.rglob(".*.tmp"), *folder.glob(".*.lock")])


def missing(before: Mapping[str, Any], after: Mapping[str, Any]) -> int:
    """How many cells are gone or changed, or checkpoints gone or behind."""
    cells = isinstance(next(iter(before.values()), None), bytes)
    return sum(
        name not in after or (after[name] != value if cells else after[name] < value)
        for name, value in before.items()
    )


def rows_of(folder: Path, n: int) -> Path:
    """Rows in an npz file, by themselves in a folder, as a study wants them."""
    folder.mkdir()
    x, noise = np.random.default_rng(0).normal(size=(2, n, 3))
    np.savez(folder / "rows.npz", x=x, y=x**2 + noise, mi=1.0)  # the truth is no matter here
    return folder / "rows.npz"


def tallies(options: Any) -> Iterator[Tally]:
    """The phases in turn, each with its share of the kills."""
    with tempfile.TemporaryDirectory() as name:
        rows = rows_of(Path(name) / "rows", options.rows)
        for k, phase in enumerate(Phase(each, rows) for each in options.phases):
            share = options.kills // len(options.phases)
            share += k < options.kills % len(options.phases)
            dice = random.Random(f"{options.seed} {phase.name}")
            tally = Tally(phase.name)
            whole = undisturbed(phase, Path(name) / phase.name, options.threads)
            while tally.kills < share:
                folder = Path(name) / f"{phase.name}-{tally.chains}"
                most = min(dice.randint(1, 3), share - tally.kills)
                chain(phase, folder, whole, dice, options, tally, most)
            yield tally


def line(tally: Tally) -> list[object]:
    """A row of the table."""
    ended = f"{Spread.of(tally.ended).text(1)}" if tally.ended else "-"
    counts = (tally.kills, tally.terms, tally.chains, tally.resumed, tally.equal)
    rest = (tally.lost, tally.left, tally.orphans)
    return [tally.phase, *counts, *rest, ended, f"{max(tally.children, default=0):.1f}"]


def draw(figure: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    axes = figure.subplots()
    for place, row in enumerate(rows):
        axes.plot(row["ended"], [place] * len(row["ended"]), "|", color=GREYS[0], markersize=20)
    axes.set_yticks(range(len(rows)), [row["phase"] for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(left=0)
    axes.set_xlabel("seconds from SIGTERM to the end of the process, each time")
    axes.spines[["top", "right"]].set_visible(False)


def main(arguments: Sequence[str] | None = None) -> None:
    options_of = parser(__doc__)
    phases = ("training", "certificate", "study")
    options_of.add_argument("--kills", type=int, default=50)
    options_of.add_argument("--seed", type=int, default=0)
    options_of.add_argument("--rows", type=int, default=400)
    options_of.add_argument("--terms", type=float, default=1 / 3, help="share of SIGTERM")
    options_of.add_argument("--phases", nargs="+", choices=phases, default=phases)
    options = options_of.parse_args(arguments)
    headings = ["phase", "kills", "SIGTERM", "commands", "resumed", "equal", "lost", "left"]
    headings += ["orphans", "ended, s", "children, s"]
    found = list(tallies(options))
    table(headings, [line(tally) for tally in found])
    finish(options, [vars(tally) for tally in found], draw)


if __name__ == "__main__":
    main()
