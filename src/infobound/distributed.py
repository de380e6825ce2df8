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
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from infobound.errors import InputError

__all__ = [
    *("add", "add_gradients", "any_says", "by_first", "is_first", "own", "ranks"),
    "same_as_first",
    *("rows_of_all", "whole", "world"),
]

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
def world() -> Iterator[None]:
    """The ranks that `torchrun` started: gloo on CPUs, nccl on GPUs; alone nothing happens.

    A rank that does not answer for 45 seconds ends the others with an error.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    import torch.distributed as dist

    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group(timeout=PATIENCE)
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


def whole(*parts: tuple[Tensor, int]) -> tuple[Tensor, ...]:
    """For each part and n all n rows from each rank's `own(n)`, in one message.

    They are for something that all ranks then do alike: the gradient of a rank's rows is what it is
    on this rank.
    """
    if ranks()[1] == 1:
        return tuple(part for part, _ in parts)
    return _Whole.apply([n for _, n in parts], *(part for part, _ in parts))


def add(part: Tensor) -> Tensor:
    """The sum over ranks, in place; no gradient goes through it."""
    dist = _engine()
    if dist is not None:
        dist.all_reduce(part)
    return part


def add_gradients(parameters: Iterable[Tensor]) -> None:
    """Each parameter's gradient is the sum of the ranks', each of which saw its own pairs."""
    if ranks()[1] == 1:
        return
    parameters = list(parameters)
    flat = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    together = add(torch.cat([gradient.reshape(-1) for gradient in flat]))
    parts = together.split([p.numel() for p in parameters])
    for parameter, part in zip(parameters, parts, strict=True):
        parameter.grad = part.view_as(parameter)


def same_as_first(module: nn.Module) -> None:
    """Give all ranks the first one's weights: other processors may round otherwise."""
    dist = _engine()
    for tensor in [] if dist is None else module.state_dict().values():
        dist.broadcast(tensor, 0)


def any_says(yes: bool) -> bool:
    """Whether any rank says so: ranks must stop at the same step."""
    if ranks()[1] == 1:
        return yes
    return bool(add(torch.tensor(float(yes))))


def by_first(action: Callable[[], None]) -> None:
    """Done by the first rank while the others wait; what a user can mend is raised by all.

    Raises:
        InputError: the first rank's.

    Example:
        >>> by_first(lambda: print("once"))
        once
    """
    dist = _engine()
    if dist is None:
        return action()
    said: list[str | None] = [None]
    if is_first():
        try:
            action()
        except InputError as error:
            said = [str(error)]
    dist.broadcast_object_list(said)
    if said[0] is not None:
        raise InputError(said[0])


def _gather(counts: Sequence[int], parts: Sequence[Tensor]) -> list[Tensor]:
    """All rows from each rank's own, which need not be as many: zeros elsewhere, and a sum."""
    all_rows = [part.new_zeros(n, *part.shape[1:]) for n, part in zip(counts, parts, strict=True)]
    for rows, part in zip(all_rows, parts, strict=True):
        rows[own(len(rows))] = part
    message = add(torch.cat([rows.reshape(-1) for rows in all_rows]))
    found = message.split([rows.numel() for rows in all_rows])
    return [part.view_as(rows) for part, rows in zip(found, all_rows, strict=True)]


class _Spread(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, part: Tensor, n: int) -> Tensor:
        return _gather([n], [part])[0]

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:
        return add(slope.contiguous().clone())[own(len(slope))], None


class _Whole(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, counts: Sequence[int], *parts: Tensor) -> tuple[Tensor, ...]:
        return tuple(_gather(counts, parts))

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        return None, *(slope[own(len(slope))] for slope in slopes)


def _engine() -> Any:
    """`torch.distributed` where there are several ranks; its import is not for nothing."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return None
    import torch.distributed as dist

    return dist if dist.is_initialized() else None
