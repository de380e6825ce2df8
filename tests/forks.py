"""Processes forked from one that has imported torch, once for all of them."""

import multiprocessing
import os

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
