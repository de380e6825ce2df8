"""A process that computes for another one: on one thread, and no longer than the other lives."""

from __future__ import annotations

import contextlib
import functools
import os
import threading
import time
from collections.abc import Iterator

import torch

__all__ = ["end_with_parent", "one_thread"]

WATCHED = 0.5  # seconds between two looks whether the parent lives


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Torch, BLAS and OpenMP on one thread each, as in processes of joblib's: to the same bits."""
    import sklearn.mixture  # noqa: F401 - a limit reaches only what is loaded
    from threadpoolctl import threadpool_limits

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(threads)


@functools.cache
def end_with_parent(parent: int) -> None:
    """End this process soon after its parent, which may be killed without a word (not on Windows).

    joblib's processes would finish their cell first. That the parent says who it is, and is not
    asked for here, makes it right also where it is gone before this begins.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(WATCHED)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
