"""One process at a time in a directory: a lock of the kernel's, which goes when its holder does.

Whoever writes a run or a study holds its directory while it does so. The lock is on a file in it
that says who holds it; the file alone, after a crash, is in nobody's way.
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
from infobound._system.files import expect_regular, read_bytes, read_json, unwritable
from infobound.errors import FaultWarning, InputError

__all__ = ["NAME", "held"]

NAME = ".infobound.lock"
BEGINNING, SIZE = b'{"pid": ', 1000  # of what is in it, in bytes
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

    absent: list[Path] = []
    file = path / NAME
    # An existing file must not count as a lock: after a crash it would be in the way for ever.
    lock = FileLock(file, fallback_to_soft=False, on_acquired=lambda opened: _sign(opened, file))
    try:
        absent = [folder for folder in (path, *path.parents) if not folder.exists()]
        path.mkdir(parents=True, exist_ok=True)
        expect_regular(file)
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
        with contextlib.suppress(OSError, InputError):
            if lock.is_locked or _is_sign(read_bytes(file)):
                file.unlink()  # while it is held: who has opened it meanwhile sees that it is gone
        lock.release()
        with contextlib.suppress(OSError):
            for folder in absent:
                folder.rmdir()


@dataclass(frozen=True)
class _Holder:
    """Who holds a lock; the time is for people, and nothing depends on it."""

    pid: int
    host: str
    since: str


def _sign(opened: int, file: Path) -> None:
    """Say in the lock's file who holds it; somebody else's file is left as it is.

    Raises:
        InputError: it has another name too, or holds something else than a holder of this lock.
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
    """Whether these bytes are what `_sign` writes, or what a crash has left of that."""
    return len(data) <= SIZE and (BEGINNING.startswith(data) or data.startswith(BEGINNING))


def _holder(file: Path) -> str:
    """Who holds the lock, as far as that can be read."""
    try:
        who = read_json(file, _Holder)
    except (OSError, InputError):
        return "another process"
    return f"process {who.pid} on {who.host} (since {who.since})"
