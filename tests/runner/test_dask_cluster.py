"""Studies on a Dask cluster: the same rows as here, whoever dies meanwhile.

The scheduler and the workers are real processes on this machine, started from scratch.
"""

import contextlib
import dataclasses
import functools
import importlib
import json
import os
import re
import signal
import sys
import time
from pathlib import Path

import dask
import distributed
import numpy as np
import pandas as pd
import pytest
from forks import FORKS

from infobound import lagged_pairs, pairwise, rehearse, transfer_network
from infobound._system import versions
from infobound.benchmark import sampling, study, tasks
from infobound.cli import main as cli
from infobound.config import Config
from infobound.errors import InputError
from infobound.runner import dask_cluster
from infobound.studies import grid

pytestmark = pytest.mark.distributed

GAUSSIAN = tasks.make("gaussian", d=1, rho=0.6)
SMALL = {"plain": [("one", GAUSSIAN), ("two", tasks.make("gaussian", d=2, rho=0.5))]}
TINY = Config(n_iters=20, folds=2, hidden_dim=8, base="gaussian", permutations=19)
PLAN = {"sizes": [100], "seeds": 2, "estimators": ["gaussian"]}
FULL = {"sizes": [100, 150], "seeds": 1, "estimators": ["base_only", "no_base"], "config": TINY}


@dataclasses.dataclass(frozen=True)
class Deadly:
    """A task that kills who samples it, or `victim`; only once, where there is a file to note it.

    Workers import this module to know it.
    """

    once: Path | None = None
    victim: int | None = None
    mi: float = 0.0
    mi_error: float = 0.0

    def sample(self, n, generator):
        if self.once is None or not self.once.exists():
            if self.once is not None:
                self.once.touch()
            os.kill(self.victim or os.getpid(), signal.SIGKILL)
        return GAUSSIAN.sample(n, generator)


def dask_command(name, words, folder, allowed, python):
    """`dask NAME WORDS` in a process of its own, in another directory than ours."""
    os.chdir(folder)
    with (folder / f"{name}.log").open("a") as log:
        os.dup2(log.fileno(), 1), os.dup2(log.fileno(), 2)
    if python:
        versions.platform.python_version = lambda: python
        versions._found.cache_clear()
    dask.config.set({"distributed.scheduler.allowed-failures": allowed})
    main = importlib.import_module(f"distributed.cli.dask_{name}").main
    main([*words, "--no-dashboard"], standalone_mode=False)


@dataclasses.dataclass
class Running:
    """A scheduler and its workers, as processes."""

    folder: Path
    allowed: int
    processes: list = dataclasses.field(default_factory=list)
    address: str = ""

    def start(self, name, *words, python=""):
        arguments = (name, words, self.folder, self.allowed, python)
        process = FORKS.Process(target=dask_command, args=arguments, daemon=True)
        process.start()
        self.processes.append(process)

    def worker(self, *, threads=1, python=""):
        words = ("--nthreads", str(threads), "--no-nanny", "--death-timeout", "20")
        self.start("worker", self.address, *words, python=python)

    def wait_for(self, workers):
        with distributed.Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=60)


@contextlib.contextmanager
def running(folder, *, workers=2, allowed=3):
    """A cluster that is gone, to the last process, when the test is over."""
    folder.mkdir(parents=True)
    found, note = Running(folder, allowed), folder / "scheduler.json"
    try:
        words = ("--host", "127.0.0.1", "--port", "0", "--idle-timeout", "120")
        found.start("scheduler", *words, "--scheduler-file", str(note))
        end = time.monotonic() + 60
        while not (note.exists() and note.read_text().endswith("}")):
            assert time.monotonic() < end
            time.sleep(0.02)
        found.address = json.loads(note.read_text())["address"]
        for _ in range(workers):
            found.worker()
        if workers:
            found.wait_for(workers)
        yield found
    finally:
        for process in found.processes:
            process.kill()
        for process in found.processes:
            process.join()


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Two workers that nothing befalls."""
    with running(tmp_path_factory.mktemp("two") / "cluster") as found:
        yield found.address


@pytest.fixture(autouse=True)
def suites(monkeypatch):
    """Small suites in place of the shipped ones; workers get their tasks from here."""
    monkeypatch.setattr(sampling.tasks, "suite", lambda name: SMALL[name])
    monkeypatch.setattr(study, "_draw", lambda found, unit: None)  # pictures take longer than cells


def table(path):
    return pd.read_csv(path / "study.csv").drop(columns="seconds")


def same(path, other):
    pd.testing.assert_frame_equal(table(path), table(other), check_exact=True)


# The same numbers


def test_a_cluster_gives_the_rows_that_this_machine_gives_to_the_last_bit(two, tmp_path):
    seen, again = [], []
    study.study("plain", out=tmp_path / "there", dask=two, **FULL, watch=seen.append)
    study.study("plain", out=tmp_path / "here", jobs=1, **FULL)
    same(tmp_path / "there", tmp_path / "here")
    assert [p.done for p in seen] == list(range(9))
    assert {p.at_once for p in seen} == {2}
    study.study("plain", out=tmp_path / "here", dask=two, **FULL, watch=again.append)
    assert [p.done for p in again] == [8]  # here or there is no setting: nothing is done twice


def test_files_stay_here_and_what_fails_fails_alike(two, tmp_path, monkeypatch):
    (tmp_path / "files").mkdir()
    x, noise = np.random.default_rng(0).normal(size=(2, 120))
    np.savez(tmp_path / "files" / "pair.npz", x=x, y=x + noise, mi=0.5 * np.log(2))
    monkeypatch.chdir(tmp_path)  # the workers are elsewhere and find no such file
    plan = {**PLAN, "files": "files", "sizes": [100, 200], "peers": ["sklearn"]}
    study.study("mine", out="there", dask=two, **plan)
    study.study("mine", out="here", jobs=1, **plan)
    same(Path("there"), Path("here"))
    errors = table(Path("there"))["error"].dropna()
    assert len(errors) == 4  # 200 rows are more than the file has
    assert errors.str.contains("at most 120 rows").all()


def test_a_rehearsal_is_the_same_there(two):
    x, noise = np.random.default_rng(0).normal(size=(2, 150))
    plan = {"ladder": [0, 0.5], "kinds": ["folded"], "seeds": 2, "estimator": "gaussian"}
    there = rehearse(x, x + noise, dask=two, **plan)
    assert there.lines == rehearse(x, x + noise, jobs=1, **plan).lines


# What dies


def test_the_cell_of_a_killed_worker_runs_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setitem(SMALL, "deadly", [*SMALL["plain"], ("slip", Deadly(tmp_path / "once"))])
    plan = PLAN
    with running(tmp_path / "cluster") as found:
        done = study.study("deadly", out=tmp_path / "out", dask=found.address, **plan)
        dead = [p.exitcode for p in found.processes if not p.is_alive()]
    assert dead == [-signal.SIGKILL]
    assert len(done.rows) == 6
    assert not done.failures
    study.study("deadly", out=tmp_path / "here", jobs=1, **plan)
    same(tmp_path / "out", tmp_path / "here")


def test_a_cell_that_kills_its_workers_fails_and_the_study_goes_on(tmp_path, monkeypatch):
    monkeypatch.setitem(SMALL, "deadly", [("poison", Deadly()), *SMALL["plain"]])
    plan = {**PLAN, "seeds": 1}
    with running(tmp_path / "cluster", allowed=0) as found:
        done = study.study("deadly", out=tmp_path / "out", dask=found.address, **plan)
    assert [row.task for row in done.rows] == ["one", "poison", "two"]
    assert [row.task for row in done.failures] == ["poison"]
    assert "1 died of it" in done.failures[0].error


def drive(out, address, once):
    """A study in a process of its own, whose third sample kills it."""
    SMALL["deadly"] = [*SMALL["plain"], ("end", Deadly(once, victim=os.getpid()))]
    sampling.tasks.suite = SMALL.get
    study.study("deadly", out=out, dask=address, **PLAN)


def test_a_driver_killed_midway_goes_on_with_what_is_missing(two, tmp_path, monkeypatch):
    once = tmp_path / "once"
    driver = FORKS.Process(target=drive, args=(tmp_path / "out", two, once), daemon=True)
    driver.start()
    driver.join(60)
    assert driver.exitcode == -signal.SIGKILL
    stored = files_in(tmp_path / "out")
    assert 1 <= len(stored) < 6
    monkeypatch.setitem(SMALL, "deadly", [*SMALL["plain"], ("end", Deadly(once))])
    seen = []
    study.study("deadly", out=tmp_path / "out", dask=two, **PLAN, watch=seen.append)
    assert [p.done for p in seen] == list(range(len(stored), 7))
    assert files_in(tmp_path / "out").items() >= stored.items()
    study.study("deadly", out=tmp_path / "here", jobs=1, **PLAN)
    same(tmp_path / "out", tmp_path / "here")


def files_in(folder):
    """The finished cells and their bytes."""
    return {file.name: file.read_bytes() for file in (folder / "cells").glob("*.json")}


def test_a_scheduler_lost_midway_is_said_and_what_is_done_stays(tmp_path, monkeypatch):
    with running(tmp_path / "cluster", workers=1) as found:
        end = ("end", Deadly(tmp_path / "once", victim=found.processes[0].pid))
        monkeypatch.setitem(SMALL, "deadly", [*SMALL["plain"], end])
        plan = {**PLAN, "seeds": 1}
        with pytest.raises(InputError, match=r"Expected the cluster at tcp.* to stay.* is saved"):
            study.study("deadly", out=tmp_path / "out", dask=found.address, **plan)
    assert len(files_in(tmp_path / "out")) == 2
    seen = []
    study.study("deadly", out=tmp_path / "out", jobs=1, **plan, watch=seen.append)
    assert [p.done for p in seen] == [2, 3]


def test_a_cluster_that_all_workers_leave_is_not_waited_for_forever(tmp_path, monkeypatch):
    monkeypatch.setattr(dask_cluster, "DESERTED", 0.5)
    monkeypatch.setitem(SMALL, "deadly", [("poison", Deadly())])
    with (
        running(tmp_path / "cluster", workers=1) as found,
        pytest.raises(InputError, match="no worker for"),
    ):
        study.study("deadly", out=tmp_path / "out", dask=found.address, **PLAN)


# What is refused


def test_unlike_workers_are_refused_when_they_come_and_when_they_are_there(tmp_path):
    needs = functools.partial(dask_cluster.about, (grid._Device("cpu"),))
    with running(tmp_path / "cluster", workers=1) as found:
        with dask_cluster.connected(found.address, needs) as workers:
            assert list(workers.done(abs, [-1, -2], packed=abs)) == [(-1, 1), (-2, 2)]
            found.worker(python="2.7.18")
            found.wait_for(2)
            with pytest.raises(InputError, match=r"python = .*got 2\.7\.18 at tcp"):
                list(workers.done(abs, [-1] * 20, packed=abs))
        with (
            pytest.raises(InputError, match=r"python = .*got 2\.7\.18 at tcp"),
            dask_cluster.connected(found.address, needs),
        ):
            pass


def test_workers_of_several_threads_and_none_at_all_are_refused(tmp_path):
    with running(tmp_path / "cluster", workers=0) as found:
        asked = functools.partial(study.study, "plain", out=tmp_path / "out", dask=found.address)
        with pytest.raises(InputError, match=r"Expected workers.*none.*--nthreads 1"):
            asked(**PLAN)
        found.worker(threads=2)
        found.wait_for(1)
        with pytest.raises(InputError, match=r"threads = 1.*got 2 .*--nthreads 1"):
            asked(**PLAN)
    assert not (tmp_path / "out").exists()


def said(capsys, *words):
    """What the command line says of itself when it refuses."""
    with pytest.raises(SystemExit) as stop:
        cli.main(["study", "staircase", *words])
    assert stop.value.code == 2
    return capsys.readouterr().err


def test_what_cannot_be_is_one_sentence_and_exit_code_2(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(dask_cluster, "TIMEOUT", 0.5)
    monkeypatch.setattr(sampling.tasks, "suite", lambda name: SMALL["plain"])
    words = ("--out", str(tmp_path / "out"), "--dask", "tcp://127.0.0.1:9")
    err = said(capsys, *words)
    assert re.fullmatch(r"infobound: Expected a Dask scheduler at .*:9; got: [^\n]*\n", err)
    assert "both" in said(capsys, *words, "--jobs", "2")
    monkeypatch.setitem(sys.modules, "distributed", None)
    err = said(capsys, *words)
    assert re.fullmatch(r"infobound: [^\n]* pip install 'infobound\[cluster\]'\n", err)
    assert not (tmp_path / "out").exists()


def test_pairs_of_columns_are_those_of_this_process(tmp_path, two):
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(200, 4)), columns=[*"abcd"])
    found = pairwise(frame, permutations=99, dask=two, out=tmp_path)
    assert found.pairs == pairwise(frame, permutations=99).pairs
    assert len([*(tmp_path / "cells").iterdir()]) == 1


def test_transfers_are_those_of_this_process(tmp_path, two):
    table = np.random.default_rng(0).normal(size=(200, 3))
    settings = {"config": Config(base="gaussian", critic="none"), "permutations": 99}
    found = transfer_network(table, dask=two, out=tmp_path, **settings)
    assert found == transfer_network(table, jobs=1, **settings)
    assert len([*(tmp_path / "cells").iterdir()]) == 6


def test_lags_of_channels_are_those_of_this_process(two):
    table = np.random.default_rng(0).normal(size=(200, 3))
    assert lagged_pairs(table, 5, dask=two) == lagged_pairs(table, 5)
