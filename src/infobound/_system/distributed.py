"""Several processes (ranks) that compute one estimate: division of rows and collective operations.

Every rank runs the same program with the same seeds, so all of them make the same decisions; only
the pairs are divided. A rank scores its own rows of x against all rows of y, and the sums are
combined here. Ranks exist within `world`; outside of it there is a single one, whatever else the
program does with `torch.distributed`. This is the only module that imports it.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import re
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from infobound._system.row_groups import span
from infobound.errors import InputError, LostRank

__all__ = [
    *(
        "add",
        "sum_gradients",
        "any_rank",
        "run_on_first",
        "exchange_parts",
        "is_first",
        "own_slice",
        "ranks",
    ),
    "restarted",
    *("gather_rows", "broadcast_from_first", "map_over_ranks", "gather_replicated", "world"),
]

STARTED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")  # variables set by torchrun
RANK_TIMEOUT = 45  # seconds that a rank waits for one that may be dead

LONG = datetime.timedelta(hours=1)  # time limit where rank 0 writes, or another rank fetches

_engine: Any = None  # torch.distributed inside `world`; global, so that all threads see it
_slow_group: Any = None  # a group of the same ranks with the time limit LONG


def ranks() -> tuple[int, int]:
    """Return the rank of this process and the number of ranks.

    Example:
        >>> ranks()
        (0, 1)
    """
    return (0, 1) if _engine is None else (_engine.get_rank(), _engine.get_world_size())


def is_first() -> bool:
    """Return whether this process is rank 0, which writes and prints."""
    return ranks()[0] == 0


def restarted() -> bool:
    """Return whether `torchrun --max-restarts` has restarted this command after a rank died."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


@contextlib.contextmanager
def world() -> Iterator[None]:
    """Context in which work is divided among the ranks of `torchrun`; no effect on one process.

    The backend is gloo on CPUs and nccl on GPUs. An existing process group is used and left as it
    is.

    Raises:
        LostRank: If the ranks do not find each other, or one ends before the others.

    Source: Li et al. 2020, https://arxiv.org/abs/2006.15704 (PyTorch Distributed).

    Example:
        >>> with world():
        ...     own_slice(7)
        slice(0, 7, None)
    """
    global _engine, _slow_group
    alone = os.environ.get("WORLD_SIZE", "1") == "1" or not set(STARTED) <= os.environ.keys()
    if alone or _engine is not None:
        yield
        return
    import torch.distributed as dist

    begun = dist.is_initialized()
    if not begun:
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        with _lost_rank_errors():
            _begin(dist)
    _engine, _slow_group = dist, dist.new_group(timeout=LONG)
    try:
        yield
    finally:
        _engine, _slow_group = None, None
        if not begun:
            dist.destroy_process_group()


def _begin(dist: Any) -> None:
    """Create the process group with a key prefix in the store that no earlier start has used.

    `torchrun` keeps one store over restarts, so ranks would otherwise connect to the addresses of
    dead processes: https://github.com/pytorch/pytorch/issues/135712.
    """
    timeout = datetime.timedelta(seconds=RANK_TIMEOUT)
    store, rank, size = next(dist.rendezvous("env://", timeout=timeout))
    store.set_timeout(timeout)
    room = _unique_name(store, rank, size)
    store = dist.PrefixStore(f"infobound/{room}", store)
    dist.init_process_group(store=store, rank=rank, world_size=size, timeout=timeout)


def _unique_name(store: Any, rank: int, size: int) -> str:
    """Agree on a name that is unique to this start and known to all its ranks.

    Rank 0 proposes the name. Each other rank answers with a random number of its own, and accepts
    the name once rank 0 has repeated that number.
    """
    number = uuid.uuid4().hex
    until = time.monotonic() + RANK_TIMEOUT
    while time.monotonic() < until:
        if rank == 0:
            store.set("infobound/name", number)
            answers = [store.get(f"infobound/{k}").decode() for k in range(1, size)]
            if all(answer.startswith(number) for answer in answers):
                store.set(f"infobound/{number}", " ".join(answers))
                return number
        else:
            name = store.get("infobound/name").decode()
            store.set(f"infobound/{rank}", name + number)
            key = f"infobound/{name}"
            if store.check([key]) and name + number in store.get(key).decode().split():
                return str(name)
        time.sleep(0.02)
    raise RuntimeError("the ranks do not meet")


def own_slice(n: int) -> slice:
    """Return this rank's slice of n rows; slices are in order and as equal as possible.

    Example:
        >>> own_slice(7)
        slice(0, 7, None)
    """
    mine = span(n, *ranks())
    return slice(mine.start, mine.stop)


def gather_rows(part: Tensor, n: int) -> Tensor:
    """Gather n rows from each rank's `own_slice(n)`, for computations that differ by rank.

    The gradient of a rank's rows is the sum of the gradients of all ranks.
    """
    return part if ranks()[1] == 1 else _GatherRows.apply(part, n)


def gather_replicated(*parts: tuple[Tensor, int]) -> tuple[Tensor, ...]:
    """Gather all n rows of each (part, n) from each rank's `own_slice(n)`, in one message.

    They are for computations that are the same on all ranks: the gradient of a rank's rows is the
    one computed on this rank.
    """
    if ranks()[1] == 1:
        return tuple(part for part, _ in parts)
    return _GatherReplicated.apply([n for _, n in parts], *(part for part, _ in parts))


def sum_over_ranks(part: Tensor) -> Tensor:
    """Sum a tensor over ranks in place; it is not differentiable."""
    if _engine is not None:
        with _lost_rank_errors():
            _engine.all_reduce(part)
    return part


def sum_gradients(parameters: Iterable[Tensor]) -> None:
    """Sum the gradients of parameters over ranks, each of which has those of its own pairs."""
    if ranks()[1] == 1:
        return
    parameters = list(parameters)
    flat = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    together = sum_over_ranks(torch.cat([gradient.reshape(-1) for gradient in flat]))
    parts = together.split([p.numel() for p in parameters])
    for parameter, part in zip(parameters, parts, strict=True):
        parameter.grad = part.view_as(parameter)


def broadcast_from_first(tensors: Iterable[Tensor]) -> None:
    """Copy tensors of rank 0 to all ranks in place, since other CPUs may round differently."""
    for tensor in () if _engine is None else tensors:
        with _lost_rank_errors():
            _engine.broadcast(tensor, 0)


def any_rank(yes: bool) -> bool:
    """Return whether the value is true on any rank, so that all ranks stop at the same step."""
    return (
        yes
        if ranks()[1] == 1
        else bool(sum_over_ranks(torch.tensor(float(yes), dtype=torch.float32)))
    )


def map_over_ranks(work: Callable[[int], float], count: int) -> list[float]:
    """Compute `work(k)` for k from 0 to `count` - 1, each on one of the ranks.

    Example:
        >>> map_over_ranks(lambda k: k / 2, 3)
        [0.0, 0.5, 1.0]
    """
    rank, size = ranks()
    mine = [work(k) if k % size == rank else 0.0 for k in range(count)]
    return mine if size == 1 else sum_over_ranks(torch.tensor(mine, dtype=torch.float64)).tolist()


def run_on_first(action: Callable[[], None]) -> None:
    """Run an action on rank 0 while the others wait; an `InputError` is raised on all ranks.

    Raises:
        InputError: If rank 0 raised it.

    Example:
        >>> run_on_first(lambda: print("once"))
        once
    """
    if _engine is None:
        return action()
    problem: list[str | None] = [None]
    if is_first():
        try:
            action()
        except InputError as error:
            problem = [str(error)]
    with _lost_rank_errors():
        _engine.broadcast_object_list(problem, group=_slow_group)
    if problem[0] is not None:
        raise InputError(problem[0])


def exchange_parts(parts: Iterator[tuple[int, np.ndarray]]) -> Iterator[tuple[int, np.ndarray]]:
    """Send each rank's numbered parts (k, width), float64, to all ranks, as they are produced.

    Raises:
        InputError, OverflowError: If a rank raised it while it produced its parts; raised on all.

    Example:
        >>> list(exchange_parts(iter([(0, np.zeros((1, 1)))])))
        [(0, array([[0.]]))]
    """
    if _engine is None:
        yield from parts
        return
    rank, size = ranks()
    while True:
        shares: list[Any] = [None] * size
        error, start, mine = None, 0, None
        try:
            start, mine = next(parts, (0, None))
        except (InputError, OverflowError) as raised:
            error = raised
        with _lost_rank_errors():
            own_shape = None if mine is None else mine.shape
            _engine.all_gather_object(shares, (error, start, own_shape), group=_slow_group)
        for error, _, _ in shares:
            if error is not None:
                raise error
        if all(shape is None for _, _, shape in shares):
            return
        for source, (_, start, shape) in enumerate(shares):
            if shape is not None:
                rows = mine if source == rank and mine is not None else np.empty(shape)
                part = torch.from_numpy(np.ascontiguousarray(rows))
                with _lost_rank_errors():
                    _engine.broadcast(part, source, group=_slow_group)
                yield start, part.numpy()


@contextlib.contextmanager
def _lost_rank_errors() -> Iterator[None]:
    """Context in which errors of communication become a `LostRank`."""
    try:
        yield
    except RuntimeError as error:  # raised by gloo and nccl
        words = str(error).strip().splitlines()[0]
        first = re.sub(r"^\[.*?\] ", "", words).split(". ")[0]  # without the source location
        raise LostRank(
            f"Expected an answer from all {os.environ.get('WORLD_SIZE')} ranks; one has ended, or "
            f"was silent for {RANK_TIMEOUT} seconds ({first}). Start the same command again; with "
            "--run DIRECTORY it goes on from the last checkpoint, and by itself under "
            "torchrun --max-restarts 3."
        ) from error


def _gather(counts: Sequence[int], parts: Sequence[Tensor]) -> list[Tensor]:
    """Gather all rows by summing arrays that are zero outside of each rank's own rows."""
    all_rows = [part.new_zeros(n, *part.shape[1:]) for n, part in zip(counts, parts, strict=True)]
    for rows, part in zip(all_rows, parts, strict=True):
        rows[own_slice(len(rows))] = part
    message = sum_over_ranks(torch.cat([rows.reshape(-1) for rows in all_rows]))
    found = message.split([rows.numel() for rows in all_rows])
    return [part.view_as(rows) for part, rows in zip(found, all_rows, strict=True)]


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, part: Tensor, n: int) -> Tensor:
        return _gather([n], [part])[0]

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:
        return sum_over_ranks(slope.contiguous().clone())[own_slice(len(slope))], None


class _GatherReplicated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, counts: Sequence[int], *parts: Tensor) -> tuple[Tensor, ...]:
        return tuple(_gather(counts, parts))

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        return None, *(slope[own_slice(len(slope))] for slope in slopes)
