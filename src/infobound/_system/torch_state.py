"""Isolation from PyTorch's global state: results neither depend on it nor change it.

There are three kinds of state. Grad mode, inference mode, autocast and the default device belong to
a thread: `defaults` sets them at each entry point and restores those of the caller. The default
dtype belongs to the process, so setting it would disturb other threads: every call that creates a
tensor names its dtype instead (tested by `tests/test_torch_state.py`). The generator of dropout
belongs to the process as well: `seeded` makes a thread draw from its own generators.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from threadpoolctl import ThreadpoolController
from torch import Tensor
from torch.utils._mode_utils import no_dispatch
from torch.utils._python_dispatch import TorchDispatchMode

from infobound.errors import InputError

__all__ = ["defaults", "draws", "nothing_drawn", "seeded", "seeded_globally", "single_thread"]

DEVICES = ("cpu", "cuda")  # devices for which autocast is disabled
NO_GENERATOR = torch.ops.aten.native_dropout  # always draws, and takes no generator
_LOCK = threading.Lock()  # held while one operation draws from a global generator


@contextlib.contextmanager
def defaults() -> Iterator[None]:
    """Context with PyTorch's initial grad mode, inference mode, autocast and default device.

    It affects this thread only, and is also a decorator.

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
    """Context in which random operations of this thread draw from generators with this seed.

    There is one generator per device. The values equal those after `torch.manual_seed(seed)`, also
    for dropout. The global generators are not changed, so threads do not disturb each other. An
    operation that takes no generator (dropout on a GPU) draws from the global one, which is locked
    and restored afterwards. Each operation takes a few microseconds longer.

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
    """Context in which random operations of this thread raise an `InputError`.

    Activation checkpointing draws in the backward pass, where it repeats the forward pass. It would
    restore the state of the global generator, and get other numbers than `seeded` gave.

    Example:
        >>> with nothing_drawn():
        ...     torch.rand(1)
        Traceback (most recent call last):
        ...
        infobound.errors.InputError: Expected a module that draws ... Leave out one of the two.
    """
    return _NothingDrawn()


def draws(action: Callable[[], object]) -> bool:
    """Return whether an action draws random numbers; it is run once with seed 0.

    Example:
        >>> draws(lambda: torch.rand(1)), draws(lambda: torch.zeros(1, dtype=torch.float32))
        (True, False)
    """
    with _Seeded(0) as mode:
        action()
    return bool(mode.generators)


@contextlib.contextmanager
def seeded_globally(seed: int, device: torch.device) -> Iterator[None]:
    """Context in which the global generator of a device has this seed; its state is restored.

    It is for code that cannot run inside `seeded`, such as PyTorch's tracer. Other threads that
    draw at the same time are affected.
    """
    with _LOCK, _in_place_of_global(torch.Generator(device).manual_seed(seed)):
        yield


class _Mode(TorchDispatchMode):
    """Dispatch mode that intercepts random operations of a thread that are given no generator."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # returning True would import the compiler, which takes a second

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping | None = None
    ) -> Any:
        given = dict(kwargs or {})
        known = (isinstance(value, torch.Generator) for value in (*args, *given.values()))
        if torch.Tag.nondeterministic_seeded not in func.tags or any(known):
            return func(*args, **given)
        return self.drawn(func, args, given)

    def drawn(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Return the result of a random operation that was given no generator."""
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
            return func(*args, **kwargs)  # such as attention, which draws only with dropout
        raise InputError(
            "Expected a module that draws no random numbers in the backward pass; got one that "
            "does, such as one with dropout inside torch.utils.checkpoint. Leave out one of the "
            "two."
        )


class _Threads:
    """The numbers of threads to restore, and how many contexts are open."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.saved = self.open = 0
        self.blas = contextlib.ExitStack()


_THREADS = _Threads()


@contextlib.contextmanager
def single_thread() -> Iterator[None]:
    """Context in which PyTorch and BLAS compute on one thread; the end restores their numbers.

    Small operations gain nothing from more threads, and where another program keeps a core busy,
    each of them waits for the thread that is on it. The contexts of several threads may overlap.
    BLAS libraries that are loaded later are not limited.

    Example:
        >>> with single_thread():
        ...     torch.get_num_threads()
        1
    """
    with _THREADS.lock:
        if _THREADS.open == 0:
            _THREADS.saved = torch.get_num_threads()
            torch.set_num_threads(1)
            libraries = _libraries(len(sys.modules))
            _THREADS.blas.enter_context(libraries.limit(limits=1, user_api="blas"))
        _THREADS.open += 1
    try:
        yield
    finally:
        with _THREADS.lock:
            _THREADS.open -= 1
            if _THREADS.open == 0:
                _THREADS.blas.close()
                torch.set_num_threads(_THREADS.saved)


@functools.lru_cache(maxsize=1)
def _libraries(imported: int) -> ThreadpoolController:
    """Return the loaded libraries that have threads; they are sought again after an import."""
    return ThreadpoolController()


@functools.cache
def _with_generator(func: Any) -> Any:
    """Return the overload of an operation with an additional generator argument, or None."""
    own = _arguments(func)
    packet = func.overloadpacket
    others = (getattr(packet, name) for name in packet.overloads())
    for overload in (func, *others):
        takes = any(argument.name == "generator" for argument in overload._schema.arguments)
        if takes and _arguments(overload) == own:
            return overload
    return None


def _arguments(overload: Any) -> list[tuple[str, str]]:
    """Return names and types of the arguments without the generator."""
    arguments = overload._schema.arguments
    return [(a.name, str(a.type)) for a in arguments if a.name != "generator"]


def _device(args: Sequence[Any], kwargs: Mapping[str, Any]) -> torch.device:
    """Return the device on which an operation draws: that of its first tensor or of its result."""
    tensors = (value for value in args if isinstance(value, Tensor))
    first = next(tensors, None)
    device = torch.device(kwargs.get("device") or "cpu") if first is None else first.device
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", torch.cuda.current_device())
    return device


@contextlib.contextmanager
def _in_place_of_global(own: torch.Generator) -> Iterator[None]:
    """Run with the global generator in the state of `own`, and store its final state in `own`."""
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
