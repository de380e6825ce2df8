"""Exclusive locks on directories, by a kernel lock that is released when its process ends.

A process that writes a run or a study holds the lock of its directory. The lock is on a file in it
that names the holder; the file alone, left by a crash, does not count as a lock.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import os
import platform
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from infobound._system import distributed
from infobound._system.files import (
    expect_regular,
    make_directory,
    read_bytes,
    read_json,
    remove_empty,
    unwritable,
)
from infobound.errors import FaultWarning, InputError

__all__ = ["NAME", "held"]

NAME = ".infobound.lock"
BEGINNING, SIZE = b'{"pid": ', 1000  # first bytes and largest size of the file's contents
LACKING = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK}


@contextlib.contextmanager
def held(path: str | Path | None) -> Iterator[None]:
    """Context that holds the lock of a directory against other processes.

    The directory is created if necessary, and removed again if it is still empty. Rank 0 holds the
    lock for all ranks. If the file system does not support locks, there is only a `FaultWarning`.

    Args:
        path: the directory; None means that there is nothing to lock.

    Raises:
        InputError: If another process holds the lock, or the directory cannot be written.

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
            distributed.run_on_first(lambda: stack.enter_context(_alone(Path(path))))
        yield


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the lock of a directory in this process."""
    from filelock import FileLock, Timeout

    file = path / NAME
    # An existing file must not count as a lock, or a crash would block the directory for ever.
    lock = FileLock(file, fallback_to_soft=False, on_acquired=lambda opened: _sign(opened, file))
    absent: list[Path] = []
    try:
        try:
            absent = make_directory(path)
            expect_regular(file)
            lock.acquire(blocking=False)
        except Timeout as error:
            raise InputError(
                f"Expected {path} to be free; {_holder(file)} is writing it. Wait until it is "
                "done, end it, or name another directory."
            ) from error
        except OSError as error:
            if error.errno not in LACKING:
                raise unwritable(file, error) from error
            warnings.warn(
                f"{path} is on a file system without locks: see to it that no other process "
                "writes there before this one is done.",
                FaultWarning,
                stacklevel=2,
            )
        try:
            yield
        finally:
            with contextlib.suppress(OSError, InputError):
                if lock.is_locked or _is_sign(read_bytes(file)):
                    file.unlink()  # before release, so that a waiting process sees it deleted
            lock.release()
    finally:
        remove_empty(absent)


@dataclass(frozen=True)
class _Holder:
    """The holder of a lock; the time is informative only."""

    pid: int
    host: str
    since: str


def _sign(opened: int, file: Path) -> None:
    """Write the holder to the lock file; a file of another program is left unchanged.

    Raises:
        InputError: If the file has further hard links, or contents that are not those of a lock.
    """
    if os.fstat(opened).st_nlink > 1 or not _is_sign(os.read(opened, SIZE + 1)):
        raise InputError(
            f"Expected {file} to be a lock of infobound; got a file of somebody else, or a hard "
            "link to one. Move it away, or name another directory."
        )
    who = _Holder(os.getpid(), platform.node(), time.strftime("%F %T %Z"))
    os.lseek(opened, 0, os.SEEK_SET)
    os.ftruncate(opened, 0)
    os.write(opened, json.dumps(dataclasses.asdict(who)).encode())


def _is_sign(data: bytes) -> bool:
    """Return whether bytes are what `_sign` writes, completely or up to a crash."""
    return len(data) <= SIZE and (BEGINNING.startswith(data) or data.startswith(BEGINNING))


def _holder(file: Path) -> str:
    """Describe the holder of the lock, as far as it can be read."""
    try:
        who = read_json(file, _Holder)
    except (OSError, InputError):
        return "another process"
    return f"process {who.pid} on {who.host} (since {who.since})"
