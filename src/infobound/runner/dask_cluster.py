"""Work on a Dask cluster: workers are checked to be alike, and results are yielded as they come.

If a worker dies, only its current item is lost, and that is sent to another worker. The work and
the storage of results are defined in `compute`. This is the only module that imports Dask.
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

from infobound._system.versions import versions
from infobound.errors import InputError

__all__ = ["Cluster", "Lost", "about", "connected"]

TIMEOUT = 10.0  # time limit of a scheduler's answer in seconds
DESERTED = 60.0  # seconds without any worker after which the cluster is given up
GLANCE = 1.0  # seconds between two checks of the number of workers

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Lost:
    """The outcome of an item without a result; `why` is the reason as a sentence."""

    why: str


@functools.lru_cache
def about(requirements: tuple[Callable[[], Mapping[str, str]], ...] = ()) -> Mapping[str, str]:
    """Return the versions that must be equal on all machines that compute one table.

    Args:
        requirements: picklable functions that return further requirements, by name and version.

    Returns:
        Versions by name, and a digest of this package's sources.

    Raises:
        InputError: If a requirement is not met; raised by its function.

    Example:
        >>> [*about()]
        ['python', 'infobound', 'torch', 'numpy', 'scipy', 'sources']
    """
    found = {name: value for name, value in versions().items() if name != "platform"}
    digest = hashlib.sha256()
    root = Path(__file__).parents[1]  # checkouts of the same version may differ
    for file in sorted(root.rglob("*.py")):
        digest.update(file.read_bytes())
    found["sources"] = digest.hexdigest()[:12]
    for requirement in requirements:
        found |= requirement()
    return found


@contextlib.contextmanager
def connected(address: str, needs: Callable[[], Mapping[str, str]]) -> Iterator[Cluster]:
    """Connect to the cluster whose scheduler is at `address`.

    Args:
        address: the address that `dask scheduler` prints, for example "tcp://10.0.0.5:8786".
        needs: `about` with its arguments; it must return the same on every worker as here.

    Raises:
        InputError: If Dask is not installed, no scheduler answers within ten seconds, there is no
            worker, or a worker has several threads or differs from this process.

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
        distributed.Client(address, timeout=TIMEOUT, set_as_default=False) as client,
    ):
        found = Cluster(address, client, needs, needs())
        found.check()
        yield found


def _reach(address: str) -> None:
    """Check that a scheduler answers; otherwise a client would leave threads behind."""
    import asyncio

    import distributed

    async def asked() -> Any:
        async with distributed.rpc(address, timeout=TIMEOUT) as there:
            return await asyncio.wait_for(there.identity(), TIMEOUT)

    try:
        with ThreadPoolExecutor(1) as thread:  # a notebook's thread already runs an event loop
            kind = thread.submit(asyncio.run, asked()).result()["type"]
    except TimeoutError:
        kind = f"no answer in {TIMEOUT:.0f} s"
    except Exception as error:  # anything may happen if another program answers
        kind = str(error) or type(error).__name__
    if kind != "Scheduler":
        raise InputError(
            f"Expected a Dask scheduler at {address}; got: {kind}. Start one with `dask scheduler` "
            "and give the address that it prints, such as tcp://10.0.0.5:8786."
        )


@contextlib.contextmanager
def _silent(name: str) -> Iterator[None]:
    """Silence a logger whose tracebacks repeat what is reported here in a sentence."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


@dataclass(frozen=True)
class Cluster:
    """A cluster of equal workers; see `connected`. `here` is what `needs` returns locally."""

    address: str
    client: Any
    needs: Callable[[], Mapping[str, str]]
    here: Mapping[str, str]

    def size(self) -> int:
        """Return the current number of workers.

        Raises:
            InputError: If the scheduler is lost.
        """
        return len(self._threads())

    def _threads(self) -> Mapping[str, int]:
        """Return the number of threads of each worker."""
        try:
            if self.client.status == "running":
                return dict(self.client.nthreads())
        except (OSError, AttributeError) as error:  # the connection was lost during the call
            raise self._gone(str(error)) from error
        raise self._gone("the connection is lost")

    def check(self) -> None:
        """Check that there are workers with one thread each that are equal to this process."""
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
        except Exception as error:  # a missing package may raise anything
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
        """Yield each item with its result as they are computed, one item per worker at a time.

        Only items that are being computed are sent, so that the scheduler needs little memory and a
        dying worker is blamed on no other item.

        Args:
            work: a picklable function; its exceptions are reported as `Lost`.
            items: the items in the order of sending.
            packed: returns what to send of an item.

        Raises:
            InputError: If the scheduler or all workers are lost, or a worker that joined later
                differs from this process.
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
        """Return the result of a finished future, or `Lost`."""
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
    """Return True; calling it on the scheduler shows that this package is installed there."""
    return True


def _task(
    work: Callable[[Any], Any],
    packed: Any,
    needs: Callable[[], Mapping[str, str]],
    here: Mapping[str, str],
) -> Any:
    """Compute one item on a worker, after checking the worker, which may have joined later."""
    from distributed import get_worker

    worker = get_worker()
    _same({"threads": "1"}, {"threads": str(worker.state.nthreads)}, worker.address)
    _same(here, needs(), worker.address)
    return work(packed)


def _same(here: Mapping[str, str], there: Mapping[str, str], worker: str) -> None:
    """Check that a worker is equal to this process, so that its rows are comparable.

    Raises:
        InputError: If it differs.
    """
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
