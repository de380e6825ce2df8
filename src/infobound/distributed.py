"""Several processes that make one estimate: who has which rows, and how parts become a whole.

Every process (rank) runs the same program with the same seeds, so all of them decide alike; only
the pairs are shared out. A rank scores its own rows of x against all rows of y, and what bounds
read of that is put together here. Started by `torchrun`; without it there is one rank, and nothing
here costs anything. The only module that imports `torch.distributed`.
"""

from __future__ import annotations

import contextlib
import datetime
import os
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

__all__ = ["add", "is_first", "log_added", "own", "ranks", "rows_of_all", "whole", "world"]

PATIENCE = datetime.timedelta(seconds=45)  # how long a rank waits for one that may be dead


def ranks() -> tuple[int, int]:
    """This process's number and how many there are.

    Example:
        >>> ranks()
        (0, 1)
    """
    dist = _engine()
    return (0, 1) if dist is None else (dist.get_rank(), dist.get_world_size())


def is_first() -> bool:
    """Whether this process is the one that writes and prints."""
    return ranks()[0] == 0


@contextlib.contextmanager
def world(device: str = "cpu") -> Iterator[None]:
    """The ranks that `torchrun` started: gloo on CPUs, nccl on GPUs; alone nothing happens.

    A rank that does not answer for 45 seconds ends the others with an error.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    import torch.distributed as dist

    on_gpu = device != "cpu" and torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group("nccl" if on_gpu else "gloo", timeout=PATIENCE)
    try:
        yield
    finally:
        dist.destroy_process_group()


def own(n: int) -> slice:
    """Which of n rows are this rank's: slices in order, as equal as can be.

    Example:
        >>> own(7)
        slice(0, 7, None)
    """
    rank, size = ranks()
    return slice(n * rank // size, n * (rank + 1) // size)


def rows_of_all(part: Tensor, n: int) -> Tensor:
    """All n rows from each rank's `own(n)`, for something that each rank then uses in its own way.

    The gradient of a rank's rows is the sum of what all ranks did with them.
    """
    return part if ranks()[1] == 1 else _Spread.apply(part, n)


def whole(part: Tensor, n: int) -> Tensor:
    """All n rows from each rank's `own(n)`, for something that all ranks then do alike.

    The gradient of a rank's rows is what it is on this rank.
    """
    return part if ranks()[1] == 1 else _Whole.apply(part, n)


def log_added(part: Tensor) -> Tensor:
    """The log of the sum over ranks of e^part, for something that all ranks then do alike."""
    return part if ranks()[1] == 1 else _LogAdded.apply(part)


def add(part: Tensor) -> Tensor:
    """The sum over ranks, in place; no gradient goes through it."""
    dist = _engine()
    if dist is not None:
        dist.all_reduce(part)
    return part


def _gather(part: Tensor, n: int) -> Tensor:
    together = part.new_zeros(n, *part.shape[1:])
    together[own(n)] = part  # ranks may have different numbers of rows: zeros elsewhere, and a sum
    return add(together)


class _Spread(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, part: Tensor, n: int) -> Tensor:
        return _gather(part, n)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:
        return add(slope.contiguous().clone())[own(len(slope))], None


class _Whole(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, part: Tensor, n: int) -> Tensor:
        return _gather(part, n)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:
        return slope[own(len(slope))], None


class _LogAdded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, part: Tensor) -> Tensor:
        peak = part.clone()
        _engine().all_reduce(peak, op=_engine().ReduceOp.MAX)
        total = add((part - peak).exp()).log() + peak
        ctx.save_for_backward(part, total)
        return total

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        part, total = ctx.saved_tensors
        return slope * (part - total).exp()


def _engine() -> Any:
    """`torch.distributed` where there are several ranks; its import is not for nothing."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return None
    import torch.distributed as dist

    return dist if dist.is_initialized() else None
