"""Compute a record of each key: in parallel, each on disk at once, what is done not done again.

`run` takes a function from a key to a record and a `Store`. Processes of this machine compute, or
the workers of a Dask cluster.
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

PER_CORE = 4  # jobs on a core at most: each is one thread that computes and some 300 MB

Key = TypeVar("Key")
Record = TypeVar("Record")


@dataclass(frozen=True)
class Progress:
    """How far a table is: cells done and in all, failures so far, and the record just made.

    Cells that were on disk before count as done; `row` is None before the first new one; `at_once`
    is how many are computed at once.
    """

    done: int
    total: int
    failed: int
    row: Any
    at_once: int = 1


@dataclass(frozen=True)
class Work(Generic[Key, Record]):
    """What a table is made of. Its functions belong to modules, so that other processes find them.

    `compute` makes the record of a key; what goes wrong is part of the record, and `failed` tells.
    `identity` is what must not have changed where a record is taken from disk. `lost` is the record
    of a key whose worker died. `portable` is a key as a machine needs it that lacks our files.
    """

    compute: Callable[[Key], Record]
    identity: Callable[[Key], Mapping[str, Any]]
    failed: Callable[[Record], bool]
    lost: Callable[[Key, str], Record]
    portable: Callable[[Key], Key]


@dataclass(frozen=True)
class Executor:
    """What computes: this machine's cores, or the workers of a cluster, so many keys at once."""

    at_once: int
    workers: dask_cluster.Cluster | None = None

    def records(
        self, work: Work[Key, Record], keys: Sequence[Key], store: Store[Record]
    ) -> Iterator[Record]:
        """The records as they come, each written before."""
        if self.workers is None:
            return _by_processes(work, keys, store, min(self.at_once, len(keys)))
        return _by_cluster(self.workers, work, keys, store)


@contextlib.contextmanager
def executor(
    *, jobs: int | None, dask: str | None, needs: Callable[[], Mapping[str, str]]
) -> Iterator[Executor]:
    """What computes with these settings.

    Args:
        jobs: keys at once, each in a process; one for each core if None, at most four for each.
        dask: the address of a Dask scheduler whose workers compute instead.
        needs: see `dask_cluster.connected`.

    Raises:
        InputError: no job, both settings, or a cluster that cannot be used.
    """
    if jobs is not None and jobs < 1:
        raise InputError(
            f"Expected one job or more; got {jobs}. Leave it out for one job on each core."
        )
    if dask is None:
        import joblib

        cores = joblib.cpu_count()  # those that this process may use, in a container too
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
    """Compute what is not yet in a store that was prepared, or failed there.

    Args:
        work: what is computed.
        keys: by the name of the cell's file, in the order in which they are computed.
        store: where records go.
        by: what computes; the caller keeps it open.
        watch: called with a `Progress` before the first and after each record.

    Raises:
        InputError: a process or a cluster is lost; what is done stays on disk.
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
    """Records by processes of this machine; in this process if one is enough."""
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
    """Records by a cluster's workers, each written here before."""
    compute = functools.partial(_on_one_thread, work.compute)
    for key, found in workers.done(compute, keys, packed=work.portable):
        record = work.lost(key, found.why) if isinstance(found, dask_cluster.Lost) else found
        yield store.save(work.identity(key), record)


def _on_one_thread(compute: Callable[[Key], Record], key: Key) -> Record:
    with one_thread():
        return compute(key)


def _compute_elsewhere(compute: Callable[[Key], Record], key: Key, parent: int) -> Record:
    """Compute in a process of its own, where Ctrl-C is the parent's concern."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent(parent)
    torch.set_num_threads(1)
    return compute(key)


def _compute(work: Work[Key, Record], store: Store[Record], key: Key) -> Record:
    """One record, on disk when it returns."""
    return store.save(work.identity(key), work.compute(key))
