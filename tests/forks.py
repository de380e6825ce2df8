"""Processes forked from one that has imported torch, once for all of them."""

import multiprocessing
import os
import socket

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    ["infobound.benchmark.study", "sklearn.mixture", "distributed.cli.dask_worker"]
)


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
