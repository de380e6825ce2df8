"""Whether a bar shows the progress of a computation; the bars are in `bars`, which needs rich."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from infobound._system import arguments
from infobound.pages.screens import in_notebook, in_terminal

__all__ = ["shown"]


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
    if progress is not None:
        arguments.boolean("progress", progress)
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
