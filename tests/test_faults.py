"""Crashes, full disks, damaged files, second processes: nothing recorded is lost or misread."""

import contextlib
import dataclasses
import errno
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import forks
import numpy as np
import pictures
import pytest
import torch

from infobound import config
from infobound._system import files, locks
from infobound.benchmark import notebook, study
from infobound.cli import main as cli
from infobound.cli.main import main
from infobound.cli.session import Output, Session
from infobound.errors import FaultWarning, InputError, LostRank
from infobound.estimation import estimate as estimates
from infobound.plotting import figures
from infobound.results.estimate import Estimate
from infobound.runner.store import Store
from infobound.studies import accuracy, calibration, grid
from infobound.training.run_directory import Run

X, NOISE = np.random.default_rng(0).normal(size=(2, 120, 2))
SMALL = {"n_iters": 40, "eval_every": 10, "checkpoint_every": 10, "folds": 2, "hidden_dim": 8}
SMALL |= {"base": "none", "certify": False, "patience": 0}
pytestmark = pytest.mark.usefixtures("no_pictures")
BUSY = "import sys; from infobound._system import locks; h = locks.held(sys.argv[1]); h.__enter__()"
BUSY += "; print('held', flush=True); sys.stdin.read()"


PLAN = {
    "sizes": [60],
    "seeds": 1,
    "jobs": 1,
    "estimators": ["gaussian"],
    "tasks": ["*gaussian (mi = 2.0)"],
}


def estimate(run, **hooks):
    return estimates.estimate(X, X + NOISE, run=run, **SMALL, **hooks)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An estimate that nothing disturbs, and its run."""
    with pytest.MonkeyPatch.context() as patch:
        pictures.leave_out(patch)
        run = tmp_path_factory.mktemp("whole") / "run"
        return estimate(run), run


def stopping(run, *, after):
    """The estimate, asked to stop when it has been asked so many times."""
    count = iter(range(after))
    with pytest.raises(KeyboardInterrupt):
        estimate(run, stop=lambda: next(count, None) is None)


def listing(folder):
    return {str(p.relative_to(folder)): p.is_file() and p.read_bytes() for p in folder.rglob("*")}


@pytest.fixture(scope="module")
def busy(tmp_path_factory):
    """A directory that another process holds, and that process."""
    folder = tmp_path_factory.mktemp("busy") / "out"
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [sys.executable, "-c", BUSY, folder], stdin=pipe, stdout=pipe, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield folder, process
    process.kill()
    process.communicate()


def test_a_second_process_is_refused_and_changes_nothing(busy, whole, capsys):
    folder, process = busy
    for file in whole[1].glob("*.*"):
        shutil.copy(file, folder)
    before = listing(folder)
    normal = {"estimator": "gaussian", "seeds": 1, "jobs": 1}
    for work in (
        lambda: estimate(folder, overwrite=True),
        lambda: notebook.reproduce(run=folder, overwrite=True),
        lambda: notebook.demo(run=folder, overwrite=True),
        lambda: notebook.resume(folder),
        lambda: study.study("staircase", out=folder, overwrite=True),
        lambda: calibration.rehearse(X, X, out=folder, overwrite=True, **normal),
    ):
        with pytest.raises(InputError, match=f"free; process {process.pid} on .*since 20"):
            work()
    with pytest.raises(SystemExit) as stopped:
        main(["resume", str(folder)])
    assert stopped.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert listing(folder) == before


def test_a_lock_goes_with_its_holder_however_that_ends(busy):
    folder, process = busy
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (folder / locks.NAME).exists()  # what is left of it is in nobody's way
    with locks.held(folder):
        with pytest.raises(InputError, match=f"process {os.getpid()} on"), locks.held(folder):
            pass
        assert (folder / locks.NAME).exists()
    assert not (folder / locks.NAME).exists()


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("a/" * 1200, ""),  # deeper than the recursion limit, yet a legal name
        ("a/" * 2040, "too long"),  # a legal name; that of the lock in it is not
        ("a/b/" + "c" * 300, "too long"),
        ("file/a", "Not a directory"),
        ("dangling/a", "File exists"),
    ],
)
def test_a_lock_of_an_odd_path_is_a_sentence_or_works_and_leaves_no_trace(
    tmp_path, monkeypatch, path, reason
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    before = sorted(tmp_path.iterdir())
    with contextlib.ExitStack() as stack:
        if reason:
            stack.enter_context(pytest.raises(InputError, match=reason))
        with locks.held(path):
            assert Path(path, locks.NAME).exists()
    assert sorted(tmp_path.iterdir()) == before


def test_a_lock_leaves_no_trace_where_nothing_was_made(tmp_path):
    with locks.held(tmp_path / "a" / "b"):
        pass
    with locks.held(None):
        pass
    assert listing(tmp_path) == {}
    (tmp_path / "thesis.tex").write_text("years")
    for refused in (estimate, lambda out: study.study("staircase", out=out)):
        with pytest.raises(InputError, match="other files"):
            refused(tmp_path)
    assert listing(tmp_path) == {"thesis.tex": b"years"}


def test_a_lock_left_by_a_crash_is_no_other_file(tmp_path, whole):
    for name, left in (("run", ""), ("out", '{"pid": 12')):
        (tmp_path / name).mkdir()
        (tmp_path / name / locks.NAME).write_text(left)
    assert estimate(tmp_path / "run") == whole[0]
    assert not study.study("staircase", out=tmp_path / "out", **PLAN).failures
    assert locks.NAME not in {p.name for p in tmp_path.rglob("*")}


def test_of_several_ranks_the_first_holds_for_all(tmp_path, monkeypatch):
    with locks.held(tmp_path):
        monkeypatch.setattr(
            locks.distributed, "run_on_first", lambda action: None
        )  # as on the others
        with locks.held(tmp_path):
            pass


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_said(tmp_path, monkeypatch, number):
    fcntl = pytest.importorskip("fcntl")

    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.warns(FaultWarning, match="without locks"), locks.held(tmp_path):
        pass
    assert listing(tmp_path) == {}


TENSORS = {"weights": torch.arange(6.0).view(2, 3), "empty": torch.zeros(0, 4)}


def test_a_last_write_cut_anywhere_gives_the_one_before_it(tmp_path):
    run = Run.create(tmp_path / "run", record={})
    for step in (1, 2):
        run.save_checkpoint("fit", {k: v * step for k, v in TENSORS.items()}, {"step": step})
    file, previous = run._checkpoints("fit")
    new, old = file.read_bytes(), previous.read_bytes()
    for length in range(len(new)):
        file.write_bytes(new[:length])
        with pytest.warns(FaultWarning, match="the one before"):
            tensors, meta = run.load_checkpoint("fit")
        assert (meta["step"], tensors["weights"][1, 2]) == (1, 5)
        previous.write_bytes(old[: length % len(old)])
        with pytest.raises(InputError, match="truncated"):
            run.load_checkpoint("fit")
        previous.write_bytes(old)
    file.write_bytes(new)
    assert run.load_checkpoint("fit")[1]["step"] == 2
    file.unlink()  # a crash between the two renames
    with pytest.warns(FaultWarning, match="damaged or gone"):
        assert run.load_checkpoint("fit")[1]["step"] == 1


def test_other_files_cut_anywhere_are_whole_or_an_error(tmp_path):
    run = Run.create(tmp_path / "run", record={"kind": "x"}, rows={"x": X[:9]})
    run.write_json("result.json", {"mi": 0.5, "findings": ["capped"]})
    (tmp_path / "cells").mkdir()
    cell = accuracy.Row("suite", "group", "task", "default", 100, 0, 0.5, 0.0, mi=0.25)
    row = {"identity": {"infobound": "0", "rows": "drawn"}, "row": dataclasses.asdict(cell)}
    name = grid._file_name(cell)
    store = Store(tmp_path, accuracy.Row, grid._file_name, grid._problem, grid.FILES)
    (tmp_path / "cells" / name).write_text(json.dumps(row))
    for file, read in (
        (run.path / "rows.safetensors", lambda: run.load_rows("rows")["x"].tobytes()),
        (run.path / "run.json", lambda: Run.open(run.path).record),
        (run.path / "result.json", lambda: run.read_json("result.json")),
        (tmp_path / "cells" / name, lambda: store.records()),
    ):
        whole, expected = file.read_bytes(), read()
        for length in range(len(whole)):
            file.write_bytes(whole[:length])
            try:
                found = read()
            except InputError:
                continue
            assert found == expected
        file.write_bytes(whole)


def test_a_damaged_checkpoint_costs_an_interval_and_is_said(tmp_path, whole, capsys):
    run = tmp_path / "run"
    stopping(run, after=35)
    file = run / "checkpoint-fold-1.safetensors"
    file.write_bytes(file.read_bytes()[:-9])
    main(["resume", str(run), "--quiet", "--json"])
    said = capsys.readouterr()
    assert said.err.startswith(f"infobound: {file} is damaged or gone; the one before it is used")
    assert Estimate.from_dict(
        {k: v for k, v in json.loads(said.out).items() if k != "unit"}
    ) == whole[0]  # fmt: skip


def test_a_study_whose_label_is_damaged_keeps_its_cells(tmp_path):
    study.study("staircase", out=tmp_path, **PLAN)
    before = {p.name: p.read_bytes() for p in (tmp_path / "cells").iterdir()}
    (tmp_path / "study.json").write_bytes((tmp_path / "study.json").read_bytes()[:40])
    (tmp_path / "cells" / ".infobound-0123456789abcdef.tmp").write_text("half")
    study.study("staircase", out=tmp_path, **PLAN)
    assert {p.name: p.read_bytes() for p in (tmp_path / "cells").iterdir()} == before


FULL = [
    *("rows.safetensors", "run.json", "checkpoint-fold-1.safetensors", "metrics.csv"),
    *("checkpoint-fold-2.safetensors", "result.json"),
]


class Full:
    """A file on a disk without room."""

    def __init__(self, *words):
        self.file = open(*words)  # noqa: SIM115

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def __getattr__(self, name):
        return getattr(self.file, name)

    def write(self, data):
        self.file.write(bytes(data)[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("at", ["write", "fsync", "rename"])
def test_a_full_disk_is_said_and_loses_nothing(tmp_path, whole, monkeypatch, at):
    run, replace, fsync = tmp_path / "run", os.replace, os.fsync
    victims = iter(FULL)
    state = {"victim": "", "open": ""}

    def written(path, parts, previous=None):
        state["open"] = path.name
        try:
            return write_parts(path, parts, previous)
        finally:
            state["open"] = ""

    def opened(path, mode):
        full = at == "write" and state["open"] == state["victim"]
        return (Full if full else open)(path, mode)

    def full(real):
        def call(*words):
            if state["open"] == state["victim"]:
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(*words)

        return call

    write_parts = files._write_parts
    monkeypatch.setattr(files, "_write_parts", written)
    monkeypatch.setattr(files, "open", opened, raising=False)
    if at != "write":
        name, real = {"fsync": ("fsync", fsync), "rename": ("replace", replace)}[at]
        monkeypatch.setattr(files.os, name, full(real))
    for state["victim"] in victims:
        begun = (run / "run.json").exists()
        with pytest.raises(InputError, match=rf"{state['victim']}; it cannot .*No space left"):
            notebook.resume(run) if begun else estimate(run)
        assert not list(run.glob(".*"))  # neither a temporary file nor the lock
    for state["victim"] in ("estimate.png", "estimate.svg", "curve.png", "curve.svg"):
        (run / "result.json").unlink(missing_ok=True)
        with pytest.warns(
            FaultWarning, match=rf"{state['victim'][:-4]}\.png is left out.*No space"
        ):
            assert notebook.resume(run) == whole[0]  # a picture costs a sentence
        assert (run / "result.json").is_file()
    state["victim"] = None
    with warnings.catch_warnings():
        warnings.simplefilter("error", FaultWarning)
        assert notebook.resume(run) == whole[0]


def failing(error):
    """What renders no picture, and what is said then."""

    def fail(figure, kind):
        raise error

    return fail, rf"left out; the result itself is saved.*{type(error).__name__}"


@pytest.mark.parametrize("error", [ValueError("no font"), MemoryError(), InputError("full")])
def test_a_picture_that_fails_costs_a_sentence_and_no_result(tmp_path, monkeypatch, error):
    fail, said = failing(error)
    monkeypatch.setattr(figures, "render", fail)
    with pytest.warns(FaultWarning, match=said):
        result = estimate(tmp_path / "run")
    assert json.loads((tmp_path / "run" / "result.json").read_text())["mi"] == result.mi


def test_whatever_wants_a_picture_goes_on_without(tmp_path, monkeypatch, capsys):
    fail, said = failing(ValueError("no font"))
    monkeypatch.setattr(figures, "render", fail)
    short = config.Config.notebook().with_(n_iters=20, eval_every=10, batch_size=50)
    with pytest.warns(FaultWarning, match=said):
        notebook.reproduce(short, d=2, sample_size=60, run=tmp_path / "notebook")
    assert (tmp_path / "notebook" / "result.json").is_file()
    with pytest.warns(FaultWarning, match=said):
        study.study("staircase", out=tmp_path / "study", **PLAN)
    assert (tmp_path / "study" / "summary.md").is_file()
    settings = {"estimator": "gaussian", "ladder": [0], "seeds": 1, "jobs": 1}
    with pytest.warns(FaultWarning, match=said):
        calibration.rehearse(X, X + NOISE, out=tmp_path / "rehearsal", **settings)
    assert (tmp_path / "rehearsal" / "rehearse.json").is_file()
    assert not list(tmp_path.rglob("*.png"))
    np.savez(tmp_path / "rows.npz", x=X, y=X + NOISE)
    words = ["estimate", tmp_path / "rows.npz", "--x=x", "--y=y", "--run", tmp_path / "again"]
    main(
        [*map(str, words), "--critic=none", "--base=gaussian", "--no-certify", "--json"]
    )  # exit code 0
    out, err = capsys.readouterr()
    assert json.loads(out)["n"] == len(X)
    assert err.count("\n") == 1
    assert err.startswith("infobound: The picture estimate.png is left out")


def limited(words, log):
    """The command line in this process, which may write no large files."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))
    forks.run_main(words, log)


def test_a_file_size_limit_of_the_kernel_is_said(tmp_path, whole):
    run = tmp_path / "run"
    np.savez(tmp_path / "rows.npz", x=X, y=X + NOISE)
    flags = [f"--{k.replace('_', '-')}={v}" for k, v in SMALL.items() if k != "certify"]
    words = ["estimate", tmp_path / "rows.npz", "--x", "x", "--y", "y", "--run", run, *flags]
    words = [*map(str, words), "--no-certify"]
    process = forks.FORKS.Process(target=limited, args=(words, tmp_path / "log"))
    process.start()
    process.join(120)
    said = (tmp_path / "log").read_text()
    assert process.exitcode == 2, said
    assert "it cannot be written (File too large)" in said
    assert said.count("\n") == 1
    assert not list(run.glob(".*"))
    if (run / "run.json").exists():
        found = dataclasses.replace(notebook.resume(run), notes=whole[0].notes)
        assert found.mi == pytest.approx(whole[0].mi)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # TensorBoard's
def test_a_directory_that_vanishes_is_said_and_not_made_anew(tmp_path):
    run = tmp_path / "run"

    def vanish(progress):
        if progress.name == "fold-2" and run.exists():
            shutil.rmtree(run)

    with pytest.raises(InputError, match=r"it cannot be written \(No such file or directory\)"):
        estimate(run, watch=vanish)
    with pytest.raises(InputError, match="No such file"):  # between two fits
        Run(run, {}).tensorboard("fit", purge_step=0)
    assert not run.exists()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write all")
def test_a_directory_that_becomes_read_only_is_said(tmp_path):
    run = tmp_path / "run"
    try:
        with pytest.raises(InputError, match=r"it cannot be written \(Permission denied\)"):
            estimate(run, watch=lambda progress: run.chmod(0o500))
    finally:
        run.chmod(0o700)
    assert notebook.resume(run).n == len(X)


def test_no_decision_depends_on_the_clock(tmp_path, whole, monkeypatch):
    backwards = iter(range(2_000_000_000, 0, -1000))
    monkeypatch.setattr(time, "time", lambda: float(next(backwards)))
    stopping(tmp_path / "run", after=25)
    for file in tmp_path.rglob("*"):
        os.utime(file, (next(backwards),) * 2)
    assert notebook.resume(tmp_path / "run") == whole[0]


def test_a_signal_waits_for_training_and_for_nothing_else(monkeypatch):
    monkeypatch.setattr("infobound.cli.session.GRACE", 0.2)
    session = Session(Output(quiet=True))
    with session.training(None) as hooks:
        signal.raise_signal(signal.SIGTERM)  # noted, and no more
        assert hooks["stop"]()
    before = signal.getsignal(signal.SIGTERM)
    session, reached = Session(Output(quiet=True)), []

    def closed_forms():  # nobody asks `stop` there
        with session.training(None):
            signal.raise_signal(signal.SIGTERM)
            reached.append("noted")
            for _ in range(500):
                time.sleep(0.02)
            reached.append("done")

    with pytest.raises(KeyboardInterrupt):
        closed_forms()
    assert reached == ["noted"]
    assert set(session.signals) == {signal.SIGTERM}
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize(
    ("error", "first", "code", "said"),
    [
        (InputError("Expected room on the disk."), True, 2, ["infobound: Expected room"]),
        (InputError("Expected room on the disk."), False, 2, []),
        (
            LostRank("Expected an answer."),
            True,
            143,
            ["infobound: Expected an answer.", "Saved in"],
        ),
        (LostRank("Expected an answer."), False, 143, ["infobound: Expected an answer."]),
    ],
)
def test_what_a_signal_asked_to_save_and_could_not_is_not_called_saved(
    tmp_path, monkeypatch, capsys, error, first, code, said
):
    class Command:
        output = Output(quiet=True)

        def __call__(self, session):
            session.is_first_rank = first
            with session.training(tmp_path):
                (tmp_path / "run.json").touch()
                signal.raise_signal(signal.SIGTERM)
                raise error

    monkeypatch.setattr("infobound.cli.main._parse", lambda words: Command())
    with pytest.raises(SystemExit) as ended:
        cli.main(["estimate"])
    assert ended.value.code == code
    err = capsys.readouterr().err
    assert all(words in err for words in said)
    assert err.count("infobound: ") == len(said)


@pytest.mark.parametrize(
    ("begun", "said"),
    [
        (lambda one, out: one.stages(None), "Nothing was saved; with --out DIRECTORY"),
        (lambda one, out: one.training(None), "Nothing was saved; with --run DIRECTORY"),
        (lambda one, out: one.stages(None, saves=False), "Nothing was saved.\n"),
        (lambda one, out: one.training(None, saves=False), "Nothing was saved.\n"),
        (lambda one, out: one.stages(out), "0 cells are saved in"),
    ],
)
def test_an_interrupted_command_names_its_own_flag(tmp_path, monkeypatch, capsys, begun, said):
    class Command:
        output = Output(quiet=True)

        def __call__(self, session):
            (tmp_path / "study.json").touch()
            with begun(session, tmp_path):
                raise KeyboardInterrupt

    monkeypatch.setattr("infobound.cli.main._parse", lambda words: Command())
    with pytest.raises(SystemExit) as ended:
        cli.main(["columns"])
    assert ended.value.code == 130
    assert said in capsys.readouterr().err


PEER = """
import sys
from infobound.benchmark import external as peers
peers._elsewhere(sys.executable, "import time; open(sys.argv[1], 'w').close(); time.sleep(99)",
    sys.argv[1])
"""


CELLS = """
import sys, time
from infobound.studies import grid; from infobound import config
class Slow:
    def sample(self, n, generator):
        open(self.begun, "w").close()
        time.sleep(99)
task = Slow()
task.begun = sys.argv[1]
own = grid.ConfiguredEstimator(config.Config(estimator="gaussian"))
plan = [(f"slow-{k}", task, (0.0, 0.0), 9) for k in range(2)]
grid.run_grid("slow", plan, {"own": own}, out=sys.argv[1] + "-out", seeds=1, first_seed=0, jobs=2)
"""


@pytest.mark.skipif(os.name != "posix", reason="looks for groups of processes")
@pytest.mark.parametrize("script", [PEER, CELLS], ids=["peer", "cells"])
def test_children_end_with_the_process_that_was_killed(tmp_path, monkeypatch, script):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    kills = importlib.import_module("kills")
    process = forks.Popen([sys.executable, "-c", script, tmp_path / "begun"])
    assert kills.until((tmp_path / "begun").exists, 60)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert kills.until(lambda: not kills.living(process.pid), 20)


@pytest.mark.distributed
@pytest.mark.skipif(os.name != "posix", reason="kills groups of processes")
def test_killed_processes_lose_nothing_and_leave_nothing(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    threads = torch.get_num_threads()
    words = ["--kills=1", "--rows=60", "--phases", "training", "--threads=1"]  # study: test_study
    words += ["--seed=3"]  # SIGKILL at two fifths of the time
    kills = importlib.import_module("kills")
    small = ["--folds", "2", "--hidden-dim", "8", "--n-iters", "200", "--batch-size", "16"]
    monkeypatch.setattr(kills, "NETWORK", [*kills.NETWORK, *small])
    monkeypatch.setattr(kills, "spawn", lambda words, _, log: forks.Apart(*words, log=log))
    kills.main([*words, "--json", str(tmp_path / "kills.json")])
    torch.set_num_threads(threads)
    rows = json.loads((tmp_path / "kills.json").read_text())["rows"]
    assert [row["kills"] for row in rows] == [1]
    for row in rows:
        assert row["equal"] == row["resumed"] == row["chains"] > 0
        assert row["lost"] == row["left"] == row["orphans"] == 0
