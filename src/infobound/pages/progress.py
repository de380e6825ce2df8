"""Whether a bar shows the progress of a computation; the bars are in `bars`, which needs rich."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from infobound._system import arguments
from infobound.pages.screens import in_notebook, in_terminal

if TYPE_CHECKING:
    from infobound.runner.compute import Progress

__all__ = ["Stages", "counted", "expect_progress", "shown", "staged"]

Stages = Callable[[str, int, int], None]  # called with what is done, the steps done and all steps


def expect_progress(progress: object) -> None:
    """Check whether a bar is asked for, before anything is computed.

    Raises:
        InputError: If it is neither a boolean nor None.
    """
    if progress is not None:
        arguments.boolean("progress", progress)


@contextlib.contextmanager
def shown(
    progress: bool | None, own: Callable[..., None] | None, *, stages: bool = False
) -> Iterator[Callable[..., Any] | None]:
    """Yield what is called with the progress of a computation: the caller's function or a bar.

    Args:
        progress: whether there is a bar in terminals and notebooks; None shows one if the caller
            has no function of its own.
        own: the caller's function.
        stages: whether it is called as a `StageBar`; otherwise, as a `Bar`.
    """
    expect_progress(progress)
    if progress is False or (progress is None and own is not None):
        yield own
        return
    if not (in_notebook() or in_terminal()):
        yield own
        return
    from infobound.pages.bars import Bar, StageBar

    bar = StageBar(quiet=False) if stages else Bar(quiet=False, units="nats")

    def both(*values: Any) -> None:
        bar(*values)
        if own is not None:
            own(*values)

    with bar:
        yield both


@contextlib.contextmanager
def staged(progress: Stages | bool | None) -> Iterator[Stages]:
    """Yield what is called with a stage, the number of steps done and that of all its steps.

    Args:
        progress: a function that is called so; or whether there is a bar, None for one in terminals
            and notebooks.
    """
    own, wanted = (progress, None) if callable(progress) else (None, progress)
    with shown(wanted, own, stages=True) as bar:
        yield bar or (lambda what, done, total: None)


@contextlib.contextmanager
def counted(
    progress: bool | None, watch: Callable[[Progress], None] | None, what: str
) -> Iterator[Callable[[Progress], None]]:
    """Yield what is called with the progress of a table: the caller's function, a bar, or both.

    Args:
        progress: whether there is a bar in terminals and notebooks; None shows one if the caller
            has no function of its own.
        watch: the caller's function.
        what: what is counted, such as "pairs".
    """
    with staged(progress if watch is None or progress is not None else False) as bar:

        def both(step: Progress) -> None:
            bar(what, step.done, step.total)
            if watch is not None:
                watch(step)

        yield both
