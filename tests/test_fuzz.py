"""Hostile inputs end with a result or a sentence; whatever watches over that sees planted faults.

The inputs are those of `benchmarks/hostile.py`: some of each kind in processes of their own, under
the watch of `benchmarks/fuzz.py`, and some drawn by Hypothesis, which makes a failing one small.
"""

import contextlib
import json
import sys
from pathlib import Path

import forks
import hypothesis
import pytest
from hypothesis import strategies as st

from infobound import InputError, Interrupted

COUNT = 5  # inputs in processes of their own, one of each kind
FOLDER = Path(__file__).parents[1] / "benchmarks"
PLANTED = {
    "sound": "result",
    "refused": "refused",
    "raises": "traceback",
    "exits": "traceback",
    "prints": "traceback",
    "changes": "touched",
    "changes_own": "touched",
    "makes_elsewhere": "touched",
    "leaves": "touched",
    "shells": "touched",
    "hangs": "hang",
    "allocates": "memory",
    "dies": "crash",
    "not_a_number": "value",
}
DRIVER = """
import os, signal, subprocess, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv.pop(1))
import fuzz, hostile, infobound
from infobound.cli import main as cli
import numpy as np

def sound(): return infobound.InputError
def refused(): raise infobound.InputError("Expected more; got less. Try again.")
def exits(): sys.exit(3)
def changes(): Path("../outside/data.csv").write_text("changed")
def changes_own(): Path("run/notes.txt").write_text("changed")
def makes_elsewhere(): Path(elsewhere).write_text("made")
def leaves(): Path(os.environ["TMPDIR"], "left").touch()
def shells(): subprocess.run(["rm", "../outside/data.csv"])
def hangs(): time.sleep(100)
def allocates(): np.ones(120_000_000)
def dies(): os.kill(os.getpid(), signal.SIGSEGV)
def not_a_number(): return float("nan")
def prints(): print("Traceback (most recent call last):\\nValueError", file=sys.stderr)

def raises():
    cli._parse = lambda arguments: 1 / 0
    cli.main(["bounds"])

def planted(call):
    def drawn(dice):
        Path("run").mkdir()
        Path("run/notes.txt").touch()
        return hostile.Input(call.__name__, call, ("run",), ("run/notes.txt",))
    return drawn

count, elsewhere, *files = sys.argv[1:]
fuzz.KINDS |= {name: planted(globals()[name]) for name in "PLANTED".split()}
quick = [name for name in fuzz.KINDS if name in "PLANTED".split() and name != "hangs"]
drawn = [name for name in fuzz.KINDS if name not in [*quick, "hangs"]]
given = ["--jobs", "1", "--threads", "1", "--seed", "13"]
for kinds, inputs, limit in (quick, len(quick), 60), (["hangs"], 1, 1), (drawn, count, 60):
    numbers = ["--inputs", str(inputs), "--limit", str(limit)]
    fuzz.main([*given, "--kinds", *kinds, *numbers, "--json", files.pop(0)])
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What the watch says of planted faults, and of some inputs of each kind."""
    folder = tmp_path_factory.mktemp("fuzz")
    names = [folder / name for name in ("elsewhere", "planted.json", "hang.json", "drawn.json")]
    code = DRIVER.replace("PLANTED", " ".join(PLANTED))
    words = [sys.executable, "-c", code, FOLDER, COUNT, *names]
    done = forks.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    planted, hang, drawn = (json.loads(path.read_text()) for path in names[1:])
    return {"planted": [*planted["rows"], *hang["rows"]], "drawn": drawn}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_seen(found, name):
    (outcome,) = (row for row in found["planted"] if row["kind"] == name)
    assert outcome["what"] == PLANTED[name]


def test_hostile_inputs_end_well(found):
    assert len(found["drawn"]["rows"]) == COUNT
    assert found["drawn"]["faults"] == []


@pytest.fixture
def hostile(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import hostile

    return hostile


@contextlib.contextmanager
def alone(folder):
    """A fresh directory to work in, beside something of the user's."""
    number = len(list(folder.iterdir()))
    place = folder / str(number) / "inside"
    place.mkdir(parents=True)
    (place.parent / "outside").mkdir()
    (place.parent / "outside" / "data.csv").write_text("x,y\n1,2\n")
    with contextlib.chdir(place):
        yield


@pytest.mark.parametrize(("kind", "count"), [("containers", 30), ("calls", 20), ("files", 10)])
def test_a_result_or_a_sentence(kind, count, hostile, tmp_path):
    @hypothesis.settings(
        max_examples=count, derandomize=True, database=None, deadline=None, print_blob=False,
        suppress_health_check=list(hypothesis.HealthCheck),
    )  # fmt: skip
    @hypothesis.given(st.randoms(use_true_random=False))
    def each(dice):
        with alone(tmp_path):
            given = getattr(hostile, kind)(dice)
            hypothesis.note(given.said)
            try:
                given.call()
            except (InputError, Interrupted, hostile.Theirs):
                pass
            except SystemExit as stop:
                if stop.code not in (None, 0, 2):
                    raise

    each()
