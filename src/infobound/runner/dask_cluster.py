"""The workers of a Dask cluster: are they there and alike, and work that comes back as it is done.

A worker that dies takes nothing with it but the item that it was at, and that goes to another one.
What the work is, and where its results are kept, is up to `compute`. The only module that
imports Dask.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import hashlib
import logging
import queue
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from infobound.errors import InputError
from infobound.training import run_directory

__all__ = ["Cluster", "Lost", "about", "connected"]

PATIENCE = 10.0  # seconds for a scheduler to answer
DESERTED = 60.0  # seconds without any worker, after which none is expected to come back
GLANCE = 1.0  # seconds between two looks at who is there

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Lost:
    """An item that gave nothing; `why` is a sentence."""

    why: str


@functools.lru_cache
def about(requirements: tuple[Callable[[], Mapping[str, str]], ...] = ()) -> Mapping[str, str]:
    """What must be alike wherever records of one table are computed, and how it is here.

    Args:
        requirements: functions of modules that say what else is needed, by name and version.

    Raises:
        InputError: what one of them raises where something is missing.

    Example:
        >>> [*about()]
        ['python', 'infobound', 'torch', 'numpy', 'scipy', 'sources']
    """
    found = {name: value for name, value in run_directory.versions().items() if name != "platform"}
    digest = hashlib.sha256()
    root = Path(__file__).parents[1]  # checkouts of one version differ too
    for file in sorted(root.rglob("*.py")):
        digest.update(file.read_bytes())
    found["sources"] = digest.hexdigest()[:12]
    for requirement in requirements:
        found |= requirement()
    return found


@contextlib.contextmanager
def connected(address: str, needs: Callable[[], Mapping[str, str]]) -> Iterator[Cluster]:
    """The cluster whose scheduler is at `address`, such as "tcp://10.0.0.5:8786".

    Args:
        address: what `dask scheduler` says when it starts.
        needs: `about` with its arguments; every worker must answer what this process answers.

    Raises:
        InputError: Dask is not installed; no scheduler answers within ten seconds; it has no
            worker, or one of several threads, or one that is unlike this process.

    Source: Rocklin, Dask, SciPy 2015, https://doi.org/10.25080/Majora-7b98e3ed-013.

    Example:
        >>> try:
        ...     with connected("nowhere", about) as workers:
        ...         print(workers.size())
        ... except InputError as error:
        ...     print(str(error).split(";")[0])
        Expected a Dask scheduler at nowhere
    """
    try:
        import dask
        import distributed
    except ImportError as error:
        raise InputError(
            f"Expected Dask for a cluster; it is not installed ({error}). Run: pip install "
            "'infobound[cluster]'"
        ) from error
    _reach(address)
    with (
        dask.config.set({"distributed.admin.large-graph-warning-threshold": "1TB"}),
        _silent("distributed.client"),
        distributed.Client(address, timeout=PATIENCE, set_as_default=False) as client,
    ):
        found = Cluster(address, client, needs, needs())
        found.check()
        yield found


def _reach(address: str) -> None:
    """See that a scheduler answers; a client would leave threads behind where none does."""
    import asyncio

    import distributed

    async def asked() -> Any:
        async with distributed.rpc(address, timeout=PATIENCE) as there:
            return await asyncio.wait_for(there.identity(), PATIENCE)

    try:
        with ThreadPoolExecutor(1) as thread:  # a notebook's own thread has a loop already
            kind = thread.submit(asyncio.run, asked()).result()["type"]
    except TimeoutError:
        kind = f"no answer in {PATIENCE:.0f} s"
    except Exception as error:  # any, where something else than Dask answers
        kind = str(error) or type(error).__name__
    if kind != "Scheduler":
        raise InputError(
            f"Expected a Dask scheduler at {address}; got: {kind}. Start one with `dask scheduler` "
            "and give the address that it says, such as tcp://10.0.0.5:8786."
        )


@contextlib.contextmanager
def _silent(name: str) -> Iterator[None]:
    """Without a logger's tracebacks about what is said in a sentence here."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


@dataclass(frozen=True)
class Cluster:
    """Workers that are alike; see `connected`. `here` is what `needs` answers in this process."""

    address: str
    client: Any
    needs: Callable[[], Mapping[str, str]]
    here: Mapping[str, str]

    def size(self) -> int:
        """Workers at this moment.

        Raises:
            InputError: the scheduler is gone.
        """
        return len(self._threads())

    def _threads(self) -> Mapping[str, int]:
        """How many threads each worker has."""
        try:
            if self.client.status == "running":
                return dict(self.client.nthreads())
        except (OSError, AttributeError) as error:  # it went while it was asked
            raise self._gone(str(error)) from error
        raise self._gone("the connection is lost")

    def check(self) -> None:
        """See that there are workers, of one thread each, and that they are as this process is."""
        threads = self._threads()
        if not threads:
            raise InputError(
                f"Expected workers at {self.address}; got none. Start some: dask worker "
                f"{self.address} --nthreads 1 --nworkers 4"
            )
        for worker, number in threads.items():
            _same({"threads": "1"}, {"threads": str(number)}, worker)
        for worker, found in self.client.run(self.needs, on_error="return").items():
            if isinstance(found, Exception):
                raise InputError(
                    f"Expected infobound and what it needs at worker {worker}; got: {found} Give "
                    "the workers this process's environment."
                )
            _same(self.here, found, worker)
        try:
            self.client.run_on_scheduler(_answers)
        except Exception as error:  # whatever goes wrong where a package is missing
            raise InputError(
                f"Expected the scheduler at {self.address} to read infobound's work; got: {error} "
                "Start it from an environment with infobound."
            ) from error

    def done(
        self,
        work: Callable[[Any], Result],
        items: Sequence[Item],
        *,
        packed: Callable[[Item], Any],
    ) -> Iterator[tuple[Item, Result | Lost]]:
        """Each item with what the work gave, as they come; one item at a time for each worker.

        Only what is being worked on is sent: the scheduler holds little, and a worker that dies
        puts the blame on no other item.

        Args:
            work: a function of a module; what it raises is reported as `Lost`.
            items: what to work on, in the order of their sending.
            packed: an item -> what of it is sent.

        Raises:
            InputError: the scheduler is gone, or all workers are; or a worker that joined later is
                unlike this process.
        """
        waiting, running = collections.deque(items), dict[str, tuple[Any, Item]]()
        back: queue.SimpleQueue[Any] = queue.SimpleQueue()
        last = time.monotonic()
        while waiting or running:
            there = self.size()
            last = time.monotonic() if there else last
            if time.monotonic() - last > DESERTED:
                raise self._gone(f"no worker for {DESERTED:.0f} s")
            while waiting and len(running) < there:
                item = waiting.popleft()
                sent = (work, packed(item), self.needs, self.here)
                future = self.client.submit(_task, *sent, pure=False)
                running[future.key] = future, item
                future.add_done_callback(back.put)
            with contextlib.suppress(queue.Empty):
                future = back.get(timeout=GLANCE)
                result = self._outcome(future)
                yield running.pop(future.key)[1], result

    def _outcome(self, future: Any) -> Any:
        """What a finished future holds: a result, or why there is none."""
        from distributed import KilledWorker

        if future.status not in ("finished", "error"):
            raise self._gone("the connection is lost")
        error = future.exception()
        if error is None:
            return future.result()
        if isinstance(error, InputError):
            raise error
        if isinstance(error, KilledWorker):
            return Lost(
                f"Expected a worker to live through this; {error.allowed_failures + 1} died of it, "
                "for want of memory perhaps. Run the command again with larger workers."
            )
        return Lost(f"{type(error).__name__}: {error}")

    def _gone(self, what: str) -> InputError:
        return InputError(
            f"Expected the cluster at {self.address} to stay; got: {what}. What is done is saved: "
            "start it again, and run the same command."
        )


def _answers() -> bool:
    """Run where it is to be seen whether this package is there."""
    return True


def _task(
    work: Callable[[Any], Any],
    packed: Any,
    needs: Callable[[], Mapping[str, str]],
    here: Mapping[str, str],
) -> Any:
    """The work on one item, at a worker; it may have joined after the others were looked at."""
    from distributed import get_worker

    worker = get_worker()
    _same({"threads": "1"}, {"threads": str(worker.state.nthreads)}, worker.address)
    _same(here, needs(), worker.address)
    return work(packed)


def _same(here: Mapping[str, str], there: Mapping[str, str], worker: str) -> None:
    """Refuse a worker whose rows would not be comparable."""
    for name, value in here.items():
        if there.get(name) != value:
            raise InputError(
                f"Expected workers with {name} = {value}, as here; got {there.get(name)} at "
                f"{worker}. {REMEDIES.get(name, REMEDIES[''])}"
            )


REMEDIES = {
    "threads": "Start it with --nthreads 1, and as many with --nworkers as it has cores: estimates "
    "in one process would share what torch has once for each process.",
    "": "Give all of them the same environment.",
}
