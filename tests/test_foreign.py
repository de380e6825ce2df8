"""What somebody else made: read as data or refused in a sentence, and never changed or removed."""

import contextlib
import dataclasses
import hashlib
import itertools
import json
import os
import shutil
import signal
import socket
import warnings

import numpy as np
import pictures
import pytest
import safetensors.numpy
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save

from infobound._system import files, locks
from infobound.benchmark import notebook, study, tasks
from infobound.config import Config
from infobound.errors import FaultWarning, InputError
from infobound.estimation import estimate as estimates
from infobound.studies import calibration, grid
from infobound.training.run_directory import Run

X, NOISE = np.random.default_rng(0).normal(size=(2, 60, 1))
SMALL = {"n_iters": 4, "eval_every": 2, "checkpoint_every": 2, "folds": 2, "hidden_dim": 4}
SMALL |= {"base": "none", "certify": False, "embedding_dim": 2}
HANGS = 100  # seconds, on a busy machine
OFTEN = settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[*HealthCheck],
)
pytestmark = pytest.mark.skipif(os.name != "posix", reason="pipes, links and devices")


@pytest.fixture(autouse=True)
def quick(no_pictures):
    """Without pictures; and what waits for the other end of a pipe is interrupted."""

    def late(*_):
        raise TimeoutError("it hangs")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(HANGS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def estimate(run, **hooks):
    return estimates.estimate(X, X + NOISE, run=run, **SMALL, **hooks)


def reproduce(run, **hooks):
    short = Config.notebook().with_(n_iters=2, eval_every=1, batch_size=10, hidden_dim=4)
    return notebook.reproduce(short, sample_size=20, d=1, run=run, **hooks)


def table(out, *, overwrite=False):
    """A study of two cells; `study.study` without its suites."""
    own = grid.ConfiguredEstimator(Config(estimator="gaussian"))
    task = tasks.make("gaussian", d=1, rho=0.5)
    plan = [(label, task, (task.mi, 0.0), 60) for label in ("a", "b")]
    with locks.held(out):
        return grid.run_grid(
            *("mine", plan, {"own": own}),
            **{"out": out, "seeds": 1, "first_seed": 0, "jobs": 1, "overwrite": overwrite},
        )


def told(rows):
    return [{k: v for k, v in vars(row).items() if k != "seconds"} for row in rows]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run that was stopped midway, a whole study, and what becomes of both undisturbed."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        pictures.leave_out(patch)
        count = itertools.count()
        with pytest.raises(KeyboardInterrupt):
            estimate(folder / "run", stop=lambda: next(count) == 7)
        shutil.copytree(folder / "run", folder / "whole")
        return {
            "run": (folder / "run", notebook.resume(folder / "whole")),
            "study": (folder / "study", table(folder / "study").rows),
        }


def resumed(run):
    return notebook.resume(run)


def continued(out):
    return told(table(out).rows)


# What is somebody else's, and how it is put at a path.


def put(kind, path, outside):
    """Something of somebody else's at a path; `outside` is a directory that is not ours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "file":
        path.write_text("years of work")
    elif kind == "json":
        path.write_text('{"mine": true}')
    elif kind == "arrays":
        safetensors.numpy.save_file({"x": np.ones((9, 1)), "y": np.ones((9, 1))}, path)
    elif kind == "directory":
        path.mkdir()
        (path / "thesis.tex").write_text("years")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as bound:
            here = os.getcwd()
            os.chdir(path.parent)  # the address of a socket is short
            bound.bind(path.name)
            os.chdir(here)
    elif kind == "hard link":
        os.link(outside / "thesis.tex", path)
    else:
        target = {"link": "thesis.tex", "link to a directory": "", "dangling link": "absent"}[kind]
        path.symlink_to(outside / target)


KINDS = ["file", "json", "arrays", "directory", "pipe", "socket", "hard link"]
KINDS += ["link", "link to a directory", "dangling link"]


def outside_of(folder):
    """A directory of somebody else's, with names like ours in it."""
    outside = folder / "outside"
    for name in ("thesis.tex", "a.json", "study.json", "events.out.tfevents.1", "fold-1/a.json"):
        (outside / name).parent.mkdir(parents=True, exist_ok=True)
        (outside / name).write_text(name)
    return outside


def fingerprint(path):
    """What is at a path, to the byte."""
    if path.is_symlink():
        return "link", os.readlink(path)
    if path.is_file():
        return "file", hashlib.sha256(path.read_bytes()).hexdigest()
    return "directory" if path.is_dir() else "other", path.lstat().st_mode


def everything(folder):
    return {path: fingerprint(path) for path in sorted(folder.rglob("*"))}


# Reading.


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 100_000 + "]" * 100_000, "nested"),
        ('{"a":' * 100_000 + "1" + "}" * 100_000, "nested"),
        ('{"a": 1, "a": 2}', "'a' is given twice"),
        ('{"a": 1' + "0" * 5000 + "}", "digit"),
        ('{"a": "\ud800"}'.encode("utf-16", "surrogatepass"), "expected text|decode"),
        ('{"a": "\\ud800"}', "a: expected text"),
        (b"\xff\xfe\x00", "decode|Expecting"),
        (b"\0" * 100, "Expecting|decode"),
        ('{"a": "x", "digest": 7}', "digest"),
        ('{"a": 7}', "a: expected text, got 7"),
        ('{"b": 7}', "a is missing"),
        ("[]", "expected an object"),
    ],
)
def test_json_of_somebody_else_is_one_sentence(tmp_path, text, said):
    @dataclasses.dataclass
    class Wanted:
        a: str

    (tmp_path / "run.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=rf"(?s)whole run\.json .*({said}).*Restore it") as caught:
        files.read_json(tmp_path / "run.json", Wanted)
    assert str(tmp_path / "run.json") in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_file_of_gigabytes_is_not_read(tmp_path):
    with open(tmp_path / "run.json", "wb") as file:
        file.truncate(10**12)
    with pytest.raises(InputError, match="1,000,000,000,000 bytes"):
        Run.open(tmp_path)


@pytest.mark.parametrize("kind", ["directory", "pipe", "socket", "link", "dangling link"])
@pytest.mark.parametrize(
    "name",
    [
        *("run.json", "rows.safetensors", "checkpoint-fold-1.safetensors", "metrics.csv"),
        *("checkpoint-fold-1.previous.safetensors", "result.json", "tensorboard", locks.NAME),
        *("cells", "study.json", "study.csv", "cells/*"),
    ],
)
def test_what_is_no_regular_file_is_refused_and_left(made, tmp_path, kind, name):
    if (kind, name) == ("directory", "tensorboard") or (kind, name) == ("directory", "cells"):
        pytest.skip("it is one")
    what = "study" if name.startswith(("cells", "study")) else "run"
    here = shutil.copytree(made[what][0], tmp_path / what)
    path = next(iter(sorted((here / "cells").iterdir()))) if name == "cells/*" else here / name
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    outside = outside_of(tmp_path)
    put(kind, path, outside)
    before = everything(outside), fingerprint(path)
    again = table if what == "study" else estimate
    works = [continued if what == "study" else resumed, lambda out: again(out, overwrite=True)]
    for work in works[1:] if "previous" in name else works:  # the one before is not always read
        with pytest.raises(InputError, match=r"Expected a (regular file|directory) at .*; got a "):
            work(here)
        assert (everything(outside), fingerprint(path)) == before


def rewritten(run, change, name="fold-1"):
    """The checkpoint changed and signed again, as somebody could who knows the format."""
    file = run / f"checkpoint-{name}.safetensors"
    tensors = load_file(file)
    meta = json.loads(files.read_header(file)[1]["meta"])
    tensors, meta = change(dict(tensors), dict(meta)) or (tensors, meta)
    (run / f"checkpoint-{name}.previous.safetensors").unlink(missing_ok=True)
    Run(run, {}).save_checkpoint(name, tensors, meta)


def with_meta(**values):
    return lambda tensors, meta: (tensors, {**meta, **values})


def with_tensor(name, change):
    return lambda tensors, meta: ({**tensors, name: change(tensors[name])}, meta)


WEIGHT = "weights.network.x.0.weight"
UNFIT = {
    **{f"step {v}": with_meta(step=v) for v in (-7, 5, 10**30, 2.0, "2", None, True, [2])},
    **{f"step {v}": with_meta(step=float(v)) for v in ("inf", "nan")},
    **{f"chosen {v}": with_meta(chosen=v) for v in (-7, 1, 10**30, "0", None)},
    **{f"best {v}": with_meta(best=v) for v in (1e300, float("nan"), "0", 10**400)},
    "log average": with_meta(log_average=float("nan")),
    "finished": with_meta(finished=1),
    "no step": lambda t, m: (t, {k: v for k, v in m.items() if k != "step"}),
    "a list": lambda t, m: (t, [1]),
    "nested": lambda t, m: (t, {"step": [[[]]]}),
    "a weight less": lambda t, m: ({k: v for k, v in t.items() if k != WEIGHT}, m),
    "a weight more": lambda t, m: ({**t, "weights.more": torch.ones(1)}, m),
    "another tensor": lambda t, m: ({**t, "more": torch.ones(1)}, m),
    "a broadcast weight": with_tensor(WEIGHT, lambda v: v[:1]),
    "a flat weight": with_tensor(WEIGHT, lambda v: v.flatten()),
    "a double weight": with_tensor(WEIGHT, lambda v: v.double()),
    "an integer weight": with_tensor(WEIGHT, lambda v: v.long()),
    "a best less": lambda t, m: ({k: v for k, v in t.items() if k != f"best{WEIGHT[7:]}"}, m),
    "an average less": lambda t, m: (
        {k: v for k, v in t.items() if k != f"average{WEIGHT[7:]}"},
        m,
    ),
    "a double average": with_tensor(f"average{WEIGHT[7:]}", lambda v: v.double()),
    "a flat moment": with_tensor("optimiser.0.exp_avg", lambda v: v.flatten()),
    "a moment less": lambda t, m: ({k: v for k, v in t.items() if k != "optimiser.0.exp_avg"}, m),
    "a moment of nothing": lambda t, m: ({**t, "optimiser.99.exp_avg": torch.ones(1)}, m),
    "a moment of a word": lambda t, m: ({**t, "optimiser.a.exp_avg": torch.ones(1)}, m),
    "negative moments": with_tensor("optimiser.0.step", lambda v: v - 7),
    "infinite moments": with_tensor("optimiser.0.step", lambda v: v / 0),
    "no generator": lambda t, m: ({k: v for k, v in t.items() if k != "generator"}, m),
    "a short generator": with_tensor("generator", lambda v: v[:9]),
    "a generator of nothing": with_tensor("generator", lambda v: v * 0),
    "no history": lambda t, m: ({k: v for k, v in t.items() if k != "history"}, m),
    "a short history": with_tensor("history", lambda v: v[:-1]),
    "an empty history": with_tensor("history", lambda v: v[:0]),
    "a thin history": with_tensor("history", lambda v: v[:, :3].contiguous()),
    "a history of other steps": with_tensor("history", lambda v: v + 1),
    "a history of nothing": with_tensor("history", lambda v: v * float("nan")),
}


def test_a_checkpoint_that_is_signed_again_is_the_same(made, tmp_path):
    run = shutil.copytree(made["run"][0], tmp_path / "run")
    rewritten(run, lambda tensors, meta: None)
    assert notebook.resume(run) == made["run"][1]


@pytest.mark.parametrize("change", UNFIT.values(), ids=UNFIT)
def test_a_checkpoint_that_this_fit_cannot_have_written_is_refused(made, tmp_path, change):
    run = shutil.copytree(made["run"][0], tmp_path / "run")
    rewritten(run, change)
    with pytest.raises(InputError, match=r"checkpoint-fold-1.*delete it") as caught:
        notebook.resume(run)
    assert "\n" not in str(caught.value)[:400]


@pytest.mark.parametrize(
    "arrays",
    [
        {"x": X},
        {"x": X, "y": X, "z": X},
        {"x": X, "y": X[:-1]},
        {"x": X, "y": X[:, 0]},
        {"x": X[:0], "y": X[:0]},
        {"x": np.zeros((60, 0)), "y": X},
        {"x": X * np.nan, "y": X},
        {"x": X, "y": np.full_like(X, np.inf)},
        {"x": np.hstack([X, X]), "y": X},
        {"x": X[:20], "y": X[:20]},
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_rows_that_no_estimate_has_are_refused(made, tmp_path, arrays):
    run = shutil.copytree(made["run"][0], tmp_path / "run")
    Run(run, {}).save_rows("rows", arrays)
    with pytest.raises(InputError, match=r"Expected .*; got|truncated, damaged"):
        notebook.resume(run)


def header(entries, size=0):
    text = json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text + b"\0" * size


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff" * 8,
        (10**9).to_bytes(8, "little") + b"{}",
        header({"x": {"dtype": "F64", "shape": [0, 10**12], "data_offsets": [0, 0]}}),
        header({"x": {"dtype": "F64", "shape": [10**12, 10**12], "data_offsets": [0, 8]}}, 8),
        header({"x": {"dtype": "F64", "shape": [1], "data_offsets": [0, 10**15]}}, 8),
        header({"x": {"dtype": "F64", "shape": [1], "data_offsets": [-8, 0]}}, 8),
        header({"x": {"dtype": "F65", "shape": [1], "data_offsets": [0, 8]}}, 8),
        header({"x": {"dtype": "BOOL", "shape": [8], "data_offsets": [0, 8]}}, 8),
        header({"x": {"dtype": "F64", "shape": 1, "data_offsets": [0, 8]}}, 8),
        header({"x": 1}),
        header([1]),
        header("x"),
        header({"__metadata__": {"digest": 1}}),
        header({"__metadata__": {"meta": "[" * 10**5, "digest": "0"}}),
        len("[" * 10**5).to_bytes(8, "little") + b"[" * 10**5,
    ],
)
def test_tensors_of_somebody_else_are_one_sentence(tmp_path, data):
    run = Run.create(tmp_path / "run", record={"kind": "test"})
    for name, read in (
        ("rows.safetensors", lambda: run.load_rows("rows")),
        ("checkpoint-fit.safetensors", lambda: run.load_checkpoint("fit")),
    ):
        (run.path / name).write_bytes(data)
        with pytest.raises(InputError, match=f"whole {name}"):
            read()


@pytest.mark.parametrize("value", [None, True, -7, 1e308, "x", [], {}, 10**30, float("nan")])
@pytest.mark.parametrize("name", ["n", "seed", "truth", "mi", "low", "kept", "findings", "task"])
def test_a_cell_of_another_type_is_refused_or_read(made, tmp_path, name, value):
    """Also a cell without a digest, as earlier versions wrote them."""
    out = shutil.copytree(made["study"][0], tmp_path / "study")
    file = min((out / "cells").iterdir())
    cell = json.loads(file.read_text())
    cell["row"][name] = value
    file.write_text(json.dumps(cell))
    with pytest.raises(InputError, match=r"digest is .*Restore it from a copy"):
        table(out)
    del cell["digest"], cell["format"]
    file.write_text(json.dumps(cell))
    said = str(file)
    try:
        table(out)
    except InputError as error:
        said = str(error)
    assert str(file) in said


# Replacing and deleting.


WRITERS = {
    "estimate": lambda out: estimate(out, overwrite=True),
    "reproduce": lambda out: reproduce(out, overwrite=True),
    "study": lambda out: study.study(
        *("staircase",),
        **{"out": out, "sizes": [60], "seeds": 1, "jobs": 1, "overwrite": True},
        **{"estimators": ["gaussian"], "tasks": ["*gaussian (mi = 2.0)"]},
    ),
    "rehearse": lambda out: calibration.rehearse(
        *(X, X + NOISE),
        **{"out": out, "seeds": 1, "jobs": 1, "ladder": [0], "overwrite": True},
        estimator="gaussian",
    ),
}
NAMES = [
    *("notes.txt", ".something.tmp", ".rows.safetensors.123.tmp", "checkpoint-mine.safetensors"),
    *("rows.safetensors", "estimate.png", "checks.json", "summary.md", "rehearse.json"),
    *("tensorboard/notes.txt", "tensorboard/events.out.tfevents.1", "tensorboard/mine/a.txt"),
    *("tensorboard/mine/events.out.tfevents.2", "tensorboard/fold-1/notes.txt", "tensorboard"),
    *("cells/notes.json", "cells/mine_01234567.json", "cells/.mine.tmp", "cells", locks.NAME),
    ".infobound-0123456789abcdef.tmp",
]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """What each command leaves in a directory of its own."""
    with pytest.MonkeyPatch.context() as patch:
        pictures.leave_out(patch)
        found = {}
        for name, write in WRITERS.items():
            found[name] = tmp_path_factory.mktemp("written") / name
            write(found[name])
        return found


@pytest.mark.parametrize("command", WRITERS)
@pytest.mark.parametrize("begun", [True, False], ids=["over its own", "in a new directory"])
def test_nothing_of_somebody_else_changes(written, tmp_path, command, begun):
    """Every command that writes; `demo` is an estimate's run."""
    refused = 0
    cases = [(name, KINDS[k % len(KINDS)]) for k, name in enumerate(NAMES)]
    cases += [(name, "link to a directory") for name in ("cells", "tensorboard")]
    cases += [(locks.NAME, "hard link"), ("tensorboard/fold-1", "link to a directory")]
    cases = cases[[*WRITERS].index(command) + 2 * begun :: len(WRITERS)]  # the rest: in mixtures
    for k, (name, kind) in enumerate(cases):
        signal.alarm(HANGS)
        folder = tmp_path / str(k)
        folder.mkdir()
        outside, out = outside_of(folder), folder / "out"
        if begun:
            shutil.copytree(written[command], out)
        path = out / name
        if os.path.lexists(path):
            if name not in ("cells", "tensorboard", "tensorboard/fold-1"):
                continue  # it is the command's own
            shutil.rmtree(path)
        put(kind, path, outside)
        theirs = {p: v for p, v in everything(folder).items() if p == path or path in p.parents}
        if kind != "link":
            theirs |= everything(outside)
        said = str(out)
        try:
            WRITERS[command](out)
        except InputError as error:
            refused, said = refused + 1, str(error)
        assert str(out) in said
        now = {p: fingerprint(p) if os.path.lexists(p) else None for p in theirs}
        if not (path.name.startswith(".infobound-") and kind == "file"):
            assert now == theirs, (name, kind)
        shutil.rmtree(folder)
    assert refused < len(cases) or not begun


PLACES = st.sampled_from([name for name in NAMES if "infobound-" not in name])


@settings(OFTEN, max_examples=15)
@given(st.lists(st.tuples(PLACES, st.sampled_from(KINDS)), min_size=1, max_size=4), st.booleans())
def test_nothing_of_somebody_else_changes_in_any_mixture(written, tmp_path_factory, things, begun):
    """The same of many mixtures, with what commands do to a directory and no estimates between."""
    signal.alarm(HANGS)
    folder = tmp_path_factory.mktemp("mixture")
    outside = outside_of(folder)
    for what in ("estimate", "study"):
        out = folder / what
        if begun:
            shutil.copytree(written[what], out)
        ours = {*out.rglob("*")}
        for name, kind in things:
            path = out / name
            if not any(os.path.lexists(p) and not p.is_dir() for p in path.parents) and (
                not os.path.lexists(path)
            ):
                put(kind, path, outside)
        theirs = {p: v for p, v in everything(folder).items() if p not in ours}
        try:
            if what == "study":
                table(out, overwrite=True)
            else:
                with locks.held(out):
                    record = {"kind": "estimate"}
                    run = Run.create(out, record=record, rows={"x": X}, overwrite=True)
                    run.save_checkpoint("fold-1", {"a": torch.ones(1)}, {"step": 0})
                    run.write_metrics([])
                    events = run.tensorboard("fold-1", purge_step=0)
                    events.scalars(0, mi_list=0.0)
                    events.close()
                    run.write_json("result.json", {})
        except InputError:
            pass
        for path, before in theirs.items():
            if os.path.lexists(path) or before[0] != "directory":  # an empty one may go
                assert fingerprint(path) == before, path


def test_a_run_that_was_killed_before_it_existed_is_begun_again(tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "write_json", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            estimate(tmp_path / "run")
    (tmp_path / "run" / ".infobound-0123456789abcdef.tmp").write_bytes(b"half")
    assert {p.name for p in (tmp_path / "run").iterdir()} == {
        *("rows.safetensors", ".infobound-0123456789abcdef.tmp")
    }
    estimate(tmp_path / "run")
    assert not list((tmp_path / "run").glob(".*"))


def test_a_run_of_an_earlier_version_goes_on_and_is_replaced(made, tmp_path):
    """Without digest in run.json, with other temporary files and names of events."""
    run = shutil.copytree(made["run"][0], tmp_path / "run")
    record = json.loads((run / "run.json").read_text())
    del record["digest"]
    (run / "run.json").write_text(json.dumps(record))
    (run / ".metrics.csv.123.tmp").write_text("half")
    for file in run.rglob("events.*"):
        file.rename(file.with_suffix(""))
    again = shutil.copytree(run, tmp_path / "again")
    assert notebook.resume(run) == made["run"][1]
    assert estimate(again, overwrite=True) == made["run"][1]
    assert all(file.suffix == ".infobound" for file in again.rglob("events.*"))


# Any damage at all.

VALUES = [None, True, False, -7, 0, 10**30, 1e308, float("nan"), float("inf"), "", "x", "\0"]
VALUES += [[], {}, ["x"], {"a": 1}]


def places(value, at=()):
    """The paths to all values of a JSON document."""
    yield at
    items = value.items() if isinstance(value, dict) else []
    items = enumerate(value) if isinstance(value, list) else items
    for key, each in items:
        yield from places(each, (*at, key))


def replaced(value, at, new):
    if not at:
        return new
    copy = value.copy()
    copy[at[0]] = replaced(value[at[0]], at[1:], new)
    return copy


def damage(data, file, outside):
    """One file of a directory flipped, cut, given other values or tensors, or put away."""
    ways = ["flip", "cut", "empty", *KINDS]
    ways += ["value", "type"] if file.suffix == ".json" else []
    ways += ["tensors"] if file.suffix == ".safetensors" else []
    way, whole = data.draw(st.sampled_from(ways), "way"), file.read_bytes()
    if way == "flip":
        at = data.draw(st.integers(0, max(len(whole) - 1, 0)), "at")
        bit = 1 << data.draw(st.integers(0, 7), "bit")
        file.write_bytes(whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :])
    elif way == "cut":
        file.write_bytes(whole[: data.draw(st.integers(0, len(whole)), "length")])
    elif way == "empty":
        file.write_bytes(b"")
    elif way in ("value", "type"):
        value = json.loads(whole)
        at = data.draw(st.sampled_from([*places(value)]), "place")
        new = data.draw(st.sampled_from(VALUES), "value")
        old = value
        for key in at:
            old = old[key]
        number = isinstance(old, int | float) and isinstance(new, int | float)
        if (
            way == "unsealed"
            and isinstance(value, dict)
            and not number
            and type(old) is not type(new)
        ):
            value.pop("digest", None)
            if at == ("digest",):
                return
        file.write_text(json.dumps(replaced(value, at, new)))
    elif way == "tensors":
        tensors = load_file(file)
        name = data.draw(st.sampled_from(sorted(tensors)), "name")
        tensor = tensors.pop(name)
        change = data.draw(st.sampled_from(["drop", "rename", "flat", "kind", "more"]), "change")
        if change == "rename":
            tensors[name + "x"] = tensor
        elif change == "flat":
            tensors[name] = tensor.flatten()[None].contiguous()
        elif change == "kind":
            tensors[name] = tensor.to(torch.int16)
        elif change == "more":
            tensors |= {name: tensor, "more": torch.ones(3)}
        metadata = files.read_header(file)[1]
        if file.name.startswith("checkpoint") and data.draw(st.booleans(), "signed"):
            metadata["digest"] = files.digest(save(tensors) + metadata["meta"].encode())
        file.write_bytes(save(tensors, metadata=metadata))
    else:
        file.unlink()
        put(way, file, outside)


@OFTEN
@given(st.data())
@pytest.mark.parametrize(("what", "work"), [("run", resumed), ("study", continued)])
def test_whatever_the_damage_the_result_is_the_same_or_a_sentence(
    made, tmp_path_factory, what, work, data
):
    signal.alarm(HANGS)
    folder = tmp_path_factory.mktemp("damaged")
    outside = outside_of(folder)
    here = shutil.copytree(made[what][0], folder / what)
    names = sorted(p.relative_to(here) for p in here.rglob("*") if p.is_file())
    damage(data, here / data.draw(st.sampled_from(names), "file"), outside)
    before = everything(outside)
    expected = told(made[what][1]) if what == "study" else made[what][1]
    with warnings.catch_warnings(), contextlib.suppress(InputError):
        warnings.simplefilter("ignore", FaultWarning)
        assert work(here) == expected
    assert everything(outside) == before
    shutil.rmtree(folder)
