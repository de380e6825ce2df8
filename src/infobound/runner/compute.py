"""Parallel, resumable computation of one record per key.

`run` takes a function from a key to a record, and a `Store` to which each record is written as soon
as it is computed; records in the store are not computed again. Local processes compute, or the
workers of a Dask cluster.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch

from infobound._system.processes import end_with_parent, one_thread
from infobound.errors import InputError
from infobound.runner import dask_cluster
from infobound.runner.store import Store

__all__ = ["Executor", "Progress", "Work", "executor", "run"]

PER_CORE = 4  # largest number of jobs per core; each has one computing thread and takes 300 MB

Key = TypeVar("Key")
Record = TypeVar("Record")


@dataclass(frozen=True)
class Progress:
    """The progress of a table.

    Attributes:
        done: the number of cells done, including those that were on disk before.
        total: the number of all cells.
        failed: the number of failures so far.
        row: the latest record; None before the first new one.
        at_once: how many cells are computed at once.
    """

    done: int
    total: int
    failed: int
    row: Any
    at_once: int = 1


@dataclass(frozen=True)
class Work(Generic[Key, Record]):
    """The functions that define a table; they must be picklable, so define them in modules.

    Attributes:
        compute: computes the record of a key; a failure is part of the record.
        identity: returns the settings that must be unchanged for a record on disk to be reused.
        failed: returns whether a record is a failure.
        lost: returns the record of a key whose worker died, for a reason as text.
        portable: returns a key that does not need local files, for other machines.
    """

    compute: Callable[[Key], Record]
    identity: Callable[[Key], Mapping[str, Any]]
    failed: Callable[[Record], bool]
    lost: Callable[[Key, str], Record]
    portable: Callable[[Key], Key]


@dataclass(frozen=True)
class Executor:
    """The local cores or the workers of a cluster, which compute `at_once` keys in parallel."""

    at_once: int
    workers: dask_cluster.Cluster | None = None

    def records(
        self, work: Work[Key, Record], keys: Sequence[Key], store: Store[Record]
    ) -> Iterator[Record]:
        """Yield records as they are computed, after writing each to the store."""
        if self.workers is None:
            return _by_processes(work, keys, store, min(self.at_once, len(keys)))
        return _by_cluster(self.workers, work, keys, store)


@contextlib.contextmanager
def executor(
    *, jobs: int | None, dask: str | None, needs: Callable[[], Mapping[str, str]]
) -> Iterator[Executor]:
    """Provide the executor that the settings name.

    Args:
        jobs: the number of parallel keys, each in its own process; by default one per core, at most
            four per core.
        dask: the address of a Dask scheduler whose workers compute instead.
        needs: see `dask_cluster.connected`.

    Raises:
        InputError: If there is no job, both settings are given, or a cluster cannot be used.
    """
    if jobs is not None and jobs < 1:
        raise InputError(
            f"Expected one job or more; got {jobs}. Leave it out for one job on each core."
        )
    if dask is None:
        import joblib

        cores = joblib.cpu_count()  # respects the limits of a container
        yield Executor(cores if jobs is None else min(jobs, PER_CORE * cores))
        return
    if jobs is not None:
        raise InputError(
            f"Expected --jobs or --dask; got both, {jobs} and {dask}. A cluster computes as many "
            "cells at once as it has workers."
        )
    with dask_cluster.connected(dask, needs) as workers:
        yield Executor(workers.size(), workers)


def run(
    work: Work[Key, Record],
    keys: Mapping[str, Key],
    store: Store[Record],
    by: Executor,
    *,
    watch: Callable[[Progress], None] | None = None,
) -> None:
    """Compute the records that a prepared store does not have yet, or that failed there.

    Args:
        work: the functions that define the table.
        keys: the keys by file name of their cell, in the order of computation.
        store: where records are written.
        by: the executor, which the caller keeps open.
        watch: called with a `Progress` before the first and after each record.

    Raises:
        InputError: If a process or the cluster is lost; finished records stay on disk.
    """
    stored = store.records()
    left = [key for name, key in keys.items() if name not in stored or work.failed(stored[name][1])]
    done, wrong = len(keys) - len(left), 0
    at_once = min(by.at_once, max(len(left), 1))
    report = watch or (lambda progress: None)
    report(Progress(done, len(keys), wrong, None, at_once))
    for record in by.records(work, left, store):
        done, wrong = done + 1, wrong + work.failed(record)
        report(Progress(done, len(keys), wrong, record, at_once))


def _by_processes(
    work: Work[Key, Record], keys: Sequence[Key], store: Store[Record], jobs: int
) -> Iterator[Record]:
    """Compute records in local processes; in this process if one is enough."""
    compute = functools.partial(_compute, work, store)
    if jobs < 2:
        with one_thread():
            yield from map(compute, keys)
        return
    import joblib
    from joblib.externals.loky.process_executor import BrokenProcessPool

    with joblib.parallel_config("loky", inner_max_num_threads=1):
        parallel = joblib.Parallel(n_jobs=jobs, batch_size=1, return_as="generator_unordered")
    parent = os.getpid()
    try:
        yield from parallel(
            joblib.delayed(_compute_elsewhere)(compute, key, parent) for key in keys
        )
    except BrokenProcessPool as error:
        raise InputError(
            f"Expected the study's processes to live; one was ended ({type(error).__name__}), for "
            "want of memory perhaps. What is done is saved: run the command again, with fewer "
            "--jobs."
        ) from error


def _by_cluster(
    workers: dask_cluster.Cluster,
    work: Work[Key, Record],
    keys: Sequence[Key],
    store: Store[Record],
) -> Iterator[Record]:
    """Compute records on a cluster's workers, and write each one here before it is yielded."""
    compute = functools.partial(_on_one_thread, work.compute)
    for key, found in workers.done(compute, keys, packed=work.portable):
        record = work.lost(key, found.why) if isinstance(found, dask_cluster.Lost) else found
        yield store.save(work.identity(key), record)


def _on_one_thread(compute: Callable[[Key], Record], key: Key) -> Record:
    with one_thread():
        return compute(key)


def _compute_elsewhere(compute: Callable[[Key], Record], key: Key, parent: int) -> Record:
    """Compute in a child process, which leaves Ctrl-C to its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent(parent)
    torch.set_num_threads(1)
    return compute(key)


def _compute(work: Work[Key, Record], store: Store[Record], key: Key) -> Record:
    """Compute one record and write it to disk."""
    return store.save(work.identity(key), work.compute(key))
