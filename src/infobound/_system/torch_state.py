"""PyTorch's global state: a result neither depends on what a caller has set there nor changes it.

PyTorch has three kinds of it. Grad mode, inference mode, autocast and the default device belong to
a thread: `defaults` sets them at each entry point and gives the caller's back. The default dtype
belongs to the process, so that setting it would disturb other threads: every call that makes a
tensor names its dtype instead (`tests/test_torch_state.py` sees to it). The generator from which
dropout draws belongs to the process as well: `seeded` has a thread draw from generators of its own.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._mode_utils import no_dispatch
from torch.utils._python_dispatch import TorchDispatchMode

from infobound.errors import InputError

__all__ = ["defaults", "draws", "nothing_drawn", "seeded", "seeded_globally"]

DEVICES = ("cpu", "cuda")  # those that autocast is turned off for
NO_GENERATOR = torch.ops.aten.native_dropout  # draws always, and takes no generator
_LOCK = threading.Lock()  # held while one operation draws from a global generator


@contextlib.contextmanager
def defaults() -> Iterator[None]:
    """Grad mode, inference mode, autocast and the default device as PyTorch starts with them.

    Of this thread alone; also a decorator.

    Example:
        >>> with torch.no_grad(), torch.device("meta"), defaults():
        ...     torch.is_grad_enabled(), torch.empty(1).device.type
        (True, 'cpu')
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for device in DEVICES:
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        if torch.get_default_device().type != "cpu":  # the mode slows every operation
            stack.enter_context(torch.device("cpu"))
        yield


def seeded(seed: int) -> contextlib.AbstractContextManager[Any]:
    """Random operations of this thread draw from generators with this seed, one for each device.

    The values are those that `torch.manual_seed(seed)` would give, dropout's too. The global
    generators are not touched, so that threads do not disturb each other. An operation that takes
    no generator (dropout on a GPU) draws from the global one, which is locked, and put back after.
    Each operation takes some microseconds more.

    Example:
        >>> before = torch.get_rng_state()
        >>> with seeded(1):
        ...     one = torch.rand(5)
        >>> with seeded(1):
        ...     torch.equal(torch.rand(5), one), torch.equal(torch.get_rng_state(), before)
        (True, True)
    """
    return _Seeded(seed)


def nothing_drawn() -> contextlib.AbstractContextManager[Any]:
    """Random operations of this thread raise an `InputError`.

    What draws in the backward pass is activation checkpointing, which computes the forward pass
    again. It would set the global generator to what it was, and get other numbers than `seeded`
    gave.

    Example:
        >>> with nothing_drawn():
        ...     torch.rand(1)
        Traceback (most recent call last):
        ...
        infobound.errors.InputError: Expected a module that draws ... Leave out one of the two.
    """
    return _NothingDrawn()


def draws(action: Callable[[], object]) -> bool:
    """Whether an action draws random numbers; it is done once, and gets some of seed 0.

    Example:
        >>> draws(lambda: torch.rand(1)), draws(lambda: torch.zeros(1, dtype=torch.float32))
        (True, False)
    """
    with _Seeded(0) as mode:
        action()
    return bool(mode.generators)


@contextlib.contextmanager
def seeded_globally(seed: int, device: torch.device) -> Iterator[None]:
    """The global generator of a device has this seed, and in the end the state that it had.

    For what cannot run inside `seeded`, as PyTorch's tracer. Threads that draw meanwhile are
    disturbed.
    """
    with _LOCK, _in_place_of_global(torch.Generator(device).manual_seed(seed)):
        yield


class _Mode(TorchDispatchMode):
    """Sees every operation of the thread on its way to the kernel, and lets all but some pass."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # skipping it would import the compiler, which takes a second

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping | None = None
    ) -> Any:
        given = dict(kwargs or {})
        known = (isinstance(value, torch.Generator) for value in (*args, *given.values()))
        if torch.Tag.nondeterministic_seeded not in func.tags or any(known):
            return func(*args, **given)
        return self.drawn(func, args, given)

    def drawn(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """What a random operation gives that was told no generator."""
        raise NotImplementedError


class _Seeded(_Mode):
    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed
        self.generators: dict[torch.device, torch.Generator] = {}

    def drawn(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        device = _device(args, kwargs)
        if device not in self.generators:
            self.generators[device] = torch.Generator(device).manual_seed(self.seed)
        own, with_generator = self.generators[device], _with_generator(func)
        if with_generator is not None:
            return with_generator(*args, **kwargs, generator=own)
        with _LOCK, _in_place_of_global(own), no_dispatch():
            return func(*args, **kwargs)


class _NothingDrawn(_Mode):
    def drawn(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        if _with_generator(func) is None and func.overloadpacket is not NO_GENERATOR:
            return func(*args, **kwargs)  # attention, which may draw but need not
        raise InputError(
            "Expected a module that draws no random numbers in the backward pass; got one that "
            "does, such as one with dropout inside torch.utils.checkpoint. Leave out one of the "
            "two."
        )


@functools.cache
def _with_generator(func: Any) -> Any:
    """The overload of an operation that takes a generator besides the same arguments, or None."""
    own = _arguments(func)
    packet = func.overloadpacket
    others = (getattr(packet, name) for name in packet.overloads())
    for overload in (func, *others):
        takes = any(argument.name == "generator" for argument in overload._schema.arguments)
        if takes and _arguments(overload) == own:
            return overload
    return None


def _arguments(overload: Any) -> list[tuple[str, str]]:
    """Names and types of the arguments except for the generator."""
    arguments = overload._schema.arguments
    return [(a.name, str(a.type)) for a in arguments if a.name != "generator"]


def _device(args: Sequence[Any], kwargs: Mapping[str, Any]) -> torch.device:
    """Where an operation draws: where its first tensor is, or where its result will be."""
    tensors = (value for value in args if isinstance(value, Tensor))
    first = next(tensors, None)
    device = torch.device(kwargs.get("device") or "cpu") if first is None else first.device
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", torch.cuda.current_device())
    return device


@contextlib.contextmanager
def _in_place_of_global(own: torch.Generator) -> Iterator[None]:
    """The global generator of a device goes on from the state of `own`, and that from its."""
    if own.device.type == "cuda":
        shared = torch.cuda.default_generators[own.device.index]
    else:
        shared = torch.default_generator
    before = shared.get_state()
    shared.set_state(own.get_state())
    try:
        yield
    finally:
        own.set_state(shared.get_state())
        shared.set_state(before)
