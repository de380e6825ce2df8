"""Several ranks equal one; a rank that dies ends the others, and the run goes on."""

import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path

import forks
import numpy as np
import on_ranks
import pytest
import torch
from safetensors.torch import load_file

import infobound.__main__
from infobound._system import distributed, files
from infobound.bounds import tiled
from infobound.cli.main import main
from infobound.cli.session import Output, Session
from infobound.errors import InputError, LostRank
from infobound.training.run_directory import Run

pytestmark = pytest.mark.distributed

# torchrun ends the ranks that are left as soon as it sees a dead one; these are to speak first
TORCHRUN = ("--standalone", "--monitor-interval", "3", "--nproc-per-node", "2")
FORKED = {"PET_RUN_PATH": "1", "PET_START_METHOD": "fork"}  # more of its options
SETTINGS = ("--critic", "joint", "--base", "none", "--folds", "2", "--n-iters", "60")
SETTINGS += ("--eval-every", "20", "--checkpoint-every", "10", "--batch-size", "97", "--json")
SETTINGS += ("--hidden-dim", "64")  # just wide enough that batches are shared: `tiled.SHARED_WORK`


@pytest.fixture
def torchrun():
    """Starts two ranks of a command; none of them is left behind."""
    started = []

    def start(*words, restarts=0):
        command = [sys.executable, "-m", "torch.distributed.run", *TORCHRUN]
        command += ["--max-restarts", restarts, "--", infobound.__main__.__file__, *words]
        started.append(forks.Popen(command, env=os.environ | FORKED, stdout=forks.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """An npz file of 301 pairs."""
    rng = np.random.default_rng(0)
    x, noise = rng.normal(size=(2, 301, 3))
    path = tmp_path_factory.mktemp("sample") / "pairs.npz"
    np.savez(path, x=x, y=0.8 * x + 0.6 * noise)
    return path


def estimate(sample, *more):
    return ("estimate", sample, "--x", "x", "--y", "y", *SETTINGS, *more)


def said(out):
    return {k: v for k, v in json.loads(out).items() if k != "command"}


def started(count, folder, *words):
    """The ranks of a command, which print into the files rank-0, rank-1, ... of the folder."""
    words = [*map(str, words)]
    return forks.ranks(count, forks.run_main, lambda k: (words, folder / f"rank-{k}"))


def commands(count, folder, *words):
    """What each rank prints, and its exit code."""
    processes = started(count, folder, *words)
    for process in processes:
        process.join(120)
    printed = [(folder / f"rank-{k}").read_text() for k in range(count)]
    return printed, [process.exitcode for process in processes]


def test_values_gradients_terms_and_training_are_those_of_one_process(tmp_path):
    # of two: the estimate below
    processes = forks.ranks(3, on_ranks.save, lambda _: (tmp_path / "found",))
    alone = on_ranks.everything()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    found = load_file(tmp_path / "found")
    assert found.keys() == alone.keys()
    for name, tensor in alone.items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=1e-9, msg=name)


@pytest.fixture(scope="module")
def both(tmp_path_factory, sample):
    """An estimate by two ranks that nothing disturbs."""
    (out, nothing), codes = commands(2, tmp_path_factory.mktemp("both"), *estimate(sample))
    assert (codes, nothing) == ([0, 0], "")
    return said(out)


def test_an_estimate_is_that_of_one_process(both, sample, capsys):
    main([*map(str, estimate(sample))])
    alone = json.loads(capsys.readouterr().out)
    for name in ("mi", "held_out", "training", "certified", "p_value"):
        assert abs(both[name] - alone[name]) < 1e-5, name
    assert both["kept"] == alone["kept"] > 0
    assert both["findings"] == alone["findings"]


def rank(process, number):
    """The process of a rank, once there is one; torchrun starts them in order."""
    for _ in range(600):
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError, IndexError):
                parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
                found += [int(folder.name)] if int(parent) == process.pid else []
        if len(found) > number:
            return sorted(found)[number]
        time.sleep(0.1)
    raise AssertionError("no such rank")


def once_it_trains(run, is_alive):
    """Wait until a checkpoint is on disk."""
    for _ in range(1200):
        if list(run.glob("checkpoint-*")):
            return
        assert is_alive()
        time.sleep(0.05)
    raise AssertionError("no checkpoint was written")


LOST = "Expected an answer from all 2 ranks"
LINUX = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds ranks in /proc")


def test_a_dead_first_rank_ends_the_other_with_a_sentence(sample, tmp_path):
    words = estimate(sample, "--run", tmp_path / "run", "--n-iters", "5000")
    first, other = started(2, tmp_path, *words)
    once_it_trains(tmp_path / "run", other.is_alive)
    os.kill(first.pid, signal.SIGKILL)
    other.join(60)
    assert other.exitcode == 2
    said = (tmp_path / "rank-1").read_text()
    assert LOST in said
    assert "--max-restarts" in said
    assert (tmp_path / "rank-0").read_text() == ""
    assert Run.open(tmp_path / "run").load_checkpoint("fold-1") is not None


@LINUX
def test_a_dead_rank_ends_the_first_and_a_restart_goes_on_to_the_same_bits(
    torchrun, sample, both, tmp_path
):
    process = torchrun(*estimate(sample, "--run", tmp_path / "run"), restarts=1)
    once_it_trains(tmp_path / "run", lambda: process.returncode is None)
    begun = (tmp_path / "run" / "run.json").stat().st_mtime_ns
    os.kill(rank(process, 1), signal.SIGKILL)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert LOST in err
    assert (tmp_path / "run" / "run.json").stat().st_mtime_ns == begun
    assert {**said(out), "seconds": 0} == {**both, "seconds": 0}


def test_a_restart_does_not_continue_another_command(tmp_path, monkeypatch):
    rows = {"x": np.ones((3, 1)), "y": np.arange(3.0)[:, None]}
    Run.create(tmp_path / "run", record={"seed": 0}, rows=rows)
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    Run.create(tmp_path / "run", record={"seed": 0}, rows=rows)
    for record, other in (({"seed": 1}, rows), ({"seed": 0}, {**rows, "x": np.zeros((3, 1))})):
        with pytest.raises(InputError, match="holds one already"):
            Run.create(tmp_path / "run", record=record, rows=other)
    assert files.same_arrays(tmp_path / "run" / "rows.safetensors", rows)


def test_a_process_group_of_yours_is_left_alone(monkeypatch):
    """Somebody trains with several ranks and estimates on one of them: nobody is waited for."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert distributed.ranks() == (0, 1)
    with distributed.world():  # a scheduler has set it, and nobody says where the others are
        assert distributed.ranks() == (0, 1)
    assert not tiled.is_shared(torch.nn.Linear(9, 9), 10_000, 10_000)


def test_silence_of_the_engine_is_a_sentence(monkeypatch):
    class Engine:
        @staticmethod
        def all_reduce(tensor):
            raise RuntimeError("Connection closed by peer [127.0.0.1]:1")

    monkeypatch.setattr(distributed, "_engine", Engine)
    with pytest.raises(LostRank, match="closed by peer"):
        distributed.sum_over_ranks(torch.ones(1))


def test_what_a_user_can_mend_is_said_once(tmp_path):
    printed, codes = commands(2, tmp_path, *estimate(tmp_path / "nothing.npz"))
    assert codes == [2, 2]
    assert printed[0].startswith("infobound: Expected")
    assert printed[1] == ""


def test_many_estimates_are_not_for_ranks(monkeypatch):
    monkeypatch.setattr(distributed, "ranks", lambda: (0, 2))
    with (
        pytest.raises(InputError, match="Start it without torchrun"),
        Session(Output()).counting(None),
    ):
        pass
