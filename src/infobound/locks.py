"""One process at a time in a directory: a lock of the kernel's, which goes when its holder does.

Whoever writes a run or a study holds its directory while it does so. The lock is on a file in it
that says who holds it; the file alone, after a crash, is in nobody's way.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

from infobound import distributed
from infobound.errors import FaultWarning, InputError
from infobound.files import unwritable

__all__ = ["NAME", "held"]

NAME = ".infobound.lock"
LACKING = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK}


@contextlib.contextmanager
def held(path: str | Path | None) -> Iterator[None]:
    """Hold a directory against other processes; made if need be, removed again if still empty.

    Of several ranks the first holds it for all. Where the file system knows no locks a
    `FaultWarning` says so, and nothing is held. None stands for no directory.

    Raises:
        InputError: another process holds it, or it cannot be written.

    Source: flock(2), https://man7.org/linux/man-pages/man2/flock.2.html, by way of
    https://py-filelock.readthedocs.io.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, held(folder):
        ...     try:
        ...         with held(folder):
        ...             pass
        ...     except InputError:
        ...         print("not twice")
        not twice
    """
    with contextlib.ExitStack() as stack:
        if path is not None:
            distributed.by_first(lambda: stack.enter_context(_alone(Path(path))))
        yield


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """`held`, by this process."""
    from filelock import FileLock, Timeout

    absent = [folder for folder in (path, *path.parents) if not folder.exists()]
    file = path / NAME
    # An existing file must not count as a lock: after a crash it would be in the way for ever.
    lock = FileLock(file, fallback_to_soft=False, on_acquired=_sign)
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=False)
    except Timeout as error:
        raise InputError(
            f"Expected {path} to be free; {_holder(file)} is writing it. Wait until it is done, "
            "end it, or name another directory."
        ) from error
    except OSError as error:
        if error.errno not in LACKING:
            raise unwritable(file, error) from error
        warnings.warn(
            f"{path} is on a file system without locks: see to it that no other process writes "
            "there before this one is done.",
            FaultWarning,
            stacklevel=2,
        )
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            file.unlink()  # while it is held: who has opened it meanwhile sees that it is gone
        lock.release()
        with contextlib.suppress(OSError):
            for folder in absent:
                folder.rmdir()


def _sign(file: int) -> None:
    """Say in the lock's file who holds it; the time is for people, and nothing depends on it."""
    who = {"pid": os.getpid(), "host": platform.node(), "since": time.strftime("%F %T %Z")}
    os.ftruncate(file, 0)
    os.write(file, json.dumps(who).encode())


def _holder(file: Path) -> str:
    """Who holds the lock, as far as that can be read."""
    try:
        who = json.loads(file.read_bytes())
        return f"process {who['pid']} on {who['host']} (since {who['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
