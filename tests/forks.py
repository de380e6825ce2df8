"""Processes forked from one that has imported torch, once for all of them.

`run`, `Popen` and `PIPE` stand in for those of `subprocess` where a script starts Python.
"""

import io
import multiprocessing
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

PIPE = subprocess.PIPE
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["infobound.benchmark.study", "distributed.cli.dask_worker"])


def run_main(words, log):
    """The command line in this process; what it prints is in the file `log`."""
    from infobound.cli.main import main

    with open(log, "w") as file:
        os.dup2(file.fileno(), 1), os.dup2(file.fileno(), 2)
        main(words)


def command(*words, log):
    """The process of an infobound command, started; it prints into the file `log`."""
    process = FORKS.Process(target=run_main, args=([*map(str, words)], log), daemon=True)
    process.start()
    return process


def run_rank(environment, function, arguments):
    """A function in this process, which is a rank."""
    os.environ.update(environment)
    function(*arguments)


def ranks(count, function, arguments):
    """The processes of so many ranks, started; `arguments(rank)` are those of a rank's function."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    processes = [
        FORKS.Process(
            target=run_rank,
            args=(
                {**place, "RANK": str(k), "LOCAL_RANK": str(k), "WORLD_SIZE": str(count)},
                function,
                arguments(k),
            ),
            daemon=True,
        )
        for k in range(count)
    ]
    for process in processes:
        process.start()
    return processes


def run_apart(words, log):
    """The command line in a session of its own."""
    os.setsid()
    run_main(words, log)


class Apart:
    """A command in a session of its own, started; as `subprocess.Popen` shows it."""

    def __init__(self, *words, log):
        words = [*map(str, words)]
        self._process = FORKS.Process(target=run_apart, args=(words, log), daemon=True)
        self._process.start()
        self.pid = self._process.pid

    @property
    def returncode(self):
        return self._process.exitcode

    def poll(self):
        return self._process.exitcode

    def wait(self, seconds=None):
        self._process.join(seconds)
        return self._process.exitcode

    def send_signal(self, number):
        os.kill(self.pid, number)


def run_python(words, streams, environment):
    """What `python WORDS` does, in this process, in a session of its own."""
    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    for number, name in enumerate(streams, start=1):
        with open(name, "wb") as file:
            os.dup2(file.fileno(), number)
    sys.stdout, sys.stderr = (
        io.TextIOWrapper(io.FileIO(number, "w", closefd=False), write_through=True)
        for number in (1, 2)
    )
    option, what, *rest = words
    if option == "-c":
        sys.argv = ["-c", *rest]
        exec(what, {"__name__": "__main__"})
    else:
        sys.argv = [what, *rest]
        runpy.run_module({"-m": what}[option], run_name="__main__", alter_sys=True)


class Popen:
    """A started `python -c CODE` or `python -m MODULE`."""

    def __init__(self, command, *, env=None, stdout=None, text=False):
        program, *words = map(str, command)
        assert (program, stdout) in ((sys.executable, None), (sys.executable, PIPE))
        self._folder, self._text = tempfile.TemporaryDirectory(), text
        self._streams = [Path(self._folder.name) / name for name in ("stdout", "stderr")]
        words = (words, self._streams, dict(os.environ if env is None else env))
        self._process = FORKS.Process(target=run_python, args=words)
        self._process.start()
        self.pid = self._process.pid

    @property
    def returncode(self):
        return self._process.exitcode

    def communicate(self, timeout=120):
        self._process.join(timeout)
        if self._process.exitcode is None:
            self.kill()
            raise subprocess.TimeoutExpired("python", timeout)
        said = [stream.read_bytes() for stream in self._streams]
        return tuple(each.decode() for each in said) if self._text else tuple(said)

    def kill(self):
        """End it and what it has started."""
        if self._process.exitcode is None:
            os.killpg(self.pid, signal.SIGKILL)
            self._process.join()


def run(command, *, env=None, capture_output=False, text=False, check=False):
    """The end of a `Popen`."""
    process = Popen(command, env=env, stdout=PIPE if capture_output else None, text=text)
    said = process.communicate()
    done = subprocess.CompletedProcess(command, process.returncode, *said)
    if check:
        done.check_returncode()
    return done
