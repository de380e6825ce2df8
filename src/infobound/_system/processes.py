"""Worker processes: one thread each, and an end when the parent process ends."""

from __future__ import annotations

import contextlib
import functools
import os
import threading
import time
from collections.abc import Iterator

import torch

__all__ = ["end_with_parent", "one_thread"]

WATCHED = 0.5  # seconds between two checks whether the parent is alive


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Limit torch, BLAS and OpenMP to one thread, for results bitwise equal to joblib's workers."""
    import scipy.linalg  # noqa: F401 - the limit applies only to loaded libraries
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
    """End this process soon after its parent, which may be killed at any time (not on Windows).

    Workers of joblib would finish their cell first. The parent passes its own process id, so that
    this also works if it has ended before this function is called.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(WATCHED)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
