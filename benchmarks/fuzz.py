"""Thousands of hostile inputs: does any end in a traceback, hang, touch what is not its own?

    python benchmarks/fuzz.py [--inputs 10000] [--jobs 2] [--seed 0] [--kinds files arguments ...]
    python benchmarks/fuzz.py --seed 0 --only 4211

The inputs are drawn by `hostile.py`: data files, arguments of the commands, values in containers,
calls of the Python functions, and run directories and studies that somebody else has changed. Each
runs in a process of its own, forked from one that has imported everything, in a fresh directory
beside one that stands for all that is the user's. An input ends well with a result, or with a
sentence: an `InputError`, or exit code 2. All else is a fault:

* `traceback`: another exception, or another exit code;
* `hang`: more than --limit seconds, with where it was;
* `memory`: a peak of resident memory above --memory MiB, all imports included;
* `touched`: a file that is not the call's own was changed, made or removed, a temporary file was
  left, or something was written elsewhere on the machine;
* `crash`: the process ended without a word;
* `value`: a result that is no result, such as a NaN, or JSON that cannot be read.

Inputs depend on the seed and their number alone, so that `--only` repeats one; its directory is
kept with --keep. Faults are listed by kind and place, each with its first input.
"""

from __future__ import annotations

import contextlib
import faulthandler
import hashlib
import importlib
import json
import math
import os
import resource
import signal
import stat
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

import hostile
import torch
from common import GREYS, finish, parser, table
from hostile import Input, Theirs

MIB = 1 << 20
ROOM = 3 << 30  # bytes by which a process may grow before it is refused memory
KINDS: dict[str, Callable[..., Input]] = {
    "files": hostile.files,
    "arguments": hostile.arguments,
    "containers": hostile.containers,
    "calls": hostile.calls,
    "directories": hostile.directories,
}
GOOD = ("result", "refused")
BAD = ("traceback", "hang", "memory", "touched", "crash", "value", "fuzzer")  # the last is ours


@dataclass
class Outcome:
    """What became of one input."""

    number: int
    kind: str
    what: str = "crash"
    said: str = ""
    place: str = ""  # the exception and where it was raised, or what was touched
    detail: str = ""
    seconds: float = 0.0
    peak: int = 0

    @property
    def is_fault(self) -> bool:
        return self.what not in GOOD


@dataclass(frozen=True)
class Limits:
    """What an input may take."""

    seconds: float = 60.0
    bytes: int = 1024 * MIB


IMPORTED = [
    *("infobound.cli.main", "infobound.runner.dask_cluster", "infobound.benchmark.study"),
    *("infobound.files.readers", "infobound.report.console"),
]
IMPORTED += ["matplotlib.figure", "pyarrow.parquet", "sklearn.mixture", "torch.utils.tensorboard"]


def imported() -> None:
    """Import everything that an input may need, so that a fork has it; start no threads."""
    os.environ["MPLBACKEND"] = "agg"
    for name in IMPORTED:
        importlib.import_module(name)
    import infobound

    for name in infobound.__all__:
        getattr(infobound, name)
    torch.set_num_threads(1)


def snapshot(folder: Path) -> dict[str, str]:
    """Everything below a folder: kind, permissions and content, links not followed."""
    found = {}
    for place, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = os.path.join(place, name)
            state = os.lstat(path)
            content = ""
            if stat.S_ISLNK(state.st_mode):
                content = os.readlink(path)
            elif stat.S_ISREG(state.st_mode):
                with open(path, "rb") as file:
                    content = hashlib.file_digest(file, "sha256").hexdigest()
                content += f" {state.st_mtime_ns}"
            found[os.path.relpath(path, folder)] = f"{state.st_mode} {content}"
    return found


def touched(before: Mapping[str, str], after: Mapping[str, str], tried: Input) -> list[str]:
    """What differs and is not the call's own."""
    own = [os.path.normpath(f"inside/{place}") for place in tried.writes]
    foreign = {os.path.normpath(f"inside/{place}") for place in tried.foreign}
    found = []
    for path in {**before, **after}:
        mine = any(path == place or path.startswith(f"{place}/") for place in own)
        if before.get(path) != after.get(path) and (not mine or path in foreign):
            way = "made" if path not in before else "removed" if path not in after else "changed"
            found.append(f"{way} {path}")
    return found


LOCAL = ("127.0.0.1", "localhost", "::1", None)
WRITES = {  # events of CPython that change files, and which of their arguments are paths
    **dict.fromkeys(("os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.chmod"), (0,)),
    **dict.fromkeys(("shutil.rmtree", "os.utime"), (0,)),
    **dict.fromkeys(("os.rename", "os.link", "os.symlink"), (0, 1)),
}


def watched(folder: Path, seen: list[str]) -> None:
    """From here on note and refuse what this process writes elsewhere, and refuse the network."""
    inside = os.path.realpath(folder)

    def is_elsewhere(path: object) -> bool:
        if not isinstance(path, str | bytes):
            return False
        whole = os.path.realpath(os.fsdecode(path))
        return not whole.startswith((inside, "/dev/", "/proc/"))

    def look(event: str, arguments: tuple[Any, ...]) -> None:
        paths: list[object] = []
        if event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            paths = [arguments[0]]
        elif event in WRITES:
            paths = [arguments[k] for k in WRITES[event]]
        elif event == "socket.getaddrinfo" and arguments[0] not in LOCAL:
            raise OSError(101, "Network is unreachable")
        for path in filter(is_elsewhere, paths):
            seen.append(f"{event} {path!r}")
            raise PermissionError(13, "written elsewhere", str(path))

    sys.addaudithook(look)


def drawn(outcome: Outcome, seed: int, made: Path) -> Input:
    """The input of that number, its files made in the present directory."""
    dice = Random(f"{seed} {outcome.kind} {outcome.number}")
    if outcome.kind == "directories":
        return hostile.directories(dice, made)
    return KINDS[outcome.kind](dice)


def prepared(folder: Path) -> None:
    """The directories of an input, with something of the user's, and an environment in them."""
    for name in ("inside", "outside", "home", "tmp", "log"):
        (folder / name).mkdir(parents=True)
    (folder / "outside" / "data.csv").write_text("x,y\n" + "1,2\n3,4\n" * 30)
    (folder / "outside" / "mine.json").write_text('{"identity": {}, "row": {}}')
    os.chdir(folder / "inside")
    os.environ |= {"HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp"), "COLUMNS": "100"}
    tempfile.tempdir = None


def judged(outcome: Outcome, call: Callable[[], object], log: Path) -> None:
    """Make the call, and note what came of it."""
    from infobound import InputError, Interrupted

    try:
        result = call()
        outcome.what = "result"
        wrong = _wrong(result)
        if wrong:
            outcome.what, outcome.place = "value", wrong
    except (InputError, Interrupted) as error:
        outcome.what, outcome.detail = "refused", str(error)
        if isinstance(error, InputError) and not outcome.detail.startswith("Expected"):
            outcome.what, outcome.place = "value", f"a sentence without Expected: {error}"[:200]
    except (Theirs, KeyboardInterrupt) as error:
        outcome.what, outcome.detail = "refused", type(error).__name__
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
        piped = "standard output pipe" in outcome.said and code == 1
        outcome.what = {0: "result", 2: "refused"}.get(code, "refused" if piped else "traceback")
        outcome.place = "" if outcome.what in GOOD else f"exit code {stop.code}"
    except BaseException as error:
        outcome.what, outcome.detail = "traceback", traceback.format_exc()
        outcome.place = f"{type(error).__name__} in {_place(error)}"


def _wrong(result: object) -> str:
    """Why a result is none."""
    if isinstance(result, float) and math.isnan(result):
        return "NaN"
    numbers = [getattr(result, name, 0.0) for name in ("mi", "difference", "p_value", "certified")]
    numbers += [*getattr(result, "interval", ())]
    if any(isinstance(value, float) and not math.isfinite(value) for value in numbers):
        return f"{result}"[:200]
    return ""


def _place(error: BaseException) -> str:
    """The last line of the package that an exception passed, and what it says."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "/infobound/" in f.filename]
    last = frames[-1] if frames else traceback.extract_tb(error.__traceback__)[-1]
    reason = next(iter(str(error).splitlines()), "")
    return f"{Path(last.filename).name}:{last.lineno} {last.name}: {reason}"[:160]


def run_one(outcome: Outcome, options: Any, folder: Path, made: Path) -> None:
    """In a process of its own: make the input, run it under watch, leave a report."""
    report = folder / "log" / "report.json"
    prepared(folder)
    for name, number in (("stdout", 1), ("stderr", 2)):
        os.dup2(os.open(folder / "log" / name, os.O_CREAT | os.O_WRONLY | os.O_APPEND), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    try:
        given = drawn(outcome, options.seed, made)
    except BaseException:
        outcome.what, outcome.place, outcome.detail = "fuzzer", "hostile.py", traceback.format_exc()
        report.write_text(json.dumps(asdict(outcome)))
        return
    outcome.said = given.said
    report.write_text(json.dumps(asdict(outcome), default=str))
    examined(outcome, given, folder, options.limits)
    with contextlib.suppress(OSError):
        os.chdir(folder)
    report.write_text(json.dumps(asdict(outcome)))


def examined(outcome: Outcome, given: Input, folder: Path, limits: Limits) -> None:
    """Run an input whose files are made, and note all that it did."""
    seen: list[str] = []
    parts = ("inside", "outside", "home", "tmp")
    before = {k: v for k, v in snapshot(folder).items() if k.split("/")[0] in parts}
    _limit_memory()
    hang = open(folder / "log" / "hang", "w")  # noqa: SIM115 - faulthandler needs it open
    faulthandler.dump_traceback_later(limits.seconds, exit=True, file=hang)
    watched(folder, seen)
    start = time.perf_counter()
    judged(outcome, given.call, folder / "log")
    outcome.seconds = time.perf_counter() - start
    faulthandler.cancel_dump_traceback_later()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # closed by the input
            stream.flush()
    after = {k: v for k, v in snapshot(folder).items() if k.split("/")[0] in parts}
    found = [*seen, *touched(before, after, given)]
    text = (folder / "log" / "stderr").read_text(errors="replace")
    if seen or (outcome.what in GOOD and found):  # what is written elsewhere is refused
        outcome.what, outcome.place = "touched", found[0]
        outcome.detail = "\n".join(found)
    elif outcome.what in GOOD and "Traceback" in text:
        last = [line for line in text.splitlines() if line and not line.startswith(" ")][-1]
        outcome.what, outcome.place, outcome.detail = "traceback", f"printed: {last}"[:160], text
    elif outcome.what == "refused" and not outcome.detail:
        outcome.detail = text
    elif outcome.what == "result" and outcome.kind == "files" and "'--json'" in outcome.said:
        try:
            json.loads((folder / "log" / "stdout").read_text())
        except ValueError as error:
            outcome.what, outcome.place = "value", f"no JSON: {error}"


def _limit_memory() -> None:
    """Refuse this process more memory than the machine can spare."""
    listing = Path("/proc/self/status").read_text()
    used = int(listing.split("VmData:")[1].split()[0]) * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (used + ROOM, used + ROOM))


def forked(work: Callable[[], None]) -> int:
    """A process with its own group, which does the work and ends; its id."""
    process = os.fork()
    if process:
        return process
    try:
        os.setsid()
        work()
    finally:
        os._exit(0)


def outcomes(options: Any, root: Path, made: Path) -> Iterator[Outcome]:
    """Each input's outcome as they come, `options.jobs` at once."""
    left = iter(options.numbers)
    running: dict[int, tuple[Outcome, Path, float]] = {}
    while True:
        for number in left:
            outcome = Outcome(number, options.kinds[number % len(options.kinds)])
            folder = root / str(number)
            process = forked(lambda o=outcome, f=folder: run_one(o, options, f, made))
            running[process] = outcome, folder, time.monotonic()
            if len(running) >= options.jobs:
                break
        if not running:
            return
        yield ended(running, options)


def until_stopped(found: Iterator[Outcome]) -> Iterator[Outcome]:
    """The outcomes until Ctrl-C, which ends the run with what there is."""
    with contextlib.suppress(KeyboardInterrupt):
        yield from found


def ended(running: dict[int, tuple[Outcome, Path, float]], options: Any) -> Outcome:
    """Wait for a process, end what hangs, and read its report."""
    limits: Limits = options.limits
    while True:
        process, status, usage = os.wait4(-1, os.WNOHANG)
        if process in running:
            break
        for each, (_, _, start) in running.items():
            if time.monotonic() - start > limits.seconds + 60:
                os.kill(each, signal.SIGKILL)
        time.sleep(0.005)
    outcome, folder, start = running.pop(process)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process, signal.SIGKILL)  # what it has left behind
    with contextlib.suppress(OSError, ValueError):
        outcome = Outcome(**json.loads((folder / "log" / "report.json").read_text()))
    outcome.peak = 1024 * usage.ru_maxrss
    hang = folder / "log" / "hang"
    if status and hang.exists() and hang.stat().st_size:
        outcome.what, outcome.detail = "hang", hang.read_text()
        frames = [line for line in outcome.detail.splitlines() if "/infobound/" in line]
        outcome.place = frames[0].split("/infobound/")[1] if frames else "?"
        outcome.seconds = time.monotonic() - start
    elif status:
        outcome.what, outcome.place = "crash", f"status {status}"
    elif outcome.peak > limits.bytes and not (outcome.is_fault and outcome.what != "crash"):
        outcome.what, outcome.place = "memory", f"{outcome.peak / MIB:,.0f} MiB"
    if not (options.keep and outcome.is_fault):
        subprocess.run(["rm", "-rf", folder], check=False)  # rmtree recurses, and some are deep
    return outcome


def lines(found: Sequence[Outcome], kinds: Sequence[str]) -> list[list[object]]:
    """A line of counts for each kind of input, and one for all."""
    rows = []
    for kind in (*kinds, "all"):
        here = [o for o in found if kind in (o.kind, "all")]
        if here:
            counts = Counter(o.what for o in here)
            slow, peak = max(o.seconds for o in here), max(o.peak for o in here) / MIB
            rest = [counts[what] for what in BAD]
            good = [counts[what] for what in GOOD]
            rows.append([kind, len(here), *good, *rest, f"{slow:.1f}", f"{peak:.0f}"])
    return rows


def listed(found: Sequence[Outcome], seed: int, kinds: Sequence[str]) -> None:
    """The faults by what they are and where, the most frequent first."""
    groups: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in found:
        if outcome.is_fault:
            kind = outcome.place if outcome.what != "traceback" else outcome.place.split(": ")[0]
            groups.setdefault((outcome.what, kind), []).append(outcome)
    for (what, _), those in sorted(groups.items(), key=lambda item: -len(item[1])):
        first = min(those, key=lambda outcome: len(outcome.said))
        print(f"\n{len(those)} x {what}: {first.place}\n    {first.kind}: {first.said[:400]}")
        again = f"--seed {seed} --kinds {' '.join(kinds)} --only {first.number}"
        print(f"    python benchmarks/fuzz.py {again}")


def draw(figure: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    axes = figure.subplots()
    for place, kind in enumerate(dict.fromkeys(row["kind"] for row in rows)):
        times = [max(row["seconds"], 1e-3) for row in rows if row["kind"] == kind]
        axes.plot(times, [place] * len(times), "|", color=GREYS[0], markersize=16, alpha=0.3)
        axes.text(axes.get_xlim()[0], place, kind)
    axes.set_yticks([])
    axes.set_xscale("log")
    axes.set_xlabel("seconds of each input, by kind")
    axes.spines[["top", "right", "left"]].set_visible(False)


def main(arguments: Sequence[str] | None = None) -> int:
    options_of = parser(__doc__)
    options_of.add_argument("--inputs", type=int, default=10_000)
    options_of.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    options_of.add_argument("--seed", type=int, default=0)
    options_of.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    options_of.add_argument("--only", type=int, nargs="+", help="numbers of inputs to repeat")
    options_of.add_argument("--limit", type=float, default=60.0, help="seconds for one input")
    options_of.add_argument("--memory", type=int, default=1024, help="MiB for one input")
    options_of.add_argument("--refusals", action="store_true", help="list the sentences too")
    options_of.add_argument("--keep", type=Path, help="keep the directories of faults here")
    options = options_of.parse_args(arguments)
    torch.set_num_threads(options.threads)
    options.numbers = options.only or range(options.inputs)
    options.limits = Limits(options.limit, options.memory * MIB)
    imported()
    with contextlib.ExitStack() as stack:
        root = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        root.mkdir(parents=True, exist_ok=True)
        made = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if "directories" in options.kinds:
            os.waitpid(forked(lambda: hostile.templates(made)), 0)
        found = []
        for outcome in until_stopped(outcomes(options, root.resolve(), made)):
            found.append(outcome)
            if options.only:
                print(f"{outcome.number} {outcome.what}: {outcome.said}")
                print(f"{outcome.place}\n{outcome.detail}")
            elif outcome.is_fault:
                print(
                    f"{outcome.number} {outcome.what}: {outcome.place}", file=sys.stderr, flush=True
                )
            if len(found) % 500 == 0:
                wrong = sum(o.is_fault for o in found)
                print(f"{len(found):,} inputs, {wrong} faults", file=sys.stderr, flush=True)
    headings = ["inputs", "number", *GOOD, *BAD, "slowest, s", "peak, MiB"]
    table(headings, lines(found, options.kinds))
    listed(found, options.seed, options.kinds)
    if options.refusals:
        said = Counter(" ".join(o.detail.split())[:150] for o in found if o.what == "refused")
        for sentence, count in said.most_common():
            print(f"{count:5} {sentence}")
    faults = [asdict(outcome) for outcome in found if outcome.is_fault]
    del options.limits, options.numbers
    names = ("number", "kind", "what", "seconds", "peak")
    rows = [{name: getattr(o, name) for name in names} for o in found]
    finish(options, rows, draw, faults=faults)
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
